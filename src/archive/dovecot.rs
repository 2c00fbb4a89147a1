//! The files that Dovecot keeps in a Maildir besides the messages: UIDs, keywords, subscriptions.

use super::flags::LETTERS;
use super::names;
use crate::store::Uid;

/// The file with the UIDs of the messages' files.
pub const UIDLIST: &str = "dovecot-uidlist";
/// The file with the letters of the keywords.
pub const KEYWORDS: &str = "dovecot-keywords";
/// The file with the subscribed names.
pub const SUBSCRIPTIONS: &str = "subscriptions";

/// The first line of a `dovecot-uidlist`, version 3.
pub fn uidlist_head(uid_validity: u32, uid_next: Uid) -> String {
    format!("3 V{uid_validity} N{uid_next}\n")
}

/// The line of a message in a `dovecot-uidlist`; `base` is the name of its file without flags.
pub fn uidlist_line(uid: Uid, base: &str) -> String {
    format!("{uid} :{base}\n")
}

/// The contents of a `dovecot-uidlist`.
#[derive(Debug, PartialEq, Eq)]
pub struct Uidlist {
    /// UIDVALIDITY.
    pub uid_validity: u32,
    /// UIDNEXT.
    pub uid_next: Uid,
    /// UIDs and the names of their files without flags.
    pub files: Vec<(Uid, String)>,
}

/// Parses a `dovecot-uidlist` of version 3. Malformed lines are skipped.
pub fn parse_uidlist(text: &str) -> Option<Uidlist> {
    let mut lines = text.lines();
    let head = lines.next()?.strip_prefix("3 ")?;
    let field = |key: char| head.split(' ').find_map(|field| field.strip_prefix(key)?.parse().ok());
    let file = |line: &str| {
        let (uid, name) = (line.split(' ').next()?, line.split_once(" :")?.1);
        Some((uid.parse().ok().filter(|uid| *uid > 0)?, name.split(":2,").next()?.to_owned()))
    };
    Some(Uidlist {
        uid_validity: field('V')?,
        uid_next: field('N')?,
        files: lines.filter_map(file).collect(),
    })
}

/// The text of a `dovecot-keywords` with the keywords that have a letter.
pub fn keywords(keywords: &[String]) -> String {
    let named = keywords.iter().take(LETTERS).enumerate().filter(|(_, keyword)| !keyword.is_empty());
    named.map(|(n, keyword)| format!("{n} {keyword}\n")).collect()
}

/// The keywords in a `dovecot-keywords`, each with the number of its letter.
pub fn parse_keywords(text: &str) -> Vec<(usize, String)> {
    let keyword = |line: &str| {
        let (n, keyword) = line.split_once(' ')?;
        Some((n.parse().ok().filter(|n| *n < LETTERS)?, keyword.to_owned()))
    };
    text.lines().filter_map(keyword).collect()
}

/// The text of a `subscriptions` file of version 2, in which tabs separate levels.
pub fn subscriptions(names: &[String]) -> String {
    let line = |name: &String| {
        let folder = names::maildir(name).unwrap_or_else(|| ".INBOX".to_owned());
        folder[1..].replace('.', "\t") + "\n"
    };
    format!("V\t2\n\n{}", names.iter().map(line).collect::<String>())
}

/// The names in a `subscriptions` file of either version.
pub fn parse_subscriptions(text: &str) -> Vec<String> {
    let (tabs, names) = match text.strip_prefix("V\t2\n\n") {
        Some(names) => (true, names),
        None => (false, text),
    };
    let name = |line: &str| match tabs {
        true => names::from_maildir(&format!(".{}", line.replace('\t', "."))),
        false => names::from_maildir(&format!(".{line}")),
    };
    names.lines().filter(|line| !line.is_empty()).map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_dovecot_are_read_and_written() {
        let text = "3 V1275660208 N25022 G3085f01b7f11094c501100008c4a11c1\n\
                    25006 :1276528487.M364837P9451.kurkku,S=1355,W=1394:2,\n25017 W2481 :1276533073.M2427\nnonsense\n";
        let files = vec![
            (25006, "1276528487.M364837P9451.kurkku,S=1355,W=1394".to_owned()),
            (25017, "1276533073.M2427".to_owned()),
        ];
        let uidlist = Uidlist { uid_validity: 1275660208, uid_next: 25022, files };
        assert_eq!(parse_uidlist(text), Some(uidlist));
        let own = uidlist_head(5, 3) + &uidlist_line(2, "x");
        assert_eq!(parse_uidlist(&own).unwrap().files, [(2, "x".to_owned())]);
        assert_eq!(parse_uidlist("1 5 3\n"), None);
        assert_eq!(parse_keywords("0 work\n2 $Junk\n30 none\n"), [(0, "work".into()), (2, "$Junk".into())]);
        let names = ["INBOX".to_owned(), "Ü/a.b".to_owned()];
        assert_eq!(subscriptions(&names), "V\t2\n\nINBOX\n&ANw-\ta\\2eb\n");
        assert_eq!(parse_subscriptions(&subscriptions(&names)), names);
        assert_eq!(parse_subscriptions("INBOX\nSent.Old\n"), ["INBOX", "Sent/Old"]);
    }
}
