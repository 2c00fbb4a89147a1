//! HTTP for the LAN, plain or over TLS: client autoconfiguration, a read-only status page, and updates.
//!
//! One request a connection. Everything is read-only, and there is nothing to log in to, but for
//! `PUT /update`. Whoever is outside `server.lan` gets 403.

mod autoconfig;
mod page;
pub(crate) mod request;
mod update;

use std::io;
use std::rc::Rc;
use std::time::Duration;

use crate::access;
use crate::board::device::Ending;
use crate::context::Context;
use crate::net::deadline;
use crate::net::stream::Stream;
use crate::status::Status;
use request::{Method, Request};

/// A request that takes longer is given up.
const PATIENCE: Duration = Duration::from_secs(20);

/// A reply (RFC 9112 section 4).
#[derive(Debug, PartialEq, Eq)]
struct Response {
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

    fn head(&self) -> String {
        format!(
            "HTTP/1.1 {}\r\nContent-Type: {}; charset=utf-8\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
             X-Content-Type-Options: nosniff\r\nContent-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\n\
             {}Connection: close\r\n\r\n",
            self.status,
            self.content_type,
            self.content.len(),
            self.more
        )
    }
}

/// What the pages tell.
pub trait Facts {
    /// For the status page.
    fn status(&self) -> Status;
    /// The certificate of the local CA, in PEM, for the devices at home to import.
    fn ca(&self) -> Option<String>;
}

/// Serves one request, over TLS from the first octet where `implicit_tls` says so.
pub async fn serve(mut stream: Stream, implicit_tls: bool, context: Rc<Context>, facts: impl Facts) {
    let outcome = async {
        let asked = deadline(PATIENCE, async {
            if implicit_tls {
                stream.accept_tls(context.tls()).await?;
            }
            request::read(&mut stream).await
        });
        let (response, with_content) = match asked.await? {
            None => return Ok(false),
            Some(Err(status)) => (Response::error(status), true),
            Some(Ok(_)) if !access::on_lan(&context.config(), stream.peer().ip()) => {
                (Response::error("403 Forbidden"), true)
            }
            Some(Ok(mut request)) if request.method == Method::Put => {
                // Apart: every connection, of any service, has room for the largest future.
                let put = Box::pin(update::put(&mut stream, &context, &mut request));
                let (taken, response) = put.await?;
                let heard = answer(&mut stream, &response, true).await;
                return if taken { Ok(true) } else { heard.map(|()| false) };
            }
            Some(Ok(Request { path, method, .. })) => {
                (respond(&path, &context, &facts), method == Method::Get)
            }
        };
        answer(&mut stream, &response, with_content).await.map(|()| false)
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

async fn answer(stream: &mut Stream, response: &Response, with_content: bool) -> io::Result<()> {
    deadline(PATIENCE, async {
        stream.write(response.head().as_bytes()).await?;
        if with_content {
            stream.write(response.content.as_bytes()).await?;
        }
        stream.flush().await
    })
    .await
}

fn respond(path: &str, context: &Context, facts: &impl Facts) -> Response {
    match path {
        "/" => Response::page("text/html", page::html(&facts.status())),
        "/status.json" => Response::page("application/json", facts.status().to_json()),
        "/ca.pem" => match facts.ca() {
            Some(pem) => Response::page("application/x-pem-file", pem),
            None => Response::error("404 Not Found"),
        },
        "/mail/config-v1.1.xml" | "/.well-known/autoconfig/mail/config-v1.1.xml" => {
            Response::page("text/xml", autoconfig::client_config(&context.config()))
        }
        _ => Response::error("404 Not Found"),
    }
}

#[cfg(test)]
pub(in crate::http) mod tests {
    use super::*;
    use crate::config::Config;
    use crate::flash::sim::SimFlash;
    use crate::net::{stream, tls};
    use crate::store::Store;

    /// Facts for tests.
    pub(in crate::http) struct Told;
    impl Facts for Told {
        fn status(&self) -> Status {
            Status::default()
        }
        fn ca(&self) -> Option<String> {
            Some("-----BEGIN CERTIFICATE-----\n".to_owned())
        }
    }

    #[test]
    fn whoever_is_on_the_lan_gets_the_certificate_to_trust() {
        async_io::block_on(async {
            let flash = Rc::new(SimFlash::default());
            let server = tls::server_config(&Config::default(), &*flash).await.unwrap();
            let pem = tls::local_ca(&Config::default(), &*flash).unwrap();
            assert!(pem.starts_with("-----BEGIN CERTIFICATE-----") && !pem.contains("KEY"));
            let mut elsewhere = Config::default();
            elsewhere.tls.certificate = "from-elsewhere.pem".try_into().unwrap();
            assert_eq!(tls::local_ca(&elsewhere, &*flash), None);
            let context =
                Context::new(Config::default(), server, Store::new(flash, crate::message::summarize));
            let response = respond("/ca.pem", &context, &Told);
            assert_eq!((response.status, response.content_type), ("200 OK", "application/x-pem-file"));
        });
    }

    #[test]
    fn the_same_pages_come_over_tls() {
        async_io::block_on(async {
            let flash = Rc::new(SimFlash::default());
            let server = tls::server_config(&Config::default(), &*flash).await.unwrap();
            let store = Store::new(flash.clone(), crate::message::summarize);
            let context = Rc::new(Context::new(Config::default(), server, store));
            let ca = tls::local_ca(&Config::default(), &*flash).unwrap();
            let path = std::env::temp_dir().join(format!("pillarbox-https-{}.pem", std::process::id()));
            std::fs::write(&path, ca).unwrap();
            let trust = tls::client_config(path.to_str().unwrap());
            std::fs::remove_file(&path).unwrap();

            let (mut client, served) = stream::tests::pair().await;
            smol::future::zip(serve(served, true, context, Told), async {
                client.connect_tls(trust.unwrap(), "pillarbox.local").await.unwrap();
                client.queue(b"GET /status.json HTTP/1.1\r\nHost: pillarbox.local\r\n\r\n");
                client.flush().await.unwrap();
                let reply = stream::tests::rest(&mut client).await;
                client.close().await;
                let reply = String::from_utf8(reply).unwrap();
                assert!(reply.starts_with("HTTP/1.1 200 OK\r\n") && reply.ends_with('}'), "{reply}");
            })
            .await;
        });
    }

    /// A task of an idle connection is as large as the largest of all services.
    #[test]
    fn an_update_does_not_make_every_connection_larger() {
        async_io::block_on(async {
            let flash = Rc::new(SimFlash::default());
            let tls = tls::server_config(&Config::default(), &*flash).await.unwrap();
            let store = Store::new(flash, crate::message::summarize);
            let context = Rc::new(Context::new(Config::default(), tls, store));
            let (_client, served) = stream::tests::pair().await;
            let size = size_of_val(&serve(served, true, context, Told));
            assert!(size < 1500, "{size}");
        });
    }
}
