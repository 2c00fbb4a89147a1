use std::num::NonZeroU32;

use proptest::prelude::*;

use super::*;
use crate::imap::wire::command::{
    Date, Depth, FetchItem, GetMetadata, ListArgs, Literal, MailboxName, MessageSet, NO_NAME, SearchKey,
    Section, SectionText,
};
use crate::imap::wire::field_names::FieldNames;
use crate::imap::wire::modseq::SelectParams;
use crate::imap::wire::search::SearchArgs;
use crate::imap::wire::sequence::SequenceSet;
use crate::store::{ENTRY_MAX, Flags};

fn command(line: &str) -> Command {
    match parse(format!("a {line}").as_bytes(), Enabled::default()) {
        Ok(tagged) => tagged.command,
        Err(refused) => panic!("{line}: {refused:?}"),
    }
}

fn problem(line: &str) -> Problem {
    match parse(format!("a {line}").as_bytes(), Enabled::default()) {
        Err(Refused { tag: Some(_), problem }) => problem,
        other => panic!("{line}: {other:?}"),
    }
}

fn numbers(ranges: &[(u32, u32)]) -> MessageSet {
    MessageSet::Numbers(set(ranges))
}

fn set(ranges: &[(u32, u32)]) -> SequenceSet {
    let mut set = SequenceSet::default();
    for &(a, b) in ranges {
        set.push(NonZeroU32::new(a), NonZeroU32::new(b));
    }
    set
}

fn mailbox(name: &str) -> MailboxName {
    MailboxName(name.to_owned())
}

#[test]
fn strings_come_as_atoms_quoted_or_as_literals() {
    for line in [
        "LOGIN fred secret]",
        r#"login "fred" "secret]""#,
        "LOGIN {4}\r\nfred {7}\r\nsecret]",
        "LOGIN {4+}\r\nfred secret] ",
    ] {
        let password = Password::from(&b"secret]"[..]);
        assert_eq!(command(line), Command::Login { username: "fred".into(), password }, "{line}");
    }
    let Command::Login { username, .. } = command(r#"LOGIN "a\"b\\c ü" "\" \"""#) else { panic!() };
    assert_eq!(username, "a\"b\\c ü");
}

#[test]
fn mailbox_names_come_in_modified_utf7() {
    assert_eq!(
        command("SELECT inbox"),
        Command::Select(mailbox("inbox"), SelectParams::default()),
        "its case is the store's"
    );
    assert_eq!(
        command(r#"CREATE "Entw&APw-rfe""#),
        Command::Create { mailbox: mailbox("Entwürfe"), uses: None }
    );
    let uses = Some("\\Sent \\x".to_owned());
    assert_eq!(command(r"CREATE x (USE (\Sent \x))"), Command::Create { mailbox: mailbox("x"), uses });
    for wrong in [r"CREATE x (USE \Sent)", "CREATE x (USE (a)", "CREATE x y", "CREATE x (COLOUR (a))"] {
        problem(wrong);
    }
    assert_eq!(command("RENAME a {3}\r\nb c"), Command::Rename { from: mailbox("a"), to: mailbox("b c") });
    let args = ListArgs { patterns: vec!["a/%*".into()], ..ListArgs::default() };
    assert_eq!(command(r#"LIST "" a/%*"#), Command::List(Box::new(args)));
    let args = ListArgs { reference: "a/".into(), patterns: vec![String::new()], options: None };
    assert_eq!(command(r#"LSUB a/ """#), Command::Lsub(Box::new(args)));
    assert_eq!(
        command("SELECT A&B"),
        Command::Select(mailbox(NO_NAME), SelectParams::default()),
        "refused with NO"
    );
    let args = ListArgs { patterns: vec![NO_NAME.into()], ..ListArgs::default() };
    assert_eq!(command(r#"LIST "" A&B*"#), Command::List(Box::new(args)));
}

#[test]
fn fetch_items_and_macros() {
    use FetchItem::*;
    let body = |part: &[u32], text, partial, peek| Body {
        section: Section { part: part.to_vec(), text },
        partial,
        peek,
    };
    let fields = |not, names: &[&str]| SectionText::HeaderFields {
        not,
        names: FieldNames::new(names.iter().map(|&name| name.to_owned()).collect()),
    };
    let plain = BodyStructure { extensible: false };
    let table: Vec<(&str, Vec<FetchItem>)> = vec![
        ("FLAGS", vec![Flags]),
        ("(flags uid Flags)", vec![Flags, Uid]),
        ("FAST", vec![Flags, InternalDate, Rfc822Size]),
        ("ALL", vec![Flags, InternalDate, Rfc822Size, Envelope]),
        ("full", vec![Flags, InternalDate, Rfc822Size, Envelope, plain.clone()]),
        ("(BODY BODYSTRUCTURE)", vec![plain, BodyStructure { extensible: true }]),
        ("(RFC822 RFC822.HEADER RFC822.TEXT)", vec![Rfc822, Rfc822Header, Rfc822Text]),
        ("BODY[]", vec![body(&[], SectionText::Whole, None, false)]),
        ("body.peek[]<0.2048>", vec![body(&[], SectionText::Whole, Some((0, 2048)), true)]),
        ("BODY[4.2]", vec![body(&[4, 2], SectionText::Whole, None, false)]),
        ("BODY[4.2.MIME]", vec![body(&[4, 2], SectionText::Mime, None, false)]),
        ("BODY[TEXT]<9.1>", vec![body(&[], SectionText::Text, Some((9, 1)), false)]),
        ("BODY[1.HEADER]", vec![body(&[1], SectionText::Header, None, false)]),
        (
            "(BODY.PEEK[HEADER.FIELDS (DATE \"From\")] UID)",
            vec![body(&[], fields(false, &["DATE", "From"]), None, true), Uid],
        ),
        (
            "BODY[3.HEADER.FIELDS.NOT ({7}\r\nSubject)]",
            vec![body(&[3], fields(true, &["Subject"]), None, false)],
        ),
    ];
    for (text, items) in table {
        let messages = Messages { uid: false, set: numbers(&[(1, 1)]) };
        assert_eq!(
            command(&format!("FETCH 1 {text}")),
            Command::Fetch { messages, items, partial: None, since: None },
            "{text}"
        );
    }
    for text in [
        "",
        "()",
        "(FAST)",
        "BODY[MIME]",
        "BODY[0]",
        "BODY[1",
        "BODY.PEEK",
        "BODY[]<1.0>",
        "BODY[]<1.>",
        "BODY[]<>",
        "X",
        "BODY[HEADER.FIELDS ()]",
    ] {
        problem(&format!("FETCH 1 {text}"));
    }
}

#[test]
fn commands_about_messages_in_both_kinds() {
    let messages = |uid, ranges: &[(u32, u32)]| Messages { uid, set: numbers(ranges) };
    assert_eq!(
        command("UID COPY 4827313:*,7 MEETING"),
        Command::Copy { messages: messages(true, &[(4_827_313, 0), (7, 7)]), to: mailbox("MEETING") }
    );
    assert_eq!(
        command("MOVE 1:2 x"),
        Command::Move { messages: messages(false, &[(1, 2)]), to: mailbox("x") }
    );
    assert_eq!(command("EXPUNGE"), Command::Expunge(None));
    assert_eq!(command("UID EXPUNGE 3"), Command::Expunge(Some(numbers(&[(3, 3)]))));
    for line in [
        "FETCH 0 FLAGS",
        "FETCH 1: FLAGS",
        "FETCH 1,,2 FLAGS",
        "FETCH 4294967296 FLAGS",
        "UID NOOP",
        "COPY 1",
    ] {
        problem(line);
    }
}

#[test]
fn store_takes_flags_with_and_without_parentheses() {
    for (text, change, silent) in [
        ("FLAGS", FlagChange::Replace, false),
        ("+FLAGS", FlagChange::Add, false),
        ("-flags.silent", FlagChange::Remove, true),
    ] {
        for list in [r"(\Deleted $Junk \seen)", r"\Deleted $Junk \Seen"] {
            let Command::Store { args, .. } = command(&format!("STORE 1 {text} {list}")) else { panic!() };
            assert_eq!((args.change, args.silent), (change, silent));
            assert_eq!(args.flags.flags, Flags::DELETED.with(Flags::SEEN));
            assert_eq!(args.flags.keywords, ["$Junk"]);
        }
    }
    let Command::Store { args, .. } = command(r"STORE 1 FLAGS (\Recent \Unheard)") else { panic!() };
    assert_eq!(args.flags, Default::default(), "flags that cannot be kept are ignored");
    assert_eq!(command("STORE 1 FLAGS ()"), command(r"STORE 1 FLAGS (\Recent)"));
    for line in ["STORE 1 FLAGS", "STORE 1 FLAGS (a", "STORE 1 FLAGS a]", "STORE 1 *FLAGS a"] {
        problem(line);
    }
}

#[test]
fn search_keys() {
    use SearchKey::*;
    let not = |key| Not(Box::new(key));
    let header = |name: &str, text: &str| Header { name: name.into(), text: text.into() };
    let search = |uid, key| Command::Search(Box::new(SearchArgs { uid, returns: None, key }));
    let addresses = |name: &str, text: &str| Addresses { name: name.into(), text: text.into() };
    let table: Vec<(&str, SearchKey)> = vec![
        ("ALL", All),
        ("1:3,*", Sequence(set(&[(1, 3), (0, 0)]))),
        ("UID 5", Uid(set(&[(5, 5)]))),
        ("unseen", not(Flag(Flags::SEEN))),
        ("NEW", And(vec![Recent, not(Flag(Flags::SEEN))])),
        ("OLD", not(Recent)),
        (
            "FLAGGED SINCE 1-Feb-1994 NOT FROM \"Smith\"",
            And(vec![Flag(Flags::FLAGGED), Since(Date(8797)), not(addresses("FROM", "Smith"))]),
        ),
        (
            "OR TO a (CC b SUBJECT {1}\r\nc)",
            Or(
                Box::new(addresses("TO", "a")),
                Box::new(And(vec![addresses("CC", "b"), header("SUBJECT", "c")])),
            ),
        ),
        ("HEADER From \"\" SENTON \"29-Feb-2000\"", And(vec![header("From", ""), SentOn(Date(11016))])),
        ("CHARSET UTF-8 TEXT {2}\r\nü", Text("ü".into())),
        ("BODY \"ü\"", Body("ü".into())),
        ("UNKEYWORD $Junk LARGER 10 ", And(vec![not(Keyword("$Junk".into())), Larger(10)])),
    ];
    for (text, key) in table {
        assert_eq!(command(&format!("UID SEARCH {text}")), search(true, key), "{text}");
    }
    assert_eq!(problem("SEARCH CHARSET KLINGON ALL"), Problem::BadCharset { saves: false });
    assert_eq!(problem(&format!("SEARCH {}ALL", "NOT ".repeat(1000))), Problem::TooDeep);
    assert_eq!(problem(&format!("SEARCH {}", "(".repeat(1000))), Problem::TooDeep);
    assert_eq!(problem(&format!("SEARCH ALL{}", " ALL".repeat(5000))), Problem::TooMany);
    assert_eq!(problem(&format!("SEARCH ALL{}", " BODY a".repeat(64))), Problem::TooMany);
    for text in [
        "RETURN ALL",
        "RETURN (MIN",
        "RETURN (MIN)",
        "RETURN (MIN)ALL",
        "RETURN (FOO) ALL",
        "RETURN (MIN) RETURN (MAX) ALL",
        "$,1",
        "1,$",
        "UID $:5",
    ] {
        problem(&format!("SEARCH {text}"));
    }
    for text in
        ["", "SUBJECT", "BEFORE 32-Jan-2000", "OR ALL", "(ALL", "FOO", "ALL )", "( )", "LARGER", "LARGER 1x"]
    {
        problem(&format!("SEARCH {text}"));
    }
    let latin1 = parse(b"a SEARCH CHARSET iso-8859-1 BODY {1}\r\n\xfc", Enabled::default())
        .map(|tagged| tagged.command);
    assert_eq!(latin1, Ok(search(false, Body("ü".into()))));
}

/// Catches: a client that is refused although other servers accept what it sends.
#[test]
fn harmless_deviations_are_taken() {
    let most = u32::MAX;
    for (sent, meant) in [
        ("  SELECT   x  ", "SELECT x"),
        ("UID  FETCH  1:2  ( FLAGS  UID )", "UID FETCH 1:2 (FLAGS UID)"),
        ("FETCH 1 BODY[HEADER.FIELDS  ( DATE  From )]", "FETCH 1 BODY[HEADER.FIELDS (DATE From)]"),
        ("FETCH 1 BODY[]<0>", "FETCH 1 BODY[]<0.4294967295>"),
        ("STORE  1  +FLAGS  ( \\Seen  $Junk )", "STORE 1 +FLAGS (\\Seen $Junk)"),
        ("STORE 1 FLAGS ( )", "STORE 1 FLAGS ()"),
        ("STORE 1 FLAGS \\Seen  $Junk  ", "STORE 1 FLAGS \\Seen $Junk"),
        ("STATUS  x  ( MESSAGES  UIDNEXT )", "STATUS x (MESSAGES UIDNEXT)"),
        ("ID  ( \"name\"  \"x\" )", "ID (\"name\" \"x\")"),
        ("LOGIN  fred  secret", "LOGIN fred secret"),
        ("AUTHENTICATE  PLAIN  AGEAYg==", "AUTHENTICATE PLAIN AGEAYg=="),
        ("COPY  1  x", "COPY 1 x"),
        ("SEARCH  CHARSET  UTF-8  ( SEEN  ALL )  NOT  ( OLD )", "SEARCH CHARSET UTF-8 (SEEN ALL) NOT (OLD)"),
        ("SEARCH  RETURN  ( MIN  COUNT )  ALL", "SEARCH RETURN (MIN COUNT) ALL"),
        ("SEARCH RETURN ( ) ALL", "SEARCH RETURN (ALL) ALL"),
        ("SEARCH SINCE \" 1-Jan-2020\"", "SEARCH SINCE 1-Jan-2020"),
        ("SEARCH LARGER 99999999999", &format!("SEARCH LARGER {most}")),
        ("SEARCH SMALLER 99999999999999999999999", &format!("SEARCH SMALLER {most}")),
        ("GETMETADATA  ( DEPTH  1 )  x  ( /shared/a )", "GETMETADATA (DEPTH 1) x (/shared/a)"),
        ("SETMETADATA  x  ( /shared/a  NIL )", "SETMETADATA x (/shared/a NIL)"),
    ] {
        assert_eq!(command(sent), command(meant), "{sent}");
    }
}

#[test]
fn id_authenticate_and_status() {
    assert_eq!(command("ID NIL"), Command::Id(vec![]));
    let pairs = vec![("name".into(), Some("x".into())), ("os".into(), None)];
    assert_eq!(command(r#"ID ("name" "x" "os" NIL)"#), Command::Id(pairs));
    problem(&format!("ID ({})", ["\"a\" NIL"; 31].join(" ")));
    let initial = Some(Password::from(&b"AGEAYg=="[..]));
    assert_eq!(
        command("AUTHENTICATE plain AGEAYg=="),
        Command::Authenticate { mechanism: "PLAIN".into(), initial }
    );
    assert_eq!(
        command("STATUS x (UIDNEXT MESSAGES uidnext)"),
        Command::Status { mailbox: mailbox("x"), items: vec![StatusItem::UidNext, StatusItem::Messages] }
    );
    for line in
        ["ID (", "ID (\"a\")", "STATUS x ()", "STATUS x (FOO)", "NOOP x", "XYZZY", "SELECT", "SELECT "]
    {
        problem(line);
    }
}

#[test]
fn without_a_tag_there_is_nobody_to_answer_to() {
    for line in ["", " ", "+ NOOP", "(a) NOOP", "\u{fc} NOOP"] {
        assert_eq!(
            parse(line.as_bytes(), Enabled::default()).map_err(|refused| refused.tag),
            Err(None),
            "{line:?}"
        );
    }
    let nothing_else = Refused { tag: Some("tag".into()), problem: Problem::Expected("a space") };
    assert_eq!(parse(b"tag", Enabled::default()), Err(nothing_else));
    assert_eq!(tag_of(b"A7 LOGIN and much mo").as_deref(), Some("A7"));
    assert!(!format!("{:?}", command("LOGIN a hidden")).contains("hidden"));
}

proptest! {
    /// Catches: a panic. Any octets must give a command or a problem; words of the grammar make sure that they get
    /// deep into it.
    #[test]
    fn nothing_panics(
        words in proptest::collection::vec(
            prop_oneof![
                "a |FETCH |UID |STORE |SEARCH |APPEND |LIST |ID |STATUS |LOGIN |BODY\\[|FLAGS |1:\\*,|\\(|\\)|\"|NOT |OR |BODY |CHARSET ",
                "\\{[0-9]{1,3}\\+?\\}\r\n",
                "\\PC{0,8}",
            ],
            0..12,
        ),
        noise in proptest::collection::vec(any::<u8>(), 0..16),
    ) {
        let mut octets = b"a ".to_vec();
        octets.extend_from_slice(words.concat().as_bytes());
        octets.extend_from_slice(&noise);
        let _ = parse(&octets, Enabled::default());
        let literal = Literal { length: 1, synchronizing: true, binary: false };
        if let Some(Tagged { command: Command::Append(append), .. }) = append::begins(&octets, literal, Enabled::default()) {
            let mut parts = append::Parts::new(append.text, false, Enabled::default());
            while matches!(parts.next(false), Ok(part) if part != append::Part::Finished) {}
        }
    }
}

#[test]
fn annotations() {
    let get = |mailbox_name: &str, entries: &[&str], max_size, depth| {
        let entries = entries.iter().map(|&entry| entry.to_owned()).collect();
        Command::GetMetadata(GetMetadata { mailbox: mailbox(mailbox_name), entries, max_size, depth })
    };
    for (line, expected) in [
        ("GETMETADATA INBOX /Shared/A", get("INBOX", &["/shared/a"], None, Depth::Zero)),
        ("GETMETADATA \"\" (/shared/a /private/b)", get("", &["/shared/a", "/private/b"], None, Depth::Zero)),
        ("GETMETADATA (MAXSIZE 10) x \"/shared/a b\"", get("x", &["/shared/a b"], Some(10), Depth::Zero)),
        ("GETMETADATA (DEPTH 1 maxsize 0) x /shared/a", get("x", &["/shared/a"], Some(0), Depth::One)),
        ("GETMETADATA (DEPTH Infinity) x /shared/a", get("x", &["/shared/a"], None, Depth::Infinity)),
    ] {
        assert_eq!(command(line), expected, "{line}");
    }
    let set = |values: &[(&str, Option<&[u8]>)]| Command::SetMetadata {
        mailbox: mailbox("x"),
        values: values.iter().map(|(entry, value)| (entry.to_string(), value.map(<[u8]>::to_vec))).collect(),
    };
    assert_eq!(
        command("SETMETADATA x (/shared/a NIL /private/B \"b\" /shared/c {1}\r\nc /shared/d ~{2}\r\n\"))"),
        set(&[
            ("/shared/a", None),
            ("/private/b", Some(b"b")),
            ("/shared/c", Some(b"c")),
            ("/shared/d", Some(b"\")")),
        ])
    );
    for line in [
        "/a",
        "/shared",
        "/shared/",
        "/shared/a/",
        "/shared//a",
        "/shared/%",
        "\"/shared/*\"",
        "\"\"",
        "shared/a",
    ] {
        assert!(parse(format!("a GETMETADATA x {line}").as_bytes(), Enabled::default()).is_err(), "{line}");
        assert!(
            parse(format!("a SETMETADATA x ({line} NIL)").as_bytes(), Enabled::default()).is_err(),
            "{line}"
        );
    }
    let long = format!("GETMETADATA x /shared/{}", "a".repeat(ENTRY_MAX));
    assert_eq!(problem(&long), Problem::TooLong);
    let entries = |count: usize| format!("GETMETADATA x ({})", vec!["/shared/a"; count].join(" "));
    command(&entries(256));
    assert_eq!(problem(&entries(257)), Problem::TooMany, "each is compared with all that there are");
    assert_eq!(problem("GETMETADATA (SIZE 1) x /shared/a"), Problem::UnknownItem("option"));
    for line in [
        "GETMETADATA (DEPTH 2) x /shared/a",
        "GETMETADATA () x /shared/a",
        "GETMETADATA x ()",
        "SETMETADATA x ()",
        "SETMETADATA x (/shared/a)",
        "SETMETADATA x (/shared/a atom)",
        "SETMETADATA x (/shared/a ~\"quoted\")",
        "SETMETADATA x /shared/a NIL",
    ] {
        assert!(matches!(problem(line), Problem::Expected(_)), "{line}");
    }
}
