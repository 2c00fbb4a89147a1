use super::*;

#[test]
fn mailboxes_come_and_go() {
    story(|world| async move {
        let mut client = world.login().await;
        client
            .play(
                "C: 1 CREATE Entw&APw-rfe/Alt/
                S: 1 OK *
                C: 2 LIST \"\" Entw*
                S: * LIST (\\HasChildren) \"/\" Entw&APw-rfe
                S: * LIST (\\HasNoChildren) \"/\" Entw&APw-rfe/Alt
                S: 2 OK *
                C: 3 RENAME Entw&APw-rfe drafts2
                S: 3 OK *
                C: 4 DELETE drafts2
                S: 4 OK *
                C: 5 LIST \"\" drafts2%
                S: * LIST (\\Noselect \\HasChildren) \"/\" drafts2
                S: 5 OK *
                C: 6 SELECT drafts2
                S: 6 NO [NONEXISTENT] *
                C: 7 CREATE inbox
                S: 7 NO [ALREADYEXISTS] *
                C: 8 DELETE INBOX
                S: 8 NO [CANNOT] *
                C: 9 RENAME nowhere somewhere
                S: 9 NO [NONEXISTENT] *
                C: 10 CREATE a//b
                S: 10 NO [CANNOT] *",
            )
            .await;
    });
}

#[test]
fn subscriptions_are_names() {
    story(|world| async move {
        let mut client = world.login().await;
        client
            .play(
                "C: 1 SUBSCRIBE lists/rust
                S: 1 OK *
                C: 2 LSUB \"\" lists/*
                S: * LSUB () \"/\" lists/rust
                S: 2 OK *
                C: 3 LSUB \"\" l%
                S: * LSUB (\\Noselect) \"/\" lists
                S: 3 OK *
                C: 4 UNSUBSCRIBE lists/rust
                S: 4 OK *
                C: 5 LSUB lists/ *
                S: 5 OK *",
            )
            .await;
    });
}

#[test]
fn select_describes_the_mailbox() {
    story(|world| async move {
        world.deliver(&["one", "two"]).await;
        let mut client = world.login().await;
        let describe = "S: * FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)
            S: * OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft \\*)] *
            S: * 2 EXISTS
            S: * 2 RECENT
            S: * OK [UNSEEN 1] *
            S: * OK [UIDVALIDITY *
            S: * OK [UIDNEXT 3] *
            S: * OK [MAILBOXID (F1-*
            S: * OK [HIGHESTMODSEQ 3] *";
        let closed = "S: * OK [CLOSED] *";
        let examine = describe.replace("(\\Answered \\Flagged \\Deleted \\Seen \\Draft \\*)", "()");
        client.play(&format!("C: 1 EXAMINE INBOX\n{examine}\nS: 1 OK [READ-ONLY] *")).await;
        client.play(&format!("C: 2 SELECT InBox\n{closed}\n{describe}\nS: 2 OK [READ-WRITE] *")).await;
        client
            .play(&format!(
                "C: 3 SELECT INBOX\n{closed}\n{}\nS: 3 OK *",
                describe.replace("2 RECENT", "0 RECENT")
            ))
            .await;
        client
            .play("C: 4 SELECT nowhere\nS: * OK [CLOSED] *\nS: 4 NO [NONEXISTENT] *\nC: 5 CHECK\nS: 5 BAD Select a mailbox first")
            .await;
    });
}

#[test]
fn status_of_a_mailbox() {
    story(|world| async move {
        world.deliver(&["one", "three"]).await;
        let mut client = world.login().await;
        client
            .play(
                "C: 1 STATUS inbox (MESSAGES UNSEEN RECENT UIDNEXT SIZE)
                S: * STATUS INBOX (MESSAGES 2 UNSEEN 2 RECENT 2 UIDNEXT 3 SIZE 520)
                S: 1 OK *
                C: 2 STATUS INBOX (UIDVALIDITY)
                S: * STATUS INBOX (UIDVALIDITY *
                S: 2 OK *
                C: 3 STATUS nowhere (MESSAGES)
                S: 3 NO [NONEXISTENT] *",
            )
            .await;
    });
}

#[test]
fn renaming_the_inbox_leaves_it_empty() {
    story(|world| async move {
        world.deliver(&["one"]).await;
        let mut client = world.inbox().await;
        client
            .play(
                "C: 1 RENAME INBOX old
                S: * 1 EXPUNGE
                S: 1 OK *
                C: 2 STATUS old (MESSAGES)
                S: * STATUS old (MESSAGES 1)
                S: 2 OK *",
            )
            .await;
    });
}

#[test]
fn a_selected_mailbox_that_is_deleted_is_empty() {
    story(|world| async move {
        let (mut client, mut other) = (world.login().await, world.login().await);
        client.play("C: 1 CREATE x\nS: 1 OK *\nC: 2 APPEND x {5+}\nC: hello\nS: 2 OK *\nC: 3 SELECT x").await;
        client.until("3 OK").await;
        other.play("C: 1 DELETE x\nS: 1 OK *").await;
        client
            .play(
                "C: 4 STORE 1 +FLAGS (\\Seen)
                S: 4 NO [EXPUNGEISSUED] *
                C: 5 NOOP
                S: * 1 EXPUNGE
                S: 5 OK *
                C: 6 EXPUNGE
                S: 6 OK *
                C: 7 UNSELECT
                S: 7 OK *",
            )
            .await;
    });
}

/// Catches: names that are lost or listed twice where one hundred ends and the next begins, and children that are
/// missed there.
#[test]
fn very_many_mailboxes_are_told_once_each() {
    story(|world| async move {
        let fred = world.fred().await;
        let mut transaction = fred.begin();
        for n in 0..130 {
            transaction.create_mailbox(&format!("p{n:03}/x"));
            transaction.create_mailbox(&format!("q{n:03}/x"));
            transaction.delete_mailbox(&format!("q{n:03}"));
            transaction.subscribe(&format!("q{n:03}/x"), true);
        }
        transaction.commit().await.unwrap();
        let mut expected: Vec<String> = (0..130)
            .flat_map(|n| {
                [
                    format!(r#"* LIST (\HasChildren) "/" p{n:03}"#),
                    format!(r#"* LIST (\HasNoChildren) "/" p{n:03}/x"#),
                ]
            })
            .collect();
        expected.extend((0..130).flat_map(|n| {
            [
                format!(r#"* LIST (\Noselect \HasChildren) "/" q{n:03}"#),
                format!(r#"* LIST (\HasNoChildren) "/" q{n:03}/x"#),
            ]
        }));
        let mut client = world.login().await;
        // One more name at the beginning moves the ends of the hundreds.
        for more in ["A1", "A2"] {
            client.play(&format!("C: c CREATE {more}\nS: c OK *")).await;
            client.send("l LIST \"\" *\r\n").await;
            let said = client.until("l OK").await;
            let told: Vec<&String> =
                said.iter().filter(|line| line.contains("\" p") || line.contains("\" q")).collect();
            let wrong = told.iter().zip(&expected).find(|(told, expected)| **told != *expected);
            assert_eq!((wrong, told.len()), (None, expected.len()));
            client.send("l LSUB \"\" q%\r\n").await;
            assert_eq!(client.until("l OK").await.len(), 131);
        }
        let pattern = "%*x".repeat(17);
        client.play(&format!("C: w LIST {pattern} a\nS: w NO [LIMIT] A pattern can have 16 wildcards")).await;
        client.play(&format!("C: w LSUB \"\" {pattern}\nS: w NO [LIMIT] *")).await;
    });
}
