//! The command line: one verb, one function.
//!
//! Exit codes: 0 done, 1 the input is wrong, 2 the command line is wrong, 3 the system refused. An
//! error is one line: what, where, and what to do.
#![cfg_attr(test, allow(clippy::unwrap_used))]
// Their panic would end the daemon where nobody takes what it says: see `pillarbox::say`.
#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]
// What would bring a second thread, or hold up the only one: see clippy.toml.
#![cfg_attr(not(test), warn(clippy::disallowed_methods, clippy::disallowed_types))]

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    pillarbox::appliance::panic_in_one_line();
    cli::main(std::env::args_os().skip(1))
}
