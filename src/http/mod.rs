//! HTTP for the LAN, plain or over TLS: client autoconfiguration, a read-only status page, and updates.
//!
//! One request a connection. Everything is read-only, and there is nothing to log in to, but for
//! `PUT /update`: so the pages tell nothing of persons, neither accounts nor logins nor who writes to whom. Whoever is
//! outside `server.lan` gets 403, and who asks for somebody else than this device 421.

mod authority;
mod autoconfig;
mod page;
pub(crate) mod request;
mod update;

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use crate::access;
use crate::board::device::Ending;
use crate::clock::Time;
use crate::context::Context;
use crate::net::stream::Stream;
use crate::operator::Operator;
use authority::{Own, Sight};
use request::{Method, Request};

/// A request that takes longer is given up.
const PATIENCE: Duration = Duration::from_secs(20);

/// A reply (RFC 9112 section 4).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Response {
    status: &'static str,
    content_type: &'static str,
    /// Header fields besides those that every reply has.
    more: &'static str,
    content: String,
}

impl Response {
    fn page(content_type: &'static str, content: String) -> Response {
        Response { status: "200 OK", content_type, more: "", content }
    }

    fn error(status: &'static str) -> Response {
        Response::words(status, status)
    }

    /// One line of text.
    fn words(status: &'static str, words: &str) -> Response {
        Response { status, content_type: "text/plain", more: "", content: format!("{words}\n") }
    }

    /// RFC 9110 section 15.5.6; `allow` is the field that says what is allowed.
    fn not_allowed(allow: &'static str) -> Response {
        Response { more: allow, ..Response::error("405 Method Not Allowed") }
    }

    fn head(&self) -> String {
        format!(
            "HTTP/1.1 {}\r\nContent-Type: {}; charset=utf-8\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
             X-Content-Type-Options: nosniff\r\nContent-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n\
             {}Connection: close\r\n\r\n",
            self.status,
            self.content_type,
            self.content.len(),
            self.more
        )
    }
}

/// Serves one request, over TLS from the first octet where `implicit_tls` says so. `busy` is told when the connection is no
/// longer one that nobody would miss: an update comes in.
pub async fn serve(mut stream: Stream, implicit_tls: bool, operator: &Operator, busy: impl Fn()) {
    let context = &operator.context;
    let outcome = async {
        let asked = context.time.deadline(PATIENCE, async {
            if implicit_tls {
                stream.accept_tls(context.tls()).await?;
            }
            request::read(&mut stream).await
        });
        let (response, with_content) = match asked.await? {
            None => return Ok(false),
            Some(Err(response)) => (response, true),
            Some(Ok(mut request)) => match refusal(&request, context, stream.peer().ip()) {
                Some(response) => (response, request.method != Method::Head),
                None if request.method == Method::Put => {
                    busy();
                    // Apart: every connection, of any service, has room for the largest future.
                    let put = Box::pin(update::put(&mut stream, context, &mut request));
                    let (taken, response) = put.await?;
                    let heard = answer(&mut stream, &response, true, &context.time).await;
                    return if taken { Ok(true) } else { heard.map(|()| false) };
                }
                None => (respond(&request.path, operator), request.method != Method::Head),
            },
        };
        answer(&mut stream, &response, with_content, &context.time).await.map(|()| false)
    };
    let outcome: io::Result<bool> = outcome.await;
    if let Err(error) = &outcome {
        log::debug!("http: {error}");
    }
    stream.close().await;
    if let (Ok(true), Some(device)) = (outcome, &context.device) {
        device.end(Ending::Update);
    }
}

async fn answer(stream: &mut Stream, response: &Response, with_content: bool, time: &Time) -> io::Result<()> {
    time.deadline(PATIENCE, async {
        stream.write(response.head().as_bytes()).await?;
        if with_content {
            stream.write(response.content.as_bytes()).await?;
        }
        stream.flush().await
    })
    .await
}

/// What who may not ask this gets.
fn refusal(request: &Request, context: &Context, peer: IpAddr) -> Option<Response> {
    let config = context.config();
    if !access::on_lan(&config, peer) {
        return Some(Response::error("403 Forbidden"));
    }
    let sight = Own::now(&config, context).sight(&request.authority);
    let allowed = sight == Sight::Everything
        || sight == Sight::Autoconfiguration && autoconfig::PATHS.contains(&request.path.as_str());
    // RFC 9110 section 15.5.20. Its words are read by the page that asked, and so name nothing.
    let words = "this is no name of the appliance: ask for it by its host name or its address";
    (!allowed).then(|| Response::words("421 Misdirected Request", words))
}

fn respond(path: &str, operator: &Operator) -> Response {
    let context = &operator.context;
    match path {
        "/" => Response::page("text/html", page::html(&operator.status().impersonal())),
        "/status.json" => Response::page("application/json", operator.status().impersonal().to_json()),
        "/ca.pem" => match operator.local_ca() {
            Some(pem) => Response::page("application/x-pem-file", pem),
            None => Response::error("404 Not Found"),
        },
        path if autoconfig::PATHS.contains(&path) => Response::page(
            "text/xml",
            autoconfig::client_config(&context.config(), context.announced().as_deref()),
        ),
        _ => Response::error("404 Not Found"),
    }
}

#[cfg(test)]
pub(in crate::http) mod tests;
