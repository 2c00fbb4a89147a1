//! The sockets that the appliance listens on, and what happens to a connection that comes in.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use async_io::{Async, Timer};
use smol::future::{or, yield_now};
use smol::{LocalExecutor, Task};

use crate::config::{Listen, Listener, ServerProtocol};
use crate::context::{Context, NoRoom, Place};
use crate::http::Site;
use crate::net::{listener, stream::Stream};
use crate::relay::Relay;
use crate::{http, imap, pop3, sandbox, smtp};

/// Pause after an accept that failed for lack of descriptors or memory.
const ACCEPT_RETRY: Duration = Duration::from_millis(200);

/// What a client is told when there is no room for its connection. Empty where TLS would come first.
fn busy(listener: Listener) -> &'static [u8] {
    match listener.protocol() {
        _ if listener.has_implicit_tls() => b"",
        ServerProtocol::Pop3 => b"-ERR [SYS/TEMP] too many connections, try again later\r\n",
        ServerProtocol::Imap => b"* BYE too many connections, try again later\r\n",
        ServerProtocol::Submission | ServerProtocol::LanSmtp => {
            b"421 4.3.2 too many connections, try again later\r\n"
        }
        ServerProtocol::Http => b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n",
    }
}

/// A socket that is bound; nobody accepts on it yet.
pub struct Bound {
    listener: Listener,
    configured: SocketAddr,
    socket: Async<TcpListener>,
}

/// The open listeners. A listener that is dropped closes its socket; its sessions go on.
#[derive(Default)]
pub struct Listeners(Vec<Open>);

struct Open {
    listener: Listener,
    configured: SocketAddr,
    /// The address of the socket: for port 0 the system chooses the port.
    actual: SocketAddr,
    accepting: Task<()>,
}

impl Listeners {
    /// Binds what `listen` names and is not open. Returns the new sockets, and one line for each socket that could not be
    /// bound.
    pub fn bind_missing(&self, listen: &Listen) -> (Vec<Bound>, Vec<String>) {
        let (mut bound, mut refused) = (Vec::new(), Vec::new());
        let missing = listen.all().filter(|(listener, address)| {
            !self.0.iter().any(|open| (open.listener, open.configured) == (*listener, *address))
        });
        for (listener, configured) in missing {
            match listener::bind(configured) {
                Ok(socket) => bound.push(Bound { listener, configured, socket }),
                // On a machine without IPv6, `[::]` stands for no address at all.
                Err(error) if is_without_ipv6(&error) && configured.ip().is_unspecified() => {
                    log::warn!("listen.{} = {configured}: this machine has no IPv6", listener.name());
                }
                Err(error) => {
                    let limits = sandbox::limited_to();
                    let is_given_up =
                        limits.is_some_and(|limits| !limits.listen.contains(&configured.port()));
                    let advice = advice(&error, is_given_up);
                    refused.push(format!("listen.{} = {configured}: {advice}", listener.name()));
                }
            }
        }
        (bound, refused)
    }

    /// Removes the listeners that `listen` no longer names. A socket is closed when its returned task has been cancelled.
    pub fn take_unwanted(&mut self, listen: &Listen) -> Vec<Task<()>> {
        let unwanted = |open: &mut Open| !listen.all().any(|it| it == (open.listener, open.configured));
        self.0.extract_if(.., unwanted).map(|open| open.accepting).collect()
    }

    /// Removes all listeners. A socket is closed when its returned task has been cancelled.
    pub fn take_all(&mut self) -> impl Iterator<Item = Task<()>> + use<> {
        std::mem::take(&mut self.0).into_iter().map(|open| open.accepting)
    }

    /// Adds the sockets in `bound`, each with the task that accepts connections on it.
    pub fn open(&mut self, bound: Vec<Bound>, accept: impl Fn(Listener, Async<TcpListener>) -> Task<()>) {
        for Bound { listener, configured, socket } in bound {
            let actual = socket.get_ref().local_addr().unwrap_or(configured);
            self.0.push(Open { listener, configured, actual, accepting: accept(listener, socket) });
        }
    }

    /// The open listeners with their addresses.
    pub fn bound(&self) -> Vec<(Listener, SocketAddr)> {
        self.0.iter().map(|open| (open.listener, open.actual)).collect()
    }
}

fn is_without_ipv6(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

/// What the operator can do about `error`. `is_given_up`: the process has given up the right to open this port.
fn advice(error: &io::Error, is_given_up: bool) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another program listens there; end it or choose another port".to_owned(),
        io::ErrorKind::PermissionDenied if is_given_up => {
            "a device opens a new port at its next start: `restart daemon`".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "not allowed; ports below 1024 need the capability CAP_NET_BIND_SERVICE".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
        _ => error.to_string(),
    }
}

impl fmt::Display for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> =
            self.bound().iter().map(|(listener, address)| format!("{} {address}", listener.name())).collect();
        f.write_str(&names.join(", "))
    }
}

/// What serving a connection needs.
pub struct Parts {
    pub context: Rc<Context>,
    pub relay: Rc<Relay>,
    pub site: Rc<Site>,
}

/// Accepts connections for ever. Each is served by a task of its own.
pub async fn accept(
    executor: &'static LocalExecutor<'static>,
    listener: Listener,
    socket: Async<TcpListener>,
    parts: Rc<Parts>,
) {
    loop {
        match socket.accept().await {
            Ok((tcp, peer)) => {
                log::debug!("{} connection from {peer}", listener.name());
                let config = parts.context.config();
                match parts.context.places.open(listener.name(), listener.service(), peer.ip(), &config) {
                    Ok(place) => {
                        let parts = parts.clone();
                        executor.spawn(async move { serve(listener, tcp, place, &parts).await }).detach();
                    }
                    Err(why) => refuse(listener, &tcp, peer, why),
                }
                // A connection that is displaced has to end before the next one is accepted, however fast they come.
                yield_now().await;
            }
            Err(error) => {
                log::warn!("{}: a connection could not be accepted: {error}", listener.name());
                Timer::after(ACCEPT_RETRY).await;
            }
        }
    }
}

fn refuse(listener: Listener, tcp: &Async<TcpStream>, peer: SocketAddr, why: NoRoom) {
    log::warn!("{} connection from {peer} refused: {why}", listener.name());
    // The socket is new, so its buffer has room for the line; a client that is gone already misses nothing.
    let _ = io::Write::write(&mut tcp.get_ref(), busy(listener));
}

async fn serve(listener: Listener, tcp: Async<TcpStream>, place: Place, parts: &Parts) {
    let Ok(stream) = Stream::new(tcp) else { return };
    let context = parts.context.clone();
    let implicit_tls = listener.has_implicit_tls();
    match listener.protocol() {
        ServerProtocol::Pop3 => pop3::server::serve(stream, implicit_tls, place, context).await,
        ServerProtocol::Imap => imap::server::serve(stream, implicit_tls, place, context).await,
        ServerProtocol::Submission => {
            let role = smtp::Role::Submission { implicit_tls };
            smtp::server::serve(stream, role, place, context, parts.relay.clone()).await;
        }
        ServerProtocol::LanSmtp => {
            smtp::server::serve(stream, smtp::Role::LanSmtp, place, context, parts.relay.clone()).await;
        }
        ServerProtocol::Http => {
            let busy = || place.keep();
            let ended = async {
                place.ended().await;
            };
            // The task of every connection has room for the largest of these futures. This one is the largest, so it is boxed.
            Box::pin(or(ended, http::serve(stream, implicit_tls, &parts.site, busy))).await;
        }
    }
}
