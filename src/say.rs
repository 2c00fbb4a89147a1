//! Lines on standard output and standard error, for the person who started the program.
//!
//! Nobody may be there: a pipe may be closed, a disk full, a serial line hung up. Mail must be served all the same;
//! `println!` would panic.

use std::fmt::Display;
use std::io::{self, Write};

/// Writes a line to standard output, and ignores errors.
pub fn out(line: impl Display) {
    write(io::stdout().lock(), line);
}

/// Writes a line to standard error, and ignores errors.
pub fn err(line: impl Display) {
    write(io::stderr().lock(), line);
}

/// Writes a line in one piece, so that lines of others do not come in between.
fn write(mut to: impl Write, line: impl Display) {
    let _ = to.write_all(format!("{line}\n").as_bytes()).and_then(|()| to.flush());
}

/// A count with its noun: `1 message`, `2 messages`, `0 mailboxes`.
pub fn counted(count: u64, what: &str) -> String {
    let ending = match what {
        _ if count == 1 => "",
        what if what.ends_with(['x', 's']) => "es",
        _ => "s",
    };
    format!("{count} {what}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_many() {
        for (count, what, said) in [
            (0, "message", "0 messages"),
            (1, "message", "1 message"),
            (2, "message", "2 messages"),
            (1, "mailbox", "1 mailbox"),
            (3, "mailbox", "3 mailboxes"),
            (1, "address", "1 address"),
            (2, "address", "2 addresses"),
        ] {
            assert_eq!(counted(count, what), said);
        }
    }
}
