//! UTF-7 (RFC 2152).

/// A decoder at some place in a text.
#[derive(Default)]
pub struct Utf7 {
    /// Within base64: the bits that do not make a whole unit yet, and their number.
    shifted: Option<(u32, u32)>,
    /// Whether a `+` came last.
    fresh: bool,
    /// The first half of a surrogate pair.
    high: Option<u16>,
}

impl Utf7 {
    /// Appends the text that is complete with the octet `b`.
    pub fn push(&mut self, b: u8, out: &mut String) {
        let Some((bits, held)) = self.shifted else {
            match b {
                b'+' => (self.shifted, self.fresh) = (Some((0, 0)), true),
                _ => out.push(char::from(b)),
            }
            return;
        };
        let fresh = std::mem::take(&mut self.fresh);
        if let Some(sextet) = sextet(b) {
            let (bits, held) = (bits << 6 | sextet, held + 6);
            if held < 16 {
                self.shifted = Some((bits, held));
            } else {
                let held = held - 16;
                self.unit((bits >> held) as u16, out);
                self.shifted = Some((bits & ((1 << held) - 1), held));
            }
            return;
        }
        (self.shifted, self.high) = (None, None);
        match b {
            b'-' if fresh => out.push('+'),
            b'-' => (),
            _ => self.push(b, out),
        }
    }

    fn unit(&mut self, unit: u16, out: &mut String) {
        let units = [self.high.take().unwrap_or(unit), unit];
        let units = if units[0] == unit { &units[1..] } else { &units[..] };
        if matches!(units, [0xd800..=0xdbff]) {
            self.high = Some(unit);
            return;
        }
        out.extend(
            char::decode_utf16(units.iter().copied()).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)),
        );
    }
}

/// The value of a base64 character; `None` for others.
fn sextet(b: u8) -> Option<u32> {
    Some(match b {
        b'A'..=b'Z' => u32::from(b - b'A'),
        b'a'..=b'z' => u32::from(b - b'a') + 26,
        b'0'..=b'9' => u32::from(b - b'0') + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}
