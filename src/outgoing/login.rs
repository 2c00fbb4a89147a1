//! One login: which way to prove who we are comes first, and after which answers another one follows. A state machine
//! without I/O; how its messages travel is each protocol's own.
//!
//! What is offered is tried from the strongest to the weakest ([`Method::ALL`]); a way that is configured is the only one. The
//! rules of falling back:
//!
//! - What is refused before we proved anything, the way itself is refused: the next one follows. A server may offer what it
//!   cannot do for this user, such as SCRAM without a verifier; its first message says no more than the user's name.
//! - A refused proof is a wrong password, and the end: to try it by other means would lock accounts, and show it to more ears.
//!   Only where the refusal says that the way is the trouble the next one follows.
//! - But for CRAM-MD5 and APOP a server needs the password itself. Many keep a hash only, offer them all the same, and then refuse
//!   every proof as if the password were wrong. So within TLS one way that shows it follows, once; what that is answered
//!   counts. Where it works, [`Habit`] remembers it.
//! - A refusal for now is the end for now: another way fares no better, and each try may count.
//! - A way that breaks, with a challenge that makes no sense, is cancelled and followed by the next one. But without TLS
//!   somebody in between may have broken it to get the password, so it is followed by none that shows it.
//! - A server that does not prove itself where SCRAM demands it may be an impostor: that is the end.
//!
//! Whether a password may be shown without TLS at all the settings say: with `security = "none"` it may, where the server
//! offers no better way; with everything else there is TLS before there is a login. An access token is a credential of
//! another kind, with ways of its own ([`Method::WITH_TOKEN`]): no list of ways has those of both.

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

/// Who to log in as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name that the server knows.
    pub username: String,
    /// What it knows the user by.
    pub proof: Proof,
    /// What earlier logins have found out.
    pub habit: Habit,
}

/// Whether a server refuses right proofs of a login by CRAM-MD5 or APOP. Clones are the same; nothing of it outlives the process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Habit(Rc<Cell<bool>>);

/// What proves who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "there is one for each login")]
pub enum Proof {
    /// A password, and the way to show it.
    Password(Secret, SourceAuth),
    /// An access token.
    Token(Bearer),
}

impl Credentials {
    /// Those of a source, with the `token` that was asked for where its `auth` is `oauth2`.
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
    /// Octets of it.
    fn len(&self) -> usize {
        match self {
            Proof::Password(password, _) => password.reveal().len(),
            // What OAUTHBEARER says besides the token and the host takes less than this.
            Proof::Token(Bearer { token, host, .. }) => token.reveal().len() + host.len() + 64,
        }
    }
}

/// What to say next. It may hold a password, so it does not print.
#[cfg_attr(test, derive(Debug))]
pub enum Next {
    /// The command that begins this mechanism, with the initial response in base64 where there is one.
    Auth(Mechanism, Option<Zeroizing<String>>),
    /// A line of its own: a response in base64, or `*` to cancel.
    Response(Zeroizing<String>),
    /// APOP with this digest.
    Apop(String),
    /// The protocol's own command, with the user's name. A challenge says that it wants more.
    Command,
    /// The password that belongs to it.
    Password,
    /// Nothing: we are logged in.
    Done,
}

/// What a refusal is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// The same may be granted later.
    Now,
    /// The way to log in.
    Method,
    /// Most likely the way to log in, or else the login.
    MethodOrLogin,
    /// The login, or nothing that can be told.
    Login,
}

/// What the server says to it.
#[derive(Debug)]
pub enum Answer<'a> {
    /// A challenge in base64; empty where it only says "go on".
    Challenge(&'a str),
    /// We are logged in.
    Granted,
    /// No, and the server's words.
    Refused(About, String),
}

enum State {
    Sasl(Box<Client>),
    /// Its challenge made no sense; whether we had proved anything.
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
    /// The one under way.
    method: Option<Method>,
    /// A proof was refused by a server that may not be able to check it.
    doubtful: bool,
    state: State,
}

impl Login {
    /// A login with these.
    ///
    /// # Errors
    /// [`Error::NoToken`]; [`Error::Unsendable`] for what no mechanism can carry (RFC 4616 section 2, RFC 7628 section 3.1).
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

    /// Sends an initial response along where name and password have so many octets at the most. Else none is sent, and a
    /// refusal of the mechanism can be told from one of the password.
    pub fn with_initial_response(mut self, limit: usize) -> Login {
        self.initial_limit = limit;
        self
    }

    /// Without SASL's mechanisms, whatever is offered: the server hangs up on them.
    pub fn without_sasl(self, without_sasl: bool) -> Login {
        Login { without_sasl, ..self }
    }

    /// With what earlier logins have found out.
    pub fn with_habit(mut self, habit: Habit) -> Login {
        self.credentials.habit = habit;
        self
    }

    /// What the way that was tried last is called.
    pub fn method(&self) -> Option<&'static str> {
        self.method.map(Method::in_words)
    }

    /// Whether a mechanism of SASL is under way by which nothing was proved yet, and there may be other ways.
    pub fn is_feeling_its_way(&self) -> bool {
        let is_auto = matches!(self.credentials.proof, Proof::Password(_, SourceAuth::Auto));
        is_auto && matches!(&self.state, State::Sasl(client) if !client.has_proved())
    }

    /// The name that the server knows.
    pub fn username(&self) -> &str {
        &self.credentials.username
    }

    /// Its password; empty where there is a token instead, which no protocol has commands of its own for.
    pub fn password(&self) -> &str {
        match &self.credentials.proof {
            Proof::Password(password, _) => password.reveal(),
            Proof::Token(_) => "",
        }
    }

    /// Begins, at a server that offers this; `tls` tells whether TLS is in force.
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
        // Without TLS somebody in between would only have to refuse a proof to be shown the password from then on.
        let shows = self.methods.iter().any(|method| method.reveals_password());
        if tls && shows && self.credentials.habit.0.get() {
            self.methods.retain(|method| !method.needs_the_password_itself());
        }
        (self.offer, self.tls) = (offer, tls);
        self.next_method().unwrap_or(Err(Error::NoMechanism))
    }

    /// Goes on after the server's answer. It is `async` for SCRAM's hashing alone.
    ///
    /// # Errors
    /// There will be no login: close the connection.
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
            About::Login if proved => self.shows_it_once(),
            About::Login | About::Method | About::MethodOrLogin => self.next_method(),
        };
        let is_way = about == About::Method || about == About::MethodOrLogin && !proved;
        next.unwrap_or(Err(if is_way { Error::Method(words) } else { Error::Login(words) }))
    }

    /// Begins with a way that shows the password, where the server may not be able to check the proof that it refused.
    fn shows_it_once(&mut self) -> Option<Result<Next, Error>> {
        let may_not = self.method.is_some_and(Method::needs_the_password_itself);
        if !self.tls || !may_not {
            return None;
        }
        self.doubtful = true;
        self.methods.retain(|method| method.reveals_password());
        self.next_method()
    }

    /// Begins with the next way; `None` after the last one.
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
