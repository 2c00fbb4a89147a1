//! The limits of one round of a poll in octets and time, whatever the server sends and however slowly.
//!
//! Each message has limits of its own, see [`super::collection`]; these limits are for everything else in the round.
//! The figures leave room for a listing of a million messages, and for a line that carries 1 KiB a second.

use std::time::{Duration, Instant};

use super::Error;
use crate::clock::Time;

/// Octets of one round that are not messages: replies, lists, and everything that was not asked for.
pub const CHATTER: u64 = 128 * 1024 * 1024;
/// How long one round may take, besides the time that its messages take.
const PATIENCE: Duration = Duration::from_secs(30 * 60);
/// Octets of messages a second that the slowest accepted line carries: a modem of 1990 does better.
const SLOWEST: u64 = 1024;

/// Octets beyond the limit of a message that are read and dropped, in case the message ends soon. After them the poll
/// ends.
pub const PASSED_OVER: u64 = 1024 * 1024;

/// What is left of the limits of the current round.
#[derive(Debug)]
pub struct Budget {
    time: Time,
    began: Instant,
    patience: Duration,
    chatter: u64,
    all_chatter: u64,
    messages: u64,
}

impl Budget {
    /// The usual budget of a poll that begins now, measured by `time`.
    pub fn usual(time: &Time) -> Budget {
        Budget::new(time, CHATTER, PATIENCE)
    }

    /// A budget of `chatter` octets that are not messages, and of `patience`, both counted from now.
    pub fn new(time: &Time, chatter: u64, patience: Duration) -> Budget {
        Budget { time: time.clone(), began: time.now(), patience, chatter, all_chatter: chatter, messages: 0 }
    }

    /// Gives the next round the same budget as the first one.
    pub fn renew(&mut self) {
        (self.began, self.chatter, self.messages) = (self.time.now(), self.all_chatter, 0);
    }

    /// Does not count the time from `since` to now.
    pub fn excuse(&mut self, since: Instant) {
        self.began += self.time.since(since);
    }

    /// The clock that measures this budget.
    pub fn time(&self) -> &Time {
        &self.time
    }

    /// Counts `octets` that came; `messages` of them belong to messages that were asked for.
    ///
    /// # Errors
    /// [`Error::Chatter`].
    pub fn spend(&mut self, octets: usize, messages: u64) -> Result<(), Error> {
        self.messages = self.messages.saturating_add(messages);
        let chatter = (octets as u64).saturating_sub(messages);
        self.chatter = self.chatter.checked_sub(chatter).ok_or(Error::Chatter)?;
        Ok(())
    }

    /// The time that is left.
    ///
    /// # Errors
    /// [`Error::TooSlow`] if no time is left.
    pub fn time_left(&self) -> Result<Duration, Error> {
        let allowed = self.patience.saturating_add(Duration::from_secs(self.messages / SLOWEST));
        allowed.checked_sub(self.time.since(self.began)).filter(|left| !left.is_zero()).ok_or(Error::TooSlow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a budget that is too small for a listing of a million messages with the longest unique-ids (RFC 1939
    /// section 7), or has no end.
    #[test]
    fn a_million_messages_can_be_listed_and_two_cannot() {
        let list = "1000000 1000000000\r\n".len();
        let uidl = "1000000 \r\n".len() + 70;
        let mut budget = Budget::usual(&Time::default());
        budget.spend(1_000_000 * (list + uidl), 0).unwrap();
        assert!(matches!(budget.spend(1_000_000 * (list + uidl), 0), Err(Error::Chatter)));
        assert_eq!(budget.time_left().unwrap(), Duration::from_secs(30 * 60));
    }

    /// Catches: messages that count as chatter, and chatter that counts as messages.
    #[test]
    fn messages_cost_nothing_and_buy_time() {
        let mut budget = Budget::new(&Time::default(), 10, Duration::ZERO);
        assert!(matches!(budget.time_left(), Err(Error::TooSlow)));
        budget.spend(5 << 20, 5 << 20).unwrap();
        assert_eq!(budget.time_left().unwrap(), Duration::from_secs(5 << 10));
        budget.spend(10, 0).unwrap();
        assert!(matches!(budget.spend(1, 0), Err(Error::Chatter)));
        budget.renew();
        budget.spend(10, 0).unwrap();
        assert!(matches!(budget.time_left(), Err(Error::TooSlow)));
    }

    /// Catches: time that other tasks took and that is counted against the server.
    #[test]
    fn time_that_others_take_does_not_count() {
        let (time, second) = (Time::default(), Duration::from_secs(1));
        let mut budget = Budget::new(&time, 10, 3 * second);
        time.advance(second);
        let since = time.now();
        time.advance(10 * second);
        assert!(budget.time_left().is_err());
        budget.excuse(since);
        assert_eq!(budget.time_left().unwrap(), 2 * second);
    }
}
