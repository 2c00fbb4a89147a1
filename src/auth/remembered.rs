//! Logins that succeeded lately, so that a phone's next connection costs no password hash.
//!
//! What is kept reveals nothing: a MAC of account, verifier and password, under a key that never leaves memory. A new password
//! or verifier has another MAC, so no entry has to be removed.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ring::hmac;

use crate::credential::{Verifier, random};

/// How long a login is remembered.
const LIFE: Duration = Duration::from_secs(12 * 60 * 60);

/// The most logins that are remembered; the latest ones are.
const CAPACITY: usize = 64;

/// The form in which a login is remembered.
pub(super) struct Mark(hmac::Tag);

/// The marks of logins that succeeded.
pub(super) struct Remembered {
    key: hmac::Key,
    marks: VecDeque<(hmac::Tag, Instant)>,
}

impl Remembered {
    pub(super) fn new() -> Remembered {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &random::<32>());
        Remembered { key, marks: VecDeque::new() }
    }

    /// The mark that this login leaves if it succeeds.
    pub(super) fn mark(&self, verifier: &Verifier, password: &[u8]) -> Mark {
        #[cfg(test)]
        crate::credential::verifier::count_hash();
        // Each account's salt is different, so the mark is the account's own. The fields of fixed length come first.
        let mut context = hmac::Context::with_key(&self.key);
        for part in [&verifier.salt[..], &verifier.stored_key, &verifier.server_key, password] {
            context.update(part);
        }
        Mark(context.sign())
    }

    /// Whether a login with this mark succeeded lately.
    pub(super) fn knows(&self, mark: &Mark, now: Instant) -> bool {
        self.marks.iter().any(|(known, since)| {
            known.as_ref() == mark.0.as_ref() && now.saturating_duration_since(*since) < LIFE
        })
    }

    /// Remembers a login that succeeded.
    pub(super) fn remember(&mut self, mark: Mark, now: Instant) {
        self.marks.retain(|(known, _)| known.as_ref() != mark.0.as_ref());
        if self.marks.len() >= CAPACITY {
            self.marks.pop_front();
        }
        self.marks.push_back((mark.0, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_login_is_known_and_only_for_a_while() {
        let (mut remembered, now) = (Remembered::new(), Instant::now());
        let verifier = Verifier::with("demo password", 1, [1; 16]);
        remembered.remember(remembered.mark(&verifier, b"demo password"), now);
        let knows = |verifier: &Verifier, password: &[u8], now| {
            remembered.knows(&remembered.mark(verifier, password), now)
        };
        assert!(knows(&verifier, b"demo password", now));
        assert!(!knows(&verifier, b"demo passwore", now));
        assert!(!knows(&Verifier::with("demo password", 1, [2; 16]), b"demo password", now));
        assert!(!knows(&verifier, b"demo password", now + LIFE));
    }

    #[test]
    fn the_oldest_are_forgotten_first() {
        let (mut remembered, now) = (Remembered::new(), Instant::now());
        let verifier = Verifier::with("demo password", 1, [1; 16]);
        for i in 0..=CAPACITY {
            remembered.remember(remembered.mark(&verifier, &i.to_be_bytes()), now);
        }
        let knows = |i: usize| remembered.knows(&remembered.mark(&verifier, &i.to_be_bytes()), now);
        assert!(!knows(0) && knows(1) && knows(CAPACITY));
        assert_eq!(remembered.marks.len(), CAPACITY);
    }
}
