//! SASL mechanisms (RFC 4422) on the server's side, as state machines without I/O.
//!
//! An exchange speaks base64 lines as POP3 (RFC 5034), IMAP (RFC 3501) and SMTP (RFC 4954) carry them;
//! the session adds its protocol's prefix, and handles `*`, which cancels, itself. The outcome are
//! credentials for [`super::Logins::login`], not a verdict.

use std::fmt;

use data_encoding::BASE64;
use zeroize::{Zeroize, Zeroizing};

/// Octets of a response line that are looked at: more than any name and password need.
pub const MAX_RESPONSE: usize = 2048;

/// What a client claims to know; prints as `[secret]` and is wiped when dropped.
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

/// A mechanism that sends the password itself: to be offered only where a password may travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// RFC 4616.
    Plain,
    /// draft-murchison-sasl-login: obsolete, and the only one that some clients know.
    Login,
}

impl Mechanism {
    /// The mechanism of this name, in any case.
    pub fn named(name: &str) -> Option<Mechanism> {
        [("PLAIN", Mechanism::Plain), ("LOGIN", Mechanism::Login)]
            .into_iter()
            .find_map(|(known, mechanism)| known.eq_ignore_ascii_case(name).then_some(mechanism))
    }
}

/// What the server does next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this challenge, which is in base64, and hand the client's line to [`Exchange::respond`].
    Challenge(&'static str),
    /// Done: see whether these are right.
    Credentials {
        /// The account's name or address.
        login: String,
        /// Its password.
        password: Password,
    },
    /// The client's line was not what the mechanism wants; the exchange is over.
    Failed,
}

/// An exchange under way.
#[derive(Debug)]
pub struct Exchange(State);

#[derive(Debug)]
enum State {
    Plain,
    LoginName,
    LoginPassword { login: String },
    Over,
}

impl Exchange {
    /// Begins an exchange; `initial` is the initial response as it stands in the command, where `=`
    /// means an empty one (RFC 4954 section 4).
    pub fn start(mechanism: Mechanism, initial: Option<&[u8]>) -> (Exchange, Step) {
        let (state, challenge) = match mechanism {
            Mechanism::Plain => (State::Plain, ""),
            Mechanism::Login => (State::LoginName, USERNAME),
        };
        let mut exchange = Exchange(state);
        let step = match initial {
            None => Step::Challenge(challenge),
            Some(b"=") => exchange.respond(b""),
            Some(initial) => exchange.respond(initial),
        };
        (exchange, step)
    }

    /// Goes on with the client's line, its line end taken off.
    pub fn respond(&mut self, line: &[u8]) -> Step {
        let state = std::mem::replace(&mut self.0, State::Over);
        let Some(response) = decode(line) else { return Step::Failed };
        match state {
            State::Plain => plain(&response).unwrap_or(Step::Failed),
            State::LoginName => match std::str::from_utf8(&response) {
                Ok(login) if !login.is_empty() => {
                    self.0 = State::LoginPassword { login: login.to_owned() };
                    Step::Challenge(PASSWORD)
                }
                _ => Step::Failed,
            },
            State::LoginPassword { login } => {
                Step::Credentials { login, password: Password::from(&response[..]) }
            }
            State::Over => Step::Failed,
        }
    }
}

/// `Username:`
const USERNAME: &str = "VXNlcm5hbWU6";
/// `Password:`
const PASSWORD: &str = "UGFzc3dvcmQ6";

/// RFC 4616 section 2: `[authzid] NUL authcid NUL passwd`. Nobody acts for another here, so an
/// authorization identity must be the authentication identity.
fn plain(message: &[u8]) -> Option<Step> {
    let mut parts = message.split(|&octet| octet == 0);
    let (authzid, authcid, password) = (parts.next()?, parts.next()?, parts.next()?);
    let well_formed = parts.next().is_none() && !authcid.is_empty() && !password.is_empty();
    if !well_formed || !(authzid.is_empty() || authzid == authcid) {
        return None;
    }
    let login = std::str::from_utf8(authcid).ok()?.to_owned();
    Some(Step::Credentials { login, password: Password::from(password) })
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
        Step::Credentials { login: login.into(), password: Password::from(password.as_bytes()) }
    }

    #[test]
    fn plain_with_and_without_an_initial_response() {
        let message = base64("\0tim\0tanstaaftanstaaf");
        let (_, step) = Exchange::start(Mechanism::Plain, Some(&message));
        assert_eq!(step, credentials("tim", "tanstaaftanstaaf"));

        let (mut exchange, step) = Exchange::start(Mechanism::Plain, None);
        assert_eq!(step, Step::Challenge(""));
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
            let (_, step) = Exchange::start(Mechanism::Plain, Some(&base64(message)));
            assert_eq!(step, expected, "{message:?}");
        }
    }

    #[test]
    fn login_asks_for_name_and_password() {
        let (mut exchange, step) = Exchange::start(Mechanism::Login, None);
        assert_eq!(step, Step::Challenge("VXNlcm5hbWU6"));
        assert_eq!(exchange.respond(&base64("tim")), Step::Challenge("UGFzc3dvcmQ6"));
        assert_eq!(exchange.respond(&base64("secret")), credentials("tim", "secret"));

        let (mut exchange, step) = Exchange::start(Mechanism::Login, Some(&base64("tim")));
        assert_eq!(step, Step::Challenge("UGFzc3dvcmQ6"));
        assert_eq!(exchange.respond(&base64("secret")), credentials("tim", "secret"));
    }

    #[test]
    fn lines_that_are_no_response_fail() {
        let long = vec![b'A'; MAX_RESPONSE + 4];
        for line in [&b"="[..], b"dGlt\0", b"dGl", b"dGlt=", b"*", b"AP8A/w==", &long] {
            let (_, step) = Exchange::start(Mechanism::Plain, Some(line));
            assert_eq!(step, Step::Failed, "{line:?}");
        }
    }

    #[test]
    fn names_in_any_case_and_passwords_that_do_not_print() {
        assert_eq!(Mechanism::named("plain"), Some(Mechanism::Plain));
        assert_eq!(Mechanism::named("Login"), Some(Mechanism::Login));
        assert_eq!(Mechanism::named("CRAM-MD5"), None);
        assert!(!format!("{:?}", credentials("tim", "hidden")).contains("hidden"));
    }
}
