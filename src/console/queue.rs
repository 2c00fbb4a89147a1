//! What waits for the smarthost, as an operator sees it and has a hand in it: tables and words, and what is meant by a line.

use super::session::{Expecting, Session, Step};
use super::show::table;
use crate::config::Config;
use crate::operator::World;
use crate::operator::status::{ago, size};
use crate::relay::{Act, Done, QueueEntry, Shown, Which};

/// Recipients that a line of the list names.
const NAMED: usize = 3;

/// What is queued.
pub fn list(queue: &[QueueEntry], now: i64) -> String {
    if queue.is_empty() {
        return "the queue is empty\n".to_owned();
    }
    let rows = queue.iter().map(|entry| {
        [
            entry.id.to_string(),
            entry.sent_by.in_words().to_owned(),
            sender(entry),
            recipients(entry),
            size(entry.size),
            ago(now, entry.created),
            state(now, entry),
        ]
    });
    table(["NUMBER", "ACCOUNT", "FROM", "TO", "SIZE", "ACCEPTED", "STATE"], rows)
}

/// All about one message.
pub fn message(shown: &Shown, now: i64) -> String {
    let listed = &shown.listed;
    let mut text = format!("number     {}\n", listed.id);
    text += &format!("sent by    {}\n", listed.sent_by.in_words());
    text += &format!("from       {}\n", sender(listed));
    for (n, (mailbox, state)) in shown.recipients.iter().enumerate() {
        text += &format!("{:10} {mailbox}: {state}\n", if n == 0 { "to" } else { "" });
    }
    text += &format!("size       {}\n", size(listed.size));
    text += &format!("accepted   {}\n", ago(now, listed.created));
    text += &format!("state      {}\n", state(now, listed));
    for (n, (at, what)) in shown.history.iter().enumerate() {
        text += &format!("{:10} {}: {what}\n", if n == 0 { "history" } else { "" }, ago(now, *at));
    }
    for (n, line) in shown.header.iter().enumerate() {
        text += format!("{:10} {line}", if n == 0 { "header" } else { "" }).trim_end();
        text += "\n";
    }
    text
}

/// There is no message of this number.
pub fn nothing(number: u32) -> String {
    format!("message {number} is not in the queue: see `show queue`")
}

fn sender(entry: &QueueEntry) -> String {
    if entry.from.is_empty() { "<> (a bounce)".to_owned() } else { entry.from.clone() }
}

fn recipients(entry: &QueueEntry) -> String {
    let named = entry.to.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match entry.to.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

fn state(now: i64, entry: &QueueEntry) -> String {
    let mut states = Vec::new();
    if let Some(at) = entry.in_doubt {
        states.push(format!(
            "handed over {}, not answered: may be there already; `queue remove {}` if it is",
            ago(now, at),
            entry.id
        ));
    }
    match &entry.last_error {
        _ if entry.held => states.push("held: `queue release` lets go of it".to_owned()),
        Some(error) if entry.next_try == i64::MAX || entry.created == 0 => states.push(error.clone()),
        Some(error) => {
            states.push(format!("next try {}, {} before: {error}", ago(now, entry.next_try), entry.attempts));
        }
        None => states.push("waiting".to_owned()),
    }
    states.join("; ")
}

impl Session {
    pub(super) fn show_queue(&mut self, world: &dyn World, _: &[&str]) -> Step {
        let status = world.status();
        let mut text = list(&status.queue, status.now);
        if status.unlisted > 0 {
            text += &format!("{} more wait\n", status.unlisted);
        }
        Step::Say(text)
    }

    pub(super) fn show_message(&mut self, world: &dyn World, words: &[&str]) -> Step {
        let Ok(number) = words.concat().parse() else { return Step::Refuse(WANTED_NUMBER.to_owned()) };
        match world.message(number) {
            Some(shown) => Step::Say(message(&shown, world.status().now)),
            None => Step::Refuse(nothing(number)),
        }
    }

    pub(super) fn hold(&mut self, world: &dyn World, words: &[&str]) -> Step {
        asked(&world.config(), Act::Hold, words)
    }

    pub(super) fn release(&mut self, world: &dyn World, words: &[&str]) -> Step {
        asked(&world.config(), Act::Release, words)
    }

    pub(super) fn flush(&mut self, world: &dyn World, words: &[&str]) -> Step {
        asked(&world.config(), Act::Flush, if words.is_empty() { &["all"] } else { words })
    }

    /// On a terminal more than one message goes only after a `yes`.
    pub(super) fn remove_queued(&mut self, world: &dyn World, words: &[&str]) -> Step {
        let (words, notify) = match words {
            // An account may have that name.
            [which @ .., "notify"] if which != ["account"] => (which, true),
            words => (words, false),
        };
        let step = asked(&world.config(), Act::Remove { notify }, words);
        match step {
            Step::Queue(act, which) if self.asks && !matches!(which, Which::Message(_)) => {
                let whose = match &which {
                    Which::Account(name) => format!("all messages of {name}"),
                    _ => "all messages".to_owned(),
                };
                let told = if notify { "their senders are told" } else { "nobody is told" };
                self.expecting = Expecting::Removal(act, which);
                Step::Say(format!("{whose} are taken out of the queue, and {told}\n"))
            }
            step => step,
        }
    }
}

const WANTED: &str = "a number from `show queue`, `account NAME` or `all` is wanted";
const WANTED_NUMBER: &str = "a number from `show queue` is wanted";

/// What the words ask for.
fn asked(config: &Config, act: Act, words: &[&str]) -> Step {
    let which = match words {
        ["all"] => Which::All,
        ["account", name] if config.account(name).is_some() => Which::Account((*name).to_owned()),
        ["account", name] => {
            return Step::Refuse(format!(
                "there is no account `{name}`: messages of an account that is gone are meant by their numbers, see `show queue`"
            ));
        }
        [number] => match number.parse() {
            Ok(number) => Which::Message(number),
            Err(_) => return Step::Refuse(WANTED.to_owned()),
        },
        _ => return Step::Refuse(WANTED.to_owned()),
    };
    Step::Queue(act, which)
}

/// The answer to what a removal asks.
pub(super) fn confirmed(act: Act, which: Which, line: &str) -> Step {
    match line.trim() {
        "yes" => Step::Queue(act, which),
        _ => Step::Refuse("nothing was done".to_owned()),
    }
}

/// What is said of what was done.
pub(super) fn outcome(act: Act, which: &Which, done: Done) -> Step {
    if let Which::Message(number) = *which {
        let refused = match (done, act) {
            (Done { busy: 1.., .. }, _) => Some(format!(
                "message {number} is on its way this very moment: try again when that has ended"
            )),
            (Done { done: 0, passed_over: 0, .. }, _) => Some(nothing(number)),
            (Done { passed_over: 1.., .. }, Act::Hold) => Some(format!("message {number} is held already")),
            (Done { passed_over: 1.., .. }, Act::Release) => Some(format!("message {number} is not held")),
            (Done { passed_over: 1.., .. }, _) => {
                Some(format!("message {number} is held: `queue release {number}` lets go of it"))
            }
            _ => None,
        };
        if let Some(why) = refused {
            return Step::Refuse(why);
        }
    }
    let (count, are) = counted(done.done);
    let mut text = match act {
        Act::Hold if done.done == 0 => "there is nothing to hold\n".to_owned(),
        Act::Release if done.done == 0 => "there is nothing to let go of\n".to_owned(),
        Act::Flush if done.done == 0 => "there is nothing to try\n".to_owned(),
        Act::Remove { .. } if done.done == 0 => "there is nothing to remove\n".to_owned(),
        Act::Hold => format!("{count} {are} held until `queue release`\n"),
        Act::Release => format!("{count} {are} held no longer, and tried at once\n"),
        Act::Flush => format!("{count} {are} tried at once\n"),
        Act::Remove { notify: false } => format!("{count} {are} removed, nobody is told\n"),
        Act::Remove { notify: true } => format!("{count} {are} removed, and the senders are told\n"),
    };
    if done.busy > 0 {
        let (count, are) = counted(done.busy);
        text += &format!("{count} {are} on the way this very moment, and left as before\n");
    }
    if done.passed_over > 0 && act == Act::Flush {
        let (count, are) = counted(done.passed_over);
        text += &format!("{count} {are} held: `queue release` lets go of them\n");
    }
    if done.unwritten {
        text += "this could not be written to the flash yet: it holds until the next start, see the log\n";
    }
    Step::Say(text)
}

fn counted(count: usize) -> (String, &'static str) {
    match count {
        1 => ("1 message".to_owned(), "is"),
        n => (format!("{n} messages"), "are"),
    }
}

#[cfg(test)]
mod tests;
