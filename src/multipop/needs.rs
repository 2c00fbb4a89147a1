//! What messages of a source need for room, as far as earlier polls found out: a size that a server lists may be wrong, and a
//! message that is read again and again without ever fitting wears the flash for nothing. Nothing here outlives the process.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::ledger::Identity;

/// Messages that are remembered.
const REMEMBERED: usize = 1000;

/// The needs of one source; clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Needs(Rc<RefCell<Noted>>);

#[derive(Debug, Default)]
struct Noted {
    /// By polls before this one.
    before: HashMap<Identity, u64>,
    /// By this one, or before and listed by this one.
    now: HashMap<Identity, u64>,
}

impl Needs {
    /// A poll begins, which may or may not come to the end of its listing.
    pub fn begin(&self) {
        let mut noted = self.0.borrow_mut();
        let now = std::mem::take(&mut noted.now);
        noted.before.extend(now);
    }

    /// Octets that the listed message of `identity` is known to need; 0 where nothing is known.
    pub fn of(&self, identity: &Identity) -> u64 {
        let mut noted = self.0.borrow_mut();
        if let Some(need) = noted.before.remove(identity) {
            noted.now.insert(*identity, need);
        }
        noted.now.get(identity).copied().unwrap_or(0)
    }

    /// A message that had no room needs so many octets. False where no more can be remembered.
    pub fn note(&self, identity: Identity, octets: u64) -> bool {
        let mut noted = self.0.borrow_mut();
        let fits = noted.now.len() + noted.before.len() < REMEMBERED || noted.now.contains_key(&identity);
        if fits {
            noted.now.insert(identity, octets);
        }
        fits
    }

    /// What was not listed is gone.
    pub fn all_listed(&self) {
        self.0.borrow_mut().before.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: needs without end, needs of messages that are gone, and those forgotten by a poll that broke off.
    #[test]
    fn needs_are_kept_as_long_as_their_messages_are_listed_and_never_too_many() {
        let (needs, id) = (Needs::default(), Identity::in_place);
        assert!((0..1000).all(|n| needs.note(id(n), 7)) && !needs.note(id(1000), 7) && needs.note(id(5), 9));
        needs.begin();
        assert_eq!((needs.of(&id(5)), needs.of(&id(1000))), (9, 0));
        // The listing broke off: the others are not forgotten.
        needs.begin();
        assert_eq!(needs.of(&id(6)), 7);
        needs.all_listed();
        needs.begin();
        assert_eq!((needs.of(&id(5)), needs.of(&id(6))), (0, 7));
    }
}
