//! The list of accounts, and a form for a new one.

use askama::Template;

use super::people::new_password;
use super::{Frame, after, shown, to_be_mended};
use crate::config::{Account, Config, path};
use crate::http::Response;
use crate::http::visit::{FieldErrors, Visit};

#[derive(Template)]
#[template(path = "accounts.html")]
struct Accounts<'a> {
    frame: Frame,
    accounts: &'a [Account],
    name: String,
    others: Vec<String>,
}

/// Shows the accounts, or adds one.
pub async fn page(visit: &Visit<'_>) -> Response {
    if !visit.is_post() {
        return list(visit, Vec::new());
    }
    let name = visit.form.text("account");
    let mut candidate = Config::clone(&visit.config);
    let mut wrong = Vec::new();
    let password = new_password(visit, "account_password", &mut wrong);
    let added = path::add_account(&mut candidate, name)
        .and_then(|()| path::set_secret(&mut candidate, &format!("account.{name}.password"), password));
    wrong.extend(added.err().map(|error| (String::new(), error.to_string())));
    if !wrong.is_empty() {
        return list(visit, wrong);
    }
    let outcome = visit.commit(candidate).await;
    after(visit, outcome, &format!("/accounts/{name}"), |wrong| list(visit, wrong))
}

fn list(visit: &Visit<'_>, wrong: FieldErrors) -> Response {
    let page = Accounts {
        frame: Frame::new(visit, visit.words.accounts),
        accounts: &visit.config.accounts,
        name: visit.form.text("account").chars().take(64).collect(),
        others: super::fields::others(&wrong, std::iter::empty()),
    };
    if wrong.is_empty() { shown(&page) } else { to_be_mended(&page) }
}
