//! Who is it? Verifies logins against the configuration, the same work and words for every refusal.
//!
//! A refused login tells the client nothing, not even by the time it takes: the log and the operator's
//! list have the true reason. Hashing a password is the longest thing that happens on the only thread
//! without a pause, so it comes after a turn for everyone else, and not at all for a login that went
//! well lately.

mod operator;
mod remembered;
mod throttle;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::time::Instant;

use ring::hmac;

use crate::access::{self, Refusal};
use crate::config::{Account, Config, Service};
use crate::credential::verifier::{self, DEFAULT_ITERATIONS};
use crate::credential::{Salt, Verifier};
use crate::net::ChannelBindings;
use crate::sasl::Proof;
use crate::sasl::server::{Answer, Claim, Proven};
use remembered::Remembered;
use throttle::{Origin, Throttle};

/// Refusals that the operator can look at.
const REFUSALS: usize = 32;

/// Characters of a login that reach the log.
const SHOWN: usize = 64;

/// Checks logins, remembers those that went well, and keeps the latest refusals for the operator.
pub struct Logins {
    /// Makes up the salts of logins that there are not.
    key: hmac::Key,
    state: RefCell<State>,
}

/// A client that logs in.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    /// What it wants to use.
    pub service: Service,
    /// Where it is.
    pub address: IpAddr,
    /// What its connection can be bound to.
    pub bindings: Option<&'a ChannelBindings>,
}

/// What becomes of a claim.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is true so far: [`crate::sasl::server::Exchange::answer`] goes on with this.
    Answer(Answer),
    /// It is the account of this name.
    Welcome(String),
    /// It is not, for this reason, which is for the log only.
    Refused(Refusal),
}

struct State {
    throttle: Throttle,
    remembered: Remembered,
    refusals: VecDeque<RefusedLogin>,
    /// By account and name of the app password.
    used: BTreeMap<(String, String), i64>,
}

/// A refused login, for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedLogin {
    /// Seconds since 1970.
    pub time: i64,
    /// The service that it was for: `pop3`, `imap`, `submission`, or `http`, where only the operator logs in.
    pub service: &'static str,
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
        write!(f, "service={service} account={account} address={address} reason=\"{reason}\"")
    }
}

impl Logins {
    /// Nothing remembered. `key` makes up the salts of logins that there are not: with the same key they
    /// are the same ones after a restart, as those of accounts are.
    pub fn new(key: &[u8; 32]) -> Logins {
        Logins {
            key: hmac::Key::new(hmac::HMAC_SHA256, key),
            state: RefCell::new(State {
                throttle: Throttle::new(),
                remembered: Remembered::new(),
                refusals: VecDeque::new(),
                used: BTreeMap::new(),
            }),
        }
    }

    /// Whether what a client claims is so, and [`crate::access::permit`] allows it. Every refusal costs
    /// the same work, is logged with its true reason, and must look the same to the client. After several
    /// refusals the answer takes up to half a minute.
    pub async fn judge(&self, config: &Config, client: Client<'_>, claim: Claim) -> Verdict {
        let verdict = match claim {
            Claim::Login(login) => Ok(Verdict::Answer(Answer::Salt(self.salt(config, &login)))),
            Claim::Password { login, password } => self
                .attempt(config, client, &login, async |account| {
                    self.verify(config, account, &login, client, &password).await
                })
                .await
                .map(|(account, app)| {
                    self.used(config, &account, app);
                    Verdict::Welcome(account)
                }),
            Claim::Proof(proof) => self
                .attempt(config, client, proof.login(), async |account| {
                    self.verify_proof(config, account, client, &proof)
                })
                .await
                .map(|(account, (app, signature))| {
                    self.used(config, &account, app);
                    Verdict::Answer(Answer::Signature(Proven { account }, signature))
                }),
            Claim::Proven(Proven { account }) => Ok(Verdict::Welcome(account)),
        };
        verdict.unwrap_or_else(Verdict::Refused)
    }

    /// Lets a login wait for its turn, see whether it is true, and notes the outcome. The account's name,
    /// and what `check` found.
    async fn attempt<T>(
        &self,
        config: &Config,
        client: Client<'_>,
        login: &str,
        check: impl AsyncFnOnce(Option<&Account>) -> Result<T, Refusal>,
    ) -> Result<(String, T), Refusal> {
        let address = client.address.to_canonical();
        let account = config.account_by_login(login);
        let name = account.map_or_else(|| printable(login), |account| account.name.to_string());
        let origin = Origin { address, on_lan: access::on_lan(config, address), account: &name };
        let found = self.in_turn(client.service.name(), origin, check(account)).await?;
        Ok((name, found))
    }

    /// Lets whoever logs in wait for his turn, awaits `check`, and notes the outcome.
    async fn in_turn<T>(
        &self,
        service: &'static str,
        origin: Origin<'_>,
        check: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        let Origin { address, account, .. } = origin;
        let wait = self.state.borrow_mut().throttle.attempt(origin, Instant::now());
        if !wait.is_zero() {
            async_io::Timer::after(wait).await;
        }
        let verdict = check.await;
        let mut state = self.state.borrow_mut();
        match verdict {
            Ok(_) => {
                state.throttle.succeeded(origin, Instant::now());
                log::info!("login: service={service} account={account} address={address}");
            }
            Err(reason) => {
                let (time, account) = (crate::clock::unix_now(), account.to_owned());
                let refused = RefusedLogin { time, service, account, address, reason };
                log::warn!("login refused: {refused}");
                if state.refusals.len() >= REFUSALS {
                    state.refusals.pop_front();
                }
                state.refusals.push_back(refused);
            }
        }
        verdict
    }

    /// Notes that an app password was used, and forgets those that there are no more.
    fn used(&self, config: &Config, account: &str, app: App) {
        let Some(app) = app else { return };
        let used = &mut self.state.borrow_mut().used;
        used.retain(|(account, app), _| {
            let account = config.account(account);
            account.is_some_and(|account| account.app_passwords.iter().any(|known| *known.name == **app))
        });
        used.insert((account.to_owned(), app), crate::clock::unix_now());
    }

    /// When an app password was used last, in seconds since 1970. Kept in memory only: to write it at
    /// each login would wear the flash.
    pub fn last_use(&self, account: &str, app: &str) -> Option<i64> {
        self.state.borrow().used.get(&(account.to_owned(), app.to_owned())).copied()
    }

    /// The latest refusals, the oldest first.
    pub fn refusals(&self) -> Vec<RefusedLogin> {
        self.state.borrow().refusals.iter().cloned().collect()
    }

    /// A password, hashed. The rounds are those of the costliest verifier there is, for every refusal.
    async fn verify(
        &self,
        config: &Config,
        account: Option<&Account>,
        login: &str,
        client: Client<'_>,
        password: &[u8],
    ) -> Result<App, Refusal> {
        let permitted = permitted(config, account, client);
        let nobody = self.nobody(config, login);
        let verifier = account.map_or(&nobody, |account| &account.verifier);
        // Only a login that succeeds may be quick: a quick refusal would say that the password is right.
        if let Some(account) = account.filter(|_| permitted.is_ok()) {
            let known = |way: &Way<'_>| {
                let remembered = &self.state.borrow().remembered;
                way.opens && remembered.knows(&remembered.mark(way.verifier, password), Instant::now())
            };
            if let Some(way) = ways(account, client.service).find(known) {
                return Ok(way.app);
            }
        }
        smol::future::yield_now().await;
        // One hash for all passwords of the account: they have one salt.
        let key = verifier.hash(password);
        let found =
            account.and_then(|account| ways(account, client.service).find(|way| way.verifier.accepts(&key)));
        let iterations = config.accounts.iter().map(|account| account.verifier.iterations);
        let most = iterations.fold(DEFAULT_ITERATIONS, u32::max);
        verifier::spend(most.saturating_sub(verifier.iterations));
        let way = admitted(account, found, permitted)?;
        let mark = self.state.borrow().remembered.mark(way.verifier, password);
        self.state.borrow_mut().remembered.remember(mark, Instant::now());
        Ok(way.app)
    }

    /// A proof, whose client did the hashing. The server's signature.
    fn verify_proof(
        &self,
        config: &Config,
        account: Option<&Account>,
        client: Client<'_>,
        proof: &Proof,
    ) -> Result<(App, [u8; 32]), Refusal> {
        let permitted = permitted(config, account, client);
        let nobody = self.nobody(config, proof.login());
        let found = match account {
            Some(account) => ways(account, client.service).find(|way| proof.verify(way.verifier).is_some()),
            None => proof.verify(&nobody).and(None),
        };
        let way = admitted(account, found, permitted)?;
        let signature = proof.verify(way.verifier).ok_or(Refusal::WrongPassword)?;
        if proof.is_bound(client.bindings) { Ok((way.app, signature)) } else { Err(Refusal::NotBound) }
    }

    /// How a login's password was hashed. A login that there is not always has the same salt, too.
    fn salt(&self, config: &Config, login: &str) -> Salt {
        let nobody = self.nobody(config, login);
        config.account_by_login(login).map_or(&nobody, |account| &account.verifier).salt()
    }

    /// What the password of a login that there is not is checked against: nothing fits it. A name and
    /// its address at home have one salt, as those of most accounts, and the rounds are those of some
    /// account.
    fn nobody(&self, config: &Config, login: &str) -> Verifier {
        let login = login.to_ascii_lowercase();
        let name = match login.split_once('@') {
            Some((local, domain)) if config.is_local_domain(domain) => local,
            _ => &login,
        };
        let made_up = |what: u8| {
            let mut context = hmac::Context::with_key(&self.key);
            context.update(&[what]);
            context.update(name.as_bytes());
            verifier::octets(context.sign().as_ref())
        };
        let [salt, stored_key, server_key] = [0, 1, 2].map(made_up);
        let (salt, choice) = salt.split_at(16);
        let choice = choice.iter().fold(0, |sum: usize, octet| sum * 31 % 65_521 + usize::from(*octet));
        let like = config.accounts.get(choice % config.accounts.len().max(1));
        Verifier {
            iterations: like.map_or(DEFAULT_ITERATIONS, |account| account.verifier.iterations),
            salt: salt.try_into().unwrap_or_default(),
            stored_key,
            server_key,
        }
    }
}

/// The name of the app password that opened an account; `None`: its own.
type App = Option<String>;

/// A password of an account.
struct Way<'a> {
    verifier: &'a Verifier,
    app: App,
    /// Whether it is for the service that is wanted.
    opens: bool,
}

/// The passwords of an account, its own first.
fn ways(account: &Account, service: Service) -> impl Iterator<Item = Way<'_>> {
    let apps = account.app_passwords.iter().map(move |app| Way {
        verifier: &app.verifier,
        app: Some(app.name.to_string()),
        opens: app.services.is_empty() || app.services.contains(&service),
    });
    std::iter::once(Way { verifier: &account.verifier, app: None, opens: true }).chain(apps)
}

/// The password that was right, unless something forbids the login.
fn admitted<'a>(
    account: Option<&Account>,
    found: Option<Way<'a>>,
    permitted: Result<(), Refusal>,
) -> Result<Way<'a>, Refusal> {
    let wrong = if account.is_some() { Refusal::WrongPassword } else { Refusal::UnknownAccount };
    let way = found.ok_or(wrong)?;
    permitted?;
    if way.opens { Ok(way) } else { Err(Refusal::AppPasswordService) }
}

/// What the settings say, the password apart.
fn permitted(config: &Config, account: Option<&Account>, client: Client<'_>) -> Result<(), Refusal> {
    let account = account.ok_or(Refusal::UnknownAccount)?;
    access::permit(config, account, client.service, client.address)
}

/// What a client gave as its login, in lower case, short, and unable to forge a log line.
fn printable(login: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._@+-".contains(c);
    login.chars().take(SHOWN).map(|c| if plain(c) { c.to_ascii_lowercase() } else { '?' }).collect()
}

#[cfg(test)]
mod tests;
