//! Servers that are broken, slow or refuse.

use std::time::Duration;

use async_io::Timer;
use smol::future::or;

use super::server::Say;
use super::*;

/// Catches: an invalid response that is accepted, a permission that is given up for a passing error of the server,
/// and words of the server that spoil a log.
#[test]
fn what_goes_wrong_is_told_and_passes() {
    let (server, words) = ("the token server ", "the token server's answer makes no sense: ");
    for (status, content, told) in [
        (503, "<html>", format!("{server}answers with status 503")),
        (500, r#"{"error":"invalid_grant"}"#, format!("{server}answers with status 500")),
        (429, "", format!("{server}answers with status 429")),
        (302, "", format!("{server}answers with status 302")),
        (400, r#"{"error":"temporarily_unavailable"}"#, format!("{server}answers with status 503")),
        (
            401,
            r#"{"error":"invalid_client","error_description":"no\u0007\r\nsuch"}"#,
            format!("{server}refuses: invalid_client: nosuch"),
        ),
        (200, r#"{"error":"unauthorized_client"}"#, format!("{server}refuses: unauthorized_client")),
        (400, r#"{"error":{"code":7}}"#, format!("{server}answers with status 400")),
        (200, "", format!("{words}it holds no token")),
        (200, "[]", format!("{words}it holds no token")),
        (200, "{}", format!("{words}it holds no token")),
        (200, r#"{"access_token":"a b"}"#, format!("{words}it holds no token")),
        (200, r#"{"access_token":"a","token_type":"mac"}"#, format!("{words}it holds no token")),
        (200, r#"{"access_token":"a1","refresh_token":"","x":[{}]}"#, "a1".to_owned()),
    ] {
        play(async |stage| {
            stage.server.says(&[(status, content)]);
            assert_eq!(stage.told().await, told, "{status} {content}");
            if told != "a1" {
                stage.server.says(&[(200, r#"{"access_token":"a2"}"#)]);
                assert_eq!(stage.told().await, "a2", "after {status} {content}");
            }
            assert_eq!(stage.kept.times.get(), 0);
        });
    }
    let long = format!(r#"{{"access_token":"a","refresh_token":"{}"}}"#, "r".repeat(4097));
    play(async |stage| {
        stage.server.says(&[(200, &long)]);
        assert!(stage.told().await.starts_with("the new refresh token cannot be stored: it has more"));
    });
}

/// Catches: a response that is cut, has no end, or comes octet by octet, and takes more than half a minute or too
/// much memory.
#[test]
fn a_server_is_waited_for_half_a_minute_and_heard_for_64_kib() {
    let words = "the token server's answer makes no sense: ";
    let head = "HTTP/1.1 200 OK\r\n";
    for (say, told) in [
        (Say::Raw(b"HTTP/1.1 200 OK\r\nContent-Le".to_vec()), format!("{words}it broke off")),
        (
            Say::Raw(format!("{head}Content-Length: 90\r\n\r\n{{").into_bytes()),
            format!("{words}it broke off"),
        ),
        (
            Say::Raw(format!("{head}\r\n{{\"access_token\":\"a").into_bytes()),
            format!("{words}it holds no token"),
        ),
        (Say::Raw(Vec::new()), format!("{words}it broke off")),
        (Say::Raw(b"+OK POP3\r\n".to_vec()), format!("{words}it is not HTTP")),
        (Say::Endless(format!("{head}\r\n").into_bytes()), format!("{words}it has no end")),
        (Say::Endless(b"x-".to_vec()), format!("{words}it is not HTTP")),
    ] {
        play(async |stage| {
            stage.server.does(say);
            assert_eq!(stage.told().await, told);
        });
    }
    for stalled in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{"] {
        play(async |stage| {
            stage.server.does(Say::Stall(stalled.as_bytes().to_vec()));
            let clock = async {
                while stage.server.times() == 0 {
                    Timer::after(Duration::from_millis(1)).await;
                }
                stage.context.time.advance(Duration::from_secs(29));
                Timer::after(Duration::from_millis(20)).await;
                stage.context.time.advance(Duration::from_secs(1));
                std::future::pending().await
            };
            let told = or(stage.told(), clock).await;
            assert_eq!(told, "the token server 127.0.0.1: the server fell silent");
        });
    }
}

/// Catches: a certificate that is judged by a clock that was never set; a renewal whose result the flash could not
/// keep.
#[test]
fn nobody_is_asked_without_the_time() {
    let settings = |config: &mut Config| {
        let client = config.accounts[0].sources[0].oauth2.as_mut().unwrap();
        client.token_url = "https://127.0.0.1:1/".try_into().unwrap();
    };
    play_in(settings, Context::without_time, async |stage| {
        assert_eq!(stage.told().await, "the clock does not show the time yet");
        stage.context.clock.set_known();
        assert!(stage.told().await.starts_with("the token server 127.0.0.1: no connection to"));
    });
}

/// Catches: secrets that are sent to a server in plaintext since the settings were never checked.
#[test]
fn nothing_is_sent_in_the_clear() {
    let settings = |config: &mut Config| {
        let client = config.accounts[0].sources[0].oauth2.as_mut().unwrap();
        client.token_url = "http://192.0.2.1/".try_into().unwrap();
    };
    play_in(
        settings,
        |context| context,
        async |stage| {
            assert_eq!(stage.told().await, "the token server's address does not begin with https://");
        },
    );
}
