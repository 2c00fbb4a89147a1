//! Transactions as transcripts.

use super::super::envelope::Message;
use super::*;
use crate::smtp::reply::ReplyReader;
use crate::smtp::{Mailbox, Recipient, dsn};

const ALL: Capabilities = Capabilities {
    name: String::new(),
    pipelining: true,
    eight_bit: true,
    utf8: true,
    chunking: true,
    dsn: false,
    size: Some(1000),
    starttls: false,
    mail_max: None,
    rcpt_max: None,
    mechanisms: Vec::new(),
};

/// A transaction with a message of 500 octets from `demo@home.example`.
fn transaction(
    capabilities: &Capabilities,
    way: ContentCommand,
    reset: bool,
    recipients: &[&str],
) -> Transaction {
    let sender = Mailbox::parse("demo@home.example").ok();
    let recipients: Vec<_> = recipients.iter().map(|r| Recipient::from(Mailbox::parse(r).unwrap())).collect();
    let dsn = dsn::Request::default();
    let message = Message {
        sender: &sender,
        ascii_sender: None,
        recipients: &recipients,
        size: 500,
        eight_bit: true,
        utf8: false,
        dsn: &dsn,
    };
    let envelope = message.envelope(capabilities);
    Transaction::new(&envelope, 500, way, reset, capabilities)
}

/// `S:` is a line of the server, `C:` a line of the client, `!` anything else it does. The message
/// has 500 octets, some of them above 127.
fn transact(
    capabilities: &Capabilities,
    way: ContentCommand,
    reset: bool,
    recipients: &[&str],
    transcript: &str,
) -> Transaction {
    let mut transaction = transaction(capabilities, way, reset, recipients);
    let mut did = describe(Ok(transaction.begin())).into_iter();
    for expected in transcript.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let Some(line) = expected.strip_prefix("S: ") else {
            assert_eq!(did.next().as_deref(), Some(expected));
            continue;
        };
        assert_eq!(did.next(), None, "before {expected}");
        let reply = ReplyReader::default().line(line.as_bytes()).unwrap().unwrap();
        did = describe(transaction.reply(reply)).into_iter();
    }
    assert_eq!(did.next(), None);
    transaction
}

fn play(capabilities: &Capabilities, recipients: &[&str], transcript: &str) -> Transaction {
    transact(capabilities, ContentCommand::Data, false, recipients, transcript)
}

fn describe(step: Result<Step, Trouble>) -> Vec<String> {
    let lines = |octets: Vec<u8>| {
        String::from_utf8(octets).unwrap().lines().map(|line| format!("C: {line}")).collect::<Vec<_>>()
    };
    match step {
        Ok(Step::Send(octets)) => lines(octets),
        Ok(Step::Chunk(octets)) => [lines(octets), vec!["! chunk".into()]].concat(),
        Ok(Step::Read) => Vec::new(),
        Ok(Step::Content) => vec!["! content".into()],
        Ok(Step::NoContent) => vec!["! no content".into()],
        Ok(Step::Done(outcome)) => {
            assert!(outcome.found_here.iter().all(|found_here| !found_here));
            outcome.verdicts.iter().map(|verdict| format!("! {verdict}")).collect()
        }
        Err(Trouble::Enough(_)) => unreachable!("a client says so, which knows the messages before"),
        Err(Trouble::Closing(reply)) => vec![format!("! closing: {reply}")],
        Err(Trouble::Login(reply)) => vec![format!("! login: {reply}")],
        Err(Trouble::Lie(extension, reply)) => vec![format!("! without {extension:?}: {reply}")],
        Err(Trouble::Nonsense(reply)) => vec![format!("! nonsense: {reply}")],
    }
}

const GROUP: &str = "C: MAIL FROM:<demo@home.example> BODY=8BITMIME SIZE=500
    C: RCPT TO:<a@else.example>
    C: RCPT TO:<b@else.example>
    C: DATA\n";

const CHUNK: &str = "C: MAIL FROM:<demo@home.example> BODY=8BITMIME SIZE=500
    C: RCPT TO:<a@else.example>
    C: RCPT TO:<b@else.example>
    C: BDAT 500 LAST
    ! chunk\n";

#[test]
fn with_pipelining_all_commands_leave_together() {
    let rest = "S: 250 2.1.0 OK
        S: 250 2.1.5 OK
        S: 550 5.1.1 Unknown
        S: 354 Go
        ! content
        S: 250 2.0.0 Queued as 1
        ! 250 2.0.0 Queued as 1
        ! 550 5.1.1 Unknown";
    let over = play(&ALL, &["a@else.example", "b@else.example"], &format!("{GROUP}{rest}"));
    assert!(!over.is_unclean());
}

#[test]
fn without_extensions_one_command_at_a_time() {
    play(
        &Capabilities::default(),
        &["a@else.example", "b@else.example"],
        "C: MAIL FROM:<demo@home.example>
         S: 250 OK
         C: RCPT TO:<a@else.example>
         S: 250 OK
         C: RCPT TO:<b@else.example>
         S: 450 4.2.1 Greylisted
         C: DATA
         S: 354 Go
         ! content
         S: 554 5.7.1 Spam
         ! 554 5.7.1 Spam
         ! 450 4.2.1 Greylisted",
    );
}

/// RFC 2920 section 3.1. Catches: content that is sent though nobody gets it, a refusal that is taken for another
/// recipient's, and a server that waits for the end of a content that never comes.
#[test]
fn a_server_may_want_content_for_nobody() {
    let to = ["a@else.example", "b@else.example"];
    for rest in [
        "S: 250 OK
         S: 550 5.1.1 Unknown
         S: 450 4.2.1 Greylisted
         S: 354 Go
         ! no content
         S: 554 5.5.1 No valid recipients
         ! 550 5.1.1 Unknown
         ! 450 4.2.1 Greylisted",
        "S: 451 4.3.0 Later
         S: 503 5.5.1 MAIL first
         S: 250 OK
         S: 354 Go
         ! no content
         S: 250 2.0.0 Queued
         ! 451 4.3.0 Later
         ! 451 4.3.0 Later",
    ] {
        assert!(!play(&ALL, &to, &format!("{GROUP}{rest}")).is_unclean());
    }
}

/// Catches: a transaction that the server still has when the next one begins.
#[test]
fn what_was_refused_is_to_be_forgotten_before_the_next_message() {
    let to = ["a@else.example", "b@else.example"];
    for rest in [
        "S: 250 OK
         S: 550 5.1.1 Unknown
         S: 550 5.1.1 Unknown
         S: 554 5.5.1 No valid recipients
         ! 550 5.1.1 Unknown
         ! 550 5.1.1 Unknown",
        "S: 250 OK
         S: 250 OK
         S: 250 OK
         S: 452 4.3.1 Full
         ! 452 4.3.1 Full
         ! 452 4.3.1 Full",
        "S: 552 5.3.4 Too large
         S: 503 5.5.1 MAIL first
         S: 503 5.5.1 MAIL first
         S: 503 5.5.1 MAIL first
         ! 552 5.3.4 Too large
         ! 552 5.3.4 Too large",
    ] {
        assert!(play(&ALL, &to, &format!("{GROUP}{rest}")).is_unclean(), "{rest}");
    }
    let refused = "C: MAIL FROM:<demo@home.example>
         S: 452 4.3.1 Full
         ! 452 4.3.1 Full";
    assert!(!play(&Capabilities::default(), &["a@else.example"], refused).is_unclean());
    let nobody = "C: MAIL FROM:<demo@home.example>
         S: 250 OK
         C: RCPT TO:<a@else.example>
         S: 550 Unknown
         ! 550 Unknown";
    assert!(play(&Capabilities::default(), &["a@else.example"], nobody).is_unclean());

    let next = "C: RSET
        C: MAIL FROM:<demo@home.example> BODY=8BITMIME SIZE=500
        C: RCPT TO:<a@else.example>
        C: BDAT 500 LAST
        ! chunk
        S: 250 Forgotten
        S: 250 OK
        S: 250 OK
        S: 250 2.0.0 Queued
        ! 250 2.0.0 Queued";
    assert!(!transact(&ALL, ContentCommand::Bdat(500), true, &["a@else.example"], next).is_unclean());
    let one_by_one = "C: RSET
        S: 500 What?
        C: MAIL FROM:<demo@home.example>
        S: 250 OK";
    let one_by_one = format!("{one_by_one}\nC: RCPT TO:<a@else.example>");
    transact(&Capabilities::default(), ContentCommand::Data, true, &["a@else.example"], &one_by_one);
}

/// RFC 3030. Catches: a refused chunk that is taken for a server without BDAT, and the reverse: then the server takes
/// the content for commands.
#[test]
fn with_chunking_the_content_leaves_with_the_commands() {
    let to = ["a@else.example", "b@else.example"];
    let accepted = "S: 250 OK\nS: 250 OK\nS: 550 5.1.1 Unknown\n";
    let nobody = "S: 250 OK\nS: 550 5.1.1 Unknown\nS: 550 5.1.1 Unknown\n";
    let no_mail = "S: 451 4.3.0 Later\nS: 503 5.5.1 No\nS: 503 5.5.1 No\n";
    for (replies, rest) in [
        (accepted, "S: 250 2.0.0 Queued\n! 250 2.0.0 Queued\n! 550 5.1.1 Unknown"),
        (accepted, "S: 552 5.3.4 Too large\n! 552 5.3.4 Too large\n! 550 5.1.1 Unknown"),
        (accepted, "S: 451 4.3.0 Later\n! 451 4.3.0 Later\n! 550 5.1.1 Unknown"),
        (nobody, "S: 554 5.5.1 No valid recipients\n! 550 5.1.1 Unknown\n! 550 5.1.1 Unknown"),
        (nobody, "S: 503 5.5.1 RCPT first\n! 550 5.1.1 Unknown\n! 550 5.1.1 Unknown"),
        (no_mail, "S: 503 5.5.1 MAIL first\n! 451 4.3.0 Later\n! 451 4.3.0 Later"),
        (accepted, "S: 500 5.5.2 Unknown command\n! without Chunking: 500 5.5.2 Unknown command"),
        (accepted, "S: 502 Not implemented\n! without Chunking: 502 Not implemented"),
        (accepted, "S: 503 5.5.1 RCPT first\n! without Chunking: 503 5.5.1 RCPT first"),
        (nobody, "S: 500 Unknown command\n! without Chunking: 500 Unknown command"),
        (accepted, "S: 354 Go\n! without Chunking: 354 Go"),
        (accepted, "S: 421 4.3.2 Going down\n! closing: 421 4.3.2 Going down"),
    ] {
        let over = transact(&ALL, ContentCommand::Bdat(500), false, &to, &format!("{CHUNK}{replies}{rest}"));
        assert_eq!(over.is_unclean(), !rest.starts_with("S: 250"), "{rest}");
    }
}

/// RFC 5321 section 4.5.3.1.10. Catches: a recipient lost since there was one too many, and a full mailbox or a limit
/// of which the first recipient tells that is taken for it.
#[test]
fn one_too_many_is_told_from_other_refusals() {
    let to = ["a@else.example", "b@else.example"];
    for (first, second, verdict, left_over) in [
        ("250 OK", "552 Enough", "452 4.5.3 Enough", true),
        ("250 OK", "452 Enough", "452 4.5.3 Enough", true),
        ("250 OK", "550 5.5.3 Enough", "452 4.5.3 Enough", true),
        ("250 OK", "452 4.3.1 No room", "452 4.3.1 No room", false),
        ("250 OK", "552 5.2.2 Mailbox full", "552 5.2.2 Mailbox full", false),
        ("250 OK", "550 Unknown", "550 Unknown", false),
        ("550 Unknown", "552 5.5.3 Enough", "552 5.5.3 Enough", false),
    ] {
        let taken = first.starts_with('2');
        let mut transaction = transaction(&ALL, ContentCommand::Data, false, &to);
        let _ = transaction.begin();
        let content = if taken { &["354 Go", "354 Go", "250 Taken"][..] } else { &["554 Nobody"] };
        let mut step = None;
        for line in ["250 OK", first, second].iter().chain(content) {
            let reply = ReplyReader::default().line(line.as_bytes()).unwrap().unwrap();
            step = transaction.reply(reply).ok();
        }
        let Some(Step::Done(outcome)) = step else { panic!("{step:?}") };
        assert_eq!((outcome.verdicts[1].to_string().as_str(), outcome.left_over[1]), (verdict, left_over));
        assert!(!outcome.left_over[0]);
    }
}

#[test]
fn replies_that_decide_nothing() {
    let mail = "C: MAIL FROM:<demo@home.example>\n";
    let data = "S: 250 OK\nC: RCPT TO:<a@else.example>\nS: 250 OK\nC: DATA\n";
    for (rest, outcome) in [
        ("S: 530 5.7.0 Log in first", "! login: 530 5.7.0 Log in first"),
        ("S: 535 5.7.8 Who?", "! login: 535 5.7.8 Who?"),
        ("S: 538 5.7.11 Encrypt first", "! login: 538 5.7.11 Encrypt first"),
        ("S: 421 4.3.2 Going down", "! closing: 421 4.3.2 Going down"),
        (&format!("{data}S: 250 Done"), "! nonsense: 250 Done"),
        (&format!("{data}S: 334 Done"), "! nonsense: 334 Done"),
        (&format!("{data}S: 421 Done"), "! closing: 421 Done"),
        (&format!("{data}S: 354 Go\n! content\nS: 421 Bye"), "! closing: 421 Bye"),
        ("S: 250 OK\nC: RCPT TO:<a@else.example>\nS: 421 4.7.0 Enough", "! closing: 421 4.7.0 Enough"),
    ] {
        play(&Capabilities::default(), &["a@else.example"], &format!("{mail}{rest}\n{outcome}"));
    }
    // In a group, a reply that does not fit may belong to another command.
    let group = "S: 250 OK\nS: 250 OK\nS: 250 OK\nS: 250 Done\n! without Pipelining: 250 Done";
    play(&ALL, &["a@else.example", "b@else.example"], &format!("{GROUP}{group}"));
}

/// RFC 5321 section 4.5.3.2. Catches: a wait after a large message that is too short, so that the message comes
/// twice.
#[test]
fn each_step_has_its_patience() {
    let dialog = "C: MAIL FROM:<demo@home.example>
        S: 250 OK
        C: RCPT TO:<a@else.example>
        S: 250 OK
        C: DATA
        S: 354 Go
        ! content";
    let lines: Vec<&str> = dialog.lines().collect();
    for (until, minutes) in [(1, 5), (3, 5), (5, 2), (7, 10)] {
        let so_far = play(&Capabilities::default(), &["a@else.example"], &lines[..until].join("\n"));
        assert_eq!(so_far.patience(), Duration::from_secs(minutes * 60), "{until}");
        assert_eq!(so_far.relies_on(), None);
    }
    let group = play(&ALL, &["a@else.example", "b@else.example"], GROUP);
    assert_eq!(group.relies_on(), Some(Extension::Pipelining));
    let chunk =
        transact(&ALL, ContentCommand::Bdat(500), false, &["a@else.example", "b@else.example"], CHUNK);
    assert_eq!(chunk.relies_on(), Some(Extension::Chunking));
}

proptest::proptest! {
    /// Catches: a transaction that is not over after as many replies as there were commands, or a recipient without a
    /// verdict or with two, whatever the server answers.
    #[test]
    fn each_recipient_has_one_verdict(
        codes in proptest::collection::vec(200u16..600, 12),
        recipients in 1usize..4, pipelining: bool, chunk: bool, reset: bool,
    ) {
        let capabilities = Capabilities { pipelining: pipelining || chunk, ..ALL };
        let (sender, dsn) = (None, dsn::Request::default());
        let recipients = vec![Recipient::from(Mailbox::parse("a@else.example").unwrap()); recipients];
        let message = Message {
            sender: &sender, ascii_sender: None, recipients: &recipients, size: 1, eight_bit: false, utf8: false, dsn: &dsn,
        };
        let way = if chunk { ContentCommand::Bdat(1) } else { ContentCommand::Data };
        let mut transaction = Transaction::new(&message.envelope(&capabilities), 1, way, reset, &capabilities);
        let mut step = Ok(transaction.begin());
        let mut replies = codes.into_iter();
        let over = loop {
            match step {
                Ok(Step::Done(outcome)) => break Some(outcome),
                Err(_) => break None,
                Ok(_) => step = transaction.reply(Reply::plain(replies.next().unwrap(), "x")),
            }
        };
        if let Some(outcome) = over {
            proptest::prop_assert_eq!(outcome.verdicts.len(), recipients.len());
            proptest::prop_assert_eq!(outcome.found_here.len(), recipients.len());
            let after = transaction.reply(Reply::plain(250, "more"));
            proptest::prop_assert!(after.is_err());
        }
    }
}

/// A transaction whose sender may not be accepted by the server; of its recipients none, or only the second one, can
/// be offered.
fn beyond_ascii(sender: &str, first: &str, reset: bool) -> Transaction {
    let any = |text: &str| -> Mailbox { postcard::from_bytes(&postcard::to_stdvec(text).unwrap()).unwrap() };
    let capabilities = Capabilities { utf8: false, ..ALL };
    let (sender, dsn) = (Some(any(sender)), dsn::Request::default());
    let recipients = [first, "b@else.example"].map(|to| Recipient::from(any(to)));
    let message = Message {
        sender: &sender,
        ascii_sender: None,
        recipients: &recipients,
        size: 500,
        eight_bit: false,
        utf8: false,
        dsn: &dsn,
    };
    let envelope = message.envelope(&capabilities);
    Transaction::new(&envelope, 500, ContentCommand::Data, reset, &capabilities)
}

/// Catches: a transaction without recipients that is begun all the same, and one after which an earlier transaction
/// at the server is forgotten here.
#[test]
fn what_cannot_be_offered_to_anybody_is_not_begun() {
    for reset in [false, true] {
        let mut transaction = beyond_ascii("j\u{f6}@home.example", "a@else.example", reset);
        let Step::Done(outcome) = transaction.begin() else { panic!("nobody is to get it") };
        assert_eq!(outcome.found_here, [true, true]);
        assert!(outcome.verdicts.iter().all(|verdict| verdict.to_string().starts_with("550 5.6.7 ")));
        assert_eq!(transaction.is_unclean(), reset);
    }
}

/// Catches: our own verdict on one recipient that is replaced by the server's reply to MAIL, or counts for all
/// recipients.
#[test]
fn what_was_found_here_about_one_recipient_stays_its_verdict() {
    let two = || beyond_ascii("me@home.example", "j\u{f6}@else.example", false);
    let words = |outcome: Outcome| {
        let words = outcome.verdicts.iter().map(|verdict| verdict.to_string()[..9].to_owned());
        (words.collect::<Vec<_>>(), outcome.found_here)
    };
    let outcome = two().refuse(&Reply::new(552, (3, 4), "Too large"));
    assert_eq!(words(outcome), (vec!["550 5.6.7".into(), "552 5.3.4".into()], vec![true, true]));
    for mail in ["550 5.7.1 Not you", "250 2.0.0 OK"] {
        let mut transaction = two();
        assert!(matches!(transaction.begin(), Step::Send(_)));
        let mut last = Step::Read;
        for line in [mail, "550 5.7.1 Nor you", "554 5.5.1 For nobody"] {
            let reply = ReplyReader::default().line(line.as_bytes()).unwrap().unwrap();
            last = transaction.reply(reply).unwrap();
        }
        let Step::Done(outcome) = last else { panic!("{last:?}") };
        assert_eq!(words(outcome), (vec!["550 5.6.7".into(), "550 5.7.1".into()], vec![true, false]));
    }
}

/// Catches: an extension that is blamed for a broken connection on which nothing depended on it.
#[test]
fn what_was_answered_or_came_with_its_own_reply_relies_on_nothing() {
    let after = |transcript: &str| {
        let transcript = format!("{GROUP}S: 250 2.1.0 OK\nS: 250 2.1.5 OK\nS: 250 2.1.5 OK\n{transcript}");
        play(&ALL, &["a@else.example", "b@else.example"], &transcript).relies_on()
    };
    assert_eq!(after(""), Some(Extension::Pipelining));
    assert_eq!(after("S: 354 Go\n! content"), None);
    assert_eq!(after("S: 451 4.3.0 Later\n! 451 4.3.0 Later\n! 451 4.3.0 Later"), None);
}
