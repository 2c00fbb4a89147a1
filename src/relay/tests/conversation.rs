//! One connection to the smarthost: what is said on it, the time between messages, and what becomes of messages when
//! it breaks.

use std::cell::Cell;

use super::*;
use crate::flash::Flash;
use crate::relay::outgoing::Login;

impl World {
    /// The recipients of what the smarthost has taken, in order.
    fn recipients(&self) -> Vec<String> {
        self.smarthost.taken().into_iter().map(|taken| taken.to).collect()
    }

    /// Submits `count` messages of `demo` to `friend0`, `friend1` and so on.
    async fn post_some(&self, count: u32) {
        for n in 0..count {
            self.post(&format!("friend{n}@else.example")).await.unwrap();
        }
    }

    /// Waits until the relay has ended, with a limit.
    async fn ends(&self) {
        let late = async {
            Timer::after(PATIENCE).await;
            panic!("it never ends");
        };
        smol::future::or(self.relay.end(), late).await;
    }

    async fn post_long(&self, to: &str, octets: usize) {
        let envelope = Envelope { account: Some(1), ..envelope("demo@home.example", to) };
        let content = MESSAGE.to_owned() + &"line\r\n".repeat(octets / 6);
        let mut taken = self.relay.incoming(&envelope, content.len() as u64).await.unwrap();
        taken.message.write(content.as_bytes()).unwrap();
        self.relay.accept(envelope, taken).await.unwrap();
    }
}

/// Begins to end the relay at this moment.
fn ends_at_once(relay: &Relay) {
    assert!(smol::future::block_on(smol::future::poll_once(relay.end())).is_none() || relay.in_doubt() == 0);
}

/// Answers only the first command that begins with `verb` with `answer`.
fn once(verb: &'static str, answer: &'static str) -> impl Fn(&str) -> Option<&'static str> {
    nth(1, verb, answer)
}

/// Answers only command number `number` of those that begin with `verb` with `answer`.
fn nth(number: u32, verb: &'static str, answer: &'static str) -> impl Fn(&str) -> Option<&'static str> {
    // The smarthost of the tests asks for the answer to MAIL twice.
    let (asked, times) = (Cell::new(0), if verb == "MAIL" { 2 } else { 1 });
    move |command| {
        asked.set(asked.get() + u32::from(command.starts_with(verb)));
        (command.starts_with(verb) && asked.get().div_ceil(times) == number).then_some(answer)
    }
}

/// Catches: a large first message that is not known as large: small ones would wait for it, or the last connection
/// would carry another large one.
#[test]
fn a_connection_that_begins_with_a_large_message_is_known_for_it() {
    story(async |world| {
        world.smarthost.answers(|command| {
            (command.starts_with("EHLO"))
                .then_some("250-smarthost.example\r\n250-PIPELINING\r\n250 SIZE 1000000")
        });
        let large = usize::try_from(crate::relay::index::LARGE).unwrap();
        world.post_long("friend@else.example", large).await;
        world.smarthost.pause.set(Duration::from_millis(40));
        let _running = world.run();
        world.until("it is on its way", async || !world.smarthost.heard("MAIL").is_empty()).await;
        assert!(!world.relay.lines.takes_large(&Login::Global, 1));
        world.until_queue_is_empty().await;
    });
}

/// Catches: a trouble that is shown though it has passed, and a login that counts as refused though it works.
#[test]
fn a_login_that_works_again_by_itself_is_no_trouble_any_more() {
    story(async |world| {
        world.reconfigure(|config| {
            config.smarthost.retry = vec![1];
            global_login(config, "relay", "relay password");
        });
        world.smarthost.answers(once("AUTH", "535 5.7.8 Wrong password"));
        let _running = world.run();
        world.post("friend@else.example").await.unwrap();
        world.until("it is refused", async || !world.relay.refused.borrow().is_empty()).await;
        world.until("it is told", async || !world.relay.troubles().is_empty()).await;
        world.until_queue_is_empty().await;
        assert!(world.relay.troubles().is_empty() && world.relay.refused.borrow().is_empty());
    });
}

/// Catches: a server's mistake with an extension that costs a message an attempt, or that is reported.
#[test]
fn what_goes_again_without_an_extension_is_no_trouble() {
    story(async |world| {
        // The client takes the end of the group for the answer to DATA.
        world.smarthost.answers(once("DATA", "250 2.0.0 OK"));
        let _running = world.run();
        world.post("friend@else.example").await.unwrap();
        world.until_queue_is_empty().await;
        assert_eq!(world.recipients(), ["TO:<friend@else.example>"]);
        assert!(
            world.relay.troubles().is_empty() && !world.relay.failing.get(),
            "{:?}",
            world.relay.troubles()
        );
        assert_eq!(world.smarthost.connections.get(), 2);
    });
}

/// Catches: messages that wait for hours though the smarthost, which closed in the middle of a conversation, can be
/// reached again.
#[test]
fn what_a_closing_server_left_goes_when_another_one_gets_through() {
    story(async |world| {
        world.smarthost.answers(once("MAIL", "421 4.3.2 Going down"));
        let _running = world.run();
        world.post("first@else.example").await.unwrap();
        world.until_queue_is("first@else.example attempts 1 421 4.3.2 Going down").await;
        world.post("second@else.example").await.unwrap();
        world.until_queue_is_empty().await;
        assert_eq!(world.recipients().len(), 2);
    });
}

/// Catches: a new message that waits for a server which takes its time with the goodbye.
#[test]
fn nobody_waits_for_a_goodbye() {
    story(async |world| {
        world.reconfigure(|config| config.smarthost.connections = 1);
        world.smarthost.answers(|command| (command == "QUIT").then_some("hang"));
        let _running = world.run();
        world.post("first@else.example").await.unwrap();
        world.until("the goodbye", async || world.smarthost.heard("QUIT").len() == 1).await;
        world.post("second@else.example").await.unwrap();
        world.until_queue_is_empty().await;
        assert_eq!(world.recipients().len(), 2);
    });
}

/// Catches: a message that leaves with settings that are no longer in force, since a connection was open.
#[test]
fn a_connection_with_old_settings_takes_no_other_message() {
    story(async |world| {
        world.reconfigure(|config| {
            config.smarthost.connections = 1;
            global_login(config, "relay", "old");
        });
        world.post_some(2).await;
        let (changes, is_first) = (world.clone(), Cell::new(true));
        world.smarthost.answers(move |command| {
            if command == "DATA" && is_first.take() {
                changes.reconfigure(|config| global_login(config, "relay", "new"));
            }
            None
        });
        let _running = world.run();
        world.until_queue_is_empty().await;
        let logins: Vec<_> = world.smarthost.taken().into_iter().map(|taken| taken.login).collect();
        assert_eq!(logins, ["relay:old", "relay:new"]);
    });
}

/// Catches: a second message that is sent before the server has shown that it handles pipelining: if it does not,
/// both would be lost.
#[test]
fn the_first_message_of_a_connection_is_waited_for() {
    story(async |world| {
        world.reconfigure(|config| config.smarthost.connections = 1);
        world.smarthost.answers(|command| (command == ".").then_some("hang"));
        world.post_some(3).await;
        let _running = world.run();
        world.until("the first is there", async || world.recipients().len() == 1).await;
        Timer::after(Duration::from_millis(30)).await;
        assert_eq!(world.smarthost.heard("MAIL").len(), 1);
    });
}

/// Catches: a message that is begun while the appliance is being stopped, and thereby breaks off those that are
/// waited for.
#[test]
fn what_waits_for_room_is_not_begun_at_the_end() {
    story(async |world| {
        world.reconfigure(|config| config.smarthost.connections = 1);
        world.post_some(2).await;
        let relay = world.relay.clone();
        // The end comes while the first message has left and is not answered.
        world.smarthost.answers(move |command| {
            (command == ".").then(|| ends_at_once(&relay));
            None
        });
        let _running = world.run();
        world.until("the first one is settled", async || world.queue().len() == 1).await;
        world.until("the goodbye", async || world.smarthost.open.get() == 0).await;
        assert_eq!(world.smarthost.heard("MAIL").len(), 1);
        assert_eq!(world.queue(), ["friend1@else.example attempts 0 "]);
    });
}

/// Catches: a message that cannot be read and is noted for its first recipient only: it would be tried again without
/// a pause.
#[test]
fn a_message_that_cannot_be_read_waits_for_each_of_its_recipients() {
    story(async |world| {
        world.post_long("a@else.example b@else.example", 300_000).await;
        let files = world.flash.files().into_iter().filter(|(_, octets)| *octets >= 300_000);
        let [(body, _)] = &files.collect::<Vec<_>>()[..] else { panic!("one file of its own") };
        world.flash.remove(body).unwrap();
        let _running = world.run();
        world.until("an attempt", async || world.relay.entries()[0].attempts > 0).await;
        Timer::after(Duration::from_millis(30)).await;
        let shown = world.relay.show(world.relay.entries()[0].id).unwrap();
        assert!(shown.recipients.iter().all(|(_, state)| state.contains("451")), "{:?}", shown.recipients);
        assert_eq!((world.smarthost.heard("MAIL").len(), world.relay.entries()[0].attempts), (0, 1));
        assert_eq!(world.relay.entries()[0].in_doubt, None);
    });
}

/// Catches: messages that were answered, or were about to be, and go twice since the message behind them broke the
/// connection.
#[test]
fn a_message_that_breaks_the_connection_costs_those_before_it_nothing() {
    story(async |world| {
        world.reconfigure(|config| config.smarthost.connections = 1);
        world.smarthost.answers(nth(3, "MAIL", "421 4.3.2 Going down"));
        world.post_some(3).await;
        let _running = world.run();
        world.until_queue_is("friend2@else.example attempts 1 421 4.3.2 Going down").await;
        assert_eq!(world.recipients(), [0, 1].map(|n| format!("TO:<friend{n}@else.example>")));
        assert_eq!(world.relay.entries()[0].in_doubt, None);
    });
}

/// Catches: an orderly end after which a message no longer counts as in doubt, though it may have gone before.
#[test]
fn an_end_before_its_turn_leaves_a_message_in_doubt_as_it_was() {
    story(async |world| {
        world.reconfigure(|config| config.smarthost.retry = vec![3600]);
        world.smarthost.answers(|command| command.contains("<first@").then_some("450 4.2.1 Greylisted"));
        let _running = world.run();
        world.post("first@else.example").await.unwrap();
        world.until_queue_is("first@else.example attempts 1 450 4.2.1 Greylisted").await;
        // The second message may have arrived; then the first one hangs, and the second one waits behind it for its
        // turn.
        let drops = once(".", "drop");
        world
            .smarthost
            .answers(move |command| drops(command).or_else(|| command.contains("<first@").then_some("hang")));
        world.post("second@else.example").await.unwrap();
        world.until("it is in doubt", async || world.relay.entries()[1].attempts == 1).await;
        assert!(world.relay.entries()[1].in_doubt.is_some());
        world.relay.retry_now();
        world.until("it waits for its turn", async || world.relay.in_doubt() == 1).await;
        world.ends().await;
        Timer::after(Duration::from_millis(30)).await;
        let known = |entry: &crate::relay::QueueEntry| (entry.in_doubt.is_some(), entry.attempts);
        assert_eq!(world.relay.entries().iter().map(known).collect::<Vec<_>>(), [(false, 1), (true, 1)]);
    });
}

/// Catches: an end that does not wait for what was handed over, that waits for ever, or after which another message
/// is begun.
#[test]
fn the_end_waits_for_what_has_left_and_for_nothing_else() {
    story(async |world| {
        world.smarthost.thinks.set(Duration::from_millis(60));
        world.post("first@else.example").await.unwrap();
        let _running = world.run();
        world.until("it is handed over", async || world.recipients().len() == 1).await;
        assert_eq!((world.relay.in_doubt(), world.queue().len()), (1, 1));
        world.ends().await;
        assert_eq!(world.relay.in_doubt(), 0);
        world.until_queue_is_empty().await;
        world.post("second@else.example").await.unwrap();
        Timer::after(Duration::from_millis(30)).await;
        assert_eq!((world.smarthost.heard("MAIL").len(), world.queue().len()), (1, 1));
    });
}

/// Catches: last octets that are sent though the appliance is being stopped, which nobody waits for; an attempt that
/// counts though the appliance itself broke it off.
#[test]
fn a_message_that_has_not_left_when_the_end_comes_stays_as_it_was() {
    story(async |world| {
        let relay = world.relay.clone();
        world.smarthost.answers(move |command| {
            (command == "DATA").then(|| ends_at_once(&relay));
            None
        });
        world.post("friend@else.example").await.unwrap();
        let _running = world.run();
        world.until("DATA", async || world.smarthost.heard("DATA").len() == 1).await;
        world.until("it is broken off", async || world.smarthost.open.get() == 0).await;
        assert_eq!(
            (world.recipients().len(), world.queue()),
            (0, vec!["friend@else.example attempts 0 ".to_owned()])
        );
        assert_eq!(world.relay.entries()[0].in_doubt, None);
    });
}

/// Catches: an attempt that counts though it was made with settings that are no longer in force.
#[test]
fn what_breaks_off_under_old_settings_is_no_attempt() {
    story(async |world| {
        let (changes, has_changed) = (world.clone(), Cell::new(false));
        world.smarthost.answers(move |command| match command.split(' ').next() {
            // The smarthost offers no extensions, so the break is not blamed on one of them.
            Some("EHLO") => Some("250 smarthost.example"),
            Some("RCPT") if has_changed.get() => Some("450 4.2.1 Greylisted"),
            Some("DATA") => {
                has_changed.set(true);
                changes.reconfigure(|config| config.smarthost.retry = vec![3600]);
                Some("drop")
            }
            _ => None,
        });
        world.post("friend@else.example").await.unwrap();
        let _running = world.run();
        world.until_queue_is("friend@else.example attempts 1 450 4.2.1 Greylisted").await;
    });
}

/// Catches: a message that was answered, even if it was put off, and is reported as one that may arrive twice.
#[test]
fn what_was_answered_is_in_doubt_no_longer() {
    story(async |world| {
        world.smarthost.answers(|command| (command == ".").then_some("451 4.3.0 Later"));
        let _running = world.run();
        world.post("friend@else.example").await.unwrap();
        world.until_queue_is("friend@else.example attempts 1 451 4.3.0 Later").await;
        assert_eq!(world.relay.entries()[0].in_doubt, None);
        world.smarthost.answers(|_| None);
        world.relay.retry_now();
        world.until_queue_is_empty().await;
        assert!(world.relay.troubles().is_empty(), "{:?}", world.relay.troubles());
    });
}

/// Catches: properties of a message that the server is not told, and a report made here besides the one that the
/// server makes.
#[test]
fn what_a_message_needs_is_said_to_the_server() {
    use crate::smtp::dsn::Notify;
    story(async |world| {
        world.smarthost.answers(|command| {
            command.starts_with("EHLO").then_some(
                "250-smarthost.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 DSN",
            )
        });
        let _running = world.run();
        for (eight_bit, utf8, said) in [
            (false, false, "MAIL FROM:<demo@home.example>"),
            (true, false, "MAIL FROM:<demo@home.example> BODY=8BITMIME"),
            (true, true, "MAIL FROM:<demo@home.example> BODY=8BITMIME SMTPUTF8"),
        ] {
            let notify = Notify::When { success: true, failure: true, delay: false };
            let to = smtp::Recipient { notify, ..mailbox("friend@else.example").into() };
            let envelope = envelope("demo@home.example", "x@y");
            let envelope = Envelope { account: Some(1), recipients: vec![to], eight_bit, utf8, ..envelope };
            let mut taken = world.relay.incoming(&envelope, MESSAGE.len() as u64).await.unwrap();
            taken.message.write(MESSAGE.as_bytes()).unwrap();
            world.relay.accept(envelope, taken).await.unwrap();
            world.until_queue_is_empty().await;
            assert_eq!(world.smarthost.heard("MAIL").last().map(String::as_str), Some(said));
        }
        assert!(world.inbox("demo").await.is_empty(), "the server tells of the success");
    });
}

/// Catches: mail from a sender address beyond ASCII that is refused although the account has an ASCII alias.
#[test]
fn a_server_that_takes_ascii_only_gets_an_alias_for_the_sender() {
    story(async |world| {
        world.reconfigure(|config| {
            config.accounts[0].address = text("j\u{f6}rg@home.example");
            config.accounts[0].aliases = vec![text("j\u{f6}@home.example"), text("joerg@home.example")];
        });
        let _running = world.run();
        world.post_as(Some("demo"), "j\u{f6}rg@home.example", "friend@else.example").await.unwrap();
        world.until_queue_is_empty().await;
        assert_eq!(world.smarthost.heard("MAIL"), ["MAIL FROM:<joerg@home.example> SIZE=72"]);
    });
}
