//! Reports compared with the files `tests/data/golden/report_*.eml`, in which lines end in LF, and boundary and
//! Message-ID are fixed.

use std::rc::Rc;

use mail_parser::{MessageParser, MimeHeaders};

use super::*;
use crate::flash::sim::SimFlash;
use crate::relay::deposit::begin;
use crate::relay::entry::Attempt;
use crate::smtp::dsn::{Notify, Request, Ret};
use crate::smtp::{self, Envelope, Mailbox, Reply};
use crate::store::{INBOX, Store};

const CREATED: i64 = 1_795_780_000;
const CONTENT: &str = "From: <demo@home.example>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe_und?=\r\n =?utf-8?q?_mehr?=\r\n\r\nh\u{e4}llo\r\n";

/// An address that today's grammar would refuse.
fn foreign(address: &str) -> Mailbox {
    postcard::from_bytes(&postcard::to_stdvec(address).unwrap()).unwrap()
}

fn entry(to: &[(Mailbox, &str)]) -> Entry {
    let recipients = to.iter().map(|(mailbox, original)| smtp::Recipient {
        mailbox: mailbox.clone(),
        notify: Notify::When { success: true, failure: true, delay: true },
        original: (*original).to_owned(),
    });
    let envelope = Envelope {
        sender: Mailbox::parse("demo@home.example").ok(),
        account: Some(1),
        recipients: recipients.collect(),
        eight_bit: true,
        utf8: false,
        dsn: Request { ret: Some(Ret::Full), envid: "QQ+2B314".to_owned() },
    };
    Entry::new(envelope, CREATED)
}

fn reply(lines: &[&str], (code, status): (u16, (u16, u16))) -> Reply {
    let lines = lines.iter().map(|line| (*line).to_owned().into()).collect();
    Reply { lines, heard: true, ..Reply::new(code, status, "") }
}

/// The octets of the report, as they come into a mailbox.
fn written(report: &Report<'_>) -> String {
    async_io::block_on(async {
        let store = Store::new(Rc::new(SimFlash::default()));
        let account = store.account("demo").await.unwrap();
        let mut message = account.incoming();
        report.write(&mut message).await.unwrap();
        begin(&account, message).commit().await.unwrap();
        let message = account.view(INBOX, |inbox| inbox.messages[0]).unwrap();
        let body = account.body(&message).unwrap();
        let mut octets = vec![0; body.len().unwrap() as usize];
        body.read_exact_at(0, &mut octets).unwrap();
        String::from_utf8(octets).unwrap()
    })
}

fn report<'a>(entry: &'a Entry, reader: Reader, original: Original<'a>) -> Report<'a> {
    let to = if reader == Reader::Sender { "demo@home.example" } else { "boss@home.example" };
    let letter = Letter { hostname: "box.home.example", to, date: CREATED + 5 * 3600 };
    let until = CREATED + 5 * 24 * 3600;
    Report { letter, reader, entry, recipients: entry.recipients.iter().collect(), until, original }
}

/// Compares a report with the file. Returns the types of its parts as another parser sees them.
fn golden(file: &str, report: &Report<'_>) -> Vec<String> {
    let text = written(report);
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert!(lines.iter().all(|line| line.len() <= 998 && !line.contains(['\r', '\n'])), "{text}");
    let parsed = MessageParser::default().parse(text.as_bytes()).unwrap();
    let boundary = parsed.content_type().unwrap().attribute("boundary").unwrap().to_owned();
    let id = format!("<{}>", parsed.message_id().unwrap());
    let plain = text.replace("\r\n", "\n").replace(&boundary, "BOUNDARY").replace(&id, "<ID>");
    let path = format!("{}/tests/data/golden/{file}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("BLESS_REPORTS").is_some() {
        std::fs::write(&path, &plain).unwrap();
    }
    assert_eq!(plain, std::fs::read_to_string(&path).unwrap(), "{file}");
    let kind = |part: &mail_parser::MessagePart<'_>| {
        let kind = part.content_type().unwrap();
        format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default())
    };
    parsed.parts.iter().map(kind).collect()
}

/// Catches: a field that is missing, out of place or with another meaning; a code of our own in `Diagnostic-Code`; a
/// message that is not enclosed as it was.
#[test]
fn a_failure_is_told_with_all_that_is_known_of_it() {
    let mailbox = |address| Mailbox::parse(address).unwrap();
    let mut entry = entry(&[
        (mailbox("unknown@else.example"), "rfc822;old+2Bname@else.example"),
        (mailbox("slow@else.example"), ""),
        (mailbox("large@else.example"), ""),
        (mailbox("friend@else.example"), ""),
        (mailbox("anna@home.example"), ""),
    ]);
    let smarthost = crate::config::Config::default().smarthost;
    let refused =
        reply(&["<unknown@else.example>: no such user", "see https://else.example/help"], (550, (1, 1)));
    let taken = reply(&["queued as 4711"], (250, (0, 0)));
    let too_large = Reply::new(552, (3, 4), "The smarthost takes messages of up to 1000 octets");
    let now = CREATED + 61;
    let [unknown, slow, large, friend, anna] = &mut entry.recipients[..] else { panic!() };
    unknown.take(&refused, "mx.provider.example", false, CREATED, &smarthost, now);
    slow.fail("4.4.7".to_owned(), Attempt::failed(now, "mx.provider.example", "no answer within a minute"));
    large.take(&too_large, "192.0.2.1", false, CREATED, &smarthost, now);
    friend.take(&taken, "mx.provider.example", false, CREATED, &smarthost, now);
    anna.take(&Reply::new(250, (0, 0), "Delivered"), "", false, CREATED, &smarthost, now);
    let content = CONTENT.as_bytes();
    let report = report(&entry, Reader::Sender, Original::Whole(&content));
    let parts = golden("report_failed.eml", &report);
    assert_eq!(parts, ["multipart/report", "text/plain", "message/delivery-status", "message/rfc822"]);
    assert!(written(&report).contains(CONTENT));
}

/// Catches: a notice that does not say how long the message has waited, for whom, or that it need not be sent again.
#[test]
fn a_delay_is_told_with_what_goes_on() {
    let mut entry = entry(&[(Mailbox::parse("grey@else.example").unwrap(), "")]);
    let smarthost = crate::config::Config::default().smarthost;
    let grey = reply(&["Greylisted"], (450, (2, 1)));
    entry.recipients[0].take(&grey, "mx.provider.example", false, CREATED, &smarthost, CREATED + 4 * 3600);
    let content = CONTENT.as_bytes();
    let told = report(&entry, Reader::Sender, Original::Header(&content));
    let parts = golden("report_delayed.eml", &told);
    assert_eq!(parts, ["multipart/report", "text/plain", "message/delivery-status", "text/rfc822-headers"]);
    // The message was accepted in 1970, by a board without a clock.
    let past = Report { until: 5 * 24 * 3600, ..report(&entry, Reader::Sender, Original::Unreadable) };
    let text = written(&past);
    assert!(!text.contains("Will-Retry-Until") && text.contains("it is tried further"), "{text}");
    assert!(
        text.contains("Its content cannot be read any more.") && !text.contains("rfc822-headers"),
        "{text}"
    );
}

#[test]
fn the_postmaster_gets_what_nobody_sends_any_more() {
    let mut entry = entry(&[(Mailbox::parse("friend@else.example").unwrap(), "")]);
    let gone = Attempt::never("the account that sent it is gone, and nobody else has its login");
    entry.recipients[0].fail("5.7.1".to_owned(), gone);
    let content = CONTENT.as_bytes();
    let parts =
        golden("report_gone.eml", &report(&entry, Reader::PostmasterOfGone, Original::Whole(&content)));
    assert_eq!(parts, ["multipart/report", "text/plain", "message/delivery-status", "message/rfc822"]);
    let text =
        written(&report(&entry, Reader::Postmaster, Original::TooLarge(&content))).replace("\r\n", " ");
    assert!(text.contains("whose sender <demo@home.example> has no mailbox here"), "{text}");
    assert!(
        text.contains("Subject: A message was not delivered ") && text.contains("more than 256 KiB"),
        "{text}"
    );
}

/// Catches: characters above ASCII in a part that must not have them (RFC 6533), and an address of the wrong type.
#[test]
fn addresses_above_ascii_have_a_type_of_their_own() {
    let mut entry = entry(&[(foreign("gr\u{fc}n@else.example"), r"utf-8;gr\x{FC}n@else.example")]);
    entry.utf8 = true;
    let smarthost = crate::config::Config::default().smarthost;
    let refused = reply(&["gr\u{fc}n ist unbekannt"], (550, (1, 1)));
    entry.recipients[0].take(&refused, "mx.provider.example", false, CREATED, &smarthost, CREATED + 60);
    let content = CONTENT.as_bytes();
    let parts = golden("report_utf8.eml", &report(&entry, Reader::Sender, Original::Header(&content)));
    assert_eq!(
        parts,
        ["multipart/report", "text/plain", "message/global-delivery-status", "message/global-headers"]
    );
    let whole = written(&report(&entry, Reader::Sender, Original::Whole(&content)));
    assert!(whole.contains("Content-Type: message/global\r\nContent-Transfer-Encoding: 8bit\r\n"), "{whole}");
}

/// Catches: a part for programs that is not ASCII; an answer, a subject or a header that adds fields or moves a
/// cursor; one that has no end.
#[test]
fn nothing_from_elsewhere_is_more_than_text() {
    let mut entry =
        entry(&[(Mailbox::parse("friend@else.example").unwrap(), "rfc822;a+0D+0AAction:+20delivered")]);
    "a+0D+0AX:+20b".clone_into(&mut entry.dsn.envid);
    let smarthost = crate::config::Config::default().smarthost;
    let odd = reply(&["\u{fc}\u{1b}[2J", &"x".repeat(512), &"y ".repeat(256)], (550, (1, 1)));
    entry.recipients[0].take(&odd, "mx\r\nX: y", false, CREATED, &smarthost, CREATED + 60);
    let mut content = b"Subject: =?utf-8?q?a=0D=0Ab=1B[2J?=\r\n".to_vec();
    content.extend(format!("X: {}\r\n", "z".repeat(900)).repeat(40).bytes());
    let content = content.as_slice();
    let text = written(&report(&entry, Reader::Sender, Original::Header(&content)));
    assert!(text.len() < 20_000 && text.split("\r\n").all(|line| line.len() <= 998), "{}", text.len());
    assert!(!text.contains('\u{1b}'), "{text}");
    let status = text.split("\r\n--").nth(2).unwrap();
    assert!(status.is_ascii(), "{status}");
    let fields: Vec<&str> =
        status.split("\r\n").filter(|line| line.starts_with("Action") || line.starts_with("X:")).collect();
    assert_eq!(fields, ["Action: failed"]);
}

#[test]
fn lines_are_wrapped_at_blanks_where_there_are_some() {
    assert_eq!(wrapped("", "    ", "    "), "    \r\n");
    assert_eq!(wrapped("a b", "A: ", " "), "A: a b\r\n");
    let text = wrapped(&"word ".repeat(40), "    ", "      ");
    assert!(text.lines().skip(1).all(|line| line.starts_with("      word")), "{text}");
    assert!(text.lines().all(|line| line.len() <= 76) && text.lines().count() == 3, "{text}");
    assert!(wrapped(&"\u{fc}".repeat(5000), "", "").lines().all(|line| line.len() <= 400));
}
