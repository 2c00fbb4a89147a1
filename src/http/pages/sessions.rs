//! The clients that are connected.

use askama::Template;

use super::{Frame, shown};
use crate::http::Response;
use crate::http::visit::Visit;
use crate::operator::World;
use crate::operator::status::span;

struct SessionRow {
    id: u64,
    service: &'static str,
    account: String,
    address: String,
    age: String,
}

#[derive(Template)]
#[template(path = "sessions.html")]
struct Sessions {
    frame: Frame,
    rows: Vec<SessionRow>,
}

/// Shows the connections, or ends one.
pub fn page(visit: &Visit<'_>) -> Response {
    let operator = visit.operator();
    if visit.is_post() {
        let ended = visit.form.text("session").parse().is_ok_and(|id| operator.disconnect(id));
        return visit.go("/sessions", if ended { visit.words.done } else { visit.words.nothing_to_do });
    }
    let device = |device: Option<String>| device.map(|it| format!(" ({it})")).unwrap_or_default();
    let rows = operator.sessions().into_iter().map(|it| SessionRow {
        id: it.id,
        service: it.listener,
        account: it.account.unwrap_or_default() + &device(it.device),
        address: it.address.to_string(),
        age: span(it.age.as_secs()),
    });
    shown(&Sessions { rows: rows.collect(), frame: Frame::new(visit, visit.words.sessions) })
}
