//! Character sets in seven-bit octets that are shifted between ASCII and another set.

use encoding_rs::{EUC_KR, GBK};

use super::known;

/// How characters of two octets are shifted into seven-bit octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shift {
    /// ISO-2022-KR (RFC 1557), with SO and SI.
    Kr,
    /// ISO-2022-CN (RFC 1922), with SO and SI; what it has beyond GB 2312 is not known.
    Cn,
    /// HZ-GB-2312 (RFC 1843), with `~{` and `~}`.
    Hz,
}

/// Removes the shifts, so that the text is in an eight-bit character set.
pub struct Shifted {
    shift: Shift,
    inner: encoding_rs::Decoder,
    on: bool,
    /// Octets of an escape sequence that are still to come.
    skip: u8,
    /// Whether `~` came last.
    tilde: bool,
}

impl Shifted {
    /// A decoder at the beginning of a text.
    pub fn new(shift: Shift) -> Shifted {
        let inner = match shift {
            Shift::Kr => EUC_KR,
            Shift::Cn | Shift::Hz => GBK,
        };
        let inner = inner.new_decoder_without_bom_handling();
        Shifted { shift, inner, on: false, skip: 0, tilde: false }
    }

    /// Appends the text of `octets`. `last` says whether they are the end of the text.
    pub fn decode(&mut self, octets: &[u8], last: bool, out: &mut String) {
        let mut plain = Vec::with_capacity(octets.len());
        for &b in octets {
            if self.skip > 0 {
                self.skip -= 1;
                continue;
            }
            match (self.shift, b) {
                // ESC $ ) C, or ESC $ ) A
                (Shift::Kr | Shift::Cn, 0x1b) => self.skip = 3,
                (Shift::Kr | Shift::Cn, 0x0e) => self.on = true,
                (Shift::Kr | Shift::Cn, 0x0f) => self.on = false,
                (Shift::Hz, _) if std::mem::take(&mut self.tilde) => match b {
                    b'{' => self.on = true,
                    b'}' => self.on = false,
                    b'\n' => (),
                    _ => plain.push(b),
                },
                (Shift::Hz, b'~') => self.tilde = true,
                // Neither shift continues in the next line.
                (_, b'\n') => {
                    self.on = false;
                    plain.push(b);
                }
                (_, 0x21..=0x7e) if self.on => plain.push(b | 0x80),
                _ => plain.push(b),
            }
        }
        known(&mut self.inner, &plain, last, out);
    }
}
