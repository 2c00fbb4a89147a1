//! The engine of the mail store: makes commits durable, and finds them again when an account is opened.

mod account;
mod body;
mod checkpoint;
mod commit;
mod compaction;
mod extracts;
mod folders;
mod fsck;
mod last_lines;
mod log;
mod long;
mod recovery;
mod replay;
mod restored;
mod room;
mod scan;
mod snapshot;
mod store;
mod summaries;
mod sync;
#[cfg(test)]
mod torture;
mod transaction;
mod trouble;
mod unclaimed;
mod watcher;
mod window;

pub use account::Account;
pub use body::{Body, Incoming};
pub use extracts::Extracts;
pub use folders::{Owner, note_owners};
pub use fsck::Report;
pub use restored::Renewed;
pub use snapshot::{Piece, Snapshot};
pub use store::Store;
pub use summaries::{HeldSummary, Summaries};
pub use transaction::Transaction;
pub use unclaimed::{Unclaimed, means_unclaimed};
pub use watcher::Watcher;

use store::Sizes;
