//! Tests with whole messages.

use proptest::prelude::*;

use super::super::binary::Binary;
use super::super::mime::Structure;
use super::*;

fn recoded(message: &[u8], aim: MissingExtension) -> Result<Vec<u8>, Refusal> {
    let mut survey = Survey::new(&message, aim, Some(("j\u{f6}rg@home.example", "joerg@home.example")));
    while survey.step().unwrap()?.is_some() {}
    let plan = survey.finish().unwrap();
    let (mut recoder, mut out) = (Recoder::new(&message, &plan), Vec::new());
    while recoder.step(&mut out).unwrap().is_some() {}
    Ok(out)
}

fn seven_bit(message: &str) -> Result<String, Refusal> {
    recoded(message.replace('\n', "\r\n").as_bytes(), MissingExtension::SevenBit)
        .map(|out| String::from_utf8(out).unwrap().replace("\r\n", "\n"))
}

/// The decoded contents of a message's parts, without those that contain parts.
fn contents(message: &[u8]) -> Vec<Vec<u8>> {
    let structure = Structure::of(&message).unwrap();
    let leaves = structure.parts().iter().enumerate().filter(|(at, _)| structure.index_after(*at) == at + 1);
    let decoded = leaves.map(|(_, part)| {
        let known = Binary::of(&message, part).unwrap();
        let mut binary = known.unwrap_or_else(|| Binary::identity(&message, part.content()));
        let mut out = Vec::new();
        while binary.step(&mut out).unwrap().is_some() {}
        out
    });
    decoded.collect()
}

/// Catches: a field that is not changed or is doubled, a container that still says 8bit, text that becomes unreadable
/// in base64, and an attachment whose lines are treated as text.
#[test]
fn parts_are_encoded_one_by_one() {
    let message = "Subject: x\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: 8BIT\n\n\
        pre\u{e4}mble\n--b\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\nX-After: 1\n\ncaf\u{e9} \n.\n\
        --b\nContent-Type: text/plain\ncontent-transfer-encoding: 8bit\n\nplain\n\
        --b\nContent-Type: application/octet-stream\n\n\u{e9}\0\n\
        --b\nContent-Type: application/x-script\n\nfine: \u{e9}\n\
        --b--\nepil\u{f6}gue\n";
    let expected = "Subject: x\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: 7bit\n\n\
        pre??mble\n--b\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\nX-After: 1\n\n\
        caf=C3=A9=20\n=2E\n\
        --b\nContent-Type: text/plain\nContent-Transfer-Encoding: 7bit\n\nplain\n\
        --b\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\nw6kA\n\
        --b\nContent-Type: application/x-script\nContent-Transfer-Encoding: quoted-printable\n\nfine: =C3=A9\n\
        --b--\nepil??gue\n";
    assert_eq!(seven_bit(message).as_deref(), Ok(expected));
    assert_eq!(seven_bit(expected).as_deref(), Ok(expected), "once more changes nothing");
}

/// Catches: an encoding that no reader undoes, because the message has no MIME-Version.
#[test]
fn a_message_of_before_mime_becomes_mime() {
    let said = "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n";
    let expected = format!("Subject: x\n{said}\ncaf=C3=A9\n");
    assert_eq!(seven_bit("Subject: x\n\ncaf\u{e9}\n"), Ok(expected));
    let out = recoded(b"Subject: x\r\n\r\ncaf\xe9", MissingExtension::SevenBit).unwrap();
    assert!(String::from_utf8(out).unwrap().contains("charset=unknown-8bit\r\n"));
    let typed = "MIME-Version: 1.0\nContent-Transfer-Encoding: quoted-printable\n";
    let expected = format!("Content-Type: text/html\n{typed}\n=C3=A9\n");
    assert_eq!(seven_bit("Content-Type: text/html\n\n\u{e9}\n"), Ok(expected));
    assert_eq!(seven_bit("Subject: x\n\nplain\n").as_deref(), Ok("Subject: x\n\nplain\n"));
    assert_eq!(seven_bit("\n\u{e9}"), Ok(format!("{said}\n=C3=A9")));
}

/// Catches: a message within that stays as it is, or is encoded as a whole, which RFC 2046 section 5.2.1 forbids.
#[test]
fn messages_within_are_gone_into() {
    let message = "MIME-Version: 1.0\nContent-Type: message/rfc822\nContent-Transfer-Encoding: binary\n\n\
        Subject: \u{fc}\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n\u{e9}\n";
    let expected = "MIME-Version: 1.0\nContent-Type: message/rfc822\nContent-Transfer-Encoding: 7bit\n\n\
        Subject: =?utf-8?Q?=C3=BC?=\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\
        Content-Transfer-Encoding: quoted-printable\n\n=C3=A9\n";
    assert_eq!(seven_bit(message).as_deref(), Ok(expected));
    let global = message.replace("rfc822", "global");
    let out = seven_bit(&global).unwrap();
    assert!(out.contains("Content-Transfer-Encoding: quoted-printable\n\nSubject: =C3=BC\n"), "{out}");
    for fixed in ["partial; id=1; number=1", "external-body; access-type=x"] {
        let message = format!("Content-Type: message/{fixed}\n\n\u{e9}\n");
        assert_eq!(seven_bit(&message), Err(Refusal::Malformed));
        assert!(seven_bit(&message.replace('\u{e9}', "e")).is_ok());
    }
}

/// Catches: a signature that is broken, and a message that is refused although its signed part needs no encoding.
#[test]
fn what_is_signed_is_never_touched() {
    let message = |kind: &str, text: &str, besides: &str| {
        format!(
            "Subject: \u{fc}\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=o\n\n--o\n\
             Content-Type: multipart/{kind}; boundary=b\nContent-Transfer-Encoding: 8bit\n\n\
             --b\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{text}\n\
             --b\nContent-Type: application/pgp-signature\n\nsign\n--b--\n--o\n\n{besides}\n--o--\n"
        )
    };
    for kind in ["signed", "SIGNED", "encrypted"] {
        assert_eq!(seven_bit(&message(kind, "\u{e9}", "x")), Err(Refusal::Signed));
        let out = seven_bit(&message(kind, "plain \t", "\u{e9}")).unwrap();
        let signed = "charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nplain \t\n--b\n";
        assert!(
            out.contains(signed) && out.contains("=?utf-8?Q?=C3=BC?=") && out.contains("=C3=A9\n--o--"),
            "{out}"
        );
    }
    assert!(seven_bit(&message("alternative", "\u{e9}", "x")).is_ok());
    let smime = "MIME-Version: 1.0\nContent-Type: application/pkcs7-mime\nContent-Transfer-Encoding: binary\n\n\u{e9}\0\n";
    assert!(seven_bit(smime).unwrap().ends_with("Content-Transfer-Encoding: base64\n\nw6kADQo="));
}

/// Catches: a body that is encoded when only the header must be rewritten, and an ASCII header that is changed.
#[test]
fn the_header_alone() {
    let header = |message: &str| {
        recoded(message.as_bytes(), MissingExtension::Header).map(|out| String::from_utf8(out).unwrap())
    };
    let message = "Subject: \u{fc}\r\nFrom: J <j\u{f6}rg@home.example>\r\nContent-Transfer-Encoding: 8bit\r\n\r\ncaf\u{e9}\r\n";
    let expected = "Subject: =?utf-8?Q?=C3=BC?=\r\nFrom: J <joerg@home.example>\r\nContent-Transfer-Encoding: 8bit\r\n\r\ncaf\u{e9}\r\n";
    assert_eq!(header(message).as_deref(), Ok(expected));
    assert_eq!(header(expected).as_deref(), Ok(expected));
    assert_eq!(header("From: \u{fc}@home.example\r\n\r\n"), Err(Refusal::Address));
}

/// Catches: a part that cannot be encoded and is sent nevertheless.
#[test]
fn what_follows_no_rules_is_refused_not_damaged() {
    for message in [
        "Content-Type: multipart/mixed\n\nno boundary: \u{e9}\n",
        "Content-Type: multipart/mixed; boundary=b\n\nno delimiter: \u{e9}\n",
        "Content-Type: multipart/mixed; boundary=\"\u{fc}\"\n\n--\u{fc}\n\nx\n",
        &format!("{}\n\u{e9}\n", "X: y\n".repeat(1100)),
    ] {
        assert_eq!(seven_bit(message), Err(Refusal::Malformed), "{}", &message[..40]);
        let without = message.replace(['\u{e9}', '\u{fc}'], "e");
        assert_eq!(seven_bit(&without).as_ref(), Ok(&without));
    }
}

/// Catches: an encoding of a text that is encoded already, which no reader would undo twice.
#[test]
fn an_encoding_is_made_anew_where_it_was_broken() {
    for (encoding, text, expected) in [
        ("quoted-printable", "caf=C3=A9 \u{e9}=\nx=3D", "caf=C3=A9 =C3=A9x=3D"),
        ("base64", "w6k=\u{e9}", "w6k="),
        ("8-bit", "\u{e9}", "=C3=A9"),
    ] {
        let out = seven_bit(&format!(
            "MIME-Version: 1.0\nContent-Type: text/plain\nContent-Transfer-Encoding: {encoding}\n\n{text}"
        ));
        let out = out.unwrap();
        assert_eq!(out.rsplit("\n\n").next(), Some(expected), "{encoding}");
    }
}

/// RFC 2045 section 2.7. Catches: ASCII that is not 7-bit data and is sent as such.
#[test]
fn nul_and_long_lines_are_no_seven_bit_data() {
    let long = "x".repeat(999);
    for (text, expected) in [("a\0", "a=00"), (long.as_str(), &*format!("{}=\n", "x".repeat(75)))] {
        let out = seven_bit(&format!("MIME-Version: 1.0\nContent-Type: text/plain\n\n{text}\n")).unwrap();
        assert!(
            out.contains("Content-Transfer-Encoding: quoted-printable\n") && out.contains(expected),
            "{out}"
        );
    }
    let fits = format!("MIME-Version: 1.0\n\n{}\n", "x".repeat(998));
    assert_eq!(seven_bit(&fits).as_ref(), Ok(&fits));
}

/// Real mail, and mail made after reports of defects. Catches: a message that is damaged or refused without need, and
/// one that is changed although it can be sent as it is.
#[test]
fn real_messages_are_recoded() {
    let (mut encoded, mut refused) = (0, Vec::new());
    for folder in ["corpus", "cases"] {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(folder);
        for entry in std::fs::read_dir(folder).unwrap() {
            let (path, mut message) = (entry.as_ref().unwrap().path(), Vec::new());
            // With line ends as the server stores them.
            clean(&std::fs::read(&path).unwrap(), &mut message);
            let out = match recoded(&message, MissingExtension::SevenBit) {
                Ok(out) => out,
                Err(refusal) => {
                    refused.push((path.file_name().unwrap().to_owned(), refusal));
                    continue;
                }
            };
            assert!(out.is_ascii(), "{path:?}");
            if message.is_ascii() {
                let long = message.split(|&o| o == b'\n').any(|line| line.len() > 999);
                assert!(long || contents(&out) == contents(&message), "{path:?}");
            } else {
                encoded += 1;
                assert_eq!(contents(&out), contents(&message), "{path:?}");
            }
            assert_eq!(
                recoded(&out, MissingExtension::SevenBit).as_ref(),
                Ok(&out),
                "{path:?}: once more changes nothing"
            );
        }
    }
    assert!(encoded > 10, "{encoded} were encoded");
    assert_eq!(refused, [], "whose parts are in order");
}

/// Appends the text with CR LF at the end of every line and no other CR.
fn clean(text: &[u8], out: &mut Vec<u8>) {
    for line in text.split_inclusive(|&octet| octet == b'\n') {
        out.extend(line.iter().copied().filter(|octet| !matches!(octet, b'\r' | b'\n')));
        if line.ends_with(b"\n") {
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// A body part. What it decodes to does not matter here.
fn leaf() -> impl Strategy<Value = String> {
    let kind = prop_oneof![
        Just("text/plain; charset=utf-8"),
        Just("text/html"),
        Just("application/octet-stream"),
        Just("image/png"),
        Just("")
    ];
    let encoding = prop_oneof![Just(""), Just("8bit"), Just("7bit"), Just("binary")];
    let text = proptest::collection::vec(
        prop_oneof![
            Just("plain "),
            Just("\u{e9}"),
            Just("\r\n"),
            Just("--b\u{e9}"),
            Just("From "),
            Just("."),
            Just("\0"),
            Just("=41"),
            Just(
                "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            ),
        ],
        0..30,
    );
    (kind, encoding, text).prop_map(|(kind, encoding, text)| {
        let mut part = String::new();
        if !kind.is_empty() {
            part += &format!("Content-Type: {kind}\r\n");
        }
        if !encoding.is_empty() {
            part += &format!("Content-Transfer-Encoding: {encoding}\r\n");
        }
        part + "\r\n" + &text.concat()
    })
}

fn tree() -> impl Strategy<Value = String> {
    leaf().prop_recursive(3, 12, 4, |inner| {
        let level = "[a-f]{6}";
        prop_oneof![
            (level, proptest::collection::vec(inner.clone(), 1..4)).prop_map(|(boundary, parts)| {
                let parts: String = parts.iter().map(|part| format!("\r\n--q{boundary}\r\n{part}")).collect();
                format!("Content-Type: multipart/mixed; boundary=q{boundary}\r\n\r\npre\u{e4}{parts}\r\n--q{boundary}--\r\n")
            }),
            inner.prop_map(|message| format!("Content-Type: message/rfc822\r\n\r\nSubject: \u{fc}\r\n{message}")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Catches: parts that decode to something else, output that is not ASCII or has too long lines, a structure that
    /// another reader sees differently, and a second pass that changes something.
    #[test]
    fn parts_decode_to_what_they_did(tree in tree()) {
        let message = format!("Subject: \u{fc}\r\nMIME-Version: 1.0\r\n{tree}");
        let out = recoded(message.as_bytes(), MissingExtension::SevenBit).unwrap();
        prop_assert!(out.is_ascii(), "{}", String::from_utf8_lossy(&out));
        prop_assert!(out.split(|&o| o == b'\n').all(|line| line.len() <= 999));
        prop_assert_eq!(contents(&out), contents(message.as_bytes()), "{}", String::from_utf8_lossy(&out));
        let again = recoded(&out, MissingExtension::SevenBit).unwrap();
        prop_assert_eq!(String::from_utf8_lossy(&again), String::from_utf8_lossy(&out));
        // The other reader panics on some of the generated messages.
        let theirs = |message: &[u8]| std::panic::catch_unwind(|| {
            let parsed = mail_parser::MessageParser::default().parse(message).unwrap();
            let texts = (0..parsed.text_body.len()).filter_map(|at| parsed.body_text(at).map(|text| text.into_owned()));
            (parsed.parts.len(), texts.collect::<Vec<String>>())
        });
        if let (Ok(after), Ok(before)) = (theirs(&out), theirs(message.as_bytes())) {
            prop_assert_eq!(after, before);
        }
    }
}
