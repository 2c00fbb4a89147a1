//! The grammar of the command line: one table of verbs, from which the help is made, too.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use pillarbox::appliance::RunOptions;
use pillarbox::archive::Format;
use pillarbox::board::Board;
use pillarbox::console::mail::Job;

use pillarbox::failure::Failure;

use super::{board, queue, restored, slots, state};

/// The request that the command line makes.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    Run(RunOptions),
    /// For the tests of the sandbox.
    #[cfg(debug_assertions)]
    Attempt(RunOptions),
    Check {
        file: PathBuf,
        data: Option<PathBuf>,
    },
    Import {
        file: PathBuf,
        data: PathBuf,
    },
    Export {
        data: PathBuf,
        with_secrets: bool,
    },
    Console {
        data: PathBuf,
        commands: Vec<String>,
    },
    Status {
        data: PathBuf,
        json: bool,
    },
    Mail {
        data: PathBuf,
        job: Job,
    },
    Queue(queue::Request),
    State(state::Request),
    Fsck {
        data: PathBuf,
        repair: bool,
    },
    Backup {
        data: PathBuf,
        dest: PathBuf,
    },
    Restore {
        data: PathBuf,
        src: PathBuf,
    },
    Restored {
        data: PathBuf,
        word: restored::Word,
    },
    BenchAuth {
        data: PathBuf,
    },
    Board(board::Request),
    Slots(slots::Request),
    Help(Option<String>),
    Version,
}

/// A verb and how it is used.
pub struct Verb {
    /// The name: one word, or two.
    pub name: &'static str,
    pub operands: &'static [Operand],
    pub options: &'static [Choice],
    /// One line of help.
    pub help: &'static str,
    pub request: fn(&Given) -> Request,
}

/// An operand of a verb. Needed operands come first.
#[derive(Clone, Copy)]
pub enum Operand {
    Needed(&'static str),
    Optional(&'static str),
}

impl Operand {
    /// The name of the operand.
    #[cfg(test)]
    pub fn name(self) -> &'static str {
        match self {
            Operand::Needed(name) | Operand::Optional(name) => name,
        }
    }
}

/// An option of a verb.
pub struct Choice {
    pub name: &'static str,
    /// The name of the option's value, if it has one. With `|`, the values to choose from.
    pub value: Option<&'static str>,
}

/// The run folder of a device that boots from a card image.
pub const BOARD: Choice = Choice { name: "--board", value: Some("RUNDIR") };
/// A command of the console. It may be given several times.
const COMMAND: Choice = Choice { name: "-c", value: Some("COMMAND") };
/// The data folder that is used when none is named.
pub const USUAL_DATA: &str = "pillarbox-data";
/// The data folder.
pub const DATA: Choice = Choice { name: "--data", value: Some("DIR") };

/// All verbs for people, in the order of `help`.
pub const VERBS: &[Verb] = &[
    Verb {
        name: "run",
        operands: &[],
        options: &[
            DATA,
            Choice { name: "--config", value: Some("FILE.toml") },
            Choice { name: "--serial", value: Some("DEVICE") },
            BOARD,
            Choice { name: "--failsafe", value: None },
        ],
        help: "serve in the foreground (--config: check and import that file first; --serial: a console there;\n      \
               --board: on a card image; --failsafe: on loopback only, collecting and sending nothing)",
        request: |given| {
            Request::Run(RunOptions {
                data: given.data(),
                config: given.path("--config"),
                serial: given.path("--serial"),
                board: given.path(BOARD.name).map(Board::new),
                failsafe: given.has("--failsafe"),
            })
        },
    },
    Verb {
        name: "check",
        operands: &[Operand::Needed("FILE.toml")],
        options: &[DATA],
        help: "tell every mistake in a configuration file; secrets that are stored in the data folder need not be in it",
        request: |given| Request::Check { file: given.file(), data: given.path("--data") },
    },
    Verb {
        name: "import",
        operands: &[Operand::Needed("FILE.toml")],
        options: &[DATA],
        help: "store a configuration file; a running appliance takes it over at once",
        request: |given| Request::Import { file: given.file(), data: given.data() },
    },
    Verb {
        name: "export",
        operands: &[],
        options: &[DATA, Choice { name: "--with-secrets", value: None }],
        help: "print the stored configuration, without secrets unless they are asked for",
        request: |given| Request::Export { data: given.data(), with_secrets: given.has("--with-secrets") },
    },
    Verb {
        name: "console",
        operands: &[],
        options: &[DATA, COMMAND],
        help: "the operator's console of the running appliance (-c: run one command of it; more of them, one after the other)",
        request: |given| Request::Console { data: given.data(), commands: given.texts(COMMAND.name) },
    },
    Verb {
        name: "status",
        operands: &[],
        options: &[DATA, Choice { name: "--json", value: None }],
        help: "one look at the running appliance: memory, sessions, queue, sources, flash",
        request: |given| Request::Status { data: given.data(), json: given.has("--json") },
    },
    Verb {
        name: "mail export",
        operands: &[Operand::Needed("ACCOUNT"), Operand::Needed("DEST")],
        options: &[Choice { name: "--format", value: Some("maildir|mbox") }, DATA],
        help: "bring the folder DEST to where the account's mail is, flags and folders included (maildir where not told)",
        request: |given| Request::Mail {
            data: given.data(),
            job: Job::Export {
                account: given.account(),
                dest: given.operand(1),
                format: given.text("--format").and_then(|name| Format::named(&name)).unwrap_or_default(),
            },
        },
    },
    Verb {
        name: "mail import",
        operands: &[Operand::Needed("ACCOUNT"), Operand::Needed("SRC")],
        options: &[DATA],
        help: "put the mail of SRC (a Maildir, mbox files, or an export) into the account, each message once",
        request: |given| Request::Mail {
            data: given.data(),
            job: Job::Import { account: given.account(), src: given.operand(1) },
        },
    },
    queue::LIST,
    queue::SHOW,
    queue::HOLD,
    queue::RELEASE,
    queue::FLUSH,
    queue::REMOVE,
    Verb {
        name: "multipop import-state",
        operands: &[Operand::Needed("ACCOUNT"), Operand::Needed("FILE")],
        options: &[
            Choice { name: "--source", value: Some("NUMBER") },
            Choice { name: "--as-own", value: None },
            DATA,
        ],
        help: "what fetchmail, getmail6 or mpop have collected for the account, by their own FILE, does not come again\n      \
               (--source: of which of its sources, where the file does not say so; --as-own: delete it there as the\n      \
               source's settings say, though it is not here)",
        request: |given| {
            Request::State(state::Request {
                data: given.data(),
                account: given.account(),
                file: given.operand(1),
                source: given.text("--source"),
                as_own: given.has("--as-own"),
            })
        },
    },
    Verb {
        name: "fsck",
        operands: &[],
        options: &[DATA, Choice { name: "--repair", value: None }],
        help: "read every record and every message and tell what is damaged (--repair: save all that can be saved)",
        request: |given| Request::Fsck { data: given.data(), repair: given.has("--repair") },
    },
    Verb {
        name: "backup",
        operands: &[Operand::Needed("DEST")],
        options: &[DATA],
        help: "write settings, keys, queue and all mail to the file DEST, while serving too (-: standard output)",
        request: |given| Request::Backup { data: given.data(), dest: given.operand(0) },
    },
    Verb {
        name: "restore",
        operands: &[Operand::Needed("SRC")],
        options: &[DATA],
        help: "put a backup in the place of what is in DIR, which is set aside (-: standard input)",
        request: |given| Request::Restore { data: given.data(), src: given.operand(0) },
    },
    Verb {
        name: "restored",
        operands: &[],
        options: &[
            DATA,
            Choice { name: "--keep-queue", value: None },
            Choice { name: "--discard-queue", value: None },
            Choice { name: "--nothing-newer", value: None },
        ],
        help: "make a data folder that was put back from a copy safe for mail programs that knew a newer state\n      \
               (--keep-queue, --discard-queue: whether what waits for the smarthost goes out, which the newer\n      \
               state may have sent already; --nothing-newer: there was none, the copy is only noted as such)",
        request: |given| Request::Restored {
            data: given.data(),
            word: restored::Word {
                keep_queue: given.has("--keep-queue"),
                discard_queue: given.has("--discard-queue"),
                nothing_newer: given.has("--nothing-newer"),
            },
        },
    },
    Verb {
        name: "bench-auth",
        operands: &[],
        options: &[DATA],
        help: "tell how long the check of a password takes here, and with how many rounds it would take 50 ms",
        request: |given| Request::BenchAuth { data: given.data() },
    },
    Verb {
        name: "help",
        operands: &[Operand::Optional("TOPIC")],
        options: &[],
        help: "this, or all about a command, a section of the configuration or a setting",
        request: |given| Request::Help(given.operands.first().map(|topic| lossy(topic))),
    },
];

/// All verbs, including those for the scripts of a board.
pub fn all_verbs() -> impl Iterator<Item = &'static Verb> {
    VERBS.iter().chain(board::VERBS).chain(slots::VERBS)
}

/// The words that follow a verb, sorted into options and operands.
#[derive(Default)]
pub struct Given {
    options: Vec<(&'static str, OsString)>,
    operands: Vec<OsString>,
}

impl Given {
    pub fn option(&self, name: &str) -> Option<&OsStr> {
        self.options.iter().find(|(given, _)| *given == name).map(|(_, value)| &**value)
    }
    pub fn has(&self, name: &str) -> bool {
        self.option(name).is_some()
    }
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.option(name).map(PathBuf::from)
    }
    pub fn text(&self, name: &str) -> Option<String> {
        self.option(name).map(lossy)
    }
    /// All values of an option that may be given several times.
    pub fn texts(&self, name: &str) -> Vec<String> {
        let given = self.options.iter().filter(|(given, _)| *given == name);
        given.map(|(_, value)| lossy(value)).collect()
    }
    pub fn data(&self) -> PathBuf {
        self.path("--data").unwrap_or_else(|| PathBuf::from(USUAL_DATA))
    }
    pub fn file(&self) -> PathBuf {
        self.operand(0)
    }
    pub fn operand(&self, n: usize) -> PathBuf {
        self.operands.get(n).map(PathBuf::from).unwrap_or_default()
    }
    /// All operands.
    pub fn words(&self) -> Vec<String> {
        self.operands.iter().map(|word| lossy(word)).collect()
    }
    pub fn account(&self) -> String {
        self.operands.first().map(|name| lossy(name)).unwrap_or_default()
    }
}

fn lossy(word: &OsStr) -> String {
    word.to_string_lossy().into_owned()
}

/// The request that the words after the program's name make.
///
/// # Errors
/// [`Failure::Usage`]: what is wrong and what would be right.
pub fn parse(words: impl Iterator<Item = OsString>) -> Result<Request, Failure> {
    let mut words = words.peekable();
    // Without a verb the options are those of `run`.
    let name = match words.peek().map(|word| lossy(word)) {
        Some(first) if matches!(&*first, "--version" | "-V") => return Ok(Request::Version),
        Some(first) if matches!(&*first, "--help" | "-h") => "help".to_owned(),
        Some(first) if !first.starts_with('-') => first,
        _ => return request(run(), words),
    };
    words.next();
    #[cfg(debug_assertions)]
    if name == "attempt"
        && let Request::Run(options) = request(run(), &mut words)?
    {
        return Ok(Request::Attempt(options));
    }
    if let Some(verb) = all_verbs().find(|verb| verb.name == name) {
        return request(verb, words);
    }
    let second = words.peek().map(|word| lossy(word)).unwrap_or_default();
    let of_two_words = format!("{name} {second}");
    match all_verbs().find(|verb| verb.name == of_two_words) {
        Some(verb) => request(verb, words.skip(1)),
        None if is_first_word(&name) && matches!(&*second, "--help" | "-h") => Ok(Request::Help(Some(name))),
        None if is_first_word(&name) => Err(no_such_second(&name, &second)),
        None => Err(Failure::Usage(format!("{name}: no such command: `pillarbox help` lists the commands"))),
    }
}

fn run() -> &'static Verb {
    &VERBS[0]
}

/// Whether `name` is the first word of a verb of two words.
fn is_first_word(name: &str) -> bool {
    all_verbs().any(|verb| verb.name.split_once(' ').is_some_and(|(first, _)| first == name))
}

fn no_such_second(first: &str, second: &str) -> Failure {
    let what = match second.is_empty() || second.starts_with('-') {
        true => format!("{first}: a word is missing"),
        false => format!("{first} {second}: no such command"),
    };
    Failure::Usage(format!("{what}: `pillarbox help {first}` lists what follows it"))
}

/// Sorts the words that follow `verb`. The value of an option may be the next word, or may follow after `=`.
fn request(verb: &'static Verb, mut words: impl Iterator<Item = OsString>) -> Result<Request, Failure> {
    let usage = |what: String| Failure::Usage(format!("{what}: usage: {}", verb.usage()));
    let mut given = Given::default();
    while let Some(word) = words.next() {
        let shown = lossy(&word);
        if matches!(&*shown, "--help" | "-h") {
            return Ok(Request::Help(Some(verb.name.to_owned())));
        }
        if !shown.starts_with('-') || shown == "-" {
            if given.operands.len() == verb.operands.len() {
                return Err(usage(format!("{shown} is one word too many")));
            }
            given.operands.push(word);
            continue;
        }
        let (name, attached) = split_at_equals(&word);
        let Some(choice) = verb.options.iter().find(|choice| name == choice.name) else {
            return Err(usage(format!("{shown}: no such option")));
        };
        let value = match (choice.value, attached) {
            (None, None) => OsString::new(),
            (None, Some(_)) => return Err(usage(format!("{} takes no value", choice.name))),
            (Some(_), Some(attached)) => attached,
            (Some(value), None) => {
                words.next().ok_or_else(|| usage(format!("{} {value}: the value is missing", choice.name)))?
            }
        };
        let values = choice.value.filter(|values| values.contains('|'));
        if let Some(values) = values.filter(|values| !values.split('|').any(|known| value == known)) {
            return Err(usage(format!("{} {}: it is one of {values}", choice.name, lossy(&value))));
        }
        if given.has(choice.name) && choice.name != COMMAND.name {
            return Err(usage(format!("{} is given twice", choice.name)));
        }
        given.options.push((choice.name, value));
    }
    match verb.operands.get(given.operands.len()) {
        Some(Operand::Needed(what)) => Err(usage(format!("{what} is missing"))),
        _ => Ok((verb.request)(&given)),
    }
}

/// Splits `--name=value` into name and value. The value may be a path, which need not be UTF-8.
fn split_at_equals(word: &OsStr) -> (String, Option<OsString>) {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let octets = word.as_bytes();
    match octets.iter().position(|octet| *octet == b'=').and_then(|at| octets.split_at_checked(at)) {
        Some((name, value)) if name.starts_with(b"--") => {
            let value = value.strip_prefix(b"=").unwrap_or(value);
            (String::from_utf8_lossy(name).into_owned(), Some(OsString::from_vec(value.to_vec())))
        }
        _ => (lossy(word), None),
    }
}

impl Verb {
    /// How the verb is written: `pillarbox import FILE.toml [--data DIR]`.
    pub fn usage(&self) -> String {
        let mut usage = format!("pillarbox {}", self.name);
        for operand in self.operands {
            match operand {
                Operand::Needed(what) => usage += &format!(" {what}"),
                Operand::Optional(what) => usage += &format!(" [{what}]"),
            }
        }
        for choice in self.options {
            let value = choice.value.map(|value| format!(" {value}")).unwrap_or_default();
            usage += &format!(" [{}{value}]", choice.name);
        }
        usage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Request, Failure> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn what_the_manual_shows_is_understood() {
        let data = || PathBuf::from("pillarbox-data");
        let run = |config: Option<&str>, serial: Option<&str>| {
            Request::Run(RunOptions {
                data: data(),
                config: config.map(Into::into),
                serial: serial.map(Into::into),
                ..RunOptions::default()
            })
        };
        for (line, request) in [
            ("", run(None, None)),
            ("run", run(None, None)),
            ("run --config a.toml --serial /dev/ttyS0", run(Some("a.toml"), Some("/dev/ttyS0"))),
            ("--config=a.toml", run(Some("a.toml"), None)),
            ("check a.toml", Request::Check { file: "a.toml".into(), data: None }),
            ("import --data=d a.toml", Request::Import { file: "a.toml".into(), data: "d".into() }),
            ("export", Request::Export { data: data(), with_secrets: false }),
            ("export --with-secrets --data d", Request::Export { data: "d".into(), with_secrets: true }),
            ("console", Request::Console { data: data(), commands: Vec::new() }),
            (
                "console -c help -c ?",
                Request::Console { data: data(), commands: vec!["help".to_owned(), "?".to_owned()] },
            ),
            ("status --json", Request::Status { data: data(), json: true }),
            (
                "restored --data d --discard-queue",
                Request::Restored {
                    data: "d".into(),
                    word: restored::Word { discard_queue: true, ..restored::Word::default() },
                },
            ),
            (
                "mail export office out --format mbox",
                Request::Mail {
                    data: data(),
                    job: Job::Export {
                        account: "office".to_owned(),
                        dest: "out".into(),
                        format: Format::Mbox,
                    },
                },
            ),
            (
                "mail import --data=d office in",
                Request::Mail {
                    data: "d".into(),
                    job: Job::Import { account: "office".to_owned(), src: "in".into() },
                },
            ),
            (
                "multipop import-state office .fetchids --source 2 --as-own",
                Request::State(state::Request {
                    data: data(),
                    account: "office".to_owned(),
                    file: ".fetchids".into(),
                    source: Some("2".to_owned()),
                    as_own: true,
                }),
            ),
            (
                "queue list --data d",
                Request::Queue(queue::Request {
                    data: "d".into(),
                    what: queue::What::List,
                    which: Vec::new(),
                }),
            ),
            (
                "queue remove account office notify",
                Request::Queue(queue::Request {
                    data: data(),
                    what: queue::What::Remove,
                    which: ["account", "office", "notify"].map(str::to_owned).to_vec(),
                }),
            ),
            ("queue --help", Request::Help(Some("queue".to_owned()))),
            (
                "run --data d --board /run/pillarbox --failsafe",
                Request::Run(RunOptions {
                    data: "d".into(),
                    board: Some(Board::new("/run/pillarbox")),
                    failsafe: true,
                    ..RunOptions::default()
                }),
            ),
            ("board time --data d", Request::Board(board::Request::Time { data: "d".into() })),
            (
                "board failed /dev/x why --board r",
                Request::Slots(slots::Request {
                    slots: "/dev/x".into(),
                    run: "r".into(),
                    what: slots::What::Failed { reason: "why".to_owned() },
                }),
            ),
            (
                "board apply /dev/x --data d",
                Request::Slots(slots::Request {
                    slots: "/dev/x".into(),
                    run: "/run/pillarbox".into(),
                    what: slots::What::Apply { data: "d".into() },
                }),
            ),
            ("board --help", Request::Help(Some("board".to_owned()))),
            ("bench-auth --data d", Request::BenchAuth { data: "d".into() }),
            ("mail --help", Request::Help(Some("mail".to_owned()))),
            ("mail import --help", Request::Help(Some("mail import".to_owned()))),
            ("help", Request::Help(None)),
            ("--help", Request::Help(None)),
            ("help smarthost", Request::Help(Some("smarthost".to_owned()))),
            ("import --help", Request::Help(Some("import".to_owned()))),
            ("--version", Request::Version),
        ] {
            assert_eq!(parsed(line), Ok(request), "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_the_usage() {
        for (line, told) in [
            ("serve", "serve: no such command: `pillarbox help` lists the commands"),
            ("mail", "mail: a word is missing: `pillarbox help mail` lists what follows it"),
            ("mail show", "mail show: no such command: `pillarbox help mail` lists what follows it"),
            ("mail import office", "SRC is missing: usage: pillarbox mail import ACCOUNT SRC [--data DIR]"),
            (
                "mail export a b --format zip",
                "--format zip: it is one of maildir|mbox: usage: pillarbox mail export ACCOUNT DEST [--format maildir|mbox] [--data DIR]",
            ),
            (
                "queue hold",
                "N|account|all is missing: usage: pillarbox queue hold N|account|all [NAME] [--data DIR]",
            ),
            ("queue --data x", "queue: a word is missing: `pillarbox help queue` lists what follows it"),
            ("check", "FILE.toml is missing: usage: pillarbox check FILE.toml [--data DIR]"),
            ("import a b", "b is one word too many: usage: pillarbox import FILE.toml [--data DIR]"),
            (
                "export --data",
                "--data DIR: the value is missing: usage: pillarbox export [--data DIR] [--with-secrets]",
            ),
            (
                "export --secrets",
                "--secrets: no such option: usage: pillarbox export [--data DIR] [--with-secrets]",
            ),
            (
                "export --with-secrets=yes",
                "--with-secrets takes no value: usage: pillarbox export [--data DIR] [--with-secrets]",
            ),
            ("status --json --json", "--json is given twice: usage: pillarbox status [--data DIR] [--json]"),
            (
                "--colour",
                "--colour: no such option: usage: pillarbox run [--data DIR] [--config FILE.toml] [--serial DEVICE] [--board RUNDIR] [--failsafe]",
            ),
        ] {
            assert_eq!(parsed(line), Err(Failure::Usage(told.to_owned())), "{line}");
        }
    }

    #[test]
    fn a_path_need_not_be_utf_8() {
        use std::os::unix::ffi::OsStringExt;
        let file = OsString::from_vec(b"\xff.toml".to_vec());
        let request = parse(["check".into(), file.clone()].into_iter());
        assert_eq!(request, Ok(Request::Check { file: file.into(), data: None }));
    }
}
