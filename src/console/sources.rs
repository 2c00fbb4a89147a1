//! What an operator has the mailboxes elsewhere do.

use super::session::{Session, Step, Trial};
use crate::operator::World;
use crate::say::counted;

impl Session {
    pub(super) fn collect(&mut self, world: &dyn World, words: &[&str]) -> Step {
        let account = match meant(world, words) {
            Ok(account) => account,
            Err(why) => return Step::Refuse(why),
        };
        match world.collect(account) {
            0 => Step::Refuse("no source to collect from: see `show sources`".to_owned()),
            1 => Step::Say("collecting from 1 source\n".to_owned()),
            n => Step::Say(format!("collecting from {n} sources\n")),
        }
    }

    pub(super) fn stop_collecting(&mut self, world: &dyn World, words: &[&str]) -> Step {
        let account = match meant(world, words) {
            Ok(account) => account,
            Err(why) => return Step::Refuse(why),
        };
        match world.stop_collecting(account) {
            0 => Step::Refuse("no source to stop: see `show sources`".to_owned()),
            n => Step::Say(format!(
                "{} stopped until `collect` or the next start; what has come is kept\n",
                if n == 1 { "1 source is".to_owned() } else { format!("{n} sources are") }
            )),
        }
    }

    /// With the settings as they would be after a commit.
    pub(super) fn test_source(&mut self, _: &dyn World, words: &[&str]) -> Step {
        let name = words.first().copied().unwrap_or_default();
        let by_path = || name.strip_prefix("account.")?.rsplit_once(".source.");
        let exists = |name: &str| self.candidate.account(name).is_some();
        let (name, number) = match by_path().filter(|_| !exists(name)) {
            Some((name, number)) => (name, Some(number)),
            None => (name, words.get(1).copied()),
        };
        let Some(account) = self.candidate.account(name) else {
            return Step::Refuse(format!("there is no account `{name}`"));
        };
        let sources = &account.sources;
        let number: usize = match (number, sources.len()) {
            (_, 0) => return Step::Refuse(format!("{name} has no source: `add source {name}` adds one")),
            (None, 1) => 1,
            (None, n) => return Step::Refuse(format!("which one: `test source {name} 1` to `{n}`?")),
            (Some(number), _) => number.parse().unwrap_or(0),
        };
        match number.checked_sub(1).and_then(|at| sources.get(at)) {
            Some(source) => Step::Test(Trial::Source(name.to_owned(), Box::new(source.clone()))),
            None => Step::Refuse(format!(
                "{name} has {}, counted from 1",
                counted(sources.len() as u64, "source")
            )),
        }
    }

    /// With the settings as they would be after a commit.
    pub(super) fn test_smarthost(&mut self, _: &dyn World, words: &[&str]) -> Step {
        let account = words.first().map(|name| (*name).to_owned());
        match &account {
            Some(name) if self.candidate.account(name).is_none() => {
                Step::Refuse(format!("there is no account `{name}`"))
            }
            _ => Step::Test(Trial::Smarthost(self.candidate.clone(), account)),
        }
    }
}

/// The account in force that the words name, or none for all.
fn meant<'w>(world: &dyn World, words: &[&'w str]) -> Result<Option<&'w str>, String> {
    match words.first().copied() {
        Some(name) if world.config().account(name).is_none() => Err(format!("there is no account `{name}`")),
        account => Ok(account),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Pretended;
    use super::*;

    /// Catches: a source that can be named in one way only, another one than the one that is meant, and settings that can be tried
    /// out only once they are in force.
    #[test]
    fn a_source_is_named_as_elsewhere() {
        let world = Pretended::new();
        let mut session = Session::new(&world);
        let mut say = |line: &str| match session.line(&world, line) {
            Step::Say(_) => String::new(),
            Step::Refuse(why) => why,
            Step::Test(Trial::Source(account, source)) => format!("{account}: {}", source.host.as_str()),
            other => format!("{other:?}"),
        };
        assert_eq!(say("test source demo"), "demo has no source: `add source demo` adds one");
        assert_eq!(say("test source nobody"), "there is no account `nobody`");
        say("add source demo");
        say("set account.demo.source.1.host one.example");
        assert_eq!(say("test source demo"), "demo: one.example");
        say("add source demo");
        say("set account.demo.source.2.host two.example");
        for (line, said) in [
            ("test source demo 1", "demo: one.example"),
            ("test source demo 2", "demo: two.example"),
            ("test source account.demo.source.2", "demo: two.example"),
            ("test source demo", "which one: `test source demo 1` to `2`?"),
            ("test source demo 3", "demo has 2 sources, counted from 1"),
            ("test source demo 0", "demo has 2 sources, counted from 1"),
            ("test source demo x", "demo has 2 sources, counted from 1"),
            ("test source account.nobody.source.2", "there is no account `nobody`"),
            ("test source", "usage: test source NAME [NUMBER]"),
        ] {
            assert_eq!(say(line), said, "{line}");
        }
    }

    /// Catches: settings of the smarthost that can be tried out only once they are in force, and another login than is meant.
    #[test]
    fn the_smarthost_is_tried_as_typed() {
        let world = Pretended::new();
        let mut session = Session::new(&world);
        let mut say = |line: &str| match session.line(&world, line) {
            Step::Say(_) => String::new(),
            Step::Refuse(why) => why,
            Step::Test(Trial::Smarthost(config, account)) => {
                format!("{} {account:?}", config.smarthost.host.as_str())
            }
            other => format!("{other:?}"),
        };
        say("set smarthost.host smtp.example");
        for (line, said) in [
            ("test smarthost", "smtp.example None"),
            ("test smarthost demo", "smtp.example Some(\"demo\")"),
            ("test smarthost nobody", "there is no account `nobody`"),
            ("test smarthost demo 1", "usage: test smarthost [NAME]"),
            ("test", "one of: test source NAME [NUMBER] | test smarthost [NAME] | test login NAME [SERVICE]"),
        ] {
            assert_eq!(say(line), said, "{line}");
        }
    }
}
