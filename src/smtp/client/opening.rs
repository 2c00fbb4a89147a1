//! From the greeting of another server to the point where it takes mail (RFC 5321 section 3.1, RFC 3207,
//! RFC 4954): a state machine over replies.

use data_encoding::BASE64;
use zeroize::Zeroizing;

use super::{Capabilities, Failure};
use crate::config::Secret;
use crate::outgoing;
use crate::sasl::client::{Client as Sasl, Mechanism, SecretOctets, encode};
use crate::smtp::Reply;

/// Octets of name and password up to which they travel with the AUTH command itself: in base64 they
/// must not make its line longer than 512 octets (RFC 4954 section 4).
const MAX_INITIAL: usize = 350;

/// Who to log in as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name that the server knows.
    pub username: String,
    /// Its password.
    pub password: Secret,
}

/// What comes next. It may hold a password, so it does not print.
pub enum Next {
    /// Send this, and hand over the reply.
    Send(SecretOctets),
    /// Shake hands, and call [`Opening::secured`].
    Handshake,
    /// The server takes mail.
    Ready(Capabilities),
}

/// A connection being opened.
pub struct Opening {
    state: State,
    hello: String,
    /// TLS is demanded, and not in force yet.
    wants_tls: bool,
    login: Option<Credentials>,
    capabilities: Capabilities,
}

enum State {
    Greeting,
    Ehlo,
    Helo,
    StartTls,
    Auth(Box<Sasl>),
    /// A login that cannot go on was cancelled, for this reason.
    Cancelled(String),
}

fn line(text: String) -> Next {
    Next::Send(Zeroizing::new((text + "\r\n").into_bytes()))
}

fn makes_no_sense(reply: &Reply) -> Failure {
    Failure::Unavailable(format!("the smarthost answers {reply}"))
}

impl Opening {
    /// A client that calls itself `hello`. With `starttls` nothing but that is said without TLS. With
    /// credentials nothing is sent without a login.
    pub fn new(hello: &str, starttls: bool, login: Option<Credentials>) -> Opening {
        Opening {
            state: State::Greeting,
            hello: hello.to_owned(),
            wants_tls: starttls,
            login,
            capabilities: Capabilities::default(),
        }
    }

    /// Takes a reply. It is `async` only because hashing a password takes long enough to let others
    /// work in between.
    ///
    /// # Errors
    /// This server will not take the mail, or not now.
    pub async fn reply(&mut self, reply: &Reply) -> Result<Next, Failure> {
        if reply.code == 421 {
            return Err(makes_no_sense(reply));
        }
        match &mut self.state {
            State::Greeting if reply.code == 220 => Ok(self.ehlo()),
            State::Ehlo if reply.is_positive() => {
                self.capabilities = Capabilities::of(reply);
                self.after_hello()
            }
            // RFC 5321 section 4.1.4, for servers older than EHLO.
            State::Ehlo if reply.is_permanent() && !self.wants_tls && self.login.is_none() => {
                self.state = State::Helo;
                Ok(line(format!("HELO {}", self.hello)))
            }
            State::Helo if reply.is_positive() => self.after_hello(),
            State::StartTls if reply.code == 220 => Ok(Next::Handshake),
            State::Auth(_) => self.auth(reply).await,
            State::Cancelled(reason) => Err(Failure::Login(reason.clone())),
            _ => Err(makes_no_sense(reply)),
        }
    }

    /// TLS is in force: what was offered before does not count (RFC 3207 section 4.2).
    pub fn secured(&mut self) -> Next {
        self.wants_tls = false;
        self.capabilities = Capabilities::default();
        self.ehlo()
    }

    fn ehlo(&mut self) -> Next {
        self.state = State::Ehlo;
        line(format!("EHLO {}", self.hello))
    }

    fn after_hello(&mut self) -> Result<Next, Failure> {
        if self.wants_tls {
            if !self.capabilities.starttls {
                return Err(outgoing::Error::NoStartTls("it is not among its extensions".to_owned()).into());
            }
            self.state = State::StartTls;
            return Ok(line("STARTTLS".to_owned()));
        }
        match &self.login {
            None => Ok(Next::Ready(std::mem::take(&mut self.capabilities))),
            Some(login) => {
                let (sasl, command) = self.begin_login(login)?;
                self.state = State::Auth(Box::new(sasl));
                Ok(Next::Send(command))
            }
        }
    }

    fn begin_login(&self, login: &Credentials) -> Result<(Sasl, SecretOctets), Failure> {
        let offered: Vec<&str> = self.capabilities.mechanisms.iter().map(String::as_str).collect();
        let mechanism = Mechanism::strongest(&offered).ok_or_else(|| {
            let offer = if offered.is_empty() { "none".to_owned() } else { offered.join(", ") };
            Failure::Login(format!("the smarthost offers no way to log in that is known here, but {offer}"))
        })?;
        let mut sasl = Sasl::new(mechanism, &login.username, &login.password);
        let short = login.username.len() + login.password.reveal().len() <= MAX_INITIAL;
        let initial = if short { sasl.initial() } else { None };
        let name = mechanism.name();
        // At once, not piece by piece: growing would leave a password behind.
        let command = match initial {
            Some(octets) => ["AUTH ", name, " ", &encode(&octets), "\r\n"].concat(),
            None => ["AUTH ", name, "\r\n"].concat(),
        };
        Ok((sasl, Zeroizing::new(command.into_bytes())))
    }

    /// RFC 4954 section 4.
    async fn auth(&mut self, reply: &Reply) -> Result<Next, Failure> {
        let State::Auth(sasl) = &mut self.state else { return Err(makes_no_sense(reply)) };
        if reply.code == 235 {
            sasl.finish().map_err(|error| Failure::Login(error.to_string()))?;
            return Ok(Next::Ready(std::mem::take(&mut self.capabilities)));
        }
        if reply.code != 334 {
            return Err(Failure::Login(reply.to_string()));
        }
        let challenge = reply.lines.first().map_or("", |line| line.trim());
        let answer = match BASE64.decode(challenge.as_bytes()) {
            Ok(challenge) => sasl.respond(&challenge).await.map_err(|error| error.to_string()),
            Err(_) => Err("the server's challenge is not base64".to_owned()),
        };
        match answer {
            Ok(octets) => {
                let response = [encode(&octets).as_bytes(), b"\r\n"].concat();
                Ok(Next::Send(Zeroizing::new(response)))
            }
            Err(reason) => {
                self.state = State::Cancelled(reason);
                Ok(line("*".to_owned()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::reply::ReplyReader;

    fn demo() -> Option<Credentials> {
        Some(Credentials { username: "demo".into(), password: Secret::new("demo password").unwrap() })
    }

    /// `S:` is a line of the server, `C:` what the client says to a reply, `!` anything else it does.
    fn play(starttls: bool, login: Option<Credentials>, transcript: &str) {
        let mut opening = Opening::new("pillarbox.local", starttls, login);
        let mut reader = ReplyReader::default();
        let mut did = String::new();
        for expected in transcript.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let Some(line) = expected.strip_prefix("S: ") else {
                assert_eq!(std::mem::take(&mut did), expected);
                continue;
            };
            assert_eq!(did, "", "before {expected}");
            let Some(reply) = reader.line(line.as_bytes()).unwrap() else { continue };
            let next = async_io::block_on(opening.reply(&reply));
            did = match next {
                Ok(Next::Handshake) => {
                    let Next::Send(octets) = opening.secured() else { panic!("no EHLO") };
                    format!("! handshake, C: {}", String::from_utf8_lossy(&octets).trim_end())
                }
                Ok(Next::Send(octets)) => format!("C: {}", String::from_utf8_lossy(&octets).trim_end()),
                Ok(Next::Ready(found)) => format!("! ready, size {:?}", found.size),
                Err(Failure::Login(reason)) => format!("! login: {reason}"),
                Err(Failure::Unavailable(reason)) => format!("! later: {reason}"),
            };
        }
        assert_eq!(did, "");
    }

    #[test]
    fn a_login_over_implicit_tls() {
        play(
            false,
            demo(),
            "S: 220-smarthost.example
             S: 220 ESMTP
             C: EHLO pillarbox.local
             S: 250-smarthost.example
             S: 250-SIZE 1000
             S: 250 AUTH LOGIN PLAIN
             C: AUTH PLAIN AGRlbW8AZGVtbyBwYXNzd29yZA==
             S: 235 2.7.0 Welcome
             ! ready, size Some(1000)",
        );
    }

    #[test]
    fn starttls_is_demanded_and_forgets_what_was_offered_before() {
        play(
            true,
            demo(),
            "S: 220 smarthost.example
             C: EHLO pillarbox.local
             S: 250-smarthost.example
             S: 250-SIZE 5
             S: 250-AUTH PLAIN
             S: 250 STARTTLS
             C: STARTTLS
             S: 220 Go
             ! handshake, C: EHLO pillarbox.local
             S: 250-smarthost.example
             S: 250 AUTH=LOGIN
             C: AUTH LOGIN
             S: 334 VXNlcm5hbWU6
             C: ZGVtbw==
             S: 334 UGFzc3dvcmQ6
             C: ZGVtbyBwYXNzd29yZA==
             S: 235 Welcome
             ! ready, size None",
        );
        play(
            true,
            None,
            "S: 220 smarthost.example
             C: EHLO pillarbox.local
             S: 250 AUTH PLAIN
             ! later: the server offers no STARTTLS: it is not among its extensions",
        );
        play(
            true,
            None,
            "S: 220 smarthost.example
             C: EHLO pillarbox.local
             S: 250-smarthost.example
             S: 250 STARTTLS
             C: STARTTLS
             S: 454 4.7.0 No entropy today
             ! later: the smarthost answers 454 4.7.0 No entropy today",
        );
    }

    #[test]
    fn logins_that_go_wrong() {
        let start = "S: 220 smarthost.example
             C: EHLO pillarbox.local
             S: 250-smarthost.example\n";
        for rest in [
            "S: 250 AUTH PLAIN
             C: AUTH PLAIN AGRlbW8AZGVtbyBwYXNzd29yZA==
             S: 535 5.7.8 Wrong
             ! login: 535 5.7.8 Wrong",
            "S: 250 AUTH PLAIN
             C: AUTH PLAIN AGRlbW8AZGVtbyBwYXNzd29yZA==
             S: 454 4.7.0 Directory is down
             ! login: 454 4.7.0 Directory is down",
            "S: 250 AUTH PLAIN
             C: AUTH PLAIN AGRlbW8AZGVtbyBwYXNzd29yZA==
             S: 421 4.3.2 Going down
             ! later: the smarthost answers 421 4.3.2 Going down",
            "S: 250 AUTH GSSAPI NTLM
             ! login: the smarthost offers no way to log in that is known here, but GSSAPI, NTLM",
            "S: 250 SIZE
             ! login: the smarthost offers no way to log in that is known here, but none",
            "S: 250 AUTH LOGIN
             C: AUTH LOGIN
             S: 334 !
             C: *
             S: 501 5.0.0 Cancelled
             ! login: the server's challenge is not base64",
            "S: 250 AUTH PLAIN
             C: AUTH PLAIN AGRlbW8AZGVtbyBwYXNzd29yZA==
             S: 334
             C: *
             S: 501 5.0.0 Cancelled
             ! login: the server's challenge makes no sense: one more than the mechanism has",
        ] {
            play(false, demo(), &format!("{start}{rest}"));
        }
    }

    #[test]
    fn a_long_password_waits_for_the_challenge() {
        let password = Secret::new(&"x".repeat(400)).unwrap();
        let login = Some(Credentials { username: "demo".into(), password });
        let response = BASE64.encode(format!("\0demo\0{}", "x".repeat(400)).as_bytes());
        let transcript = "S: 220 smarthost.example
             C: EHLO pillarbox.local
             S: 250-smarthost.example
             S: 250 AUTH PLAIN
             C: AUTH PLAIN
             S: 334
             C: ";
        play(false, login, &format!("{transcript}{response}\nS: 235 Welcome\n! ready, size None"));
    }

    #[test]
    fn servers_that_are_old_or_unwilling() {
        play(
            false,
            None,
            "S: 220 old.example
             C: EHLO pillarbox.local
             S: 500 What?
             C: HELO pillarbox.local
             S: 250 old.example
             ! ready, size None",
        );
        play(false, None, "S: 554 5.3.2 No service\n! later: the smarthost answers 554 5.3.2 No service");
        play(
            false,
            demo(),
            "S: 220 old.example
             C: EHLO pillarbox.local
             S: 500 What?
             ! later: the smarthost answers 500 What?",
        );
    }
}
