//! Domains with characters above ASCII as servers know them that do not: A-labels (RFC 5890 section 2.3.2.1), which are made
//! with Punycode (RFC 3492).

use unicode_normalization::UnicodeNormalization;

/// RFC 1035 section 2.3.4.
const MAX_LABEL: usize = 63;
const MAX_DOMAIN: usize = 255;

/// RFC 3492 section 5.
const BASE: u32 = 36;
const TMIN: u32 = 1;
const TMAX: u32 = 26;
const SKEW: u32 = 38;
const DAMP: u32 = 700;

/// `domain` in ASCII; `None` where a label would be too long, or is none.
pub fn a_label(domain: &str) -> Option<String> {
    if domain.is_ascii() {
        return Some(domain.to_owned());
    }
    // More is never less in Punycode.
    if domain.len() > 4 * MAX_DOMAIN {
        return None;
    }
    let lower: String = domain.chars().flat_map(char::to_lowercase).nfc().collect();
    // RFC 3490 section 3.1: these are dots, too.
    let labels: Option<Vec<String>> =
        lower.split(['.', '\u{3002}', '\u{ff0e}', '\u{ff61}']).map(label).collect();
    labels.map(|labels| labels.join(".")).filter(|ascii| ascii.len() <= MAX_DOMAIN)
}

fn label(label: &str) -> Option<String> {
    let bad = |c: char| {
        c.is_control()
            || c.is_whitespace()
            || (c.is_ascii() && !c.is_ascii_alphanumeric() && !"-_".contains(c))
    };
    if label.is_empty() || label.starts_with('-') || label.ends_with('-') || label.contains(bad) {
        return None;
    }
    let ascii = if label.is_ascii() { label.to_owned() } else { format!("xn--{}", punycode(label)?) };
    (ascii.len() <= MAX_LABEL).then_some(ascii)
}

/// RFC 3492 section 6.3.
fn punycode(label: &str) -> Option<String> {
    let mut out: String = label.chars().filter(char::is_ascii).collect();
    let basic = u32::try_from(out.len()).ok()?;
    if basic > 0 {
        out.push('-');
    }
    let count = u32::try_from(label.chars().count()).ok()?;
    let (mut n, mut delta, mut bias, mut handled) = (0x80_u32, 0_u32, 72_u32, basic);
    while handled < count {
        let next = label.chars().map(u32::from).filter(|&c| c >= n).min()?;
        delta = delta.checked_add((next - n).checked_mul(handled + 1)?)?;
        n = next;
        for c in label.chars().map(u32::from) {
            if c < n {
                delta = delta.checked_add(1)?;
            }
            if c == n {
                number(delta, bias, &mut out);
                bias = adapted(delta, handled + 1, handled == basic);
                delta = 0;
                handled += 1;
            }
        }
        delta = delta.checked_add(1)?;
        n = n.checked_add(1)?;
        if out.len() > MAX_LABEL {
            return None;
        }
    }
    Some(out)
}

/// A generalized variable-length integer (RFC 3492 section 3.3).
fn number(delta: u32, bias: u32, out: &mut String) {
    let digit = |value: u32| char::from(b"abcdefghijklmnopqrstuvwxyz0123456789"[(value % BASE) as usize]);
    let (mut rest, mut k) = (delta, BASE);
    loop {
        let threshold = k.saturating_sub(bias).clamp(TMIN, TMAX);
        if rest < threshold {
            break;
        }
        out.push(digit(threshold + (rest - threshold) % (BASE - threshold)));
        rest = (rest - threshold) / (BASE - threshold);
        k += BASE;
    }
    out.push(digit(rest));
}

/// RFC 3492 section 6.1.
fn adapted(delta: u32, count: u32, first: bool) -> u32 {
    let mut delta = if first { delta / DAMP } else { delta / 2 };
    delta += delta / count;
    let mut k = 0;
    while delta > (BASE - TMIN) * TMAX / 2 {
        delta /= BASE - TMIN;
        k += BASE;
    }
    k + (BASE - TMIN + 1) * delta / (delta + SKEW)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples of RFC 3492 section 7.1 and of names that there are.
    #[test]
    fn domains_in_ascii() {
        for (domain, expected) in [
            ("home.example", Some("home.example")),
            ("Home.example", Some("Home.example")),
            ("m\u{fc}nchen.example", Some("xn--mnchen-3ya.example")),
            ("M\u{dc}NCHEN.example", Some("xn--mnchen-3ya.example")),
            ("mu\u{308}nchen.example", Some("xn--mnchen-3ya.example")),
            ("b\u{fc}cher.m\u{fc}nchen", Some("xn--bcher-kva.xn--mnchen-3ya")),
            (
                "\u{4ed6}\u{4eec}\u{4e3a}\u{4ec0}\u{4e48}\u{4e0d}\u{8bf4}\u{4e2d}\u{6587}",
                Some("xn--ihqwcrb4cv8a8dqg056pqjye"),
            ),
            ("\u{4f8b}\u{5b50}\u{3002}\u{6d4b}\u{8bd5}", Some("xn--fsqu00a.xn--0zwm56d")),
            ("\u{fc}..example", None),
            ("-\u{fc}.example", None),
            ("\u{fc} x.example", None),
        ] {
            assert_eq!(a_label(domain).as_deref(), expected, "{domain}");
        }
        assert_eq!(a_label(&"\u{fc}".repeat(300)), None);
        assert_eq!(a_label(&format!("{}.example", "\u{fc}a".repeat(40))), None, "a label that is too long");
    }
}
