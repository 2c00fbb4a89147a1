//! SASL mechanisms (RFC 4422) on the server's side, as state machines without I/O.
//!
//! An exchange takes and gives base64 lines as POP3 (RFC 5034), IMAP (RFC 3501) and SMTP (RFC 4954) carry them. The
//! session adds its protocol's prefix and handles `*`, which cancels. Not the mechanism but
//! [`crate::auth::Logins::judge`] decides whether a claim is true.

use std::borrow::Cow;
use std::fmt;

use data_encoding::BASE64;
use zeroize::{Zeroize, Zeroizing};

use super::scram::{ClientFirst, Proof, ServerFirst};
use crate::credential::{Salt, Verifier, random};

/// Octets of a response line that are accepted, at most: more than any name and password need.
pub const MAX_RESPONSE: usize = 2048;

/// A password that a client claims; prints as `[secret]` and is wiped when dropped.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Password(Zeroizing<Vec<u8>>);

impl From<&[u8]> for Password {
    fn from(octets: &[u8]) -> Password {
        Password(Zeroizing::new(octets.to_vec()))
    }
}

impl std::ops::Deref for Password {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// A mechanism that the server offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// SCRAM-SHA-256-PLUS (RFC 7677), bound to the TLS connection.
    ScramSha256Plus,
    /// SCRAM-SHA-256 (RFC 7677).
    ScramSha256,
    /// PLAIN (RFC 4616).
    Plain,
    /// LOGIN (draft-murchison-sasl-login): obsolete, and the only one that some clients know.
    Login,
}

impl Mechanism {
    /// The offered mechanisms, the strongest first; `bindable` if the connection has channel bindings.
    pub fn offered(bindable: bool) -> impl Iterator<Item = Mechanism> {
        let plus = bindable.then_some(Mechanism::ScramSha256Plus);
        plus.into_iter().chain([Mechanism::ScramSha256, Mechanism::Plain, Mechanism::Login])
    }

    /// The registered name.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::Plain => "PLAIN",
            Mechanism::Login => "LOGIN",
        }
    }

    /// The offered mechanism with this name, in any case.
    pub fn named(name: &str, bindable: bool) -> Option<Mechanism> {
        Mechanism::offered(bindable).find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }
}

/// A client's claim, which [`crate::auth::Logins::judge`] decides.
#[derive(Debug, PartialEq, Eq)]
pub enum Claim {
    /// The client has this password.
    Password {
        /// The account's name or address.
        login: String,
        /// The password.
        password: Password,
    },
    /// The client is this user, and needs the salt first.
    Login(String),
    /// The client knows the password; here is a proof without the password.
    Proof(Box<Proof>),
    /// The client has proved its password, and has seen the server's proof.
    Proven(Proven),
}

/// A client that has proved its password. Only [`crate::auth::Logins::judge`] makes one.
#[derive(Debug, PartialEq, Eq)]
pub struct Proven {
    /// The account whose password was proved.
    pub(crate) account: String,
    /// The verifier of the password that was proved.
    pub(crate) verifier: Box<Verifier>,
}

/// The answer to a claim with which the exchange goes on, for [`Exchange::answer`].
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// The salt, for a [`Claim::Login`].
    Salt(Salt),
    /// The server's signature, for a [`Claim::Proof`].
    Signature(Proven, [u8; 32]),
}

/// What the server is to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this challenge, which is in base64, and give the client's line to [`Exchange::respond`].
    Challenge(Cow<'static, str>),
    /// Have this claim decided; if there is an answer, [`Exchange::answer`] goes on.
    Claim(Claim),
    /// The client's line does not fit the mechanism; the exchange is over.
    Failed,
}

/// An exchange under way.
#[derive(Debug, PartialEq, Eq)]
pub struct Exchange {
    state: State,
    bindable: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Plain,
    LoginName,
    LoginPassword { login: String },
    ScramFirst { plus: bool },
    ScramSalt(Box<ClientFirst>),
    ScramFinal(Box<ServerFirst>),
    ScramSignature,
    ScramProven(Proven),
    Over,
}

impl Exchange {
    /// Begins an exchange. `initial` is the initial response as it is in the command, where `=` means an empty one
    /// (RFC 4954 section 4).
    pub fn start(mechanism: Mechanism, bindable: bool, initial: Option<&[u8]>) -> (Exchange, Step) {
        let (state, challenge) = match mechanism {
            Mechanism::ScramSha256Plus => (State::ScramFirst { plus: true }, ""),
            Mechanism::ScramSha256 => (State::ScramFirst { plus: false }, ""),
            Mechanism::Plain => (State::Plain, ""),
            Mechanism::Login => (State::LoginName, USERNAME),
        };
        let mut exchange = Exchange { state, bindable };
        let step = match initial {
            None => Step::Challenge(challenge.into()),
            Some(b"=") => exchange.respond(b""),
            Some(initial) => exchange.respond(initial),
        };
        (exchange, step)
    }

    /// Takes the client's line without its line end.
    pub fn respond(&mut self, line: &[u8]) -> Step {
        let state = std::mem::replace(&mut self.state, State::Over);
        decode(line).and_then(|response| self.response(state, &response)).unwrap_or(Step::Failed)
    }

    fn response(&mut self, state: State, response: &[u8]) -> Option<Step> {
        match state {
            State::Plain => plain(response),
            State::LoginName => {
                let login = std::str::from_utf8(response).ok().filter(|login| !login.is_empty())?.to_owned();
                self.state = State::LoginPassword { login };
                Some(Step::Challenge(PASSWORD.into()))
            }
            State::LoginPassword { login } => {
                Some(Step::Claim(Claim::Password { login, password: Password::from(response) }))
            }
            State::ScramFirst { plus } => {
                let first = ClientFirst::parse(response, plus)?;
                let login = first.login().to_owned();
                self.state = State::ScramSalt(Box::new(first));
                Some(Step::Claim(Claim::Login(login)))
            }
            State::ScramFinal(server_first) => {
                let proof = server_first.proof(response)?;
                self.state = State::ScramSignature;
                Some(Step::Claim(Claim::Proof(Box::new(proof))))
            }
            // The client has nothing more to say (RFC 5802 section 5).
            State::ScramProven(proven) => response.is_empty().then_some(Step::Claim(Claim::Proven(proven))),
            State::ScramSalt(_) | State::ScramSignature | State::Over => None,
        }
    }

    /// Takes the answer of [`crate::auth::Logins::judge`].
    pub fn answer(&mut self, answer: Answer) -> Step {
        match (std::mem::replace(&mut self.state, State::Over), answer) {
            (State::ScramSalt(first), Answer::Salt(salt)) => {
                let server_first = first.answer(salt, &BASE64.encode(&random::<18>()), self.bindable);
                let challenge = BASE64.encode(server_first.message().as_bytes());
                self.state = State::ScramFinal(Box::new(server_first));
                Step::Challenge(challenge.into())
            }
            (State::ScramSignature, Answer::Signature(proven, signature)) => {
                self.state = State::ScramProven(proven);
                let message = format!("v={}", BASE64.encode(&signature));
                Step::Challenge(BASE64.encode(message.as_bytes()).into())
            }
            _ => Step::Failed,
        }
    }
}

/// `Username:` in base64.
const USERNAME: &str = "VXNlcm5hbWU6";
/// `Password:` in base64.
const PASSWORD: &str = "UGFzc3dvcmQ6";

/// Parses the message of PLAIN: `[authzid] NUL authcid NUL passwd` (RFC 4616 section 2). Nobody may act for another
/// user here, so an authorization identity must equal the authentication identity.
fn plain(message: &[u8]) -> Option<Step> {
    let mut parts = message.split(|&octet| octet == 0);
    let (authzid, authcid, password) = (parts.next()?, parts.next()?, parts.next()?);
    let well_formed = parts.next().is_none() && !authcid.is_empty() && !password.is_empty();
    if !well_formed || !(authzid.is_empty() || authzid == authcid) {
        return None;
    }
    let login = std::str::from_utf8(authcid).ok()?.to_owned();
    Some(Step::Claim(Claim::Password { login, password: Password::from(password) }))
}

fn decode(line: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    if line.len() > MAX_RESPONSE {
        return None;
    }
    let mut decoded = Zeroizing::new(vec![0; BASE64.decode_len(line.len()).ok()?]);
    match BASE64.decode_mut(line, &mut decoded) {
        Ok(len) => {
            decoded.truncate(len);
            Some(decoded)
        }
        Err(_) => {
            decoded.zeroize();
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base64(text: &str) -> Vec<u8> {
        BASE64.encode(text.as_bytes()).into_bytes()
    }

    fn credentials(login: &str, password: &str) -> Step {
        Step::Claim(Claim::Password { login: login.into(), password: Password::from(password.as_bytes()) })
    }

    #[test]
    fn plain_with_and_without_an_initial_response() {
        let message = base64("\0tim\0tanstaaftanstaaf");
        let (_, step) = Exchange::start(Mechanism::Plain, false, Some(&message));
        assert_eq!(step, credentials("tim", "tanstaaftanstaaf"));

        let (mut exchange, step) = Exchange::start(Mechanism::Plain, false, None);
        assert_eq!(step, Step::Challenge("".into()));
        assert_eq!(exchange.respond(&message), credentials("tim", "tanstaaftanstaaf"));
        assert_eq!(exchange.respond(&message), Step::Failed, "an exchange is used once");
    }

    #[test]
    fn plain_messages() {
        for (message, expected) in [
            ("tim\0tim\0secret", credentials("tim", "secret")),
            ("\0tim@home.example\0p w", credentials("tim@home.example", "p w")),
            ("\0jürgen\0ß", credentials("jürgen", "ß")),
            ("root\0tim\0secret", Step::Failed),
            ("\0\0secret", Step::Failed),
            ("\0tim\0", Step::Failed),
            ("\0tim", Step::Failed),
            ("\0tim\0secret\0", Step::Failed),
            ("", Step::Failed),
        ] {
            let (_, step) = Exchange::start(Mechanism::Plain, false, Some(&base64(message)));
            assert_eq!(step, expected, "{message:?}");
        }
    }

    #[test]
    fn login_asks_for_name_and_password() {
        let (mut exchange, step) = Exchange::start(Mechanism::Login, false, None);
        assert_eq!(step, Step::Challenge("VXNlcm5hbWU6".into()));
        assert_eq!(exchange.respond(&base64("tim")), Step::Challenge("UGFzc3dvcmQ6".into()));
        assert_eq!(exchange.respond(&base64("secret")), credentials("tim", "secret"));

        let (mut exchange, step) = Exchange::start(Mechanism::Login, false, Some(&base64("tim")));
        assert_eq!(step, Step::Challenge("UGFzc3dvcmQ6".into()));
        assert_eq!(exchange.respond(&base64("secret")), credentials("tim", "secret"));
    }

    #[test]
    fn lines_that_are_no_response_fail() {
        let long = vec![b'A'; MAX_RESPONSE + 4];
        for line in [&b"="[..], b"dGlt\0", b"dGl", b"dGlt=", b"*", b"AP8A/w==", &long] {
            let (_, step) = Exchange::start(Mechanism::Plain, false, Some(line));
            assert_eq!(step, Step::Failed, "{line:?}");
        }
    }

    #[test]
    fn names_in_any_case_and_passwords_that_do_not_print() {
        assert_eq!(Mechanism::named("plain", false), Some(Mechanism::Plain));
        assert_eq!(Mechanism::named("Login", true), Some(Mechanism::Login));
        assert_eq!(Mechanism::named("CRAM-MD5", true), None);
        assert_eq!(Mechanism::named("scram-sha-256-plus", true), Some(Mechanism::ScramSha256Plus));
        assert_eq!(Mechanism::named("SCRAM-SHA-256-PLUS", false), None, "nothing to bind to");
        assert!(!format!("{:?}", credentials("tim", "hidden")).contains("hidden"));
    }
}
