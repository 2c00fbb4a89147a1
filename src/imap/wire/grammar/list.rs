//! LIST and LSUB: RFC 3501 sections 6.3.8 and 6.3.9, and the extended LIST of RFC 5258 section 6 with the options of
//! RFC 5819 (STATUS), RFC 6154 (SPECIAL-USE) and RFC 9590 (METADATA).

use super::cursor::{Cursor, Parsed};
use super::{Problem, metadata, status_items};
use crate::imap::wire::command::{ListArgs, ListOptions, ListSelect};

/// LSUB (RFC 3501 section 6.3.9), which has no options.
pub fn lsub(cursor: &mut Cursor<'_>) -> Parsed<ListArgs> {
    let reference = cursor.list_mailbox()?;
    cursor.space()?;
    Ok(ListArgs { reference, patterns: vec![cursor.list_mailbox()?], options: None })
}

/// LIST. It is an extended LIST (RFC 5258 section 3) when there are options before or after its arguments, or
/// patterns in parentheses.
pub fn list(cursor: &mut Cursor<'_>) -> Parsed<ListArgs> {
    let mut options = None;
    if cursor.take(b'(') {
        options = Some(ListOptions { select: select(cursor)?, ..ListOptions::default() });
        cursor.space()?;
    }
    let reference = cursor.list_mailbox()?;
    cursor.space()?;
    let patterns = if cursor.take(b'(') {
        options.get_or_insert_default();
        patterns(cursor)?
    } else {
        vec![cursor.list_mailbox()?]
    };
    if cursor.take_word(" RETURN") {
        cursor.space()?;
        cursor.expect(b'(', "return options in parentheses")?;
        returned(cursor, options.get_or_insert_default())?;
    }
    Ok(ListArgs { reference, patterns, options })
}

/// `patterns`, after the opening parenthesis.
fn patterns(cursor: &mut Cursor<'_>) -> Parsed<Vec<String>> {
    let mut patterns = Vec::new();
    loop {
        cursor.element()?;
        patterns.push(cursor.list_mailbox()?);
        if cursor.take(b')') {
            return Ok(patterns);
        }
        cursor.space()?;
    }
}

/// `list-select-opts`, after the opening parenthesis. RECURSIVEMATCH needs another option that can be true of the
/// names below, and REMOTE is not such an option (section 3.1).
fn select(cursor: &mut Cursor<'_>) -> Parsed<ListSelect> {
    let mut select = ListSelect::default();
    options(cursor, "a selection option", |_, name| {
        match name {
            "SUBSCRIBED" => select.subscribed = true,
            "SPECIAL-USE" => select.special_use = true,
            "RECURSIVEMATCH" => select.recursive_match = true,
            "REMOTE" => {}
            _ => return Err(Problem::UnknownItem("selection option")),
        }
        Ok(())
    })?;
    if select.recursive_match && !select.subscribed && !select.special_use {
        return Err(Problem::Expected("SUBSCRIBED or SPECIAL-USE beside RECURSIVEMATCH"));
    }
    Ok(select)
}

/// `list-return-opts`, after the opening parenthesis.
fn returned(cursor: &mut Cursor<'_>, to: &mut ListOptions) -> Parsed<()> {
    options(cursor, "a return option", |cursor, name| {
        match name {
            "SUBSCRIBED" => to.subscribed = true,
            "CHILDREN" | "SPECIAL-USE" => {}
            "STATUS" => {
                cursor.space()?;
                to.status = status_items(cursor)?;
            }
            "METADATA" => {
                cursor.space()?;
                cursor.expect(b'(', "a list of entries")?;
                to.metadata = metadata::entries(cursor)?;
            }
            _ => return Err(Problem::UnknownItem("return option")),
        }
        Ok(())
    })
}

/// Options up to the closing parenthesis. There may be none.
fn options<'a>(
    cursor: &mut Cursor<'a>,
    expected: &'static str,
    mut option: impl FnMut(&mut Cursor<'a>, &str) -> Parsed<()>,
) -> Parsed<()> {
    if cursor.take(b')') {
        return Ok(());
    }
    loop {
        let name = cursor.atom(expected)?.to_ascii_uppercase();
        option(cursor, &name)?;
        if cursor.take(b')') {
            return Ok(());
        }
        cursor.space()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::wire::command::StatusItem;

    fn parsed(line: &str) -> Parsed<ListArgs> {
        let mut cursor = Cursor::new(line.as_bytes());
        let args = list(&mut cursor)?;
        cursor.end()?;
        Ok(args)
    }

    fn args(patterns: &[&str], options: Option<ListOptions>) -> Parsed<ListArgs> {
        let patterns = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
        Ok(ListArgs { reference: String::new(), patterns, options })
    }

    /// Catches: an option that is confused with another or lost, and an extended form that is not recognised.
    #[test]
    fn options_stand_before_and_behind() {
        use StatusItem::*;
        let select = |subscribed, special_use, recursive_match| {
            let select = ListSelect { subscribed, special_use, recursive_match };
            Some(ListOptions { select, ..ListOptions::default() })
        };
        let returned = |subscribed, status: &[StatusItem]| {
            Some(ListOptions { subscribed, status: status.to_vec(), ..ListOptions::default() })
        };
        let plain = || Some(ListOptions::default());
        for (line, patterns, options) in [
            (r#""" %"#, &["%"][..], None),
            (r#"() "" %"#, &["%"], plain()),
            (r#""" (%)"#, &["%"], plain()),
            (r#""" % RETURN ()"#, &["%"], plain()),
            ("\"\" (\"INBOX\" Drafts {3}\r\nS/%)", &["INBOX", "Drafts", "S/%"], plain()),
            (r#"(subscribed) "" *"#, &["*"], select(true, false, false)),
            (r#"(SPECIAL-USE REMOTE) "" *"#, &["*"], select(false, true, false)),
            (r#"(RECURSIVEMATCH SUBSCRIBED) "" *"#, &["*"], select(true, false, true)),
            (r#"(REMOTE Special-Use RecursiveMatch) "" *"#, &["*"], select(false, true, true)),
            (r#"(REMOTE) "" *"#, &["*"], plain()),
            (r#""" % return (Special-Use)"#, &["%"], plain()),
            (r#""" % RETURN (CHILDREN SUBSCRIBED)"#, &["%"], returned(true, &[])),
            (
                r#""" % RETURN (STATUS (MESSAGES unseen MESSAGES) CHILDREN)"#,
                &["%"],
                returned(false, &[Messages, Unseen]),
            ),
        ] {
            assert_eq!(parsed(line), args(patterns, options), "{line}");
        }
    }

    /// Catches: an unknown option that is accepted, so that the client expects something that it does not get.
    #[test]
    fn wrong_options_are_refused() {
        for line in [
            r#"(RECURSIVEMATCH) "" *"#,
            r#"(RECURSIVEMATCH REMOTE) "" *"#,
            r#"(CHILDREN) "" *"#,
            r#"(SUBSCRIBED "" *"#,
            r#"(SUBSCRIBED ) "" *"#,
            r#"(SUBSCRIBED)"" *"#,
            r#""" ()"#,
            r#""" (% )"#,
            r#""" % RETURN"#,
            r#""" % RETURN(CHILDREN)"#,
            r#""" % RETURN (RECURSIVEMATCH)"#,
            r#""" % RETURN (MYRIGHTS)"#,
            r#""" % RETURN (STATUS)"#,
            r#""" % RETURN (STATUS ())"#,
            r#""" % RETURN (STATUS (COLOUR))"#,
            r#""" % RETURN (CHILDREN"#,
            r#""" % RETURN () RETURN ()"#,
            r#""" % (SUBSCRIBED)"#,
        ] {
            assert!(parsed(line).is_err(), "{line}");
        }
        let lsub = |line: &str| {
            let mut cursor = Cursor::new(line.as_bytes());
            lsub(&mut cursor).and_then(|_| cursor.end())
        };
        assert_eq!(lsub(r#""" %"#), Ok(()));
        for line in [r#"(SUBSCRIBED) "" %"#, r#""" (%)"#, r#""" % RETURN ()"#] {
            assert!(lsub(line).is_err(), "LSUB {line}");
        }
        assert_eq!(parsed(&format!("\"\" ({}a)", "a ".repeat(2048))), Err(Problem::TooMany));
    }
}
