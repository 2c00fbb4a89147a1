//! Whether the flash has room for what is to be written. `docs/store.md`, "Room", lists the reserves and says why
//! they suffice.

use std::cell::Cell;
use std::rc::Rc;

use crate::flash::{Flash, Space};

/// The approximate octets of a record, without summaries and other long fields.
pub(super) const A_RECORD: u64 = 64;

/// What room is needed for. The more important the use, the smaller the reserve that it must leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// New mail.
    Mail,
    /// Flags, mailboxes, subscriptions and other small changes.
    Change,
    /// Compaction, which gives back more than it takes.
    Compaction,
    /// Commits that delete something, or note what became of a stored message.
    Deletion,
}

/// The room of a flash, which all its accounts share.
pub struct Room {
    flash: Rc<dyn Flash>,
    /// Octets that the next checkpoints of the open accounts will take.
    checkpoints: Cell<u64>,
    /// Octets of messages that have been announced and are not written yet.
    announced: Cell<u64>,
}

impl Room {
    /// The room of `flash`.
    pub fn new(flash: Rc<dyn Flash>) -> Room {
        Room { flash, checkpoints: Cell::new(0), announced: Cell::new(0) }
    }

    /// The space of the flash; all zero when the flash does not tell.
    pub fn space(&self) -> Space {
        self.flash.space().unwrap_or_default()
    }

    /// Octets that may be written for `purpose` now.
    pub fn left_for(&self, purpose: Use) -> u64 {
        let space = self.space();
        let leave = match purpose {
            Use::Mail => space.reserve() + self.announced.get(),
            Use::Change => space.change_reserve(),
            Use::Compaction => space.last_reserve(),
            Use::Deletion => return space.free,
        };
        space.free.saturating_sub(leave + self.checkpoints.get())
    }

    /// Whether `octets` may be written for `purpose` now.
    pub fn allows(&self, purpose: Use, octets: u64) -> bool {
        octets <= self.left_for(purpose)
    }
}

/// Octets that are reserved until this value is dropped: for coming checkpoints, or for messages that are being
/// received.
pub struct Share {
    room: Rc<Room>,
    of: fn(&Room) -> &Cell<u64>,
    octets: Cell<u64>,
}

impl Share {
    /// A share of the octets for coming checkpoints.
    pub fn of_checkpoints(room: &Rc<Room>) -> Share {
        Share { room: room.clone(), of: |room| &room.checkpoints, octets: Cell::new(0) }
    }

    /// A share of the octets for announced messages.
    pub fn of_announced(room: &Rc<Room>) -> Share {
        Share { room: room.clone(), of: |room| &room.announced, octets: Cell::new(0) }
    }

    /// The octets of the share.
    pub fn octets(&self) -> u64 {
        self.octets.get()
    }

    /// Sets the octets of the share.
    pub fn set(&self, octets: u64) {
        let all = (self.of)(&self.room);
        all.set(all.get().saturating_sub(self.octets.replace(octets)) + octets);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}
