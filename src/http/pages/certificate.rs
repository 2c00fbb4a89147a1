//! The certificates of the server and of the local CA: to compare with a browser's warning, and to install on devices.

use askama::Template;

use super::{Code, Frame, shown};
use crate::http::Response;
use crate::http::visit::Visit;
use crate::message::date::rfc5322;
use crate::net::certificate::Certificate;
use crate::operator::World;
use crate::operator::reach::Scheme;

#[derive(Template)]
#[template(path = "certificate.html")]
struct Page {
    frame: Frame,
    server: Option<Shown>,
    ca: Option<Shown>,
    /// A picture of the address of the CA's certificate.
    code: Option<Code>,
}

struct Shown {
    names: String,
    issuer: String,
    until: String,
    fingerprint: String,
}

fn certificate(it: Certificate) -> Shown {
    let until = it.period.and_then(|(_, until)| i64::try_from(until).ok());
    Shown {
        names: if it.names.is_empty() { it.subject } else { it.names.join(", ") },
        issuer: it.issuer,
        until: until.map(rfc5322).unwrap_or_default(),
        fingerprint: it.fingerprint,
    }
}

/// Shows the certificates.
pub fn page(visit: &Visit<'_>) -> Response {
    let [server, ca] = visit.operator().certificates();
    shown(&Page {
        frame: Frame::new(visit, visit.words.certificate),
        server: server.map(certificate),
        ca: ca.map(certificate),
        code: visit.site_for_others(Scheme::Http).and_then(|site| Code::of(format!("{site}/ca.crt"))),
    })
}
