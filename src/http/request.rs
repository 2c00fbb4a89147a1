//! The head of a request (RFC 9112), as far as it is used here.

use std::io;

use zeroize::Zeroizing;

use super::authority::Authority;
use super::{GET, Response, autodiscover, pages, session, update};
use crate::net::stream::Stream;

/// The most octets of a request's head.
const HEAD_MAX: usize = 8 * 1024;
/// The most header fields of a request.
const FIELDS_MAX: usize = 64;

/// The methods that are served (RFC 9110 section 9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Shows a page.
    Get,
    /// Shows only the head of the response to GET.
    Head,
    /// Takes the content that follows.
    Put,
    /// Does what a form says.
    Post,
}

/// A request, up to the end of its head.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The host and port that the request is for.
    pub authority: Authority,
    /// The path, without the question mark and the query.
    pub path: String,
    /// The query: what follows the question mark; empty without one.
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
    /// The octets of the content that follows, where the client says how many. A client that sends in chunks does not.
    pub length: Option<u64>,
    /// Whether the client waits for `100 Continue` before it sends the content (RFC 9110 section 10.1.1).
    pub expects_continue: bool,
    /// The client speaks HTTP/1.0, and cannot read what comes in chunks (RFC 9112 section 6.1).
    pub is_http_1_0: bool,
    /// The beginning of the content, which was read with the head.
    pub begun: Vec<u8>,
}

/// Reads the head of a request. `None` when the client sends none, `Err` with the response to a bad one.
pub async fn read(stream: &mut Stream) -> io::Result<Option<Result<Box<Request>, Response>>> {
    let mut head = Zeroizing::new(Vec::new());
    loop {
        let more = stream.fill().await?;
        if more.is_empty() {
            return Ok(None);
        }
        // The head may hold a password: a buffer that grows would leave a copy behind that is not wiped.
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

/// Reads the whole content of `request`, which may have at most `most` octets. `Err` with the response to a content that is not
/// accepted.
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
    // The content may hold a password: a buffer that grows would leave a copy behind that is not wiped.
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

/// The interim response that asks for the content (RFC 9110 section 15.2.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

const BAD: &str = "400 Bad Request";
const TOO_LARGE: &str = "431 Request Header Fields Too Large";

/// Parses the head of a request; `None` while it is not complete.
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
        _ if pages::takes_forms(path) || path.eq_ignore_ascii_case(autodiscover::PATH) => {
            return Some(Err(Response::not_allowed("Allow: GET, HEAD, POST\r\n")));
        }
        _ => return Some(Err(Response::not_allowed(GET))),
    };
    let begun = octets.get(end..).unwrap_or_default();
    let whole = whole(method, target, request.headers, begun).map(|whole| match request.version {
        // RFC 9110 section 10.1.1: `Expect` of such a client is nothing to answer.
        Some(0) => Request { is_http_1_0: true, expects_continue: false, ..whole },
        _ => whole,
    });
    Some(whole.map_err(Response::error))
}

/// The target of a request, taken apart.
struct Target<'a> {
    authority: Option<&'a str>,
    path: &'a str,
    query: &'a str,
}

/// Takes a request's target apart, in origin form or in absolute form (RFC 9112 section 3.2).
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
    let values = |name: &'static str| {
        let named = fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
        named.map(|field| String::from_utf8_lossy(field.value))
    };
    let field = |name| {
        let mut values = values(name);
        let value = values.next().map(|value| value.trim().to_owned());
        // Different programs would read two fields of one name differently (RFC 9110 section 5.5).
        if values.next().is_some() { Err(BAD) } else { Ok(value) }
    };
    // What is a list may come in several fields (RFC 9110 section 5.3).
    let list = |name| {
        let all: Vec<_> = values(name).collect();
        (!all.is_empty()).then(|| all.join(", "))
    };
    // RFC 9112 section 3.2: the field Host has to be there. Where the target names an authority, that one counts.
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
        language: list("Accept-Language"),
        content_type: field("Content-Type")?,
        authorization: field("Authorization")?.map(Zeroizing::new),
        length: length.map(|text| digits(&text).ok_or(BAD)).transpose()?,
        expects_continue: field("Expect")?.is_some_and(|text| text.eq_ignore_ascii_case("100-continue")),
        begun: begun.to_vec(),
        is_http_1_0: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The request, or the status of the response to a bad one, with the methods that it names.
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

    /// Catches: a 405 that does not name the allowed methods (RFC 9110 section 15.5.6).
    #[test]
    fn what_is_not_allowed_is_told_with_what_is() {
        for (line, allowed) in [
            ("PUT /", "GET, HEAD"),
            ("OPTIONS *", "GET, HEAD"),
            ("CONNECT a:80", "GET, HEAD"),
            ("PUT /login", "GET, HEAD, POST"),
            ("DELETE /accounts/demo/general", "GET, HEAD, POST"),
            ("OPTIONS /Autodiscover/Autodiscover.xml", "GET, HEAD, POST"),
            ("POST /update", "PUT"),
            ("DELETE /update", "PUT"),
            ("GET /update", "PUT"),
            ("GET http://a/update", "PUT"),
        ] {
            let heard = parsed(&format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n")).unwrap().unwrap_err();
            assert_eq!(heard, format!("405 Method Not Allowed Allow: {allowed}"), "{line}");
        }
    }

    /// Catches: a request that is answered though it names no host or two, and a host in the target that does not count.
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
        let two =
            parse(b"GET / HTTP/1.1\r\nHost: a\r\nAccept-Language: de\r\nAccept-Language: en;q=0.5\r\n\r\n");
        assert_eq!(two.unwrap().unwrap().language.as_deref(), Some("de, en;q=0.5"));
        // RFC 9110 section 10.1.1. Catches: a client of HTTP/1.0 that gets `100 Continue`, which it takes for the answer.
        let old = parse(b"POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
        let old = old.unwrap().unwrap();
        assert_eq!((old.expects_continue, old.is_http_1_0), (false, true));
        let length =
            |fields: &str| parsed(fields).unwrap().map(|request| request.length).map_err(|it| it.status);
        assert_eq!(length("Transfer-Encoding: chunked\r\n"), Ok(None));
        assert_eq!(length("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n"), Ok(None));
        for wrong in ["4\r\nContent-Length: 4", "4, 4", "+4", "-4", "4x", "99999999999999999999"] {
            assert_eq!(length(&format!("Content-Length: {wrong}\r\n")), Err(BAD), "{wrong}");
        }
    }
}
