//! Requests over loopback, and what the pages tell.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;

use super::*;
use crate::config::Config;
use crate::config::Protocol;
use crate::flash::Space;
use crate::flash::sim::SimFlash;
use crate::multipop::{PollResult, Poller, SourceStatus};
use crate::net::{stream, tls};
use crate::oauth2::Tokens;
use crate::operator::Appliance;
use crate::operator::status::Status;
use crate::relay::{QueueEntry, Relay, SentBy};
use crate::store::Store;
use crate::{certificate, config};

/// What lies above, for tests: settings are put in force and nothing else.
struct Above(Rc<Context>);
impl Above {
    fn put(&self, mut config: Config) -> Pin<Box<dyn Future<Output = Result<(), String>> + '_>> {
        config.identify(&self.0.config());
        self.0.reconfigure(config, self.0.tls());
        Box::pin(async { Ok(()) })
    }
}
impl Appliance for Above {
    fn apply(&self, config: Config) -> Pin<Box<dyn Future<Output = Result<(), String>> + '_>> {
        self.put(config)
    }
    fn try_out(&self, config: Config) -> Pin<Box<dyn Future<Output = Result<(), String>> + '_>> {
        self.put(config)
    }
    fn reload(&self) -> Pin<Box<dyn Future<Output = Result<(), String>> + '_>> {
        Box::pin(async { Ok(()) })
    }
    fn uptime(&self) -> Duration {
        Duration::ZERO
    }
    fn listeners(&self) -> Vec<(&'static str, SocketAddr)> {
        Vec::new()
    }
    fn space(&self) -> Option<Space> {
        None
    }
    fn no_changes(&self) -> Option<String> {
        None
    }
    fn device_written(&self) -> Option<u64> {
        None
    }
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }
    fn signed(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
    fn certificate(&self) -> Option<crate::net::certificate::Certificate> {
        None
    }
    fn local_ca(&self) -> Option<String> {
        Some("-----BEGIN CERTIFICATE-----\n".to_owned())
    }
}

/// The pages of what `context` has.
pub(in crate::http) async fn site(context: Rc<Context>) -> Rc<Site> {
    let tokens = Tokens::new(context.clone());
    let queue = context.store.queue().await.unwrap();
    let relay = Relay::new(context.clone(), queue, tokens.clone());
    let poller = Poller::new(context.clone(), tokens.clone());
    Site::new(Operator::new(context.clone(), poller, relay, Rc::new(Above(context)), tokens))
}

/// What is about persons has `SECRET` in it.
fn status() -> Status {
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
        let context = Rc::new(Context::new(Config::default(), server, Store::new(flash)));
        let reply = heard(&context, "GET /ca.pem HTTP/1.1\r\nHost: localhost\r\n").await;
        assert!(reply.starts_with("HTTP/1.1 200 OK\r\nContent-Type: application/x-pem-file"), "{reply}");
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
    let site = site(context.clone()).await;
    smol::future::zip(serve(served, false, &site, || {}), async {
        client.write(format!("{head}\r\n").as_bytes()).await.unwrap();
        client.flush().await.unwrap();
        reply = stream::tests::rest(&mut client).await;
        client.close().await;
    })
    .await;
    String::from_utf8(reply).unwrap()
}

/// Catches: a status that tells the LAN who has which account, where their mail comes from, or who writes to whom.
#[test]
fn the_status_tells_counts_and_health_but_nothing_of_persons() {
    let json = status().impersonal().to_json();
    assert!(!json.contains("SECRET") && !json.contains("995"), "{json}");
    for part in [
        "{\"id\":7,\"from\":\"\",\"to\":[],\"size\":4711,\"created\":60,\"attempts\":2,\"next_try\":90,\"last_error\":null,\"account\":null,\"held\":false,\"in_doubt\":null}",
        "\"failures\":3,\"collected\":12,",
        "\"troubles\":[\"a login at the smarthost fails",
    ] {
        assert!(json.contains(part), "{part} is missing in {json}");
    }
    // The operator's own view stays.
    assert!(status().to_json().matches("SECRET").count() > 5);
}

/// Catches: a page that is made of what the operator sees.
#[test]
fn who_has_not_logged_in_sees_what_everybody_may_see() {
    async_io::block_on(async {
        let mut config = Config::demonstration(crate::credential::Verifier::new("x"));
        config::path::add_source(&mut config, "demo").unwrap();
        config::path::set(&mut config, "account.demo.source.1.host", "secret.example").unwrap();
        let context = context().await;
        context.reconfigure(config, context.tls());
        assert!(site(context.clone()).await.operator.status().to_json().contains("secret.example"));
        for path in ["/", "/status.json"] {
            let shown = heard(&context, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n")).await;
            assert!(shown.starts_with("HTTP/1.1 200 "), "{shown}");
            assert!(!shown.contains("secret.example") && !shown.contains("demo"), "{shown}");
        }
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
            assert!(status == "200" || !reply.contains("uptime") && !reply.contains("pillarbox."), "{reply}");
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
        let mut config = Config::demonstration(crate::credential::Verifier::new("x"));
        config.server.domains.push("home.example".try_into().unwrap());
        let server = certificate::server_config(&config, &*flash).await.unwrap();
        let context = Rc::new(Context::new(config, server, Store::new(flash)));
        for host in ["home.example", "autoconfig.home.example", "autoconfig.pillarbox.local"] {
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
        assert!(reply.starts_with("HTTP/1.1 405 ") && reply.contains("\r\nAllow: GET, HEAD\r\n"), "{reply}");
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

        let site = site(context).await;
        let (mut client, served) = stream::tests::pair().await;
        smol::future::zip(serve(served, true, &site, || {}), async {
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
        let site = site(context).await;
        let (_client, served) = stream::tests::pair().await;
        let size = size_of_val(&serve(served, true, &site, || {}));
        assert!(size < 1500, "{size}");
    });
}
