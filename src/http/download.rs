//! A backup that a browser downloads, as it is made (`Transfer-Encoding: chunked`, RFC 9112 section 7.1): one that breaks off is not
//! taken for a whole one.

use std::io;
use std::time::Duration;

use super::{Response, Site, answer};
use crate::archive::backup::{self, Sink};
use crate::net::stream::Stream;

/// How long a browser may take for a piece: it may ask its user where to put it.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// What is downloaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Download {
    /// All settings and mail.
    Backup,
}

/// What a client of HTTP/1.0 hears, who would take a backup that breaks off for a whole one.
pub(super) fn in_chunks_only() -> Response {
    let words =
        "a backup is sent in chunks, so that one that breaks off is seen to: ask for it with HTTP/1.1";
    Response::words("505 HTTP Version Not Supported", words)
}

/// Sends the head of `response`, and what follows.
pub(super) async fn send(
    stream: &mut Stream,
    site: &Site,
    response: &Response,
    Download::Backup: Download,
) -> io::Result<()> {
    let context = &site.operator.context;
    let Some(_alone) = site.operator.mail.try_lock() else {
        let words = "the appliance exports, imports or backs up mail already: try again when that has ended";
        return answer(stream, &Response::words("503 Service Unavailable", words), true, &context.time).await;
    };
    let peer = stream.peer().ip();
    log::info!("backup: begins, for {peer}");
    stream.write(response.head().as_bytes()).await?;
    let mut chunks = Chunks { site, stream };
    match backup::write(&context.store, &mut chunks).await {
        Ok(made) => {
            log::info!("backup: for {peer}: {made}");
            chunks.write(b"0\r\n\r\n").await?;
            context.time.deadline(PATIENCE, chunks.stream.flush()).await
        }
        Err(failure) => {
            log::warn!("backup: for {peer}: {}", failure.words());
            Err(io::Error::other(failure.words()))
        }
    }
}

struct Chunks<'a> {
    site: &'a Site,
    stream: &'a mut Stream,
}

impl Chunks<'_> {
    async fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.site.operator.context.time.deadline(PATIENCE, self.stream.write(octets)).await
    }
}

impl Sink for Chunks<'_> {
    async fn put(&mut self, octets: &[u8]) -> io::Result<()> {
        // A chunk of no octets would be the end.
        if octets.is_empty() {
            return Ok(());
        }
        self.write(format!("{:x}\r\n", octets.len()).as_bytes()).await?;
        self.write(octets).await?;
        self.write(b"\r\n").await
    }

    async fn tell(&mut self, line: String) -> io::Result<()> {
        log::warn!("backup: {line}");
        Ok(())
    }
}
