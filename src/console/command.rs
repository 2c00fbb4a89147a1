//! What a command is, and what follows from the table of all of them: dispatch, help and completion.

use super::permission::SMARTHOST;
use super::session::{Session, Step, World};
use super::table::TABLE;
use crate::config::path;

/// One command of the console.
pub struct Command {
    /// One word or two.
    pub name: &'static str,
    /// What follows the name.
    pub(super) arguments: &'static [Argument],
    /// So many of them have to be given.
    pub(super) required: usize,
    /// One line.
    pub(super) help: &'static str,
    pub(super) run: fn(&mut Session, &dyn World, &[&str]) -> Step,
}

/// What an argument stands for: what help calls it and where its completions come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Argument {
    /// This very word.
    Word(&'static str),
    /// The name of an account that exists.
    Account,
    /// The name of an account to be.
    NewAccount,
    /// The name of an account that exists, or the smarthost.
    Permitted,
    /// The number of an account's source, counted from 1.
    Source,
    /// The name of an account's app password.
    AppPassword,
    /// The path of a setting.
    Setting,
    /// The rest of the line.
    Value,
    /// An account, or the path of a setting that is a secret.
    Secret,
    /// The number of a session.
    Connected,
    /// The number of a queued message.
    Message,
    /// Which messages of the queue: the number of one, or a word that says which.
    Queued,
    /// After `account`: the name of one. Elsewhere what else there is to say.
    QueuedOf,
    /// A file of the device: the rest of the line.
    File,
    /// The name of a command.
    Command,
}

/// Runs one line.
pub fn run(session: &mut Session, world: &dyn World, line: &str) -> Step {
    let words: Vec<&str> = line.split_whitespace().collect();
    let Some(first) = words.first() else { return Step::Say(String::new()) };
    if let Some(command) = TABLE.iter().find(|command| command.is_named_by(&words)) {
        return match command.arguments_of(line) {
            Some(arguments) => (command.run)(session, world, &arguments),
            None => Step::Refuse(format!("usage: {}", command.usage())),
        };
    }
    let alike: Vec<_> =
        TABLE.iter().filter(|c| c.name.starts_with(&format!("{first} "))).map(Command::usage).collect();
    match alike.is_empty() {
        true => Step::Refuse(format!("there is no command `{first}`: `help` lists them all")),
        false => Step::Refuse(format!("one of: {}", alike.join(" | "))),
    }
}

/// The words that may stand where `line` ends.
pub fn complete(session: &Session, line: &str) -> Vec<String> {
    let mut words: Vec<&str> = line.split_whitespace().collect();
    let partial = if line.ends_with(char::is_whitespace) { "" } else { words.pop().unwrap_or_default() };
    let mut candidates: Vec<String> = TABLE
        .iter()
        .flat_map(|command| command.candidates(session, &words))
        .filter(|candidate| candidate.starts_with(partial))
        .collect();
    candidates.sort_unstable();
    candidates.dedup();
    candidates
}

/// Lists the commands, or those that are named.
pub(super) fn help(words: &[&str]) -> Step {
    let name = words.join(" ");
    let wanted: Vec<_> = TABLE
        .iter()
        .filter(|command| command.name.starts_with(&name) || name.starts_with(command.name))
        .collect();
    if wanted.is_empty() {
        return Step::Refuse(format!("there is no command `{name}`: `help` lists them all"));
    }
    let width = wanted.iter().map(|command| command.usage().len()).max().unwrap_or_default();
    Step::Say(
        wanted.iter().map(|command| format!("{:width$}  {}\n", command.usage(), command.help)).collect(),
    )
}

impl Command {
    fn is_named_by(&self, words: &[&str]) -> bool {
        let name: Vec<&str> = self.name.split(' ').collect();
        words.starts_with(&name)
    }

    /// What follows the name in `line`; `None` when it is too little, too much or another word.
    fn arguments_of<'a>(&self, line: &'a str) -> Option<Vec<&'a str>> {
        let mut rest = line.trim();
        for _ in self.name.split(' ') {
            rest = next_word(rest).1;
        }
        let mut arguments = Vec::new();
        for argument in self.arguments {
            let (word, after) = if matches!(argument, Argument::Value | Argument::File) {
                (rest, "")
            } else {
                next_word(rest)
            };
            if word.is_empty() {
                break;
            }
            if matches!(argument, Argument::Word(this) if *this != word) {
                return None;
            }
            arguments.push(word);
            rest = after;
        }
        // `help show status` names a command of two words.
        let all_taken = rest.is_empty() || self.arguments == [Argument::Command];
        if !rest.is_empty() && all_taken {
            arguments.push(rest);
        }
        (all_taken && arguments.len() >= self.required).then_some(arguments)
    }

    fn usage(&self) -> String {
        let mut usage = self.name.to_owned();
        for (n, argument) in self.arguments.iter().enumerate() {
            let word = argument.in_words();
            usage += &if n < self.required { format!(" {word}") } else { format!(" [{word}]") };
        }
        usage
    }

    /// What may follow `words` in this command.
    fn candidates(&self, session: &Session, words: &[&str]) -> Vec<String> {
        let name: Vec<&str> = self.name.split(' ').collect();
        if let Some(arguments) = words.strip_prefix(name.as_slice()) {
            return self
                .arguments
                .get(arguments.len())
                .map_or(Vec::new(), |next| next.candidates(session, arguments));
        }
        match name.strip_prefix(words) {
            Some([next, ..]) => vec![next.to_string()],
            _ => Vec::new(),
        }
    }
}

impl Argument {
    fn in_words(self) -> &'static str {
        match self {
            Argument::Word(word) => word,
            Argument::Account | Argument::NewAccount => "NAME",
            Argument::Permitted => "NAME|smarthost",
            Argument::AppPassword => "DEVICE",
            Argument::Source | Argument::Message | Argument::Connected => "NUMBER",
            Argument::Queued => "N",
            Argument::QueuedOf => "NAME",
            Argument::Setting => "PATH",
            Argument::Value => "VALUE",
            Argument::Secret => "NAME|PATH",
            Argument::File => "FILE",
            Argument::Command => "COMMAND",
        }
    }

    fn candidates(self, session: &Session, before: &[&str]) -> Vec<String> {
        let accounts = || session.candidate().accounts.iter().map(|account| account.name.to_string());
        match self {
            Argument::Word(word) => vec![word.to_owned()],
            Argument::Account => accounts().collect(),
            Argument::Queued => vec!["account".to_owned(), "all".to_owned()],
            Argument::QueuedOf if before == ["account"] => accounts().collect(),
            Argument::Permitted => accounts().chain([SMARTHOST.to_owned()]).collect(),
            Argument::Setting => path::paths(session.candidate()),
            Argument::Secret => accounts().chain(secret_paths(session)).collect(),
            Argument::Value => {
                let value = before.first().and_then(|path| path::get(session.candidate(), path, false).ok());
                value.into_iter().collect()
            }
            Argument::Source => {
                let account = before.first().and_then(|name| session.candidate().account(name));
                (1..=account.map_or(0, |account| account.sources.len())).map(|n| n.to_string()).collect()
            }
            Argument::AppPassword => {
                let account = before.first().and_then(|name| session.candidate().account(name));
                account.into_iter().flat_map(|a| &a.app_passwords).map(|app| app.name.to_string()).collect()
            }
            Argument::Command => TABLE.iter().map(|command| command.name.to_owned()).collect(),
            Argument::QueuedOf
            | Argument::NewAccount
            | Argument::Message
            | Argument::Connected
            | Argument::File => Vec::new(),
        }
    }
}

fn secret_paths(session: &Session) -> impl Iterator<Item = String> {
    path::paths(session.candidate()).into_iter().filter(|path| path::is_secret(session.candidate(), path))
}

/// The first word and what comes after it.
fn next_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}
