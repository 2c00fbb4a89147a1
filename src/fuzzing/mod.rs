//! What the targets in `fuzz/` run, one module each: `run` takes any octets for the input of one part, and finds a defect when
//! the part panics, hangs, eats memory, or breaks the promise that the module states. Small inputs that are worth keeping
//! are in `fuzz/seeds`, and every test run plays them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod config_file;
pub mod console;
pub mod dns_reply;
pub mod http_request;
pub mod imap_command;
pub mod imap_mailbox;
pub mod imap_server;
pub mod imap_session;
pub mod mdns_packet;
pub mod message;
pub mod pop3_command;
pub mod pop3_server;
pub mod smtp_command;
pub mod smtp_data;
pub mod smtp_server;
pub mod store_log;
pub mod token_answer;
pub mod toml_text;
pub mod update_file;

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use async_io::{Async, Timer};

use crate::flash::sim::SimFlash;
use crate::flash::{Flash, Mode};

/// A flash on which one file has this content.
pub fn flash_with(dir: &str, path: &str, content: &[u8]) -> Rc<dyn Flash> {
    let flash = SimFlash::default();
    flash.create_dir(dir).expect("a new flash takes a folder");
    let file = flash.open(path, Mode::Create).expect("and a file");
    file.write_at(0, content).expect("and its content");
    Rc::new(flash)
}

/// Runs a future on this thread.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    async_io::block_on(future)
}

/// A server on loopback that says the same to all that come, without listening, and then closes.
pub(crate) struct Speaker {
    listener: Async<TcpListener>,
    pub(crate) address: SocketAddr,
}

impl Speaker {
    pub(crate) fn new() -> Speaker {
        let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).expect("loopback has ports");
        let address = listener.get_ref().local_addr().expect("it is bound");
        Speaker { listener, address }
    }

    pub(crate) async fn says<T>(&self, octets: &[u8]) -> T {
        loop {
            let Ok((client, _)) = self.listener.accept().await else { continue };
            // A client that has heard enough closes.
            let _ = self.speaks(&client, octets).await;
        }
    }

    /// The same, but where there is a NUL it waits for something to be said, if only for a moment: some things are asked only of a
    /// server that does not speak before its turn.
    pub(crate) async fn says_in_turns<T>(&self, octets: &[u8]) -> T {
        loop {
            let Ok((client, _)) = self.listener.accept().await else { continue };
            let turns = async {
                let mut turns = octets.split(|octet| *octet == 0);
                let last = turns.next_back().unwrap_or_default();
                for turn in turns {
                    write_all(&client, turn).await?;
                    let heard =
                        async { client.read_with(|mut client| client.read(&mut [0; 4096])).await.map(drop) };
                    let moment = async {
                        Timer::after(Duration::from_millis(10)).await;
                        Ok(())
                    };
                    smol::future::or(heard, moment).await?;
                }
                self.speaks(&client, last).await
            };
            let _ = turns.await;
        }
    }

    async fn speaks(&self, client: &Async<TcpStream>, octets: &[u8]) -> io::Result<()> {
        write_all(client, octets).await?;
        client.get_ref().shutdown(Shutdown::Write)?;
        while client.read_with(|mut client| client.read(&mut [0; 4096])).await? > 0 {}
        Ok(())
    }
}

async fn write_all(client: &Async<TcpStream>, mut octets: &[u8]) -> io::Result<()> {
    while !octets.is_empty() {
        let written = client.write_with(|mut client| client.write(octets)).await?;
        octets = octets.get(written..).unwrap_or_default();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    /// A target's name, and what it runs.
    type Target = (&'static str, fn(&[u8]));

    /// Every seed of each target; the message target has the corpus of the other tests besides.
    #[test]
    fn seeds_find_nothing() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let targets: [Target; 19] = [
            ("config_file", super::config_file::run),
            ("console", super::console::run),
            ("dns_reply", super::dns_reply::run),
            ("http_request", super::http_request::run),
            ("imap_command", super::imap_command::run),
            ("imap_mailbox", super::imap_mailbox::run),
            ("imap_server", super::imap_server::run),
            ("imap_session", super::imap_session::run),
            ("mdns_packet", super::mdns_packet::run),
            ("message", super::message::run),
            ("pop3_command", super::pop3_command::run),
            ("pop3_server", super::pop3_server::run),
            ("smtp_command", super::smtp_command::run),
            ("smtp_data", super::smtp_data::run),
            ("smtp_server", super::smtp_server::run),
            ("store_log", super::store_log::run),
            ("token_answer", super::token_answer::run),
            ("toml_text", super::toml_text::run),
            ("update_file", super::update_file::run),
        ];
        assert_eq!(fs::read_dir(root.join("fuzz/fuzz_targets")).unwrap().count(), targets.len());
        for (target, run) in targets {
            let folder = match target {
                "message" => root.join("tests/data/corpus"),
                _ => root.join("fuzz/seeds").join(target),
            };
            let mut seeds: Vec<_> =
                fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
            seeds.sort();
            assert!(!seeds.is_empty(), "{target} has no seeds");
            for seed in seeds.iter().filter(|seed| seed.is_file()) {
                println!("{}", seed.display());
                run(&fs::read(seed).unwrap());
            }
        }
    }
}
