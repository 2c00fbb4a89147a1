//! SORT and THREAD (RFC 5256 section 5, RFC 5267 section 5, RFC 5957 section 4).

use super::Problem;
use super::cursor::{Cursor, Parsed};
use super::returns::returns;
use super::search::{charset, program};
use crate::imap::wire::command::Command;
use crate::imap::wire::search::SearchArgs;
use crate::imap::wire::sort::{SortArgs, SortCriterion, SortKey, ThreadAlgorithm};

pub(super) fn sort(cursor: &mut Cursor<'_>, uid: bool) -> Parsed<Command> {
    let returns = returns(cursor)?;
    if returns.as_ref().is_some_and(|returns| returns.update) {
        // RFC 5267: UPDATE in SORT would need CONTEXT=SORT, which is not announced.
        return Err(Problem::UnknownItem("result option of SORT"));
    }
    let criteria = criteria(cursor)?;
    cursor.space()?;
    let charset = charset(cursor, returns.as_ref())?;
    let search = SearchArgs { uid, returns, key: program(cursor, charset)? };
    Ok(Command::Sort(Box::new(SortArgs { criteria, search })))
}

pub(super) fn thread(cursor: &mut Cursor<'_>, uid: bool) -> Parsed<Command> {
    let algorithm = match cursor.atom("a threading algorithm")?.to_ascii_uppercase().as_str() {
        "ORDEREDSUBJECT" => ThreadAlgorithm::OrderedSubject,
        "REFERENCES" => ThreadAlgorithm::References,
        _ => return Err(Problem::UnknownItem("threading algorithm")),
    };
    cursor.space()?;
    let charset = charset(cursor, None)?;
    Ok(Command::Thread { uid, algorithm, key: program(cursor, charset)? })
}

fn criteria(cursor: &mut Cursor<'_>) -> Parsed<Vec<SortCriterion>> {
    if !cursor.open() {
        return Err(Problem::Expected("a list of sort criteria"));
    }
    let mut criteria: Vec<SortCriterion> = Vec::new();
    loop {
        cursor.element()?;
        let mut name = cursor.atom("a sort criterion")?.to_ascii_uppercase();
        let reverse = name == "REVERSE";
        if reverse {
            cursor.space()?;
            name = cursor.atom("a sort criterion after REVERSE")?.to_ascii_uppercase();
        }
        let key = match name.as_str() {
            "ARRIVAL" => SortKey::Arrival,
            "CC" => SortKey::Cc,
            "DATE" => SortKey::Date,
            "FROM" => SortKey::From,
            "SIZE" => SortKey::Size,
            "SUBJECT" => SortKey::Subject,
            "TO" => SortKey::To,
            "DISPLAYFROM" => SortKey::DisplayFrom,
            "DISPLAYTO" => SortKey::DisplayTo,
            _ => return Err(Problem::UnknownItem("sort criterion")),
        };
        if criteria.iter().all(|criterion| criterion.key != key) {
            criteria.push(SortCriterion { reverse, key });
        }
        if cursor.close() {
            return Ok(criteria);
        }
        cursor.space()?;
    }
}
