//! Messages of one connection that were answered, while what became of them is written down.
//!
//! The connection does not wait for that. Until it is durable, the flash says of such a message that it is in doubt, as it has
//! since before the message left: a cut then is the same as one right before the answer was read. So it shares a sync with the
//! note of the message that follows, and a quick smarthost costs one sync a message.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use async_io::Timer;
use event_listener::Event;
use smol::future::or;
use smol::{LocalExecutor, Task};

use crate::pace;

/// What became of a message waits so long for the note of the one that follows. A smarthost that takes longer leaves the time for
/// a sync in between. Tests of what is shared do not depend on how busy the machine is.
const FOLLOWS_WITHIN: Duration = Duration::from_millis(if cfg!(test) { 200 } else { 5 });
/// Messages of one connection that were answered, and are being written down.
const MOST: usize = 8;

/// See the module. What is begun goes on within [`Settling::run`].
pub(super) struct Settling<'a> {
    executor: LocalExecutor<'a>,
    /// The oldest first.
    begun: RefCell<VecDeque<Task<()>>>,
    note: Rc<NextNote>,
}

/// The note of the message that follows, which others wait for to be written with it.
#[derive(Default)]
struct NextNote {
    is_expected: Cell<bool>,
    comes: Event,
}

impl NextNote {
    /// Waits until a note comes that is expected, or does not come soon.
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

    /// Waits for `talk`, in which messages are begun to be settled, and settles them meanwhile.
    pub async fn run<T>(&self, talk: impl Future<Output = T>) -> T {
        pace::run(&self.executor, talk).await
    }

    /// A message was answered, and `settle` writes down what became of it: with the note that is expected when this is waited for
    /// first, or else at once.
    pub fn begin(&self, settle: impl Future<Output = ()> + 'a) {
        let note = self.note.clone();
        let settled = self.executor.spawn(Box::pin(async move {
            note.comes().await;
            settle.await;
        }));
        self.begun.borrow_mut().push_back(settled);
    }

    /// The note of another message is expected.
    pub fn expects_note(&self) {
        self.note.is_expected.set(true);
    }

    /// It is written now, or it does not come.
    pub fn note_comes(&self) {
        self.note.is_expected.set(false);
        self.note.comes.notify(usize::MAX);
    }

    /// Waits until not too many are being settled.
    pub async fn has_room(&self) {
        self.begun.borrow_mut().retain(|settled| !settled.is_finished());
        while self.begun.borrow().len() >= MOST {
            self.oldest().await;
        }
    }

    /// Waits until the oldest one is settled; `false`: there is none.
    pub async fn oldest(&self) -> bool {
        let oldest = self.begun.borrow_mut().pop_front();
        match oldest {
            Some(settled) => settled.await,
            None => return false,
        }
        true
    }
}
