//! NOTIFY (RFC 5465): what one client is told of the doings of another.

use super::*;

const MESSAGES: &str = "(MessageNew MessageExpunge FlagChange)";

/// A client that has sent NOTIFY with these arguments, and another one that has selected the INBOX.
async fn two(world: &World, arguments: &str) -> (Client, Client) {
    let other = world.inbox().await;
    let mut client = world.login().await;
    client.send(&format!("n NOTIFY {arguments}\r\n")).await;
    client.until("n OK").await;
    (client, other)
}

async fn does(client: &mut Client, command: &str) {
    client.send(&format!("d {command}\r\n")).await;
    client.until("d OK").await;
}

/// Catches: changes of other mailboxes that are not told at once, in IDLE and outside of it, while the clock stands
/// still; that are told in other responses than those of RFC 5465 sections 5.1 to 5.3; or that are told to a client
/// that did not ask for them.
#[test]
fn changes_of_other_mailboxes_are_told_at_once() {
    story(|world| async move {
        world.deliver(&["one"]).await;
        let (mut client, mut other) = two(&world, "SET (mailboxes INBOX (MessageNew MessageExpunge))").await;
        let mut flags = world.login().await;
        flags.play(&format!("C: n NOTIFY SET (personal {MESSAGES})\nS: n OK *")).await;
        let mut modseqs = world.login().await;
        modseqs
            .play(&format!(
                "C: e ENABLE CONDSTORE\nS: *\nS: e OK *\nC: n NOTIFY SET (inboxes {MESSAGES})\nS: n OK *"
            ))
            .await;
        world.deliver(&["two"]).await;
        let validity = world.fred().await.view(store::INBOX, |inbox| inbox.uid_validity).unwrap();
        client.play(&format!("S: * STATUS INBOX (UIDVALIDITY {validity} UIDNEXT 3 MESSAGES 2)")).await;
        flags
            .play(&format!("S: * STATUS INBOX (UIDVALIDITY {validity} UIDNEXT 3 MESSAGES 2 UNSEEN 2)"))
            .await;
        modseqs.play("S: * STATUS INBOX (UIDVALIDITY *").await;
        client.play("C: 1 IDLE\nS: + Idling").await;
        does(&mut other, "STORE 1 +FLAGS (\\Seen)").await;
        flags.play(&format!("S: * STATUS INBOX (UIDVALIDITY {validity} UNSEEN 1)")).await;
        let modseq = world.fred().await.view(store::INBOX, |inbox| inbox.highest_modseq).unwrap();
        modseqs
            .play(&format!("S: * STATUS INBOX (UIDVALIDITY {validity} UNSEEN 1 HIGHESTMODSEQ {modseq})"))
            .await;
        does(&mut other, "STORE 2 +FLAGS (\\Deleted)").await;
        does(&mut other, "EXPUNGE").await;
        client.play(&format!("S: * STATUS INBOX (UIDVALIDITY {validity} UIDNEXT 3 MESSAGES 1)")).await;
        client.play("C: DONE\nS: 1 OK *\nC: 2 NOTIFY NONE\nS: 2 OK *").await;
        world.deliver(&["three"]).await;
        client.play("C: 3 NOOP\nS: 3 OK *").await;
        // The new mailbox is not watched, so nothing is told of it.
        does(&mut other, "CREATE Elsewhere").await;
        does(&mut other, "APPEND Elsewhere {1+}\r\nx").await;
        for _ in 0..3 {
            modseqs.until("* STATUS INBOX").await;
        }
        modseqs.play("C: 4 NOOP\nS: 4 OK *").await;
    });
}

/// Catches: an event of names, subscriptions or annotations that is not told, that is told in other responses than
/// those of RFC 5465 sections 5.4 to 5.7, or that is told for each mailbox below a renamed one; an INBOX that is told
/// to be gone when its messages were moved by RENAME.
#[test]
fn names_subscriptions_and_annotations_are_told() {
    story(|world| async move {
        let (mut client, mut other) = two(
            &world,
            "SET (personal (MailboxName SubscriptionChange MailboxMetadataChange ServerMetadataChange))",
        )
        .await;
        does(&mut other, "CREATE a/b").await;
        client
            .play(
                "S: * LIST (\\HasChildren) \"/\" a
                S: * LIST (\\HasNoChildren) \"/\" a/b
                S: * LIST (\\HasChildren) \"/\" a",
            )
            .await;
        does(&mut other, "RENAME a c").await;
        client.play("S: * LIST (\\HasChildren) \"/\" c (\"OLDNAME\" (a))").await;
        does(&mut other, "DELETE c").await;
        client.play("S: * LIST (\\NonExistent \\HasChildren) \"/\" c").await;
        does(&mut other, "DELETE c/b").await;
        client
            .play(
                "S: * LIST (\\NonExistent \\HasNoChildren) \"/\" c/b
                S: * LIST (\\NonExistent \\HasNoChildren) \"/\" c",
            )
            .await;
        does(&mut other, "RENAME INBOX d").await;
        client.play("S: * LIST (\\HasNoChildren) \"/\" d").await;
        does(&mut other, "UNSUBSCRIBE Sent").await;
        client.play("S: * LIST (\\HasNoChildren \\Sent) \"/\" Sent").await;
        does(&mut other, "SUBSCRIBE Sent").await;
        client.play("S: * LIST (\\HasNoChildren \\Sent \\Subscribed) \"/\" Sent").await;
        does(&mut other, "SUBSCRIBE Sent").await;
        does(&mut other, "SETMETADATA INBOX (/shared/comment \"x\" \"/private/a b\" \"y\")").await;
        client.play("S: * METADATA INBOX \"/private/a b\" /shared/comment").await;
        does(&mut other, "SETMETADATA INBOX (/shared/comment NIL)").await;
        client.play("S: * METADATA INBOX /shared/comment").await;
        does(&mut other, "SETMETADATA \"\" (/shared/comment \"x\")").await;
        client.play("S: * METADATA \"\" /shared/comment").await;
    });
}

/// Catches: an event that is told to a client that did not ask for it or not of this mailbox, a groupware folder that
/// is shown, and a list of subscriptions that is not checked again (RFC 5465 section 6.4).
#[test]
fn filters_are_looked_at_again_when_names_change() {
    story(|world| async move {
        let (mut client, mut other) = two(
            &world,
            "SET (subscribed (MessageNew MessageExpunge)) (subtree a (MailboxName)) (mailboxes Calendar (MailboxName))",
        )
        .await;
        does(&mut other, "CREATE b").await;
        does(&mut other, "APPEND b {1+}\r\nx").await;
        does(&mut other, "SETMETADATA \"\" (/shared/comment \"x\")").await;
        does(&mut other, "SUBSCRIBE b").await;
        client.play("S: * STATUS b (UIDVALIDITY *").await;
        does(&mut other, "APPEND b {1+}\r\nx").await;
        client.play("S: * STATUS b (UIDVALIDITY *").await;
        does(&mut other, "UNSUBSCRIBE b").await;
        does(&mut other, "APPEND b {1+}\r\nx").await;
        does(&mut other, "RENAME b a").await;
        client.play("S: * LIST (\\HasNoChildren) \"/\" a (\"OLDNAME\" (b))").await;
        let mut connector = world.connect().await;
        connector.play("S: * OK *\nC: i ID (\"name\" \"Outlook Connector\")\nS: * ID *\nS: i OK *").await;
        world.reconfigure(|config| {
            config.server.connector = true;
            config.accounts[0].connector = true;
        });
        connector.play("C: l LOGIN fred secret\nS: l OK *").await;
        does(&mut other, "DELETE a").await;
        client.play("S: * LIST (\\NonExistent \\HasNoChildren) \"/\" a").await;
    });
}

/// Catches: changes of the selected mailbox that wait for a command, that lack the UID or the wanted items of new
/// messages, or that come before EXISTS; items that are sent of a message that the client itself has appended.
#[test]
fn the_selected_mailbox_is_told_at_once() {
    story(|world| async move {
        world.deliver(&["Subject: one\r\n\r\n"]).await;
        let arguments =
            "SET (selected (MessageNew (UID BODY.PEEK[HEADER.FIELDS (Subject)]) MessageExpunge FlagChange))";
        let (mut client, mut other) = two(&world, arguments).await;
        does(&mut client, "SELECT INBOX").await;
        world.deliver(&["Subject: two\r\n\r\n", "Subject: three\r\n\r\n"]).await;
        client
            .play(
                "S: * 3 EXISTS
                S: *
                S: * 2 FETCH (UID 2 BODY[HEADER.FIELDS (Subject)] {16}
                S: Subject: two
                S:\u{20}
                S: )
                S: * 3 FETCH (UID 3 BODY[HEADER.FIELDS (Subject)] {18}
                S: Subject: three
                S:\u{20}
                S: )",
            )
            .await;
        does(&mut other, "NOOP").await;
        does(&mut other, "STORE 1:2 +FLAGS.SILENT (\\Deleted)").await;
        client.play("S: * 1 FETCH (UID 1 FLAGS (*\nS: * 2 FETCH (UID 2 FLAGS (*").await;
        does(&mut other, "EXPUNGE").await;
        client.play("S: * 2 EXPUNGE\nS: * 1 EXPUNGE").await;
        client.play("C: a APPEND INBOX {1+}\nC: x\nS: * 2 EXISTS\nS: *\nS: a OK *").await;
        client.play("C: b COPY 1 INBOX\nS: * 3 EXISTS\nS: *\nS: b OK *").await;
        client.play("C: q ENABLE QRESYNC\nS: * ENABLED *\nS: * OK [HIGHESTMODSEQ *\nS: q OK *").await;
        does(&mut other, "NOOP").await;
        does(&mut other, "STORE 1 +FLAGS (\\Deleted)").await;
        client.play("S: * 1 FETCH (UID 3 FLAGS (*").await;
        does(&mut other, "EXPUNGE").await;
        client.play("S: * VANISHED 3").await;
        world.deliver(&["Subject: x\r\n\r\n"]).await;
        client.play("S: * 3 EXISTS\nS: *\nS: * 3 FETCH (UID 6 MODSEQ (*").await;
    });
}

/// Catches: EXPUNGE at a time when it changes what a number means for a client that uses numbers (RFC 5465 section
/// 6.1.2).
#[test]
fn selected_delayed_keeps_numbers() {
    story(|world| async move {
        world.deliver(&["1", "2"]).await;
        let (mut client, mut other) =
            two(&world, "SET (selected-delayed (MessageNew MessageExpunge FlagChange))").await;
        does(&mut client, "SELECT INBOX").await;
        does(&mut other, "STORE 1 +FLAGS (\\Deleted)").await;
        client.play("S: * 1 FETCH (UID 1 FLAGS (*").await;
        does(&mut other, "EXPUNGE").await;
        world.deliver(&["3"]).await;
        client.play("S: * 3 EXISTS\nS: *\nC: 1 FETCH 2 UID\nS: * 2 FETCH (UID 2)\nS: 1 OK *").await;
        client.play("C: 2 NOOP\nS: * 1 EXPUNGE\nS: 2 OK *").await;
        does(&mut other, "NOOP").await;
        does(&mut other, "STORE 1 +FLAGS (\\Deleted)").await;
        client.play("S: * 1 FETCH (UID 2 FLAGS (*").await;
        does(&mut other, "EXPUNGE").await;
        client.play("C: 3 IDLE\nS: + Idling\nS: * 1 EXPUNGE\nC: DONE\nS: 3 OK *").await;
    });
}

/// Catches: a mailbox that keeps changing for a client that wants a snapshot, own changes that the client is not told
/// of, and changes that are lost when it wants to be told again (RFC 5465 sections 3.1 and 5).
#[test]
fn who_wants_to_hear_nothing_has_a_snapshot() {
    story(|world| async move {
        world.deliver(&["1", "2", "3"]).await;
        let (mut client, mut other) = (world.inbox().await, world.inbox().await);
        does(&mut other, "STORE 3 +FLAGS (\\Flagged)").await;
        client.play("C: 1 NOTIFY SET (selected NONE)\nS: * 3 FETCH (UID 3 FLAGS (*\nS: 1 OK *").await;
        world.deliver(&["4"]).await;
        does(&mut other, "NOOP").await;
        does(&mut other, "STORE 1 +FLAGS (\\Deleted)").await;
        does(&mut other, "EXPUNGE").await;
        does(&mut other, "STORE 2 +FLAGS (\\Draft)").await;
        client.play("C: 2 NOOP\nS: 2 OK *\nC: 3 UID FETCH 1:* UID").await;
        client.play("S: * 2 FETCH (UID 2)\nS: * 3 FETCH (UID 3)\nS: 3 OK [EXPUNGEISSUED] *").await;
        client.play("C: 4 STORE 2 +FLAGS (\\Seen)\nS: * 2 FETCH (UID 2 FLAGS (*\nS: 4 OK *").await;
        client.play("C: 5 STORE 2 +FLAGS.SILENT (\\Deleted)\nS: 5 OK *").await;
        client.play("C: 6 EXPUNGE\nS: * 2 EXPUNGE\nS: * 1 EXPUNGE\nS: 6 OK *").await;
        client.play("C: 7 NOTIFY SET (selected (MessageNew MessageExpunge))").await;
        client.play("S: * 2 EXISTS\nS: *\nS: * 1 FETCH (UID 3 FLAGS (*\nS: 7 OK *").await;
        does(&mut other, "NOOP").await;
        does(&mut other, "STORE 1 +FLAGS (\\Answered)").await;
        client.play("C: 8 NOOP\nS: 8 OK *").await;
        world.deliver(&["5"]).await;
        client.play("S: * 3 EXISTS\nS: *").await;
        client.play("C: 9 NOTIFY SET (selected (MessageNew MessageExpunge FlagChange))").await;
        client
            .play("S: * 1 FETCH (UID 3 FLAGS (\\Recent \\Answered*\nS: * 3 FETCH (UID 5 *\nS: 9 OK *")
            .await;
    });
}

/// Catches: a STATUS of a mailbox while it is selected, and changes that are lost when it is left.
#[test]
fn a_mailbox_is_heard_of_when_it_is_left() {
    story(|world| async move {
        let (mut client, mut other) =
            two(&world, &format!("SET (selected NONE) (personal {MESSAGES})")).await;
        does(&mut client, "SELECT INBOX").await;
        world.deliver(&["1"]).await;
        does(&mut other, "NOOP").await;
        client.play("C: 1 NOOP\nS: 1 OK *\nC: 2 UNSELECT\nS: 2 OK *\nS: * STATUS INBOX (UIDVALIDITY *").await;
        does(&mut client, "SELECT INBOX").await;
        client.play("C: 3 UNSELECT\nS: 3 OK *\nC: 4 NOOP\nS: 4 OK *").await;
    });
}

/// Catches: changes that were told while the mailbox was selected and are told once more when it is left.
#[test]
fn what_was_told_of_the_selected_mailbox_is_known() {
    story(|world| async move {
        let arguments = format!("SET (selected {MESSAGES}) (personal {MESSAGES})");
        let (mut client, mut other) = two(&world, &arguments).await;
        does(&mut client, "SELECT INBOX").await;
        world.deliver(&["1"]).await;
        client.play("S: * 1 EXISTS\nS: *").await;
        does(&mut other, "NOOP").await;
        does(&mut other, "STORE 1 +FLAGS (\\Seen)").await;
        client.play("S: * 1 FETCH *\nC: 1 UNSELECT\nS: 1 OK *\nC: 2 NOOP\nS: 2 OK *").await;
        does(&mut other, "STORE 1 -FLAGS (\\Seen)").await;
        client.play("S: * STATUS INBOX *").await;
    });
}

/// Catches: a conditional STORE that is not answered when the client is not told of changes of flags (RFC 7162
/// section 3.1.3), and a name that is not told because it was unsubscribed and so no longer is in `subscribed`.
#[test]
fn answers_and_ends_are_told_whatever_the_filters() {
    story(|world| async move {
        world.deliver(&["1"]).await;
        let mut client = world.inbox().await;
        client.play("C: e ENABLE CONDSTORE\nS: *\nS: *\nS: e OK *").await;
        let arguments = "SET (selected (MessageNew MessageExpunge)) (subscribed (SubscriptionChange))";
        client.play(&format!("C: n NOTIFY {arguments}\nS: n OK *")).await;
        for flag in ["\\Seen", "\\Flagged"] {
            client.send(&format!("1 STORE 1 (UNCHANGEDSINCE 100) +FLAGS.SILENT ({flag})\r\n")).await;
            let answer = client.until("1 OK").await;
            assert!(answer[0].starts_with("* 1 FETCH (UID 1 ") && answer[0].contains("MODSEQ"), "{answer:?}");
        }
        let mut other = world.login().await;
        does(&mut other, "UNSUBSCRIBE Sent").await;
        client.play("S: * LIST (\\HasNoChildren \\Sent) \"/\" Sent").await;
    });
}

/// Catches: a FETCH that was not asked for, or that comes after the ESEARCH it must precede (RFC 5465 section 7), and
/// two FETCH where one is enough.
#[test]
fn a_search_that_goes_on_tells_what_it_was_asked_for() {
    story(|world| async move {
        let mut client = world.inbox().await;
        client
            .play("C: 1 SEARCH RETURN (COUNT UPDATE (UID BODY[HEADER.FIELDS (SUBJECT)])) FROM \"boss\"")
            .await;
        client.play("S: * ESEARCH (TAG \"1\") COUNT 0\nS: 1 OK *\nC: 2 IDLE\nS: + Idling").await;
        world.deliver(&["From: me\r\n\r\n", "From: boss\r\nSubject: now\r\n\r\n"]).await;
        let told = "S: * 2 EXISTS
            S: *
            S: * 2 FETCH (UID 2 BODY[HEADER.FIELDS (SUBJECT)] {16}
            S: Subject: now
            S:\u{20}
            S: )
            S: * ESEARCH (TAG \"1\") ADDTO (0 2)";
        client.play(told).await;
        client.play("C: DONE\nS: 2 OK *\nC: 3 NOTIFY SET (selected (MessageNew (FLAGS UID) MessageExpunge))\nS: 3 OK *").await;
        world.deliver(&["From: me\r\n\r\n", "From: boss\r\nSubject: now\r\n\r\n"]).await;
        let told = "S: * 4 EXISTS
            S: *
            S: * 3 FETCH (FLAGS (\\Recent) UID 3)
            S: * 4 FETCH (FLAGS (\\Recent) UID 4 BODY[HEADER.FIELDS (SUBJECT)] {16}
            S: Subject: now
            S:\u{20}
            S: )
            S: * ESEARCH (TAG \"1\") ADDTO (0 4)";
        client.play(told).await;
        client.play("C: 4 FETCH 4 FLAGS\nS: * 4 FETCH (FLAGS (\\Recent))\nS: 4 OK *").await;
    });
}

/// Catches: memory that grows with what a client has not yet been told, and a client that is not told that it has
/// missed something (RFC 5465 section 5.8).
#[test]
fn too_much_is_an_overflow() {
    story(|world| async move {
        let (mut client, _) = two(&world, "SET (personal (MailboxName MessageNew MessageExpunge))").await;
        let fred = world.fred().await;
        let mut transaction = fred.begin();
        (0..257).for_each(|n| transaction.create_mailbox(&format!("m{n}")));
        transaction.commit().await.unwrap();
        client.play("S: * OK [NOTIFICATIONOVERFLOW] *").await;
        world.deliver(&["1"]).await;
        client.play("C: 1 NOOP\nS: 1 OK *").await;
        let mut transaction = fred.begin();
        (257..1100).for_each(|n| transaction.create_mailbox(&format!("m{n}")));
        transaction.commit().await.unwrap();
        client.play("C: 2 NOTIFY SET (mailboxes INBOX (MessageNew MessageExpunge))\nS: 2 OK *").await;
        client.play("C: 3 NOTIFY SET STATUS (personal (MessageNew MessageExpunge))").await;
        client.play("S: 3 NO [NOTIFICATIONOVERFLOW] *").await;
        world.deliver(&["2"]).await;
        client.play("S: * STATUS INBOX (UIDVALIDITY *").await;
    });
}

/// Catches: a client that is waited for for ever, or whose router forgets it.
#[test]
fn a_client_that_says_nothing_is_not_waited_for() {
    story(|world| async move {
        let (mut client, _) = two(&world, "SET (inboxes (MessageNew MessageExpunge))").await;
        world.context.time.advance(Duration::from_secs(5 * 60));
        client.play("S: * OK Still here").await;
        for _ in 0..6 {
            world.context.time.advance(Duration::from_secs(5 * 60));
        }
        client.until("* BYE").await;
    });
}
