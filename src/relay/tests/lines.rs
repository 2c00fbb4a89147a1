//! Several connections to the smarthost: no message waits for another submitter's, and each submitter's messages keep
//! their order.

use std::cell::Cell;

use super::*;

impl World {
    /// The senders of the messages that the smarthost has taken, in order.
    fn senders(&self) -> Vec<String> {
        let sender = |from: &str| from.split(['<', '@']).nth(1).unwrap_or_default().to_owned();
        self.smarthost.taken().iter().map(|taken| sender(&taken.from)).collect()
    }

    async fn post_from(&self, name: &str) {
        let from = format!("{name}@home.example");
        self.post_as(Some(name), &from, "friend@else.example").await.unwrap();
    }

    async fn post_octets_from(&self, name: &str, octets: usize) {
        let text = format!("{MESSAGE}{}", "x\r\n".repeat(octets / 3));
        let from = format!("{name}@home.example");
        self.post_text_as(Some(name), &from, "friend@else.example", &text).await.unwrap();
    }
}

/// Catches: mail of a disabled account that still goes out under its login, or is lost because of that.
#[test]
fn a_disabled_account_s_mail_waits_until_it_is_enabled() {
    story(async |world| {
        world.post_from("anna").await;
        world.reconfigure(|config| config.accounts[1].enabled = false);
        let _running = world.run();
        world.post_from("demo").await;
        world.until("the other one goes", async || world.senders() == ["demo"]).await;
        Timer::after(Duration::from_millis(50)).await;
        assert_eq!(world.queue(), ["friend@else.example attempts 0 "]);
        world.reconfigure(|config| config.accounts[1].enabled = true);
        world.until_queue_is_empty().await;
        assert_eq!(world.senders(), ["demo", "anna"]);
    });
}

/// Catches: mail of an account that is gone that leaves under the login of the account that has its name now, or the
/// global one.
#[test]
fn a_name_that_is_used_again_gets_nobody_else_s_mail() {
    story(async |world| {
        world.reconfigure(|config| own_login(config, 1, "anna", "annas"));
        world.post_from("anna").await;
        world.reconfigure(|config| {
            config.accounts[1].id = 77;
            own_login(config, 1, "the new one", "other");
        });
        let _running = world.run();
        world.post_from("anna").await;
        world.until_queue_is_empty().await;
        let logins: Vec<_> = world.smarthost.taken().iter().map(|taken| taken.login.clone()).collect();
        assert_eq!(logins, ["the new one:other"]);
        assert_eq!(world.inbox("demo").await.len(), 1, "the postmaster has the other one");
    });
}

/// Catches: two messages that hang and keep a third one waiting, with logins of their own or with one login.
#[test]
fn what_hangs_holds_up_nobody_else() {
    for own in [true, false] {
        story(async move |world| {
            world.reconfigure(|config| {
                if own {
                    own_login(config, 0, "demo", "demos");
                    own_login(config, 1, "anna", "annas");
                    own_login(config, 2, "fred", "freds");
                }
            });
            world.smarthost.answers(|command| {
                (command.starts_with("MAIL") && !command.contains("<demo@")).then_some("hang")
            });
            world.post_from("anna").await;
            world.post_from("fred").await;
            let _running = world.run();
            world.until("both hang", async || !world.smarthost.heard("MAIL").is_empty()).await;
            let begun = Instant::now();
            world.post_from("demo").await;
            world.until("the third goes", async || world.senders() == ["demo"]).await;
            assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
            assert!(world.smarthost.most_open.get() <= 4);
        });
    }
}

/// Catches: a connection that takes the next message and keeps it while it waits for the answer to the one before:
/// before the smarthost has answered anything, and where there is no room beside what is under way.
#[test]
fn what_is_answered_late_holds_up_nobody_else() {
    for (answered, octets) in [(0, 100), (1, 90_000)] {
        story(async move |world| {
            let contents = Cell::new(0);
            world.smarthost.answers(move |command| {
                contents.set(contents.get() + u32::from(command == "."));
                (command == "." && contents.get() == answered + 1).then_some("hang")
            });
            for _ in 0..answered {
                world.post_from("anna").await;
            }
            world.post_octets_from("anna", octets).await;
            world.post_octets_from("fred", octets).await;
            let begun = Instant::now();
            let _running = world.run();
            world.until("the other one goes", async || world.senders().contains(&"fred".to_owned())).await;
            assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
            let taken = world.smarthost.taken();
            let [.., late, other] = &taken[..] else { panic!("{taken:?}") };
            assert!(late.from.contains("anna") && late.connection != other.connection, "{taken:?}");
        });
    }
}

/// Catches: messages of a submitter that overtake each other, and a single connection for a hundred messages.
#[test]
fn messages_keep_the_order_of_their_submitter_over_several_connections() {
    story(async |world| {
        for n in 0..40 {
            let to = format!("friend{n}@else.example");
            world.post_as(Some("demo"), "demo@home.example", &to).await.unwrap();
        }
        world.smarthost.pause.set(Duration::from_millis(5));
        let _running = world.run();
        world.until_queue_is_empty().await;
        let to: Vec<_> = world.smarthost.taken().iter().map(|taken| taken.to.clone()).collect();
        let expected: Vec<_> = (0..40).map(|n| format!("TO:<friend{n}@else.example>")).collect();
        assert_eq!(to, expected);
        let most = world.smarthost.most_open.get();
        assert!((2..=4).contains(&most), "{most} connections at once");
    });
}

/// Catches: a queue that waits for hours though the smarthost is in reach again.
#[test]
fn when_the_smarthost_is_in_reach_again_all_go_at_once() {
    story(async |world| {
        world.smarthost.answers(|command| (command == "CONNECT").then_some("421 4.3.2 Later"));
        let _running = world.run();
        for name in ["anna", "fred", "anna"] {
            world.post_from(name).await;
        }
        world
            .until("all were tried", async || world.queue().iter().all(|line| line.contains("attempts 1 ")))
            .await;
        world.smarthost.answers(|_| None);
        world.post_from("demo").await;
        world.until_queue_is_empty().await;
        assert_eq!(world.smarthost.taken().len(), 4);
    });
}

/// Catches: a message that the smarthost may have, without anybody knowing.
#[test]
fn what_is_handed_over_and_not_answered_is_known_on_flash_and_told() {
    story(async |world| {
        world.smarthost.answers(|command| (command == ".").then_some("hang"));
        world.post("friend@else.example").await.unwrap();
        let running = world.run();
        world.until("it is handed over", async || world.smarthost.taken().len() == 1).await;
        let doubt = world.relay.entries()[0].in_doubt;
        assert!(doubt.is_some());
        // The power is cut.
        running.cancel().await;
        world.smarthost.answers(|_| None);
        let store = Store::new(world.card.clone());
        let context = Rc::new(Context::new((*world.context.config()).clone(), world.context.tls(), store));
        let queue = context.store.queue().await.unwrap();
        let relay = Relay::new(context.clone(), queue, Tokens::new(context));
        assert_eq!(relay.entries()[0].in_doubt, doubt, "it is on flash");
        let again = relay.clone();
        let _running = world.executor.spawn(async move { again.run().await });
        world.until("it goes again", async || relay.entries().is_empty()).await;
        assert_eq!(world.smarthost.taken().len(), 2);
        let troubles = relay.troubles().join("");
        assert!(
            troubles.contains("handed over again") && troubles.contains("friend@else.example"),
            "{troubles}"
        );
    });
}
