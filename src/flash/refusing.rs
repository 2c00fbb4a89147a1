//! For tests: a flash that can be read and takes no changes, like a card that became read-only or answers writes with
//! EIO.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use rustix::io::Errno;

use super::Flash;
use super::over::{Over, Special};

/// Another flash whose changes are refused, at once or from when the test says so.
pub type Refusing = Over<Answer>;

/// The error that answers every change; `None` when changes are made.
pub struct Answer(Cell<Option<Errno>>);

impl Refusing {
    /// `flash`, whose every change is answered by the error `answer`.
    pub fn new(flash: impl Flash + 'static, answer: Option<Errno>) -> Refusing {
        Over::with(flash, Rc::new(Answer(Cell::new(answer))))
    }

    /// Sets the error that answers every change from now on; `None` for no error.
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
