//! Whether the last line of a message has its line end. A server that sends a message line by line adds a line end
//! when there is none (RFC 1939 section 3), and has to count it before anyone reads the message (section 11).

use super::Flags;

/// How a message ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum LastLine {
    /// Not known: the message was stored before this was kept, or copied by an earlier version.
    #[default]
    Unknown,
    /// The message ends in CRLF, or is empty.
    Ended,
    /// The message ends in anything else.
    Unended,
}

/// The bit of [`LastLine::Ended`] on flash, between the bits of the system flags and those of keywords.
/// The bit of [`LastLine::Unended`] on flash, beside that of `ENDED`.
const ENDED: u64 = 1 << 5;
const UNENDED: u64 = 1 << 6;

impl LastLine {
    /// How a message ends whose last octets are `end`: its last two octets, or all that it has.
    pub fn of(end: &[u8]) -> LastLine {
        if end.is_empty() || end.ends_with(b"\r\n") { LastLine::Ended } else { LastLine::Unended }
    }

    /// The bits among a message's flags on flash.
    pub fn bits(self) -> u64 {
        match self {
            LastLine::Unknown => 0,
            LastLine::Ended => ENDED,
            LastLine::Unended => UNENDED,
        }
    }

    /// Splits the flags of a message on flash into how the message ends and its flags.
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

    /// Catches: half of a CRLF that counts as one, and bits that are confused with those of keywords or system flags.
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
