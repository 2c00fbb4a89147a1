//! What SORT and THREAD want (RFC 5256, RFC 5957).

use super::search::SearchArgs;

/// The arguments of SORT.
#[derive(Debug, PartialEq)]
pub struct SortArgs {
    /// At least one, no key twice: a second time it could decide nothing.
    pub criteria: Vec<SortCriterion>,
    /// Which messages, and what is told of them.
    pub search: SearchArgs,
}

/// `sort-criterion`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortCriterion {
    /// REVERSE.
    pub reverse: bool,
    /// By what.
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
