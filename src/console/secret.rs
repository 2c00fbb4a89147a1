//! Secrets at the console: asked for twice, never shown, and long enough where they are passwords of this appliance.

use zeroize::Zeroizing;

use super::session::{Expecting, Session, Step, done};
use crate::config::{MIN_PASSWORD, path};
use crate::credential::random_password;
use crate::operator::World;

/// What a device says whose operator has no password.
const NO_OPERATOR: &str = "No operator's password is set, so this console asks for none, and no updates are taken over the network.\n\
    Choose one now, or press Enter to do it later.\n";

impl Session {
    /// What is said first to somebody at a terminal. A device without an operator's password asks for one.
    pub fn begin(&mut self, world: &dyn World) -> &'static str {
        if world.board().is_none() || self.base.server.operator_verifier.is_set() {
            return "";
        }
        let path = "server.operator_password".to_owned();
        self.expecting = Expecting::NewPassword { path, offer: None, at_once: true };
        NO_OPERATOR
    }

    /// The answer to [`Expecting::NewPassword`].
    pub(super) fn new_password(
        &mut self,
        world: &dyn World,
        path: String,
        offer: Option<Zeroizing<String>>,
        at_once: bool,
        line: &str,
    ) -> Step {
        match offer {
            Some(offer) if line.is_empty() => {
                let step = self.take_password(world, &path, &offer, at_once);
                self.told_password(step, &offer)
            }
            None if line.is_empty() && at_once => Step::Say("no password was set\n".to_owned()),
            None if line.is_empty() => {
                Step::Refuse("nothing was typed: the password stays as it was".to_owned())
            }
            _ if path::is_own_password(&self.candidate, &path) && line.chars().count() < MIN_PASSWORD => {
                let offer = Zeroizing::new(random_password());
                let why = format!(
                    "at least {MIN_PASSWORD} characters are wanted: type another one, or nothing for {}",
                    *offer
                );
                self.expecting = Expecting::NewPassword { path, offer: Some(offer), at_once };
                Step::Refuse(why)
            }
            _ => {
                self.expecting = Expecting::SamePassword { path, first: line.to_owned().into(), at_once };
                Step::Say(String::new())
            }
        }
    }

    /// Sets a password that was typed twice, or taken as offered.
    pub(super) fn take_password(
        &mut self,
        world: &dyn World,
        path: &str,
        password: &str,
        at_once: bool,
    ) -> Step {
        match path::set_secret(&mut self.candidate, path, password) {
            Ok(()) if at_once => self.commit(world, &[]),
            outcome => done(outcome),
        }
    }

    /// The outcome of taking a password that nobody has typed.
    fn told_password(&mut self, step: Step, password: &str) -> Step {
        let words = format!("the password is {password}: it is not shown again\n");
        match step {
            Step::Say(text) => Step::Say(words + &text),
            Step::Commit { base, warnings } => Step::Commit { base, warnings: words + &warnings },
            other => other,
        }
    }

    pub(super) fn password(&mut self, _: &dyn World, words: &[&str]) -> Step {
        let name = words.concat();
        let path = match self.candidate.account(&name) {
            Some(_) => format!("account.{name}.password"),
            None => name,
        };
        if !path::is_secret(&self.candidate, &path) {
            return Step::Refuse(format!("`{path}` is neither an account nor the path of a password"));
        }
        self.ask_for(&path);
        Step::Say(String::new())
    }

    /// Asks for a new password, or another secret.
    pub(super) fn ask_for(&mut self, path: &str) {
        self.expecting = Expecting::NewPassword { path: path.to_owned(), offer: None, at_once: false };
    }

    /// Whether a secret is wanted next: the line before may have held it.
    pub fn asks_for_a_secret(&self) -> bool {
        matches!(self.expecting, Expecting::NewPassword { .. } | Expecting::Login { .. })
    }
}

#[cfg(test)]
mod tests;
