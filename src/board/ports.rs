//! The TCP ports of a device. Its daemon gives up all others when it starts, and for good, so settings with other ones wait
//! for its next start.

use crate::config::Config;
use crate::sandbox::{self, Ports};

/// DNS (RFC 1035 section 4.2.2), and what providers and smarthosts have (RFC 8314): a new one is reached at once. 2525 is what
/// many smarthosts offer besides.
const USUAL: [u16; 9] = [25, 53, 110, 143, 465, 587, 993, 995, 2525];

/// The ports of `config`, and those that mail usually has.
pub fn of(config: &Config) -> Ports {
    let mut ports = used(&Config::on_a_board());
    ports.connect.extend(USUAL);
    let used = used(config);
    ports.listen.extend(used.listen);
    ports.connect.extend(used.connect);
    ports
}

/// Whether `config` has ports that this process has given up.
pub fn wait(config: &Config) -> bool {
    sandbox::limited_to().is_some_and(|limits| !limits.hold(&used(config)))
}

fn used(config: &Config) -> Ports {
    let listen = config.listen.services().into_iter().flat_map(|(_, addresses)| addresses);
    let sources = config.accounts.iter().flat_map(|account| &account.sources).map(|source| source.port);
    let smarthost = (!config.smarthost.host.is_empty()).then_some(config.smarthost.port);
    Ports {
        listen: listen.map(|address| address.port()).collect(),
        connect: sources.chain(smarthost).collect(),
    }
}
