//! Reads the summaries of many messages, one after the other.

use std::io;
use std::ops::{Deref, Range};
use std::rc::Rc;

use super::Account;
use super::extracts::Kind;
use super::window::Window;
use crate::store::format::extracts::{Entry, Part, whose};
use crate::store::format::frame::Head;
use crate::store::format::{Message, Place};

/// The summaries of a segment are opened after so many of its messages were asked for in the order of the log. For
/// fewer messages it costs less to read the messages themselves.
const RUN: u32 = 3;

/// A caller that has asked for so many messages of one segment is expected to go on in the same way in the next one.
const LONG_RUN: u32 = 16;

/// Octets that are read at a time: about two frames.
const PIECE: usize = 16 * 1024;

/// Frames that are read for one message at most. The search for the next message continues after them.
const FRAMES: usize = 16;

/// Reads summaries that are asked for in the order of the log, or nearly so, as lists do. They are read ahead, one
/// frame at a time.
pub struct Summaries {
    account: Rc<Account>,
    version: u8,
    /// The place of the message that was asked for last.
    last: Place,
    /// How many messages before it were asked for in the order of the log.
    run: u32,
    open: Option<Open>,
    passed: u64,
}

/// The summaries of one segment.
struct Open {
    /// The file of summaries; `None` when there is none, or when all of it was read.
    window: Option<Window>,
    segment: u32,
    entries: Vec<Entry>,
    octets: Rc<Vec<u8>>,
    /// The index of the first entry that was not passed yet, and where its octets begin.
    next: (usize, usize),
}

/// The summary of a message: a part of the frame in which it was read, which is not copied.
pub struct HeldSummary {
    frame: Rc<Vec<u8>>,
    place: Range<usize>,
}

impl Deref for HeldSummary {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.frame.get(self.place.clone()).unwrap_or_default()
    }
}

impl Account {
    /// A reader of the summaries of this version.
    pub fn summaries(self: &Rc<Self>, version: u8) -> Summaries {
        Summaries { account: self.clone(), version, last: Place::default(), run: 0, open: None, passed: 0 }
    }
}

impl Summaries {
    /// The summary of a message; `None` when the message itself has to be read.
    pub fn of(&mut self, message: &Message) -> Option<HeldSummary> {
        let place = message.place();
        let (goes_on, is_here) = (self.last <= place, self.last.segment == place.segment);
        self.last = place;
        self.run = match goes_on {
            true if is_here => self.run.saturating_add(1),
            true if self.run >= LONG_RUN => RUN,
            _ => 0,
        };
        if !(goes_on && is_here) {
            self.open = None;
        }
        if self.run < RUN {
            return None;
        }
        let open = match &mut self.open {
            Some(open) => open,
            none => {
                let window =
                    self.account.open_extracts(Kind::Summary, place.segment).unwrap_or_else(|error| {
                        log::warn!("{}: summaries: {error}", self.account.name());
                        None
                    });
                none.insert(Open::new(window.map(|window| window.in_pieces(PIECE)), place.segment))
            }
        };
        open.find(&self.account, self.version, message, &mut self.passed)
    }

    /// The octets that were read since the last call, to be counted by the caller's [`crate::pace::Pace`].
    pub fn take_octets_read(&mut self) -> u64 {
        std::mem::take(&mut self.passed)
    }
}

impl Open {
    fn new(window: Option<Window>, segment: u32) -> Open {
        Open { window, segment, entries: Vec::new(), octets: Rc::default(), next: (0, 0) }
    }

    fn find(
        &mut self,
        account: &Account,
        version: u8,
        message: &Message,
        passed: &mut u64,
    ) -> Option<HeldSummary> {
        for _ in 0..FRAMES {
            if self.entries.last().is_some_and(|last| last.offset >= message.offset) {
                return self.in_frame(message);
            }
            self.next_frame(account, version).unwrap_or_else(|error| {
                log::warn!("{}: summaries: {error}", account.name());
                self.window = None;
            });
            self.window.as_ref()?;
            *passed += self.octets.len() as u64;
        }
        None
    }

    /// Looks for the message among the entries of the current frame, which ascend. The same message may be asked for
    /// twice.
    fn in_frame(&mut self, message: &Message) -> Option<HeldSummary> {
        let (mut n, mut at) = self.next;
        while let Some(entry) = self.entries.get(n)
            && entry.offset < message.offset
        {
            at += entry.octets as usize;
            n += 1;
        }
        self.next = (n, at);
        let entry = self.entries.get(n)?;
        // All messages that share one body share its entry.
        let is_own = entry.offset == message.offset && entry.whose == whose(message);
        is_own.then(|| HeldSummary { frame: self.octets.clone(), place: at..at + entry.octets as usize })
    }

    /// Reads the next frame. When there is none, drops the window.
    fn next_frame(&mut self, account: &Account, version: u8) -> io::Result<()> {
        (self.entries, self.octets, self.next) = (Vec::new(), Rc::default(), (0, 0));
        let Some(window) = &mut self.window else { return Ok(()) };
        if window.at_end()? {
            self.window = None;
            return Ok(());
        }
        match window.frame(true)? {
            Ok(frame) => match frame.head {
                Head::Known(Part::Extracts { version: own, entries }) if own == version => {
                    (self.entries, self.octets) = (entries, Rc::new(frame.body));
                }
                _ => {}
            },
            Err(_) => {
                account.make_extracts_anew(self.segment);
                self.window = None;
            }
        }
        Ok(())
    }
}
