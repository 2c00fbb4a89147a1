//! What a search is to answer (RFC 4731, RFC 5182).

use super::command::SearchKey;

/// The arguments of SEARCH.
#[derive(Debug, PartialEq)]
pub struct SearchArgs {
    /// UID SEARCH answers UIDs.
    pub uid: bool,
    /// RETURN; `None`: a SEARCH response is wanted, not ESEARCH.
    pub returns: Option<Returns>,
    /// All of it.
    pub key: SearchKey,
}

impl SearchArgs {
    /// Whether `$` becomes what is found.
    pub fn saves(&self) -> bool {
        self.returns.as_ref().is_some_and(|returns| returns.save)
    }
}

/// The result options in the parentheses of RETURN. Of an empty list, ALL is meant.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Returns {
    /// The first that is found.
    pub min: bool,
    /// The last one.
    pub max: bool,
    /// How many there are.
    pub count: bool,
    /// All of them.
    pub all: bool,
    /// RFC 5182: `$` becomes what is found.
    pub save: bool,
}

impl Returns {
    /// Whether an ESEARCH response is wanted: not where the result is only to be kept (RFC 5182 section 2.1).
    pub fn tells(&self) -> bool {
        !self.save || self.min || self.max || self.count || self.all
    }

    /// Those of `found`, in the order of the result, that `$` stands for (RFC 5182 section 2.4): MIN and MAX mean just
    /// these unless COUNT or ALL stand beside them.
    pub fn kept<'a>(&self, found: &'a [u32]) -> impl Iterator<Item = u32> + use<'a> {
        let some = (self.min || self.max) && !self.all && !self.count;
        let all = if some { &[] } else { found };
        let first = found.first().filter(|_| some && self.min);
        let last = found.last().filter(|_| some && self.max);
        all.iter().chain(first).chain(last).copied()
    }
}
