//! Why the store refuses.

use std::io;

/// Why the store refused. The words are for the log; what a client hears is its session's choice.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    #[error("no such mailbox")]
    NoSuchMailbox,
    #[error("the mailbox exists already")]
    MailboxExists,
    /// Inferiors, reserved names, names that are too long or hold control characters.
    #[error("that name cannot be used for a mailbox: {0}")]
    BadName(&'static str),
    #[error("no such message")]
    NoSuchMessage,
    /// Of the mailbox, or of the account in all.
    #[error("there are too many annotations")]
    TooManyAnnotations,
    #[error("the annotation is too long")]
    AnnotationTooLong,
    /// More of these than an account may have, whatever its quota.
    #[error("the account has too many {0}")]
    Limit(&'static str),
    #[error("the flash is full")]
    Full,
    /// Mounted read-only, or the medium takes nothing any more: see [`crate::store::Store::read_only`]. Reading goes on.
    #[error("the flash takes no changes")]
    ReadOnly,
    #[error("the account's quota is used up")]
    OverQuota,
    /// Found by a checksum; `fsck` says more.
    #[error("damaged on flash: {0}")]
    Damaged(String),
    /// A sync failed: nothing written since is durable. The account is read anew at its next use.
    #[error("the flash failed, the account is closed: {0}")]
    Failed(String),
    #[error("{path}: {source}")]
    Io { path: String, source: io::Error },
}

impl Error {
    /// What the system said of the file or folder at `path`.
    pub(super) fn io(path: &str, source: io::Error) -> Error {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::Full,
            io::ErrorKind::ReadOnlyFilesystem => Error::ReadOnly,
            _ => Error::Io { path: path.to_owned(), source },
        }
    }
}
