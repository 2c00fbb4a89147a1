//! The page of an account. Its mail services come first: they are the purpose of the page.

use askama::Template;

use super::fields::{Field, Fields, others};
use super::people::{App, Login, Of, Servers, apps, change_apps, change_password, logins, servers};
use super::{Frame, after, shown, source, to_be_mended};
use crate::access::may_use_connector;
use crate::config::{Account, Config, path};
use crate::http::Response;
use crate::http::visit::{FieldErrors, Visit};

/// The switches of the page "Mail services".
const SERVICES: &[&str] = &["pop", "pop_lan_only", "imap", "imap_lan_only", "connector", "multipop"];
/// The settings of the account's own login at the smarthost.
const SMARTHOST: &[&str] = &["smarthost_username", "smarthost_password"];
const GENERAL: &[&str] = &["enabled", "address", "aliases", "quota"];

#[derive(Template)]
#[template(path = "account.html")]
struct Page {
    frame: Frame,
    servers: Servers,
    name: String,
    base: String,
    address: String,
    seen: String,
    services: Vec<Field>,
    smarthost: Vec<Field>,
    general: Vec<Field>,
    /// Whether a link leads to the settings that the Connector needs.
    connector_is_inactive: bool,
    smarthost_is_common: bool,
    sources: usize,
    apps: Vec<App>,
    logins: Vec<Login>,
    others: Vec<String>,
}

/// Shows the account, or changes it.
pub async fn page(visit: &Visit<'_>, name: &str, rest: &[&str]) -> Response {
    let Some(account) = visit.config.account(name) else { return Response::error("404 Not Found") };
    let base = format!("/accounts/{name}");
    let of = Of { name, base: base.clone(), is_own: false };
    let mended = |wrong: FieldErrors| shown_account(visit, account, &wrong);
    match (visit.is_post(), rest) {
        (false, []) => mended(Vec::new()),
        (_, ["sources", rest @ ..]) => source::page(visit, &of, rest).await,
        (true, ["app-passwords"]) => change_apps(visit, &of, mended).await,
        (true, ["mail-services"]) => {
            let mut keys = [SERVICES, SMARTHOST].concat();
            // A box that cannot be ticked is not sent, so its setting must stay.
            if is_connector_off(&visit.config, account).is_some() {
                keys.retain(|key| *key != "connector");
            }
            change(visit, account, &keys).await
        }
        (true, ["general"]) => change(visit, account, GENERAL).await,
        (true, ["password"]) => {
            let path = format!("account.{name}.password");
            change_password(visit, None, &path, &base, mended).await
        }
        (true, ["remove"]) if visit.form.text("name") != name => {
            mended(vec![(String::new(), visit.words.remove_account_how.to_owned())])
        }
        (true, ["remove"]) => {
            let mut candidate = Config::clone(&visit.config);
            match path::remove(&mut candidate, &format!("account.{name}")) {
                Ok(()) => after(visit, visit.commit(candidate).await, "/accounts", mended),
                Err(error) => mended(vec![(String::new(), error.to_string())]),
            }
        }
        _ => Response::error("404 Not Found"),
    }
}

async fn change(visit: &Visit<'_>, account: &Account, keys: &[&'static str]) -> Response {
    let section = format!("account.{}", account.name);
    let mut candidate = Config::clone(&visit.config);
    let wrong = visit.take(&mut candidate, &section, keys);
    if !wrong.is_empty() {
        return shown_account(visit, account, &wrong);
    }
    let outcome = visit.commit(candidate).await;
    after(visit, outcome, &format!("/accounts/{}", account.name), |wrong| {
        shown_account(visit, account, &wrong)
    })
}

/// Why the right to use Connector clients cannot be given now; `None` where it can.
fn is_connector_off(config: &Config, account: &Account) -> Option<ConnectorOff> {
    match (config.server.connector, account.imap) {
        _ if may_use_connector(config, account) => None,
        (false, _) => Some(ConnectorOff::Server),
        (_, false) => Some(ConnectorOff::Imap),
        (true, true) => None,
    }
}

/// What keeps the right to use Connector clients from being given.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ConnectorOff {
    Server,
    Imap,
}

fn shown_account(visit: &Visit<'_>, account: &Account, wrong: &[(String, String)]) -> Response {
    let (words, config) = (visit.words, &visit.config);
    let all = Fields::new(config, &format!("account.{}", account.name), words, visit.marks())
        .mended(&visit.form, wrong);
    let mut services = all.of(SERVICES);
    let off = is_connector_off(config, account);
    let fit = |field: Field| match field.name {
        "pop_lan_only" | "imap_lan_only" => field.sub(),
        "connector" => match off {
            Some(ConnectorOff::Server) => field.sub().off(words.connector_is_inactive),
            Some(ConnectorOff::Imap) => field.sub().off(words.connector_needs_imap),
            None => field.sub(),
        },
        _ => field,
    };
    services = services.into_iter().map(fit).collect();
    let smarthost_is_common = !config.smarthost.per_account_authentication;
    let with_note = |field: Field| match field.name {
        "smarthost_password" if smarthost_is_common => {
            field.noted(format!("{} {}", words.smarthost_is_common, words.smarthost_empty))
        }
        "smarthost_password" => field.noted(words.smarthost_empty),
        _ => field,
    };
    let smarthost: Vec<Field> = all.of(SMARTHOST).into_iter().map(with_note).collect();
    let general = all.of(GENERAL);
    let logins = logins(visit, account);
    let page = Page {
        servers: servers(visit),
        frame: Frame::new(visit, &account.name),
        name: account.name.to_string(),
        base: format!("/accounts/{}", account.name),
        address: account.address.to_string(),
        seen: logins.first().map(|it| format!("{} {}", it.service, it.when)).unwrap_or_default(),
        others: others(wrong, services.iter().chain(&smarthost).chain(&general)),
        services,
        smarthost,
        general,
        connector_is_inactive: off == Some(ConnectorOff::Server),
        smarthost_is_common,
        sources: account.sources.len(),
        apps: apps(visit, account),
        logins,
    };
    if wrong.is_empty() { shown(&page) } else { to_be_mended(&page) }
}
