//! A connection, plain or TLS, which can change to TLS in place.
//!
//! Idle connections must cost next to nothing. So buffers are allocated when octets come or go and freed when they
//! are empty, and the socket is read into a buffer on the stack first. What was read or sent is wiped, since it may
//! have been a password.

use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_io::Async;
use rustls::{ClientConfig, ServerConfig};
use zeroize::Zeroize;

use super::binding::ChannelBindings;
use super::certificate::Certificate;
use super::plaintext::Plaintext;
use super::secure::Secure;
use crate::wiping;

/// Octets that are read at once: as many as a TLS record holds.
const CHUNK: usize = 16 * 1024;

/// Octets that are sent at once: two TLS records, so that a message of the usual size leaves in one call.
const PIECE: usize = 2 * CHUNK;

/// Octets of a reply above which it is taken for a long one.
const SHORT: usize = 4 * 1024;

/// Reads and writes without waiting after which other tasks get their turn.
const TURNS: u8 = 16;

/// Pieces that [`Stream::cut`] reads at most: as many as the system keeps for a connection by default.
const UNREAD: usize = 512;

/// How long [`Stream::close`] may take if the peer has stopped reading.
const CLOSING: Duration = Duration::from_secs(2);

/// A buffered connection.
pub struct Stream {
    tcp: Async<TcpStream>,
    peer: SocketAddr,
    tls: Option<Box<Secure>>,
    input: Plaintext,
    /// Plaintext that is to be sent.
    output: Vec<u8>,
    /// Octets for the socket: `output`, encrypted where TLS is in force.
    wire: Vec<u8>,
    /// How many octets of `wire` were sent.
    sent: usize,
    closed: bool,
    turns: u8,
}

impl Stream {
    /// A stream over an accepted connection; sets TCP_NODELAY.
    ///
    /// # Errors
    /// The system's.
    pub fn new(tcp: Async<TcpStream>) -> io::Result<Stream> {
        tcp.get_ref().set_nodelay(true)?;
        Ok(Stream {
            peer: tcp.get_ref().peer_addr()?,
            tcp,
            tls: None,
            input: Plaintext::default(),
            output: Vec::new(),
            wire: Vec::new(),
            sent: 0,
            closed: false,
            turns: 0,
        })
    }

    /// Connects to `address`.
    ///
    /// # Errors
    /// The system's.
    pub async fn connect(address: SocketAddr) -> io::Result<Stream> {
        Stream::new(Async::<TcpStream>::connect(address).await?)
    }

    /// The address of the other end.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Whether TLS is in force.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// The data to which a client can bind its login, for a server's connection with TLS 1.3.
    pub fn bindings(&self) -> Option<&ChannelBindings> {
        self.tls.as_ref().and_then(|tls| tls.bindings())
    }

    /// The version of TLS and the certificates of the server that this client is connected to.
    pub fn server_shown(&self) -> Option<(&'static str, Vec<Certificate>)> {
        self.tls.as_ref().and_then(|tls| tls.server_shown())
    }

    /// Changes to TLS as the server. Octets that came before the handshake are dropped, and never taken for commands
    /// (RFC 3207 section 4.2).
    ///
    /// # Errors
    /// A failed handshake ends the connection.
    pub async fn accept_tls(&mut self, config: Arc<ServerConfig>) -> io::Result<()> {
        self.handshake(Secure::server(config)?).await
    }

    /// Changes to TLS as the client and verifies that the server is `host`. Octets that came before the handshake are
    /// dropped.
    ///
    /// # Errors
    /// [`handshake::Failure`](super::handshake::Failure) tells why there is no TLS.
    pub async fn connect_tls(&mut self, config: Arc<ClientConfig>, host: &str) -> io::Result<()> {
        self.handshake(Secure::client(config, host)?).await
    }

    async fn handshake(&mut self, secure: Box<Secure>) -> io::Result<()> {
        self.flush().await?;
        self.input = Plaintext::default();
        self.tls = Some(secure);
        self.receive(&[])?;
        loop {
            self.flush().await?;
            if !self.tls.as_ref().is_some_and(|tls| tls.is_handshaking()) {
                return Ok(());
            }
            if !self.more().await? {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the other end closed during the TLS handshake",
                ));
            }
        }
    }

    /// The octets that have arrived and were not consumed; waits if there are none. Empty only if the other end has
    /// closed. Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// The connection's.
    pub async fn fill(&mut self) -> io::Result<&[u8]> {
        while self.buffered().is_empty() && self.more().await? {}
        Ok(self.buffered())
    }

    /// The octets that have arrived and were not consumed, without waiting.
    pub fn buffered(&self) -> &[u8] {
        self.input.waiting()
    }

    /// Consumes the first `n` octets of [`Stream::buffered`], and wipes them.
    pub fn consume(&mut self, n: usize) {
        self.input.take(n);
    }

    /// Keeps the first `first` and the last `last` octets of [`Stream::buffered`] and drops those between.
    pub(super) fn forget_between(&mut self, first: usize, last: usize) {
        self.input.forget_between(first, last);
    }

    /// Waits until the other end has sent something, which may be too little of a TLS record to add to
    /// [`Stream::buffered`]. False if it has closed. Nothing is lost if the future is dropped.
    pub(super) async fn more(&mut self) -> io::Result<bool> {
        poll_fn(|cx| self.poll_more(cx)).await
    }

    /// Not an `async fn`, so that its buffer does not become part of the future.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut chunk = [0; CHUNK];
        loop {
            if self.closed {
                return Poll::Ready(Ok(false));
            }
            ready!(self.poll_turn(cx));
            match self.tcp.get_ref().read(&mut chunk) {
                Ok(0) => self.closed = true,
                Ok(n) => {
                    let came = chunk.get_mut(..n).unwrap_or_default();
                    let received = self.receive(came);
                    if self.tls.is_none() {
                        came.zeroize();
                    }
                    return Poll::Ready(received.map(|()| true));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.turns = 0;
                    // Many clients leave Nagle's algorithm on. The end of a message then waits for the
                    // acknowledgement of its beginning, which the system would delay by 40 ms. If this call fails,
                    // the end just comes late.
                    let _ = rustix::net::sockopt::set_tcp_quickack(&self.tcp, true);
                    ready!(self.tcp.poll_readable(cx))?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn receive(&mut self, octets: &[u8]) -> io::Result<()> {
        let Some(tls) = &mut self.tls else {
            self.input.append(octets);
            return Ok(());
        };
        let result = tls.receive(octets, &mut self.input, &mut self.wire);
        self.closed |= tls.is_closed();
        if result.is_err() {
            // The alert is worth one try; the connection is over in any case.
            let alert = self.wire.get(self.sent..).unwrap_or_default();
            self.sent += self.tcp.get_ref().write(alert).unwrap_or_default();
        }
        result
    }

    /// Adds octets to the output buffer; [`Stream::flush`] sends them. For short replies.
    pub fn queue(&mut self, octets: &[u8]) {
        if self.output.len() + octets.len() > SHORT {
            // More will follow, and growing step by step would copy it again and again.
            wiping::reserve(&mut self.output, PIECE);
        }
        wiping::append(&mut self.output, octets);
    }

    /// Adds octets like [`Stream::queue`], but sends the buffer whenever it holds 32 KiB, so that a long reply needs
    /// no long buffer.
    ///
    /// # Errors
    /// The connection's.
    pub async fn write(&mut self, mut octets: &[u8]) -> io::Result<()> {
        while self.output.len() + octets.len() >= PIECE {
            let (now, later) = octets.split_at(PIECE.saturating_sub(self.output.len()));
            self.queue(now);
            self.flush().await?;
            octets = later;
        }
        self.queue(octets);
        Ok(())
    }

    /// Sends the output buffer. Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// The connection's.
    pub async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.sent >= self.wire.len() {
                if self.tls.is_none() {
                    wipe_line(&mut self.wire);
                }
                self.wire = Vec::new();
                self.sent = 0;
                if self.output.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                let mut output = std::mem::take(&mut self.output);
                match &mut self.tls {
                    None => self.wire = output,
                    Some(tls) => {
                        let sealed = tls.seal(&output, &mut self.wire);
                        wipe_line(&mut output);
                        sealed?;
                    }
                }
            }
            ready!(self.poll_turn(cx));
            match self.tcp.get_ref().write(self.wire.get(self.sent..).unwrap_or_default()) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(n) => self.sent += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.turns = 0;
                    ready!(self.tcp.poll_writable(cx))?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Returns pending now and then, and wakes the task at once, so that a peer that is always ready does not keep
    /// the thread busy.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.turns < TURNS {
            self.turns += 1;
            return Poll::Ready(());
        }
        self.turns = 0;
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Ends the connection at once, whatever the other end still sends.
    pub fn cut(&self) {
        let _ = self.tcp.get_ref().shutdown(Shutdown::Both);
        // The system ends the connection when more comes, and what nobody reads keeps a peer that never pauses from
        // sending more.
        let mut unread = [0; CHUNK];
        for _ in 0..UNREAD {
            if !matches!(self.tcp.get_ref().read(&mut unread), Ok(1..)) {
                break;
            }
        }
    }

    /// Flushes and closes, with a TLS close_notify. Waits a moment until the other end closes too: to close with
    /// unread input would reset the connection, and the last reply could be lost.
    pub async fn close(&mut self) {
        let _ = super::deadline(CLOSING, async {
            self.flush().await?;
            // After a failure of TLS there is no close_notify.
            if let Some(Ok(())) = self.tls.as_mut().map(|tls| tls.close(&mut self.wire)) {
                self.flush().await?;
            }
            self.tcp.get_ref().shutdown(Shutdown::Write)?;
            // Further input is ignored, encrypted or not.
            self.tls = None;
            self.closed = false;
            while self.more().await? {
                self.consume(usize::MAX);
            }
            Ok(())
        })
        .await;
    }
}

/// Wipes octets that were sent if they may have been a password. A full piece is part of a message, and wiping all
/// mail that is read would take a tenth of the speed.
fn wipe_line(sent: &mut Vec<u8>) {
    if sent.len() < CHUNK {
        sent.as_mut_slice().zeroize();
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::line::read_line;
    use super::super::secure;
    use super::*;
    use crate::wiping::tests::Place;
    use std::net::TcpListener;

    /// Both ends of a connection over loopback.
    pub(crate) async fn pair() -> (Stream, Stream) {
        let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).unwrap();
        let address = listener.get_ref().local_addr().unwrap();
        let (client, server) = smol::future::zip(Stream::connect(address), listener.accept()).await;
        (client.unwrap(), Stream::new(server.unwrap().0).unwrap())
    }

    /// Both ends of a connection over loopback, with TLS if `tls`.
    pub(crate) async fn pair_over(tls: bool) -> (Stream, Stream) {
        let (mut client, mut server) = pair().await;
        if tls {
            let (server_config, client_config) = secure::tests::configs();
            let accept = server.accept_tls(server_config);
            smol::future::try_zip(accept, client.connect_tls(client_config, "localhost")).await.unwrap();
        }
        (client, server)
    }

    /// Everything that comes until the other end closes.
    pub(crate) async fn rest(stream: &mut Stream) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let piece = stream.fill().await.unwrap();
            if piece.is_empty() {
                return all;
            }
            all.extend_from_slice(piece);
            let taken = piece.len();
            stream.consume(taken);
        }
    }

    #[test]
    fn octets_pass_and_leave_no_buffer_behind() {
        async_io::block_on(async {
            let (mut client, mut server) = pair().await;
            client.queue(b"hello ");
            client.queue(b"world");
            client.flush().await.unwrap();
            assert_eq!(server.fill().await.unwrap(), b"hello world");
            server.consume(6);
            assert_eq!(server.buffered(), b"world");
            server.consume(5);
            for stream in [&client, &server] {
                assert_eq!(stream.input.capacity() + stream.output.capacity() + stream.wire.capacity(), 0);
            }
            smol::future::zip(client.close(), async {
                assert_eq!(server.fill().await.unwrap(), b"");
                server.close().await;
            })
            .await;
        });
    }

    #[test]
    fn a_long_reply_flows_through_a_short_buffer() {
        async_io::block_on(async {
            let (mut client, mut server) = pair().await;
            let sent: Vec<u8> = (0..1_000_000_u32).map(|i| (i % 251) as u8).collect();
            let mut received = Vec::new();
            smol::future::zip(
                async {
                    for piece in sent.chunks(100_000) {
                        server.write(piece).await.unwrap();
                        assert!(server.output.len() < PIECE);
                    }
                    server.close().await;
                },
                async {
                    received = rest(&mut client).await;
                    client.close().await;
                },
            )
            .await;
            assert!(received == sent);
        });
    }

    #[test]
    fn a_goodbye_arrives_although_input_is_unread() {
        async_io::block_on(async {
            let (mut client, mut server) = pair().await;
            client.queue(&[b'x'; 100_000]);
            client.flush().await.unwrap();
            server.queue(b"421 bye\r\n");
            smol::future::zip(server.close(), async {
                assert_eq!(client.fill().await.unwrap(), b"421 bye\r\n");
                client.consume(9);
                client.close().await;
            })
            .await;
        });
    }

    /// Catches: a password that stays in the buffers of a connection, plain or TLS, after its line was read, where
    /// the line came in pieces and the next one has begun.
    #[test]
    fn a_line_that_was_read_is_nowhere_in_the_buffers() {
        // A word that no other test uses, since tests run in parallel.
        const PASSWORD: &[u8] = b"plover-417";
        for tls in [false, true] {
            async_io::block_on(async {
                let (mut client, mut server) = pair_over(tls).await;
                let places = |server: &Stream| {
                    let incoming = server.tls.as_ref().map(|tls| tls.incoming());
                    [Some(server.input.place()), incoming.map(Place::of)].into_iter().flatten()
                };
                let mut seen = Vec::new();
                for (piece, whole) in [("a LOGIN fred plover-417", 23), ("\r", 24), ("\nb NO", 29)] {
                    client.queue(piece.as_bytes());
                    client.flush().await.unwrap();
                    while server.buffered().len() < whole {
                        assert!(server.more().await.unwrap());
                    }
                    seen.extend(places(&server));
                    assert!(seen.iter().any(|place| place.holds(PASSWORD)), "this is where to look");
                }
                let mut line = Vec::new();
                read_line(&mut server, &mut line, 100).await.unwrap();
                assert_eq!((&line[..], server.buffered()), (&b"a LOGIN fred plover-417"[..], &b"b NO"[..]));
                line.zeroize();
                seen.extend(places(&server));
                for place in &seen {
                    assert!(!place.holds(PASSWORD), "TLS: {tls}");
                }
                client.queue(b"OP\r\n");
                client.flush().await.unwrap();
                read_line(&mut server, &mut line, 100).await.unwrap();
                seen.extend(places(&server));
                for place in &seen {
                    assert!(!place.holds(PASSWORD), "TLS: {tls}, after the next line");
                }
            });
        }
    }

    /// Whether `secret` is in the 64 KiB of the stack that were freed last. It uses little of the stack itself.
    #[inline(never)]
    fn stack_held(secret: &[u8]) -> bool {
        use std::os::unix::fs::FileExt;
        let (here, mut below) = (0_u8, vec![0; 1 << 16]);
        let begin = std::ptr::from_ref(&here) as u64 - below.len() as u64;
        std::fs::File::open("/proc/self/mem").unwrap().read_exact_at(&mut below, begin).unwrap();
        memchr::memmem::find(&below, secret).is_some()
    }

    /// Catches: a password that stays on the stack, into which the socket is read first.
    #[test]
    fn a_line_that_was_read_is_not_on_the_stack() {
        #[inline(never)]
        fn leaves(secret: &[u8]) {
            let mut chunk = [0; CHUNK];
            chunk[..secret.len()].copy_from_slice(secret);
            std::hint::black_box(&chunk);
        }
        leaves(b"plover-418");
        assert!(stack_held(b"plover-418"), "this is where to look");
        async_io::block_on(async {
            let (mut client, mut server) = pair().await;
            client.queue(b"a LOGIN fred plover-419\r\n");
            client.flush().await.unwrap();
            while server.buffered().len() < 25 {
                assert!(server.more().await.unwrap());
                assert!(!stack_held(b"plover-419"));
            }
        });
    }

    /// Catches: a password for a server elsewhere that stays in the buffers of the connection after it was sent, or
    /// where they grew.
    #[test]
    fn what_was_sent_is_nowhere_in_the_buffers() {
        // The secret is far from both ends: the allocator writes into freed memory, too.
        let line = [&[b'-'; 500][..], b"plover-420", &[b'-'; 500]].concat();
        for tls in [false, true] {
            async_io::block_on(async {
                let (mut client, _server) = pair_over(tls).await;
                client.queue(&line);
                let mut places = vec![Place::of(&client.output)];
                client.queue(&[b'+'; 5000]);
                places.push(Place::of(&client.output));
                assert!(places[1].holds(b"plover-420"), "this is where to look");
                client.flush().await.unwrap();
                assert!(places.iter().all(|place| !place.holds(b"plover-420")), "TLS: {tls}");
            });
        }
    }

    /// Counts how often it is woken.
    struct Woken(std::sync::atomic::AtomicUsize);

    impl std::task::Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }

    /// Catches: a peer that is always ready and keeps the thread busy, and a turn for other tasks after which the
    /// task is not woken.
    #[test]
    fn a_peer_that_is_always_ready_leaves_others_their_turn() {
        async_io::block_on(async {
            let (mut client, mut server) = pair().await;
            let woken = Arc::new(Woken(0.into()));
            let waker = woken.clone().into();
            let mut cx = Context::from_waker(&waker);
            let wakes = || woken.0.load(std::sync::atomic::Ordering::Relaxed);
            for round in 1..=3 {
                for _ in 0..TURNS {
                    server.queue(b"x");
                    assert!(server.poll_flush(&mut cx).is_ready(), "round {round}");
                }
                server.queue(b"x");
                assert!(server.poll_flush(&mut cx).is_pending(), "others have their turn");
                assert_eq!(wakes(), round, "and it goes on by itself");
                assert!(server.poll_flush(&mut cx).is_ready());
                server.turns = 0;
            }
            for round in 4..=6 {
                for _ in 0..TURNS {
                    client.queue(b"y");
                    client.flush().await.unwrap();
                    assert!(server.poll_more(&mut cx).is_ready(), "round {round}");
                }
                client.queue(b"y");
                client.flush().await.unwrap();
                assert!(server.poll_more(&mut cx).is_pending(), "others have their turn");
                assert_eq!(wakes(), round, "and it goes on by itself");
                assert!(server.poll_more(&mut cx).is_ready());
                server.turns = 0;
            }
        });
    }
}
