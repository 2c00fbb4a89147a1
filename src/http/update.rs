//! A new version of a device that boots from a card image, brought by its operator: by `PUT /update`, or by the form of a page.
//!
//! From the LAN, over TLS, with the operator's password (RFC 7617, or typed into the form). The update is verified as it comes in; what is not
//! taken leaves nothing behind.

use std::io;
use std::net::IpAddr;

use data_encoding::BASE64;
use zeroize::Zeroizing;

use super::form::Form;
use super::request::{CONTINUE, Method, Request};
use super::visit::Visit;
use super::{PATIENCE, Response, Site, multipart, pages};
use crate::access::Refusal;
use crate::board::ReceiveError;
use crate::board::device::Device;
use crate::board::update::{LARGEST, Update};
use crate::context::Context;
use crate::net::stream::Stream;
use crate::serving::Channel;

/// What is put.
pub const PATH: &str = "/update";
/// Where the operator does it with a browser.
pub const PAGE: &str = "/server/update";

const CHALLENGE: &str = "WWW-Authenticate: Basic realm=\"operator\", charset=\"UTF-8\"\r\n";
/// RFC 6585 section 4.
const TOO_MANY: &str = "429 Too Many Requests";
/// Seconds (RFC 9110 section 10.2.3) after which the logins that wait are answered.
const RETRY_AFTER: &str = "Retry-After: 60\r\n";

/// Takes an update: whether it is there now, and what the client hears. After `true` the device has to be updated.
pub async fn put(
    stream: &mut Stream,
    context: &Context,
    request: &mut Request,
) -> io::Result<(bool, Response)> {
    let peer = stream.peer().ip();
    let refused = |response: Response| {
        log::warn!("an update from {peer} is refused: {}", response.text());
        Ok((false, response))
    };
    let Some(device) = &context.device else {
        return refused(Response::words("404 Not Found", "this appliance does not run from a card image"));
    };
    if !Channel::new(peer, stream.is_tls()).is_private() {
        return refused(Response::words("403 Forbidden", "a password is taken over https only"));
    }
    match authorize(context, peer, request).await {
        Ok(()) => {}
        // The log is told once a minute by `Logins`: whoever comes again at once must not fill it.
        Err(response) if response.status == TOO_MANY => return Ok((false, response)),
        Err(response) => return refused(response),
    }
    let Some(len) = request.length else {
        let words = "say how long it is, with Content-Length and not in chunks";
        return refused(Response::words("411 Length Required", words));
    };
    let mut content = Content::of(stream, request, len);
    match content.update(context, device).await? {
        Ok(update) => Ok((true, Response::words("202 Accepted", device.promise(&update).trim_end()))),
        Err(response) => refused(response),
    }
}

/// What follows the head of a request, from its beginning, which came with the head, to its end.
struct Content<'a> {
    stream: &'a mut Stream,
    begun: Vec<u8>,
    expects_continue: bool,
    /// Octets that are to come, those of `begun` among them.
    left: u64,
}

impl<'a> Content<'a> {
    fn of(stream: &'a mut Stream, request: &mut Request, len: u64) -> Content<'a> {
        let begun = std::mem::take(&mut request.begun);
        Content { stream, begun, expects_continue: std::mem::take(&mut request.expects_continue), left: len }
    }

    /// The next octets, in `buffer`: so many; none at the end.
    async fn next(&mut self, context: &Context, buffer: &mut [u8]) -> io::Result<usize> {
        if std::mem::take(&mut self.expects_continue) {
            self.stream.queue(CONTINUE);
            context.time.deadline(PATIENCE, self.stream.flush()).await?;
        }
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = buffer.get_mut(..wanted).unwrap_or_default();
        if wanted == 0 {
            return Ok(0);
        }
        let taken = if self.begun.is_empty() {
            let more = context.time.deadline(PATIENCE, self.stream.fill()).await?;
            let taken = take(more, buffer);
            self.stream.consume(taken);
            taken
        } else {
            let taken = take(&self.begun, buffer);
            self.begun.drain(..taken);
            taken
        };
        if taken == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the client has closed"));
        }
        self.left -= taken as u64;
        Ok(taken)
    }

    /// Takes what is left as an update; `Err` with what answers one that is not taken.
    async fn update(&mut self, context: &Context, device: &Device) -> io::Result<Result<Update, Response>> {
        let (peer, len) = (self.stream.peer().ip(), self.left);
        if len > LARGEST {
            let words = format!("an update has {LARGEST} octets at the most");
            return Ok(Err(Response::words("413 Content Too Large", &words)));
        }
        match device.receive(len, async |buffer: &mut [u8]| self.next(context, buffer).await).await {
            Ok(update) => {
                log::info!("an update from {peer} is taken: {update}");
                Ok(Ok(update))
            }
            Err(ReceiveError::Source(error)) => {
                log::warn!("an update from {peer} did not come to its end: {error}");
                Err(error)
            }
            Err(error) => Ok(Err(Response::words(status(&error), &error.to_string()))),
        }
    }
}

/// Whether it is the form of the page, with an update as its file.
pub fn is_uploaded(request: &Request) -> bool {
    let is_form = request.content_type.as_deref().is_some_and(|kind| multipart::boundary(kind).is_some());
    request.method == Method::Post && request.path == PAGE && is_form
}

/// Takes that, as [`put`] takes what a program sends. The fields come first: nothing of the file is read before it is clear who
/// sends it.
pub async fn upload(stream: &mut Stream, site: &Site, request: &mut Request) -> io::Result<(bool, Response)> {
    let (context, peer, is_tls) = (&site.operator.context, stream.peer().ip(), stream.is_tls());
    let kind = request.content_type.clone().unwrap_or_default();
    let (Some(boundary), Some(length), Some(device)) =
        (multipart::boundary(&kind), request.length, &context.device)
    else {
        return Ok((false, Response::error("400 Bad Request")));
    };
    let mut content = Content::of(stream, request, length);
    let mut begin = Zeroizing::new(Vec::with_capacity(multipart::LONGEST));
    let read = loop {
        let mut piece = Zeroizing::new([0; 512]);
        let room = (multipart::LONGEST - begin.len()).min(piece.len());
        let taken = content.next(context, piece.get_mut(..room).unwrap_or_default()).await?;
        begin.extend_from_slice(piece.get(..taken).unwrap_or_default());
        match multipart::begin(boundary, &begin) {
            Some(Ok(read)) => break read,
            None if taken > 0 => {}
            _ => return Ok((false, Response::error("400 Bad Request"))),
        }
    };
    // What was read of the file goes back, and what stands behind it is none of it.
    let of_file = begin.get(read.file..).unwrap_or_default();
    let behind = multipart::end(boundary).len() as u64;
    let Some(left) = (content.left + of_file.len() as u64).checked_sub(behind) else {
        return Ok((false, Response::error("400 Bad Request")));
    };
    content.begun.splice(..0, of_file.iter().copied());
    content.left = left;
    let visit = Visit::new(site, request, Form::of(read.fields), peer, is_tls);
    if let Some(response) = pages::update::refusal(&visit).await {
        return Ok((false, response));
    }
    let outcome = content.update(context, device).await?;
    if let Err(response) = &outcome {
        log::warn!("an update from {peer} is refused: {}", response.text());
    }
    // The client hears the answer once all that it sends is taken. One that has gone does not undo what is taken.
    content.left = behind;
    while outcome.is_ok() && content.next(context, &mut [0; 128]).await.is_ok_and(|taken| taken > 0) {}
    Ok((outcome.is_ok(), pages::update::outcome(&visit, device, outcome)))
}

async fn authorize(context: &Context, peer: IpAddr, request: &Request) -> Result<(), Response> {
    let config = context.config();
    if !config.server.operator_verifier.is_set() {
        let words =
            "there is no operator's password: `password server.operator_password` on the console sets one";
        return Err(Response::words("403 Forbidden", words));
    }
    let challenge =
        Response::words("401 Unauthorized", "the operator's login and password are wanted").with(CHALLENGE);
    let Some((login, password)) = request.authorization.as_deref().and_then(|field| credentials(field))
    else {
        return Err(challenge);
    };
    context.logins.operator(&config, peer, &login, &password).await.map_err(|refusal| match refusal {
        // The password was not looked at, so it is not called wrong.
        Refusal::TooManyWait => {
            Response::words(TOO_MANY, "too many logins from your address wait, try again later")
                .with(RETRY_AFTER)
        }
        _ => challenge,
    })
}

/// RFC 7617: login and password.
fn credentials(field: &str) -> Option<(String, Zeroizing<Vec<u8>>)> {
    let (scheme, encoded) = field.split_once(' ')?;
    let octets = Zeroizing::new(BASE64.decode(encoded.trim().as_bytes()).ok()?);
    let colon = octets.iter().position(|&octet| octet == b':')?;
    let (login, password) = octets.split_at(colon);
    let login = std::str::from_utf8(login).ok()?.to_owned();
    let password = Zeroizing::new(password.get(1..)?.to_vec());
    scheme.eq_ignore_ascii_case("basic").then_some((login, password))
}

fn status(error: &ReceiveError) -> &'static str {
    match error {
        ReceiveError::Refused(_) => "422 Unprocessable Content",
        ReceiveError::NoRoom { .. } => "507 Insufficient Storage",
        ReceiveError::Busy | ReceiveError::OnTrial => "409 Conflict",
        ReceiveError::Flash(_) | ReceiveError::Source(_) | ReceiveError::NoFile { .. } => {
            "500 Internal Server Error"
        }
    }
}

fn take(from: &[u8], buffer: &mut [u8]) -> usize {
    let taken = from.len().min(buffer.len());
    buffer.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    taken
}

#[cfg(test)]
mod tests;
