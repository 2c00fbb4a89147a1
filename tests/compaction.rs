//! What was deleted is given back to the flash while the appliance serves, and what was kept stays as it was.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use support::mail::named;
use support::{Appliance, Connection, Imap, wait_for};

const CONFIG: &str = r#"
[server]
domains = ["home.example"]
[[account]]
name = "anna"
address = "anna@home.example"
password = "pass"
"#;
const MESSAGES: usize = 400;
const SIZE: usize = 20_000;
/// One of so many is kept.
const KEPT: usize = 5;

#[test]
fn deleted_mail_gives_its_room_back() {
    let mut appliance = Appliance::start(CONFIG);
    let login =
        |appliance: &Appliance| Imap::login(Connection::open(appliance.ports.imap.address()), "anna", "pass");
    let mut imap = login(&appliance);
    for n in 0..MESSAGES {
        imap.append("INBOX", &named(&format!("m{n}"), SIZE));
    }
    imap.command("SELECT INBOX").ok();
    for n in (1..=MESSAGES).filter(|n| n % KEPT != 0) {
        imap.command(&format!("UID STORE {n} +FLAGS.SILENT (\\Deleted)")).ok();
    }
    imap.command("EXPUNGE").ok();
    let log = appliance.data().join("accounts/anna/log");
    assert!(room(&log) > (MESSAGES * SIZE) as u64, "nothing is removed before it is copied");
    let mut longest = Duration::ZERO;
    let live = (MESSAGES / KEPT * SIZE) as u64;
    wait_for("dead space below a third", || {
        let begin = Instant::now();
        imap.command("NOOP").ok();
        longest = longest.max(begin.elapsed());
        (room(&log) < live * 3 / 2).then_some(())
    });
    println!("the longest NOOP meanwhile took {longest:?}; {} octets for {live}", room(&log));
    let kept = |appliance: &Appliance| {
        let found = login(appliance).fetch_all("INBOX");
        assert_eq!(found.len(), MESSAGES / KEPT);
        for (uid, message) in found {
            assert_eq!(message, named(&format!("m{}", uid - 1), SIZE), "UID {uid}");
        }
    };
    kept(&appliance);
    appliance.kill();
    appliance.restart();
    kept(&appliance);
    appliance.stop();
    appliance.verb("fsck", &[]).success();
}

/// Octets of the files in a folder.
fn room(folder: &Path) -> u64 {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().map_or(0, |file| file.len())).sum()
}
