//! The listeners of `[listen]`. One row each: from it follow the settings, the defaults, the sockets, and what mail programs,
//! pages and the network are told.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::{Security, Service};

/// Hands the rows to the macro `$then`: key and name; what is spoken and how it is secured; the port on a board, and the port
/// on loopback without one (`0`: closed there); what the operator reads.
///
/// The rows are fields of the stored form, in this order: another one makes a new version of it (see `version_4.rs`).
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

        /// What a socket is for, by the keys of `[listen]`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Listener {
            $(#[doc = $help] $name,)*
        }

        impl Listener {
            /// All of them, in the order of the text form.
            pub const ALL: &[Listener] = &[$(Listener::$name),*];
            /// Their names.
            pub const NAMES: &[&str] = &[$(stringify!($key)),*];

            /// Its key in `[listen]`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Listener::$name => stringify!($key),)*
                }
            }

            /// What is spoken there.
            pub const fn protocol(self) -> ServerProtocol {
                match self {
                    $(Listener::$name => ServerProtocol::$protocol,)*
                }
            }

            /// When TLS begins there.
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
            /// With the addresses that `of` gives for each.
            pub(super) fn each(of: impl Fn(Listener) -> Vec<SocketAddr>) -> Listen {
                Listen { $($key: of(Listener::$name)),* }
            }

            /// Where `listener` listens.
            pub fn at(&self, listener: Listener) -> &[SocketAddr] {
                match listener {
                    $(Listener::$name => &self.$key,)*
                }
            }
        }
    };
}
listeners!(define);

/// What is spoken on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerProtocol {
    /// RFC 1939.
    Pop3,
    /// RFC 3501.
    Imap,
    /// RFC 6409.
    Submission,
    /// SMTP without a login (RFC 5321), for devices of the LAN.
    LanSmtp,
    /// RFC 9112.
    Http,
}

impl Listener {
    /// Whether TLS begins with the first octet (RFC 8314).
    pub const fn has_implicit_tls(self) -> bool {
        matches!(self.security(), Security::Tls)
    }

    /// Whose connections are counted together, and what a login opens there.
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
    /// Ports that need no privilege, on loopback.
    fn default() -> Listen {
        Listen::each(|listener| match listener.port_on_loopback() {
            0 => Vec::new(),
            port => vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))],
        })
    }
}

impl Listen {
    /// The usual ports on all addresses.
    pub fn on_a_board() -> Listen {
        Listen::each(|listener| {
            let all: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
            all.map(|address| SocketAddr::new(address, listener.port_on_a_board())).to_vec()
        })
    }

    /// The same ports, each on loopback only.
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

    /// Each listener with each of its addresses.
    pub fn all(&self) -> impl Iterator<Item = (Listener, SocketAddr)> {
        Listener::ALL.iter().flat_map(|it| self.at(*it).iter().map(move |address| (*it, *address)))
    }

    /// The ports at which programs find `protocol`, one a way to secure it: implicit TLS first, as RFC 8314 recommends.
    pub fn ports(&self, protocol: ServerProtocol) -> impl Iterator<Item = (Security, u16)> {
        [Security::Tls, Security::Starttls, Security::None].into_iter().filter_map(move |security| {
            let (_, address) =
                self.all().find(|(it, _)| it.protocol() == protocol && it.security() == security)?;
            Some((security, address.port()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a program that is sent to STARTTLS where TLS is offered, and to a listener that is closed.
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
    }

    /// Catches: a row whose name, field and place in the list are not the same one.
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
