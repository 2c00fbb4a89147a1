//! One operator at work: a candidate copy of the settings that commands change and `commit` puts in force. A state
//! machine without I/O: a line in, a [`Step`] out.

use std::rc::Rc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::command;
use super::line::Input;
use super::work::Work;
use crate::board::device::Ending;
use crate::board::ports;
use crate::config::check::check;
use crate::config::problem::{At, Problem};
use crate::config::{Config, Holder, Service, Source, export, path, text};
use crate::oauth2::Code;
use crate::operator::{CHANGED, World};
use crate::relay::{Act, Which};
use crate::store::Unclaimed;

/// Octets of a pasted configuration: hundreds of accounts fit.
const LONGEST_IMPORT: usize = 256 << 10;

/// What may be tried out: with settings that need not be in force.
#[derive(Debug)]
pub enum Trial {
    /// This source of the account of this name.
    Source(String, Box<Source>),
    /// The smarthost of these settings, with the login of the account of this name or the global one.
    Smarthost(Box<Config>, Option<String>),
}

/// What a line leads to.
#[derive(Debug)]
pub enum Step {
    /// Done; this is said.
    Say(String),
    /// Not done; this is why.
    Refuse(String),
    /// The candidate is to be stored and put in force, unless the settings in force are no longer `base`;
    /// [`Session::committed`] takes the outcome.
    Commit {
        /// What the changes were made to.
        base: Rc<Config>,
        /// What said along with success.
        warnings: String,
    },
    /// A queued message is to be removed.
    RemoveMessage(u32),
    /// This is to be done to queued messages.
    Queue(Act, Which),
    /// A permission is to be asked for.
    Ask(Holder),
    /// The address at which a browser ended is to be taken for one.
    #[allow(missing_docs, reason = "they are those of the question")]
    Redeem { holder: Holder, code: Box<Code>, pasted: Zeroizing<String> },
    /// This is to be tried out.
    Test(Trial),
    /// The update in this file is to be taken.
    Update(String),
    /// As [`Step::Commit`], on trial: [`Session::tried_out`] takes the outcome.
    TryOut {
        /// What the changes were made to.
        base: Rc<Config>,
        /// What said along with success.
        warnings: String,
        /// For so long.
        time: Duration,
    },
    /// What is on trial stays.
    Confirm,
    /// Long work, with words on how far it is.
    Work(Work),
    /// The appliance is to end, after this was said.
    End(String, Ending),
    /// The console ends.
    Quit,
}

/// What the session waits for; `path` is that of the setting to be.
pub(super) enum Expecting {
    Command,
    NewPassword {
        path: String,
        /// What an empty line stands for: made up after one was too short.
        offer: Option<Zeroizing<String>>,
        /// It is put in force without a `commit`.
        at_once: bool,
    },
    SamePassword {
        path: String,
        first: Zeroizing<String>,
        at_once: bool,
    },
    Toml(String),
    /// A `yes` to the change of the slot.
    Yes,
    /// A `yes` to long work.
    Agreement(Work),
    /// The password of a login to be tried, by this service or each.
    Login {
        account: String,
        service: Option<Service>,
    },
    /// A `yes` to what takes several messages out of the queue.
    Removal(Act, Which),
    /// The address at which a browser ended.
    Address {
        holder: Holder,
        code: Box<Code>,
    },
}

/// A device sets up its network before anything else, and once.
const NETWORK_WAITS: &str = "in force, but for [network]: `restart` the device for that\n";
/// And its daemon gives up the ports that it does not have from the start.
const PORTS_WAIT: &str =
    "in force, but for ports that mail does not usually have: `restart daemon` for those\n";

/// One operator's session.
pub struct Session {
    pub(super) base: Rc<Config>,
    pub(super) candidate: Box<Config>,
    pub(super) expecting: Expecting,
    /// Somebody is at a terminal, who can be asked whether he means it.
    pub(super) asks: bool,
    /// The terminal draws no pictures.
    pub(super) is_dumb: bool,
    /// What names the mail that removed accounts have left.
    pub(super) unclaimed: Vec<String>,
}

impl Session {
    /// Begins with the settings in force.
    pub fn new(world: &dyn World) -> Session {
        let base = world.config();
        Session {
            candidate: Box::new((*base).clone()),
            base,
            expecting: Expecting::Command,
            asks: false,
            is_dumb: false,
            unclaimed: Vec::new(),
        }
    }

    /// For somebody at a terminal, which may be a dumb one.
    pub fn at_a_terminal(world: &dyn World, is_dumb: bool) -> Session {
        Session { asks: true, is_dumb, ..Session::new(world) }
    }

    /// The settings as they would be after a commit.
    pub fn candidate(&self) -> &Config {
        &self.candidate
    }

    pub(super) fn changed(&self) -> bool {
        *self.candidate != *self.base
    }

    /// What to show before the next line, and how to take it.
    pub fn prompt(&self) -> (&'static str, Input) {
        match &self.expecting {
            Expecting::Command if self.changed() => ("pillarbox (changed)> ", Input::Command),
            Expecting::Command => ("pillarbox> ", Input::Command),
            Expecting::NewPassword { .. } => ("new password: ", Input::Secret),
            Expecting::SamePassword { .. } => ("once more: ", Input::Secret),
            Expecting::Login { .. } => ("password: ", Input::Secret),
            Expecting::Toml(_) => ("", Input::Text),
            Expecting::Yes | Expecting::Removal(..) | Expecting::Agreement(_) => {
                ("type yes to do it: ", Input::Text)
            }
            Expecting::Address { .. } => ("address: ", Input::Text),
        }
    }

    /// The operator gave up what was asked for.
    pub fn interrupted(&mut self) -> Step {
        self.expecting = Expecting::Command;
        Step::Say(String::new())
    }

    /// A script is over.
    ///
    /// # Errors
    /// What it left undone.
    pub fn ended(&self) -> Result<(), String> {
        match self.expecting {
            Expecting::Command if self.changed() => {
                Err("nothing was changed: the changes were not followed by `commit`".to_owned())
            }
            Expecting::Command => Ok(()),
            Expecting::Toml(_) => Err("nothing was imported: no line with a dot ended the text".to_owned()),
            Expecting::Yes | Expecting::Removal(..) | Expecting::Agreement(_) => {
                Err("nothing was done: `yes` is wanted on the next line".to_owned())
            }
            Expecting::Login { .. } => {
                Err("nothing was tried: the password is wanted on the next line".to_owned())
            }
            Expecting::Address { .. } => {
                Err("there is no new permission: an address is wanted on the next line".to_owned())
            }
            _ => Err("the password stays as it was: it is wanted twice, on the next two lines".to_owned()),
        }
    }

    /// Takes a line.
    pub fn line(&mut self, world: &dyn World, line: &str) -> Step {
        if !self.changed() {
            self.begin_anew(world);
        }
        self.unclaimed = world.unclaimed().iter().map(Unclaimed::handle).collect();
        match std::mem::replace(&mut self.expecting, Expecting::Command) {
            Expecting::Command => command::run(self, world, line),
            Expecting::NewPassword { path, offer, at_once } => {
                self.new_password(world, path, offer, at_once, line)
            }
            Expecting::SamePassword { path, first, at_once } if *first == line => {
                self.take_password(world, &path, line, at_once)
            }
            Expecting::SamePassword { .. } => {
                Step::Refuse("the two differ: the password stays as it was".to_owned())
            }
            Expecting::Yes => super::device::confirmed(line),
            Expecting::Login { account, service } => super::login::tried(world, &account, service, line),
            Expecting::Agreement(work) => super::unclaimed::agreed(work, line),
            Expecting::Removal(act, which) => super::queue::confirmed(act, which, line),
            Expecting::Address { holder, code } => self.pasted(holder, code, line),
            Expecting::Toml(text) if line == "." => self.take_over(world, &text),
            Expecting::Toml(text) if text.len() + line.len() >= LONGEST_IMPORT => {
                drop(text);
                Step::Refuse(format!("more than {} KiB: nothing was imported", LONGEST_IMPORT >> 10))
            }
            Expecting::Toml(text) => {
                self.expecting = Expecting::Toml(text + line + "\n");
                Step::Say(String::new())
            }
        }
    }

    fn begin_anew(&mut self, world: &dyn World) {
        let now = world.config();
        if !Rc::ptr_eq(&now, &self.base) {
            *self.candidate = (*now).clone();
            self.base = now;
        }
    }

    /// How a [`Step::Commit`] ended.
    pub fn committed(&mut self, world: &dyn World, outcome: Result<(), String>, warnings: String) -> Step {
        match outcome {
            Ok(()) => {
                let before = self.base.clone();
                self.begin_anew(world);
                let network_waits = before.network != self.base.network && world.board().is_some();
                let force = match ports::wait(&self.base) {
                    _ if network_waits => NETWORK_WAITS,
                    true => PORTS_WAIT,
                    false => "in force\n",
                };
                Step::Say(warnings + force)
            }
            Err(why) if why == CHANGED => {
                Step::Refuse(why + ": `rollback` takes theirs, then make your changes again")
            }
            Err(why) => Step::Refuse(why),
        }
    }

    pub(super) fn check(&mut self, world: &dyn World, words: &[&str]) -> Step {
        if let Some(file) = words.first() {
            return self.of_card(world, file, Work::Check, "check FILE.toml");
        }
        let problems = self.problems(world);
        match problems.iter().any(Problem::is_error) {
            true => Step::Refuse(listed(&problems)),
            false if problems.is_empty() => Step::Say("nothing is wrong\n".to_owned()),
            false => Step::Say(listed(&problems) + "\n"),
        }
    }

    /// What is wrong with the candidate. Off a board nobody asks for `[network]`.
    fn problems(&self, world: &dyn World) -> Vec<Problem> {
        let mut problems = check(&self.candidate);
        if world.board().is_none() {
            let is_network = |at: &At| matches!(at, At::Path(path) if path.starts_with("network."));
            problems.retain(|problem| problem.is_error() || !is_network(&problem.at));
        }
        problems
    }

    /// What was warned of at an earlier commit is not warned of again.
    pub(super) fn commit(&mut self, world: &dyn World, _: &[&str]) -> Step {
        if !self.changed() {
            return Step::Say("nothing has changed\n".to_owned());
        }
        let problems = self.problems(world);
        if problems.iter().any(Problem::is_error) {
            return Step::Refuse(listed(&problems));
        }
        let known = check(&self.base);
        let new = problems.iter().filter(|problem| !known.contains(problem));
        let warnings = new.map(|problem| format!("{problem}\n")).collect();
        Step::Commit { base: self.base.clone(), warnings }
    }

    pub(super) fn rollback(&mut self, world: &dyn World, _: &[&str]) -> Step {
        self.base = world.config();
        *self.candidate = (*self.base).clone();
        Step::Say(String::new())
    }

    pub(super) fn import(&mut self, world: &dyn World, words: &[&str]) -> Step {
        if let Some(file) = words.first() {
            return self.of_card(world, file, Work::Import, "import FILE.toml");
        }
        self.expecting = Expecting::Toml(String::new());
        Step::Say("paste the TOML text; a line with a dot ends it, Control-C gives up\n".to_owned())
    }

    pub(super) fn take_over(&mut self, world: &dyn World, toml: &str) -> Step {
        let ways = text::ReadOptions { defaults: defaults(world), ..text::ReadOptions::default() };
        match text::parse_with_options(toml.as_bytes(), Some(&self.candidate), ways) {
            Ok(parsed) => {
                *self.candidate = parsed.config;
                let warnings: String = parsed.warnings.iter().map(|problem| format!("{problem}\n")).collect();
                Step::Say(warnings + "imported: `commit` puts it in force\n")
            }
            Err(problems) => Step::Refuse(listed(&problems)),
        }
    }

    pub(super) fn export(&mut self, _: &dyn World, words: &[&str]) -> Step {
        Step::Say(export::to_toml(&self.candidate, !words.is_empty()))
    }

    pub(super) fn retry(&mut self, world: &dyn World, _: &[&str]) -> Step {
        world.retry();
        Step::Say(String::new())
    }

    pub(super) fn quit(&mut self, _: &dyn World, _: &[&str]) -> Step {
        match self.changed() {
            true => Step::Refuse("there are changes: `commit` or `rollback` them first".to_owned()),
            false => Step::Quit,
        }
    }
}

/// What a setting is that nobody has set.
pub(super) fn defaults(world: &dyn World) -> Config {
    if world.board().is_some() { Config::on_a_board() } else { Config::default() }
}

pub(super) fn done(result: Result<(), path::PathError>) -> Step {
    match result {
        Ok(()) => Step::Say(String::new()),
        Err(error) => Step::Refuse(error.to_string()),
    }
}

pub(super) fn listed(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
