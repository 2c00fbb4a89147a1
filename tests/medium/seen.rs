//! All that the clients of an appliance see of what it keeps.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use super::support::appliance::binary;
use super::support::client::Answer;
use super::support::{Appliance, Connection, Imap, PATIENCE, run, wait_for};

/// Mailboxes with their numbers, messages with their flags and octets, the queue, the configuration, the CA:
/// lines, and no order of them.
pub type Seen = BTreeSet<String>;

/// What lines of the configuration begin with.
const CONFIGURATION: &str = "configuration: ";

/// Looks at everything and changes nothing, once mail for accounts of the appliance has come out of the queue.
pub fn look(appliance: &Appliance) -> Seen {
    let queue = wait_for("the delivery", || {
        let queue = queue(appliance);
        queue.iter().all(|to| !to.ends_with("@home.example")).then_some(queue)
    });
    let mut seen = Seen::new();
    for account in ["anna", "ben"] {
        let mut imap = Imap::login(Connection::open(appliance.ports.imap.address()), account, "pass");
        let mut add = |what: &str, answer: Answer| {
            seen.extend(answer.ok().iter().map(|line| format!("{account} {what}: {}", shown(line))));
        };
        add("", imap.command("LSUB \"\" *"));
        let listed = imap.command("LIST \"\" *");
        for line in listed.text().lines() {
            let mailbox = line.rsplit(" \"/\" ").next().unwrap_or_default().trim_matches('"');
            imap.command(&format!("EXAMINE \"{mailbox}\"")).ok();
            add(mailbox, imap.command("UID FETCH 1:* (FLAGS BODY.PEEK[])"));
            add(mailbox, imap.command(&format!("STATUS \"{mailbox}\" (MESSAGES UIDNEXT UIDVALIDITY)")));
        }
        add("", listed);
    }
    let configuration = appliance.verb("export", &["--with-secrets"]).success();
    seen.extend(configuration.lines().map(|line| format!("{CONFIGURATION}{line}")));
    let ca = std::fs::read(appliance.ca()).unwrap();
    seen.insert(format!("the CA that clients trust: CRC {:08x}", crc32c::crc32c(&ca)));
    seen.extend(queue.iter().map(|to| format!("queued for {to}")));
    seen
}

/// The addresses that mail in the queue is for.
fn queue(appliance: &Appliance) -> Vec<String> {
    let table = appliance.console("show queue");
    let recipients = |row: &str| {
        let addresses = row.split_whitespace().filter(|word| word.contains('@'));
        // The first one is the sender's.
        addresses.skip(1).map(|to| to.trim_end_matches(',').to_owned()).collect::<Vec<_>>()
    };
    table.lines().flat_map(recipients).collect()
}

/// `\Recent` is of a session, not of the mail; octets are shown up to where they would fill the screen, all of them
/// count.
fn shown(line: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(line).replace(" \\Recent", "").replace("\\Recent", "");
    if text.len() > 200 {
        let (octets, sum) = (text.len(), crc32c::crc32c(text.as_bytes()));
        text.truncate(text.char_indices().map(|(at, _)| at).take_while(|at| *at <= 120).last().unwrap_or(0));
        let _ = write!(text, "… {octets} octets, CRC {sum:08x}");
    }
    text
}

/// What differs between the two, in words; empty when nothing does.
pub fn difference(told: &Seen, found: &Seen) -> String {
    let missing = told.difference(found).map(|line| format!("missing: {line}\n"));
    let strange = found.difference(told).map(|line| format!("not told: {line}\n"));
    missing.chain(strange).collect()
}

/// `fsck` finds nothing in a data folder.
#[track_caller]
pub fn assert_whole(data: &Path) {
    let outcome = run(Command::new(binary()).args(["fsck", "--data"]).arg(data), PATIENCE);
    assert_eq!(outcome.code, Some(0), "{}{}", outcome.text(), outcome.stderr);
}
