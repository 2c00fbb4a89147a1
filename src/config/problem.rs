//! What is wrong with a configuration, where it stands, and what would be right.

use std::fmt;

/// A list of settings: the tables of the TOML form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Section {
    /// `[server]`.
    Server,
    /// `[listen]`.
    Listen,
    /// `[network]`.
    Network,
    /// `[tls]`.
    Tls,
    /// `[smarthost]`.
    Smarthost,
    /// `[multipop]`.
    Multipop,
    /// The `[[account]]` of this index.
    Account(usize),
    /// The `[[account.app_password]]` of the second index in the account of the first.
    AppPassword(usize, usize),
    /// The `[[account.source]]` of the second index in the account of the first.
    Source(usize, usize),
    /// The `oauth2` table of a source, by the indexes of account and source.
    OAuth2(usize, usize),
    /// The `oauth2` table of the smarthost.
    SmarthostOAuth2,
}

/// One setting of a configuration; with an empty key, the section as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The table.
    pub section: Section,
    /// The key in it.
    pub key: &'static str,
}

/// Where a reader finds what a [`Problem`] is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// A line of the text, counted from 1.
    Line(usize),
    /// A setting's path, such as `account.office.pop_lan_only`.
    Path(String),
}

/// Whether a [`Problem`] forbids the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The configuration can be used, but it is probably not as meant.
    Warning,
    /// The configuration cannot be used.
    Error,
}

/// One thing that is wrong, in words for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where the problem is.
    pub at: At,
    /// Whether the problem forbids the configuration.
    pub severity: Severity,
    /// What is wrong and what would be right.
    pub text: String,
}

impl Problem {
    /// Whether the problem forbids the configuration.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The problem as one line that an editor can jump to: `FILE.toml:LINE: …`.
    pub fn in_file(&self, file: &str) -> String {
        match &self.at {
            At::Line(line) => format!("{file}:{line}: {}{}", self.severity.prefix(), self.text),
            At::Path(path) => format!("{file}: {path}: {}{}", self.severity.prefix(), self.text),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.at {
            At::Line(line) => write!(f, "line {line}: ")?,
            At::Path(path) => write!(f, "{path}: ")?,
        }
        write!(f, "{}{}", self.severity.prefix(), self.text)
    }
}

impl Severity {
    fn prefix(self) -> &'static str {
        match self {
            Severity::Warning => "warning: ",
            Severity::Error => "",
        }
    }
}
