//! One login: which mechanism is tried first, and after which answers another one follows. A state machine without
//! I/O; each protocol has its own way to carry the messages.
//!
//! Of what is offered the strongest mechanism is tried first ([`Method::ALL`]). A mechanism that the settings name is
//! the only one. The rules for a further try:
//!
//! - A refusal before we have proved anything concerns the mechanism: the next one follows. A server may offer what
//!   it cannot do for this user, such as SCRAM without a verifier; the first message of SCRAM tells only the user's
//!   name.
//! - A refused proof means a wrong password and ends the login: further tries would lock accounts, and show the
//!   password to more listeners. The next mechanism follows only where the refusal blames the mechanism.
//! - CRAM-MD5 and APOP are exceptions, since they need the password itself at the server. Many servers keep only a
//!   hash, offer them all the same, and then refuse every proof as if the password were wrong. So within TLS one
//!   mechanism that shows the password follows, once, and its answer counts. If it succeeds, [`Habit`] remembers
//!   that.
//! - A temporary refusal ends the login for now: another mechanism would fare no better, and each try may count.
//! - A mechanism that breaks, with a challenge that makes no sense, is cancelled, and the next one follows. Without
//!   TLS an attacker in between may have broken it to get the password, so no mechanism that shows the password
//!   follows.
//! - A server that does not prove itself where SCRAM demands it may be an impostor: the login ends.
//!
//! The settings decide whether a password may be shown without TLS: with `security = "none"` it may, where the server
//! offers no better mechanism; with every other setting TLS comes before the login. An access token is another kind
//! of credential with mechanisms of its own ([`Method::WITH_TOKEN`]): no list holds those of both kinds.

mod method;

use std::cell::Cell;
use std::collections::VecDeque;
use std::mem;
use std::rc::Rc;

use zeroize::Zeroizing;

use super::Error;
use crate::config::{Secret, Source, SourceAuth};
use crate::sasl::client::{self, AccessToken, Bearer, Client, Mechanism, decode, encode};
use crate::sasl::md5::apop_digest;

pub use method::Offer;
use method::{Method, ways, ways_with_token};

/// The name and the proof for a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user name at the server.
    pub username: String,
    /// What proves who we are: a password or an access token.
    pub proof: Proof,
    /// What earlier logins at this server have found out.
    pub habit: Habit,
}

/// Whether a server refuses correct proofs by CRAM-MD5 or APOP. Clones share it. It ends with the process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Habit(Rc<Cell<bool>>);

/// What proves who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "there is one for each login")]
pub enum Proof {
    /// A password, and the mechanism that the settings name.
    Password(Secret, SourceAuth),
    /// An access token.
    Token(Bearer),
}

impl Credentials {
    /// The credentials of a source. `token` is the access token, for a source whose `auth` is `oauth2`.
    pub fn of(source: &Source, token: Option<&AccessToken>) -> Credentials {
        let proof = match (source.auth, token) {
            (SourceAuth::OAuth2, Some(token)) => {
                let (token, host) = (token.clone(), source.host.to_string());
                Proof::Token(Bearer { token, host, port: source.port })
            }
            (auth, _) => Proof::Password(source.password.clone(), auth),
        };
        Credentials { username: source.username.to_string(), proof, habit: Habit::default() }
    }
}

impl Proof {
    /// Octets that the proof needs in an initial response, at most.
    fn len(&self) -> usize {
        match self {
            Proof::Password(password, _) => password.reveal().len(),
            // The rest of an OAUTHBEARER message is shorter than this.
            Proof::Token(Bearer { token, host, .. }) => token.reveal().len() + host.len() + 64,
        }
    }
}

/// What to send next. It may hold a password, so it cannot be printed.
#[cfg_attr(test, derive(Debug))]
pub enum Next {
    /// The command that begins this mechanism, with the initial response in base64 if there is one.
    Auth(Mechanism, Option<Zeroizing<String>>),
    /// A line with a response in base64, or with `*` to cancel.
    Response(Zeroizing<String>),
    /// APOP with this digest.
    Apop(String),
    /// The protocol's own command, with the user's name. The server asks for the password with a challenge.
    Command,
    /// The password for that command.
    Password,
    /// Nothing: the login has succeeded.
    Done,
}

/// What a refusal is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// A temporary refusal: the same login may succeed later.
    Now,
    /// The mechanism.
    Method,
    /// Most likely the mechanism, or else the login.
    MethodOrLogin,
    /// The login, or the server does not tell.
    Login,
}

/// The server's answer to a message.
#[derive(Debug)]
pub enum Answer<'a> {
    /// A challenge in base64; empty where it only asks to go on.
    Challenge(&'a str),
    /// The login has succeeded.
    Granted,
    /// The login was refused, with the server's words.
    Refused(About, String),
}

enum State {
    Sasl(Box<Client>),
    /// The challenge made no sense and we have cancelled; `proved` tells whether we had proved anything.
    Cancelled {
        why: client::Error,
        proved: bool,
    },
    Apop,
    Name,
    Password,
    Over,
}

/// One login.
pub struct Login {
    credentials: Credentials,
    initial_limit: usize,
    without_sasl: bool,
    tls: bool,
    offer: Offer,
    methods: VecDeque<Method>,
    /// The mechanism that is being tried.
    method: Option<Method>,
    /// Whether a proof was refused by a server that may not be able to check it.
    doubtful: bool,
    state: State,
}

impl Login {
    /// A login with these credentials.
    ///
    /// # Errors
    /// [`Error::NoToken`], and [`Error::Unsendable`] for octets that no mechanism can carry (RFC 4616 section 2, RFC
    /// 7628 section 3.1).
    pub fn new(credentials: Credentials) -> Result<Login, Error> {
        let Credentials { username, proof, .. } = &credentials;
        let unsendable = match proof {
            Proof::Password(_, SourceAuth::OAuth2) => return Err(Error::NoToken),
            Proof::Password(password, _) => username.contains('\0') || password.reveal().contains('\0'),
            Proof::Token(_) => username.contains(['\0', '\x01']),
        };
        if unsendable {
            return Err(Error::Unsendable);
        }
        Ok(Login {
            credentials,
            initial_limit: 0,
            without_sasl: false,
            tls: false,
            offer: Offer::default(),
            methods: VecDeque::new(),
            method: None,
            doubtful: false,
            state: State::Over,
        })
    }

    /// Sends an initial response if name and proof have at most `limit` octets. Without one, a refusal of the
    /// mechanism can be told from a refusal of the password.
    pub fn with_initial_response(mut self, limit: usize) -> Login {
        self.initial_limit = limit;
        self
    }

    /// Leaves SASL mechanisms out, whatever is offered: the server hangs up on them.
    pub fn without_sasl(self, without_sasl: bool) -> Login {
        Login { without_sasl, ..self }
    }

    /// Sets what earlier logins have found out.
    pub fn with_habit(mut self, habit: Habit) -> Login {
        self.credentials.habit = habit;
        self
    }

    /// The name of the mechanism that was tried last.
    pub fn method(&self) -> Option<&'static str> {
        self.method.map(Method::in_words)
    }

    /// Whether a SASL mechanism is under way that has proved nothing yet, and others may follow.
    pub fn is_probing(&self) -> bool {
        let is_auto = matches!(self.credentials.proof, Proof::Password(_, SourceAuth::Auto));
        is_auto && matches!(&self.state, State::Sasl(client) if !client.has_proved())
    }

    /// Whether the mechanism that is under way goes on whatever the server's challenge says, and has proved nothing
    /// yet: PLAIN and LOGIN. Some servers ask in words instead of base64, and some in other ways.
    pub fn needs_no_challenge(&self) -> bool {
        self.may_ask_in_words() && matches!(&self.state, State::Sasl(client) if !client.has_proved())
    }

    fn may_ask_in_words(&self) -> bool {
        matches!(self.method, Some(Method::Sasl(Mechanism::Plain | Mechanism::Login)))
    }

    /// The user name at the server.
    pub fn username(&self) -> &str {
        &self.credentials.username
    }

    /// The password; empty for an access token, for which no protocol has a command of its own.
    pub fn password(&self) -> &str {
        match &self.credentials.proof {
            Proof::Password(password, _) => password.reveal(),
            Proof::Token(_) => "",
        }
    }

    /// Begins the login at a server that offers this. `tls` tells whether TLS is in force.
    ///
    /// # Errors
    /// [`Error::NoMechanism`].
    pub fn begin(&mut self, offer: Offer, tls: bool) -> Result<Next, Error> {
        self.methods = match &self.credentials.proof {
            Proof::Password(_, auth) => ways(*auth, &offer),
            Proof::Token(_) => ways_with_token(&offer),
        };
        if self.without_sasl {
            self.methods.retain(|method| !matches!(method, Method::Sasl(_)));
        }
        // Without TLS an attacker in between would only have to refuse one proof to see the password from then on.
        let shows = self.methods.iter().any(|method| method.reveals_password());
        if tls && shows && self.credentials.habit.0.get() {
            self.methods.retain(|method| !method.needs_the_password_itself());
        }
        (self.offer, self.tls) = (offer, tls);
        self.next_method().unwrap_or(Err(Error::NoMechanism))
    }

    /// Takes the server's answer. `async` only for SCRAM's hashing.
    ///
    /// # Errors
    /// The login failed: close the connection.
    pub async fn answer(&mut self, answer: Answer<'_>) -> Result<Next, Error> {
        match (mem::replace(&mut self.state, State::Over), answer) {
            (State::Sasl(client), Answer::Challenge(challenge)) => self.respond(client, challenge).await,
            (State::Sasl(client), Answer::Granted) => {
                client.finish()?;
                Ok(self.granted())
            }
            (State::Sasl(client), Answer::Refused(about, words)) => {
                self.refused(about, words, client.has_proved()).map_err(|error| match error {
                    Error::Login(words) | Error::Method(words) if self.has_token() => {
                        let status = client.refused_token().unwrap_or_default().to_owned();
                        Error::TokenRefused { status, words }
                    }
                    error => error,
                })
            }
            (State::Cancelled { why, proved: false }, Answer::Refused(..)) => {
                if !self.tls {
                    self.methods.retain(|method| !method.reveals_password());
                }
                self.next_method().unwrap_or(Err(why.into()))
            }
            (State::Cancelled { why, .. }, _) => Err(why.into()),
            (State::Name, Answer::Challenge(_)) => {
                self.state = State::Password;
                Ok(Next::Password)
            }
            (State::Password | State::Apop, Answer::Granted) => Ok(self.granted()),
            (State::Name, Answer::Refused(about, words)) => self.refused(about, words, false),
            (State::Password | State::Apop, Answer::Refused(about, words)) => {
                self.refused(about, words, true)
            }
            (State::Name | State::Password | State::Apop | State::Over, _) => {
                Err(client::Error::Challenge("it comes out of turn").into())
            }
        }
    }

    fn granted(&mut self) -> Next {
        if self.doubtful {
            self.credentials.habit.0.set(true);
        }
        Next::Done
    }

    fn has_token(&self) -> bool {
        matches!(self.credentials.proof, Proof::Token(_))
    }

    async fn respond(&mut self, mut client: Box<Client>, challenge: &str) -> Result<Next, Error> {
        let proved = client.has_proved();
        let response = match decode(challenge) {
            Ok(challenge) => client.respond(&challenge).await,
            Err(_) if self.may_ask_in_words() => client.respond(b"").await,
            Err(error) => Err(error),
        };
        match response {
            Ok(response) => {
                self.state = State::Sasl(client);
                Ok(Next::Response(encode(&response)))
            }
            Err(why) => {
                self.state = State::Cancelled { why, proved };
                Ok(Next::Response(Zeroizing::new("*".to_owned())))
            }
        }
    }

    fn refused(&mut self, about: About, words: String, proved: bool) -> Result<Next, Error> {
        let next = match about {
            About::Now => return Err(Error::Busy(words)),
            About::Login if proved => self.sends_password(),
            About::Login | About::Method | About::MethodOrLogin => self.next_method(),
        };
        let is_way = about == About::Method || about == About::MethodOrLogin && !proved;
        next.unwrap_or(Err(if is_way { Error::Method(words) } else { Error::Login(words) }))
    }

    /// Begins a mechanism that shows the password, if the server may not have been able to check the proof that it
    /// refused.
    fn sends_password(&mut self) -> Option<Result<Next, Error>> {
        let may_not = self.method.is_some_and(Method::needs_the_password_itself);
        if !self.tls || !may_not {
            return None;
        }
        self.doubtful = true;
        self.methods.retain(|method| method.reveals_password());
        self.next_method()
    }

    /// Begins the next mechanism; `None` after the last one.
    fn next_method(&mut self) -> Option<Result<Next, Error>> {
        let method = self.methods.pop_front()?;
        self.method = Some(method);
        let Credentials { username, proof, .. } = &self.credentials;
        Some(match method {
            Method::Sasl(mechanism) => {
                let mut client = Box::new(match proof {
                    Proof::Password(password, _) => Client::new(mechanism, username, password),
                    Proof::Token(bearer) => Client::with_token(mechanism, username, bearer),
                });
                let short = username.len() + proof.len() <= self.initial_limit;
                let initial = if short { client.initial() } else { None };
                self.state = State::Sasl(client);
                Ok(Next::Auth(mechanism, initial.map(|octets| encode(&octets))))
            }
            Method::Apop => match (&self.offer.timestamp, proof) {
                (Some(timestamp), Proof::Password(password, _)) => {
                    self.state = State::Apop;
                    Ok(Next::Apop(apop_digest(timestamp, password)))
                }
                _ => Err(Error::NoMechanism),
            },
            Method::Command => {
                self.state = State::Name;
                Ok(Next::Command)
            }
        })
    }
}

#[cfg(test)]
#[path = "login_tests.rs"]
mod tests;
#[cfg(test)]
mod token_tests;
