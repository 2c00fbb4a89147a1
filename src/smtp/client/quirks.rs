//! Extensions that a server offers but does not handle. They are remembered for a while, so that such a server costs
//! a feature and not a message.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use super::Capabilities;
use crate::clock::Time;

/// How long a fault of the host is remembered: the host may have been repaired meanwhile, or the fault have been a passing one.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// An extension that can be done without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extension {
    /// PIPELINING (RFC 2920).
    Pipelining,
    /// CHUNKING (RFC 3030).
    Chunking,
}

/// The extensions that one host does not handle.
#[derive(Debug, Default)]
pub struct ServerQuirks {
    host: RefCell<String>,
    pipelining: Cell<Option<Instant>>,
    chunking: Cell<Option<Instant>>,
}

impl ServerQuirks {
    /// Sets the host that this is about; what is known of another one is forgotten.
    pub(super) fn at(&self, host: &str) {
        if *self.host.borrow() != host {
            host.clone_into(&mut self.host.borrow_mut());
            self.pipelining.set(None);
            self.chunking.set(None);
        }
    }

    /// Avoids `extension` from now on. `false` if it was avoided already.
    pub(super) fn do_without(&self, extension: Extension, time: &Time) -> bool {
        let place = self.place(extension);
        let is_new = !is_fresh(place.get(), time);
        place.set(Some(time.now()));
        is_new
    }

    /// Removes from `capabilities` what the host does not handle.
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

    /// Catches: what is known of one host used for another, and a passing fault that counts for ever.
    #[test]
    fn a_lie_is_remembered_for_a_while_and_of_one_host() {
        let (quirks, time) = (ServerQuirks::default(), Time::default());
        let offers = || {
            let mut all = Capabilities { pipelining: true, chunking: true, ..Capabilities::default() };
            quirks.apply(&mut all, &time);
            (all.pipelining, all.chunking)
        };
        quirks.at("one.example");
        assert_eq!(offers(), (true, true));
        assert!(quirks.do_without(Extension::Chunking, &time));
        assert!(!quirks.do_without(Extension::Chunking, &time), "it was known");
        quirks.at("one.example");
        assert_eq!(offers(), (true, false));
        assert!(quirks.do_without(Extension::Pipelining, &time));
        assert_eq!(offers(), (false, false));
        time.advance(REMEMBERED);
        assert_eq!(offers(), (true, true));
        assert!(quirks.do_without(Extension::Pipelining, &time));
        quirks.at("two.example");
        assert_eq!(offers(), (true, true));
    }

    /// Catches: an extension that one host does not handle and that is avoided at the next host, for each extension.
    #[test]
    fn another_host_begins_anew_with_everything() {
        let (quirks, time) = (ServerQuirks::default(), Time::default());
        for extension in [Extension::Pipelining, Extension::Chunking] {
            quirks.at("one.example");
            assert!(quirks.do_without(extension, &time));
            quirks.at("two.example");
            let mut all = Capabilities { pipelining: true, chunking: true, ..Capabilities::default() };
            quirks.apply(&mut all, &time);
            assert!(all.pipelining && all.chunking, "{extension:?}");
        }
    }
}
