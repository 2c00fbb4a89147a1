//! Long work on the console, for a device that has no shell: `fsck`, `mail export` and `import`, `backup`, files of the card.
//!
//! What there is to tell is written as it comes; at a terminal it is told how far the work is, and Control-C breaks it off.

use std::cell::{Cell, RefCell};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use event_listener::Event;
use smol::future::or;
use smol::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};

use super::mail::Job;
use super::session::{Session, Step, defaults, listed};
use super::terminal::for_terminal;
use super::{card, follow, restore, unclaimed};
use crate::archive::{Format, Progress, Watch};
use crate::board::media::Medium;
use crate::clock::unix_now;
use crate::config::{file, path, text};
use crate::credential::cost;
use crate::failure::Failure;
use crate::message::date::rfc5322;
use crate::operator::status::size;
use crate::operator::{Operator, World};
use crate::say::counted;
use crate::store::means_unclaimed;

/// Between two words on how far it is.
const PICTURE: Duration = Duration::from_millis(300);
/// What Control-C sends.
const CONTROL_C: u8 = 3;

/// What is to be done.
#[derive(Debug)]
pub enum Work {
    /// Everything is read, and what is damaged told.
    Fsck,
    /// Mail leaves or comes.
    Mail(Job),
    /// A backup goes to the card or the stick.
    Backup(Medium),
    /// A file of the card is looked through,
    Check(PathBuf),
    /// or becomes the candidate.
    Import(PathBuf),
    /// A password is checked.
    BenchAuth,
    /// With mail that a removed account has left.
    Unclaimed(unclaimed::Job),
    /// Lines of the log are told as they come.
    Follow,
    /// A backup of the card is read.
    Restore(PathBuf),
    /// What restores have set aside is deleted.
    DeleteSetAside,
}

impl Work {
    /// Whether it is done alone.
    fn is_alone(&self) -> bool {
        !matches!(self, Work::Follow | Work::BenchAuth | Work::Unclaimed(unclaimed::Job::Show))
    }
}

/// Where the operator is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// He sees lines drawn anew, and may press keys.
    Terminal,
    /// Nobody looks on.
    Script,
}

impl Session {
    /// Work with a file of the card. Elsewhere `verb` of the command line does it, which reaches all files.
    pub(super) fn of_card(
        &self,
        world: &dyn World,
        typed: &str,
        work: impl FnOnce(PathBuf) -> Work,
        verb: &str,
    ) -> Step {
        if world.board().is_none() {
            return Step::Refuse(format!(
                "here no card is read or written: `pillarbox {verb}` on the command line does it"
            ));
        }
        match card::path(typed) {
            Some(path) => Step::Work(work(path)),
            None => Step::Refuse(format!(
                "{typed}: name something on the card, such as mail or settings.toml, or on a USB stick, such as /usb/mail"
            )),
        }
    }

    fn mail_work(
        &self,
        world: &dyn World,
        words: &[&str],
        verb: &str,
        job: fn(String, PathBuf) -> Job,
    ) -> Step {
        let account = words.first().copied().unwrap_or_default();
        if verb.starts_with("mail export") && means_unclaimed(account) {
            if let Err(why) = unclaimed::meant(world.unclaimed(), account) {
                return Step::Refuse(why);
            }
        } else if self.candidate().account(account).is_none() {
            return Step::Refuse(path::no_such_account(self.candidate(), account).to_string());
        }
        let named = || format!("mail-{}", account.replace('~', "-"));
        let folder = match words.get(1) {
            None => named(),
            // On the medium that is named alone, the same folder.
            Some(typed) if card::medium(typed).is_some() => format!("{}/{}", typed.trim(), named()),
            Some(folder) => (*folder).to_owned(),
        };
        self.of_card(world, &folder, |path| Work::Mail(job(account.to_owned(), path)), verb)
    }

    pub(super) fn export_mail(&mut self, world: &dyn World, words: &[&str]) -> Step {
        // Names of messages in a Maildir have a colon, which FAT does not take.
        let job = |account, dest| Job::Export { account, dest, format: Format::Mbox };
        self.mail_work(world, words, "mail export ACCOUNT DEST", job)
    }

    pub(super) fn import_mail(&mut self, world: &dyn World, words: &[&str]) -> Step {
        self.mail_work(world, words, "mail import ACCOUNT SRC", |account, src| Job::Import { account, src })
    }

    pub(super) fn backup(&mut self, world: &dyn World, words: &[&str]) -> Step {
        let typed = words.concat();
        let medium = match typed.trim() {
            "" => Medium::Card,
            typed => match card::medium(typed) {
                Some(medium) => medium,
                None => {
                    return Step::Refuse(format!(
                        "{typed}: the backup goes to the card, or with `backup /usb` to a USB stick"
                    ));
                }
            },
        };
        self.of_card(world, "backup", |_| Work::Backup(medium), "backup DEST")
    }

    pub(super) fn fsck(&mut self, _: &dyn World, _: &[&str]) -> Step {
        Step::Work(Work::Fsck)
    }

    pub(super) fn bench_auth(&mut self, _: &dyn World, _: &[&str]) -> Step {
        Step::Work(Work::BenchAuth)
    }

    pub(super) fn date(&mut self, world: &dyn World, _: &[&str]) -> Step {
        let known = if world.knows_time() { "" } else { ", but nobody has told the time yet" };
        Step::Say(format!("{}{known}\n", rfc5322(unix_now())))
    }

    /// Looks through a configuration.
    fn checked(&self, world: &dyn World, toml: &str) -> Step {
        let ways = text::ReadOptions { defaults: defaults(world), ..text::ReadOptions::default() };
        match text::parse_with_options(toml.as_bytes(), Some(self.candidate()), ways) {
            Ok(parsed) if parsed.warnings.is_empty() => Step::Say("no mistakes\n".to_owned()),
            Ok(parsed) => Step::Say(listed(&parsed.warnings) + "\nno mistakes\n"),
            Err(problems) => Step::Refuse(listed(&problems)),
        }
    }
}

/// What waits to be written to who looks on.
#[derive(Default)]
struct PendingOutput {
    told: RefCell<Vec<String>>,
    /// How far it is.
    now: RefCell<Option<String>>,
    more: Event,
    problems: Cell<usize>,
}

impl PendingOutput {
    fn far(&self, words: String) {
        *self.now.borrow_mut() = Some(words);
        self.more.notify(1);
    }

    fn hear(&self, line: String) {
        self.problems.set(self.problems.get() + 1);
        self.told.borrow_mut().push(line);
        self.more.notify(1);
    }

    /// Writes what comes, until the other end has gone.
    async fn write(&self, stream: &mut (impl AsyncWrite + Unpin), at: At, shown: &Cell<usize>) -> io::Error {
        loop {
            let more = self.more.listen();
            let told = self.told.take();
            let far = self.now.take().filter(|_| at == At::Terminal);
            let (is_told, is_far) = (!told.is_empty(), far.is_some());
            let written = async {
                if is_told {
                    clear(stream, shown).await?;
                }
                for line in told {
                    let line = line.replace(|c: char| c.is_control(), " ") + "\n";
                    stream.write_all(&form(&line, at)).await?;
                }
                if let Some(far) = far {
                    clear(stream, shown).await?;
                    shown.set(far.chars().count());
                    stream.write_all(far.as_bytes()).await?;
                }
                stream.flush().await
            };
            if let Err(error) = written.await {
                return error;
            }
            match (is_told, is_far) {
                (_, true) => drop(async_io::Timer::after(PICTURE).await),
                (false, false) => more.await,
                _ => {}
            }
        }
    }
}

/// Takes away what is said of how far it is. No terminal is so dumb that it cannot do that.
async fn clear(stream: &mut (impl AsyncWrite + Unpin), shown: &Cell<usize>) -> io::Result<()> {
    let blanks = " ".repeat(shown.take());
    if !blanks.is_empty() {
        stream.write_all(format!("\r{blanks}\r").as_bytes()).await?;
    }
    Ok(())
}

fn form(text: &str, at: At) -> Vec<u8> {
    match at {
        At::Terminal => for_terminal(text),
        At::Script => text.as_bytes().to_vec(),
    }
}

impl Watch for PendingOutput {
    fn progress(&self, progress: Progress) {
        let Progress { messages, of_messages, octets, of_octets } = progress;
        self.far(format!(
            "{messages} of {}, {} of {}",
            counted(of_messages, "message"),
            size(octets),
            size(of_octets)
        ));
    }
    fn tell(&self, line: String) {
        self.hear(line);
    }
}

/// Does it, one at a time. Ends when the other end has gone.
pub(super) async fn run(
    operator: &Operator,
    session: &mut Session,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    at: At,
    work: Work,
) -> io::Result<Step> {
    let alone = operator.mail.try_lock();
    if alone.is_none() && work.is_alone() {
        let why = "the appliance exports, imports or backs up mail already: try again when that has ended";
        return Ok(Step::Refuse(why.to_owned()));
    }
    let _alone = alone.filter(|_| work.is_alone());
    let (news, shown) = (PendingOutput::default(), Cell::new(0));
    let (mut reader, mut writer) = split(stream);
    let done = async { Ok(Some(perform(operator, session, &work, &news).await)) };
    let broken_off = async {
        if at == At::Script {
            return std::future::pending().await;
        }
        let mut keys = [0; 64];
        loop {
            match reader.read(&mut keys).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n if keys[..n].contains(&CONTROL_C) => return Ok(None),
                _ => {}
            }
        }
    };
    let writes = async { Err(news.write(&mut writer, at, &shown).await) };
    let outcome = or(or(done, broken_off), writes).await?;
    clear(&mut writer, &shown).await?;
    for line in news.told.take() {
        writer.write_all(&form(&(line + "\n"), at)).await?;
    }
    Ok(outcome.unwrap_or_else(|| {
        if matches!(work, Work::Follow) {
            return Step::Say(String::new());
        }
        log::warn!("console: {work:?} was broken off");
        Step::Refuse("broken off".to_owned())
    }))
}

impl Work {
    /// The medium that it needs, and whether it writes there.
    fn medium(&self) -> Option<(Medium, bool)> {
        match self {
            Work::Mail(job) => Some((Medium::of(job.path()), matches!(job, Job::Export { .. }))),
            Work::Backup(medium) => Some((*medium, true)),
            Work::Check(path) | Work::Import(path) | Work::Restore(path) => Some((Medium::of(path), false)),
            Work::Fsck | Work::BenchAuth | Work::Follow | Work::DeleteSetAside | Work::Unclaimed(_) => None,
        }
    }
}

/// Does it while its medium can be written to, where it writes: all is there when this says so.
async fn perform(operator: &Operator, session: &mut Session, work: &Work, news: &PendingOutput) -> Step {
    let (Some((medium, writes)), Some(device)) = (work.medium(), &operator.context.device) else {
        return done(operator, session, work, news).await;
    };
    let board = device.board();
    if !writes {
        return match board.reaches(medium) {
            Ok(()) => done(operator, session, work, news).await,
            Err(why) => Step::Refuse(why),
        };
    }
    let writable = match board.writable(medium).await {
        Ok(writable) => writable,
        Err(why) => return Step::Refuse(why),
    };
    let step = done(operator, session, work, news).await;
    news.far(format!("waiting until all is on the {}", medium.name()));
    match (writable.end().await, step) {
        (Ok(()), step) => step,
        (Err(why), Step::Refuse(words)) => Step::Refuse(format!("{words}; {why}")),
        (Err(why), _) => Step::Refuse(why),
    }
}

async fn done(operator: &Operator, session: &mut Session, work: &Work, news: &PendingOutput) -> Step {
    let store = &operator.context.store;
    let said = |outcome: Result<String, Failure>| match outcome {
        Ok(words) => Step::Say(words + "\n"),
        Err(failure) => Step::Refuse(failure.words()),
    };
    match work {
        Work::Fsck => {
            let heard = |dir: &str| news.far(format!("reading {dir}"));
            let settings = file::check(store.flash());
            match (store.check_each(&heard).await, settings) {
                (Ok(mut report), Ok(settings)) => {
                    report.damage.extend(settings);
                    match report.damage.is_empty() {
                        true => Step::Say(report.to_string()),
                        false => Step::Refuse(report.to_string().trim_end().to_owned()),
                    }
                }
                (Err(error), _) => Step::Refuse(error.to_string()),
                (_, Err(error)) => Step::Refuse(error.to_string()),
            }
        }
        Work::Mail(job) => {
            log::info!("console: {job:?} begins");
            let done = Box::pin(job.run(&operator.context.config(), store, news)).await;
            said(done.and_then(|summary| job.outcome(&summary)))
        }
        Work::Backup(medium) => {
            let (far, hear) = (|words| news.far(words), |line| news.hear(line));
            said(Box::pin(card::backup(operator, *medium, &far, &hear)).await)
        }
        Work::Check(path) => match card::settings(path) {
            Ok(toml) => session.checked(operator, &toml),
            Err(failure) => Step::Refuse(failure.words()),
        },
        Work::Import(path) => match card::settings(path) {
            Ok(toml) => session.take_over(operator, &toml),
            Err(failure) => Step::Refuse(failure.words()),
        },
        Work::Unclaimed(job) => said(Box::pin(unclaimed::perform(operator, job, news)).await),
        Work::Follow => match &operator.context.device {
            Some(device) => {
                Box::pin(follow::follow(device.board(), &|line| news.hear(line))).await;
                Step::Say(String::new())
            }
            None => Step::Refuse(crate::operator::NO_DEVICE.to_owned()),
        },
        Work::Restore(path) => Box::pin(restore::perform(operator, path, &|words| news.far(words))).await,
        Work::DeleteSetAside => said(Box::pin(restore::delete_set_aside(operator)).await),
        Work::BenchAuth => Step::Say(cost(operator.context.config().rounds()).await),
    }
}
