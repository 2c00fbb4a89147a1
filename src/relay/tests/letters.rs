//! Who is told of a refused login, how often, and which failures cause no letter.

use super::*;
use crate::clock::{FIXED, unix_now};
use crate::relay::outgoing::Login;
use crate::smtp::client::Failure;

const DAY: i64 = 24 * 3600;

/// Lets so many days pass, and tries everything that waits again.
async fn days_pass(world: &Rc<World>, days: i64) {
    FIXED.set(Some(unix_now() + days * DAY));
    let connections = world.smarthost.connections.get();
    world.relay.retry_now();
    world.until("another attempt", async || world.smarthost.connections.get() > connections).await;
    world.until("its end", async || world.smarthost.open.get() == 0).await;
    Timer::after(Duration::from_millis(30)).await;
}

/// The number of letters about a refused login that an account has.
async fn refusals(world: &World, account: &str) -> usize {
    let inbox = world.inbox(account).await;
    inbox
        .iter()
        .filter(|letter| letter.contains("Subject: Your mail cannot be sent: the login is refused"))
        .count()
}

/// Catches: a refused global login that nobody is told of, a letter with each attempt, daily letters without end, and
/// a series that goes on although the login worked in between.
#[test]
fn the_postmaster_hears_of_a_refused_global_login() {
    story(async |world| {
        FIXED.set(Some(unix_now()));
        world.reconfigure(|config| {
            config.server.postmaster = text("fred");
            config.smarthost.expire = u32::MAX;
            global_login(config, "relay", "hush hush");
        });
        world.smarthost.answers(|command| command.starts_with("AUTH").then_some("535 5.7.8 Wrong password"));
        let _running = world.run();
        world.post("friend@else.example").await.unwrap();
        world.until("a letter", async || world.inbox("fred").await.len() == 1).await;
        let letter = &world.inbox("fred").await[0];
        for part in [
            "To: <fred@home.example>\r\n",
            "user name:  relay\r\n",
            "its answer: 535 5.7.8 Wrong password\r\n",
            "Set smarthost.password anew",
            "you get this message once a day.\r\n",
        ] {
            assert!(letter.contains(part), "{part:?} in {letter}");
        }
        assert!(!letter.contains("hush"), "{letter}");
        // At once, on the same day, and on the days that follow.
        for (days, letters) in
            [(0, 1), (1, 2), (1, 3), (1, 4), (1, 5), (1, 6), (1, 7), (1, 8), (1, 8), (5, 8), (1, 9)]
        {
            days_pass(&world, days).await;
            assert_eq!(world.inbox("fred").await.len(), letters, "after {days} more days");
        }
        assert!(world.inbox("fred").await[8].contains("once a week.\r\n"));
        // The login works, and then is refused again: this happens on the same day, and more than once.
        for letters in [10, 11] {
            world.smarthost.answers(|_| None);
            world.relay.retry_now();
            world.until_queue_is_empty().await;
            world
                .smarthost
                .answers(|command| command.starts_with("AUTH").then_some("535 5.7.8 Wrong password"));
            world.post("friend@else.example").await.unwrap();
            world.until("a new row", async || world.inbox("fred").await.len() == letters).await;
        }
        assert_eq!((refusals(&world, "demo").await, refusals(&world, "anna").await), (0, 0));
    });
}

/// Catches: a restart that begins a series anew, and one after which a series never ends.
#[test]
fn a_row_outlives_a_restart() {
    story(async |world| {
        FIXED.set(Some(unix_now()));
        world.reconfigure(|config| global_login(config, "relay", "wrong"));
        world.smarthost.answers(|command| command.starts_with("AUTH").then_some("535 5.7.8 Wrong password"));
        let running = world.run();
        world.post("friend@else.example").await.unwrap();
        world.until("a letter", async || world.inbox("demo").await.len() == 1).await;
        drop(running);
        // What memory holds of the series ends with the process.
        world.relay.rows.borrow_mut().clear();
        let _running = world.run();
        days_pass(&world, 0).await;
        assert_eq!(world.inbox("demo").await.len(), 1);
        world.relay.rows.borrow_mut().clear();
        world.smarthost.answers(|_| None);
        world.relay.retry_now();
        world.until_queue_is_empty().await;
        world.smarthost.answers(|command| command.starts_with("AUTH").then_some("535 5.7.8 Wrong password"));
        world.post("friend@else.example").await.unwrap();
        world.until("a new row", async || world.inbox("demo").await.len() == 2).await;
    });
}

/// Catches: a refused login of an account that the operator never hears of, or hears of each day; the password of an
/// account in a letter to another one.
#[test]
fn an_account_hears_of_its_own_login_and_the_postmaster_once() {
    story(async |world| {
        FIXED.set(Some(unix_now()));
        world.reconfigure(|config| {
            config.smarthost.expire = u32::MAX;
            own_login(config, 1, "anna at the provider", "hush hush");
        });
        world.smarthost.answers(|command| command.starts_with("AUTH").then_some("535 5.7.8 Wrong password"));
        let _running = world.run();
        world.post_as(Some("anna"), "anna@home.example", "friend@else.example").await.unwrap();
        world.until("the letters", async || world.inbox("demo").await.len() == 1).await;
        let told = world.inbox("demo").await[0].clone();
        assert!(told.contains("account:    anna\r\n") && told.contains("`test smarthost anna`"), "{told}");
        assert!(!told.contains("hush"), "{told}");
        days_pass(&world, 1).await;
        world.until("the next day", async || world.inbox("anna").await.len() == 2).await;
        assert!(world.inbox("anna").await[1].contains("that is set for you"));
        assert_eq!(world.inbox("demo").await.len(), 1);
    });
}

/// Catches: a passing trouble, or settings that do not fit, reported as a wrong password; words of the server that
/// look like one.
#[test]
fn what_is_no_refused_login_is_no_letter() {
    story(async |world| {
        world.reconfigure(|config| global_login(config, "relay", "relay password"));
        let _running = world.run();
        let cases: [(&'static str, &'static str, &str); 8] = [
            (
                "AUTH",
                "454 4.7.0 Too many logins",
                "the smarthost takes no login now: 454 4.7.0 Too many logins",
            ),
            (
                "AUTH",
                "421 4.7.0 Too many logins",
                "the smarthost takes no login now: 421 4.7.0 Too many logins",
            ),
            ("AUTH", "451 Later", "the smarthost takes no login now: 451 Later"),
            ("AUTH", "drop", "the smarthost hung up during the login"),
            ("EHLO", "drop", "the smarthost hung up at our greeting"),
            (
                "AUTH",
                "504 5.5.4 What?",
                "the server refuses the way to log in: 504 5.5.4 What?. Set the smarthost's auth to \"auto\", or ask the provider \
                 how to log in.",
            ),
            (
                "EHLO",
                "250-smarthost.example\r\n250 AUTH GSSAPI",
                "the smarthost offers no way to log in that is known here and allowed by auth, but GSSAPI. Set the smarthost's auth \
                 to \"auto\", or ask the provider how to log in.",
            ),
            (
                "MAIL",
                "530 5.7.0 Log in first",
                "the smarthost wants another login than the settings have: 530 5.7.0 Log in first",
            ),
        ];
        for (verb, answer, trouble) in cases {
            world.smarthost.answers(move |command| command.starts_with(verb).then_some(answer));
            world.post("friend@else.example").await.unwrap();
            world.until_queue_is(&format!("friend@else.example attempts 1 {trouble}")).await;
            assert_eq!(world.relay.troubles(), [format!("smarthost: {trouble}")]);
            world.smarthost.answers(|_| None);
            world.relay.retry_now();
            world.until_queue_is_empty().await;
        }
        assert_eq!(refusals(&world, "demo").await, 0);
    });
}

/// Catches: an ended permission that is reported as a password, and a server's words that break a letter's lines.
#[test]
fn a_letter_tells_what_is_to_be_done_and_holds_no_more_than_it_may() {
    story(async |world| {
        world.reconfigure(|config| global_login(config, "relay", "relay password"));
        let words = format!("535 5.7.8 \u{1b}[2J{} the end", "so ".repeat(500));
        world.relay.tell_of(&Login::Global, &Failure::Token(words)).await;
        let [letter] = &world.inbox("demo").await[..] else { panic!("one letter") };
        assert!(letter.contains("Type `oauth2 smarthost` in the console"), "{letter}");
        assert!(letter.contains("its answer: 535 5.7.8 [2Jso so") && !letter.contains("the end"), "{letter}");
        assert!(letter.lines().all(|line| line.len() <= 998 && !line.contains(char::is_control)), "{letter}");
    });
}

/// Catches: a login that nobody is told of since another one was told of, and a postmaster who is told twice of his
/// own login.
#[test]
fn each_login_is_told_of_by_itself() {
    story(async |world| {
        world.reconfigure(|config| {
            config.server.postmaster = text("anna");
            global_login(config, "relay", "relay password");
            (0..3).for_each(|account| own_login(config, account, "", "password"));
        });
        let refused = Failure::Login("535 5.7.8 Wrong password".to_owned());
        let account = |name: &str| Login::Account(name.to_owned());
        for (login, demo, anna, fred) in [
            (account("anna"), 0, 1, 0),
            (Login::Global, 0, 2, 0),
            (account("demo"), 1, 3, 0),
            (account("fred"), 1, 4, 1),
            (account("fred"), 1, 4, 1),
        ] {
            world.relay.tell_of(&login, &refused).await;
            let found = [refusals(&world, "demo").await, refusals(&world, "anna").await];
            assert_eq!((found, refusals(&world, "fred").await), ([demo, anna], fred), "{login}");
        }
    });
}
