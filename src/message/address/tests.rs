use super::*;

/// Each address as `name|route|mailbox|host`, with `-` for a missing part.
fn parsed(text: &str) -> String {
    let part = |p: Option<Vec<u8>>| p.map_or("-".into(), |p| String::from_utf8_lossy(&p).into_owned());
    let address = |a: Address| [a.name, a.route, a.mailbox, a.host].map(part).join("|");
    Addresses::new(text.as_bytes()).map(address).collect::<Vec<_>>().join(" ")
}

#[test]
fn addresses_of_rfc_5322() {
    for (text, expected) in [
        ("ann@home.example", "-|-|ann|home.example"),
        ("Ann <ann@home.example>", "Ann|-|ann|home.example"),
        ("\"Joe Q. Public\" <j@e>, <b@e>", "Joe Q. Public|-|j|e -|-|b|e"),
        ("John Q. Public <j@e>", "John Q. Public|-|j|e"),
        (r#""Giant; \"Big\" Box" <s@e>"#, "Giant; \"Big\" Box|-|s|e"),
        ("Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", "Pete|-|pete|silly.test"),
        ("c@(Chris's host.)public.example", "Chris's host.|-|c|public.example"),
        (
            "Mary Smith\t<@node.test,@b:mary@e> , j . doe @ e . org",
            "Mary Smith|@node.test,@b|mary|e -|-|j.doe|e.org",
        ),
        ("ann@e (Ann Smith)", "Ann Smith|-|ann|e"),
        ("ann(home)@e (Ann Smith)", "Ann Smith|-|ann|e"),
        ("\"a b\"@[192.0.2.1]", "-|-|a b|[192.0.2.1]"),
        ("=?utf-8?Q?J=C3=BC?= <j@e>", "=?utf-8?Q?J=C3=BC?=|-|j|e"),
    ] {
        assert_eq!(parsed(text), expected, "{text}");
    }
}

#[test]
fn groups_begin_and_end() {
    for (text, expected) in [
        ("A Group:Ed <ed@e>,joe@e;", "-|-|A Group|- Ed|-|ed|e -|-|joe|e -|-|-|-"),
        ("Undisclosed recipients:;", "-|-|Undisclosed recipients|- -|-|-|-"),
        ("a:;, b:x@e; , y@e", "-|-|a|- -|-|-|- -|-|b|- -|-|x|e -|-|-|- -|-|y|e"),
        ("open: x@e", "-|-|open|- -|-|x|e -|-|-|-"),
    ] {
        assert_eq!(parsed(text), expected, "{text}");
    }
}

#[test]
fn garbage_is_tolerated() {
    for (text, expected) in [
        ("", ""),
        (" , ;,, ", ""),
        ("<>", ""),
        ("Nobody <>", "Nobody|-||"),
        ("root", "-|-|root|"),
        ("no address", "-|-|no address|"),
        ("a@e b@e", "-|-|a|e -|-|b|e"),
        ("a@e (A) Bob b@e (B) \"c d\"@e.f , d@e", "A|-|a|e Bob|-|b|e -|-|c d|e.f -|-|d|e"),
        ("a@e b <b@e>", "a@e b|-|b|e"),
        ("g: a@e b@e; c@e d", "-|-|g|- -|-|a|e -|-|b|e -|-|-|- -|-|c|e"),
        ("a@e b@", "-|-|a|e -|-|b|"),
        ("g: a@e : b@e", "-|-|g|- -|-|a|e :|-|b|e -|-|-|-"),
        ("a@e @", "-|-|a|e"),
        ("a@e b@ c@ d", "-|-|a|e -|-|b|c@"),
        ("a@e <a@e>", "a@e|-|a|e"),
        ("Open <a@e, b@e", "Open|-|a|e -|-|b|e"),
        ("\"open", "-|-|open|"),
        ("(open", "-|-|open|"),
        ("(nobody), a@e", "-|-|a|e"),
        ("a@", "-|-|a|"),
        ("@e", "-|-||e"),
        ("a:b:c@e", "-|-|a|- -|-|b:c|e -|-|-|-"),
        ("a@b@c", "-|-|a|b@c"),
        ("<<a@e>>, b@e", "-|-|a|e -|-|b|e"),
        ("Ann <a@e> Bob B. <b@e>", "Ann|-|a|e Bob B.|-|b|e"),
        ("<a@e> Ann, b@e", "-|-|a|e -|-|b|e"),
        ("Ann <a, Bob <b@e>", "Ann|-|a| Bob|-|b|e"),
        ("Ann <a@e Bob <b@e>, c@e", "Ann|-|a|eBob -|-|b|e -|-|c|e"),
        ("a@[1, b@e", "-|-|a|[1 -|-|b|e"),
        ("A -> B <a@e>", "A -> B|-|a|e"),
    ] {
        assert_eq!(parsed(text), expected, "{text}");
    }
}

/// Catches: an address made of the words before the real address, which does not exist.
#[test]
fn words_before_an_address_are_its_name() {
    for (text, expected) in [
        ("Ann Example ann@home.test", "Ann Example|-|ann|home.test"),
        ("\"Bob\" bob@e, Carl <carl@e", "Bob|-|bob|e Carl|-|carl|e"),
        ("\"Bob\" \"b c\"@e (Robert)", "Bob|-|b c|e"),
        ("John Q. Public j . p @ e . org", "John Q. Public|-|j.p|e.org"),
        ("John Q. public@e", "John Q.|-|public|e"),
        ("J. R. ann@e", "-|-|J.R.ann|e"),
        ("Ann (home) ann@e, b (c) . d@e", "Ann|-|ann|e c|-|b.d|e"),
        ("=?utf-8?Q?J=C3=BC?= j@e", "=?utf-8?Q?J=C3=BC?=|-|j|e"),
        ("\"a.\" b@e", "a.|-|b|e"),
    ] {
        assert_eq!(parsed(text), expected, "{text}");
    }
}

/// Catches: a quote, a bracket or a comment that is not closed and takes the rest of the list with it.
#[test]
fn what_is_not_closed_does_not_swallow_the_list() {
    for (text, expected) in [
        ("\"Ann <a@e>, b@e", "Ann|-|a|e -|-|b|e"),
        ("\"Doe, Jane <j@e>, \"Bob\" <b@e>", "-|-|Doe| Jane|-|j|e Bob|-|b|e"),
        ("Ann\" <a@e>, b@e", "Ann|-|a|e -|-|b|e"),
        ("Ann (home <a@e>, b@e", "Ann home|-|a|e -|-|b|e"),
        ("Dora d@e>, <eve@e> Eve, f@e", "Dora|-|d|e -|-|eve|e -|-|f|e"),
        ("d@e>, bob>, <<g@e>", "-|-|d|e -|-|bob| -|-|g|e"),
        ("<a@e, b@e>, c@e", "-|-|a|e -|-|b|e -|-|c|e"),
        ("g: \"Ann <a@e>; b@e", "-|-|g|- Ann|-|a|e -|-|-|- -|-|b|e"),
    ] {
        assert_eq!(parsed(text), expected, "{text}");
    }
}

/// Catches: a walk to the end of the field for each quote that is opened in it.
#[test]
fn what_is_not_closed_is_looked_for_so_often_and_no_more() {
    for piece in ["\"\\", "(", "a@[", "\"\\\"<,", "<"] {
        let field = piece.repeat(64 * 1024 / piece.len());
        assert!(Addresses::new(field.as_bytes()).count() <= 64 * 1024, "{piece}");
    }
}

#[test]
fn groups_as_mail_programs_write_them() {
    for (text, expected) in [
        ("<Undisclosed-Recipient:;>", "-|-|Undisclosed-Recipient|- -|-|-|-"),
        ("x: <u:;>; <v:;>, a@e", "-|-|x|- -|-|-|- -|-|v|- -|-|-|- -|-|a|e"),
        ("undisclosed-recipients:;@home.test, a@e", "-|-|undisclosed-recipients|- -|-|-|- -|-|a|e"),
    ] {
        assert_eq!(parsed(text), expected, "{text}");
    }
}
