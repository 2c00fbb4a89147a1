//! Messages of one connection that were answered, and whose outcome is being written down.
//!
//! The connection does not wait for that. Until the outcome is durable, the flash says that the message is in doubt,
//! as it did before the message left: a power cut then is like one right before the answer was read. So the outcome
//! can share a sync with the note of the next message, and with a quick smarthost each message costs one sync.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use async_io::Timer;
use event_listener::Event;
use smol::future::or;
use smol::{LocalExecutor, Task};

use crate::pace;

/// How long the outcome of a message waits for the note of the next message. A smarthost that takes longer leaves
/// time for a sync in between. Tests have a longer time, so that they do not depend on how busy the machine is.
const FOLLOWS_WITHIN: Duration = Duration::from_millis(if cfg!(test) { 200 } else { 5 });
/// Messages of one connection that were answered and are being written down, at most.
const MOST: usize = 8;

/// The outcomes that are being written down, see the module. They make progress within [`Settling::run`].
pub(super) struct Settling<'a> {
    executor: LocalExecutor<'a>,
    /// The outcomes under way, the oldest first.
    begun: RefCell<VecDeque<Task<()>>>,
    note: Rc<NextNote>,
}

/// Tells when the note of the next message is written, which outcomes wait for.
#[derive(Default)]
struct NextNote {
    is_expected: Cell<bool>,
    comes: Event,
}

impl NextNote {
    /// Waits until an expected note is being written, for [`FOLLOWS_WITHIN`] at most. Returns at once if none is
    /// expected.
    async fn comes(&self) {
        if self.is_expected.get() {
            let late = async {
                Timer::after(FOLLOWS_WITHIN).await;
            };
            or(self.comes.listen(), late).await;
        }
    }
}

impl<'a> Settling<'a> {
    pub fn new() -> Settling<'a> {
        Settling { executor: LocalExecutor::new(), begun: RefCell::default(), note: Rc::default() }
    }

    /// Runs `talk`, which begins to settle messages, and settles them meanwhile.
    pub async fn run<T>(&self, talk: impl Future<Output = T>) -> T {
        pace::run(&self.executor, talk).await
    }

    /// Begins to settle a message that was answered: `write_outcome` writes down its outcome, together with the note of the
    /// next message if one is expected, or else at once.
    pub fn begin(&self, settle: impl Future<Output = ()> + 'a) {
        let note = self.note.clone();
        let settled = self.executor.spawn(Box::pin(async move {
            note.comes().await;
            settle.await;
        }));
        self.begun.borrow_mut().push_back(settled);
    }

    /// Announces the note of the next message.
    pub fn expects_note(&self) {
        self.note.is_expected.set(true);
    }

    /// Lets the outcomes go on: the announced note is written now, or is not written at all.
    pub fn note_comes(&self) {
        self.note.is_expected.set(false);
        self.note.comes.notify(usize::MAX);
    }

    /// Waits until there are fewer than [`MOST`] messages being settled.
    pub async fn has_room(&self) {
        self.begun.borrow_mut().retain(|settled| !settled.is_finished());
        while self.begun.borrow().len() >= MOST {
            self.oldest().await;
        }
    }

    /// Waits until the oldest message is settled. `false` if there is none.
    pub async fn oldest(&self) -> bool {
        let oldest = self.begun.borrow_mut().pop_front();
        match oldest {
            Some(settled) => settled.await,
            None => return false,
        }
        true
    }
}
