use super::*;

#[test]
fn one_bad_command_costs_one_command() {
    story(|world| async move {
        let mut client = world.login().await;
        client
            .play(
                "C: 1 FROBNICATE
                S: 1 BAD Unknown command
                C: 2 SELECT
                S: 2 BAD Expected a space
                C: 3 SELECT \"a
                S: 3 BAD Expected a closing quote
                C:
                S: * BAD Expected a tag
                C: 4 SELECT A]B C
                S: 4 BAD Expected the end of the command
                C: 5 NOOP
                S: 5 OK *",
            )
            .await;
        client.send(&format!("6 SELECT {}\r\n", "x".repeat(70_000))).await;
        client.play("S: 6 BAD Too long\nC: 7 NOOP\nS: 7 OK *").await;
    });
}

#[test]
fn oversized_literals_are_refused_or_skipped() {
    story(|world| async move {
        let mut client = world.login().await;
        client.play("C: 1 SELECT {70000}\nS: 1 BAD Too long").await;
        client.send(&format!("2 SELECT {{70000+}}\r\n{} {{3+}}\r\nabc\r\n", "x".repeat(70_000))).await;
        client.play("S: 2 BAD Too long\nC: 3 NOOP\nS: 3 OK *").await;
    });
}

#[test]
fn before_the_login_less_is_taken() {
    story(|world| async move {
        let mut client = world.connect().await;
        client.play("S: * OK *\nC: 1 LOGIN {10000}\nS: 1 BAD Too long").await;
        client.send(&format!("2 APPEND INBOX {{10000+}}\r\n{}\r\n", "x".repeat(10_000))).await;
        client.play("S: 2 BAD Log in first\nC: 3 APPEND INBOX {10}\nS: 3 BAD Log in first").await;
        client.play("C: 4 NOOP\nS: 4 OK *").await;
    });
}

/// Catches: a client that cannot send an ID of the length that RFC 2971 section 3.3 allows before the login.
#[test]
fn before_the_login_an_id_may_have_its_legal_length() {
    story(|world| async move {
        let mut client = world.connect().await;
        client.play("S: * OK *").await;
        let value = "x".repeat(1024);
        let quoted: Vec<String> = (0..30).map(|n| format!("\"{n:030}\" \"{value}\"")).collect();
        let literals: Vec<String> =
            (0..30).map(|n| format!("{{30+}}\r\n{n:030} {{1024+}}\r\n{value}")).collect();
        for pairs in [quoted, literals] {
            client.send(&format!("1 id ({})\r\n", pairs.join(" "))).await;
            client.play("S: * ID *\nS: 1 OK *").await;
        }
        client.send(&format!("2 ID ({{35000+}}\r\n{} NIL)\r\n", "x".repeat(35_000))).await;
        client.play("S: 2 BAD Too long").await;
        for line in [format!("3 LOGIN ID {}", "x".repeat(9000)), format!("3 ID {}", "x".repeat(35_000))] {
            client.send(&format!("{line}\r\n")).await;
            client.play("S: 3 BAD Too long").await;
        }
        client.play("C: 4 NOOP\nS: 4 OK *").await;
    });
}

#[test]
fn append_streams_its_message() {
    story(|world| async move {
        let mut client = world.inbox().await;
        client
            .play(
                "C: 1 APPEND INBOX (\\Seen $Work) \"17-Jul-1996 02:44:25 -0700\" {5}
                S: + Go ahead
                C: hello
                S: * FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Work)
                S: * OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Work \\*)] *
                S: * 1 EXISTS
                S: * 1 RECENT
                S: 1 OK [APPENDUID *",
            )
            .await;
        client.send(&format!("2 APPEND INBOX {{200000+}}\r\n{}\r\n", "x".repeat(200_000))).await;
        client.play("S: * 2 EXISTS\nS: * 2 RECENT\nS: 2 OK *").await;
        let fred = world.fred().await;
        fred.view(store::INBOX, |inbox| {
            assert_eq!(inbox.messages[0].date.get(), 837_596_665);
            assert!(inbox.messages[0].flags.contains(Flags::SEEN.with(Flags::keyword(0))));
            assert_eq!({ inbox.messages[1].size }, 200_000);
        });
    });
}

/// Catches: NUL in a literal (RFC 3501 section 9: CHAR8 excludes it) where text is expected, and a message that is
/// not accepted with its NULs.
#[test]
fn nul_is_for_octets_only() {
    story(|world| async move {
        let mut client = world.inbox().await;
        for command in [
            "SELECT {3+}\r\na\0b",
            "CREATE {3+}\r\na\0b",
            "LIST \"\" {3+}\r\na\0b",
            "SEARCH SUBJECT {3+}\r\na\0b",
            "SETMETADATA INBOX (/shared/comment {3+}\r\na\0b)",
            "APPEND {3+}\r\na\0b {1+}\r\nx",
            "SELECT \"a\0b\"",
            "SELECT a\0b",
        ] {
            client.send(&format!("1 {command}\r\n")).await;
            client.play("S: 1 BAD *").await;
        }
        client.send("2 APPEND INBOX {3+}\r\na\0b\r\n").await;
        client.until("2 OK").await;
        world.fred().await.view(store::INBOX, |inbox| assert_eq!({ inbox.messages[0].size }, 3));
    });
}

#[test]
fn append_refuses_what_does_not_fit() {
    story(|world| async move {
        let mut client = world.login().await;
        client
            .play(
                "C: 1 APPEND nowhere {5}
                S: 1 NO [TRYCREATE] There is no such mailbox
                C: 2 APPEND nowhere {5+}
                C: hello
                S: 2 NO [TRYCREATE] *
                C: 3 APPEND INBOX {0+}
                C:
                S: 3 NO A message cannot be empty
                C: 4 APPEND INBOX {99999999999}
                S: 4 NO [TOOBIG] *
                C: 5 APPEND INBOX {5+}
                C: hello (\\Seen)
                S: 5 BAD Expected flags, a date or a message literal
                C: 6 APPEND INBOX \"yesterday\" {5+}
                C: hello
                S: 6 BAD *",
            )
            .await;
        world.reconfigure(|config| config.accounts[0].quota = 1000);
        client.play("C: 7 APPEND INBOX {1001}\nS: 7 NO [OVERQUOTA] *").await;
        world.flash.limit(Some(0));
        client.play("C: 8 APPEND INBOX {5+}\nC: hello\nS: 8 NO [OVERQUOTA] *").await;
        world.flash.limit(None);
        client.play("C: 9 APPEND INBOX {5+}\nC: hello\nS: 9 OK *").await;
        assert_eq!(world.fred().await.usage().messages, 1);
    });
}

/// Catches: octets of a refused literal that are run as commands.
#[test]
fn what_follows_a_message_is_no_command() {
    story(|world| async move {
        let mut client = world.login().await;
        let inner = "q CREATE Injected\r\n";
        let literal = format!("{{{}+}}\r\n{inner}", inner.len());
        for (tag, command, answer) in [
            ("1", "APPEND INBOX {3+}\r\nabc x ", "BAD Expected a message literal"),
            ("2", "APPEND INBOX {3+}\r\nabc {2+}\r\nab x ", "BAD Expected a message literal"),
            ("3", "APPEND nowhere {3+}\r\nabc ", "NO [TRYCREATE] *"),
            ("4", "APPEND INBOX \"yesterday\" {3+}\r\nabc ", "BAD *"),
            ("5", "APPEND INBOX {0+}\r\n ", "NO A message cannot be empty"),
            ("6", "NOOP ", "BAD *"),
            ("7", "FROBNICATE ", "BAD *"),
        ] {
            client.send(&format!("{tag} {command}{literal}\r\n")).await;
            client.play(&format!("S: {tag} {answer}")).await;
        }
        client.send(&format!("8 APPEND INBOX {{3+}}\r\nabc x {{{}}}\r\n", inner.len())).await;
        client.play("S: 8 BAD Expected a message literal\nC: 9 NOOP\nS: 9 OK *").await;
        let fred = world.fred().await;
        assert_eq!(fred.find("Injected"), None);
        assert_eq!(fred.usage().messages, 0);
    });
}

/// Catches: a literal whose length is too large for a number, and whose octets are taken for commands.
#[test]
fn a_literal_without_measure_ends_the_dialog_only() {
    story(|world| async move {
        let mut client = world.login().await;
        client.play("C: 1 NOOP {99999999999999999999}\nS: 1 BAD *").await;
        client.send("2 NOOP {99999999999999999999+}\r\nq CREATE Injected\r\n").await;
        drop(client);
        let mut client = world.login().await;
        client.play("C: 3 STATUS Injected (MESSAGES)\nS: 3 NO [NONEXISTENT] *").await;
    });
}

/// Catches: before the login, a refused command whose literal runs as the next command.
#[test]
fn before_the_login_literals_are_no_commands_either() {
    story(|world| async move {
        let mut client = world.connect().await;
        client.play("S: * OK *").await;
        let inner = "l LOGIN fred secret\r\n";
        let literal = format!("{{{}+}}\r\n{inner}", inner.len());
        for command in ["APPEND INBOX {3+}\r\nabc ", "SELECT ", "FROBNICATE {10000+}\r\n"] {
            let long = if command.contains("10000") { "x".repeat(10_000) + " " } else { String::new() };
            client.send(&format!("1 {command}{long}{literal}\r\n")).await;
            client.play("S: 1 BAD *").await;
        }
        client.play("C: 2 SELECT INBOX\nS: 2 BAD Log in first").await;
    });
}

/// Catches: an APPEND that is received whole and then refused, because another one was promised the same room.
#[test]
fn what_an_append_announces_is_kept_free_for_it() {
    story(|world| async move {
        const MIB: u64 = 1 << 20;
        let (mut first, mut second) = (world.login().await, world.login().await);
        let used: usize = world.flash.files().iter().map(|(_, len)| len).sum();
        world.flash.limit(Some(used as u64 + 32 * MIB));
        let size = 20 * MIB;
        first.play(&format!("C: 1 APPEND INBOX {{{size}}}\nS: + *")).await;
        second.play(&format!("C: 1 APPEND INBOX {{{size}}}\nS: 1 NO [OVERQUOTA] *")).await;
        second.play("C: 2 APPEND INBOX {5+}\nC: hello\nS: 2 OK *").await;
        for _ in 0..size / MIB {
            first.send(&"x".repeat(MIB as usize)).await;
        }
        first.play("C:\nS: 1 OK *").await;
        world.flash.limit(Some(used as u64 + 64 * MIB));
        second.play(&format!("C: 3 APPEND INBOX {{{size}}}\nS: + *")).await;
    });
}

#[test]
fn commands_may_be_pipelined() {
    story(|world| async move {
        let mut client = world.connect().await;
        client.send("1 LOGIN {4+}\r\nfred {6+}\r\nsecret\r\n2 SELECT INBOX\r\n3 NOOP\r\n4 LOGOUT\r\n").await;
        client.until("1 OK").await;
        client.until("2 OK").await;
        client.play("S: 3 OK *\nS: * BYE *\nS: 4 OK *\nS:").await;
    });
}

#[test]
fn a_flash_that_fails_ends_all_sessions_of_the_account() {
    story(|world| async move {
        let (mut client, mut idling) = (world.login().await, world.login().await);
        idling.play("C: 1 IDLE\nS: + *").await;
        world.flash.fail_sync_at(world.flash.steps() + 1);
        client.play("C: 1 CREATE x\nS: 1 NO [SERVERBUG] *\nS: * BYE [UNAVAILABLE] *\nS:").await;
        idling.play("S: * BYE [UNAVAILABLE] *\nS:").await;
        world.login().await.play("C: 2 CREATE x\nS: 2 OK *").await;
    });
}
