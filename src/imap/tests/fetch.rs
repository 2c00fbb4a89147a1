use super::*;

const MESSAGE: &str = "\
From: Ann <ann@home.example>\r
Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r
Received: by x\r
Content-Type: multipart/mixed; boundary=b\r
\r
--b\r
Content-Type: text/html\r
\r
<b>\r
--b\r
Content-Type: message/rfc822\r
Content-ID: <i@x>\r
\r
Subject: inner\r
To: bob@x\r
\r
inside\r
--b--\r
";

#[test]
fn what_the_index_and_the_summary_know() {
    story(|world| async move {
        world.deliver(&[MESSAGE]).await;
        let mut client = world.inbox().await;
        let envelope = "ENVELOPE (NIL \"=?utf-8?Q?Gr=C3=BC=C3=9Fe?=\" ((\"Ann\" NIL \"ann\" \"home.example\")) \
                        ((\"Ann\" NIL \"ann\" \"home.example\")) ((\"Ann\" NIL \"ann\" \"home.example\")) \
                        NIL NIL NIL NIL NIL)";
        client
            .play(&format!(
                "C: 1 FETCH 1 (UID FLAGS)
                S: * 1 FETCH (UID 1 FLAGS (\\Recent))
                S: 1 OK *
                C: 2 UID FETCH 1 FAST
                S: * 1 FETCH (UID 1 FLAGS (\\Recent) INTERNALDATE \" 1-Jan-1970 00:00:00 +0000\" RFC822.SIZE {})
                S: 2 OK *
                C: 3 FETCH 1 ENVELOPE
                S: * 1 FETCH ({envelope})
                S: 3 OK *",
                MESSAGE.len()
            ))
            .await;
    });
}

#[test]
fn sections_octet_by_octet() {
    story(|world| async move {
        world.deliver(&[MESSAGE]).await;
        let mut client = world.inbox().await;
        let (header, text) = MESSAGE.split_at(MESSAGE.find("--b").unwrap());
        let content = "Subject: inner\r\nTo: bob@x\r\n\r\ninside";
        for (section, expected) in [
            ("", MESSAGE),
            ("HEADER", header),
            ("TEXT", text),
            ("1", "<b>"),
            ("1.MIME", "Content-Type: text/html\r\n\r\n"),
            ("2", content),
            ("2.MIME", "Content-Type: message/rfc822\r\nContent-ID: <i@x>\r\n\r\n"),
            ("2.HEADER", "Subject: inner\r\nTo: bob@x\r\n\r\n"),
            ("2.HEADER.FIELDS (TO CC)", "To: bob@x\r\n\r\n"),
            ("2.HEADER.FIELDS.NOT (TO CC)", "Subject: inner\r\n\r\n"),
            ("2.TEXT", "inside"),
            ("2.1", "inside"),
            ("HEADER.FIELDS (From X-None)", "From: Ann <ann@home.example>\r\n\r\n"),
            ("HEADER.FIELDS (Received)", "Received: by x\r\n\r\n"),
            ("HEADER.FIELDS.NOT (Received Subject content-type)", "From: Ann <ann@home.example>\r\n\r\n"),
        ] {
            for (partial, expected) in [
                ("", expected),
                ("<0.5>", expected.get(..5).unwrap_or(expected)),
                ("<2.1000>", &expected[2..]),
                ("<1000.1>", ""),
            ] {
                let origin = partial.split('.').next().unwrap();
                let origin = if origin.is_empty() { String::new() } else { format!("{origin}>") };
                client.send(&format!("f FETCH 1 BODY.PEEK[{section}]{partial}\r\n")).await;
                let said = client.until("f OK").await;
                let said = said[..said.len() - 1].join("\r\n");
                // An empty literal makes iOS wait.
                let string = match expected.len() {
                    0 => "\"\"".to_owned(),
                    length => format!("{{{length}}}\r\n{expected}"),
                };
                assert_eq!(said, format!("* 1 FETCH (BODY[{section}]{origin} {string})"));
            }
        }
        for section in ["3", "1.1", "1.HEADER", "1.TEXT", "2.2", "1.HEADER.FIELDS (To)"] {
            client
                .play(&format!(
                    "C: n FETCH 1 BODY.PEEK[{section}]
                    S: * 1 FETCH (BODY[{section}] NIL)
                    S: n OK *"
                ))
                .await;
        }
    });
}

/// Catches: NUL in a literal (RFC 3501 section 9), from the summary, from memory and in pieces, and a length that
/// differs.
#[test]
fn nul_is_not_sent() {
    story(|world| async move {
        let long = format!("Subject: a\0b\r\n\r\n{}c\0d", "x\r\n".repeat(40_000));
        world.deliver(&["Subject: a\0b\r\n\r\nc\0d", &long]).await;
        let mut client = world.inbox().await;
        for item in ["BODY.PEEK[HEADER.FIELDS (Subject)]", "BODY.PEEK[]", "BODY.PEEK[TEXT]"] {
            client.send(&format!("f FETCH 1:2 ({item})\r\n")).await;
            let said = client.until("f OK").await.join("\r\n");
            assert!(!said.contains('\0'), "{item}: {said:?}");
            let replaced = said.matches('\u{fffd}').count();
            assert_eq!(replaced, if item == "BODY.PEEK[]" { 4 } else { 2 }, "{item}");
        }
    });
}

/// Catches: a keyword of another session that a FETCH shows before its name was told (RFC 3501 section 7.2.6).
#[test]
fn a_new_keyword_is_named_before_it_is_shown() {
    story(|world| async move {
        world.deliver(&["1", "2"]).await;
        let (mut client, mut other) = (world.inbox().await, world.inbox().await);
        other.play("C: 1 STORE 2 FLAGS.SILENT ($Work)").await;
        other.until("1 OK").await;
        client
            .play(
                "C: 1 FETCH 1:2 (UID FLAGS)
                S: * 1 FETCH (UID 1 FLAGS (\\Recent))
                S: * FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Work)
                S: * OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Work \\*)] *
                S: * 2 FETCH (UID 2 FLAGS (\\Recent $Work))
                S: * 2 FETCH (FLAGS (\\Recent $Work))
                S: 1 OK *",
            )
            .await;
    });
}

#[test]
fn old_names_and_seen() {
    story(|world| async move {
        world.deliver(&["A: b\r\n\r\ntext"]).await;
        let mut client = world.inbox().await;
        client
            .play(
                "C: 1 FETCH 1 RFC822.HEADER
                S: * 1 FETCH (RFC822.HEADER {8}
                S: A: b
                S:\u{20}
                S: )
                S: 1 OK *
                C: 2 FETCH 1 RFC822.TEXT
                S: * 1 FETCH (RFC822.TEXT {4}
                S: text)
                S: * 1 FETCH (FLAGS (\\Recent \\Seen))
                S: 2 OK *
                C: 3 FETCH 1 RFC822
                S: * 1 FETCH (RFC822 {12}
                S: A: b
                S:\u{20}
                S: text)
                S: 3 OK *",
            )
            .await;
    });
}

#[test]
fn structures() {
    story(|world| async move {
        world.deliver(&[MESSAGE]).await;
        let mut client = world.inbox().await;
        client
            .play(
                "C: 1 FETCH 1 BODY
                S: * 1 FETCH (BODY ((\"text\" \"html\" NIL NIL NIL \"7BIT\" 3 0)(\"message\" \"rfc822\" NIL \
                 \"<i@x>\" NIL \"7BIT\" 35 (NIL \"inner\" NIL NIL NIL ((NIL NIL \"bob\" \"x\")) NIL NIL NIL NIL) \
                 (\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7BIT\" 6 0) 3) \"mixed\"))
                S: 1 OK *
                C: 2 FETCH 1 BODYSTRUCTURE
                S: * 1 FETCH (BODYSTRUCTURE ((\"text\" \"html\" NIL NIL NIL \"7BIT\" 3 0 NIL NIL NIL NIL)(*
                S: 2 OK *",
            )
            .await;
    });
}

#[test]
fn large_messages_come_whole_and_in_pieces() {
    story(|world| async move {
        let line = "0123456789012345678901234567890123456789012345678901234567890123456789012345\r\n";
        let content = line.repeat(5000);
        let large =
            format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n{content}\r\n--b--\r\n");
        world.deliver(&[&large]).await;
        let mut client = world.inbox().await;
        client.send("1 FETCH 1 BODY.PEEK[]\r\n").await;
        let said = client.until("1 OK").await.join("\r\n");
        assert!(said.starts_with(&format!("* 1 FETCH (BODY[] {{{}}}\r\n{large})\r\n1 OK", large.len())));
        let mut pieces = String::new();
        for origin in (0..content.len()).step_by(78_000) {
            client.send(&format!("2 FETCH 1 BODY.PEEK[1]<{origin}.78000>\r\n")).await;
            let said = client.until("2 OK").await.join("\r\n");
            let (_, piece) = said.split_once("}\r\n").unwrap();
            pieces += piece.rsplit_once(")\r\n2 OK").unwrap().0;
        }
        assert_eq!(pieces, content);
    });
}

#[test]
fn a_damaged_message_keeps_the_length_that_was_promised() {
    story(|world| async move {
        let large = format!("Subject: y\r\n\r\n{}", "large\r\n".repeat(20_000));
        world.deliver(&["Subject: x\r\n\r\nsmall", &large]).await;
        let mut client = world.inbox().await;
        let files = world.flash.files();
        let (path, length) = files.iter().find(|(path, _)| path.contains("/body/")).unwrap();
        world.flash.flip(path, 8 * 1000);
        client.send("1 FETCH 2 BODY.PEEK[]\r\n").await;
        let said = client.until("1 NO").await.join("\r\n");
        let (head, literal) = said.split_once("}\r\n").unwrap();
        assert_eq!(head, format!("* 2 FETCH (BODY[] {{{}", large.len()));
        let (text, end) = literal.split_at(large.len());
        let wrong = text.bytes().zip(large.bytes()).filter(|(sent, stored)| sent != stored).count();
        assert_eq!(wrong, 1, "it is sent as it can be read, and not called whole");
        assert!(end.starts_with(")\r\n1 NO"));
        // A message that is too short is refused before any of it is sent.
        let file = world.flash.open(path, Mode::Write).unwrap();
        file.truncate(*length as u64 / 2).unwrap();
        client.play("C: 3 FETCH 2 BODY.PEEK[]\nS: * 2 FETCH (BODY[] NIL)\nS: 3 NO [CORRUPTION] *").await;
        // RFC 8970 section 3.2: NIL is for LAZY.
        client.play("C: 4 FETCH 2 PREVIEW\nS: * 2 FETCH (PREVIEW \"\")\nS: 4 NO *").await;
        client.play("C: 2 FETCH 1 BODY.PEEK[TEXT]\nS: * 1 FETCH (BODY[TEXT] {5}\nS: small)\nS: 2 OK *").await;
    });
}

/// Catches: commands that do not agree where a header that is too long ends.
#[test]
fn a_header_that_is_too_much_is_cut_for_every_command() {
    use crate::message::header;
    story(|world| async move {
        let field = "Subject: early\r\nFrom: a@b\r\n".to_owned() + &"X-Long: x\r\n".repeat(2000);
        let message = format!("{field}Subject: late\r\nTo: c@d\r\n\r\nthe body");
        world.deliver(&[&message]).await;
        let length = header::length(&message.as_bytes()).unwrap() as usize;
        let (head, rest) = message.split_at(length);
        assert!(rest.starts_with("X-Long: x\r\n"));
        let mut client = world.inbox().await;
        for (item, expected) in [
            ("RFC822.HEADER", head),
            ("BODY[HEADER]", head),
            ("RFC822.TEXT", rest),
            ("BODY[TEXT]", rest),
            ("BODY[1]", rest),
            ("BODY[HEADER.FIELDS (Subject To)]", "Subject: early\r\n"),
            ("BODY[HEADER.FIELDS.NOT (X-Long)]", "Subject: early\r\nFrom: a@b\r\n"),
            ("BODY[]", &message),
        ] {
            client.send(&format!("f FETCH 1 {}\r\n", item.replace("BODY[", "BODY.PEEK["))).await;
            let said = client.until("f OK").await.join("\r\n");
            let length = expected.len();
            assert!(
                said.starts_with(&format!("* 1 FETCH ({item} {{{length}}}\r\n{expected})\r\n")),
                "{item}"
            );
            client.send("s STORE 1 FLAGS.SILENT ()\r\n").await;
            client.until("s OK").await;
        }
        let size = rest.len();
        let address = "((NIL NIL \"a\" \"b\"))";
        client
            .play(&format!(
                "C: 1 FETCH 1 (ENVELOPE BODY)
                S: * 1 FETCH (ENVELOPE (NIL \"early\" {address} {address} {address} NIL NIL NIL NIL NIL) \
                 BODY (\"application\" \"octet-stream\" NIL NIL NIL \"8BIT\" {size}))
                S: 1 OK *
                C: 2 SEARCH OR TO c SUBJECT late
                S: * SEARCH
                S: 2 OK *
                C: 3 SEARCH OR TEXT late BODY body
                S: * SEARCH
                S: 3 OK *
                C: 4 SEARCH SUBJECT early TEXT early NOT BODY early
                S: * SEARCH 1
                S: 4 OK *"
            ))
            .await;
    });
}
