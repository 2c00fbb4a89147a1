//! From the greeting to the opened maildrop: CAPA, STLS and the login, as a state machine without I/O
//! (RFC 1939 sections 4 and 7, RFC 2449, RFC 2595, RFC 5034).
//!
//! With `auth = "auto"` the strongest mechanism that is offered comes first, and the next one only when
//! the server refuses the mechanism itself. A refused password is never tried again by other means: that
//! would lock accounts, and show the password to more ears than need be.

use std::collections::VecDeque;
use std::mem;

use zeroize::Zeroizing;

use super::reply::{Capabilities, Status};
use crate::config::{Secret, Security, Source, SourceAuth};
use crate::multipop::Error;
use crate::multipop::refusal::printable;
use crate::outgoing;
use crate::sasl::client::{Client, Mechanism, decode, encode};
use crate::sasl::md5::{apop_digest, apop_timestamp};

/// Lines that a list of capabilities may have.
const CAPABILITIES_LIMIT: u32 = 200;

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Read a line, for [`Login::line`].
    Read,
    /// Send this and a CRLF, then read a line.
    Send(Zeroizing<String>),
    /// Turn the connection to TLS, then do what [`Login::secured`] says.
    StartTls,
    /// The maildrop is open; requests may be pipelined, or not.
    Open {
        /// RFC 2449 section 6.6.
        pipelining: bool,
    },
}

/// A way to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Sasl(Mechanism),
    Apop,
    User,
}

enum State {
    Greeting,
    Capa,
    CapaList { lines: u32 },
    Stls,
    Securing,
    Sasl { client: Box<Client>, mechanism: Mechanism, responses: u32 },
    Apop,
    User,
    Pass,
    Over,
}

/// One login.
pub struct Login {
    user: String,
    password: Secret,
    auth: SourceAuth,
    starttls: bool,
    tls: bool,
    timestamp: Option<String>,
    capabilities: Capabilities,
    methods: VecDeque<Method>,
    state: State,
}

impl Login {
    /// To be fed the greeting. `tls` tells whether the connection is secure already.
    ///
    /// # Errors
    /// What no server could accept.
    pub fn new(source: &Source, tls: bool) -> Result<Login, Error> {
        if source.auth == SourceAuth::OAuth2 {
            return Err(Error::OAuth2);
        }
        let breaks_lines = |text: &str| text.contains(['\r', '\n', '\0']);
        if breaks_lines(&source.username) || breaks_lines(source.password.reveal()) {
            return Err(Error::Unsendable);
        }
        Ok(Login {
            user: source.username.as_str().to_owned(),
            password: source.password.clone(),
            auth: source.auth,
            starttls: source.security == Security::Starttls && !tls,
            tls,
            timestamp: None,
            capabilities: Capabilities::default(),
            methods: VecDeque::new(),
            state: State::Greeting,
        })
    }

    /// Takes in a line of the server, its end taken off. It is `async` for SCRAM's hashing alone.
    ///
    /// # Errors
    /// There will be no login: close the connection.
    pub async fn line(&mut self, line: &[u8]) -> Result<Step, Error> {
        match mem::replace(&mut self.state, State::Over) {
            State::Greeting => match status(line)? {
                Status::Ok(text) => {
                    self.timestamp = apop_timestamp(&text).map(str::to_owned);
                    Ok(self.send(State::Capa, "CAPA"))
                }
                Status::Refused(refusal) => Err(Error::TurnedAway(refusal.to_string())),
                Status::Challenge(_) => Err(not_pop3(line)),
            },
            State::Capa => match status(line)? {
                Status::Ok(_) => {
                    self.capabilities.known = true;
                    self.state = State::CapaList { lines: 0 };
                    Ok(Step::Read)
                }
                _ => self.after_capa(),
            },
            State::CapaList { .. } if line == b"." => self.after_capa(),
            State::CapaList { lines: CAPABILITIES_LIMIT } => {
                Err(Error::Protocol("its list of capabilities has no end".to_owned()))
            }
            State::CapaList { lines } => {
                self.capabilities.add(line);
                self.state = State::CapaList { lines: lines + 1 };
                Ok(Step::Read)
            }
            State::Stls => match status(line)? {
                Status::Ok(_) => {
                    self.state = State::Securing;
                    Ok(Step::StartTls)
                }
                Status::Refused(refusal) => Err(outgoing::Error::NoStartTls(refusal.to_string()).into()),
                Status::Challenge(_) => Err(not_pop3(line)),
            },
            State::Sasl { client, mechanism, responses } => {
                self.sasl(client, mechanism, responses, status(line)?).await
            }
            State::User => match status(line)? {
                Status::Ok(_) => {
                    let pass = Zeroizing::new(["PASS ", self.password.reveal()].concat());
                    self.state = State::Pass;
                    Ok(Step::Send(pass))
                }
                other => self.refused(other, false),
            },
            State::Apop | State::Pass => match status(line)? {
                Status::Ok(_) => Ok(self.open()),
                other => self.refused(other, false),
            },
            State::Securing | State::Over => Err(not_pop3(line)),
        }
    }

    /// The connection is TLS now: what was learned before counts no more (RFC 2595 section 4).
    pub fn secured(&mut self) -> Step {
        self.tls = true;
        self.starttls = false;
        self.capabilities = Capabilities::default();
        self.send(State::Capa, "CAPA")
    }

    fn send(&mut self, state: State, line: &str) -> Step {
        self.state = state;
        Step::Send(Zeroizing::new(line.to_owned()))
    }

    fn open(&self) -> Step {
        Step::Open { pipelining: self.capabilities.pipelining }
    }

    fn after_capa(&mut self) -> Result<Step, Error> {
        if self.starttls {
            if self.capabilities.known && !self.capabilities.stls {
                return Err(
                    outgoing::Error::NoStartTls("STLS is not among its capabilities".to_owned()).into()
                );
            }
            return Ok(self.send(State::Stls, "STLS"));
        }
        self.methods = self.methods_to_try();
        self.next_method()
    }

    /// What may work, the best first: the one that is configured, or what the server offers.
    fn methods_to_try(&self) -> VecDeque<Method> {
        let all = [
            Method::Sasl(Mechanism::ScramSha256),
            Method::Sasl(Mechanism::CramMd5),
            Method::Apop,
            Method::Sasl(Mechanism::Plain),
            Method::Sasl(Mechanism::Login),
            Method::User,
        ];
        all.into_iter()
            .filter(|&method| configured(self.auth, method).unwrap_or(self.offered(method)))
            .collect()
    }

    fn offered(&self, method: Method) -> bool {
        match method {
            Method::Sasl(mechanism) => self.capabilities.sasl.contains(&mechanism),
            Method::Apop => self.timestamp.is_some(),
            // A server without CAPA has USER, and one that forgets to say so is asked where TLS keeps
            // the password safe: without TLS, silence about USER may mean that it is forbidden.
            Method::User => self.capabilities.user || !self.capabilities.known || self.tls,
        }
    }

    /// Begins with the next method. No SASL response goes along with AUTH: so a refusal of the
    /// mechanism can be told from one of the password.
    fn next_method(&mut self) -> Result<Step, Error> {
        match self.methods.pop_front().ok_or(Error::NoMechanism)? {
            Method::Sasl(mechanism) => {
                let client = Box::new(Client::new(mechanism, &self.user, &self.password));
                let state = State::Sasl { client, mechanism, responses: 0 };
                Ok(self.send(state, &format!("AUTH {}", mechanism.name())))
            }
            Method::Apop => {
                let timestamp = self.timestamp.as_deref().ok_or(Error::NoMechanism)?;
                let line = format!("APOP {} {}", self.user, apop_digest(timestamp, &self.password));
                Ok(self.send(State::Apop, &line))
            }
            Method::User => {
                let line = format!("USER {}", self.user);
                Ok(self.send(State::User, &line))
            }
        }
    }

    async fn sasl(
        &mut self,
        mut client: Box<Client>,
        mechanism: Mechanism,
        responses: u32,
        status: Status,
    ) -> Result<Step, Error> {
        match status {
            Status::Challenge(challenge) => {
                let response = client.respond(&decode(&challenge)?).await?;
                self.state = State::Sasl { client, mechanism, responses: responses + 1 };
                Ok(Step::Send(encode(&response)))
            }
            Status::Ok(_) => {
                client.finish()?;
                Ok(self.open())
            }
            // SCRAM's first response only names the user: servers that keep no verifier for them stop here.
            other => {
                let proved = responses > u32::from(mechanism == Mechanism::ScramSha256);
                self.refused(other, !proved)
            }
        }
    }

    /// After a refusal: the next method where this one was not to the server's liking, as `of_the_method`
    /// or its words say; else the end.
    fn refused(&mut self, status: Status, of_the_method: bool) -> Result<Step, Error> {
        let Status::Refused(refusal) = status else {
            return Err(Error::Protocol("it asked for more, out of turn".to_owned()));
        };
        if refusal.is_temporary() {
            return Err(Error::Busy(refusal.to_string()));
        }
        if (of_the_method || refusal.is_about_the_command()) && !self.methods.is_empty() {
            return self.next_method();
        }
        Err(Error::Login(refusal.to_string()))
    }
}

/// Whether `method` is the one that is configured; `None` where the server's offer decides.
fn configured(auth: SourceAuth, method: Method) -> Option<bool> {
    let only = match auth {
        SourceAuth::Auto => return None,
        SourceAuth::ScramSha256 => Method::Sasl(Mechanism::ScramSha256),
        SourceAuth::CramMd5 => Method::Sasl(Mechanism::CramMd5),
        SourceAuth::Apop => Method::Apop,
        SourceAuth::Plain => Method::Sasl(Mechanism::Plain),
        SourceAuth::Login => Method::Sasl(Mechanism::Login),
        SourceAuth::User => Method::User,
        SourceAuth::OAuth2 => return Some(false),
    };
    Some(only == method)
}

fn status(line: &[u8]) -> Result<Status, Error> {
    Status::parse(line).ok_or_else(|| not_pop3(line))
}

/// What came is no answer of POP3. Its beginning is shown: it often tells which server was reached.
pub fn not_pop3(line: &[u8]) -> Error {
    Error::Protocol(format!("it said \"{}\"", printable(&String::from_utf8_lossy(line))))
}

#[cfg(test)]
#[path = "login_tests.rs"]
mod tests;
