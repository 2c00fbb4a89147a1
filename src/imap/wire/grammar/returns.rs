//! `search-return-opts` (RFC 4731 section 4, RFC 5182 section 3, RFC 5267 section 5, RFC 9394 section 4).

use super::cursor::{Cursor, Parsed};
use super::{Problem, fetch};
use crate::imap::wire::search::{Partial, Returns};

/// The error for both ALL and PARTIAL, or two PARTIAL (RFC 9394 section 3.1).
const EITHER: Problem = Problem::Expected("ALL or one PARTIAL, not both");

/// `RETURN (…)` and the space after it, if that comes next.
pub(super) fn returns(cursor: &mut Cursor<'_>) -> Parsed<Option<Returns>> {
    if !cursor.take_word("RETURN") {
        return Ok(None);
    }
    cursor.space()?;
    if !cursor.open() {
        return Err(Problem::Expected("a list of result options after RETURN"));
    }
    let mut returns = Returns::default();
    if cursor.close() {
        returns.all = true;
    } else {
        loop {
            cursor.element()?;
            option(cursor, &mut returns)?;
            if cursor.close() {
                break;
            }
            cursor.space()?;
        }
    }
    cursor.space()?;
    Ok(Some(returns))
}

fn option(cursor: &mut Cursor<'_>, returns: &mut Returns) -> Parsed<()> {
    match cursor.atom("a result option")?.to_ascii_uppercase().as_str() {
        "MIN" => returns.min = true,
        "MAX" => returns.max = true,
        "COUNT" => returns.count = true,
        "ALL" => returns.all = true,
        "SAVE" => returns.save = true,
        "UPDATE" => update(cursor, returns)?,
        "CONTEXT" => {}
        "PARTIAL" if returns.partial.is_none() => {
            cursor.space()?;
            returns.partial = Some(partial_range(cursor)?);
        }
        "PARTIAL" => return Err(EITHER),
        _ => return Err(Problem::UnknownItem("result option")),
    }
    if returns.all && returns.partial.is_some() { Err(EITHER) } else { Ok(()) }
}

/// `modifier-update` (RFC 5465 section 8), which has no space before the parenthesis. The example of section 7 has
/// one, which is accepted.
fn update(cursor: &mut Cursor<'_>, returns: &mut Returns) -> Parsed<()> {
    returns.update = true;
    if cursor.rest().starts_with(b" (") {
        cursor.spaces();
    }
    if cursor.peek() == Some(b'(') {
        returns.fetch = fetch::items(cursor)?;
    }
    Ok(())
}

/// `partial-range`.
pub(super) fn partial_range(cursor: &mut Cursor<'_>) -> Parsed<Partial> {
    let from_end = cursor.take(b'-');
    let from = cursor.nz_number()?;
    cursor.expect(b':', "a colon in the range of PARTIAL")?;
    if cursor.take(b'-') != from_end {
        return Err(Problem::Expected("both ends of PARTIAL counted from the same side"));
    }
    Ok(Partial { from, to: cursor.nz_number()?, from_end })
}
