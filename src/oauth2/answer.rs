//! One response of HTTP/1.1 (RFC 9112) while it comes: no I/O.

use zeroize::Zeroizing;

use super::Error;

/// Octets of a response, at most: tokens have a few thousand.
const MAX: usize = 64 * 1024;
/// Octets of a response's head, at most.
const HEAD_MAX: usize = 16 * 1024;
/// Octets of the line before a chunk, at most.
const CHUNK_LINE_MAX: usize = 1024;
/// Header fields of a response, at most.
const FIELDS_MAX: usize = 96;

#[derive(Debug, Clone, Copy)]
enum Part {
    Head,
    /// In the content, of which so many octets are missing.
    Content(usize),
    /// Before a chunk.
    Chunks,
    /// In content that ends with the connection.
    ToTheEnd,
    Over,
}

/// A response that has come whole or in part. Its content is wiped.
pub struct Answer {
    part: Part,
    came: usize,
    /// Octets that were not parsed yet.
    pending: Zeroizing<Vec<u8>>,
    status: u16,
    content: Zeroizing<Vec<u8>>,
}

impl Answer {
    /// A response of which nothing has come.
    pub fn new() -> Answer {
        let room = || Zeroizing::new(Vec::with_capacity(MAX));
        Answer { part: Part::Head, came: 0, pending: room(), status: 0, content: room() }
    }

    /// Takes octets; true when the response is complete.
    ///
    /// # Errors
    /// What comes is not a response, or it is too long.
    pub fn take(&mut self, octets: &[u8]) -> Result<bool, Error> {
        self.came = self.came.saturating_add(octets.len());
        if self.came > MAX {
            return Err(Error::Nonsense("it has no end"));
        }
        self.pending.extend_from_slice(octets);
        loop {
            let goes_on = match self.part {
                Part::Head => self.head()?,
                Part::Content(left) => {
                    let n = left.min(self.pending.len());
                    self.move_content(n);
                    self.part = if n == left { Part::Over } else { Part::Content(left - n) };
                    false
                }
                Part::Chunks => self.chunk()?,
                Part::ToTheEnd => {
                    self.move_content(self.pending.len());
                    false
                }
                Part::Over => return Ok(true),
            };
            if !goes_on {
                return Ok(matches!(self.part, Part::Over));
            }
        }
    }

    /// Takes the end of the connection. Returns status and content.
    ///
    /// # Errors
    /// The response is not complete.
    pub fn end(self) -> Result<(u16, Zeroizing<Vec<u8>>), Error> {
        match self.part {
            Part::Over | Part::ToTheEnd => Ok((self.status, self.content)),
            _ => Err(Error::Nonsense("it broke off")),
        }
    }

    fn move_content(&mut self, n: usize) {
        self.content.extend(self.pending.drain(..n));
    }

    /// Parses the head. False while it is not complete.
    fn head(&mut self) -> Result<bool, Error> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut head = httparse::Response::new(&mut fields);
        let end = match head.parse(&self.pending) {
            Ok(httparse::Status::Complete(end)) => end,
            Ok(httparse::Status::Partial) if self.pending.len() <= HEAD_MAX => return Ok(false),
            Ok(httparse::Status::Partial) => return Err(Error::Nonsense("its head has no end")),
            Err(_) => return Err(Error::Nonsense("it is not HTTP")),
        };
        self.status = head.code.unwrap_or_default();
        self.part = match self.status {
            // Another response follows (RFC 9110 section 15.2).
            100..=199 => Part::Head,
            204 | 304 => Part::Over,
            _ => content(head.headers)?,
        };
        self.pending.drain(..end);
        Ok(true)
    }

    /// Parses a chunk (RFC 9112 section 7.1). False while it is not complete.
    fn chunk(&mut self) -> Result<bool, Error> {
        let (begin, size) = match httparse::parse_chunk_size(&self.pending) {
            Ok(httparse::Status::Complete((begin, size))) => {
                (begin, usize::try_from(size).unwrap_or(usize::MAX))
            }
            Ok(httparse::Status::Partial) if self.pending.len() <= CHUNK_LINE_MAX => return Ok(false),
            _ => return Err(Error::Nonsense("its chunks are none")),
        };
        if size == 0 {
            // Trailer fields may follow, which do not matter.
            self.part = Part::Over;
            return Ok(true);
        }
        if size > MAX {
            return Err(Error::Nonsense("it has no end"));
        }
        match self.pending.get(begin + size..begin + size + 2) {
            None => Ok(false),
            Some(b"\r\n") => {
                self.pending.drain(..begin);
                self.move_content(size);
                self.pending.drain(..2);
                Ok(true)
            }
            Some(_) => Err(Error::Nonsense("its chunks are none")),
        }
    }
}

/// How the content is delimited (RFC 9112 section 6.3).
fn content(fields: &[httparse::Header<'_>]) -> Result<Part, Error> {
    let values = |name: &'static str| {
        let named = fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
        named.map(|field| field.value.trim_ascii())
    };
    let mut codings = values("transfer-encoding");
    match (codings.next(), codings.next()) {
        (None, _) => {}
        (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => return Ok(Part::Chunks),
        _ => return Err(Error::Nonsense("its coding is not known here")),
    }
    let mut lengths = values("content-length");
    let Some(length) = lengths.next() else { return Ok(Part::ToTheEnd) };
    if lengths.any(|other| other != length) {
        return Err(Error::Nonsense("it has two lengths"));
    }
    let digits = std::str::from_utf8(length).ok().filter(|it| it.bytes().all(|digit| digit.is_ascii_digit()));
    let length: usize =
        digits.and_then(|digits| digits.parse().ok()).ok_or(Error::Nonsense("its length is none"))?;
    if length > MAX { Err(Error::Nonsense("it has no end")) } else { Ok(Part::Content(length)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Status and content of a response that comes in pieces of `n` octets and then ends.
    fn read(octets: &[u8], n: usize) -> Result<(u16, String), String> {
        let mut answer = Answer::new();
        for piece in octets.chunks(n) {
            if answer.take(piece).map_err(|error| error.to_string())? {
                break;
            }
        }
        let (status, content) = answer.end().map_err(|error| error.to_string())?;
        Ok((status, String::from_utf8(content.to_vec()).unwrap()))
    }

    /// Catches: a way to delimit the content that is not known, an octet that is lost between two pieces, and octets
    /// after the response that count as a part of it.
    #[test]
    fn answers_are_whole_however_they_come() {
        for (octets, status, content) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n{ } more", 200, "{ } "),
            ("HTTP/1.0 400 Bad\r\n\r\n{\"error\":1}", 400, "{\"error\":1}"),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n2;x=y\r\n{ \r\n01\r\n}\r\n0\r\n\r\n",
                200,
                "{ }",
            ),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, ""),
            ("HTTP/1.1 204 None\r\n\r\n", 204, ""),
            ("HTTP/1.1 204 None\r\n\r\nmore", 204, ""),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\ncontent-length: 2\r\n\r\n{}", 200, "{}"),
        ] {
            for n in [1, 2, 7, 1000] {
                assert_eq!(read(octets.as_bytes(), n), Ok((status, content.to_owned())), "{octets} by {n}");
            }
        }
    }

    /// Catches: half a response that counts as a whole one, and a server that sends more than memory can hold.
    #[test]
    fn what_is_no_answer_says_why() {
        let ok = "HTTP/1.1 200 OK\r\n";
        let big = "x".repeat(MAX);
        for (octets, why) in [
            ("".to_owned(), "it broke off"),
            (ok.to_owned(), "it broke off"),
            (format!("{ok}Content-Length: 5\r\n\r\n{{}}"), "it broke off"),
            (format!("{ok}Transfer-Encoding: chunked\r\n\r\n5\r\n{{}}"), "it broke off"),
            (format!("{ok}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}xx0\r\n"), "its chunks are none"),
            (format!("{ok}Transfer-Encoding: chunked\r\n\r\nzz\r\n"), "its chunks are none"),
            (format!("{ok}Transfer-Encoding: chunked\r\n\r\n1;{big}"), "its chunks are none"),
            (format!("{ok}Transfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n"), "it has no end"),
            (format!("{ok}Transfer-Encoding: gzip, chunked\r\n\r\n"), "its coding is not known here"),
            (format!("{ok}Content-Length: 5\r\nContent-Length: 6\r\n\r\n"), "it has two lengths"),
            (format!("{ok}Content-Length: +5\r\n\r\n"), "its length is none"),
            (format!("{ok}Content-Length: 99999999999999999999\r\n\r\n"), "its length is none"),
            (format!("{ok}Content-Length: 1000000\r\n\r\n"), "it has no end"),
            (format!("{ok}\r\n{big}"), "it has no end"),
            (format!("{ok}X: {big}"), "its head has no end"),
            (format!("{}{ok}\r\n", "HTTP/1.1 100 Continue\r\n\r\n".repeat(4000)), "it has no end"),
            ("+OK POP3 ready\r\n".to_owned(), "it is not HTTP"),
        ] {
            let why = format!("the token server's answer makes no sense: {why}");
            assert_eq!(read(octets.as_bytes(), 999), Err(why), "{}", octets.get(..60).unwrap_or(&octets));
        }
    }
}
