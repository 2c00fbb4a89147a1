//! The result file beside the configuration file, for someone who has a PC and no console.

use std::fmt::Write;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::config::Config;
use crate::config::problem::Problem;
use crate::net::mdns::local_name;

/// Its name; it is made with the image, 8 KiB long, and only ever overwritten.
pub const RESULT: &str = "pillarbox-result.txt";
/// Octets of it that are used at the most.
const MAX: usize = 64 << 10;

const TITLE: &str = "Pillarbox: what became of your settings";

/// It went well.
pub fn imported(name: &str, config: &Config, warnings: &[Problem]) -> String {
    let mut text = format!("{TITLE}\n\nYour settings in {name} were imported and are in force.\n");
    if !warnings.is_empty() {
        text += "\nPlease look at this, it may not be as you meant it:\n";
        listed(&mut text, warnings);
    }
    text += match config.accounts.is_empty() {
        true => "\nThere is no account yet: nobody can log in. Add one to the file, or on the console.\n",
        false => "\nAccounts:\n",
    };
    for account in &config.accounts {
        let _ = writeln!(text, "  {}  {}", account.name, account.address);
    }
    let host = local_name(&config.server.hostname);
    let _ = write!(
        text,
        "\nMail programs find the device as {host}. Its own certificate is vouched for by a CA that\n\
         the device has made; http://{host}/ shows how it is doing.\n\n\
         The passwords in {name} were replaced by stars (***) of the same length. The device has kept them.\n\
         To change something, edit the file and start the device again. Leave the stars where a password\n\
         is to stay as it is, and write the new one over them where it is not.\n"
    );
    text
}

/// The power went in the middle.
pub fn blanked(name: &str) -> String {
    format!(
        "{TITLE}\n\nYour settings in {name} were imported and are in force. The power went while its passwords were\n\
         replaced by stars (***); that is done now. If you have written new passwords into the file since then, write\n\
         them once more, and start the device again.\n"
    )
}

/// It has mistakes.
pub fn refused(name: &str, problems: &[Problem]) -> String {
    let mut text = format!(
        "{TITLE}\n\nNothing was changed, because {name} has mistakes. Correct these lines, save the file, put the card\n\
         back, and start the device again:\n\n"
    );
    let (errors, warnings): (Vec<_>, Vec<_>) = problems.iter().partition(|problem| problem.is_error());
    listed(&mut text, errors);
    if !warnings.is_empty() {
        text += "\nBesides:\n";
        listed(&mut text, warnings);
    }
    text += "\nThe passwords in the file are still readable: they are needed for the next try.\n";
    text
}

/// The device could not do it.
pub fn given_up(name: &str, error: &str) -> String {
    format!(
        "{TITLE}\n\n{name} was not imported, or its passwords are still readable, because of this:\n\n  {error}\n\n\
         Start the device again. If this stays, the card is full, damaged or write-protected: try another one.\n"
    )
}

fn listed<'a>(text: &mut String, problems: impl IntoIterator<Item = &'a Problem>) {
    for problem in problems {
        let _ = writeln!(text, "  {problem}");
    }
}

/// Puts `words` into the result file, which keeps its length; one that is not there is not made.
///
/// # Errors
/// What the system says.
pub fn write(card: &Path, words: &str) -> io::Result<()> {
    let file = match File::options().read(true).write(true).open(card.join(RESULT)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let len = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX).min(MAX);
    let (content, mut before) = (padded(words, len), vec![0; len]);
    file.read_exact_at(&mut before, 0)?;
    if content == before {
        return Ok(());
    }
    file.write_all_at(&content, 0)?;
    file.sync_all()
}

/// The words with the line ends and the byte order mark that Windows wants, and spaces up to `len` octets.
/// Where they are too long, they end with a line that says so.
fn padded(words: &str, len: usize) -> Vec<u8> {
    const MORE: &str = "  ... and more than fits here\r\n";
    let mark = if words.is_ascii() { "" } else { "\u{feff}" };
    let lines = || words.lines().map(|line| format!("{line}\r\n"));
    let mut content = mark.to_owned() + &lines().collect::<String>();
    if content.len() > len {
        let mut room = len.saturating_sub(mark.len() + MORE.len());
        let fitting = lines().take_while(|line| {
            let fits = line.len() <= room;
            room = room.saturating_sub(line.len());
            fits
        });
        content = mark.to_owned() + &fitting.collect::<String>() + MORE;
    }
    let mut octets = content.into_bytes();
    octets.truncate(len);
    let end = len.saturating_sub(2).max(octets.len());
    octets.resize(end, b' ');
    octets.extend(b"\r\n".iter().take(len - end));
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_keeps_its_length() {
        for (words, len, content) in [
            ("a\nb\n", 12, "a\r\nb\r\n    \r\n"),
            ("a\nb\n", 6, "a\r\nb\r\n"),
            ("a\nb\n", 7, "a\r\nb\r\n\r"),
            ("ä\n", 12, "\u{feff}ä\r\n   \r\n"),
            ("", 3, " \r\n"),
            ("a\n", 0, ""),
            ("a\nb\n", 5, "  ..."),
        ] {
            assert_eq!(String::from_utf8(padded(words, len)).unwrap(), content, "{words:?} in {len}");
        }
        let long = "a line of some length\n".repeat(1000);
        for len in 0..400 {
            assert_eq!(padded(&long, len).len(), len);
        }
        let cut = String::from_utf8(padded(&long, 400)).unwrap();
        assert!(cut.trim_end().ends_with("a line of some length\r\n  ... and more than fits here"), "{cut}");
    }
}
