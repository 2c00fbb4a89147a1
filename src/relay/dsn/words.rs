//! The part of a report for people: what happened to which recipient, and what to do about it.

use super::super::entry::{Attempt, Progress, Recipient};
use super::{Action, MAX_WHOLE, Original, Reader, Report, fields, printable, wrapped};
use crate::message::date;

pub(super) fn subject(report: &Report<'_>) -> &'static str {
    let worst = report.actions().map(|(action, _)| action).min();
    match (worst, report.reader) {
        (Some(Action::Failed) | None, Reader::Sender) => "Your message was not delivered",
        (Some(Action::Failed) | None, Reader::Postmaster) => "A message was not delivered",
        (_, Reader::PostmasterOfGone) => "A message of an account that is gone was not sent",
        (Some(Action::Delayed), Reader::Sender) => "Your message is delayed",
        (Some(Action::Delayed), Reader::Postmaster) => "A message is delayed",
        (Some(Action::Relayed), _) => "Your message was handed on",
        (Some(Action::Delivered), _) => "Your message was delivered",
    }
}

/// The text of the report; `subject` is the message's subject.
pub(super) fn body(report: &Report<'_>, subject: Option<&str>) -> String {
    let mut text = format!("This is the mail appliance {}.\r\n\r\n", report.letter.hostname);
    text += &about(report, subject);
    for action in [Action::Failed, Action::Delayed, Action::Relayed, Action::Delivered] {
        let mut of_these = report.actions().filter(|(this, _)| *this == action).map(|(_, it)| it).peekable();
        if of_these.peek().is_none() {
            continue;
        }
        text += &format!("\r\n{}\r\n", fate(action));
        for recipient in of_these {
            text += &format!("\r\n<{}>:\r\n", printable(recipient.mailbox.as_str()));
            text += &what_happened(action, recipient);
            text += &what_to_do(action, recipient);
        }
        if action == Action::Delayed {
            text += "\r\n";
            text += &wrapped(&patience(report), "", "");
        }
    }
    text += &enclosed(report);
    text
}

/// The lines that say which message the report is about.
fn about(report: &Report<'_>, subject: Option<&str>) -> String {
    let entry = report.entry;
    let sender =
        || entry.sender.as_ref().map_or("nobody".to_owned(), |it| format!("<{}>", printable(it.as_str())));
    let date = date::rfc5322(entry.created);
    let mut text = match report.reader {
        Reader::Sender => format!("Your message of {date}\r\n"),
        Reader::Postmaster => {
            wrapped(&format!("A message of {date} whose sender {} has no mailbox here.", sender()), "", "")
        }
        Reader::PostmasterOfGone => {
            let words = "was still waiting when the account that sent it was removed. Nobody has its login any more, so nothing \
                         of it leaves; you get it as the postmaster.";
            wrapped(&format!("A message of {date} from {} {words}", sender()), "", "")
        }
    };
    if let Some(subject) = subject {
        text += &wrapped(subject, "    Subject: ", "        ");
    }
    text
}

fn fate(action: Action) -> &'static str {
    match action {
        Action::Failed => "It was not delivered to:",
        Action::Delayed => "It has not reached yet:",
        Action::Relayed => "It was handed on for these, to a server that does not tell what becomes of it:",
        Action::Delivered => "It was delivered to:",
    }
}

fn what_happened(action: Action, recipient: &Recipient) -> String {
    let Some(Attempt { remote, is_reply, text, .. }) = fields::attempt(recipient) else {
        return String::new();
    };
    if action == Action::Delivered {
        return String::new();
    }
    let lines: String =
        text.split('\n').map(|line| wrapped(printable(line).trim(), "    ", "    ")).collect();
    match is_reply {
        true => wrapped(&format!("{remote} answered:"), "    ", "    ") + &lines,
        false => lines,
    }
}

/// Advice for a recipient; empty where there is none.
fn what_to_do(action: Action, recipient: &Recipient) -> String {
    let Progress::Failed { latest, .. } = &recipient.progress else { return String::new() };
    if action != Action::Failed || latest.at == 0 {
        // These are our own words, which tell everything.
        return String::new();
    }
    let status = fields::status(recipient);
    let (_, kind) = status.split_once('.').unwrap_or_default();
    let advice = match kind {
        "1.0" | "1.1" | "1.2" | "1.3" | "1.6" | "1.10" => {
            "There is no such address. Look for a mistake in it, or ask the recipient for the right one."
        }
        "2.1" => "That mailbox takes no mail. Reach the recipient in another way.",
        "2.2" => "That mailbox is full. Send it again later, or reach the recipient in another way.",
        "2.3" | "3.4" => {
            "The message is too large for that server. Make its attachments smaller, or share them in another way."
        }
        "4.7" => "It was tried until its time was over. Send it again when the cause is gone.",
        _ if kind.starts_with("6.") => {
            "That server cannot take a message of this form. Send it in a plainer one."
        }
        _ if kind.starts_with("7.") => {
            "That server does not take this message from here. Reach the recipient in another way, and show this report to \
             whoever looks after the appliance if it happens again."
        }
        _ if status.starts_with('4') => "Send it again later.",
        _ => "If the answer says nothing to you, show it to whoever looks after the appliance.",
    };
    wrapped(advice, "    ", "    ")
}

fn patience(report: &Report<'_>) -> String {
    let left = report.until.saturating_sub(report.letter.date);
    match u64::try_from(left) {
        Ok(left) if left > 0 => format!(
            "You need not send it again: it is tried for another {}, and you are told if it fails in the end.",
            in_words(left)
        ),
        _ => "You need not send it again: it is tried further, and you are told if it fails in the end."
            .to_owned(),
    }
}

fn enclosed(report: &Report<'_>) -> String {
    let words = match report.original {
        Original::Unreadable => "Its content cannot be read any more.".to_owned(),
        Original::Header(_) => "The header of the message is enclosed.".to_owned(),
        Original::TooLarge(_) => format!(
            "The header of the message is enclosed; all of it was asked for, but it has more than {} KiB, or there is no room for it.",
            MAX_WHOLE >> 10
        ),
        Original::Whole(_) => "The whole message is enclosed.".to_owned(),
    };
    format!("\r\n{}", wrapped(&words, "", ""))
}

/// A number of seconds in the largest unit of which there is at least one.
fn in_words(seconds: u64) -> String {
    let units = [(86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")];
    let (unit, name) = units.into_iter().find(|(unit, _)| seconds >= *unit).unwrap_or((1, "second"));
    match seconds / unit {
        1 => format!("1 {name}"),
        count => format!("{count} {name}s"),
    }
}
