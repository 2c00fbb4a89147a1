//! Whether an account may use a service from an address: one pure function and its table of tests.

use std::net::IpAddr;

use crate::config::{Account, Config, Service};

/// The true reason of a refused login: for the log and the operator, never for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No account has this name or address.
    #[error("no such account")]
    UnknownAccount,
    /// The password does not match the account's verifier.
    #[error("wrong password")]
    WrongPassword,
    /// `enabled = false`.
    #[error("the account is disabled")]
    Disabled,
    /// `pop = false` or `imap = false`.
    #[error("the service is switched off for the account")]
    ServiceOff,
    /// `…_lan_only = true` and the address is outside `server.lan`.
    #[error("the service is for the LAN only, and the address is outside it")]
    NotFromLan,
    /// The password is right, but it is an app password for other services.
    #[error("the app password is not for this service")]
    AppPasswordService,
    /// The login was not looked at: too many logins from its address are waiting already.
    #[error("too many logins from this address wait already")]
    TooManyWait,
    /// SCRAM: the password is right, but client and server do not see the same TLS connection.
    #[error("the client sees another TLS connection: somebody may sit in between")]
    NotBound,
}

/// Whether `address` is inside `server.lan`. An IPv4-mapped IPv6 address counts as its IPv4 address.
pub fn on_lan(config: &Config, address: IpAddr) -> bool {
    config.server.is_on_lan(address)
}

/// Whether `account` may use `service` from `address`, apart from its password.
///
/// # Errors
/// The first reason that forbids it, in the order disabled, service off, not from the LAN.
pub fn permit(config: &Config, account: &Account, service: Service, address: IpAddr) -> Result<(), Refusal> {
    if !account.enabled {
        return Err(Refusal::Disabled);
    }
    let (on, lan_only) = match service {
        Service::Pop3 => (account.pop, account.pop_lan_only),
        Service::Imap => (account.imap, account.imap_lan_only),
        Service::Submission => (true, false),
    };
    if !on {
        return Err(Refusal::ServiceOff);
    }
    if lan_only && !on_lan(config, address) {
        return Err(Refusal::NotFromLan);
    }
    Ok(())
}

/// Whether the right of `account` to use Connector clients is in force: the Connector is active on the server, the account has
/// the right, and its IMAP is on, which these clients speak.
pub fn may_use_connector(config: &Config, account: &Account) -> bool {
    config.server.connector && account.connector && account.imap
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Addresses, and whether they are in the LAN of [`config`].
    const ADDRESSES: &[(&str, bool)] = &[
        ("127.0.0.1", true),
        ("127.0.0.2", false),
        ("192.168.7.0", true),
        ("192.168.7.255", true),
        ("192.168.8.1", false),
        ("203.0.113.9", false),
        ("::ffff:192.168.7.1", true),
        ("::ffff:192.168.8.1", false),
        ("::ffff:127.0.0.1", true),
        ("fd00:7::1", true),
        ("fd00:8::1", false),
        ("fe80::1", true),
        ("febf:ffff::1", true),
        ("fec0::1", false),
        ("::ffff:203.0.113.9", false),
        ("::ffff:7f00:2", false),
        ("2001:db8::1", false),
        ("::1", false),
        // This is not IPv4-mapped, although it ends alike (RFC 4291 section 2.5.5.1).
        ("::192.168.7.1", false),
    ];

    fn config() -> Config {
        let mut config = Config::default();
        let lan = ["127.0.0.1/32", "192.168.7.0/24", "fd00:7::/32", "fe80::/10"];
        config.server.lan = lan.iter().map(|network| network.parse().unwrap()).collect();
        config
    }

    #[test]
    fn the_lan_is_what_the_networks_hold() {
        for (address, inside) in ADDRESSES {
            assert_eq!(on_lan(&config(), address.parse().unwrap()), *inside, "{address}");
        }
    }

    /// Whether the account is enabled, whether the service is on, whether it is LAN-only, and whether the address is on the
    /// LAN.
    type Case = (bool, bool, bool, bool);

    /// The answer to each case.
    #[rustfmt::skip]
    const ANSWERS: [(Case, Result<(), Refusal>); 16] = [
        ((true,  true,  false, true),  Ok(())),
        ((true,  true,  false, false), Ok(())),
        ((true,  true,  true,  true),  Ok(())),
        ((true,  true,  true,  false), Err(Refusal::NotFromLan)),
        ((true,  false, false, true),  Err(Refusal::ServiceOff)),
        ((true,  false, false, false), Err(Refusal::ServiceOff)),
        ((true,  false, true,  true),  Err(Refusal::ServiceOff)),
        ((true,  false, true,  false), Err(Refusal::ServiceOff)),
        ((false, true,  false, true),  Err(Refusal::Disabled)),
        ((false, true,  false, false), Err(Refusal::Disabled)),
        ((false, true,  true,  true),  Err(Refusal::Disabled)),
        ((false, true,  true,  false), Err(Refusal::Disabled)),
        ((false, false, false, true),  Err(Refusal::Disabled)),
        ((false, false, false, false), Err(Refusal::Disabled)),
        ((false, false, true,  true),  Err(Refusal::Disabled)),
        ((false, false, true,  false), Err(Refusal::Disabled)),
    ];

    /// The same rule for the right to use Connector clients, as the settings page states it.
    const CONNECTOR: [(bool, bool, bool, bool); 8] = [
        // active on the server, right of the account, IMAP, in force
        (true, true, true, true),
        (true, true, false, false),
        (true, false, true, false),
        (true, false, false, false),
        (false, true, true, false),
        (false, true, false, false),
        (false, false, true, false),
        (false, false, false, false),
    ];

    /// Every combination of the switches of the server and of an account.
    fn settings() -> impl Iterator<Item = (Config, Account)> {
        (0..128u8).map(|bits| {
            let on = |bit: u8| bits & (1 << bit) != 0;
            let mut config = config();
            config.server.connector = on(6);
            let account = Account {
                enabled: on(0),
                pop: on(1),
                pop_lan_only: on(2),
                imap: on(3),
                imap_lan_only: on(4),
                connector: on(5),
                ..Account::default()
            };
            (config, account)
        })
    }

    #[test]
    fn every_combination_of_switches_service_and_address() {
        let mut seen = 0;
        for (config, account) in settings() {
            for (address, inside) in ADDRESSES {
                let address = address.parse().unwrap();
                let (pop, imap) =
                    ((account.pop, account.pop_lan_only), (account.imap, account.imap_lan_only));
                for (service, (on, lan_only)) in
                    [(Service::Pop3, pop), (Service::Imap, imap), (Service::Submission, (true, false))]
                {
                    let case = (account.enabled, on, lan_only, *inside);
                    let (_, answer) = ANSWERS.iter().find(|(key, _)| *key == case).unwrap();
                    let found = permit(&config, &account, service, address);
                    assert_eq!(found, *answer, "{service:?} from {address} with {account:?}");
                    seen += 1;
                }
            }
        }
        assert_eq!(seen, 128 * ADDRESSES.len() * 3);
    }

    #[test]
    fn every_combination_of_switches_for_connector_clients() {
        let mut in_force = 0;
        for (config, account) in settings() {
            let case = (config.server.connector, account.connector, account.imap);
            let row = CONNECTOR.iter().find(|row| (row.0, row.1, row.2) == case).unwrap();
            assert_eq!(may_use_connector(&config, &account), row.3, "{account:?}");
            in_force += u32::from(row.3);
        }
        assert_eq!(in_force, 16);
    }
}
