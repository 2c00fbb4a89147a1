//! What a client is refused when the account is full, and what is never refused.

use super::*;
use crate::store::{MAILBOXES_MAX, SHARE, SUBSCRIPTIONS_MAX};

#[test]
fn an_account_that_is_full_may_only_become_smaller() {
    // Catches: a command that creates something and costs nothing, and a clean-up that the quota refuses.
    story(|world| async move {
        world.deliver(&["1"]).await;
        let mut client = world.inbox().await;
        client.play("C: a CREATE x\nS: a OK *\nC: b SUBSCRIBE x\nS: b OK *").await;
        client.play("C: c SETMETADATA x (/shared/comment \"a\")\nS: c OK *").await;
        let charged = world.fred().await.usage().charged();
        world.reconfigure(|config| config.accounts[0].quota = charged + SHARE - 10);
        client
            .play(
                "C: 1 CREATE y
                S: 1 NO [OVERQUOTA] *
                C: 2 SUBSCRIBE y
                S: 2 NO [OVERQUOTA] *
                C: 3 SETMETADATA INBOX (/shared/comment \"a\")
                S: 3 NO [OVERQUOTA] *
                C: 4 COPY 1 x
                S: 4 NO [OVERQUOTA] *
                C: 5 RENAME INBOX y
                S: 5 NO [OVERQUOTA] *
                C: 6 APPEND INBOX {1}
                S: 6 NO [OVERQUOTA] *
                C: 7 STORE 1 +FLAGS.SILENT (\\Seen)
                S: 7 OK *
                C: 8 SUBSCRIBE x
                S: 8 OK *",
            )
            .await;
        world.reconfigure(|config| config.accounts[0].quota = 1);
        client
            .play(
                "C: 1 MOVE 1 x
                S: * OK [COPYUID *
                S: * 1 EXPUNGE
                S: 1 OK *
                C: 2 SETMETADATA x (/shared/comment NIL)
                S: 2 OK *
                C: 3 UNSUBSCRIBE x
                S: 3 OK *
                C: 4 DELETE x
                S: 4 OK *
                C: 5 SUBSCRIBE INBOX
                S: 5 OK *",
            )
            .await;
        assert_eq!(world.fred().await.usage().charged(), 0);
    });
}

/// RFC 8508 section 3.4. Catches: a REPLACE that is refused before its octets come, while they come, or by its
/// commit, although the old message makes room; a REPLACE that is accepted although the new message is longer.
#[test]
fn a_full_account_may_replace_what_it_has() {
    story(|world| async move {
        world.deliver(&["12345", "6"]).await;
        let mut client = world.inbox().await;
        let charged = world.fred().await.usage().charged();
        world.reconfigure(|config| config.accounts[0].quota = charged);
        client
            .play(
                "C: 1 REPLACE 1 INBOX {6}
                S: 1 NO [OVERQUOTA] *
                C: 2 APPEND INBOX {1}
                S: 2 NO [OVERQUOTA] *
                C: 3 REPLACE 1 INBOX {5}
                S: + *
                C: abcde
                S: * OK [APPENDUID *
                S: * 1 EXPUNGE
                S: * 2 EXISTS
                S: * *
                S: 3 OK *
                C: 4 UID REPLACE 2 INBOX {2+}
                C: ab
                S: 4 NO [OVERQUOTA] *",
            )
            .await;
        assert_eq!(world.fred().await.usage().charged(), charged);
        world.reconfigure(|config| config.accounts[0].quota = 1);
        client
            .play(
                "C: 1 REPLACE 2 INBOX {5+}
                C: fghij
                S: * OK [APPENDUID *
                S: * 2 EXPUNGE
                S: * 2 EXISTS
                S: * *
                S: 1 OK *
                C: 2 REPLACE 2 INBOX {6}
                S: 2 NO [OVERQUOTA] *",
            )
            .await;
        assert_eq!(world.fred().await.usage().charged(), charged);
    });
}

#[test]
fn copies_of_an_octet_double_until_the_quota_is_used_up() {
    // Catches: copies that are charged for their octets only.
    story(|world| async move {
        world.reconfigure(|config| config.accounts[0].quota = 64 * 1024);
        world.deliver(&["1"]).await;
        let mut client = world.inbox().await;
        let mut refused = false;
        for n in 0..20 {
            client.send(&format!("{n} COPY 1:* INBOX\r\n")).await;
            let last = client.until(&format!("{n} ")).await.pop().unwrap();
            refused |= last.contains("NO [OVERQUOTA]");
        }
        assert!(refused);
        assert_eq!(world.fred().await.usage().messages, 128);
    });
}

#[test]
fn more_than_an_account_may_have_is_refused_without_a_quota() {
    // Catches: a refusal without the code of RFC 5530 or RFC 5464, and pipelined commands that evade a limit.
    story(|world| async move {
        let fred = world.fred().await;
        let mut transaction = fred.begin();
        (7..MAILBOXES_MAX).for_each(|n| transaction.create_mailbox(&format!("m{n}")));
        (7..SUBSCRIPTIONS_MAX).for_each(|n| transaction.subscribe(&format!("m{n}"), true));
        transaction.commit().await.unwrap();
        let mut client = world.login().await;
        client.send("1 CREATE x\r\n2 CREATE y\r\n3 SUBSCRIBE x\r\n4 SUBSCRIBE y\r\n").await;
        client
            .play(
                "S: 1 OK *
                S: 2 NO [LIMIT] The account has as many mailboxes as it can have
                S: 3 OK *
                S: 4 NO [LIMIT] The account has as many subscriptions as it can have
                C: 5 RENAME INBOX y
                S: 5 NO [LIMIT] *
                C: 6 SUBSCRIBE x
                S: 6 OK *
                C: 7 DELETE x
                S: 7 OK *
                C: 8 CREATE y
                S: 8 OK *",
            )
            .await;
        let mut transaction = fred.begin();
        for n in 0..240 {
            transaction.annotate(
                &format!("m{}", 7 + n / 32),
                &format!("/shared/{n:04}"),
                Some(&[b'x'; 4096]),
            );
        }
        transaction.commit().await.unwrap();
        let value = "x".repeat(4096);
        client
            .play(&format!("C: 9 SETMETADATA y (/shared/comment \"{value}\")\nS: 9 NO [METADATA TOOMANY] *"))
            .await;
        client.play("C: 10 SETMETADATA m7 (/shared/0000 NIL)\nS: 10 OK *").await;
        client.play(&format!("C: 11 SETMETADATA y (/shared/comment \"{value}\")\nS: 11 OK *")).await;
    });
}

#[test]
fn the_57th_keyword_is_left_out_and_nothing_else() {
    // Catches: STORE, APPEND or COPY that fail because there is no place for a keyword, and a promise of new keywords
    // that is not kept.
    story(|world| async move {
        world.deliver(&["1", "2"]).await;
        let mut client = world.inbox().await;
        let all: Vec<String> = (0..56).map(|n| format!("k{n}")).collect();
        let all = all.join(" ");
        let system = r"\Answered \Flagged \Deleted \Seen \Draft";
        let long = "x".repeat(129);
        client
            .play(&format!(
                r"C: 0 STORE 1:2 -FLAGS.SILENT (unknown)
                S: 0 OK *
                C: 1 STORE 1 +FLAGS ({all})
                S: * FLAGS ({system} {all})
                S: * OK [PERMANENTFLAGS ({system} {all})] Flags are kept
                S: * 1 FETCH (FLAGS (\Recent {all}))
                S: 1 OK *
                C: 2 STORE 2 +FLAGS (\Flagged more K3)
                S: * 2 FETCH (FLAGS (\Recent \Flagged k3))
                S: 2 OK *
                C: 3 STORE 2 FLAGS.SILENT (\Seen more)
                S: * 2 FETCH (FLAGS (\Recent \Seen))
                S: 3 OK *
                C: 4 APPEND INBOX (more k1 {long}) {{1+}}
                C: 3
                S: * 3 EXISTS
                S: * 3 RECENT
                S: 4 OK [APPENDUID *
                C: 5 FETCH 3 FLAGS
                S: * 3 FETCH (FLAGS (\Recent k1))
                S: 5 OK *
                C: 6 APPEND Sent (other k2) {{1+}}
                C: 4
                S: 6 OK *"
            ))
            .await;
        let mut other = world.login().await;
        other
            .play(
                r"C: 1 SELECT Sent
                S: * FLAGS (\Answered \Flagged \Deleted \Seen \Draft other k2)
                S: * OK [PERMANENTFLAGS (\Answered \Flagged \Deleted \Seen \Draft other k2 \*)] *",
            )
            .await;
        other.until("1 OK").await;
        other.play("C: 2 COPY 1 INBOX\nS: 2 OK [COPYUID *").await;
        let renamed = all.replace("k4 ", "new ");
        client
            .play(&format!(
                r"C: 7 NOOP
                S: * 4 EXISTS
                S: * 4 RECENT
                S: 7 OK *
                C: 8 FETCH 4 FLAGS
                S: * 4 FETCH (FLAGS (\Recent k2))
                S: 8 OK *
                C: 9 STORE 1 -FLAGS.SILENT (k4)
                S: 9 OK *
                C: 10 STORE 2 +FLAGS (new)
                S: * FLAGS ({system} {renamed})
                S: * OK [PERMANENTFLAGS ({system} {renamed})] *
                S: * 2 FETCH (FLAGS (\Recent \Seen new))
                S: 10 OK *
                C: 11 SEARCH KEYWORD new
                S: * SEARCH 2
                S: 11 OK *"
            ))
            .await;
    });
}

/// Catches: short messages of one APPEND that all wait in memory, however many the client sends.
#[test]
fn messages_of_one_append_wait_in_bounded_memory() {
    story(|world| async move {
        let mut client = world.login().await;
        client.send("1 APPEND INBOX {1+}\r\nx").await;
        for _ in 0..90 {
            client.send(&" {1+}\r\nx".repeat(100)).await;
        }
        client.send("\r\n").await;
        client.play("S: 1 NO [LIMIT] *\nC: 2 STATUS INBOX (MESSAGES)\nS: * STATUS INBOX (MESSAGES 0)").await;
    });
}
