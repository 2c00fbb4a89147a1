//! The start page: one verdict, then the state of everything.

use askama::Template;

use super::{Frame, first, shown};
use crate::flash;
use crate::http::Response;
use crate::http::visit::Visit;
use crate::multipop::PollResult;
use crate::operator::status::{Status, size, span};

/// The use of the flash, in MiB: above `high` it is nearly full. `words` gives it with units.
struct Flash {
    used: u64,
    total: u64,
    high: u64,
    words: String,
}

#[derive(Template)]
#[template(path = "start.html")]
struct Start {
    frame: Frame,
    hostname: String,
    /// What is wrong and what to do; empty where all is well.
    needs: Vec<String>,
    sessions: u32,
    sources: usize,
    fine: usize,
    failing: usize,
    collected: u64,
    waiting: usize,
    oldest: String,
    held: usize,
    flash: Option<Flash>,
    written: String,
    version: &'static str,
    up: String,
    board: String,
    memory: String,
    offers_first: bool,
    is_operator: bool,
    is_tls: bool,
}

/// The start page; a device that nobody has set up has another one.
pub fn page(visit: &Visit<'_>) -> Response {
    if first::is_new(&visit.config) {
        return first::welcome(visit);
    }
    let status = visit.operator().status();
    let status = if visit.is_operator() { status } else { status.impersonal() };
    let space = status.space;
    let failing = status.sources.iter().filter(|source| source.failures > 0).count();
    let mega = |octets: u64| octets >> 20;
    let flash = space.map(|space| Flash {
        used: mega(space.total.saturating_sub(space.free)),
        total: mega(space.total),
        high: mega(space.total.saturating_sub(2 * space.reserve())),
        words: format!("{} / {}", size(space.total.saturating_sub(space.free)), size(space.total)),
    });
    let board = status.board.as_ref().map(ToString::to_string).unwrap_or_default();
    shown(&Start {
        hostname: status.hostname.clone(),
        needs: needs(visit, &status),
        sessions: status.sessions.iter().sum(),
        sources: status.sources.len(),
        fine: status.sources.iter().filter(|source| source.enabled).count() - enabled_and_failing(&status),
        failing,
        collected: status.sources.iter().map(|source| source.collected).sum(),
        waiting: status.queue.len() + status.unlisted,
        oldest: status.queue.first().map(|it| visit.words.when(status.now, it.created)).unwrap_or_default(),
        held: status.queue.iter().filter(|it| it.held).count(),
        flash,
        written: status.written.map(size).unwrap_or_default(),
        version: env!("CARGO_PKG_VERSION"),
        up: span(status.uptime.as_secs()),
        board,
        memory: status.memory.map(size).unwrap_or_default(),
        offers_first: !visit.config.server.operator_verifier.is_set(),
        is_operator: visit.is_operator(),
        is_tls: visit.is_tls,
        frame: Frame::new(visit, visit.words.start),
    })
}

fn enabled_and_failing(status: &Status) -> usize {
    status.sources.iter().filter(|source| source.enabled && source.failures > 0).count()
}

/// The problems that somebody has to act on, the worst first.
fn needs(visit: &Visit<'_>, status: &Status) -> Vec<String> {
    let words = visit.words;
    let mut needs: Vec<String> = status.no_changes.as_deref().map(flash::advice).into_iter().collect();
    needs.extend(status.remarks.iter().cloned());
    if status.space.is_some_and(|space| space.is_low()) {
        needs.push(words.card_is_full.to_owned());
    }
    needs.extend(status.troubles.iter().cloned());
    let refused = status.board.as_ref().and_then(|board| board.fallback.as_ref());
    needs.extend(refused.map(|why| format!("{}: {why}", words.update_failed)));
    for source in status.sources.iter().filter(|source| source.failures > 0) {
        needs.push(match visit.is_operator() {
            true => {
                let why = source.last_result.as_ref().and_then(PollResult::error).unwrap_or_default();
                format!("{}: {} ({}): {why}", source.account, source.username, source.host)
            }
            false => words.one_source_fails.to_owned(),
        });
    }
    needs.dedup();
    needs
}
