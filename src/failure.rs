//! Why the program ended without having done its work: one line, and an exit code.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;

/// Each kind has its exit code.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// What is wrong with a configuration file: lines of the form `FILE.toml:LINE: …`.
    Problems(Vec<String>),
    /// The input is wrong.
    Input(String),
    /// The command line is wrong.
    Usage(String),
    /// The system refused.
    System(String),
}

impl Failure {
    /// The system refused something that concerns `what`, which is no file.
    pub fn system(what: &str) -> impl FnOnce(io::Error) -> Failure {
        let what = what.to_owned();
        move |error| Failure::System(format!("{what}: {error}"))
    }

    /// The system refused something that concerns the file or folder `path`.
    pub fn at(path: &Path) -> impl FnOnce(io::Error) -> Failure {
        let path = path.display().to_string();
        move |error| {
            let what = match error.kind() {
                io::ErrorKind::NotFound => "there is no such file: check the path".to_owned(),
                io::ErrorKind::PermissionDenied => {
                    "permission denied: run pillarbox as the user whom it belongs to".to_owned()
                }
                io::ErrorKind::ReadOnlyFilesystem => {
                    "the file system is read-only: choose another place, or mount it for writing".to_owned()
                }
                io::ErrorKind::IsADirectory => "it is a folder: name a file".to_owned(),
                io::ErrorKind::NotADirectory => {
                    "a part of this path is a file, where a folder should be".to_owned()
                }
                io::ErrorKind::AlreadyExists => "there is a file of that name: choose another one".to_owned(),
                io::ErrorKind::StorageFull => "no room is left there: remove something".to_owned(),
                _ => error.to_string(),
            };
            Failure::System(format!("{path}: {what}"))
        }
    }

    /// What went wrong, without the program's name before it.
    pub fn words(&self) -> String {
        match self {
            Failure::Problems(lines) => lines.join("; "),
            Failure::Input(text) | Failure::Usage(text) | Failure::System(text) => text.clone(),
        }
    }

    /// 1: the input, 2: the command line, 3: the system.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Failure::Problems(_) | Failure::Input(_) => 1,
            Failure::Usage(_) => 2,
            Failure::System(_) => 3,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Problems(lines) => lines.iter().try_for_each(|line| writeln!(f, "{line}")),
            Failure::Input(text) | Failure::Usage(text) | Failure::System(text) => {
                writeln!(f, "pillarbox: {text}")
            }
        }
    }
}
