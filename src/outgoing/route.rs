//! From a server's name over its addresses to a connection, with TLS where the settings have it.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use smol::future::or;

use super::{Error, Problem};
use crate::clock::Time;
use crate::config::{Protocol, Security, Smarthost, Source};
use crate::net::handshake::Failure;
use crate::net::stream::Stream;
use crate::net::{resolve, tls};

/// The longest time for one of several addresses, so that it does not use up all the time there is.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);
/// After this time without a greeting it is checked whether the server waits for TLS: then the settings are wrong,
/// and the person who made them should hear so soon. Servers that look up things before they greet take longer, and
/// are waited for all the same.
const DOUBT: Duration = Duration::from_secs(3);
/// The time for each step of that check.
const DOUBTING: Duration = Duration::from_secs(10);

/// The way to a server.
#[derive(Debug, Clone, Copy)]
pub struct Route<'a> {
    /// The server's name or address. The certificate must be for this name.
    pub host: &'a str,
    /// TCP port.
    pub port: u16,
    /// How the connection is secured.
    pub security: Security,
    /// The path of a PEM file with further trusted certificates; empty for none.
    pub ca: &'a str,
    /// The protocol: `pop3`, `imap`, `smtp`, or `http`, in which the server sends no greeting.
    pub protocol: &'static str,
}

impl<'a> From<&'a Source> for Route<'a> {
    fn from(source: &'a Source) -> Route<'a> {
        Route {
            host: &source.host,
            port: source.port,
            security: source.security,
            ca: &source.ca,
            protocol: match source.protocol {
                Protocol::Pop3 => "pop3",
                Protocol::Imap => "imap",
            },
        }
    }
}

impl<'a> From<&'a Smarthost> for Route<'a> {
    fn from(smarthost: &'a Smarthost) -> Route<'a> {
        Route {
            host: &smarthost.host,
            port: smarthost.port,
            security: smarthost.security,
            ca: &smarthost.ca,
            protocol: "smtp",
        }
    }
}

impl Route<'_> {
    /// Connects: with TLS where it comes first, otherwise up to the beginning of the greeting. The server's addresses
    /// are tried in turn. Each step may take `patience` by the clock `time`.
    ///
    /// # Errors
    /// [`Error::Resolve`], [`Error::Connect`], those of [`Route::secure`], [`Error::NoGreeting`], [`Error::TlsFirst`].
    pub async fn dial(&self, patience: Duration, time: &Time) -> Result<Stream, Error> {
        let host = || self.host.to_owned();
        let addresses = time
            .deadline(patience, resolve::resolve(self.host, self.port))
            .await
            .map_err(|source| Error::Resolve { host: host(), source })?;
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in addresses {
            match time.deadline(patience.min(CONNECT_LIMIT), Stream::connect(address)).await {
                Ok(mut stream) => {
                    if self.security == Security::Tls {
                        self.secure(&mut stream, patience, time).await?;
                    } else if self.protocol != "http" {
                        self.greeted(&mut stream, address, patience, time).await?;
                    }
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(Error::Connect { host: host(), port: self.port, source: last })
    }

    /// Changes the connection to TLS and verifies the server. Octets that came before are an error, since an answer
    /// to STARTTLS ends with its line.
    ///
    /// # Errors
    /// [`Error::Tls`], [`Error::Trust`], [`Error::Injected`].
    pub async fn secure(&self, stream: &mut Stream, patience: Duration, time: &Time) -> Result<(), Error> {
        if !stream.buffered().is_empty() {
            return Err(Error::Injected);
        }
        let trust = tls::client_config(self.ca)?;
        let secured = time.deadline(patience, stream.connect_tls(trust, self.host)).await;
        secured.map_err(|error| Error::Tls(Box::new(Problem::new(error.into(), self))))
    }

    /// Waits for the first octets of a greeting: without TLS the server speaks first in all three protocols.
    async fn greeted(
        &self,
        stream: &mut Stream,
        address: SocketAddr,
        patience: Duration,
        time: &Time,
    ) -> Result<(), Error> {
        /// Types of TLS records (RFC 8446 section 5.1) that a server may send unasked: alert and handshake.
        const RECORDS: [u8; 2] = [21, 22];
        let greets = async {
            match time.deadline(patience, stream.fill()).await {
                Ok([first, ..]) if RECORDS.contains(first) => Err(Error::TlsFirst),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(Error::NoGreeting),
                other => Ok(other.map(drop)?),
            }
        };
        let doubts = async {
            time.sleep(DOUBT).await;
            match Box::pin(self.speaks_tls(address, time)).await {
                true => Err(Error::TlsFirst),
                false => pending().await,
            }
        };
        or(greets, doubts).await
    }

    /// Whether the server at `address` answers TLS with TLS, on a connection of its own. Nothing is sent within it,
    /// so the server need not be trusted.
    async fn speaks_tls(&self, address: SocketAddr, time: &Time) -> bool {
        let Ok(trust) = tls::client_config("") else { return false };
        let Ok(mut stream) = time.deadline(DOUBTING, Stream::connect(address)).await else { return false };
        let shaken = time.deadline(DOUBTING, stream.connect_tls(trust, self.host)).await;
        match shaken.map_err(Failure::from) {
            Ok(()) | Err(Failure::Untrusted(..) | Failure::TooOld | Failure::NoKey | Failure::Alert(_)) => {
                true
            }
            Err(Failure::Plaintext(_) | Failure::Closed | Failure::Silence | Failure::Other(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use async_io::{Async, block_on};
    use smol::future::or;

    use super::*;
    use crate::net::stream::tests::pair;

    const ROUTE: Route<'static> =
        Route { host: "127.0.0.1", port: 1, security: Security::Tls, ca: "", protocol: "imap" };

    /// Catches: octets after the answer to STARTTLS that are dropped, or taken for a part of the dialog within TLS; a
    /// handshake that is begun all the same.
    #[test]
    fn what_is_said_between_starttls_and_tls_ends_the_connection() {
        block_on(async {
            let (mut client, mut server) = pair().await;
            let (time, patience) = (Time::default(), Duration::from_secs(5));
            server.queue(b"+OK\r\n-ERR go away\r\n");
            server.flush().await.unwrap();
            client.fill().await.unwrap();
            client.consume(5);
            let secures = async { Some(ROUTE.secure(&mut client, patience, &time).await) };
            let shakes_hands = async {
                server.fill().await.unwrap();
                None
            };
            let secured = or(secures, shakes_hands).await;
            assert!(matches!(secured, Some(Err(Error::Injected))), "{secured:?}");
        });
    }

    /// Catches: an endless wait for a server that takes the connection and never shakes hands, or for one that does
    /// not exist.
    #[test]
    fn who_does_not_answer_is_not_waited_for_without_end() {
        block_on(async {
            let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).unwrap();
            let port = listener.get_ref().local_addr().unwrap().port();
            let (time, route) = (Time::default(), Route { port, ..ROUTE });
            let silent = async {
                let _accepted = listener.accept().await.unwrap();
                for _ in 0..100 {
                    async_io::Timer::after(Duration::from_millis(1)).await;
                    time.advance(Duration::from_secs(1));
                }
                None
            };
            let dialled = or(async { Some(route.dial(Duration::from_secs(5), &time).await) }, silent).await;
            assert!(
                matches!(dialled, Some(Err(Error::Tls(problem))) if problem.to_string().contains("fell silent"))
            );
            drop(listener);
            let dialled = route.dial(Duration::from_secs(5), &time).await.map(drop);
            assert!(matches!(dialled, Err(Error::Connect { .. })), "{dialled:?}");
        });
    }
}
