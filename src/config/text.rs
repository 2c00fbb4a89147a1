//! TOML text to a configuration, with every problem and its line.

use super::Config;
use super::problem::Problem;

/// A configuration that can be used.
#[derive(Debug)]
pub struct Parsed {
    /// The settings.
    pub config: Config,
    /// What is probably not as meant.
    pub warnings: Vec<Problem>,
}

/// Reads and checks the TOML form. Secrets that the text does not give are taken over from `stored`,
/// where an account, a source or the smarthost is still the same.
///
/// # Errors
/// Every error and warning, in the order of the lines.
pub fn parse(_text: &[u8], _stored: Option<&Config>) -> Result<Parsed, Vec<Problem>> {
    todo!()
}
