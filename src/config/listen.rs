//! The listeners of `[listen]`, one row each. From the row follow the setting, its default, the sockets, and what mail programs,
//! pages and the network are told about the listener.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::{Security, Service};

/// Hands the rows to the macro `$then`. A row is: key and name; protocol and security; the port on a board, and the port on
/// loopback of any other machine (`0`: closed there); the help for the operator.
///
/// The rows are fields of the stored form, in this order: a change of the rows makes a new version of it (see `version_4.rs`).
macro_rules! listeners {
    ($then:ident) => {
        $then! {
            pop3 Pop3: Pop3 Starttls, 110 1110, "POP3 with STLS";
            pop3s Pop3s: Pop3 Tls, 995 1995, "POP3 over TLS";
            imap Imap: Imap Starttls, 143 1143, "IMAP with STARTTLS";
            imaps Imaps: Imap Tls, 993 1993, "IMAP over TLS";
            submission Submission: Submission Starttls, 587 1587, "submission with STARTTLS";
            submissions Submissions: Submission Tls, 465 1465, "submission over TLS";
            lan_smtp LanSmtp: LanSmtp Starttls, 25 0, "printers, scanners, NAS: no login, only from the networks in server.lan";
            http Http: Http None, 80 1080, "client autoconfiguration and a read-only status page, only from server.lan";
            https Https: Http Tls, 443 1443, "the same over TLS, and updates with the operator's password";
        }
    };
}
pub(super) use listeners;

macro_rules! define {
    ($($key:ident $name:ident: $protocol:ident $security:ident, $board:literal $loopback:literal, $help:literal;)*) => {
        /// `[listen]`: an empty list closes the listener.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        pub struct Listen {
            $(#[doc = $help] pub $key: Vec<SocketAddr>,)*
        }

        /// What a socket is for. The names are the keys of `[listen]`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Listener {
            $(#[doc = $help] $name,)*
        }

        impl Listener {
            /// All listeners, in the order of the text form.
            pub const ALL: &[Listener] = &[$(Listener::$name),*];
            /// The names of all listeners, in the same order as `ALL`.
            pub const NAMES: &[&str] = &[$(stringify!($key)),*];

            /// The listener's key in `[listen]`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Listener::$name => stringify!($key),)*
                }
            }

            /// The protocol of the listener.
            pub const fn protocol(self) -> ServerProtocol {
                match self {
                    $(Listener::$name => ServerProtocol::$protocol,)*
                }
            }

            /// When TLS begins on the listener.
            pub const fn security(self) -> Security {
                match self {
                    $(Listener::$name => Security::$security,)*
                }
            }

            const fn port_on_a_board(self) -> u16 {
                match self {
                    $(Listener::$name => $board,)*
                }
            }

            const fn port_on_loopback(self) -> u16 {
                match self {
                    $(Listener::$name => $loopback,)*
                }
            }
        }

        impl Listen {
            /// The listeners with the addresses that `of` gives for each.
            pub(super) fn each(of: impl Fn(Listener) -> Vec<SocketAddr>) -> Listen {
                Listen { $($key: of(Listener::$name)),* }
            }

            /// The addresses of `listener`.
            pub fn at(&self, listener: Listener) -> &[SocketAddr] {
                match listener {
                    $(Listener::$name => &self.$key,)*
                }
            }
        }
    };
}
listeners!(define);

/// The protocol of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerProtocol {
    /// POP3 (RFC 1939).
    Pop3,
    /// IMAP (RFC 3501).
    Imap,
    /// Message submission (RFC 6409).
    Submission,
    /// SMTP without a login (RFC 5321), for devices of the LAN.
    LanSmtp,
    /// HTTP (RFC 9112).
    Http,
}

impl Listener {
    /// Whether TLS begins with the first octet (RFC 8314).
    pub const fn has_implicit_tls(self) -> bool {
        matches!(self.security(), Security::Tls)
    }

    /// The service that connections to this listener count for, and that a login opens there.
    pub const fn service(self) -> Option<Service> {
        match self.protocol() {
            ServerProtocol::Pop3 => Some(Service::Pop3),
            ServerProtocol::Imap => Some(Service::Imap),
            ServerProtocol::Submission | ServerProtocol::LanSmtp => Some(Service::Submission),
            ServerProtocol::Http => None,
        }
    }
}

impl Default for Listen {
    /// Listeners on loopback, at ports that need no privilege.
    fn default() -> Listen {
        Listen::each(|listener| match listener.port_on_loopback() {
            0 => Vec::new(),
            port => vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))],
        })
    }
}

impl Listen {
    /// Every listener at its usual port, on all addresses.
    pub fn on_a_board() -> Listen {
        Listen::each(|listener| {
            let all: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
            all.map(|address| SocketAddr::new(address, listener.port_on_a_board())).to_vec()
        })
    }

    /// The same listeners at the same ports, but on loopback only.
    pub fn on_loopback(&self) -> Listen {
        Listen::each(|listener| {
            let mut near = Vec::new();
            for address in self.at(listener) {
                let loopback: IpAddr = match address {
                    SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                    SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
                };
                let address = SocketAddr::new(loopback, address.port());
                if !near.contains(&address) {
                    near.push(address);
                }
            }
            near
        })
    }

    /// Every listener with every one of its addresses.
    pub fn all(&self) -> impl Iterator<Item = (Listener, SocketAddr)> {
        Listener::ALL.iter().flat_map(|it| self.at(*it).iter().map(move |address| (*it, *address)))
    }

    /// The ports at which programs find `protocol`, one for each security: implicit TLS first, as RFC 8314 recommends. A listener
    /// that other devices reach comes before one for this device alone.
    pub fn ports(&self, protocol: ServerProtocol) -> impl Iterator<Item = (Security, u16)> {
        [Security::Tls, Security::Starttls, Security::None].into_iter().filter_map(move |security| {
            let fits = |it: Listener| it.protocol() == protocol && it.security() == security;
            let all = || self.all().filter(|(it, _)| fits(*it)).map(|(_, address)| address);
            let for_all = all().find(|address| !address.ip().to_canonical().is_loopback());
            Some((security, for_all.or_else(|| all().next())?.port()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a program that is sent to STARTTLS where implicit TLS is offered, and one that is sent to a closed listener.
    #[test]
    fn programs_find_implicit_tls_first() {
        let mut listen = Listen::default();
        let found = |listen: &Listen, protocol| listen.ports(protocol).collect::<Vec<_>>();
        let both = [(Security::Tls, 1993), (Security::Starttls, 1143)];
        assert_eq!(found(&listen, ServerProtocol::Imap), both);
        assert_eq!(found(&listen, ServerProtocol::LanSmtp), []);
        listen.imaps.clear();
        assert_eq!(found(&listen, ServerProtocol::Imap), both[1..]);
        listen.imap.clear();
        assert_eq!(found(&listen, ServerProtocol::Imap), []);
        // Catches: a telephone that is sent to a port which only this device itself reaches.
        listen.imaps = ["[::1]:2993", "127.0.0.1:1993", "0.0.0.0:993", "192.168.1.5:3993"]
            .map(|it| it.parse().unwrap())
            .into();
        assert_eq!(found(&listen, ServerProtocol::Imap), [(Security::Tls, 993)]);
    }

    /// Catches: a row whose name, field and place in the list belong to different listeners.
    #[test]
    fn a_row_is_one_listener() {
        let names: Vec<_> = Listener::ALL.iter().map(|it| it.name()).collect();
        assert_eq!(names, Listener::NAMES);
        let board = Listen::on_a_board();
        assert_eq!(board.all().count(), 2 * names.len());
        assert_eq!(board.lan_smtp[0].port(), 25);
        assert_eq!(board.at(Listener::Https)[1], "[::]:443".parse().unwrap());
    }
}
