//! TLS without a socket: ciphertext in, plaintext out, and the other way round.
//!
//! Built on the unbuffered half of rustls, which keeps no buffers of its own: a connection at rest holds
//! its keys and nothing else, where the buffered half keeps 4 KiB for the next record.

use std::io;
use std::sync::Arc;

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, UnbufferedConnectionCommon, UnbufferedStatus, WriteTraffic,
};
use rustls::{CertificateError, ClientConfig, ServerConfig};

/// Ciphertext that may wait for the rest of its record or handshake message.
const MAX_INCOMING: usize = 64 * 1024;

/// One end of a TLS connection.
pub(super) struct Secure {
    connection: Connection,
    /// Ciphertext of a record that is not whole yet.
    incoming: Vec<u8>,
    closed: bool,
}

enum Connection {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// What to do once there is nothing more to receive.
enum Then<'a> {
    Wait,
    Encrypt(&'a [u8]),
    CloseNotify,
}

impl Secure {
    pub(super) fn server(config: Arc<ServerConfig>) -> io::Result<Secure> {
        let connection = UnbufferedServerConnection::new(config).map_err(error)?;
        Ok(Secure::new(Connection::Server(connection)))
    }

    pub(super) fn client(config: Arc<ClientConfig>, host: &str) -> io::Result<Secure> {
        let name = ServerName::try_from(host.trim_end_matches('.').to_owned())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, format!("{host} is no host name")))?;
        let connection = UnbufferedClientConnection::new(config, name).map_err(error)?;
        Ok(Secure::new(Connection::Client(connection)))
    }

    fn new(connection: Connection) -> Secure {
        Secure { connection, incoming: Vec::new(), closed: false }
    }

    /// Whether application data cannot flow yet.
    pub(super) fn is_handshaking(&self) -> bool {
        match &self.connection {
            Connection::Server(connection) => connection.is_handshaking(),
            Connection::Client(connection) => connection.is_handshaking(),
        }
    }

    /// Whether the other end has said that nothing more comes (close_notify).
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Takes ciphertext that arrived, appends its plaintext to `plain` and what has to be sent (the
    /// handshake, an alert, even beside an error) to `wire`. Called with nothing, begins the handshake.
    pub(super) fn receive(
        &mut self,
        ciphertext: &[u8],
        plain: &mut Vec<u8>,
        wire: &mut Vec<u8>,
    ) -> io::Result<()> {
        if self.incoming.len() + ciphertext.len() > MAX_INCOMING {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the TLS handshake message is too long"));
        }
        self.incoming.extend_from_slice(ciphertext);
        let result = self.drive(plain, wire, Then::Wait);
        if result.is_err() {
            // A second round, with nothing to read, fetches the alert that tells the other end why.
            self.incoming.clear();
            let _ = self.drive(plain, wire, Then::Wait);
        }
        if self.incoming.is_empty() {
            self.incoming = Vec::new();
        }
        result
    }

    /// Appends the ciphertext of `plain` to `wire`.
    pub(super) fn seal(&mut self, plain: &[u8], wire: &mut Vec<u8>) -> io::Result<()> {
        self.drive(&mut Vec::new(), wire, Then::Encrypt(plain))
    }

    /// Appends a close_notify to `wire`.
    pub(super) fn close(&mut self, wire: &mut Vec<u8>) -> io::Result<()> {
        self.drive(&mut Vec::new(), wire, Then::CloseNotify)
    }

    fn drive(&mut self, plain: &mut Vec<u8>, wire: &mut Vec<u8>, then: Then<'_>) -> io::Result<()> {
        let Secure { connection, incoming, closed } = self;
        *closed |= match connection {
            Connection::Server(connection) => drive(
                connection,
                UnbufferedConnectionCommon::<ServerConnectionData>::process_tls_records,
                incoming,
                plain,
                wire,
                &then,
            ),
            Connection::Client(connection) => drive(
                connection,
                UnbufferedConnectionCommon::<ClientConnectionData>::process_tls_records,
                incoming,
                plain,
                wire,
                &then,
            ),
        }?;
        Ok(())
    }
}

/// Runs the connection's state machine until it wants more ciphertext, and then does `then`. True when
/// the other end has closed.
fn drive<Data>(
    connection: &mut UnbufferedConnectionCommon<Data>,
    process: impl for<'c, 'i> Fn(
        &'c mut UnbufferedConnectionCommon<Data>,
        &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Data>,
    incoming: &mut Vec<u8>,
    plain: &mut Vec<u8>,
    wire: &mut Vec<u8>,
    then: &Then<'_>,
) -> io::Result<bool> {
    let mut closed = false;
    loop {
        let UnbufferedStatus { mut discard, state } = process(connection, incoming);
        let mut done = None;
        match state.map_err(error)? {
            ConnectionState::ReadTraffic(mut traffic) => {
                while let Some(record) = traffic.next_record() {
                    let record = record.map_err(error)?;
                    discard += record.discard;
                    plain.extend_from_slice(record.payload);
                }
            }
            ConnectionState::EncodeTlsData(mut data) => {
                append(wire, 0, |buffer| match data.encode(buffer) {
                    Ok(len) => Ok(Ok(len)),
                    Err(EncodeError::InsufficientSize(needed)) => Ok(Err(needed.required_size)),
                    Err(EncodeError::AlreadyEncoded) => Ok(Ok(0)),
                })?
            }
            // `wire` is the transmission: it leaves in order with the next flush.
            ConnectionState::TransmitTlsData(data) => data.done(),
            ConnectionState::PeerClosed => closed = true,
            ConnectionState::WriteTraffic(mut traffic) => done = Some(write(&mut traffic, then, wire)),
            ConnectionState::BlockedHandshake | ConnectionState::Closed => {
                done = Some(match then {
                    Then::Wait | Then::CloseNotify => Ok(()),
                    Then::Encrypt(_) => Err(io::ErrorKind::NotConnected.into()),
                });
            }
            // Early data is never accepted: `max_early_data_size` stays 0.
            _ => done = Some(Err(io::ErrorKind::Unsupported.into())),
        }
        incoming.drain(..discard.min(incoming.len()));
        if let Some(result) = done {
            return result.map(|()| closed);
        }
    }
}

fn write<Data>(traffic: &mut WriteTraffic<'_, Data>, then: &Then<'_>, wire: &mut Vec<u8>) -> io::Result<()> {
    let (guess, plain) = match then {
        Then::Wait => return Ok(()),
        Then::Encrypt(plain) => (plain.len() + 64, Some(*plain)),
        Then::CloseNotify => (64, None),
    };
    append(wire, guess, |buffer| {
        let result = match plain {
            Some(plain) => traffic.encrypt(plain, buffer),
            None => traffic.queue_close_notify(buffer),
        };
        match result {
            Ok(len) => Ok(Ok(len)),
            Err(EncryptError::InsufficientSize(needed)) => Ok(Err(needed.required_size)),
            Err(EncryptError::EncryptExhausted) => Err(io::Error::other("the TLS keys are used up")),
        }
    })
}

/// Appends to `wire` what `encode` makes, which says the room it needs when it was given too little.
fn append(
    wire: &mut Vec<u8>,
    mut room: usize,
    mut encode: impl FnMut(&mut [u8]) -> io::Result<Result<usize, usize>>,
) -> io::Result<()> {
    let start = wire.len();
    loop {
        wire.resize(start + room, 0);
        match encode(&mut wire[start..]) {
            Ok(Ok(len)) => {
                wire.truncate(start + len);
                return Ok(());
            }
            Ok(Err(needed)) => room = needed,
            Err(error) => {
                wire.truncate(start);
                return Err(error);
            }
        }
    }
}

/// Says what to do where a certificate was refused: these words reach the operator.
fn error(error: rustls::Error) -> io::Error {
    let advice = match &error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "the server's certificate is signed by nobody that is trusted; \
             put it, or its CA's, into a PEM file and name that as `ca`"
        }
        rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. }) => {
            "the server's certificate is for another name; correct `host`, \
             or put the certificate into a PEM file and name that as `ca`"
        }
        _ => return io::Error::new(io::ErrorKind::InvalidData, error),
    };
    io::Error::new(io::ErrorKind::InvalidData, format!("{advice} ({error})"))
}
