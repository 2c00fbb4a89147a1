//! SCRAM-SHA-256 verifiers (RFC 5803, RFC 7677).

use serde::{Deserialize, Serialize};

/// What a password is checked against: never the password itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verifier {
    /// PBKDF2 rounds.
    pub iterations: u32,
    /// Random.
    pub salt: [u8; 16],
    /// `H(HMAC(salted password, "Client Key"))`.
    pub stored_key: [u8; 32],
    /// `HMAC(salted password, "Server Key")`.
    pub server_key: [u8; 32],
}
