//! The end of the relay: no more messages are begun, and the answers to those in doubt are waited for.
//!
//! A message whose content has left and that is not answered yet may have been taken. To hang up then would send it
//! twice, so whoever stops the appliance waits for [`Relay::end`] first.

use std::cell::Cell;

use event_listener::Event;

use super::Relay;

/// Whether the relay is ending, and how many messages are in doubt.
#[derive(Default)]
pub(super) struct Standing {
    ending: Cell<bool>,
    /// Messages that are being handed over, until what became of them is noted.
    in_doubt: Cell<usize>,
    settled: Event,
}

/// Counts a message as being handed over, until this is dropped.
pub(super) struct HandingOver<'a>(&'a Standing);

impl Standing {
    /// Whether no new message may be begun.
    pub fn is_ending(&self) -> bool {
        self.ending.get()
    }

    /// Counts a message as being handed over from now on.
    pub fn hands_over(&self) -> HandingOver<'_> {
        self.in_doubt.set(self.in_doubt.get() + 1);
        HandingOver(self)
    }
}

impl Drop for HandingOver<'_> {
    fn drop(&mut self) {
        let Standing { in_doubt, settled, .. } = self.0;
        in_doubt.set(in_doubt.get().saturating_sub(1));
        settled.notify(usize::MAX);
    }
}

impl Relay {
    /// Begins no more messages, and waits until what became of each message under way is known and noted. The caller
    /// sets a limit for this wait: the smarthost may never answer.
    pub async fn end(&self) {
        self.standing.ending.set(true);
        self.queue.wake();
        loop {
            let settled = self.standing.settled.listen();
            if self.standing.in_doubt.get() == 0 {
                return;
            }
            settled.await;
        }
    }

    /// Messages that were handed over and not answered yet.
    pub fn in_doubt(&self) -> usize {
        self.standing.in_doubt.get()
    }
}
