//! Parameters and modifiers of RFC 7162 section 7, in the lists that RFC 4466 defines for them.

use super::Problem;
use super::cursor::{Cursor, Parsed};
use super::returns::partial_range;
use crate::imap::wire::command::{Command, FetchItem, MailboxName};
use crate::imap::wire::extension::Extension;
use crate::imap::wire::modseq::{ChangedSince, Resync, SelectParams};
use crate::imap::wire::search::Partial;

/// `ENABLE 1*(SP capability)` (RFC 5161): the known extensions, each once.
pub(super) fn enable(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    let mut extensions = Vec::new();
    loop {
        cursor.element()?;
        let known = Extension::named(cursor.atom("a capability")?);
        extensions.extend(known.filter(|extension| !extensions.contains(extension)));
        let more = cursor.take(b' ');
        cursor.spaces();
        if !more || cursor.peek().is_none() {
            return Ok(Command::Enable(extensions));
        }
    }
}

/// The arguments of SELECT and EXAMINE.
pub(super) fn select(cursor: &mut Cursor<'_>) -> Parsed<(MailboxName, SelectParams)> {
    let mailbox = cursor.mailbox()?;
    let mut params = SelectParams::default();
    list(cursor, |cursor| match () {
        () if cursor.take_word("CONDSTORE") => {
            params.condstore = true;
            Ok(())
        }
        () if cursor.take_word("QRESYNC") && params.qresync.is_none() => {
            cursor.space()?;
            params.qresync = Some(Box::new(resync(cursor)?));
            Ok(())
        }
        () => Err(Problem::UnknownItem("parameter")),
    })?;
    Ok((mailbox, params))
}

/// `(uidvalidity SP mod-sequence-value [SP known-uids] [SP seq-match-data])`.
fn resync(cursor: &mut Cursor<'_>) -> Parsed<Resync> {
    const WHAT: &str = "UIDVALIDITY and MODSEQ in parentheses after QRESYNC";
    if !cursor.open() {
        return Err(Problem::Expected(WHAT));
    }
    let uid_validity = cursor.nz_number()?.get();
    cursor.space()?;
    let modseq = cursor.mod_sequence()?;
    let mut resync = Resync { uid_validity, modseq, known: None, matches: Default::default() };
    if cursor.peek() == Some(b' ') {
        cursor.spaces();
        if cursor.peek().is_some_and(|c| c.is_ascii_digit() || c == b'*') {
            resync.known = Some(cursor.sequence_set()?);
            cursor.spaces();
        }
        if cursor.open() {
            let numbers = cursor.sequence_set()?;
            cursor.space()?;
            let ascending = (numbers.ascending(), cursor.sequence_set()?.ascending());
            let (Some(numbers), Some(uids)) = ascending else {
                return Err(Problem::Expected("ascending numbers"));
            };
            if count(&numbers) != count(&uids) {
                return Err(Problem::Expected("as many UIDs as numbers"));
            }
            if !cursor.close() {
                return Err(Problem::Expected("a closing parenthesis"));
            }
            resync.matches = (numbers, uids);
        }
    }
    if resync.known.as_ref().is_some_and(|known| known.has_star()) {
        return Err(Problem::Expected("UIDs without *"));
    }
    if cursor.close() { Ok(resync) } else { Err(Problem::Expected("a closing parenthesis")) }
}

fn count(ranges: &[std::ops::RangeInclusive<u32>]) -> u64 {
    ranges.iter().map(|range| u64::from(range.end() - range.start()) + 1).sum()
}

/// `fetch-modifiers` (RFC 4466 section 2.4): CHANGEDSINCE and VANISHED of RFC 7162, which add MODSEQ to the items,
/// and PARTIAL (RFC 9394 section 3.3).
pub(super) fn fetch_modifiers(
    cursor: &mut Cursor<'_>,
    uid: bool,
    items: &mut Vec<FetchItem>,
) -> Parsed<(Option<Partial>, Option<ChangedSince>)> {
    let (mut partial, mut since, mut vanished) = (None, None, false);
    list(cursor, |cursor| match () {
        () if since.is_none() && cursor.take_word("CHANGEDSINCE") => {
            cursor.space()?;
            since = Some(cursor.mod_sequence()?);
            Ok(())
        }
        () if cursor.take_word("VANISHED") => {
            vanished = true;
            Ok(())
        }
        () if partial.is_none() && cursor.take_word("PARTIAL") => {
            cursor.space()?;
            partial = Some(partial_range(cursor)?);
            Ok(())
        }
        () => Err(Problem::UnknownItem("fetch modifier")),
    })?;
    if partial.is_some() && !uid {
        return Err(Problem::Expected("UID FETCH where PARTIAL is"));
    }
    if vanished && !uid {
        return Err(Problem::Expected("UID FETCH where VANISHED is asked for"));
    }
    if vanished && since.is_none() {
        return Err(Problem::Expected("CHANGEDSINCE where VANISHED is asked for"));
    }
    if since.is_some() && !items.contains(&FetchItem::Modseq) {
        items.push(FetchItem::Modseq);
    }
    Ok((partial, since.map(|modseq| ChangedSince { modseq, vanished })))
}

/// The modifiers before the flags of a STORE, and the space after them.
pub(super) fn store_modifiers(cursor: &mut Cursor<'_>) -> Parsed<Option<u64>> {
    if cursor.peek() != Some(b'(') {
        return Ok(None);
    }
    let mut unchanged_since = None;
    list(cursor, |cursor| {
        if unchanged_since.is_some() || !cursor.take_word("UNCHANGEDSINCE") {
            return Err(Problem::UnknownItem("modifier"));
        }
        cursor.space()?;
        unchanged_since = Some(cursor.mod_sequence()?);
        Ok(())
    })?;
    cursor.space()?;
    Ok(unchanged_since)
}

/// `search-modsequence` after its name. The entry and its type are parsed and ignored, as RFC 7162 section 3.1.5 says
/// for servers with one MODSEQ for each message.
pub(super) fn search_key(cursor: &mut Cursor<'_>) -> Parsed<u64> {
    cursor.space()?;
    if cursor.peek() == Some(b'"') {
        let entry = cursor.string()?;
        if !entry.get(..7).is_some_and(|start| start.eq_ignore_ascii_case(b"/flags/")) {
            return Err(Problem::Expected("an entry of /flags/"));
        }
        cursor.space()?;
        let kind = cursor.atom("priv, shared or all")?;
        if !["priv", "shared", "all"].iter().any(|known| known.eq_ignore_ascii_case(kind)) {
            return Err(Problem::Expected("priv, shared or all"));
        }
        cursor.space()?;
    }
    cursor.mod_sequence()
}

/// A list in parentheses, if one comes next, parsed item by item.
fn list(cursor: &mut Cursor<'_>, mut item: impl FnMut(&mut Cursor<'_>) -> Parsed<()>) -> Parsed<()> {
    if cursor.peek() == Some(b' ') {
        cursor.spaces();
    }
    if !cursor.open() {
        return Ok(());
    }
    loop {
        cursor.element()?;
        item(cursor)?;
        if cursor.close() {
            return Ok(());
        }
        cursor.space()?;
    }
}

#[cfg(test)]
mod tests {
    use crate::imap::wire::extension::Enabled;
    use std::num::NonZeroU32;

    use super::super::{Refused, parse};
    use super::*;
    use crate::imap::wire::command::StoreArgs;
    use crate::imap::wire::sequence::SequenceSet;

    fn command(line: &str) -> Command {
        parse(format!("a {line}").as_bytes(), Enabled::default()).unwrap().command
    }

    fn resync(line: &str) -> Resync {
        let Command::Select(_, params) = command(line) else { panic!("{line}") };
        *params.qresync.unwrap()
    }

    /// The examples of RFC 7162 sections 3.2.5.1 and 3.2.5.2, and harmless deviations.
    #[test]
    fn parameters_of_select() {
        let mut known = SequenceSet::default();
        for (from, to) in [(41, 41), (43, 211), (214, 541)] {
            known.push(NonZeroU32::new(from), NonZeroU32::new(to));
        }
        let first = resync("SELECT INBOX (QRESYNC (67890007 20050715194045000 41,43:211,214:541))");
        let matches = (vec![], vec![]);
        let expected =
            Resync { uid_validity: 67_890_007, modseq: 20_050_715_194_045_000, known: Some(known), matches };
        assert_eq!(first, expected);
        let matches =
            resync("SELECT x (QRESYNC (67890007 9 1:29997 (5000,9990:9992 15000,29970,29973,29976)))")
                .matches;
        let uids = [15_000, 29_970, 29_973, 29_976].map(|uid| uid..=uid).to_vec();
        assert_eq!(matches, (vec![5000..=5000, 9990..=9992], uids));
        let without = resync("SELECT x (CONDSTORE qresync (1 2 (3 4)) CONDSTORE)");
        assert_eq!((without.known, without.matches), (None, (vec![3..=3], vec![4..=4])));
        assert_eq!(resync("SELECT x (QRESYNC (1 2))").known, None);
        let Command::Examine(_, params) = command("EXAMINE x  ( CONDSTORE ) ") else { panic!() };
        assert!(params.condstore && params.qresync.is_none());
    }

    /// Catches: a `*` that is taken for a UID, pairs of different lengths, and numbers of more than 63 bits.
    #[test]
    fn what_is_no_parameter() {
        for line in [
            "SELECT x ()",
            "SELECT x CONDSTORE",
            "SELECT x (FOO)",
            "SELECT x (CONDSTOREQRESYNC)",
            "SELECT x (QRESYNC)",
            "SELECT x (QRESYNC (1))",
            "SELECT x (QRESYNC (0 2))",
            "SELECT x (QRESYNC (1 2 1:*))",
            "SELECT x (QRESYNC (1 2 1:9 (1:2 5)))",
            "SELECT x (QRESYNC (1 2 1:9 (2,1 5,6)))",
            "SELECT x (QRESYNC (1 2 1:9 (1:* 5:*)))",
            "SELECT x (QRESYNC (1 2) QRESYNC (1 2))",
            "SELECT x (QRESYNC (1 9223372036854775808))",
            "FETCH 1 FLAGS (CHANGEDSINCE)",
            "FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)",
            "UID FETCH 1 FLAGS (VANISHED)",
            "UID FETCH 1 FLAGS (CHANGEDSINCE 1 FOO)",
            "UID FETCH 1 FLAGS (CHANGEDSINCE 1 CHANGEDSINCE 2)",
            "UID FETCH 1 FLAGS (PARTIAL 1:2 PARTIAL 1:2)",
            "STORE 1 (UNCHANGEDSINCE) FLAGS ()",
            "STORE 1 (UNCHANGEDSINCE 1 UNCHANGEDSINCE 1) FLAGS ()",
            "STORE 1 (UNCHANGEDSINCE 1)FLAGS ()",
            "SEARCH MODSEQ",
            "SEARCH MODSEQ -1",
            "SEARCH MODSEQ \"/flags/\\\\Seen\" 1",
            "SEARCH MODSEQ \"/other\" all 1",
            "SEARCH MODSEQ \"/flags/\\\\Seen\" none 1",
            "ENABLE",
            "ENABLE (CONDSTORE)",
        ] {
            assert!(
                matches!(
                    parse(format!("a {line}").as_bytes(), Enabled::default()),
                    Err(Refused { tag: Some(_), .. })
                ),
                "{line}"
            );
        }
    }

    #[test]
    fn modifiers() {
        let Command::Fetch { items, since, .. } =
            command("UID FETCH 1:* (FLAGS) (VANISHED CHANGEDSINCE 12345)")
        else {
            panic!()
        };
        assert_eq!(items, [FetchItem::Flags, FetchItem::Modseq]);
        assert_eq!(since, Some(ChangedSince { modseq: 12345, vanished: true }));
        let Command::Store { args, .. } = command("STORE 7,5,9 (UNCHANGEDSINCE 0) +FLAGS.SILENT (\\Deleted)")
        else {
            panic!()
        };
        assert!(matches!(args, StoreArgs { silent: true, unchanged_since: Some(0), .. }));
        let enabled = command("ENABLE condstore X-GOOD-IDEA QRESYNC CONDSTORE ");
        assert_eq!(enabled, Command::Enable(vec![Extension::Condstore, Extension::Qresync]));
    }
}
