//! What the queue keeps beside each message: its envelope, and how far it got with each recipient.

use serde::{Deserialize, Serialize};

use crate::config::{Config, Smarthost};
use crate::smtp::{Envelope, Mailbox, Reply, ReversePath};

/// Seconds until the sender is told again that a message failed, where that failed.
const REPORT_AGAIN: i64 = 600;

/// Octets that are kept of what a server said of a recipient: it may say 64 KiB, for each of a hundred.
const DIAGNOSTIC_MAX: usize = 1000;

/// The note as it stands on flash, in postcard. A new shape gets a new variant at the end.
#[derive(Serialize, Deserialize)]
enum Note {
    V1(Entry),
}

/// A queued message, but for its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where bounces go.
    pub sender: ReversePath,
    /// The account that submitted it; `None` for a device.
    pub account: Option<String>,
    /// The content has octets above 127.
    pub eight_bit: bool,
    /// When it was accepted, in seconds since 1970 UTC.
    pub created: i64,
    /// At least one.
    pub recipients: Vec<Recipient>,
}

/// A recipient of a queued message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// The forward-path.
    pub mailbox: Mailbox,
    /// How far it got.
    pub progress: Progress,
}

/// How far a message got with a recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Progress {
    /// Not there yet.
    Pending {
        /// So far.
        attempts: u32,
        /// Seconds since 1970 UTC.
        next_try: i64,
        /// What went wrong at the latest attempt; empty before the first.
        trouble: String,
    },
    /// Delivered, or taken by the smarthost.
    Done,
    /// Never going to be delivered, which its sender does not know yet.
    Failed {
        /// An enhanced status code (RFC 3463).
        status: String,
        /// What happened.
        diagnostic: String,
        /// When to tell the sender, in seconds since 1970 UTC.
        next_try: i64,
    },
    /// The sender knows that it failed.
    Reported,
}

/// Who does the work for a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Delivery into an account, and reports to the sender.
    Here,
    /// Through the smarthost.
    Smarthost,
}

impl Entry {
    /// A message just accepted: everything is due.
    pub fn new(envelope: Envelope, now: i64) -> Entry {
        let pending = |mailbox| Recipient {
            mailbox,
            progress: Progress::Pending { attempts: 0, next_try: now, trouble: String::new() },
        };
        Entry {
            sender: envelope.sender,
            account: envelope.account,
            eight_bit: envelope.eight_bit,
            created: now,
            recipients: envelope.recipients.into_iter().map(pending).collect(),
        }
    }

    /// The note for the store.
    pub fn to_note(&self) -> Vec<u8> {
        // Plain data does not fail to be written to memory.
        postcard::to_stdvec(&Note::V1(self.clone())).unwrap_or_default()
    }

    /// The entry of a note; `None` where it makes no sense.
    pub fn of_note(note: &[u8]) -> Option<Entry> {
        postcard::from_bytes(note).ok().map(|Note::V1(entry)| entry)
    }

    /// Whether nothing is left to do.
    pub fn is_settled(&self) -> bool {
        self.recipients.iter().all(|r| matches!(r.progress, Progress::Done | Progress::Reported))
    }

    /// When work of this kind is to be done next, in seconds since 1970 UTC; `None`: never.
    pub fn when(&self, work: Work, config: &Config) -> Option<i64> {
        self.recipients.iter().filter_map(|r| r.when(work, config)).min()
    }

    /// The recipients that work of this kind is due for.
    pub fn due(&mut self, work: Work, config: &Config, now: i64) -> impl Iterator<Item = &mut Recipient> {
        self.recipients
            .iter_mut()
            .filter(move |r| r.when(work, config).is_some_and(|at| is_due(at, now, &config.smarthost)))
    }

    /// Makes everything that is open due at once.
    pub fn hasten(&mut self, now: i64) {
        for recipient in &mut self.recipients {
            if let Progress::Pending { next_try, .. } | Progress::Failed { next_try, .. } =
                &mut recipient.progress
            {
                *next_try = now;
            }
        }
    }

    /// The sender was told what failed, or that did not work (its mailbox may be full): then later, for
    /// as long as a delivery is tried.
    pub fn reported(&mut self, told: bool, smarthost: &Smarthost, now: i64) {
        let given_up = now.saturating_sub(self.created) > 2 * i64::from(smarthost.expire);
        for recipient in &mut self.recipients {
            if let Progress::Failed { next_try, .. } = &mut recipient.progress {
                *next_try = now + REPORT_AGAIN;
                if told || given_up {
                    recipient.progress = Progress::Reported;
                }
            }
        }
    }
}

impl Recipient {
    fn when(&self, work: Work, config: &Config) -> Option<i64> {
        let here = || config.is_local_domain(self.mailbox.domain());
        match (&self.progress, work) {
            (Progress::Pending { next_try, .. }, Work::Here) if here() => Some(*next_try),
            (Progress::Pending { next_try, .. }, Work::Smarthost) if !here() => Some(*next_try),
            (Progress::Failed { next_try, .. }, Work::Here) => Some(*next_try),
            _ => None,
        }
    }

    /// Whether the message is still to go to it through the smarthost.
    pub fn waits_outside(&self, config: &Config) -> bool {
        self.when(Work::Smarthost, config).is_some()
    }

    /// What a reply means for this recipient.
    pub fn take(&mut self, reply: &Reply, created: i64, smarthost: &Smarthost, now: i64) {
        if reply.is_positive() {
            self.progress = Progress::Done;
        } else if reply.is_permanent() {
            let status = reply.status.map_or_else(|| "5.0.0".to_owned(), |status| status.to_string());
            self.fail(status, reply.to_string(), now);
        } else {
            self.postpone(&reply.to_string(), created, smarthost, now);
        }
    }

    /// It will never be delivered.
    pub fn fail(&mut self, status: String, diagnostic: String, now: i64) {
        self.progress = Progress::Failed { status, diagnostic: shortened(&diagnostic), next_try: now };
    }

    /// An attempt failed: later, or never when that goes on for too long.
    ///
    /// The schedule has to be gone through once in any case: many boards have no clock of their own,
    /// and a message that was accepted in 1970 is not days old when the network tells the time.
    pub fn postpone(&mut self, trouble: &str, created: i64, smarthost: &Smarthost, now: i64) {
        let Progress::Pending { attempts, .. } = &self.progress else { return };
        let attempts = attempts.saturating_add(1);
        let tried = usize::try_from(attempts).unwrap_or(usize::MAX);
        let expiry = created.saturating_add(smarthost.expire.into());
        if now >= expiry && tried >= smarthost.retry.len() {
            self.fail("4.4.7".to_owned(), format!("given up after {attempts} attempts: {trouble}"), now);
            return;
        }
        let pause = smarthost.retry.get(tried - 1).or(smarthost.retry.last()).copied().unwrap_or(3600);
        let mut next_try = now.saturating_add(pause.into());
        if now < expiry && tried >= smarthost.retry.len() {
            next_try = next_try.min(expiry);
        }
        self.progress = Progress::Pending { attempts, next_try, trouble: shortened(trouble) };
    }
}

fn shortened(text: &str) -> String {
    text[..text.floor_char_boundary(DIAGNOSTIC_MAX)].to_owned()
}

/// Whether what is planned for `at` is due. A time further away than any pause lasts was written when
/// the clock was wrong.
pub fn is_due(at: i64, now: i64, smarthost: &Smarthost) -> bool {
    let longest = smarthost.retry.iter().max().copied().unwrap_or(0).max(3600);
    at <= now || at - now > i64::from(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(now: i64) -> Entry {
        let mailbox = |text| Mailbox::parse(text).unwrap();
        Entry::new(
            Envelope {
                sender: Some(mailbox("demo@home.example")),
                account: Some("demo".into()),
                recipients: vec![mailbox("office@home.example"), mailbox("friend@else.example")],
                eight_bit: false,
            },
            now,
        )
    }

    fn config() -> Config {
        let mut config = Config::default();
        config.server.domains.push("home.example".try_into().unwrap());
        config.smarthost.retry = vec![60, 300];
        config.smarthost.expire = 1000;
        config
    }

    #[test]
    fn a_note_reads_as_it_was_written() {
        let mut entry = entry(7);
        entry.recipients[0].progress = Progress::Done;
        entry.recipients[1].fail("5.1.1".into(), "550 5.1.1 Unknown".into(), 9);
        assert_eq!(Entry::of_note(&entry.to_note()), Some(entry));
        assert_eq!(Entry::of_note(b""), None);
        assert_eq!(Entry::of_note(b"\x07nonsense"), None);
    }

    /// Each variant of what a note holds, pinned as the store's goldens are: a queue out there holds such notes.
    /// Catches: variants exchanged, fields added, removed or moved.
    #[test]
    fn a_note_has_the_octets_that_it_always_had() {
        let at = |text, progress| Recipient { mailbox: Mailbox::parse(text).unwrap(), progress };
        let (status, diagnostic) = ("5.1.1".to_owned(), "no".to_owned());
        let entry = Entry {
            sender: Some(Mailbox::parse("demo@home.example").unwrap()),
            account: Some("demo".into()),
            eight_bit: false,
            created: 7,
            recipients: vec![
                at("a@b.c", Progress::Pending { attempts: 2, next_try: 8, trouble: "451".into() }),
                at("d@e.f", Progress::Done),
                at("g@h.i", Progress::Failed { status, diagnostic, next_try: 9 }),
                at("j@k.l", Progress::Reported),
            ],
        };
        let note = b"\x00\x01\x11demo@home.example\x01\x04demo\x00\x0e\x04\
            \x05a@b.c\x00\x02\x10\x03451\x05d@e.f\x01\x05g@h.i\x02\x055.1.1\x02no\x12\x05j@k.l\x03";
        assert_eq!(entry.to_note(), note);
        assert_eq!(Entry::of_note(note), Some(entry.clone()));
        let device = Entry { sender: None, account: None, eight_bit: true, recipients: Vec::new(), ..entry };
        assert_eq!(device.to_note(), b"\x00\x00\x00\x01\x0e\x00");
    }

    #[test]
    fn recipients_are_someones_work() {
        let (mut entry, config) = (entry(100), config());
        let due = |entry: &mut Entry, work, now| -> Vec<String> {
            entry.due(work, &config, now).map(|r| r.mailbox.to_string()).collect()
        };
        assert_eq!(due(&mut entry, Work::Here, 100), ["office@home.example"]);
        assert_eq!(due(&mut entry, Work::Smarthost, 100), ["friend@else.example"]);
        assert!(due(&mut entry, Work::Smarthost, 99).is_empty());
        let wrong_clock = 100 - 4000;
        assert_eq!(due(&mut entry, Work::Smarthost, wrong_clock), ["friend@else.example"]);

        entry.recipients[1].fail("5.1.1".into(), String::new(), 100);
        assert!(due(&mut entry, Work::Smarthost, 100).is_empty());
        assert_eq!(due(&mut entry, Work::Here, 100).len(), 2, "failures are reported here");
        for recipient in &mut entry.recipients {
            recipient.progress = Progress::Done;
        }
        assert!(entry.is_settled() && entry.when(Work::Here, &config).is_none());
    }

    #[test]
    fn pauses_follow_the_schedule_until_patience_ends() {
        let smarthost = config().smarthost;
        let mut recipient = entry(0).recipients.remove(1);
        let mut pauses = Vec::new();
        let mut now = 0;
        while let Progress::Pending { .. } = recipient.progress {
            recipient.postpone("451 4.3.0 Later", 0, &smarthost, now);
            if let Progress::Pending { next_try, .. } = recipient.progress {
                pauses.push(next_try - now);
                now = next_try;
            }
        }
        assert_eq!(pauses, [60, 300, 300, 300, 40], "the last pause ends when the message expires");
        let Progress::Failed { status, diagnostic, .. } = &recipient.progress else {
            panic!("{recipient:?}")
        };
        assert_eq!(status, "4.4.7");
        assert_eq!(diagnostic, "given up after 6 attempts: 451 4.3.0 Later");
    }

    #[test]
    fn a_clock_that_jumps_expires_nothing_at_once() {
        let smarthost = config().smarthost;
        let mut recipient = entry(0).recipients.remove(1);
        recipient.postpone("timeout", 0, &smarthost, 1_800_000_000);
        let Progress::Pending { next_try, .. } = recipient.progress else { panic!("{recipient:?}") };
        assert_eq!(next_try, 1_800_000_060);
    }

    #[test]
    fn replies_decide() {
        let smarthost = config().smarthost;
        for (reply, expected) in [
            (Reply::new(250, (0, 0), "OK"), "Done"),
            (Reply::new(550, (1, 1), "Unknown"), "Failed { status: \"5.1.1\""),
            (Reply::plain(550, "Unknown"), "Failed { status: \"5.0.0\""),
            (Reply::new(450, (2, 1), "Greylisted"), "Pending { attempts: 1"),
            (Reply::plain(354, "Go"), "Pending { attempts: 1"),
        ] {
            let mut recipient = entry(0).recipients.remove(1);
            recipient.take(&reply, 0, &smarthost, 0);
            let progress = format!("{:?}", recipient.progress);
            assert!(progress.starts_with(expected), "{reply}: {progress}");
        }
    }

    #[test]
    fn a_note_has_room_for_all_that_a_server_says() {
        // Catches: a hundred recipients, each refused in 64 KiB, as one record that cannot be read again.
        let domain = format!("{}.", "d".repeat(49)).repeat(4) + &"d".repeat(55);
        let longest = format!("{}@{domain}", "l".repeat(64));
        let mut entry = entry(0);
        entry.sender = Some(Mailbox::parse(&longest).unwrap());
        let mut recipient = entry.recipients[0].clone();
        recipient.mailbox = Mailbox::parse(&longest).unwrap();
        let lines = vec!["\u{fffd}".repeat(512).into(); 128];
        recipient.take(&Reply { lines, ..Reply::new(550, (7, 1), "") }, 0, &Config::default().smarthost, 0);
        entry.recipients = vec![recipient; crate::smtp::session::MAX_RECIPIENTS];
        let note = entry.to_note();
        assert!(note.len() < crate::store::NOTE_MAX * 2 / 3, "{}", note.len());
        assert_eq!(Entry::of_note(&note), Some(entry));
    }
}
