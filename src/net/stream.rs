//! A connection, plain or TLS, upgraded in place.
//!
//! Idle connections must cost next to nothing: both buffers are allocated when octets come or go and
//! given back when they are empty.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use async_io::Async;
use rustls::{ClientConfig, ServerConfig};

/// A buffered connection.
pub struct Stream {}

impl Stream {
    /// Wraps an accepted connection; sets TCP_NODELAY.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(_tcp: Async<TcpStream>) -> io::Result<Stream> {
        todo!()
    }
    /// Connects to `address`.
    ///
    /// # Errors
    /// What the system says.
    pub async fn connect(_address: SocketAddr) -> io::Result<Stream> {
        todo!()
    }
    /// The other end.
    pub fn peer(&self) -> SocketAddr {
        todo!()
    }
    /// Whether TLS is in force.
    pub fn is_tls(&self) -> bool {
        todo!()
    }
    /// Becomes TLS as the server. Octets that came before the handshake are thrown away, never
    /// taken for commands (RFC 3207 section 4.2).
    ///
    /// # Errors
    /// A failed handshake ends the connection.
    pub async fn accept_tls(&mut self, _config: Arc<ServerConfig>) -> io::Result<()> {
        todo!()
    }
    /// Becomes TLS as the client, verifying that the server is `host`. Octets that came before the
    /// handshake are thrown away.
    ///
    /// # Errors
    /// A failed handshake, a certificate that is not trusted.
    pub async fn connect_tls(&mut self, _config: Arc<ClientConfig>, _host: &str) -> io::Result<()> {
        todo!()
    }
    /// Octets that have arrived and were not consumed; waits for some when there are none. Empty
    /// only when the other end has closed. Dropping the future loses nothing.
    ///
    /// # Errors
    /// What the connection says.
    pub async fn fill(&mut self) -> io::Result<&[u8]> {
        todo!()
    }
    /// Octets that have arrived and were not consumed, without waiting.
    pub fn buffered(&self) -> &[u8] {
        todo!()
    }
    /// Takes the first `n` of [`Stream::buffered`].
    pub fn consume(&mut self, _n: usize) {
        todo!()
    }
    /// Puts octets into the output buffer; they leave with [`Stream::flush`]. For short replies.
    pub fn queue(&mut self, _octets: &[u8]) {
        todo!()
    }
    /// Like [`Stream::queue`], but sends what waits whenever that is more than 16 KiB, so that a
    /// long reply needs no long buffer.
    ///
    /// # Errors
    /// What the connection says.
    pub async fn write(&mut self, _octets: &[u8]) -> io::Result<()> {
        todo!()
    }
    /// Sends what waits in the output buffer.
    ///
    /// # Errors
    /// What the connection says.
    pub async fn flush(&mut self) -> io::Result<()> {
        todo!()
    }
    /// Flushes and closes, with a TLS close_notify.
    pub async fn close(&mut self) {
        todo!()
    }
}
