//! What happens once, before anything is served.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

use data_encoding::Specification;
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::auth::Verifier;
use crate::config::{self, Config, text};
use crate::flash::Flash;

/// Why the appliance does not start, or ends. One line: what, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The input is wrong.
    #[error("{0}")]
    Input(String),
    /// The system refused.
    #[error("{0}")]
    System(String),
}

impl Failure {
    /// A refusal of the system that concerns `what`.
    pub fn system(what: &str) -> impl FnOnce(io::Error) -> Failure {
        let what = what.to_owned();
        move |error| Failure::System(format!("{what}: {error}"))
    }

    /// 1: the input is wrong, 3: the system refused.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Failure::Input(_) => ExitCode::from(1),
            Failure::System(_) => ExitCode::from(3),
        }
    }
}

/// Log lines go to standard error, from level `info` on or as `RUST_LOG` says.
pub fn logging() {
    let filter = env_logger::Env::default().default_filter_or("info");
    env_logger::Builder::from_env(filter).format_target(false).init();
}

/// A panic is a defect: it is told in one line, and the supervisor starts the appliance anew.
pub fn panic_in_one_line() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        eprintln!(
            "pillarbox: a defect at {place}, please report it: {}",
            panic.payload_as_str().unwrap_or("no words")
        );
    }));
}

/// Allows as many connections as the system does.
pub fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        log::warn!("the limit of open files stays as it is: {error}");
    }
}

/// The right to be the only appliance on a data folder; it ends with the process.
pub struct Lock(#[allow(dead_code, reason = "the lock lives as long as the file is open")] File);

impl Lock {
    /// Takes the lock.
    ///
    /// # Errors
    /// Another appliance has it.
    pub fn take(data: &Path) -> Result<Lock, Failure> {
        let path = data.join("lock");
        let name = path.display().to_string();
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(Failure::system(&name))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Lock(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(Failure::System(format!(
                "{}: another appliance runs on this data folder; stop it, or choose another folder with --data",
                data.display()
            ))),
            Err(error) => Err(Failure::system(&name)(error.into())),
        }
    }
}

/// The configuration to start with: from `file`, which is stored first; else the stored one; else the
/// demonstration's, which is stored so that its password stays.
pub async fn configuration(flash: &dyn Flash, file: Option<&Path>) -> Result<Config, Failure> {
    let stored = config::file::load(flash).map_err(|error| Failure::System(error.to_string()))?;
    if let Some(notice) = stored.as_ref().and_then(|stored| stored.notice.as_deref()) {
        log::error!("{notice}");
    }
    let stored = stored.map(|stored| stored.config);
    let config = match (file, stored) {
        (Some(file), stored) => imported(file, stored.as_ref())?,
        (None, Some(config)) => {
            remind_of_demo(&config);
            return Ok(config);
        }
        (None, None) => demonstration()?,
    };
    config::file::save(flash, &config).await.map_err(|error| Failure::System(error.to_string()))?;
    Ok(config)
}

fn imported(file: &Path, stored: Option<&Config>) -> Result<Config, Failure> {
    let name = file.display().to_string();
    let octets = std::fs::read(file).map_err(Failure::system(&name))?;
    let lines = |problems: &[config::problem::Problem]| -> Vec<String> {
        problems.iter().map(|p| p.in_file(&name)).collect()
    };
    match text::parse(&octets, stored) {
        Ok(parsed) => {
            lines(&parsed.warnings).iter().for_each(|warning| log::warn!("{warning}"));
            Ok(parsed.config)
        }
        Err(problems) => Err(Failure::Input(lines(&problems).join("\n"))),
    }
}

fn demonstration() -> Result<Config, Failure> {
    let password = random_password()?;
    println!("demo login: demo {password}");
    Ok(Config::demonstration(Verifier::new(&password)))
}

/// Later starts cannot print the password: only its verifier is kept.
fn remind_of_demo(config: &Config) {
    if let [account] = &config.accounts[..]
        && *config == Config::demonstration(account.verifier.clone())
    {
        println!(
            "demo login: demo, with the password of the first start; `password demo` and `commit` in `pillarbox console` set a new one"
        );
    }
}

/// Sixteen letters and digits that nobody mistakes for another: 80 bits.
fn random_password() -> Result<String, Failure> {
    let mut octets = [0; 10];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut octets)
        .map_err(|_| Failure::System("the system gives no random numbers".to_owned()))?;
    let mut alphabet = Specification::new();
    alphabet.symbols.push_str("abcdefghijkmnpqrstuvwxyz23456789");
    let encoding = alphabet.encoding().map_err(|error| Failure::System(error.to_string()))?;
    Ok(encoding.encode(&octets))
}
