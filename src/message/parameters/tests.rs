use super::*;

fn parsed(text: &str) -> String {
    let p = Parameterized::parse(text.as_bytes());
    let pairs = p
        .parameters
        .iter()
        .map(|(n, v)| format!("|{}={}", String::from_utf8_lossy(n), String::from_utf8_lossy(v)));
    String::from_utf8_lossy(&p.value).into_owned() + &pairs.collect::<String>()
}

#[test]
fn values_as_they_come() {
    for (text, expected) in [
        ("text/plain; charset=us-ascii (Plain text)", "text/plain|charset=us-ascii"),
        ("(c(c)) text/plain (c) ;charset=\"utf-8\"", "text/plain|charset=utf-8"),
        (r#"multipart/mixed; boundary="a;\"b\" ""#, r#"multipart/mixed|boundary=a;"b" "#),
        ("attachment; filename=my file(1).pdf; size=3", "attachment|filename=my file(1).pdf|size=3"),
        ("attachment; filename=my file (1).pdf; size=3", "attachment|filename=my file (1).pdf|size=3"),
        ("a/b; name=a (1) (2).pdf (c) (d)", "a/b|name=a (1) (2).pdf"),
        ("a/b; name=(c) a (b", "a/b|name=a b"),
        ("a/b; name=\"a.pdf\" (c); x=(1) y", "a/b|name=a.pdf|x=y"),
        ("a/b; x; =y; ; z=\"open", "a/b|z=open"),
        ("a/b; x=\"\"", "a/b|x="),
        (";;;", ""),
        // A semicolon is missing.
        ("attachment filename=x", "attachment|filename=x"),
        ("attachment filename = \"a b.pdf\" size=3", "attachment|filename=a b.pdf|size=3"),
        ("text/plain charset=utf-8 format=flowed; x=y", "text/plain|charset=utf-8|format=flowed|x=y"),
        ("text/plain; charset=\"utf-8\"format=flowed", "text/plain|charset=utf-8|format=flowed"),
        ("filename=x.pdf", "|filename=x.pdf"),
        ("a/b; name=my size=3.pdf; x=y", "a/b|name=my size=3.pdf|x=y"),
        ("a/b; name==?utf-8?Q?a=20b?= =?utf-8?Q?c?=", "a/b|name==?utf-8?Q?a=20b?= =?utf-8?Q?c?="),
        // Comments.
        ("base64(c)", "base64"),
        ("(c)base64 (c) (d(e))", "base64"),
        // The end of a comment is searched for once when it is not closed.
        ("text/plain (a (b) c", "text/plain a b) c"),
        ("text/plain (open; charset=utf-8 (open", "text/plain open|charset=utf-8 open"),
        ("", ""),
    ] {
        assert_eq!(parsed(text), expected, "{text}");
    }
}

#[test]
fn parameters_in_pieces_and_encoded() {
    for (text, expected) in [
        ("x; FileName=a", Some("a")),
        ("x; filename*=utf-8'en'%C3%BC%2c%", Some("\u{fc},%")),
        ("x; filename*1=b; filename*0=a", Some("ab")),
        ("x; filename*0*=utf-8''%C3; filename*1*=%BC'; filename*2=%41", Some("\u{fc}'%41")),
        ("x; filename*=no%20charset", Some("no charset")),
        ("x; filename*1=b; filename*2*=%63", Some("bc")),
        ("x; filename*2*=d; filename*1*=utf-8''%C3%BC", Some("\u{fc}d")),
        ("x; filename*01=b; filename*00=a", Some("ab")),
        ("x; filename*2=b", None),
        ("x; filename*0=a; filename*2=b", Some("a")),
        ("x; filenames=a", None),
    ] {
        let value = Parameterized::parse(text.as_bytes()).get("filename");
        assert_eq!(value.map(|v| String::from_utf8(v).unwrap()).as_deref(), expected, "{text}");
    }
}

/// Catches: a name that is not found because only the form for old programs was read, or because its character
/// set is wrong.
#[test]
fn texts_of_every_way_of_writing() {
    for (text, expected) in [
        (
            "x; filename=Gr_e.pdf; filename*=iso-8859-1''Gr%FC%DFe.pdf",
            &["Gr_e.pdf", "Gr\u{fc}\u{df}e.pdf"][..],
        ),
        ("x; filename*0*=koi8-r''%F0%F2; filename*1=.pdf", &["\u{41f}\u{420}.pdf"]),
        ("x; filename=\"=?utf-8?Q?=C3=BC?=\"", &["\u{fc}"]),
        ("x; filename*0=\"=?utf-8?Q?=C3=\"; filename*1=\"BC?=\"", &["\u{fc}"]),
        ("x", &[]),
    ] {
        assert_eq!(Parameterized::parse(text.as_bytes()).texts("filename"), expected, "{text}");
    }
}

#[test]
fn media_types() {
    let subtype = |text: &str| {
        let subtype = Parameterized::parse(text.as_bytes()).media_type()?.1.to_vec();
        String::from_utf8(subtype).ok()
    };
    for text in ["text/plain", "text / plain", "text/plain charset=x", "text/plain, charset=x"] {
        assert_eq!(subtype(text).as_deref(), Some("plain"), "{text}");
    }
    for text in ["text", "text/", "/plain", ""] {
        assert_eq!(subtype(text), None, "{text}");
    }
}

/// RFC 2231 section 6. Catches: a part that loses its meaning when it is joined with one that is encoded, or that is
/// lost when its beginning is missing.
#[test]
fn continuations_are_joined() {
    for (text, expected) in [
        ("x; n*1=b; m=1; N*0=a; n*2=\"c d\"", "N=abc d|m=1"),
        ("x; n*0*=utf-8''%C3; n*1*=%BC; n*2=\"%'\"", "n*=utf-8''%C3%BC%25%27"),
        ("x; n*0=\"p q\"; n*1*=%41", "n*=''p%20q%41"),
        ("x; n*=c; N*0=d; N*2=e; n*x=f; *0=g", "n*=c|N=d|*0=g"),
        ("x; n*2=e; n*3=f", "n*2=e|n*3=f"),
    ] {
        let joined = Parameterized::parse(text.as_bytes()).joined();
        let shown = joined.iter().map(|(name, value)| {
            format!("{}={}", String::from_utf8_lossy(name), String::from_utf8_lossy(value))
        });
        assert_eq!(shown.collect::<Vec<_>>().join("|").to_lowercase(), expected.to_lowercase(), "{text}");
    }
}
