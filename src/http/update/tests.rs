//! Sessions over loopback with the simulated flash: what is sent, and what comes back.

use std::rc::Rc;

use super::*;
use crate::board::Board;
use crate::board::device::{Device, Ending};
use crate::board::pbu::{Pbu, identity};
use crate::board::update::HEAD;
use crate::certificate;
use crate::config::{Account, Config};
use crate::credential::Verifier;
use crate::flash::Flash;
use crate::flash::sim::SimFlash;
use crate::http::tests::site;
use crate::net::stream;
use crate::store::Store;

/// A device whose operator has the password `right`, and whose user `demo` has the password `mine`.
async fn context(flash: &SimFlash) -> Context {
    let flash: Rc<dyn Flash> = Rc::new(flash.clone());
    let mut config = Config::default();
    config.server.operator_verifier = Verifier::with("right", 1, [0; 16]);
    config.accounts.push(Account {
        id: 7,
        name: "demo".try_into().unwrap(),
        address: "demo@home.example".try_into().unwrap(),
        verifier: Verifier::with("mine", 1, [1; 16]),
        ..Account::default()
    });
    let server = certificate::server_config(&config, &*flash).await.unwrap();
    let store = Store::new(flash.clone());
    let device = Device::of(identity(), Board::new("/nowhere"), flash);
    Context::new(config, server, store).with_device(Some(device))
}

/// Sends `octets`, stops sending when `cut` says so, and gives the whole reply.
async fn ask(context: &Rc<Context>, octets: &[u8], cut: bool) -> String {
    let (mut client, served) = stream::tests::pair().await;
    let mut reply = Vec::new();
    let site = site(context.clone()).await;
    let talk = async {
        client.write(octets).await.unwrap();
        client.flush().await.unwrap();
        if cut {
            return client.close().await;
        }
        reply = stream::tests::rest(&mut client).await;
        client.close().await;
    };
    smol::future::zip(crate::http::serve(served, false, &site, || {}), talk).await;
    String::from_utf8(reply).unwrap()
}

fn put(login: &str, fields: &str, content: &[u8]) -> Vec<u8> {
    let login = BASE64.encode(login.as_bytes());
    let head =
        format!("PUT /update HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {login}\r\n{fields}\r\n");
    [head.as_bytes(), content].concat()
}

fn whole(login: &str, content: &[u8]) -> Vec<u8> {
    put(login, &format!("Content-Length: {}\r\n", content.len()), content)
}

fn updates(flash: &SimFlash) -> Vec<String> {
    flash.list("").unwrap().into_iter().filter(|name| name.starts_with("update")).collect()
}

#[test]
fn a_good_update_is_taken_and_the_device_restarts() {
    async_io::block_on(async {
        let flash = SimFlash::default();
        let context = Rc::new(context(&flash).await);
        let file = Pbu { image: vec![3; 300_000], ..Pbu::default() }.octets();
        let reply = ask(&context, &whole("operator:right", &file), false).await;
        assert!(reply.starts_with("HTTP/1.1 202 Accepted\r\n"), "{reply}");
        assert!(reply.contains("version 1.3.0 for orangepi-pc, signed \"stable release\", newer"), "{reply}");
        assert_eq!(updates(&flash), ["update.pbu"]);
        assert_eq!(context.device.as_ref().unwrap().ended().await, Ending::Update);
    });
}

/// The whole reply to `octets`, over TLS.
async fn ask_over_tls(site: &Site, octets: &[u8]) -> Vec<u8> {
    let (mut client, served) = stream::tests::pair_over(true).await;
    let mut reply = Vec::new();
    let talk = async {
        client.write(octets).await.unwrap();
        client.flush().await.unwrap();
        reply = stream::tests::rest(&mut client).await;
        client.close().await;
    };
    smol::future::zip(crate::http::serve(served, false, site, || {}), talk).await;
    reply
}

/// A form that is sent, `kind` with what is in it.
fn form(path: &str, cookie: &str, kind: &str, content: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nOrigin: https://localhost\r\nCookie: __Host-pillarbox={cookie}\r\n\
         Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        content.len()
    );
    [head.as_bytes(), content].concat()
}

fn between<'t>(text: &'t str, before: &str, after: &str) -> &'t str {
    text.split_once(before).unwrap_or_else(|| panic!("{text}")).1.split(after).next().unwrap()
}

/// Logs the operator in: the cookie, and the token of the page `path`.
async fn log_in(site: &Site, path: &str) -> (String, String) {
    log_in_as(site, "login=operator&password=right", path).await
}

async fn log_in_as(site: &Site, login: &str, path: &str) -> (String, String) {
    const PLAIN: &str = "application/x-www-form-urlencoded";
    let page = ask_over_tls(site, b"GET /login HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let page = String::from_utf8(page).unwrap();
    let typed = format!("token={}&{login}", between(&page, "name=\"token\" value=\"", "\""));
    let reply = ask_over_tls(site, &form("/login", "", PLAIN, typed.as_bytes())).await;
    let cookie = between(&String::from_utf8(reply).unwrap(), "__Host-pillarbox=", ";").to_owned();
    let get = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: __Host-pillarbox={cookie}\r\n\r\n");
    let page = String::from_utf8(ask_over_tls(site, get.as_bytes()).await).unwrap();
    (cookie, between(&page, "name=\"token\" value=\"", "\"").to_owned())
}

/// As Chromium writes it.
fn uploaded(cookie: &str, token: &str, password: &str, file: &[u8]) -> Vec<u8> {
    let field = |name: &str, value: &str| {
        format!("------W\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let head = field("token", token)
        + &field("password", password)
        + "------W\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.pbu\"\r\n\
           Content-Type: application/octet-stream\r\n\r\n";
    let content = [head.as_bytes(), file, b"\r\n------W--\r\n"].concat();
    form(PAGE, cookie, "multipart/form-data; boundary=----W", &content)
}

/// Catches: a browser's update whose first or last octet is lost, one that somebody else's page sends, or whoever finds the
/// browser open.
#[test]
fn an_update_comes_as_the_file_of_a_form() {
    async_io::block_on(async {
        let flash = SimFlash::default();
        let context = Rc::new(context(&flash).await);
        let site = site(context.clone()).await;
        let (cookie, token) = log_in(&site, "/server/update").await;
        let file = Pbu { image: vec![3; 300_000], ..Pbu::default() }.octets();
        for (cookie, token, password, file, expected) in [
            (&*cookie, &*token, "wrong", &*file, "403 Forbidden"),
            (&cookie, "x", "right", &file, "403 Forbidden"),
            ("x", &token, "right", &file, "403 Forbidden"),
            (&cookie, &token, "right", &file[..file.len() - 1], "422 Unprocessable Content"),
            (&cookie, &token, "right", b"", "422 Unprocessable Content"),
        ] {
            let reply = ask_over_tls(&site, &uploaded(cookie, token, password, file)).await;
            let reply = String::from_utf8(reply).unwrap();
            assert!(reply.starts_with(&format!("HTTP/1.1 {expected}\r\n")), "{reply}");
            assert!(updates(&flash).is_empty(), "{:?}", updates(&flash));
        }
        let reply = ask_over_tls(&site, &uploaded(&cookie, &token, "right", &file)).await;
        let reply = String::from_utf8(reply).unwrap();
        assert!(reply.starts_with("HTTP/1.1 202 Accepted\r\n"), "{reply}");
        assert!(reply.contains("version 1.3.0 for orangepi-pc"), "{reply}");
        assert_eq!(updates(&flash), ["update.pbu"]);
        assert_eq!(context.device.as_ref().unwrap().ended().await, Ending::Update);
    });
}

/// Catches: an update that comes through the session of a user, which has no right to the operator's pages, whatever password it
/// brings.
#[test]
fn a_users_session_takes_no_update() {
    async_io::block_on(async {
        let flash = SimFlash::default();
        let site = site(Rc::new(context(&flash).await)).await;
        let (cookie, token) = log_in_as(&site, "login=demo&password=mine", "/mine").await;
        let file = Pbu { image: vec![3; 3000], ..Pbu::default() }.octets();
        let reply = ask_over_tls(&site, &uploaded(&cookie, &token, "right", &file)).await;
        let reply = String::from_utf8(reply).unwrap();
        assert!(reply.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{reply}");
        assert!(updates(&flash).is_empty(), "{:?}", updates(&flash));
    });
}

/// Catches: an update that was taken whole, and waits for ever because the browser has gone before the end of its form.
#[test]
fn who_goes_before_the_end_of_the_form_does_not_undo_the_update() {
    async_io::block_on(async {
        let flash = SimFlash::default();
        let context = Rc::new(context(&flash).await);
        let site = site(context.clone()).await;
        let (cookie, token) = log_in(&site, "/server/update").await;
        let file = Pbu { image: vec![3; 3000], ..Pbu::default() }.octets();
        let mut sent = uploaded(&cookie, &token, "right", &file);
        sent.truncate(sent.len() - 5);
        let (mut client, served) = stream::tests::pair_over(true).await;
        let talk = async {
            client.write(&sent).await.unwrap();
            client.flush().await.unwrap();
            client.close().await;
        };
        smol::future::zip(crate::http::serve(served, false, &site, || {}), talk).await;
        assert_eq!(updates(&flash), ["update.pbu"]);
        let ended = context.device.as_ref().unwrap().ended();
        let late = async {
            async_io::Timer::after(std::time::Duration::from_secs(20)).await;
            panic!("the device does not restart");
        };
        assert_eq!(smol::future::or(ended, late).await, Ending::Update);
    });
}

/// Catches: a backup that is not whole, or whole although it broke off; one for whoever finds the browser open.
#[test]
fn a_backup_is_downloaded() {
    async_io::block_on(async {
        const PLAIN: &str = "application/x-www-form-urlencoded";
        let flash = SimFlash::default();
        let context = Rc::new(context(&flash).await);
        let site = site(context.clone()).await;
        let (cookie, token) = log_in(&site, "/server/backup").await;
        let ask = async |password: &str| {
            let typed = format!("token={token}&password={password}");
            ask_over_tls(&site, &form("/server/backup", &cookie, PLAIN, typed.as_bytes())).await
        };
        let refused = String::from_utf8(ask("wrong").await).unwrap();
        assert!(refused.starts_with("HTTP/1.1 422 ") && refused.contains("name=\"password\""), "{refused}");
        // Catches: chunks for a client that takes them for the backup itself (RFC 9112 section 6.1).
        let typed = format!("token={token}&password=right");
        let request = form("/server/backup", &cookie, PLAIN, typed.as_bytes());
        let old = String::from_utf8(request).unwrap().replacen("HTTP/1.1", "HTTP/1.0", 1);
        let refused = String::from_utf8(ask_over_tls(&site, old.as_bytes()).await).unwrap();
        assert!(refused.starts_with("HTTP/1.1 505 ") && refused.contains("Content-Length"), "{refused}");
        let reply = ask("right").await;
        let head = reply.windows(4).position(|it| it == b"\r\n\r\n").unwrap() + 4;
        let shown = String::from_utf8_lossy(&reply[..head]);
        assert!(
            shown.contains("Transfer-Encoding: chunked\r\n") && !shown.contains("Content-Length"),
            "{shown}"
        );
        assert!(shown.contains("attachment; filename=\"pillarbox.local-20"), "{shown}");
        let (mut tar, mut rest) = (Vec::new(), &reply[head..]);
        loop {
            let line = rest.iter().position(|&octet| octet == b'\r').unwrap();
            let len = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
            tar.extend_from_slice(&rest[line + 2..line + 2 + len]);
            rest = &rest[line + 2 + len..];
            assert!(rest.starts_with(b"\r\n"));
            rest = &rest[2..];
            if len == 0 {
                break;
            }
        }
        assert!(rest.is_empty());
        let into = SimFlash::default();
        let read = crate::archive::backup::read(&into, &mut &tar[..], &|_| {}).await.unwrap();
        assert!(read.files > 0 && read.octets > 0, "{read:?}");
        let busy = site.operator.mail.try_lock().unwrap();
        assert!(ask("right").await.starts_with(b"HTTP/1.1 503 "));
        drop(busy);
    });
}

#[test]
fn what_is_not_taken_is_refused_with_words_and_leaves_nothing() {
    async_io::block_on(async {
        let flash = SimFlash::default();
        let context = Rc::new(context(&flash).await);
        let right = Pbu::default().octets();
        let mut wrong = right.clone();
        *wrong.last_mut().unwrap() ^= 1;
        let other = Pbu { board: "bananapi", ..Pbu::default() }.octets();
        let (long, much) = (format!("Content-Length: {}\r\n", LARGEST + 1), "Content-Length: 100\r\n");
        for (request, status, words) in [
            (
                whole("operator:wrong", &right),
                "401 Unauthorized",
                "WWW-Authenticate: Basic realm=\"operator\"",
            ),
            (whole("demo:right", &right), "401 Unauthorized", "WWW-Authenticate"),
            (whole("nonsense", &right), "401 Unauthorized", "WWW-Authenticate"),
            (
                b"PUT /update HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
                "401 Unauthorized",
                "WWW-Authenticate",
            ),
            (put("operator:right", "", b""), "411 Length Required", "Content-Length"),
            (put("operator:right", "Transfer-Encoding: chunked\r\n", b"0\r\n\r\n"), "411", "not in chunks"),
            (put("operator:right", &long, b""), "413 Content Too Large", "25167872 octets at the most"),
            (whole("operator:right", &wrong), "422 Unprocessable Content", "the signature is wrong"),
            (whole("operator:right", &other), "422", "for the board bananapi, this is orangepi-pc"),
            (whole("operator:right", &right[..HEAD]), "422", "says that it has 12048"),
            (put("operator:right", much, &[b'x'; 100]), "422", "no update of Pillarbox"),
            (b"PUT /status.json HTTP/1.1\r\n\r\n".to_vec(), "405 Method Not Allowed", "Allow: GET, HEAD"),
            (b"POST /update HTTP/1.1\r\n\r\n".to_vec(), "405 Method Not Allowed", "Allow: PUT"),
            (b"GET /update HTTP/1.1\r\n\r\n".to_vec(), "405 Method Not Allowed", "Allow: PUT"),
        ] {
            let reply = ask(&context, &request, false).await;
            assert!(reply.starts_with(&format!("HTTP/1.1 {status}")) && reply.contains(words), "{reply}");
            assert!(updates(&flash).is_empty(), "{reply}");
        }
        assert_eq!(context.logins.refusals().len(), 2, "both that named somebody");
    });
}

/// Catches: an operator with the right password who hears that it is wrong, for somebody else guesses, or does not hear
/// when to come again.
#[test]
fn who_is_turned_away_hears_when_to_come_again() {
    async_io::block_on(async {
        let flash = SimFlash::default();
        let context = Rc::new(context(&flash).await);
        context.logins.crowd("127.0.0.1".parse().unwrap());
        let reply = ask(&context, &whole("operator:right", &Pbu::default().octets()), false).await;
        assert!(reply.starts_with("HTTP/1.1 429 Too Many Requests\r\n"), "{reply}");
        assert!(reply.contains("\r\nRetry-After: 60\r\n") && !reply.contains("WWW-Authenticate"), "{reply}");
        assert!(
            reply.ends_with("\r\n\r\ntoo many logins from your address wait, try again later\n"),
            "{reply}"
        );
        assert!(updates(&flash).is_empty() && context.logins.refusals().is_empty());
    });
}

#[test]
fn an_upload_that_is_cut_off_leaves_nothing() {
    async_io::block_on(async {
        let flash = SimFlash::default();
        let context = Rc::new(context(&flash).await);
        let file = Pbu { image: vec![3; 300_000], ..Pbu::default() }.octets();
        let request = whole("operator:right", &file);
        for end in [request.len() - 1, 200_000, 3000, 500] {
            ask(&context, &request[..end], true).await;
            assert!(updates(&flash).is_empty(), "cut at {end}");
        }
        let reply = ask(&context, &request, false).await;
        assert!(reply.starts_with("HTTP/1.1 202"), "none of them is in the way: {reply}");
    });
}

#[test]
fn a_client_that_waits_hears_that_it_may_go_on_or_why_not() {
    async_io::block_on(async {
        let flash = SimFlash::default();
        let context = Rc::new(context(&flash).await);
        let file = Pbu::default().octets();
        let fields = format!("Content-Length: {}\r\nExpect: 100-continue\r\n", file.len());
        let reply = ask(&context, &put("operator:wrong", &fields, b""), false).await;
        assert!(reply.starts_with("HTTP/1.1 401"), "{reply}");
        flash.limit(Some(5000));
        let reply = ask(&context, &put("operator:right", &fields, b""), false).await;
        assert!(reply.starts_with("HTTP/1.1 507 Insufficient Storage"), "{reply}");
        flash.limit(None);
        let reply = ask(&context, &put("operator:right", &fields, &file), false).await;
        assert!(reply.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\n"), "{reply}");
    });
}

#[test]
fn only_from_the_lan_with_a_password_set_and_on_a_device() {
    async_io::block_on(async {
        let flash = SimFlash::default();
        let request = whole("operator:right", &Pbu::default().octets());
        let elsewhere = Rc::new(context(&flash).await.with_device(None));
        assert!(ask(&elsewhere, &request, false).await.contains("does not run from a card image"));
        let context = Rc::new(context(&flash).await);
        let mut config = Config::clone(&context.config());
        config.server.operator_verifier = Config::default().server.operator_verifier;
        context.reconfigure(config.clone(), context.tls());
        let reply = ask(&context, &request, false).await;
        assert!(reply.starts_with("HTTP/1.1 403") && reply.contains("no operator's password"), "{reply}");
        config.server.operator_verifier = Verifier::with("right", 1, [0; 16]);
        config.server.lan = vec!["192.168.7.0/24".parse().unwrap()];
        context.reconfigure(config, context.tls());
        assert!(ask(&context, &request, false).await.starts_with("HTTP/1.1 403 Forbidden"));
        assert!(updates(&flash).is_empty() && context.logins.refusals().is_empty());
    });
}

#[test]
fn credentials_are_read_as_clients_write_them() {
    let read = |field: &str| credentials(field).map(|(login, password)| (login, password.to_vec()));
    let expected = Some(("operator".to_owned(), b"a:b".to_vec()));
    assert_eq!(read("Basic b3BlcmF0b3I6YTpi"), expected);
    assert_eq!(read("bASIC  b3BlcmF0b3I6YTpi "), expected);
    for wrong in ["Basic", "Basic !", "Bearer b3BlcmF0b3I6YTpi", "Basic b3BlcmF0b3I=", ""] {
        assert_eq!(read(wrong), None, "{wrong}");
    }
}
