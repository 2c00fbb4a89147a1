//! Keywords: flags that clients name (RFC 3501 section 2.3.2). A mailbox has [`Flags::KEYWORDS`] places for names,
//! and each place is a bit in the flags of its messages.
//!
//! A keyword is never a reason to refuse a message. When there is no place for a keyword, it is left out and the rest
//! of the change is made, as RFC 3501 section 7.1 says for flags that are not permanent.

use super::plan::Planner;
use super::{Index, Overlay, Usage};
use crate::store::format::record::{KeywordNamedRecord, Record};
use crate::store::format::{Flags, MailboxId, Message};

/// Octets of a keyword at most.
pub const KEYWORD_MAX: usize = 128;

/// The names of a mailbox's places once everything staged is applied. An empty name is a free place.
fn names<'a>(index: &'a Index, overlay: &'a Overlay, mailbox: MailboxId) -> &'a [String] {
    let known = || index.mailboxes.get(&mailbox).map_or(&[][..], |mailbox| &mailbox.keywords);
    overlay.keywords.get(&mailbox).map_or_else(known, Vec::as_slice)
}

/// The first place without a name.
fn free_place(names: &[String]) -> Option<usize> {
    (0..Flags::KEYWORDS).find(|&place| names.get(place).is_none_or(String::is_empty))
}

/// The keywords that messages of the mailbox have, applied or staged.
fn used(index: &Index, overlay: &Overlay, mailbox: MailboxId) -> Flags {
    let staged = overlay.used_keywords.get(&mailbox).copied().unwrap_or(Flags::NONE);
    let messages = index.mailboxes.get(&mailbox).map_or(&[][..], |mailbox| &mailbox.messages);
    messages.iter().fold(staged, |used, message| used.with(message.flags))
}

/// Whether the mailbox can get one more keyword: `\*` of PERMANENTFLAGS (RFC 3501 section 7.1).
pub fn takes_keywords(index: &Index, overlay: &Overlay, mailbox: MailboxId, quota: Option<u64>) -> bool {
    let before = overlay.expected(index);
    before.may_become(&before.plus(Usage::of_keywords(1)), quota).is_ok()
        && (free_place(names(index, overlay, mailbox)).is_some()
            || used(index, overlay, mailbox).keywords().count() < Flags::KEYWORDS)
}

impl Planner<'_> {
    /// The flags for `system` and `keywords` in a mailbox. With `naming`, keywords that the mailbox does not know get
    /// a place, as far as there are places. All other unknown keywords are left out.
    pub(super) fn flags(
        &mut self,
        mailbox: MailboxId,
        system: Flags,
        keywords: &[String],
        naming: bool,
    ) -> Flags {
        let mut flags = system.system();
        for keyword in keywords {
            let known = names(self.index, &self.draft.overlay, mailbox);
            let place = known.iter().position(|name| name.eq_ignore_ascii_case(keyword));
            let place = match place.filter(|_| !keyword.is_empty()) {
                None if naming => self.name_keyword(mailbox, keyword),
                place => place,
            };
            let bit = place.map_or(Flags::NONE, Flags::keyword);
            flags = flags.with(bit);
            // A place that this commit uses for messages must not be freed before it is applied, not even for its
            // next keyword.
            if naming {
                self.use_keywords(mailbox, bit);
            }
        }
        flags
    }

    /// The flags of a message of the mailbox `from`, translated to the places of the mailbox `to`.
    pub(super) fn translated(&mut self, from: MailboxId, message: &Message, to: MailboxId) -> Flags {
        let flags = message.flags;
        if flags == flags.system() {
            return flags;
        }
        let known = names(self.index, &self.draft.overlay, from);
        let keywords: Vec<String> = flags.keywords().filter_map(|place| known.get(place).cloned()).collect();
        self.flags(to, flags, &keywords, true)
    }

    fn use_keywords(&mut self, mailbox: MailboxId, keywords: Flags) {
        let used = self.draft.overlay.used_keywords.entry(mailbox).or_default();
        *used = used.with(keywords);
    }

    /// Gives a keyword that the mailbox does not know a place. `None` when there is no place, or no room in the
    /// account.
    fn name_keyword(&mut self, mailbox: MailboxId, keyword: &str) -> Option<usize> {
        if keyword.is_empty() || keyword.len() > KEYWORD_MAX {
            return None;
        }
        let place = match free_place(names(self.index, &self.draft.overlay, mailbox)) {
            Some(place) => place,
            None => {
                self.give_back(mailbox);
                free_place(names(self.index, &self.draft.overlay, mailbox))?
            }
        };
        let before =
            self.draft.overlay.expected(self.index).plus(self.draft.growth.more).less(self.draft.growth.less);
        before.may_become(&before.plus(Usage::of_keywords(1)), self.draft.quota).ok()?;
        self.set_name(mailbox, place, keyword);
        self.draft.growth.more.add(Usage::of_keywords(1));
        Some(place)
    }

    /// Frees the places whose keywords no message has.
    fn give_back(&mut self, mailbox: MailboxId) {
        let used = used(self.index, &self.draft.overlay, mailbox);
        let named = names(self.index, &self.draft.overlay, mailbox).len();
        let unused: Vec<usize> = (0..named).filter(|&place| !used.contains(Flags::keyword(place))).collect();
        for place in unused {
            self.set_name(mailbox, place, "");
            self.draft.growth.less.add(Usage::of_keywords(1));
        }
    }

    fn set_name(&mut self, mailbox: MailboxId, place: usize, name: &str) {
        let known = names(self.index, &self.draft.overlay, mailbox).to_vec();
        let names = self.draft.overlay.keywords.entry(mailbox).or_insert(known);
        set_name(names, place, name);
        // The number of places of a mailbox fits into an octet.
        let place = place as u8;
        self.record(Record::KeywordNamed(KeywordNamedRecord { mailbox, place, name: name.to_owned() }));
    }
}

/// Gives a place a name, or frees it with an empty name.
pub fn set_name(names: &mut Vec<String>, place: usize, name: &str) {
    if names.len() <= place {
        names.resize(place + 1, String::new());
    }
    if let Some(known) = names.get_mut(place) {
        name.clone_into(known);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::flash::sim::Choices;
    use crate::store::format::{FlagChange, INBOX, Place, Uid};
    use crate::store::model::tests::*;
    use crate::store::model::{Change, KEYWORDS_MAX, SHARE};

    fn store(mailbox: MailboxId, uids: &[Uid], change: FlagChange, keywords: &[&str]) -> Change {
        let keywords = keywords.iter().map(|&keyword| keyword.to_owned()).collect();
        Change::Flags {
            mailbox,
            uids: uids.into(),
            change,
            flags: Flags::NONE,
            keywords,
            unchanged_since: None,
        }
    }

    fn names() -> Vec<String> {
        (0..Flags::KEYWORDS).map(|n| format!("k{n}")).collect()
    }

    /// The keywords of a message by name.
    fn of(world: &World, mailbox: MailboxId, uid: Uid) -> BTreeSet<String> {
        let mailbox = &world.index.mailboxes[&mailbox];
        let flags = mailbox.message(uid).unwrap().flags;
        let names = flags.keywords().map(|place| mailbox.keywords[place].clone());
        names.inspect(|name| assert!(!name.is_empty(), "UID {uid} has a keyword without a name")).collect()
    }

    fn set(keywords: &[&str]) -> BTreeSet<String> {
        keywords.iter().map(|&keyword| keyword.to_owned()).collect()
    }

    /// A world whose first message has all keywords that the INBOX can have, and whose second message has none.
    fn full() -> World {
        let mut world = World::new();
        let names = names();
        let all: Vec<&str> = names.iter().map(String::as_str).collect();
        world.commit(&[deliver(INBOX, &all), deliver(INBOX, &[])]).unwrap();
        assert_eq!(world.index.mailboxes[&INBOX].keywords, names);
        world
    }

    #[test]
    fn a_keyword_without_a_place_stands_in_the_way_of_nothing() {
        // Catches: the 57th keyword as an error, as a 57th place, or in the place of another keyword.
        let mut world = full();
        let trash = world.id("Trash");
        world.commit(&[deliver(trash, &["other", "K7"])]).unwrap();
        world.commit(&[store(INBOX, &[2], FlagChange::Add, &["more", "K3"])]).unwrap();
        world.commit(&[deliver(INBOX, &["more", "k4"])]).unwrap();
        world.commit(&copy(trash, &[1], INBOX)).unwrap();
        assert_eq!(of(&world, INBOX, 2), set(&["k3"]));
        assert_eq!(of(&world, INBOX, 3), set(&["k4"]));
        assert_eq!(of(&world, INBOX, 4), set(&["k7"]));
        world.commit(&[store(INBOX, &[2], FlagChange::Replace, &["more"])]).unwrap();
        assert_eq!(of(&world, INBOX, 2), set(&[]));
        assert!(!takes_keywords(&world.index, &world.overlay, INBOX, None));
        assert!(takes_keywords(&world.index, &world.overlay, trash, None));
        assert_eq!(world.index.mailboxes[&INBOX].keywords, names());
    }

    #[test]
    fn a_keyword_that_no_message_has_gives_its_place_back() {
        // Catches: places that are never freed, and a place that is freed while a staged commit uses it for a
        // message.
        let mut world = full();
        world.commit(&[store(INBOX, &[1], FlagChange::Remove, &["k5", "k9"])]).unwrap();
        assert!(takes_keywords(&world.index, &world.overlay, INBOX, None));
        world.stage(&[store(INBOX, &[2], FlagChange::Add, &["k5"])]).unwrap();
        world.stage(&[store(INBOX, &[2], FlagChange::Add, &["new"])]).unwrap();
        world.stage(&[store(INBOX, &[2], FlagChange::Add, &["none"])]).unwrap();
        world.all_applied();
        assert_eq!(of(&world, INBOX, 2), set(&["k5", "new"]));
        assert_eq!(world.index.mailboxes[&INBOX].keywords[9], "new");
        world.commit(&[Change::Expunge { mailbox: INBOX, uids: (&[1]).into() }]).unwrap();
        world.commit(&[deliver(INBOX, &["a", "b"])]).unwrap();
        assert_eq!(of(&world, INBOX, 2), set(&["k5", "new"]));
        assert_eq!(of(&world, INBOX, 3), set(&["a", "b"]));
        assert_eq!(world.index.usage.keywords, 4, "all others are given back");
    }

    #[test]
    fn only_what_a_message_gets_is_named() {
        // Catches: -FLAGS of an unknown keyword that names it, a STORE on no message, names that are too long or
        // empty.
        let mut world = World::new();
        world.commit(&[deliver(INBOX, &[])]).unwrap();
        let long = "x".repeat(KEYWORD_MAX + 1);
        world.commit(&[store(INBOX, &[1], FlagChange::Remove, &["a"])]).unwrap();
        world.commit(&[store(INBOX, &[], FlagChange::Add, &["a"])]).unwrap();
        world.commit(&[store(INBOX, &[7], FlagChange::Replace, &["a"])]).unwrap();
        world.commit(&[deliver(INBOX, &[])]).unwrap();
        world.stage(&[Change::Expunge { mailbox: INBOX, uids: (&[2]).into() }]).unwrap();
        world.stage(&[store(INBOX, &[2], FlagChange::Add, &["a"])]).unwrap();
        world.all_applied();
        world.commit(&[store(INBOX, &[1], FlagChange::Add, &[&long, ""])]).unwrap();
        world.commit(&[deliver(INBOX, &[&long])]).unwrap();
        assert!(world.index.mailboxes[&INBOX].keywords.is_empty());
        world.commit(&[store(INBOX, &[1], FlagChange::Add, &[&long[1..]])]).unwrap();
        assert_eq!(of(&world, INBOX, 1), set(&[&long[1..]]));
    }

    #[test]
    fn keywords_are_named_while_other_commits_are_staged() {
        // Catches: places that are counted twice, once in the index and once as staged.
        let mut world = World::new();
        world.stage(&[deliver(INBOX, &["a"])]).unwrap();
        world.stage(&[deliver(INBOX, &["A", "b"])]).unwrap();
        world.apply();
        world.stage(&[deliver(INBOX, &["b", "c"])]).unwrap();
        world.apply();
        world.stage(&[deliver(INBOX, &["d"])]).unwrap();
        world.all_applied();
        assert_eq!(world.index.mailboxes[&INBOX].keywords, ["a", "b", "c", "d"]);
        let all: Vec<_> = (1..=4).map(|uid| of(&world, INBOX, uid)).collect();
        assert_eq!(all, [set(&["a"]), set(&["a", "b"]), set(&["b", "c"]), set(&["d"])]);
    }

    #[test]
    fn keywords_have_no_more_room_than_their_account() {
        // Catches: 56 names for each of 10,000 mailboxes outside of quota and limits, and a message that is refused
        // because of its keyword.
        let mut world = World::new();
        world.quota = Some(2 * SHARE + 1);
        world.commit(&[deliver(INBOX, &["a", "b"])]).unwrap();
        assert_eq!(of(&world, INBOX, 1), set(&["a"]), "the message itself is what has room first");
        assert!(!takes_keywords(&world.index, &world.overlay, INBOX, world.quota));
        let sent = world.id("Sent");
        world.commit(&r#move(INBOX, &[1], sent)).unwrap();
        assert_eq!(of(&world, sent, 1), set(&[]));

        let mut world = World::new();
        world.index.usage.keywords = KEYWORDS_MAX - 1;
        world.commit(&[deliver(INBOX, &["a", "b"]), deliver(INBOX, &[])]).unwrap();
        assert_eq!(of(&world, INBOX, 1), set(&["a"]));
    }

    #[test]
    fn a_renamed_inbox_takes_along_what_its_messages_have() {
        let mut world = full();
        world.commit(&[Change::Expunge { mailbox: INBOX, uids: (&[1]).into() }]).unwrap();
        world.commit(&[store(INBOX, &[2], FlagChange::Add, &["k50", "k2"])]).unwrap();
        world.commit(&[rename("INBOX", "Old")]).unwrap();
        let old = world.id("Old");
        assert_eq!(of(&world, old, 1), set(&["k2", "k50"]));
        assert_eq!(world.index.mailboxes[&old].keywords.len(), 2);
    }

    /// Catches: a message that gets a keyword that was not given to it, or loses one that was not taken from it, and
    /// a checkpoint over which the log cannot be replayed.
    #[test]
    fn keywords_are_what_was_asked_for_however_places_change_hands() {
        for seed in 1..=30 {
            let mut choices = Choices::new(seed);
            let mut world = World::new();
            let trash = world.id("Trash");
            let mut ends = Vec::new();
            for _ in 0..200 {
                let (mailbox, other) = if choices.chance(80) { (INBOX, trash) } else { (trash, INBOX) };
                let before = world.uids(mailbox);
                let some: Vec<Uid> = before.iter().copied().filter(|_| choices.chance(20)).collect();
                let words: Vec<String> =
                    (0..choices.below(9)).map(|_| format!("k{}", choices.below(75))).collect();
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                let had: Vec<_> = before.iter().map(|&uid| (uid, of(&world, mailbox, uid))).collect();
                let (mut given, mut taken) = (set(&[]), set(&[]));
                let changes = match choices.below(8) {
                    0..=2 => vec![deliver(mailbox, &words)],
                    3 => {
                        given = set(&words);
                        vec![store(mailbox, &some, FlagChange::Add, &words)]
                    }
                    4 => {
                        taken = set(&words);
                        vec![store(mailbox, &some, FlagChange::Remove, &words)]
                    }
                    5 => r#move(mailbox, &some, other),
                    6 => copy(mailbox, &some, other),
                    _ => vec![Change::Expunge { mailbox, uids: (&some).into() }],
                };
                world.commit(&changes).unwrap();
                ends.push(world.log.len());
                for (uid, had) in had {
                    if world.index.mailboxes[&mailbox].message(uid).is_none() {
                        continue;
                    }
                    let has = of(&world, mailbox, uid);
                    let changed = some.contains(&uid);
                    let kept: BTreeSet<_> =
                        had.iter().filter(|name| !changed || !taken.contains(*name)).cloned().collect();
                    let most: BTreeSet<_> =
                        if changed { kept.union(&given).cloned().collect() } else { kept.clone() };
                    assert!(
                        kept.is_subset(&has) && has.is_subset(&most),
                        "seed {seed}: {had:?}, {changes:?}: {has:?}"
                    );
                }
            }
            let freed = |record: &Record| matches!(record, Record::KeywordNamed(it) if it.name.is_empty());
            assert!(world.log.iter().any(freed), "seed {seed}: no place was given back");
            assert_eq!(world.index.usage, recount(&world.index));
            let replay = |index: &mut Index, from: usize, to: usize| {
                world.log[from..to].iter().for_each(|record| index.apply(record, Place::default()));
            };
            for _ in 0..30 {
                let (a, b) = (ends[choices.below(ends.len())], ends[choices.below(ends.len())]);
                let mut index = Index::default();
                replay(&mut index, 0, a.max(b));
                replay(&mut index, a.min(b), world.log.len());
                assert_eq!(
                    index.mailboxes,
                    world.index.mailboxes,
                    "seed {seed}: from {} over {}",
                    a.min(b),
                    a.max(b)
                );
                assert_eq!(index.usage, world.index.usage);
            }
        }
    }
}
