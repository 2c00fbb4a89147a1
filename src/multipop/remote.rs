//! A mailbox elsewhere, whatever its protocol, as a state machine without I/O: what it can be asked, and what its octets mean.

use std::collections::VecDeque;

use super::Error;
use super::collection::Handle;
use super::errand::Feature;
use crate::store::Flags;

/// Messages that a listing may have.
pub const LISTING_LIMIT: u32 = 1_000_000;
/// What a mailbox elsewhere can be asked, and what its answers mean. Requests queue their lines for
/// [`RemoteMailbox::to_send`].
pub trait RemoteMailbox {
    /// Asks what is to be known of the server first.
    fn begin(&mut self);

    /// Asks for the names of the folders that fit a pattern (RFC 3501 section 6.3.8): false where there are none.
    fn list_folders(&mut self, pattern: &str) -> bool;

    /// Opens a folder and lists its messages, up to [`Event::AllListed`].
    fn list(&mut self, folder: &str);

    /// Asks for a message.
    fn fetch(&mut self, message: Handle);

    /// Asks for the header of a message alone, or for that and the beginning of its body: false where that cannot be had.
    fn head(&mut self, message: Handle, with_body: bool) -> bool;

    /// Asks for something whose answer tells that the last message is over, if that takes a request.
    fn confirm(&mut self);

    /// Asks for the deletion of as many of `messages` as one request may name. They are taken out.
    fn delete(&mut self, messages: &mut VecDeque<Handle>);

    /// Asks for that without which nothing is deleted, if that takes a request. Others may have messages of their own there that
    /// are marked as deleted, which are to stay.
    fn settle(&mut self, others_deleted: bool);

    /// Whether the server can tell of news by itself.
    fn waits(&self) -> bool;

    /// Asks it to, until [`RemoteMailbox::wake`].
    fn wait(&mut self);

    /// Ends that.
    fn wake(&mut self);

    /// Says goodbye, unless that is done.
    fn close(&mut self);

    /// Whether another request may be made now.
    fn has_room(&self) -> bool;

    /// What the server was asked first of all that is not answered, where that can be done without.
    fn asks(&self) -> Option<Feature>;

    /// Whether all requests are answered.
    fn is_idle(&self) -> bool;

    /// Whether something that has come is still to be told of: no octets need to come for it.
    fn has_more(&self) -> bool;

    /// The octets that are to be sent.
    fn to_send(&mut self) -> String;

    /// Takes octets from `input`, which is moved behind them, up to the next thing that means something.
    ///
    /// # Errors
    /// The server says goodbye or nothing that makes sense, or it cannot list its messages.
    fn receive<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Result<Event<'a>, Error>;
}

/// What a server's octets mean.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// They are used up.
    More,
    /// Something whole of which nothing follows.
    Other,
    /// A request is answered, and nothing follows of that; there may be something to be sent.
    Done,
    /// The name of a folder, in UTF-8.
    Folder(String),
    /// Something has changed, and was waited for.
    News,
    /// A message is there.
    Listed(Listed<'a>),
    /// These are all.
    AllListed {
        /// Whether what the server says about their number agrees.
        agrees: bool,
    },
    /// A part of the header that was asked for, or of the beginning of the body.
    Head(&'a [u8]),
    /// No more comes of that.
    HeadOver(Handle),
    /// A message begins; `None` for one that nobody asked for, which is passed over.
    Begun {
        /// Which one.
        message: Option<Handle>,
        /// How many octets it has, where the server cannot say less any more.
        octets: Option<u64>,
    },
    /// A part of it.
    Piece(&'a [u8]),
    /// It is whole as far as it alone can tell, and this is what the server tells of it.
    Whole(Attributes),
    /// A message at once.
    Message(Handle, Vec<u8>, Attributes),
    /// What follows a message that was whole makes sense: it was.
    Confirmed(Handle),
    /// A message does not come: it was removed meanwhile, or cannot be had.
    Absent(Handle),
    /// So many messages are deleted, or will be when all is settled.
    Deleted(u32),
    /// A request is refused; with the message that does not come, if it was for one.
    Refused {
        /// The command.
        command: String,
        /// The server's words.
        reason: String,
        /// What it was for.
        message: Option<Handle>,
    },
}

/// A message that a server lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed<'a> {
    /// What it is asked for by.
    pub message: Handle,
    /// What it is known by, whatever octets it has; empty for nothing that can be trusted.
    pub unique_id: &'a [u8],
    /// Octets, as far as the server knows.
    pub size: u64,
    /// It is marked as deleted.
    pub is_deleted: bool,
}

/// What a server tells of a message besides its octets.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Attributes {
    /// Flags.
    pub flags: Flags,
    /// Flags that are not RFC 3501's five.
    pub keywords: Vec<String>,
    /// INTERNALDATE, seconds since 1970 UTC.
    pub date: Option<i64>,
}
