//! A blocking connection, plain or with TLS, from any source address of loopback.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// Silence for longer than this fails the test.
const SILENCE: Duration = Duration::from_secs(60);

enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    /// In the middle of an upgrade.
    None,
}

impl Read for Wire {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Wire::Plain(tcp) => tcp.read(buf),
            Wire::Tls(tls) => tls.read(buf),
            Wire::None => Ok(0),
        }
    }
}

/// A connection whose failures fail the test; [`Connection::try_line`] and [`Connection::try_send`] are for tests that
/// kill the other end.
pub struct Connection {
    wire: BufReader<Wire>,
}

impl Connection {
    pub fn open(address: SocketAddr) -> Connection {
        Connection::try_open(address).unwrap_or_else(|e| panic!("no connection to {address}: {e}"))
    }
    pub fn try_open(address: SocketAddr) -> std::io::Result<Connection> {
        Connection::over(TcpStream::connect(address)?)
    }
    /// Connects from the address `from`, as a client with that address would.
    pub fn open_from(from: IpAddr, address: SocketAddr) -> Connection {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&socket, &SocketAddr::from((from, 0))).unwrap();
        connect(&socket, &address).unwrap_or_else(|e| panic!("no connection to {address} from {from}: {e}"));
        Connection::over(socket.into()).unwrap()
    }
    fn over(tcp: TcpStream) -> std::io::Result<Connection> {
        tcp.set_read_timeout(Some(SILENCE))?;
        tcp.set_write_timeout(Some(SILENCE))?;
        tcp.set_nodelay(true)?;
        Ok(Connection { wire: BufReader::with_capacity(64 << 10, Wire::Plain(tcp)) })
    }
    /// Connects with TLS from the first octet, trusting `ca`.
    pub fn open_tls(address: SocketAddr, ca: &Path) -> Connection {
        Connection::open(address).start_tls(ca)
    }
    /// Becomes TLS now, trusting `ca` and checking that the server is `localhost`.
    pub fn start_tls(self, ca: &Path) -> Connection {
        self.start_tls_with(trust(ca))
    }
    /// As [`Connection::start_tls`], with settings made once, as a client with many connections does.
    pub fn start_tls_with(mut self, config: Arc<ClientConfig>) -> Connection {
        assert!(self.wire.buffer().is_empty(), "octets before the handshake");
        let Wire::Plain(tcp) = std::mem::replace(self.wire.get_mut(), Wire::None) else {
            panic!("TLS twice");
        };
        let name = ServerName::try_from("localhost").unwrap();
        let mut tls = StreamOwned::new(ClientConnection::new(config, name).unwrap(), tcp);
        tls.conn.complete_io(&mut tls.sock).unwrap_or_else(|e| panic!("TLS handshake: {e}"));
        *self.wire.get_mut() = Wire::Tls(Box::new(tls));
        self
    }
    /// From now on what is sent waits for the acknowledgement of what was sent before (RFC 896), as with most mail programs.
    pub fn use_nagle(&mut self) {
        match self.wire.get_mut() {
            Wire::Plain(tcp) => tcp.set_nodelay(false).unwrap(),
            Wire::Tls(tls) => tls.sock.set_nodelay(false).unwrap(),
            Wire::None => {}
        }
    }
    pub fn try_send(&mut self, octets: &[u8]) -> std::io::Result<()> {
        match self.wire.get_mut() {
            Wire::Plain(tcp) => tcp.write_all(octets),
            Wire::Tls(tls) => tls.write_all(octets).and_then(|()| tls.flush()),
            Wire::None => Ok(()),
        }
    }
    pub fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.try_send(octets.as_ref()).unwrap();
    }
    /// One line without its end; `None` when the other end has closed or fallen silent.
    pub fn try_line(&mut self) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        self.wire.read_until(b'\n', &mut line).ok()?;
        line.pop_if(|&mut c| c == b'\n')?;
        line.pop_if(|&mut c| c == b'\r');
        Some(line)
    }
    #[track_caller]
    pub fn line(&mut self) -> String {
        let line = self.try_line().expect("a line, but the connection is over");
        String::from_utf8_lossy(&line).into_owned()
    }
    /// The next `n` octets.
    pub fn octets(&mut self, n: usize) -> Option<Vec<u8>> {
        let mut all = vec![0; n];
        self.wire.read_exact(&mut all).ok()?;
        Some(all)
    }
    /// Shows what has arrived, some octets at the least, and takes it: how many.
    pub fn piece(&mut self, look: impl FnOnce(&[u8])) -> usize {
        let piece = self.wire.fill_buf().unwrap();
        assert!(!piece.is_empty(), "the connection is over");
        look(piece);
        let read = piece.len();
        self.wire.consume(read);
        read
    }
    /// Everything until the other end closes.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        let _ = self.wire.read_to_end(&mut all);
        all
    }
}

/// Client settings that trust the certificates in `ca`, and nobody else.
pub fn trust(ca: &Path) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).unwrap_or_else(|e| panic!("{}: {e}", ca.display())) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}
