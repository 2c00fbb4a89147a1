//! `backup` while the appliance serves, and `restore`: with the real binary and tar.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use support::mail::named;
use support::process::{run, run_with_input};
use support::{Appliance, Connection, Imap, PATIENCE, Port, Smarthost, Smtp, wait_for};

/// `port` is the smarthost's.
fn config(port: u16) -> String {
    format!(
        "[server]\ndomains = [\"home.example\"]\n[smarthost]\nhost = \"127.0.0.1\"\nport = {port}\nsecurity = \"none\"\n\
         [[account]]\nname = \"anna\"\naddress = \"anna@home.example\"\npassword = \"pass\"\n"
    )
}

fn imap(appliance: &Appliance) -> Imap {
    Imap::login(Connection::open(appliance.ports.imap.address()), "anna", "pass")
}

fn validity(appliance: &Appliance, mailbox: &str) -> u32 {
    let status = imap(appliance).command(&format!("STATUS {mailbox} (UIDVALIDITY)")).text();
    status.split_once("UIDVALIDITY ").unwrap().1.trim_end().trim_end_matches(')').parse().unwrap()
}

fn pillarbox(args: &[&str], path: &Path) -> support::process::Outcome {
    run(Command::new(support::appliance::binary()).args(args).arg(path), PATIENCE)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Catches a backup that is not one moment while mail comes, one that others may read, that tar does not, a restore beside the
/// appliance, one that deletes what is there, mailboxes that look as they did, and a queue that is sent again.
#[test]
fn what_was_backed_up_while_serving_is_there_again() {
    let nobody = Port::reserve();
    let smarthost = Smarthost::start(None, Duration::ZERO);
    let mut appliance = Appliance::start(&config(nobody.number));
    let mut mail = imap(&appliance);
    mail.command("CREATE work").ok();
    mail.append("work", &named("large", 300_000));
    for n in 0..20 {
        mail.append("INBOX", &named(&format!("m{n}"), 20_000));
    }
    let mut smtp = Smtp::login(Connection::open(appliance.ports.submission.address()), "anna", "pass");
    smtp.send("anna@home.example", &["friend@outside.example"], b"Subject: once\r\n\r\nhello\r\n");
    drop(smtp);
    let before = validity(&appliance, "work");

    // Mail comes and goes while it is made.
    let dest = appliance.scratch.join("b.tar");
    let backup = std::thread::scope(|scope| {
        let address = appliance.ports.imap.address();
        let busy = scope.spawn(move || {
            let mut mail = Imap::login(Connection::open(address), "anna", "pass");
            for n in 0..30 {
                mail.append("INBOX", &named(&format!("late{n}"), 90_000));
            }
            mail.command("SELECT INBOX").ok();
            mail.command("STORE 1:5 +FLAGS (\\Deleted)").ok();
            mail.command("EXPUNGE").ok();
        });
        let outcome = appliance.verb("backup", &[dest.to_str().unwrap()]);
        busy.join().unwrap();
        outcome
    });
    assert!(backup.success().contains("b.tar: accounts: 1, files: "));
    assert_eq!(fs::metadata(&dest).unwrap().permissions().mode() & 0o777, 0o600);
    let listed = run(Command::new("tar").arg("tf").arg(&dest), PATIENCE).success();
    let listed: Vec<&str> = listed.lines().collect();
    assert_eq!((listed[0], *listed.last().unwrap()), ("pillarbox-backup", "pillarbox-backup.end"));
    for name in ["config.postcard", "tls/ca.key", "accounts/anna/log/00000001", "queue/log/00000001"] {
        assert!(listed.contains(&name), "{name} in {listed:?}");
    }

    let beside = appliance.verb("restore", &[dest.to_str().unwrap()]);
    assert_eq!((beside.code, beside.stderr.lines().count()), (Some(3), 1), "{beside:?}");
    assert!(
        beside.stderr.contains("another appliance runs on this data folder; stop it"),
        "{}",
        beside.stderr
    );
    // The newer state, which is going to be lost: it sends what waits.
    imap(&appliance).append("work", &named("lost", 300));
    appliance
        .console(&format!("set smarthost.port {}; commit", smarthost.address().port()).replace("; ", "\n"));
    wait_for("the letter", || (smarthost.letters().len() == 1).then_some(()));
    appliance.stop();

    let told = appliance.verb("restore", &[dest.to_str().unwrap()]).success();
    for line in [
        "accounts/anna: mailboxes with a new UIDVALIDITY: 7",
        "queue: message 1 from anna@home.example to friend@outside.example",
        "may have been sent after the backup was made: 1: `pillarbox queue release all` sends them",
        "/before-restore-1: remove that folder when nothing of it is missed",
    ] {
        assert!(told.contains(line), "{line} in {told}");
    }
    let aside = appliance.data().join("before-restore-1");
    assert_eq!(
        names(&aside),
        ["accounts", "config.postcard", "config.postcard.prev", "login.key", "queue", "tls"]
    );
    appliance.verb("fsck", &[]).success();

    appliance.restart_with(&[]);
    assert!(appliance.log.find("this data folder is a copy").is_none());
    assert!(validity(&appliance, "work") > before);
    let mut mail = imap(&appliance);
    assert_eq!(mail.fetch_all("work").into_values().collect::<Vec<_>>(), [named("large", 300_000)]);
    let inbox: BTreeMap<u32, Vec<u8>> = mail.fetch_all("INBOX");
    // Up to some moment all that came, and nothing behind it.
    let came = |n: usize| {
        if n < 20 { named(&format!("m{n}"), 20_000) } else { named(&format!("late{}", n - 20), 90_000) }
    };
    let first = if inbox.contains_key(&1) { 0 } else { 5 };
    let expected: Vec<_> = (first..first + inbox.len()).map(|n| (n as u32 + 1, came(n))).collect();
    assert!(inbox.len() >= 20 && inbox.into_iter().collect::<Vec<_>>() == expected);
    // It waits, though there is a smarthost.
    appliance.console(&format!("set smarthost.port {}\ncommit", smarthost.address().port()));
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(smarthost.letters().len(), 1, "nothing is sent twice by itself");
    assert!(appliance.console("show queue").contains("held"));
    appliance.console("queue release all");
    wait_for("the letter again", || (smarthost.letters().len() == 2).then_some(()));
    appliance.stop();
}

/// Catches: half a file that stays under whatever name, a backup that takes the place of a good one before it is whole, and a
/// restore that changes something before it knows that all is there.
#[test]
fn what_is_broken_off_or_damaged_leaves_everything_as_it_was() {
    let mut appliance = Appliance::start(&config(Port::reserve().number));
    imap(&appliance).append("INBOX", &named("m1", 300_000));
    let folder = appliance.scratch.join("backups");
    fs::create_dir(&folder).unwrap();
    let dest = folder.join("b.tar");
    fs::write(&dest, "the one before").unwrap();

    // The appliance does not answer, and the operator gives up.
    let daemon = Pid::from_raw(i32::try_from(appliance.pid()).unwrap()).unwrap();
    kill_process(daemon, Signal::STOP).unwrap();
    let mut backup = Command::new(support::appliance::binary())
        .args(["backup", "--data"])
        .arg(appliance.data())
        .arg(&dest)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for("the file's beginning", || (names(&folder).len() == 2).then_some(()));
    std::thread::sleep(Duration::from_millis(300));
    kill_process(Pid::from_child(&backup), Signal::INT).unwrap();
    assert_eq!(backup.wait().unwrap().code(), Some(3));
    kill_process(daemon, Signal::CONT).unwrap();
    wait_for("the appliance's word", || appliance.log.find("backup: Broken pipe"));
    assert_eq!(
        (names(&folder), fs::read(&dest).unwrap()),
        (vec!["b.tar".to_owned()], b"the one before".to_vec())
    );
    appliance.verb("backup", &[dest.to_str().unwrap()]).success();
    assert_eq!(names(&folder), ["b.tar"]);
    let no_place = appliance.verb("backup", &[folder.to_str().unwrap()]);
    assert_eq!((no_place.code, no_place.stderr.lines().count()), (Some(1), 1), "{no_place:?}");
    appliance.stop();

    // Without an appliance, through a pipe.
    let backup = "\"$0\" backup - --data \"$1\"";
    let whole = Command::new("sh")
        .args(["-c", backup, &support::appliance::binary()])
        .arg(appliance.data())
        .output()
        .unwrap();
    assert!(whole.status.success(), "{}", String::from_utf8_lossy(&whole.stderr));
    let whole = whole.stdout;
    let before = names(&appliance.data());
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    for (what, octets, wanted) in [
        ("damaged", &damaged[..], "the backup is damaged"),
        ("cut short", &whole[..whole.len() - 3000], "the backup is not whole"),
        ("no backup", b"PK\x03\x04", "this is no backup of Pillarbox"),
    ] {
        fs::write(&dest, octets).unwrap();
        let refused = appliance.verb("restore", &[dest.to_str().unwrap()]);
        assert_eq!((refused.code, refused.stderr.lines().count()), (Some(1), 1), "{what}: {refused:?}");
        assert!(
            refused.stderr.contains(wanted) && refused.stderr.contains("nothing was restored"),
            "{refused:?}"
        );
        assert_eq!(names(&appliance.data()), before, "{what}");
    }
    let fresh = appliance.scratch.join("fresh");
    let refused = pillarbox(&["restore", "--data", fresh.to_str().unwrap()], &dest);
    assert_eq!((refused.code, fresh.exists()), (Some(1), false), "{refused:?}");
    let missing = pillarbox(&["restore", "--data", "nowhere"], &folder.join("c.tar"));
    assert_eq!(missing.code, Some(3), "{missing:?}");
    assert!(!Path::new("nowhere").exists());

    // Into an empty folder, from standard input.
    let other = appliance.scratch.join("other");
    let mut restore = Command::new(support::appliance::binary());
    restore.args(["restore", "-", "--data"]).arg(&other);
    let told = run_with_input(&mut restore, &whole, PATIENCE).success();
    assert!(
        told.starts_with("standard input: restored: accounts: 1") && !told.contains("before-restore"),
        "{told}"
    );
    fs::remove_dir_all(appliance.data()).unwrap();
    fs::rename(&other, appliance.data()).unwrap();
    appliance.restart();
    let mail = [named("m1", 300_000)];
    assert_eq!(imap(&appliance).fetch_all("INBOX").into_values().collect::<Vec<_>>(), mail);
    appliance.stop();

    // The power went after a restore was decided: the start goes on before it looks for mail.
    let ready = appliance.data().join("restore.ready");
    fs::create_dir(&ready).unwrap();
    fs::write(ready.join("plan"), "aside before-restore-1\nend\n").unwrap();
    fs::rename(appliance.data().join("accounts"), ready.join("accounts")).unwrap();
    appliance.restart();
    assert_eq!(imap(&appliance).fetch_all("INBOX").into_values().collect::<Vec<_>>(), mail);
    assert!(appliance.log.find("a restore that was cut short was ended").is_some() && !ready.exists());
    appliance.stop();
}
