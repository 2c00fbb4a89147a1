//! Messages that stay here.

use super::super::entry::Entry;
use super::super::queue::share;
use super::*;
use crate::store::Flags;

const DELIVERED: &str = "Return-Path: <demo@home.example>\r\nMessage-ID: <1@home.example>\r\nSubject: hello\r\n\r\n.dots\r\n..and dots\r\nbye\r\n";

#[test]
fn one_account_gets_its_message_at_once_and_past_the_queue() {
    story(async |world| {
        world.post("info@home.example demo@home.example").await.unwrap();
        assert_eq!(world.inbox("demo").await, [DELIVERED], "an account with two addresses gets one");
        let queue = world.context.store.queue().await.unwrap();
        assert_eq!(queue.view(INBOX, |inbox| inbox.uid_next), Some(1), "the queue was not touched");
    });
}

#[test]
fn several_accounts_get_one_each_by_way_of_the_queue() {
    story(async |world| {
        let _running = world.run();
        world.post("anna@home.example demo@home.example info@home.example FRED@home.example").await.unwrap();
        world.until_queue_is_empty().await;
        for account in ["anna", "demo", "fred"] {
            assert_eq!(world.inbox(account).await, [DELIVERED], "{account}");
        }
        // Identities are kept as long as their messages are queued, and for some deliveries longer.
        let anna = world.context.store.account("anna").await.unwrap();
        let identities = || anna.all_collected(super::super::deposit::RELAY).len();
        assert_eq!(identities(), 1);
        Timer::after(Duration::from_millis(1100)).await;
        for _ in 0..7 {
            world.post("anna@home.example demo@home.example").await.unwrap();
            world.until_queue_is_empty().await;
        }
        assert!(identities() < 8, "{}", identities());
        assert_eq!(world.smarthost.connections.get(), 0);
    });
}

#[test]
fn recipients_that_are_refused() {
    story(async |world| {
        let refusal = async |to: &str| world.post(to).await.unwrap_err().to_string();
        assert!(refusal("nobody@home.example").await.starts_with("550 5.1.1"));
        world.reconfigure(|config| config.smarthost.host = text(""));
        assert!(refusal("friend@else.example").await.starts_with("550 5.4.4"));
        world.reconfigure(|config| config.accounts[1].quota = 20);
        assert!(refusal("anna@home.example").await.starts_with("452 4.2.2"));
        // The octets alone would fit, but each message counts for more than its octets.
        world.reconfigure(|config| config.accounts[1].quota = crate::store::SHARE);
        assert!(refusal("anna@home.example").await.starts_with("452 4.2.2 That mailbox is full"));
        world.post("demo@home.example").await.unwrap();
    });
}

#[test]
fn an_account_at_a_limit_is_full_as_one_over_its_quota_is() {
    let reply = crate::smtp::store_trouble(&crate::store::Error::Limit("messages")).to_string();
    assert!(reply.starts_with("452 4.2.2"), "{reply}");
}

#[test]
fn an_account_that_is_full_gets_its_copy_later() {
    story(async |world| {
        let _running = world.run();
        world.post("anna@home.example fred@home.example").await.unwrap();
        world.until_queue_is_empty().await;

        let held = world.context.store.account("anna").await.unwrap().usage().charged();
        world.reconfigure(|config| {
            config.accounts[1].quota = held + crate::store::SHARE + MESSAGE.len() as u64
        });
        world.post("anna@home.example fred@home.example").await.unwrap();
        world
            .until_queue_is("anna@home.example attempts 1 452 4.2.2 The mailbox is full, try again later")
            .await;
        assert_eq!(world.inbox("fred").await.len(), 2);

        world.reconfigure(|config| config.accounts[1].quota = 0);
        world.until_queue_is_empty().await;
        assert_eq!((world.inbox("anna").await.len(), world.inbox("fred").await.len()), (2, 2));
    });
}

#[test]
fn an_account_that_is_gone_means_a_report_to_the_sender() {
    story(async |world| {
        world.post("anna@home.example fred@home.example").await.unwrap();
        world.reconfigure(|config| config.accounts.truncate(2));
        let _running = world.run();
        world.until_queue_is_empty().await;
        assert_eq!(world.inbox("anna").await, [DELIVERED]);
        let [report] = &world.inbox("demo").await[..] else { panic!("one report") };
        assert!(
            report.contains(
                "Final-Recipient: rfc822; fred@home.example\r\nAction: failed\r\nStatus: 5.1.1\r\n"
            )
        );
    });
}

/// Catches: a message that is refused only after all of it has come, since its room was promised to another one.
#[test]
fn what_mail_announces_is_kept_free_for_it() {
    story(async |world| {
        world.post("demo@home.example").await.unwrap();
        let used: usize = world.flash.files().iter().map(|(_, len)| len).sum();
        const TOTAL: u64 = 32 << 20;
        world.flash.limit(Some(used as u64 + TOTAL));
        // One sixteenth is reserved.
        let size = TOTAL / 8 * 5;
        for to in ["demo@home.example", "friend@else.example"] {
            let to = envelope("demo@home.example", to);
            let mut first = world.relay.incoming(&to, size).await.unwrap();
            let refusal = world.relay.incoming(&to, size).await.err().unwrap().to_string();
            assert!(refusal.starts_with("452 4.3.1"), "{refusal}");
            first.message.write(MESSAGE.as_bytes()).unwrap();
            world.relay.accept(to.clone(), first).await.unwrap();
            drop(world.relay.incoming(&to, size).await.unwrap());
        }
        world.reconfigure(|config| config.accounts[0].quota = 100_000);
        let to = envelope("demo@home.example", "demo@home.example");
        let _first = world.relay.incoming(&to, 60_000).await.unwrap();
        let refusal = world.relay.incoming(&to, 60_000).await.err().unwrap().to_string();
        assert!(refusal.starts_with("452 4.2.2"), "{refusal}");
    });
}

#[test]
fn a_full_flash_is_a_temporary_matter() {
    story(async |world| {
        world.post("demo@home.example").await.unwrap();
        world.post("friend@else.example").await.unwrap();
        let used: usize = world.flash.files().iter().map(|(_, len)| len).sum();
        world.flash.limit(Some(used as u64));
        for to in ["demo@home.example", "friend@else.example"] {
            let refusal = world.post(to).await.unwrap_err().to_string();
            assert!(refusal.starts_with("452 4.3.1"), "{refusal}");
        }
        world.flash.limit(None);
        world.post("demo@home.example").await.unwrap();
        assert_eq!(world.inbox("demo").await.len(), 2);
    });
}

/// Catches: one account, or a device, that fills the queue so that everybody else is refused.
#[test]
fn nobody_has_more_in_the_queue_than_a_share_of_it() {
    story(async |world| {
        let queue = world.context.store.queue().await.unwrap();
        let fill = async |account: Option<&str>, count: usize| {
            let envelope = Envelope {
                account: account
                    .and_then(|name| world.context.config().account(name).map(|account| account.id)),
                ..envelope("demo@home.example", "friend@else.example")
            };
            let note = Entry::new(envelope, 1).to_note();
            let mut transaction = queue.begin();
            for _ in 0..count {
                transaction.deliver(INBOX, queue.incoming(), Flags::NONE, &[], 1);
                transaction.note_delivered(note.clone());
            }
            transaction.commit().await.unwrap();
        };
        let takes = async |account: Option<&str>| {
            let posted = world.post_as(account, "demo@home.example", "friend@else.example").await;
            if let Err(refusal) = &posted {
                assert_eq!(refusal.to_string(), "452 4.3.1 Too many messages are waiting, try again later");
            }
            posted.is_ok()
        };
        // With many submitters each has the smallest share.
        world.reconfigure(|config| {
            for n in 0..200 {
                let name = text(&format!("more{n}"));
                config.accounts.push(Account { id: 1000 + n, name, ..Account::default() });
            }
        });
        let share = share(world.context.config().accounts.len() + 1);
        fill(Some("demo"), share - 1).await;
        world.relay.queue.load().await;
        assert!(takes(Some("demo")).await, "its share");
        assert!(!takes(Some("demo")).await);
        assert!(takes(Some("anna")).await && takes(None).await);
        fill(None, share - 1).await;
        world.relay.queue.load().await;
        assert!(!takes(None).await && !takes(Some("demo")).await && takes(Some("anna")).await);
        // The list is limited.
        let total = queue.view(INBOX, |inbox| inbox.messages.len()).unwrap();
        assert_eq!((world.relay.entries().len(), world.relay.unlisted()), (1000, total - 1000));
    });
}

/// Catches: devices that send mail to the whole world under the global login, as they once could.
#[test]
fn devices_write_to_this_house_only_unless_the_operator_lets_them() {
    story(async |world| {
        world.reconfigure(|config| config.server.lan_smtp_relay = false);
        let refusal = world.post_as(None, "scanner@home.example", "friend@else.example").await.unwrap_err();
        assert_eq!(refusal.to_string(), "550 5.7.1 Devices write to addresses of this server only");
        world.post_as(None, "scanner@home.example", "demo@home.example").await.unwrap();
        world.post_as(Some("demo"), "demo@home.example", "friend@else.example").await.unwrap();
    });
}

/// Catches: an address at a shared domain whose other users cannot be reached, or whose own mail goes by way of the
/// provider; an alias of several accounts that reaches one of them, or one of them twice.
#[test]
fn addresses_lead_where_they_are_meant_to() {
    story(async |world| {
        world.reconfigure(|config| {
            config.server.shared_domains = vec![text("gmx.example")];
            config.accounts[0].aliases.push(text("demo@gmx.example"));
            for account in &mut config.accounts[..2] {
                account.aliases.push(text("family@home.example"));
            }
        });
        let _running = world.run();
        world.post_as(Some("anna"), "anna@home.example", "demo@gmx.example other@gmx.example").await.unwrap();
        world.post("family@home.example anna@home.example").await.unwrap();
        world.post("abuse@home.example").await.unwrap();
        world.post("fred+x@home.example").await.unwrap();
        world.post("fred@pillarbox.local fred@[127.0.0.1]").await.unwrap();
        world.until_queue_is_empty().await;
        assert_eq!(world.smarthost.heard("RCPT"), ["RCPT TO:<other@gmx.example>"]);
        let mut found = Vec::new();
        for name in ["demo", "anna", "fred"] {
            found.push(world.inbox(name).await.len());
        }
        assert_eq!(found, [3, 1, 2]);
    });
}
