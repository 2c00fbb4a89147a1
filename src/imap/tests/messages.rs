use super::*;

#[test]
fn store_tells_flags_unless_silent() {
    story(|world| async move {
        world.deliver(&["one", "two", "three"]).await;
        let mut client = world.inbox().await;
        client
            .play(
                "C: 1 STORE 1:2 +FLAGS (\\Seen)
                S: * 1 FETCH (FLAGS (\\Recent \\Seen))
                S: * 2 FETCH (FLAGS (\\Recent \\Seen))
                S: 1 OK *
                C: 2 STORE 1 +FLAGS (\\Seen)
                S: * 1 FETCH (FLAGS (\\Recent \\Seen))
                S: 2 OK *
                C: 3 UID STORE 2:* -FLAGS.SILENT (\\Seen)
                S: 3 OK *
                C: 4 UID STORE 3 FLAGS ($Work \\Flagged)
                S: * FLAGS (*
                S: * OK [PERMANENTFLAGS (*
                S: * 3 FETCH (UID 3 FLAGS (\\Recent \\Flagged $Work))
                S: 4 OK *
                C: 5 STORE 4 FLAGS ()
                S: 5 BAD There is no message of that number
                C: 6 UID STORE 99 FLAGS ()
                S: 6 OK *",
            )
            .await;
    });
}

#[test]
fn changes_of_another_session_are_told_with_the_next_command() {
    story(|world| async move {
        world.deliver(&["one", "two", "three"]).await;
        let (mut one, mut two) = (world.inbox().await, world.inbox().await);
        two.play("C: 1 STORE 1 +FLAGS.SILENT (\\Deleted)\nS: 1 OK *\nC: 2 STORE 3 +FLAGS (\\Flagged)").await;
        two.until("2 OK").await;
        one.play(
            "C: 1 STORE 3 +FLAGS.SILENT (\\Answered)
            S: * 1 FETCH (FLAGS (\\Recent \\Deleted))
            S: * 3 FETCH (FLAGS (\\Recent \\Answered \\Flagged))
            S: 1 OK *",
        )
        .await;
        two.play("C: 3 EXPUNGE\nS: * 1 EXPUNGE\nS: * 2 FETCH (FLAGS (\\Answered \\Flagged))\nS: 3 OK *")
            .await;
        one.play(
            "C: 2 STORE 2 +FLAGS (\\Seen)
            S: * 2 FETCH (FLAGS (\\Recent \\Seen))
            S: 2 OK STORE completed
            C: 3 STORE 1 +FLAGS (\\Seen)
            S: 3 NO [EXPUNGEISSUED] *
            C: u UID STORE 1 +FLAGS (\\Seen)
            S: * 1 EXPUNGE
            S: u OK *
            C: 4 NOOP
            S: 4 OK *",
        )
        .await;
    });
}

/// Catches: a client that cannot learn the UID of a message that it still counts, a message that comes back by its UID
/// after the client could have heard of its end.
#[test]
fn the_uid_of_what_another_session_has_removed_is_still_told() {
    story(|world| async move {
        world.deliver(&["one", "two"]).await;
        let (mut one, mut two) = (world.inbox().await, world.inbox().await);
        two.play("C: 1 STORE 1 +FLAGS.SILENT (\\Deleted)\nS: 1 OK *\nC: 2 EXPUNGE").await;
        two.until("2 OK").await;
        one.play(
            "C: 1 FETCH 1:* UID
            S: * 1 FETCH (UID 1)
            S: * 2 FETCH (UID 2)
            S: 1 OK [EXPUNGEISSUED] *
            C: 2 FETCH 1 (UID FLAGS)
            S: 2 OK [EXPUNGEISSUED] *
            C: 3 UID FETCH 1:* UID
            S: * 2 FETCH (UID 2)
            S: * 1 EXPUNGE
            S: 3 OK *
            C: 4 FETCH 1 UID
            S: * 1 FETCH (UID 2)
            S: 4 OK *",
        )
        .await;
    });
}

/// Catches: an alert for each message that was deleted on two devices: UIDs that do not exist are ignored (RFC 3501
/// section 6.4.8), sequence numbers are not.
#[test]
fn uids_that_another_session_has_removed_are_no_error() {
    for (command, said) in [
        ("UID STORE 1 +FLAGS (\\Seen)", "OK"),
        ("UID COPY 1 Sent", "OK"),
        ("UID MOVE 1 Sent", "OK"),
        ("COPY 1 Sent", "NO [EXPUNGEISSUED]"),
        ("MOVE 1 Sent", "NO [EXPUNGEISSUED]"),
    ] {
        story(|world| async move {
            world.deliver(&["one", "two"]).await;
            let (mut one, mut two) = (world.inbox().await, world.inbox().await);
            two.play("C: 1 STORE 1 +FLAGS.SILENT (\\Deleted)\nS: 1 OK *\nC: 2 EXPUNGE").await;
            two.until("2 OK").await;
            one.play(&format!("C: a {command}\nS: * 1 EXPUNGE\nS: a {said} *")).await;
        });
    }
}

#[test]
fn expunge_close_and_unselect() {
    story(|world| async move {
        world.deliver(&["1", "2", "3", "4", "5"]).await;
        let mut client = world.inbox().await;
        client
            .play(
                "C: 1 STORE 1,3,5 +FLAGS.SILENT (\\Deleted)
                S: 1 OK *
                C: 2 UID EXPUNGE 1:2
                S: * 1 EXPUNGE
                S: 2 OK *
                C: 3 UNSELECT
                S: 3 OK *
                C: 4 EXPUNGE
                S: 4 BAD *",
            )
            .await;
        client.send("5 EXAMINE INBOX\r\n").await;
        client.until("5 OK").await;
        client
            .play(
                "C: 6 EXPUNGE
                S: 6 NO [READ-ONLY] *
                C: 7 STORE 1 FLAGS ()
                S: 7 NO [READ-ONLY] *
                C: 8 CLOSE
                S: 8 OK *
                C: 9 STATUS INBOX (MESSAGES)
                S: * STATUS INBOX (MESSAGES 4)
                S: 9 OK *
                C: 10 SELECT INBOX",
            )
            .await;
        client.until("10 OK").await;
        client
            .play(
                "C: 11 CLOSE
                S: 11 OK *
                C: 12 STATUS INBOX (MESSAGES)
                S: * STATUS INBOX (MESSAGES 2)
                S: 12 OK *",
            )
            .await;
    });
}

#[test]
fn copy_and_move_tell_where_messages_went() {
    story(|world| async move {
        world.deliver(&["1", "2", "3", "4"]).await;
        let mut client = world.inbox().await;
        client
            .play(
                "C: 1 COPY 1 nowhere
                S: 1 NO [TRYCREATE] *
                C: 2 CREATE x
                S: 2 OK *
                C: 3 STORE 2 +FLAGS.SILENT ($Work)
                S: * FLAGS *
                S: * OK [PERMANENTFLAGS *
                S: 3 OK *
                C: 4 UID COPY 1:2,4 x
                S: 4 OK [COPYUID *
                C: 5 MOVE 3:4 x
                S: * OK [COPYUID *
                S: * 4 EXPUNGE
                S: * 3 EXPUNGE
                S: 5 OK *
                C: 6 COPY 1:* INBOX
                S: * 4 EXISTS
                S: * 4 RECENT
                S: 6 OK [COPYUID *
                C: 7 UID MOVE 77 x
                S: 7 OK *
                C: 8 MOVE 77 x
                S: 8 BAD *",
            )
            .await;
        let fred = world.fred().await;
        let copies = fred.view(fred.find("x").unwrap(), |x| {
            x.messages.iter().map(|m| (m.uid, m.flags)).collect::<Vec<_>>()
        });
        let none = Flags::NONE;
        let expected = [(1, none), (2, Flags::keyword(0)), (3, none), (4, none), (5, none)];
        assert_eq!(copies.unwrap(), expected);
        world.reconfigure(|config| config.accounts[0].quota = 10);
        client.play("C: 9 COPY 1:* x\nS: 9 NO [OVERQUOTA] *").await;
    });
}

#[test]
fn copyuid_pairs_the_uids_in_ranges() {
    story(|world| async move {
        world.deliver(&["1", "2", "3", "4"]).await;
        let mut client = world.inbox().await;
        client.play("C: 1 CREATE x\nS: 1 OK *\nC: 2 COPY 4,1:2 x").await;
        let line = client.line().await.unwrap();
        let code: Vec<&str> = line.split(['[', ']', ' ']).collect();
        assert_eq!((code[3], &code[5..7]), ("COPYUID", &["1:2,4", "1:3"][..]), "{line}");
    });
}

/// Catches: a response code that grows with a hundred thousand scattered messages, and one that is left out too
/// early.
#[test]
fn a_copyuid_that_no_client_can_read_is_left_out() {
    const RANGES: usize = 4096;
    story(|world| async move {
        world.deliver(&vec!["x"; 2 * RANGES + 2]).await;
        let mut client = world.inbox().await;
        for (ranges, code) in [(RANGES, true), (RANGES + 1, false)] {
            let set: Vec<String> = (0..ranges).map(|n| (2 * n + 1).to_string()).collect();
            client.send(&format!("c UID COPY {} Sent\r\n", set.join(","))).await;
            let last = client.until("c ").await.pop().unwrap();
            assert_eq!(last.starts_with("c OK [COPYUID "), code, "{last:.40}");
            assert!(last.ends_with("COPY completed"));
        }
    });
}
