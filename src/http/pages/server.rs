//! The server's settings, one page for each section.

use askama::Template;

use super::fields::{Field, Fields, others};
use super::people::change_password;
use super::{Frame, after, backup, certificate, permission, shown, to_be_mended, update};
use crate::config::{Config, Holder, Listener, OPERATOR};
use crate::http::Response;
use crate::http::visit::Visit;

/// The sections, each with its settings in the order of the page.
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
    ("listen", Listener::NAMES),
    ("network", &["address", "gateway", "dns", "ntp"]),
    ("tls", &["certificate", "key", "plaintext_login"]),
];

#[derive(Template)]
#[template(path = "server.html")]
struct Index {
    frame: Frame,
    /// The sections' paths and titles.
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

/// Shows the index or a section, or changes a section.
pub async fn page(visit: &Visit<'_>, rest: &[&str]) -> Response {
    match rest {
        [] if !visit.is_post() => index(visit, &[]),
        ["password"] if visit.is_post() => password(visit).await,
        ["certificate"] if !visit.is_post() => certificate::page(visit),
        ["backup"] => backup::page(visit).await,
        ["update"] if !visit.is_post() => update::page(visit),
        ["smarthost", "permission"] => {
            permission::page(visit, Holder::Smarthost, "/server/smarthost", false).await
        }
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
    let words = visit.words;
    let mut sections: Vec<_> = SECTIONS.iter().map(|(name, _)| (*name, words.section(name))).collect();
    sections.extend([("certificate", words.certificate), ("backup", words.backup)]);
    sections.extend(operator.board().is_some().then_some(("update", words.update)));
    let page = Index {
        frame: Frame::new(visit, words.server),
        sections,
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
        // The test uses the settings as they were typed: nothing is sent.
        let relay = &visit.operator().relay;
        let test = async |tell: &dyn Fn(String)| Box::pin(relay.test(&candidate, None, tell)).await;
        let (lines, is_good) = visit.test(visit.words.nothing_was_sent, test).await;
        return form(visit, &candidate, section, keys, (&[], lines, is_good));
    }
    let outcome = visit.commit(candidate).await;
    let location = format!("/server/{section}");
    after(visit, outcome, &location, |wrong| {
        form(visit, &visit.config, section, keys, (&wrong, Vec::new(), false))
    })
}

fn form(
    visit: &Visit<'_>,
    config: &Config,
    section: &'static str,
    keys: &[&'static str],
    (wrong, tested, is_good): (&[(String, String)], Vec<String>, bool),
) -> Response {
    let fields = Fields::new(config, section, visit.words, visit.marks()).mended(&visit.form, wrong).of(keys);
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

/// Changes the operator's own password.
async fn password(visit: &Visit<'_>) -> Response {
    let path = "server.operator_password";
    change_password(visit, Some(OPERATOR), path, "/server", |wrong| index(visit, &wrong)).await
}
