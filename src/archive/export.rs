//! The export: makes a folder hold what the account holds, and nothing else.

use std::io::BufReader;
use std::path::Path;
use std::rc::Rc;

use super::manifest::{self, EXPORT, EXTENSION, Export, Header, MANIFEST};
use super::target::{Draft, Target};
use super::{Format, Progress, Summary, Tally, Watch, dovecot, maildir_writer, mbox_writer, names};
use crate::failure::Failure;
use crate::flash::ReadAt;
use crate::store::{Account, MailboxId, MailboxNumbers, Message, Uid};

/// Octets of a message that are copied at once, at most.
const PIECE: usize = 64 * 1024;

/// Brings the folder `dest` to the state of `account`. Another run goes on where the first one was interrupted, or
/// adds and removes what has changed.
///
/// # Errors
/// `dest` holds something else, or the system refuses. Messages that cannot be read are reported and left out.
pub async fn export(
    account: &Rc<Account>,
    dest: &Path,
    format: Format,
    watch: &dyn Watch,
) -> Result<Summary, Failure> {
    let target = Target::new(dest)?;
    let mut state = Export {
        account: account.name().to_string(),
        format,
        complete: false,
        subscriptions: account.subscriptions(),
    };
    may_go_there(&target, dest, &state)?;
    target.put(EXPORT, &state.text()).await?;
    target.sync_dir("").await?;
    let mailboxes = account.mailboxes();
    let mut job = Job { account, target: &target, tally: Tally::new(watch) };
    job.tally.progress = all_of(account, &mailboxes);
    remove_vanished(&mut job, format, &mailboxes)?;
    for (id, name) in &mailboxes {
        let Some(snapshot) = Snapshot::take(account, *id) else { continue };
        match format {
            Format::Maildir => maildir_writer::write(&mut job, &snapshot).await?,
            Format::Mbox => mbox_writer::write(&mut job, &snapshot).await?,
        }
        job.tally.summary.mailboxes += 1;
        log::debug!("{}: {name} is exported", account.name());
    }
    if format == Format::Maildir {
        target.put(dovecot::SUBSCRIPTIONS, &dovecot::subscriptions(&state.subscriptions)).await?;
    }
    target.sync_dir("").await?;
    state.complete = true;
    target.put(EXPORT, &state.text()).await?;
    target.sync_dir("").await?;
    Ok(job.tally.summary)
}

/// Checks that the folder is empty, or holds an export of the same account.
fn may_go_there(target: &Target, dest: &Path, wanted: &Export) -> Result<(), Failure> {
    let dest = dest.display();
    let Some(mut file) = target.open(EXPORT) else {
        let first = format!("{EXPORT}.new");
        return match target.list("")?.iter().find(|name| **name != first && *name != "lost+found") {
            None => Ok(()),
            Some(name) => Err(Failure::Input(format!(
                "{dest}: it holds {name} and is no export: choose a folder that is empty or not there yet"
            ))),
        };
    };
    let text = std::io::read_to_string(&mut file).map_err(target.at(EXPORT))?;
    let there = Export::parse(&text).map_err(target.at(EXPORT))?;
    if there.account != wanted.account || there.format != wanted.format {
        return Err(Failure::Input(format!(
            "{dest}: an export of {} as {} is there: choose another folder",
            there.account,
            there.format.name()
        )));
    }
    Ok(())
}

fn all_of(account: &Account, mailboxes: &[(MailboxId, String)]) -> Progress {
    let mut all = Progress::default();
    for (id, _) in mailboxes {
        account.view(*id, |mailbox| {
            all.of_messages += mailbox.messages.len() as u64;
            all.of_octets += mailbox.messages.iter().map(|message| u64::from(message.size)).sum::<u64>();
        });
    }
    all
}

/// Removes the mailboxes from the folder that the account no longer has.
fn remove_vanished(job: &mut Job, format: Format, mailboxes: &[(MailboxId, String)]) -> Result<(), Failure> {
    let is_gone = |path: &str| -> Option<bool> {
        let (header, _) = job.target.described(path)?;
        Some(!mailboxes.iter().any(|(_, name)| *name == header.name))
    };
    let mut gone = Vec::new();
    for name in job.target.list("")? {
        match format {
            Format::Maildir if name.starts_with('.') => {
                // A mailbox that an interrupted export has not described yet is known by its name.
                let known =
                    |(_, mailbox): &(MailboxId, String)| names::maildir(mailbox).as_ref() == Some(&name);
                let described = is_gone(&format!("{name}/{MANIFEST}"));
                if described.unwrap_or(!mailboxes.iter().any(known)) {
                    gone.push(name);
                }
            }
            Format::Mbox => {
                if let Some(stem) = name.strip_suffix(EXTENSION).and_then(|name| name.strip_suffix('.'))
                    && is_gone(&name) == Some(true)
                {
                    gone.push(stem.to_owned());
                }
            }
            Format::Maildir => {}
        }
    }
    for name in gone {
        match format {
            Format::Maildir => maildir_writer::remove(job, &name)?,
            Format::Mbox => {
                job.target.remove(&format!("{name}.{EXTENSION}"))?;
                job.target.remove(&format!("{name}.mbox"))?;
            }
        }
    }
    Ok(())
}

impl Target {
    /// The header of the manifest `path`, if there is one, and the number of messages that it describes.
    pub fn described(&self, path: &str) -> Option<(Header, usize)> {
        let mut messages = 0;
        let header = manifest::read(BufReader::new(self.open(path)?), |_| messages += 1).ok()?;
        Some((header, messages))
    }
}

/// The state of an export that both writers need.
pub struct Job<'a> {
    pub account: &'a Rc<Account>,
    pub target: &'a Target,
    pub tally: Tally<'a>,
}

/// A mailbox as it was when its export began.
pub struct Snapshot {
    pub id: MailboxId,
    pub header: Header,
    pub uids: Vec<Uid>,
}

impl Snapshot {
    fn take(account: &Account, id: MailboxId) -> Option<Snapshot> {
        let annotations = account.annotations(id);
        account.view(id, |mailbox| Snapshot {
            id,
            header: Header {
                name: mailbox.name.clone(),
                numbers: MailboxNumbers {
                    uid_validity: mailbox.uid_validity,
                    uid_next: mailbox.uid_next,
                    highest_modseq: mailbox.highest_modseq,
                },
                keywords: mailbox.keywords.clone(),
                annotations,
                file: None,
            },
            uids: mailbox.messages.iter().map(|message| message.uid).collect(),
        })
    }
}

impl Job<'_> {
    /// The message as it is now; `None` if it was expunged meanwhile.
    pub fn message(&self, snapshot: &Snapshot, uid: Uid) -> Option<Message> {
        self.account.view(snapshot.id, |mailbox| mailbox.message(uid).copied()).flatten()
    }

    /// Gives the octets of a message to `each`, piece by piece. `Ok(false)`: they cannot be read, which is reported.
    ///
    /// # Errors
    /// Those of `each`.
    pub async fn copy(
        &mut self,
        snapshot: &Snapshot,
        message: &Message,
        draft: &mut Draft<'_>,
        mut each: impl FnMut(&mut Draft<'_>, &[u8]) -> Result<(), Failure>,
    ) -> Result<bool, Failure> {
        let size = u64::from(message.size);
        let outcome = match self.account.body(message) {
            Err(error) => Err(error.to_string()),
            Ok(body) => {
                let mut piece = vec![0; PIECE.min(message.size as usize)];
                let mut at = 0;
                loop {
                    let wanted = usize::try_from(size - at).map_or(PIECE, |left| left.min(PIECE));
                    if wanted == 0 {
                        break Ok(());
                    }
                    if let Err(error) = body.read_exact_at(at, &mut piece[..wanted]) {
                        break Err(error.to_string());
                    }
                    each(draft, &piece[..wanted])?;
                    at += wanted as u64;
                    draft.settle_some().await?;
                    self.tally.pace.keep().await;
                }
            }
        };
        if let Err(why) = &outcome
            && self.message(snapshot, message.uid).is_some()
        {
            let name = &snapshot.header.name;
            self.tally
                .problem(format!("{name}, UID {}: left out, it cannot be read: {why}", { message.uid }));
        }
        Ok(outcome.is_ok())
    }
}
