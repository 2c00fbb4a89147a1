//! What may be found after a cut while commits are under way, and what an open account shows.

use super::model::{Letter, Model, Op, Placed, Shown};
use super::*;
use crate::store::{NO_MAILBOX, Usage};

/// The account when every commit was answered, and the commits that were asked for since.
#[derive(Debug, Clone)]
pub struct Expected {
    pub model: Model,
    pub asked: Vec<UnansweredCommit>,
}

/// A commit that is under way.
#[derive(Debug, Clone)]
pub struct UnansweredCommit {
    pub ops: Vec<Op>,
    pub answer: Answer,
}

/// What is known of a commit.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The commit was not answered yet: it may be found as a whole or not at all.
    Open,
    /// The commit was acknowledged, with this MODSEQ.
    Done(u64, Placed),
    /// The commit was refused because it is not possible.
    Refused,
    /// The commit was refused because there was no room.
    Full,
}

impl Expected {
    pub fn new(model: Model) -> Expected {
        Expected { model, asked: Vec::new() }
    }

    /// Whether `found` may be found after a cut: it must hold everything that was acknowledged and nothing that was
    /// refused, and it may hold the unanswered commits.
    ///
    /// # Errors
    /// How `found` differs from what it must be.
    pub fn allows(&self, found: &Model) -> Result<(), String> {
        let asked: Vec<&UnansweredCommit> = self
            .asked
            .iter()
            .filter(|asked| matches!(asked.answer, Answer::Open | Answer::Done(..)))
            .collect();
        if possible(&self.model, &asked, found) {
            return Ok(());
        }
        let mut model = self.model.clone();
        for asked in self.done() {
            model.commit(&asked.ops, modseq(asked), false);
        }
        let difference = model.differs(found);
        Err(format!(
            "{}; asked for: {:?}",
            difference.unwrap_or("what was not answered".to_owned()),
            self.asked
        ))
    }

    /// The acknowledged commits, in the order of their MODSEQs.
    fn done(&self) -> Vec<&UnansweredCommit> {
        let mut done: Vec<&UnansweredCommit> =
            self.asked.iter().filter(|asked| modseq(asked).is_some()).collect();
        done.sort_by_key(|asked| modseq(asked));
        done
    }

    /// To be called when every commit was answered: checks `found`, what the open account shows.
    pub fn settle(&mut self, found: Model) {
        for refused in self.asked.iter().filter(|asked| asked.answer == Answer::Refused) {
            assert_eq!(
                self.model.clone().commit(&refused.ops, None, false),
                None,
                "refused: {:?}",
                refused.ops
            );
        }
        let mut model = self.model.clone();
        for asked in self.done() {
            let Answer::Done(modseq, placed) = &asked.answer else { continue };
            assert!(*modseq > self.model.told.modseq, "MODSEQ {modseq} comes again");
            let after = |now| {
                let mut model = model.clone();
                assert_eq!(
                    Some(placed),
                    model.commit(&asked.ops, Some(*modseq), now).as_ref(),
                    "answer to {:?}",
                    asked.ops
                );
                model
            };
            // Flags that other commits set meanwhile may be copied as well, or not.
            let [then, now] = [false, true].map(after);
            let shows = |(mailbox, uid): &(String, Uid)| {
                let letter = |model: &Model| {
                    model.mailboxes.get(mailbox)?.letters.get(uid).map(|letter| letter.flags.clone())
                };
                letter(&found) == letter(&now)
            };
            model = if placed.iter().all(shows) { now } else { then };
        }
        assert_eq!(model.differs(&found), None, "{:?}", self.asked);
        let mut next = model.followed_by(found);
        for (name, shown) in &mut next.mailboxes {
            let before = &model.mailboxes[name];
            assert_eq!(shown.uid_next, before.uid_next, "{name}");
            assert_eq!(shown.recent_from.0, before.recent_from.1, "{name}");
            shown.recent_from = before.recent_from;
        }
        *self = Expected::new(next);
    }
}

fn modseq(asked: &UnansweredCommit) -> Option<u64> {
    match asked.answer {
        Answer::Done(modseq, _) => Some(modseq),
        _ => None,
    }
}

/// Whether `found` is `model` after some of the commits in `asked`, in some order.
fn possible(model: &Model, asked: &[&UnansweredCommit], found: &Model) -> bool {
    let promised = asked.iter().filter_map(|asked| modseq(asked)).min();
    if promised.is_none() && model.differs(found).is_none() {
        return true;
    }
    let mut ways = (0..asked.len()).flat_map(|at| [(at, false), (at, true)]);
    ways.any(|(at, now)| {
        let next = modseq(asked[at]);
        let mut model = model.clone();
        // Acknowledged commits come in the order of their MODSEQs.
        if next.is_some() && next != promised || model.commit(&asked[at].ops, next, now).is_none() {
            return false;
        }
        let mut rest = asked.to_vec();
        rest.remove(at);
        possible(&model, &rest, found)
    })
}

/// The octets of a message, which must be those that its date determines.
pub fn octets(account: &Account, message: &Message) -> Vec<u8> {
    let Message { uid, date, size, .. } = *message;
    let mut octets = vec![0; size as usize];
    let body = account.body(message).unwrap();
    body.read_exact_at(0, &mut octets).unwrap();
    assert_eq!(body.len().unwrap(), u64::from(size));
    assert!(octets == content(date.get() as u64, size as usize), "UID {uid}: another message");
    let last_line = LastLine::of(&octets[octets.len().saturating_sub(2)..]);
    assert!([LastLine::Unknown, last_line].contains(&message.last_line()), "UID {uid}: ends in another way");
    octets
}

/// What the account shows, as clients are told. The numbers of flags are those of `docs/store.md`.
pub fn observe(account: &Account) -> Model {
    const SYSTEM: [&str; 5] = ["\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft"];
    let mut model = Model::default();
    let mut names = BTreeMap::from([(NO_MAILBOX, String::new())]);
    let (mut messages, mut all_octets) = (0, 0);
    for (id, name) in account.mailboxes() {
        let mailbox = account.view(id, Mailbox::clone).unwrap();
        let mut shown = Shown {
            uid_validity: Some(mailbox.uid_validity),
            uid_next: mailbox.uid_next,
            highest_modseq: mailbox.highest_modseq,
            recent_from: (mailbox.recent_from, mailbox.recent_from),
            letters: BTreeMap::new(),
        };
        for message in &mailbox.messages {
            let Message { uid, flags, date, modseq, size, .. } = *message;
            octets(account, message);
            assert_ne!(message.last_line(), LastLine::Unknown, "UID {uid}: forgotten how it ends");
            messages += 1;
            all_octets += u64::from(size);
            let set = (0..64).filter(|bit| flags.0 >> bit & 1 == 1);
            let flags = set.map(|bit| match bit {
                0..5 => SYSTEM[bit].to_owned(),
                bit => mailbox.keywords[bit - 8].clone(),
            });
            let letter = Letter {
                date: date.get() as u64,
                size: size as usize,
                flags: flags.collect(),
                modseq: Some(modseq),
                note: account.note(id, uid).unwrap(),
            };
            assert!(shown.letters.insert(uid, letter).is_none(), "UID {uid} is there twice");
        }
        names.insert(id, name.clone());
        model.mailboxes.insert(name, shown);
    }
    let Usage { messages: counted, octets, .. } = account.usage();
    assert_eq!((counted, octets), (messages, all_octets));
    model.subscribed = account.subscriptions().into_iter().collect();
    for (_, date) in account.all_collected(SourceKey(1)) {
        assert_eq!(account.collected(SourceKey(1), &date.to_le_bytes()), Some(date));
        model.collected.insert(date as u64);
    }
    let annotations = account.index(|index| index.annotations.clone());
    model.annotations =
        annotations.into_iter().map(|((id, entry), value)| ((names[&id].clone(), entry), value)).collect();
    model
}
