//! What the octets of a POP3 server mean.

use super::*;

/// The events that `octets` give, fed in pieces of `size`: one line for each, with the pieces of a message joined.
fn hear(maildrop: &mut Maildrop, octets: &[u8], size: usize) -> Result<Vec<String>, Error> {
    let mut heard: Vec<String> = Vec::new();
    for chunk in octets.chunks(size) {
        let mut input = chunk;
        loop {
            heard.push(match maildrop.receive(&mut input)? {
                Event::More => break,
                Event::Other | Event::Done => continue,
                Event::Listed(Listed { message, unique_id, size, .. }) => {
                    format!("{message} has {size} and is {}", String::from_utf8_lossy(unique_id))
                }
                Event::AllListed { agrees } => format!("these are all{}", if agrees { "" } else { "?" }),
                Event::Begun { message, .. } => format!("{}: ", message.unwrap()),
                Event::Piece(piece) | Event::Head(piece) => {
                    heard.last_mut().unwrap().push_str(&String::from_utf8_lossy(piece));
                    continue;
                }
                Event::Whole(_) => "whole".to_owned(),
                Event::Confirmed(message) => format!("{message} was"),
                Event::Deleted(n) => format!("{n} deleted"),
                Event::Refused { command, reason, message } => {
                    format!("{command} refused: {reason}, {message:?}")
                }
                event => panic!("{event:?}"),
            });
        }
    }
    Ok(heard)
}

/// A maildrop that is being listed.
fn listing() -> Maildrop {
    let mut maildrop = Maildrop::new(true, &ServerQuirks::default());
    maildrop.list("INBOX");
    assert!(matches!(maildrop.receive(&mut &b"+OK\r\n"[..]), Ok(Event::Done)), "STAT");
    maildrop
}

#[test]
fn pipelined_replies_belong_to_their_requests_however_they_arrive() {
    let list = b"+OK\r\n1 120\r\n2 18 extra\r\n3 ?\r\n.\r\n\
        +OK\r\n1 QhdPYR:00WBw1Ph7x7\r\n2 odd \xff id\r\n3\r\n.\r\n";
    let mail =
        b"+OK 18 octets\r\n..a\r\n+OK\r\n.\r\n+OK\r\n-ERR [SYS/TEMP] try later\r\n+OK\r\n.\r\n+OK bye\r\n";
    for size in 1..mail.len() {
        let mut maildrop = listing();
        assert_eq!(
            hear(&mut maildrop, list, size).unwrap(),
            [
                "1 has 120 and is QhdPYR:00WBw1Ph7x7",
                "2 has 18 and is odd \u{fffd} id",
                "3 has 0 and is ",
                "these are all",
            ],
            "in pieces of {size}"
        );
        maildrop.fetch(1);
        maildrop.delete(&mut [7, 1].into());
        maildrop.fetch(2);
        maildrop.fetch(3);
        maildrop.close();
        maildrop.take_effect(false);
        let sent = "STAT\r\nLIST\r\nUIDL\r\nRETR 1\r\nDELE 1\r\nRETR 2\r\nRETR 3\r\nQUIT\r\n";
        assert_eq!(maildrop.to_send(), sent, "each once, and one message a DELE");
        assert_eq!(
            hear(&mut maildrop, mail, size).unwrap(),
            [
                "1: .a\r\n+OK\r\n",
                "whole",
                "1 was",
                "1 deleted",
                "RETR 2 refused: [SYS/TEMP] try later, Some(2)",
                "3: ",
                "whole",
                "3 was",
            ],
            "in pieces of {size}"
        );
        assert!(maildrop.is_idle());
    }
}

/// Catches: a server without UIDL whose messages are not reported, or some of them twice; a server without LIST and
/// UIDL that looks empty.
#[test]
fn without_uidl_the_list_tells_of_the_messages() {
    let list = b"+OK\r\n2 18\r\n1 0\r\n5000 7\r\n.\r\n-ERR what?\r\n";
    let heard = hear(&mut listing(), list, 9).unwrap();
    assert_eq!(heard, ["1 has 0 and is ", "2 has 18 and is ", "5000 has 7 and is ", "these are all"]);
    let heard = hear(&mut listing(), b"-ERR no\r\n+OK\r\n1 a\r\n.\r\n", 9).unwrap();
    assert_eq!(heard, ["1 has 0 and is a", "these are all"]);
    let refused = hear(&mut listing(), b"-ERR no\r\n-ERR what?\r\n", 9);
    assert!(matches!(&refused, Err(Error::Refused { command, .. }) if command == "LIST"), "{refused:?}");
}

/// Catches: a server that allows one request at a time and gets more.
#[test]
fn there_is_room_for_what_the_server_allows() {
    for (pipelining, requests) in [(false, 1), (true, WINDOW)] {
        let mut maildrop = Maildrop::new(pipelining, &ServerQuirks::default());
        let asked = (1..).take_while(|&number| {
            let has_room = maildrop.has_room();
            maildrop.fetch(number);
            has_room
        });
        assert_eq!(asked.count(), requests);
    }
}

#[test]
fn bare_lfs_are_taken_from_a_server_that_ends_all_lines_so() {
    let mut maildrop = listing();
    let heard = hear(&mut maildrop, b"+OK\n1 5\n.\n+OK\n1 a\n.\n", 5).unwrap();
    assert_eq!(heard, ["1 has 5 and is a", "these are all"]);
    maildrop.fetch(1);
    assert_eq!(hear(&mut maildrop, b"+OK\na\n..\n.\n", 5).unwrap(), ["1: a\n.\n", "whole"]);
}

#[test]
fn a_huge_line_costs_no_more_than_its_beginning() {
    let mut octets = b"-ERR\r\n+OK\r\n1 ".to_vec();
    octets.resize(1_000_000, b'x');
    octets.extend_from_slice(b"\r\n2 b\r\n.\r\n");
    let heard = hear(&mut listing(), &octets, 4096).unwrap();
    assert_eq!(heard, ["1 has 0 and is ", "2 has 0 and is b", "these are all"]);
}

#[test]
fn nonsense_ends_the_session() {
    let deleting = || {
        let mut maildrop = Maildrop::new(true, &ServerQuirks::default());
        maildrop.delete(&mut [1].into());
        maildrop
    };
    for octets in ["hello\r\n", "+ more?\r\n", "+OK\r\n+OK\r\n"] {
        let heard = hear(&mut deleting(), octets.as_bytes(), 3);
        assert!(matches!(heard, Err(Error::Protocol(_))), "{octets:?}");
    }
    for octets in ["-ERR\r\n+OK\r\n1000001 y\r\n", "+OK\r\n1000001 1\r\n"] {
        let heard = hear(&mut listing(), octets.as_bytes(), 3);
        assert!(matches!(heard, Err(Error::Protocol(_))), "{octets:?}");
    }
}

/// Catches: one bad line in a list that costs the whole mailbox; a list of bad lines only, which counts as a list.
#[test]
fn a_line_of_a_list_that_makes_no_sense_costs_its_message() {
    let mut maildrop = listing();
    let heard = hear(&mut maildrop, b"+OK\r\n1 5\r\nx\r\n2 5\r\n.\r\n+OK\r\n0 y\r\n2 b\r\n.\r\n", 7).unwrap();
    assert_eq!(heard, ["2 has 5 and is b", "these are all?"]);
    let mut maildrop = listing();
    let heard = hear(&mut maildrop, b"+OK\r\n1 5\r\n2 6\r\n.\r\n+OK\r\nID 1\r\nID 2\r\n.\r\n", 7).unwrap();
    assert_eq!(heard, ["1 has 5 and is ", "2 has 6 and is ", "these are all"]);
}

/// Catches: a list without end whose lines nobody counts.
#[test]
fn a_list_has_an_end() {
    let (mut maildrop, lines) = (listing(), b"1 1\r\n".repeat(1000));
    hear(&mut maildrop, b"+OK\r\n", 5).unwrap();
    for _ in 0..1000 {
        hear(&mut maildrop, &lines, lines.len()).unwrap();
    }
    assert!(matches!(hear(&mut maildrop, &lines, lines.len()), Err(Error::Protocol(_))));
}
