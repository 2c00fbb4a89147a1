//! From the greeting to the login: CAPABILITY, STARTTLS and AUTHENTICATE or LOGIN, as a state machine
//! without I/O (RFC 3501 sections 6.1 and 6.2).
//!
//! As with POP3, another mechanism is tried only when the server refuses the mechanism itself, never
//! after a refused password.

use std::collections::VecDeque;
use std::mem;

use zeroize::Zeroizing;

use super::response::{Response, TAG, parse};
use crate::config::{Secret, Security, Source, SourceAuth};
use crate::multipop::Error;
use crate::multipop::refusal::{Refusal, printable};
use crate::outgoing;
use crate::sasl::client::{Client, Mechanism, decode, encode};

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Read a line, for [`Login::line`].
    Read,
    /// Send this and a CRLF, then read a line.
    Send(Zeroizing<String>),
    /// Turn the connection to TLS, then do what [`Login::secured`] says.
    StartTls,
    /// Logged in; tags up to this number were used.
    Done(u32),
}

/// A way to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Sasl(Mechanism),
    /// The LOGIN command.
    Command,
}

enum State {
    Greeting,
    Capability,
    StartTls,
    Sasl {
        client: Box<Client>,
        mechanism: Mechanism,
        responses: u32,
    },
    /// LOGIN was begun: the user name is next.
    User,
    Password,
    LoggingIn,
    Over,
}

/// One login.
pub struct Login {
    user: String,
    password: Secret,
    auth: SourceAuth,
    starttls: bool,
    capabilities: Vec<String>,
    methods: VecDeque<Method>,
    tag: u32,
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
        if source.username.contains('\0') || source.password.reveal().contains('\0') {
            return Err(Error::Unsendable);
        }
        Ok(Login {
            user: source.username.as_str().to_owned(),
            password: source.password.clone(),
            auth: source.auth,
            starttls: source.security == Security::Starttls && !tls,
            capabilities: Vec::new(),
            methods: VecDeque::new(),
            tag: 0,
            state: State::Greeting,
        })
    }

    /// Takes in a line of the server, its end taken off. It is `async` for SCRAM's hashing alone.
    ///
    /// # Errors
    /// There will be no login: close the connection.
    pub async fn line(&mut self, line: &[u8]) -> Result<Step, Error> {
        let response = match parse(line) {
            Response::Bye(why) => return Err(Error::TurnedAway(why)),
            Response::Capability(capabilities) => {
                self.capabilities = capabilities;
                return Ok(Step::Read);
            }
            response => response,
        };
        match (mem::replace(&mut self.state, State::Over), response) {
            (State::Greeting, Response::Ok(_)) => Ok(self.command(State::Capability, "CAPABILITY")),
            // Whoever is logged in before TLS is not who we want to be (RFC 3501 section 7.1.4).
            (State::Greeting, Response::PreAuth) if !self.starttls => Ok(Step::Done(self.tag)),
            (State::Greeting, _) => Err(not_imap(line)),
            (state, Response::Tagged(tag, result)) if tag == self.tag => self.tagged(state, result),
            (State::Sasl { mut client, mechanism, responses }, Response::Continue(challenge)) => {
                let response = client.respond(&decode(&challenge)?).await?;
                self.state = State::Sasl { client, mechanism, responses: responses + 1 };
                Ok(Step::Send(encode(&response)))
            }
            (State::User, Response::Continue(_)) => {
                self.state = State::Password;
                Ok(send(format!("{} {{{}}}", self.user, self.password.reveal().len())))
            }
            (State::Password, Response::Continue(_)) => {
                self.state = State::LoggingIn;
                Ok(send(self.password.reveal().to_owned()))
            }
            (_, Response::Continue(_) | Response::Tagged(..)) => Err(not_imap(line)),
            (state, _) => {
                self.state = state;
                Ok(Step::Read)
            }
        }
    }

    /// The connection is TLS now: what was learned before counts no more (RFC 3501 section 6.2.1).
    pub fn secured(&mut self) -> Step {
        self.starttls = false;
        self.capabilities = Vec::new();
        self.command(State::Capability, "CAPABILITY")
    }

    fn command(&mut self, state: State, command: &str) -> Step {
        self.tag += 1;
        self.state = state;
        send(format!("{TAG}{} {command}", self.tag))
    }

    fn offers(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|offered| offered == capability)
    }

    fn tagged(&mut self, state: State, result: Result<(), Refusal>) -> Result<Step, Error> {
        match (state, result) {
            (State::Capability, Ok(())) => self.after_capability(),
            (State::StartTls, Ok(())) => Ok(Step::StartTls),
            (State::StartTls, Err(refusal)) => Err(outgoing::Error::NoStartTls(refusal.to_string()).into()),
            (State::Sasl { client, .. }, Ok(())) => {
                client.finish()?;
                Ok(Step::Done(self.tag))
            }
            // SCRAM's first response only names the user: servers that keep no verifier for them stop here.
            (State::Sasl { mechanism, responses, .. }, Err(refusal)) => {
                let proved = responses > u32::from(mechanism == Mechanism::ScramSha256);
                self.refused(refusal, !proved)
            }
            (State::LoggingIn, Ok(())) => Ok(Step::Done(self.tag)),
            (State::User, Err(refusal)) => self.refused(refusal, true),
            (State::Password | State::LoggingIn, Err(refusal)) => self.refused(refusal, false),
            (_, Err(refusal)) => Err(Error::TurnedAway(refusal.to_string())),
            (_, Ok(())) => Err(Error::Protocol("it agreed out of turn".to_owned())),
        }
    }

    fn after_capability(&mut self) -> Result<Step, Error> {
        if self.starttls {
            if !self.offers("STARTTLS") {
                return Err(outgoing::Error::NoStartTls("it is not among its capabilities".to_owned()).into());
            }
            return Ok(self.command(State::StartTls, "STARTTLS"));
        }
        let all = Mechanism::ALL.into_iter().map(Method::Sasl).chain([Method::Command]);
        self.methods = all.filter(|&method| self.is_to_be_tried(method)).collect();
        self.next_method()
    }

    fn is_to_be_tried(&self, method: Method) -> bool {
        let offered = match method {
            Method::Sasl(mechanism) => self.offers(&format!("AUTH={}", mechanism.name())),
            Method::Command => !self.offers("LOGINDISABLED"),
        };
        match self.auth {
            SourceAuth::Auto => offered,
            SourceAuth::ScramSha256 => method == Method::Sasl(Mechanism::ScramSha256),
            SourceAuth::CramMd5 => method == Method::Sasl(Mechanism::CramMd5),
            SourceAuth::Plain => method == Method::Sasl(Mechanism::Plain),
            // The mechanism and the command of that name tell the server the same.
            SourceAuth::Login => {
                offered && matches!(method, Method::Sasl(Mechanism::Login) | Method::Command)
            }
            // POP3's own.
            SourceAuth::Apop | SourceAuth::User | SourceAuth::OAuth2 => false,
        }
    }

    /// Begins with the next method. No SASL response goes along with AUTHENTICATE: so a refusal of the
    /// mechanism can be told from one of the password.
    fn next_method(&mut self) -> Result<Step, Error> {
        match self.methods.pop_front().ok_or(Error::NoMechanism)? {
            Method::Sasl(mechanism) => {
                let client = Box::new(Client::new(mechanism, &self.user, &self.password));
                let state = State::Sasl { client, mechanism, responses: 0 };
                Ok(self.command(state, &format!("AUTHENTICATE {}", mechanism.name())))
            }
            // Literals carry whatever a password may hold.
            Method::Command => Ok(self.command(State::User, &format!("LOGIN {{{}}}", self.user.len()))),
        }
    }

    fn refused(&mut self, refusal: Refusal, of_the_method: bool) -> Result<Step, Error> {
        if refusal.is_temporary() {
            return Err(Error::Busy(refusal.to_string()));
        }
        if (of_the_method || refusal.is_about_the_command()) && !self.methods.is_empty() {
            return self.next_method();
        }
        Err(Error::Login(refusal.to_string()))
    }
}

fn send(line: String) -> Step {
    Step::Send(Zeroizing::new(line))
}

/// What came is no answer of IMAP. Its beginning is shown: it often tells which server was reached.
fn not_imap(line: &[u8]) -> Error {
    Error::Protocol(format!("it said \"{}\"", printable(&String::from_utf8_lossy(line))))
}

#[cfg(test)]
mod tests {
    use smol::future::block_on;

    use super::*;

    /// Plays a dialog against a login as `tim` with the password `tanstaaf`: `S:` is the server, `C:` what
    /// the client must send, and the last line what comes of it: `DONE`, or `ERROR` and how it begins.
    fn play(auth: SourceAuth, security: Security, dialog: &str) {
        let source = Source {
            username: "tim".try_into().unwrap(),
            password: Secret::new("tanstaaf").unwrap(),
            auth,
            security,
            ..Source::default()
        };
        let mut login = Login::new(&source, security == Security::Tls).unwrap();
        let mut step = Ok(Step::Read);
        for line in dialog.lines().map(str::trim).filter(|line| !line.is_empty()) {
            step = match (line.split_once(' ').unwrap_or((line, "")), step) {
                (("S:", text), Ok(Step::Read)) => block_on(login.line(text.as_bytes())),
                (("C:", text), Ok(Step::Send(sent))) => {
                    assert_eq!(*sent, text, "in{dialog}");
                    Ok(Step::Read)
                }
                (("TLS", _), Ok(Step::StartTls)) => Ok(login.secured()),
                (("DONE", _), Ok(Step::Done(_))) => return,
                (("ERROR", text), Err(error)) => {
                    assert!(error.to_string().starts_with(text), "{error} in{dialog}");
                    return;
                }
                (_, step) => panic!("{step:?} at {line:?} in{dialog}"),
            };
        }
        panic!("no end in{dialog}");
    }

    #[test]
    fn the_strongest_mechanism_is_used_and_untagged_chatter_passed_over() {
        play(
            SourceAuth::Auto,
            Security::Tls,
            "
            S: * OK ready
            C: P1 CAPABILITY
            S: * CAPABILITY IMAP4rev1 AUTH=LOGIN AUTH=PLAIN
            S: P1 OK
            C: P2 AUTHENTICATE PLAIN
            S: * OK still here
            S: +
            C: AHRpbQB0YW5zdGFhZg==
            S: * CAPABILITY IMAP4rev1 UIDPLUS
            S: P2 OK
            DONE",
        );
    }

    #[test]
    fn the_login_command_carries_its_arguments_in_literals() {
        play(
            SourceAuth::Auto,
            Security::Tls,
            "
            S: * OK
            C: P1 CAPABILITY
            S: * CAPABILITY IMAP4rev1 AUTH=CRAM-MD5
            S: P1 OK
            C: P2 AUTHENTICATE CRAM-MD5
            S: P2 NO not now
            C: P3 LOGIN {3}
            S: + go on
            C: tim {8}
            S: + go on
            C: tanstaaf
            S: P3 NO [AUTHENTICATIONFAILED] wrong
            ERROR the login was refused: [AUTHENTICATIONFAILED] wrong",
        );
    }

    #[test]
    fn starttls_forgets_what_was_said_before_and_is_never_given_up() {
        play(
            SourceAuth::Auto,
            Security::Starttls,
            "
            S: * OK
            C: P1 CAPABILITY
            S: * CAPABILITY STARTTLS LOGINDISABLED
            S: P1 OK
            C: P2 STARTTLS
            S: P2 OK
            TLS
            C: P3 CAPABILITY
            S: P3 OK
            C: P4 LOGIN {3}
            S: P4 NO [UNAVAILABLE] later
            ERROR the mailbox cannot be opened now: [UNAVAILABLE] later",
        );
        let without = "\nS: * OK\nC: P1 CAPABILITY\nS: * CAPABILITY IMAP4rev1\nS: P1 OK\n";
        play(SourceAuth::Auto, Security::Starttls, &format!("{without}ERROR the server offers no STARTTLS"));
        play(SourceAuth::Auto, Security::Starttls, "\nS: * PREAUTH hi\nERROR the server does not keep to");
    }

    #[test]
    fn a_login_that_is_disabled_is_not_tried() {
        let dialog = "\nS: * OK\nC: P1 CAPABILITY\nS: * CAPABILITY LOGINDISABLED\nS: P1 OK\n";
        play(SourceAuth::Auto, Security::None, &format!("{dialog}ERROR the server offers no way"));
        play(SourceAuth::Apop, Security::None, &format!("{dialog}ERROR the server offers no way"));
        play(SourceAuth::User, Security::None, &format!("{dialog}ERROR the server offers no way"));
        let dialog = "\nS: * OK\nC: P1 CAPABILITY\nS: P1 OK\n";
        let login = "C: P2 LOGIN {3}\nS: P2 BAD no\nERROR the login was refused: no";
        play(SourceAuth::Login, Security::None, &format!("{dialog}{login}"));
    }

    #[test]
    fn strange_servers_end_the_login() {
        for (dialog, end) in [
            ("S: +OK POP3 ready", "the server does not keep to the protocol: it said \"+OK POP3"),
            ("S: * BYE overloaded", "the server turned us away: overloaded"),
            ("S: * OK\nC: P1 CAPABILITY\nS: P1 BAD what?", "the server turned us away: what?"),
            ("S: * OK\nC: P1 CAPABILITY\nS: + more", "the server does not keep to the protocol"),
            ("S: * OK\nC: P1 CAPABILITY\nS: P7 OK", "the server does not keep to the protocol"),
            ("S: * PREAUTH\nDONE", ""),
        ] {
            play(SourceAuth::Auto, Security::Tls, &format!("\n{dialog}\nERROR {end}"));
        }
    }
}
