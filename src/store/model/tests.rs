//! Tests with an account without a flash: changes are planned, and their records wait or are applied as in the
//! engine.

use std::collections::VecDeque;

use super::*;
use crate::store::Error;
use crate::store::format::record::{CommitRecord, Record};
use crate::store::format::{Flags, INBOX, LastLine, MailboxId, Place, SourceKey, Uid};

/// An account as the planner sees it.
#[derive(Default)]
pub struct World {
    pub index: Index,
    pub overlay: Overlay,
    pub quota: Option<u64>,
    staged: VecDeque<Vec<(Record, Place)>>,
    /// All records so far.
    pub log: Vec<Record>,
}

impl World {
    /// A world with the mailboxes and subscriptions that every account gets.
    pub fn new() -> World {
        let mut world = World::default();
        for name in ["INBOX", "Drafts", "Sent", "Junk", "Trash", "Archive"] {
            world.commit(&[create(name), subscribe(name, true)]).unwrap();
        }
        world
    }

    /// Plans a commit and stages it.
    pub fn stage(&mut self, changes: &[Change]) -> Result<Committed, Error> {
        let delivered = changes.iter().filter(|change| matches!(change, Change::Deliver { .. }));
        let arrivals: Vec<_> =
            delivered.map(|_| Arrival { size: 1, file: None, last_line: LastLine::Unended }).collect();
        let Plan { steps, overlay, committed, .. } =
            plan(&self.index, &self.overlay, changes, &arrivals, self.quota, 0)?;
        if steps.is_empty() {
            return Ok(committed);
        }
        self.overlay = overlay;
        let records = steps.into_iter().map(|step| match step {
            Step::Record(record) => record,
            Step::Body(body, _) => Record::Body(body),
            Step::Unknown(..) => unreachable!("nothing is relocated here"),
        });
        let records: Vec<_> = records.chain([Record::Commit(CommitRecord::default())]).collect();
        self.log.extend(records.iter().cloned());
        self.staged.push_back(records.into_iter().map(|record| (record, Place::default())).collect());
        Ok(committed)
    }

    /// Applies the first staged commit.
    pub fn apply(&mut self) {
        for (record, place) in self.staged.pop_front().unwrap() {
            self.index.apply(&record, place);
        }
        self.overlay.applied();
        if self.staged.is_empty() {
            self.overlay.all_applied();
        }
    }

    /// Applies all staged commits.
    pub fn all_applied(&mut self) {
        while !self.staged.is_empty() {
            self.apply();
        }
    }

    /// Makes a commit while no other is staged.
    pub fn commit(&mut self, changes: &[Change]) -> Result<Committed, Error> {
        let committed = self.stage(changes)?;
        self.all_applied();
        Ok(committed)
    }

    /// The UIDs of a mailbox.
    pub fn uids(&self, mailbox: MailboxId) -> Vec<Uid> {
        self.index.mailboxes[&mailbox].messages.iter().map(|message| message.uid).collect()
    }

    /// The mailbox of this name.
    pub fn id(&self, name: &str) -> MailboxId {
        self.index.mailboxes.values().find(|mailbox| mailbox.name == name).unwrap().id
    }
}

/// A change that delivers a message of one octet.
pub fn deliver(mailbox: MailboxId, keywords: &[&str]) -> Change {
    let keywords = keywords.iter().map(|&keyword| keyword.to_owned()).collect();
    Change::Deliver { mailbox, flags: Flags::NONE, keywords, date: 0, note: None, numbers: None }
}

pub fn create(name: &str) -> Change {
    Change::CreateMailbox(name.to_owned())
}

pub fn delete(name: &str) -> Change {
    Change::DeleteMailbox(name.to_owned())
}

pub fn rename(from: &str, to: &str) -> Change {
    Change::RenameMailbox { from: from.to_owned(), to: to.to_owned() }
}

pub fn subscribe(name: &str, subscribed: bool) -> Change {
    Change::Subscribe { name: name.to_owned(), subscribed }
}

pub fn annotate(mailbox: &str, entry: &str, value: Option<&[u8]>) -> Change {
    let (mailbox, entry) = (mailbox.to_owned(), entry.to_owned());
    Change::Annotate { mailbox, entry, value: value.map(<[u8]>::to_vec) }
}

pub fn copy(from: MailboxId, uids: &[Uid], to: MailboxId) -> Vec<Change> {
    vec![Change::Copy { from, uids: uids.into(), to }]
}

/// The changes of a MOVE (RFC 6851).
pub fn r#move(from: MailboxId, uids: &[Uid], to: MailboxId) -> Vec<Change> {
    let mut changes = copy(from, uids, to);
    changes.push(Change::Expunge { mailbox: from, uids: uids.into() });
    changes
}

/// What an index holds, counted anew.
pub fn recount(index: &Index) -> Usage {
    let mut usage = Usage::default();
    for mailbox in index.mailboxes.values() {
        usage.add(Usage::of_mailbox(&mailbox.name));
        usage.add(mailbox.contents());
    }
    index.subscriptions.iter().for_each(|name| usage.add(Usage::of_subscription(name)));
    for ((_, entry), value) in &index.annotations {
        usage.add(Usage::of_annotation(entry, value));
    }
    usage.add(Usage::of_ledger(index.ledger.len()));
    usage
}

#[test]
fn what_is_planned_is_what_comes() {
    // Catches: a change whose growth is not counted, or counted with another figure than its record has.
    let mut world = World::new();
    let long = "x".repeat(40);
    let given = world.index.usage;
    assert_eq!(given.charged(), 0, "an account as it is given costs nothing");
    let steps: Vec<Vec<Change>> = vec![
        vec![deliver(INBOX, &[]), deliver(INBOX, &[])],
        vec![create("a/b/c")],
        copy(INBOX, &[1, 2], MailboxId(8)),
        r#move(INBOX, &[2], MailboxId(7)),
        vec![subscribe(&long, true), subscribe("INBOX", true), subscribe("none", false)],
        vec![annotate("a/b", "/shared/x", Some(b"12345")), annotate("", "/shared/y", Some(b""))],
        vec![annotate("a/b", "/shared/x", Some(b"1")), annotate("", "/shared/y", None)],
        vec![annotate("a/b", "/shared/x", Some(b"123")), annotate("a/b", "/shared/x", Some(b"12"))],
        vec![rename("a", "another")],
        vec![rename("INBOX", "Old")],
        vec![delete("another/b"), create("another/b")],
        vec![subscribe(&long, false)],
        vec![delete("another/b/c")],
    ];
    for changes in steps {
        let before = world.index.usage;
        world.stage(&changes).unwrap();
        let staged = &world.overlay.growing[0];
        let expected = before.plus(staged.more).less(staged.less);
        world.all_applied();
        assert_eq!(world.index.usage, expected, "{changes:?}");
        assert_eq!(world.index.usage, recount(&world.index), "{changes:?}");
    }
}

#[test]
fn whatever_can_be_made_costs_its_share_and_may_always_go() {
    // Catches: a kind of record that is outside the quota, and a removal that a full account is refused.
    let mut world = World::new();
    world.commit(&[deliver(INBOX, &[]), create("x"), create("y"), subscribe("x", true)]).unwrap();
    let (x, y) = (world.id("x"), world.id("y"));
    world.commit(&[annotate("x", "/shared/comment", Some(b"v"))]).unwrap();
    let charged = world.index.usage.charged();
    let (message, annotation) = (SHARE + 1, SHARE + 15 + 1);
    // The names of the six mailboxes are shorter than the octets that are granted for them.
    let spare = 2 * "INBOXDraftsSentJunkTrashArchive".len() as u64;
    assert_eq!(charged, message + 3 * (SHARE + 1) + annotation - (84 - spare));

    world.quota = Some(charged + SHARE);
    for refused in [
        vec![deliver(INBOX, &[])],
        copy(INBOX, &[1], x),
        vec![create("z")],
        vec![subscribe("z", true)],
        vec![annotate("y", "/shared/comment", Some(b""))],
        vec![rename("x", &"x".repeat(500))],
        vec![rename("INBOX", "z")],
    ] {
        let result = world.commit(&refused);
        assert!(matches!(result, Err(Error::OverQuota)), "{refused:?}: {result:?}");
    }
    world.quota = Some(0);
    for allowed in [
        r#move(INBOX, &[1], y),
        vec![annotate("x", "/shared/comment", Some(b""))],
        vec![rename("x", "z"), rename("z", "x")],
        vec![annotate("x", "/shared/comment", None)],
        vec![subscribe("x", true)],
        vec![subscribe("x", false)],
        vec![delete("x")],
        vec![Change::Expunge { mailbox: y, uids: (&[1]).into() }],
        vec![delete("y")],
    ] {
        world.commit(&allowed).unwrap_or_else(|error| panic!("{allowed:?}: {error}"));
    }
    assert_eq!(world.index.usage.charged(), 0);
}

#[test]
fn a_ledger_at_its_limit_knows_what_it_knows_and_forgets() {
    // Catches: a provider that lists without end, and a full ledger that cannot note again when a message was
    // collected.
    let collected = |n| Change::Collected { source: SourceKey(1), identity: [n; 16], date: 7, content: None };
    let mut world = World::new();
    world.commit(&[collected(1)]).unwrap();
    world.index.usage.ledger = LEDGER_MAX;
    assert!(matches!(world.commit(&[collected(2)]), Err(Error::Limit(_))));
    world.commit(&[collected(1)]).unwrap();
    world.commit(&[Change::Forget { source: SourceKey(1), identities: vec![[1; 16], [3; 16]] }]).unwrap();
    assert_eq!(world.index.usage.ledger, LEDGER_MAX - 1);
    world.commit(&[collected(2)]).unwrap();
}

#[test]
fn what_is_staged_counts() {
    // Catches: a check that sees only what is applied, and a check that counts what is applied twice.
    let mut world = World::new();
    world.quota = Some(3 * (SHARE + 1));
    for _ in 0..3 {
        world.stage(&[deliver(INBOX, &[])]).unwrap();
    }
    assert!(matches!(world.stage(&[deliver(INBOX, &[])]), Err(Error::OverQuota)));
    world.apply();
    assert!(matches!(world.stage(&[deliver(INBOX, &[])]), Err(Error::OverQuota)));
    world.quota = Some(4 * (SHARE + 1));
    world.stage(&[deliver(INBOX, &[])]).unwrap();
    world.all_applied();
    assert_eq!(world.index.usage.messages, 4);
    assert!(matches!(world.stage(&[deliver(INBOX, &[])]), Err(Error::OverQuota)));
}

#[test]
fn messages_are_moved_once_however_many_ask_at_the_same_time() {
    // Catches: a MOVE that copies what another MOVE, which is not applied yet, has moved away: a way around the
    // quota.
    let mut world = World::new();
    world.commit(&[deliver(INBOX, &[]), deliver(INBOX, &[])]).unwrap();
    let (sent, trash) = (world.id("Sent"), world.id("Trash"));
    world.quota = Some(world.index.usage.charged());
    assert_eq!(world.stage(&r#move(INBOX, &[1, 2], sent)).unwrap().placed.len(), 2);
    assert_eq!(world.stage(&r#move(INBOX, &[2], trash)).unwrap().placed.len(), 0);
    world.all_applied();
    assert_eq!((world.uids(INBOX), world.uids(sent), world.uids(trash)), (vec![], vec![1, 2], vec![]));
    // A transaction that removes a message twice has not made room twice.
    let mut twice = r#move(sent, &[1], trash);
    twice.extend(copy(sent, &[2], trash));
    twice.push(Change::Expunge { mailbox: sent, uids: (&[1]).into() });
    assert!(matches!(world.commit(&twice), Err(Error::OverQuota)));
}

/// Catches: a sum that silently becomes 0 when more is removed than was ever added.
#[test]
#[should_panic(expected = "more has gone than ever came")]
fn what_never_came_does_not_go() {
    Usage::of_message(1).remove(Usage::of_message(2));
}
