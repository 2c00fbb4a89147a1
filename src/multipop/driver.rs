//! Collecting from a mailbox elsewhere, whatever its protocol: the loop that moves octets between the [`Wire`], the protocol's
//! [`RemoteMailbox`], which is a state machine without I/O, and the [`Collection`].
//!
//! Where the server allows it, a window of requests is kept under way, so that neither the way to the server nor a
//! commit on flash makes the other wait. A message is deleted after its commit, never before: if the connection ends
//! in between, the next poll finds the message in the ledger and only deletes it.
//!
//! One login is enough for a mailbox of any size: the next round takes on, in the same session, what one round left.
//! Folders are collected one after the other. Where the server is asked to push, the session stays open until it has
//! news.

use std::collections::VecDeque;
use std::time::Duration;

use super::collection::{BATCH_TIME, Collection, Handle, Outcome};
use super::content::Content;
use super::errand::{Errand, ServerQuirks};
use super::places::Place;
use super::reading::Reading;
use super::remote::{Event, Listed, RemoteMailbox};
use super::wanted::{Handles, ToRead};
use super::wire::{Opening as _, Wire};
use super::{Error, imap, pop3};
use crate::clock::Time;
use crate::config::{Interval, Protocol, Source};

/// Messages that are compared where the source has another host than before.
const SAMPLES: usize = 8;
/// Events that are handled before other tasks get their turn, where no octets are waited for.
const AT_ONCE: usize = 4096;
/// Folders of a source that are collected from, at most.
const FOLDERS: usize = 500;
/// How long to wait for more news after the first: news come together.
const NEWS: Duration = Duration::from_secs(1);
/// How long to wait for news before asking anew. Routers on the way give up a silent connection, and servers do after
/// half an hour (RFC 2177).
const QUIET: Duration = Duration::from_secs(9 * 60);
/// A wait for news that ends sooner, and after which nothing new has come, was for nothing.
const SOON: Duration = Duration::from_secs(10);
/// Silence after which a message that may be over is over.
const OVER: Duration = Duration::from_secs(2);
/// Waits for nothing, one after the other, after which a server is polled instead.
const IN_VAIN: u32 = 3;
/// A connection that lasted so long is made anew at once when it breaks.
const WORTH_IT: Duration = Duration::from_secs(60);

/// Collects what is new at the server to which `wire` is connected.
///
/// # Errors
/// What ended the poll early. What had come whole by then is kept all the same, and is counted in `outcome`.
pub async fn collect(wire: &mut Wire, errand: &Errand<'_, '_>, outcome: &mut Outcome) -> Result<(), Error> {
    let (source, quirks) = (errand.source, &errand.experience.quirks);
    loop {
        let mut mailbox = open(wire, source, quirks).await?;
        let session = Session { wire, mailbox: &mut *mailbox, place: errand.places.place() };
        let worked = session.work(errand, outcome).await;
        if !quirks.tries_without(&worked, mailbox.asks()) {
            if !worked.as_ref().is_err_and(|error| error.is_a_hang_up() || error.is_no_answer()) {
                quirks.prove();
            }
            return worked;
        }
        wire.reconnect(source, worked.err().as_ref()).await?;
    }
}

/// A poll on its own, with places of its own, up to where it waits for news.
#[cfg(any(test, fuzzing))]
pub async fn collect_once(
    wire: &mut Wire,
    source: &Source,
    account: std::rc::Rc<crate::store::Account>,
    config: &crate::config::Config,
    experience: &super::errand::Experience,
    time: &crate::clock::Time,
) -> (Result<(), Error>, Outcome) {
    let places = super::places::Places::new(time, super::places::TRANSFERS);
    let errand = Errand {
        account,
        source,
        config,
        experience,
        places: &places,
        time,
        twins: &super::twins::Twins::default(),
        progress: std::rc::Rc::default(),
        waits: &|_| Box::pin(async {}),
    };
    let mut outcome = Outcome::default();
    let result = collect(wire, &errand, &mut outcome).await;
    (result, outcome)
}

/// Logs in at the server of `source`. `quirks` is what is known of the server, and is added to.
///
/// # Errors
/// What kept the login from succeeding.
pub async fn open(
    wire: &mut Wire,
    source: &Source,
    quirks: &ServerQuirks,
) -> Result<Box<dyn RemoteMailbox>, Error> {
    loop {
        let (result, asked) = match source.protocol {
            Protocol::Pop3 => {
                let opening = pop3::Opening::new(source, wire.token(), wire.is_tls());
                let mut opening = opening?.with_manners(quirks);
                let opened = wire.open(source, &mut opening).await.map(|opened| {
                    quirks.wants_pause(opened.login_delay);
                    let pipelining = opened.pipelining && !quirks.is_slow();
                    Box::new(pop3::Maildrop::new(pipelining, quirks)) as Box<dyn RemoteMailbox>
                });
                (opened, opening.asks())
            }
            Protocol::Imap => {
                let opening = imap::Opening::new(source, wire.token(), wire.is_tls());
                let mut opening = opening?.with_manners(quirks);
                let opened = wire.open(source, &mut opening).await.map(|tag| {
                    Box::new(imap::Mailbox::new(source, tag, wire.own(), quirks)) as Box<dyn RemoteMailbox>
                });
                (opened.map_err(|error| opening.goodbye(error)), opening.asks())
            }
        };
        if !quirks.tries_without(&result, asked) {
            return result;
        }
        wire.reconnect(source, result.err().as_ref()).await?;
    }
}

/// A mailbox elsewhere, and the connection to it.
pub struct Session<'w> {
    /// The connection.
    pub wire: &'w mut Wire,
    /// The mailbox.
    pub mailbox: &'w mut dyn RemoteMailbox,
    /// A place among the transfers, held while messages come.
    pub place: Place<'w>,
}

impl Session<'_> {
    /// Collects folder by folder, and again when the server has news, up to the goodbye.
    async fn work(mut self, errand: &Errand<'_, '_>, outcome: &mut Outcome) -> Result<(), Error> {
        let source = errand.source;
        self.begin().await?;
        let folders = self.folders(source.wanted_folders()).await?;
        if folders.is_empty() {
            return Err(Error::NoFolder(source.wanted_folders().collect::<Vec<_>>().join(", ")));
        }
        let (mut in_vain, mut waited_little) = (0, false);
        loop {
            for folder in errand.experience.order(&folders) {
                match self.visit(folder, errand, outcome).await {
                    Ok(()) => {}
                    Err(error @ Error::Refused { .. }) if folders.len() > 1 => {
                        outcome.problem.get_or_insert(error);
                    }
                    Err(error) => {
                        errand.experience.ended(Some((folder, &error)));
                        return Err(error);
                    }
                }
            }
            errand.experience.ended(None);
            if source.interval != Interval::Push || !self.mailbox.waits() {
                break;
            }
            // Some servers end IDLE at once, or tell of news that are none.
            in_vain = if waited_little && !outcome.has_brought() { in_vain + 1 } else { 0 };
            if in_vain >= IN_VAIN {
                break;
            }
            (errand.waits)(std::mem::take(outcome)).await;
            let since = errand.time.now();
            let seconds = if folders.len() > 1 { errand.config.multipop.interval } else { 0 };
            match self.waits_for_news(seconds, errand.time).await {
                Ok(true) => {
                    let waited = errand.time.since(since);
                    waited_little = waited < SOON && (seconds == 0 || waited.as_secs() < seconds.into());
                }
                Ok(false) => break,
                Err(error) if error.is_of_the_store() || !error.is_of_the_server() => return Err(error),
                // Servers end long sessions. The next poll comes at its interval.
                Err(_) => {
                    outcome.at_once = errand.time.since(since) >= WORTH_IT;
                    return Ok(());
                }
            }
        }
        self.part().await;
        Ok(())
    }

    async fn send(&mut self) -> Result<(), Error> {
        self.wire.queue(&self.mailbox.to_send());
        self.wire.flush().await
    }

    /// Asks the server for what must be known of it first.
    ///
    /// # Errors
    /// The connection's.
    pub async fn begin(&mut self) -> Result<(), Error> {
        self.mailbox.begin();
        self.answers().await
    }

    /// The names of the folders that these names and patterns match.
    ///
    /// # Errors
    /// The connection's.
    pub async fn folders(&mut self, wanted: impl Iterator<Item = &str>) -> Result<Vec<String>, Error> {
        let mut folders: Vec<String> = Vec::new();
        for wanted in wanted {
            let mut add = |name: String| {
                if folders.len() < FOLDERS && !folders.contains(&name) {
                    folders.push(name);
                }
            };
            if wanted.contains(['*', '%']) && self.mailbox.list_folders(wanted) {
                self.answers_with(|event| {
                    if let Event::Folder(name) = event {
                        add(name);
                    }
                })
                .await?;
            } else {
                add(wanted.to_owned());
            }
        }
        Ok(folders)
    }

    /// Collects from a folder, round by round.
    async fn visit(
        &mut self,
        folder: &str,
        errand: &Errand<'_, '_>,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        // The server may still list what it was told to delete, until the session ends.
        let (mut told, mut marked, mut others_deleted) = (Handles::default(), 0, false);
        let mut collection = errand.collection(folder);
        loop {
            let round = self.round(folder, errand, &mut collection, &mut told).await;
            let (result, has_left) = match round {
                Ok((round, theirs)) => {
                    marked += round;
                    others_deleted |= theirs;
                    (Ok(()), collection.outcome.more && collection.outcome.has_settled())
                }
                Err(broken) => {
                    marked += broken.marked;
                    others_deleted |= broken.others_deleted;
                    (Err(broken.error), false)
                }
            };
            outcome.add(std::mem::take(&mut collection.outcome));
            if has_left {
                self.wire.renew();
                collection.begin_next_round();
                continue;
            }
            if result.as_ref().is_err_and(|error| !error.is_of_the_store()) {
                return result;
            }
            // The connection is still good: what is safe here is deleted there, whatever the store says of the rest.
            self.place.give_back();
            let settled = self.take_effect(marked > 0, others_deleted).await.map_err(Error::at_deletions);
            if settled.is_ok() {
                outcome.deleted += marked;
            }
            if !matches!(settled, Err(Error::Undeleted(_))) {
                collection.deletions_answered();
            }
            return result.and(settled);
        }
    }

    /// Lists a folder, reads and deletes there. Returns how many messages were marked as deleted, and whether others
    /// have marked some.
    async fn round(
        &mut self,
        folder: &str,
        errand: &Errand<'_, '_>,
        collection: &mut Collection,
        told: &mut Handles,
    ) -> Result<(u32, bool), Broken> {
        collection.deliver_into(&errand.source.into).await?;
        let is_same = !collection.is_elsewhere() || self.has_the_same(folder, collection).await?;
        collection.arrive(is_same);
        let (wanted, others_deleted) = self.list(folder, collection, told).await?;
        let mut reading = Reading::new(collection, wanted, told);
        let read = self.read(&mut reading, errand.experience.breaks_at(folder)).await;
        let marked = reading.marked;
        let Err(error) = read else { return Ok((marked, others_deleted)) };
        let error = if reading.is_deleting { error.at_deletions() } else { error };
        if reading.broke_off(&error) {
            errand.experience.quirks.slow_down();
        }
        let kept = collection.abandon().await;
        if !error.is_of_the_store() {
            return Err(Broken { error, marked, others_deleted });
        }
        // The connection is still good: what is safe here is deleted there.
        let error = kept.err().unwrap_or(error);
        let deleted = self.delete_the_rest(collection, told).await;
        Err(Broken { error, marked: marked + deleted, others_deleted })
    }

    /// Marks what is collected as deleted, after a round that the store has ended. Returns how many messages are marked.
    async fn delete_the_rest(&mut self, collection: &mut Collection, told: &mut Handles) -> u32 {
        let mut reading = Reading::new(collection, ToRead::default(), told);
        reading.begin_deleting();
        let mut marked = 0;
        loop {
            while self.mailbox.has_room() && reading.deletes(self.mailbox) {}
            if self.mailbox.is_idle() {
                return marked;
            }
            let answered = self.answers_with(|event| {
                if let Event::Deleted(messages) = event {
                    marked += messages;
                }
            });
            if answered.await.is_err() {
                return marked;
            }
        }
    }

    /// Returns the messages of a folder that the collection wants, and whether others have marked some as deleted.
    async fn list(
        &mut self,
        folder: &str,
        collection: &mut Collection,
        told: &Handles,
    ) -> Result<(ToRead, bool), Error> {
        let (mut wanted, mut others_deleted, mut lists_none) = (ToRead::default(), false, true);
        let agrees = self
            .listing(folder, |listed| {
                lists_none = false;
                match listed {
                    Listed { message, .. } if told.contains(message) => {}
                    Listed { unique_id, is_deleted: true, .. } if !collection.knows(unique_id) => {
                        others_deleted = true;
                    }
                    Listed { message, unique_id, size, .. } => {
                        wanted.add(collection.listed(message, unique_id, size));
                    }
                }
            })
            .await?;
        collection.all_listed();
        if !agrees {
            // One of the lists is short, and nobody knows which.
            collection.incomplete();
            if lists_none {
                // Such as UIDs of 64 bits.
                let what = "it says that there are messages, and lists none that could be asked for";
                collection.problem(Error::Protocol(what.to_owned()));
            }
        }
        Ok((wanted, others_deleted))
    }

    /// Lists all messages of a folder. Returns whether what the server says of their number agrees with the list.
    ///
    /// # Errors
    /// The connection's, and the server's refusal to open the folder.
    pub async fn listing(&mut self, folder: &str, mut take: impl FnMut(Listed<'_>)) -> Result<bool, Error> {
        let mut starved = true;
        self.mailbox.list(folder);
        loop {
            self.send().await?;
            let octets = if starved {
                self.wire.fill().await?
            } else {
                self.wire.keep_pace().await;
                self.wire.buffered()
            };
            let (available, mut input) = (octets.len(), octets);
            let (mut all, mut answered, mut failed) = (None, false, None);
            starved = false;
            for _ in 0..AT_ONCE {
                match self.mailbox.receive(&mut input) {
                    Ok(Event::More) => {
                        starved = true;
                        break;
                    }
                    Ok(Event::Listed(listed)) => take(listed),
                    Ok(event @ (Event::AllListed { .. } | Event::Done)) => {
                        if let Event::AllListed { agrees } = event {
                            all = Some(agrees);
                        }
                        answered = true;
                        break;
                    }
                    Ok(_) => {}
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                }
            }
            let used = available - input.len();
            self.wire.consume(used, 0)?;
            // A folder that cannot be opened ends the visit and not the session: its refusal has been read.
            if let Some(error) = failed {
                return Err(error);
            }
            if answered {
                self.wire.progress();
            }
            if let Some(agrees) = all {
                return Ok(agrees);
            }
        }
    }

    /// Whether the mailbox at this server is the one that was collected from at another host: some messages that have
    /// the unique-ids of collected ones are compared with them. False where none can be compared.
    async fn has_the_same(&mut self, folder: &str, collection: &mut Collection) -> Result<bool, Error> {
        let mut samples = VecDeque::new();
        self.listing(folder, |listed| {
            let content = collection.content_of(listed.unique_id);
            if let Some(content) = content.filter(|content| *content != 0) {
                samples.push_back((listed.message, content, listed.size));
                if samples.len() > SAMPLES {
                    samples.pop_front();
                }
            }
        })
        .await?;
        let mut is_same = false;
        for (message, known, size) in samples {
            let Some((content, came)) = self.look(message).await? else { continue };
            match content.hash(size).filter(|_| content.is_enough(came, size)) {
                Some(hash) if hash.content == known => is_same = true,
                Some(_) => return Ok(false),
                None => {}
            }
        }
        Ok(is_same)
    }

    /// Reads the beginning of a message. Returns it with the number of octets that came.
    async fn look(&mut self, message: Handle) -> Result<Option<(Content, u64)>, Error> {
        let (mut content, mut came) = (Content::new(), 0);
        if !self.mailbox.head(message, true) {
            return Ok(None);
        }
        self.answers_with(|event| {
            if let Event::Head(octets) = event {
                content.update(octets);
                came += octets.len() as u64;
            }
        })
        .await?;
        Ok(Some((content, came)))
    }

    /// Reads the wanted messages, commits them from time to time, and deletes what is safe.
    async fn read(&mut self, reading: &mut Reading<'_>, deletes_early: bool) -> Result<(), Error> {
        loop {
            while self.mailbox.has_room()
                && (deletes_early && reading.deletes_early(self.mailbox)
                    || reading.asks(self.mailbox)
                    || reading.deletes(self.mailbox))
            {}
            if self.mailbox.is_idle() && reading.has_whole() {
                self.mailbox.confirm();
            }
            if !self.mailbox.is_idle() {
                self.receive(reading).await?;
                if reading.collection.is_due() || self.place.is_overdue() {
                    reading.collection.commit().await?;
                    self.wire.progress();
                }
                if self.place.is_overdue() {
                    self.place.give_back();
                }
            } else if reading.is_deleting {
                return Ok(());
            } else {
                reading.collection.conclude().await?;
                reading.begin_deleting();
                self.wire.progress();
            }
        }
    }

    /// Waits for octets and takes in what they mean, up to a commit that is due.
    async fn receive(&mut self, reading: &mut Reading<'_>) -> Result<(), Error> {
        self.send().await?;
        if !self.mailbox.has_more() {
            // While the server is silent for long no place is needed, except for messages that are then to be
            // committed or believed.
            let silence = reading.collection.due_in().unwrap_or(BATCH_TIME);
            let ends = self.place.is_held() || reading.collection.has_batch() || reading.has_whole();
            let may_be_over = self.mailbox.may_be_over();
            let limit = if may_be_over { Some(OVER) } else { ends.then_some(silence) };
            if self.wire.fill_within(limit).await?.is_empty() {
                if may_be_over {
                    self.mailbox.says_nothing();
                    return Ok(());
                }
                // The server sent nothing after the message, so no nonsense followed it.
                reading.believe();
                if !reading.collection.has_batch() {
                    self.place.give_back();
                }
                return Ok(());
            }
        }
        self.wire.stands_still(self.place.hold()).await;
        let octets = self.wire.buffered();
        let (available, mut input) = (octets.len(), octets);
        let (mut whole, before) = (false, reading.collection.octets());
        let mut taken = Ok(());
        while taken.is_ok() && !reading.collection.is_due() {
            match self.mailbox.receive(&mut input) {
                Ok(Event::More) => break,
                Ok(event) => {
                    whole |= !matches!(event, Event::Begun { .. } | Event::Piece(_) | Event::Head(_));
                    taken = reading.take(event);
                }
                Err(error) => taken = Err(error),
            }
        }
        let used = available - input.len();
        self.wire.consume(used, reading.collection.octets() - before)?;
        taken?;
        if whole {
            self.wire.progress();
        }
        Ok(())
    }

    /// Makes the deletions count. Without a positive answer nothing is deleted, and the next poll tries again.
    async fn take_effect(&mut self, has_deleted: bool, others_deleted: bool) -> Result<(), Error> {
        if has_deleted {
            self.mailbox.take_effect(others_deleted);
            self.answers().await?;
        }
        Ok(())
    }

    /// Says goodbye.
    pub async fn part(&mut self) {
        self.mailbox.close();
        // The answer to the goodbye does not matter.
        let _ = self.answers().await;
        self.wire.close().await;
    }

    /// Waits until the server has news of the folder that was visited last, or for `seconds`, but for [`QUIET`] at
    /// most (0: for [`QUIET`]). False where the server cannot tell of news.
    async fn waits_for_news(&mut self, seconds: u32, time: &Time) -> Result<bool, Error> {
        self.wire.renew();
        let limit = match seconds {
            0 => QUIET,
            seconds => QUIET.min(Duration::from_secs(seconds.into())),
        };
        self.mailbox.wait();
        // Some servers say every other minute that they are still there.
        let since = time.now();
        let (mut refused, mut news) = (false, false);
        while !news && !self.mailbox.is_idle() {
            self.send().await?;
            let left = limit.saturating_sub(time.since(since));
            let octets = self.wire.fill_quietly(left).await?;
            news = octets.is_empty();
            let (available, mut input) = (octets.len(), octets);
            loop {
                match self.mailbox.receive(&mut input)? {
                    Event::More => break,
                    Event::News => news = true,
                    Event::Refused { .. } => refused = true,
                    _ => {}
                }
            }
            let used = available - input.len();
            self.wire.consume(used, 0)?;
        }
        if !self.mailbox.is_idle() {
            self.mailbox.wake();
            self.answers().await?;
        }
        if !refused {
            self.wire.pauses(NEWS).await?;
        }
        Ok(!refused)
    }

    /// Waits until all requests are answered.
    async fn answers(&mut self) -> Result<(), Error> {
        let mut result = Ok(());
        self.answers_with(|event| {
            if let Event::Refused { command, reason, .. } = event {
                result = Err(Error::Refused { command, reason });
            }
        })
        .await?;
        result
    }

    /// Waits until all requests are answered, and gives each event to `take`.
    async fn answers_with(&mut self, mut take: impl FnMut(Event<'_>)) -> Result<(), Error> {
        while !self.mailbox.is_idle() {
            self.send().await?;
            let octets = self.wire.fill().await?;
            let (available, mut input) = (octets.len(), octets);
            while !self.mailbox.is_idle() {
                match self.mailbox.receive(&mut input)? {
                    Event::More => break,
                    event => take(event),
                }
            }
            let used = available - input.len();
            self.wire.consume(used, 0)?;
        }
        self.wire.progress();
        Ok(())
    }
}

/// The error that broke off a round, and what had been marked as deleted before it.
struct Broken {
    error: Error,
    marked: u32,
    others_deleted: bool,
}

impl<E: Into<Error>> From<E> for Broken {
    fn from(error: E) -> Broken {
        Broken { error: error.into(), marked: 0, others_deleted: false }
    }
}
