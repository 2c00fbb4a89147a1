//! The rules between settings: what each alone cannot know.

use super::Config;
use super::problem::Problem;

/// Everything that is wrong with `config`, errors and warnings, by the paths of the settings.
pub fn check(_config: &Config) -> Vec<Problem> {
    todo!()
}
