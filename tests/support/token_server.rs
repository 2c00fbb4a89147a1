//! A server of OAuth 2.0 that replaces each refresh token when it is used, gives access tokens that last a second more than a
//! minute, and tells a mail server whether one is good (RFC 7662).
//!
//! A code for a device (RFC 8628) is waited for once. Then it is permitted, unless the scope, which tells whose mailbox it is, is
//! `slow`, `denied` or `late`.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The running server; its thread ends with the process.
pub struct TokenServer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// By refresh token that is good: whose it is.
    refresh: HashMap<String, String>,
    /// The same of access tokens.
    access: HashMap<String, String>,
    /// By device code.
    devices: HashMap<String, Device>,
    given: u32,
    /// What was asked for with a refresh token.
    renewals: Vec<String>,
}

struct Device {
    user: String,
    /// How often it was asked about.
    asked: u32,
    /// Before then nobody is to ask.
    next: Instant,
    interval: Duration,
    /// How often somebody did.
    too_early: u32,
}

impl Device {
    /// What stands in the way of tokens.
    fn ask(&mut self) -> Option<&'static str> {
        let now = Instant::now();
        self.asked += 1;
        self.too_early += u32::from(now < self.next);
        let error = match (self.asked, &*self.user) {
            (1, _) => Some("authorization_pending"),
            (2, "slow") => Some("slow_down"),
            (_, "denied") => Some("access_denied"),
            (_, "late") => Some("expired_token"),
            _ => None,
        };
        if error == Some("slow_down") {
            self.interval += Duration::from_secs(5);
        }
        self.next = now + self.interval;
        error
    }
}

impl TokenServer {
    pub fn start() -> TokenServer {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::<Mutex<State>>::default();
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = answer(stream, &shared);
            }
        });
        TokenServer { address, state }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How often an access token was asked for with a refresh token, and the last one of these.
    pub fn renewals(&self) -> (usize, Option<String>) {
        let state = self.state.lock().unwrap();
        (state.renewals.len(), state.renewals.last().cloned())
    }

    /// Codes that were asked about, and how often that was sooner than allowed.
    pub fn device_codes(&self) -> (usize, u32) {
        let state = self.state.lock().unwrap();
        (state.devices.len(), state.devices.values().map(|it| it.too_early).sum())
    }

    /// All permissions are taken back.
    pub fn revoke(&self) {
        let mut state = self.state.lock().unwrap();
        state.refresh.clear();
        state.access.clear();
    }
}

fn answer(stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap();
        }
    }
    let mut content = vec![0; length];
    reader.read_exact(&mut content)?;
    let content = String::from_utf8(content).unwrap();
    let fields: HashMap<&str, &str> = content.split('&').filter_map(|field| field.split_once('=')).collect();
    let of = |name: &str| fields.get(name).copied().unwrap_or_default().to_owned();
    let path = first.split(' ').nth(1).unwrap_or_default();
    let (status, json) = state.lock().unwrap().answer(path, &of);
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{json}",
        json.len()
    )
}

impl State {
    fn answer(&mut self, path: &str, of: &dyn Fn(&str) -> String) -> (u16, String) {
        match path {
            "/introspect" => match self.access.get(&of("token")) {
                Some(user) => (200, format!(r#"{{"active":true,"username":"{user}"}}"#)),
                None => (200, r#"{"active":false}"#.to_owned()),
            },
            // Nobody logs in at a page here.
            "/device" => {
                let code = format!("device{}", self.devices.len());
                let interval = Duration::from_secs(1);
                let next = Instant::now() + interval;
                let device = Device { user: of("scope"), asked: 0, next, interval, too_early: 0 };
                self.devices.insert(code.clone(), device);
                let url = "https://login.provider.example/device";
                (
                    200,
                    format!(
                        r#"{{"device_code":"{code}","user_code":"WXYZ-1234","verification_uri":"{url}","expires_in":60,"interval":1}}"#
                    ),
                )
            }
            "/token" => self.token(of),
            _ => (404, String::new()),
        }
    }

    fn token(&mut self, of: &dyn Fn(&str) -> String) -> (u16, String) {
        let device = of("device_code");
        let user = match self.devices.get_mut(&device) {
            Some(device) => match device.ask() {
                Some(error) => return (400, format!(r#"{{"error":"{error}"}}"#)),
                None => Some(device.user.clone()),
            },
            None => {
                self.renewals.push(of("refresh_token"));
                self.refresh.remove(&of("refresh_token"))
            }
        };
        let Some(user) = user else {
            return (400, r#"{"error":"invalid_grant","error_description":"it was taken back"}"#.to_owned());
        };
        self.given += 1;
        let (access, refresh) = (format!("access{}", self.given), format!("refresh{}", self.given));
        self.access.insert(access.clone(), user.clone());
        self.refresh.insert(refresh.clone(), user);
        (
            200,
            format!(
                r#"{{"token_type":"Bearer","access_token":"{access}","refresh_token":"{refresh}","expires_in":61,"x":[{{}}]}}"#
            ),
        )
    }
}
