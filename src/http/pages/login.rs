//! The login of the operator and of the users of accounts.

use askama::Template;

use super::{Frame, shown, shown_as};
use crate::http::Response;
use crate::http::session::Person;
use crate::http::visit::Visit;

#[derive(Template)]
#[template(path = "login.html")]
struct Login {
    frame: Frame,
    login: String,
    wrong: &'static str,
}

/// Asks for the login again: the session has ended, or the form is too old.
pub fn again(visit: &Visit<'_>) -> Response {
    let frame = Frame::new(visit, visit.words.log_in);
    shown_as("403 Forbidden", &Login { frame, login: String::new(), wrong: visit.words.logged_out })
}

/// Shows the form, or logs in with it.
pub async fn page(visit: &Visit<'_>) -> Response {
    let frame = |visit| Frame::new(visit, visit.words.log_in);
    if !visit.is_post() {
        return shown(&Login { frame: frame(visit), login: String::new(), wrong: "" });
    }
    let login = visit.form.text("login");
    match visit.judge(login, visit.form.get("password").unwrap_or_default()).await {
        Ok(person) => {
            let home = if person == Person::Operator { "/" } else { "/mine" };
            visit.begin(&person, home).unwrap_or_else(|| Response::see_other("/login"))
        }
        Err(wrong) => {
            let login = login.chars().take(100).collect();
            shown_as("403 Forbidden", &Login { frame: frame(visit), login, wrong })
        }
    }
}
