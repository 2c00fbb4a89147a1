//! A new version for a device that boots from a card image. The file of the form is received by [`crate::http::update`].

use askama::Template;

use super::{Frame, Told, shown, shown_as};
use crate::board::device::Device;
use crate::board::update::Update;
use crate::config::OPERATOR;
use crate::http::Response;
use crate::http::update::PAGE;
use crate::http::visit::Visit;
use crate::operator::World;

#[derive(Template)]
#[template(path = "update.html")]
struct Page {
    frame: Frame,
    others: Vec<String>,
    path: &'static str,
    now: String,
    fallback: String,
}

fn with(visit: &Visit<'_>, others: Vec<String>) -> Page {
    let board = visit.operator().board().unwrap_or_default();
    Page {
        frame: Frame::new(visit, visit.words.update),
        others,
        path: PAGE,
        now: board.to_string(),
        fallback: board.fallback.unwrap_or_default(),
    }
}

/// Shows the running version, and the form.
pub fn page(visit: &Visit<'_>) -> Response {
    match visit.operator().board() {
        Some(_) => shown(&with(visit, Vec::new())),
        None => Response::error("404 Not Found"),
    }
}

/// Why the form of this visitor is not accepted; `None` where it is.
pub async fn refusal(visit: &Visit<'_>) -> Option<Response> {
    if !visit.is_tls {
        return Some(Response::words("403 Forbidden", visit.words.https_is_off));
    }
    if let Some(response) = visit.foreign_form() {
        return Some(response);
    }
    if !visit.is_operator() {
        return Some(Response::words("403 Forbidden", visit.words.for_the_operator));
    }
    let wrong = visit.judge(OPERATOR, visit.form.get("password").unwrap_or_default()).await.err()?;
    Some(shown_as("403 Forbidden", &with(visit, vec![wrong.to_owned()])))
}

/// Shows what became of the file.
pub fn outcome(visit: &Visit<'_>, device: &Device, outcome: Result<Update, Response>) -> Response {
    match outcome {
        Ok(update) => {
            let frame = Frame::new(visit, visit.words.update_taken);
            shown_as(
                "202 Accepted",
                &Told { frame, kind: "good", text: &device.promise(&update), addresses: Vec::new() },
            )
        }
        Err(response) => shown_as(response.status, &with(visit, vec![response.text().into_owned()])),
    }
}
