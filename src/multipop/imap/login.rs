//! From the greeting to the login: CAPABILITY, STARTTLS and the frame of AUTHENTICATE or LOGIN, as a state machine without I/O
//! (RFC 3501 sections 6.1 and 6.2).

use std::mem;

use zeroize::Zeroizing;

use super::response::{Response, TAG, parse, starts_with};
use crate::config::{Security, Source, SourceAuth};
use crate::multipop::Error;
use crate::multipop::errand::{Feature, ServerQuirks};
use crate::multipop::refusal::{Refusal, printable};
use crate::multipop::wire;
use crate::outgoing::{self, Answer, Credentials, Login, Next, Offer};
use crate::sasl::client::{AccessToken, Mechanism};

/// The next step of the login. At the end it holds the highest number that was used in a tag.
type Step = outgoing::Step<u32>;

enum State {
    Greeting,
    Capability,
    StartTls,
    Sasl,
    /// LOGIN was sent: the user name is next.
    User,
    Password,
    LoggingIn,
    Over,
}

/// A session being opened.
pub struct Opening {
    login: Login,
    starttls: bool,
    tls: bool,
    capabilities: Vec<String>,
    /// Whether the server may be asked for its capabilities.
    has_capa: bool,
    tag: u32,
    /// The goodbye that came during the login.
    bye: Option<String>,
    state: State,
}

impl Opening {
    /// Waits for the greeting. `token` is the access token where the source's `auth` is `oauth2`. `tls` tells whether
    /// the connection has TLS already.
    ///
    /// # Errors
    /// The source's credentials cannot be sent to any server.
    pub fn new(source: &Source, token: Option<&AccessToken>, tls: bool) -> Result<Opening, Error> {
        Ok(Opening {
            login: Login::new(Credentials::of(source, token))?,
            starttls: source.security == Security::Starttls && !tls,
            tls,
            capabilities: Vec::new(),
            has_capa: true,
            tag: 0,
            bye: None,
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

    fn is_logging_in(&self) -> bool {
        matches!(self.state, State::Sasl | State::User | State::Password | State::LoggingIn)
    }

    /// The error of a server that hung up: with its goodbye, if it has said one.
    pub fn goodbye(&mut self, error: Error) -> Error {
        match self.bye.take() {
            Some(why) if error.is_a_hang_up() || error.is_no_answer() => Error::TurnedAway(why),
            _ => error,
        }
    }

    fn command(&mut self, state: State, command: &str) -> Step {
        self.tag += 1;
        self.send(state, &[TAG, &self.tag.to_string(), " ", command])
    }

    fn send(&mut self, state: State, parts: &[&str]) -> Step {
        self.state = state;
        Step::send(parts)
    }

    fn offers(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|offered| offered == capability)
    }

    async fn tagged(&mut self, state: State, result: Result<(), Refusal>) -> Result<Step, Error> {
        match (state, result) {
            (State::Capability, Ok(())) => self.after_capability(),
            // Without a reason that is worth a second try it only does not know the command.
            (State::Capability, Err(refusal)) if refusal.code.is_empty() && self.bye.is_none() => {
                self.has_capa = false;
                self.after_capability()
            }
            (State::StartTls, Ok(())) => Ok(Step::StartTls),
            (State::StartTls, Err(refusal)) => Err(outgoing::Error::NoStartTls(refusal.to_string()).into()),
            (State::Sasl | State::LoggingIn, Ok(())) => self.answer(Answer::Granted).await,
            (State::User, Err(refusal)) => match self.quoted().filter(|_| refusal.code.is_empty()) {
                Some(command) => Ok(self.command(State::LoggingIn, &command)),
                None => self.answer(refusal.answer()).await,
            },
            (State::Sasl | State::Password | State::LoggingIn, Err(refusal)) => {
                self.answer(refusal.answer()).await
            }
            (_, Err(refusal)) => Err(Error::TurnedAway(refusal.to_string())),
            (_, Ok(())) => Err(Error::Protocol("it agreed out of turn".to_owned())),
        }
    }

    fn capa(&mut self) -> Result<Step, Error> {
        match self.has_capa {
            true => Ok(self.command(State::Capability, "CAPABILITY")),
            false => self.after_capability(),
        }
    }

    fn after_capability(&mut self) -> Result<Step, Error> {
        if self.starttls {
            if self.has_capa && !self.offers("STARTTLS") {
                let why = "it is not among its capabilities";
                return Err(outgoing::Error::NoStartTls(why.to_owned()).into());
            }
            return Ok(self.command(State::StartTls, "STARTTLS"));
        }
        let names = self.capabilities.iter().filter_map(|capability| capability.strip_prefix("AUTH="));
        let offer = Offer {
            mechanisms: names.filter_map(Mechanism::named).collect(),
            timestamp: None,
            command: Some((SourceAuth::Login, !self.offers("LOGINDISABLED"))),
        };
        let next = self.login.begin(offer, self.tls)?;
        self.say(next)
    }

    /// The command for the next step of a login (RFC 3501 sections 6.2.2 and 6.2.3). Literals carry any octets of a
    /// password.
    fn say(&mut self, next: Next) -> Result<Step, Error> {
        let user = self.login.username().to_owned();
        Ok(match next {
            Next::Auth(mechanism, _) => {
                self.command(State::Sasl, &format!("AUTHENTICATE {}", mechanism.name()))
            }
            Next::Response(line) => self.send(State::Sasl, &[&line]),
            Next::Command => self.command(State::User, &format!("LOGIN {{{}}}", user.len())),
            Next::Password => {
                let length = self.login.password().len();
                self.send(State::Password, &[&format!("{user} {{{length}}}")])
            }
            Next::Done => Step::Done(self.tag),
            // APOP belongs to POP3.
            Next::Apop(_) => return Err(outgoing::Error::NoMechanism.into()),
        })
    }

    /// LOGIN with quoted strings, for a server that refuses literals there. `None` if quoted strings cannot hold the
    /// user name or password (RFC 3501 section 9, quoted).
    fn quoted(&self) -> Option<Zeroizing<String>> {
        let mut command = Zeroizing::new(String::with_capacity(2048));
        command.push_str("LOGIN");
        for text in [self.login.username(), self.login.password()] {
            if !text.bytes().all(|octet| (b' '..=b'~').contains(&octet)) {
                return None;
            }
            command.push_str(" \"");
            for sign in text.chars() {
                if matches!(sign, '"' | '\\') {
                    command.push('\\');
                }
                command.push(sign);
            }
            command.push('"');
        }
        Some(command)
    }

    async fn answer(&mut self, answer: Answer<'_>) -> Result<Step, Error> {
        let next = self.login.answer(answer).await?;
        self.say(next)
    }
}

impl wire::Opening for Opening {
    type Opened = u32;

    fn asks(&self) -> Option<Feature> {
        match self.state {
            State::Capability => Some(Feature::Capabilities),
            State::Sasl if self.login.is_probing() => Some(Feature::Sasl),
            _ => None,
        }
    }

    async fn line(&mut self, line: &[u8]) -> Result<Step, Error> {
        let response = match parse(line) {
            // Some servers say goodbye before they answer a login that they refuse: the answer counts.
            Response::Bye(why) if self.is_logging_in() => {
                self.bye.get_or_insert(why);
                return Ok(Step::Read);
            }
            Response::Bye(why) => return Err(Error::TurnedAway(why)),
            _ if line.is_empty() => return Ok(Step::Read),
            Response::Capability(capabilities) => {
                self.capabilities = capabilities;
                return Ok(Step::Read);
            }
            response => response,
        };
        match (mem::replace(&mut self.state, State::Over), response) {
            (State::Greeting, Response::Ok(_)) => self.capa(),
            // A session that is logged in before TLS may be anybody's (RFC 3501 section 7.1.4).
            (State::Greeting, Response::PreAuth) if !self.starttls => Ok(Step::Done(self.tag)),
            // RFC 3501 section 7.1 has no such greeting, and servers that are overloaded send it.
            (State::Greeting, _) if starts_with(line, b"* NO ") || starts_with(line, b"* BAD ") => {
                let words = String::from_utf8_lossy(line).split(' ').skip(2).collect::<Vec<_>>().join(" ");
                Err(Error::TurnedAway(printable(&words)))
            }
            (State::Greeting, _) => Err(not_imap(line)),
            (state, Response::Tagged(tag, result)) if tag == self.tag => self.tagged(state, result).await,
            (State::Sasl | State::User, Response::Continue(challenge)) => {
                self.answer(Answer::Challenge(&challenge)).await
            }
            (State::Password, Response::Continue(_)) => {
                self.state = State::LoggingIn;
                Ok(Step::send(&[self.login.password()]))
            }
            (_, Response::Continue(_) | Response::Tagged(..)) => Err(not_imap(line)),
            (state, _) => {
                self.state = state;
                Ok(Step::Read)
            }
        }
    }

    /// After STARTTLS: forgets the capabilities that were learned before it (RFC 3501 section 6.2.1).
    fn secured(&mut self) -> Result<Step, Error> {
        self.tls = true;
        self.starttls = false;
        self.capabilities = Vec::new();
        self.capa()
    }
}

/// The error for a line that is not IMAP. It shows the beginning of the line, which often tells which server was
/// reached.
fn not_imap(line: &[u8]) -> Error {
    Error::Protocol(format!("it said \"{}\"", printable(&String::from_utf8_lossy(line))))
}

#[cfg(test)]
mod tests {
    use smol::future::block_on;

    use super::*;
    use crate::config::Secret;
    use crate::multipop::wire::Opening as _;

    /// Plays a dialog with a login as `tim` with the password `tanstaaf`. `S:` lines are the server's, `C:` lines are
    /// what the client must send. The last line is the result: `DONE`, or `ERROR` and how the error begins.
    fn play(auth: SourceAuth, security: Security, dialog: &str) {
        let source = Source {
            username: "tim".try_into().unwrap(),
            password: Secret::new("tanstaaf").unwrap(),
            auth,
            security,
            ..Source::default()
        };
        let mut login = Opening::new(&source, None, security == Security::Tls).unwrap();
        let mut step = Ok(Step::Read);
        for line in dialog.lines().map(str::trim).filter(|line| !line.is_empty()) {
            step = match (line.split_once(' ').unwrap_or((line, "")), step) {
                (("S:", text), Ok(Step::Read)) => block_on(login.line(text.as_bytes())),
                (("C:", text), Ok(Step::Send(sent))) => {
                    assert_eq!(*sent, text, "in{dialog}");
                    Ok(Step::Read)
                }
                (("TLS", _), Ok(Step::StartTls)) => login.secured(),
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
        // Catches: giving up on a server that takes no literals there.
        let login = "C: P2 LOGIN {3}\nS: P2 BAD no\nC: P3 LOGIN \"tim\" \"tanstaaf\"\nS: P3 NO no\nERROR the login was refused: no";
        play(SourceAuth::Login, Security::None, &format!("{dialog}{login}"));
    }

    #[test]
    fn strange_servers_end_the_login() {
        for (dialog, end) in [
            ("S: +OK POP3 ready", "the server does not keep to the protocol: it said \"+OK POP3"),
            ("S: * BYE overloaded", "the server turned us away: overloaded"),
            ("S: * NO server not ready", "the server turned us away: server not ready"),
            (
                "S: * OK\nC: P1 CAPABILITY\nS: P1 NO [UNAVAILABLE] not now",
                "the server turned us away: [UNAVAILABLE] not now",
            ),
            // Catches: a server that does not know CAPABILITY, and whose mailbox is never opened.
            (
                "S: * OK\nC: P1 CAPABILITY\nS: P1 BAD what?\nC: P2 LOGIN {3}\nS: P2 NO [AUTHENTICATIONFAILED] no",
                "the login was refused: [AUTHENTICATIONFAILED] no",
            ),
            ("S: * OK\nC: P1 CAPABILITY\nS: + more", "the server does not keep to the protocol"),
            ("S: * OK\nC: P1 CAPABILITY\nS: P7 OK", "the server does not keep to the protocol"),
            // Catches: a goodbye before the answer that tells why, taken for all that was said.
            (
                "S: * OK\nC: P1 CAPABILITY\nS: P1 OK\nC: P2 LOGIN {3}\nS: * BYE see you\nS: P2 NO [AUTHENTICATIONFAILED] no",
                "the login was refused: [AUTHENTICATIONFAILED] no",
            ),
            ("S: * PREAUTH\nDONE", ""),
        ] {
            play(SourceAuth::Auto, Security::Tls, &format!("\n{dialog}\nERROR {end}"));
        }
    }
}
