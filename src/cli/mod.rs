//! From words to verbs, and from failures to exit codes.

mod arguments;
mod backup;
mod bench_auth;
mod board;
mod configuration;
#[cfg(test)]
mod dist;
mod fsck;
mod help;
mod mail;
mod operator;
mod progress;
mod queue;
mod restore;
mod restored;
mod slots;
mod state;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use pillarbox::appliance;
use pillarbox::failure::Failure;

use arguments::Request;

/// Carries out the words of the command line.
pub fn main(words: impl Iterator<Item = OsString>) -> ExitCode {
    match arguments::parse(words).and_then(carry_out) {
        Ok(code) => code,
        Err(failure) => {
            // Where standard error is closed as well, the exit code still tells of the failure.
            let _ = io::stderr().write_all(failure.to_string().as_bytes());
            failure.exit_code()
        }
    }
}

fn carry_out(request: Request) -> Result<ExitCode, Failure> {
    match request {
        Request::Run(options) => {
            let ending = appliance::run(options)?;
            return Ok(ending.map_or(ExitCode::SUCCESS, |ending| ExitCode::from(ending.exit_code())));
        }
        #[cfg(debug_assertions)]
        Request::Attempt(options) => appliance::attempt(&options),
        Request::Check { file, data } => configuration::check(&file, data.as_deref()),
        Request::Import { file, data } => configuration::import(&file, &data),
        Request::Export { data, with_secrets } => configuration::export(&data, with_secrets),
        Request::Console { data, commands } => operator::console(&data, &commands),
        Request::Status { data, json } => operator::status(&data, json),
        Request::Mail { data, job } => mail::run(&data, job),
        Request::Queue(request) => queue::run(&request),
        Request::State(request) => state::run(&request),
        Request::Fsck { data, repair } => fsck::run(&data, repair),
        Request::Backup { data, dest } => backup::run(&data, &dest),
        Request::Restore { data, src } => restore::run(&data, &src),
        Request::Restored { data, word } => restored::run(&data, word),
        Request::BenchAuth { data } => print(&bench_auth::report(&data)?),
        Request::Board(request) => board::carry_out(request),
        Request::Slots(request) => slots::carry_out(request),
        Request::Help(topic) => print(&help::on(topic.as_deref())?),
        Request::Version => print(concat!("pillarbox ", env!("CARGO_PKG_VERSION"), "\n")),
    }?;
    Ok(ExitCode::SUCCESS)
}

/// Writes to standard output. A reader that closes it early is no failure.
fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::System(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}
