//! What a session knows: whether it has logged in, the selected mailbox with its sequence numbers, and what its
//! client must be told.

pub mod contexts;
pub mod enabled;
pub mod filters;
pub mod marks;
pub mod notify;
pub mod outcome;
pub mod own;
pub mod selected;
pub mod sequence_numbers;
pub mod session;
pub mod updates;
pub mod vanished;
