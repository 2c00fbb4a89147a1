//! TLS without a socket: converts ciphertext to plaintext and back.
//!
//! It uses the unbuffered API of rustls, which keeps no buffers of its own: an idle connection holds only its keys,
//! where the buffered API keeps 4 KiB for the next record.

use std::io;
use std::sync::Arc;

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, UnbufferedConnectionCommon, UnbufferedStatus, WriteTraffic,
};
use rustls::{ClientConfig, ProtocolVersion, ServerConfig};
use zeroize::Zeroize;

use super::binding::{self, ChannelBindings};
use super::certificate::Certificate;
use super::handshake::Failure;
use super::plaintext::Plaintext;

/// Octets of ciphertext that may wait for the rest of their record or handshake message, at most.
const MAX_INCOMING: usize = 64 * 1024;

/// Certificates of a chain that are shown, at most.
const SHOWN: usize = 5;

/// Octets that are kept of what a server sends first, to tell which protocol it speaks instead of TLS.
const HEARD: usize = 200;

/// One end of a TLS connection.
pub(super) struct Secure {
    connection: Connection,
    /// Ciphertext of an incomplete record. Records are deciphered in it, and wiped after that.
    incoming: Vec<u8>,
    closed: bool,
    /// Whether there was an error, after which nothing is sent or received.
    failed: bool,
    /// The channel bindings of a server's connection, once the handshake has come far enough.
    bindings: Option<ChannelBindings>,
}

enum Connection {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// What to do when all ciphertext is processed.
enum Then<'a> {
    Wait,
    Encrypt(&'a [u8]),
    CloseNotify,
}

impl Secure {
    pub(super) fn server(config: Arc<ServerConfig>) -> io::Result<Box<Secure>> {
        let connection = UnbufferedServerConnection::new(config).map_err(error)?;
        Ok(Secure::new(Connection::Server(connection)))
    }

    pub(super) fn client(config: Arc<ClientConfig>, host: &str) -> io::Result<Box<Secure>> {
        let name = ServerName::try_from(host.trim_end_matches('.').to_owned())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, format!("{host} is no host name")))?;
        let connection = UnbufferedClientConnection::new(config, name).map_err(error)?;
        Ok(Secure::new(Connection::Client(connection)))
    }

    /// Boxed at once: it is large, and each future that passes it on would have room for it.
    fn new(connection: Connection) -> Box<Secure> {
        Box::new(Secure { connection, incoming: Vec::new(), closed: false, failed: false, bindings: None })
    }

    /// Whether the handshake is not over, so that no application data can be sent.
    pub(super) fn is_handshaking(&self) -> bool {
        match &self.connection {
            Connection::Server(connection) => connection.is_handshaking(),
            Connection::Client(connection) => connection.is_handshaking(),
        }
    }

    /// Whether the other end has sent a close_notify.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// The data to which a client can bind its login, if this connection has it.
    pub(super) fn bindings(&self) -> Option<&ChannelBindings> {
        self.bindings.as_ref()
    }

    /// The version of TLS and the certificates that the server has sent, its own first, once the handshake is over.
    pub(super) fn server_shown(&self) -> Option<(&'static str, Vec<Certificate>)> {
        let Connection::Client(connection) = &self.connection else { return None };
        let version = match connection.protocol_version()? {
            ProtocolVersion::TLSv1_3 => "TLS 1.3",
            _ => "TLS 1.2",
        };
        Some((version, connection.peer_certificates()?.iter().take(SHOWN).map(Certificate::of).collect()))
    }

    /// The buffer that records are deciphered in.
    #[cfg(test)]
    pub(super) fn incoming(&self) -> &Vec<u8> {
        &self.incoming
    }

    /// Takes ciphertext that arrived. Appends its plaintext to `plain`, and what must be sent (the handshake, or an
    /// alert even after an error) to `wire`. Called without octets, it begins the handshake.
    pub(super) fn receive(
        &mut self,
        ciphertext: &[u8],
        plain: &mut Plaintext,
        wire: &mut Vec<u8>,
    ) -> io::Result<()> {
        if self.incoming.len() + ciphertext.len() > MAX_INCOMING {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the TLS handshake message is too long"));
        }
        self.incoming.extend_from_slice(ciphertext);
        let result = self.drive(plain, wire, Then::Wait);
        if self.incoming.is_empty() {
            self.incoming = Vec::new();
        }
        result
    }

    /// Encrypts `plain` and appends the ciphertext to `wire`.
    pub(super) fn seal(&mut self, plain: &[u8], wire: &mut Vec<u8>) -> io::Result<()> {
        self.drive(&mut Plaintext::default(), wire, Then::Encrypt(plain))
    }

    /// Appends a close_notify to `wire`.
    pub(super) fn close(&mut self, wire: &mut Vec<u8>) -> io::Result<()> {
        self.drive(&mut Plaintext::default(), wire, Then::CloseNotify)
    }

    fn drive(&mut self, plain: &mut Plaintext, wire: &mut Vec<u8>, then: Then<'_>) -> io::Result<()> {
        if self.failed {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let incoming = &mut self.incoming;
        let mut heard = Vec::new();
        let result = match &mut self.connection {
            Connection::Server(connection) => {
                let process = UnbufferedConnectionCommon::<ServerConnectionData>::process_tls_records;
                drive(connection, process, incoming, plain, wire, &then)
            }
            Connection::Client(connection) => {
                let process = UnbufferedConnectionCommon::<ClientConnectionData>::process_tls_records;
                let handshaking = connection.is_handshaking();
                if handshaking {
                    heard.extend(incoming.iter().take(HEARD));
                }
                let driven = drive(connection, process, incoming, plain, wire, &then);
                if handshaking { driven.map_err(|error| refused(error, &heard)) } else { driven }
            }
        };
        if let Some(bindings) = binding::taken() {
            self.bindings = Some(bindings);
        }
        self.failed = result.is_err();
        self.closed |= result?;
        Ok(())
    }
}

/// Runs the state machine of the connection until it wants more ciphertext, and then does `then`. True if the other
/// end has closed.
fn drive<Data>(
    connection: &mut UnbufferedConnectionCommon<Data>,
    process: impl for<'c, 'i> Fn(
        &'c mut UnbufferedConnectionCommon<Data>,
        &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Data>,
    incoming: &mut Vec<u8>,
    plain: &mut Plaintext,
    wire: &mut Vec<u8>,
    then: &Then<'_>,
) -> io::Result<bool> {
    let (mut closed, mut failure) = (false, None);
    loop {
        // After a failure only the alert is fetched, which tells the other end the reason.
        if let Some(problem) = failure.take_if(|_| !connection.wants_write()) {
            return Err(error(problem));
        }
        let UnbufferedStatus { mut discard, state } = process(connection, incoming);
        let mut done = None;
        match state {
            Err(problem) => failure = Some(problem),
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(record) = traffic.next_record() {
                    let record = record.map_err(error)?;
                    discard += record.discard;
                    plain.append(record.payload);
                }
            }
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                append(wire, 0, |buffer| match data.encode(buffer) {
                    Ok(len) => Ok(Ok(len)),
                    Err(EncodeError::InsufficientSize(needed)) => Ok(Err(needed.required_size)),
                    Err(EncodeError::AlreadyEncoded) => Ok(Ok(0)),
                })?
            }
            // The octets are in `wire`, and leave with the next flush.
            Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
            Ok(ConnectionState::PeerClosed) => closed = true,
            Ok(ConnectionState::WriteTraffic(mut traffic)) => done = Some(write(&mut traffic, then, wire)),
            Ok(ConnectionState::BlockedHandshake | ConnectionState::Closed) => {
                done = Some(match then {
                    Then::Wait | Then::CloseNotify => Ok(()),
                    Then::Encrypt(_) => Err(io::ErrorKind::NotConnected.into()),
                });
            }
            // Early data is never accepted: `max_early_data_size` is 0.
            Ok(_) => done = Some(Err(io::ErrorKind::Unsupported.into())),
        }
        let discard = discard.min(incoming.len());
        incoming.get_mut(..discard).unwrap_or_default().zeroize();
        incoming.drain(..discard);
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

/// Appends to `wire` what `encode` writes. `encode` returns the room that it needs if it was given too little.
fn append(
    wire: &mut Vec<u8>,
    mut room: usize,
    mut encode: impl FnMut(&mut [u8]) -> io::Result<Result<usize, usize>>,
) -> io::Result<()> {
    let start = wire.len();
    loop {
        wire.truncate(start);
        // `resize` would work octet by octet, since the code is optimized for size.
        wire.append(&mut vec![0; room]);
        match encode(wire.get_mut(start..).unwrap_or_default()) {
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

fn error(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// The error for a failed handshake with a server, of which `heard` came last.
fn refused(error: io::Error, heard: &[u8]) -> io::Error {
    match error.downcast::<rustls::Error>() {
        Ok(error) => io::Error::new(io::ErrorKind::InvalidData, Failure::of(error, heard)),
        Err(other) => other,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::net::{tls, trust};
    use crate::wiping::tests::Place;
    use rustls::pki_types::PrivateKeyDer;

    /// The configurations of a server and of a client that trusts it.
    pub(in crate::net) fn configs() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
        let certificates = vec![own.cert.der().clone()];
        (tls::serve(certificates.clone(), key).unwrap(), trust::config(certificates).unwrap())
    }

    fn pair() -> (Box<Secure>, Box<Secure>) {
        let (server, client) = configs();
        (Secure::client(client, "localhost").unwrap(), Secure::server(server).unwrap())
    }

    /// Feeds `wire` to `to` in pieces, each changed by `spoil`. Returns what `to` answers and the plaintext that it
    /// got.
    fn carry(
        wire: &[u8],
        to: &mut Secure,
        piece: usize,
        spoil: &mut impl FnMut(&mut [u8]),
    ) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let (mut answer, mut plain) = (Vec::new(), Plaintext::default());
        for piece in wire.chunks(piece) {
            let mut piece = piece.to_vec();
            spoil(&mut piece);
            to.receive(&piece, &mut plain, &mut answer)?;
        }
        Ok((answer, plain.waiting().to_vec()))
    }

    /// Does a handshake. Returns what the client has still to send.
    fn shake(
        client: &mut Secure,
        server: &mut Secure,
        piece: usize,
        spoil: &mut impl FnMut(&mut [u8]),
    ) -> io::Result<Vec<u8>> {
        let mut to_server = Vec::new();
        client.receive(&[], &mut Plaintext::default(), &mut to_server)?;
        while client.is_handshaking() || server.is_handshaking() {
            let (to_client, _) = carry(&to_server, server, piece, spoil)?;
            (to_server, _) = carry(&to_client, client, piece, spoil)?;
            if to_client.is_empty() && to_server.is_empty() {
                return Err(io::Error::other("stuck"));
            }
        }
        Ok(to_server)
    }

    /// Does a handshake, sends 100,000 octets and a close_notify from the client. Returns what the server read.
    fn converse(piece: usize, mut spoil: impl FnMut(&mut [u8])) -> io::Result<Vec<u8>> {
        let (mut client, mut server) = pair();
        let mut to_server = shake(&mut client, &mut server, piece, &mut spoil)?;
        client.seal(&[7; 100_000], &mut to_server)?;
        client.close(&mut to_server)?;
        let (_, plain) = carry(&to_server, &mut server, piece, &mut spoil)?;
        assert!(server.is_closed());
        assert_eq!(server.incoming.capacity(), 0, "a connection at rest keeps no buffer");
        Ok(plain)
    }

    #[test]
    fn octets_pass_whatever_the_pieces() {
        for piece in [1, 7, 1_000, 30_000] {
            assert!(converse(piece, |_| ()).unwrap() == [7; 100_000], "pieces of {piece}");
        }
    }

    /// Catches: a flipped bit anywhere that does not fail the connection, or that does more than that.
    #[test]
    fn what_is_spoilt_on_the_way_is_noticed() {
        for place in (0..3_000).step_by(13) {
            let mut count = 0;
            let outcome = converse(512, |piece| {
                if (count..count + piece.len()).contains(&place) {
                    piece[place - count] ^= 1 << (place % 8);
                }
                count += piece.len();
            });
            // A few bits of a hello have no meaning (the record's legacy version).
            assert!(outcome.is_err() || outcome.unwrap() == [7; 100_000], "octet {place}");
        }
    }

    #[test]
    fn what_is_not_tls_is_refused_with_an_alert() {
        let (_, mut server) = pair();
        let (mut plain, mut wire) = (Plaintext::default(), Vec::new());
        server.receive(b"EHLO client.example\r\n", &mut plain, &mut wire).unwrap_err();
        assert_eq!(wire.first(), Some(&21), "an alert record");
        let refused = server.receive(&[22, 3, 1, 0], &mut plain, &mut wire).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::NotConnected);

        let (_, mut server) = pair();
        let endless =
            |_| server.receive(&[22, 3, 3, 0x40, 0], &mut Plaintext::default(), &mut Vec::new()).is_err();
        assert!((0..20_000).any(endless), "a handshake message without end");
        assert!(server.incoming.capacity() <= 2 * MAX_INCOMING);
    }

    /// Catches: a password that stays where its record was deciphered, under an incomplete next record, and after the
    /// buffer was freed.
    #[test]
    fn a_record_that_was_deciphered_is_wiped() {
        let (mut client, mut server) = pair();
        let mut wire = shake(&mut client, &mut server, 30_000, &mut |_| ()).unwrap();
        let start = wire.len();
        // The secret is far from both ends: the allocator writes into freed memory, too.
        let line = [&[b'-'; 500][..], b"secret", &[b'-'; 500]].concat();
        client.seal(&line, &mut wire).unwrap();
        let next = wire.len();
        client.seal(b"b NOOP", &mut wire).unwrap();

        let (mut plain, mut answer) = (Plaintext::default(), Vec::new());
        server.receive(&wire[..start + 9], &mut plain, &mut answer).unwrap();
        server.receive(&wire[start + 9..next + 9], &mut plain, &mut answer).unwrap();
        assert_eq!((plain.waiting(), server.incoming.len()), (&line[..], 9));
        let place = Place::of(&server.incoming);
        assert!(
            !place.holds(b"secret") && !place.holds(b"-----"),
            "a record that is not whole is all there is"
        );
        server.receive(&wire[next + 9..], &mut plain, &mut answer).unwrap();
        assert_eq!(plain.waiting().len(), line.len() + 6);
        assert!(!place.holds(b"secret") && !place.holds(b"NOOP"), "given back");
    }
}
