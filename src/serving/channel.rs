//! The connection between a client and the server, and whether a password may be sent over it.

use std::net::IpAddr;

use crate::access::on_lan;
use crate::config::Config;

/// The properties of a client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Channel {
    /// The client's address.
    pub peer: IpAddr,
    /// Whether TLS is in force.
    pub tls: bool,
    /// Whether a login can be bound to the TLS connection, since it has channel bindings.
    pub bindable: bool,
}

impl Channel {
    /// A connection from `peer`; `tls` for implicit TLS, even before its handshake.
    pub fn new(peer: IpAddr, tls: bool) -> Channel {
        Channel { peer, tls, bindable: false }
    }

    /// Notes that TLS is in force from now on.
    pub fn secured(&mut self, bindable: bool) {
        self.tls = true;
        self.bindable = bindable;
    }

    /// Whether nobody can listen: it is encrypted, or is a loopback connection.
    pub fn is_private(&self) -> bool {
        self.tls || self.peer.to_canonical().is_loopback()
    }

    /// Whether a password may be sent: nobody can listen, or `tls.plaintext_login` allows it.
    pub fn may_carry_password(&self, config: &Config) -> bool {
        self.is_private() || config.tls.plaintext_allowed(on_lan(config, self.peer), self.peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PlaintextLogin;

    /// Catches: an address in the LAN that counts as private, a setting that applies to the wrong addresses, and TLS
    /// that does not count.
    #[test]
    fn where_a_password_may_travel() {
        use PlaintextLogin::{Always, Lan, Never};
        // The address, whether it is private, and for each setting whether a password may be sent without TLS.
        for (peer, private, allowed) in [
            ("127.0.0.1", true, [true, true, true]),
            ("::1", true, [true, true, true]),
            ("::ffff:127.0.0.1", true, [true, true, true]),
            ("192.168.7.5", false, [false, true, true]),
            ("::ffff:192.168.7.5", false, [false, true, true]),
            ("203.0.113.9", false, [false, false, true]),
        ] {
            let peer = peer.parse().unwrap();
            let plain = Channel::new(peer, false);
            assert_eq!(plain.is_private(), private, "{peer}");
            for (setting, allowed) in [Never, Lan, Always].into_iter().zip(allowed) {
                let mut config = Config::default();
                config.tls.plaintext_login = setting;
                assert_eq!(plain.may_carry_password(&config), allowed, "{peer} with {setting:?}");
                let mut secured = plain;
                secured.secured(false);
                assert!(secured.may_carry_password(&config) && secured.is_private(), "{peer} over TLS");
                assert!(Channel::new(peer, true).may_carry_password(&config), "{peer} over implicit TLS");
            }
        }
    }
}
