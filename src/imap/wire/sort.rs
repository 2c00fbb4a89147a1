//! The arguments of SORT and THREAD (RFC 5256, RFC 5957).

use super::search::SearchArgs;

/// The arguments of SORT.
#[derive(Debug, PartialEq)]
pub struct SortArgs {
    /// The criteria, at least one. No key occurs twice, since the second could decide nothing.
    pub criteria: Vec<SortCriterion>,
    /// The search, and what is returned of its result.
    pub search: SearchArgs,
}

/// `sort-criterion`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortCriterion {
    /// Whether REVERSE was given.
    pub reverse: bool,
    /// The key.
    pub key: SortKey,
}

/// `sort-key`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the RFCs' own names")]
pub enum SortKey {
    Arrival,
    Cc,
    Date,
    From,
    Size,
    Subject,
    To,
    DisplayFrom,
    DisplayTo,
}

/// `thread-alg`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the RFC's own names")]
pub enum ThreadAlgorithm {
    OrderedSubject,
    References,
}
