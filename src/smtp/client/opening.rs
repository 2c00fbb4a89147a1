//! From the greeting of another server to the point where it takes mail (RFC 5321 section 3.1, RFC 3207,
//! RFC 4954): a state machine over replies.

use std::io;

use super::{Capabilities, Failure};
use crate::config::Security;
use crate::net::stream::Stream;
use crate::outgoing::{self, About, Answer, Login, Next, Offer};
use crate::sasl::client::Mechanism;
use crate::smtp::Reply;

/// The next step. At the end it holds the capabilities of the server.
type Step = outgoing::Step<Capabilities>;

/// A connection being opened.
pub struct Opening {
    state: State,
    hello: String,
    /// Whether TLS is demanded and not in force yet.
    wants_tls: bool,
    tls: bool,
    login: Option<Login>,
    capabilities: Capabilities,
    /// The state before the latest reply.
    before: State,
}

/// A step of the opening that has finished.
pub enum Passed<'a> {
    /// The connection is made, with TLS where that comes first.
    Connected(&'a Stream),
    /// The server has greeted us.
    Greeted(&'a Reply),
    /// STARTTLS has been done.
    Secured(&'a Stream),
    /// The server has named its extensions; after STARTTLS it does so again.
    Hello(&'a Reply),
    /// The login with this mechanism has succeeded.
    LoggedIn(&'static str),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Greeting,
    Ehlo,
    Helo,
    StartTls,
    Auth,
}

fn makes_no_sense(reply: &Reply) -> Failure {
    Failure::Unavailable(format!("the smarthost answers {reply}"))
}

impl Opening {
    /// A client that calls itself `hello`. `security` is that of the server's settings: with STARTTLS nothing else is
    /// sent before TLS. A `login` is done before any mail.
    pub fn new(hello: &str, security: Security, login: Option<Login>) -> Opening {
        Opening {
            state: State::Greeting,
            hello: hello.to_owned(),
            wants_tls: security == Security::Starttls,
            tls: security == Security::Tls,
            login,
            capabilities: Capabilities::default(),
            before: State::Greeting,
        }
    }

    /// Takes a reply. It is `async` only because hashing a password takes so long that other tasks must get a turn.
    ///
    /// # Errors
    /// The server cannot take mail, or not now.
    pub async fn reply(&mut self, reply: &Reply) -> Result<Step, Failure> {
        self.before = self.state;
        if reply.code == 421 {
            return Err(match self.state {
                State::Auth => Failure::Busy(reply.to_string()),
                _ => makes_no_sense(reply),
            });
        }
        match &mut self.state {
            State::Greeting if reply.code == 220 => Ok(self.ehlo()),
            State::Ehlo if reply.is_positive() => {
                self.capabilities = Capabilities::of(reply);
                self.after_hello()
            }
            // For servers older than EHLO (RFC 5321 section 4.1.4).
            State::Ehlo if reply.is_permanent() && !self.wants_tls && self.login.is_none() => {
                self.state = State::Helo;
                Ok(Step::send(&["HELO ", &self.hello]))
            }
            State::Helo if reply.is_positive() => self.after_hello(),
            State::StartTls if reply.code == 220 => Ok(Step::StartTls),
            State::Auth => self.auth(reply).await,
            _ => Err(makes_no_sense(reply)),
        }
    }

    /// Gives the step that `reply`, the latest one, has finished to `tell`.
    pub(super) fn passed(&self, reply: &Reply, tell: &dyn Fn(Passed<'_>)) {
        match self.before {
            State::Greeting => tell(Passed::Greeted(reply)),
            State::Ehlo | State::Helo if reply.is_positive() => tell(Passed::Hello(reply)),
            State::Auth if reply.code == 235 => {
                let way = self.login.as_ref().and_then(Login::method);
                tell(Passed::LoggedIn(way.unwrap_or_default()));
            }
            State::Ehlo | State::Helo | State::StartTls | State::Auth => {}
        }
    }

    /// The failure for a connection that ended while a reply was waited for.
    pub(super) fn lost(&self, error: io::Error) -> Failure {
        let what = match self.state {
            State::Greeting => "before it greeted us",
            State::Ehlo | State::Helo => "at our greeting",
            State::StartTls => "at STARTTLS",
            State::Auth => "during the login",
        };
        Failure::Unavailable(match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
                format!("the smarthost hung up {what}")
            }
            io::ErrorKind::TimedOut => format!("the smarthost fell silent {what}"),
            _ => format!("the connection to the smarthost was lost {what}: {error}"),
        })
    }

    /// Goes on after STARTTLS: what was offered before TLS does not count (RFC 3207 section 4.2).
    pub fn secured(&mut self) -> Step {
        (self.wants_tls, self.tls) = (false, true);
        self.capabilities = Capabilities::default();
        self.ehlo()
    }

    fn ehlo(&mut self) -> Step {
        self.state = State::Ehlo;
        Step::send(&["EHLO ", &self.hello])
    }

    fn after_hello(&mut self) -> Result<Step, Failure> {
        if self.wants_tls {
            if !self.capabilities.starttls {
                return Err(outgoing::Error::NoStartTls("it is not among its extensions".to_owned()).into());
            }
            self.state = State::StartTls;
            return Ok(Step::send(&["STARTTLS"]));
        }
        let Some(login) = &mut self.login else { return Ok(self.ready()) };
        let offered = &self.capabilities.mechanisms;
        let mechanisms = offered.iter().filter_map(|name| Mechanism::named(name)).collect();
        match login.begin(Offer { mechanisms, ..Offer::default() }, self.tls) {
            Ok(next) => self.say(next),
            Err(outgoing::Error::NoMechanism) => Err(Failure::Settings(no_way(offered, self.tls))),
            Err(error) => Err(error.into()),
        }
    }

    /// The command for the next step of a login (RFC 4954 section 4).
    fn say(&mut self, next: Next) -> Result<Step, Failure> {
        self.state = State::Auth;
        Ok(match next {
            Next::Auth(mechanism, Some(initial)) => Step::send(&["AUTH ", mechanism.name(), " ", &initial]),
            Next::Auth(mechanism, None) => Step::send(&["AUTH ", mechanism.name()]),
            Next::Response(line) => Step::Send(line),
            Next::Done => self.ready(),
            // These belong to POP3 and IMAP.
            Next::Apop(_) | Next::Command | Next::Password => return Err(outgoing::Error::NoMechanism.into()),
        })
    }

    fn ready(&mut self) -> Step {
        Step::Done(std::mem::take(&mut self.capabilities))
    }

    async fn auth(&mut self, reply: &Reply) -> Result<Step, Failure> {
        let Some(login) = &mut self.login else { return Err(makes_no_sense(reply)) };
        let answer = match reply.code {
            235 => Answer::Granted,
            334 => Answer::Challenge(reply.lines.first().map_or("", |line| line.trim())),
            code => Answer::Refused(about(code), reply.to_string()),
        };
        let next = login.answer(answer).await?;
        self.say(next)
    }
}

/// The words for a server that offers no usable mechanism, but `offered`.
fn no_way(offered: &[String], tls: bool) -> String {
    if offered.is_empty() {
        let advice = match tls {
            true => {
                "Take the user name out of the smarthost's settings if it wants none, or ask the provider for the port of submission."
            }
            false => {
                "Set the smarthost's security to \"tls\" or \"starttls\", without which most servers offer none, or take the user name out if it wants none."
            }
        };
        return format!("the smarthost offers no way to log in. {advice}");
    }
    format!(
        "the smarthost offers no way to log in that is known here and allowed by auth, but {}. Set the smarthost's auth to \"auto\", \
         or ask the provider how to log in.",
        offered.join(", ")
    )
}

/// What a refusal with this code is about (RFC 4954 sections 4 and 6). The words do not count: many servers name an
/// address for support where the password is wrong.
fn about(code: u16) -> About {
    match code {
        // 432: another mechanism must be used once, so that the server learns the password; 530 and 538: TLS must
        // come first.
        432 | 500..=504 | 530 | 538 => About::Method,
        // The mechanism is too weak. Some servers answer so if each program needs a password of its own.
        534 => About::MethodOrLogin,
        400..=499 => About::Now,
        _ => About::Login,
    }
}

#[cfg(test)]
mod tests;
