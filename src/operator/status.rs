//! One look at the appliance, as plain data: for the console, `pillarbox status`, and the status page.

use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::time::Duration;

use crate::board::device::Standing;
use crate::flash::{self, Space};
use crate::multipop::{PollResult, SourceStatus};
use crate::relay::{QueueEntry, SentBy};
use crate::say::counted;

/// The appliance at one moment.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// Seconds since 1970 UTC.
    pub now: i64,
    /// The name it greets with.
    pub hostname: String,
    /// What is out of the ordinary, a line each. Whoever is on the LAN reads them: they name no person.
    pub remarks: Vec<String>,
    /// What it runs on, where that is a device that boots from a card image.
    pub board: Option<Standing>,
    /// Since its start.
    pub uptime: Duration,
    /// Octets of memory that are the process's own and its share of what is not (PSS).
    pub memory: Option<u64>,
    /// Open sessions of POP3, IMAP and submission.
    pub sessions: [u32; 3],
    /// Every listener by its name in `[listen]`.
    pub listeners: Vec<(&'static str, SocketAddr)>,
    /// What waits for the smarthost, the oldest first, as far as it is listed.
    pub queue: Vec<QueueEntry>,
    /// Messages that wait besides.
    pub unlisted: usize,
    /// What is wrong with the way through the smarthost, one line a login.
    pub troubles: Vec<String>,
    /// Every source that is configured.
    pub sources: Vec<SourceStatus>,
    /// Removed accounts that have left mail.
    pub unclaimed: usize,
    /// Room on the flash.
    pub space: Option<Space>,
    /// Why the flash takes no changes; `None` when it does.
    pub no_changes: Option<String>,
    /// Octets that the process has caused to be written since its start.
    pub written: Option<u64>,
    /// On a board: octets that were written to its data partition since it was switched on.
    pub device_written: Option<u64>,
}

/// Octets of memory of this process: its PSS.
pub fn memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").ok()?;
    let kibibytes: u64 = field(&text, "Pss:")?.strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

impl Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [pop3, imap, submission] = self.sessions;
        writeln!(f, "name       {}", self.hostname)?;
        writeln!(f, "version    {}", env!("CARGO_PKG_VERSION"))?;
        for remark in self.all_remarks() {
            writeln!(f, "attention  {remark}")?;
        }
        if let Some(board) = &self.board {
            writeln!(f, "board      {board}")?;
            if let Some(why) = &board.fallback {
                writeln!(f, "           the last update was not kept: {why}")?;
            }
        }
        writeln!(f, "up         {}", span(self.uptime.as_secs()))?;
        writeln!(f, "memory     {}", self.memory.map_or("unknown".into(), size))?;
        writeln!(f, "sessions   {imap} IMAP, {pop3} POP3, {submission} submission")?;
        for (n, (service, address)) in self.listeners.iter().enumerate() {
            writeln!(f, "{:10} {service} {address}", if n == 0 { "listening" } else { "" })?;
        }
        writeln!(f, "queue      {}", self.queue_in_words())?;
        for trouble in &self.troubles {
            writeln!(f, "           {trouble}")?;
        }
        writeln!(f, "sources    {}", self.sources_in_words())?;
        if self.unclaimed > 0 {
            let accounts = counted(self.unclaimed as u64, "removed account");
            writeln!(f, "unclaimed  mail of {accounts}: see `show unclaimed`")?;
        }
        if let Some(space) = self.space {
            writeln!(f, "flash      {} free of {}", size(space.free), size(space.total))?;
            if space.is_low() {
                let reserve = size(space.reserve());
                writeln!(
                    f,
                    "           nearly full: below {reserve} new mail is refused; delete mail or use a larger card"
                )?;
            }
        }
        writeln!(f, "written    {} since the start", self.written.map_or("unknown".into(), size))
    }
}

impl Status {
    /// What is worst comes first.
    pub(super) fn all_remarks(&self) -> impl Iterator<Item = String> {
        let flash = self.no_changes.as_deref().map(flash::advice);
        flash.into_iter().chain(self.remarks.iter().cloned())
    }

    /// The same without what concerns persons, for whoever has not logged in: counts, times and health stay; accounts,
    /// providers and their logins, senders and recipients go, and words in which these may stand.
    #[must_use]
    pub fn impersonal(self) -> Status {
        // Field by field, so that a new one has to be thought about.
        let queued = |it: QueueEntry| QueueEntry {
            id: it.id,
            from: String::new(),
            to: Vec::new(),
            size: it.size,
            created: it.created,
            attempts: it.attempts,
            next_try: it.next_try,
            last_error: None,
            sent_by: SentBy::Unknown,
            held: it.held,
            in_doubt: it.in_doubt,
        };
        let result = |result| match result {
            PollResult::Failed { error: _, collected } => {
                PollResult::Failed { error: "see `show sources` on the console".to_owned(), collected }
            }
            PollResult::Partly { error: _, messages, collected } => PollResult::Partly {
                error: "see `show sources` on the console".to_owned(),
                messages,
                collected,
            },
            collected @ PollResult::Collected(_) => collected,
        };
        let source = |it: SourceStatus| SourceStatus {
            account: String::new(),
            host: String::new(),
            port: 0,
            protocol: it.protocol,
            username: String::new(),
            folders: Vec::new(),
            enabled: it.enabled,
            held: it.held,
            polling: it.polling,
            waits_for_news: it.waits_for_news,
            going: it.going,
            waiting_for_time: it.waiting_for_time,
            last_poll: it.last_poll,
            last_result: it.last_result.map(result),
            again: it.again,
            next_poll: it.next_poll,
            failures: it.failures,
            collected: it.collected,
        };
        let trouble = |_| "a login at the smarthost fails: see `show status` on the console".to_owned();
        Status {
            now: self.now,
            hostname: self.hostname,
            remarks: self.remarks,
            board: self.board,
            uptime: self.uptime,
            memory: self.memory,
            sessions: self.sessions,
            listeners: self.listeners,
            queue: self.queue.into_iter().map(queued).collect(),
            unlisted: self.unlisted,
            troubles: self.troubles.into_iter().map(trouble).collect(),
            sources: self.sources.into_iter().map(source).collect(),
            unclaimed: self.unclaimed,
            space: self.space,
            no_changes: self.no_changes,
            written: self.written,
            device_written: self.device_written,
        }
    }

    fn queue_in_words(&self) -> String {
        match self.queue.first() {
            None => "empty".to_owned(),
            Some(oldest) => {
                let held = self.queue.iter().filter(|entry| entry.held).count();
                let held = if held > 0 { format!(", {held} of them held") } else { String::new() };
                format!(
                    "{} waiting{held}, the oldest from {}",
                    self.queue.len() + self.unlisted,
                    ago(self.now, oldest.created)
                )
            }
        }
    }

    fn sources_in_words(&self) -> String {
        let count = |is: fn(&SourceStatus) -> bool| self.sources.iter().filter(|source| is(source)).count();
        let mut words = format!("{}, ", self.sources.len());
        words += &match count(|source| source.failures > 0) {
            0 => "none failing".to_owned(),
            failing => format!("{failing} failing: see `show sources`"),
        };
        for (of, name) in [
            (
                count(|source| source.polling && source.going.is_some_and(|going| going.of_messages > 0)),
                "collecting",
            ),
            (count(|source| source.held), "stopped by `collect stop`"),
        ] {
            if of > 0 {
                words += &format!(", {of} {name}");
            }
        }
        words
    }
}

/// Octets in the unit that a person would take: `312 B`, `2.4 MiB`.
pub fn size(octets: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if octets < 1024 {
        return format!("{octets} B");
    }
    let mut tenths = octets.saturating_mul(10) / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        (tenths, unit) = (tenths / 1024, unit + 1);
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// Seconds in the two largest units: `3d 4h`, `5m 2s`.
pub fn span(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let first = UNITS.iter().position(|(unit, _)| seconds >= *unit).unwrap_or(UNITS.len() - 1);
    let mut rest = seconds;
    let parts = UNITS.iter().skip(first).take(2).map(|(unit, name)| {
        let count = rest / unit;
        rest %= unit;
        (count, name)
    });
    let words: Vec<_> = parts
        .enumerate()
        .filter(|(place, (count, _))| *place == 0 || *count > 0)
        .map(|(_, (count, name))| format!("{count}{name}"))
        .collect();
    words.join(" ")
}

/// How long before `now` a time was, or how long after it will be: `5m ago`, `in 2h`.
pub fn ago(now: i64, time: i64) -> String {
    match now.saturating_sub(time) {
        past @ 0.. => format!("{} ago", span(past.unsigned_abs())),
        future => format!("in {}", span(future.unsigned_abs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::slots::Slot;

    #[test]
    fn numbers_in_units_of_people() {
        for (octets, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1 << 20, "1.0 MiB"),
            ((1 << 20) - 1, "1023.9 KiB"),
        ] {
            assert_eq!(size(octets), expected);
        }
        for (seconds, expected) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (302, "5m 2s"),
            (3600, "1h"),
            (3601, "1h"),
            (273_600, "3d 4h"),
        ] {
            assert_eq!(span(seconds), expected);
        }
        assert_eq!((ago(100, 40), ago(100, 220)), ("1m ago".to_owned(), "in 2m".to_owned()));
    }

    #[test]
    fn the_board_is_shown_and_why_an_update_was_not_kept() {
        let board = Standing {
            board: "orangepi-pc".to_owned(),
            version: "1.2.0".to_owned(),
            made: None,
            slot: Some(Slot::A),
            trial: false,
            fallback: Some("it did not get \"ready\"".to_owned()),
            stick: None,
            memory: None,
        };
        let status = Status { board: Some(board), ..Status::default() };
        let shown = status.to_string();
        assert!(shown.contains("\nboard      orangepi-pc, image 1.2.0 in slot A\n"), "{shown}");
        assert!(
            shown.contains("\n           the last update was not kept: it did not get \"ready\"\n"),
            "{shown}"
        );
        assert!(status.to_json().contains(
            r#""board":{"name":"orangepi-pc","image":"1.2.0","slot":"A","trial":false,"fallback":"it did not get \"ready\""},"#
        ));
        assert!(Status::default().to_json().contains(r#""board":null,"#));
    }

    #[test]
    fn a_flash_that_takes_no_changes_comes_first() {
        let status = Status {
            no_changes: Some("it is worn out".to_owned()),
            remarks: vec!["something else".to_owned()],
            ..Status::default()
        };
        let words = "the flash takes no changes: it is worn out; all that is stored can be read: back up with \
                     `pillarbox mail export`, then replace the card";
        let shown = status.to_string();
        assert!(shown.contains(&format!("attention  {words}\nattention  something else\n")), "{shown}");
        let json = status.to_json();
        assert!(json.contains(&format!(r#""remarks":["{words}","something else"]"#)), "{json}");
        assert!(json.contains(r#""flash":{"read_only":true,"#), "{json}");
        assert!(Status::default().to_json().contains(r#""flash":{"read_only":false,"#));
    }

    #[test]
    fn the_process_can_measure_itself() {
        assert!(memory().is_some_and(|octets| octets > 1 << 20));
    }
}
