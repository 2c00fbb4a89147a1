//! `console` and `status`: the answers of the running appliance through its socket.

use std::path::Path;

use pillarbox::console::client::{self, Error};

use pillarbox::failure::Failure;

/// The console on this terminal, or the given commands of it.
pub fn console(data: &Path, commands: &[String]) -> Result<(), Failure> {
    let outcome = match commands {
        [] => client::interactive(data),
        commands => client::run(data, commands),
    };
    outcome.map_err(failure)
}

/// Prints the state of everything, once.
pub fn status(data: &Path, json: bool) -> Result<(), Failure> {
    client::status(data, json).map_err(failure)
}

pub(super) fn failure(error: Error) -> Failure {
    match error {
        Error::Refused(words) => Failure::Input(words),
        error => Failure::System(error.to_string()),
    }
}
