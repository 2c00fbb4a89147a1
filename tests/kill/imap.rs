//! IMAP: a client changes two mailboxes of its own and remembers what they must look like. The change that nobody has
//! acknowledged when the appliance is killed has happened as a whole or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::support::client::{Answer, literal};
use super::support::mail::Dice;
use super::support::{Appliance, Connection, Imap};
use super::{message, name};

/// A message by name, and its flags.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mail {
    name: String,
    flags: BTreeSet<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Mailbox {
    uid_validity: String,
    mails: BTreeMap<u32, Mail>,
}

/// One change; `at` is the mailbox that it is made in, 0 or 1.
#[derive(Debug, Clone)]
enum Change {
    Append { name: String, flag: &'static str },
    Store { action: &'static str, flag: &'static str, uids: BTreeSet<u32> },
    Copy { uids: BTreeSet<u32> },
    Move { uids: BTreeSet<u32> },
    Expunge,
}

const FLAGS: [&str; 4] = ["\\Seen", "\\Flagged", "\\Answered", "$Work"];

/// A client of the account `anna`.
pub struct Reader {
    names: [String; 2],
    dice: Dice,
    mailboxes: [Mailbox; 2],
    /// The highest UIDs that were ever given out: no message that is new may have one of these.
    highest: [u32; 2],
    /// The change that is under way, and in which mailbox.
    pending: Option<(usize, Change)>,
    pub acknowledged: usize,
}

impl Reader {
    pub fn new(appliance: &Appliance, number: usize, seed: u64) -> Reader {
        let names = ["one", "two"].map(|which| format!("reader {number} {which}"));
        let mut imap = Imap::login(Connection::open(appliance.ports.imap.address()), "anna", "pass");
        names.iter().for_each(|name| drop(imap.command(&format!("CREATE \"{name}\"")).ok()));
        let mailboxes = [0, 1].map(|at| look(&mut imap, &names[at]));
        Reader { names, dice: Dice(seed), mailboxes, highest: [0, 0], pending: None, acknowledged: 0 }
    }

    /// One change after the other, until the appliance is gone.
    pub fn work(&mut self, address: SocketAddr, round: usize) {
        let _over = self.try_work(address, round);
    }

    fn try_work(&mut self, address: SocketAddr, round: usize) -> Option<()> {
        let mut imap = Imap::try_begin(Connection::try_open(address).ok()?, "anna", "pass")?;
        let mut selected = None;
        for number in 0.. {
            let (at, change) = self.choose(round, number);
            if selected != Some(at) {
                imap.try_command(format!("SELECT \"{}\"", self.names[at]).as_bytes())?;
                selected = Some(at);
            }
            self.pending = Some((at, change.clone()));
            let answer = change.ask(&mut imap, &self.names[at], &self.names[1 - at])?;
            assert!(answer.status.starts_with("OK"), "{change:?}: {}", answer.status);
            let placed = placed(&answer);
            change.make(&mut self.mailboxes, at, &placed);
            self.note_highest();
            self.pending = None;
            self.acknowledged += 1;
        }
        None
    }

    fn choose(&mut self, round: usize, number: usize) -> (usize, Change) {
        let at = self.dice.below(2);
        let uids: Vec<u32> = self.mailboxes[at].mails.keys().copied().collect();
        let flag = FLAGS[self.dice.below(FLAGS.len())];
        let append = |dice: &mut Dice, names: &[String; 2]| Change::Append {
            name: name(&format!("{} {round}", names[at]), number, dice),
            flag,
        };
        if uids.is_empty() {
            return (at, append(&mut self.dice, &self.names));
        }
        let some = |dice: &mut Dice| (0..1 + dice.below(5)).map(|_| uids[dice.below(uids.len())]).collect();
        let change = match self.dice.below(16) {
            0..4 => append(&mut self.dice, &self.names),
            4..8 => {
                let action = ["+FLAGS", "-FLAGS", "FLAGS"][self.dice.below(3)];
                Change::Store { action, flag, uids: some(&mut self.dice) }
            }
            // So often that the mailboxes do not grow for ever.
            8..11 => Change::Store { action: "+FLAGS", flag: "\\Deleted", uids: some(&mut self.dice) },
            11..13 => Change::Copy { uids: some(&mut self.dice) },
            13..15 => Change::Move { uids: some(&mut self.dice) },
            _ => Change::Expunge,
        };
        (at, change)
    }

    fn note_highest(&mut self) {
        for (highest, mailbox) in self.highest.iter_mut().zip(&self.mailboxes) {
            *highest = (*highest).max(mailbox.mails.keys().next_back().copied().unwrap_or(0));
        }
    }

    /// The mailboxes are as they were before the pending change or as they are after it.
    pub fn compare(&mut self, appliance: &Appliance) {
        let mut imap = Imap::login(Connection::open(appliance.ports.imap.address()), "anna", "pass");
        let found = [0, 1].map(|at| look(&mut imap, &self.names[at]));
        let pending = self.pending.take();
        if found != self.mailboxes {
            let (at, change) = pending.unwrap_or_else(|| {
                panic!("nothing was under way; expected {:?}, found {found:?}", self.mailboxes)
            });
            let mut after = self.mailboxes.clone();
            let target = change.target(at);
            let new = found[target].mails.range(self.highest[target] + 1..).map(|(uid, _)| *uid).collect();
            change.make(&mut after, at, &new);
            assert!(
                found == after,
                "{change:?} in mailbox {at} was made in part; before {:?}, after {after:?}, found {found:?}",
                self.mailboxes
            );
            self.mailboxes = found;
            self.note_highest();
        }
    }
}

impl Change {
    /// The mailbox that new messages are put into.
    fn target(&self, at: usize) -> usize {
        if matches!(self, Change::Copy { .. } | Change::Move { .. }) { 1 - at } else { at }
    }

    fn ask(&self, imap: &mut Imap, here: &str, there: &str) -> Option<Answer> {
        let command = match self {
            Change::Append { name, flag } => {
                let message = message(name);
                let head = format!("APPEND \"{here}\" ({flag}) {{{}+}}\r\n", message.len());
                return imap.try_command(&[head.as_bytes(), &message].concat());
            }
            Change::Store { action, flag, uids } => format!("UID STORE {} {action} ({flag})", set(uids)),
            Change::Copy { uids } => format!("UID COPY {} \"{there}\"", set(uids)),
            Change::Move { uids } => format!("UID MOVE {} \"{there}\"", set(uids)),
            Change::Expunge => "EXPUNGE".to_owned(),
        };
        imap.try_command(command.as_bytes())
    }

    /// What it does; `placed` are the UIDs that its new messages have.
    fn make(&self, mailboxes: &mut [Mailbox; 2], at: usize, placed: &Vec<u32>) {
        let mut new = Vec::new();
        let mails = &mut mailboxes[at].mails;
        match self {
            Change::Append { name, flag } => {
                new.push(Mail { name: name.clone(), flags: [flag.to_string()].into() });
            }
            Change::Store { action, flag, uids } => {
                for mail in mails.iter_mut().filter(|(uid, _)| uids.contains(uid)).map(|(_, mail)| mail) {
                    if *action == "FLAGS" {
                        mail.flags.clear();
                    }
                    if *action == "-FLAGS" {
                        mail.flags.remove(*flag);
                    } else {
                        mail.flags.insert(flag.to_string());
                    }
                }
            }
            Change::Copy { uids } => new.extend(uids.iter().map(|uid| mails[uid].clone())),
            Change::Move { uids } => new.extend(uids.iter().filter_map(|uid| mails.remove(uid))),
            Change::Expunge => mails.retain(|_, mail| !mail.flags.contains("\\Deleted")),
        }
        assert_eq!(new.len(), placed.len(), "{self:?} placed {placed:?}");
        mailboxes[self.target(at)].mails.extend(placed.iter().copied().zip(new));
    }
}

/// A mailbox as the appliance shows it; every message is whole.
fn look(imap: &mut Imap, name: &str) -> Mailbox {
    let examined = imap.command(&format!("EXAMINE \"{name}\""));
    let uid_validity = between(&examined.text(), "[UIDVALIDITY ", "]").expect("UIDVALIDITY").to_owned();
    let fetched = imap.command("UID FETCH 1:* (UID FLAGS BODY.PEEK[])").ok();
    let mails = fetched.iter().map(|response| {
        let octets = literal(response).expect("a message");
        let text = String::from_utf8_lossy(response);
        let flags = between(&text, "FLAGS (", ")").expect("FLAGS").split_whitespace();
        let flags = flags.filter(|flag| *flag != "\\Recent").map(str::to_owned).collect();
        let uid = text.split_once("UID ").and_then(|(_, rest)| rest.split([' ', ')']).next()?.parse().ok());
        let name = between(&text, "Subject: ", "\r").expect("a subject").to_owned();
        assert!(octets == message(&name), "{name} is not what was appended");
        (uid.expect("UID"), Mail { name, flags })
    });
    Mailbox { uid_validity, mails: mails.collect() }
}

/// The UIDs of new messages that APPENDUID or COPYUID names (RFC 4315 section 3).
fn placed(answer: &Answer) -> Vec<u32> {
    let text = format!("{}{}", answer.text(), answer.status);
    let code = between(&text, "[APPENDUID ", "]").or_else(|| between(&text, "[COPYUID ", "]"));
    let uids = code.and_then(|code| code.split(' ').next_back()).unwrap_or_default();
    let numbers = |range: &str| {
        let (first, last) = range.split_once(':').unwrap_or((range, range));
        first.parse::<u32>().unwrap()..=last.parse().unwrap()
    };
    uids.split(',').filter(|range| !range.is_empty()).flat_map(numbers).collect()
}

fn set(uids: &BTreeSet<u32>) -> String {
    uids.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    Some(text.split_once(before)?.1.split_once(after)?.0)
}
