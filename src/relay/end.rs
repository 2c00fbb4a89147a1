//! The end of the relay: no more messages are begun, and what is in doubt is waited for.
//!
//! A message whose content has left and whose reply is not there yet may have been taken. To hang up then would have it sent
//! twice; so whoever stops the appliance waits for [`Relay::end`] first.

use std::cell::Cell;

use event_listener::Event;

use super::Relay;

/// Whether the relay ends, and what it is in the middle of.
#[derive(Default)]
pub(super) struct Standing {
    ending: Cell<bool>,
    /// Messages that are being handed over, until what became of them is noted.
    in_doubt: Cell<usize>,
    settled: Event,
}

/// A message that is being handed over, until this is dropped.
pub(super) struct HandingOver<'a>(&'a Standing);

impl Standing {
    /// Whether nothing new is to be begun.
    pub fn is_ending(&self) -> bool {
        self.ending.get()
    }

    /// A message is handed over from now on.
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
    /// Begins no message any more, and waits until of each one that was begun it is known, and noted, what became of it. How
    /// long that may take the caller says: the smarthost may never answer.
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

    /// Messages whose fate is not known.
    pub fn in_doubt(&self) -> usize {
        self.standing.in_doubt.get()
    }
}
