//! `pillarbox backup` inside the running appliance, which owns the accounts.
//!
//! The answer is pieces of the stream, `data OCTETS` and as many octets, and lines `told WORDS`. The verdict at its end says
//! what was made. When the other end goes away, or takes nothing for long, the work stops where it is: files that are kept for
//! it would fill the flash.

use std::io;
use std::path::Path;
use std::time::Duration;

use async_io::Async;
use smol::io::{AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

use super::client::{Error, connect, failed, verdict};
use super::socket::BACKUP;
use crate::archive::backup::{self, Made, Sink};
use crate::failure::Failure;
use crate::operator::Operator;

/// How long the other end may take for a piece.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// Makes a backup, and gives the verdict.
pub(super) async fn serve(
    operator: &Operator,
    stream: &mut (impl AsyncWrite + Unpin),
) -> io::Result<Result<String, Failure>> {
    let Some(_alone) = operator.mail.try_lock() else {
        let why = "the appliance exports, imports or backs up mail already: try again when that has ended";
        return Ok(Err(Failure::System(why.to_owned())));
    };
    log::info!("backup: begins");
    let made = backup::write(&operator.context.store, &mut Answer { stream }).await;
    match &made {
        Ok(made) => log::info!("backup: {made}"),
        Err(failure) => log::warn!("backup: {}", failure.words()),
    }
    Ok(made.map(|made| line(&made)))
}

/// What the verdict says.
fn line(made: &Made) -> String {
    let Made { accounts, files, octets, problems } = made;
    format!("{accounts} {files} {octets} {problems}")
}

/// What a verdict says.
pub(super) fn made(line: &str) -> Option<Made> {
    let mut numbers = line.split(' ').map(|number| number.parse().ok());
    let mut next = || numbers.next().flatten();
    Some(Made { accounts: next()?, files: next()?, octets: next()?, problems: next()? })
}

/// How many octets follow a line of the answer.
pub(super) fn follow(line: &str) -> Option<usize> {
    /// No piece is longer.
    const LONGEST: usize = 1 << 20;
    line.strip_prefix("data ")?.parse().ok().filter(|octets| *octets <= LONGEST)
}

/// Has the running appliance make a backup for `sink`.
///
/// # Errors
/// [`Error::NotRunning`]: the caller can do it itself.
pub async fn receive<S: Sink>(data: &Path, sink: &mut S) -> Result<Result<Made, Failure>, Error> {
    let failed = |source| failed(data, source);
    let mut stream = Async::new(connect(data)?).map_err(failed)?;
    stream.write_all(BACKUP).await.map_err(failed)?;
    let mut answer = BufReader::new(stream);
    let mut piece = Vec::new();
    loop {
        let mut line = Vec::new();
        if answer.read_until(b'\n', &mut line).await.map_err(failed)? == 0 {
            return Err(failed(io::ErrorKind::UnexpectedEof.into()));
        }
        if line.starts_with(&[0]) {
            answer.read_to_end(&mut line).await.map_err(failed)?;
            let nonsense = |words| Failure::System(format!("the appliance answers {words:?}"));
            return Ok(verdict(&line).and_then(|words| made(&words).ok_or_else(|| nonsense(words))));
        }
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end_matches('\n');
        let taken = if let Some(octets) = follow(line) {
            piece.resize(octets, 0);
            answer.read_exact(&mut piece).await.map_err(failed)?;
            sink.put(&piece).await
        } else {
            sink.tell(line.strip_prefix("told ").unwrap_or(line).to_owned()).await
        };
        if let Err(error) = taken {
            return Ok(Err(Failure::System(error.to_string())));
        }
    }
}

struct Answer<'s, S> {
    stream: &'s mut S,
}

impl<S: AsyncWrite + Unpin> Answer<'_, S> {
    async fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        let late = async {
            async_io::Timer::after(PATIENCE).await;
            Err(io::Error::new(io::ErrorKind::TimedOut, "nobody takes it"))
        };
        smol::future::or(self.stream.write_all(octets), late).await
    }
}

impl<S: AsyncWrite + Unpin> Sink for Answer<'_, S> {
    async fn put(&mut self, octets: &[u8]) -> io::Result<()> {
        self.write(format!("data {}\n", octets.len()).as_bytes()).await?;
        self.write(octets).await
    }
    async fn tell(&mut self, line: String) -> io::Result<()> {
        log::warn!("backup: {line}");
        self.write(format!("told {}\n", line.replace(['\n', '\0'], " ")).as_bytes()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_travels_as_a_line() {
        let all = Made { accounts: 2, files: 30, octets: 4096, problems: 1 };
        assert_eq!(made(&line(&all)), Some(all));
        assert_eq!(made("1 2 3"), None);
        assert_eq!(
            (follow("data 65536"), follow("data 99999999999"), follow("told 5")),
            (Some(65536), None, None)
        );
    }
}
