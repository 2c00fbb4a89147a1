//! Deliveries over SMTP or LMTP, each acknowledged when it is durable.

use std::time::Instant;

use super::server::{Server, message, messages};
use super::support::Connection;
use super::support::mail::dot_stuffed;

const CLIENTS: usize = 8;

/// Into the INBOX of `u0`, which the other measures read.
pub fn one_client(server: &Server) -> f64 {
    deliver(server, "one client", messages(), 1, |_| "u0".to_owned())
}

pub fn eight_clients(server: &Server) -> f64 {
    deliver(server, "eight clients", messages(), CLIENTS, |_| "u1".to_owned())
}

pub fn eight_accounts(server: &Server) -> f64 {
    deliver(server, "eight accounts", messages() / 4, CLIENTS, |client| format!("u{}", 2 + client))
}

/// Deliveries a second; notes the octets written for each octet delivered under `name`.
fn deliver(
    server: &Server,
    name: &'static str,
    count: usize,
    clients: usize,
    to: impl Fn(usize) -> String,
) -> f64 {
    let mut senders: Vec<Sender> = (0..clients).map(|client| Sender::new(server, &to(client))).collect();
    let mails: Vec<Vec<Vec<u8>>> = (0..clients)
        .map(|client| (client..count).step_by(clients).map(|n| dot_stuffed(&message(n))).collect())
        .collect();
    let octets: usize = mails.iter().flatten().map(Vec::len).sum();
    let (before, start) = (server.written(), Instant::now());
    std::thread::scope(|scope| {
        for (sender, mails) in senders.iter_mut().zip(&mails) {
            scope.spawn(|| mails.iter().for_each(|mail| sender.send(mail)));
        }
    });
    let rate = count as f64 / start.elapsed().as_secs_f64();
    // The processes that serve the senders are still there to be asked.
    server.note(name, (server.written() - before) / octets as f64);
    rate
}

/// Delivers `mails` to `user`, by one client.
pub fn all(server: &Server, user: &str, mails: &[Vec<u8>]) {
    let mut sender = Sender::new(server, user);
    mails.iter().for_each(|mail| sender.send(&dot_stuffed(mail)));
}

struct Sender {
    connection: Connection,
    envelope: String,
}

impl Sender {
    fn new(server: &Server, to: &str) -> Sender {
        let (address, hello) = server.delivery;
        let mut connection = Connection::open(address);
        connection.line();
        connection.send(format!("{hello} client.example\r\n"));
        while !connection.line().starts_with("250 ") {}
        let domain = server.domain;
        let envelope = format!("MAIL FROM:<printer@home.example>\r\nRCPT TO:<{to}{domain}>\r\nDATA\r\n");
        Sender { connection, envelope }
    }

    /// RFC 2920: the three commands leave together.
    fn send(&mut self, stuffed: &[u8]) {
        self.connection.send(&self.envelope);
        for expected in ["250", "250", "354"] {
            let reply = self.connection.line();
            assert!(reply.starts_with(expected), "{reply}");
        }
        self.connection.send([stuffed, b".\r\n"].concat());
        let reply = self.connection.line();
        assert!(reply.starts_with("250"), "{reply}");
    }
}
