//! SCRAM-SHA-256 verifiers (RFC 5802, RFC 7677) in the text form of RFC 5803.
//!
//! A verifier tells a right password from a wrong one, and is of no other use to a thief. A SCRAM exchange on the
//! server needs it as well, so stored passwords can be used for SCRAM.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use data_encoding::BASE64;
use ring::{digest, hmac, pbkdf2};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::random;
use super::saslprep::prepared;

/// PBKDF2 rounds of a new verifier: the least of RFC 7677 section 4. They take 8 to 36 ms on a Cortex-A7 (see
/// `bench-auth`), during which no other session gets a turn.
pub const DEFAULT_ITERATIONS: u32 = 4096;

/// The accepted numbers of PBKDF2 rounds in a verifier from elsewhere: more rounds would stall every session for too
/// long.
const ITERATIONS: std::ops::RangeInclusive<u32> = 4096..=100_000;

const SCHEME: &str = "SCRAM-SHA-256";

/// The verifier of a password. It does not hold the password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verifier {
    /// PBKDF2 rounds.
    pub iterations: u32,
    /// The random salt.
    pub salt: [u8; 16],
    /// `H(HMAC(salted password, "Client Key"))`.
    pub stored_key: [u8; 32],
    /// `HMAC(salted password, "Server Key")`.
    pub server_key: [u8; 32],
}

/// The parameters with which a password is made into its verifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Salt {
    /// The random salt, or a made-up one for an unknown login.
    pub salt: [u8; 16],
    /// PBKDF2 rounds.
    pub iterations: u32,
}

impl Verifier {
    /// The verifier of `password`, with a fresh salt and [`DEFAULT_ITERATIONS`].
    pub fn new(password: &str) -> Verifier {
        Verifier::with(password, DEFAULT_ITERATIONS, random())
    }

    /// The verifier of `password` with this salt and so many rounds, at least one.
    pub fn with(password: &str, iterations: u32, salt: [u8; 16]) -> Verifier {
        let key = salted_password(&prepared(password.as_bytes()), iterations, &salt);
        let client_key = hmac::sign(&key, b"Client Key");
        Verifier {
            iterations,
            salt,
            stored_key: octets(digest::digest(&digest::SHA256, client_key.as_ref()).as_ref()),
            server_key: octets(hmac::sign(&key, b"Server Key").as_ref()),
        }
    }

    /// Whether it is the verifier of a password: no hash is all zeros.
    pub fn is_set(&self) -> bool {
        self.stored_key != [0; 32]
    }

    /// A verifier without a password, with the same salt and rounds.
    pub fn unset(&self) -> Verifier {
        Verifier { stored_key: [0; 32], server_key: [0; 32], ..*self }
    }

    /// The verifier of another password. Salt and rounds are kept if there are any: all passwords of an account have
    /// the same.
    pub fn renewed(&self, password: &str) -> Verifier {
        match self.iterations {
            0 => Verifier::new(password),
            iterations => Verifier::with(password, iterations, self.salt),
        }
    }

    /// The salt and the rounds, for a client that proves its password without sending it.
    pub fn salt(&self) -> Salt {
        Salt { salt: self.salt, iterations: self.iterations }
    }

    /// Whether `password` is the right one. Takes the same time for every wrong one.
    pub fn verify(&self, password: &[u8]) -> bool {
        self.accepts(&self.hash(password))
    }

    /// The salted and hashed password, with the parameters that all passwords of the account have.
    pub(crate) fn hash(&self, password: &[u8]) -> hmac::Key {
        salted_password(&prepared(password), self.iterations, &self.salt)
    }

    /// Whether `key` is the hash of the right password.
    pub(crate) fn accepts(&self, key: &hmac::Key) -> bool {
        // The server key proves the password as well as the stored key does, and `hmac::verify` compares in constant
        // time.
        is_signed(key, b"Server Key", &self.server_key)
    }

    /// The proof of `auth_message` that a client with this password sends.
    #[cfg(test)]
    pub(crate) fn proof(&self, password: &str, auth_message: &[u8]) -> [u8; 32] {
        let salted = salted_password(password.as_bytes(), self.iterations, &self.salt);
        let mut proof = octets(hmac::sign(&salted, b"Client Key").as_ref());
        let stored = hmac::Key::new(hmac::HMAC_SHA256, &self.stored_key);
        let signature = hmac::sign(&stored, auth_message);
        proof.iter_mut().zip(signature.as_ref()).for_each(|(octet, signature)| *octet ^= signature);
        proof
    }

    /// The server's signature of `auth_message` if the client's proof is right (RFC 5802 section 3). The work is the
    /// same if it is wrong.
    pub(crate) fn verify_proof(&self, auth_message: &[u8], proof: &[u8; 32]) -> Option<[u8; 32]> {
        let stored = hmac::Key::new(hmac::HMAC_SHA256, &self.stored_key);
        let mut client_key = Zeroizing::new(octets(sign(&stored, auth_message).as_ref()));
        client_key.iter_mut().zip(proof).for_each(|(octet, proof)| *octet ^= proof);
        let found = digest::digest(&digest::SHA256, &*client_key);
        let server = hmac::Key::new(hmac::HMAC_SHA256, &self.server_key);
        let signature = octets(sign(&server, auth_message).as_ref());
        // A comparison in constant time: this is the only one that ring promises.
        let is_right = is_signed(&stored, found.as_ref(), sign(&stored, &self.stored_key).as_ref());
        is_right.then_some(signature)
    }
}

/// HMAC-SHA-256 (RFC 2104).
fn sign(key: &hmac::Key, message: &[u8]) -> hmac::Tag {
    #[cfg(test)]
    count_hash();
    hmac::sign(key, message)
}

/// Whether `signature` is the result of [`sign`]. Takes the same time for every wrong one.
fn is_signed(key: &hmac::Key, message: &[u8], signature: &[u8]) -> bool {
    #[cfg(test)]
    count_hash();
    hmac::verify(key, message, signature).is_ok()
}

/// Does as much work as `iterations` rounds of a verifier.
pub(crate) fn spend(iterations: u32) {
    if iterations > 0 {
        salted_password(b"", iterations, &[0; 16]);
    }
}

/// `Hi(password, salt, i)` of RFC 5802 section 2.2, as an HMAC key.
fn salted_password(password: &[u8], iterations: u32, salt: &[u8]) -> hmac::Key {
    let mut salted = Zeroizing::new([0; digest::SHA256_OUTPUT_LEN]);
    let iterations = NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MIN);
    #[cfg(test)]
    ROUNDS.set(ROUNDS.get() + u64::from(iterations.get()));
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, password, &mut *salted);
    hmac::Key::new(hmac::HMAC_SHA256, &*salted)
}

#[cfg(test)]
thread_local! {
    /// PBKDF2 rounds computed so far: the cost of a login, independent of the machine's speed.
    pub(crate) static ROUNDS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
    /// Other keyed hashes computed so far.
    pub(crate) static HASHES: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Counts a keyed hash.
#[cfg(test)]
pub(crate) fn count_hash() {
    HASHES.set(HASHES.get() + 1);
}

/// The 32 octets of a SHA-256 output.
pub(crate) fn octets(hash: &[u8]) -> [u8; 32] {
    let mut octets = [0; 32];
    octets.copy_from_slice(hash);
    octets
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}${}:[secret]", self.iterations)
    }
}

/// Writes `SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY` (RFC 5803 section 3), the last three in base64.
impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [salt, stored, server] =
            [&self.salt[..], &self.stored_key, &self.server_key].map(|octets| BASE64.encode(octets));
        write!(f, "{SCHEME}${}:{salt}${stored}:{server}", self.iterations)
    }
}

/// Why a text is not a verifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseVerifierError {
    /// It does not have the form of RFC 5803.
    #[error("not a verifier: it looks like SCRAM-SHA-256$4096:SALT$STOREDKEY:SERVERKEY, in base64")]
    Form,
    /// It has too few or too many rounds.
    #[error("{0} iterations: a verifier has {least} to {most}", least = ITERATIONS.start(), most = ITERATIONS.end())]
    Iterations(u32),
}

impl FromStr for Verifier {
    type Err = ParseVerifierError;

    fn from_str(text: &str) -> Result<Verifier, ParseVerifierError> {
        fields(text).ok_or(ParseVerifierError::Form).and_then(|verifier| {
            if ITERATIONS.contains(&verifier.iterations) {
                Ok(verifier)
            } else {
                Err(ParseVerifierError::Iterations(verifier.iterations))
            }
        })
    }
}

fn fields(text: &str) -> Option<Verifier> {
    let (parameters, keys) = text.strip_prefix(SCHEME)?.strip_prefix('$')?.split_once('$')?;
    let (iterations, salt) = parameters.split_once(':')?;
    let (stored_key, server_key) = keys.split_once(':')?;
    Some(Verifier {
        iterations: iterations.parse().ok()?,
        salt: decode(salt)?,
        stored_key: decode(stored_key)?,
        server_key: decode(server_key)?,
    })
}

fn decode<const N: usize>(base64: &str) -> Option<[u8; N]> {
    BASE64.decode(base64.as_bytes()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verifier of RFC 7677 section 3: user `user`, password `pencil`.
    fn pencil() -> Verifier {
        Verifier::with("pencil", 4096, decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap())
    }

    #[test]
    fn the_keys_are_those_of_rfc_7677() {
        let auth_message = "n=user,r=rOprNGfwEbeRWgbNEkqO,\
             r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
             c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let sign = |key: &[u8]| {
            octets(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), auth_message.as_bytes()).as_ref())
        };
        let verifier = pencil();
        let server_signature = decode("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").unwrap();
        assert_eq!(sign(&verifier.server_key), server_signature);

        let proof: [u8; 32] = decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=").unwrap();
        let client_signature = sign(&verifier.stored_key);
        let client_key: Vec<u8> = proof.iter().zip(client_signature).map(|(a, b)| a ^ b).collect();
        assert_eq!(octets(digest::digest(&digest::SHA256, &client_key).as_ref()), verifier.stored_key);
    }

    #[test]
    fn only_the_password_verifies() {
        let verifier = Verifier::new("demo password");
        assert!(verifier.verify(b"demo password"));
        for wrong in [&b""[..], b"demo", b"Demo password", b"demo password ", b"\xff"] {
            assert!(!verifier.verify(wrong), "{wrong:?}");
        }
        assert_ne!(verifier, Verifier::new("demo password"), "the salt is random");
    }

    #[test]
    fn the_text_form_goes_there_and_back_and_debug_hides_the_keys() {
        let text = pencil().to_string();
        assert!(text.starts_with("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"), "{text}");
        assert_eq!(text.parse(), Ok(pencil()));
        assert_eq!(format!("{:?}", pencil()), "SCRAM-SHA-256$4096:[secret]");
    }

    #[test]
    fn what_is_no_verifier_is_refused() {
        let good = pencil().to_string();
        for bad in [
            "",
            "secret",
            "SCRAM-SHA-256$4096",
            &good.replace("SHA-256", "SHA-1"),
            &good.replace("4096", "-1"),
            &good.replace("W22Z", "W2!Z"),
            &good.replace("W22Z", ""),
            &format!("{good}A"),
            &format!("{good}:{good}"),
        ] {
            assert_eq!(bad.parse::<Verifier>(), Err(ParseVerifierError::Form), "{bad}");
        }
        for iterations in [0, 1, 4095, 100_001, u32::MAX] {
            let bad = good.replace("4096", &iterations.to_string());
            assert_eq!(bad.parse::<Verifier>(), Err(ParseVerifierError::Iterations(iterations)));
        }
    }
}
