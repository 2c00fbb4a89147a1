//! What the operator sees of a source.

use super::progress::Going;
use crate::config::{Protocol, Source};

/// One source as it stands.
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
    /// The mailboxes there, for IMAP.
    pub folders: Vec<String>,
    /// Whether it is contacted at all: MultiPOP on, for the server and for the account.
    pub enabled: bool,
    /// Whether the operator stopped it: it is not polled before he says so.
    pub held: bool,
    /// Whether it is being polled now.
    pub polling: bool,
    /// Whether that has all there is, and waits for the server to have news.
    pub waits_for_news: bool,
    /// How far that is, once all is listed there.
    pub going: Option<Going>,
    /// Whether it is due, but no certificate can be judged, since the clock does not show the time yet.
    pub waiting_for_time: bool,
    /// When the last poll ended, in seconds since 1970; `None`: not polled since the start.
    pub last_poll: Option<i64>,
    /// How it ended.
    pub last_result: Option<PollResult>,
    /// When the next poll is due, in seconds since 1970; `None` while polling, or when not enabled.
    pub next_poll: Option<i64>,
    /// Polls that failed, one after the other, up to now.
    pub failures: u32,
    /// Messages collected since the start.
    pub collected: u64,
    /// Messages that came under another identity, and had come before: they stay at the provider. Since the start.
    pub again: u64,
}

impl SourceStatus {
    /// Nothing is known of `source` yet.
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
    /// All came but some messages, which cannot be had.
    Partly {
        /// What the first one's trouble is and what to do, in one line.
        error: String,
        /// How many they are.
        messages: u32,
        /// Messages that were collected.
        collected: u32,
    },
    /// What went wrong and what to do; so many messages had been collected before.
    Failed {
        /// One line.
        error: String,
        /// Messages that are safe all the same.
        collected: u32,
    },
}

impl PollResult {
    /// What went wrong and what to do, in one line, where anything did.
    pub fn error(&self) -> Option<&str> {
        match self {
            PollResult::Collected(_) => None,
            PollResult::Partly { error, .. } | PollResult::Failed { error, .. } => Some(error),
        }
    }
}
