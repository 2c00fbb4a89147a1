//! How many connections there are to the smarthost, and for whom: several for a login, so that nobody waits for another, and not
//! too many for the provider and for the memory.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::entry::Submitter;
use super::outgoing::Login;
use crate::smtp::client::Answered;

/// Connections of all logins together.
const MOST: usize = 16;
/// Messages that wait for each connection of a login until there is another one.
const QUEUE: usize = 2;
/// After so long with one message it is one that others do not wait for.
const LONG: Duration = Duration::from_secs(1);
/// Who answers as soon as this gets the messages of one submitter over one connection: the next one is there before it could be
/// over another, where it would have to stay behind the one before it so that it arrives later.
const QUICK: Duration = Duration::from_millis(5);

/// The connections that there are.
#[derive(Default)]
pub struct Lines {
    open: RefCell<Vec<Rc<State>>>,
    last: Cell<u32>,
}

/// A connection, from before it is dialled.
struct State {
    number: u32,
    login: Login,
    /// The smarthost has let it in.
    proven: Cell<bool>,
    /// When what it does now began.
    since: Cell<Instant>,
    large: Cell<bool>,
    /// Whose message it has carried last, unless another connection has carried a later one.
    carried: Cell<Option<Submitter>>,
    /// The smarthost was quick, and is not known to have become slow.
    quick: Cell<bool>,
}

/// A connection; it counts until this is dropped.
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
    /// Whether `login`, for which so many messages are `ready`, is to have another connection; `most` is its limit.
    pub fn wants_one(&self, login: &Login, ready: usize, most: usize) -> bool {
        let open = self.open.borrow();
        let own: Vec<_> = open.iter().filter(|state| state.login == *login).collect();
        if ready == 0 || open.len() >= MOST || own.len() >= most {
            return false;
        }
        if own.is_empty() {
            return true;
        }
        // As long as nobody was let in, another one would only be refused as well.
        own.iter().all(|state| state.proven.get())
            && (ready > QUEUE * own.len()
                || own.iter().all(|state| state.large.get() || state.since.get().elapsed() >= LONG))
    }

    /// Another connection of `login`.
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

    /// When it is to be asked again for a login that `waits`, though nothing has changed: only a connection that takes long makes
    /// another one needed.
    pub fn ask_again(&self, waits: bool) -> Duration {
        if waits && !self.open.borrow().is_empty() { LONG } else { Duration::MAX }
    }

    /// Whether the next message of `submitter` is left to another connection than `line`, which is quick.
    pub fn leaves_to_another(&self, submitter: Submitter, line: &Line<'_>) -> bool {
        let keeps = |state: &State| {
            state.number != line.number()
                && state.carried.get() == Some(submitter)
                && state.quick.get()
                && state.since.get().elapsed() < LONG
        };
        self.open.borrow().iter().any(|state| keeps(state))
    }

    /// Whether one more connection of `login` may carry a large message: one is left for the others.
    pub fn takes_large(&self, login: &Login, most: usize) -> bool {
        let open = self.open.borrow();
        let large = open.iter().filter(|state| state.login == *login && state.large.get()).count();
        large < most.saturating_sub(1).max(1)
    }
}

impl Line<'_> {
    /// Which one it is.
    pub fn number(&self) -> u32 {
        self.state.number
    }

    /// Whose login it has.
    pub fn login(&self) -> &Login {
        &self.state.login
    }

    /// The smarthost has let it in, and it begins with its first message.
    pub fn is_proven(&self, submitter: Submitter, large: bool) {
        self.state.proven.set(true);
        self.carries(submitter, large);
    }

    /// It begins with another message.
    pub fn carries(&self, submitter: Submitter, large: bool) {
        let open = self.lines.open.borrow();
        let before = open.iter().filter(|state| state.carried.get() == Some(submitter));
        before.for_each(|state| state.carried.set(None));
        self.state.carried.set(Some(submitter));
        self.state.since.set(Instant::now());
        self.state.large.set(large);
    }

    /// So the smarthost has answered a message; `None`: it had nothing to answer. A reply that is read late tells nothing.
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

    /// Catches: one connection for all, a flood of them at a smarthost that lets nobody in, and large messages on all of them.
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
    /// Catches: messages that are spread over several connections though one is quick; others that wait for it, too, or for one that
    /// is slow, that hangs or is gone; and two connections that leave the same messages to one another.
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
