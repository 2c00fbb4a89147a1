//! Puts the parts together, starts and stops them.

use std::path::PathBuf;
use std::process::ExitCode;

/// What `pillarbox run` was told on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOptions {
    /// The data folder.
    pub data: PathBuf,
    /// A TOML file to check and import first.
    pub config: Option<PathBuf>,
    /// A serial device that gets an operator's console.
    pub serial: Option<PathBuf>,
}

/// Serves in the foreground until a signal ends it. What went wrong is printed as one line.
pub fn run(_options: RunOptions) -> ExitCode {
    todo!()
}
