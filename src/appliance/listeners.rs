//! The sockets that the appliance listens on, and what happens to a connection that comes in.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use async_io::{Async, Timer};
use smol::future::{or, yield_now};
use smol::{LocalExecutor, Task};

use crate::config::{Listen, Service};
use crate::context::{Context, NoRoom, Place};
use crate::http::Site;
use crate::net::{listener, stream::Stream};
use crate::relay::Relay;
use crate::{http, imap, pop3, sandbox, smtp};

/// Pause after an accept that failed for want of descriptors or memory.
const BREATHER: Duration = Duration::from_millis(200);

/// What a listener is for, by the names of `[listen]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Pop3,
    Pop3s,
    Imap,
    Imaps,
    Submission,
    Submissions,
    LanSmtp,
    Http,
    Https,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Pop3 => "pop3",
            Kind::Pop3s => "pop3s",
            Kind::Imap => "imap",
            Kind::Imaps => "imaps",
            Kind::Submission => "submission",
            Kind::Submissions => "submissions",
            Kind::LanSmtp => "lan_smtp",
            Kind::Http => "http",
            Kind::Https => "https",
        }
    }

    fn service(self) -> Option<Service> {
        match self {
            Kind::Pop3 | Kind::Pop3s => Some(Service::Pop3),
            Kind::Imap | Kind::Imaps => Some(Service::Imap),
            Kind::Submission | Kind::Submissions | Kind::LanSmtp => Some(Service::Submission),
            Kind::Http | Kind::Https => None,
        }
    }

    /// What a client hears for whom there is no room. Empty where TLS would come first.
    fn busy(self) -> &'static [u8] {
        match self {
            Kind::Pop3 => b"-ERR [SYS/TEMP] too many connections, try again later\r\n",
            Kind::Imap => b"* BYE too many connections, try again later\r\n",
            Kind::Submission | Kind::LanSmtp => b"421 4.3.2 too many connections, try again later\r\n",
            Kind::Http => b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n",
            Kind::Pop3s | Kind::Imaps | Kind::Submissions | Kind::Https => b"",
        }
    }
}

fn wanted(listen: &Listen) -> impl Iterator<Item = (Kind, SocketAddr)> {
    [
        (Kind::Pop3, &listen.pop3),
        (Kind::Pop3s, &listen.pop3s),
        (Kind::Imap, &listen.imap),
        (Kind::Imaps, &listen.imaps),
        (Kind::Submission, &listen.submission),
        (Kind::Submissions, &listen.submissions),
        (Kind::LanSmtp, &listen.lan_smtp),
        (Kind::Http, &listen.http),
        (Kind::Https, &listen.https),
    ]
    .into_iter()
    .flat_map(|(kind, addresses)| addresses.iter().map(move |address| (kind, *address)))
}

/// A socket that is bound; nobody accepts on it yet.
pub struct Bound {
    kind: Kind,
    configured: SocketAddr,
    socket: Async<TcpListener>,
}

/// The listeners that are open. One that is dropped closes its socket; its sessions go on.
#[derive(Default)]
pub struct Listeners(Vec<Listener>);

struct Listener {
    kind: Kind,
    configured: SocketAddr,
    /// The address that it has: with port 0 the system chooses.
    actual: SocketAddr,
    accepting: Task<()>,
}

impl Listeners {
    /// Binds what `listen` names and is not open: the new sockets, and of each other one in one line why not.
    pub fn bind_missing(&self, listen: &Listen) -> (Vec<Bound>, Vec<String>) {
        let (mut bound, mut refused) = (Vec::new(), Vec::new());
        let missing = wanted(listen).filter(|(kind, address)| {
            !self.0.iter().any(|open| (open.kind, open.configured) == (*kind, *address))
        });
        for (kind, configured) in missing {
            match listener::bind(configured) {
                Ok(socket) => bound.push(Bound { kind, configured, socket }),
                // All IPv6 addresses of a machine without IPv6 are none.
                Err(error) if is_without_ipv6(&error) && configured.ip().is_unspecified() => {
                    log::warn!("listen.{} = {configured}: this machine has no IPv6", kind.name());
                }
                Err(error) => {
                    let limits = sandbox::limited_to();
                    let is_given_up =
                        limits.is_some_and(|limits| !limits.listen.contains(&configured.port()));
                    let advice = advice(&error, is_given_up);
                    refused.push(format!("listen.{} = {configured}: {advice}", kind.name()));
                }
            }
        }
        (bound, refused)
    }

    /// Takes out what `listen` names no longer: a socket is closed when its task has been cancelled.
    pub fn take_unwanted(&mut self, listen: &Listen) -> Vec<Task<()>> {
        let unwanted = |open: &mut Listener| !wanted(listen).any(|it| it == (open.kind, open.configured));
        self.0.extract_if(.., unwanted).map(|open| open.accepting).collect()
    }

    /// Takes out all of them.
    pub fn take_all(&mut self) -> impl Iterator<Item = Task<()>> + use<> {
        std::mem::take(&mut self.0).into_iter().map(|open| open.accepting)
    }

    /// Adds `bound`, each with the task that accepts on it.
    pub fn open(&mut self, bound: Vec<Bound>, accept: impl Fn(Kind, Async<TcpListener>) -> Task<()>) {
        for Bound { kind, configured, socket } in bound {
            let actual = socket.get_ref().local_addr().unwrap_or(configured);
            self.0.push(Listener { kind, configured, actual, accepting: accept(kind, socket) });
        }
    }

    /// Names and addresses.
    pub fn bound(&self) -> Vec<(&'static str, SocketAddr)> {
        self.0.iter().map(|open| (open.kind.name(), open.actual)).collect()
    }
}

fn is_without_ipv6(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

/// `is_given_up`: the process may no longer open this port.
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
            self.bound().iter().map(|(name, address)| format!("{name} {address}")).collect();
        f.write_str(&names.join(", "))
    }
}

/// What the services that are reached by a connection need.
pub struct Parts {
    pub context: Rc<Context>,
    pub relay: Rc<Relay>,
    pub site: Rc<Site>,
}

/// Accepts connections for ever, each served by a task of its own.
pub async fn accept(
    executor: &'static LocalExecutor<'static>,
    kind: Kind,
    listener: Async<TcpListener>,
    parts: Rc<Parts>,
) {
    loop {
        match listener.accept().await {
            Ok((tcp, peer)) => {
                log::debug!("{} connection from {peer}", kind.name());
                let config = parts.context.config();
                match parts.context.places.open(kind.name(), kind.service(), peer.ip(), &config) {
                    Ok(place) => {
                        let parts = parts.clone();
                        executor.spawn(async move { serve(kind, tcp, place, &parts).await }).detach();
                    }
                    Err(why) => refuse(kind, &tcp, peer, why),
                }
                // Who makes room has to go before the next one comes, however fast they come.
                yield_now().await;
            }
            Err(error) => {
                log::warn!("{}: a connection could not be accepted: {error}", kind.name());
                Timer::after(BREATHER).await;
            }
        }
    }
}

fn refuse(kind: Kind, tcp: &Async<TcpStream>, peer: SocketAddr, why: NoRoom) {
    log::warn!("{} connection from {peer} refused: {why}", kind.name());
    // The socket is new, so its buffer takes the line; whoever is gone already misses nothing.
    let _ = io::Write::write(&mut tcp.get_ref(), kind.busy());
}

async fn serve(kind: Kind, tcp: Async<TcpStream>, place: Place, parts: &Parts) {
    let Ok(stream) = Stream::new(tcp) else { return };
    let context = parts.context.clone();
    match kind {
        Kind::Pop3 | Kind::Pop3s => pop3::server::serve(stream, kind == Kind::Pop3s, place, context).await,
        Kind::Imap | Kind::Imaps => imap::server::serve(stream, kind == Kind::Imaps, place, context).await,
        Kind::Submission | Kind::Submissions => {
            let role = smtp::Role::Submission { implicit_tls: kind == Kind::Submissions };
            smtp::server::serve(stream, role, place, context, parts.relay.clone()).await;
        }
        Kind::LanSmtp => {
            smtp::server::serve(stream, smtp::Role::LanSmtp, place, context, parts.relay.clone()).await;
        }
        Kind::Http | Kind::Https => {
            let busy = || place.keep();
            let ended = async {
                place.ended().await;
            };
            // The task of every connection has room for the largest of these futures, which this one is.
            Box::pin(or(ended, http::serve(stream, kind == Kind::Https, &parts.site, busy))).await;
        }
    }
}
