//! Who is it? Verifies logins against the configuration, the same work and words for every refusal.

pub mod client;
pub mod sasl;
mod scram;

use std::net::IpAddr;

pub use sasl::Password;
pub use scram::Verifier;

use crate::access::{Refusal, Service};
use crate::config::Config;

/// Checks logins, remembers those that went well, and keeps the latest refusals for the operator.
pub struct Logins {}

impl Logins {
    /// Nothing remembered.
    pub fn new() -> Logins {
        Logins {}
    }

    /// The name of the account that `login` (its name or address, in any case) and `password` open,
    /// if [`crate::access::permit`] allows `service` from `address`. Every refusal costs the same
    /// work, is logged with its true reason, and must look the same to the client.
    ///
    /// # Errors
    /// The true reason, for the log only.
    pub async fn login(
        &self,
        _config: &Config,
        _service: Service,
        _address: IpAddr,
        _login: &str,
        _password: &[u8],
    ) -> Result<String, Refusal> {
        todo!()
    }
}

impl Default for Logins {
    fn default() -> Self {
        Logins::new()
    }
}

/// Random octets from the system.
#[allow(clippy::expect_used, reason = "getrandom(2) does not fail for so few octets")]
fn random<const N: usize>() -> [u8; N] {
    ring::rand::generate(&ring::rand::SystemRandom::new()).expect("getrandom works").expose()
}
