//! The appliance, collecting.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::super::support::appliance::binary;
use super::super::support::dovecot::source;
use super::super::support::process::run_with_input;
use super::super::support::{Appliance, Dovecot, PATIENCE, wait_up_to};
use super::Protocol;

/// A collection that takes longer is none.
const LIMIT: Duration = Duration::from_secs(10 * 60);

/// An account that begins to collect when it is told to: see [`set`].
pub fn account(name: &str) -> String {
    format!(
        "[[account]]\nname = \"{name}\"\naddress = \"{name}@home.example\"\npassword = \"pass\"\nmultipop = false\n"
    )
}

/// A source of the account before it; what is collected stays there.
pub fn collects(at: SocketAddr, protocol: Protocol, user: &str, ca: &Path) -> String {
    let source = source(at, "tls", user, "pass", ca);
    format!("{source}protocol = \"{}\"\nleave_on_server = true\n", protocol.name())
}

/// An appliance that collects nothing yet.
pub fn start(accounts: &str) -> Appliance {
    Appliance::start(&format!(
        "[server]\ndomains = [\"home.example\"]\n[multipop]\ninterval = \"1d\"\n{accounts}"
    ))
}

/// These accounts begin to collect, or end.
pub fn set<'a>(appliance: &Appliance, accounts: impl IntoIterator<Item = &'a str>, collects: bool) {
    let set = |name| format!("set account.{name}.multipop {collects}\n");
    let lines: String = accounts.into_iter().map(set).chain(["commit\n".to_owned()]).collect();
    let mut console = Command::new(binary());
    console.args(["console", "--data"]).arg(appliance.data());
    run_with_input(&mut console, lines.as_bytes(), PATIENCE).success();
}

/// Waits until as many polls have ended as told, and collected so many messages each.
pub fn ends(appliance: &Appliance, polls: usize, messages: usize) {
    let done = format!(": {messages} collected, ");
    wait_up_to(LIMIT, "the end of the collection", || {
        let lines = appliance.log.lines();
        (lines.iter().filter(|line| line.contains(&done)).count() >= polls).then_some(())
    });
}

/// As one of the [`super::peers`]: from the operator's word to the end of the poll.
pub fn collect(
    server: &Dovecot,
    at: SocketAddr,
    protocol: Protocol,
    user: &str,
    messages: usize,
) -> Duration {
    let appliance = start(&(account("u") + &collects(at, protocol, user, server.ca())));
    let start = Instant::now();
    set(&appliance, ["u"], true);
    ends(&appliance, 1, messages);
    start.elapsed()
}
