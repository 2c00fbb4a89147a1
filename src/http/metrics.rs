//! `/metrics`: counts and health in Prometheus' text form, version 0.0.4, for whoever on the LAN watches more than this device.
//!
//! As on all pages without a login nothing tells of persons: sources and logins are counted, not named.

use std::fmt::{self, Display, Write};

use super::Response;
use crate::operator::status::Status;

/// The path.
pub const PATH: &str = "/metrics";
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The page.
pub fn page(status: Status) -> Response {
    Response::page(CONTENT_TYPE, Exposition(&status.impersonal()).to_string())
}

struct Exposition<'a>(&'a Status);

/// What kind of number a metric is.
#[derive(Clone, Copy)]
enum Kind {
    Gauge,
    /// Grows until the next start.
    Counter,
}

impl Display for Exposition<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Kind::{Counter, Gauge};
        let Exposition(it) = self;
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        metric(f, "build_info", Gauge, "What runs; always 1.", [(&version[..], Some(1))])?;
        let start = it.now.saturating_sub_unsigned(it.uptime.as_secs());
        let one = |value: Option<i64>| [(&[][..], value)];
        let count = |n: usize| one(i64::try_from(n).ok());
        let octets = |n: Option<u64>| one(n.and_then(|n| i64::try_from(n).ok()));
        metric(f, "start_time_seconds", Gauge, "When it started, in seconds since 1970.", one(Some(start)))?;
        metric(f, "memory_bytes", Gauge, "Memory of the process (PSS).", octets(it.memory))?;
        let [pop3, imap, submission] = it.sessions.map(|n| Some(i64::from(n)));
        let service = |name| [("service", name)];
        let (a, b, c) = (service("pop3"), service("imap"), service("submission"));
        metric(
            f,
            "sessions",
            Gauge,
            "Open sessions.",
            [(&a[..], pop3), (&b[..], imap), (&c[..], submission)],
        )?;
        metric(
            f,
            "remarks",
            Gauge,
            "What is out of the ordinary; `show status` says what.",
            count(it.remarks.len()),
        )?;
        let waiting = it.queue.len() + it.unlisted;
        metric(f, "queue_messages", Gauge, "Messages that wait for the smarthost.", count(waiting))?;
        let held = it.queue.iter().filter(|entry| entry.held).count();
        metric(
            f,
            "queue_held_messages",
            Gauge,
            "Those of them that somebody holds, as far as listed.",
            count(held),
        )?;
        let oldest = it.queue.first().map(|entry| entry.created);
        let help = "When the oldest of them was taken, in seconds since 1970; missing where none waits.";
        metric(f, "queue_oldest_time_seconds", Gauge, help, one(oldest))?;
        let help = "Logins at the smarthost with which nothing is sent at the moment.";
        metric(f, "smarthost_troubles", Gauge, help, count(it.troubles.len()))?;
        let sources = |is: fn(&crate::multipop::SourceStatus) -> bool| {
            count(it.sources.iter().filter(|source| is(source)).count())
        };
        metric(f, "sources", Gauge, "Mailboxes elsewhere that are collected.", sources(|it| it.enabled))?;
        metric(f, "sources_failing", Gauge, "Those whose last poll failed.", sources(|it| it.failures > 0))?;
        metric(f, "sources_stopped", Gauge, "Those that somebody has stopped.", sources(|it| it.held))?;
        let collected = it.sources.iter().map(|source| source.collected).fold(0, u64::saturating_add);
        metric(
            f,
            "collected_messages_total",
            Counter,
            "Messages collected since the start.",
            octets(Some(collected)),
        )?;
        let help = "Removed accounts whose mail is still there; `show unclaimed` lists them.";
        metric(f, "unclaimed_accounts", Gauge, help, count(it.unclaimed))?;
        metric(f, "flash_size_bytes", Gauge, "All of the flash.", octets(it.space.map(|space| space.total)))?;
        metric(
            f,
            "flash_free_bytes",
            Gauge,
            "What is left of it for data.",
            octets(it.space.map(|space| space.free)),
        )?;
        let help = "Whether the flash takes no changes: 1 if so.";
        metric(f, "flash_read_only", Gauge, help, one(Some(i64::from(it.no_changes.is_some()))))?;
        let help = "What the process has caused to be written since its start.";
        metric(f, "written_bytes_total", Counter, help, octets(it.written))?;
        let help = "What was written to the data partition of a board since it was switched on.";
        metric(f, "device_written_bytes_total", Counter, help, octets(it.device_written))
    }
}

/// One metric with its samples; nothing of it where no value is known.
fn metric<'a>(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    kind: Kind,
    help: &str,
    samples: impl IntoIterator<Item = (&'a [(&'a str, &'a str)], Option<i64>)>,
) -> fmt::Result {
    let mut is_first = true;
    for (labels, value) in samples {
        let Some(value) = value else { continue };
        if std::mem::take(&mut is_first) {
            let kind = match kind {
                Kind::Gauge => "gauge",
                Kind::Counter => "counter",
            };
            writeln!(f, "# HELP pillarbox_{name} {help}\n# TYPE pillarbox_{name} {kind}")?;
        }
        write!(f, "pillarbox_{name}")?;
        for (n, (label, word)) in labels.iter().enumerate() {
            // The words are our own: nothing in them has to be escaped.
            write!(f, "{}{label}=\"{word}\"", if n == 0 { '{' } else { ',' })?;
        }
        if !labels.is_empty() {
            f.write_char('}')?;
        }
        writeln!(f, " {value}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::flash::Space;
    use crate::relay::{QueueEntry, SentBy};

    /// A name of a metric or a label, as the format's grammar has it.
    fn is_name(text: &str) -> bool {
        let is_first = |sign: char| sign.is_ascii_alphabetic() || sign == '_';
        text.starts_with(is_first) && text.chars().all(|sign| is_first(sign) || sign.is_ascii_digit())
    }

    /// The samples of a text, which has to be one to the letter: a HELP and a TYPE before each metric, once, samples of it
    /// and of no other behind them, counters that are called so, and an end of the last line.
    fn read(text: &str) -> BTreeMap<String, f64> {
        assert!(text.ends_with('\n') && !text.contains('\r') && text.is_ascii());
        let (mut samples, mut current) = (BTreeMap::new(), String::new());
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(is_name(name) && help.len() > 8 && !help.contains('\\'), "{line}");
                let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {name} ")).unwrap();
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}: {kind}");
                assert!(["counter", "gauge"].contains(&kind));
                assert!(
                    !samples.keys().any(|known: &String| known.split('{').next() == Some(name)),
                    "{name} twice"
                );
                name.clone_into(&mut current);
                continue;
            }
            let (sample, value) = line.rsplit_once(' ').unwrap();
            assert_eq!(sample.split('{').next(), Some(&*current), "{line}");
            if let Some(labels) = sample.strip_prefix(&format!("{current}{{")) {
                for label in labels.strip_suffix('}').unwrap().split(',') {
                    let (name, word) = label.split_once('=').unwrap();
                    assert!(
                        is_name(name) && word.len() > 2 && word.starts_with('"') && word.ends_with('"'),
                        "{line}"
                    );
                }
            }
            assert!(samples.insert(sample.to_owned(), value.parse().unwrap()).is_none(), "{sample} twice");
        }
        samples
    }

    fn entry(held: bool) -> QueueEntry {
        QueueEntry {
            id: 1,
            from: "ann@home.example".to_owned(),
            to: vec!["friend@else.example".to_owned()],
            size: 5,
            created: 900,
            attempts: 1,
            next_try: 0,
            last_error: Some("refused by mx.else.example".to_owned()),
            sent_by: SentBy::Unknown,
            held,
            in_doubt: None,
        }
    }

    /// Catches: a text that Prometheus does not take, a number in the wrong place, and a person in it.
    #[test]
    fn it_is_what_prometheus_reads_and_names_nobody() {
        let status = Status {
            now: 1000,
            hostname: "mail.home.example".to_owned(),
            remarks: vec!["something".to_owned()],
            uptime: Duration::from_secs(60),
            memory: Some(4 << 20),
            sessions: [1, 2, 3],
            queue: vec![entry(false), entry(true)],
            unlisted: 5,
            unclaimed: 4,
            troubles: vec!["ann@home.example: refused".to_owned()],
            space: Some(Space { total: 64 << 20, free: 32 << 20 }),
            no_changes: Some("worn out".to_owned()),
            written: Some(7),
            ..Status::default()
        };
        let text = Exposition(&status.impersonal()).to_string();
        for person in ["ann", "example", "friend", "refused"] {
            assert!(!text.contains(person), "{text}");
        }
        let samples = read(&text);
        for (sample, value) in [
            (concat!("build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), 1.0),
            ("start_time_seconds", 940.0),
            ("memory_bytes", 4_194_304.0),
            ("sessions{service=\"pop3\"}", 1.0),
            ("sessions{service=\"imap\"}", 2.0),
            ("sessions{service=\"submission\"}", 3.0),
            ("remarks", 1.0),
            ("queue_messages", 7.0),
            ("queue_held_messages", 1.0),
            ("queue_oldest_time_seconds", 900.0),
            ("smarthost_troubles", 1.0),
            ("sources", 0.0),
            ("sources_failing", 0.0),
            ("sources_stopped", 0.0),
            ("collected_messages_total", 0.0),
            ("unclaimed_accounts", 4.0),
            ("flash_size_bytes", 67_108_864.0),
            ("flash_free_bytes", 33_554_432.0),
            ("flash_read_only", 1.0),
            ("written_bytes_total", 7.0),
        ] {
            assert_eq!(samples.get(&format!("pillarbox_{sample}")), Some(&value), "{sample}: {text}");
        }
        assert_eq!(samples.len(), 20, "{text}");
        // What is not known has no number, rather than 0.
        let unknown = read(&Exposition(&Status::default()).to_string());
        assert!(!unknown.contains_key("pillarbox_memory_bytes") && unknown.contains_key("pillarbox_sources"));
    }
}
