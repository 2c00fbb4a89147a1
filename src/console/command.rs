//! The commands: one table of name, arguments, help and function. Dispatch, help and completion all come from it.

use super::session::{Session, Step, World};
use crate::config::path;

/// One command of the console.
pub struct Command {
    /// One word or two.
    pub name: &'static str,
    /// What follows the name.
    arguments: &'static [Argument],
    /// So many of them have to be given.
    required: usize,
    /// One line.
    help: &'static str,
    run: fn(&mut Session, &dyn World, &[&str]) -> Step,
}

/// What an argument stands for: what help calls it and where its completions come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Argument {
    /// This very word.
    Word(&'static str),
    /// The name of an account that exists.
    Account,
    /// The name of an account to be.
    NewAccount,
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
    /// The number of a queued message.
    Message,
    /// A file of the device: the rest of the line.
    File,
    /// The name of a command.
    Command,
}

/// All commands, in the order of `help`.
pub const TABLE: &[Command] = &[
    Command {
        name: "show status",
        arguments: &[Argument::Word("json")],
        required: 0,
        help: "one look at everything: memory, sessions, queue, sources, flash",
        run: Session::show_status,
    },
    Command {
        name: "show accounts",
        arguments: &[],
        required: 0,
        help: "the accounts and what they may use",
        run: Session::show_accounts,
    },
    Command {
        name: "show app-passwords",
        arguments: &[],
        required: 0,
        help: "the app passwords, what they open, and when they were used last",
        run: Session::show_app_passwords,
    },
    Command {
        name: "show sources",
        arguments: &[],
        required: 0,
        help: "the mailboxes elsewhere and how their last poll ended",
        run: Session::show_sources,
    },
    Command {
        name: "show queue",
        arguments: &[],
        required: 0,
        help: "what waits for the smarthost, and why",
        run: Session::show_queue,
    },
    Command {
        name: "show refusals",
        arguments: &[],
        required: 0,
        help: "the latest refused logins with their true reason",
        run: Session::show_refusals,
    },
    Command {
        name: "show board",
        arguments: &[],
        required: 0,
        help: "the board, its version and slot, and why the last update was not kept",
        run: Session::show_board,
    },
    Command {
        name: "show config",
        arguments: &[Argument::Setting],
        required: 0,
        help: "the settings as they will be after `commit`, secrets hidden",
        run: Session::show_config,
    },
    Command {
        name: "set",
        arguments: &[Argument::Setting, Argument::Value],
        required: 2,
        help: "change a setting: `set account.office.pop_lan_only true`",
        run: Session::set,
    },
    Command {
        name: "add account",
        arguments: &[Argument::NewAccount],
        required: 1,
        help: "a new account; give it a password with `password NAME`",
        run: Session::add_account,
    },
    Command {
        name: "add source",
        arguments: &[Argument::Account],
        required: 1,
        help: "a mailbox elsewhere that is collected for the account",
        run: Session::add_source,
    },
    Command {
        name: "add app-password",
        arguments: &[Argument::Account, Argument::AppPassword],
        required: 2,
        help: "a further password of the account, for one device; it is shown this once",
        run: Session::add_app_password,
    },
    Command {
        name: "remove account",
        arguments: &[Argument::Account],
        required: 1,
        help: "the account goes, its mail stays on the flash",
        run: Session::remove_account,
    },
    Command {
        name: "remove source",
        arguments: &[Argument::Account, Argument::Source],
        required: 2,
        help: "the mailbox elsewhere is no longer collected",
        run: Session::remove_source,
    },
    Command {
        name: "remove app-password",
        arguments: &[Argument::Account, Argument::AppPassword],
        required: 2,
        help: "the device that has it can log in no longer",
        run: Session::remove_app_password,
    },
    Command {
        name: "remove setting",
        arguments: &[Argument::Setting],
        required: 1,
        help: "put a setting back to its default",
        run: Session::remove_setting,
    },
    Command {
        name: "remove message",
        arguments: &[Argument::Message],
        required: 1,
        help: "take a message out of the queue, its sender is not told",
        run: Session::remove_message,
    },
    Command {
        name: "password",
        arguments: &[Argument::Secret],
        required: 1,
        help: "ask for a new password, of an account or `smarthost.password`",
        run: Session::password,
    },
    Command {
        name: "check",
        arguments: &[],
        required: 0,
        help: "look for errors in what `commit` would put in force",
        run: Session::check,
    },
    Command {
        name: "commit",
        arguments: &[],
        required: 0,
        help: "store the changes and put them in force at once",
        run: Session::commit,
    },
    Command {
        name: "rollback",
        arguments: &[],
        required: 0,
        help: "give up the changes since the last commit",
        run: Session::rollback,
    },
    Command {
        name: "import",
        arguments: &[],
        required: 0,
        help: "paste a whole configuration as TOML, ended by a line with a dot",
        run: Session::import,
    },
    Command {
        name: "export",
        arguments: &[Argument::Word("with-secrets")],
        required: 0,
        help: "print the configuration as TOML",
        run: Session::export,
    },
    Command {
        name: "collect",
        arguments: &[Argument::Account],
        required: 0,
        help: "collect now from all sources, or from an account's",
        run: Session::collect,
    },
    Command {
        name: "retry",
        arguments: &[],
        required: 0,
        help: "try everything in the queue now",
        run: Session::retry,
    },
    Command {
        name: "update",
        arguments: &[Argument::File],
        required: 1,
        help: "take a new version from a file of the device, verify it, restart and try it",
        run: Session::update,
    },
    Command {
        name: "switch slot",
        arguments: &[],
        required: 0,
        help: "restart with the version in the other slot, on trial",
        run: Session::switch_slot,
    },
    Command {
        name: "restart",
        arguments: &[Argument::Word("daemon")],
        required: 0,
        help: "start the device anew, or only its daemon",
        run: Session::restart,
    },
    Command {
        name: "power off",
        arguments: &[],
        required: 0,
        help: "switch the device off",
        run: Session::power_off,
    },
    Command {
        name: "help",
        arguments: &[Argument::Command],
        required: 0,
        help: "this list, or more about one command",
        run: |_, _, words| help(words),
    },
    Command { name: "quit", arguments: &[], required: 0, help: "end the console", run: Session::quit },
];

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

fn help(words: &[&str]) -> Step {
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
            Argument::AppPassword => "DEVICE",
            Argument::Source | Argument::Message => "NUMBER",
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
            Argument::NewAccount | Argument::Message | Argument::File => Vec::new(),
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
