//! The head of a request (RFC 9112), as much of it as matters here.

use std::io;

use zeroize::Zeroizing;

use super::authority::Authority;
use super::{GET, Response, session, update};
use crate::net::stream::Stream;

/// Octets of a request's head.
const HEAD_MAX: usize = 8 * 1024;
/// Header fields of a request.
const FIELDS_MAX: usize = 64;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// To show a page.
    Get,
    /// To show how it would be shown.
    Head,
    /// To take something.
    Put,
    /// To do what a form says.
    Post,
}

/// A request, up to the end of its head.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// What is to be done.
    pub method: Method,
    /// Whom it is for.
    pub authority: Authority,
    /// Without what stands behind a question mark.
    pub path: String,
    /// That.
    pub query: String,
    /// The value of our cookie.
    pub cookie: Option<Zeroizing<String>>,
    /// The field `Origin` (RFC 6454 section 7).
    pub origin: Option<String>,
    /// The field `Accept-Language`.
    pub language: Option<String>,
    /// The field `Content-Type`.
    pub content_type: Option<String>,
    /// The field `Authorization`.
    pub authorization: Option<Zeroizing<String>>,
    /// Octets of the content that follows, where the client says how many. One that sends in chunks does not.
    pub length: Option<u64>,
    /// The client waits for `100 Continue` before it sends the content (RFC 9110 section 10.1.1).
    pub expects_continue: bool,
    /// The beginning of the content, which came with the head.
    pub begun: Vec<u8>,
}

/// Reads the head of a request; `None` when there is none, `Err` with what answers a bad one.
pub async fn read(stream: &mut Stream) -> io::Result<Option<Result<Box<Request>, Response>>> {
    let mut head = Zeroizing::new(Vec::new());
    loop {
        let more = stream.fill().await?;
        if more.is_empty() {
            return Ok(None);
        }
        // It may hold a password, which would stay behind where it grows.
        let room = HEAD_MAX + 1 - head.len();
        head.reserve_exact(room);
        let more = more.get(..room).unwrap_or(more);
        head.extend_from_slice(more);
        let taken = more.len();
        stream.consume(taken);
        if let Some(parsed) = parse(&head) {
            return Ok(Some(parsed.map(Box::new)));
        }
    }
}

/// Takes the content of `request`, at most `most` octets of it, and leaves none there; `Err` with what answers one that is not
/// taken.
pub async fn content(
    stream: &mut Stream,
    request: &mut Request,
    most: usize,
) -> io::Result<Result<Zeroizing<Vec<u8>>, Response>> {
    let refused = |status| Ok(Err(Response::error(status)));
    let Some(length) = request.length else { return refused("411 Length Required") };
    let Some(length) = usize::try_from(length).ok().filter(|length| *length <= most) else {
        return refused("413 Content Too Large");
    };
    // It may hold a password, which would stay behind where it grows.
    let mut content = Zeroizing::new(Vec::with_capacity(length));
    let begun = Zeroizing::new(std::mem::take(&mut request.begun));
    content.extend_from_slice(begun.get(..begun.len().min(length)).unwrap_or_default());
    if std::mem::take(&mut request.expects_continue) {
        stream.queue(CONTINUE);
        stream.flush().await?;
    }
    while content.len() < length {
        let more = stream.fill().await?;
        if more.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the client has closed"));
        }
        let taken = more.len().min(length - content.len());
        content.extend_from_slice(more.get(..taken).unwrap_or_default());
        stream.consume(taken);
    }
    Ok(Ok(content))
}

/// RFC 9110 section 15.2.1.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

const BAD: &str = "400 Bad Request";
const TOO_LARGE: &str = "431 Request Header Fields Too Large";

/// `None` while the head is not whole.
pub(crate) fn parse(octets: &[u8]) -> Option<Result<Request, Response>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    let end = match request.parse(octets) {
        Ok(httparse::Status::Complete(end)) => end,
        Ok(httparse::Status::Partial) if octets.len() <= HEAD_MAX => return None,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return Some(Err(Response::error(TOO_LARGE)));
        }
        Err(_) => return Some(Err(Response::error(BAD))),
    };
    let target = target(request.path.unwrap_or_default());
    let path = target.as_ref().map_or("", |target| target.path);
    let method = match (request.method, path) {
        (Some("PUT"), update::PATH) => Method::Put,
        (_, update::PATH) => return Some(Err(Response::not_allowed("Allow: PUT\r\n"))),
        (Some("GET"), _) => Method::Get,
        (Some("HEAD"), _) => Method::Head,
        (Some("POST"), _) => Method::Post,
        _ => return Some(Err(Response::not_allowed(GET))),
    };
    Some(
        whole(method, target, request.headers, octets.get(end..).unwrap_or_default())
            .map_err(Response::error),
    )
}

/// What a request asks for.
struct Target<'a> {
    authority: Option<&'a str>,
    path: &'a str,
    query: &'a str,
}

/// A request's target, in its origin form or in its absolute form (RFC 9112 section 3.2).
fn target(target: &str) -> Option<Target<'_>> {
    let (authority, path) = if target.starts_with('/') {
        (None, target)
    } else {
        let (scheme, rest) = target.split_once("://")?;
        let known = ["http", "https"].iter().any(|it| scheme.eq_ignore_ascii_case(it));
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        (Some(authority).filter(|_| known).map(Some)?, path)
    };
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    Some(Target { authority, path: if path.is_empty() { "/" } else { path }, query })
}

fn whole(
    method: Method,
    target: Option<Target<'_>>,
    fields: &[httparse::Header<'_>],
    begun: &[u8],
) -> Result<Request, &'static str> {
    let Target { authority, path, query } = target.ok_or(BAD)?;
    let field = |name: &str| {
        let mut values = fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
        let value = values.next().map(|field| String::from_utf8_lossy(field.value).trim().to_owned());
        // Two of them would be read differently by different programs (RFC 9110 section 5.5).
        if values.next().is_some() { Err(BAD) } else { Ok(value) }
    };
    // Section 3.2: it has to be there, even where the target says more, and then does not count.
    let host = field("Host")?.and_then(|host| Authority::parse(&host)).ok_or(BAD)?;
    let authority = match authority {
        Some(authority) => Authority::parse(authority).ok_or(BAD)?,
        None => host,
    };
    let chunked = field("Transfer-Encoding")?.is_some();
    let length = field("Content-Length")?.filter(|_| !chunked);
    let digits = |text: &str| text.bytes().all(|octet| octet.is_ascii_digit()).then(|| text.parse().ok())?;
    Ok(Request {
        method,
        authority,
        path: path.to_owned(),
        query: query.to_owned(),
        cookie: field("Cookie")?.and_then(|cookies| session::cookie(&cookies)),
        origin: field("Origin")?,
        language: field("Accept-Language")?,
        content_type: field("Content-Type")?,
        authorization: field("Authorization")?.map(Zeroizing::new),
        length: length.map(|text| digits(&text).ok_or(BAD)).transpose()?,
        expects_continue: field("Expect")?.is_some_and(|text| text.eq_ignore_ascii_case("100-continue")),
        begun: begun.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The status of what is answered to a bad one, with the methods that it names.
    fn parsed(head: &str) -> Option<Result<Request, String>> {
        let shown = |answer: Response| format!("{} {}", answer.status, answer.more).trim().to_owned();
        parse(head.as_bytes()).map(|request| request.map_err(shown))
    }

    #[test]
    fn only_whole_and_harmless_requests_are_answered() {
        let seen = |head: &str| parsed(head).map(|request| request.map(|it| (it.path, it.method)));
        let page = |path: &str, method| Some(Ok((path.to_owned(), method)));
        let bad = |status: &str| Some(Err(status.to_owned()));
        assert_eq!(seen("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), page("/", Method::Get));
        assert_eq!(seen("HEAD /x?y=z HTTP/1.0\r\nhost: a\r\n\r\n"), page("/x", Method::Head));
        assert_eq!(seen("PUT /update HTTP/1.1\r\nHost: a\r\n\r\n"), page("/update", Method::Put));
        assert_eq!(seen("GET / HTTP/1.1\r\nHost: a"), None);
        assert_eq!(seen("\u{1}\u{2}"), bad(BAD));
        let long = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(HEAD_MAX));
        assert_eq!(seen(&long), bad(TOO_LARGE));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: x\r\n".repeat(FIELDS_MAX + 1));
        assert_eq!(seen(&many), bad(TOO_LARGE));
    }

    /// Catches: a 405 that does not say what is allowed (RFC 9110 section 15.5.6).
    #[test]
    fn what_is_not_allowed_is_told_with_what_is() {
        for (line, allowed) in [
            ("PUT /", "GET, HEAD"),
            ("OPTIONS *", "GET, HEAD"),
            ("CONNECT a:80", "GET, HEAD"),
            ("POST /update", "PUT"),
            ("DELETE /update", "PUT"),
            ("GET /update", "PUT"),
            ("GET http://a/update", "PUT"),
        ] {
            let heard = parsed(&format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n")).unwrap().unwrap_err();
            assert_eq!(heard, format!("405 Method Not Allowed Allow: {allowed}"), "{line}");
        }
    }

    /// Catches: a request that is answered though it names nobody or two, and a name in the target that does not count.
    #[test]
    fn a_request_names_whom_it_is_for_and_nobody_else() {
        let asked = |target: &str, fields: &str| {
            let request = parsed(&format!("GET {target} HTTP/1.1\r\n{fields}\r\n")).unwrap();
            request.map(|request| (request.authority, request.path))
        };
        let name = |name: &str, path: &str| Ok((Authority::Name(name.to_owned()), path.to_owned()));
        assert_eq!(asked("/x", "HOST: a.example:80\r\n"), name("a.example", "/x"));
        for (target, path) in [("http://b/x?y", "/x"), ("HTTPS://b:443", "/"), ("http://b?x", "/")] {
            assert_eq!(asked(target, "Host: a\r\n"), name("b", path), "{target}");
        }
        for fields in ["", "Host:\r\n", "Host: a\r\nHost: a\r\n", "Host: a, b\r\n", "Host: a/x\r\n"] {
            assert_eq!(asked("/x", fields), Err(BAD.to_owned()), "{fields}");
            assert_eq!(asked("http://b/x", fields), Err(BAD.to_owned()), "{fields}");
        }
        for target in ["x", "*", "ftp://b/x", "http:///x", "http://u@b/x", "://b/x"] {
            assert_eq!(asked(target, "Host: a\r\n"), Err(BAD.to_owned()), "{target}");
        }
        assert_eq!(parsed("GET / HTTP/1.0\r\n\r\n"), Some(Err(BAD.to_owned())));
    }

    #[test]
    fn what_an_upload_says_about_itself_is_taken_once_or_not_at_all() {
        let parsed =
            |fields: &str| parse(format!("PUT /update HTTP/1.1\r\nHost: a\r\n{fields}\r\nrest").as_bytes());
        let request = parsed("content-length: 4\r\nAuthorization: Basic eA==\r\nexpect: 100-Continue\r\n");
        let request = request.unwrap().unwrap();
        assert_eq!((request.length, request.expects_continue), (Some(4), true));
        assert_eq!(request.authorization.unwrap().as_str(), "Basic eA==");
        assert_eq!(request.begun, b"rest");
        let length =
            |fields: &str| parsed(fields).unwrap().map(|request| request.length).map_err(|it| it.status);
        assert_eq!(length("Transfer-Encoding: chunked\r\n"), Ok(None));
        assert_eq!(length("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n"), Ok(None));
        for wrong in ["4\r\nContent-Length: 4", "4, 4", "+4", "-4", "4x", "99999999999999999999"] {
            assert_eq!(length(&format!("Content-Length: {wrong}\r\n")), Err(BAD), "{wrong}");
        }
    }
}
