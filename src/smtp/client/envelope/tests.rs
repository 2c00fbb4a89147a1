//! The parameters of MAIL and RCPT.

use super::*;

/// A mailbox, which may have characters above ASCII.
fn mailbox(text: &str) -> Mailbox {
    postcard::from_bytes(&postcard::to_stdvec(text).unwrap()).unwrap()
}

fn recipient(address: &str) -> Recipient {
    Recipient::from(mailbox(address))
}

const ALL: Capabilities = Capabilities {
    name: String::new(),
    pipelining: true,
    eight_bit: true,
    utf8: true,
    chunking: true,
    dsn: true,
    size: Some(0),
    starttls: false,
    mail_max: None,
    rcpt_max: None,
    mechanisms: Vec::new(),
};

struct Said<'a> {
    sender: &'a str,
    alias: Option<&'a str>,
    recipients: Vec<Recipient>,
    eight_bit: bool,
    utf8: bool,
    dsn: dsn::Request,
}

impl Default for Said<'_> {
    fn default() -> Self {
        let recipients = vec![recipient("a@else.example")];
        Said {
            sender: "me@home.example",
            alias: None,
            recipients,
            eight_bit: false,
            utf8: false,
            dsn: dsn::Request::default(),
        }
    }
}

/// The lines that are sent, and how the content is recoded.
fn commands(said: &Said<'_>, capabilities: &Capabilities) -> (Vec<String>, Option<MissingExtension>) {
    let sender = Some(mailbox(said.sender)).filter(|_| !said.sender.is_empty());
    let alias = said.alias.map(mailbox);
    let message = Message {
        sender: &sender,
        ascii_sender: alias.as_ref(),
        recipients: &said.recipients,
        size: 10,
        eight_bit: said.eight_bit,
        utf8: said.utf8,
        dsn: &said.dsn,
    };
    let envelope = message.envelope(capabilities);
    let mut lines = vec![envelope.mail(7, capabilities)];
    lines.extend(envelope.recipients.iter().map(|to| to.clone().unwrap_or_else(|reply| reply.to_string())));
    (lines, message.aim(capabilities))
}

/// Catches: a parameter that the server does not offer, one that is sent without need, and content that goes to a
/// server which does not take it.
#[test]
fn what_the_content_needs() {
    let plain = Capabilities::default();
    let mime = Capabilities { eight_bit: true, ..Capabilities::default() };
    for (capabilities, eight_bit, utf8, mail, aim) in [
        (&ALL, false, false, " SIZE=7", None),
        (&ALL, true, false, " BODY=8BITMIME SIZE=7", None),
        (&ALL, true, true, " BODY=8BITMIME SMTPUTF8 SIZE=7", None),
        (&ALL, false, true, " BODY=8BITMIME SMTPUTF8 SIZE=7", None),
        (&mime, true, true, " BODY=8BITMIME", Some(MissingExtension::Header)),
        (&mime, false, false, "", None),
        (&plain, false, false, "", None),
        (&plain, true, false, "", Some(MissingExtension::SevenBit)),
        (&plain, false, true, "", Some(MissingExtension::SevenBit)),
    ] {
        let said = Said { eight_bit, utf8, ..Said::default() };
        let (lines, found) = commands(&said, capabilities);
        assert_eq!((lines[0].as_str(), found), (format!("MAIL FROM:<me@home.example>{mail}").as_str(), aim));
    }
    let odd = Capabilities { eight_bit: false, ..ALL };
    let (lines, aim) = commands(&Said { utf8: true, ..Said::default() }, &odd);
    assert_eq!(
        (lines[0].as_str(), aim),
        ("MAIL FROM:<me@home.example> SIZE=7", Some(MissingExtension::SevenBit))
    );
}

/// Catches: an address that is changed for a server that takes it, one that is sent to a server that does not, and
/// recipients who get nothing because another one has no ASCII form.
#[test]
fn addresses_beyond_ascii() {
    let recipients = || {
        vec![
            recipient("a@m\u{fc}nchen.example"),
            recipient("\u{fc}@else.example"),
            recipient("b@else.example"),
        ]
    };
    let said = |sender, alias| Said { sender, alias, recipients: recipients(), ..Said::default() };
    let beyond = "550 5.6.7 Your provider's server does not take addresses beyond ASCII,";
    let (lines, aim) = commands(&said("j\u{f6}rg@home.example", Some("joerg@home.example")), &ALL);
    let expected = [
        "MAIL FROM:<j\u{f6}rg@home.example> BODY=8BITMIME SMTPUTF8 SIZE=7",
        "RCPT TO:<a@m\u{fc}nchen.example>",
        "RCPT TO:<\u{fc}@else.example>",
        "RCPT TO:<b@else.example>",
    ];
    assert_eq!((lines.as_slice(), aim), (expected.map(String::from).as_slice(), None));

    let ascii = Capabilities { utf8: false, dsn: false, size: None, ..ALL };
    let refused = format!("{beyond} and this one has no other form");
    let to = ["RCPT TO:<a@xn--mnchen-3ya.example>", &refused, "RCPT TO:<b@else.example>"];
    for (sender, alias, from) in [
        ("me@home.example", None, "me@home.example"),
        ("", None, ""),
        ("me@m\u{fc}nchen.example", Some("x@y.example"), "me@xn--mnchen-3ya.example"),
        ("j\u{f6}rg@home.example", Some("joerg@home.example"), "joerg@home.example"),
        ("j\u{f6}rg@home.example", Some("joerg@m\u{fc}nchen.example"), "joerg@xn--mnchen-3ya.example"),
    ] {
        let (lines, _) = commands(&said(sender, alias), &ascii);
        assert_eq!(lines[0], format!("MAIL FROM:<{from}>"));
        assert_eq!(lines[1..], to);
    }
    for alias in [None, Some("j\u{f6}@home.example")] {
        let (lines, _) = commands(&said("j\u{f6}rg@home.example", alias), &ascii);
        let refused = format!("{beyond} and the sender's address has no other form");
        assert!(lines[1..].iter().all(|line| *line == refused), "{lines:?}");
    }
    // Another address in the header of the message is no reason to change the sender.
    let header = Said { utf8: true, ..said("me@home.example", None) };
    assert_eq!(commands(&header, &ascii).1, Some(MissingExtension::Header));
}

/// Catches: a DSN parameter that is not passed on, or that is sent to a server which does not know it.
#[test]
fn delivery_status_notifications() {
    let asked = |notify, original: &str, address: &str| {
        let to = Recipient { notify, original: original.into(), ..recipient(address) };
        let dsn = dsn::Request { ret: Some(Ret::Headers), envid: "QQ+2B314".into() };
        let said = |capabilities| {
            commands(
                &Said { recipients: vec![to.clone()], dsn: dsn.clone(), ..Said::default() },
                capabilities,
            )
            .0
        };
        let without = Capabilities { dsn: false, ..ALL };
        assert!(!said(&without).concat().contains(['=', ';']) || !said(&without).concat().contains("NOTIFY"));
        assert!(!said(&without).concat().contains("ORCPT") && !said(&without).concat().contains("ENVID"));
        let lines = said(&ALL);
        assert!(lines[0].contains(" RET=HDRS ENVID=QQ+2B314"), "{lines:?}");
        lines[1].split_once('>').unwrap().1.to_owned()
    };
    let when = |success, failure, delay| Notify::When { success, failure, delay };
    for (notify, original, address, expected) in [
        (Notify::Unsaid, "", "a@b.example", ""),
        (Notify::Unsaid, "rfc822;x@y", "a@b.example", " ORCPT=rfc822;x@y"),
        (Notify::Never, "rfc822;x+2By@z", "a@b.example", " NOTIFY=NEVER ORCPT=rfc822;x+2By@z"),
        (Notify::Never, "", "a+b=c@d.example", " NOTIFY=NEVER ORCPT=rfc822;a+2Bb+3Dc@d.example"),
        (
            when(true, true, false),
            "",
            "\"a b\"@c.example",
            " NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;\"a+20b\"@c.example",
        ),
        (when(false, false, true), "rfc822;x@y", "a@b.example", " NOTIFY=DELAY ORCPT=rfc822;x@y"),
        (when(false, false, false), "rfc822;x@y", "a@b.example", " NOTIFY=NEVER ORCPT=rfc822;x@y"),
        (Notify::Never, "", "a@m\u{fc}.example", " NOTIFY=NEVER ORCPT=utf-8;a@m\\x{FC}.example"),
        (Notify::Unsaid, "utf-8;\u{fc}@x", "\u{fc}@x.example", " ORCPT=utf-8;\u{fc}@x"),
        (Notify::Unsaid, "utf-8;\u{fc}@x", "a@x.example", " ORCPT=utf-8;\\x{FC}@x"),
        (Notify::Unsaid, "rfc822;x y", "a@b.example", ""),
    ] {
        assert_eq!(asked(notify, original, address), expected);
    }
    let smuggled = dsn::Request { ret: None, envid: "x\r\nRCPT".into() };
    let (lines, _) = commands(&Said { dsn: smuggled, ..Said::default() }, &ALL);
    assert_eq!(lines[0], "MAIL FROM:<me@home.example> SIZE=7");
}

/// Catches: a sender above ASCII that is not sent to a server with SMTPUTF8; values that end a command, or have a
/// form that the server does not take; a header in which the wrong address is replaced.
#[test]
fn a_sender_beyond_ascii_and_what_it_asks_for() {
    let dsn = |envid: &str| dsn::Request { ret: None, envid: envid.into() };
    let said = Said { sender: "j\u{f6}rg@home.example", ..Said::default() };
    let mail = "MAIL FROM:<j\u{f6}rg@home.example> BODY=8BITMIME SMTPUTF8 SIZE=7";
    assert_eq!(commands(&said, &ALL).0[0], mail);
    for (envid, passed_on) in
        [("a", true), ("\u{fc}", false), ("a\u{7f}", false), ("a b", false), ("", false)]
    {
        let lines = commands(&Said { dsn: dsn(envid), ..Said::default() }, &ALL).0;
        assert_eq!(lines[0].contains("ENVID"), passed_on, "{envid:?}");
    }
    let to = Recipient { notify: Notify::Never, ..recipient("a+b=c\\d@m\u{fc}.example") };
    let lines = commands(&Said { recipients: vec![to], ..Said::default() }, &ALL).0;
    assert!(lines[1].ends_with(" ORCPT=utf-8;a\\x{2B}b\\x{3D}c\\x{5C}d@m\\x{FC}.example"), "{lines:?}");

    let (sender, alias) = (Some(mailbox("j\u{f6}rg@home.example")), mailbox("joerg@home.example"));
    let message = Message {
        sender: &sender,
        ascii_sender: Some(&alias),
        recipients: &[],
        size: 1,
        eight_bit: false,
        utf8: true,
        dsn: &dsn(""),
    };
    assert_eq!(message.replaced(), Some(("j\u{f6}rg@home.example", "joerg@home.example")));
}
