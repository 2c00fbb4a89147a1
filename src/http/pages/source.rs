//! The sources of an account: a list, and a page for each, with "test" and "collect now".

use askama::Template;

use super::fields::{Field, Fields, others};
use super::people::Of;
use super::{Frame, after, permission, shown, to_be_mended};
use crate::clock::unix_now;
use crate::config::{Config, SourceAuth, path};
use crate::http::Response;
use crate::http::visit::Visit;
use crate::multipop::{PollResult, SourceStatus};

/// The settings that the account's user may set. Protocol and security come before the port, which follows them.
const OWN: &[&str] = &[
    "protocol",
    "security",
    "host",
    "port",
    "username",
    "password",
    "auth",
    "enabled",
    "leave_on_server",
    "delete_after",
];
/// The settings that only the operator may set.
const MORE: &[&str] = &["folder", "into", "interval", "max_size", "large", "dedupe", "ca"];

/// A source in the list.
struct SourceRow {
    number: usize,
    username: String,
    host: String,
    state: String,
    is_bad: bool,
}

#[derive(Template)]
#[template(path = "sources.html")]
struct List {
    frame: Frame,
    base: String,
    is_own: bool,
    multipop_is_off: bool,
    rows: Vec<SourceRow>,
}

#[derive(Template)]
#[template(path = "source.html")]
struct Page {
    frame: Frame,
    base: String,
    /// The path that the form is sent to.
    path: String,
    /// Whether the source exists already.
    exists: bool,
    state: String,
    fields: Vec<Field>,
    more: Vec<Field>,
    /// Whether the source may log in with a permission, which is asked for on another page.
    may_have_permission: bool,
    /// The mark of the source's identity: another source may have this number by the time the form is sent.
    of: String,
    others: Vec<String>,
    /// The lines that a test told. `is_good` is its outcome.
    tested: Vec<String>,
    is_good: bool,
}

/// The lines that a test told, and its outcome.
#[derive(Default)]
struct Tested {
    lines: Vec<String>,
    is_good: bool,
}

/// Shows the list or one source, or does what a form says.
pub async fn page(visit: &Visit<'_>, of: &Of<'_>, rest: &[&str]) -> Response {
    let Some(account) = visit.config.account(of.name) else { return Response::error("404 Not Found") };
    match rest {
        [] if visit.is_post() => collect(visit, of),
        [] => list(visit, of),
        ["new"] => {
            let mut candidate = Config::clone(&visit.config);
            match path::add_source(&mut candidate, of.name) {
                Ok(number) => one(visit, of, candidate, number, false).await,
                Err(error) => visit.go(&format!("{}/sources", of.base), &error.to_string()),
            }
        }
        [number, "permission"] => match number.parse().ok().and_then(|it| visit.config.holder(of.name, it)) {
            Some(holder) => {
                permission::page(visit, holder, &format!("{}/sources/{number}", of.base), of.is_own).await
            }
            None => Response::error("404 Not Found"),
        },
        [number] => match number.parse() {
            Ok(number) if (1..=account.sources.len()).contains(&number) => {
                one(visit, of, Config::clone(&visit.config), number, true).await
            }
            _ => Response::error("404 Not Found"),
        },
        _ => Response::error("404 Not Found"),
    }
}

/// Collects all sources of the account now.
fn collect(visit: &Visit<'_>, of: &Of<'_>) -> Response {
    let words = match visit.operator().poller.collect_now(Some(of.name)) {
        0 => visit.words.nothing_to_collect,
        _ => visit.words.collecting_now,
    };
    visit.go(&format!("{}/sources", of.base), words)
}

fn list(visit: &Visit<'_>, of: &Of<'_>) -> Response {
    let status = visit.operator().poller.status();
    let own = status.iter().filter(|source| source.account == of.name);
    let row = |(number, source): (usize, &SourceStatus)| SourceRow {
        number: number + 1,
        username: source.username.clone(),
        host: source.host.clone(),
        state: state(visit, source),
        is_bad: source.failures > 0,
    };
    let account = visit.config.account(of.name);
    shown(&List {
        frame: Frame::new(visit, visit.words.sources),
        base: of.base.clone(),
        is_own: of.is_own,
        multipop_is_off: !account.is_some_and(|account| account.multipop) || !visit.config.multipop.enabled,
        rows: own.enumerate().map(row).collect(),
    })
}

/// The state of a source, in a few words.
fn state(visit: &Visit<'_>, source: &SourceStatus) -> String {
    let words = visit.words;
    let last = source.last_poll.map(|at| words.when(unix_now(), at)).unwrap_or_default();
    match &source.last_result {
        _ if source.polling && !source.waits_for_news => words.collecting_now.to_owned(),
        _ if source.held => words.stopped.to_owned(),
        _ if !source.enabled => words.off.to_owned(),
        None => words.not_collected_yet.to_owned(),
        Some(PollResult::Collected(_)) => {
            format!("{} {last}, {} {}", words.last_collected, source.collected, words.messages)
        }
        Some(PollResult::Failed { error, .. } | PollResult::Partly { error, .. }) => {
            format!("{} {last}: {error}", words.failed)
        }
    }
}

/// The page of source `number` of the account in `candidate`.
async fn one(visit: &Visit<'_>, of: &Of<'_>, mut candidate: Config, number: usize, exists: bool) -> Response {
    let section = format!("account.{}.source.{number}", of.name);
    let list = format!("{}/sources", of.base);
    if !visit.is_post() {
        return form(visit, of, &candidate, &section, exists, (&[], Tested::default()));
    }
    let source = visit.config.account(of.name).and_then(|it| it.sources.get(number.checked_sub(1)?));
    if let (Some(shown), Some(source), true) = (visit.form.get("of"), source, exists)
        && shown != visit.marks().of_identity(source.id)
    {
        return visit.go(&list, visit.words.changed_meanwhile);
    }
    if visit.form.has("remove") && exists {
        return match path::remove(&mut candidate, &section) {
            Ok(()) => {
                let outcome = visit.commit(candidate).await;
                after(visit, outcome, &list, |wrong| {
                    form(visit, of, &visit.config, &section, true, (&wrong, Tested::default()))
                })
            }
            Err(error) => visit.go(&list, &error.to_string()),
        };
    }
    let keys = if of.is_own { OWN.to_vec() } else { [OWN, MORE].concat() };
    let wrong = visit.take(&mut candidate, &section, &keys);
    if !wrong.is_empty() {
        return form(visit, of, &candidate, &section, exists, (&wrong, Tested::default()));
    }
    if visit.form.has("test") {
        let tested = test(visit, of.name, &candidate, number).await;
        return form(visit, of, &candidate, &section, exists, (&[], tested));
    }
    let shown = candidate.clone();
    let outcome = visit.commit(candidate).await;
    after(visit, outcome, &list, |wrong| {
        form(visit, of, &shown, &section, exists, (&wrong, Tested::default()))
    })
}

/// Tests the source with the settings as they were typed: nothing is collected or stored.
async fn test(visit: &Visit<'_>, account: &str, candidate: &Config, number: usize) -> Tested {
    let source = candidate.account(account).and_then(|it| it.sources.get(number.checked_sub(1)?));
    let Some(source) = source else { return Tested::default() };
    let poller = &visit.operator().poller;
    let test = async |tell: &dyn Fn(String)| Box::pin(poller.test(account, source, tell)).await;
    let (lines, is_good) = visit.test(visit.words.test_is_good, test).await;
    Tested { lines, is_good }
}

fn form(
    visit: &Visit<'_>,
    of: &Of<'_>,
    config: &Config,
    section: &str,
    exists: bool,
    (wrong, tested): (&[(String, String)], Tested),
) -> Response {
    let all = Fields::new(config, section, visit.words, visit.marks()).mended(&visit.form, wrong);
    let fields: Vec<Field> = all.of(OWN);
    let more: Vec<Field> = if of.is_own { Vec::new() } else { all.of(MORE) };
    let number = section.rsplit('.').next().unwrap_or_default();
    let status = visit.operator().poller.status();
    let own = status.iter().filter(|source| source.account == of.name);
    let now = own.skip(number.parse::<usize>().unwrap_or(1).saturating_sub(1)).find(|_| exists);
    let source = config.account(of.name).and_then(|it| it.sources.get(number.parse::<usize>().ok()? - 1));
    let is_oauth2 = source.is_some_and(|source| source.auth == SourceAuth::OAuth2);
    let page = Page {
        frame: Frame::new(visit, if exists { visit.words.source } else { visit.words.new_source }),
        base: of.base.clone(),
        path: format!("{}/sources/{}", of.base, if exists { number } else { "new" }),
        exists,
        state: now.map(|source| state(visit, source)).unwrap_or_default(),
        may_have_permission: exists && (is_oauth2 || !of.is_own),
        of: source.filter(|_| exists).map(|source| visit.marks().of_identity(source.id)).unwrap_or_default(),
        others: others(wrong, fields.iter().chain(&more)),
        fields,
        more,
        tested: tested.lines,
        is_good: tested.is_good,
    };
    if wrong.is_empty() { shown(&page) } else { to_be_mended(&page) }
}
