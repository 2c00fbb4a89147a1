//! The errors of the store.

use std::io;

/// Why the store refused something. The words are for the log; each session chooses what its client is told.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    #[error("no such mailbox")]
    NoSuchMailbox,
    #[error("the mailbox exists already")]
    MailboxExists,
    /// The name is too long, contains control characters, an empty level or more than 16 levels; or the INBOX would
    /// be deleted, or a mailbox moved below itself.
    #[error("that name cannot be used for a mailbox: {0}")]
    BadName(&'static str),
    #[error("no such message")]
    NoSuchMessage,
    /// Too many in the mailbox, or in the whole account.
    #[error("there are too many annotations")]
    TooManyAnnotations,
    #[error("the annotation is too long")]
    AnnotationTooLong,
    /// More of something than an account may have, whatever its quota.
    #[error("the account has too many {0}")]
    Limit(&'static str),
    #[error("the flash is full")]
    Full,
    /// The flash is mounted read-only, or the medium takes no more changes: see [`crate::store::Store::read_only`].
    /// Reading is still possible.
    #[error("the flash takes no changes")]
    ReadOnly,
    #[error("the account's quota is used up")]
    OverQuota,
    /// A checksum does not match; `fsck` says more.
    #[error("damaged on flash: {0}")]
    Damaged(String),
    /// A sync failed: nothing written since is known to be durable. The account is read anew when it is used next.
    #[error("the flash failed, the account is closed: {0}")]
    Failed(String),
    #[error("{path}: {source}")]
    Io { path: String, source: io::Error },
}

impl Error {
    /// The error for what the system answered at the file or folder `path`.
    pub(super) fn io(path: &str, source: io::Error) -> Error {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::Full,
            io::ErrorKind::ReadOnlyFilesystem => Error::ReadOnly,
            _ => Error::Io { path: path.to_owned(), source },
        }
    }
}
