//! `[network]`: how a device that boots from a card image reaches its network. On other machines the system's own settings
//! count, and these have no effect.
//!
//! IPv6 addresses come from the router's advertisements, with either kind of IPv4 address.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use toml::de::DeValue;

use super::check::Finding;
use super::kind::{Kind, TextForm, Wrong, quoted};
use super::problem::Section;
use super::{Config, Host, Text};

/// `[network]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// The device's own address with the length of its network's prefix; `None`: DHCP gives the address.
    pub address: Option<Ipv4Net>,
    /// The router, where the address is fixed.
    pub gateway: Option<Ipv4Addr>,
    /// DNS servers; empty: those that DHCP names.
    pub dns: Vec<IpAddr>,
    /// The NTP servers, which are asked for the time.
    pub ntp: Vec<Host>,
}

impl Default for Network {
    fn default() -> Network {
        let ntp = Text::try_from("pool.ntp.org").unwrap_or_default();
        Network { address: None, gateway: None, dns: Vec::new(), ntp: vec![ntp] }
    }
}

const DHCP: &str = "dhcp";

/// [`Network::address`]: `"dhcp"` or `"192.168.1.5/24"`.
pub struct OwnAddress;

impl Kind for OwnAddress {
    type Value = Option<Ipv4Net>;
    fn form() -> String {
        r#""dhcp" or an IPv4 address with the length of its network's prefix such as "192.168.1.5/24""#
            .to_owned()
    }
    fn read(value: &DeValue<'_>) -> Result<Self::Value, Wrong> {
        let wrong = || Wrong::form::<Self>(value);
        match value.as_str().ok_or_else(wrong)? {
            DHCP => Ok(None),
            text => text.parse().map(Some).map_err(|_| wrong()),
        }
    }
    fn print(value: &Self::Value) -> String {
        value.map_or_else(|| quoted(DHCP), |address| quoted(&address.to_string()))
    }
}

/// [`Network::gateway`]: an address or nothing.
pub struct Gateway;

impl Kind for Gateway {
    type Value = Option<Ipv4Addr>;
    fn form() -> String {
        r#"an IPv4 address such as "192.168.1.1", or """#.to_owned()
    }
    fn read(value: &DeValue<'_>) -> Result<Self::Value, Wrong> {
        let wrong = || Wrong::form::<Self>(value);
        match value.as_str().ok_or_else(wrong)? {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| wrong()),
        }
    }
    fn print(value: &Self::Value) -> String {
        quoted(&value.map(|address| address.to_string()).unwrap_or_default())
    }
}

impl TextForm for IpAddr {
    const FORM: &'static str = r#"an address such as "192.168.1.1""#;
    fn parse(text: &str) -> Option<IpAddr> {
        text.parse().ok()
    }
}

/// Whether a machine can have `address` in `network`, and other machines can reach it there.
fn is_of_a_machine(address: Ipv4Addr, network: Ipv4Net) -> bool {
    let reserved = address.is_unspecified() || address.is_loopback() || address.is_multicast();
    // RFC 3021: in a network of two addresses, neither is the network's own or the broadcast address.
    let ends = network.prefix_len() <= 30 && [network.network(), network.broadcast()].contains(&address);
    !reserved && !ends && address.octets()[0] < 240 && address.octets()[0] != 0
}

pub(super) fn check(config: &Config, found: &mut Vec<Finding>) {
    let Network { address, gateway, dns, .. } = &config.network;
    let at = |key| Section::Network.at(key);
    let Some(network) = address else {
        if gateway.is_some() {
            let text = "gateway has no effect with address = \"dhcp\": DHCP names the router";
            found.push(Finding::warning(at("gateway"), text).beside(at("address")));
        }
        return;
    };
    let own = network.addr();
    if !is_of_a_machine(own, *network) {
        let text = format!(
            "{network}: no device can have {own}: take a free address of your network, such as 192.168.1.5/24"
        );
        found.push(Finding::error(at("address"), text));
        return;
    }
    match gateway {
        None => {
            let text =
                "gateway is missing: without the router's address nothing outside the network is reached";
            found.push(Finding::warning(at("gateway"), text).beside(at("address")));
        }
        Some(gateway) if *gateway == own => {
            let text = format!("{gateway} is the device's own address: give that of the router");
            found.push(Finding::error(at("gateway"), text).beside(at("address")));
        }
        Some(gateway) if !network.contains(gateway) || !is_of_a_machine(*gateway, *network) => {
            let inner = u32::from(network.prefix_len() <= 30);
            let text = format!(
                "{gateway} is no machine's address in {}: the router has one between {} and {}",
                network.trunc(),
                Ipv4Addr::from_bits(network.network().to_bits() + inner),
                Ipv4Addr::from_bits(network.broadcast().to_bits() - inner),
            );
            found.push(Finding::error(at("gateway"), text).beside(at("address")));
        }
        Some(_) => {}
    }
    if dns.is_empty() {
        let text = "dns is missing: without DHCP nobody names a DNS server, and no provider is found; the router often is one";
        found.push(Finding::warning(at("dns"), text).beside(at("address")));
    }
}
