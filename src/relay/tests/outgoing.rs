//! Messages that go through the smarthost.

use rustix::io::Errno;

use super::smarthost::Taken;
use super::*;

#[test]
fn a_message_goes_out_as_it_came_in() {
    story(async |world| {
        let _running = world.run();
        world.reconfigure(|config| global_login(config, "relay", "relay password"));
        world.post("friend@else.example anna@home.example other@else.example").await.unwrap();
        world.until_queue_is_empty().await;
        let taken = Taken {
            connection: 1,
            login: "relay:relay password".into(),
            from: "FROM:<demo@home.example> SIZE=72".into(),
            to: "TO:<friend@else.example> TO:<other@else.example>".into(),
            content: MESSAGE.into(),
        };
        assert_eq!(world.smarthost.taken(), [taken]);
        assert_eq!(world.inbox("anna").await.len(), 1);
        assert!(world.relay.troubles().is_empty());
    });
}

#[test]
fn without_the_time_mail_waits_and_no_attempt_is_counted() {
    story(async |world| {
        world.context.clock.forget();
        world.reconfigure(|config| config.smarthost.security = Security::Tls);
        let _running = world.run();
        world.post("friend@else.example anna@home.example").await.unwrap();
        world.until("mail for accounts goes on", async || world.inbox("anna").await.len() == 1).await;
        Timer::after(Duration::from_millis(20)).await;
        assert_eq!((world.smarthost.connections.get(), world.relay.troubles().len()), (0, 0));
        assert_eq!(world.queue(), ["friend@else.example attempts 0 "]);
        // With the time the certificate is judged; this smarthost has none.
        world.context.clock.set_known();
        world.until("an attempt", async || !world.relay.troubles().is_empty()).await;
        // Without TLS there is no certificate to judge.
        world.context.clock.forget();
        world.reconfigure(|config| config.smarthost.security = Security::None);
        world.until_queue_is_empty().await;
    });
}

/// Catches: a message that goes out although that cannot be noted: it would go again with each start.
#[test]
fn a_flash_that_takes_no_changes_keeps_the_queue_and_takes_no_mail() {
    story(async |world| {
        world.post("friend@else.example anna@home.example").await.unwrap();
        assert!(world.inbox("anna").await.is_empty());
        world.card.answer(Some(Errno::ROFS));
        let _running = world.run();
        world.relay.retry_now();
        for to in ["friend@else.example", "anna@home.example"] {
            let refused = world.post(to).await.unwrap_err().to_string();
            assert_eq!(refused, "451 4.3.0 Nothing can be stored here now, try again later");
        }
        Timer::after(Duration::from_millis(50)).await;
        assert_eq!(world.smarthost.connections.get(), 0);
        assert_eq!(world.queue(), ["friend@else.example anna@home.example attempts 0 "], "it can be seen");
        assert!(world.inbox("anna").await.is_empty());
        // On a flash that works it goes, once.
        world.card.answer(None);
        world.relay.retry_now();
        world.until_queue_is_empty().await;
        assert_eq!((world.smarthost.taken().len(), world.inbox("anna").await.len()), (1, 1));
    });
}

#[test]
fn each_message_travels_under_the_login_that_is_meant_for_it() {
    story(async |world| {
        world.reconfigure(|config| {
            global_login(config, "relay", "global");
            own_login(config, 1, "anna at the provider", "annas");
            own_login(config, 2, "", "freds");
        });
        for name in ["demo", "anna", "fred", "demo", "anna", "fred"] {
            let from = format!("{name}@home.example");
            world.post_as(Some(name), &from, "friend@else.example").await.unwrap();
        }
        // A device that sends as anna does not get her login, and its sender address is the one that the operator has
        // set.
        world.post_as(None, "anna@home.example", "friend@else.example").await.unwrap();
        let _running = world.run();
        world.until_queue_is_empty().await;

        let mut logins: Vec<_> = world.smarthost.taken().into_iter().map(|t| (t.login, t.from)).collect();
        logins.sort();
        let global = ["demo", "demo", "devices"].map(|name| ("relay:global", name));
        let own = [("anna at the provider:annas", "anna"), ("fred@home.example:freds", "fred")];
        let expected = [own[0], own[0], own[1], own[1], global[0], global[1], global[2]]
            .map(|(login, name)| (login.to_owned(), format!("FROM:<{name}@home.example> SIZE=72")));
        assert_eq!(logins, expected);
        assert_eq!(world.smarthost.connections.get(), 3, "one connection a login");
        assert!(world.smarthost.most_open.get() <= 3, "each login its own");

        world.reconfigure(|config| config.smarthost.per_account_authentication = false);
        world.post_as(Some("anna"), "anna@home.example", "friend@else.example").await.unwrap();
        world.until_queue_is_empty().await;
        assert_eq!(world.smarthost.taken().last().unwrap().login, "relay:global");
    });
}

#[test]
fn every_recipient_has_a_fate_of_its_own() {
    story(async |world| {
        let _running = world.run();
        world.smarthost.answers(|command| match command {
            "RCPT TO:<unknown@else.example>" => Some("550 5.1.1 No such user"),
            "RCPT TO:<grey@else.example>" => Some("450 4.2.1 Greylisted"),
            _ => None,
        });
        world.post("unknown@else.example grey@else.example friend@else.example").await.unwrap();
        world.until_queue_is("grey@else.example attempts 1 450 4.2.1 Greylisted").await;
        assert_eq!(world.smarthost.taken()[0].to, "TO:<friend@else.example>");

        let [report] = &world.inbox("demo").await[..] else { panic!("one report") };
        for part in [
            "Return-Path: <>\r\n",
            "To: <demo@home.example>\r\n",
            "Auto-Submitted: auto-replied\r\n",
            "Content-Type: multipart/report; report-type=delivery-status;",
            "<unknown@else.example>:\r\n    smarthost.example answered:\r\n    550 5.1.1 No such user\r\n",
            "Reporting-MTA: dns; pillarbox.local\r\n",
            "\r\n\r\nFinal-Recipient: rfc822; unknown@else.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\
             Remote-MTA: dns; smarthost.example\r\nDiagnostic-Code: smtp; 550 5.1.1 No such user\r\nLast-Attempt-Date: ",
            "Content-Type: text/rfc822-headers; charset=utf-8\r\n",
            "\r\n\r\nMessage-ID: <1@home.example>\r\nSubject: hello\r\n\r\n--",
        ] {
            assert!(report.contains(part), "{part:?} is not in\n{report}");
        }
        assert!(!report.contains("grey@") && !report.contains(".dots"));

        world.smarthost.answers(|_| None);
        world.relay.retry_now();
        world.until_queue_is_empty().await;
        assert_eq!(world.smarthost.taken()[1].to, "TO:<grey@else.example>");
        assert_eq!(world.inbox("demo").await.len(), 1);
    });
}

#[test]
fn a_report_names_what_the_whole_message_was_refused_for() {
    story(async |world| {
        let _running = world.run();
        world.smarthost.answers(|command| (command == ".").then_some("554 5.7.1 Looks like spam"));
        world.post("friend@else.example other@else.example").await.unwrap();
        world.until_queue_is_empty().await;
        let [report] = &world.inbox("demo").await[..] else { panic!("one report") };
        assert_eq!(report.matches("Diagnostic-Code: smtp; 554 5.7.1 Looks like spam").count(), 2);
    });
}

#[test]
fn nobody_reports_on_a_report() {
    story(async |world| {
        let _running = world.run();
        world.smarthost.answers(|command| command.starts_with("RCPT").then_some("550 5.1.1 No such user"));
        world.post_as(Some("demo"), "", "friend@else.example").await.unwrap();
        world.until_queue_is_empty().await;
        for account in ["demo", "anna", "fred"] {
            assert!(world.inbox(account).await.is_empty());
        }
    });
}

#[test]
fn failures_of_devices_are_told_to_whom_they_send_as() {
    story(async |world| {
        world.reconfigure(|config| config.server.lan_smtp_sender = text("info@home.example"));
        let _running = world.run();
        world.smarthost.answers(|command| command.starts_with("RCPT").then_some("550 5.1.1 No such user"));
        world.post_as(None, "scanner@home.example", "friend@else.example").await.unwrap();
        world.until_queue_is_empty().await;
        assert_eq!(
            world.smarthost.heard("MAIL").last().map(String::as_str),
            Some("MAIL FROM:<info@home.example> SIZE=72")
        );
        assert!(world.inbox("demo").await[0].contains("To: <info@home.example>\r\n"));
    });
}

#[test]
fn a_refused_login_makes_messages_wait_and_never_travel_under_another() {
    story(async |world| {
        world.reconfigure(|config| {
            global_login(config, "relay", "global");
            own_login(config, 1, "anna", "old");
        });
        world.smarthost.answers(|command| {
            // The credentials are `\0anna\0old`.
            (command == "AUTH PLAIN AGFubmEAb2xk").then_some("535 5.7.8 Wrong password")
        });
        let _running = world.run();
        for _ in 0..2 {
            world.post_as(Some("anna"), "anna@home.example", "friend@else.example").await.unwrap();
        }
        world.post("friend@else.example").await.unwrap();
        let waiting =
            "friend@else.example attempts 1 the smarthost refuses the login: 535 5.7.8 Wrong password";
        world.until("annas messages wait", async || world.queue() == [waiting, waiting]).await;
        assert_eq!(world.smarthost.taken().len(), 1, "the other one went out");
        assert_eq!(
            world.relay.troubles(),
            ["smarthost, login of account anna: the smarthost refuses the login: 535 5.7.8 Wrong password"]
        );

        world.relay.retry_now();
        world
            .until("another attempt", async || world.queue().iter().all(|line| line.contains("attempts 2")))
            .await;
        let [letter] = &world.inbox("anna").await[..] else { panic!("one letter, not one an attempt") };
        assert!(letter.contains("user name:  anna\r\n") && letter.contains("535 5.7.8 Wrong password\r\n"));
        assert!(!letter.contains("old"));

        // The messages have waited for nothing but the new password.
        world.reconfigure(|config| own_login(config, 1, "anna", "new"));
        world.until_queue_is_empty().await;
        let logins: Vec<_> = world.smarthost.taken().into_iter().map(|taken| taken.login).collect();
        assert_eq!(logins, ["relay:global", "anna:new", "anna:new"]);
        assert!(world.relay.troubles().is_empty());
    });
}

#[test]
fn troubles_on_the_way_are_temporary() {
    story(async |world| {
        let _running = world.run();
        let lost = "the connection to the smarthost was lost: the other end closed";
        let cases: [(&'static str, &'static str, String); 6] = [
            ("CONNECT", "554 5.3.2 Not today", "the smarthost answers 554 5.3.2 Not today".into()),
            ("CONNECT", "drop", "the smarthost hung up before it greeted us".into()),
            ("EHLO", "421 4.3.2 Going down", "the smarthost answers 421 4.3.2 Going down".into()),
            ("MAIL", "451 4.3.0 Later", "451 4.3.0 Later".into()),
            ("DATA", "452 4.3.1 Full", "452 4.3.1 Full".into()),
            (".", "drop", format!("{lost}, after all was sent: it may arrive twice")),
        ];
        for (verb, answer, trouble) in cases {
            world.smarthost.answers(move |command| command.starts_with(verb).then_some(answer));
            world.post("friend@else.example").await.unwrap();
            world.until_queue_is(&format!("friend@else.example attempts 1 {trouble}")).await;
            world.smarthost.answers(|_| None);
            world.relay.retry_now();
            world.until_queue_is_empty().await;
        }
        assert_eq!(world.smarthost.taken().len(), 7, "each once, and the one in doubt twice");
        assert!(world.inbox("demo").await.is_empty());
    });
}

#[test]
fn nothing_is_sent_in_the_open_where_starttls_is_demanded() {
    story(async |world| {
        world.reconfigure(|config| config.smarthost.security = Security::Starttls);
        let _running = world.run();
        world.post("friend@else.example").await.unwrap();
        let waits = "the server offers no STARTTLS: it is not among its extensions. Set the smarthost's security to \"tls\", \
                     with the port that the provider tells for it.";
        world.until_queue_is(&format!("friend@else.example attempts 1 {waits}")).await;
        assert!(world.smarthost.taken().is_empty());
    });
}

/// Catches: a plaintext reply after the one to STARTTLS that is taken for a reply within TLS.
#[test]
fn what_stands_behind_the_answer_to_starttls_ends_the_connection() {
    story(async |world| {
        world.reconfigure(|config| config.smarthost.security = Security::Starttls);
        world.smarthost.answers(|command| match command.split(' ').next() {
            Some("EHLO") => Some("250-smarthost.example\r\n250 STARTTLS"),
            Some("STARTTLS") => Some("220 Go\r\n250 I am somebody else"),
            _ => None,
        });
        let _running = world.run();
        world.post("friend@else.example").await.unwrap();
        let waits = "something was said in the open between STARTTLS and TLS: somebody may be in between. Set the smarthost's \
                     security to \"tls\", with the port that the provider tells for it.";
        world.until_queue_is(&format!("friend@else.example attempts 1 {waits}")).await;
    });
}

/// Catches: mail that waits for ever at a smarthost that offers SCRAM but has no verifier for this user.
#[test]
fn a_mechanism_that_the_smarthost_refuses_at_once_is_followed_by_the_next() {
    story(async |world| {
        world.reconfigure(|config| global_login(config, "relay", "relay password"));
        world.smarthost.answers(|command| match command.split_at_checked("AUTH SCRAM".len()) {
            Some(("AUTH SCRAM", _)) => Some("535 5.7.8 Error: authentication failed"),
            _ if command.starts_with("EHLO") => Some("250-smarthost.example\r\n250 AUTH PLAIN SCRAM-SHA-256"),
            _ => None,
        });
        let _running = world.run();
        world.post("friend@else.example").await.unwrap();
        world.until_queue_is_empty().await;
        let taken = world.smarthost.taken();
        assert_eq!((taken.len(), taken[0].login.as_str()), (1, "relay:relay password"));
        assert!(world.relay.troubles().is_empty());
    });
}

#[test]
fn without_a_smarthost_queued_messages_wait_for_one() {
    story(async |world| {
        world.post("friend@else.example").await.unwrap();
        let port = world.smarthost.port;
        world.reconfigure(|config| config.smarthost.host = text(""));
        let _running = world.run();
        world.until_queue_is("friend@else.example attempts 1 no smarthost is set").await;
        world.reconfigure(|config| config.smarthost.host = text("127.0.0.1"));
        world.until_queue_is_empty().await;
        assert_eq!((world.smarthost.port, world.smarthost.taken().len()), (port, 1));
    });
}

#[test]
fn a_message_that_never_gets_through_comes_back() {
    story(async |world| {
        world.reconfigure(|config| {
            config.smarthost.retry = vec![1];
            config.smarthost.expire = 1;
        });
        world.smarthost.answers(|command| command.starts_with("MAIL").then_some("451 4.3.0 Later"));
        let _running = world.run();
        world.post("friend@else.example").await.unwrap();
        world.until_queue_is_empty().await;
        let [report] = &world.inbox("demo").await[..] else { panic!("one report") };
        let told = "Status: 4.4.7\r\nRemote-MTA: dns; smarthost.example\r\nDiagnostic-Code: smtp; 451 4.3.0 Later\r\n";
        assert!(report.contains(told), "{report}");
    });
}

#[test]
fn what_the_operator_takes_out_is_gone_and_nobody_is_told() {
    story(async |world| {
        world.post("friend@else.example").await.unwrap();
        let entry = world.relay.entries().remove(0);
        assert_eq!((entry.from.as_str(), entry.size, entry.attempts), ("demo@home.example", 72, 0));
        assert!(!world.relay.remove(entry.id + 1).await.unwrap());
        assert!(world.relay.remove(entry.id).await.unwrap());
        assert!(world.relay.entries().is_empty() && world.inbox("demo").await.is_empty());
    });
}

#[test]
fn what_was_sent_is_not_sent_again_because_that_cannot_be_written_down() {
    story(async |world| {
        world.smarthost.answers(|command| command.contains("<grey@").then_some("450 4.2.1 Greylisted"));
        world.post("friend@else.example grey@else.example").await.unwrap();
        let used: usize = world.flash.files().iter().map(|(_, len)| len).sum();
        world.flash.limit(Some(used as u64));
        let _running = world.run();
        world.until_queue_is("grey@else.example attempts 1 450 4.2.1 Greylisted").await;
        world.flash.limit(None);
        // The message rests until its entry is tried to be written again.
        world.relay.retry_now();
        Timer::after(Duration::from_millis(50)).await;
        assert_eq!(world.smarthost.taken().len(), 1);
        assert_eq!(world.queue(), ["grey@else.example attempts 1 450 4.2.1 Greylisted"]);
    });
}
