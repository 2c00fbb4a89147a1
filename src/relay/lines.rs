//! How many connections to the smarthost there are, and for which logins: several for a login, so that messages do
//! not wait for each other, and not too many for the provider and for memory.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::entry::Submitter;
use super::outgoing::Login;
use crate::smtp::client::Answered;

/// Connections of all logins together, at most.
const MOST: usize = 16;
/// Messages that wait for each connection of a login before another connection is opened.
const QUEUE: usize = 2;
/// The time with one message after which a connection counts as busy, so that others do not wait for it.
const LONG: Duration = Duration::from_secs(1);
/// A smarthost that answers within this time gets the messages of one submitter over one connection. The next message
/// then arrives sooner than over another connection, where it would have to wait for the one before it.
const QUICK: Duration = Duration::from_millis(5);

/// The open connections.
#[derive(Default)]
pub struct Lines {
    open: RefCell<Vec<Rc<State>>>,
    last: Cell<u32>,
}

/// A connection. It exists before it is dialled.
struct State {
    number: u32,
    login: Login,
    /// Whether the smarthost has let it in.
    proven: Cell<bool>,
    /// When it began with the message that it carries.
    since: Cell<Instant>,
    /// Whether the message that it carries is large.
    large: Cell<bool>,
    /// The submitter of its latest message, unless another connection has carried a later message of that submitter.
    carried: Cell<Option<Submitter>>,
    /// Whether the smarthost answered quickly, and has not answered slowly since.
    quick: Cell<bool>,
}

/// A connection. It counts as open until this is dropped.
pub struct Line<'a> {
    lines: &'a Lines,
    state: Rc<State>,
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        self.lines.open.borrow_mut().retain(|state| state.number != self.state.number);
    }
}

impl Lines {
    /// Whether `login`, with `ready` messages that may go, is to have another connection; `most` is its limit.
    pub fn wants_one(&self, login: &Login, ready: usize, most: usize) -> bool {
        let open = self.open.borrow();
        let own: Vec<_> = open.iter().filter(|state| state.login == *login).collect();
        if ready == 0 || open.len() >= MOST || own.len() >= most {
            return false;
        }
        if own.is_empty() {
            return true;
        }
        // As long as no connection was let in, another one would be refused as well.
        own.iter().all(|state| state.proven.get())
            && (ready > QUEUE * own.len()
                || own.iter().all(|state| state.large.get() || state.since.get().elapsed() >= LONG))
    }

    /// Opens another connection for `login`.
    pub fn open(&self, login: Login) -> Line<'_> {
        self.last.set(self.last.get().wrapping_add(1));
        let state = Rc::new(State {
            number: self.last.get(),
            login,
            proven: Cell::new(false),
            since: Cell::new(Instant::now()),
            large: Cell::new(false),
            carried: Cell::default(),
            quick: Cell::default(),
        });
        self.open.borrow_mut().push(state.clone());
        Line { lines: self, state }
    }

    /// After which time to ask [`Lines::wants_one`] again for a login that `waits`, though nothing has changed: a
    /// connection may have become busy.
    pub fn ask_again(&self, waits: bool) -> Duration {
        if waits && !self.open.borrow().is_empty() { LONG } else { Duration::MAX }
    }

    /// Whether the next message of `submitter` is left to a quick connection other than `line`.
    pub fn leaves_to_another(&self, submitter: Submitter, line: &Line<'_>) -> bool {
        let keeps = |state: &State| {
            state.number != line.number()
                && state.carried.get() == Some(submitter)
                && state.quick.get()
                && state.since.get().elapsed() < LONG
        };
        self.open.borrow().iter().any(|state| keeps(state))
    }

    /// Whether one more connection of `login` may carry a large message: one is kept for small ones.
    pub fn takes_large(&self, login: &Login, most: usize) -> bool {
        let open = self.open.borrow();
        let large = open.iter().filter(|state| state.login == *login && state.large.get()).count();
        large < most.saturating_sub(1).max(1)
    }
}

impl Line<'_> {
    /// The number of the connection.
    pub fn number(&self) -> u32 {
        self.state.number
    }

    /// The login of the connection.
    pub fn login(&self) -> &Login {
        &self.state.login
    }

    /// Notes that the smarthost has let the connection in, and that it begins with its first message.
    pub fn is_proven(&self, submitter: Submitter, large: bool) {
        self.state.proven.set(true);
        self.carries(submitter, large);
    }

    /// Notes that it begins with another message.
    pub fn carries(&self, submitter: Submitter, large: bool) {
        let open = self.lines.open.borrow();
        let before = open.iter().filter(|state| state.carried.get() == Some(submitter));
        before.for_each(|state| state.carried.set(None));
        self.state.carried.set(Some(submitter));
        self.state.since.set(Instant::now());
        self.state.large.set(large);
    }

    /// Notes how fast the smarthost answered a message; `None`: there was no answer to measure. A reply that was read
    /// late tells nothing.
    pub fn answered(&self, how: Option<Answered>) {
        let slow = how.is_some_and(|how| how.waited >= QUICK);
        let quick = how.is_some_and(|how| how.after < QUICK);
        self.state.quick.set(!slow && (quick || self.state.quick.get()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: Submitter = Submitter::Account(1);

    /// Catches: one connection for everything, a flood of them at a smarthost that lets nobody in, and large messages
    /// on all of them.
    #[test]
    fn a_login_has_as_many_connections_as_it_needs() {
        let (lines, login) = (Lines::default(), Login::Global);
        assert!(!lines.wants_one(&login, 0, 4) && lines.wants_one(&login, 1, 4));
        assert_eq!(lines.ask_again(true), Duration::MAX, "nobody is ahead of what waits");
        let first = lines.open(login.clone());
        assert!(!lines.wants_one(&login, 100, 4), "nobody was let in");
        assert_eq!((lines.ask_again(true), lines.ask_again(false)), (LONG, Duration::MAX));
        assert!(lines.wants_one(&Login::Account("ann".into()), 1, 4), "others do not wait for that");
        first.is_proven(ANN, false);
        assert!(!lines.wants_one(&login, QUEUE, 4) && lines.wants_one(&login, QUEUE + 1, 4));
        assert!(lines.takes_large(&login, 4));
        first.carries(ANN, true);
        assert!(lines.wants_one(&login, 1, 4) && !lines.wants_one(&login, 1, 1));
        let more = [lines.open(login.clone()), lines.open(login.clone())];
        more.iter().for_each(|line| line.is_proven(ANN, true));
        assert!(!lines.takes_large(&login, 4), "the last one is for small ones");
        assert!(lines.wants_one(&login, 1, 4));
        drop((first, more));
        assert!(lines.takes_large(&login, 1));
        let all: Vec<_> = (0..MOST).map(|n| lines.open(Login::Account(n.to_string()))).collect();
        assert!(!lines.wants_one(&login, 1, 4), "all together");
        drop(all);
        assert!(lines.wants_one(&login, 1, 4));
    }

    /// Catches: a connection that counts as busy for what it did before, or for the time of its login, and one that
    /// never does; a login whose large messages wait for those of another login.
    #[test]
    fn what_a_connection_does_is_told_by_what_it_carries_now() {
        let (lines, login) = (Lines::default(), Login::Global);
        let long_ago = || Instant::now().checked_sub(2 * LONG).unwrap();
        let line = lines.open(login.clone());
        line.state.since.set(long_ago());
        line.is_proven(ANN, false);
        assert!(!lines.wants_one(&login, 1, 4), "it was let in just now");
        line.state.since.set(long_ago());
        assert!(lines.wants_one(&login, 1, 4));
        line.carries(ANN, false);
        assert!(!lines.wants_one(&login, 1, 4), "it has another message");
        let other = lines.open(Login::Account("ann".into()));
        other.carries(ANN, true);
        assert!(lines.takes_large(&login, 1) && !lines.takes_large(other.login(), 1));
    }

    /// Catches: messages that are spread over several connections though one is quick; other submitters that wait for
    /// it, too, or a wait for a connection that is slow, hangs or is gone; two connections that leave the same
    /// messages to each other.
    #[test]
    fn what_follows_a_message_is_left_to_a_quick_connection() {
        let lines = Lines::default();
        let [first, second, third] = [0; 3].map(|_| lines.open(Login::Global));
        let left = |line: &Line<'_>| lines.leaves_to_another(ANN, line);
        first.is_proven(ANN, false);
        assert!(!left(&second), "it has not answered yet");
        let answered = |after, waited| Some(Answered { after, waited });
        let (quick, slow) = (QUICK / 2, QUICK);
        first.answered(answered(slow, quick));
        assert!(!left(&second), "nobody knows yet");
        first.answered(answered(quick, quick));
        assert!(!left(&first) && left(&second));
        assert!(!lines.leaves_to_another(Submitter::Account(2), &second));
        first.answered(answered(slow, quick));
        first.answered(None);
        assert!(left(&second), "it was read late");
        first.answered(answered(slow, slow));
        assert!(!left(&second));
        first.answered(answered(quick, quick));
        second.is_proven(ANN, false);
        second.answered(answered(quick, quick));
        assert!(left(&first) && !left(&second) && left(&third));
        second.carries(Submitter::Account(2), false);
        assert!(![&first, &second, &third].into_iter().any(left), "it is with another one by now");
        first.carries(ANN, false);
        first.state.since.set(Instant::now().checked_sub(LONG).unwrap());
        assert!(!left(&third), "it hangs");
        first.carries(ANN, false);
        assert!(left(&third));
        drop(first);
        assert!(!left(&third));
    }
}
