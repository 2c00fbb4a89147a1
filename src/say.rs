//! What a program says to whoever started it, where that is more than a log.
//!
//! Nobody may be there: a pipe that was closed, a disk that is full, a serial line that hung up. That is no reason to stop
//! serving mail, which `println!` would do by its panic.

use std::fmt::Display;
use std::io::{self, Write};

/// One line on standard output, if somebody takes it.
pub fn out(line: impl Display) {
    write(io::stdout().lock(), line);
}

/// One line on standard error, if somebody takes it.
pub fn err(line: impl Display) {
    write(io::stderr().lock(), line);
}

/// In one piece, so that what others write does not come in between.
fn write(mut to: impl Write, line: impl Display) {
    let _ = to.write_all(format!("{line}\n").as_bytes()).and_then(|()| to.flush());
}

/// So many of something, as one says it: `1 message`, `2 messages`, `0 mailboxes`.
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
