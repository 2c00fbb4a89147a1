//! The TCP ports of a device. Its daemon gives up all others when it starts, and for good, so settings with other ones wait
//! for its next start.

use crate::config::{Config, Endpoint};
use crate::sandbox::{self, Ports};

/// DNS (RFC 1035 section 4.2.2), and what providers and smarthosts have (RFC 8314): a new one is reached at once. 2525 is what
/// many smarthosts offer besides, and 443 is where permissions are asked for (RFC 6749).
const USUAL: [u16; 10] = [25, 53, 110, 143, 443, 465, 587, 993, 995, 2525];

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
    let listen = config.listen.all().map(|(_, address)| address);
    let sources = config.accounts.iter().flat_map(|account| &account.sources).map(|source| source.port);
    let smarthost = (!config.smarthost.host.is_empty()).then_some(config.smarthost.port);
    let urls = config.clients().flat_map(|client| [client.token_endpoint(), client.device_endpoint()]);
    let endpoints = urls.filter_map(Endpoint::parse).map(|endpoint| endpoint.port);
    Ports {
        listen: listen.map(|address| address.port()).collect(),
        connect: sources.chain(smarthost).chain(endpoints).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::OAuth2;

    /// Catches: a device that cannot reach the server that its permissions come from.
    #[test]
    fn the_servers_of_permissions_are_reached() {
        assert!(of(&Config::default()).connect.contains(&443));
        let mut config = Config::default();
        config.smarthost.oauth2 = Some(Box::new(OAuth2 {
            token_url: "https://login.example:8443/token".try_into().unwrap(),
            device_url: "https://login.example:8444/device".try_into().unwrap(),
            ..OAuth2::default()
        }));
        let connect = of(&config).connect;
        assert!(connect.contains(&8443) && connect.contains(&8444) && !connect.contains(&8445));
    }
}
