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
use std::rc::Rc;
use std::time::Duration;

use crate::access;
use crate::board::device::Ending;
use crate::clock::Time;
use crate::context::Context;
use crate::net::stream::Stream;
use crate::status::Status;
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

/// What the pages tell.
pub trait Facts {
    /// For the status page.
    fn status(&self) -> Status;
    /// The certificate of the local CA, in PEM, for the devices at home to import.
    fn ca(&self) -> Option<String>;
    /// The connection is no longer one that nobody would miss: an update comes in.
    fn is_busy(&self) {}
}

/// Serves one request, over TLS from the first octet where `implicit_tls` says so.
pub async fn serve(mut stream: Stream, implicit_tls: bool, context: Rc<Context>, facts: impl Facts) {
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
            Some(Ok(mut request)) => match refusal(&request, &context, stream.peer().ip()) {
                Some(response) => (response, request.method != Method::Head),
                None if request.method == Method::Put => {
                    facts.is_busy();
                    // Apart: every connection, of any service, has room for the largest future.
                    let put = Box::pin(update::put(&mut stream, &context, &mut request));
                    let (taken, response) = put.await?;
                    let heard = answer(&mut stream, &response, true, &context.time).await;
                    return if taken { Ok(true) } else { heard.map(|()| false) };
                }
                None => (respond(&request.path, &context, &facts), request.method != Method::Head),
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

fn respond(path: &str, context: &Context, facts: &impl Facts) -> Response {
    match path {
        "/" => Response::page("text/html", page::html(&facts.status().impersonal())),
        "/status.json" => Response::page("application/json", facts.status().impersonal().to_json()),
        "/ca.pem" => match facts.ca() {
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
pub(in crate::http) mod tests {
    use super::*;
    use crate::certificate;
    use crate::config::Config;
    use crate::config::Protocol;
    use crate::flash::sim::SimFlash;
    use crate::multipop::{PollResult, SourceStatus};
    use crate::net::{stream, tls};
    use crate::relay::{QueueEntry, SentBy};
    use crate::store::Store;

    /// Facts for tests. What is about persons has `SECRET` in it.
    pub(in crate::http) struct Told;
    impl Facts for Told {
        fn status(&self) -> Status {
            let secret = || "SECRET".to_owned();
            let queued = QueueEntry {
                id: 7,
                from: secret(),
                to: vec![secret(), secret()],
                size: 4711,
                created: 60,
                attempts: 2,
                next_try: 90,
                last_error: Some(secret()),
                sent_by: SentBy::Account(secret()),
                held: false,
                in_doubt: None,
            };
            let source = SourceStatus {
                account: secret(),
                host: secret(),
                port: 995,
                protocol: Protocol::Pop3,
                username: secret(),
                folders: vec![secret()],
                waits_for_news: false,
                enabled: true,
                held: false,
                polling: false,
                going: None,
                waiting_for_time: false,
                last_poll: Some(50),
                last_result: Some(PollResult::Failed { error: secret(), collected: 1 }),
                next_poll: Some(100),
                failures: 3,
                collected: 12,
                again: 0,
            };
            let (queue, troubles) = (vec![queued.clone(), queued], vec![secret()]);
            Status { now: 120, queue, troubles, sources: vec![source], ..Status::default() }
        }
        fn ca(&self) -> Option<String> {
            Some("-----BEGIN CERTIFICATE-----\n".to_owned())
        }
    }

    #[test]
    fn whoever_is_on_the_lan_gets_the_certificate_to_trust() {
        async_io::block_on(async {
            let flash = Rc::new(SimFlash::default());
            let server = certificate::server_config(&Config::default(), &*flash).await.unwrap();
            let pem = certificate::local_ca(&Config::default(), &*flash).unwrap();
            assert!(pem.starts_with("-----BEGIN CERTIFICATE-----") && !pem.contains("KEY"));
            let mut elsewhere = Config::default();
            elsewhere.tls.certificate = "from-elsewhere.pem".try_into().unwrap();
            assert_eq!(certificate::local_ca(&elsewhere, &*flash), None);
            let context = Context::new(Config::default(), server, Store::new(flash));
            let response = respond("/ca.pem", &context, &Told);
            assert_eq!((response.status, response.content_type), ("200 OK", "application/x-pem-file"));
        });
    }

    async fn context() -> Rc<Context> {
        let flash = Rc::new(SimFlash::default());
        let server = certificate::server_config(&Config::default(), &*flash).await.unwrap();
        Rc::new(Context::new(Config::default(), server, Store::new(flash)))
    }

    /// The whole answer to a request's head.
    async fn heard(context: &Rc<Context>, head: &str) -> String {
        let (mut client, served) = stream::tests::pair().await;
        let mut reply = Vec::new();
        smol::future::zip(serve(served, false, context.clone(), Told), async {
            client.write(format!("{head}\r\n").as_bytes()).await.unwrap();
            client.flush().await.unwrap();
            reply = stream::tests::rest(&mut client).await;
            client.close().await;
        })
        .await;
        String::from_utf8(reply).unwrap()
    }

    /// Catches: a page that tells the LAN who has which account, where their mail comes from, or who writes to whom.
    #[test]
    fn the_pages_tell_counts_and_health_but_nothing_of_persons() {
        async_io::block_on(async {
            let context = context().await;
            for path in ["/", "/status.json"] {
                let shown = respond(path, &context, &Told).content;
                assert!(!shown.contains("SECRET") && !shown.contains("995"), "{shown}");
            }
            let page = respond("/", &context, &Told).content;
            for part in ["2 waiting, the oldest from 1m ago", "1, 1 failing", "<td>12<td>3 failures in a row"]
            {
                assert!(page.contains(part), "{part} is missing in {page}");
            }
            let json = respond("/status.json", &context, &Told).content;
            for part in [
                "{\"id\":7,\"from\":\"\",\"to\":[],\"size\":4711,\"created\":60,\"attempts\":2,\"next_try\":90,\"last_error\":null,\"account\":null,\"held\":false,\"in_doubt\":null}",
                "\"failures\":3,\"collected\":12,",
                "\"troubles\":[\"a login at the smarthost fails",
            ] {
                assert!(json.contains(part), "{part} is missing in {json}");
            }
            // The operator's own view stays.
            assert!(Told.status().to_json().matches("SECRET").count() > 5);
        });
    }

    /// Catches: DNS rebinding, by which a page from elsewhere reads ours under its own name.
    #[test]
    fn who_asks_for_somebody_else_gets_nothing() {
        async_io::block_on(async {
            let context = context().await;
            context.set_announced(Some("pillarbox-2.local".to_owned()));
            let status = async |head: &str| {
                let reply = heard(&context, head).await;
                let status = reply.get(9..12).unwrap().to_owned();
                assert!(
                    status == "200" || !reply.contains("uptime") && !reply.contains("pillarbox."),
                    "{reply}"
                );
                status
            };
            for host in
                ["pillarbox.local", "PILLARBOX-2.local:80", "pillarbox", "localhost", "127.0.0.1:80", "[::1]"]
            {
                assert_eq!(
                    status(&format!("GET /status.json HTTP/1.1\r\nHost: {host}\r\n")).await,
                    "200",
                    "{host}"
                );
            }
            for host in ["evil.example", "pillarbox.local.evil.example", "home.example", "192.0.2.77"] {
                for path in ["/", "/status.json", "/ca.pem", "/update"] {
                    let method = if path == "/update" { "PUT" } else { "GET" };
                    let head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n");
                    assert_eq!(status(&head).await, "421", "{host} {path}");
                }
            }
            let absolute =
                |own: &str, host: &str| format!("GET http://{own}/status.json HTTP/1.1\r\nHost: {host}\r\n");
            assert_eq!(status(&absolute("localhost", "evil.example")).await, "200");
            assert_eq!(status(&absolute("evil.example", "localhost")).await, "421");
            assert_eq!(status("GET /status.json HTTP/1.1\r\n").await, "400");
            assert_eq!(status("GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n").await, "400");
        });
    }

    /// Catches: a mail domain under which more than the mail programs' settings is shown, or not even these.
    #[test]
    fn under_a_mail_domain_only_the_settings_of_mail_programs_are_shown() {
        async_io::block_on(async {
            let flash = Rc::new(SimFlash::default());
            let config = Config::demonstration(crate::credential::Verifier::new("x"));
            let server = certificate::server_config(&config, &*flash).await.unwrap();
            let context = Rc::new(Context::new(config, server, Store::new(flash)));
            for host in ["home.example", "autoconfig.home.example"] {
                for (path, status) in
                    autoconfig::PATHS.map(|path| (path, "200")).into_iter().chain([("/", "421")])
                {
                    let reply = heard(&context, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n")).await;
                    assert_eq!(&reply[9..12], status, "{host} {path}");
                }
            }
        });
    }

    /// Catches: a page that another site may frame, and a HEAD that is answered with content.
    #[test]
    fn answers_say_what_browsers_may_do_with_them() {
        async_io::block_on(async {
            let context = context().await;
            let reply = heard(&context, "GET / HTTP/1.1\r\nHost: localhost\r\n").await;
            let policy = reply.lines().find(|line| line.starts_with("Content-Security-Policy: ")).unwrap();
            for part in ["default-src 'none';", "frame-ancestors 'none'"] {
                assert!(policy.contains(part), "{policy}");
            }
            for host in ["localhost", "evil.example"] {
                let reply = heard(&context, &format!("HEAD / HTTP/1.1\r\nHost: {host}\r\n")).await;
                assert!(reply.ends_with("\r\n\r\n"), "{reply}");
            }
            let reply = heard(&context, "POST / HTTP/1.1\r\nHost: localhost\r\n").await;
            assert!(
                reply.starts_with("HTTP/1.1 405 ") && reply.contains("\r\nAllow: GET, HEAD\r\n"),
                "{reply}"
            );
        });
    }

    #[test]
    fn the_same_pages_come_over_tls() {
        async_io::block_on(async {
            let flash = Rc::new(SimFlash::default());
            let server = certificate::server_config(&Config::default(), &*flash).await.unwrap();
            let store = Store::new(flash.clone());
            let context = Rc::new(Context::new(Config::default(), server, store));
            let ca = certificate::local_ca(&Config::default(), &*flash).unwrap();
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
            let tls = certificate::server_config(&Config::default(), &*flash).await.unwrap();
            let store = Store::new(flash);
            let context = Rc::new(Context::new(Config::default(), tls, store));
            let (_client, served) = stream::tests::pair().await;
            let size = size_of_val(&serve(served, true, context, Told));
            assert!(size < 1500, "{size}");
        });
    }
}
