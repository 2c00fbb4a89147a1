//! Lines with a limit.

use std::io;

use super::stream::Stream;

/// How reading a line ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnd {
    /// The line is complete; its CRLF (or LF) is removed.
    Complete,
    /// The line was longer than the limit. The buffer holds its first `limit` octets, followed by the last [`TAIL`]
    /// of the octets above the limit; those in between were dropped.
    TooLong,
    /// The other end closed; the buffer holds what came after the last line end.
    Closed,
}

/// Octets that are kept of the end of a line that is too long: it may announce an IMAP literal, whose octets are not
/// commands.
pub const TAIL: usize = 32;

/// Reads one line of at most `limit` octets, without its line end, into `line`, which is cleared first. The line may
/// hold any other octet, also NUL and bare CR.
///
/// Nothing is lost if the future is dropped and the function called again: the octets stay in the stream until the
/// line is complete. Of a line that is too long as many stay as show that.
///
/// # Errors
/// The connection's.
pub async fn read_line(stream: &mut Stream, line: &mut Vec<u8>, limit: usize) -> io::Result<LineEnd> {
    read_line_and_its_end(stream, line, limit).await.map(|(end, _)| end)
}

/// Reads a line like [`read_line`]. Returns also whether the line ended with a bare LF.
///
/// # Errors
/// The connection's.
pub async fn read_line_and_its_end(
    stream: &mut Stream,
    line: &mut Vec<u8>,
    limit: usize,
) -> io::Result<(LineEnd, bool)> {
    line.clear();
    loop {
        let buffered = stream.buffered();
        if let Some(lf) = memchr::memchr(b'\n', buffered) {
            let content = without_cr(buffered.get(..lf).unwrap_or_default());
            let end = if content.len() > limit { LineEnd::TooLong } else { LineEnd::Complete };
            let (within, above) = content.split_at(content.len().min(limit));
            let tail = above.get(above.len().saturating_sub(TAIL)..).unwrap_or_default();
            // All room is reserved at once: a buffer that grows would leave a password behind.
            line.reserve(within.len() + tail.len());
            line.extend_from_slice(within);
            line.extend_from_slice(tail);
            let bare_lf = content.len() == lf;
            stream.consume(lf + 1);
            return Ok((end, bare_lf));
        }
        // Of a line that is too long, enough is kept to find it too long again, whatever follows. Its CR may have
        // come already.
        stream.forget_between(limit + 1, TAIL + 1);
        if !stream.more().await? {
            let rest = stream.buffered();
            line.extend_from_slice(rest.get(..limit).unwrap_or(rest));
            let len = rest.len();
            stream.consume(len);
            return Ok((LineEnd::Closed, false));
        }
    }
}

fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::super::stream::tests::pair;
    use super::*;
    use std::future::Future;
    use std::time::Duration;

    /// The lines in `sent`, read with a limit of ten octets; the other end closes after them.
    async fn lines(sent: &[u8]) -> Vec<(LineEnd, Vec<u8>)> {
        let (mut client, mut server) = pair().await;
        client.queue(sent);
        let mut lines = Vec::new();
        smol::future::zip(client.close(), async {
            loop {
                let mut line = b"old".to_vec();
                let end = read_line(&mut server, &mut line, 10).await.unwrap();
                lines.push((end, line));
                if end == LineEnd::Closed {
                    break;
                }
            }
            server.close().await;
        })
        .await;
        lines
    }

    #[test]
    fn lines_end_with_crlf_or_lf() {
        use LineEnd::{Closed, Complete, TooLong};
        async_io::block_on(async {
            for (sent, expected) in [
                (&b""[..], vec![(Closed, &b""[..])]),
                (b"one\r\ntwo\nrest", vec![(Complete, b"one"), (Complete, b"two"), (Closed, b"rest")]),
                (b"\r\n\n\r\r\n", vec![(Complete, b""), (Complete, b""), (Complete, b"\r"), (Closed, b"")]),
                (b"a\0b\rc\xff\r\n", vec![(Complete, b"a\0b\rc\xff"), (Closed, b"")]),
                (b"0123456789\r\n", vec![(Complete, b"0123456789"), (Closed, b"")]),
                (b"0123456789a\r\nb\r\n", vec![(TooLong, b"0123456789a"), (Complete, b"b"), (Closed, b"")]),
                (b"0123456789\r\r\n", vec![(TooLong, b"0123456789\r"), (Closed, b"")]),
                (b"0123456789ab", vec![(Closed, b"0123456789")]),
            ] {
                let found = lines(sent).await;
                let found: Vec<_> = found.iter().map(|(end, line)| (*end, &line[..])).collect();
                assert_eq!(found, expected, "{sent:?}");
            }
        });
    }

    /// Polls `future` for a moment and drops it.
    async fn interrupted<T>(future: impl Future<Output = io::Result<T>>) {
        let cut = crate::net::deadline(Duration::from_millis(10), future).await;
        assert_eq!(cut.map(drop).unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_reader_that_is_interrupted_loses_nothing() {
        async_io::block_on(async {
            let (mut client, mut server) = pair().await;
            let mut line = Vec::new();
            for piece in [&b"NO"[..], b"OP\r"] {
                client.queue(piece);
                client.flush().await.unwrap();
                interrupted(read_line(&mut server, &mut line, 10)).await;
            }
            client.queue(b"\nQUIT\r\n");
            client.flush().await.unwrap();
            for expected in [b"NOOP", b"QUIT"] {
                assert_eq!(read_line(&mut server, &mut line, 10).await.unwrap(), LineEnd::Complete);
                assert_eq!(line, expected);
            }
        });
    }

    #[test]
    fn a_line_without_end_is_skipped_in_bounded_memory() {
        async_io::block_on(async {
            let (mut client, mut server) = pair().await;
            let mut line = Vec::new();
            let flood = async {
                client.write(&vec![b'x'; 300_000]).await?;
                client.flush().await
            };
            let skip = read_line(&mut server, &mut line, 10);
            interrupted(async { smol::future::try_zip(flood, skip).await.map(drop) }).await;
            assert!(server.buffered().len() <= 10 + 2 + TAIL);
            client.queue(b"y {34+}\r\nNOOP\r\n");
            client.flush().await.unwrap();
            assert_eq!(read_line(&mut server, &mut line, 10).await.unwrap(), LineEnd::TooLong);
            assert!(line.ends_with(b"xxxy {34+}") && line.len() == 10 + TAIL, "{line:?}");
            assert_eq!(read_line(&mut server, &mut line, 10).await.unwrap(), LineEnd::Complete);
            assert_eq!(line, b"NOOP");
        });
    }
}
