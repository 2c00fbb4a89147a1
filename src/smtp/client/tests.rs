//! The client with a server that follows a script: what is sent when, and what becomes of it.

use std::cell::{Cell, RefCell};

use smol::future::{or, zip};

use super::*;
use crate::net::stream::tests::pair;
use crate::smtp::{Mailbox, Recipient, ReversePath, dsn};

mod breaking;

const CONTENT: &[u8] = b"Subject: x\r\n\r\n.dot\r\n";
static DSN: dsn::Request = dsn::Request { ret: None, envid: String::new() };
static SENDER: ReversePath = None;

fn offering(pipelining: bool, chunking: bool) -> Capabilities {
    Capabilities {
        pipelining,
        chunking,
        eight_bit: true,
        name: "mx.example".into(),
        ..Capabilities::default()
    }
}

fn recipients(count: usize) -> Vec<Recipient> {
    vec![Recipient::from(Mailbox::parse("a@b.example").unwrap()); count]
}

fn message(recipients: &[Recipient], size: usize) -> Message<'_> {
    Message {
        sender: &SENDER,
        ascii_sender: None,
        recipients,
        size: size as u64,
        eight_bit: false,
        utf8: false,
        dsn: &DSN,
    }
}

/// A client of a server with these capabilities, the server's end, the client's quirks, and its clock.
async fn connected(capabilities: Capabilities) -> (Client, Stream, Rc<ServerQuirks>, Time) {
    let (stream, server) = pair().await;
    let (quirks, time) = (Rc::<ServerQuirks>::default(), Time::default());
    let client = Client::new(stream, capabilities, "smarthost.example", &quirks, &time);
    (client, server, quirks, time)
}

/// Waits until the client has sent octets that end with `end`, and returns all of them.
async fn hears(server: &mut Stream, end: &str) -> String {
    let mut said = String::new();
    while !said.ends_with(end) {
        let octets = server.fill().await.unwrap();
        assert!(!octets.is_empty(), "the client closed after {said:?}");
        said.push_str(std::str::from_utf8(octets).unwrap());
        let n = octets.len();
        server.consume(n);
    }
    said
}

async fn says(server: &mut Stream, text: &str) {
    server.queue(text.as_bytes());
    server.flush().await.unwrap();
}

/// Sends a message without waiting for the server before its end.
async fn send_one(client: &mut Client) -> Result<Outcome, Failure> {
    let to = recipients(1);
    client.send(message(&to, CONTENT.len()), &CONTENT, async || Ok(())).await
}

/// Catches: a smarthost that answers each command in time, but all of them together take for ever.
#[test]
fn a_transaction_has_an_end_however_many_steps_it_has() {
    async_io::block_on(async {
        let (mut client, mut server, _, time) = connected(Capabilities::default()).await;
        let to = recipients(1000);
        // Each answer comes in time: MAIL and RCPT have five minutes (RFC 5321 section 4.5.3.2).
        let answers = Cell::new(0);
        let slow = async {
            loop {
                server.fill().await.unwrap();
                server.consume(server.buffered().len());
                time.advance(Duration::from_secs(4 * 60));
                answers.set(answers.get() + 1);
                server.queue(b"250 ok\r\n");
                server.flush().await.unwrap();
            }
        };
        let sent = or(client.send(message(&to, CONTENT.len()), &CONTENT, async || Ok(())), slow).await;
        assert!(matches!(sent, Err(Failure::Unavailable(_))), "{sent:?}");
        let most = TRANSACTION.as_secs() / (4 * 60) + 1;
        assert!((2..=most).contains(&answers.get()), "{} answers", answers.get());
    });
}

/// Catches: last octets that are sent before that is noted; content that is sent without dot-stuffing; a message that
/// the server takes without a note.
#[test]
fn the_end_waits_until_it_may_leave() {
    for (chunking, commands, before, end) in [
        (
            true,
            "MAIL FROM:<> \r\nRCPT TO:<a@b.example>\r\nBDAT 20 LAST\r\n",
            "Subject: x\r\n\r\n.dot",
            "\r\n",
        ),
        (false, "MAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\n", "Subject: x\r\n\r\n..dot\r\n", ".\r\n"),
    ] {
        let commands = commands.replace("<> ", "<>");
        for may in [true, false] {
            async_io::block_on(async {
                let (mut client, mut server, ..) = connected(offering(true, chunking)).await;
                let (seen, to) = (RefCell::new(String::new()), recipients(1));
                let server = RefCell::new(&mut server);
                // Nothing else uses the server while this waits.
                #[allow(clippy::await_holding_refcell_ref)]
                let before_end = async || {
                    let heard = hears(&mut server.borrow_mut(), before).await;
                    *seen.borrow_mut() += &heard;
                    if may { Ok(()) } else { Err(Failure::Unavailable("the flash is full".into())) }
                };
                #[allow(clippy::await_holding_refcell_ref)]
                let prompts = async {
                    if !chunking {
                        let heard = hears(&mut server.borrow_mut(), "DATA\r\n").await;
                        *seen.borrow_mut() += &heard;
                        says(&mut server.borrow_mut(), "250 OK\r\n250 OK\r\n354 Go\r\n").await;
                    }
                };
                let message = message(&to, CONTENT.len());
                let (sent, ()) = zip(client.begin(message, &CONTENT, before_end), prompts).await;
                assert_eq!(*seen.borrow(), format!("{commands}{before}"), "chunking: {chunking}");
                let server = server.into_inner();
                if !may {
                    assert_eq!(sent, Err(Failure::Unavailable("the flash is full".into())));
                    assert_eq!(client.outcome().await, Ok(None), "it was told already");
                    assert!(send_one(&mut client).await.is_err() && !client.has_room_for(0));
                    drop(client);
                    assert!(server.fill().await.unwrap().is_empty(), "the end was sent");
                    return;
                }
                assert_eq!(sent, Ok(()));
                assert_eq!(hears(server, "\r\n").await, end);
                let answer = if chunking {
                    "250 OK\r\n250 OK\r\n250 2.0.0 Queued\r\n"
                } else {
                    "250 2.0.0 Queued\r\n"
                };
                says(server, answer).await;
                let outcome = client.outcome().await.unwrap().unwrap();
                assert_eq!(outcome.verdicts, [Reply::new(250, (0, 0), "Queued")]);
                assert!(!outcome.found_here[0] && !outcome.dsn_passed_on);
            });
        }
    }
}

/// Catches: a round trip for each message, and several messages under way on a connection that has not shown yet that
/// it handles that.
#[test]
fn several_messages_are_under_way() {
    async_io::block_on(async {
        let (mut client, mut server, ..) = connected(offering(true, true)).await;
        let to = recipients(1);
        let message = message(&to, CONTENT.len());
        assert!(client.has_room_for(u64::MAX) && client.remote() == "mx.example");
        client.begin(message, &CONTENT, async || Ok(())).await.unwrap();
        assert!(!client.has_room_for(1), "nothing is proven");
        hears(&mut server, ".dot\r\n").await;
        says(&mut server, "250 OK\r\n250 OK\r\n250 2.0.0 Queued as 0\r\n").await;
        assert_eq!(client.outcome().await.unwrap().unwrap().verdicts[0].to_string(), "250 2.0.0 Queued as 0");
        let mut begun = 0;
        while client.has_room_for(CONTENT.len() as u64) {
            client.begin(message, &CONTENT, async || Ok(())).await.unwrap();
            begun += 1;
        }
        assert_eq!(begun, MAX_UNDER_WAY);
        let group = "MAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nBDAT 20 LAST\r\nSubject: x\r\n\r\n.dot\r\n";
        let others = format!("RSET\r\n{group}").repeat(begun - 1);
        let mut said = String::new();
        while said.len() < group.len() + others.len() {
            said += &hears(&mut server, ".dot\r\n").await;
        }
        assert_eq!(said, format!("{group}{others}"));
        for n in 0..begun {
            let reset = if n == 0 { "" } else { "250 OK\r\n" };
            let last = if n == 3 { "552 5.3.4 Too large".into() } else { format!("250 2.0.0 Queued as {n}") };
            says(&mut server, &format!("{reset}250 OK\r\n250 OK\r\n{last}\r\n")).await;
            let outcome = client.outcome().await.unwrap().unwrap();
            assert_eq!(outcome.verdicts[0].to_string(), last);
        }
        assert_eq!(client.outcome().await, Ok(None));
        // The octets are limited, too.
        let large = vec![b'x'; MAX_OCTETS_UNDER_WAY as usize / 2];
        for _ in 0..2 {
            assert!(client.has_room_for(large.len() as u64));
            let reads = async {
                client
                    .begin(
                        Message { size: large.len() as u64, ..message },
                        &large.as_slice(),
                        async || Ok(()),
                    )
                    .await
            };
            zip(async { reads.await.unwrap() }, async { hears(&mut server, "x\r\n").await }).await;
        }
        assert!(!client.has_room_for(1));
    });
}

/// RFC 2920 section 3.1. Catches: a round trip between the end of a content and the next message, and a reply that is
/// taken for the other message's.
#[test]
fn the_next_message_leaves_behind_the_dot() {
    async_io::block_on(async {
        let (mut client, mut server, ..) = connected(offering(true, false)).await;
        let to = recipients(1);
        let message = message(&to, CONTENT.len());
        let serves = async {
            hears(&mut server, "DATA\r\n").await;
            says(&mut server, "250 OK\r\n250 OK\r\n354 Go\r\n").await;
            hears(&mut server, "\r\n.\r\n").await;
            says(&mut server, "250 2.0.0 Zero\r\n").await;
            // From here on the reply to a dot comes after the next message has begun.
            for n in 1..4 {
                let said = hears(&mut server, "DATA\r\n").await;
                let mut before = String::new();
                if n > 1 {
                    assert!(said.contains("\r\n.\r\nRSET\r\nMAIL FROM:<>\r\n"), "{said}");
                    before = format!("250 2.0.0 Number {}\r\n250 Reset\r\n", n - 1);
                }
                says(&mut server, &format!("{before}250 OK\r\n250 OK\r\n354 Go\r\n")).await;
            }
            hears(&mut server, "\r\n.\r\n").await;
            says(&mut server, "450 4.2.0 Number 3\r\n").await;
        };
        let sends = async {
            client.send(message, &CONTENT, async || Ok(())).await.unwrap();
            client.begin(message, &CONTENT, async || Ok(())).await.unwrap();
            let mut told = Vec::new();
            for _ in 0..2 {
                assert!(client.has_room_for(CONTENT.len() as u64));
                client.begin(message, &CONTENT, async || Ok(())).await.unwrap();
                told.push(client.outcome().await.unwrap().unwrap().verdicts[0].to_string());
            }
            told.push(client.outcome().await.unwrap().unwrap().verdicts[0].to_string());
            assert_eq!(told, ["250 2.0.0 Number 1", "250 2.0.0 Number 2", "450 4.2.0 Number 3"]);
        };
        zip(serves, sends).await;
    });
}

/// The failure of a message to a server that sends `said` when it has got `heard`, and then falls silent or closes.
fn failure(offers: Capabilities, heard: &str, said: &str, closes: bool) -> (Failure, Capabilities) {
    async_io::block_on(async {
        let (mut client, mut server, quirks, time) = connected(offers.clone()).await;
        let serves = async {
            hears(&mut server, heard).await;
            says(&mut server, said).await;
            if closes {
                server.close().await;
            } else {
                // Longer than any deadline.
                loop {
                    smol::future::yield_now().await;
                    async_io::Timer::after(Duration::from_millis(2)).await;
                    time.advance(Duration::from_secs(60));
                }
            }
            std::future::pending().await
        };
        let failure = or(send_one(&mut client), serves).await.unwrap_err();
        let mut next = offers;
        quirks.apply(&mut next, &time);
        (failure, next)
    })
}

/// Catches: a server that drops pipelined commands, so that no message ever gets through; a server that loses its
/// extensions though it has said why it closes.
#[test]
fn a_lie_costs_a_feature_and_not_the_message() {
    let again = |failure: &Failure| matches!(failure, Failure::Again(_));
    for closes in [true, false] {
        for said in ["", "250 OK\r\n"] {
            let (failed, next) = failure(offering(true, false), "DATA\r\n", said, closes);
            assert!(again(&failed) && !next.pipelining, "{failed:?}");
        }
        // A chunk may have been taken.
        let (failed, next) = failure(offering(true, true), ".dot\r\n", "250 OK\r\n", closes);
        assert!(failed.to_string().ends_with("after all was sent: it may arrive twice"), "{failed}");
        assert!(!again(&failed) && !next.chunking && next.pipelining, "{failed:?}");
        let (failed, _) = failure(offering(false, false), "\r\n", "", closes);
        assert!(!again(&failed), "{failed:?}");
    }
    let unknown = "250 OK\r\n250 OK\r\n502 5.5.1 Not implemented\r\n";
    let (failed, next) = failure(offering(true, true), ".dot\r\n", unknown, false);
    assert!(again(&failed) && !next.chunking && next.pipelining, "{failed:?}");
    assert_eq!(
        failed.to_string(),
        "the smarthost gives an answer that fits nothing: 502 5.5.1 Not implemented"
    );
    let too_many = "250 OK\r\n250 OK\r\n250 OK\r\n354 Go\r\n";
    let (failed, next) = failure(offering(true, false), "DATA\r\n", too_many, false);
    assert!(again(&failed) && !next.pipelining, "{failed:?}");
    for (chunking, heard) in [(false, "DATA\r\n"), (true, ".dot\r\n")] {
        let (failed, next) = failure(offering(true, chunking), heard, "421 4.3.2 Down\r\n", true);
        assert_eq!(failed, Failure::Unavailable("421 4.3.2 Down".into()));
        assert!(next.pipelining && next.chunking == chunking);
        let (failed, _) = failure(offering(true, chunking), heard, "535 5.7.8 Who?\r\n", false);
        assert_eq!(failed, Failure::Login("535 5.7.8 Who?".into()));
    }
}

/// Catches: a server that makes the same mistake again and again, each time with another try at once.
#[test]
fn what_is_known_is_no_reason_to_try_again() {
    async_io::block_on(async {
        let (mut client, mut server, quirks, time) = connected(offering(true, false)).await;
        quirks.do_without(Extension::Pipelining, &time);
        let closes = async {
            hears(&mut server, "DATA\r\n").await;
            server.close().await;
            std::future::pending().await
        };
        let failed = or(send_one(&mut client), closes).await.unwrap_err();
        assert!(matches!(failed, Failure::Unavailable(_)), "{failed:?}");
    });
}

/// Catches: a reply too many, after which a message that was refused is taken for delivered.
#[test]
fn what_is_said_unasked_is_no_answer_to_what_comes() {
    for (said, expected) in [
        ("250 OK\r\n", Failure::Again("the smarthost says unasked 250 OK".into())),
        ("421 4.4.2 Idle\r\n", Failure::Unavailable("421 4.4.2 Idle".into())),
    ] {
        async_io::block_on(async {
            let (mut client, mut server, ..) = connected(offering(true, true)).await;
            says(&mut server, said).await;
            async_io::Timer::after(Duration::from_millis(20)).await;
            assert_eq!(send_one(&mut client).await, Err(expected));
        });
    }
}

/// Catches: a message with a known outcome that counts as in doubt, and the reverse.
#[test]
fn what_is_in_doubt_when_a_connection_ends() {
    async_io::block_on(async {
        let (mut client, mut server, ..) = connected(offering(true, true)).await;
        let to = recipients(1);
        let message = message(&to, CONTENT.len());
        client.proven = true;
        for _ in 0..3 {
            client.begin(message, &CONTENT, async || Ok(())).await.unwrap();
        }
        let mut said = String::new();
        while said.matches(".dot\r\n").count() < 3 {
            said += &hears(&mut server, ".dot\r\n").await;
        }
        says(&mut server, "250 OK\r\n250 OK\r\n250 2.0.0 Taken\r\n250 OK\r\n421 4.3.2 Down\r\n").await;
        server.close().await;
        assert_eq!(client.outcome().await.unwrap().unwrap().verdicts[0].code, 250);
        assert_eq!(client.outcome().await, Err(Failure::Unavailable("421 4.3.2 Down".into())));
        let doubt = "421 4.3.2 Down, after all was sent: it may arrive twice";
        assert_eq!(client.outcome().await, Err(Failure::Unavailable(doubt.into())));
        assert_eq!(client.outcome().await, Ok(None));
        assert!(client.begin(message, &CONTENT, async || Ok(())).await.is_err());
    });
}

/// RFC 6152 section 3. Catches: octets above 127 for a server that takes none, a wrong SIZE, and a signature that is
/// broken.
#[test]
fn a_server_without_8bitmime_gets_7_bits() {
    async_io::block_on(async {
        let offers = Capabilities { size: Some(0), ..Capabilities::default() };
        let (mut client, mut server, ..) = connected(offers).await;
        let to = recipients(2);
        let text = "Subject: \u{fc}\r\n\r\n\u{e9}\r\n";
        let eight_bit = Message { eight_bit: true, ..message(&to, text.len()) };
        let expected = "Subject: =?utf-8?Q?=C3=BC?=\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
                        Content-Transfer-Encoding: quoted-printable\r\n\r\n=C3=A9\r\n";
        let serves = async {
            let mail = hears(&mut server, "\r\n").await;
            assert_eq!(mail, format!("MAIL FROM:<> SIZE={}\r\n", expected.len()));
            for reply in ["250 OK\r\n", "250 OK\r\n", "250 OK\r\n", "354 Go\r\n"] {
                says(&mut server, reply).await;
                if reply != "354 Go\r\n" {
                    hears(&mut server, "\r\n").await;
                }
            }
            assert_eq!(hears(&mut server, "\r\n.\r\n").await, format!("{expected}.\r\n"));
            says(&mut server, "250 OK\r\n").await;
        };
        let (sent, ()) = zip(client.send(eight_bit, &text.as_bytes(), async || Ok(())), serves).await;
        assert_eq!(sent.unwrap().verdicts.len(), 2);

        let signed = "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n\u{e9}\r\n--b--\r\n";
        let before_end = async || Err(Failure::Unavailable("nothing is sent".into()));
        let outcome = client.send(eight_bit, &signed.as_bytes(), before_end).await.unwrap();
        assert_eq!(outcome.found_here, [true, true]);
        let verdict = outcome.verdicts[1].to_string();
        assert!(
            verdict.starts_with("554 5.6.3 Your provider's server takes 7-bit content only"),
            "{verdict}"
        );
        assert!(client.under_way.is_empty() && client.has_room_for(1), "the connection goes on");
    });
}

/// Catches: a message that is sent though it is larger than the server's limit; a message refused here that loses its
/// place among the others, or has the next one begin within another one.
#[test]
fn what_is_refused_here_keeps_its_place() {
    async_io::block_on(async {
        let offers = Capabilities { size: Some(499), ..offering(true, true) };
        let (mut client, mut server, ..) = connected(offers).await;
        client.proven = true;
        let to = recipients(1);
        client.begin(message(&to, CONTENT.len()), &CONTENT, async || Ok(())).await.unwrap();
        let large = [b'x'; 500];
        client.begin(message(&to, 500), &large.as_slice(), async || Ok(())).await.unwrap();
        hears(&mut server, ".dot\r\n").await;
        says(&mut server, "250 OK\r\n250 OK\r\n452 4.3.1 Full\r\n").await;
        let mut told = Vec::new();
        while let Some(outcome) = client.outcome().await.unwrap() {
            told.push((outcome.verdicts[0].to_string(), outcome.found_here[0]));
        }
        let too_large = "552 5.3.4 The smarthost takes messages of up to 499 octets";
        assert_eq!(told, [("452 4.3.1 Full".into(), false), (too_large.into(), true)]);
        client.begin(message(&to, CONTENT.len()), &CONTENT, async || Ok(())).await.unwrap();
        assert!(
            hears(&mut server, ".dot\r\n").await.starts_with("RSET\r\nMAIL"),
            "what was refused is forgotten"
        );
    });
}
