//! Stored passwords: never the passwords themselves, only verifiers that tell a right one from a wrong one.
//!
//! This module knows nothing of accounts and settings; they use it.

mod cost;
mod random;
mod saslprep;
pub(crate) mod verifier;

pub use cost::cost;
pub(crate) use random::random;
pub use random::random_password;
pub use saslprep::{UnusablePassword, check_password};
pub use verifier::{DEFAULT_ITERATIONS, ParseVerifierError, Salt, Verifier};
