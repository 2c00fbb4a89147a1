use super::*;

/// Decodes `octets` in pieces of every size, and asserts that the results agree.
fn decoded(name: &str, octets: &[u8]) -> String {
    let in_pieces = |size: usize| {
        let mut decoder = Decoder::new(Charset::named(name.as_bytes()));
        let mut out = String::new();
        octets.chunks(size).for_each(|piece| decoder.decode(piece, false, &mut out));
        decoder.decode(b"", true, &mut out);
        out
    };
    let mut whole = String::new();
    decode(Charset::named(name.as_bytes()), octets, &mut whole);
    for size in 1..9 {
        assert_eq!(in_pieces(size), whole, "{name} in pieces of {size}");
    }
    whole
}

/// Catches: a name that mail uses and the web does not, and a character set that is confused with another.
#[test]
fn names_as_mail_has_them() {
    let german = "Gr\u{fc}\u{df}e";
    for (names, octets, expected) in [
        (
            &[
                "latin-1",
                "Latin1",
                "ISO_8859-1:1987",
                "iso8859-1",
                "8859_1",
                "cp1252",
                "x-cp1252",
                "WinDows-1252",
                "cp-1252",
            ][..],
            &b"Gr\xfc\xdfe"[..],
            german,
        ),
        (
            &[
                "",
                "8bit",
                "default",
                "us-ascii",
                "ASCII",
                "ansi_x3.4-1968",
                "x-unknown",
                "none",
                "x-user-defined",
            ],
            b"Gr\xfc\xdfe",
            german,
        ),
        (
            &[
                "",
                "ascii",
                "us-ascii",
                "ANSI_X3.4-1968",
                "x-unknown",
                "utf8",
                "UTF-8-SIG",
                "cp65001",
                "unicode-1-1-utf-8",
            ],
            "Gr\u{fc}\u{df}e".as_bytes(),
            german,
        ),
        (&["cp437", "IBM437", "cp850", "ibm-850", "cp858", "cp852", "x-cp850"], b"Gr\x81\xe1e", german),
        (&["utf-7", "UTF7", "unicode-1-1-utf-7", "x-utf-7", "cp65000"], b"Gr+APwA3w-e", german),
        (&["utf-16", "utf-16le", "ucs-2"], b"G\0r\0\xfc\0\xdf\0e\0", german),
        (&["utf-16", "utf-16be", "ucs-2"], b"\0G\0r\0\xfc\0\xdf\0e", german),
        (&["utf-16", "utf-16be"], b"\xfe\xff\0G\0r\0\xfc\0\xdf\0e", german),
        (&["utf-32", "utf-32be"], b"\0\0\xfe\xff\0\0\0\xfc", "\u{fc}"),
        (&["utf-32", "UTF-32LE"], b"\xff\xfe\0\0\xfc\0\0\0", "\u{fc}"),
        (&["cp932", "ms932", "windows-31j", "Shift-JIS", "x-sjis"], b"\x93\xfa\x96{", "\u{65e5}\u{672c}"),
        (&["cp936", "gbk", "gb2312", "x-gbk", "ms936", "euc-cn"], b"\xd6\xd0", "\u{4e2d}"),
        (&["cp949", "ks_c_5601-1987", "euc_kr", "uhc", "ms949"], b"\xc7\xd1", "\u{d55c}"),
        (&["cp950", "big5-hkscs", "Big5"], b"\xa4\xa4", "\u{4e2d}"),
        (&["iso-2022-kr", "csISO2022KR"], b"\x1b$)C\x0eGQ\x0f x", "\u{d55c} x"),
        (&["hz-gb-2312", "HZ"], b"a~{VP~} ~~~\nb", "a\u{4e2d} ~b"),
        (&["iso-2022-jp-2", "iso-2022-jp-1", "cp50220"], b"\x1b$BF|K\\\x1b(B", "\u{65e5}\u{672c}"),
        (&["johab", "cp1361"], b"\xd0e\x8b\xbd\xd3\xbd x\xd91", "\u{d55c}\u{ae4b}\u{d7a3} x\u{3000}"),
        (&["iso-2022-cn", "ISO-2022-CN-EXT"], b"\x1b$)A\x0eVP\x0f x", "\u{4e2d} x"),
        (&["ISO_8859-2:1987", "iso-8859-2-1987", "l2", "28592"], b"\xb1", "\u{105}"),
        (&["iso-8859-15:1999", "iso-8859-15"], b"\xa4", "\u{20ac}"),
        (&["ELOT_928", "elot-928", "iso-8859-7-1987"], b"\xe1", "\u{3b1}"),
        (&["iso-8859-16:2001", "l10"], b"\xde", "\u{21a}"),
        (
            &["437", "csPC8CodePage437", "cp860", "cp863", "cp865", "cp861", "IBM857", "cp775", "csPCp852"],
            b"\x81\xe1",
            "\u{fc}\u{df}",
        ),
        (&["cp737", "ibm737"], b"\x98\x99", "\u{3b1}\u{3b2}"),
        (&["cp869"], b"\xd6\xd7", "\u{3b1}\u{3b2}"),
        (&["cp855", "ibm855"], b"\xa0", "\u{430}"),
        (&["cp862", "DOS-862"], b"\x80\x9a", "\u{5d0}\u{5ea}"),
        (&["x-mac-greek", "cp10006"], b"\xe1", "\u{3b1}"),
        (&["x-mac-ce", "x-mac-centraleurroman", "cp10029"], b"\x88", "\u{105}"),
        (&["x-mac-turkish", "macturkish"], b"\xda", "\u{11e}"),
        (&["x-mac-icelandic"], b"\xdc", "\u{d0}"),
        (&["x-mac-japanese", "shift_jis_2004", "932"], b"\x93\xfa\x96{", "\u{65e5}\u{672c}"),
        (&["euc-jis-2004", "euc-jisx0213"], b"\xc6\xfc", "\u{65e5}"),
        (&["x-mac-korean", "ks-x-1001"], b"\xc7\xd1", "\u{d55c}"),
        (&["x-mac-simp-chinese", "eucgb2312-cn"], b"\xd6\xd0", "\u{4e2d}"),
        (&["x-mac-trad-chinese", "hkscs"], b"\xa4\xa4", "\u{4e2d}"),
        (&["tis-620-2529-1", "iso-ir-166"], b"\xb7", "\u{e17}"),
        (&["cp1251", "cp-1251", "win-1251"], b"\xcf", "\u{41f}"),
        (&["koi8-r", "cskoi8r", "cp20866", "koi8_r"], b"\xf0", "\u{41f}"),
        (&["latin-2", "iso8859_2", "cp28592"], b"\xb1", "\u{105}"),
        (&["latin-9", "iso-8859-15"], b"\xa4", "\u{20ac}"),
        (&["tis-620", "cp874", "windows-874", "iso-8859-11"], b"\xb7", "\u{e17}"),
        (&["macroman", "x-mac-roman", "macintosh"], b"\x9f", "\u{fc}"),
    ] {
        for name in names {
            assert_eq!(decoded(name, octets), expected, "{name}");
        }
    }
}

/// Catches: text that counts as ASCII while the beginning of a character is waiting.
#[test]
fn ascii_is_what_needs_no_decoding() {
    for (name, expected) in [("", true), ("cp850", true), ("utf-7", false), ("utf-16", false), ("hz", false)]
    {
        assert_eq!(Decoder::new(Charset::named(name.as_bytes())).is_ascii(b"plain"), expected, "{name}");
    }
    let mut decoder = Decoder::new(Charset::Unlabelled);
    decoder.decode(b"\xc3", false, &mut String::new());
    assert!(!decoder.is_ascii(b"plain"));
}

#[test]
fn utf_7_of_rfc_2152() {
    for (octets, expected) in [
        ("A+ImIDkQ.", "A\u{2262}\u{391}."),
        ("Hi Mom -+Jjo--!", "Hi Mom -\u{263a}-!"),
        ("+ZeVnLIqe-", "\u{65e5}\u{672c}\u{8a9e}"),
        ("Item 3 is +AKM-1.", "Item 3 is \u{a3}1."),
        ("1 +- 1 = +2D3eAA", "1 + 1 = \u{1f600}"),
        ("+2D0-x +3gA-", "x \u{fffd}"),
    ] {
        assert_eq!(decoded("utf-7", octets.as_bytes()), expected, "{octets}");
    }
}

#[test]
fn what_says_nothing_is_utf_8_where_it_is() {
    assert_eq!(
        decoded("", b"caf\xe9 caf\xc3\xa9 \xe2\x82\xac \xe2\x82"),
        "caf\u{e9} caf\u{e9} \u{20ac} \u{e2}\u{201a}"
    );
}

/// Catches: two escape sequences in a row that are taken for an error, as the web has it, and a set of the newer
/// standards that is not known.
#[test]
fn iso_2022_jp_and_its_relatives() {
    for (octets, expected) in [
        // Encoded words that were joined.
        (&b"\x1b$BF|\x1b(B\x1b$BK\\\x1b(B."[..], "\u{65e5}\u{672c}."),
        (b"\x1b$@F|\x1b(J\\~\x1b(B\\~", "\u{65e5}\u{a5}\u{203e}\\~"),
        (b"\x1b$BF|\r\n K\\", "\u{65e5}\r\n \u{672c}"),
        (b"\x1b(I1\x1b(B", "\u{ff71}"),
        (b"\x1b$(Q$\"\x1b(B", "\u{3042}"),
        (b"\x1b$(D+C\x1b(B", "\u{1d0}"),
        (b"\x1b$AVP\x1b$(CGQ\x1b(B", "\u{4e2d}\u{d55c}"),
        (b"Gr\x1b.A\x1bN|\x1bN_e \x1b.F\x1bNa", "Gr\u{fc}\u{df}e \u{3b1}"),
        // What is broken costs itself and nothing else.
        (b"\x1b$BF\x1b(Bab", "\u{fffd}ab"),
        (b"\x1b$BF\nF|", "\n\u{65e5}"),
        (b"a\x1b[1mb\xfcc\x1b$", "a\u{fffd}[1mb\u{fffd}c\u{fffd}"),
        (b"\x1bNa\x1b$(PF|\x1b(Bb", "\u{fffd}\u{fffd}b"),
    ] {
        assert_eq!(decoded("iso-2022-jp", octets), expected, "{octets:?}");
    }
    let mut decoder = Decoder::new(Charset::named(b"iso-2022-jp"));
    assert!(decoder.is_ascii(b"plain") && !decoder.is_ascii(b"\x1b$B"));
    for (octets, expected) in [(&b"\x1b"[..], false), (b"$BF", false), (b"|\x1b(B", true), (b"\x1bN", false)]
    {
        decoder.decode(octets, false, &mut String::new());
        assert_eq!(decoder.is_ascii(b"plain"), expected, "{octets:?}");
    }
}
