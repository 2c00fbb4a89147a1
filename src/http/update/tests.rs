//! Sessions over loopback with the simulated flash: what is sent, and what comes back.

use std::rc::Rc;

use super::*;
use crate::board::Board;
use crate::board::device::{Device, Ending};
use crate::board::pbu::{Pbu, identity};
use crate::board::update::HEAD;
use crate::certificate;
use crate::config::Config;
use crate::credential::Verifier;
use crate::flash::Flash;
use crate::flash::sim::SimFlash;
use crate::http::tests::site;
use crate::net::stream;
use crate::store::Store;

/// A device whose operator has the password `right`.
async fn context(flash: &SimFlash) -> Context {
    let flash: Rc<dyn Flash> = Rc::new(flash.clone());
    let mut config = Config::default();
    config.server.operator_verifier = Verifier::with("right", 1, [0; 16]);
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
