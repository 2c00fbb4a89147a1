//! May this account use this service from this address? One pure function and its table of tests.

use std::net::IpAddr;

use crate::config::{Account, Config};

/// A service that a login opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// POP3 (RFC 1939).
    Pop3,
    /// IMAP (RFC 3501).
    Imap,
    /// Message submission (RFC 6409).
    Submission,
}

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
}

/// Is `address` inside `server.lan`? An IPv4-mapped IPv6 address counts as its IPv4 address.
pub fn on_lan(config: &Config, address: IpAddr) -> bool {
    config.server.is_on_lan(address)
}

/// Whether `account` may use `service` from `address`, its password apart.
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
