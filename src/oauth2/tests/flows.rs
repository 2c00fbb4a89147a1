//! Requests for permissions.

use std::time::Duration;

use async_io::Timer;
use data_encoding::BASE64URL_NOPAD;
use ring::digest::{SHA256, digest};
use smol::future::or;

use super::super::form::field;
use super::super::{Asking, Code, Device, Error};
use super::*;

const CODES: &str = r#"{"device_code":"d","user_code":"ABCD-EFGH","verification_uri":"https://p.example/device",
    "expires_in":"900","interval":5,"message":"x"}"#;

/// Runs a test with a device endpoint besides the token endpoint.
fn with_device(test: impl AsyncFnOnce(&Stage)) {
    let settings = |config: &mut Config| {
        for source in &mut config.accounts[0].sources {
            let client = source.oauth2.as_mut().unwrap();
            client.device_url =
                client.token_url.as_str().replace("/token", "/device").as_str().try_into().unwrap();
            client.scope = "mail offline".try_into().unwrap();
        }
    };
    play_in(settings, |context| context, test);
}

async fn begun(stage: &Stage) -> Device {
    stage.server.says(&[(200, CODES)]);
    match stage.tokens.ask(ANN).await.unwrap() {
        Asking::Device(device) => device,
        Asking::Code(_) => panic!("an address"),
    }
}

/// Waits for the outcome. The clock moves by each of `pauses` as soon as the server was asked after the one before.
async fn outcome(stage: &Stage, device: Device, pauses: &[u64]) -> Result<(), Error> {
    let clock = async {
        let asked = stage.server.times();
        for (n, pause) in pauses.iter().enumerate() {
            // There is no request before its time.
            stage.context.time.advance(Duration::from_secs(pause - 1));
            Timer::after(Duration::from_millis(5)).await;
            assert_eq!(stage.server.times(), asked + n, "asked before its time");
            stage.context.time.advance(Duration::from_secs(1));
            while stage.server.times() == asked + n {
                Timer::after(Duration::from_millis(1)).await;
            }
            Timer::after(Duration::from_millis(5)).await;
        }
        std::future::pending().await
    };
    or(stage.tokens.wait(ANN, device), clock).await
}

/// RFC 8628 section 3.5. Catches: a pause that is not kept or does not grow; a code that is given up for a passing
/// error of the server; a permission that only one source of the login gets.
#[test]
fn a_code_is_waited_for_at_the_server_s_pace() {
    with_device(async |stage| {
        let device = begun(stage).await;
        assert!(stage.server.was_asked("client_id=id&scope=mail%20offline"));
        assert_eq!((device.user_code(), device.uri()), ("ABCD-EFGH", "https://p.example/device"));
        assert_eq!((device.complete_uri(), device.lasts().as_secs()), ("https://p.example/device", 900));
        let pending = r#"{"error":"authorization_pending"}"#;
        let given = r#"{"access_token":"a1","refresh_token":"new","expires_in":3600}"#;
        stage.server.says(&[
            (400, pending),
            (400, r#"{"error":"slow_down"}"#),
            (400, pending),
            (503, ""),
            (200, given),
        ]);
        outcome(stage, device, &[5, 5, 10, 10, 15]).await.unwrap();
        assert!(stage.server.was_asked("device_code&device_code=d&client_id=id&client_secret=hush"));
        assert_eq!(stage.refresh_tokens(), ["new", "new", "other"]);
        // The token is there already, also for a client with the old refresh token.
        assert_eq!(stage.access(2).await.unwrap().reveal(), "a1");
    });
}

/// Catches: an ended code that is reported as something else, or is asked about for ever.
#[test]
fn a_code_has_an_end() {
    for (word, told) in [
        ("expired_token", "the code has ended: nobody gave the permission in time"),
        ("code_expired", "the code has ended: nobody gave the permission in time"),
        ("access_denied", "the permission was refused at the provider's page"),
        ("authorization_declined", "the permission was refused at the provider's page"),
        ("invalid_client", "the token server refuses: invalid_client"),
    ] {
        with_device(async |stage| {
            let device = begun(stage).await;
            stage.server.says(&[(400, &format!(r#"{{"error":"{word}"}}"#))]);
            assert_eq!(outcome(stage, device, &[5]).await.unwrap_err().to_string(), told);
            assert_eq!(stage.refresh_tokens(), ["r1", "r1", "other"]);
        });
    }
    with_device(async |stage| {
        let device = begun(stage).await;
        let clock = async {
            Timer::after(Duration::from_millis(5)).await;
            stage.context.time.advance(Duration::from_secs(901));
            std::future::pending().await
        };
        let late = or(stage.tokens.wait(ANN, device), clock).await;
        assert!(matches!(late, Err(Error::Late)));
    });
    // Without a refresh token the permission would end tomorrow.
    with_device(async |stage| {
        let device = begun(stage).await;
        stage.server.says(&[(200, r#"{"access_token":"a1"}"#)]);
        assert!(matches!(outcome(stage, device, &[5]).await, Err(Error::Refused(_))));
    });
    // A code that cannot be typed, or an invalid address.
    for codes in ["{}", &CODES.replace("https://p", "javascript:p"), &CODES.replace("ABCD-EFGH", "")] {
        with_device(async |stage| {
            stage.server.says(&[(200, codes)]);
            assert!(matches!(stage.tokens.ask(ANN).await, Err(Error::Nonsense(_))));
        });
    }
}

/// Catches: a QR code without the code in it, and a pause that grows until the user gives up.
#[test]
fn what_a_provider_gives_besides_is_used() {
    let complete = CODES.replace("}", r#","verification_uri_complete":"https://p.example/device?c=ABCD"}"#);
    let mut device = Device::new(200, complete.as_bytes()).unwrap();
    assert_eq!(
        (device.uri(), device.complete_uri()),
        ("https://p.example/device", "https://p.example/device?c=ABCD")
    );
    let odd = CODES.replace("}", r#","verification_uri_complete":"javascript:x"}"#);
    assert_eq!(Device::new(200, odd.as_bytes()).unwrap().complete_uri(), "https://p.example/device");
    for _ in 0..100 {
        assert!(device.hear(400, br#"{"error":"slow_down"}"#).unwrap().is_none());
    }
    assert_eq!(device.pause().as_secs(), 300);
}

fn page(config: &mut Config) {
    for source in &mut config.accounts[0].sources {
        let client = source.oauth2.as_mut().unwrap();
        client.auth_url = "https://p.example/auth?x=y".try_into().unwrap();
        client.scope = "mail".try_into().unwrap();
    }
}

async fn address(stage: &Stage) -> Code {
    match stage.tokens.ask(ANN).await.unwrap() {
        Asking::Code(code) => code,
        Asking::Device(_) => panic!("a device"),
    }
}

/// RFC 7636 section 4. Catches: a challenge that does not match the verifier, another redirect address in the second
/// request, and a code that is accepted for another request.
#[test]
fn a_pasted_address_becomes_a_permission() {
    play_in(
        page,
        |context| context,
        async |stage| {
            let code = address(stage).await;
            let (before, query) = code.address().split_once("?x=y&").unwrap();
            assert_eq!(before, "https://p.example/auth");
            let of = |name: &str| field(query, name).unwrap().to_string();
            assert_eq!(
                (of("response_type"), of("client_id"), of("scope")),
                ("code".into(), "id".into(), "mail".into())
            );
            assert_eq!((of("code_challenge_method"), of("login_hint")), ("S256".into(), "ann".into()));
            let (redirect, state) = (of("redirect_uri"), of("state"));
            let port: u16 = redirect.strip_prefix("http://127.0.0.1:").unwrap().parse().unwrap();
            assert!(port >= 49_152);

            for (pasted, told) in [
                ("", "paste the whole address at which"),
                ("4/0Acode", "paste the whole address at which"),
                (&format!("{redirect}/?code=c"), "this address answers another question"),
                (&format!("{redirect}/?code=c&state={state}x"), "this address answers another question"),
                (&format!("{redirect}/?state={state}"), "there is no code in this address"),
                (&format!("{redirect}/?code=&state={state}"), "there is no code in this address"),
                (&format!("{redirect}/?error=access_denied&state={state}"), "the permission was refused at"),
                (
                    &format!(
                        "{redirect}/?error=invalid_scope&error_description=no%0d%0a+such+scope&state={state}"
                    ),
                    "the token server refuses: invalid_scope no such scope",
                ),
            ] {
                let error = stage.tokens.redeem(ANN, &code, pasted).await.unwrap_err().to_string();
                assert!(error.starts_with(told), "{pasted}: {error}");
            }
            assert_eq!(stage.server.times(), 0);
            stage.server.says(&[(200, r#"{"access_token":"a1","refresh_token":"new"}"#)]);
            let pasted = format!("  {redirect}/?state={state}&scope=mail&code=4%2F0A#top\r\n");
            stage.tokens.redeem(ANN, &code, &pasted).await.unwrap();
            assert_eq!(stage.refresh_tokens(), ["new", "new", "other"]);
            let asked = stage.server.asked.borrow().last().unwrap().clone();
            let of = |name: &str| field(&asked, name).unwrap().to_string();
            assert_eq!((of("grant_type"), of("code")), ("authorization_code".into(), "4/0A".into()));
            assert_eq!((of("redirect_uri"), of("client_secret")), (redirect, "hush".into()));
            let challenge = BASE64URL_NOPAD.encode(digest(&SHA256, of("code_verifier").as_bytes()).as_ref());
            assert_eq!(field(query, "code_challenge").unwrap().as_str(), challenge);
        },
    );
}

/// Catches: two requests with the same state or verifier, and a Google account that gives no refresh token.
#[test]
fn each_question_is_its_own() {
    let google = |config: &mut Config| {
        page(config);
        config.accounts[0].sources[0].oauth2.as_mut().unwrap().provider = "google".try_into().unwrap();
    };
    play_in(
        google,
        |context| context,
        async |stage| {
            let (one, two) = (address(stage).await, address(stage).await);
            for name in ["state", "code_challenge"] {
                assert_ne!(field(one.address(), name), field(two.address(), name));
            }
            assert!(one.address().contains("&access_type=offline&prompt=consent"));
            assert_eq!(format!("{one:?}"), "Code");
        },
    );
}

/// Catches: an edit that was begun before a permission came and takes it away again; a permission that another login
/// gets.
#[test]
fn a_new_permission_is_also_that_of_who_knows_the_old_one() {
    play_in(
        page,
        |context| context,
        async |stage| {
            let mut edit = (*stage.context.config()).clone();
            let code = address(stage).await;
            let state = field(code.address(), "state").unwrap();
            stage.server.says(&[(200, r#"{"access_token":"a1","refresh_token":"new"}"#)]);
            let pasted = format!("http://127.0.0.1/?code=c&state={}", *state);
            stage.tokens.redeem(ANN, &code, &pasted).await.unwrap();
            assert!(stage.tokens.succeed(&mut edit));
            let tokens: Vec<_> =
                edit.accounts[0].sources.iter().map(|it| it.oauth2.as_ref().unwrap()).collect();
            assert_eq!(tokens[0].refresh_token.reveal(), "new");
            assert_eq!(tokens[2].refresh_token.reveal(), "other");
            // The source was removed: no server is asked.
            stage.context.renew_tokens(Config::default());
            assert!(matches!(stage.tokens.ask(ANN).await, Err(Error::Settings(_))));
        },
    );
}
