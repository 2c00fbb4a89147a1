//! A long line to a server: octets arrive half a round trip later than they were sent, at any rate.
//!
//! On loopback only, and of TCP only what a program notices: a connection stands after a whole round trip, then each direction is
//! late by a half. Nothing is lost, no window is small. The programs keep Nagle's algorithm as they have it; what they send is
//! acknowledged here, so that it never waits for a round trip, which is to their favour.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

/// Ends when dropped, as soon as its connections do.
pub struct Line {
    pub address: SocketAddr,
    over: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl Line {
    /// A line to `server`.
    pub fn to(server: SocketAddr, round_trip: Duration) -> Line {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, over) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let ends = over.clone();
        let acceptor = spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if ends.load(Ordering::Relaxed) {
                    return;
                }
                spawn(move || connect(client, server, round_trip));
            }
        });
        Line { address, over, acceptor: Some(acceptor) }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        let _ = self.acceptor.take().map(JoinHandle::join);
    }
}

fn connect(client: TcpStream, server: SocketAddr, round_trip: Duration) {
    // So long a client waits for its connection.
    sleep(round_trip);
    let Ok(server) = TcpStream::connect(server) else { return };
    for (from, to) in [(&client, &server), (&server, &client)] {
        // The line itself holds nothing back.
        to.set_nodelay(true).unwrap();
        carry(from.try_clone().unwrap(), to.try_clone().unwrap(), round_trip / 2);
    }
}

/// One direction: a thread takes octets off as they come, so that nobody is slowed down, another one passes them on when it is time.
fn carry(mut from: TcpStream, mut to: TcpStream, late: Duration) {
    let (queue, due) = channel::<(Instant, Vec<u8>)>();
    spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(read) = from.read(&mut buffer)
            && read > 0
            && queue.send((Instant::now() + late, buffer[..read].to_vec())).is_ok()
        {}
    });
    spawn(move || {
        for (due, octets) in due {
            sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&octets).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}
