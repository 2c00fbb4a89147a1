//! How far a poll has come, for the operator.

use std::cell::RefCell;
use std::time::{Duration, Instant};

/// The progress of a poll, which the poll keeps up to date.
#[derive(Debug, Default)]
pub struct Progress(RefCell<Noted>);

#[derive(Debug, Default)]
struct Noted {
    listed: Option<Instant>,
    planned: (u64, u64),
    left: u64,
    octets: u64,
    messages: u32,
}

/// How far a poll has come.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Going {
    /// Messages that are safe here.
    pub messages: u32,
    /// Messages that are new at the server.
    pub of_messages: u64,
    /// Octets of messages that came.
    pub octets: u64,
    /// Octets of all new messages, as far as the server tells; 0 where it does not.
    pub of_octets: u64,
    /// Time since everything was listed.
    pub time: Duration,
}

impl Progress {
    /// Begins a poll: forgets the one before.
    pub fn begin(&self) {
        self.0.take();
    }

    /// Everything is listed: `planned` are the messages and octets that are to be read, `left` the messages that are
    /// left to the next polls.
    pub fn listed(&self, planned: (u64, u64), left: u64, now: Instant) {
        let mut noted = self.0.borrow_mut();
        (noted.listed, noted.planned, noted.left) = (Some(now), planned, left);
    }

    /// Notes how many octets of messages came in all.
    pub fn came(&self, octets: u64) {
        self.0.borrow_mut().octets = octets;
    }

    /// Notes how many messages are safe.
    pub fn safe(&self, messages: u32) {
        self.0.borrow_mut().messages = messages;
    }

    /// Octets of messages that came.
    pub fn octets(&self) -> u64 {
        self.0.borrow().octets
    }

    /// How far the poll has come; `None` before everything is listed.
    pub fn going(&self, now: Instant) -> Option<Going> {
        let noted = self.0.borrow();
        let listed = noted.listed?;
        let (messages, octets) = noted.planned;
        // The sizes of the messages that are left are estimated from the others.
        let left = octets.checked_div(messages).unwrap_or(0).saturating_mul(noted.left);
        Some(Going {
            messages: noted.messages,
            of_messages: messages.saturating_add(noted.left),
            octets: noted.octets,
            of_octets: octets.saturating_add(left),
            time: now.saturating_duration_since(listed),
        })
    }
}

impl Going {
    /// Octets a second; `None` within the first second.
    pub fn rate(&self) -> Option<u64> {
        self.octets.checked_div(self.time.as_secs()).filter(|rate| *rate > 0)
    }

    /// How long the rest takes at this rate; `None` where nothing is known about it.
    pub fn to_go(&self) -> Option<Duration> {
        let left = self.of_octets.checked_sub(self.octets).filter(|left| *left > 0)?;
        Some(Duration::from_secs(left.div_ceil(self.rate()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: figures of the poll before, messages that are left out, and a rate or a remaining time without a
    /// basis.
    #[test]
    fn a_poll_tells_how_far_it_is() {
        let (progress, start) = (Progress::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(progress.going(start), None);
        progress.listed((4, 4000), 2, start);
        progress.came(1000);
        progress.safe(1);
        let going = progress.going(at(10)).unwrap();
        assert_eq!((going.messages, going.of_messages, going.octets, going.of_octets), (1, 6, 1000, 6000));
        assert_eq!((going.rate(), going.to_go()), (Some(100), Some(Duration::from_secs(50))));
        assert_eq!(progress.going(start).unwrap().rate(), None);
        // A server that tells no sizes, or sizes that are too small.
        progress.listed((4, 0), 2, start);
        assert_eq!(progress.going(at(10)).unwrap().to_go(), None);
        progress.begin();
        assert_eq!(progress.going(at(10)), None);
    }
}
