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
use rustls::{ClientConfig, ProtocolVersion, ServerConfig};
use zeroize::Zeroize;

use super::binding::{self, ChannelBindings};
use super::certificate::Certificate;
use super::handshake::Failure;
use super::plaintext::Plaintext;

/// Ciphertext that may wait for the rest of its record or handshake message.
const MAX_INCOMING: usize = 64 * 1024;

/// Certificates of a chain that are told.
const SHOWN: usize = 5;

/// Octets of what a server says that are kept for telling what it speaks instead of TLS.
const HEARD: usize = 200;

/// One end of a TLS connection.
pub(super) struct Secure {
    connection: Connection,
    /// Ciphertext of a record that is not whole yet. Records are deciphered in it, and wiped when they were.
    incoming: Vec<u8>,
    closed: bool,
    /// After an error nothing goes either way.
    failed: bool,
    /// Of a server's connection, once the handshake came so far.
    bindings: Option<ChannelBindings>,
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

    /// Boxed at once: it is large, and the futures that pass it on would each have room for it.
    fn new(connection: Connection) -> Box<Secure> {
        Box::new(Secure { connection, incoming: Vec::new(), closed: false, failed: false, bindings: None })
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

    /// What a client can bind its login to, as far as this connection has such things.
    pub(super) fn bindings(&self) -> Option<&ChannelBindings> {
        self.bindings.as_ref()
    }

    /// The version of TLS and the certificates that the server shows, its own first, once the handshake is over.
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

    /// Takes ciphertext that arrived, appends its plaintext to `plain` and what has to be sent (the
    /// handshake, an alert, even beside an error) to `wire`. Called with nothing, begins the handshake.
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

    /// Appends the ciphertext of `plain` to `wire`.
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

/// Runs the connection's state machine until it wants more ciphertext, and then does `then`. True when
/// the other end has closed.
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
        // After a failure only the alert is fetched, which tells the other end why.
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
            // `wire` is the transmission: it leaves in order with the next flush.
            Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
            Ok(ConnectionState::PeerClosed) => closed = true,
            Ok(ConnectionState::WriteTraffic(mut traffic)) => done = Some(write(&mut traffic, then, wire)),
            Ok(ConnectionState::BlockedHandshake | ConnectionState::Closed) => {
                done = Some(match then {
                    Then::Wait | Then::CloseNotify => Ok(()),
                    Then::Encrypt(_) => Err(io::ErrorKind::NotConnected.into()),
                });
            }
            // Early data is never accepted: `max_early_data_size` stays 0.
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

/// Appends to `wire` what `encode` makes, which says the room it needs when it was given too little.
fn append(
    wire: &mut Vec<u8>,
    mut room: usize,
    mut encode: impl FnMut(&mut [u8]) -> io::Result<Result<usize, usize>>,
) -> io::Result<()> {
    let start = wire.len();
    loop {
        wire.truncate(start);
        // Not `resize`, which goes octet by octet where code is to be small.
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

/// Why the handshake with a server failed, of which `heard` came last.
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

    /// What a server and a client that trusts it need.
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

    /// Carries what is on `wire` to `to` in pieces, each passed through `spoil`; returns what `to`
    /// answers and understands.
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

    /// A handshake; returns what the client has still to send.
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

    /// A handshake, 100 000 octets from the client and a close_notify; returns what the server read.
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

    /// A bit flipped at any place fails the connection and nothing else.
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
            // A few bits of a hello mean nothing to the other end (the record's legacy version).
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

    /// Catches: a password that stays where its record was deciphered, under a next one that is not whole, and after
    /// the buffer was given back.
    #[test]
    fn a_record_that_was_deciphered_is_wiped() {
        let (mut client, mut server) = pair();
        let mut wire = shake(&mut client, &mut server, 30_000, &mut |_| ()).unwrap();
        let start = wire.len();
        // Far enough from both ends: the allocator writes into what was given back, too.
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
