//! What the scripts of a card image have noticed, for the status: one file of one line each, in a folder of the run folder.
//!
//! A file is there for as long as it is so: a card that is too short, a slot that cannot be started, no answer from a DHCP
//! server. Only root makes them; they are read like anything from outside all the same.

use std::fs;

use super::{Board, read};

/// The folder, in the run folder.
const FOLDER: &str = "remarks";
/// Remarks that are told, at most.
const MOST: usize = 16;
/// Names of the folder that are looked at, at most.
const LISTED: usize = 64;
/// Octets of one that are told, at most.
const LENGTH: u64 = 400;

/// What the owner's file was refused for.
pub const FIRST_CONFIGURATION: &str = "first-configuration";
/// What is told where there are no settings for another reason than that nobody has made any: none could be taken, read or
/// found.
const WITHOUT_SETTINGS: [&str; 3] = [FIRST_CONFIGURATION, "settings", "data"];

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// What it is about: the name of its file.
    pub about: String,
    /// One line without control characters.
    pub words: String,
}

impl Remark {
    /// Whether it tells why there are no settings.
    pub fn is_why_nothing_is_set(&self) -> bool {
        WITHOUT_SETTINGS.contains(&self.about.as_str())
    }
}

impl Board {
    /// What is so now, in the order of the names.
    pub fn remarks(&self) -> Vec<Remark> {
        let folder = self.file(FOLDER);
        // What cannot be read is not told; the log has it, too.
        let names = fs::read_dir(&folder).into_iter().flatten().flatten().take(LISTED);
        let mut names: Vec<String> = names.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_unstable();
        let remark = |about: String| {
            let octets = read(&folder.join(&about), LENGTH).ok().flatten()?;
            let words = line(&octets);
            (!words.is_empty()).then_some(Remark { about, words })
        };
        names.into_iter().filter_map(remark).take(MOST).collect()
    }
}

/// The first line that says something. A character that the end cuts in two is left out.
fn line(octets: &[u8]) -> String {
    let text: String = octets.utf8_chunks().map(|chunk| chunk.valid()).collect();
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.lines()
        .map(|line| line.chars().map(plain).collect::<String>())
        .map(|line| line.trim().to_owned())
        .find(|line| !line.is_empty())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a remark that is lost or cut, one that goes on when it is over, one that moves the cursor of who reads it, a
    /// status without end, and a folder that is taken for a remark.
    #[test]
    fn what_the_scripts_say_is_told_as_long_as_it_is_so() {
        let run = std::env::temp_dir().join(format!("pillarbox-remarks-{}", std::process::id()));
        let board = Board::new(&run);
        assert_eq!(board.remarks(), []);
        let folder = run.join(FOLDER);
        fs::create_dir_all(folder.join("a-folder")).unwrap();
        for (about, text) in [
            ("slot", &b"slot B cannot be started\n"[..]),
            ("card", b"\n\n  the card\x1b[2J is \xff too\tshort\r\nmore\n"),
            ("empty", b" \n"),
        ] {
            fs::write(folder.join(about), text).unwrap();
        }
        let told = |about: &str, words: &str| Remark { about: about.to_owned(), words: words.to_owned() };
        let (card, slot) =
            (told("card", "the card [2J is  too short"), told("slot", "slot B cannot be started"));
        assert_eq!(board.remarks(), [card, slot.clone()]);
        fs::remove_file(folder.join("card")).unwrap();
        assert_eq!(board.remarks(), [slot]);

        fs::write(folder.join("long"), "ä".repeat(10_000)).unwrap();
        assert_eq!(board.remarks()[0].words, "ä".repeat(200));
        // A character of which the last octet is beyond the end.
        fs::write(folder.join("long"), format!("a{}", "ä".repeat(10_000))).unwrap();
        assert_eq!(board.remarks()[0].words, format!("a{}", "ä".repeat(199)));
        for n in 0..100 {
            fs::write(folder.join(format!("n{n}")), "x").unwrap();
        }
        assert_eq!(board.remarks().len(), MOST);
        fs::remove_dir_all(run).unwrap();
    }

    #[test]
    fn who_has_settings_that_cannot_be_read_is_not_told_to_make_some() {
        for (about, is) in
            [("first-configuration", true), ("settings", true), ("data", true), ("slot", false)]
        {
            assert_eq!(Remark { about: about.to_owned(), words: String::new() }.is_why_nothing_is_set(), is);
        }
    }
}
