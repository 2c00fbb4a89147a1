//! What a program says to whoever started it, where that is more than a log.
//!
//! Nobody may be there: a pipe that was closed, a disk that is full, a serial line that hung up. That is no reason to stop
//! serving mail, which `println!` would do by its panic.

use std::fmt::Display;
use std::io::{self, Write};

/// One line on standard output, if somebody takes it.
pub fn out(line: impl Display) {
    write(io::stdout().lock(), line);
}

/// One line on standard error, if somebody takes it.
pub fn err(line: impl Display) {
    write(io::stderr().lock(), line);
}

/// In one piece, so that what others write does not come in between.
fn write(mut to: impl Write, line: impl Display) {
    let _ = to.write_all(format!("{line}\n").as_bytes()).and_then(|()| to.flush());
}
