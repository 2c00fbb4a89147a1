//! The command line: one verb, one function.

use std::process::ExitCode;

use pillarbox::appliance::{self, RunOptions};

fn main() -> ExitCode {
    let mut options = RunOptions { data: "pillarbox-data".into(), config: None, serial: None };
    let mut words = std::env::args().skip(1).peekable();
    words.next_if(|word| word == "run");
    while let Some(word) = words.next() {
        let value = words.next().map(std::path::PathBuf::from);
        match (word.as_str(), value) {
            ("--data", Some(data)) => options.data = data,
            ("--config", config) => options.config = config,
            ("--serial", serial) => options.serial = serial,
            _ => return ExitCode::from(2),
        }
    }
    appliance::run(options)
}
