//! Tries a source out as a poll would, and reports what is there. Nothing is collected, changed or noted.
//!
//! Each step is reported in one line when it is done; a step that fails is reported with advice.

#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use super::Error;
use super::budget::{Budget, CHATTER};
use super::driver::{self, Session};
use super::errand::ServerQuirks;
use super::ledger::{Ledger, Verdict, source_key};
use super::notice::{mebibytes, messages};
use super::places::Places;
use super::remote::Listed;
use super::wire::Wire;
use crate::clock::unix_now;
use crate::config::{Protocol, Security, Source};
use crate::context::Context;
use crate::outgoing::{Route, shown};
use crate::sasl::client::AccessToken;
use crate::say::counted;

/// Folders that are shown, at most.
const SHOWN: usize = 200;
/// How long a probe may take.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// A future that gives the access token of a source; `None` if the source logs in with a password.
pub type Permission<'a> = Pin<Box<dyn Future<Output = Result<Option<AccessToken>, Error>> + 'a>>;

/// Tries out `source`, which need not be in force, for `account`. Each step is given to `tell` as a line without line
/// end.
///
/// # Errors
/// The step that failed: what went wrong, and what to do.
pub async fn probe(
    context: &Context,
    account: &str,
    source: &Source,
    permission: Permission<'_>,
    tell: &dyn Fn(String),
) -> Result<(), String> {
    // A probe changes nothing at the server, whatever the source's settings are.
    let harmless = Source { leave_on_server: true, delete_after: 0, ..source.clone() };
    let mut probe = Probe { context, account, source, tell };
    probe.run(&harmless, permission).await.map_err(|error| format!("{error}. {}", error.advice()))
}

struct Probe<'a> {
    context: &'a Context,
    account: &'a str,
    source: &'a Source,
    tell: &'a dyn Fn(String),
}

impl Probe<'_> {
    /// Reports a step and its result.
    fn tell(&self, step: &str, words: &str) {
        (self.tell)(shown::step(step, words));
    }

    async fn run(&mut self, source: &Source, permission: Permission<'_>) -> Result<(), Error> {
        let time = &self.context.time;
        let timeout = Duration::from_secs(self.context.config().multipop.timeout.max(1).into());
        if source.security != Security::None && !self.context.clock.is_known() {
            return Err(Error::NoTime);
        }
        self.tell("name", &shown::name(&Route::from(source), timeout, time).await?);
        let budget = Budget::new(time, CHATTER, PATIENCE);
        let wire = Wire::connect(source, timeout, Rc::default(), budget).await?;
        self.tell("connection", &shown::peer(wire.peer()));
        if source.security != Security::Starttls {
            self.tell_tls(&wire);
        }
        let token = permission.await?;
        if token.is_some() {
            self.tell("permission", "given");
        }
        let mut wire = wire.with_token(token);
        let mut mailbox = driver::open(&mut wire, source, &ServerQuirks::default()).await?;
        self.tell_login(&wire);
        let places = Places::new(time, 1);
        let mut session = Session { wire: &mut wire, mailbox: &mut *mailbox, place: places.place() };
        session.begin().await?;
        self.folders(&mut session, source).await?;
        session.part().await;
        Ok(())
    }

    fn tell_tls(&self, wire: &Wire) {
        let Some((version, chain)) = wire.server_shown() else {
            self.tell("TLS", "none: whoever is on the way can read the password and the mail");
            return;
        };
        for (n, words) in shown::chain(version, &chain).iter().enumerate() {
            self.tell(if n == 0 { "TLS" } else { "" }, words);
        }
    }

    fn tell_login(&self, wire: &Wire) {
        if self.source.security == Security::Starttls {
            self.tell_tls(wire);
        }
        let way = wire.method().map_or("without a login".to_owned(), |method| format!("by {method}"));
        self.tell("login", &format!("as {} {way}", self.source.username));
    }

    /// Reports the folders, and what of them would be collected.
    async fn folders(&self, session: &mut Session<'_>, source: &Source) -> Result<(), Error> {
        if source.protocol == Protocol::Imap {
            let all = session.folders(["*"].into_iter()).await?;
            let mut shown: Vec<&str> = all.iter().take(SHOWN).map(String::as_str).collect();
            let more = format!("and {} more", all.len().saturating_sub(SHOWN));
            shown.extend((all.len() > SHOWN).then_some(&*more));
            self.tell("folders", &shown.join(", "));
        }
        for wanted in source.wanted_folders() {
            let folders = session.folders([wanted].into_iter()).await?;
            if folders.is_empty() {
                return Err(Error::NoFolder(wanted.to_owned()));
            }
            for folder in folders {
                self.survey(session, source, &folder).await?;
            }
        }
        Ok(())
    }

    /// Reports what is in `folder`, and what a poll would do with it.
    async fn survey(&self, session: &mut Session<'_>, source: &Source, folder: &str) -> Result<(), Error> {
        let mut ledger = self.ledger(source, folder).await?;
        let mut found = Found::default();
        let agrees = match session.listing(folder, |listed| found.take(&mut ledger, &listed)).await {
            Err(Error::Refused { .. }) => return Err(Error::NoFolder(folder.to_owned())),
            agrees => agrees?,
        };
        found.left = ledger.left();
        let Found { all, octets, .. } = found;
        let s = if all == 1 { "" } else { "s" };
        let doubt = if agrees { "" } else { "; what the server says of their number does not agree" };
        self.tell("mailbox", &format!("{folder}: {all} message{s}, {}{doubt}", mebibytes(octets)));
        found.consequences(self.source).iter().for_each(|words| self.tell("", words));
        Ok(())
    }

    /// The ledger of `source` with what is known to be collected, judged by the settings of `source`.
    async fn ledger(&self, source: &Source, folder: &str) -> Result<Ledger, Error> {
        let config = self.context.config();
        // An account that is not in force has no mail, and must not be made.
        let known = match config.account(self.account) {
            Some(_) => self.context.store.account(self.account).await?.ledger_of(source_key(source, folder)),
            None => Vec::new(),
        };
        let counts = Source { id: source.id, ..self.source.clone() };
        let mut ledger = Ledger::new(&counts, known, unix_now(), config.server.max_message_size);
        if ledger.is_elsewhere() {
            self.tell("", "the server is another one than at the last poll: the next poll finds out whether the mailbox is");
        }
        drop(ledger.arrive(true));
        Ok(ledger)
    }
}

/// The messages of a mailbox, counted by what a poll would do with them.
#[derive(Debug, Default)]
struct Found {
    all: u64,
    octets: u64,
    new: u64,
    new_octets: u64,
    /// New messages beyond what one poll takes on.
    left: u64,
    unknown: u64,
    large: u64,
    deletable: u64,
}

impl Found {
    fn take(&mut self, ledger: &mut Ledger, listed: &Listed<'_>) {
        self.all += 1;
        self.octets = self.octets.saturating_add(listed.size);
        if listed.is_deleted && !ledger.knows(listed.unique_id) {
            return;
        }
        match ledger.listed(listed.unique_id, listed.size) {
            Verdict::Collect(_) => {
                self.new += 1;
                self.new_octets = self.new_octets.saturating_add(listed.size);
            }
            Verdict::Read => self.unknown += 1,
            Verdict::Tell(_) => self.large += 1,
            Verdict::Delete => self.deletable += 1,
            Verdict::Compare(identity) => {
                self.deletable += u64::from(ledger.same(identity) == Verdict::Delete)
            }
            Verdict::Redate(_) | Verdict::Leave => {}
        }
    }

    /// One line for each thing that a poll would do.
    fn consequences(&self, source: &Source) -> Vec<String> {
        let count = |n: u64| messages(u32::try_from(n).unwrap_or(u32::MAX));
        let new = self.new + self.left;
        let mut lines = vec![match new {
            0 => "nothing new to collect".to_owned(),
            // The sizes of the messages beyond one round are estimated from the others.
            _ => {
                let octets = self.new_octets.checked_div(self.new).unwrap_or(0).saturating_mul(new);
                let about = if self.left > 0 { "about " } else { "" };
                format!("to be collected: {}, {about}{}", count(new), mebibytes(octets))
            }
        }];
        if self.unknown > 0 {
            let it = count(self.unknown);
            lines.push(format!("to be read whole, since the server says nothing they are known by: {it}"));
        }
        if self.large > 0 {
            lines.push(format!("larger than max_size, and left there: {}", count(self.large)));
        }
        if self.deletable > 0 {
            lines.push(format!("collected before, and to be deleted there: {}", count(self.deletable)));
        }
        if new > 0 {
            lines.push(match (source.leave_on_server, source.delete_after) {
                (true, 0) => "what is collected stays there".to_owned(),
                (true, seconds) => {
                    format!(
                        "what is collected stays there for {}",
                        counted(seconds.div_ceil(86_400).into(), "day")
                    )
                }
                (false, _) => "what is collected is deleted there once it is safe here".to_owned(),
            });
        }
        lines
    }
}
