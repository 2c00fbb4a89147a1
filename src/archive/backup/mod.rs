//! A backup: settings, keys, the queue and all mail as one tar stream (POSIX ustar), and back into a data folder.
//!
//! What is in it, in this order: [`FIRST`] says what it is; `config.postcard`, `login.key` and `tls/`; `queue/` and
//! `accounts/NAME/` as they lie in the data folder ([`crate::store::Snapshot`]: each as it was at one moment); and
//! [`LAST`] with the SHA-256 of all octets before its own header. The queue comes before the accounts: a message that
//! it delivers meanwhile is in both, and not in neither. Summaries and signatures are left out, for they are made anew.
//!
//! [`write()`] makes it, beside an appliance that serves too. [`read()`] puts it into a folder beside the data and believes
//! nothing before the end has come; [`place`] puts that in the place of what there was, whole at any cut.

pub mod place;
mod read;
mod tar;
#[cfg(test)]
mod tests;
mod write;

pub use read::{Contents, read};
pub use write::{Made, Sink, write};

/// The first member.
pub const FIRST: &str = "pillarbox-backup";
/// The last one.
pub const LAST: &str = "pillarbox-backup.end";
/// The stream's version: a reader refuses later ones.
const VERSION: u32 = 1;

/// The stored settings.
const CONFIG: &str = "config.postcard";
/// What else is there beside mail, and the folder of keys and certificates.
const LOGIN_KEY: &str = "login.key";
const TLS: &str = "tls";
/// Where mail is.
const QUEUE: &str = "queue";
const ACCOUNTS: &str = "accounts";

/// Octets that are handled at once.
const PIECE: usize = 64 * 1024;
/// No settings or keys are larger.
const LARGEST_SETTING: u64 = 2 << 20;
