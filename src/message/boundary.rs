//! Delimiter lines of multiparts (RFC 2046 section 5.1.1).

/// Octets of a boundary at most. RFC 2046 allows 70 characters; no mail program is known that exceeds this limit.
pub const MAX_BOUNDARY: usize = 250;

/// Octets that [`Boundaries::delimiter`] needs to see: a line with the longest boundary and some padding.
pub const MAX_LINE: usize = 512;

/// The boundaries of the open multiparts, the outermost first.
#[derive(Default)]
pub struct Boundaries(Vec<Vec<u8>>);

/// A delimiter line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delimiter {
    /// How many multiparts are around the one that it belongs to.
    pub level: usize,
    /// Whether `--` follows the boundary, so that the multipart has no more parts.
    pub close: bool,
}

impl Boundaries {
    /// Opens a multipart within the others, and returns its level.
    pub fn push(&mut self, boundary: Vec<u8>) -> usize {
        self.0.push(boundary);
        self.0.len() - 1
    }

    /// Closes multiparts from the inside until `level` are open.
    pub fn truncate(&mut self, level: usize) {
        self.0.truncate(level);
    }

    /// How many multiparts are open.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The delimiter line that `text` begins with. A delimiter of an outer multipart also ends the inner ones, so
    /// that a missing end does not swallow what follows.
    pub fn delimiter(&self, text: &[u8]) -> Option<Delimiter> {
        let text = text.strip_prefix(b"--")?;
        self.0.iter().enumerate().rev().find_map(|(level, boundary)| {
            let rest = text.strip_prefix(boundary.as_slice())?;
            let (rest, close) = rest.strip_prefix(b"--").map_or((rest, false), |rest| (rest, true));
            // "Transport padding": blanks that a gateway may have added.
            let end = rest.iter().find(|b| !matches!(b, b' ' | b'\t' | b'\r'));
            matches!(end, None | Some(b'\n')).then_some(Delimiter { level, close })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delimiter_lines() {
        let mut boundaries = Boundaries::default();
        boundaries.push(b"outer".to_vec());
        boundaries.push(b"outer-inner".to_vec());
        let delimiter = |level, close| Some(Delimiter { level, close });
        for (line, expected) in [
            ("--outer\r\nx", delimiter(0, false)),
            ("--outer--", delimiter(0, true)),
            ("--outer-- \t\nx", delimiter(0, true)),
            ("--outer-inner\n", delimiter(1, false)),
            ("--outer-inner-- ", delimiter(1, true)),
            ("--outer-in\n", None),
            ("--outer x\n", None),
            ("-- outer\n", None),
            ("outer", None),
        ] {
            assert_eq!(boundaries.delimiter(line.as_bytes()), expected, "{line:?}");
        }
        boundaries.truncate(1);
        assert_eq!(boundaries.delimiter(b"--outer-inner\n"), None);
    }
}
