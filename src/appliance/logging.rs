//! Where log lines go, and when they begin with the time.

use std::io::{self, Write};
use std::os::fd::AsFd;

use crate::clock::unix_now;
use crate::message::date::rfc3339;

/// Sends log lines to standard error, from level `info` on or as `RUST_LOG` says. Each line begins with the time, unless syslog
/// (`on_a_board`) or systemd's journal (elsewhere) takes the lines and adds its own.
pub fn begin(on_a_board: bool) {
    let filter = env_logger::Env::default().default_filter_or("info");
    let mut logger = env_logger::Builder::from_env(filter);
    logger.format_target(false);
    if !on_a_board && !is_journal(std::env::var("JOURNAL_STREAM").ok().as_deref(), io::stderr()) {
        logger.format(|out, record| {
            writeln!(out, "{} [{:5}] {}", rfc3339(unix_now()), record.level(), record.args())
        });
    }
    logger.init();
}

/// Whether `file` is the one that `JOURNAL_STREAM` names by device and inode (systemd.exec(5)). Somebody may have redirected
/// it since.
fn is_journal(stream: Option<&str>, file: impl AsFd) -> bool {
    let (Some(stream), Ok(stat)) = (stream, rustix::fs::fstat(file)) else { return false };
    stream == format!("{}:{}", stat.st_dev, stat.st_ino)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    /// Catches: a second time in each line of the journal, and no time where somebody redirected the lines.
    #[test]
    fn the_journal_is_known_by_its_file() {
        let (one, other) = (File::open("/dev/null").unwrap(), File::open("/dev/zero").unwrap());
        let stat = rustix::fs::fstat(&one).unwrap();
        let stream = format!("{}:{}", stat.st_dev, stat.st_ino);
        assert!(is_journal(Some(&stream), &one));
        assert!(!is_journal(Some(&stream), &other) && !is_journal(None, &one) && !is_journal(Some(""), &one));
    }
}
