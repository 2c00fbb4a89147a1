//! A user's own page.

use askama::Template;

use super::people::{App, Login, Of, Servers, apps, change_apps, change_password, logins, servers};
use super::{Frame, shown, source, to_be_mended};
use crate::config::Account;
use crate::http::Response;
use crate::http::visit::{FieldErrors, Visit};

#[derive(Template)]
#[template(path = "mine.html")]
struct Mine {
    frame: Frame,
    servers: Servers,
    base: &'static str,
    name: String,
    address: String,
    sources: usize,
    edits_sources: bool,
    apps: Vec<App>,
    logins: Vec<Login>,
    others: Vec<String>,
}

/// Shows the page of the account `name`, or changes what its user may change.
pub async fn page(visit: &Visit<'_>, name: &str, rest: &[&str]) -> Response {
    let Some(account) = visit.config.account(name) else { return Response::error("404 Not Found") };
    let of = Of { name, base: "/mine".to_owned(), is_own: true };
    let mended = |wrong: FieldErrors| shown_account(visit, account, &wrong);
    match (visit.is_post(), rest) {
        (false, []) => mended(Vec::new()),
        (_, ["sources", rest @ ..]) if visit.config.server.users_edit_sources => {
            source::page(visit, &of, rest).await
        }
        (true, ["app-passwords"]) => change_apps(visit, &of, mended).await,
        (true, ["password"]) => {
            let path = format!("account.{name}.password");
            change_password(visit, Some(&account.address), &path, "/mine", mended).await
        }
        _ => Response::error("404 Not Found"),
    }
}

fn shown_account(visit: &Visit<'_>, account: &Account, wrong: &[(String, String)]) -> Response {
    let page = Mine {
        servers: servers(visit),
        frame: Frame::new(visit, visit.words.mine),
        base: "/mine",
        name: account.name.to_string(),
        address: account.address.to_string(),
        sources: account.sources.len(),
        edits_sources: visit.config.server.users_edit_sources,
        apps: apps(visit, account),
        logins: logins(visit, account),
        others: super::fields::others(wrong, std::iter::empty()),
    };
    if wrong.is_empty() { shown(&page) } else { to_be_mended(&page) }
}
