//! Logging in elsewhere: the client side of SASL (RFC 4422) as state machines without I/O.
//!
//! A protocol client sends [`Client::initial`] with its AUTH command, answers challenges with [`Client::respond`],
//! and calls [`Client::finish`] when the server reports success. POP3, IMAP and SMTP carry the octets in the same
//! way, as base64 on a line of their own: [`encode`] and [`decode`].

mod bearer;

use std::mem;

use data_encoding::{BASE64, HEXLOWER};
use ring::hmac;
use zeroize::Zeroizing;

use super::md5::hmac_md5;
use crate::config::Secret;
use crate::credential::random;

pub use bearer::{AccessToken, Bearer};

/// The least number of PBKDF2 rounds: fewer are a downgrade (RFC 7677 section 4).
const MIN_ITERATIONS: u32 = 4096;
/// The largest number of PBKDF2 rounds: more are an attempt to keep a small board busy.
const MAX_ITERATIONS: u32 = 1_000_000;
/// Rounds between two turns of other tasks: they take some milliseconds on a Cortex-A7.
const ITERATIONS_A_PIECE: u32 = 1000;
/// `n,,`: no channel binding, no other authorization identity (RFC 5802 section 7).
const GS2_HEADER: &str = "n,,";

/// Octets that hold a password and are wiped when dropped.
pub type SecretOctets = Zeroizing<Vec<u8>>;

/// Why a login cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The server violates the mechanism.
    #[error("the server's challenge makes no sense: {0}")]
    Challenge(&'static str),
    /// The number of PBKDF2 rounds is dangerously small or absurdly large.
    #[error(
        "the server asks for {0} SCRAM iterations, between {MIN_ITERATIONS} and {MAX_ITERATIONS} are accepted"
    )]
    Iterations(u32),
    /// The server has not proved itself. SCRAM is mutual: a server that cannot sign does not have the verifier.
    #[error("the server did not prove that it knows this account: it may be an impostor")]
    Unproven,
    /// The server refused with SCRAM's error value (RFC 5802 section 7), such as `invalid-proof`.
    #[error("the server refused the login: {0}")]
    Refused(String),
}

/// A SASL mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// SCRAM-SHA-256 (RFC 7677): the password is not sent, and the server proves itself.
    ScramSha256,
    /// CRAM-MD5 (RFC 2195): the password is not sent.
    CramMd5,
    /// PLAIN (RFC 4616).
    Plain,
    /// LOGIN (draft-murchison-sasl-login), which some servers offer instead of PLAIN.
    Login,
    /// OAUTHBEARER (RFC 7628), with an access token.
    OAuthBearer,
    /// XOAUTH2, with an access token, as some servers had it before RFC 7628.
    XOAuth2,
}

impl Mechanism {
    const ALL: [Mechanism; 6] = [
        Mechanism::ScramSha256,
        Mechanism::CramMd5,
        Mechanism::Plain,
        Mechanism::Login,
        Mechanism::OAuthBearer,
        Mechanism::XOAuth2,
    ];

    /// The registered name.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::CramMd5 => "CRAM-MD5",
            Mechanism::Plain => "PLAIN",
            Mechanism::Login => "LOGIN",
            Mechanism::OAuthBearer => "OAUTHBEARER",
            Mechanism::XOAuth2 => "XOAUTH2",
        }
    }

    /// Whether the server, and without TLS everybody on the way, sees the password or token itself.
    pub fn reveals_password(self) -> bool {
        !matches!(self, Mechanism::ScramSha256 | Mechanism::CramMd5)
    }

    /// The mechanism with this name, in any case, if it is known here.
    pub fn named(name: &str) -> Option<Mechanism> {
        Mechanism::ALL.into_iter().find(|mechanism| name.eq_ignore_ascii_case(mechanism.name()))
    }
}

/// One login.
pub struct Client {
    user: String,
    password: Secret,
    state: State,
}

/// The state of the exchange: what is sent next.
enum State {
    Plain,
    LoginUser,
    LoginPassword,
    CramMd5,
    ScramFirst {
        nonce: String,
    },
    ScramFinal {
        nonce: String,
    },
    ScramProof {
        server_key: hmac::Key,
        auth_message: String,
    },
    Bearer {
        mechanism: Mechanism,
        message: SecretOctets,
    },
    /// The token was sent: the server now accepts it, or sends a challenge with the reason why not.
    BearerShown {
        mechanism: Mechanism,
    },
    BearerRefused {
        status: String,
    },
    Complete,
    Failed,
}

impl Client {
    /// A login as `user` with `password`, with a mechanism for passwords.
    pub fn new(mechanism: Mechanism, user: &str, password: &Secret) -> Client {
        let state = match mechanism {
            Mechanism::ScramSha256 => State::ScramFirst { nonce: nonce() },
            Mechanism::CramMd5 => State::CramMd5,
            Mechanism::Plain => State::Plain,
            Mechanism::Login => State::LoginUser,
            Mechanism::OAuthBearer | Mechanism::XOAuth2 => State::Failed,
        };
        Client { user: user.to_owned(), password: password.clone(), state }
    }

    /// A login as `user` with an access token, with a mechanism for tokens.
    pub fn with_token(mechanism: Mechanism, user: &str, bearer: &Bearer) -> Client {
        let state = State::Bearer { mechanism, message: bearer.message(mechanism, user) };
        Client { user: user.to_owned(), password: Secret::default(), state }
    }

    /// The initial response (RFC 4422 section 3.3); `None` if the server begins. Do not call this where the protocol
    /// or the server allows no initial response: then the first [`Client::respond`] gives the same octets to the
    /// server's empty challenge.
    pub fn initial(&mut self) -> Option<SecretOctets> {
        match mem::replace(&mut self.state, State::Failed) {
            State::Plain => Some(self.plain()),
            State::ScramFirst { nonce } => Some(self.scram_first(nonce)),
            State::Bearer { mechanism, message } => Some(self.show(mechanism, message)),
            other => {
                self.state = other;
                None
            }
        }
    }

    /// The response to a challenge. It is `async` only because SCRAM's many rounds of hashing give other tasks a
    /// turn.
    ///
    /// # Errors
    /// The login cannot go on: cancel it with a line of `*`.
    pub async fn respond(&mut self, challenge: &[u8]) -> Result<SecretOctets, Error> {
        match mem::replace(&mut self.state, State::Failed) {
            State::Plain => Ok(self.plain()),
            State::ScramFirst { nonce } => Ok(self.scram_first(nonce)),
            State::LoginUser => {
                self.state = State::LoginPassword;
                Ok(self.user.as_bytes().to_vec().into())
            }
            State::LoginPassword => {
                self.state = State::Complete;
                Ok(self.password.reveal().as_bytes().to_vec().into())
            }
            State::CramMd5 => {
                self.state = State::Complete;
                let digest = HEXLOWER.encode(&hmac_md5(self.password.reveal().as_bytes(), challenge));
                Ok(format!("{} {digest}", self.user).into_bytes().into())
            }
            State::ScramFinal { nonce } => self.scram_final(&nonce, challenge).await,
            State::ScramProof { server_key, auth_message } => {
                verify_server(&server_key, &auth_message, challenge)?;
                self.state = State::Complete;
                Ok(SecretOctets::default())
            }
            State::Bearer { mechanism, message } => Ok(self.show(mechanism, message)),
            State::BearerShown { mechanism } => {
                self.state = State::BearerRefused { status: bearer::status(challenge) };
                Ok(bearer::dummy(mechanism))
            }
            State::BearerRefused { .. } | State::Complete | State::Failed => {
                Err(Error::Challenge("one more than the mechanism has"))
            }
        }
    }

    /// Whether the octets sent prove, or are to prove, that we know the password. The first message of SCRAM only
    /// names the user. A server that asks for the user name of LOGIN knows the mechanism, so a refusal after that is
    /// about the user.
    pub fn has_proved(&self) -> bool {
        match self.state {
            State::Plain | State::LoginUser | State::CramMd5 => false,
            State::ScramFirst { .. } | State::ScramFinal { .. } | State::Bearer { .. } => false,
            State::BearerShown { .. } | State::BearerRefused { .. } => true,
            State::LoginPassword | State::ScramProof { .. } | State::Complete | State::Failed => true,
        }
    }

    /// Checks the mechanism when the server reports success.
    ///
    /// # Errors
    /// [`Error::Unproven`] if the dialog was not complete, so that with SCRAM the server has not proved anything.
    /// Close the connection.
    pub fn finish(&self) -> Result<(), Error> {
        if matches!(self.state, State::Complete | State::BearerShown { .. }) {
            Ok(())
        } else {
            Err(Error::Unproven)
        }
    }

    /// The server's word for why it refuses the token; `None` if it has sent none.
    pub fn refused_token(&self) -> Option<&str> {
        match &self.state {
            State::BearerRefused { status } => Some(status),
            _ => None,
        }
    }

    fn show(&mut self, mechanism: Mechanism, message: SecretOctets) -> SecretOctets {
        self.state = State::BearerShown { mechanism };
        message
    }

    /// The message of PLAIN: `[authzid] NUL authcid NUL passwd` (RFC 4616 section 2).
    fn plain(&mut self) -> SecretOctets {
        self.state = State::Complete;
        let password = self.password.reveal();
        // All room is reserved at once: a buffer that grows would leave pieces of the password behind.
        let mut message = Zeroizing::new(Vec::with_capacity(self.user.len() + password.len() + 2));
        for part in ["\0", &self.user, "\0", password] {
            message.extend_from_slice(part.as_bytes());
        }
        message
    }

    /// The client-first-message-bare of SCRAM (RFC 5802 section 7). The user name is sent as it is in the settings:
    /// SASLprep does not change what people usually type.
    fn scram_first_bare(&self, nonce: &str) -> String {
        format!("n={},r={nonce}", self.user.replace('=', "=3D").replace(',', "=2C"))
    }

    fn scram_first(&mut self, nonce: String) -> SecretOctets {
        let message = format!("{GS2_HEADER}{}", self.scram_first_bare(&nonce));
        self.state = State::ScramFinal { nonce };
        message.into_bytes().into()
    }

    /// The client-final-message of SCRAM (RFC 5802 section 3), with the proof that the client knows the password,
    /// made from the server's salt and number of rounds.
    async fn scram_final(&mut self, nonce: &str, server_first: &[u8]) -> Result<SecretOctets, Error> {
        let text = std::str::from_utf8(server_first).map_err(|_| Error::Challenge("not UTF-8"))?;
        let first = ServerFirst::parse(text, nonce)?;
        let salted = salted_password(self.password.reveal().as_bytes(), &first.salt, first.iterations).await;
        let salted = hmac::Key::new(hmac::HMAC_SHA256, salted.as_ref());
        let client_key = hmac::sign(&salted, b"Client Key");
        let server_key = hmac::sign(&salted, b"Server Key");
        let stored_key = ring::digest::digest(&ring::digest::SHA256, client_key.as_ref());

        let without_proof = format!("c={},r={}", BASE64.encode(GS2_HEADER.as_bytes()), first.nonce);
        let auth_message = format!("{},{text},{without_proof}", self.scram_first_bare(nonce));
        let signature =
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, stored_key.as_ref()), auth_message.as_bytes());
        let proof: Vec<u8> =
            client_key.as_ref().iter().zip(signature.as_ref()).map(|(key, signed)| key ^ signed).collect();

        let server_key = hmac::Key::new(hmac::HMAC_SHA256, server_key.as_ref());
        self.state = State::ScramProof { server_key, auth_message };
        Ok(format!("{without_proof},p={}", BASE64.encode(&proof)).into_bytes().into())
    }
}

/// The server-first-message of SCRAM (RFC 5802 section 7).
struct ServerFirst<'a> {
    nonce: &'a str,
    salt: Vec<u8>,
    iterations: u32,
}

impl<'a> ServerFirst<'a> {
    /// Parses the message. Extensions after the iteration count are ignored. One before the nonce (`m=`) is
    /// mandatory, and none is supported.
    fn parse(text: &'a str, client_nonce: &str) -> Result<ServerFirst<'a>, Error> {
        let mut attributes = text.split(',');
        let mut next = |name: &str| {
            attributes.next().and_then(|attribute| attribute.strip_prefix(name)).ok_or(match name {
                "r=" => Error::Challenge("no nonce"),
                "s=" => Error::Challenge("no salt"),
                _ => Error::Challenge("no iteration count"),
            })
        };
        let (nonce, salt, iterations) = (next("r=")?, next("s=")?, next("i=")?);
        if nonce.len() <= client_nonce.len() || !nonce.starts_with(client_nonce) {
            return Err(Error::Challenge("the nonce is not ours"));
        }
        let salt = BASE64.decode(salt.as_bytes()).map_err(|_| Error::Challenge("the salt is not base64"))?;
        let iterations =
            iterations.parse().map_err(|_| Error::Challenge("the iteration count is not a number"))?;
        if !(MIN_ITERATIONS..=MAX_ITERATIONS).contains(&iterations) {
            return Err(Error::Iterations(iterations));
        }
        Ok(ServerFirst { nonce, salt, iterations })
    }
}

/// Checks the server-final-message (RFC 5802 section 7): `v=` and the server's signature, or `e=` and the reason.
fn verify_server(key: &hmac::Key, auth_message: &str, server_final: &[u8]) -> Result<(), Error> {
    let text = std::str::from_utf8(server_final).map_err(|_| Error::Challenge("not UTF-8"))?;
    let attribute = text.split(',').next().unwrap_or_default();
    if let Some(reason) = attribute.strip_prefix("e=") {
        return Err(Error::Refused(reason.chars().filter(|c| !c.is_control()).take(80).collect()));
    }
    let signature = attribute.strip_prefix("v=").ok_or(Error::Challenge("no verifier"))?;
    let signature = BASE64.decode(signature.as_bytes()).map_err(|_| Error::Unproven)?;
    hmac::verify(key, auth_message.as_bytes(), &signature).map_err(|_| Error::Unproven)
}

/// `Hi()` of RFC 5802 section 2.2, in pieces: many rounds must not keep other tasks waiting.
async fn salted_password(password: &[u8], salt: &[u8], iterations: u32) -> Zeroizing<[u8; 32]> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, password);
    let mut first = hmac::Context::with_key(&key);
    first.update(salt);
    first.update(&1u32.to_be_bytes());
    let mut block = first.sign();
    let mut result = Zeroizing::new([0; 32]);
    result.copy_from_slice(block.as_ref());
    for round in 1..iterations {
        block = hmac::sign(&key, block.as_ref());
        for (sum, octet) in result.iter_mut().zip(block.as_ref()) {
            *sum ^= octet;
        }
        if round % ITERATIONS_A_PIECE == 0 {
            smol::future::yield_now().await;
        }
    }
    result
}

/// 18 random octets, as 24 characters without a comma.
fn nonce() -> String {
    BASE64.encode(&random::<18>())
}

/// Encodes octets for the wire: base64 (RFC 4648 section 4).
pub fn encode(octets: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(BASE64.encode(octets))
}

/// Decodes a challenge without its line end.
///
/// # Errors
/// The challenge is not base64.
pub fn decode(challenge: &str) -> Result<Vec<u8>, Error> {
    BASE64.decode(challenge.trim().as_bytes()).map_err(|_| Error::Challenge("not base64"))
}

#[cfg(test)]
mod tests;
