//! `pillarbox mail export` and `import` inside the running appliance, which owns the accounts.
//!
//! The command's words come ended by NULs. The answer is lines: `progress MESSAGES OF OCTETS OF` and `told WORDS`. The
//! verdict at its end names what was done. When the other end goes away, the work stops where it is.

use std::cell::{Cell, RefCell};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use event_listener::Event;
use smol::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::unclaimed::in_store;
use crate::archive::{self, Format, Progress, Summary, Watch};
use crate::config::Config;
use crate::failure::Failure;
use crate::operator::Operator;
use crate::store::{Store, means_unclaimed};

/// Octets of a request: a path and a name fit.
const LONGEST_REQUEST: u64 = 16 << 10;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Job {
    /// `pillarbox mail export`.
    Export {
        /// The account's name.
        account: String,
        /// The folder.
        dest: PathBuf,
        /// How mail is laid out there.
        format: Format,
    },
    /// `pillarbox mail import`.
    Import {
        /// The account's name.
        account: String,
        /// A folder or file.
        src: PathBuf,
    },
}

impl Job {
    /// The words that travel.
    pub(super) fn words(&self) -> Vec<u8> {
        let (verb, account, path) = match self {
            Job::Export { account, dest, format } => (format.name(), account, dest),
            Job::Import { account, src } => ("import", account, src),
        };
        [verb.as_bytes(), account.as_bytes(), path.as_os_str().as_bytes(), b""].join(&0)
    }

    fn parse(words: &[u8]) -> Option<Job> {
        let mut words = words.split(|&octet| octet == 0);
        let (verb, account, path) = (words.next()?, words.next()?, words.next()?);
        let account = String::from_utf8(account.to_vec()).ok()?;
        let path = Path::new(OsStr::from_bytes(path)).to_owned();
        match (std::str::from_utf8(verb).ok()?, words.next()) {
            ("import", Some(b"")) => Some(Job::Import { account, src: path }),
            (format, Some(b"")) => Some(Job::Export { account, dest: path, format: Format::named(format)? }),
            _ => None,
        }
    }

    /// The account's name.
    pub fn account(&self) -> &str {
        match self {
            Job::Export { account, .. } | Job::Import { account, .. } => account,
        }
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Job::Export { dest: path, .. } | Job::Import { src: path, .. } => path,
        }
    }

    fn verb(&self) -> &'static str {
        match self {
            Job::Export { .. } => "export to",
            Job::Import { .. } => "import from",
        }
    }

    /// Does it, with the accounts of `store`.
    ///
    /// # Errors
    /// There is no such account, or those of [`archive::export`] and [`archive::import`].
    pub async fn run(&self, config: &Config, store: &Store, watch: &dyn Watch) -> Result<Summary, Failure> {
        let name = self.account();
        if let Job::Export { dest, format, .. } = self
            && means_unclaimed(name)
        {
            let left = in_store(store, config, name)?;
            let opened = store.open_unclaimed(&left).await;
            let account = opened.map_err(|error| Failure::System(format!("{name}: {error}")))?;
            return archive::export(&account, dest, *format, watch).await;
        }
        if config.account(name).is_none() {
            let names: Vec<String> = config.accounts.iter().map(|account| account.name.to_string()).collect();
            return Err(Failure::Input(format!(
                "{name}: there is no such account: it is one of {}",
                names.join(", ")
            )));
        }
        let account =
            store.account(name).await.map_err(|error| Failure::System(format!("{name}: {error}")))?;
        match self {
            Job::Export { dest, format, .. } => archive::export(&account, dest, *format, watch).await,
            Job::Import { src, .. } => archive::import(&account, src, watch).await,
        }
    }

    /// What was done, in one line, or that something was left out.
    ///
    /// # Errors
    /// [`Failure::Input`] when something was left out.
    pub fn outcome(&self, summary: &Summary) -> Result<String, Failure> {
        let Summary { mailboxes, written, unchanged, problems } = summary;
        let (name, done) = match self {
            Job::Export { account, dest, .. } => (account, format!("exported to {}", dest.display())),
            Job::Import { account, src } => (account, format!("imported from {}", src.display())),
        };
        let counts = format!("mailboxes: {mailboxes}, messages: {written} new, {unchanged} there already");
        match problems {
            0 => Ok(format!("{name}: {done}: {counts}")),
            _ => Err(Failure::Input(format!("{name}: {done}, but not everything, see above: {counts}"))),
        }
    }
}

/// What waits to be written to the one who looks on.
#[derive(Default)]
struct PendingOutput {
    progress: Cell<Option<Progress>>,
    told: RefCell<Vec<String>>,
    more: Event,
}

impl Watch for PendingOutput {
    fn progress(&self, progress: Progress) {
        self.progress.set(Some(progress));
        self.more.notify(1);
    }
    fn tell(&self, line: String) {
        self.told.borrow_mut().push(line);
        self.more.notify(1);
    }
}

impl PendingOutput {
    /// Everything since the last call.
    fn take(&self) -> String {
        let mut text = String::new();
        for line in self.told.take() {
            text += &format!("told {}\n", line.replace(['\n', '\0'], " "));
        }
        if let Some(Progress { messages, of_messages, octets, of_octets }) = self.progress.take() {
            text += &format!("progress {messages} {of_messages} {octets} {of_octets}\n");
        }
        text
    }

    /// Writes what comes, until the other end has gone.
    async fn write(&self, stream: &mut (impl AsyncWrite + Unpin)) -> io::Error {
        loop {
            let more = self.more.listen();
            let text = self.take();
            if text.is_empty() {
                more.await;
            } else if let Err(error) = stream.write_all(text.as_bytes()).await {
                return error;
            }
        }
    }
}

/// Reads a request behind `words`, does it, and gives the verdict.
pub(super) async fn serve(
    operator: &Operator,
    stream: &mut (impl smol::io::AsyncRead + AsyncWrite + Unpin),
    mut words: Vec<u8>,
) -> io::Result<Result<String, Failure>> {
    (&mut *stream).take(LONGEST_REQUEST).read_to_end(&mut words).await?;
    let Some(job) = Job::parse(&words) else {
        return Ok(Err(Failure::Input("the request makes no sense".to_owned())));
    };
    let Some(_alone) = operator.mail.try_lock() else {
        let why = "the appliance exports or imports mail already: try again when that has ended";
        return Ok(Err(Failure::System(why.to_owned())));
    };
    let context = &operator.context;
    let (name, path) = (job.account(), job.path().display());
    log::info!("mail of {name}: {} {path} begins", job.verb());
    let news = PendingOutput::default();
    let config = context.config();
    let work = async { Ok(job.run(&config, &context.store, &news).await) };
    let gone = async { Err(news.write(stream).await) };
    let outcome = smol::future::or(work, gone).await;
    match &outcome {
        Ok(Ok(_)) => log::info!("mail of {name}: {} {path} is done", job.verb()),
        Ok(Err(failure)) => log::warn!("mail of {name}: {}", failure.words()),
        Err(_) => log::warn!("mail of {name}: {} {path} was given up by its operator", job.verb()),
    }
    let outcome = outcome?;
    stream.write_all(news.take().as_bytes()).await?;
    Ok(outcome.and_then(|summary| job.outcome(&summary)))
}

/// Passes a line of the answer on.
pub(super) fn hear(line: &str, watch: &dyn Watch) {
    if let Some(words) = line.strip_prefix("told ") {
        watch.tell(words.to_owned());
    } else if let Some(numbers) = line.strip_prefix("progress ") {
        let mut numbers = numbers.split(' ').filter_map(|number| number.parse().ok());
        let mut next = || numbers.next().unwrap_or_default();
        let progress = Progress { messages: next(), of_messages: next(), octets: next(), of_octets: next() };
        watch.progress(progress);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_travel_as_words() {
        let path = PathBuf::from(OsStr::from_bytes(b"/a b/\xff"));
        for job in [
            Job::Export { account: "office".to_owned(), dest: path.clone(), format: Format::Mbox },
            Job::Import { account: "office".to_owned(), src: path },
        ] {
            assert_eq!(Job::parse(&job.words()), Some(job.clone()));
            assert_eq!(Job::parse(&job.words()[1..]), None);
        }
    }
}
