//! What the operator sees of a source.

use super::progress::Going;
use crate::config::{Protocol, Source};

/// The status of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceStatus {
    /// The account that it collects for.
    pub account: String,
    /// The provider's server.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// POP3 or IMAP.
    pub protocol: Protocol,
    /// The login at the provider.
    pub username: String,
    /// The names and patterns of the mailboxes there, for IMAP.
    pub folders: Vec<String>,
    /// Whether the source is contacted at all: MultiPOP is on for the server and for the account.
    pub enabled: bool,
    /// Whether the operator stopped it: it is not polled before the operator starts it again.
    pub held: bool,
    /// Whether it is being polled now.
    pub polling: bool,
    /// Whether the poll has collected everything and waits for the server to have news.
    pub waits_for_news: bool,
    /// How far the poll has come, once everything is listed.
    pub going: Option<Going>,
    /// Whether a poll is due but waits, since the clock is not set and no certificate can be judged.
    pub waiting_for_time: bool,
    /// When the last poll ended, in seconds since 1970; `None`: not polled since the start.
    pub last_poll: Option<i64>,
    /// How the last poll ended.
    pub last_result: Option<PollResult>,
    /// When the next poll is due, in seconds since 1970; `None` while polling, or when not enabled.
    pub next_poll: Option<i64>,
    /// Polls in a row that failed, up to now.
    pub failures: u32,
    /// Messages collected since the start.
    pub collected: u64,
    /// Messages since the start that had come before under another identity: they stay at the provider.
    pub again: u64,
}

impl SourceStatus {
    /// The status of a source of which nothing is known yet.
    pub(super) fn unknown(account: &str, source: &Source) -> SourceStatus {
        SourceStatus {
            account: account.to_owned(),
            host: source.host.as_str().to_owned(),
            port: source.port,
            protocol: source.protocol,
            username: source.username.as_str().to_owned(),
            folders: source.wanted_folders().map(str::to_owned).collect(),
            enabled: false,
            held: false,
            polling: false,
            waits_for_news: false,
            going: None,
            waiting_for_time: false,
            last_poll: None,
            last_result: None,
            next_poll: None,
            failures: 0,
            collected: 0,
            again: 0,
        }
    }
}

/// How a poll ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PollResult {
    /// So many messages were collected.
    Collected(u32),
    /// Everything was collected except some messages, which cannot be had.
    Partly {
        /// The error of the first such message and what to do, in one line.
        error: String,
        /// How many messages cannot be had.
        messages: u32,
        /// Messages that were collected.
        collected: u32,
    },
    /// The poll failed.
    Failed {
        /// What went wrong and what to do, in one line.
        error: String,
        /// Messages that were collected before.
        collected: u32,
    },
}

impl PollResult {
    /// What went wrong and what to do, in one line, if anything did.
    pub fn error(&self) -> Option<&str> {
        match self {
            PollResult::Collected(_) => None,
            PollResult::Partly { error, .. } | PollResult::Failed { error, .. } => Some(error),
        }
    }
}
