//! The result file beside the configuration file, for someone who has a PC and no console.

use std::fmt::Write;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::Reached;
use crate::certificate::in_lines;
use crate::config::Config;
use crate::config::problem::Problem;

/// Its name; it is made with the image, 8 KiB long, and only ever overwritten.
pub const RESULT: &str = "pillarbox-result.txt";
/// Octets of it that are used at the most.
const MAX: usize = 64 << 10;

const TITLE: &str = "Pillarbox: what became of your settings";

/// It went well.
pub fn imported(
    name: &str,
    config: &Config,
    warnings: &[Problem],
    comments: &[usize],
    reached: &Reached,
) -> String {
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
    let _ = write!(
        text,
        "{}\nThe passwords in {name} were replaced by stars (***) of the same length. The device has kept them.\n\
         To change something, edit the file and start the device again. Leave the stars where a password\n\
         is to stay as it is, and write the new one over them where it is not.\n",
        how(reached)
    );
    text + &in_comments(comments)
}

/// What became of comments that held secrets.
fn in_comments(lines: &[usize]) -> String {
    /// Lines that are named.
    const NAMED: usize = 20;
    if lines.is_empty() {
        return String::new();
    }
    let mut named: Vec<String> = lines.iter().take(NAMED).map(usize::to_string).collect();
    if lines.len() > NAMED {
        named.push(format!("and {} more", lines.len() - NAMED));
    }
    format!(
        "\nComments that looked like a password got stars, too; of these the device keeps nothing: line {}.\n\
         What else stands in comments is readable for everyone who has the card: please write no password there.\n",
        named.join(", ")
    )
}

/// It was imported by a version that did not look at comments.
pub fn comments_blanked(name: &str, lines: &[usize]) -> String {
    format!(
        "{TITLE}\n\nYour settings in {name} were imported at an earlier start, and are unchanged.\n{}",
        in_comments(lines)
    )
}

/// It was imported before, and something that stands here is no longer so.
pub fn known(name: &str, reached: &Reached) -> String {
    format!(
        "{TITLE}\n\nYour settings in {name} were imported at an earlier start. What was changed on the device since then\n\
         is in force.\n{}",
        how(reached)
    )
}

/// There is none; the device has settings all the same, or is new.
pub fn no_file(name: &str, reached: &Reached, is_set_up: bool) -> String {
    let mut text = format!("{TITLE}\n\nThere is no {name} on this card, and none is needed.\n");
    text += match is_set_up {
        true => "The device has its settings already, and they are in force.\n",
        false => "The device is new: set it up with a browser of the same network, at the address below.\n",
    };
    text + &how(reached)
}

/// How the device is reached.
fn how(Reached { host, fingerprint }: &Reached) -> String {
    let mut text =
        format!("\nMail programs find the device as {host}; http://{host}/ shows how it is doing.\n");
    if let Some(fingerprint) = fingerprint {
        text += "Its certificate is vouched for by a CA that the device has made. A browser warns of it until that CA is\n\
                 installed; compare what it shows of \"Pillarbox CA\" with this SHA-256 fingerprint first:\n\n";
        text += &in_lines(fingerprint, "  ");
    }
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
    text += "\nThe passwords in the file, also those in comments, are still readable: they are needed for the next try.\n";
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

/// Whether the result file says by which fingerprint the device is known; so does one that is not there.
///
/// # Errors
/// What the system says.
pub fn say(card: &Path, reached: &Reached) -> io::Result<bool> {
    let Some(fingerprint) = &reached.fingerprint else { return Ok(true) };
    match std::fs::read(card.join(RESULT)) {
        Ok(octets) => {
            let text = String::from_utf8_lossy(&octets);
            Ok(in_lines(fingerprint, "").lines().all(|line| text.contains(line)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
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
