//! What is sent to an IMAP server, and what its octets mean.

use super::*;

/// A folder that has been listed, and what was sent to the server for it.
fn listed(capabilities: &str) -> (Mailbox, String) {
    let mut mailbox = Mailbox::new(&Source::default(), 4, "0123", &ServerQuirks::default());
    mailbox.begin();
    let says = format!("* CAPABILITY {capabilities}\r\nP5 OK\r\n");
    let mut input = says.as_bytes();
    while mailbox.receive(&mut input).unwrap() != Event::Done {}
    mailbox.list("R&D \"Entwürfe\"");
    let mut input = &b"* 1 EXISTS\r\n* OK [UIDVALIDITY 7] hi\r\nP6 OK\r\n\
        * 1 FETCH (UID 9 RFC822.SIZE 5 FLAGS (\\Deleted))\r\n* 1 FETCH (UID 9 FLAGS ())\r\nP7 OK\r\n"[..];
    let mut found = Vec::new();
    loop {
        match mailbox.receive(&mut input).unwrap() {
            Event::AllListed { agrees: true } => break,
            Event::Listed(Listed { message, unique_id, size, is_deleted }) => {
                found.push((message, unique_id.to_vec(), size, is_deleted));
            }
            event => assert!(matches!(event, Event::Other | Event::Done), "{event:?}"),
        }
    }
    assert_eq!(found, [(9, b"7.9".to_vec(), 5, true)]);
    let sent = mailbox.to_send();
    (mailbox, sent)
}

#[test]
fn requests_as_they_travel() {
    let (mut mailbox, sent) = listed("IMAP4rev1 UIDPLUS");
    assert_eq!(
        sent,
        "P5 CAPABILITY\r\nP6 SELECT \"R&-D \\\"Entw&APw-rfe\\\"\"\r\nP7 UID FETCH 1:* (UID RFC822.SIZE FLAGS)\r\n"
    );
    mailbox.fetch(7);
    mailbox.delete(&mut [7, 9].into());
    mailbox.take_effect(false);
    mailbox.close();
    assert_eq!(
        mailbox.to_send(),
        "P8 UID FETCH 7 (UID FLAGS INTERNALDATE BODY.PEEK[])\r\nP9 UID STORE 7,9 +FLAGS.SILENT (\\Deleted)\r\n\
         P10 UID EXPUNGE 7,9\r\nP11 LOGOUT\r\n"
    );
}

/// Catches: an EXPUNGE that removes what others have marked, and messages that are marked and never removed.
#[test]
fn without_uidplus_all_that_is_marked_is_expunged_unless_others_marked_some() {
    for (others_deleted, expunge) in [(false, "P9 EXPUNGE\r\n"), (true, "")] {
        let (mut mailbox, _) = listed("IMAP4rev1");
        mailbox.delete(&mut [7].into());
        mailbox.take_effect(others_deleted);
        let sent = format!("P8 UID STORE 7 +FLAGS.SILENT (\\Deleted)\r\n{expunge}");
        assert_eq!(mailbox.to_send(), sent);
    }
}

/// Catches: a message that is asked for while the end of the look at its beginning is still to come, and that is then
/// taken for one that nobody asked for, with each poll.
#[test]
fn a_message_may_be_asked_for_before_the_look_at_it_is_answered() {
    let (mut mailbox, _) = listed("IMAP4rev1");
    let hear = |mailbox: &mut Mailbox, mut input: &[u8]| {
        let mut heard = String::new();
        loop {
            match mailbox.receive(&mut input).unwrap() {
                Event::More => return heard,
                event => heard += &format!("{event:?} "),
            }
        }
    };
    assert!(mailbox.head(9, true));
    let heard = hear(&mut mailbox, b"* 1 FETCH (UID 9 BODY[]<0> {3}\r\na\r\n)\r\n");
    assert!(heard.contains("HeadOver(9)"), "{heard}");
    mailbox.fetch(9);
    let heard = hear(&mut mailbox, b"P8 OK\r\n* 1 FETCH (UID 9 BODY[] {3}\r\na\r\n)\r\nP9 OK\r\n");
    assert!(heard.contains("Begun { message: Some(9)") && heard.contains("Confirmed(9)"), "{heard}");
}

/// Catches: a command that names more messages than a line has room for.
#[test]
fn so_many_messages_are_deleted_at_once() {
    let (mut mailbox, _) = listed("IMAP4rev1");
    let mut messages: VecDeque<Uid> = (1..=NAMED_AT_ONCE as u32 + 1).collect();
    mailbox.delete(&mut messages);
    assert_eq!(messages, [1], "the last ones go first");
}

#[test]
fn responses_find_their_requests_in_any_order() {
    let (mut mailbox, _) = listed("IMAP4rev1");
    (1..=4).for_each(|uid| mailbox.fetch(uid));
    mailbox.close();
    let mut input = &b"* OK hi\r\nP9 OK\r\n* 3 FETCH (UID 3 BODY[] {1}\r\nx)\r\nP8 NO gone\r\nP10 OK\r\n\
        * 4 FETCH (BODY[] \"y\" UID 4)\r\n* BYE bye\r\nP12 OK\r\nP12 OK\r\n"[..];
    let mut next = || mailbox.receive(&mut input).map(|event| format!("{event:?}"));
    for event in [
        Event::Other,
        Event::Absent(2),
        Event::Begun { message: Some(3), octets: Some(1) },
        Event::Piece(b"x"),
        Event::Whole(Attributes::default()),
        Event::Refused {
            command: "UID FETCH 1 (UID FLAGS INTERNALDATE BODY.PEEK[])".to_owned(),
            reason: "gone".to_owned(),
            message: Some(1),
        },
        Event::Confirmed(3),
        Event::Message(4, b"y".to_vec(), Attributes::default()),
        Event::Other,
        Event::Done,
    ] {
        assert_eq!(next().unwrap(), format!("{event:?}"));
    }
    assert!(matches!(next(), Err(Error::Protocol(_))));
}

/// Catches: a message that is taken for the one that was asked for first.
#[test]
fn a_message_that_nobody_asked_for_is_passed_over() {
    let (mut mailbox, _) = listed("IMAP4rev1");
    mailbox.fetch(1);
    let mut input = &b"* 2 FETCH (UID 2 BODY[] {1}\r\nx)\r\n* 1 FETCH (BODY[] {1}\r\nx UID 2)\r\n"[..];
    let begun = |message| Event::Begun { message, octets: Some(1) };
    for event in [begun(None), Event::Piece(b"x"), Event::Other, begun(Some(1)), Event::Piece(b"x")] {
        assert_eq!(mailbox.receive(&mut input).unwrap(), event);
    }
    assert!(matches!(mailbox.receive(&mut input), Err(Error::Protocol(_))), "it is another one");
}

#[test]
fn an_early_goodbye_ends_the_poll() {
    let mut mailbox = Mailbox::new(&Source::default(), 0, "0123", &ServerQuirks::default());
    mailbox.begin();
    let mut input = &b"* BYE shutting down\r\n"[..];
    assert!(matches!(mailbox.receive(&mut input), Err(Error::TurnedAway(why)) if why == "shutting down"));
}

/// Catches: news that come before they are waited for and are missed; news that are missed since a removed message
/// leaves the number the same; DONE that is sent before IDLE has begun, which servers refuse (RFC 2177 section 3).
#[test]
fn news_are_what_has_come_since_the_folder_was_listed() {
    let hear = |mailbox: &mut Mailbox, said: &str| {
        let (mut input, mut news) = (said.as_bytes(), 0);
        loop {
            match mailbox.receive(&mut input).unwrap() {
                Event::More => return news,
                event => news += u32::from(event == Event::News),
            }
        }
    };
    for (said, is_news) in [
        ("", false),
        ("* 1 EXISTS\r\n", false),
        ("* 2 EXISTS\r\n", true),
        ("* 1 EXPUNGE\r\n* 0 EXISTS\r\n", false),
        ("* 1 EXPUNGE\r\n* 1 EXISTS\r\n", true),
    ] {
        let (mut mailbox, _) = listed("IMAP4rev1 IDLE");
        assert!(mailbox.waits());
        assert_eq!(hear(&mut mailbox, said), 0);
        mailbox.wait();
        assert_eq!(mailbox.to_send(), if is_news { "" } else { "P8 IDLE\r\n" }, "{said:?}");
        assert_eq!(mailbox.is_idle(), is_news);

        let (mut mailbox, _) = listed("IMAP4rev1 IDLE");
        mailbox.wait();
        assert_eq!(hear(&mut mailbox, &format!("+ idling\r\n{said}")), u32::from(is_news), "{said:?}");
        mailbox.wake();
        assert_eq!(mailbox.to_send(), "P8 IDLE\r\nDONE\r\n");
    }
    let (mut mailbox, _) = listed("IMAP4rev1 IDLE");
    mailbox.wait();
    mailbox.wake();
    assert_eq!(mailbox.to_send(), "P8 IDLE\r\n");
    assert_eq!(hear(&mut mailbox, "+ idling\r\n"), 0);
    assert_eq!(mailbox.to_send(), "DONE\r\n");
    hear(&mut mailbox, "P8 OK\r\n");
    assert!(mailbox.is_idle());
}

/// Catches: an appliance that collects from itself behind another server's greeting.
#[test]
fn an_id_with_the_own_token_ends_the_poll() {
    let mut mailbox = Mailbox::new(&Source::default(), 0, "0123", &ServerQuirks::default());
    mailbox.begin();
    let mut input =
        &b"* ID (\"token\" \"123\")\r\n* ID NIL\r\n* ID (\"name\" \"x\" \"token\" \"0123\")\r\n"[..];
    for _ in 0..2 {
        assert_eq!(mailbox.receive(&mut input).unwrap(), Event::Other);
    }
    assert!(matches!(mailbox.receive(&mut input), Err(Error::Itself)));
}
