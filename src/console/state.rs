//! `pillarbox multipop import-state` inside the running appliance, which owns the accounts.
//!
//! The first line is account, source, folder and whether its messages count as the appliance's own, with NULs between them. A line for each
//! message follows: when it was collected, 0 where nobody knows, a blank, and its unique-id. The verdict says how many were new
//! and how many known.

use std::io;

use smol::io::{AsyncRead, AsyncReadExt};

use crate::config::{Config, Source};
use crate::failure::Failure;
use crate::multipop::state::{Entry, Import, Taken};
use crate::operator::Operator;
use crate::pace::Pace;
use crate::say::counted;
use crate::store::{self, Store};

/// Octets of a line: an account, or a unique-id.
const LONGEST_LINE: usize = 4096;

/// What is to be noted, for which source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The account's name.
    pub account: String,
    /// The lasting identity of its source.
    pub source: u64,
    /// The folder there.
    pub folder: String,
    /// See [`Import::new`].
    pub as_own: bool,
    /// What was collected.
    pub entries: Vec<Entry>,
}

impl Job {
    /// What travels.
    pub(super) fn words(&self) -> Vec<u8> {
        let Job { account, source, folder, as_own, entries } = self;
        let mut words = format!("{account}\0{source}\0{folder}\0{as_own}\n");
        for Entry { unique_id, date } in entries {
            words += &format!("{} {unique_id}\n", date.unwrap_or(0));
        }
        words.into_bytes()
    }

    fn head(line: &str) -> Option<Job> {
        let mut words = line.split('\0');
        let (account, source) = (words.next()?.to_owned(), words.next()?.parse().ok()?);
        let (folder, as_own) = (words.next()?.to_owned(), words.next()?.parse().ok()?);
        Some(Job { account, source, folder, as_own, entries: Vec::new() })
    }

    fn entry(line: &str) -> Option<Entry> {
        let (date, unique_id) = line.split_once(' ')?;
        let date = date.parse().ok().filter(|date| *date != 0);
        Some(Entry { unique_id: unique_id.to_owned(), date })
    }

    /// Begins it, with the accounts of `store`.
    async fn begin(&self, config: &Config, store: &Store) -> Result<Import, Failure> {
        let source = self.source_in(config)?;
        let account = store.account(&self.account).await.map_err(|error| self.failed(&error))?;
        Ok(Import::new(account, source, &self.folder, self.as_own))
    }

    fn source_in<'c>(&self, config: &'c Config) -> Result<&'c Source, Failure> {
        let account = config.account(&self.account);
        let source =
            account.and_then(|account| account.sources.iter().find(|source| source.id == self.source));
        source.ok_or_else(|| Failure::Input(format!("{}: the source is gone", self.account)))
    }

    fn failed(&self, error: &store::Error) -> Failure {
        Failure::System(format!("{}: {error}", self.account))
    }

    /// Does it here, with the accounts of `store`.
    ///
    /// # Errors
    /// The source is gone, or the store's.
    pub async fn run(&self, config: &Config, store: &Store) -> Result<Taken, Failure> {
        let mut import = self.begin(config, store).await?;
        for entry in &self.entries {
            import.take(entry).await.map_err(|error| self.failed(&error))?;
        }
        import.finish().await.map_err(|error| self.failed(&error))
    }
}

/// Reads a request behind `pending` and does it line by line.
pub(super) async fn serve(
    operator: &Operator,
    stream: &mut (impl AsyncRead + Unpin),
    pending: Vec<u8>,
) -> io::Result<Result<String, Failure>> {
    let mut lines = Lines { stream, pending, at: 0 };
    let nonsense = || Failure::Input("the request makes no sense".to_owned());
    let Some(job) = lines.next().await?.as_deref().and_then(Job::head) else { return Ok(Err(nonsense())) };
    let (config, pace) = (operator.context.config(), Pace::new());
    if let Ok(source) = job.source_in(&config)
        && operator.poller.is_polling(&job.account, source)
    {
        let advice = format!(
            "{0}: the source is being polled this moment: `pillarbox console -c \"collect stop {0}\"` ends that",
            job.account
        );
        return Ok(Err(Failure::System(advice)));
    }
    let mut import = match job.begin(&config, &operator.context.store).await {
        Ok(import) => import,
        Err(failure) => return Ok(Err(failure)),
    };
    while let Some(line) = lines.next().await? {
        let Some(entry) = Job::entry(&line) else { return Ok(Err(nonsense())) };
        if let Err(error) = import.take(&entry).await {
            return Ok(Err(job.failed(&error)));
        }
        pace.keep().await;
    }
    Ok(match import.finish().await {
        Ok(Taken { new, known }) => {
            let new_ones = counted(new as u64, "message");
            log::info!("{}: {new_ones} collected elsewhere, {known} known before", job.account);
            Ok(format!("{new} {known}"))
        }
        Err(error) => Err(job.failed(&error)),
    })
}

/// What the verdict says.
pub(super) fn taken(words: &str) -> Option<Taken> {
    let (new, known) = words.split_once(' ')?;
    Some(Taken { new: new.parse().ok()?, known: known.parse().ok()? })
}

struct Lines<'s, S> {
    stream: &'s mut S,
    pending: Vec<u8>,
    at: usize,
}

impl<S: AsyncRead + Unpin> Lines<'_, S> {
    /// The next line; `None` at the end, and for one that is longer than any.
    async fn next(&mut self) -> io::Result<Option<String>> {
        loop {
            let rest = self.pending.get(self.at..).unwrap_or_default();
            if let Some(end) = memchr::memchr(b'\n', rest) {
                let line = String::from_utf8_lossy(rest.get(..end).unwrap_or_default()).into_owned();
                self.at += end + 1;
                return Ok(Some(line));
            }
            if rest.len() > LONGEST_LINE {
                return Ok(None);
            }
            self.pending.drain(..self.at);
            self.at = 0;
            let mut piece = [0; 4096];
            match self.stream.read(&mut piece).await? {
                0 => return Ok(None),
                read => self.pending.extend(piece.get(..read).unwrap_or_default()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a unique-id with blanks that is cut on its way, and an unknown time that is one.
    #[test]
    fn jobs_travel_as_lines() {
        let entry = |unique_id: &str, date| Entry { unique_id: unique_id.to_owned(), date };
        let entries = vec![entry("<a b@c>", Some(1_700_000_000)), entry("7.5", None)];
        let job = Job {
            account: "office".to_owned(),
            source: u64::MAX,
            folder: "a b".to_owned(),
            as_own: true,
            entries,
        };
        let words = job.words();
        async_io::block_on(async {
            let (mut stream, pending) = (&words[10..], words[..10].to_vec());
            let mut lines = Lines { stream: &mut stream, pending, at: 0 };
            let mut heard = Job::head(&lines.next().await.unwrap().unwrap()).unwrap();
            while let Some(line) = lines.next().await.unwrap() {
                heard.entries.push(Job::entry(&line).unwrap());
            }
            assert_eq!(heard, job);
            let long = vec![b'x'; LONGEST_LINE + 1];
            let mut lines = Lines { stream: &mut &b""[..], pending: long, at: 0 };
            assert_eq!(lines.next().await.unwrap(), None);
        });
        assert_eq!(Job::head("office"), None);
        assert_eq!(Job::entry("7.5"), None);
        assert_eq!(taken("3 4"), Some(Taken { new: 3, known: 4 }));
    }
}
