//! The operator, whose own password is for the pages and for updates over HTTP.

use std::net::IpAddr;

use super::throttle::Origin;
use super::{Logins, printable};
use crate::access::{self, Refusal};
use crate::config::{Config, OPERATOR};

impl Logins {
    /// Whether this is the operator's login and password. Every refusal costs the same work, and is counted, slowed down,
    /// logged and remembered as those of accounts are.
    ///
    /// # Errors
    /// The true reason, which is for the log only.
    pub async fn operator(
        &self,
        config: &Config,
        address: IpAddr,
        login: &str,
        password: &[u8],
    ) -> Result<(), Refusal> {
        let address = address.to_canonical();
        let name = printable(login);
        let origin = Origin { address, on_lan: access::on_lan(config, address), account: &name };
        let check = async {
            smol::future::yield_now().await;
            let verifier = &config.server.operator_verifier;
            let right = verifier.verify(password) && verifier.is_set();
            match name == OPERATOR {
                false => Err(Refusal::UnknownAccount),
                true if !right => Err(Refusal::WrongPassword),
                true => Ok(()),
            }
        };
        self.in_turn("http", origin, check).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Time;
    use crate::credential::Verifier;

    #[test]
    fn only_the_operator_with_his_password_is_let_in() {
        let logins = Logins::new(&[7; 32], &Time::default());
        let mut config = Config::default();
        let address = IpAddr::from([192, 168, 7, 5]);
        let judge = |config: &Config, login: &str, password: &[u8]| {
            async_io::block_on(logins.operator(config, address, login, password))
        };
        assert_eq!(judge(&config, "operator", b""), Err(Refusal::WrongPassword), "none is set");
        config.server.operator_verifier = Verifier::with("right", 1, [0; 16]);
        assert_eq!(judge(&config, "operator", b"wrong"), Err(Refusal::WrongPassword));
        assert_eq!(judge(&config, "office\n", b"right"), Err(Refusal::UnknownAccount));
        assert_eq!(judge(&config, "operator", b"right"), Ok(()));
        let told: Vec<String> = logins.refusals().iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 3);
        assert_eq!(told[2], "service=http account=office? address=192.168.7.5 reason=\"no such account\"");
    }
}
