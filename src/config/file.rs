//! `config.postcard`: the configuration on flash, checksummed, with the previous one beside it.

use std::io;

use super::Config;
use crate::flash::Flash;

/// What [`load`] found.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// Counts the saves.
    pub generation: u64,
    /// What the operator has to know when this is not the newest file: why, and what to do.
    pub notice: Option<String>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// Neither the file nor the previous one can be read.
    #[error("{path}: {problem}")]
    Damaged {
        /// The file.
        path: &'static str,
        /// What is wrong with it and what to do.
        problem: String,
    },
}

/// The stored configuration; `None` when there never was one.
///
/// # Errors
/// A file that cannot be read, and no previous one that can.
pub fn load(_flash: &dyn Flash) -> Result<Option<Loaded>, Error> {
    todo!()
}

/// Stores `config` and keeps the one before it. Returns when it is durable.
///
/// # Errors
/// What the system says; the configuration stored before is still there then.
pub async fn save(_flash: &dyn Flash, _config: &Config) -> Result<(), Error> {
    todo!()
}
