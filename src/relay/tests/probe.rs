//! `test smarthost`: every step is reported, a failing one with what it means, and nothing is sent.

use std::cell::RefCell;

use smol::future::or;

use super::*;

/// The lines that a test reports, and its result; ports are shown as `PORT`.
async fn tested(world: &World, account: Option<&str>) -> (String, Result<(), String>) {
    let told = RefCell::new(String::new());
    let tell = |line: String| {
        assert!(!line.contains('\n'), "{line}");
        *told.borrow_mut() += &(line.trim_end().to_owned() + "\n");
    };
    let config = world.context.config();
    let result = world.relay.test(&config, account, &tell).await;
    let port = config.smarthost.port.to_string();
    (told.take().replace(&port, "PORT"), result.map_err(|error| error.replace(&port, "PORT")))
}

/// Catches: a step that is not reported, a login other than the one that mail would use, and something that is sent.
#[test]
fn each_step_is_a_line_and_nothing_is_sent() {
    story(async |world| {
        let heard = Rc::new(RefCell::new(Vec::new()));
        let hears = heard.clone();
        world.smarthost.answers(move |command| {
            hears.borrow_mut().push(command.to_owned());
            command.starts_with("EHLO").then_some(
                "250-smarthost.example\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n250-DSN\r\n250-AUTH=LOGIN PLAIN\r\n250 ok",
            )
        });
        world.reconfigure(|config| {
            global_login(config, "relay", "hush hush");
            own_login(config, 1, "", "annas");
        });
        let (told, result) = tested(&world, None).await;
        assert_eq!(
            told,
            "name       127.0.0.1 is 127.0.0.1\n\
             connection 127.0.0.1 port PORT\n\
             TLS        none: whoever is on the way can read the password and the mail\n\
             greeting   220 smarthost.example\n\
             EHLO       messages of up to 50 MiB; 8BITMIME, DSN; without PIPELINING, SMTPUTF8, CHUNKING; login by LOGIN PLAIN\n\
             login      as relay by PLAIN\n"
        );
        assert_eq!(result, Ok(()));
        let verbs: Vec<_> = heard.take().iter().map(|it| it.split(' ').next().unwrap().to_owned()).collect();
        assert_eq!(verbs, ["CONNECT", "EHLO", "AUTH", "QUIT"]);
        let (told, _) = tested(&world, Some("anna")).await;
        assert!(told.ends_with("login      as anna@home.example by PLAIN\n"), "{told}");
        let (told, _) = tested(&world, Some("fred")).await;
        assert!(
            told.starts_with(
                "account    fred has no smarthost_password: its mail goes under the global login\n"
            ),
            "{told}"
        );
        assert!(told.ends_with("login      as relay by PLAIN\n"), "{told}");
        world.reconfigure(|config| config.smarthost.per_account_authentication = false);
        let (told, _) = tested(&world, Some("anna")).await;
        assert!(
            told.starts_with("account    smarthost.per_account_authentication is off: its mail"),
            "{told}"
        );
        world.reconfigure(|config| config.smarthost.username = text(""));
        let (told, result) = tested(&world, None).await;
        assert!(
            told.ends_with("login      none, since smarthost.username is empty\n") && result.is_ok(),
            "{told}"
        );
        assert!(world.smarthost.taken().is_empty() && world.inbox("demo").await.is_empty());
    });
}

/// Catches: a failure without an explanation.
#[test]
fn what_fails_says_what_it_means() {
    story(async |world| {
        world.reconfigure(|config| global_login(config, "relay", "hush hush"));
        for (verb, answer, steps, end) in [
            ("CONNECT", "554 5.3.2 No", "TLS", "the smarthost answers 554 5.3.2 No. This often passes"),
            ("EHLO", "drop", "greeting", "the smarthost hung up at our greeting. This often passes"),
            (
                "AUTH",
                "535 5.7.8 No",
                "EHLO",
                "the smarthost refuses the login: 535 5.7.8 No. Check the user name",
            ),
            ("AUTH", "454 4.7.0 No", "EHLO", "the smarthost takes no login now: 454 4.7.0 No. Wait a while"),
            (
                "AUTH",
                "504 No",
                "EHLO",
                "the server refuses the way to log in: 504 No. Set the smarthost's auth",
            ),
        ] {
            world.smarthost.answers(move |command| command.starts_with(verb).then_some(answer));
            let (told, result) = tested(&world, None).await;
            let last = told.lines().last().unwrap();
            assert!(last.starts_with(steps), "{verb} {answer}: {told}");
            let error = result.unwrap_err();
            assert!(error.starts_with(end) && error.ends_with('.') && !error.contains(".."), "{error}");
        }
        assert!(world.inbox("demo").await.is_empty(), "no letters of a test");
        // The server does not speak TLS.
        world.smarthost.answers(|_| None);
        world.reconfigure(|config| config.smarthost.security = Security::Tls);
        let error = tested(&world, None).await.1.unwrap_err();
        assert!(error.contains("the server answers without TLS: \"220 "), "{error}");
        assert!(error.contains("Set the smarthost's security to \"starttls\""), "{error}");
        world.context.clock.forget();
        let error = tested(&world, None).await.1.unwrap_err();
        assert!(error.starts_with("the clock does not show the time yet"), "{error}");
        world.context.clock.set_known();
        // No server listens there.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        world.reconfigure(|config| config.smarthost.port = free);
        let error = tested(&world, None).await.1.unwrap_err();
        assert!(
            error.contains("Connection refused") && error.contains("Nothing listens on that port"),
            "{error}"
        );
        world.reconfigure(|config| config.smarthost.host = text(""));
        assert_eq!(tested(&world, None).await.1.unwrap_err(), "there is no smarthost: set smarthost.host");
        assert_eq!(
            tested(&world, Some("nobody")).await.1.unwrap_err(),
            "there is no smarthost: set smarthost.host"
        );
    });
}

/// Catches: a test that takes as long as a connection of the relay may.
#[test]
fn a_test_ends_within_a_minute() {
    story(async |world| {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        world.reconfigure(|config| config.smarthost.port = port);
        let passes = async {
            loop {
                Timer::after(Duration::from_millis(2)).await;
                world.context.time.advance(Duration::from_secs(1));
            }
        };
        let began = world.context.time.now();
        let (_, result) = or(tested(&world, None), passes).await;
        let error = result.unwrap_err();
        assert!(
            error.starts_with("the smarthost has not answered for 60 s at this step: connection"),
            "{error}"
        );
        assert!(world.context.time.since(began) < Duration::from_secs(70));
    });
}

/// Catches: an unknown account that is tried with the global login; a wait for the clock without need, or none though
/// the token server is asked by HTTPS.
#[test]
fn an_unknown_account_is_named_and_the_clock_matters_where_something_is_judged() {
    use crate::config::{OAuth2, SourceAuth};
    story(async |world| {
        let error = tested(&world, Some("nobody")).await.1.unwrap_err();
        assert_eq!((error.as_str(), world.smarthost.connections.get()), ("there is no account `nobody`", 0));
        world.context.clock.forget();
        assert_eq!(tested(&world, None).await.1, Ok(()));
        world.reconfigure(|config| {
            config.smarthost.auth = SourceAuth::OAuth2;
            config.smarthost.oauth2 = Some(Box::new(OAuth2::default()));
        });
        let error = tested(&world, None).await.1.unwrap_err();
        assert!(error.starts_with("the clock does not show the time yet"), "{error}");
    });
}

/// Catches: a step that is reported under another name, which sends the operator to look in the wrong place.
#[test]
fn the_step_that_gets_no_answer_is_named() {
    for (verb, step) in [("EHLO", "EHLO"), ("AUTH", "login")] {
        story(async move |world| {
            world.reconfigure(|config| global_login(config, "relay", "hush hush"));
            world.smarthost.answers(move |command| command.starts_with(verb).then_some("hang"));
            let passes = async {
                loop {
                    Timer::after(Duration::from_millis(2)).await;
                    world.context.time.advance(Duration::from_secs(1));
                }
            };
            let (_, result) = or(tested(&world, None), passes).await;
            let error = result.unwrap_err();
            assert!(error.contains(&format!("60 s at this step: {step}. ")), "{verb}: {error}");
        });
    }
}

/// Catches: a server's words that fill or steer the operator's terminal, its name taken for an extension, and
/// extensions in another case that are missed.
#[test]
fn what_a_server_says_of_itself_is_told_in_short() {
    story(async |world| {
        let greeting = format!("220 \u{1b}[2J{}the end", "so ".repeat(150));
        let ways = (0..40).map(|n| format!(" WAY{n}")).collect::<String>();
        let hello = format!("250-dsn\r\n250-pipelining\r\n250-size 0\r\n250 auth plain \u{fc}{ways}");
        let (greeting, hello): (&'static str, &'static str) = (greeting.leak(), hello.leak());
        world.smarthost.answers(move |command| match command.split(' ').next() {
            Some("CONNECT") => Some(greeting),
            Some("EHLO") => Some(hello),
            _ => None,
        });
        let (told, result) = tested(&world, None).await;
        assert_eq!(result, Ok(()));
        assert!(told.contains("greeting   220 [2Jso so ") && !told.contains("the end"), "{told}");
        assert!(!told.contains('\u{1b}'), "{told}");
        let hello = "EHLO       messages of any size; PIPELINING; without 8BITMIME, SMTPUTF8, DSN, CHUNKING; login by PLAIN WAY0 ";
        assert!(told.contains(hello) && !told.contains("WAY30"), "{told}");
        assert!(told.lines().all(|line| line.chars().count() <= 820), "{told}");
    });
}

/// Catches: advice that is given twice, or ends in two full stops.
#[test]
fn advice_is_said_once() {
    use crate::config::{OAuth2, SourceAuth};
    story(async |world| {
        world.reconfigure(|config| config.smarthost.security = Security::Starttls);
        let error = tested(&world, None).await.1.unwrap_err();
        assert!(error.ends_with("with the port that the provider tells for it."), "{error}");
        // There is no refresh token yet.
        world.reconfigure(|config| {
            config.smarthost.security = Security::None;
            config.smarthost.username = text("relay");
            config.smarthost.auth = SourceAuth::OAuth2;
            config.smarthost.oauth2 = Some(Box::new(OAuth2::default()));
        });
        let error = tested(&world, None).await.1.unwrap_err();
        assert!(error.contains("`oauth2 smarthost`") && !error.contains(".."), "{error}");
    });
}
