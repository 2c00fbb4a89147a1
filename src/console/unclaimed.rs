//! Mail that a removed account has left: shown, given to an account, deleted. `mail export` takes it by its name here, too.

use super::session::{Expecting, Session, Step};
use super::show::table;
use super::work::Work;
use crate::archive::{self, Summary, Watch};
use crate::config::{Config, path};
use crate::failure::Failure;
use crate::operator::status::{ago, size};
use crate::operator::{Operator, World};
use crate::say::counted;
use crate::store::{Error, Store, Unclaimed};

/// What is to be done with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Job {
    /// All of it is told.
    Show,
    /// It goes to an account.
    Claim {
        /// Names it.
        left: String,
        /// The account's name.
        account: String,
    },
    /// It is deleted.
    Delete {
        /// Names it.
        left: String,
    },
}

/// What the words of an operator mean: one of `unclaimed`.
///
/// # Errors
/// None of them, or any of several.
pub fn meant(unclaimed: Vec<Unclaimed>, typed: &str) -> Result<Unclaimed, String> {
    let handles = |of: &[Unclaimed]| of.iter().map(Unclaimed::handle).collect::<Vec<_>>().join(", ");
    let all = handles(&unclaimed);
    let mut named: Vec<Unclaimed> = unclaimed.into_iter().filter(|left| left.is_named(typed)).collect();
    // The whole of one may be the beginning of another.
    let exact = named.iter().position(|left| left.handle() == typed);
    match (exact, named.len()) {
        (Some(at), _) => Ok(named.swap_remove(at)),
        (None, 1) => Ok(named.remove(0)),
        (None, 0) if all.is_empty() => Err("there is no mail that a removed account has left".to_owned()),
        (None, 0) => Err(format!("{typed}: there is none: it is one of {all}")),
        (None, _) => Err(format!("{typed}: there are several: name one of {}", handles(&named))),
    }
}

impl Session {
    pub(super) fn show_unclaimed(&mut self, _: &dyn World, _: &[&str]) -> Step {
        Step::Work(Work::Unclaimed(Job::Show))
    }

    pub(super) fn claim(&mut self, world: &dyn World, words: &[&str]) -> Step {
        let (typed, account) = (words.first().unwrap_or(&""), words.get(1).unwrap_or(&""));
        // It has to be an account that can get mail.
        if world.config().account(account).is_none() {
            return Step::Refuse(match self.candidate().account(account) {
                Some(_) => format!("{account} is not in force yet: `commit` first"),
                None => path::no_such_account(self.candidate(), account).to_string(),
            });
        }
        match meant(world.unclaimed(), typed) {
            Ok(left) => Step::Work(Work::Unclaimed(Job::Claim {
                left: left.handle(),
                account: (*account).to_owned(),
            })),
            Err(why) => Step::Refuse(why),
        }
    }

    /// On a terminal only after a `yes`.
    pub(super) fn remove_unclaimed(&mut self, world: &dyn World, words: &[&str]) -> Step {
        match meant(world.unclaimed(), &words.concat()) {
            Ok(left) => {
                let handle = left.handle();
                let work = Work::Unclaimed(Job::Delete { left: handle.clone() });
                if !self.asks {
                    return Step::Work(work);
                }
                self.expecting = Expecting::Agreement(work);
                Step::Say(format!("all mail of {handle} is deleted, and cannot be brought back\n"))
            }
            Err(why) => Step::Refuse(why),
        }
    }
}

/// The answer to what long work asks.
pub(super) fn agreed(work: Work, line: &str) -> Step {
    match line.trim() {
        "yes" => Step::Work(work),
        _ => Step::Refuse("nothing was done".to_owned()),
    }
}

/// Does it: what is said of it.
///
/// # Errors
/// Why not.
pub(super) async fn perform(operator: &Operator, job: &Job, watch: &dyn Watch) -> Result<String, Failure> {
    let store = &operator.context.store;
    let done = match job {
        Job::Show => show(operator).await,
        Job::Claim { left, account } => claim(operator, left, account, watch).await,
        Job::Delete { left } => {
            let left = find(operator, left)?;
            match store.delete_unclaimed(&left).await.map_err(|error| failed(&left, &error))? {
                true => {
                    log::warn!("console: mail of {} was deleted", left.handle());
                    Ok(format!("{}: its mail is deleted", left.handle()))
                }
                false => Err(Failure::System(format!(
                    "{}: somebody reads it just now: try again in a moment",
                    left.handle()
                ))),
            }
        }
    };
    // It may be gone.
    if let Err(error) = store.assign(&operator.context.config().owners()) {
        log::warn!("the folders of the accounts: {error}");
    }
    done
}

fn failed(left: &Unclaimed, error: &Error) -> Failure {
    Failure::System(format!("{}: {error}", left.handle()))
}

fn find(operator: &Operator, typed: &str) -> Result<Unclaimed, Failure> {
    in_store(&operator.context.store, &operator.context.config(), typed)
}

/// The one that is meant by `typed`.
pub(super) fn in_store(store: &Store, config: &Config, typed: &str) -> Result<Unclaimed, Failure> {
    let unclaimed = store.unclaimed(&config.owners()).map_err(|error| Failure::System(error.to_string()))?;
    meant(unclaimed, typed).map_err(Failure::Input)
}

async fn show(operator: &Operator) -> Result<String, Failure> {
    let (store, now) = (&operator.context.store, crate::clock::unix_now());
    let owners = operator.context.config().owners();
    let unclaimed = store.unclaimed(&owners).map_err(|error| Failure::System(error.to_string()))?;
    if unclaimed.is_empty() {
        return Ok("no removed account has left mail".to_owned());
    }
    let mut rows = Vec::new();
    for left in &unclaimed {
        let queued = left.id.map_or(0, |id| operator.relay.queued_of(id));
        let (messages, octets) = match store.open_unclaimed(left).await {
            Ok(account) => (account.usage().messages.to_string(), size(account.usage().octets)),
            Err(error) => (error.to_string(), "-".to_owned()),
        };
        // One that was used since the call before stays: it takes two for the one that was just opened.
        store.close_unused();
        store.close_unused();
        let since = match (left.since, left.taken_by_name) {
            (_, true) => format!("an account {} would take it", left.name),
            (Some(since), false) => ago(now, since),
            (None, false) => "not known".to_owned(),
        };
        rows.push([left.handle(), messages, octets, queued.to_string(), since]);
    }
    let listed = table(["NAME", "MESSAGES", "SIZE", "QUEUED", "REMOVED"], rows.into_iter());
    Ok(format!(
        "{listed}`claim NAME ACCOUNT` gives it to an account, `mail export NAME` copies it, `remove unclaimed NAME` deletes it"
    ))
}

/// Mail goes to where it was in an account of the name that it had, and below a mailbox of that name in another one. It is no longer
/// there when all of it is safe here.
async fn claim(operator: &Operator, typed: &str, name: &str, watch: &dyn Watch) -> Result<String, Failure> {
    let store = &operator.context.store;
    let left = find(operator, typed)?;
    let account = store.account(name).await.map_err(|error| Failure::System(format!("{name}: {error}")))?;
    let from = store.open_unclaimed(&left).await.map_err(|error| failed(&left, &error))?;
    let below = (left.name != name).then_some(&*left.name);
    log::info!("console: mail of {} goes to {name}", left.handle());
    let Summary { mailboxes, written, unchanged, problems } =
        Box::pin(archive::hand_over(&from, &account, below, watch)).await?;
    drop(from);
    let place = below.map_or(String::new(), |below| format!(", below the mailbox {below}"));
    let counts = format!(
        "{} in {}, {unchanged} of them there already",
        counted(written + unchanged, "message"),
        counted(mailboxes, "mailbox")
    );
    if problems > 0 {
        return Err(Failure::Input(format!(
            "{}: given to {name}{place}, but not everything, see above: {counts}; what it left stays unclaimed",
            left.handle()
        )));
    }
    match store.delete_unclaimed(&left).await {
        Ok(true) => Ok(format!("{}: given to {name}{place}: {counts}", left.handle())),
        Ok(false) => Err(Failure::System(format!(
            "{}: given to {name}{place}: {counts}; somebody reads it just now, so it is still here, too: claim it again",
            left.handle()
        ))),
        Err(error) => Err(failed(&left, &error)),
    }
}

#[cfg(test)]
#[path = "unclaimed_tests.rs"]
mod tests;
