//! Who is it? Verifies logins against the configuration, the same work and words for every refusal.
//!
//! A refused login tells the client nothing, not even by the time it takes: the log and the operator's
//! list have the true reason. Hashing a password is the longest thing that happens on the only thread
//! without a pause, so it comes after a turn for everyone else, and not at all for a login that went
//! well lately.

pub mod client;
mod remembered;
pub mod sasl;
mod scram;
mod throttle;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::net::IpAddr;
use std::time::Instant;

pub use sasl::Password;
pub use scram::{DEFAULT_ITERATIONS, ParseVerifierError, Verifier};

use crate::access::{self, Refusal, Service};
use crate::config::{Account, Config};
use remembered::Remembered;
use throttle::{Origin, Throttle};

/// Refusals that the operator can look at.
const REFUSALS: usize = 32;

/// Characters of a login that reach the log.
const SHOWN: usize = 64;

/// Checks logins, remembers those that went well, and keeps the latest refusals for the operator.
pub struct Logins {
    /// What the password for an account that does not exist is checked against.
    nobody: Verifier,
    state: RefCell<State>,
}

struct State {
    throttle: Throttle,
    remembered: Remembered,
    refusals: VecDeque<RefusedLogin>,
}

/// A refused login, for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedLogin {
    /// Seconds since 1970.
    pub time: i64,
    /// The service that it was for.
    pub service: Service,
    /// The account's name, or, where there is none, what the client said, made printable.
    pub account: String,
    /// Where it came from.
    pub address: IpAddr,
    /// The true reason.
    pub reason: Refusal,
}

/// `service=imap account=office address=192.168.7.5 reason="wrong password"`
impl fmt::Display for RefusedLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RefusedLogin { time: _, service, account, address, reason } = self;
        write!(f, "service={} account={account} address={address} reason=\"{reason}\"", name(*service))
    }
}

impl Logins {
    /// Nothing remembered.
    pub fn new() -> Logins {
        Logins {
            nobody: Verifier {
                iterations: DEFAULT_ITERATIONS,
                salt: random(),
                stored_key: random(),
                server_key: random(),
            },
            state: RefCell::new(State {
                throttle: Throttle::new(),
                remembered: Remembered::new(),
                refusals: VecDeque::new(),
            }),
        }
    }

    /// The name of the account that `login` (its name or address, in any case) and `password` open,
    /// if [`crate::access::permit`] allows `service` from `address`. Every refusal costs the same
    /// work, is logged with its true reason, and must look the same to the client. After several
    /// refusals the answer takes up to half a minute.
    ///
    /// # Errors
    /// The true reason, for the log only.
    pub async fn login(
        &self,
        config: &Config,
        service: Service,
        address: IpAddr,
        login: &str,
        password: &[u8],
    ) -> Result<String, Refusal> {
        let address = address.to_canonical();
        let account = config.account_by_login(login);
        let name = account.map_or_else(|| printable(login), |account| account.name.to_string());
        let origin = Origin { address, on_lan: access::on_lan(config, address), account: &name };
        let wait = self.state.borrow_mut().throttle.attempt(origin, Instant::now());
        if !wait.is_zero() {
            async_io::Timer::after(wait).await;
        }
        let verdict = self.verify(config, account, service, address, password).await;
        let mut state = self.state.borrow_mut();
        match verdict {
            Ok(()) => {
                state.throttle.succeeded(origin, Instant::now());
                log::info!("login: service={} account={name} address={address}", self::name(service));
                Ok(name)
            }
            Err(reason) => {
                let time = crate::clock::unix_now();
                let refused = RefusedLogin { time, service, account: name, address, reason };
                log::warn!("login refused: {refused}");
                if state.refusals.len() >= REFUSALS {
                    state.refusals.pop_front();
                }
                state.refusals.push_back(refused);
                Err(reason)
            }
        }
    }

    /// The latest refusals, the oldest first.
    pub fn refusals(&self) -> Vec<RefusedLogin> {
        self.state.borrow().refusals.iter().cloned().collect()
    }

    async fn verify(
        &self,
        config: &Config,
        account: Option<&Account>,
        service: Service,
        address: IpAddr,
        password: &[u8],
    ) -> Result<(), Refusal> {
        let permitted = account
            .ok_or(Refusal::UnknownAccount)
            .and_then(|account| access::permit(config, account, service, address));
        let verifier = account.map_or(&self.nobody, |account| &account.verifier);
        let mark = self.state.borrow().remembered.mark(verifier, password);
        // Only a login that succeeds may be quick: a quick refusal would say that the password is right.
        if permitted.is_ok() && self.state.borrow().remembered.knows(&mark, Instant::now()) {
            return Ok(());
        }
        smol::future::yield_now().await;
        let right = verifier.verify(password);
        let iterations = config.accounts.iter().map(|account| account.verifier.iterations);
        let most = iterations.fold(DEFAULT_ITERATIONS, u32::max);
        scram::spend(most.saturating_sub(verifier.iterations));
        match (account, right) {
            (Some(_), false) => Err(Refusal::WrongPassword),
            _ => permitted,
        }?;
        self.state.borrow_mut().remembered.remember(mark, Instant::now());
        Ok(())
    }
}

impl Default for Logins {
    fn default() -> Self {
        Logins::new()
    }
}

fn name(service: Service) -> &'static str {
    match service {
        Service::Pop3 => "pop3",
        Service::Imap => "imap",
        Service::Submission => "submission",
    }
}

/// What a client gave as its login, in lower case, short, and unable to forge a log line.
fn printable(login: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._@+-".contains(c);
    login.chars().take(SHOWN).map(|c| if plain(c) { c.to_ascii_lowercase() } else { '?' }).collect()
}

/// Random octets from the system.
#[allow(clippy::expect_used, reason = "getrandom(2) does not fail for so few octets")]
pub(crate) fn random<const N: usize>() -> [u8; N] {
    ring::rand::generate(&ring::rand::SystemRandom::new()).expect("getrandom works").expose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Address;

    /// Account `office` with the password `right`, and `off`, which may do nothing.
    fn config() -> Config {
        let mut config = Config::default();
        let mut office = Account { name: "office".try_into().unwrap(), ..Account::default() };
        office.address = Address::try_from("office@home.example").unwrap();
        office.verifier = Verifier::new("right");
        let off = Account { name: "off".try_into().unwrap(), enabled: false, ..office.clone() };
        let pop_only = Account { name: "pop".try_into().unwrap(), imap: false, ..office.clone() };
        let lan_only = Account { name: "lan".try_into().unwrap(), imap_lan_only: true, ..office.clone() };
        config.accounts = vec![office, off, pop_only, lan_only];
        config
    }

    #[test]
    fn logins() {
        let (lan, outside) = ("192.168.7.5", "198.51.100.7");
        for (login, password, address, expected) in [
            ("office", "right", outside, Ok("office")),
            ("OFFICE", "right", outside, Ok("office")),
            ("Office@Home.Example", "right", outside, Ok("office")),
            ("office", "Right", outside, Err(Refusal::WrongPassword)),
            ("office", "", outside, Err(Refusal::WrongPassword)),
            ("nobody", "right", outside, Err(Refusal::UnknownAccount)),
            ("", "right", outside, Err(Refusal::UnknownAccount)),
            ("off", "right", outside, Err(Refusal::Disabled)),
            ("off", "wrong", outside, Err(Refusal::WrongPassword)),
            ("pop", "right", outside, Err(Refusal::ServiceOff)),
            ("lan", "right", outside, Err(Refusal::NotFromLan)),
            ("lan", "right", lan, Ok("lan")),
            ("lan", "right", "::ffff:192.168.7.5", Ok("lan")),
        ] {
            let (logins, config) = (Logins::new(), config());
            let address = address.parse().unwrap();
            for again in [false, true] {
                let login = logins.login(&config, Service::Imap, address, login, password.as_bytes());
                let found = async_io::block_on(login);
                assert_eq!(found.as_deref(), expected.as_ref().copied(), "{address} {again}");
            }
        }
    }

    #[test]
    fn a_login_that_lost_its_right_is_not_helped_by_having_been_good() {
        let (logins, mut config) = (Logins::new(), config());
        let login = |config: &Config| {
            let address = "198.51.100.7".parse().unwrap();
            async_io::block_on(logins.login(config, Service::Imap, address, "office", b"right"))
        };
        assert_eq!(login(&config), Ok("office".into()));
        config.accounts[0].imap = false;
        assert_eq!(login(&config), Err(Refusal::ServiceOff));
        config.accounts[0].imap = true;
        config.accounts[0].verifier = Verifier::new("new");
        assert_eq!(login(&config), Err(Refusal::WrongPassword));
    }

    #[test]
    fn the_operator_sees_the_latest_refusals_and_no_forged_line() {
        let (logins, config) = (Logins::new(), config());
        let refuse = |host: u8, login: &str| {
            let login = logins.login(&config, Service::Pop3, [127, 0, 0, host].into(), login, b"wrong");
            async_io::block_on(login).unwrap_err();
        };
        for host in 0..40 {
            refuse(host, "office");
        }
        refuse(40, "x\nlogin: service=imap account=office");
        let refusals = logins.refusals();
        assert_eq!(refusals.len(), REFUSALS);
        assert_eq!(
            refusals[30].to_string(),
            "service=pop3 account=office address=127.0.0.39 reason=\"wrong password\""
        );
        assert_eq!(refusals[31].account, "x?login??service?imap?account?office");
    }
}
