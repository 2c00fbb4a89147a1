//! FETCH responses (RFC 3501 section 7.4.2). They are streamed: no whole message is held here.

use std::borrow::Cow;
use std::io::{self, Write as _};
use std::ops::Range;

use super::section::{self, Octets, PIECE};
use crate::flash::ReadAt;
use crate::imap::commands::lazy_message::{LastStructure, LazyMessage, SharedSummaries};
use crate::imap::wire::command::{FetchItem, SectionText};
use crate::imap::wire::extension::Enabled;
use crate::imap::wire::words;
use crate::message::bodystructure::{Description, Form};
use crate::message::envelope::Envelope;
use crate::message::preview::Preview;
use crate::message::{date, nstring, summary};
use crate::net::stream::Stream;
use crate::pace::{Pace, STEP};
use crate::store::{Account, Error, Message};

/// Octets of a response that are gathered before they are sent.
const KEPT: usize = 8 * 1024;

/// A message, and what the session knows of it.
pub struct Fetched<'a> {
    /// Its sequence number.
    pub seq: u32,
    /// The message as the index holds it.
    pub message: Message,
    /// Its flags in their parentheses, `\Recent` included, for [`FetchItem::Flags`].
    pub flags: &'a str,
    /// What the client has enabled.
    pub enabled: Enabled,
}

/// Writes one untagged FETCH response with `items` in their order, in pieces, without holding a whole message. Parts
/// that cannot be read from flash, which is logged, are replaced by NIL, or by fewer octets that are padded with
/// spaces.
///
/// # Errors
/// Errors of the connection.
pub async fn write(
    stream: &mut Stream,
    account: &Account,
    fetched: Fetched<'_>,
    items: &[FetchItem],
    summaries: &SharedSummaries,
    last: &mut LastStructure,
    pace: &Pace,
) -> io::Result<Written> {
    let opened = LazyMessage::new(account, fetched.message, summaries);
    let mut response = Response {
        fetched,
        opened,
        last,
        pace,
        out: Vec::with_capacity(128),
        damaged: false,
        undecodable: false,
    };
    write!(response.out, "* {} FETCH (", response.fetched.seq)?;
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            response.out.push(b' ');
        }
        let before = response.out.len();
        response.item(stream, item).await?;
        response.send_much(stream, before).await?;
    }
    response.out.extend(b")\r\n");
    stream.write(&response.out).await?;
    Ok(Written { damaged: response.damaged, undecodable: response.undecodable })
}

/// What went wrong while a message was sent.
pub struct Written {
    /// Some of the message could not be read.
    pub damaged: bool,
    /// Some of the message is in an unknown encoding.
    pub undecodable: bool,
}

pub(super) struct Response<'a> {
    fetched: Fetched<'a>,
    pub(super) opened: LazyMessage<'a>,
    pub(super) last: &'a mut LastStructure,
    pub(super) pace: &'a Pace,
    /// Octets that were written and not sent yet.
    pub(super) out: Vec<u8>,
    damaged: bool,
    pub(super) undecodable: bool,
}

impl Response<'_> {
    /// Sends the written octets when there are many, and gives other sessions a turn when it is time. Before the
    /// current item there were `before` octets, unless some of it was sent already.
    async fn send_much(&mut self, stream: &mut Stream, before: usize) -> io::Result<()> {
        let written = self.out.len().checked_sub(before).unwrap_or(self.out.len()) as u64;
        self.pace.did(written + self.opened.take_octets_read()).await;
        if self.out.len() >= KEPT {
            stream.write(&self.out).await?;
            self.out.clear();
        }
        Ok(())
    }

    async fn item(&mut self, stream: &mut Stream, item: &FetchItem) -> io::Result<()> {
        let message = &self.fetched.message;
        let (part, text, partial) = match item {
            FetchItem::Uid => return write!(self.out, "UID {}", { message.uid }),
            FetchItem::Modseq => return write!(self.out, "MODSEQ ({})", { message.modseq }),
            FetchItem::Flags => return write!(self.out, "FLAGS {}", self.fetched.flags),
            FetchItem::EmailId => {
                self.out.extend(b"EMAILID (");
                let id = words::email_id(message);
                self.out.extend(id.as_bytes());
                self.out.push(b')');
                return Ok(());
            }
            FetchItem::Preview => return Box::pin(self.preview()).await,
            // RFC 8474 section 5.2: the reply of a server without threads.
            FetchItem::ThreadId => {
                self.out.extend(b"THREADID NIL");
                return Ok(());
            }
            FetchItem::Rfc822Size => return write!(self.out, "RFC822.SIZE {}", { message.size }),
            FetchItem::InternalDate => {
                self.out.extend(b"INTERNALDATE \"");
                date::write_internal(message.date.get(), &mut self.out);
                self.out.push(b'"');
                return Ok(());
            }
            FetchItem::SaveDate => {
                self.out.extend(b"SAVEDATE ");
                let Some(date) = message.save_date() else { return write!(self.out, "NIL") };
                self.out.push(b'"');
                date::write_internal(date, &mut self.out);
                self.out.push(b'"');
                return Ok(());
            }
            FetchItem::Envelope => {
                self.out.extend(b"ENVELOPE ");
                let written = self.opened.envelope(&mut self.out);
                if self.readable(written).is_none() {
                    Envelope::default().write(&mut self.out);
                }
                return Ok(());
            }
            // Boxed, here and below: a response is moved more than once, and most responses need none of these.
            FetchItem::BodyStructure { extensible } => {
                return Box::pin(self.structure(stream, *extensible)).await;
            }
            FetchItem::Binary { section, partial, .. } => {
                return Box::pin(self.binary(stream, section, *partial)).await;
            }
            FetchItem::BinarySize { section } => return Box::pin(self.binary_size(section)).await,
            FetchItem::Body { section, partial, .. } => {
                section::write_label("BODY", section, partial.map(|(origin, _)| origin), &mut self.out);
                (section.part.as_slice(), &section.text, *partial)
            }
            FetchItem::Rfc822 => {
                self.out.extend(b"RFC822");
                (&[][..], &SectionText::Whole, None)
            }
            FetchItem::Rfc822Header => {
                self.out.extend(b"RFC822.HEADER");
                (&[][..], &SectionText::Header, None)
            }
            FetchItem::Rfc822Text => {
                self.out.extend(b"RFC822.TEXT");
                (&[][..], &SectionText::Text, None)
            }
        };
        let octets = Box::pin(section::octets(&mut self.opened, part, text, self.last, self.pace)).await;
        let octets = self.readable(octets).flatten();
        self.send(stream, octets, partial).await
    }

    /// The result of a read. An error is logged, and makes the command fail in the end.
    pub(super) fn readable<T>(&mut self, read: Result<T, Error>) -> Option<T> {
        match read {
            Ok(read) => Some(read),
            Err(error) => {
                log::error!("imap: {error}");
                self.damaged = true;
                None
            }
        }
    }

    async fn preview(&mut self) -> io::Result<()> {
        self.out.extend(b"PREVIEW ");
        let preview = self.make_preview().await;
        // Section 3.2: NIL is for LAZY only, so the preview is empty when the message cannot be read.
        let preview = self.readable(preview).unwrap_or_default();
        nstring::string(preview.as_bytes(), &mut self.out);
        Ok(())
    }

    async fn make_preview(&mut self) -> Result<String, Error> {
        let structure = self.opened.structure(self.last, self.pace).await?;
        let mut preview = Preview::new(self.opened.body()?, &structure);
        let mut before = 0;
        let made = loop {
            match preview.step() {
                Ok(Some(made)) => break Ok(made),
                Ok(None) => self.pace.did(STEP.max(preview.passed() - before)).await,
                Err(error) => break Err(error),
            }
            before = preview.passed();
        };
        made.map_err(|error| self.opened.unreadable(error))
    }

    /// Writes BODY or BODYSTRUCTURE. It is sent part by part, since it may be long. A default stands for what cannot
    /// be read.
    async fn structure(&mut self, stream: &mut Stream, extensible: bool) -> io::Result<()> {
        self.out.extend(if extensible { &b"BODYSTRUCTURE "[..] } else { b"BODY " });
        let form = Form { extensible, rev2: self.fetched.enabled.rev2() };
        if form == summary::FORM
            && let Some(text) = self.opened.described()
        {
            self.out.extend_from_slice(text);
            return Ok(());
        }
        let structure = self.opened.structure(self.last, self.pace).await;
        let body = structure.and_then(|structure| self.opened.body().map(|_| structure));
        let Some(structure) = self.readable(body) else {
            // The grammar does not allow NIL here.
            self.out.extend(b"(\"text\" \"plain\" NIL NIL NIL \"7BIT\" 0 0)");
            return Ok(());
        };
        let Ok(body) = self.opened.body() else { return Ok(()) };
        let mut description = Description::new(body, &structure, form);
        let (mut before, mut failed) = (0, None);
        loop {
            let more = description.step(&mut self.out).unwrap_or_else(|error| {
                failed.get_or_insert(error);
                true
            });
            if !more {
                break;
            }
            self.pace.did(STEP.max(description.passed() - before)).await;
            before = description.passed();
            if self.out.len() >= KEPT {
                stream.write(&self.out).await?;
                self.out.clear();
            }
        }
        if let Some(error) = failed {
            let unreadable = self.opened.unreadable(error);
            self.readable::<()>(Err(unreadable));
        }
        Ok(())
    }

    /// Sends octets as a literal of exactly their length, or NIL when there are none.
    pub(super) async fn send(
        &mut self,
        stream: &mut Stream,
        octets: Option<Octets>,
        partial: Option<(u64, u64)>,
    ) -> io::Result<()> {
        let (held, mut places) = match octets {
            None => {
                self.out.extend(b" NIL");
                return Ok(());
            }
            Some(Octets::Held(text)) => {
                let all = 0..text.len() as u64;
                (Some(text), vec![all])
            }
            Some(Octets::Places(places)) => (None, places),
        };
        if let Some((origin, count)) = partial {
            section::clip(&mut places, origin, count);
        }
        let length: u64 = places.iter().map(|place| place.end - place.start).sum();
        if length == 0 {
            // Not `{0}`: after that iOS waits for more.
            self.out.extend(b" \"\"");
            return Ok(());
        }
        write!(self.out, " {{{length}}}\r\n")?;
        for place in places {
            match &held {
                Some(text) => {
                    let text = text.get(place.start as usize..place.end as usize);
                    self.out.extend_from_slice(&without_nul(text.unwrap_or_default()));
                }
                None => self.copy(stream, place).await?,
            }
        }
        Ok(())
    }

    /// Sends octets of the body. Their number was announced, so spaces are sent for octets that cannot be read.
    async fn copy(&mut self, stream: &mut Stream, place: Range<u64>) -> io::Result<()> {
        stream.write(&self.out).await?;
        self.out.clear();
        if let Ok(body) = self.opened.body()
            && let Some(whole) = body.in_memory()
            && let Some(octets) = whole.get(place.start as usize..place.end as usize)
        {
            return stream.write(&without_nul(octets)).await;
        }
        let mut piece = vec![b' '; (place.end - place.start).min(PIECE) as usize];
        let (mut at, mut lost) = (place.start, false);
        while at < place.end {
            piece.truncate((place.end - at).min(PIECE) as usize);
            if !lost {
                let read = self.opened.ask_body(|body| body.read_exact_at(at, &mut piece));
                lost = self.readable(read).is_none();
            } else {
                piece.fill(b' ');
            }
            stream.write(&without_nul(&piece)).await?;
            at += piece.len() as u64;
            self.pace.did(PIECE).await;
        }
        Ok(())
    }
}

/// The octets with 0x80 in place of NUL, which a literal must not contain (RFC 3501 section 9). The length stays the
/// same.
fn without_nul(octets: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(0, octets).is_none() {
        return octets.into();
    }
    octets.iter().map(|&octet| if octet == 0 { 0x80 } else { octet }).collect::<Vec<u8>>().into()
}
