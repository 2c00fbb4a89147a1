//! Small servers of the tests' own: a thread accepts, each connection has one too.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, spawn};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::dovecot::Certificate;

/// Plain or TLS.
trait Octets: Read + Write + Send {}
impl<T: Read + Write + Send> Octets for T {}

/// The server's end of a connection.
pub struct Wire(BufReader<Box<dyn Octets>>);

impl Wire {
    fn new(tcp: TcpStream, tls: Option<Arc<ServerConfig>>) -> io::Result<Wire> {
        tcp.set_nodelay(true)?;
        let octets: Box<dyn Octets> = match tls {
            None => Box::new(tcp),
            Some(tls) => {
                Box::new(StreamOwned::new(ServerConnection::new(tls).map_err(io::Error::other)?, tcp))
            }
        };
        Ok(Wire(BufReader::with_capacity(64 << 10, octets)))
    }
    /// The next line with its end, in `line`; false when the connection is over.
    pub fn read(&mut self, line: &mut Vec<u8>) -> io::Result<bool> {
        line.clear();
        self.0.read_until(b'\n', line)?;
        Ok(line.ends_with(b"\n"))
    }
    /// The next command without its end; `None` when the connection is over.
    pub fn command(&mut self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        let there = self.read(&mut line)?;
        Ok(there.then(|| String::from_utf8_lossy(&line).trim_end().to_owned()))
    }
    /// The next `n` octets.
    pub fn octets(&mut self, n: usize) -> io::Result<Vec<u8>> {
        let mut all = vec![0; n];
        self.0.read_exact(&mut all)?;
        Ok(all)
    }
    pub fn say(&mut self, octets: impl AsRef<[u8]>) -> io::Result<()> {
        self.0.get_mut().write_all(octets.as_ref())?;
        self.0.get_mut().flush()
    }
}

/// A server on a port that the system chose; accepts no more once it is dropped.
pub struct Loopback {
    pub address: SocketAddr,
    stopping: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl Loopback {
    /// Serves every connection with `talk`, over TLS with `certificate` where there is one. That a client breaks off
    /// is its own business.
    pub fn serve(
        certificate: Option<&Certificate>,
        talk: impl Fn(Wire) -> io::Result<()> + Send + Sync + 'static,
    ) -> Loopback {
        let tls = certificate.map(|certificate| Arc::new(server_config(certificate)));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (stopping, talk) = (Arc::new(AtomicBool::new(false)), Arc::new(talk));
        let stop = stopping.clone();
        let acceptor = spawn(move || {
            for tcp in listener.incoming().map_while(Result::ok) {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let (talk, tls) = (talk.clone(), tls.clone());
                spawn(move || Wire::new(tcp, tls).and_then(|wire| talk(wire)));
            }
        });
        Loopback { address, stopping, acceptor: Some(acceptor) }
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        let _ = self.acceptor.take().map(JoinHandle::join);
    }
}

fn server_config(certificate: &Certificate) -> ServerConfig {
    let chain = CertificateDer::pem_file_iter(&certificate.chain).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(&certificate.key).unwrap();
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap()
}
