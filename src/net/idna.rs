//! Domain names above ASCII (RFC 5890): converts what people write (`münchen.example`) to the form of the DNS, the
//! settings and older mail servers (`xn--mnchen-3ya.example`).
//!
//! A name is converted to lower case and composed (NFKC) before it is encoded with Punycode (RFC 3492), so all its
//! spellings become one. Each registry decides which characters it allows: here letters, digits and marks are
//! accepted, symbols are not.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Octets of a label, at most (RFC 1035 section 2.3.4).
const MAX_LABEL: usize = 63;
/// The prefix of an A-label (RFC 5890 section 2.3.2.1).
const ACE_PREFIX: &str = "xn--";

/// `domain` with each U-label converted to its A-label. ASCII domains are not changed or checked.
///
/// `None` if a label above ASCII is invalid.
pub fn to_ascii(domain: &str) -> Option<Cow<'_, str>> {
    if domain.is_ascii() {
        return Some(Cow::Borrowed(domain));
    }
    let mut ascii = String::with_capacity(domain.len() + ACE_PREFIX.len());
    // The dots of Chinese and Japanese keyboards count as dots (RFC 3490 section 3.1).
    for (i, label) in domain.split(['.', '\u{3002}', '\u{ff0e}', '\u{ff61}']).enumerate() {
        if i > 0 {
            ascii.push('.');
        }
        if label.is_ascii() {
            ascii.push_str(label);
        } else {
            ascii.push_str(&a_label(label)?);
        }
    }
    Some(Cow::Owned(ascii))
}

/// Converts a label (RFC 5891 section 4, as far as it is the same for all registries).
fn a_label(label: &str) -> Option<String> {
    // Each character needs at least one octet of an A-label.
    if label.chars().count() > MAX_LABEL {
        return None;
    }
    let label: String = label.chars().flat_map(char::to_lowercase).nfkc().collect();
    let edges = label.starts_with('-') || label.ends_with('-') || label.starts_with(is_combining_mark);
    // Two hyphens at this place end a prefix, and only our own prefix is known.
    if edges || label.get(2..4) == Some("--") || !label.chars().all(is_of_label) {
        return None;
    }
    let encoded = if label.is_ascii() { label } else { format!("{ACE_PREFIX}{}", punycode(&label)?) };
    (encoded.len() <= MAX_LABEL).then_some(encoded)
}

fn is_of_label(c: char) -> bool {
    // Characters that RFC 5892 appendix A allows next to certain others.
    const WITH_OTHERS: [char; 7] =
        ['\u{b7}', '\u{375}', '\u{5f3}', '\u{5f4}', '\u{30fb}', '\u{200c}', '\u{200d}'];
    match c.is_ascii() {
        true => c.is_ascii_alphanumeric() || matches!(c, '-' | '_'),
        false => c.is_alphanumeric() || is_combining_mark(c) || WITH_OTHERS.contains(&c),
    }
}

/// Encodes a label (RFC 3492 section 6.3, with the names of the RFC). `None` if a number becomes too large.
fn punycode(label: &str) -> Option<String> {
    let mut out: String = label.chars().filter(char::is_ascii).collect();
    let basic = u32::try_from(out.len()).ok()?;
    if basic > 0 {
        out.push('-');
    }
    let total = u32::try_from(label.chars().count()).ok()?;
    let (mut n, mut delta, mut bias, mut handled) = (128, 0u32, 72, basic);
    while handled < total {
        let next = label.chars().map(u32::from).filter(|&c| c >= n).min()?;
        delta = delta.checked_add((next - n).checked_mul(handled + 1)?)?;
        n = next;
        for c in label.chars().map(u32::from) {
            if c < n {
                delta = delta.checked_add(1)?;
            }
            if c == n {
                variable_length(delta, bias, &mut out);
                bias = adapt(delta, handled + 1, handled == basic);
                delta = 0;
                handled += 1;
            }
        }
        delta = delta.checked_add(1)?;
        n += 1;
    }
    Some(out)
}

const BASE: u32 = 36;
const T_MIN: u32 = 1;
const T_MAX: u32 = 26;

/// Writes a variable-length integer (RFC 3492 section 3.3).
fn variable_length(delta: u32, bias: u32, out: &mut String) {
    let mut q = delta;
    let mut k = BASE;
    loop {
        let t = k.saturating_sub(bias).clamp(T_MIN, T_MAX);
        if q < t {
            out.push(digit(q));
            return;
        }
        out.push(digit(t + (q - t) % (BASE - t)));
        q = (q - t) / (BASE - t);
        k += BASE;
    }
}

/// Adapts the bias (RFC 3492 section 6.1).
fn adapt(delta: u32, points: u32, first: bool) -> u32 {
    let mut delta = if first { delta / 700 } else { delta / 2 };
    delta += delta / points;
    let mut k = 0;
    while delta > ((BASE - T_MIN) * T_MAX) / 2 {
        delta /= BASE - T_MIN;
        k += BASE;
    }
    k + (BASE - T_MIN + 1) * delta / (delta + 38)
}

/// The digit for a value: 0 to 25 are letters, 26 to 35 digits (RFC 3492 section 5).
fn digit(value: u32) -> char {
    char::from_digit((value + 10) % BASE, BASE).unwrap_or('a')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: an encoding that is right only for German umlauts. The samples are those of RFC 3492 section 7.1, in
    /// lower case.
    #[test]
    fn the_samples_of_the_rfc() {
        for (label, encoded) in [
            ("ليهمابتكلموشعربي؟", "egbpdaj6bu4bxfgehfvwxn"),
            ("他们为什么不说中文", "ihqwcrb4cv8a8dqg056pqjye"),
            ("pročprostěnemluvíčesky", "proprostnemluvesky-uyb24dma41a"),
            ("למההםפשוטלאמדבריםעברית", "4dbcagdahymbxekheh6e0a7fei0b"),
            ("почемужеонинеговорятпорусски", "b1abfaaepdrnnbgefbadotcwatmq2g4l"),
            ("tạisaohọkhôngthểchỉnóitiếngviệt", "tisaohkhngthchnitingvit-kjcr8268qyxafd2f1b9g"),
            ("3年b組金八先生", "3b-ww4c5e180e575a65lsy2b"),
            ("パフィーdeルンバ", "de-jg4avhby1noc0d"),
            ("そのスピードで", "d9juau41awczczp"),
        ] {
            assert_eq!(punycode(label).as_deref(), Some(encoded), "{label}");
        }
    }

    /// Catches: two spellings of one name that differ after the conversion.
    #[test]
    fn names() {
        for (domain, ascii) in [
            ("home.example", Some("home.example")),
            ("Home.Example", Some("Home.Example")),
            ("münchen.example", Some("xn--mnchen-3ya.example")),
            ("MÜNCHEN.example", Some("xn--mnchen-3ya.example")),
            ("mu\u{308}nchen.example", Some("xn--mnchen-3ya.example")),
            ("straße.example", Some("xn--strae-oqa.example")),
            ("例え。テスト", Some("xn--r8jz45g.xn--zckzah")),
            ("ｈｏｍｅ.example", Some("home.example")),
            ("büro.xn--mnchen-3ya.example", Some("xn--bro-hoa.xn--mnchen-3ya.example")),
            ("☕.example", None),
            ("-ü.example", None),
            ("ü-.example", None),
            ("xn--ü.example", None),
            ("\u{308}u.example", None),
            ("ü b.example", None),
            ("ü\u{fffd}.example", None),
            ("ü\u{85}.example", None),
            ("ü\u{2488}.example", None),
        ] {
            assert_eq!(to_ascii(domain).as_deref(), ascii, "{domain}");
        }
        assert_eq!(to_ascii(&"ü".repeat(100_000)), None);
        assert_eq!(to_ascii(&"\u{10ffff}".repeat(63)), None);
        assert!(to_ascii(&"ü".repeat(50)).is_some(), "the longest that fits is shorter than its UTF-8");
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_out_is_ascii_and_stays_as_it_is(domain in "\\PC{0,20}") {
            if let Some(ascii) = to_ascii(&domain) {
                assert!(ascii.is_ascii());
                assert_eq!(to_ascii(&ascii).as_deref(), Some(&*ascii));
            }
        }
    }
}
