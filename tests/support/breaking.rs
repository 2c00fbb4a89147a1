//! A line to a server that breaks amid what it carries.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{JoinHandle, spawn};

/// Ends when dropped, as soon as its connections do.
pub struct Breaking {
    pub address: SocketAddr,
    broken: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl Breaking {
    /// A line to `server`. The first connections break when so many octets have gone to it; with `0` and behind the last of `after`
    /// they do not.
    pub fn to(server: SocketAddr, after: &'static [usize]) -> Breaking {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, over) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let (ends, broken) = (over.clone(), Arc::<AtomicUsize>::default());
        let breaks = broken.clone();
        let acceptor = spawn(move || {
            for (n, client) in listener.incoming().map_while(Result::ok).enumerate() {
                if ends.load(Ordering::Relaxed) {
                    return;
                }
                let (after, breaks) = (after.get(n).copied().unwrap_or(0), breaks.clone());
                // Nobody there: the connection ends at once.
                if let Ok(server) = TcpStream::connect(server) {
                    spawn(move || {
                        let (back, to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                        spawn(move || carry(back, to, 0));
                        if carry(client, server, after) {
                            breaks.fetch_add(1, Ordering::Relaxed);
                        }
                    });
                }
            }
        });
        Breaking { address, broken, over, acceptor: Some(acceptor) }
    }

    /// How many connections broke.
    pub fn broken(&self) -> usize {
        self.broken.load(Ordering::Relaxed)
    }
}

impl Drop for Breaking {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        let _ = self.acceptor.take().map(JoinHandle::join);
    }
}

/// One direction; where it is to break, both ends hang up `after` so many octets: whether that came about.
fn carry(mut from: TcpStream, mut to: TcpStream, after: usize) -> bool {
    to.set_nodelay(true).unwrap();
    let (mut buffer, mut carried) = (vec![0; 4096], 0);
    while let Ok(read) = from.read(&mut buffer)
        && read > 0
    {
        carried += read;
        if after > 0 && carried > after {
            for end in [&from, &to] {
                let _ = end.shutdown(Shutdown::Both);
            }
            return true;
        }
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    false
}
