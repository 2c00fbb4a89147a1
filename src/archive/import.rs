//! The import: puts the mail in the files into the account, each message once.
//!
//! A message counts as present if its mailbox holds one with the same octets and INTERNALDATE; two equal messages
//! count as two. So an import that was interrupted, or is repeated, adds only what is missing, and need not keep a
//! list of what was imported.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::rc::Rc;

use super::source::{Contents, Entry, Found, Source, find};
use super::{Summary, Tally, Watch, account_reader, flags};
use crate::failure::Failure;
use crate::flash::ReadAt;
use crate::pace::Pace;
use crate::store::{
    self, Account, Body, Error, Incoming, MailboxId, MailboxNumbers, MessageNumbers, Transaction, Uid,
    mailbox_name,
};

/// Messages, and octets of them, in one commit, at most.
const BATCH: (usize, u64) = (64, 512 * 1024);

/// Puts the mail at `src` into `account`.
///
/// # Errors
/// There is no mail at `src`, or the account takes no more. Messages that cannot be read are reported and left out.
pub async fn import(account: &Rc<Account>, src: &Path, watch: &dyn Watch) -> Result<Summary, Failure> {
    let source = find(src)?;
    take(account, &source, src, "then import again: it goes on where it stopped", watch).await
}

/// Puts all mail of the account `from` into `account`, below the mailbox `below`, or under its own names. In the
/// latter case an account that was never used also takes over the mailboxes and their numbers. Like an import it may
/// be interrupted and repeated.
///
/// # Errors
/// The account takes no more. Messages that cannot be read are reported and left out.
pub async fn hand_over(
    from: &Rc<Account>,
    account: &Rc<Account>,
    below: Option<&str>,
    watch: &dyn Watch,
) -> Result<Summary, Failure> {
    let source = account_reader::source(from, below);
    let again = "then claim it again: it goes on where it stopped";
    take(account, &source, Path::new(&*from.name()), again, watch).await
}

async fn take(
    account: &Rc<Account>,
    source: &Source,
    src: &Path,
    again: &'static str,
    watch: &dyn Watch,
) -> Result<Summary, Failure> {
    let mut tally = Tally::new(watch);
    if source.export.as_ref().is_some_and(|export| !export.complete) {
        tally.problem(format!(
            "{}: the export was interrupted, what it had not written is missing: finish it if you can",
            src.display()
        ));
    }
    source.problems.iter().for_each(|problem| tally.problem(problem.clone()));
    for found in &source.mailboxes {
        // Errors are reported when the mailbox is imported.
        let Ok(contents) = found.read(&tally.pace).await else { continue };
        tally.progress.of_messages += contents.messages.len() as u64;
        tally.progress.of_octets += contents.messages.iter().map(Entry::octets).sum::<u64>();
    }
    let mut import = Import { account, again, tally };
    // An interrupted import may have left a commit under way.
    account.settled().await.map_err(|error| import.refused("INBOX", error))?;
    for (found, name) in import.prepare(source).await? {
        import.mailbox(found, &name).await?;
        import.tally.summary.mailboxes += 1;
    }
    Ok(import.tally.summary)
}

struct Import<'a> {
    account: &'a Rc<Account>,
    /// What the user should do if the account takes no more.
    again: &'static str,
    tally: Tally<'a>,
}

/// A mailbox that is being filled.
struct Filling {
    id: MailboxId,
    name: String,
    /// The numbers that it is to have at the end, if possible.
    numbers: Option<MailboxNumbers>,
    /// Whether messages can still get the UIDs that the source knows.
    restoring: bool,
    /// For each keyword bit of the source, the keyword, if it fits.
    keywords: Vec<Option<String>>,
    /// The messages that were there before: size, date and UID, in ascending order.
    before: Vec<(u32, i64, Uid)>,
    /// The UIDs of those of them that were found in the source.
    matched: HashSet<Uid>,
}

/// Messages that go into one commit.
struct Batch {
    transaction: Transaction,
    messages: usize,
    octets: u64,
}

impl<'a> Import<'a> {
    /// Makes the mailboxes and subscriptions, all in one commit. An account that was never used gets exactly those of
    /// an export.
    async fn prepare<'s>(&mut self, source: &'s Source) -> Result<Vec<(&'s Found, String)>, Failure> {
        let mut wanted = Vec::new();
        for found in &source.mailboxes {
            match mailbox_name::canonical(&found.name) {
                Ok(name) => wanted.push((found, name)),
                Err(error) => self.tally.problem(format!("{}: left out: {error}", found.name)),
            }
        }
        let there: Vec<String> = self.account.mailboxes().into_iter().map(|(_, name)| name).collect();
        let named = |name: &str| wanted.iter().any(|(_, wanted)| wanted == name);
        let mut transaction = self.account.begin();
        let mut made: Vec<&str> = Vec::new();
        let names: std::collections::BTreeSet<&str> = wanted.iter().map(|(_, name)| name.as_str()).collect();
        for name in names {
            if there.iter().any(|there| there == name) {
                continue;
            }
            transaction.create_mailbox(name);
            for superior in mailbox_name::superiors(name) {
                if !there.iter().any(|there| there == superior) && !made.contains(&superior) {
                    made.push(superior);
                    if !named(superior) && source.export.is_some() {
                        transaction.delete_mailbox(superior);
                        made.pop();
                    }
                }
            }
            made.push(name);
        }
        let subscribed = self.account.subscriptions();
        if source.export.is_some() && self.is_unused() {
            there.iter().filter(|name| !named(name) && *name != "INBOX").for_each(|name| {
                transaction.delete_mailbox(name);
            });
            let ended = subscribed.iter().filter(|name| !source.subscriptions.contains(name));
            ended.for_each(|name| transaction.subscribe(name, false));
        }
        let new = source.subscriptions.iter().filter(|name| !subscribed.contains(name));
        new.filter(|name| mailbox_name::canonical(name).is_ok())
            .for_each(|name| transaction.subscribe(name, true));
        transaction.commit().await.map_err(|error| self.refused("its mailboxes", error))?;
        Ok(wanted)
    }

    /// Whether no mailbox has ever held a message.
    fn is_unused(&self) -> bool {
        let ids = self.account.mailboxes();
        ids.iter().all(|(id, _)| self.account.view(*id, |mailbox| mailbox.uid_next == 1).unwrap_or(true))
    }

    async fn mailbox(&mut self, found: &Found, name: &str) -> Result<(), Failure> {
        let contents = match found.read(&self.tally.pace).await {
            Ok(contents) => contents,
            Err(error) => {
                self.tally.problem(format!("{name}: left out: {}: {error}", found.shown().display()));
                return Ok(());
            }
        };
        contents.problems.iter().for_each(|problem| self.tally.problem(problem.clone()));
        let Some(id) = self.account.find(name) else { return Ok(()) };
        let mut filling = self.begin(id, name, &contents).await?;
        let mut batch = self.batch();
        for entry in &contents.messages {
            let there = match self.is_there(&filling, entry).await {
                Ok(there) => there,
                Err(error) => {
                    self.unreadable(&filling, entry, &error);
                    continue;
                }
            };
            if let Some(uid) = there {
                filling.matched.insert(uid);
                self.tally.message(entry.octets(), false);
                continue;
            }
            match self.receive(entry, name).await? {
                Ok(message) => self.deliver(&mut batch, &filling, entry, message),
                Err(error) => {
                    self.unreadable(&filling, entry, &error);
                    continue;
                }
            }
            if batch.messages >= BATCH.0 || batch.octets >= BATCH.1 {
                self.commit(&mut batch, name).await?;
            }
        }
        self.commit(&mut batch, name).await?;
        self.finish(&filling).await
    }

    /// Gives a mailbox the numbers, keywords and annotations of the source.
    async fn begin(&mut self, id: MailboxId, name: &str, contents: &Contents) -> Result<Filling, Failure> {
        let mut transaction = self.account.begin();
        if let Some(numbers) = contents.numbers {
            transaction.restore(id, MailboxNumbers { uid_next: 1, highest_modseq: 1, ..numbers });
        }
        // A mailbox with annotations keeps its own.
        if self.account.annotations(id).is_empty() {
            let fitting = contents.annotations.iter().filter(|(entry, value)| {
                entry.len() <= store::ENTRY_MAX && value.len() <= store::ANNOTATION_MAX
            });
            for (entry, value) in fitting.take(store::ANNOTATIONS_MAX) {
                transaction.annotate(name, entry, Some(value));
            }
        }
        let named: Vec<&str> =
            contents.keywords.iter().map(String::as_str).filter(|name| flags::is_keyword(name)).collect();
        transaction.name_keywords(id, &named);
        transaction.commit().await.map_err(|error| self.refused(name, error))?;
        let known = self.account.view(id, |mailbox| mailbox.keywords.clone()).unwrap_or_default();
        let mut keywords = Vec::new();
        for keyword in &contents.keywords {
            let fits = !keyword.is_empty() && known.iter().any(|known| known.eq_ignore_ascii_case(keyword));
            if !fits && !keyword.is_empty() {
                self.tally.problem(format!("{name}: the keyword {keyword} is left out: there are too many"));
            }
            keywords.push(fits.then(|| keyword.clone()));
        }
        let filling = self.account.view(id, |mailbox| {
            let numbers = contents.numbers.filter(|numbers| {
                mailbox.uid_validity == numbers.uid_validity && mailbox.uid_next <= numbers.uid_next
            });
            let mut before: Vec<_> = mailbox.messages.iter().map(|m| (m.size, m.date.get(), m.uid)).collect();
            before.sort_unstable();
            let restoring = numbers.is_some_and(|numbers| mailbox.uid_next < numbers.uid_next);
            let name = name.to_owned();
            Filling { id, name, numbers, restoring, keywords, before, matched: HashSet::new() }
        });
        filling.ok_or_else(|| Failure::System(format!("{name}: the mailbox was deleted meanwhile")))
    }

    /// The UID of a message of the source that is in the mailbox already.
    async fn is_there(&self, filling: &Filling, entry: &Entry) -> io::Result<Option<Uid>> {
        if filling.before.is_empty() {
            return Ok(None);
        }
        let mut size = 0u64;
        let mut octets = entry.open()?;
        while let Some(piece) = octets.next()? {
            size += piece.len() as u64;
            self.tally.pace.keep().await;
        }
        let key = |(size, date, _): &(u32, i64, Uid)| (u64::from(*size), *date);
        let from = filling.before.partition_point(|before| key(before) < (size, entry.date));
        let alike = filling.before[from..].iter().take_while(|before| key(before) == (size, entry.date));
        for &(_, _, uid) in alike.filter(|(_, _, uid)| !filling.matched.contains(uid)) {
            let message = self.account.view(filling.id, |mailbox| mailbox.message(uid).copied()).flatten();
            let Some(Ok(body)) = message.map(|message| self.account.body(&message)) else { continue };
            if equal(entry, &body, &self.tally.pace).await? {
                return Ok(Some(uid));
            }
        }
        Ok(None)
    }

    /// Reads a message of the source into the store.
    async fn receive(&mut self, entry: &Entry, name: &str) -> Result<io::Result<Incoming>, Failure> {
        let mut message = self.account.incoming();
        let mut octets = match entry.open() {
            Ok(octets) => octets,
            Err(error) => return Ok(Err(error)),
        };
        loop {
            match octets.next() {
                Ok(None) => return Ok(Ok(message)),
                Err(error) => return Ok(Err(error)),
                Ok(Some(piece)) => {
                    message.write(piece).map_err(|error| self.refused(name, error))?;
                    self.tally.pace.keep().await;
                }
            }
        }
    }

    fn batch(&self) -> Batch {
        Batch { transaction: self.account.begin(), messages: 0, octets: 0 }
    }

    fn deliver(&self, batch: &mut Batch, filling: &Filling, entry: &Entry, message: Incoming) {
        batch.messages += 1;
        batch.octets += message.len();
        let keywords: Vec<&str> = entry
            .flags
            .keywords()
            .filter_map(|bit| filling.keywords.get(bit).and_then(Option::as_deref))
            .collect();
        let (id, flags, date) = (filling.id, entry.flags.system(), entry.date);
        match (filling.numbers, entry.uid) {
            (Some(MailboxNumbers { uid_validity, .. }), Some(uid)) if filling.restoring => {
                let numbers = MessageNumbers { uid_validity, uid, modseq: entry.modseq };
                batch.transaction.deliver_as(id, message, flags, &keywords, date, numbers);
            }
            _ => batch.transaction.deliver(id, message, flags, &keywords, date),
        }
    }

    async fn commit(&mut self, batch: &mut Batch, name: &str) -> Result<(), Failure> {
        let Batch { transaction, messages, octets } = std::mem::replace(batch, self.batch());
        transaction.commit().await.map_err(|error| self.refused(name, error))?;
        self.tally.progress.messages += messages as u64;
        self.tally.summary.written += messages as u64;
        self.tally.octets(octets);
        Ok(())
    }

    async fn finish(&mut self, filling: &Filling) -> Result<(), Failure> {
        let Some(numbers) = filling.numbers else { return Ok(()) };
        let kept = self.account.view(filling.id, |mailbox| mailbox.uid_validity == numbers.uid_validity);
        if kept == Some(true) {
            let mut transaction = self.account.begin();
            transaction.restore(filling.id, numbers);
            return transaction.commit().await.map(drop).map_err(|error| self.refused(&filling.name, error));
        }
        self.tally.watch.tell(format!(
            "{}: other mail came in meanwhile, so its messages have new UIDs: mail programs will fetch them anew",
            filling.name
        ));
        Ok(())
    }

    fn unreadable(&mut self, filling: &Filling, entry: &Entry, error: &io::Error) {
        let shown = entry.shown();
        self.tally.problem(format!("{}: {shown}: left out, it cannot be read: {error}", filling.name));
    }

    fn refused(&self, mailbox: &str, error: Error) -> Failure {
        let account = self.account.name();
        let again = self.again;
        match error {
            Error::OverQuota => Failure::Input(format!(
                "{account}: the quota is used up: set account.{account}.quota higher or delete mail, {again}"
            )),
            Error::Limit(_) | Error::TooManyAnnotations => {
                Failure::Input(format!("{account}: {mailbox}: {error}: delete some, {again}"))
            }
            Error::Full => Failure::System(format!("{account}: the flash is full: make room, {again}")),
            Error::ReadOnly => Failure::System(format!(
                "{account}: the flash takes no changes: choose a data folder that can be written"
            )),
            error => Failure::System(format!("{account}: {mailbox}: {error}")),
        }
    }
}

/// Whether a message of the source and a stored one of the same size have the same octets.
async fn equal(entry: &Entry, body: &Body, pace: &Pace) -> io::Result<bool> {
    let mut octets = entry.open()?;
    let (mut at, mut stored) = (0, Vec::new());
    while let Some(piece) = octets.next()? {
        stored.resize(piece.len(), 0);
        // A stored message that cannot be read counts as different.
        if body.read_exact_at(at, &mut stored).is_err() || stored != piece {
            return Ok(false);
        }
        at += piece.len() as u64;
        pace.keep().await;
    }
    Ok(true)
}
