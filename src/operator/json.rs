//! The status as one JSON object (RFC 8259): what docs/status.schema.json describes.

use miniserde::Serialize;

use super::status::Status;
use crate::board::device::Standing;
use crate::multipop::{Going, PollResult, SourceStatus};
use crate::relay::QueueEntry;

#[derive(Serialize)]
struct Report {
    version: &'static str,
    hostname: String,
    /// Seconds.
    uptime: u64,
    /// Octets.
    memory: Option<u64>,
    sessions: Sessions,
    board: Option<Board>,
    remarks: Vec<String>,
    listeners: Vec<Listener>,
    queue: Vec<Queued>,
    queue_unlisted: u64,
    troubles: Vec<String>,
    sources: Vec<Source>,
    unclaimed: u64,
    flash: Flash,
}

#[derive(Serialize)]
struct Sessions {
    pop3: u32,
    imap: u32,
    submission: u32,
}

#[derive(Serialize)]
struct Board {
    name: String,
    image: String,
    slot: Option<String>,
    trial: bool,
    fallback: Option<String>,
}

#[derive(Serialize)]
struct Listener {
    service: &'static str,
    address: String,
}

/// Times are seconds since 1970 UTC, here and below.
#[derive(Serialize)]
struct Queued {
    id: u32,
    from: String,
    to: Vec<String>,
    size: u64,
    created: i64,
    attempts: u32,
    next_try: Option<i64>,
    last_error: Option<String>,
    account: Option<String>,
    held: bool,
    in_doubt: Option<i64>,
}

#[derive(Serialize)]
struct Source {
    account: String,
    host: String,
    port: u16,
    username: String,
    enabled: bool,
    stopped: bool,
    polling: bool,
    progress: Option<Progress>,
    waiting_for_time: bool,
    last_poll: Option<i64>,
    next_poll: Option<i64>,
    failures: u32,
    collected: u64,
    error: Option<String>,
}

#[derive(Serialize)]
struct Progress {
    messages: u32,
    of_messages: u64,
    octets: u64,
    of_octets: u64,
    seconds: u64,
    to_go: Option<u64>,
}

#[derive(Serialize)]
struct Flash {
    read_only: bool,
    total: Option<u64>,
    free: Option<u64>,
    written: Option<u64>,
    device_written: Option<u64>,
}

impl Status {
    /// One JSON object, on one line without an end.
    pub fn to_json(&self) -> String {
        let [pop3, imap, submission] = self.sessions;
        let listener = |(service, address): &(&'static str, std::net::SocketAddr)| Listener {
            service,
            address: address.to_string(),
        };
        miniserde::json::to_string(&Report {
            version: env!("CARGO_PKG_VERSION"),
            hostname: self.hostname.clone(),
            uptime: self.uptime.as_secs(),
            memory: self.memory,
            sessions: Sessions { pop3, imap, submission },
            board: self.board.as_ref().map(Board::from),
            remarks: self.all_remarks().collect(),
            listeners: self.listeners.iter().map(listener).collect(),
            queue: self.queue.iter().map(Queued::from).collect(),
            queue_unlisted: self.unlisted as u64,
            troubles: self.troubles.clone(),
            sources: self.sources.iter().map(Source::from).collect(),
            unclaimed: self.unclaimed as u64,
            flash: Flash {
                read_only: self.no_changes.is_some(),
                total: self.space.map(|space| space.total),
                free: self.space.map(|space| space.free),
                written: self.written,
                device_written: self.device_written,
            },
        })
    }
}

impl From<&Standing> for Board {
    fn from(board: &Standing) -> Board {
        Board {
            name: board.board.clone(),
            image: board.version.clone(),
            slot: board.slot.map(|slot| slot.to_string()),
            trial: board.trial,
            fallback: board.fallback.clone(),
        }
    }
}

impl From<&QueueEntry> for Queued {
    fn from(entry: &QueueEntry) -> Queued {
        Queued {
            id: entry.id,
            from: entry.from.clone(),
            to: entry.to.clone(),
            size: entry.size,
            created: entry.created,
            attempts: entry.attempts,
            // One that is held has none.
            next_try: Some(entry.next_try).filter(|at| *at != i64::MAX),
            last_error: entry.last_error.clone(),
            account: entry.sent_by.account().map(str::to_owned),
            held: entry.held,
            in_doubt: entry.in_doubt,
        }
    }
}

impl From<&SourceStatus> for Source {
    fn from(source: &SourceStatus) -> Source {
        let error = source.last_result.as_ref().and_then(PollResult::error).map(str::to_owned);
        Source {
            account: source.account.clone(),
            host: source.host.clone(),
            port: source.port,
            username: source.username.clone(),
            enabled: source.enabled,
            stopped: source.held,
            polling: source.polling,
            progress: source.going.as_ref().map(Progress::from),
            waiting_for_time: source.waiting_for_time,
            last_poll: source.last_poll,
            next_poll: source.next_poll,
            failures: source.failures,
            collected: source.collected,
            error,
        }
    }
}

impl From<&Going> for Progress {
    fn from(going: &Going) -> Progress {
        Progress {
            messages: going.messages,
            of_messages: going.of_messages,
            octets: going.octets,
            of_octets: going.of_octets,
            seconds: going.time.as_secs(),
            to_go: going.to_go().map(|time| time.as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a text that ends early or is no JSON, of whatever others have chosen.
    #[test]
    fn it_is_json_whatever_others_have_chosen() {
        let status = Status { hostname: "a\"b\\c\n\u{1}ü</script>".to_owned(), ..Status::default() };
        let json = status.to_json();
        assert!(json.contains(r#""hostname":"a\"b\\c\n\u0001ü</script>","#), "{json}");
    }
}
