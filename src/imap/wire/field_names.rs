//! The names in `HEADER.FIELDS` (RFC 3501 section 6.4.5): as the client wrote them, and sorted, so that a field is
//! found quickly among two thousand names.

use crate::message::summary;

/// Names of header fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldNames {
    written: Vec<String>,
    /// The names in lower case, sorted and each once.
    sorted: Vec<Box<str>>,
    in_summaries: bool,
}

impl FieldNames {
    /// The names, in the client's order.
    pub fn new(written: Vec<String>) -> FieldNames {
        let mut sorted: Vec<Box<str>> =
            written.iter().map(|name| name.to_ascii_lowercase().into_boxed_str()).collect();
        sorted.sort_unstable();
        sorted.dedup();
        let in_summaries = sorted.iter().all(|name| summary::covers(name.as_bytes()));
        FieldNames { written, sorted, in_summaries }
    }

    /// The names as they were written.
    pub fn written(&self) -> &[String] {
        &self.written
    }

    /// Whether summaries have the fields of all these names.
    pub fn are_in_summaries(&self) -> bool {
        self.in_summaries
    }

    /// Whether the name of a field, in any case of letters, is among the names.
    pub fn contain(&self, field: &[u8]) -> bool {
        let lower = || field.iter().map(u8::to_ascii_lowercase);
        self.sorted.binary_search_by(|name| name.bytes().cmp(lower())).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: names that are sorted by another order than the search uses.
    #[test]
    fn fields_are_found_in_any_case() {
        let names: Vec<String> =
            (0..2000).map(|n| format!("X-{n}")).chain(["".into(), "subJECT".into()]).collect();
        let names = FieldNames::new(names);
        for (field, found) in [
            ("x-1999", true),
            ("X-0", true),
            ("Subject", true),
            ("X-2000", false),
            ("Sub", false),
            ("", true),
        ] {
            assert_eq!(names.contain(field.as_bytes()), found, "{field}");
        }
        assert!(!names.are_in_summaries());
        assert!(FieldNames::new(vec!["FROM".into(), "References".into()]).are_in_summaries());
    }
}
