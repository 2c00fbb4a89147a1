//! `search-return-opts` (RFC 4731 section 4, RFC 5182 section 3).

use super::Problem;
use super::cursor::{Cursor, Parsed};
use crate::imap::wire::search::Returns;

/// `RETURN (…)` and the space behind it, if that is next.
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
        _ => return Err(Problem::UnknownItem("result option")),
    }
    Ok(())
}
