//! Single settings by their path, as the console names them: `server.hostname`,
//! `account.office.pop_lan_only`, `account.office.source.1.host` (sources count from 1).

use super::Config;

/// Why a path cannot be read or changed: what is wrong and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PathError(String);

/// Sets the setting at `path` to `value`, written as in TOML; quotes may be left out.
///
/// # Errors
/// No such path, a value that does not fit, a change that is refused.
pub fn set(_config: &mut Config, _path: &str, _value: &str) -> Result<(), PathError> {
    todo!()
}

/// The setting at `path` as TOML writes it; a secret as `"[secret]"` unless it is asked for.
///
/// # Errors
/// No such path.
pub fn get(_config: &Config, _path: &str, _with_secrets: bool) -> Result<String, PathError> {
    todo!()
}

/// Every path that [`set`] takes, in the order of the text form: for completion and help.
pub fn paths(_config: &Config) -> Vec<String> {
    todo!()
}

/// Adds an account, with the address `NAME@` the first local domain and no password yet.
///
/// # Errors
/// A name that cannot be used or is taken.
pub fn add_account(_config: &mut Config, _name: &str) -> Result<(), PathError> {
    todo!()
}

/// Adds an empty source to an account; its number, counted from 1.
///
/// # Errors
/// No such account, or it has too many.
pub fn add_source(_config: &mut Config, _account: &str) -> Result<usize, PathError> {
    todo!()
}

/// Removes the account or source at `path`, or puts a setting back to its default.
///
/// # Errors
/// No such path, or a setting that has no default.
pub fn remove(_config: &mut Config, _path: &str) -> Result<(), PathError> {
    todo!()
}
