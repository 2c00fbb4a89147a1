use super::*;
use crate::message::bodystructure::{self, Form};

/// The parts, one in each line as `depth kind header content`.
fn outline(message: &str) -> String {
    let structure = Structure::of(&message.as_bytes()).unwrap();
    let mut text = String::new();
    let mut stack = vec![(0, 0)];
    while let Some((at, depth)) = stack.pop() {
        let part = &structure.parts()[at];
        let of = |r: Range<u64>| message[r.start as usize..r.end as usize].escape_debug().to_string();
        text += &format!("{}{:?} {}", " ".repeat(depth), part.media, part.lines);
        if matches!(part.media, Media::Text | Media::Other | Media::Opaque) {
            text += &format!(" {}", of(part.content()));
        }
        text += "\n";
        let children: Vec<_> = structure.children(at).collect();
        stack.extend(children.into_iter().rev().map(|child| (child, depth + 1)));
    }
    text
}

fn bodystructure(message: &str) -> String {
    described(message, Form { extensible: true, rev2: false })
}

fn described(message: &str, form: Form) -> String {
    let source = message.as_bytes();
    let structure = Structure::of(&source).unwrap();
    let mut out = Vec::new();
    bodystructure::write(&source, &structure, form, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

const NESTED: &str = "\
Content-Type: multipart/mixed; boundary=\"outer\"

preamble
--outer

first
line
--outer  
Content-Type: message/rfc822

Subject: inner
Content-Type: multipart/alternative; boundary=inner

--inner
Content-Type: text/plain

plain
--inner
Content-Type: text/html

<p>
--inner--
epilogue
--outer
Content-Type: image/png

PNG
--outer--
the end
";

#[test]
fn parts_are_found_within_parts() {
    let expected = "\
Multipart 27
 Text 1 first\\nline
 Message 12
  Multipart 9
   Text 0 plain
   Text 0 <p>
 Other 0 PNG
";
    assert_eq!(outline(NESTED), expected);
    // Catches: attachments of scanners that are lost because the end of the header is not found.
    for line_end in ["\r\n", "\r\r\n"] {
        let other = outline(&NESTED.replace('\n', line_end)).replace("\\r", "");
        assert_eq!(other, expected, "{line_end:?}");
    }
}

#[test]
fn section_numbers_of_rfc_3501() {
    let structure = Structure::of(&NESTED.as_bytes()).unwrap();
    let text =
        |part: Option<&Part>| part.map(|p| &NESTED[p.content().start as usize..p.content().end as usize]);
    for (numbers, expected) in [
        (&[1][..], Some("first\nline")),
        (&[2, 1], Some("plain")),
        (&[2, 2], Some("<p>")),
        (&[3], Some("PNG")),
        (&[4], None),
        (&[0], None),
        (&[1, 1], None),
        (&[2, 3], None),
        (&[2, 1, 1], None),
        (&[u32::MAX], None),
        (&[], None),
    ] {
        assert_eq!(text(structure.find(numbers)), expected, "{numbers:?}");
    }
    assert!(text(structure.find(&[2])).unwrap().starts_with("Subject: inner\n"));
    assert!(text(structure.find_message(&[2])).unwrap().starts_with("--inner\n"));
    assert_eq!(structure.find_message(&[1]), None);
    assert_eq!(structure.find_message(&[]), Some(structure.message()));

    let single = Structure::of(&b"Subject: x\n\nbody".as_slice()).unwrap();
    assert_eq!(single.find(&[1]), Some(single.message()));
    assert_eq!((single.find(&[2]), single.find(&[1, 1])), (None, None));
}

#[test]
fn what_is_broken_still_has_parts() {
    for (message, expected) in [
        ("", "Text 0 \n"),
        ("no header", "Text 0 \n"),
        ("\nbody\n", "Text 1 body\\n\n"),
        // The closing delimiter is missing.
        (
            "Content-Type: multipart/x; boundary=b\n\n--b\n\none\n--b\n\ntwo",
            "Multipart 5\n Text 0 one\n Text 0 two\n",
        ),
        // No delimiter, or no boundary parameter.
        ("Content-Type: multipart/x; boundary=b\n\ntext\n", "Multipart 1\n Text 1 text\\n\n"),
        ("Content-Type: multipart/x\n\n--b\n\ntext\n", "Multipart 3\n Text 3 --b\\n\\ntext\\n\n"),
        // Only the closing delimiter: the text before it is the part.
        ("Content-Type: multipart/x; boundary=b\n\n--b--\n", "Multipart 1\n Text 0 \n"),
        (
            "Content-Type: multipart/x; boundary=b\n\none\ntwo\n--b--\nthree\n",
            "Multipart 4\n Text 1 one\\ntwo\n",
        ),
        // Delimiters right after each other, and a header without an empty line.
        (
            "Content-Type: multipart/x; boundary=b\n\n--b\n--b\nA: b\n--b--",
            "Multipart 3\n Text 0 \n Text 0 \n",
        ),
        // The outer delimiter ends the inner multipart, whose own delimiter no longer counts.
        (
            "Content-Type: multipart/x; boundary=o\n\n--o\nContent-Type: multipart/y; boundary=i\n\n--i\n\none\n--o\n\n--i\n--o--\n",
            "Multipart 10\n Multipart 2\n  Text 0 one\n Text 0 --i\n",
        ),
        // Lines that only look like delimiters.
        (
            "Content-Type: multipart/x; boundary=b\n\n--b\n\n--\n--bb\n --b\n--b--",
            "Multipart 5\n Text 2 --\\n--bb\\n --b\n",
        ),
        // RFC 2046 section 5.1.5: the parts of a digest are messages.
        (
            "Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: x\n\ntext\n--b--",
            "Multipart 5\n Message 2\n  Text 0 text\n",
        ),
        ("Content-Type: TEXT\n\nx", "Text 0 x\n"),
    ] {
        assert_eq!(outline(message), expected, "{message:?}");
    }
}

#[test]
fn delimiters_are_found_wherever_the_window_ends() {
    for padding in (WINDOW - 80..WINDOW + 40).chain(LOOKAHEAD - 40..LOOKAHEAD + 40) {
        for eol in ["\n", "\r\n", "\r\r\n"] {
            let message = format!(
                "Content-Type: multipart/x; boundary=b{eol}{eol}--b{eol}{eol}{}{eol}--b--{eol}",
                "x".repeat(padding)
            );
            let structure = Structure::of(&message.as_bytes()).unwrap();
            let content = structure.find(&[1]).unwrap().content();
            assert_eq!(content.end - content.start, padding as u64);
        }
    }
}

#[test]
fn depth_and_number_of_parts_are_limited() {
    let deep: String =
        (0..1000).map(|n| format!("Content-Type: multipart/x; boundary=b{n}\n\n--b{n}\n")).collect();
    let structure = Structure::of(&deep.as_bytes()).unwrap();
    assert_eq!(structure.parts().len(), MAX_DEPTH);
    assert!(bodystructure(&deep).contains("(\"application\" \"octet-stream\" NIL NIL NIL \"7BIT\""));

    let wide = format!("Content-Type: multipart/x; boundary=b\n\n{}", "--b\n\n".repeat(MAX_PARTS * 2));
    let structure = Structure::of(&wide.as_bytes()).unwrap();
    assert_eq!(structure.parts().len(), MAX_PARTS);
    assert_eq!(structure.parts().last().unwrap().content().end, wide.len() as u64);

    let verbose = format!(
        "Content-Type: multipart/x; boundary=b\n\n{}",
        format!("--b\nContent-ID: {}\n\n", "x".repeat(9000)).repeat(99)
    );
    let text = bodystructure(&verbose);
    assert!((256 * 1024..300 * 1024).contains(&text.len()), "{}", text.len());
}

#[test]
fn descriptions_for_the_client() {
    for (message, expected) in [
        (
            "Subject: x\r\n\r\nline\r\nline",
            r#"("text" "plain" ("charset" "us-ascii") NIL NIL "7BIT" 10 1 NIL NIL NIL NIL)"#,
        ),
        (
            "Content-Type: TEXT/html; charset=\"utf-8\"; format=flowed\nContent-ID: <a@b>\nContent-Description: d\n\
             Content-Transfer-Encoding: base64 (c)\nContent-MD5: m\nContent-Disposition: attachment; filename=\"a b.txt\"\n\
             Content-Language: de, en\nContent-Location: l\n\nPGI+",
            "(\"TEXT\" \"html\" (\"charset\" \"utf-8\" \"format\" \"flowed\") \"<a@b>\" \"d\" \"base64\" 4 0 \"m\" \
             (\"attachment\" (\"filename\" \"a b.txt\")) (\"de\" \"en\") \"l\")",
        ),
        (
            "Content-Type: text/plain charset=utf-8\nContent-Disposition: attachment filename=x\n\n",
            "(\"text\" \"plain\" (\"charset\" \"utf-8\") NIL NIL \"7BIT\" 0 0 NIL (\"attachment\" (\"filename\" \"x\")) NIL NIL)",
        ),
        (
            "Content-Type: text/plain(c)\nContent-Transfer-Encoding: base64(c) x\nContent-Disposition: filename=x\n\n",
            "(\"text\" \"plain\" NIL NIL NIL \"base64\" 0 0 NIL (\"attachment\" (\"filename\" \"x\")) NIL NIL)",
        ),
        (
            "Content-Type: message/rfc822\nContent-Language: en\nContent-ID:\n\nSubject: y\n\nx\n",
            "(\"message\" \"rfc822\" NIL NIL NIL \"7BIT\" 14 (NIL \"y\" NIL NIL NIL NIL NIL NIL NIL NIL) \
             (\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7BIT\" 2 1 NIL NIL NIL NIL) 3 NIL NIL (\"en\") NIL)",
        ),
        (
            "Content-Type: multipart/signed; boundary=b; micalg=x\nContent-Disposition: inline\n\n--b\nContent-Type: image/gif\n\nG\n--b--\n",
            "((\"image\" \"gif\" NIL NIL NIL \"7BIT\" 1 NIL NIL NIL NIL) \"signed\" (\"boundary\" \"b\" \"micalg\" \"x\") \
             (\"inline\" NIL) NIL NIL)",
        ),
    ] {
        assert_eq!(bodystructure(message), expected, "{message:?}");
    }
}

/// RFC 9051 section 7.5.2, with its examples. Catches: a form for IMAP4rev1 that its grammar does not have.
#[test]
fn each_revision_has_its_own_form() {
    let global = "Content-Type: message/GLOBAL\n\nSubject: ü\n\nx\n";
    let parameters = "Content-Type: image/gif; baz*1=\"b\"; x=y; baz*0=a; foo*0*=iso-8859-1''%fc; FOO*1=\"z %\"; baz*2=c; q*2=1; v*=''1\n\n";
    for (message, rev1, rev2) in [
        (
            global,
            "(\"message\" \"GLOBAL\" NIL NIL NIL \"7BIT\" 15)",
            "(\"message\" \"GLOBAL\" NIL NIL NIL \"7BIT\" 15 (NIL {2}\r\nü NIL NIL NIL NIL NIL NIL NIL NIL) \
             (\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7BIT\" 2 1) 3)",
        ),
        (
            parameters,
            "(\"image\" \"gif\" (\"baz\" \"abc\" \"x\" \"y\" \"foo*\" \"iso-8859-1''%fcz%20%25\" \
             \"q*2\" \"1\" \"v*\" \"''1\") NIL NIL \"7BIT\" 0)",
            "(\"image\" \"gif\" (\"baz\" \"abc\" \"x\" \"y\" \"foo*\" {5}\r\nüz % \"q*2\" \"1\" \"v*\" \"1\") NIL NIL \"7BIT\" 0)",
        ),
    ] {
        for (rev2, expected) in [(false, rev1), (true, rev2)] {
            assert_eq!(described(message, Form { extensible: false, rev2 }), expected, "{message}");
        }
    }
    let disposition =
        "Content-Disposition: attachment; filename*=utf-8'de'%c3%bc.txt\nContent-Type: image/gif\n\n";
    let told = described(disposition, Form { extensible: true, rev2: true });
    assert!(told.contains("(\"attachment\" (\"filename*\" {6}\r\nü.txt))"), "{told}");
}

/// RFC 9051 section 6.4.5.1. Catches: part numbers that end at a `message/global`.
#[test]
fn a_message_with_utf8_in_its_header_has_parts() {
    let text = "Content-Type: message/global\n\nSubject: ü\n\nx\n";
    let source = text.as_bytes();
    let structure = Structure::of(&source).unwrap();
    let octets = |range: std::ops::Range<u64>| &text[range.start as usize..range.end as usize];
    assert_eq!(octets(structure.find_message(&[1]).unwrap().header()), "Subject: ü\n\n");
    assert_eq!(octets(structure.find(&[1, 1]).unwrap().content()), "x\n");
}
