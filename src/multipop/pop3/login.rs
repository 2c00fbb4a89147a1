//! From the greeting to the opened maildrop: CAPA, STLS and the frame of a login, as a state machine without I/O
//! (RFC 1939 sections 4 and 7, RFC 2449, RFC 2595, RFC 5034).

use std::mem;
use std::time::Duration;

use super::reply::{Capabilities, Status};
use crate::config::{Security, Source, SourceAuth};
use crate::multipop::Error;
use crate::multipop::errand::{Feature, ServerQuirks};
use crate::multipop::refusal::printable;
use crate::multipop::wire;
use crate::outgoing::{self, Answer, Credentials, Login, Next, Offer};
use crate::sasl::client::AccessToken;
use crate::sasl::md5::apop_timestamp;

/// Lines of a CAPA response, at most.
const CAPABILITIES_LIMIT: u32 = 200;

/// Octets of an access token, at most: in base64 that is a line of 11 KiB. Commands have 255 octets at most (RFC 2449
/// section 4). A server must take a response as long as the mechanism makes it (RFC 5034 section 4), but servers have
/// their limits.
const LONGEST_TOKEN: usize = 8 * 1024;

type Step = outgoing::Step<Opened>;

/// What is known when the maildrop is open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Opened {
    /// Whether requests may be pipelined (RFC 2449 section 6.6).
    pub pipelining: bool,
    /// The least time between two logins (RFC 2449 section 6.5).
    pub login_delay: Duration,
}

enum State {
    Greeting,
    Capa,
    CapaList {
        lines: u32,
    },
    Stls,
    Securing,
    Sasl,
    /// USER was sent: `+OK` asks for the password.
    User,
    /// PASS or APOP was sent: `+OK` ends the login.
    Pass,
    Over,
}

/// A maildrop being opened.
pub struct Opening {
    login: Login,
    starttls: bool,
    tls: bool,
    timestamp: Option<String>,
    capabilities: Capabilities,
    /// Whether the server may be asked for its capabilities.
    has_capa: bool,
    state: State,
}

impl Opening {
    /// Waits for the greeting. `token` is the access token where the source's `auth` is `oauth2`. `tls` tells whether
    /// the connection has TLS already.
    ///
    /// # Errors
    /// The source's credentials cannot be sent to any server.
    pub fn new(source: &Source, token: Option<&AccessToken>, tls: bool) -> Result<Opening, Error> {
        let breaks_lines = |text: &str| text.contains(['\r', '\n']);
        if breaks_lines(&source.username) || breaks_lines(source.password.reveal()) {
            return Err(outgoing::Error::Unsendable.into());
        }
        if let Some(octets) = token.map(|token| token.reveal().len()).filter(|octets| *octets > LONGEST_TOKEN)
        {
            return Err(outgoing::Error::TokenTooLong(octets).into());
        }
        Ok(Opening {
            login: Login::new(Credentials::of(source, token))?,
            starttls: source.security == Security::Starttls && !tls,
            tls,
            timestamp: None,
            capabilities: Capabilities::default(),
            has_capa: true,
            state: State::Greeting,
        })
    }

    /// Leaves out the features on which this server is known to hang up.
    pub fn with_manners(self, quirks: &ServerQuirks) -> Opening {
        Opening {
            has_capa: !quirks.avoids(Feature::Capabilities),
            login: self.login.without_sasl(quirks.avoids(Feature::Sasl)).with_habit(quirks.habit()),
            ..self
        }
    }

    fn send(&mut self, state: State, parts: &[&str]) -> Step {
        self.state = state;
        Step::send(parts)
    }

    fn capa(&mut self) -> Result<Step, Error> {
        match self.has_capa {
            true => Ok(self.send(State::Capa, &["CAPA"])),
            false => self.after_capa(),
        }
    }

    fn after_capa(&mut self) -> Result<Step, Error> {
        if self.starttls {
            if self.capabilities.known && !self.capabilities.stls {
                let why = "STLS is not among its capabilities";
                return Err(outgoing::Error::NoStartTls(why.to_owned()).into());
            }
            return Ok(self.send(State::Stls, &["STLS"]));
        }
        // A server without CAPA has USER. A server with CAPA that does not list USER is tried all the same where TLS
        // keeps the password safe; without TLS the missing USER may mean that it is forbidden.
        let user = self.capabilities.user || !self.capabilities.known || self.tls;
        let offer = Offer {
            mechanisms: mem::take(&mut self.capabilities.sasl),
            timestamp: self.timestamp.take(),
            command: Some((SourceAuth::User, user)),
        };
        let next = self.login.begin(offer, self.tls)?;
        Ok(self.say(next))
    }

    /// The command for the next step of a login (RFC 5034 section 4, RFC 1939 section 7).
    fn say(&mut self, next: Next) -> Step {
        let user = self.login.username().to_owned();
        match next {
            Next::Auth(mechanism, _) => self.send(State::Sasl, &["AUTH ", mechanism.name()]),
            Next::Response(line) => self.send(State::Sasl, &[&line]),
            Next::Apop(digest) => self.send(State::Pass, &["APOP ", &user, " ", &digest]),
            Next::Command => self.send(State::User, &["USER ", &user]),
            Next::Password => {
                self.state = State::Pass;
                Step::send(&["PASS ", self.login.password()])
            }
            Next::Done => Step::Done(Opened {
                pipelining: self.capabilities.pipelining,
                login_delay: self.capabilities.login_delay,
            }),
        }
    }

    async fn answer(&mut self, answer: Answer<'_>) -> Result<Step, Error> {
        let next = self.login.answer(answer).await?;
        Ok(self.say(next))
    }
}

impl wire::Opening for Opening {
    type Opened = Opened;

    fn asks(&self) -> Option<Feature> {
        match self.state {
            State::Capa | State::CapaList { .. } => Some(Feature::Capabilities),
            State::Sasl if self.login.is_probing() => Some(Feature::Sasl),
            _ => None,
        }
    }

    /// Some servers greet with several lines.
    fn is_no_answer(&self, line: &[u8]) -> bool {
        !matches!(line.first(), Some(b'+' | b'-'))
    }

    async fn line(&mut self, line: &[u8]) -> Result<Step, Error> {
        if line.is_empty() {
            return Ok(Step::Read);
        }
        match mem::replace(&mut self.state, State::Over) {
            State::Greeting => match status(line)? {
                Status::Ok(text) => {
                    self.timestamp = apop_timestamp(&text).map(str::to_owned);
                    self.capa()
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
            // What was taken for the answer was a second line of the greeting, and this is the answer.
            State::CapaList { lines: 0 } if matches!(Status::parse(line), Some(Status::Refused(_))) => {
                self.capabilities.known = false;
                self.after_capa()
            }
            state @ State::CapaList { lines: CAPABILITIES_LIMIT } => {
                self.state = state;
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
            state @ (State::Sasl | State::User | State::Pass) => match (state, status(line)?) {
                (_, Status::Refused(refusal)) => self.answer(refusal.answer()).await,
                (State::Sasl, Status::Challenge(challenge)) => {
                    self.answer(Answer::Challenge(&challenge)).await
                }
                (_, Status::Challenge(_)) => Err(not_pop3(line)),
                (State::User, Status::Ok(_)) => self.answer(Answer::Challenge("")).await,
                // Nothing was shown that could be granted: some servers ask so for more.
                (State::Sasl, Status::Ok(_)) if self.login.needs_no_challenge() => {
                    self.answer(Answer::Challenge("")).await
                }
                (_, Status::Ok(_)) => self.answer(Answer::Granted).await,
            },
            State::Securing | State::Over => Err(not_pop3(line)),
        }
    }

    /// After STLS: forgets the capabilities that were learned before it (RFC 2595 section 4).
    fn secured(&mut self) -> Result<Step, Error> {
        self.tls = true;
        self.starttls = false;
        self.capabilities = Capabilities::default();
        self.capa()
    }
}

fn status(line: &[u8]) -> Result<Status, Error> {
    Status::parse(line).ok_or_else(|| not_pop3(line))
}

/// The error for a line that is not POP3. It shows the beginning of the line, which often tells which server was
/// reached.
pub fn not_pop3(line: &[u8]) -> Error {
    Error::Protocol(format!("it said \"{}\"", printable(&String::from_utf8_lossy(line))))
}

#[cfg(test)]
#[path = "login_tests.rs"]
mod tests;
