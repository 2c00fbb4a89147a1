//! An OAuth 2.0 server that answers as it is told.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use async_io::Async;
use rustls::ServerConfig;

use crate::net::stream::Stream;

/// The answer to one request.
pub enum Say {
    /// These octets, then the end of the connection.
    Raw(Vec<u8>),
    /// These octets again and again.
    Endless(Vec<u8>),
    /// These octets, then silence.
    Stall(Vec<u8>),
}

pub struct Server {
    listener: Async<TcpListener>,
    says: RefCell<VecDeque<Say>>,
    /// The TLS configuration, if it is to use TLS.
    pub tls: RefCell<Option<Arc<ServerConfig>>>,
    /// The contents of the requests.
    pub asked: RefCell<Vec<String>>,
}

impl Server {
    pub fn new() -> Server {
        let listener = Async::<TcpListener>::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        Server { listener, says: RefCell::default(), tls: RefCell::default(), asked: RefCell::default() }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.listener.get_ref().local_addr().unwrap())
    }

    /// Sets the next answers: a status and a content each.
    pub fn says(&self, answers: &[(u16, &str)]) {
        for (status, content) in answers {
            let length = content.len();
            let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n");
            self.does(Say::Raw((head + content).into_bytes()));
        }
    }

    pub fn does(&self, say: Say) {
        self.says.borrow_mut().push_back(say);
    }

    /// The number of requests so far.
    pub fn times(&self) -> usize {
        self.asked.borrow().len()
    }

    /// Whether the latest request holds `part`.
    pub fn was_asked(&self, part: &str) -> bool {
        self.asked.borrow().last().is_some_and(|asked| asked.contains(part))
    }

    pub async fn serve(&self) {
        loop {
            let (tcp, _) = self.listener.accept().await.unwrap();
            let mut stream = Stream::new(tcp).unwrap();
            let tls = self.tls.borrow().clone();
            if let Some(tls) = tls
                && stream.accept_tls(tls).await.is_err()
            {
                continue;
            }
            // A client may leave early.
            let _ = self.answer(&mut stream).await;
        }
    }

    async fn answer(&self, stream: &mut Stream) -> std::io::Result<()> {
        let mut came = Vec::new();
        let content = loop {
            let octets = stream.fill().await?;
            if octets.is_empty() {
                return Ok(());
            }
            came.extend_from_slice(octets);
            let n = octets.len();
            stream.consume(n);
            let text = String::from_utf8_lossy(&came).into_owned();
            let Some((head, content)) = text.split_once("\r\n\r\n") else { continue };
            assert!(head.starts_with("POST /") && head.contains("\r\nConnection: close"), "{head}");
            assert!(head.contains("\r\nContent-Type: application/x-www-form-urlencoded\r\n"), "{head}");
            if head.contains(&format!("\r\nContent-Length: {}\r\n", content.len())) {
                break content.to_owned();
            }
        };
        self.asked.borrow_mut().push(content);
        let say = self.says.borrow_mut().pop_front().expect("nobody expected this request");
        match say {
            Say::Raw(octets) => {
                stream.write(&octets).await?;
                stream.flush().await?;
            }
            Say::Endless(octets) => loop {
                stream.write(&octets).await?;
                stream.flush().await?;
            },
            Say::Stall(octets) => {
                stream.write(&octets).await?;
                stream.flush().await?;
                std::future::pending::<()>().await;
            }
        }
        stream.close().await;
        Ok(())
    }
}
