//! What the daemon knows of the board that it runs on, and how it asks for what only the supervisor can do.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use event_listener::Event;

use super::slots::Slot;
use super::update::Update;
use super::{Board, Identity, etc, time};
use crate::flash::Flash;

/// How long the last words to operators and clients have to leave.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How the daemon ends by itself: what the supervisor is to do then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Start the device anew.
    Restart,
    /// Apply the update that waits in the data folder, and start the device anew.
    Update,
    /// Start the device anew, from the other slot.
    Switch,
    /// Switch the device off.
    PowerOff,
    /// Start the daemon anew.
    RestartDaemon,
}

impl Ending {
    /// By which the supervisor knows.
    pub fn exit_code(self) -> u8 {
        match self {
            Ending::Restart => 40,
            Ending::Update => 41,
            Ending::Switch => 42,
            Ending::PowerOff => 43,
            Ending::RestartDaemon => 44,
        }
    }
}

/// For the operator: which board this is, and what runs on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// The board's name.
    pub board: String,
    /// The image's version.
    pub version: String,
    /// When it was made, in seconds since 1970 UTC: no part of it is newer.
    pub made: Option<u64>,
    /// The slot that runs.
    pub slot: Option<Slot>,
    /// Whether it is on trial still.
    pub trial: bool,
    /// Why the last update was not kept, if so.
    pub fallback: Option<String>,
    /// What the USB stick is, where one is mounted.
    pub stick: Option<String>,
    /// Memory of the whole device.
    pub memory: Option<Memory>,
}

/// Memory of the whole device, in octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// What the kernel has to give.
    pub total: u64,
    /// What is in use and cannot be given to somebody else.
    pub used: u64,
}

impl Memory {
    /// Of this moment.
    pub fn now() -> Option<Memory> {
        Memory::parse(&std::fs::read_to_string("/proc/meminfo").ok()?)
    }

    /// From the text of `/proc/meminfo` (proc_meminfo(5)).
    fn parse(text: &str) -> Option<Memory> {
        let field = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name))?;
            value.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
        };
        let total = field("MemTotal:")?;
        Some(Memory { total, used: total.checked_sub(field("MemAvailable:")?)? })
    }
}

/// `orangepi-pc, image 1.2.0 in slot A, on trial`.
impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, image {}", self.board, self.version)?;
        if let Some(slot) = self.slot {
            write!(f, " in slot {slot}")?;
        }
        f.write_str(if self.trial { ", on trial" } else { "" })
    }
}

/// A device that boots from a card image.
pub struct Device {
    pub(super) identity: Identity,
    pub(super) board: Board,
    /// The data folder, and its path.
    pub(super) flash: Rc<dyn Flash>,
    pub(super) data: PathBuf,
    /// Whether an update is coming in.
    pub(super) receiving: Cell<bool>,
    ending: Cell<Option<Ending>>,
    ended: Event,
}

impl Device {
    /// The device whose run folder is `run` and whose data folder is `flash`, at the path `data`.
    ///
    /// # Errors
    /// What the image says about itself cannot be read.
    pub fn new(board: Board, data: impl Into<PathBuf>, flash: Rc<dyn Flash>) -> io::Result<Device> {
        let device = Device::of(Identity::read(&etc())?, board, flash);
        Ok(Device { data: data.into(), ..device })
    }

    pub(crate) fn of(identity: Identity, board: Board, flash: Rc<dyn Flash>) -> Device {
        Device {
            identity,
            board,
            flash,
            data: PathBuf::new(),
            receiving: Cell::new(false),
            ending: Cell::new(None),
            ended: Event::new(),
        }
    }

    /// The run folder.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// How it stands now.
    pub fn standing(&self) -> Standing {
        Standing {
            board: self.identity.board.clone(),
            version: self.identity.version.clone(),
            made: time::made(&etc()),
            slot: self.board.slot(),
            trial: self.board.on_trial(),
            fallback: self.board.text("fallback"),
            stick: self.board.stick(),
            memory: Memory::now(),
        }
    }

    /// What an update that was taken leads to.
    pub fn promise(&self, update: &Update) -> String {
        format!(
            "{update}, {}\nthe device restarts and tries it; it is kept when it works, otherwise the device comes back \
             with the present version\n",
            update.beside(&self.identity.version)
        )
    }

    /// Ends the daemon in a moment. Of several endings the first counts.
    pub fn end(&self, ending: Ending) {
        if self.ending.get().is_none() {
            log::info!("the appliance ends: {ending:?}");
            self.ending.set(Some(ending));
            self.ended.notify(usize::MAX);
        }
    }

    /// Waits until [`Device::end`] was called, and a moment longer.
    pub async fn ended(&self) -> Ending {
        loop {
            let ended = self.ended.listen();
            if let Some(ending) = self.ending.get() {
                async_io::Timer::after(LAST_WORDS).await;
                return ending;
            }
            ended.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_supervisor_knows_by_the_exit_code() {
        let endings =
            [Ending::Restart, Ending::Update, Ending::Switch, Ending::PowerOff, Ending::RestartDaemon];
        assert_eq!(endings.map(Ending::exit_code), [40, 41, 42, 43, 44]);
    }

    #[test]
    fn memory_is_what_nobody_else_can_have() {
        let text = "MemTotal:          51200 kB\nMemFree:           10240 kB\nMemAvailable:      20480 kB\n";
        assert_eq!(Memory::parse(text), Some(Memory { total: 50 << 20, used: 30 << 20 }));
        for text in [
            "",
            "MemTotal: 1 kB\n",
            "MemTotal: 1 kB\nMemAvailable: 2 kB\n",
            "MemTotal: x kB\nMemAvailable: 2 kB\n",
        ] {
            assert_eq!(Memory::parse(text), None, "{text}");
        }
    }

    #[test]
    fn of_several_endings_the_first_counts() {
        let flash = Rc::new(crate::flash::sim::SimFlash::default());
        let device = Device::of(crate::board::pbu::identity(), Board::new("/nowhere"), flash);
        assert_eq!(device.standing().to_string(), "orangepi-pc, image 1.2.0");
        device.end(Ending::Update);
        device.end(Ending::PowerOff);
        assert_eq!(async_io::block_on(device.ended()), Ending::Update);
    }
}
