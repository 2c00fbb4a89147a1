//! For tests: a flash that can be read and takes no changes, as a card that turned read-only or answers EIO to writes.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use rustix::io::Errno;

use super::Flash;
use super::over::{Over, Special};

/// What is on another flash; its changes are refused, or will be once the test says so.
pub type Refusing = Over<Answer>;

/// What answers every change; `None`: it is made.
pub struct Answer(Cell<Option<Errno>>);

impl Refusing {
    /// `flash`, whose every change is answered by `answer`.
    pub fn new(flash: impl Flash + 'static, answer: Option<Errno>) -> Refusing {
        Over::with(flash, Rc::new(Answer(Cell::new(answer))))
    }

    /// From now on every change is answered so.
    pub fn answer(&self, answer: Option<Errno>) {
        self.special.0.set(answer);
    }
}

impl Special for Answer {
    fn may_change(&self) -> io::Result<()> {
        self.0.get().map_or(Ok(()), |errno| Err(errno.into()))
    }
    fn is_read_only(&self) -> bool {
        self.0.get() == Some(Errno::ROFS)
    }
}
