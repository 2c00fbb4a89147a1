//! `queue …`: what waits for the smarthost, and the operator's hand on it. The running appliance does it; what it waits for can be
//! seen without one.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use pillarbox::clock::unix_now;
use pillarbox::console::client::{self, Error};
use pillarbox::console::queue;
use pillarbox::failure::Failure;
use pillarbox::relay;
use pillarbox::store::Store;

use super::arguments::{DATA, Given, Operand, Verb};
use super::configuration::{held, stored};
use super::{arguments, operator, print};

/// The folder of the relay's queue.
const QUEUE: &str = "queue";

/// What the words ask for.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    pub data: PathBuf,
    pub what: What,
    /// Which messages, as the console has it.
    pub which: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    List,
    Show,
    Hold,
    Release,
    Flush,
    Remove,
}

const WHICH: Operand = Operand::Needed("N|account|all");
const NAME: Operand = Operand::Optional("NAME");

pub const LIST: Verb = Verb {
    name: "queue list",
    operands: &[],
    options: &[DATA],
    help: "what waits for the smarthost, and why",
    request: |given| request(given, What::List),
};
pub const SHOW: Verb = Verb {
    name: "queue show",
    operands: &[Operand::Needed("N")],
    options: &[DATA],
    help: "all about one of these messages: how far it got, what was done, its header",
    request: |given| request(given, What::Show),
};
pub const HOLD: Verb = Verb {
    name: "queue hold",
    operands: &[WHICH, NAME],
    options: &[DATA],
    help: "keep one of them, those of an account, or all: they are not tried, and do not run out of time",
    request: |given| request(given, What::Hold),
};
pub const RELEASE: Verb = Verb {
    name: "queue release",
    operands: &[WHICH, NAME],
    options: &[DATA],
    help: "let go of what is held, and try it now",
    request: |given| request(given, What::Release),
};
pub const FLUSH: Verb = Verb {
    name: "queue flush",
    operands: &[Operand::Optional("N|account|all"), NAME],
    options: &[DATA],
    help: "try what waits now, but for what is held; all where nothing is named",
    request: |given| request(given, What::Flush),
};
pub const REMOVE: Verb = Verb {
    name: "queue remove",
    operands: &[WHICH, NAME, Operand::Optional("notify")],
    options: &[DATA],
    help: "take messages out of the queue (notify, as the last word: their senders are told)",
    request: |given| request(given, What::Remove),
};

fn request(given: &Given, what: What) -> arguments::Request {
    arguments::Request::Queue(Request { data: given.data(), what, which: given.words() })
}

impl Request {
    /// The same as a line of the console.
    fn line(&self) -> Result<String, Failure> {
        // Each word is one word there, too.
        let odd =
            |word: &&String| word.is_empty() || word.contains(|c: char| c.is_whitespace() || c.is_control());
        if let Some(word) = self.which.iter().find(odd) {
            return Err(Failure::Usage(format!(
                "queue: {word:?} is neither a number nor the name of an account"
            )));
        }
        let command = match self.what {
            What::List => "show queue",
            What::Show => "show message",
            What::Hold => "queue hold",
            What::Release => "queue release",
            What::Flush => "queue flush",
            What::Remove => "queue remove",
        };
        Ok([&[command.to_owned()][..], &self.which].concat().join(" "))
    }

    /// Whether it takes away more than one message.
    fn is_large(&self) -> bool {
        self.what == What::Remove && matches!(self.which.first().map(String::as_str), Some("all" | "account"))
    }
}

/// Has the running appliance do it, or looks where none runs.
pub fn run(request: &Request) -> Result<(), Failure> {
    let line = request.line()?;
    if request.is_large() && io::stdin().is_terminal() && !is_meant(&line)? {
        return Err(Failure::Input("nothing was done".to_owned()));
    }
    let data = &request.data;
    match client::run(data, &[line]) {
        Err(Error::NotRunning(_)) => match (request.what, request.which.first()) {
            (What::List, _) => list(data),
            (What::Show, number) => show(data, number.map_or("", String::as_str)),
            _ => Err(Failure::System(format!(
                "no appliance is running on {0}, which alone changes its queue: start one with `pillarbox run --data {0}`, or with \
                 --failsafe besides, which sends nothing meanwhile",
                data.display()
            ))),
        },
        outcome => outcome.map_err(operator::failure),
    }
}

/// Asks at the terminal.
fn is_meant(line: &str) -> Result<bool, Failure> {
    let asked = format!("{line}: these messages are lost then; type yes to do it: ");
    let failed = |error| Failure::System(format!("the terminal: {error}"));
    io::stderr().lock().write_all(asked.as_bytes()).map_err(failed)?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(failed)?;
    Ok(answer.trim() == "yes")
}

fn list(data: &Path) -> Result<(), Failure> {
    look(data, |queue, config| {
        Ok(queue::list(&queue.map_or_else(Vec::new, |queue| relay::all_queued(queue, config)), unix_now()))
    })
}

fn show(data: &Path, number: &str) -> Result<(), Failure> {
    let number: u32 = number
        .parse()
        .map_err(|_| Failure::Input("a number from `pillarbox queue list` is wanted".to_owned()))?;
    look(data, |queue, config| {
        let shown = queue.and_then(|queue| relay::queued(queue, number, config));
        let shown = shown.ok_or_else(|| Failure::Input(queue::nothing(number)))?;
        Ok(queue::message(&shown, unix_now()))
    })
}

/// Looks into the queue of an appliance that does not run.
fn look(
    data: &Path,
    tell: impl FnOnce(Option<&pillarbox::store::Account>, &pillarbox::config::Config) -> Result<String, Failure>,
) -> Result<(), Failure> {
    let folder = held(data)?;
    let config = stored(&**folder.flash(), data)?.config;
    let store = Store::new(folder.flash().clone());
    let failed = |error: pillarbox::store::Error| Failure::System(format!("{}/{error}", data.display()));
    let exists = store.folders().map_err(failed)?.iter().any(|folder| folder == QUEUE);
    let queue = if exists { Some(async_io::block_on(store.queue()).map_err(failed)?) } else { None };
    print(&tell(queue.as_deref(), &config)?)
}
