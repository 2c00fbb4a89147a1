//! The head of a request (RFC 9112), as much of it as matters here.

use std::io;

use zeroize::Zeroizing;

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
}

/// A request, up to the end of its head.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// What is to be done.
    pub method: Method,
    /// Without what stands behind a question mark.
    pub path: String,
    /// The field `Authorization`.
    pub authorization: Option<Zeroizing<String>>,
    /// Octets of the content that follows, where the client says how many. One that sends in chunks does not.
    pub length: Option<u64>,
    /// The client waits for `100 Continue` before it sends the content (RFC 9110 section 10.1.1).
    pub expects_continue: bool,
    /// The beginning of the content, which came with the head.
    pub begun: Vec<u8>,
}

/// Reads the head of a request; `None` when there is none, `Err` with the status that answers a bad one.
pub async fn read(stream: &mut Stream) -> io::Result<Option<Result<Request, &'static str>>> {
    let mut head = Zeroizing::new(Vec::new());
    loop {
        let more = stream.fill().await?;
        if more.is_empty() {
            return Ok(None);
        }
        head.extend_from_slice(more);
        let taken = more.len();
        stream.consume(taken);
        if let Some(parsed) = parse(&head) {
            return Ok(Some(parsed));
        }
    }
}

/// `None` while the head is not whole.
pub(crate) fn parse(octets: &[u8]) -> Option<Result<Request, &'static str>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    let end = match request.parse(octets) {
        Ok(httparse::Status::Complete(end)) => end,
        Ok(httparse::Status::Partial) if octets.len() <= HEAD_MAX => return None,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return Some(Err("431 Request Header Fields Too Large"));
        }
        Err(_) => return Some(Err("400 Bad Request")),
    };
    let path = request.path.unwrap_or_default();
    let path = path.split_once('?').map_or(path, |(path, _)| path).to_owned();
    let method = match (request.method, path.as_str()) {
        (Some("GET"), _) => Method::Get,
        (Some("HEAD"), _) => Method::Head,
        (Some("PUT"), super::update::PATH) => Method::Put,
        _ => return Some(Err("405 Method Not Allowed")),
    };
    let field = |name: &str| {
        let mut values = request.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
        let value = values.next().map(|field| String::from_utf8_lossy(field.value).trim().to_owned());
        // Two of them would be read differently by different programs (RFC 9110 section 5.5).
        if values.next().is_some() { Err("400 Bad Request") } else { Ok(value) }
    };
    let request = || {
        let chunked = field("Transfer-Encoding")?.is_some();
        let length = field("Content-Length")?.filter(|_| !chunked);
        let digits =
            |text: &str| text.bytes().all(|octet| octet.is_ascii_digit()).then(|| text.parse().ok())?;
        Ok(Request {
            method,
            authorization: field("Authorization")?.map(Zeroizing::new),
            length: length.map(|text| digits(&text).ok_or("400 Bad Request")).transpose()?,
            expects_continue: field("Expect")?.is_some_and(|text| text.eq_ignore_ascii_case("100-continue")),
            begun: octets.get(end..).unwrap_or_default().to_vec(),
            path,
        })
    };
    Some(request())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_and_harmless_requests_are_answered() {
        let parsed = |head: &str| parse(head.as_bytes()).map(|request| request.map(|r| (r.path, r.method)));
        let page = |path: &str, method| Some(Ok((path.to_owned(), method)));
        assert_eq!(parsed("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), page("/", Method::Get));
        assert_eq!(parsed("HEAD /x?y=z HTTP/1.0\r\n\r\n"), page("/x", Method::Head));
        assert_eq!(parsed("PUT /update HTTP/1.1\r\n\r\n"), page("/update", Method::Put));
        assert_eq!(parsed("GET / HTTP/1.1\r\nHost"), None);
        for method in ["POST /", "PUT /", "DELETE /update", "POST /update"] {
            assert_eq!(parsed(&format!("{method} HTTP/1.1\r\n\r\n")), Some(Err("405 Method Not Allowed")));
        }
        assert_eq!(parsed("\u{1}\u{2}"), Some(Err("400 Bad Request")));
        let long = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(HEAD_MAX));
        assert_eq!(parsed(&long), Some(Err("431 Request Header Fields Too Large")));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: x\r\n".repeat(FIELDS_MAX + 1));
        assert_eq!(parsed(&many), Some(Err("431 Request Header Fields Too Large")));
    }

    #[test]
    fn what_an_upload_says_about_itself_is_taken_once_or_not_at_all() {
        let parsed = |fields: &str| parse(format!("PUT /update HTTP/1.1\r\n{fields}\r\nrest").as_bytes());
        let request = parsed("content-length: 4\r\nAuthorization: Basic eA==\r\nexpect: 100-Continue\r\n");
        let request = request.unwrap().unwrap();
        assert_eq!((request.length, request.expects_continue), (Some(4), true));
        assert_eq!(request.authorization.unwrap().as_str(), "Basic eA==");
        assert_eq!(request.begun, b"rest");
        let length = |fields: &str| parsed(fields).unwrap().map(|request| request.length);
        assert_eq!(length("Transfer-Encoding: chunked\r\n"), Ok(None));
        assert_eq!(length("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n"), Ok(None));
        for wrong in ["4\r\nContent-Length: 4", "4, 4", "+4", "-4", "4x", "99999999999999999999"] {
            assert_eq!(length(&format!("Content-Length: {wrong}\r\n")), Err("400 Bad Request"), "{wrong}");
        }
    }
}
