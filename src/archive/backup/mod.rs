//! Backups: settings, keys, the queue and all mail as one tar stream (POSIX ustar), and back into a data folder.
//!
//! The members, in this order: [`FIRST`] tells that it is a backup; `config.postcard`, `login.key` and `tls/`;
//! `queue/` and `accounts/NAME/` with the files of the data folder ([`crate::store::Snapshot`]: each as it was at one
//! moment); and [`LAST`] with the SHA-256 of all octets before its own header. The queue comes before the accounts,
//! so that a message which it delivers meanwhile is in both, and not in neither. Summaries and signatures are left
//! out, since they are made anew.
//!
//! [`write()`] makes a backup, also while the appliance serves. [`read()`] puts it into a folder beside the data, and
//! relies on nothing before the end has come. [`place`] puts that folder in the place of the data, completely or not
//! at all at any power cut.

pub mod place;
mod read;
mod tar;
#[cfg(test)]
mod tests;
mod write;

pub use read::{Contents, read};
pub use write::{Made, Sink, write};

/// The name of the first member.
pub const FIRST: &str = "pillarbox-backup";
/// The name of the last member.
pub const LAST: &str = "pillarbox-backup.end";
/// The stream's version: a reader refuses later ones.
const VERSION: u32 = 1;

/// The file of the stored settings.
const CONFIG: &str = "config.postcard";
/// The file of the key for refusals of logins.
const LOGIN_KEY: &str = "login.key";
/// The folder of keys and certificates.
const TLS: &str = "tls";
/// The folder of the queue.
const QUEUE: &str = "queue";
/// The folder of the accounts.
const ACCOUNTS: &str = "accounts";

/// Octets that are handled at once, at most.
const PIECE: usize = 64 * 1024;
/// Octets of a file of settings or keys, at most.
const LARGEST_SETTING: u64 = 2 << 20;
