//! HTTP for the LAN, plain or over TLS: client autoconfiguration and a read-only status page.
//!
//! One request a connection, GET and HEAD only, no state and nothing to log in to: whoever is outside
//! `server.lan` gets 403.

mod autoconfig;
mod page;

use std::io;
use std::rc::Rc;
use std::time::Duration;

use crate::access;
use crate::context::Context;
use crate::net::deadline;
use crate::net::stream::Stream;
use crate::status::Status;

/// A request that takes longer is given up.
const PATIENCE: Duration = Duration::from_secs(20);
/// Octets of a request's head.
const HEAD_MAX: usize = 8 * 1024;
/// Header fields of a request.
const FIELDS_MAX: usize = 64;

/// A reply (RFC 9112 section 4).
#[derive(Debug, PartialEq, Eq)]
struct Response {
    status: &'static str,
    content_type: &'static str,
    content: String,
}

impl Response {
    fn error(status: &'static str) -> Response {
        Response { status, content_type: "text/plain", content: format!("{status}\n") }
    }

    fn head(&self) -> String {
        format!(
            "HTTP/1.1 {}\r\nContent-Type: {}; charset=utf-8\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
             X-Content-Type-Options: nosniff\r\nContent-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\n\
             Connection: close\r\n\r\n",
            self.status,
            self.content_type,
            self.content.len()
        )
    }
}

/// Serves one request, over TLS from the first octet where `implicit_tls` says so.
pub async fn serve(
    mut stream: Stream,
    implicit_tls: bool,
    context: Rc<Context>,
    status: impl Fn() -> Status,
) {
    let outcome = deadline(PATIENCE, async {
        if implicit_tls {
            stream.accept_tls(context.tls()).await?;
        }
        let (response, with_content) = match request(&mut stream).await? {
            None => return Ok(()),
            Some(Err(status)) => (Response::error(status), true),
            Some(Ok(_)) if !access::on_lan(&context.config(), stream.peer().ip()) => {
                (Response::error("403 Forbidden"), true)
            }
            Some(Ok(Request { path, head_only })) => (respond(&path, &context, status), !head_only),
        };
        stream.write(response.head().as_bytes()).await?;
        if with_content {
            stream.write(response.content.as_bytes()).await?;
        }
        stream.flush().await
    });
    if let Err(error) = outcome.await {
        log::debug!("http: {error}");
    }
    stream.close().await;
}

struct Request {
    path: String,
    head_only: bool,
}

/// Reads the head of a request; `None` when there is none, `Err` with the status that answers a bad one.
async fn request(stream: &mut Stream) -> io::Result<Option<Result<Request, &'static str>>> {
    let mut head = Vec::new();
    loop {
        let more = stream.fill().await?;
        if more.is_empty() {
            return Ok(None);
        }
        head.extend_from_slice(more);
        let taken = more.len();
        stream.consume(taken);
        if let Some(parsed) = parse(&head) {
            return Ok(Some(parsed));
        }
    }
}

/// `None` while the head is not whole.
fn parse(head: &[u8]) -> Option<Result<Request, &'static str>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) if head.len() <= HEAD_MAX => return None,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return Some(Err("431 Request Header Fields Too Large"));
        }
        Err(_) => return Some(Err("400 Bad Request")),
    }
    let head_only = match request.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => return Some(Err("405 Method Not Allowed")),
    };
    let path = request.path.unwrap_or_default();
    let path = path.split_once('?').map_or(path, |(path, _)| path).to_owned();
    Some(Ok(Request { path, head_only }))
}

fn respond(path: &str, context: &Context, status: impl Fn() -> Status) -> Response {
    match path {
        "/" => Response { status: "200 OK", content_type: "text/html", content: page::html(&status()) },
        "/status.json" => {
            Response { status: "200 OK", content_type: "application/json", content: status().to_json() }
        }
        "/mail/config-v1.1.xml" | "/.well-known/autoconfig/mail/config-v1.1.xml" => Response {
            status: "200 OK",
            content_type: "text/xml",
            content: autoconfig::client_config(&context.config()),
        },
        _ => Response::error("404 Not Found"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::flash::sim::SimFlash;
    use crate::flash::{Flash, Mode};
    use crate::net::{stream, tls};
    use crate::store::Store;

    #[test]
    fn the_same_pages_come_over_tls() {
        async_io::block_on(async {
            let flash = Rc::new(SimFlash::default());
            let server = tls::server_config(&Config::default(), &*flash).await.unwrap();
            let store = Store::new(flash.clone(), crate::message::summarize);
            let context = Rc::new(Context::new(Config::default(), server, store));
            let file = flash.open("tls/ca.pem", Mode::Read).unwrap();
            let mut ca = vec![0; file.len().unwrap().try_into().unwrap()];
            file.read_exact_at(0, &mut ca).unwrap();
            let path = std::env::temp_dir().join(format!("pillarbox-https-{}.pem", std::process::id()));
            std::fs::write(&path, ca).unwrap();
            let trust = tls::client_config(path.to_str().unwrap());
            std::fs::remove_file(&path).unwrap();

            let (mut client, served) = stream::tests::pair().await;
            smol::future::zip(serve(served, true, context, Status::default), async {
                client.connect_tls(trust.unwrap(), "pillarbox.local").await.unwrap();
                client.queue(b"GET /status.json HTTP/1.1\r\nHost: pillarbox.local\r\n\r\n");
                client.flush().await.unwrap();
                let mut reply = Vec::new();
                loop {
                    let piece = client.fill().await.unwrap();
                    if piece.is_empty() {
                        break;
                    }
                    reply.extend_from_slice(piece);
                    let taken = piece.len();
                    client.consume(taken);
                }
                client.close().await;
                let reply = String::from_utf8(reply).unwrap();
                assert!(reply.starts_with("HTTP/1.1 200 OK\r\n") && reply.ends_with('}'), "{reply}");
            })
            .await;
        });
    }

    #[test]
    fn only_whole_and_harmless_requests_are_answered() {
        let parsed =
            |head: &str| parse(head.as_bytes()).map(|request| request.map(|r| (r.path, r.head_only)));
        let page = |path: &str, head_only| Some(Ok((path.to_owned(), head_only)));
        assert_eq!(parsed("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), page("/", false));
        assert_eq!(parsed("HEAD /x?y=z HTTP/1.0\r\n\r\n"), page("/x", true));
        assert_eq!(parsed("GET / HTTP/1.1\r\nHost"), None);
        assert_eq!(parsed("POST / HTTP/1.1\r\n\r\n"), Some(Err("405 Method Not Allowed")));
        assert_eq!(parsed("\u{1}\u{2}"), Some(Err("400 Bad Request")));
        let long = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(HEAD_MAX));
        assert_eq!(parsed(&long), Some(Err("431 Request Header Fields Too Large")));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: x\r\n".repeat(FIELDS_MAX + 1));
        assert_eq!(parsed(&many), Some(Err("431 Request Header Fields Too Large")));
    }
}
