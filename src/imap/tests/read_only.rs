//! Clients on a flash that takes no changes: they can read everything, and each change is refused with words that
//! they understand.

use rustix::io::Errno;

use super::*;

/// The refusal of a change (RFC 5530).
const UNAVAILABLE: &str = "NO [UNAVAILABLE] The flash takes no changes; all mail can be read";

/// Catches: a SELECT that promises changes, an APPEND whose octets are asked for in vain, a CLOSE that is refused
/// because of messages that were `\\Deleted` before, and a FETCH that fails because `\\Seen` cannot be written.
#[test]
fn everything_is_read_and_each_change_refused() {
    story(|world| async move {
        world.deliver(&["A: b\r\n\r\ntext", "2"]).await;
        let mut before = world.inbox().await;
        before.play("C: 1 STORE 2 +FLAGS.SILENT (\\Deleted)\nS: 1 OK *").await;
        world.card.answer(Some(Errno::ROFS));
        let mut client = world.login().await;
        client.send("1 SELECT INBOX\r\n").await;
        let selected = client.until("1 OK [READ-ONLY]").await;
        assert!(selected.iter().any(|line| line.starts_with("* OK [PERMANENTFLAGS ()]")), "{selected:?}");
        client
            .play(&format!(
                "C: 2 FETCH 1 (FLAGS BODY[TEXT])
                S: * 1 FETCH (FLAGS () BODY[TEXT] {{4}}
                S: text)
                S: 2 OK FETCH completed
                C: 3 SEARCH UNSEEN
                S: * SEARCH 1 2
                S: 3 OK *
                C: 4 STORE 1 +FLAGS (\\Flagged)
                S: 4 {UNAVAILABLE}
                C: 5 EXPUNGE
                S: 5 {UNAVAILABLE}
                C: 6 MOVE 1 Sent
                S: 6 {UNAVAILABLE}
                C: 7 APPEND INBOX {{5}}
                S: 7 {UNAVAILABLE}
                C: 8 APPEND INBOX {{5+}}
                C: hello
                S: 8 {UNAVAILABLE}
                C: 9 CLOSE
                S: 9 OK *
                C: 10 STATUS INBOX (MESSAGES)
                S: * STATUS INBOX (MESSAGES 2)
                S: 10 OK *"
            ))
            .await;
        // The flash works again: sessions that select a mailbox from now on may change it.
        world.card.answer(None);
        client.send("11 SELECT INBOX\r\n").await;
        client.until("11 OK [READ-WRITE]").await;
    });
}

/// Catches: a FETCH that fails because `\Seen` cannot be written, although the client has got the message.
#[test]
fn a_fetch_goes_well_though_seen_cannot_be_written() {
    story(|world| async move {
        world.deliver(&["A: b\r\n\r\ntext"]).await;
        let mut client = world.inbox().await;
        world.flash.limit(Some(0));
        client
            .play(
                "C: 1 FETCH 1 BODY[TEXT]
                S: * 1 FETCH (BODY[TEXT] {4}
                S: text)
                S: 1 OK FETCH completed
                C: 2 FETCH 1 FLAGS
                S: * 1 FETCH (FLAGS (\\Recent))
                S: 2 OK *",
            )
            .await;
        world.flash.limit(None);
        client
            .play(
                "C: 3 UID FETCH 1 BODY[TEXT]
                S: * 1 FETCH (UID 1 BODY[TEXT] {4}
                S: text)
                S: * 1 FETCH (UID 1 FLAGS (\\Recent \\Seen))
                S: 3 OK *",
            )
            .await;
    });
}
