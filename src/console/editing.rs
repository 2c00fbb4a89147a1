//! The commands that change single things of the candidate.

use zeroize::Zeroizing;

use super::session::{Session, Step, defaults, done};
use super::show;
use crate::config::path;
use crate::credential::random_password;
use crate::operator::World;

impl Session {
    pub(super) fn set(&mut self, _: &dyn World, words: &[&str]) -> Step {
        let (path, value) = (words.first().unwrap_or(&""), words.get(1).unwrap_or(&""));
        if path::is_secret(&self.candidate, path) {
            self.ask_for(path);
            return Step::Refuse(format!(
                "`{path}` is a secret, which nobody is to see: type it at the prompt"
            ));
        }
        done(path::set(&mut self.candidate, path, value))
    }
    pub(super) fn add_account(&mut self, _: &dyn World, words: &[&str]) -> Step {
        let name = words.concat();
        match path::add_account(&mut self.candidate, &name) {
            Ok(()) => Step::Say(format!("`password {name}` gives it a password\n")),
            Err(error) => Step::Refuse(error.to_string()),
        }
    }
    pub(super) fn add_source(&mut self, _: &dyn World, words: &[&str]) -> Step {
        let account = words.concat();
        match path::add_source(&mut self.candidate, &account) {
            Ok(number) => Step::Say(format!(
                "now set account.{account}.source.{number}.host and .username, and account.{account}.multipop; \
                 `password account.{account}.source.{number}.password` asks for the password\n"
            )),
            Err(error) => Step::Refuse(error.to_string()),
        }
    }
    pub(super) fn add_app_password(&mut self, _: &dyn World, words: &[&str]) -> Step {
        let (account, name) = (words.first().unwrap_or(&""), words.get(1).unwrap_or(&""));
        let password = Zeroizing::new(random_password());
        match path::add_app_password(&mut self.candidate, account, name, &password) {
            Ok(()) => Step::Say(format!("the password is {}: it is not shown again\n", *password)),
            Err(error) => Step::Refuse(error.to_string()),
        }
    }
    pub(super) fn remove_app_password(&mut self, _: &dyn World, words: &[&str]) -> Step {
        let (account, name) = (words.first().unwrap_or(&""), words.get(1).unwrap_or(&""));
        done(path::remove_app_password(&mut self.candidate, account, name))
    }
    pub(super) fn show_app_passwords(&mut self, world: &dyn World, _: &[&str]) -> Step {
        Step::Say(show::app_passwords(&self.candidate, world.status().now, |account, app| {
            world.last_use(account, app)
        }))
    }
    pub(super) fn rename_account(&mut self, _: &dyn World, words: &[&str]) -> Step {
        let (old, new) = (words.first().unwrap_or(&""), words.get(1).unwrap_or(&""));
        match path::rename_account(&mut self.candidate, old, new) {
            Ok(()) => {
                let address = self.candidate.account(new).map(|account| account.address.to_string());
                let address = address.filter(|address| !address.is_empty());
                let or = address.as_ref().map(|address| format!(" or {address}")).unwrap_or_default();
                let stays = address.map(|address| {
                    format!("; the address stays {address} until account.{new}.address is set")
                });
                Step::Say(format!(
                    "after `commit`: {new}{or} is what to log in as{}; devices that log in as {old} have to be changed\n",
                    stays.unwrap_or_default()
                ))
            }
            Err(error) => Step::Refuse(error.to_string()),
        }
    }
    pub(super) fn remove_account(&mut self, _: &dyn World, words: &[&str]) -> Step {
        done(path::remove(&mut self.candidate, &format!("account.{}", words.concat())))
    }
    pub(super) fn remove_source(&mut self, _: &dyn World, words: &[&str]) -> Step {
        done(path::remove(&mut self.candidate, &format!("account.{}", words.join(".source."))))
    }
    pub(super) fn remove_setting(&mut self, world: &dyn World, words: &[&str]) -> Step {
        done(path::remove_with(&mut self.candidate, &words.concat(), defaults(world)))
    }
    pub(super) fn remove_message(&mut self, _: &dyn World, words: &[&str]) -> Step {
        match words.concat().parse() {
            Ok(number) => Step::RemoveMessage(number),
            Err(_) => Step::Refuse("a number from `show queue` is wanted".to_owned()),
        }
    }
}
