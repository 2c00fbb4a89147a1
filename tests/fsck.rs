//! Damage on the flash of the real binary: `fsck` finds it, `--repair` saves the rest, and clients find their mail.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::fs;
use std::os::unix::fs::FileExt;

use support::mail::named;
use support::{Appliance, Connection, Imap};

const CONFIG: &str = r#"
[server]
domains = ["home.example"]
[[account]]
name = "anna"
address = "anna@home.example"
password = "pass"
"#;

#[test]
fn what_a_flipped_bit_hits_is_told_and_all_the_rest_is_saved() {
    let mut appliance = Appliance::start(CONFIG);
    let login =
        |appliance: &Appliance| Imap::login(Connection::open(appliance.ports.imap.address()), "anna", "pass");
    let sizes = [300, 2_000, 90_000, 500];
    for (n, size) in sizes.iter().enumerate() {
        login(&appliance).append("INBOX", &named(&format!("m{n}"), *size));
    }
    let fsck = |appliance: &Appliance, args: &[&str]| appliance.verb("fsck", args);
    let beside = fsck(&appliance, &[]);
    assert!(
        beside.text().contains("4 messages") && beside.text().contains("nothing is damaged"),
        "{}",
        beside.text()
    );
    let refused = fsck(&appliance, &["--repair"]);
    assert_eq!(refused.code, Some(3), "{}", refused.text());
    appliance.stop();
    fsck(&appliance, &[]).success();

    // The second message's octets, and the large one's file.
    let account = appliance.data().join("accounts/anna");
    let log = account.join("log/00000001");
    let text = fs::read(&log).unwrap();
    let at = text.windows(2).position(|octets| octets == b"m1").unwrap() + 1_000;
    flip(&log, at as u64);
    let large = fs::read_dir(account.join("body")).unwrap().next().unwrap().unwrap().path();
    flip(&large, 50_000);
    let config = appliance.data().join("config.postcard");
    flip(&config, 40);

    let damaged = fsck(&appliance, &[]);
    assert_eq!(damaged.code, Some(1), "{}", damaged.text());
    for told in ["UID 2 of INBOX is lost", "UID 3 of INBOX is lost", "config.postcard"] {
        assert!(damaged.text().contains(told), "{told} in {}", damaged.text());
    }
    // Without a configuration before it this one cannot be mended.
    let half = fsck(&appliance, &["--repair"]);
    assert_eq!(half.code, Some(1), "{}", half.text());
    assert!(half.stderr.contains("import a configuration"), "{}", half.stderr);
    flip(&config, 40);
    fs::copy(&config, appliance.data().join("config.postcard.prev")).unwrap();
    flip(&config, 40);
    let mended = half.text() + &fsck(&appliance, &["--repair"]).success();
    assert!(mended.contains("lost+found"), "{mended}");
    fsck(&appliance, &[]).success();
    assert_eq!(fs::read_dir(appliance.data().join("lost+found")).unwrap().count(), 2);

    appliance.restart();
    let found = login(&appliance).fetch_all("INBOX");
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), [1, 4]);
    assert_eq!(found[&4], named("m3", 500));
}

fn flip(path: &std::path::Path, at: u64) {
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut octet = [0];
    file.read_exact_at(&mut octet, at).unwrap();
    file.write_all_at(&[octet[0] ^ 4], at).unwrap();
}
