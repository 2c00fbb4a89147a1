//! The messages that wait for the smarthost. They can be seen, held, released, tried now and removed.

use askama::Template;

use super::{Frame, shown};
use crate::http::Response;
use crate::http::visit::Visit;
use crate::operator::status::size;
use crate::relay::{Act, Which};

struct QueueRow {
    id: u32,
    from: String,
    to: String,
    size: String,
    since: String,
    error: String,
    held: bool,
    in_doubt: bool,
}

#[derive(Template)]
#[template(path = "queue.html")]
struct Queue {
    frame: Frame,
    rows: Vec<QueueRow>,
    unlisted: usize,
}

/// Shows the queue, or does what a form says.
pub async fn page(visit: &Visit<'_>) -> Response {
    if visit.is_post() {
        return operate(visit).await;
    }
    let status = visit.operator().status();
    let row = |it: &crate::relay::QueueEntry| QueueRow {
        id: it.id,
        from: if it.from.is_empty() { "<>".to_owned() } else { it.from.clone() },
        to: it.to.join(", "),
        size: size(it.size),
        since: visit.words.when(status.now, it.created),
        error: it.last_error.clone().unwrap_or_default(),
        held: it.held,
        in_doubt: it.in_doubt.is_some(),
    };
    shown(&Queue {
        rows: status.queue.iter().map(row).collect(),
        unlisted: status.unlisted,
        frame: Frame::new(visit, visit.words.queue),
    })
}

async fn operate(visit: &Visit<'_>) -> Response {
    let (words, form) = (visit.words, &visit.form);
    let which = match form.text("message") {
        "" => Which::All,
        number => match number.parse() {
            Ok(number) => Which::Message(number),
            Err(_) => return Response::error("400 Bad Request"),
        },
    };
    let act = match form.text("do") {
        "hold" => Act::Hold,
        "release" => Act::Release,
        "flush" => Act::Flush,
        // To remove many at once, the console asks once more; this page has no button for that.
        "remove" if matches!(which, Which::Message(_)) => Act::Remove { notify: false },
        "return" if matches!(which, Which::Message(_)) => Act::Remove { notify: true },
        _ => return Response::error("400 Bad Request"),
    };
    let told = match visit.operator().relay.operate(act, &which).await {
        Ok(done) if done.busy > 0 => words.message_is_busy.to_owned(),
        Ok(done) if done.done == 0 => words.nothing_to_do.to_owned(),
        Ok(_) => words.done.to_owned(),
        Err(error) => error.to_string(),
    };
    visit.go("/queue", &told)
}
