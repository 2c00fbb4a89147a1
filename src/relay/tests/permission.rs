//! The smarthost's login with an access token.

use std::cell::Cell;

use data_encoding::BASE64;

use super::*;
use crate::config::{OAuth2, SourceAuth};
use crate::oauth2::tests::Kept;
use crate::oauth2::tests::server::Server;

/// A smarthost that takes the token `good`, and a token server that gives `tokens` in turn, each with another refresh
/// token.
async fn with_tokens(world: &Rc<World>, good: &'static str, tokens: &[&str]) -> (Rc<Server>, Vec<Task<()>>) {
    let server = Rc::new(Server::new());
    for (n, token) in tokens.iter().enumerate() {
        server.says(&[(200, &format!(r#"{{"access_token":"{token}","refresh_token":"r{}"}}"#, n + 2))]);
    }
    world.smarthost.answers(move |command| {
        let message = command.strip_prefix("AUTH XOAUTH2 ").map(|it| BASE64.decode(it.as_bytes()).unwrap());
        let expected = format!("user=home\x01auth=Bearer {good}\x01\x01").into_bytes();
        match (command.split(' ').next(), message) {
            (Some("EHLO"), _) => Some("250-smarthost.example\r\n250 AUTH PLAIN XOAUTH2"),
            (_, Some(message)) if message == expected => Some("235 2.7.0 Welcome"),
            (_, Some(_)) => Some("334 eyJzdGF0dXMiOiI0MDEifQ=="),
            (Some(""), _) => Some("535 5.7.8 No"),
            _ => None,
        }
    });
    world.reconfigure(|config| {
        config.smarthost.username = text("home");
        config.smarthost.auth = SourceAuth::OAuth2;
        config.smarthost.oauth2 = Some(Box::new(OAuth2 {
            token_url: text(&server.url("/")),
            client_id: text("id"),
            refresh_token: Secret::new("r1").unwrap(),
            ..OAuth2::default()
        }));
    });
    let context = world.context.clone();
    world.relay.tokens.keep_with(Rc::new(Kept { context, times: Cell::new(0), fails: Cell::new(false) }));
    let (serves, renews) = (server.clone(), world.relay.tokens.clone());
    let tasks = vec![
        world.executor.spawn(async move { serves.serve().await }),
        world.executor.spawn(async move { renews.run().await }),
        world.run(),
    ];
    (server, tasks)
}

/// Catches: a login without the token; one that gives up after the first refusal; a refresh token that is not kept; a
/// replaced refresh token that counts as new settings, so that the message is tried again and again at once.
#[test]
fn a_message_goes_out_with_a_token_that_is_renewed_once() {
    story(async |world| {
        let (server, _tasks) = with_tokens(&world, "a2", &["a1", "a2"]).await;
        world.post("friend@else.example").await.unwrap();
        world.until_queue_is_empty().await;
        assert_eq!((world.smarthost.connections.get(), server.times()), (2, 2));
        let config = world.context.config();
        assert_eq!(config.smarthost.oauth2.as_ref().unwrap().refresh_token.reveal(), "r3");
        assert!(world.relay.troubles().is_empty());
    });
    story(async |world| {
        let (server, _tasks) = with_tokens(&world, "other", &["a1", "a2"]).await;
        world.post("friend@else.example").await.unwrap();
        let told = "the access token was refused: 535 5.7.8 No (401)";
        world.until_queue_is(&format!("friend@else.example attempts 1 {told}")).await;
        Timer::after(Duration::from_millis(20)).await;
        assert_eq!((world.smarthost.connections.get(), server.times()), (2, 2));
    });
}

/// Catches: an ended permission that costs mail, is asked about again and again, or of which the operator is not told
/// what to type; a password that is tried in its place.
#[test]
fn without_a_permission_mail_waits_and_the_operator_is_told() {
    story(async |world| {
        let (server, _tasks) = with_tokens(&world, "a1", &[]).await;
        server.says(&[(400, r#"{"error":"invalid_grant","error_description":"revoked"}"#)]);
        world.post("friend@else.example").await.unwrap();
        let told = "waits for a new permission, `oauth2 smarthost` in the console: the permission has ended or was taken back: revoked";
        world.until_queue_is(&format!("friend@else.example attempts 1 {told}")).await;
        assert_eq!(world.relay.troubles(), [format!("smarthost: {told}")]);
        world.relay.retry_now();
        world.until_queue_is(&format!("friend@else.example attempts 2 {told}")).await;
        assert_eq!((world.smarthost.connections.get(), server.times()), (0, 1));
        server.says(&[(200, r#"{"access_token":"a1"}"#)]);
        world.reconfigure(|config| {
            config.smarthost.oauth2.as_mut().unwrap().refresh_token = Secret::new("new").unwrap();
        });
        world.relay.retry_now();
        world.until_queue_is_empty().await;
    });
}
