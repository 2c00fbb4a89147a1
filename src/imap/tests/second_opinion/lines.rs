//! Random commands, most of them valid, in all the ways in which they can be written.

use crate::flash::sim::Choices;

/// Writes the commands that follow from one seed.
pub struct Lines(pub Choices);

const MAILBOXES: [&str; 9] =
    ["INBOX", "inbox", "Sent", "a/b", "two words", "Entw&APw-rfe", "&-x", "a]b", "quo\"te\\"];
const WORDS: [&str; 10] = ["NIL", "x", "two words", "", "a]b", "quo\"te", "back\\slash", "(in)", "50%", "a*"];
const FLAGS: [&str; 10] = [
    "\\Seen",
    "\\DELETED",
    "\\answered",
    "\\Flagged",
    "\\Draft",
    "$Forwarded",
    "Junk",
    "\\Odd",
    "x]y",
    "NIL",
];
const DAYS: [&str; 5] = ["1-Feb-2026", "01-feb-1994", "29-Feb-2024", "\"31-DEC-1999\"", "\"1-Jan-2000\""];
const DATES: [&str; 3] =
    ["\" 1-Feb-2026 23:59:59 +0000\"", "\"17-Jul-1996 02:44:25 -0700\"", "\"31-Dec-1999 00:00:00 +1400\""];

impl Lines {
    fn of(&mut self, all: &[&str]) -> String {
        all.get(self.0.below(all.len())).map_or_else(String::new, |one| (*one).to_owned())
    }

    /// Mostly one space.
    fn blank(&mut self) -> &'static str {
        match self.0.below(100) {
            0 => "  ",
            1 => "",
            2 => "\t",
            _ => " ",
        }
    }

    fn case(&mut self, word: &str) -> String {
        match self.0.below(4) {
            0 => word.to_ascii_lowercase(),
            1 => word.chars().map(|c| if self.0.chance(50) { c.to_ascii_lowercase() } else { c }).collect(),
            _ => word.to_owned(),
        }
    }

    /// The text as an atom where that is possible, as a quoted string or as a literal.
    fn string(&mut self, text: &str) -> String {
        let special = |c: char| c.is_whitespace() || "(){%*\"\\".contains(c);
        match self.0.below(5) {
            0 => format!("{{{}}}\r\n{text}", text.len()),
            1 => format!("{{{}+}}\r\n{text}", text.len()),
            2 | 3 if !text.is_empty() && !text.contains(special) => text.to_owned(),
            _ => self.quoted(text),
        }
    }

    fn quoted(&mut self, text: &str) -> String {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    }

    fn word(&mut self) -> String {
        let word = self.of(&WORDS);
        self.string(&word)
    }

    fn mailbox(&mut self) -> String {
        let name = self.of(&MAILBOXES);
        self.string(&name)
    }

    fn number(&mut self) -> String {
        match self.0.below(12) {
            0 => "*".to_owned(),
            1 => u32::MAX.to_string(),
            2 => "0".to_owned(),
            3 => "4294967296".to_owned(),
            4 => "007".to_owned(),
            _ => (1 + self.0.below(300)).to_string(),
        }
    }

    fn set(&mut self) -> String {
        let count = 1 + self.0.below(4);
        let ranges: Vec<String> = (0..count)
            .map(|_| match self.0.chance(50) {
                true => format!("{}:{}", self.number(), self.number()),
                false => self.number(),
            })
            .collect();
        ranges.join(",")
    }

    fn several(&mut self, most: usize, one: fn(&mut Lines) -> String) -> String {
        let count = 1 + self.0.below(most);
        let mut all = one(self);
        for _ in 1..count {
            let blank = self.blank();
            all.push_str(blank);
            all.push_str(&one(self));
        }
        all
    }

    fn flag(&mut self) -> String {
        self.of(&FLAGS)
    }

    fn flags(&mut self) -> String {
        match self.0.below(5) {
            0 => "()".to_owned(),
            1 => self.several(3, Lines::flag),
            _ => format!("({})", self.several(4, Lines::flag)),
        }
    }

    fn part(&mut self) -> String {
        self.of(&["1", "1.2", "3.1.4", "2.10", "0", "4294967295"])
    }

    fn partial(&mut self) -> String {
        self.of(&["", "", "", "<0.100>", "<7.1>", "<0.0>", "<4294967295.4294967295>", "<5>"])
    }

    fn section(&mut self) -> String {
        let text = match self.0.below(6) {
            0 => self.case("HEADER"),
            1 => self.case("TEXT"),
            2 | 3 => {
                let name = self.of(&["HEADER.FIELDS", "HEADER.FIELDS.NOT"]);
                let field = |lines: &mut Lines| {
                    let name = lines.of(&["Subject", "FROM", "x-odd", "to"]);
                    lines.string(&name)
                };
                format!("{}{}({})", self.case(&name), self.blank(), self.several(3, field))
            }
            4 => self.case("MIME"),
            _ => String::new(),
        };
        match self.0.below(3) {
            0 => text,
            _ if text.is_empty() => self.part(),
            _ => format!("{}.{text}", self.part()),
        }
    }

    fn item(&mut self) -> String {
        match self.0.below(4) {
            0 => {
                let name = self.of(&["BODY", "BODY.PEEK"]);
                format!("{}[{}]{}", self.case(&name), self.section(), self.partial())
            }
            1 => {
                let name = self.of(&["BINARY", "BINARY.PEEK"]);
                let part = if self.0.chance(70) { self.part() } else { String::new() };
                format!("{}[{part}]{}", self.case(&name), self.partial())
            }
            2 => format!("BINARY.SIZE[{}]", self.part()),
            _ => {
                let name = self.of(&[
                    "BODY",
                    "BODYSTRUCTURE",
                    "ENVELOPE",
                    "FLAGS",
                    "INTERNALDATE",
                    "RFC822",
                    "RFC822.HEADER",
                    "RFC822.SIZE",
                    "RFC822.TEXT",
                    "UID",
                    "MODSEQ",
                ]);
                self.case(&name)
            }
        }
    }

    fn key(&mut self) -> String {
        self.key_at(0)
    }

    fn key_at(&mut self, depth: usize) -> String {
        let blank = self.blank();
        match self.0.below(if depth < 4 { 9 } else { 6 }) {
            0 => self.set(),
            1 => {
                let name = self.of(&["BCC", "BODY", "CC", "FROM", "SUBJECT", "TEXT", "TO"]);
                format!("{}{blank}{}", self.case(&name), self.word())
            }
            2 => {
                let name = self.of(&["BEFORE", "ON", "SINCE", "SENTBEFORE", "SENTON", "SENTSINCE"]);
                format!("{}{blank}{}", self.case(&name), self.of(&DAYS))
            }
            3 => {
                let name = self.of(&["LARGER", "SMALLER", "OLDER", "YOUNGER", "UID", "MODSEQ"]);
                format!("{}{blank}{}", self.case(&name), self.number())
            }
            4 => match self.0.below(3) {
                0 => format!("HEADER{blank}{} {}", self.word(), self.word()),
                1 => format!("KEYWORD{blank}{}", self.of(&["$x", "Junk", "x]y", "NIL"])),
                _ => format!("UNKEYWORD{blank}{}", self.of(&["$x", "Junk"])),
            },
            5 => {
                let name = self.of(&[
                    "ALL",
                    "ANSWERED",
                    "DELETED",
                    "DRAFT",
                    "FLAGGED",
                    "NEW",
                    "OLD",
                    "RECENT",
                    "SEEN",
                    "UNANSWERED",
                    "UNDELETED",
                    "UNDRAFT",
                    "UNFLAGGED",
                    "UNSEEN",
                ]);
                self.case(&name)
            }
            6 => format!("NOT{blank}{}", self.key_at(depth + 1)),
            7 => format!("OR{blank}{} {}", self.key_at(depth + 1), self.key_at(depth + 1)),
            _ => match self.0.chance(50) {
                true => format!("({})", self.key_at(depth + 1)),
                false => format!("({} {})", self.key_at(depth + 1), self.key_at(depth + 1)),
            },
        }
    }

    fn search(&mut self) -> String {
        let charset = self.of(&["", "", "CHARSET UTF-8 ", "CHARSET \"us-ascii\" "]);
        format!("{charset}{}", self.several(3, Lines::key))
    }

    fn entry(&mut self) -> String {
        let entry = self.of(&["/private/comment", "/SHARED/vendor/x/y", "/shared/Comment"]);
        self.string(&entry)
    }

    /// One command, with its tag and its CRLF.
    pub fn next(&mut self) -> String {
        let tag = self.of(&["a", "A001", "x.7", "a]b", "1", "[", "é", "a+b", "~"]);
        let (one, two) = (self.blank(), self.blank());
        let uid = if self.0.chance(40) { self.case("UID ") } else { String::new() };
        let name = self.of(&[
            "CAPABILITY",
            "NOOP",
            "LOGOUT",
            "STARTTLS",
            "NAMESPACE",
            "IDLE",
            "CHECK",
            "CLOSE",
            "UNSELECT",
            "EXPUNGE",
            "AUTHENTICATE",
            "LOGIN",
            "SELECT",
            "EXAMINE",
            "CREATE",
            "DELETE",
            "RENAME",
            "SUBSCRIBE",
            "UNSUBSCRIBE",
            "LIST",
            "LSUB",
            "STATUS",
            "APPEND",
            "SEARCH",
            "SEARCH",
            "SEARCH",
            "SEARCH",
            "SORT",
            "THREAD",
            "FETCH",
            "FETCH",
            "FETCH",
            "FETCH",
            "STORE",
            "STORE",
            "COPY",
            "MOVE",
            "ENABLE",
            "GETQUOTA",
            "GETQUOTAROOT",
            "ID",
            "GETMETADATA",
            "SETMETADATA",
        ]);
        let arguments = match name.as_str() {
            "EXPUNGE" if !uid.is_empty() => self.set(),
            "AUTHENTICATE" => self.of(&["PLAIN", "plain =", "PLAIN AGEAYg==", "SCRAM-SHA-256", "X-ODD YQ=="]),
            "LOGIN" => format!("{}{two}{}", self.word(), self.word()),
            "SELECT" | "EXAMINE" => {
                let params = self.of(&[
                    "",
                    "",
                    " (CONDSTORE)",
                    " (qresync (7 9))",
                    " (QRESYNC (67890007 90060115194045000 41:211))",
                    " (QRESYNC (7 9 1:5 (1,3 2,4)))",
                    " (QRESYNC (7 9 (1:2 3:4)) CONDSTORE)",
                    " (QRESYNC (0 9))",
                ]);
                format!("{}{params}", self.mailbox())
            }
            "CREATE" | "DELETE" | "SUBSCRIBE" | "UNSUBSCRIBE" | "GETQUOTAROOT" => self.mailbox(),
            "GETQUOTA" => self.word(),
            "RENAME" => format!("{}{two}{}", self.mailbox(), self.mailbox()),
            "LIST" | "LSUB" => {
                let pattern = self.of(&["%", "*", "a/%", "\"\"", "\"two *\"", "Entw&APw-%", "x]*"]);
                let reference = self.of(&["\"\"", "a/", "INBOX", "{0}\r\n"]);
                format!("{reference}{two}{pattern}")
            }
            "STATUS" => {
                let item = |lines: &mut Lines| {
                    let item = lines.of(&[
                        "MESSAGES",
                        "RECENT",
                        "UIDNEXT",
                        "UIDVALIDITY",
                        "UNSEEN",
                        "DELETED",
                        "SIZE",
                        "DELETED-STORAGE",
                        "HIGHESTMODSEQ",
                    ]);
                    lines.case(&item)
                };
                format!("{}{two}({})", self.mailbox(), self.several(4, item))
            }
            "APPEND" => {
                let flags = if self.0.chance(50) { format!("{} ", self.flags()) } else { String::new() };
                let date = if self.0.chance(50) { format!("{} ", self.of(&DATES)) } else { String::new() };
                let literal =
                    self.of(&["{3}\r\nabc", "{3+}\r\nabc", "~{3}\r\nabc", "~{3+}\r\na\0c", "{2}\r\n\r\n"]);
                format!("{}{two}{flags}{date}{literal}", self.mailbox())
            }
            "SEARCH" => self.search(),
            "SORT" | "THREAD" => {
                let how = match name.as_str() {
                    "SORT" => {
                        let key = |lines: &mut Lines| {
                            let key = lines.of(&[
                                "ARRIVAL",
                                "CC",
                                "DATE",
                                "FROM",
                                "SIZE",
                                "SUBJECT",
                                "TO",
                                "DISPLAYFROM",
                                "DISPLAYTO",
                                "REVERSE DATE",
                                "REVERSE SUBJECT",
                            ]);
                            lines.case(&key)
                        };
                        format!("({})", self.several(3, key))
                    }
                    _ => self.of(&["REFERENCES", "orderedsubject"]),
                };
                format!("{how}{two}{} {}", self.of(&["UTF-8", "\"US-ASCII\""]), self.several(3, Lines::key))
            }
            "FETCH" => {
                let items = match self.0.below(4) {
                    0 => self.of(&["ALL", "fast", "Full"]),
                    1 => self.item(),
                    _ => format!("({})", self.several(4, Lines::item)),
                };
                let modifiers = self.of(&["", "", "", " (CHANGEDSINCE 12345)", " (CHANGEDSINCE 1 VANISHED)"]);
                format!("{}{two}{items}{modifiers}", self.set())
            }
            "STORE" => {
                let modifiers = self.of(&["", "", " (UNCHANGEDSINCE 320162338)", " (UNCHANGEDSINCE 0)"]);
                let how = self.of(&["FLAGS", "+FLAGS", "-FLAGS", "+flags.silent", "FLAGS.SILENT"]);
                format!("{}{modifiers}{two}{how} {}", self.set(), self.flags())
            }
            "COPY" | "MOVE" => format!("{}{two}{}", self.set(), self.mailbox()),
            "ENABLE" => self.several(3, |lines| lines.of(&["CONDSTORE", "qresync", "X-ODD", "METADATA"])),
            "ID" => match self.0.chance(40) {
                true => self.of(&["NIL", "()", "nil"]),
                false => format!("({} {} \"version\" NIL)", self.quoted("name"), self.quoted("an \"x\"")),
            },
            "GETMETADATA" => {
                let options =
                    self.of(&["", "", "(MAXSIZE 1024) ", "(DEPTH infinity) ", "(depth 1 maxsize 0) "]);
                format!("{options}{}{two}({})", self.mailbox(), self.several(2, Lines::entry))
            }
            "SETMETADATA" => {
                let value = self.of(&["NIL", "\"x\"", "{3}\r\nabc", "{3+}\r\nabc", "~{2}\r\n\0x", "\"NIL\""]);
                format!("{}{two}({} {value})", self.mailbox(), self.entry())
            }
            _ => String::new(),
        };
        let takes_uid = ["EXPUNGE", "FETCH", "STORE", "COPY", "MOVE", "SEARCH", "SORT", "THREAD"]
            .contains(&name.as_str());
        let uid = if takes_uid { uid } else { String::new() };
        let (name, blank) = (self.case(&name), if arguments.is_empty() { "" } else { self.blank() });
        format!("{tag}{one}{uid}{name}{blank}{arguments}\r\n")
    }
}
