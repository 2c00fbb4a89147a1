//! An older copy of the data folder is put back: the appliance tells, the operator decides, and clients that knew the newer
//! state start anew.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use support::mail::named;
use support::process::run;
use support::{Appliance, Connection, Imap, PATIENCE, Pop3, Port, Smarthost, Smtp, wait_for};

const ACCOUNTS: [&str; 2] = ["anna", "ben"];
const TOLD: &str = "this data folder is a copy";

/// `port` is the smarthost's.
fn config(port: u16) -> String {
    let account = |name| {
        format!("[[account]]\nname = \"{name}\"\naddress = \"{name}@home.example\"\npassword = \"pass\"\n")
    };
    format!(
        "[server]\ndomains = [\"home.example\"]\n[smarthost]\nhost = \"127.0.0.1\"\nport = {port}\nsecurity = \"none\"\n{}",
        ACCOUNTS.map(account).concat()
    )
}

fn imap(appliance: &Appliance, account: &str) -> Imap {
    Imap::login(Connection::open(appliance.ports.imap.address()), account, "pass")
}

/// The UIDVALIDITY of each mailbox, as `ACCOUNT/MAILBOX`.
fn validities(appliance: &Appliance) -> BTreeMap<String, u32> {
    let mut all = BTreeMap::new();
    for account in ACCOUNTS {
        let mut imap = imap(appliance, account);
        for listed in imap.command("LIST \"\" *").ok() {
            let listed = String::from_utf8(listed).unwrap();
            let name = listed.rsplit(' ').next().unwrap().trim_matches('"').to_owned();
            let status = imap.command(&format!("STATUS \"{name}\" (UIDVALIDITY)")).text();
            let digits = status.split_once("UIDVALIDITY ").unwrap().1.trim_end().trim_end_matches(')');
            all.insert(format!("{account}/{name}"), digits.parse().unwrap());
        }
    }
    assert!(all.len() >= 10, "{all:?}");
    all
}

/// What mail programs that leave mail on the server know it by.
fn unique_ids(appliance: &Appliance, account: &str) -> Vec<String> {
    let mut pop3 = Pop3::login(Connection::open(appliance.ports.pop3.address()), account, "pass");
    let id = |line: Vec<u8>| String::from_utf8(line).unwrap().split(' ').nth(1).unwrap().to_owned();
    pop3.multiline("UIDL").into_iter().map(id).collect()
}

fn append(appliance: &Appliance, account: &str, mailbox: &str, name: &str) {
    imap(appliance, account).append(mailbox, &named(name, 300));
}

/// `cp -a`, into the place of what is there.
fn put(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    run(Command::new("cp").arg("-a").args([from, to]), PATIENCE).success();
}

/// All logs of accounts and queue.
fn logs(data: &Path) -> BTreeMap<String, Vec<u8>> {
    let folders = ["accounts/anna/log", "accounts/ben/log", "queue/log"].map(|log| data.join(log));
    let files =
        folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    files.map(|path| (path.display().to_string(), fs::read(&path).unwrap())).collect()
}

/// Catches a UIDVALIDITY that stays in one account or one mailbox, a queue that is sent twice or dropped without a word, a
/// copy that is not recognised, or no longer after one start, and a command that runs beside the appliance.
#[test]
fn clients_that_knew_a_newer_state_start_anew() {
    let nobody = Port::reserve();
    let smarthost = Smarthost::start(None, Duration::ZERO);
    let send = format!("set smarthost.port {}\ncommit\n", smarthost.address().port());
    let mut appliance = Appliance::start(&config(nobody.number));
    let operate = |appliance: &Appliance, lines: &str| {
        let mut console = Command::new(support::appliance::binary());
        console.args(["console", "--data"]).arg(appliance.data());
        support::process::run_with_input(&mut console, lines.as_bytes(), PATIENCE).success()
    };
    append(&appliance, "anna", "INBOX", "m1");
    append(&appliance, "anna", "INBOX", "m2");
    imap(&appliance, "anna").command("CREATE work").ok();
    append(&appliance, "anna", "work", "w1");
    append(&appliance, "ben", "INBOX", "b1");
    let mut smtp = Smtp::login(Connection::open(appliance.ports.submission.address()), "anna", "pass");
    smtp.send("anna@home.example", &["friend@outside.example"], b"Subject: once\r\n\r\nhello\r\n");

    let beside = appliance.verb("restored", &[]);
    assert_eq!((beside.code, beside.stderr.lines().count()), (Some(3), 1), "{beside:?}");
    assert!(
        beside.stderr.contains("another appliance runs on this data folder; stop it"),
        "{}",
        beside.stderr
    );
    assert!(!appliance.console("show status").contains(TOLD));
    appliance.stop();
    let copy = appliance.scratch.join("copy");
    put(&appliance.data(), &copy);

    // The newer state, which is going to be lost: it gives UIDs, and sends what waits.
    appliance.restart();
    assert!(appliance.log.find(TOLD).is_none());
    append(&appliance, "anna", "INBOX", "lost");
    append(&appliance, "ben", "INBOX", "lost");
    operate(&appliance, &send);
    wait_for("the letter", || (smarthost.letters().len() == 1).then_some(()));
    wait_for("an empty queue", || appliance.console("show queue").contains("is empty").then_some(()));
    let known = (validities(&appliance), unique_ids(&appliance, "anna"));
    assert_eq!(imap(&appliance, "anna").fetch_all("INBOX")[&3], named("lost", 300));
    appliance.stop();

    put(&copy, &appliance.data());
    for start in ["first", "second"] {
        appliance.restart_with(&["--failsafe"]);
        assert!(appliance.log.find(TOLD).is_some(), "{start}");
        assert!(appliance.console("show status").contains(TOLD), "{start}");
        appliance.stop();
    }

    let before = logs(&appliance.data());
    let undecided = appliance.verb("restored", &[]);
    assert_eq!((undecided.code, undecided.stderr.lines().count()), (Some(2), 1), "{undecided:?}");
    assert!(undecided.text().contains("from anna@home.example to friend@outside.example"), "{undecided:?}");
    assert!(undecided.stderr.contains("--keep-queue"), "{undecided:?}");
    assert!(logs(&appliance.data()) == before, "nothing was changed");
    let both = appliance.verb("restored", &["--keep-queue", "--discard-queue"]);
    assert_eq!(both.code, Some(2), "{both:?}");
    let kept = appliance.verb("restored", &["--keep-queue"]).success();
    assert!(kept.contains("perhaps for the second time: 1"), "{kept}");
    let told = appliance.verb("restored", &["--discard-queue"]).success();
    for line in [
        "accounts/anna: mailboxes with a new UIDVALIDITY: 7, messages in them: 3\n",
        "accounts/ben: mailboxes with a new UIDVALIDITY: 6, messages in them: 1\n",
        "queue: messages that do not go out any more: 1\n",
        "done: mail programs load their folders anew",
    ] {
        assert!(told.contains(line), "{line} in {told}");
    }
    appliance.verb("fsck", &[]).success();

    appliance.restart_with(&[]);
    assert!(appliance.log.find(TOLD).is_none());
    operate(&appliance, &send);
    assert!(appliance.console("show queue").contains("is empty"));
    let now = validities(&appliance);
    assert_eq!(now.keys().collect::<Vec<_>>(), known.0.keys().collect::<Vec<_>>());
    for (mailbox, validity) in &now {
        assert!(*validity > known.0[mailbox] && !known.0.values().any(|old| old == validity), "{mailbox}");
    }
    append(&appliance, "anna", "INBOX", "new");
    let mut client = imap(&appliance, "anna");
    let selected = client.command("SELECT INBOX").text();
    assert!(selected.contains(&format!("[UIDVALIDITY {}]", now["anna/INBOX"])), "{selected}");
    let found = client.fetch_all("INBOX");
    let mail: Vec<_> = found.into_iter().collect();
    let named = |uid, name| (uid, named(name, 300));
    // UID 3 was another message: only the UIDVALIDITY tells.
    assert_eq!(mail, [named(1, "m1"), named(2, "m2"), named(3, "new")]);
    assert_eq!(client.fetch_all("work").into_iter().collect::<Vec<_>>(), [named(1, "w1")]);
    assert_eq!(imap(&appliance, "ben").fetch_all("INBOX").len(), 1);
    let ids = unique_ids(&appliance, "anna");
    assert!(ids.len() == 3 && ids.iter().all(|id| !known.1.contains(id)), "{ids:?}");
    assert_eq!(smarthost.letters().len(), 1, "nothing is sent twice");
    appliance.stop();
}

/// Catches a folder that was moved to another card and is called a copy for ever, and UIDVALIDITYs that change for nothing.
#[test]
fn a_copy_of_the_newest_state_goes_on_as_it_was() {
    let mut appliance = Appliance::start(&config(Port::reserve().number));
    append(&appliance, "anna", "INBOX", "m1");
    let before = validities(&appliance);
    appliance.stop();
    let moved = appliance.scratch.join("moved");
    put(&appliance.data(), &moved);
    put(&moved, &appliance.data());
    appliance.restart();
    assert!(appliance.log.find(TOLD).is_some());
    appliance.stop();
    appliance.verb("restored", &["--nothing-newer"]).success();
    appliance.restart();
    assert!(appliance.log.find(TOLD).is_none());
    assert!(!appliance.console("show status").contains(TOLD));
    assert_eq!(validities(&appliance), before);
    appliance.stop();
}
