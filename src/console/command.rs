//! What a command is, and what follows from the table of all of them: dispatch, help and completion.

use super::permission::SMARTHOST;
use super::session::{Session, Step};
use super::table::TABLE;
use crate::config::problem::Section;
use crate::config::{help as settings, path};
use crate::operator::World;

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
    /// Mail that a removed account has left.
    Unclaimed,
    /// An account, or mail that one has left.
    Mail,
    /// The name of an account that exists, or the smarthost.
    Permitted,
    /// The name of a service that a login opens.
    Service,
    /// The number of an account's source, counted from 1.
    Source,
    /// The name of an account's app password.
    AppPassword,
    /// The path of a setting.
    Setting,
    /// A time, such as 5m.
    Time,
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
    /// The name of a command, or the path of a setting: the rest of the line.
    Topic,
    /// The path of a section or of a setting.
    Section,
}

/// Runs one line.
pub fn run(session: &mut Session, world: &dyn World, line: &str) -> Step {
    let words: Vec<&str> = line.split_whitespace().collect();
    let Some(first) = words.first() else { return Step::Say(String::new()) };
    match meant(&words).as_slice() {
        [command] if command.words() <= words.len() => match command.arguments_of(line) {
            Some(arguments) => (command.run)(session, world, &arguments),
            None => Step::Refuse(format!("usage: {}", command.usage())),
        },
        [] => Step::Refuse(match words.get(1).filter(|_| !meant(&[first]).is_empty()) {
            Some(second) => format!(
                "there is no command `{first} {second}`: `help {first}` lists what may follow `{first}`"
            ),
            None => format!("there is no command `{first}`: `help` lists them all"),
        }),
        several => {
            let usages: Vec<_> = several.iter().map(|command| command.usage()).collect();
            Step::Refuse(format!("one of: {}", usages.join(" | ")))
        }
    }
}

/// The command that `words` begin with, each word of its name shortened as one likes; several where they could be any of
/// these.
fn meant(words: &[&str]) -> Vec<&'static Command> {
    if let Some(command) = TABLE.iter().find(|command| command.is_named_by(words)) {
        return vec![command];
    }
    let begun: Vec<_> = TABLE.iter().filter(|command| command.is_begun_by(words)).collect();
    // `sh account` is not `show accounts`.
    let last = |command: &Command| words.get(command.words() - 1).copied();
    let whole = begun.iter().find(|command| last(command) == command.name.split(' ').next_back());
    // `com` is `commit`, though the name of another command goes on behind that.
    let shortest = begun.iter().find(|command| {
        command.words() <= words.len()
            && begun.iter().all(|other| other.name.split(' ').next() == Some(command.name))
    });
    match whole.or(shortest) {
        Some(command) => vec![command],
        None => begun,
    }
}

/// The words that may stand where `line` ends.
pub fn complete(session: &Session, line: &str) -> Vec<String> {
    let mut words: Vec<&str> = line.split_whitespace().collect();
    let partial = if line.ends_with(char::is_whitespace) { "" } else { words.pop().unwrap_or_default() };
    let is_named = TABLE.iter().any(|command| command.is_named_by(&words));
    let may_follow = |command: &Command| match words.get(command.words()..) {
        None => command.word_after(&words).into_iter().collect(),
        Some(_) if is_named && !command.is_named_by(&words) => Vec::new(),
        Some(arguments) => command.candidates(session, arguments),
    };
    let mut candidates: Vec<String> = TABLE
        .iter()
        .filter(|command| command.is_begun_by(&words))
        .flat_map(may_follow)
        .filter(|candidate| candidate.starts_with(partial))
        .collect();
    candidates.sort_unstable();
    candidates.dedup();
    candidates
}

/// Lists the commands, or those that are named.
pub(super) fn help(words: &[&str]) -> Step {
    let words: Vec<&str> = words.iter().flat_map(|words| words.split_whitespace()).collect();
    let wanted = if words.is_empty() { TABLE.iter().collect() } else { meant(&words) };
    if wanted.is_empty() {
        let name = words.join(" ");
        return match settings::on(&name) {
            Some(text) => Step::Say(text),
            None => Step::Refuse(format!(
                "there is no command or setting `{name}`: `help` lists the commands, `show config` the settings"
            )),
        };
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

    /// How many words its name has.
    fn words(&self) -> usize {
        self.name.split(' ').count()
    }

    /// The word of its name that comes after `words`.
    fn word_after(&self, words: &[&str]) -> Option<String> {
        self.name.split(' ').nth(words.len()).filter(|_| self.is_begun_by(words)).map(str::to_owned)
    }

    /// Whether each of `words` begins the word of the name that stands in its place.
    fn is_begun_by(&self, words: &[&str]) -> bool {
        self.name.split(' ').zip(words).all(|(name, word)| name.starts_with(word))
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
        let all_taken = rest.is_empty() || self.arguments == [Argument::Topic];
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

    /// What may follow these arguments.
    fn candidates(&self, session: &Session, arguments: &[&str]) -> Vec<String> {
        let next = match self.arguments {
            // The rest of the line.
            [topic @ Argument::Topic] => Some(topic),
            several => several.get(arguments.len()),
        };
        next.map_or(Vec::new(), |next| next.candidates(session, arguments))
    }
}

impl Argument {
    fn in_words(self) -> &'static str {
        match self {
            Argument::Word(word) => word,
            Argument::Account | Argument::NewAccount | Argument::Unclaimed | Argument::Mail => "NAME",
            Argument::Permitted => "NAME|smarthost",
            Argument::AppPassword => "DEVICE",
            Argument::Source | Argument::Message | Argument::Connected => "NUMBER",
            Argument::Service => "SERVICE",
            Argument::Queued => "N",
            Argument::QueuedOf => "NAME",
            Argument::Setting => "PATH",
            Argument::Value => "VALUE",
            Argument::Secret => "NAME|PATH",
            Argument::File => "FILE",
            Argument::Time => "TIME",
            Argument::Topic => "COMMAND|PATH",
            Argument::Section => "PATH",
        }
    }

    fn candidates(self, session: &Session, before: &[&str]) -> Vec<String> {
        let accounts = || session.candidate().accounts.iter().map(|account| account.name.to_string());
        match self {
            Argument::Word(word) => vec![word.to_owned()],
            Argument::Account => accounts().collect(),
            Argument::Unclaimed => session.unclaimed.clone(),
            Argument::Mail => accounts().chain(session.unclaimed.iter().cloned()).collect(),
            Argument::Service => super::login::services(),
            Argument::Queued => vec!["account".to_owned(), "all".to_owned()],
            Argument::QueuedOf if before == ["account"] => accounts().collect(),
            Argument::Permitted => accounts().chain([SMARTHOST.to_owned()]).collect(),
            Argument::Setting => path::paths(session.candidate()),
            Argument::Secret => accounts().chain(secret_paths(session)).collect(),
            Argument::Value => {
                let path = before.first().copied().unwrap_or_default();
                let words = path::words(session.candidate(), path);
                if !words.is_empty() {
                    return words.into_iter().map(str::to_owned).collect();
                }
                path::get(session.candidate(), path, false).into_iter().collect()
            }
            Argument::Source => {
                let account = before.first().and_then(|name| session.candidate().account(name));
                (1..=account.map_or(0, |account| account.sources.len())).map(|n| n.to_string()).collect()
            }
            Argument::AppPassword => {
                let account = before.first().and_then(|name| session.candidate().account(name));
                account.into_iter().flat_map(|a| &a.app_passwords).map(|app| app.name.to_string()).collect()
            }
            Argument::Topic => {
                let commands = TABLE.iter().filter_map(|command| command.word_after(before));
                let paths = if before.is_empty() { path::paths(session.candidate()) } else { Vec::new() };
                commands.chain(paths).collect()
            }
            Argument::Section => {
                let whole = Section::all(session.candidate()).into_iter();
                let whole = whole.map(|section| section.path(session.candidate()));
                whole.chain(path::paths(session.candidate())).collect()
            }
            Argument::QueuedOf
            | Argument::NewAccount
            | Argument::Message
            | Argument::Connected
            | Argument::Time
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
