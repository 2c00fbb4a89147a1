//! A mailbox elsewhere, whatever its protocol, as a state machine without I/O: the requests to it, and what its
//! octets mean.

use std::collections::VecDeque;

use super::Error;
use super::collection::Handle;
use super::errand::Feature;
use crate::store::Flags;

/// Messages that a listing may have.
pub const LISTING_LIMIT: u32 = 1_000_000;
/// The requests to a mailbox elsewhere, and the meaning of its answers. Requests queue their lines for
/// [`RemoteMailbox::to_send`].
pub trait RemoteMailbox {
    /// Asks for what must be known of the server first.
    fn begin(&mut self);

    /// Asks for the names of the folders that match a pattern (RFC 3501 section 6.3.8). False where the protocol has
    /// no folders.
    fn list_folders(&mut self, pattern: &str) -> bool;

    /// Opens a folder and lists its messages, up to [`Event::AllListed`].
    fn list(&mut self, folder: &str);

    /// Asks for a message.
    fn fetch(&mut self, message: Handle);

    /// Asks for the header of a message, and `with_body` for the beginning of its body. False where that cannot be
    /// had.
    fn head(&mut self, message: Handle, with_body: bool) -> bool;

    /// Asks for something whose answer shows that the last message has ended, if that takes a request.
    fn confirm(&mut self);

    /// Asks for the deletion of as many of `messages` as one request may name, the last ones, and takes those out.
    fn delete(&mut self, messages: &mut VecDeque<Handle>);

    /// Asks for what makes deletions take effect, if that takes a request. With `others_deleted`, messages that
    /// others have marked as deleted are there, and are to stay.
    fn take_effect(&mut self, others_deleted: bool);

    /// Whether the server can push news.
    fn waits(&self) -> bool;

    /// Asks the server to push news, until [`RemoteMailbox::wake`].
    fn wait(&mut self);

    /// Ends the wait that [`RemoteMailbox::wait`] began.
    fn wake(&mut self);

    /// Says goodbye, unless that was done already.
    fn close(&mut self);

    /// Whether another request may be made now.
    fn has_room(&self) -> bool;

    /// What the oldest unanswered request asks for, if a poll can do without it.
    fn asks(&self) -> Option<Feature>;

    /// Whether all requests are answered.
    fn is_idle(&self) -> bool;

    /// Whether the next event needs no further octets.
    fn has_more(&self) -> bool;

    /// Whether the message that is coming may be over, though its end is not the one of the protocol: silence would
    /// tell.
    fn may_be_over(&self) -> bool {
        false
    }

    /// The server says nothing after [`RemoteMailbox::may_be_over`]: the message is over, unless nonsense follows.
    fn says_nothing(&mut self) {}

    /// Takes out the octets that are to be sent.
    fn to_send(&mut self) -> String;

    /// Takes octets from `input`, which is moved past them, up to the next event.
    ///
    /// # Errors
    /// The server says goodbye, does not speak the protocol, or cannot list its messages.
    fn receive<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Result<Event<'a>, Error>;
}

/// What a server's octets mean.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The input is used up.
    More,
    /// Something whole that needs no action.
    Other,
    /// A request is answered, without a further event. There may be something to send.
    Done,
    /// The name of a folder, in UTF-8.
    Folder(String),
    /// News came that were waited for.
    News,
    /// A message of the listing.
    Listed(Listed<'a>),
    /// The listing has ended.
    AllListed {
        /// Whether what the server says about the number of messages agrees with the list.
        agrees: bool,
    },
    /// A part of the header, or of the beginning of the body, that was asked for.
    Head(&'a [u8]),
    /// The header, or the beginning, of this message has ended.
    HeadOver(Handle),
    /// A message begins.
    Begun {
        /// Its handle; `None` for a message that was not asked for, which is passed over.
        message: Option<Handle>,
        /// Its length in octets, if the server has announced it and can no longer send fewer.
        octets: Option<u64>,
    },
    /// A part of the message.
    Piece(&'a [u8]),
    /// The message has ended as far as it can tell by itself; with what the server tells of it.
    Whole(Attributes),
    /// A whole message.
    Message(Handle, Vec<u8>, Attributes),
    /// What followed a message that had ended makes sense, so it really had.
    Confirmed(Handle),
    /// A message does not come: it was removed meanwhile, or cannot be had.
    Absent(Handle),
    /// So many messages are deleted, or will be once the deletions take effect.
    Deleted(u32),
    /// A request is refused.
    Refused {
        /// The command.
        command: String,
        /// The server's words.
        reason: String,
        /// The message that does not come, if the request was for one.
        message: Option<Handle>,
    },
}

/// A message that a server lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed<'a> {
    /// The handle by which it is asked for.
    pub message: Handle,
    /// Its unique-id, which may hold any octets; empty if there is none that can be trusted.
    pub unique_id: &'a [u8],
    /// Its size in octets, as far as the server knows.
    pub size: u64,
    /// Whether it is marked as deleted.
    pub is_deleted: bool,
}

/// What a server tells of a message besides its octets.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Attributes {
    /// The system flags.
    pub flags: Flags,
    /// The flags that are not RFC 3501's system flags.
    pub keywords: Vec<String>,
    /// INTERNALDATE, seconds since 1970 UTC.
    pub date: Option<i64>,
}
