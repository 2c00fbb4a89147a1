//! A model of what an account must show, worked out from what was asked for and what was answered.
//!
//! The model uses none of the store's code: flags, UIDs, UIDVALIDITY, MODSEQ, `\Recent` and notes follow the rules of
//! RFC 3501 and RFC 7162 in plain maps. What no answer tells is left open (`None`), and taken from what is found.

use std::collections::BTreeSet;

use super::*;

/// A message as a client sees it. Its date and size tell what its content must be.
#[derive(Debug, Clone, PartialEq)]
pub struct Letter {
    pub date: u64,
    pub size: usize,
    pub flags: BTreeSet<String>,
    /// The MODSEQ of its last change; `None` when the commit of that change was not answered.
    pub modseq: Option<u64>,
    pub note: Option<Vec<u8>>,
}

/// A mailbox as a client sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// `None` for a new mailbox, until it is found.
    pub uid_validity: Option<u32>,
    pub uid_next: Uid,
    pub highest_modseq: u64,
    /// The first `\Recent` UID: first as far as it is durable, then as far as a session has claimed it.
    pub recent_from: (Uid, Uid),
    pub letters: BTreeMap<Uid, Letter>,
}

impl Shown {
    fn new() -> Shown {
        Shown {
            uid_validity: None,
            uid_next: 1,
            highest_modseq: 1,
            recent_from: (1, 1),
            letters: BTreeMap::new(),
        }
    }

    fn changed(&mut self, modseq: Option<u64>) {
        self.highest_modseq = self.highest_modseq.max(modseq.unwrap_or(0));
    }

    fn put(&mut self, letter: Letter) -> Uid {
        let uid = self.uid_next;
        self.changed(letter.modseq);
        self.letters.insert(uid, letter);
        self.uid_next += 1;
        uid
    }
}

/// The largest numbers that clients were told: later numbers must be larger.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct Told {
    pub modseq: u64,
    pub uid_validity: u32,
}

/// Everything that an account shows.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Model {
    pub mailboxes: BTreeMap<String, Shown>,
    pub subscribed: BTreeSet<String>,
    pub collected: BTreeSet<u64>,
    pub annotations: BTreeMap<(String, String), Vec<u8>>,
    pub told: Told,
}

/// A change, as the store is asked for it.
#[derive(Debug, Clone)]
pub enum Op {
    Deliver {
        mailbox: String,
        date: u64,
        size: usize,
        flags: &'static [&'static str],
        note: Option<Vec<u8>>,
        collected: bool,
        /// The numbers that the message had in another account.
        kept: Option<MessageNumbers>,
    },
    /// The letter is as it was when the copy was asked for. A long commit copies it as it is when all earlier commits
    /// are done.
    Copy {
        from: String,
        uid: Uid,
        to: String,
        letter: Letter,
    },
    Flags {
        mailbox: String,
        uids: Vec<Uid>,
        change: FlagChange,
        flags: &'static [&'static str],
    },
    Expunge {
        mailbox: String,
        uids: Vec<Uid>,
    },
    Note {
        mailbox: String,
        uid: Uid,
        note: Vec<u8>,
    },
    Restore {
        mailbox: String,
        numbers: MailboxNumbers,
    },
    Create(String),
    Rename {
        from: String,
        to: String,
    },
    Delete(String),
    Subscribe {
        name: String,
        subscribed: bool,
    },
    Annotate {
        mailbox: String,
        entry: String,
        value: Option<Vec<u8>>,
    },
    Forget(u64),
}

/// The mailboxes and UIDs of the messages that a commit has placed.
pub type Placed = Vec<(String, Uid)>;

/// The names of mailboxes above this one, the topmost first.
fn above(name: &str) -> impl Iterator<Item = String> {
    name.match_indices('/').map(|(at, _)| name[..at].to_owned())
}

/// Whether the change writes a record whatever the account holds.
fn writes(op: &Op) -> bool {
    match op {
        // Removing a keyword that no message has writes nothing.
        Op::Flags { change, uids, .. } => *change == FlagChange::Replace && !uids.is_empty(),
        Op::Expunge { uids, .. } => !uids.is_empty(),
        Op::Copy { .. } => false,
        _ => true,
    }
}

/// Whether the commit of these changes, some of which are copies, has more than two pieces of one message: see
/// `store::engine::long`.
fn is_long(ops: &[Op]) -> bool {
    let copies = ops.iter().all(|op| matches!(op, Op::Copy { .. } | Op::Expunge { .. }));
    copies && ops.len() > 1
}

impl Model {
    /// A new account with these mailboxes, all subscribed.
    pub fn furnished(names: &[&str]) -> Model {
        let names = || names.iter().map(|&name| name.to_owned());
        Model {
            mailboxes: names().map(|name| (name, Shown::new())).collect(),
            subscribed: names().collect(),
            ..Model::default()
        }
    }

    /// Makes changes that are one commit, with this MODSEQ where it is known. `None` means that the commit must be
    /// refused, and nothing has changed. With `now`, messages are copied as they are now, otherwise as they were when
    /// that was asked for.
    pub fn commit(&mut self, ops: &[Op], modseq: Option<u64>, now: bool) -> Option<Placed> {
        let mut next = self.clone();
        let mut placed = Placed::new();
        for op in ops {
            match op {
                Op::Copy { from, uid, to, letter } if now || is_long(ops) => {
                    let now = next.mailboxes.get(from).and_then(|shown| shown.letters.get(uid));
                    let (from, uid, to) = (from.clone(), *uid, to.clone());
                    let letter = now.unwrap_or(letter).clone();
                    next.change(&Op::Copy { from, uid, to, letter }, modseq, &mut placed)?;
                }
                op => next.change(op, modseq, &mut placed)?,
            }
        }
        // Claims of sessions are written with any commit that writes something.
        if ops.iter().any(writes) || !placed.is_empty() {
            next.mailboxes.values_mut().for_each(|shown| shown.recent_from.0 = shown.recent_from.1);
        }
        *self = next;
        Some(placed)
    }

    fn change(&mut self, op: &Op, modseq: Option<u64>, placed: &mut Placed) -> Option<()> {
        match op {
            Op::Deliver { mailbox, date, size, flags, note, collected, kept } => {
                let shown = self.mailboxes.get_mut(mailbox)?;
                let mut modseq = modseq;
                if let Some(kept) = kept.filter(|kept| shown.uid_validity == Some(kept.uid_validity)) {
                    if kept.uid >= shown.uid_next {
                        (shown.uid_next, modseq) = (kept.uid, kept.modseq.or(modseq));
                    } else {
                        // Another message has this UID: clients must read the mailbox anew.
                        shown.uid_validity = None;
                    }
                }
                let flags = flags.iter().map(|&flag| flag.to_owned()).collect();
                let letter = Letter { date: *date, size: *size, flags, modseq, note: note.clone() };
                placed.push((mailbox.clone(), shown.put(letter)));
                self.collected.extend(collected.then_some(*date));
            }
            Op::Copy { from, uid, to, letter } => {
                // A message that an earlier change removes is not copied.
                if !self.mailboxes.get(from)?.letters.contains_key(uid) {
                    return self.mailboxes.get(to).map(drop);
                }
                let letter = Letter { modseq, note: None, ..letter.clone() };
                placed.push((to.clone(), self.mailboxes.get_mut(to)?.put(letter)));
            }
            Op::Flags { mailbox, uids, change, flags } => {
                let shown = self.mailboxes.get_mut(mailbox)?;
                let named: BTreeSet<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
                for uid in uids {
                    let Some(letter) = shown.letters.get_mut(uid) else { continue };
                    let new: BTreeSet<String> = match change {
                        FlagChange::Replace => named.clone(),
                        FlagChange::Add => &letter.flags | &named,
                        FlagChange::Remove => &letter.flags - &named,
                    };
                    if letter.flags != new {
                        (letter.flags, letter.modseq) = (new, modseq);
                        shown.highest_modseq = shown.highest_modseq.max(modseq.unwrap_or(0));
                    }
                }
            }
            Op::Expunge { mailbox, uids } => {
                let shown = self.mailboxes.get_mut(mailbox)?;
                for uid in uids {
                    if shown.letters.remove(uid).is_some() {
                        shown.changed(modseq);
                    }
                }
            }
            Op::Note { mailbox, uid, note } => {
                let shown = self.mailboxes.get_mut(mailbox)?;
                if let Some(letter) = shown.letters.get_mut(uid) {
                    letter.note = Some(note.clone());
                }
            }
            Op::Restore { mailbox, numbers } => {
                let shown = self.mailboxes.get_mut(mailbox)?;
                if shown.uid_validity == Some(numbers.uid_validity) || shown.uid_next == 1 {
                    shown.uid_validity = Some(numbers.uid_validity);
                    shown.uid_next = shown.uid_next.max(numbers.uid_next);
                    shown.changed(Some(numbers.highest_modseq));
                }
            }
            Op::Create(name) => self.create(name)?,
            Op::Rename { from, to } if from == "INBOX" => {
                // The messages of the INBOX go, the INBOX itself stays.
                self.create(to)?;
                let inbox = self.mailboxes.get_mut("INBOX")?;
                inbox.changed(modseq.filter(|_| !inbox.letters.is_empty()));
                let letters = std::mem::take(&mut inbox.letters);
                let shown = self.mailboxes.get_mut(to)?;
                for letter in letters.into_values() {
                    placed.push((to.clone(), shown.put(Letter { modseq, note: None, ..letter })));
                }
            }
            Op::Rename { from, to } => {
                let below = format!("{from}/");
                if self.mailboxes.contains_key(to) || to.starts_with(&below) {
                    return None;
                }
                let moves = |name: &String| name == from || name.starts_with(&below);
                let moving: Vec<String> = self.mailboxes.keys().filter(|name| moves(name)).cloned().collect();
                self.create_above(to);
                for name in moving.iter().chain(moving.is_empty().then_some(from)) {
                    let new = format!("{to}{}", &name[from.len()..]);
                    let shown = self.mailboxes.remove(name)?;
                    self.mailboxes.insert(new.clone(), shown);
                    let annotations = std::mem::take(&mut self.annotations).into_iter();
                    let renamed = |mailbox| if mailbox == *name { new.clone() } else { mailbox };
                    self.annotations = annotations
                        .map(|((mailbox, entry), value)| ((renamed(mailbox), entry), value))
                        .collect();
                }
            }
            Op::Delete(name) => {
                self.mailboxes.remove(name).filter(|_| name != "INBOX")?;
                self.annotations.retain(|(mailbox, _), _| mailbox != name);
            }
            Op::Subscribe { name, subscribed: true } => drop(self.subscribed.insert(name.clone())),
            Op::Subscribe { name, subscribed: false } => drop(self.subscribed.remove(name)),
            Op::Annotate { mailbox, entry, value } => {
                let key = (mailbox.clone(), entry.clone());
                match value {
                    Some(value) => drop(self.annotations.insert(key, value.clone())),
                    None => drop(self.annotations.remove(&key)),
                }
            }
            Op::Forget(identity) => drop(self.collected.remove(identity)),
        }
        Some(())
    }

    fn create(&mut self, name: &str) -> Option<()> {
        if self.mailboxes.contains_key(name) {
            return None;
        }
        self.create_above(name);
        self.mailboxes.insert(name.to_owned(), Shown::new());
        Some(())
    }

    fn create_above(&mut self, name: &str) {
        for name in above(name) {
            self.mailboxes.entry(name).or_insert_with(Shown::new);
        }
    }

    /// Claims the `\Recent` messages for a session.
    pub fn claim(&mut self, mailbox: &str) {
        let shown = self.mailboxes.get_mut(mailbox).unwrap();
        shown.recent_from.1 = shown.uid_next;
    }

    /// How `found` differs from what it must be. Larger UIDNEXT and HIGHESTMODSEQ are allowed: they disturb no
    /// client.
    pub fn differs(&self, found: &Model) -> Option<String> {
        let plain = |model: &Model| {
            let names: Vec<_> = model.mailboxes.keys().cloned().collect();
            (names, model.subscribed.clone(), model.collected.clone(), model.annotations.clone())
        };
        let (wanted, there) = (plain(self), plain(found));
        if wanted != there {
            return Some(format!("{there:?} instead of {wanted:?}"));
        }
        let open = |wanted: Option<u64>, there: Option<u64>, told: u64| match wanted {
            None => there > Some(told),
            wanted => wanted == there,
        };
        for ((name, wanted), there) in self.mailboxes.iter().zip(found.mailboxes.values()) {
            let validity = |shown: &Shown| shown.uid_validity.map(u64::from);
            let (claimed_least, claimed_most) = wanted.recent_from;
            let uids = wanted.letters.keys().eq(there.letters.keys());
            let letters = wanted.letters.iter().zip(there.letters.values()).find(|((_, wanted), there)| {
                let alike = Letter { modseq: there.modseq, ..(*wanted).clone() } == **there;
                !alike || !open(wanted.modseq, there.modseq, self.told.modseq)
            });
            if !uids
                || letters.is_some()
                || !open(validity(wanted), validity(there), self.told.uid_validity.into())
                || there.uid_next < wanted.uid_next
                || there.highest_modseq < wanted.highest_modseq
                || !(claimed_least..=claimed_most).contains(&there.recent_from.0)
            {
                return Some(format!("{name} is {there:?} instead of {wanted:?}"));
            }
        }
        None
    }

    /// The model that continues from `found`, which shows all numbers.
    pub fn followed_by(&self, mut found: Model) -> Model {
        found.told = self.told;
        for shown in found.mailboxes.values() {
            let Told { modseq, uid_validity } = &mut found.told;
            *modseq = (*modseq).max(shown.highest_modseq);
            *uid_validity = (*uid_validity).max(shown.uid_validity.unwrap_or(0));
        }
        found
    }
}
