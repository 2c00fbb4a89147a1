//! A configuration as TOML text that [`super::text::parse`] reads back.

use super::Config;

/// The text form, commented for the operator. With secrets it reads back as the same configuration
/// byte for byte; without them, as an edit of the stored one, whose secrets stay.
pub fn to_toml(_config: &Config, _with_secrets: bool) -> String {
    todo!()
}
