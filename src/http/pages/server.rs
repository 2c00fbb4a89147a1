//! The server's settings, a page a section.

use askama::Template;

use super::fields::{Field, Fields, Input, others};
use super::{Frame, after, shown, to_be_mended};
use crate::config::Config;
use crate::http::Response;
use crate::http::visit::Visit;

/// The sections, and their settings in the order of the page.
const SECTIONS: &[(&str, &[&str])] = &[
    (
        "smarthost",
        &[
            "host",
            "security",
            "port",
            "username",
            "password",
            "auth",
            "per_account_authentication",
            "connections",
            "retry",
            "expire",
            "delay_notice",
            "ca",
        ],
    ),
    ("multipop", &["enabled", "interval", "timeout", "warn_after"]),
    (
        "server",
        &[
            "hostname",
            "domains",
            "shared_domains",
            "lan",
            "connector",
            "users_edit_sources",
            "postmaster",
            "max_message_size",
            "max_connections",
            "lan_smtp_relay",
            "lan_smtp_sender",
        ],
    ),
    ("listen", &["pop3", "pop3s", "imap", "imaps", "submission", "submissions", "lan_smtp", "http", "https"]),
    ("network", &["address", "gateway", "dns", "ntp"]),
    ("tls", &["certificate", "key", "plaintext_login"]),
];

#[derive(Template)]
#[template(path = "server.html")]
struct Index {
    frame: Frame,
    /// Paths and names.
    sections: Vec<(&'static str, &'static str)>,
    refusals: Vec<String>,
    log: String,
    others: Vec<String>,
}

#[derive(Template)]
#[template(path = "section.html")]
struct Page {
    frame: Frame,
    section: &'static str,
    fields: Vec<Field>,
    others: Vec<String>,
    can_be_tested: bool,
    tested: Vec<String>,
    is_good: bool,
}

/// Shows what there is, or a section, or changes it.
pub async fn page(visit: &Visit<'_>, rest: &[&str]) -> Response {
    match rest {
        [] if !visit.is_post() => index(visit, &[]),
        ["password"] if visit.is_post() => password(visit).await,
        [name] => match SECTIONS.iter().find(|(section, _)| section == name) {
            Some((section, keys)) => one(visit, section, keys).await,
            None => Response::error("404 Not Found"),
        },
        _ => Response::error("404 Not Found"),
    }
}

fn index(visit: &Visit<'_>, wrong: &[(String, String)]) -> Response {
    use crate::operator::World;
    let operator = visit.operator();
    let page = Index {
        frame: Frame::new(visit, visit.words.server),
        sections: SECTIONS.iter().map(|(name, _)| (*name, visit.words.section(name))).collect(),
        refusals: operator.refusals().into_iter().rev().collect(),
        log: operator.log().unwrap_or_default(),
        others: others(wrong, std::iter::empty()),
    };
    if wrong.is_empty() { shown(&page) } else { to_be_mended(&page) }
}

async fn one(visit: &Visit<'_>, section: &'static str, keys: &'static [&'static str]) -> Response {
    if !visit.is_post() {
        return form(visit, &visit.config, section, keys, (&[], Vec::new(), false));
    }
    let mut candidate = Config::clone(&visit.config);
    let wrong = visit.take(&mut candidate, section, keys);
    if !wrong.is_empty() {
        return form(visit, &visit.config, section, keys, (&wrong, Vec::new(), false));
    }
    if visit.form.has("test") {
        let (lines, is_good) = test(visit, &candidate).await;
        return form(visit, &candidate, section, keys, (&[], lines, is_good));
    }
    let outcome = visit.commit(candidate).await;
    let location = format!("/server/{section}");
    after(visit, outcome, &location, |wrong| {
        form(visit, &visit.config, section, keys, (&wrong, Vec::new(), false))
    })
}

/// Tries the smarthost out as it was typed: nothing is sent.
async fn test(visit: &Visit<'_>, candidate: &Config) -> (Vec<String>, bool) {
    let operator = visit.operator();
    let Some(_alone) = operator.tests.try_lock() else {
        return (vec![visit.words.test_is_busy.to_owned()], false);
    };
    let lines = std::cell::RefCell::new(Vec::new());
    let tell = |line: String| lines.borrow_mut().push(line);
    let outcome = Box::pin(operator.relay.test(candidate, None, &tell)).await;
    let mut lines = lines.into_inner();
    let is_good = outcome.is_ok();
    lines.extend(outcome.err());
    (lines, is_good)
}

fn form(
    visit: &Visit<'_>,
    config: &Config,
    section: &'static str,
    keys: &[&'static str],
    (wrong, tested, is_good): (&[(String, String)], Vec<String>, bool),
) -> Response {
    let fields = Fields::new(config, section, visit.words).mended(&visit.form, wrong).of(keys);
    let page = Page {
        frame: Frame::new(visit, visit.words.section(section)),
        section,
        others: others(wrong, fields.iter()),
        fields,
        can_be_tested: section == "smarthost",
        tested,
        is_good,
    };
    if wrong.is_empty() { shown(&page) } else { to_be_mended(&page) }
}

/// The operator's own.
async fn password(visit: &Visit<'_>) -> Response {
    let mut wrong = Vec::new();
    let old = visit.form.get("old_password").unwrap_or_default();
    if let Err(why) = visit.judge("operator", old).await {
        wrong.push((String::new(), why.to_owned()));
    }
    let password = super::first::new_password(visit, "password", &mut wrong);
    let mut candidate = Config::clone(&visit.config);
    let set = crate::config::path::set_secret(&mut candidate, "server.operator_password", password);
    wrong.extend(set.err().map(|error| (String::new(), error.to_string())));
    match wrong.is_empty() {
        true => after(visit, visit.commit(candidate).await, "/server", |wrong| index(visit, &wrong)),
        false => index(visit, &wrong),
    }
}
