//! The command line's side of the console socket. Blocking: it runs in a process of its own, never in the appliance's.

use std::path::Path;

/// How talking to the appliance ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No appliance is running on this data folder.
    #[error("no appliance is running on {0}: start one with `pillarbox run --data {0}`")]
    NotRunning(String),
    /// The appliance refused; its own words.
    #[error("{0}")]
    Refused(String),
    /// The socket failed.
    #[error("{path}: {source}")]
    Io {
        /// The socket.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
}

/// The operator's console on the terminal, or with commands from standard input when that is no terminal.
///
/// # Errors
/// As [`run`].
pub fn interactive(_data: &Path) -> Result<(), Error> {
    todo!()
}

/// Runs the console command `command` and prints what it says.
///
/// # Errors
/// No appliance, or the first command that was refused (what it said is printed already).
pub fn run(_data: &Path, _command: &str) -> Result<(), Error> {
    todo!()
}

/// Tells the running appliance that the stored configuration has changed, and waits until it is in force.
///
/// # Errors
/// [`Error::NotRunning`] is no failure for `pillarbox import`; [`Error::Refused`] says why it is not in force.
pub fn reload(_data: &Path) -> Result<(), Error> {
    todo!()
}
