//! Messages in chunks, and messages of devices.

use super::*;

/// A message without its trace field, which differs each time.
fn untraced(message: &str) -> &str {
    message.splitn(4, "\r\n").nth(3).unwrap()
}

/// Catches: a message that differs when it comes in chunks, cut anywhere on the wire, and commands after a chunk that
/// get lost.
#[test]
fn chunks_make_the_message_that_data_makes() {
    story(async |world| {
        let header = "From: demo@home.example\r\nDate: now\r\nMessage-ID: <x@y>\r\n\r\n";
        let lines: String = (0..400).map(|i| format!("{}dots and lines\r\n", ".".repeat(i % 3))).collect();
        let content = format!("{header}{lines}");
        let mut client = world.submission().await;
        client.play(&format!("{LOGIN}{MAIL}C: DATA\nS: 354 *")).await;
        let stuffed = lines.replace("\r\n.", "\r\n..");
        client.send(format!("{header}{stuffed}.\r\n").as_bytes()).await;
        client.play("S: 250 *").await;
        for size in [1, 7, 1000, 20_000] {
            client.play(MAIL).await;
            let chunks: Vec<&[u8]> = content.as_bytes().chunks(size).collect();
            let mut wire = Vec::new();
            for chunk in &chunks {
                wire.extend_from_slice(format!("BDAT {}\r\n", <[u8]>::len(chunk)).as_bytes());
                wire.extend_from_slice(chunk);
            }
            wire.extend_from_slice(b"BDAT 0 LAST\r\nNOOP\r\n");
            for piece in wire.chunks(4999) {
                client.send(piece).await;
            }
            client.play(&"S: 250 2.0.0 *\n".repeat(chunks.len() + 2)).await;
        }
        let inbox = world.inbox().await;
        assert_eq!(inbox.len(), 5);
        assert!(untraced(&inbox[0]) == content, "{}", inbox[0]);
        assert!(inbox.iter().all(|message| untraced(message) == untraced(&inbox[0])));
    });
}

/// Catches: chunks that are kept on flash, or added to the next message, after their transaction was dropped.
#[test]
fn chunks_that_are_forgotten_leave_nothing_behind() {
    story(async |world| {
        let bodies = || world.flash.files().iter().filter(|(path, _)| path.contains("/body/")).count();
        for forget in ["RSET", "EHLO x", "QUIT"] {
            let mut client = world.submission().await;
            client.play(&format!("{LOGIN}{MAIL}C: BDAT 200000")).await;
            client
                .send(
                    format!("Subject: x\r\n\r\n{}", "0123456789012345678\r\n".repeat(9600)).as_bytes()
                        [..200_000]
                        .as_ref(),
                )
                .await;
            client.play("S: 250 *").await;
            assert_eq!(bodies(), 1, "it is long enough to be written");
            client.play(&format!("C: {forget}\n...")).await;
            let gone = async {
                while bodies() > 0 {
                    async_io::Timer::after(Duration::from_millis(1)).await;
                }
                Ok(())
            };
            deadline(PATIENCE, gone).await.unwrap();
        }
        assert!(world.inbox().await.is_empty());
    });
}

/// Catches: a chunk that keeps a connection without a login open for longer than the login may take.
#[test]
fn chunks_are_not_waited_for_without_a_login() {
    story(async |world| {
        let mut client = world.submission().await;
        client.play("S: 220 *\nC: BDAT 1000").await;
        for _ in 0..3 {
            client.send(b"x").await;
            client.0.flush().await.unwrap();
            async_io::Timer::after(Duration::from_millis(20)).await;
            world.context.time.advance(Duration::from_secs(20));
        }
        client.play("S: 421 4.4.2 *\nS: closed").await;
    });
}

/// Catches: an invented sender that leaves the house, and a sender that is changed though the message stays here.
#[test]
fn what_a_device_writes_to_others_is_from_this_house() {
    story(async |world| {
        world.reconfigure(|config| {
            config.server.lan_smtp_relay = true;
            config.server.lan_smtp_sender = "owner@provider.example".try_into().unwrap();
        });
        let mut device = world.device().await;
        device.play("S: 220 *\nC: HELO x\nS: 250 *").await;
        let content = "C: From: Boss <boss@bank.example>\nC: Sender: boss@bank.example\nC: .\nS: 250 *\n";
        for (from, to) in [
            ("printer@home.example", "demo@home.example"),
            ("printer@home.example", "friend@else.example"),
            ("owner@provider.example", "friend@else.example"),
        ] {
            device.play(&format!("C: MAIL FROM:<{from}>\nS: 250 *\nC: RCPT TO:<{to}>\nS: 250 *\nC: DATA\nS: 354 *\n{content}")).await;
        }
        device.play("C: MAIL FROM:<boss@bank.example>\nS: 553 5.7.1 *").await;
        let inbox = world.inbox().await;
        let starts: Vec<&str> =
            inbox.iter().map(|message| untraced(message).split_once("Date:").unwrap().0).collect();
        let ours = "Original-From: Boss <boss@bank.example>\r\nFrom: <owner@provider.example>\r\n";
        assert_eq!(starts, ["From: Boss <boss@bank.example>\r\nSender: boss@bank.example\r\n", ours, ours]);
    });
}

/// Catches: octets above 127 that are not noted: a server that does not take them would get them all the same.
#[test]
fn a_message_beyond_ascii_is_known_for_it() {
    use crate::smtp::arrival::Arrival;
    use crate::smtp::data::Decoder;
    use crate::smtp::header::{Authors, Defaults};
    use crate::smtp::intake::Intake;
    story(async |world| {
        for (content, eight_bit) in [("Gr\u{fc}\u{df}e\r\nbye", true), ("hello", false)] {
            let store = world.context.store.account("demo").await.unwrap();
            let defaults = Defaults { from: None, date: 0, domain: "home.example".to_owned() };
            let intake = Intake::new(Decoder::default(), defaults, Authors::Anyone, 1000);
            let envelope = Envelope {
                sender: None,
                account: None,
                recipients: Vec::new(),
                eight_bit: false,
                utf8: false,
                dsn: crate::smtp::dsn::Request::default(),
            };
            let room = Content { message: store.incoming(), store, direct: true };
            let mut arrival = Arrival::new("id".to_owned(), envelope, intake, room, "");
            for piece in format!("Subject: x\r\n\r\n{content}\r\n.\r\n").as_bytes().chunks(4) {
                arrival.take(piece);
            }
            assert!(arrival.is_complete());
            assert_eq!(arrival.finish().unwrap().0.eight_bit, eight_bit, "{content}");
        }
    });
}
