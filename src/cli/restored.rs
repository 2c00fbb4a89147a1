//! `restored`: makes a data folder that was put back from a copy safe for clients that knew a newer state.

use std::path::Path;

use pillarbox::config::Config;
use pillarbox::failure::Failure;
use pillarbox::message::date::rfc5322;
use pillarbox::relay::{self, QueueEntry};
use pillarbox::store::{Error, Renewed, Store};

use super::configuration::{held, stored};
use super::print;

/// What the operator says about the copy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Word {
    /// Messages that wait for the smarthost are sent, perhaps for the second time.
    pub keep_queue: bool,
    /// Messages that wait for the smarthost are not sent.
    pub discard_queue: bool,
    /// There was no newer state.
    pub nothing_newer: bool,
}

/// The folder of the relay's queue.
const QUEUE: &str = "queue";

pub(super) const DONE: &str = "done: mail programs load their folders anew, and those that leave mail here by POP3 fetch it once more; \
     sources that leave mail on their server bring again what came since the copy was made\n";

/// Gives every mailbox in `data` a new UIDVALIDITY, and deals with messages that the newer state may have sent already.
pub fn run(data: &Path, word: Word) -> Result<(), Failure> {
    let Word { keep_queue, discard_queue, nothing_newer } = word;
    if u8::from(keep_queue) + u8::from(discard_queue) + u8::from(nothing_newer) > 1 {
        return Err(Failure::Usage(
            "restored: --keep-queue, --discard-queue and --nothing-newer exclude one another".to_owned(),
        ));
    }
    let folder = held(data)?;
    let flash = folder.flash().clone();
    if flash.is_read_only() {
        return Err(Failure::System(format!(
            "{}: the flash takes no changes: put the copy on one that works",
            data.display()
        )));
    }
    if nothing_newer {
        folder.accept_copy()?;
        return print("noted: nothing is newer than this copy, and nothing was changed\n");
    }
    let config = stored(&*flash, data)?.config;
    let store = Store::new(flash);
    async_io::block_on(renew(data, &config, &store, word))?;
    // Until here the daemon reports that the folder is a copy.
    folder.accept_copy()?;
    print(DONE)
}

async fn renew(data: &Path, config: &Config, store: &Store, word: Word) -> Result<(), Failure> {
    let failed = |error: Error| Failure::System(format!("{}/{error}", data.display()));
    let folders = store.folders().map_err(failed)?;
    if folders.iter().any(|folder| folder == QUEUE) {
        queued(config, store, word).await.map_err(failed)??;
    }
    let mut undone = Vec::new();
    for folder in &folders {
        let renewed = store.renew_uid_validities(folder).await;
        // An account that was used since the last call stays open. So it takes two calls to close the one that was just opened.
        store.close_unused();
        store.close_unused();
        match renewed {
            Ok(_) if folder == QUEUE => {}
            Ok(renewed) => print(&renewed_line(folder, &renewed))?,
            Err(error) => undone.push(format!("{folder}: {error}")),
        }
    }
    match undone.first() {
        None => Ok(()),
        Some(first) => Err(Failure::System(format!(
            "{}: {} of {} folders could not be changed, {first}; run `pillarbox fsck --repair`, then this again",
            data.display(),
            undone.len(),
            folders.len()
        ))),
    }
}

/// Deals with the messages that wait for the smarthost: the newer state may have sent them, and only the operator can know.
async fn queued(config: &Config, store: &Store, word: Word) -> Result<Result<(), Failure>, Error> {
    let queue = store.queue().await?;
    let waiting = relay::waiting_outside(&queue, config);
    if waiting.is_empty() {
        return Ok(Ok(()));
    }
    let n = waiting.len();
    let list: String = waiting.iter().map(line).collect();
    let outcome = if word.discard_queue {
        relay::count_as_sent(&queue, config).await?;
        print(&format!("{list}queue: messages that do not go out any more: {n}\n"))
    } else if word.keep_queue {
        print(&format!("{list}queue: messages that go out, perhaps for the second time: {n}\n"))
    } else {
        print(&list).and(Err(Failure::Usage(format!(
            "restored: the newer state may have sent what waits in the queue (messages: {n}): say --keep-queue, and it goes \
             out, perhaps for the second time, or --discard-queue, and it does not; nothing was changed"
        ))))
    };
    Ok(outcome)
}

pub(super) fn renewed_line(folder: &str, renewed: &Renewed) -> String {
    let Renewed { mailboxes, messages } = renewed;
    format!("{folder}: mailboxes with a new UIDVALIDITY: {mailboxes}, messages in them: {messages}\n")
}

pub(super) fn line(entry: &QueueEntry) -> String {
    let QueueEntry { id, from, to, size, created, .. } = entry;
    let from = if from.is_empty() { "<> (a bounce)" } else { from };
    let day = rfc5322(*created);
    format!("queue: message {id} from {from} to {}, {size} octets, accepted {day}\n", to.join(", "))
}
