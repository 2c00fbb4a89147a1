//! `PUT /update`: a new version of a device that boots from a card image, brought by its operator.
//!
//! From the LAN, over TLS, with the operator's password (RFC 7617). The update is verified as it comes in; what is not
//! taken leaves nothing behind.

use std::io;
use std::net::IpAddr;

use data_encoding::BASE64;
use zeroize::Zeroizing;

use super::request::{CONTINUE, Request};
use super::{PATIENCE, Response};
use crate::access::Refusal;
use crate::board::ReceiveError;
use crate::board::update::LARGEST;
use crate::context::Context;
use crate::net::stream::Stream;
use crate::serving::Channel;

/// What is put.
pub const PATH: &str = "/update";

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
        log::warn!(
            "an update from {peer} is refused: {}",
            String::from_utf8_lossy(&response.content).trim_end()
        );
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
    let len = match request.length {
        None => {
            let words = "say how long it is, with Content-Length and not in chunks";
            return refused(Response::words("411 Length Required", words));
        }
        Some(len) if len > LARGEST => {
            let words = format!("an update has {LARGEST} octets at the most");
            return refused(Response::words("413 Content Too Large", &words));
        }
        Some(len) => len,
    };
    let mut begun = std::mem::take(&mut request.begun);
    let mut left = len;
    let next = async |buffer: &mut [u8]| {
        if std::mem::take(&mut request.expects_continue) {
            stream.queue(CONTINUE);
            context.time.deadline(PATIENCE, stream.flush()).await?;
        }
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let taken = if begun.is_empty() {
            let more = context.time.deadline(PATIENCE, stream.fill()).await?;
            let taken = take(more, &mut buffer[..wanted]);
            stream.consume(taken);
            taken
        } else {
            let taken = take(&begun, &mut buffer[..wanted]);
            begun.drain(..taken);
            taken
        };
        if taken == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the client has closed"));
        }
        left -= taken as u64;
        Ok(taken)
    };
    match device.receive(len, next).await {
        Ok(update) => {
            log::info!("an update from {peer} is taken: {update}");
            Ok((true, Response::words("202 Accepted", device.promise(&update).trim_end())))
        }
        Err(ReceiveError::Source(error)) => {
            log::warn!("an update from {peer} did not come to its end: {error}");
            Err(error)
        }
        Err(error) => refused(Response::words(status(&error), &error.to_string())),
    }
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
    buffer[..taken].copy_from_slice(&from[..taken]);
    taken
}

#[cfg(test)]
mod tests;
