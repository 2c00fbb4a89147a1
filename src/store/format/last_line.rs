//! Whether the last line of a message has its line end. Who sends a message line by line adds one where it has none (RFC 1939
//! section 3), and has to count it before anyone reads the message (section 11).

use super::Flags;

/// How a message ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum LastLine {
    /// It came before this was kept, or an earlier version has copied it.
    #[default]
    Unknown,
    /// In CRLF, or there is nothing of it.
    Ended,
    /// In anything else.
    Unended,
}

/// On flash it stands between the bits of the system flags and those of keywords.
const ENDED: u64 = 1 << 5;
const UNENDED: u64 = 1 << 6;

impl LastLine {
    /// Of a message that ends in these octets: its last two, or all that it has.
    pub fn of(end: &[u8]) -> LastLine {
        if end.is_empty() || end.ends_with(b"\r\n") { LastLine::Ended } else { LastLine::Unended }
    }

    /// As it stands among a message's flags on flash.
    pub fn bits(self) -> u64 {
        match self {
            LastLine::Unknown => 0,
            LastLine::Ended => ENDED,
            LastLine::Unended => UNENDED,
        }
    }

    /// What stands among a message's flags on flash, and the flags without it.
    pub fn split(bits: u64) -> (LastLine, Flags) {
        let last_line = match bits & (ENDED | UNENDED) {
            ENDED => LastLine::Ended,
            UNENDED => LastLine::Unended,
            _ => LastLine::Unknown,
        };
        (last_line, Flags(bits & !(ENDED | UNENDED)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a half of CRLF taken for it, and bits that are taken for a keyword's or a system flag's.
    #[test]
    fn a_last_line_ends_in_crlf_and_nothing_else() {
        for (end, ended) in
            [(&b""[..], true), (b"\r\n", true), (b"a\r\n", true), (b"\n", false), (b"\r", false)]
                .into_iter()
                .chain([(&b"a\n"[..], false), (b"\n\r", false), (b"a", false), (b"\r\n.", false)])
        {
            assert_eq!(LastLine::of(end) == LastLine::Ended, ended, "{end:?}");
        }
        let all = (0..Flags::KEYWORDS).map(Flags::keyword).fold(Flags(0x1f), Flags::with);
        for last_line in [LastLine::Unknown, LastLine::Ended, LastLine::Unended] {
            assert_eq!(LastLine::split(all.0 | last_line.bits()), (last_line, all));
        }
        assert_eq!(LastLine::split(ENDED | UNENDED), (LastLine::Unknown, Flags::NONE), "nobody writes that");
    }
}
