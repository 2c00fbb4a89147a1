//! What SMTP's extensions do for mail on its way out, with Postfix as the smarthost, and what becomes of it at one that knows
//! none of them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::rc::Rc;

use pillarbox::clock::Time;
use pillarbox::config::{Secret, Security, SourceAuth};
use pillarbox::outgoing::{Credentials, Habit, Proof, Route};
use pillarbox::smtp::client::{Client, Message, Outcome, ServerQuirks};
use pillarbox::smtp::dsn::{Notify, Request, Ret};
use pillarbox::smtp::{Mailbox, Recipient};
use support::{Dovecot, Port, Postfix, Relayed, wait_for};

/// Also one that has characters beyond ASCII.
fn mailbox(text: &str) -> Mailbox {
    postcard::from_bytes(&postcard::to_stdvec(text).unwrap()).unwrap()
}

async fn connect(postfix: &Postfix, port: &Port) -> Client {
    let ca = postfix.ca.display().to_string();
    let route =
        Route { host: "localhost", port: port.number, security: Security::Tls, ca: &ca, protocol: "smtp" };
    let proof = Proof::Password(Secret::new("pass").unwrap(), SourceAuth::Auto);
    let credentials = Credentials { username: "box".to_owned(), proof, habit: Habit::default() };
    let quirks = Rc::<ServerQuirks>::default();
    let hello = "pillarbox.local";
    Client::connect(&route, hello, Some(credentials), &quirks, &Time::default()).await.unwrap()
}

/// A message to these, and what else is said of it.
struct Letter {
    to: Vec<Recipient>,
    dsn: Request,
    utf8: bool,
    text: String,
}

impl Letter {
    fn new(to: &[&str], text: String) -> Letter {
        let to = to.iter().map(|to| Recipient::from(mailbox(to))).collect();
        Letter { to, dsn: Request::default(), utf8: false, text }
    }

    async fn begin(&self, client: &mut Client) {
        let sender = Some(mailbox("me@outside.example"));
        let message = Message {
            sender: &sender,
            ascii_sender: None,
            recipients: &self.to,
            size: self.text.len() as u64,
            eight_bit: !self.text.is_ascii(),
            utf8: self.utf8,
            dsn: &self.dsn,
        };
        client.begin(message, &self.text.as_bytes(), async || Ok(())).await.unwrap();
    }

    async fn send(&self, client: &mut Client) -> Outcome {
        self.begin(client).await;
        client.outcome().await.unwrap().unwrap()
    }
}

/// The message with this subject, when it has arrived.
fn arrived(postfix: &Postfix, subject: &str) -> Relayed {
    let line = format!("\nSubject: {subject}\n");
    wait_for(subject, || postfix.relayed().into_iter().find(|letter| letter.message.contains(&line)))
}

/// Catches: extensions that only our own tests understand, messages that are mixed up when many are under way, and a chunk that is
/// cut or joined with the next.
#[test]
fn what_the_extensions_are_good_for() {
    let dovecot = Dovecot::start(&[("box", "pass")]);
    let postfix = Postfix::start(&dovecot);
    async_io::block_on(async {
        let mut client = connect(&postfix, &postfix.submissions).await;
        assert_eq!(client.remote(), "smarthost.example");
        let offers = client.capabilities();
        assert!(
            offers.pipelining && offers.chunking && offers.eight_bit && offers.dsn && offers.utf8,
            "{offers:?}"
        );

        // RFC 3030 and RFC 2920: many under way, one that is large among them, and one whose recipient is refused.
        let (mut told, mut most, mut under_way) = (Vec::new(), 0, 0);
        for n in 0..40 {
            let to = if n == 7 { "nobody@outside.example" } else { "a@outside.example" };
            let filler = ".x\r\n".repeat(if n == 9 { 50_000 } else { n });
            let letter = Letter::new(&[to], format!("Subject: number {n}\r\n\r\n{filler}.end of {n}\r\n"));
            while !client.has_room_for(letter.text.len() as u64) {
                told.push(client.outcome().await.unwrap().unwrap());
                under_way -= 1;
            }
            letter.begin(&mut client).await;
            under_way += 1;
            most = most.max(under_way);
        }
        while let Some(outcome) = client.outcome().await.unwrap() {
            told.push(outcome);
        }
        assert!((told.len(), most) == (40, 8), "{} told, {most} at once", told.len());
        for (n, outcome) in told.iter().enumerate() {
            assert_eq!(outcome.verdicts[0].is_positive(), n != 7, "{n}: {:?}", outcome.verdicts);
        }

        // RFC 6531.
        let mut utf8 =
            Letter::new(&["j\u{fc}rgen@outside.example"], "Subject: gr\u{fc}n\r\n\r\nblau\r\n".into());
        utf8.utf8 = true;
        assert!(utf8.send(&mut client).await.verdicts[0].is_positive());

        // RFC 3461.
        let mut dsn = Letter::new(&["b@outside.example"], "Subject: tell me\r\n\r\nx\r\n".into());
        dsn.to[0].notify = Notify::When { success: true, failure: true, delay: false };
        dsn.dsn = Request { ret: Some(Ret::Headers), envid: "QQ+2B314".into() };
        assert!(dsn.send(&mut client).await.dsn_passed_on);
        client.quit().await;
    });
    for n in [0, 6, 8, 9, 39] {
        let letter = arrived(&postfix, &format!("number {n}"));
        let body = letter.message.rsplit_once("\n\n").unwrap().1;
        let filler = ".x\n".repeat(if n == 9 { 50_000 } else { n });
        assert!(body == format!("{filler}.end of {n}\n"), "{n}: {} octets", body.len());
    }
    assert_eq!(arrived(&postfix, "gr\u{fc}n").recipient, "j\u{fc}rgen@outside.example");
    let report = wait_for("the report", || {
        postfix.relayed().into_iter().find(|letter| letter.message.contains("\nAction: delivered\n"))
    });
    let message = report.message.replace("\n ", " ");
    for line in ["Original-Envelope-Id: QQ+314", "Original-Recipient: rfc822;b@outside.example"] {
        assert!(message.contains(line), "{line} is not in {message}");
    }
    let log = postfix.log();
    // 41 short ones by BDAT, the large one by DATA.
    assert!(log.contains(" data=1 bdat=40/41 "), "{log}");
}

/// Catches: octets above 127 that go to a server which takes none, a recipient that fails because of another one, and one who
/// asks for a report and hears nothing.
#[test]
fn what_becomes_of_mail_without_them() {
    let dovecot = Dovecot::start(&[("box", "pass")]);
    let postfix = Postfix::start(&dovecot);
    async_io::block_on(async {
        let mut client = connect(&postfix, &postfix.old).await;
        let offers = client.capabilities();
        assert!(
            !(offers.pipelining || offers.chunking || offers.eight_bit || offers.dsn || offers.utf8),
            "{offers:?}"
        );
        let text = "Subject: gr\u{fc}n\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
                    Content-Transfer-Encoding: 8bit\r\n\r\ncaf\u{e9}\r\n";
        let mut letter = Letter::new(&["j\u{fc}rgen@outside.example", "a@outside.example"], text.to_owned());
        letter.utf8 = true;
        letter.to[1].notify = Notify::Never;
        let outcome = letter.send(&mut client).await;
        assert_eq!(outcome.found_here, [true, false]);
        assert!(outcome.verdicts[0].to_string().starts_with("550 5.6.7 "), "{outcome:?}");
        assert!(outcome.verdicts[1].is_positive() && !outcome.dsn_passed_on, "{outcome:?}");
        client.quit().await;
    });
    let letter = arrived(&postfix, "=?utf-8?Q?gr=C3=BCn?=");
    assert_eq!(letter.recipient, "a@outside.example");
    assert!(letter.message.contains("\nContent-Transfer-Encoding: quoted-printable\n"), "{}", letter.message);
    assert!(letter.message.ends_with("\n\ncaf=C3=A9\n"), "{}", letter.message);
}
