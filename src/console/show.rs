//! What the `show` commands print: tables that fit a serial terminal.

use super::width;
use crate::config::{Account, AppPassword, Config};
use crate::context::Connected;
use crate::multipop::{Going, PollResult, SourceStatus};
use crate::operator::status::{Status, ago, size, span};
use crate::say::counted;

/// The accounts and what they may use.
pub fn accounts(config: &Config) -> String {
    let rows = config.accounts.iter().map(|account| {
        [
            account.name.to_string(),
            account.address.to_string(),
            service(account, account.pop, account.pop_lan_only),
            service(account, account.imap, account.imap_lan_only),
            format!("{}{}", account.sources.len(), if account.multipop { "" } else { " (off)" }),
            remarks(account),
        ]
    });
    table(["NAME", "ADDRESS", "POP3", "IMAP", "SOURCES", ""], rows)
}

/// All about one account.
pub fn account(account: &Account, config: &Config, status: &Status) -> String {
    let on = |on: bool| if on { "on" } else { "off" }.to_owned();
    let none = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    let aliases: Vec<&str> = account.aliases.iter().map(|alias| alias.as_str()).collect();
    let apps: Vec<&str> = account.app_passwords.iter().map(|app| app.name.as_str()).collect();
    let login = match (account.smarthost_password.is_empty(), config.smarthost.per_account_authentication) {
        (true, _) => "that of the smarthost".to_owned(),
        (false, true) => format!("its own, {}", account.smarthost_login()),
        (false, false) => "that of the smarthost: smarthost.per_account_authentication is off".to_owned(),
    };
    let connector = match (account.connector, config.server.connector, account.imap) {
        (true, false, _) => "on, but without effect: server.connector is off".to_owned(),
        (true, _, false) => "on, but without effect: it needs imap".to_owned(),
        (connector, ..) => on(connector),
    };
    let rows = [
        ("name", account.name.to_string()),
        ("address", account.address.to_string()),
        ("aliases", none(aliases.join(", "))),
        ("password", if account.has_password() { "is set" } else { "none yet" }.to_owned()),
        ("app passwords", none(apps.join(", "))),
        ("enabled", on(account.enabled)),
        ("POP3", service(account, account.pop, account.pop_lan_only)),
        ("IMAP", service(account, account.imap, account.imap_lan_only)),
        ("Connector", connector),
        ("MultiPOP", on(account.multipop)),
        ("smarthost", login),
        ("quota", if account.quota == 0 { "none".to_owned() } else { size(account.quota) }),
    ];
    let head: String = rows.iter().map(|(name, value)| format!("{name:13}  {value}\n")).collect();
    let own: Vec<_> =
        status.sources.iter().filter(|source| source.account == account.name.as_str()).collect();
    let sources: String = own
        .iter()
        .enumerate()
        .map(|(n, source)| {
            let from = format!("{} at {}:{}", source.username, source.host, source.port);
            format!("{:13}  {from}: {}\n", format!("source {}", n + 1), source_state(source))
        })
        .collect();
    head + &sources
}

/// The app passwords; `last_use` is asked for account and name.
pub fn app_passwords(config: &Config, now: i64, last_use: impl Fn(&str, &str) -> Option<i64>) -> String {
    let services = |app: &AppPassword| match app.services.is_empty() {
        true => "all".to_owned(),
        false => app.services.iter().map(|service| service.name()).collect::<Vec<_>>().join(", "),
    };
    let all = config.accounts.iter().flat_map(|a| a.app_passwords.iter().map(move |app| (a, app)));
    let rows: Vec<_> = all
        .map(|(account, app)| {
            let used = last_use(&account.name, &app.name);
            let used = used.map_or("not since the start".to_owned(), |time| ago(now, time));
            [account.name.to_string(), app.name.to_string(), services(app), used]
        })
        .collect();
    if rows.is_empty() {
        return "there is no app password: `add app-password NAME DEVICE` makes one\n".to_owned();
    }
    table(["ACCOUNT", "DEVICE", "SERVICES", "LAST USE"], rows.into_iter())
}

/// Who is connected.
pub fn sessions(connected: &[Connected]) -> String {
    if connected.is_empty() {
        return "nobody is connected\n".to_owned();
    }
    let rows = connected.iter().map(|session| {
        [
            session.id.to_string(),
            session.account.clone().unwrap_or_else(|| "-".to_owned()),
            session.listener.to_owned(),
            session.address.to_string(),
            format!("{} ago", span(session.age.as_secs())),
            session.device.clone().unwrap_or_default(),
        ]
    });
    table(["NUMBER", "ACCOUNT", "SERVICE", "ADDRESS", "SINCE", "DEVICE"], rows)
}

fn service(account: &Account, on: bool, lan_only: bool) -> String {
    match (account.enabled && on, lan_only) {
        (false, _) => "off",
        (true, true) => "LAN",
        (true, false) => "on",
    }
    .to_owned()
}

fn remarks(account: &Account) -> String {
    let mut remarks = Vec::new();
    if !account.enabled {
        remarks.push("disabled");
    }
    if !account.has_password() {
        remarks.push("no password yet");
    }
    remarks.join(", ")
}

/// Room on the flash, and what is written to it.
pub fn flash(status: &Status) -> String {
    const HOUR: u64 = 3600;
    let mut rows = Vec::new();
    if let Some(space) = status.space {
        let (free, total, reserve) = (size(space.free), size(space.total), size(space.reserve()));
        rows.push(format!("room       {free} free of {total}; below {reserve} new mail is refused"));
    }
    let up = status.uptime.as_secs().max(1);
    if let Some(written) = status.written {
        // What a start writes says nothing about a day.
        let a_day = (up >= HOUR).then(|| format!(": {} a day", size(written.saturating_mul(24 * HOUR) / up)));
        let (written, up) = (size(written), span(up));
        rows.push(format!(
            "appliance  {written} written in the {up} since its start{}",
            a_day.unwrap_or_default()
        ));
    }
    if let Some(written) = status.device_written {
        let written = size(written);
        rows.push(format!(
            "partition  {written} written since the device was switched on, with what the file system writes"
        ));
    }
    rows.into_iter().map(|row| row + "\n").collect()
}

/// Every source and how its last poll ended.
pub fn sources(status: &Status) -> String {
    if status.sources.is_empty() {
        return "no source is configured: `add source NAME` adds one\n".to_owned();
    }
    let rows = status.sources.iter().map(|source| {
        [
            source.account.clone(),
            format!("{} at {}:{}", source.username, source.host, source.port),
            source.last_poll.map_or("-".to_owned(), |time| ago(status.now, time)),
            source.next_poll.map_or("-".to_owned(), |time| ago(status.now, time)),
            source.collected.to_string(),
            source_state(source),
        ]
    });
    table(["ACCOUNT", "SOURCE", "LAST POLL", "NEXT", "COLLECTED", "STATE"], rows)
}

fn source_state(source: &SourceStatus) -> String {
    match (&source.last_result, source.enabled, source.polling) {
        (_, false, _) => "off".to_owned(),
        (_, _, true) if source.held => "stopping".to_owned(),
        (_, _, true) if source.waits_for_news => "waiting for news of the server".to_owned(),
        (_, _, true) => source.going.map_or("polling".to_owned(), going),
        _ if source.held => "stopped: `collect` goes on".to_owned(),
        _ if source.waiting_for_time => "waiting for the time".to_owned(),
        (Some(PollResult::Failed { error, .. }), _, _) => {
            let times = match source.failures {
                1 => "once".to_owned(),
                n => format!("{n} times"),
            };
            format!("failed {times}: {error}")
        }
        (Some(PollResult::Partly { error, messages, .. }), _, _) => {
            format!(
                "good, but for {}: {error}",
                if *messages > 1 { format!("{messages} messages") } else { "one message".to_owned() }
            )
        }
        (Some(PollResult::Collected(_)), _, _) if source.again > 0 => format!(
            "good; {} came before under other identities (numbered anew, or moved in a circle) and stay there",
            source.again
        ),
        (Some(PollResult::Collected(_)), _, _) => "good".to_owned(),
        (None, _, _) => "not polled yet".to_owned(),
    }
}

/// How far a poll is.
fn going(going: Going) -> String {
    let mut words = format!(
        "{} of {}, {}",
        going.messages,
        counted(going.of_messages.into(), "message"),
        size(going.octets)
    );
    if going.of_octets > going.octets {
        words += &format!(" of {}", size(going.of_octets));
    }
    if let Some(rate) = going.rate() {
        words += &format!(", {}/s", size(rate));
    }
    if let Some(time) = going.to_go() {
        words += &format!(", {} to go", span(time.as_secs()));
    }
    words
}

/// Columns as wide as their widest cell, the last one as it comes.
pub(super) fn table<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<[String; N]> = std::iter::once(head.map(str::to_owned)).chain(rows).collect();
    let widths: Vec<usize> = (0..N)
        .map(|column| rows.iter().map(|row| width::of_text(&row[column])).max().unwrap_or_default())
        .collect();
    rows.iter()
        .map(|row| {
            let line: String =
                row.iter().zip(&widths).map(|(cell, &columns)| width::padded(cell, columns) + "  ").collect();
            line.trim_end().to_owned() + "\n"
        })
        .collect()
}
