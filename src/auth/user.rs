//! Users, who log in on the pages with their account's own password. An app password is for one device, and opens no pages.

use std::net::IpAddr;

use super::throttle::Origin;
use super::{Logins, printable, spend_rest};
use crate::access::{self, Refusal};
use crate::config::Config;

impl Logins {
    /// The name of the account that this login and password belong to. Every refusal costs the same work, and is counted,
    /// slowed down, logged and remembered as those of mail programs are.
    ///
    /// # Errors
    /// The true reason, which is for the log only.
    pub async fn user(
        &self,
        config: &Config,
        address: IpAddr,
        login: &str,
        password: &[u8],
    ) -> Result<String, Refusal> {
        let address = address.to_canonical();
        let account = config.account_by_login(login);
        let name = account.map_or_else(|| printable(login), |account| account.name.to_string());
        let origin = Origin { address, on_lan: access::on_lan(config, address), account: &name };
        let check = async {
            smol::future::yield_now().await;
            let nobody = self.unknown.verifier(config, login);
            let verifier = account.map_or(&nobody, |account| &account.verifier);
            let right = verifier.verify(password) && verifier.is_set();
            spend_rest(config, verifier);
            match account {
                None => Err(Refusal::UnknownAccount),
                Some(_) if !right => Err(Refusal::WrongPassword),
                Some(account) if !account.enabled => Err(Refusal::Disabled),
                Some(_) => Ok(()),
            }
        };
        self.in_turn("http", origin, check).await?;
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Time;
    use crate::config::{AppPassword, path};
    use crate::credential::Verifier;

    /// Catches: an app password, an empty one or a disabled account that opens the pages, and a login that its owner is not
    /// shown.
    #[test]
    fn only_the_account_s_own_password_opens_its_page() {
        let logins = Logins::new(&[7; 32], &Time::default());
        let mut config = Config::demonstration(Verifier::with("right", 1, [0; 16]));
        path::add_account(&mut config, "empty").unwrap();
        let verifier = config.accounts[0].verifier.renewed("of the phone");
        let phone = AppPassword { name: "phone".try_into().unwrap(), verifier, services: Vec::new() };
        config.accounts[0].app_passwords.push(phone);
        let address = IpAddr::from([192, 168, 7, 5]);
        let judge = |config: &Config, login: &str, password: &[u8]| {
            async_io::block_on(logins.user(config, address, login, password))
        };
        assert_eq!(judge(&config, "demo", b"right"), Ok("demo".to_owned()));
        assert_eq!(judge(&config, "DEMO@pillarbox.local", b"right"), Ok("demo".to_owned()));
        for (login, password) in [("demo", "of the phone"), ("demo", ""), ("empty", "")] {
            assert_eq!(judge(&config, login, password.as_bytes()), Err(Refusal::WrongPassword), "{login}");
        }
        assert_eq!(judge(&config, "nobody", b"right"), Err(Refusal::UnknownAccount));
        config.accounts[0].enabled = false;
        assert_eq!(judge(&config, "demo", b"right"), Err(Refusal::Disabled));
        let latest = logins.latest("demo");
        assert_eq!(latest.len(), 1, "one of each service and address");
        assert_eq!((latest[0].service, latest[0].address), ("http", address));
    }
}
