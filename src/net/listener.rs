//! Listening sockets.

use std::io;
use std::net::{SocketAddr, TcpListener};

use async_io::Async;

/// Binds `address` (SO_REUSEADDR; an IPv6 socket takes IPv6 only).
///
/// # Errors
/// What the system says, for example `AddrInUse` or `PermissionDenied`.
pub fn bind(_address: SocketAddr) -> io::Result<Async<TcpListener>> {
    todo!()
}
