//! Renewal of access tokens, and refresh tokens that are replaced.

use std::time::Duration;

use async_io::Timer;
use smol::future::{or, zip};

use super::super::Error;
use super::*;

/// Catches: a request for each source of one login, which a provider takes for theft where it replaces refresh
/// tokens; a request of another form; a token of one client that another client gets.
#[test]
fn who_has_one_permission_shares_one_request() {
    play(async |stage| {
        stage.server.says(&[(200, r#"{"access_token":"a1","token_type":"Bearer","expires_in":3600}"#)]);
        let (one, two) = zip(stage.access(1), stage.access(2)).await;
        assert_eq!((one.unwrap().reveal(), two.unwrap().reveal()), ("a1", "a1"));
        assert_eq!(
            *stage.server.asked.borrow(),
            ["grant_type=refresh_token&refresh_token=r1&client_id=id&client_secret=hush"]
        );
        stage.server.says(&[(200, r#"{"access_token":"b1","token_type":"bearer","expires_in":"3600"}"#)]);
        assert_eq!(stage.access(3).await.unwrap().reveal(), "b1");
        assert!(stage.server.was_asked("refresh_token=other"));
        assert_eq!(stage.kept.times.get(), 0);
    });
}

/// Catches: a token that ends on the way to the server, and one that is renewed too early.
#[test]
fn a_token_is_renewed_a_minute_before_it_ends() {
    play(async |stage| {
        stage
            .server
            .says(&[(200, r#"{"access_token":"a1","expires_in":600}"#), (200, r#"{"access_token":"a2"}"#)]);
        let first = stage.access(1).await.unwrap();
        stage.context.time.advance(Duration::from_secs(539));
        assert_eq!(stage.access(1).await.unwrap().reveal(), "a1");
        assert!(stage.tokens.is_good(&stage.client(1), &first));
        stage.context.time.advance(Duration::from_secs(1));
        assert!(!stage.tokens.is_good(&stage.client(1), &first));
        assert_eq!(stage.access(1).await.unwrap().reveal(), "a2");
        // Without a lifetime in the response it is an hour.
        stage.context.time.advance(Duration::from_secs(3500));
        assert_eq!(stage.access(1).await.unwrap().reveal(), "a2");
    });
}

/// Catches: a refused token that is handed out again, and another token that is dropped for it.
#[test]
fn a_refused_token_is_forgotten() {
    play(async |stage| {
        stage.server.says(&[(200, r#"{"access_token":"a1"}"#), (200, r#"{"access_token":"a2"}"#)]);
        let first = stage.access(1).await.unwrap();
        stage.tokens.forget(&stage.client(1), &first);
        assert_eq!(stage.access(1).await.unwrap().reveal(), "a2");
        // The other source learns later that the same token was refused.
        stage.tokens.forget(&stage.client(2), &first);
        assert_eq!(stage.access(2).await.unwrap().reveal(), "a2");
    });
}

/// Catches: a new refresh token that only one of its holders gets, or that goes to another permission; a poll that
/// began with the old one and fails.
#[test]
fn a_replaced_refresh_token_is_kept_for_all() {
    play(async |stage| {
        let before = stage.client(1);
        stage.server.says(&[(200, r#"{"access_token":"a1","refresh_token":"r2"}"#)]);
        assert_eq!(stage.told().await, "a1");
        assert_eq!(stage.refresh_tokens(), ["r2", "r2", "other"]);

        stage.server.says(&[(200, r#"{"access_token":"a2","refresh_token":"r3"}"#)]);
        stage.tokens.forget(&stage.client(1), &stage.access(1).await.unwrap());
        assert_eq!(stage.tokens.access(&before, "").await.unwrap().reveal(), "a2");
        assert_eq!(stage.refresh_tokens(), ["r3", "r3", "other"]);
        assert!(stage.server.was_asked("refresh_token=r2"));
        assert_eq!(stage.kept.times.get(), 2);
    });
}

/// A new refresh token that cannot be stored. Catches: a new one that is used before it is durable, after which the
/// stored one is worthless; one that is lost; a good access token that is not used, so that mail does not come; a
/// single try to store it.
#[test]
fn a_refresh_token_that_cannot_be_stored_waits_and_is_not_used() {
    play(async |stage| {
        stage.server.says(&[(200, r#"{"access_token":"a1","refresh_token":"r2","expires_in":600}"#)]);
        stage.kept.fails.set(true);
        // The access token is given to all who need it.
        assert_eq!((stage.told().await, stage.access(2).await.unwrap().reveal()), ("a1".to_owned(), "a1"));
        assert_eq!(stage.refresh_tokens(), ["r1", "r1", "other"]);
        // When it ends there is no other one, and the server is not asked.
        stage.context.time.advance(Duration::from_secs(600));
        for _ in 0..2 {
            assert_eq!(stage.told().await, "the new refresh token cannot be stored: the flash is full");
        }
        assert_eq!(stage.server.times(), 1);
        // There is room again: the refresh token is stored first.
        stage.kept.fails.set(false);
        stage.server.says(&[(503, "")]);
        assert_eq!(stage.told().await, "the token server answers with status 503");
        assert_eq!(stage.refresh_tokens(), ["r2", "r2", "other"]);
        stage.server.says(&[(200, r#"{"access_token":"a2"}"#)]);
        assert_eq!(stage.told().await, "a2");
        assert!(stage.server.was_asked("refresh_token=r2"));
        assert_eq!(stage.kept.times.get(), 1);
    });
    // It is also stored while the access token is still valid, and it is in settings that another task stores
    // meanwhile.
    for somebody_else in [false, true] {
        play(async |stage| {
            stage.server.says(&[(200, r#"{"access_token":"a1","refresh_token":"r2"}"#)]);
            stage.kept.fails.set(true);
            assert_eq!(stage.told().await, "a1");
            stage.kept.fails.set(false);
            if somebody_else {
                let mut config = (*stage.context.config()).clone();
                assert!(stage.tokens.succeed(&mut config));
                stage.context.renew_tokens(config);
            }
            assert_eq!(stage.told().await, "a1");
            assert_eq!(stage.refresh_tokens(), ["r2", "r2", "other"]);
            assert_eq!(stage.server.times(), 1);
            // After that nothing more is stored.
            let times = stage.kept.times.get();
            assert_eq!((stage.told().await, stage.kept.times.get()), ("a1".to_owned(), times));
        });
    }
}

/// Catches: a withdrawn poll that takes along the only valid refresh token, which the provider was just sending.
#[test]
fn what_a_provider_sends_is_kept_though_nobody_waits_any_more() {
    play(async |stage| {
        stage.server.says(&[(200, r#"{"access_token":"a1","refresh_token":"r2"}"#)]);
        let begun = async {
            while stage.server.times() == 0 {
                Timer::after(Duration::from_millis(1)).await;
            }
        };
        or(async { drop(stage.access(1).await) }, begun).await;
        while stage.kept.times.get() == 0 {
            Timer::after(Duration::from_millis(1)).await;
        }
        assert_eq!(stage.refresh_tokens(), ["r2", "r2", "other"]);
        assert_eq!(stage.access(2).await.unwrap().reveal(), "a1");
    });
}

/// Catches: settings made before a token was replaced that bring the old one back (a commit, an import); a token from
/// a user that is replaced by an older one.
#[test]
fn settings_from_before_get_the_successor() {
    play(async |stage| {
        let before = (*stage.context.config()).clone();
        stage.server.says(&[(200, r#"{"access_token":"a1","refresh_token":"r2"}"#)]);
        stage.access(1).await.unwrap();
        let mut imported = before.clone();
        imported.accounts[0].sources[1].oauth2.as_mut().unwrap().refresh_token = secret("by hand");
        assert!(stage.tokens.succeed(&mut imported));
        let tokens = |config: &Config| -> Vec<String> {
            let sources = config.accounts[0].sources.iter();
            sources.map(|it| it.oauth2.as_ref().unwrap().refresh_token.reveal().to_owned()).collect()
        };
        assert_eq!(tokens(&imported), ["r2", "by hand", "other"]);
        assert!(!stage.tokens.succeed(&mut imported));

        // The same in the console, which remembers the settings it began with.
        let now = (*stage.context.config()).clone();
        let mut edit = before.clone();
        edit.server.max_connections += 1;
        edit.accounts[0].sources[1].oauth2.as_mut().unwrap().refresh_token = secret("by hand");
        assert!(before.differs_in_tokens_only(&now) && !edit.differs_in_tokens_only(&now));
        edit.merge_refresh_tokens(&before, &now);
        assert_eq!(tokens(&edit), ["r2", "by hand", "other"]);
    });
}

/// Catches: an ended permission that is used again and again, and a new one that is not used.
#[test]
fn an_ended_permission_rests_until_there_is_another() {
    play(async |stage| {
        stage
            .server
            .says(&[(400, r#"{"error":"invalid_grant","error_description":"AADSTS70008: too old\r\n"}"#)]);
        for source in [1, 2, 1] {
            let error = stage.access(source).await.unwrap_err();
            assert!(error.needs_permission());
            let words = "the permission has ended or was taken back: AADSTS70008: too old";
            assert_eq!(error.to_string(), words);
        }
        assert_eq!(stage.server.times(), 1);
        let mut config = (*stage.context.config()).clone();
        config.accounts[0].sources[0].oauth2.as_mut().unwrap().refresh_token = secret("new");
        stage.context.renew_tokens(config);
        stage.server.says(&[(200, r#"{"access_token":"a1"}"#)]);
        assert_eq!(stage.told().await, "a1");
        let mut config = (*stage.context.config()).clone();
        config.accounts[0].sources[0].oauth2.as_mut().unwrap().refresh_token = Secret::default();
        stage.context.renew_tokens(config);
        assert!(matches!(stage.access(1).await, Err(Error::None)));
    });
}

/// Catches: removed permissions that are kept for ever.
#[test]
fn what_the_settings_know_no_longer_is_forgotten() {
    play(async |stage| {
        let before = stage.client(1);
        stage.server.says(&[(200, r#"{"access_token":"a1"}"#)]);
        assert_eq!(stage.told().await, "a1");
        stage.tokens.succeed(&mut Config::default());
        stage.server.says(&[(200, r#"{"access_token":"a2"}"#)]);
        assert_eq!(stage.tokens.access(&before, "").await.unwrap().reveal(), "a2");
    });
}
