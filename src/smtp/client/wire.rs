//! Reading and writing the octets of the dialog.

use std::io;
use std::time::Duration;

use crate::clock::Time;
use crate::net::stream::Stream;
use crate::smtp::Reply;
use crate::smtp::reply::ReplyReader;

/// The time for a piece of content (RFC 5321 section 4.5.3.2.5).
const CONTENT: Duration = Duration::from_secs(3 * 60);
/// Octets of a reply with all its lines, at most.
const MAX_REPLY: usize = 256 * 1024;
/// Octets of a reply line that are kept (RFC 5321 section 4.5.3.1.5 allows 512).
const MAX_REPLY_LINE: usize = 2048;

/// Queues octets for the next [`send`], and sends some where there are many. It may take `limit`, and never longer
/// than [`CONTENT`].
pub async fn write(stream: &mut Stream, octets: &[u8], limit: Duration, time: &Time) -> io::Result<()> {
    time.deadline(CONTENT.min(limit), stream.write(octets)).await
}

/// Sends these octets, and those that were queued before.
pub async fn send(stream: &mut Stream, octets: &[u8], time: &Time) -> io::Result<()> {
    time.deadline(CONTENT, async {
        stream.write(octets).await?;
        stream.flush().await
    })
    .await
}

/// Reads the next reply.
pub async fn read_reply(stream: &mut Stream) -> io::Result<Reply> {
    let mut reader = ReplyReader::default();
    let (mut line, mut octets) = (Vec::new(), 0);
    loop {
        let available = stream.fill().await?;
        if available.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the other end closed"));
        }
        let lf = memchr::memchr(b'\n', available);
        let piece = available.get(..lf.unwrap_or(available.len())).unwrap_or_default();
        // Only the beginning of a line that is too long is kept.
        let room = MAX_REPLY_LINE.saturating_sub(line.len());
        line.extend_from_slice(piece.get(..room).unwrap_or(piece));
        let taken = piece.len() + usize::from(lf.is_some());
        stream.consume(taken);
        octets += taken;
        if octets > MAX_REPLY {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its reply has no end"));
        }
        if lf.is_none() {
            continue;
        }
        line.pop_if(|octet| *octet == b'\r');
        let reply = reader.line(&line);
        line.clear();
        if let Some(reply) = reply.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))? {
            return Ok(reply);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::stream::tests::pair;

    /// The reply that is read from a server that sends `said`, and then nothing more.
    fn reply_of(said: &[u8]) -> io::Result<Reply> {
        async_io::block_on(async {
            let (mut client, mut server) = pair().await;
            let says = async {
                // The client may not read all of it.
                let _ = server.write(said).await;
                server.close().await;
                std::future::pending().await
            };
            smol::future::or(read_reply(&mut client), says).await
        })
    }

    /// Catches: a line without end, and a long reply that is skipped, or joined with the next one.
    #[test]
    fn replies_are_read_up_to_a_bound() {
        let long = [b"250-", &b"x".repeat(5000)[..], b"\r\n250 done\r\n"].concat();
        let lines = |reply: Reply| reply.lines.len();
        assert_eq!(reply_of(&long).map(lines).unwrap(), 2);
        assert_eq!(reply_of(b"220 a\n220 b\r\n").map(lines).unwrap(), 1);
        for endless in [b"250 ".repeat(100_000), b"250-x\r\n".repeat(1000), b"no".to_vec()] {
            assert!(reply_of(&endless).is_err());
        }
        let error = reply_of(&b"250 ".repeat(100_000)).unwrap_err();
        assert_eq!(error.to_string(), "its reply has no end");
    }
}
