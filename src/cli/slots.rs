//! `board state`, `apply`, `confirm`, `failed` and `switch`: what the scripts of a card image do with its two slots, as root,
//! while the daemon runs or not.

use std::fs::File;
use std::io::IsTerminal;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use pillarbox::board::apply::{ApplyError, Step, apply};
use pillarbox::board::slots::{Slot, Slots, SlotsError};
use pillarbox::board::{self, Board, Identity};
use pillarbox::failure::Failure;
use rustix::fs::OFlags;

use super::arguments::{BOARD, DATA, Given, Operand, Verb};
use super::print;

/// A request about the slots on the partition `slots`.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    pub slots: PathBuf,
    /// The run folder, which tells which slot runs.
    pub run: PathBuf,
    pub what: What,
}

#[derive(Debug, PartialEq, Eq)]
pub enum What {
    State,
    Apply { data: PathBuf },
    Confirm,
    Failed { reason: String },
    Switch,
}

const SLOTS: Operand = Operand::Needed("SLOTS");

/// The verbs, in the order of `help board`.
pub const VERBS: &[Verb] = &[
    Verb {
        name: "board state",
        operands: &[SLOTS],
        options: &[],
        help: "print the boot state of the partition SLOTS as assignments for sh: ACTIVE, TRY, TRIED, REASON",
        request: |given| request(given, What::State),
    },
    Verb {
        name: "board apply",
        operands: &[SLOTS],
        options: &[DATA, BOARD],
        help: "verify DIR/update.pbu, write it to the slot that is not running, and have the next start try it",
        request: |given| request(given, What::Apply { data: given.data() }),
    },
    Verb {
        name: "board confirm",
        operands: &[SLOTS],
        options: &[BOARD],
        help: "the slot that runs works: it is started from now on",
        request: |given| request(given, What::Confirm),
    },
    Verb {
        name: "board failed",
        operands: &[SLOTS, Operand::Needed("REASON")],
        options: &[BOARD],
        help: "the slot that is on trial does not work: keep the reason for the version that the next start falls back to",
        request: |given| {
            let reason = given.operand(1).display().to_string();
            request(given, What::Failed { reason })
        },
    },
    Verb {
        name: "board switch",
        operands: &[SLOTS],
        options: &[BOARD],
        help: "have the next start try the slot that is not running",
        request: |given| request(given, What::Switch),
    },
];

fn request(given: &Given, what: What) -> super::Request {
    let run = given.path(BOARD.name).unwrap_or_else(|| PathBuf::from("/run/pillarbox"));
    super::Request::Slots(Request { slots: given.operand(0), run, what })
}

/// Carries out `request`.
pub fn carry_out(request: Request) -> Result<(), Failure> {
    let Request { slots, run, what } = request;
    let device =
        |write: bool| File::options().read(true).write(write).open(&slots).map_err(Failure::at(&slots));
    let running = || running(&Board::new(&run));
    match what {
        // The state on the partition is the same, whichever slot runs.
        What::State => print(&format!("{}\n", Slots::new(device(false)?, Slot::A).state().map_err(refused)?)),
        What::Apply { data } => {
            apply_update(&data.join(board::UPDATE), &Slots::new(device(true)?, running()?))
        }
        What::Confirm => Slots::new(device(true)?, running()?).confirm().map_err(refused),
        What::Failed { reason } => Slots::new(device(true)?, running()?).failed(&reason).map_err(refused),
        What::Switch => {
            let slot = Slots::new(device(true)?, running()?).switch().map_err(refused)?;
            print(&format!("the next start tries slot {slot}\n"))
        }
    }
}

fn running(board: &Board) -> Result<Slot, Failure> {
    board.slot().ok_or_else(|| {
        let file = board.file("slot");
        Failure::System(format!("{}: it does not say which slot runs, A or B", file.display()))
    })
}

fn refused(error: SlotsError) -> Failure {
    match error {
        SlotsError::OnTrial(_) | SlotsError::TooLarge | SlotsError::Empty(_) => {
            Failure::Input(error.to_string())
        }
        SlotsError::Read(_) | SlotsError::Write(_) | SlotsError::ReadBack(_) => {
            Failure::System(error.to_string())
        }
    }
}

/// Applies the update in `path`. An update that was applied is removed, and so is one that can never be applied. One that was
/// refused because of the card or the moment stays.
fn apply_update(path: &Path, slots: &Slots<File>) -> Result<(), Failure> {
    let identity = Identity::read(&board::etc()).map_err(Failure::at(&board::etc()))?;
    let shown = Shown::new();
    // The folder belongs to the daemon: a link in it must not lead root elsewhere.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path);
    let mut file = file.map_err(Failure::at(path))?;
    if !file.metadata().map_err(Failure::at(path))?.is_file() {
        return Err(Failure::Input(format!("{}: this is no file", path.display())));
    }
    let outcome = apply(&mut file, &identity, slots, |step, done, of| shown.step(step, done, of));
    shown.end();
    if matches!(outcome, Ok(_) | Err(ApplyError::Refused(_))) {
        std::fs::remove_file(path).map_err(Failure::at(path))?;
    }
    match outcome {
        Ok(update) => print(&format!("the next start tries {update}\n")),
        Err(ApplyError::Slots(error)) => Err(refused(error)),
        Err(error @ ApplyError::Refused(_)) => Err(Failure::Input(error.to_string())),
        Err(error @ ApplyError::Read(_)) => Err(Failure::System(error.to_string())),
    }
}

/// A progress bar on the terminal; none where standard error is no terminal.
struct Shown(Option<ProgressBar>);

impl Shown {
    fn new() -> Shown {
        Shown(std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{msg:12} [{bar:30}] {percent:>3} %");
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(0).with_style(style.progress_chars("=> "))
        }))
    }

    fn step(&self, step: Step, done: u64, of: u64) {
        if let Some(bar) = &self.0 {
            bar.set_message(match step {
                Step::Verifying => "verifying",
                Step::Writing => "writing",
                Step::ReadingBack => "reading back",
            });
            bar.set_length(of);
            bar.set_position(done);
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
