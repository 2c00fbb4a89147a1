//! Listening sockets.

use std::io;
use std::net::{SocketAddr, TcpListener};

use async_io::Async;
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind as bind_socket, listen, socket_with, sockopt,
};

/// Connections that may wait to be accepted, at most.
const BACKLOG: i32 = 128;

/// Binds `address` with SO_REUSEADDR; an IPv6 socket takes IPv6 only.
///
/// # Errors
/// The system's, for example `AddrInUse` or `PermissionDenied`.
pub fn bind(address: SocketAddr) -> io::Result<Async<TcpListener>> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        // Then 0.0.0.0 and [::] can both be bound, and no IPv4 peer appears as IPv6.
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    bind_socket(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    Async::new(TcpListener::from(socket))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_share_a_port_and_a_second_listener_is_refused() {
        let v4 = bind("0.0.0.0:0".parse().unwrap()).unwrap();
        let port = v4.get_ref().local_addr().unwrap().port();
        let in_use = bind(SocketAddr::from(([0, 0, 0, 0], port)));
        assert_eq!(in_use.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        // A machine without IPv6 refuses with another error.
        match bind(SocketAddr::from(([0; 8], port))) {
            Ok(v6) => assert!(v6.get_ref().local_addr().unwrap().is_ipv6()),
            Err(error) => assert_ne!(error.kind(), io::ErrorKind::AddrInUse),
        }
    }
}
