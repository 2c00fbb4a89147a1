//! INPROGRESS (RFC 9585): a client that waits for long is told that its command goes on, and how far it is.
//!
//! Only this module sends the response. A command hands over the part of its work that writes nothing, so that no
//! response is cut in two. FETCH has no such part: it answers message by message, and gathers answers for a short time.

use std::cell::Cell;
use std::io;
use std::time::Duration;

use crate::imap::server::Connection;
use crate::imap::state::session::Session;

/// How often progress is reported. RFC 9585 section 4: every 10 to 15 seconds. A command that ends before that
/// reports nothing.
const EVERY: Duration = Duration::from_secs(10);

/// How far a command has got.
#[derive(Default)]
pub struct Progress {
    done: Cell<u32>,
    goal: Cell<u32>,
}

impl Progress {
    /// Begins a piece of the work with `goal` items; 0 when their number is not known.
    pub fn begin(&self, goal: usize) {
        self.done.set(0);
        self.goal.set(u32::try_from(goal).unwrap_or(u32::MAX));
    }

    /// Counts one more item as done.
    pub fn did_one(&self) {
        self.done.set(self.done.get().saturating_add(1));
    }

    /// The response. The number of items done stays below the goal until the tagged response. A tag that would end
    /// the response code or its string is left out.
    fn response(&self, tag: &str) -> String {
        let tag = if tag.contains([']', '"', '\\']) { "NIL".to_owned() } else { format!("\"{tag}\"") };
        let state = match (self.done.get(), self.goal.get()) {
            (_, 0) => "NIL NIL".to_owned(),
            (done, goal) => format!("{} {goal}", done.min(goal - 1)),
        };
        format!("* OK [INPROGRESS ({tag} {state})] Still at it\r\n")
    }
}

impl Connection {
    /// Does `work` for the command `tag`, and tells the client every now and then that it goes on. The work must
    /// write nothing; it is paused while the client is told.
    ///
    /// # Errors
    /// Errors of the connection, and the error that ends the dialog.
    pub async fn telling<T>(
        &mut self,
        tag: &str,
        work: impl AsyncFnOnce(&Session, &Progress) -> T,
    ) -> io::Result<T> {
        let progress = Progress::default();
        self.meanwhile(EVERY, async |session| work(session, &progress).await, || progress.response(tag)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9585 sections 4 and 5. Catches: a tag that ends the response code, a goal of 0, and a goal that is
    /// reached.
    #[test]
    fn the_response_in_all_its_forms() {
        let progress = Progress::default();
        let told = |tag: &str| progress.response(tag);
        assert!(told("a1").starts_with("* OK [INPROGRESS (\"a1\" NIL NIL)]"));
        assert!(told("a]1").starts_with("* OK [INPROGRESS (NIL NIL NIL)]"));
        progress.begin(2);
        assert!(told("a1").starts_with("* OK [INPROGRESS (\"a1\" 0 2)]"));
        for _ in 0..3 {
            progress.did_one();
            assert!(told("a1").starts_with("* OK [INPROGRESS (\"a1\" 1 2)]"));
        }
    }
}
