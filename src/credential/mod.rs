//! Passwords as they are kept: never themselves, only verifiers that tell a right one from a wrong one.
//!
//! It knows nothing of accounts and settings; these know it.

mod cost;
mod random;
mod saslprep;
pub(crate) mod verifier;

pub use cost::cost;
pub(crate) use random::random;
pub use random::random_password;
pub use saslprep::{UnusablePassword, check_password};
pub use verifier::{DEFAULT_ITERATIONS, ParseVerifierError, Salt, Verifier};
