//! `console` and `status`: what the running appliance says through its socket.

use std::path::Path;

use pillarbox::console::client::{self, Error};

use pillarbox::failure::Failure;

/// The console on this terminal, or one command of it.
pub fn console(data: &Path, command: Option<&str>) -> Result<(), Failure> {
    let outcome = match command {
        Some(command) => client::run(data, command),
        None => client::interactive(data),
    };
    outcome.map_err(failure)
}

/// One look at everything.
pub fn status(data: &Path, json: bool) -> Result<(), Failure> {
    client::status(data, json).map_err(failure)
}

pub(super) fn failure(error: Error) -> Failure {
    match error {
        Error::Refused(words) => Failure::Input(words),
        error => Failure::System(error.to_string()),
    }
}
