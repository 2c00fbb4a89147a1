//! The queue of a store that was restored from a copy: the newer state, which is lost, may have sent some of its
//! messages already.
//!
//! Only mail for the smarthost matters: what waits for accounts of this appliance is missing in these accounts as
//! well.

use std::rc::Rc;

use super::entry::{Entry, Progress};
use super::{QueueEntry, queue};
use crate::config::Config;
use crate::store::{Account, Error, INBOX, Uid};

/// The event in the history of a message that is held after a restore.
const HELD: &str = "restored from a backup: it may have been sent since that was made";

/// The messages in `queue` that wait for the smarthost, the oldest first. No relay may be working on it.
pub fn waiting_outside(queue: &Account, config: &Config) -> Vec<QueueEntry> {
    queue::entries(queue, config)
        .filter_map(|(uid, size, entry)| {
            // A message whose note cannot be parsed is never sent.
            let mut entry = entry.ok().flatten()?;
            entry.recipients.retain(|recipient| recipient.waits_outside(config));
            (!entry.recipients.is_empty()).then(|| QueueEntry::new(uid, size, Some(entry), config))
        })
        .collect()
}

/// Counts everything that waits for the smarthost as sent, in one commit. Deliveries into accounts of this appliance
/// are still made.
///
/// # Errors
/// The store's.
pub async fn count_as_sent(queue: &Rc<Account>, config: &Config) -> Result<(), Error> {
    let mut transaction = queue.begin();
    for (uid, _, entry) in queue::entries(queue, config) {
        let Some(mut entry) = entry? else { continue };
        let mut waits = false;
        for recipient in entry.recipients.iter_mut().filter(|recipient| recipient.waits_outside(config)) {
            (recipient.progress, waits) = (Progress::Done, true);
        }
        match waits {
            true if entry.is_settled() => transaction.expunge(INBOX, &[uid]),
            true => transaction.note(INBOX, uid, entry.to_note()),
            false => {}
        }
    }
    transaction.commit().await.map(drop)
}

/// Messages that are held in one commit, at most.
const AT_ONCE: usize = 64;

/// Holds the messages that wait for the smarthost until the operator releases them. Returns how many there are. Such
/// a message is held as a whole, also if it waits for accounts of this appliance besides.
///
/// # Errors
/// The store's. Some messages are held then.
pub async fn hold_back(queue: &Rc<Account>, config: &Config, now: i64) -> Result<usize, Error> {
    let mut held = 0;
    let waiting: Vec<Uid> = waiting_outside(queue, config).into_iter().map(|entry| entry.id).collect();
    for some in waiting.chunks(AT_ONCE) {
        let mut transaction = queue.begin();
        for uid in some {
            let Some(note) = queue.note(INBOX, *uid)? else { continue };
            let Some(mut entry) = Entry::of_note(&note, config) else { continue };
            if !entry.held {
                entry.held = true;
                entry.happened(now, HELD);
                transaction.note(INBOX, *uid, entry.to_note());
            }
            held += 1;
        }
        transaction.commit().await?;
    }
    Ok(held)
}

/// The note of a message that was just accepted.
#[cfg(test)]
pub fn note_of(envelope: crate::smtp::Envelope, now: i64) -> Vec<u8> {
    Entry::new(envelope, now).to_note()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flash::sim::SimFlash;
    use crate::smtp::{Envelope, Mailbox};
    use crate::store::{Flags, Store};

    /// Catches: a queue that sends again what the operator said was sent, one that skips deliveries into accounts
    /// here, and a list with messages that do not leave.
    #[test]
    fn what_was_sent_is_not_sent_again_and_deliveries_here_are_still_made() {
        let mut config = Config::default();
        config.server.domains.push("home.example".try_into().unwrap());
        let mailbox = |address| Mailbox::parse(address).unwrap();
        smol::block_on(async {
            let store = Store::new(Rc::new(SimFlash::default()));
            let queue = store.queue().await.unwrap();
            let (a, b, outside) = ("a@home.example", "b@home.example", "friend@else.example");
            for to in [&[outside][..], &[a, outside], &[a, b]] {
                let envelope = Envelope {
                    sender: Some(mailbox(a)),
                    account: Some(1),
                    recipients: to.iter().map(|address| mailbox(address).into()).collect(),
                    eight_bit: false,
                    utf8: false,
                    dsn: crate::smtp::dsn::Request::default(),
                };
                let mut message = queue.incoming();
                message.write(b"hello\r\n").unwrap();
                let mut transaction = queue.begin();
                transaction.deliver(INBOX, message, Flags::NONE, &[], 7);
                transaction.note_delivered(Entry::new(envelope, 7).to_note());
                transaction.commit().await.unwrap();
            }
            let waiting = waiting_outside(&queue, &config);
            let told: Vec<_> = waiting.iter().map(|entry| (entry.id, entry.to.join(" "))).collect();
            assert_eq!(told, [(1, outside.to_owned()), (2, outside.to_owned())]);

            count_as_sent(&queue, &config).await.unwrap();
            assert!(waiting_outside(&queue, &config).is_empty());
            let left: Vec<_> = queue::entries(&queue, &config)
                .map(|(uid, size, entry)| {
                    (uid, QueueEntry::new(uid, size, entry.unwrap(), &config).to.join(" "))
                })
                .collect();
            assert_eq!(left, [(2, a.to_owned()), (3, format!("{a} {b}"))]);
            count_as_sent(&queue, &config).await.unwrap();
        });
    }
}
