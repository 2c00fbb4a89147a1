//! A server of OAuth 2.0 that replaces each refresh token when it is used, gives access tokens that last a second more than a
//! minute, and tells a mail server whether one is good (RFC 7662).

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

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
    /// Device codes: whose, and how often they were asked about.
    devices: HashMap<String, (String, u32)>,
    given: u32,
    /// What was asked for with a refresh token.
    renewals: Vec<String>,
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
            // The scope tells whose mailbox it is: nobody logs in at a page here.
            "/device" => {
                let code = format!("device{}", self.devices.len());
                self.devices.insert(code.clone(), (of("scope"), 0));
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
            Some((_, asked)) if *asked == 0 => {
                *asked += 1;
                return (400, r#"{"error":"authorization_pending"}"#.to_owned());
            }
            Some((user, _)) => Some(user.clone()),
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
