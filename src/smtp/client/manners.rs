//! What a server offers and does not do: remembered for a while, so that a lie costs a feature and no message.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use super::Capabilities;
use crate::clock::Time;

/// After that it may have been repaired, or have been a bad moment.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// An extension that can be done without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extension {
    /// RFC 2920.
    Pipelining,
    /// RFC 3030.
    Chunking,
}

/// What one host was caught at.
#[derive(Debug, Default)]
pub struct Manners {
    host: RefCell<String>,
    pipelining: Cell<Option<Instant>>,
    chunking: Cell<Option<Instant>>,
}

impl Manners {
    /// From now on it is about this host; what another one did is forgotten.
    pub(super) fn at(&self, host: &str) {
        if *self.host.borrow() != host {
            host.clone_into(&mut self.host.borrow_mut());
            self.pipelining.set(None);
            self.chunking.set(None);
        }
    }

    /// Does without `extension` from now on; `false` where that was known already.
    pub(super) fn do_without(&self, extension: Extension, time: &Time) -> bool {
        let place = self.place(extension);
        let is_new = !is_fresh(place.get(), time);
        place.set(Some(time.now()));
        is_new
    }

    /// Takes out of `capabilities` what the host does not do.
    pub(super) fn apply(&self, capabilities: &mut Capabilities, time: &Time) {
        capabilities.pipelining &= !is_fresh(self.pipelining.get(), time);
        capabilities.chunking &= !is_fresh(self.chunking.get(), time);
    }

    fn place(&self, extension: Extension) -> &Cell<Option<Instant>> {
        match extension {
            Extension::Pipelining => &self.pipelining,
            Extension::Chunking => &self.chunking,
        }
    }
}

fn is_fresh(since: Option<Instant>, time: &Time) -> bool {
    since.is_some_and(|since| time.since(since) < REMEMBERED)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: what is remembered of one host and used for another, and a bad moment that counts for ever.
    #[test]
    fn a_lie_is_remembered_for_a_while_and_of_one_host() {
        let (manners, time) = (Manners::default(), Time::default());
        let offers = || {
            let mut all = Capabilities { pipelining: true, chunking: true, ..Capabilities::default() };
            manners.apply(&mut all, &time);
            (all.pipelining, all.chunking)
        };
        manners.at("one.example");
        assert_eq!(offers(), (true, true));
        assert!(manners.do_without(Extension::Chunking, &time));
        assert!(!manners.do_without(Extension::Chunking, &time), "it was known");
        manners.at("one.example");
        assert_eq!(offers(), (true, false));
        assert!(manners.do_without(Extension::Pipelining, &time));
        assert_eq!(offers(), (false, false));
        time.advance(REMEMBERED);
        assert_eq!(offers(), (true, true));
        assert!(manners.do_without(Extension::Pipelining, &time));
        manners.at("two.example");
        assert_eq!(offers(), (true, true));
    }

    /// Catches: what one host was caught at that is held against the next one, for each extension.
    #[test]
    fn another_host_begins_anew_with_everything() {
        let (manners, time) = (Manners::default(), Time::default());
        for extension in [Extension::Pipelining, Extension::Chunking] {
            manners.at("one.example");
            assert!(manners.do_without(extension, &time));
            manners.at("two.example");
            let mut all = Capabilities { pipelining: true, chunking: true, ..Capabilities::default() };
            manners.apply(&mut all, &time);
            assert!(all.pipelining && all.chunking, "{extension:?}");
        }
    }
}
