use super::parameters::{MAIL_USAGE, RCPT_USAGE};
use super::*;
use crate::smtp::Mailbox;
use crate::smtp::dsn::{Notify, Request, Ret};

fn parse(line: &str) -> Result<Command, Error> {
    Command::parse(line.as_bytes())
}

fn mail(from: &str, size: Option<u64>) -> Command {
    Command::Mail { from: Mailbox::parse(from).ok(), size, utf8: false, dsn: Request::default() }
}

fn rcpt(to: &str) -> Command {
    Command::Rcpt { to: Mailbox::parse(to).unwrap().into(), beyond_ascii: !to.is_ascii() }
}

#[test]
fn commands() {
    let auth = |mechanism: &str, initial: Option<&str>| Command::Auth {
        mechanism: mechanism.into(),
        initial: initial.map(|response| Password::from(response.as_bytes())),
    };
    for (line, command) in [
        ("EHLO client.example", Command::Ehlo("client.example".into())),
        ("ehlo [192.0.2.1]", Command::Ehlo("[192.0.2.1]".into())),
        ("HELO My_Scanner trailing", Command::Helo("My_Scanner".into())),
        ("MAIL FROM:<>", mail("", None)),
        ("MAIL FROM:<demo@home.example>", mail("demo@home.example", None)),
        ("mail from: demo@home.example ", mail("demo@home.example", None)),
        ("MAIL FROM:<demo@home.example> SIZE=12345 BODY=8BITMIME", mail("demo@home.example", Some(12345))),
        ("MAIL FROM:<a@b.example> size=1 body=7bit AUTH=<>", mail("a@b.example", Some(1))),
        ("MAIL FROM:<a@b.example> SIZE=99999999999999999999", mail("a@b.example", Some(u64::MAX))),
        ("RCPT TO:<a@b.example>", rcpt("a@b.example")),
        ("RCPT TO: <Postmaster>", rcpt("Postmaster")),
        ("rcpt to:<jürgen@b.example>", rcpt("jürgen@b.example")),
        ("DATA", Command::Data),
        ("BDAT 100", Command::Bdat { octets: 100, last: false }),
        ("bdat 0 last", Command::Bdat { octets: 0, last: true }),
        ("BDAT  7  LAST ", Command::Bdat { octets: 7, last: true }),
        ("BDAT 99999999999999999999", Command::Bdat { octets: u64::MAX, last: false }),
        ("DATA ", Command::Data),
        ("rset", Command::Rset),
        ("NOOP anything at all", Command::Noop),
        ("QUIT", Command::Quit),
        ("VRFY demo", Command::Vrfy),
        ("HELP", Command::Help),
        ("STARTTLS", Command::StartTls),
        ("AUTH PLAIN", auth("PLAIN", None)),
        ("AUTH plain =", auth("plain", Some("="))),
        ("AUTH LOGIN ZGVtbw==", auth("LOGIN", Some("ZGVtbw=="))),
    ] {
        assert_eq!(parse(line), Ok(command), "{line}");
    }
}

#[test]
fn what_is_no_command() {
    for (line, error) in [
        ("", Error::Unknown),
        ("HELLO", Error::Unknown),
        ("GET / HTTP/1.1", Error::Unknown),
        ("\u{16}\u{3}\u{1}", Error::Unknown),
        ("DATA\0", Error::Unknown),
        ("BDAT", Error::BadChunk(Some(0))),
        ("BDAT 100 FIRST", Error::BadChunk(Some(100))),
        ("BDAT 100 LAST LAST", Error::BadChunk(Some(100))),
        ("BDAT many", Error::BadChunk(None)),
        ("BDAT -1", Error::BadChunk(None)),
        ("BDAT 100LAST", Error::BadChunk(None)),
        ("BDAT 100000000000000000000", Error::BadChunk(None)),
        ("EXPN staff", Error::NotImplemented),
        ("EHLO", Error::Syntax("EHLO needs your name")),
        ("HELO \u{7f}", Error::Syntax("HELO needs your name")),
        ("DATA now", Error::Syntax("That command has no arguments")),
        ("MAIL", MAIL_USAGE),
        ("MAIL <a@b.example>", MAIL_USAGE),
        ("MAIL FROM:", MAIL_USAGE),
        ("MAIL FROM:<a@b.example", MAIL_USAGE),
        ("MAIL FROM:<a@b.example>SIZE=1", MAIL_USAGE),
        ("MAIL FROM:<jürgen@b.example>", Error::NotAscii),
        ("MAIL FROM:<a@münchen.example>", Error::NotAscii),
        ("MAIL FROM:<a@b.example> SMTPUTF8=yes", Error::BadParameter),
        ("MAIL FROM:<jür\u{85}gen@b.example> SMTPUTF8", MAIL_USAGE),
        ("MAIL FROM:<a@b.example> SIZE=1 size=1", Error::BadParameter),
        ("MAIL FROM:<a@b.example> RET=ALL", Error::BadParameter),
        ("MAIL FROM:<a@b.example> RET", Error::BadParameter),
        ("MAIL FROM:<a@b.example> RET=FULL RET=FULL", Error::BadParameter),
        ("MAIL FROM:<a@b.example> ENVID=", Error::BadParameter),
        ("MAIL FROM:<a@b.example> ENVID=a+0Ab", Error::BadParameter),
        ("MAIL FROM:<a@b.example> ENVID=a=b", Error::BadParameter),
        ("MAIL FROM:<a@b.example> AUTH=+", Error::BadParameter),
        ("MAIL FROM:<a@b.example> NOTIFY=NEVER", Error::UnknownParameter),
        ("MAIL FROM:<a@b.example> =x", Error::UnknownParameter),
        ("MAIL FROM:<a@b.example> SIZE", Error::BadParameter),
        ("MAIL FROM:<a@b.example> SIZE=-1", Error::BadParameter),
        ("MAIL FROM:<a@b.example> SIZE=100000000000000000000", Error::BadParameter),
        ("MAIL FROM:<a@b.example> BODY=BINARYMIME", Error::BadParameter),
        ("RCPT TO:<>", RCPT_USAGE),
        ("RCPT FROM:<a@b.example>", RCPT_USAGE),
        ("RCPT TO:<a@b.example> NOTIFY=NEVER,DELAY", Error::BadParameter),
        ("RCPT TO:<a@b.example> NOTIFY", Error::BadParameter),
        ("RCPT TO:<a@b.example> NOTIFY=DELAY NOTIFY=DELAY", Error::BadParameter),
        ("RCPT TO:<a@b.example> ORCPT=a@b.example", Error::BadParameter),
        ("RCPT TO:<a@b.example> ORCPT=rfc822;a@b.example ORCPT=rfc822;a@b.example", Error::BadParameter),
        ("RCPT TO:<a@b.example> SIZE=1", Error::UnknownParameter),
        ("AUTH", Error::Syntax("Use AUTH and a mechanism")),
        ("AUTH PLAIN a b", Error::Syntax("Use AUTH, a mechanism and its initial response")),
    ] {
        assert_eq!(parse(line), Err(error), "{line}");
    }
}

/// Catches: a parameter that is known in one case or order only, or whose value gets lost.
#[test]
fn parameters_of_all_extensions_together() {
    let line = "MAIL FROM:<jürgen@b.example> envid=QQ+2B1 AUTH=<> Ret=Hdrs body=8bitmime smtpUTF8 SIZE=7";
    let from = Mailbox::parse("jürgen@b.example").ok();
    let dsn = Request { ret: Some(Ret::Headers), envid: "QQ+2B1".into() };
    assert_eq!(parse(line), Ok(Command::Mail { from, size: Some(7), utf8: true, dsn }));

    let (line, to) = ("RCPT TO:<a@b.example> orcpt=utf-8;jürgen@b.example Notify=never", "a@b.example");
    let mut to = Recipient::from(Mailbox::parse(to).unwrap());
    (to.notify, to.original) = (Notify::Never, "utf-8;jürgen@b.example".into());
    assert_eq!(parse(line), Ok(Command::Rcpt { to, beyond_ascii: true }));
    assert_eq!(
        Command::parse(b"RCPT TO:<a\xff@b.example>"),
        Err(RCPT_USAGE),
        "no replacement character gets in"
    );
    assert_eq!(Command::parse(b"MAIL FROM:<a\xff@b.example> SMTPUTF8"), Err(MAIL_USAGE));
}

#[test]
fn every_command_has_its_own_limit() {
    let padded = |start: &str, len: usize| format!("{start}{}", "x".repeat(len - start.len()));
    for (start, limit) in [("NOOP ", MAX_LINE), ("AUTH PLAIN ", MAX_AUTH_LINE)] {
        assert!(parse(&padded(start, limit)).is_ok(), "{start}");
        assert_eq!(parse(&padded(start, limit + 1)), Err(Error::TooLong), "{start}");
    }
    let mail = padded("MAIL FROM:<a@b.example> AUTH=", MAX_MAIL_LINE);
    assert!(parse(&mail).is_ok());
    assert_eq!(parse(&(mail + "x")), Err(Error::TooLong));
    let original = format!("ORCPT=rfc822;{}", "x".repeat(493));
    let rcpt = format!("RCPT TO:<a@b.example> NOTIFY=SUCCESS,FAILURE,DELAY {original}");
    assert!(rcpt.len() > MAX_LINE && parse(&rcpt).is_ok());
    assert_eq!(parse(&padded("RCPT TO:<a@b.example> ", MAX_RCPT_LINE + 1)), Err(Error::TooLong));
    assert_eq!(
        parse(&padded("BDAT 1", MAX_LINE + 1)),
        Err(Error::BadChunk(None)),
        "nobody knows what follows"
    );
}

proptest::proptest! {
    #[test]
    fn anything_at_all_is_read_without_a_panic(line in proptest::collection::vec(0u8.., 0..600)) {
        let _ = Command::parse(&line);
    }

    #[test]
    fn anything_as_a_path_is_a_mailbox_that_reads_as_itself(path in "<?[ -~äß]{0,40}>?") {
        if let Ok(Command::Rcpt { to, .. }) = parse(&format!("RCPT TO:{path}")) {
            assert_eq!(Mailbox::parse(to.mailbox.as_str()), Ok(to.mailbox));
        }
    }
}
