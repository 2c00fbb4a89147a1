//! What the client must be told of its mailbox: found by a sync, and not yet written. Only sequence numbers are kept,
//! so that the changes of a large mailbox take no more memory than its sequence numbers. The responses are written in
//! pieces.

use super::sequence_numbers::{SequenceNumbers, hash};
use super::session::{Session, State};
use super::vanished::{self, Earlier};
use crate::imap::wire::extension::{Enabled, Extension};
use crate::imap::wire::words;
use crate::store::{Mailbox, Message, Uid};

/// Octets after which a piece ends.
const PIECE: usize = 8 * 1024;

/// What a [`SequenceNumbers::sync`] has found.
#[derive(Debug, Default)]
pub struct Updates {
    /// Whether the mailbox has other keywords than the client was told.
    pub keywords: bool,
    /// The messages that were gone before the mailbox was selected (RFC 7162).
    pub earlier: Earlier,
    /// Sequence numbers of removed messages, ascending, as they were before any of them was removed.
    pub expunged: Vec<u32>,
    /// The UIDs of removed messages, when the client is told VANISHED instead of EXPUNGE (RFC 7162).
    pub vanished: Vec<Uid>,
    /// The numbers of EXISTS and RECENT, when they have changed.
    pub exists: Option<(u32, u32)>,
    /// Sequence numbers, ascending and after the removals, of messages whose flags must be told.
    pub flags: Vec<u32>,
    /// Sequence numbers, ascending and after the removals, of messages of which only the MODSEQ must be told (RFC
    /// 7162 section 3.1.4.2).
    pub modseqs: Vec<u32>,
    /// How many of `flags` and `modseqs` were told already.
    told: usize,
    /// A hash of the keywords that the client knows once `keywords` was told.
    pub(super) named: u64,
}

/// The form in which updates are told.
#[derive(Debug, Clone, Copy, Default)]
pub struct ResponseForm {
    /// Whether UIDs are included, because the command was a UID command (RFC 3501 section 6.4.8).
    pub uid: bool,
    /// Whether the mailbox is selected read-only.
    pub read_only: bool,
    /// Whether messages can be given keywords that the mailbox does not know.
    pub new_keywords: bool,
}

impl Updates {
    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        !self.keywords
            && self.earlier.is_empty()
            && self.expunged.is_empty()
            && self.vanished.is_empty()
            && self.exists.is_none()
            && self.flags.len() + self.modseqs.len() == self.told
    }

    /// Appends the next untagged responses, until nothing is left or there is enough for one write. Flags are written
    /// as they are now, and not at all for a message that was removed meanwhile, which the next sync finds. Returns
    /// the largest MODSEQ that was written, 0 when none was.
    pub fn write_piece(
        &mut self,
        numbers: &SequenceNumbers,
        mailbox: Option<&Mailbox>,
        form: ResponseForm,
        out: &mut String,
    ) -> u64 {
        let end = out.len() + PIECE;
        if !self.earlier.is_empty() {
            self.earlier.write_piece(numbers, out);
            return 0;
        }
        if !self.vanished.is_empty() {
            vanished::write_piece(&mut self.vanished, out);
            if self.vanished.is_empty() {
                self.expunged.clear();
            }
            return 0;
        }
        // From the last to the first, so that no removal changes the number of another message.
        while out.len() < end
            && let Some(seq) = self.expunged.pop()
        {
            out.push_str(&format!("* {seq} EXPUNGE\r\n"));
        }
        let Some(mailbox) = mailbox else {
            self.told = self.flags.len() + self.modseqs.len();
            self.keywords = false;
            return 0;
        };
        let (now, due) = (hash(&mailbox.keywords), std::mem::take(&mut self.keywords));
        if due {
            keywords(mailbox, form, out);
        } else if now != self.named {
            // The keywords have changed since the earlier pieces were written. The next sync finds everything else
            // that follows from it.
            flags_response(mailbox, out);
        }
        self.named = now;
        if let Some((exists, recent)) = self.exists.take_if(|_| self.expunged.is_empty()) {
            write_size(exists, recent, numbers.enabled, out);
        }
        let mut modseq = 0;
        while self.expunged.is_empty()
            && out.len() < end
            && let Some(next) = self.next_message()
        {
            self.told += 1;
            modseq = modseq.max(fetch(next, numbers, mailbox, form.uid, out));
        }
        if self.is_empty() {
            *self = Updates::default();
        }
        modseq
    }

    /// The message that is told next, and whether its flags are told.
    fn next_message(&self) -> Option<(u32, bool)> {
        let flags = self.flags.get(self.told).map(|seq| (*seq, true));
        let modseq = || self.modseqs.get(self.told.checked_sub(self.flags.len())?).map(|seq| (*seq, false));
        flags.or_else(modseq)
    }
}

impl Session {
    /// The FLAGS response that must come before the flags of `message` are shown (RFC 3501 section 7.2.6), when the
    /// message may have keywords that the client was not told yet.
    pub fn name_keywords(&mut self, message: &Message) -> String {
        let mut out = String::new();
        let State::Selected(selected) = &mut self.state else { return out };
        let (account, numbers) = (&selected.account, &mut selected.numbers);
        if numbers.knows(message) {
            return out;
        }
        let id = numbers.mailbox();
        let (read_only, new_keywords) = (selected.read_only.is_some(), account.takes_keywords(id));
        account.view(id, |mailbox| {
            if numbers.hear_of_keywords(mailbox) {
                keywords(mailbox, ResponseForm { uid: false, read_only, new_keywords }, &mut out);
            }
        });
        out
    }
}

/// Writes FLAGS and PERMANENTFLAGS (RFC 3501 sections 7.2.6 and 7.1).
pub fn keywords(mailbox: &Mailbox, form: ResponseForm, out: &mut String) {
    flags_response(mailbox, out);
    out.push_str("* OK [PERMANENTFLAGS ");
    if form.read_only {
        out.push_str("()] Read-only\r\n");
    } else {
        words::all_flags(mailbox, form.new_keywords, out);
        out.push_str("] Flags are kept\r\n");
    }
}

/// Writes FLAGS (RFC 3501 section 7.2.6).
fn flags_response(mailbox: &Mailbox, out: &mut String) {
    out.push_str("* FLAGS ");
    words::all_flags(mailbox, false, out);
    out.push_str("\r\n");
}

/// Writes EXISTS, and RECENT unless IMAP4rev2 is enabled (RFC 3501 section 7.3, RFC 9051 section 7.4).
pub fn write_size(exists: u32, recent: u32, enabled: Enabled, out: &mut String) {
    out.push_str(&format!("* {exists} EXISTS\r\n"));
    if !enabled.rev2() {
        out.push_str(&format!("* {recent} RECENT\r\n"));
    }
}

/// Writes a FETCH response (RFC 3501 section 7.4.2). A client that supports mod-sequences gets the UID and the
/// MODSEQ, which is returned (RFC 7162 section 3.2.4); a client that has enabled IMAP4rev2 gets the UID (RFC 9051
/// section 7.5.2).
fn fetch(
    (seq, with_flags): (u32, bool),
    numbers: &SequenceNumbers,
    mailbox: &Mailbox,
    with_uid: bool,
    out: &mut String,
) -> u64 {
    let Some(message) = numbers.uid(seq).and_then(|uid| mailbox.message(uid)) else { return 0 };
    let with_modseq = numbers.enabled.has(Extension::Condstore);
    let mut items = Vec::new();
    if with_uid || with_modseq || numbers.enabled.rev2() {
        items.push(format!("UID {}", { message.uid }));
    }
    if with_flags {
        let mut flags = String::from("FLAGS ");
        words::flags(message.flags, &mailbox.keywords, numbers.tells_recent(message.uid), &mut flags);
        items.push(flags);
    }
    if with_modseq {
        items.push(format!("MODSEQ ({})", { message.modseq }));
    }
    out.push_str(&format!("* {seq} FETCH ({})\r\n", items.join(" ")));
    if with_modseq { message.modseq } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::state::own::OwnChange;
    use crate::imap::state::sequence_numbers::Wanted;
    use crate::imap::state::sequence_numbers::tests::mailbox;
    use crate::store::{Flags, LastLine};
    use proptest::prelude::*;

    /// All updates, written in pieces, and the number of pieces.
    fn told(
        mut updates: Updates,
        numbers: &SequenceNumbers,
        mailbox: Option<&Mailbox>,
        form: ResponseForm,
    ) -> (String, u32) {
        let (mut out, mut pieces) = (String::new(), 0);
        while !updates.is_empty() {
            let before = out.len();
            updates.write_piece(numbers, mailbox, form, &mut out);
            assert!(out.len() - before < PIECE + 200);
            pieces += 1;
        }
        (out, pieces)
    }

    #[test]
    fn updates_in_words() {
        let mut numbers = SequenceNumbers::new(
            &mailbox(&[(1, Flags::NONE, 1), (2, Flags::NONE, 1), (3, Flags::NONE, 1)]),
            1,
        );
        let keyword = Flags::keyword(0);
        let mut now = mailbox(&[(2, Flags::SEEN.with(keyword), 2), (5, Flags::NONE, 3)]);
        now.keywords.push("$Junk".into());
        let updates = numbers.sync(Some(&now), 9, Wanted::all(true), &OwnChange::Nothing);
        let form = ResponseForm { uid: true, read_only: false, new_keywords: true };
        let (words, _) = told(updates, &numbers, Some(&now), form);
        assert_eq!(
            words.lines().collect::<Vec<_>>(),
            [
                "* 3 EXPUNGE",
                "* 1 EXPUNGE",
                r"* FLAGS (\Answered \Flagged \Deleted \Seen \Draft $Junk)",
                r"* OK [PERMANENTFLAGS (\Answered \Flagged \Deleted \Seen \Draft $Junk \*)] Flags are kept",
                "* 2 EXISTS",
                "* 1 RECENT",
                r"* 1 FETCH (UID 2 FLAGS (\Recent \Seen $Junk))",
            ]
        );
    }

    #[test]
    fn news_of_a_large_mailbox_come_in_pieces() {
        let messages = |modseq| (1..=5000).map(|uid| (uid, Flags::NONE, modseq)).collect::<Vec<_>>();
        let mut numbers = SequenceNumbers::new(&mailbox(&messages(1)), 1);
        let now = mailbox(&messages(2)[1000..]);
        let updates = numbers.sync(Some(&now), 9, Wanted::all(true), &OwnChange::Nothing);
        let (words, pieces) = told(updates, &numbers, Some(&now), ResponseForm::default());
        assert!(words.starts_with("* 1000 EXPUNGE\r\n* 999 EXPUNGE"));
        assert!(words.ends_with("* 4000 FETCH (FLAGS (\\Recent))\r\n"));
        assert_eq!(words.lines().count(), 5000);
        assert!(pieces > 10);
    }

    /// Catches: a keyword that another session creates between two pieces, and that is in a FETCH before its name was
    /// told.
    #[test]
    fn a_keyword_that_comes_between_pieces_is_named_first() {
        let messages = |modseq| (1..=1000).map(|uid| (uid, Flags::NONE, modseq)).collect::<Vec<_>>();
        let mut numbers = SequenceNumbers::new(&mailbox(&messages(1)), 1);
        let mut now = mailbox(&messages(2));
        let mut updates = numbers.sync(Some(&now), 9, Wanted::all(true), &OwnChange::Nothing);
        let mut out = String::new();
        updates.write_piece(&numbers, Some(&now), ResponseForm::default(), &mut out);
        assert!(!updates.is_empty() && !out.contains("* FLAGS"));
        now.keywords.push("$Junk".into());
        now.messages[999].flags = Flags::keyword(0);
        let (words, _) = told(updates, &numbers, Some(&now), ResponseForm::default());
        assert!(words.starts_with("* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Junk)\r\n* "));
        assert!(words.ends_with("* 1000 FETCH (FLAGS (\\Recent $Junk))\r\n"), "{words}");
        assert_eq!(words.matches("* FLAGS").count(), 1);
    }

    /// What a client learns from the responses: UID and flags of each message, by sequence number.
    #[derive(Default)]
    struct Client(Vec<(Uid, String)>);

    impl Client {
        fn hear(&mut self, words: &str, numbers: &SequenceNumbers, mailbox: &Mailbox) {
            for line in words.lines() {
                let mut parts = line.splitn(4, ' ').skip(1);
                let Some(number) = parts.next().and_then(|word| word.parse::<usize>().ok()) else { continue };
                match (parts.next(), parts.next()) {
                    (Some("EXPUNGE"), _) => drop(self.0.remove(number - 1)),
                    (Some("EXISTS"), _) => {
                        assert!(number >= self.0.len());
                        let new = numbers.uids().iter().skip(self.0.len());
                        self.0.extend(new.map(|&uid| (uid, flags_of(uid, numbers, mailbox))));
                        assert_eq!(self.0.len(), number);
                    }
                    (Some("FETCH"), Some(items)) => self.0[number - 1].1 = items.to_owned(),
                    _ => {}
                }
            }
        }
    }

    /// The flags as a FETCH of the message shows them.
    fn flags_of(uid: Uid, numbers: &SequenceNumbers, mailbox: &Mailbox) -> String {
        let message = mailbox.message(uid);
        let mut out = format!("(UID {uid} FLAGS ");
        let flags = message.map_or(Flags::NONE, |message| message.flags);
        words::flags(flags, &mailbox.keywords, numbers.is_recent(uid), &mut out);
        out + ")"
    }

    #[derive(Debug, Clone)]
    enum Event {
        Deliver,
        Expunge(usize),
        Flags(usize, u64),
        ListResponse { expunge: bool },
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let event = prop_oneof![
            3 => Just(Event::Deliver),
            2 => any::<usize>().prop_map(Event::Expunge),
            2 => (any::<usize>(), 0..32_u64).prop_map(|(place, flags)| Event::Flags(place, flags)),
            2 => any::<bool>().prop_map(|expunge| Event::ListResponse { expunge }),
        ];
        proptest::collection::vec(event, 0..60)
    }

    proptest! {
        /// Catches: a client that does not know the true state in the end, whatever has happened and whenever it was
        /// told.
        #[test]
        fn the_client_is_never_out_of_step(mut events in events()) {
            let mut now = mailbox(&[]);
            let mut numbers = SequenceNumbers::new(&now, 1);
            let mut client = Client::default();
            events.push(Event::ListResponse { expunge: true });
            for event in events {
                let modseq = now.highest_modseq + 1;
                match event {
                    Event::Deliver => {
                        let (uid, flags) = (now.uid_next, Flags::NONE);
                        let message =
                            Message { uid, size: 0, date: 0.into(), flags, modseq, body: 0, segment: 0, offset: 0, save_date: 0, last_line: LastLine::Ended };
                        now.messages.push(message);
                        now.uid_next += 1;
                    }
                    Event::ListResponse { expunge } => {
                        let updates = numbers.sync(Some(&now), now.recent_from, Wanted::all(expunge), &OwnChange::Nothing);
                        now.recent_from = now.uid_next;
                        let form = ResponseForm { uid: true, read_only: false, new_keywords: true };
                        client.hear(&told(updates, &numbers, Some(&now), form).0, &numbers, &now);
                        continue;
                    }
                    Event::Expunge(_) | Event::Flags(..) if now.messages.is_empty() => continue,
                    Event::Expunge(place) => drop(now.messages.remove(place % now.messages.len())),
                    Event::Flags(place, flags) => {
                        let place = place % now.messages.len();
                        (now.messages[place].flags, now.messages[place].modseq) = (Flags(flags), modseq);
                    }
                }
                now.highest_modseq = modseq;
            }
            let truth: Vec<(Uid, String)> =
                now.messages.iter().map(|m| (m.uid, flags_of(m.uid, &numbers, &now))).collect();
            prop_assert_eq!(client.0, truth);
        }
    }
}
