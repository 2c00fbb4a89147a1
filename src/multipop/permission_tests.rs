//! Polls that log in with an access token.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use async_io::{Timer, block_on};
use smol::LocalExecutor;

use super::ending::Ending;
use super::fake::{Mail, Provider};
use super::status::{PollResult, SourceStatus};
use super::{Error, Poller, permission};
use crate::certificate;
use crate::config::{Account, Config, OAuth2, Secret, Security, Source, SourceAuth};
use crate::context::Context;
use crate::flash::sim::SimFlash;
use crate::oauth2::tests::Kept;
use crate::oauth2::tests::server::{Say, Server};
use crate::oauth2::{self, Tokens};
use crate::store::{INBOX, Store};

struct Stage {
    provider: Provider,
    server: Server,
    context: Rc<Context>,
    poller: Rc<Poller>,
    kept: Rc<Kept>,
}

impl Stage {
    fn status(&self) -> SourceStatus {
        self.poller.status()[0].clone()
    }

    async fn until(&self, what: &str, so: impl Fn(&SourceStatus) -> bool) {
        let begun = Instant::now();
        while !so(&self.status()) {
            assert!(
                begun.elapsed() < Duration::from_secs(5),
                "waited in vain for {what}: {:?}",
                self.status()
            );
            Timer::after(Duration::from_millis(2)).await;
        }
    }

    /// The access tokens that the mail server was sent.
    fn shown(&self) -> Vec<String> {
        let heard = self.provider.heard.borrow();
        heard.iter().filter_map(|line| line.strip_prefix("token ")).map(str::to_owned).collect()
    }

    async fn inbox(&self) -> usize {
        let account = self.context.store.account("ann").await.unwrap();
        account.view(INBOX, |mailbox| mailbox.messages.len()).unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut Source)) {
        let mut config = (*self.context.config()).clone();
        change(&mut config.accounts[0].sources[0]);
        self.context.renew_tokens(config);
    }
}

fn failed(status: &SourceStatus) -> Option<&str> {
    match &status.last_result {
        Some(PollResult::Failed { error, .. }) => Some(error),
        _ => None,
    }
}

/// Plays `test` with a mailbox of two messages whose server takes `tokens`, and a token server that gives `answers`.
fn play(tokens: &[&'static str], answers: &[(u16, &str)], test: impl AsyncFnOnce(&Stage)) {
    play_with("r1", tokens, answers, test);
}

fn play_with(
    refresh: &str,
    tokens: &[&'static str],
    answers: &[(u16, &str)],
    test: impl AsyncFnOnce(&Stage),
) {
    block_on(async {
        let provider = Provider::new(&[Mail::new("1", "a\r\n\r\n"), Mail::new("2", "b\r\n\r\n")]);
        provider.behaviour.borrow_mut().tokens = Some(tokens.to_vec());
        let server = Server::new();
        server.says(answers);
        let client = OAuth2 {
            token_url: server.url("/").as_str().try_into().unwrap(),
            client_id: "id".try_into().unwrap(),
            refresh_token: Secret::new(refresh).unwrap(),
            ..OAuth2::default()
        };
        let source = Source {
            host: "127.0.0.1".try_into().unwrap(),
            port: provider.address.port(),
            security: Security::None,
            username: "ann".try_into().unwrap(),
            auth: SourceAuth::OAuth2,
            oauth2: Some(Box::new(client)),
            ..Source::default()
        };
        let account = Account {
            name: "ann".try_into().unwrap(),
            multipop: true,
            sources: vec![source],
            ..Account::default()
        };
        let mut config = Config { accounts: vec![account], ..Config::default() };
        config.identify(&Config::default());
        let flash = SimFlash::default();
        let tls = certificate::server_config(&config, &flash).await.unwrap();
        let context = Rc::new(Context::new(config, tls, Store::new(Rc::new(flash))));
        let access = Tokens::new(context.clone());
        let kept = Rc::new(Kept { context: context.clone(), times: Cell::new(0), fails: Cell::new(false) });
        access.keep_with(kept.clone());
        let poller = Poller::new(context.clone(), access.clone());
        let stage = Stage { provider, server, context, poller, kept };
        let tasks = LocalExecutor::new();
        tasks.spawn(stage.provider.serve()).detach();
        tasks.spawn(stage.server.serve()).detach();
        tasks.spawn(access.run()).detach();
        tasks.spawn(stage.poller.run()).detach();
        tasks.run(test(&stage)).await;
    });
}

/// Catches: an access token that is not sent; a replaced refresh token that ends or repeats a poll; the old refresh
/// token being used again.
#[test]
fn a_poll_shows_a_token_and_the_next_one_the_same() {
    play(&["a1"], &[(200, r#"{"access_token":"a1","refresh_token":"r2"}"#)], async |stage| {
        stage.until("a poll", |status| status.last_result == Some(PollResult::Collected(2))).await;
        assert_eq!((stage.inbox().await, stage.shown()), (2, vec!["a1".to_owned()]));
        assert_eq!(stage.kept.times.get(), 1);
        stage.poller.collect_now(None);
        stage.until("another", |status| status.last_result == Some(PollResult::Collected(0))).await;
        assert_eq!((stage.shown(), stage.server.times()), (vec!["a1".to_owned(); 2], 1));
        // There were no polls but these two.
        Timer::after(Duration::from_millis(20)).await;
        assert_eq!(stage.shown().len(), 2);
    });
}

/// Catches: a refusal that is reported though a new token would work, and a server that is sent one token after the
/// other.
#[test]
fn a_refused_token_is_renewed_once() {
    let answers = [(200, r#"{"access_token":"a1"}"#), (200, r#"{"access_token":"a2"}"#)];
    play(&["a2"], &answers, async |stage| {
        stage.until("a poll", |status| status.last_result == Some(PollResult::Collected(2))).await;
        assert_eq!(stage.shown(), ["a1", "a2"]);
    });
    play(&["other"], &answers, async |stage| {
        stage.until("a failure", |status| status.failures == 1).await;
        assert_eq!(stage.shown(), ["a1", "a2"]);
        let status = stage.status();
        let told = failed(&status).unwrap();
        assert!(
            told.starts_with("the access token was refused: [AUTH] no such token (401). Check that"),
            "{told}"
        );
        // The source is tried again like any other: the permission itself is good.
        assert!(status.next_poll.is_some());
    });
}

/// Catches: a token that ends in the middle of a poll and costs a failure, or a wait of one interval.
#[test]
fn a_token_that_ends_in_the_middle_is_renewed_at_once() {
    let answers = [(200, r#"{"access_token":"a1","expires_in":600}"#), (200, r#"{"access_token":"a2"}"#)];
    play(&["a1", "a2"], &answers, async |stage| {
        stage.provider.behaviour.borrow_mut().silent_at = Some("UIDL");
        let begun = Instant::now();
        while !stage.provider.heard.borrow().iter().any(|line| line == "UIDL") {
            assert!(begun.elapsed() < Duration::from_secs(5));
            Timer::after(Duration::from_millis(2)).await;
        }
        // Another source of the same login has got the next token meanwhile, and the server cuts this session for
        // that.
        stage.context.time.advance(Duration::from_secs(45));
        stage.provider.behaviour.borrow_mut().silent_at = None;
        stage.change(|source| source.interval = crate::config::Interval::Every(7));
        stage.until("a poll", |status| status.last_result == Some(PollResult::Collected(2))).await;
        stage.context.time.advance(Duration::from_secs(600));
        stage.until("the next one", |_| stage.shown().last().is_some_and(|token| token == "a2")).await;
        assert_eq!(stage.status().failures, 0);
    });
}

/// Catches: an ended permission that is asked about with each poll; a user who is not told, is told again and again,
/// or is not told what to do; a new permission that is not used.
#[test]
fn an_ended_permission_pauses_the_source() {
    let ended = r#"{"error":"invalid_grant","error_description":"revoked"}"#;
    play(&["a1"], &[(400, ended)], async |stage| {
        stage.until("a failure", |status| status.failures == 1).await;
        let status = stage.status();
        assert_eq!(
            failed(&status),
            Some(
                "waits for a new permission: `oauth2 ann 1`. the permission has ended or was taken back: revoked"
            )
        );
        assert_eq!(status.next_poll, None);
        assert_eq!(stage.inbox().await, 1);
        let account = stage.context.store.account("ann").await.unwrap();
        let letter = account.view(INBOX, |mailbox| mailbox.messages[0].size).unwrap();
        assert!(letter > 400);
        stage.context.time.advance(Duration::from_secs(7200));
        Timer::after(Duration::from_millis(20)).await;
        stage.poller.collect_now(None);
        stage.until("another failure", |status| status.failures == 2).await;
        assert_eq!((stage.inbox().await, stage.server.times()), (1, 1));
        assert_eq!(stage.shown().len(), 0);

        stage.server.says(&[(200, r#"{"access_token":"a1"}"#)]);
        stage.change(|source| source.oauth2.as_mut().unwrap().refresh_token = Secret::new("new").unwrap());
        stage.until("a poll", |status| status.last_result == Some(PollResult::Collected(2))).await;
        assert_eq!((stage.status().failures, stage.inbox().await), (0, 3));
    });
    // A user who has just set the source up gets no letter.
    play_with("", &["a1"], &[], async |stage| {
        stage.until("a failure", |status| status.failures == 1).await;
        assert!(failed(&stage.status()).unwrap().starts_with("waits for a new permission: `oauth2 ann 1`."));
        assert_eq!((stage.inbox().await, stage.status().next_poll), (0, None));
    });
}

/// Catches: a passing error of the token server that pauses a source, and a token server that is asked without end.
#[test]
fn trouble_at_the_token_server_is_like_any_other() {
    play(&["a1"], &[(503, ""), (200, r#"{"access_token":"a1"}"#)], async |stage| {
        stage.until("a failure", |status| status.failures == 1).await;
        let status = stage.status();
        assert!(
            failed(&status)
                .unwrap()
                .starts_with("the token server answers with status 503. This often passes")
        );
        assert!(status.next_poll.is_some() && stage.server.times() == 1);
        stage.context.time.advance(Duration::from_secs(3600));
        stage.until("a poll", |status| status.last_result == Some(PollResult::Collected(2))).await;
    });
}

/// Catches: a token that is too long for a POP3 server, of which the user is told that it is wrong.
#[test]
fn what_pop3_does_not_take_is_told_so() {
    for octets in [5000, 9000] {
        let answer = format!(r#"{{"access_token":"{}"}}"#, "t".repeat(octets));
        play(&[], &[(200, &answer), (200, &answer)], async |stage| {
            stage.until("a failure", |status| status.failures == 1).await;
            let status = stage.status();
            let told = failed(&status).unwrap();
            let words = format!(
                "the access token has {octets} octets, which is more than POP3 servers take. Set the"
            );
            assert!(told.starts_with(&words), "{told}");
        });
    }
}

/// Catches: a session that is cut since its token has ended and that counts as a failure, or waits for the interval,
/// though mail came; a token that is renewed though it is good, or more than once without progress.
#[test]
fn a_session_that_ends_with_its_token_goes_on_with_the_next() {
    let short = |token: &str| format!(r#"{{"access_token":"{token}","expires_in":1}}"#);
    let answers = [(200, &*short("a1")), (200, &*short("a2")), (200, r#"{"access_token":"a3"}"#)];
    play(&["a1", "a2", "a3"], &answers, async |stage| {
        stage.provider.behaviour.borrow_mut().hangs_up_at = Some("RETR 2");
        // The first token brings a message, so the next poll is due at once. The second token brings nothing, and is
        // renewed once.
        stage.until("three tokens", |status| stage.shown().len() == 3 && !status.polling).await;
        assert_eq!(
            (stage.shown(), stage.status().collected),
            (["a1", "a2", "a3"].map(str::to_owned).into(), 1)
        );
    });
    play(&["a1"], &[(200, r#"{"access_token":"a1"}"#)], async |stage| {
        stage.provider.behaviour.borrow_mut().hangs_up_at = Some("RETR 1");
        stage.until("an end", |status| status.last_result.is_some() && !status.polling).await;
        assert_eq!((stage.shown(), stage.server.times()), (vec!["a1".to_owned()], 1));
    });
}

/// Catches: a source that cannot be changed while it waits for its provider's token server.
#[test]
fn who_waits_for_a_token_can_be_withdrawn() {
    play(&[], &[], async |stage| {
        stage.server.does(Say::Stall(Vec::new()));
        stage.provider.behaviour.borrow_mut().tokens = None;
        while stage.server.times() == 0 {
            Timer::after(Duration::from_millis(2)).await;
        }
        stage.change(|source| {
            (source.auth, source.password) = (SourceAuth::Auto, Secret::new("secret").unwrap());
        });
        // The source's OAuth 2.0 settings no longer count.
        stage.until("a poll", |status| status.last_result == Some(PollResult::Collected(2))).await;
        assert_eq!(stage.server.times(), 1);
    });
}

/// Catches: a probe that logs in by other means than a poll.
#[test]
fn a_trial_gets_the_token_of_a_poll() {
    play(&["a1"], &[(200, r#"{"access_token":"a1"}"#)], async |stage| {
        stage.until("a poll", |status| status.last_result == Some(PollResult::Collected(2))).await;
        let source = stage.context.config().accounts[0].sources[0].clone();
        let token = stage.poller.permission(&source).await.unwrap();
        assert_eq!(token.unwrap().reveal(), "a1");
        let source = Source { auth: SourceAuth::Auto, ..source };
        assert!(stage.poller.permission(&source).await.unwrap().is_none());
        let source = Source { auth: SourceAuth::OAuth2, oauth2: None, ..source };
        assert!(stage.poller.permission(&source).await.unwrap().is_none());
        assert_eq!(stage.server.times(), 1);
    });
}

/// Catches: a command that names another source than the one that waits, and a command where a new permission would
/// not help.
#[test]
fn the_command_names_the_source_that_waits() {
    let sources: Vec<Source> = [7, 9].map(|id| Source { id, ..Source::default() }).into();
    let account = Account { name: "ann".try_into().unwrap(), sources: sources.clone(), ..Account::default() };
    let config = Config { accounts: vec![account], ..Config::default() };
    let command = |account: &str, source: &Source, error: Error| {
        permission::command(&config, account, source, &Ending::Failed(error))
    };
    let none = || Error::Token(oauth2::Error::None);
    let ended = || Error::Token(oauth2::Error::Ended("x".to_owned()));
    assert_eq!(command("ann", &sources[1], none()).as_deref(), Some("oauth2 ann 2"));
    assert_eq!(command("ann", &sources[0], ended()).as_deref(), Some("oauth2 ann 1"));
    assert_eq!(command("ann", &Source { id: 8, ..Source::default() }, none()), None);
    assert_eq!(command("bob", &sources[0], none()), None);
    assert_eq!(command("ann", &sources[0], Error::Token(oauth2::Error::Clock)), None);
    assert_eq!(command("ann", &sources[0], Error::NotSent), None);
}
