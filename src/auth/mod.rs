//! Verifies logins against the configuration. Every refusal costs the same work and gets the same words.
//!
//! A refused login tells the client nothing, not even by the time it takes: the log and the operator's list have the true
//! reason. Hashing a password is the longest work that the only thread does without a pause. So others have a turn before it,
//! and it is skipped for a login that succeeded lately.

mod operator;
mod remembered;
mod throttle;
mod unknown;
mod user;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use ring::hmac;

use crate::access::{self, Refusal};
use crate::clock::{Time, unix_now};
use crate::config::{Account, Config, Service};
use crate::credential::Verifier;
use crate::credential::verifier::{self, DEFAULT_ITERATIONS};
use crate::net::ChannelBindings;
use crate::sasl::Proof;
use crate::sasl::server::{Answer, Claim, Proven};
use remembered::Remembered;
use throttle::{Origin, Throttle};
use unknown::Unknown;

/// The number of refusals that are kept for the operator to look at.
const REFUSALS: usize = 32;

/// The shortest time between two lines of the log about logins that are turned away.
const TOLD_AGAIN: Duration = Duration::from_secs(60);

/// The number of good logins that are kept for users to look at.
const LATEST: usize = 128;

/// The most characters of a login that reach the log.
const SHOWN: usize = 64;

/// Checks logins, remembers those that succeeded, and keeps the latest refusals for the operator.
pub struct Logins {
    /// Makes up the salts of unknown logins.
    unknown: Unknown,
    time: Time,
    state: RefCell<State>,
}

/// A client that logs in.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    /// The service that the client wants to use.
    pub service: Service,
    /// The address that the client connects from.
    pub address: IpAddr,
    /// The channel bindings of its connection, where TLS gives some.
    pub bindings: Option<&'a ChannelBindings>,
}

/// The outcome of a claim.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The claim is right so far: [`crate::sasl::server::Exchange::answer`] continues with this answer.
    Answer(Answer),
    /// The client is the account of this name. The verifier is that of the password it used.
    Welcome(String, Box<Verifier>),
    /// The claim is refused, for a reason that is for the log only.
    Refused(Refusal),
    /// The claim was not looked at, since too many logins from its address are waiting already. The session tells the client
    /// so and ends.
    TurnedAway,
}

struct State {
    throttle: Throttle,
    remembered: Remembered,
    refusals: VecDeque<RefusedLogin>,
    /// The latest login of each account, service and address, the oldest first.
    latest: VecDeque<LatestLogin>,
    /// When the log last had a line about a login that was turned away.
    told: Option<Instant>,
    /// When each app password was used last, in seconds since 1970, by account and name of the app password.
    used: BTreeMap<(String, String), i64>,
}

/// A good login, for the owner of the account. Kept in memory only: writing it at each login would wear the flash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LatestLogin {
    /// The account's name.
    pub account: String,
    /// The service that was used: `pop3`, `imap`, `submission` or `http`.
    pub service: &'static str,
    /// The address that it came from.
    pub address: IpAddr,
    /// Seconds since 1970.
    pub time: i64,
}

impl State {
    /// Notes a good login. It replaces an earlier one of the same account, service and address.
    fn note(&mut self, login: LatestLogin) {
        let is_same = |it: &LatestLogin| {
            (it.service, it.address) == (login.service, login.address) && it.account == login.account
        };
        self.latest.retain(|it| !is_same(it));
        if self.latest.len() >= LATEST {
            self.latest.pop_front();
        }
        self.latest.push_back(login);
    }
}

/// A refused login, for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedLogin {
    /// Seconds since 1970.
    pub time: i64,
    /// The service that was asked for: `pop3`, `imap`, `submission`, or `http` for the pages.
    pub service: &'static str,
    /// The account's name or, where there is no such account, the login that the client sent, made printable.
    pub account: String,
    /// The address that it came from.
    pub address: IpAddr,
    /// The true reason.
    pub reason: Refusal,
}

/// Writes it for the log: `service=imap account=office address=192.168.7.5 reason="wrong password"`.
impl fmt::Display for RefusedLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RefusedLogin { time: _, service, account, address, reason } = self;
        write!(f, "service={service} account={account} address={address} reason=\"{reason}\"")
    }
}

impl Logins {
    /// Logins of which nothing is remembered. `key` makes up the salts of unknown logins: with the same key they stay the same
    /// after a restart, as those of accounts do. Waits are measured by `time`.
    pub fn new(key: &[u8; 32], time: &Time) -> Logins {
        Logins {
            time: time.clone(),
            unknown: Unknown::new(key),
            state: RefCell::new(State {
                throttle: Throttle::new(),
                remembered: Remembered::new(),
                refusals: VecDeque::new(),
                latest: VecDeque::new(),
                told: None,
                used: BTreeMap::new(),
            }),
        }
    }

    /// Whether the client's claim is true and [`crate::access::permit`] allows the login. Every refusal costs the same work,
    /// is logged with its true reason, and must look the same to the client. After several refusals the answer takes up to
    /// half a minute. Where too many logins wait for an answer, [`Verdict::TurnedAway`] comes at once.
    pub async fn judge(&self, config: &Config, client: Client<'_>, claim: Claim) -> Verdict {
        let verdict = match claim {
            Claim::Login(login) => Ok(Verdict::Answer(Answer::Salt(self.unknown.salt(config, &login)))),
            Claim::Password { login, password } => self
                .attempt(config, client, &login, async |account| {
                    self.verify(config, account, &login, client, &password).await
                })
                .await
                .map(|(account, (app, verifier))| {
                    self.used(config, &account, app);
                    Verdict::Welcome(account, verifier)
                }),
            Claim::Proof(proof) => self
                .attempt(config, client, proof.login(), async |account| {
                    self.verify_proof(config, account, client, &proof)
                })
                .await
                .map(|(account, (app, verifier, signature))| {
                    self.used(config, &account, app);
                    Verdict::Answer(Answer::Signature(Proven { account, verifier }, signature))
                }),
            Claim::Proven(Proven { account, verifier }) => Ok(Verdict::Welcome(account, verifier)),
        };
        verdict.unwrap_or_else(|reason| match reason {
            Refusal::TooManyWait => Verdict::TurnedAway,
            reason => Verdict::Refused(reason),
        })
    }

    /// Waits for the login's turn, runs `check`, and notes the outcome. Returns the account's name and the result of `check`.
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

    /// Waits for the turn of `origin`, awaits `check`, and notes the outcome.
    async fn in_turn<T>(
        &self,
        service: &'static str,
        origin: Origin<'_>,
        check: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        let Origin { address, account, .. } = origin;
        let now = self.time.now();
        let Some(wait) = self.state.borrow_mut().throttle.attempt(origin, now) else {
            self.turned_away(service, origin, now);
            return Err(Refusal::TooManyWait);
        };
        if !wait.is_zero() {
            self.time.sleep(wait).await;
        }
        let verdict = check.await;
        let mut state = self.state.borrow_mut();
        match verdict {
            Ok(_) => {
                state.throttle.succeeded(origin, self.time.now());
                state.note(LatestLogin { account: account.to_owned(), service, address, time: unix_now() });
                log::info!("login: service={service} account={account} address={address}");
            }
            Err(reason) => {
                let (time, account) = (unix_now(), account.to_owned());
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

    /// Logs that a login was turned away, once a minute: clients that return at once must not drown the refusals that were
    /// looked at.
    fn turned_away(&self, service: &'static str, Origin { address, account, .. }: Origin<'_>, now: Instant) {
        let told = &mut self.state.borrow_mut().told;
        if told.is_none_or(|told| now.saturating_duration_since(told) >= TOLD_AGAIN) {
            *told = Some(now);
            let reason = Refusal::TooManyWait;
            log::warn!(
                "login turned away: service={service} account={account} address={address} reason=\"{reason}\""
            );
        }
    }

    /// Notes that an app password was used, and forgets the notes of app passwords that were removed.
    fn used(&self, config: &Config, account: &str, app: App) {
        let Some(app) = app else { return };
        let used = &mut self.state.borrow_mut().used;
        used.retain(|(account, app), _| {
            let account = config.account(account);
            account.is_some_and(|account| account.app_passwords.iter().any(|known| *known.name == **app))
        });
        used.insert((account.to_owned(), app), unix_now());
    }

    /// Makes as many logins wait for an answer to `address` as may wait.
    #[cfg(test)]
    pub(crate) fn crowd(&self, address: IpAddr) {
        let origin = Origin { address, on_lan: true, account: "crowd" };
        let waits = || self.state.borrow_mut().throttle.attempt(origin, self.time.now());
        assert!((0..1000).any(|_| waits().is_none()), "there is no bound");
    }

    /// When an app password was used last, in seconds since 1970. Kept in memory only: writing it at each login would wear the
    /// flash.
    pub fn last_use(&self, account: &str, app: &str) -> Option<i64> {
        self.state.borrow().used.get(&(account.to_owned(), app.to_owned())).copied()
    }

    /// The latest logins to an account, the latest first, one for each service and address.
    pub fn latest(&self, account: &str) -> Vec<LatestLogin> {
        self.state.borrow().latest.iter().rev().filter(|it| it.account == account).cloned().collect()
    }

    /// The latest refusals, the oldest first.
    pub fn refusals(&self) -> Vec<RefusedLogin> {
        self.state.borrow().refusals.iter().cloned().collect()
    }

    /// Verifies a password by hashing it. Every refusal costs the rounds of the costliest verifier in the configuration.
    async fn verify(
        &self,
        config: &Config,
        account: Option<&Account>,
        login: &str,
        client: Client<'_>,
        password: &[u8],
    ) -> Result<(App, Box<Verifier>), Refusal> {
        let permitted = permitted(config, account, client);
        let nobody = self.unknown.verifier(config, login);
        let verifier = account.map_or(&nobody, |account| &account.verifier);
        let passwords = || as_many_passwords(config, account, &nobody, client.service);
        let known = first(passwords(), |kept| {
            let remembered = &self.state.borrow().remembered;
            let is_known = remembered.knows(&remembered.mark(kept.verifier, password), self.time.now());
            (is_known && kept.serves).then_some(())
        });
        // Only a login that succeeds may be quick: a quick refusal would say that the password is right.
        if let Some((kept, ())) = known.filter(|_| permitted.is_ok()) {
            return Ok(kept.granted());
        }
        smol::future::yield_now().await;
        // One hash serves all passwords of the account, since they have one salt.
        let key = verifier.hash(password);
        let found = first(passwords(), |kept| kept.verifier.accepts(&key).then_some(()));
        spend_rest(config, verifier);
        let (kept, ()) = admitted(account, found, permitted)?;
        let mark = self.state.borrow().remembered.mark(kept.verifier, password);
        self.state.borrow_mut().remembered.remember(mark, self.time.now());
        Ok(kept.granted())
    }

    /// Verifies a proof, for which the client did the hashing. Returns the server's signature, too.
    fn verify_proof(
        &self,
        config: &Config,
        account: Option<&Account>,
        client: Client<'_>,
        proof: &Proof,
    ) -> Result<(App, Box<Verifier>, [u8; 32]), Refusal> {
        let permitted = permitted(config, account, client);
        let nobody = self.unknown.verifier(config, proof.login());
        let is_bound = proof.is_bound(client.bindings);
        let found = first(as_many_passwords(config, account, &nobody, client.service), |kept| {
            proof.verify(kept.verifier)
        });
        let (kept, signature) = admitted(account, found, permitted)?;
        let (app, verifier) = kept.granted();
        if is_bound { Ok((app, verifier, signature)) } else { Err(Refusal::NotBound) }
    }
}

/// Does the work by which the costliest verifier in the configuration costs more than this one.
fn spend_rest(config: &Config, verifier: &Verifier) {
    let iterations = config.accounts.iter().map(|account| account.verifier.iterations);
    let most = iterations.fold(DEFAULT_ITERATIONS, u32::max);
    verifier::spend(most.saturating_sub(verifier.iterations));
}

/// The name of the app password that opened an account; `None` for the account's own password.
pub type App = Option<String>;

/// A stored password of an account.
#[derive(Clone, Copy)]
struct KeptPassword<'a> {
    verifier: &'a Verifier,
    app: Option<&'a str>,
    /// Whether the password is for the service that the client wants.
    serves: bool,
}

impl KeptPassword<'_> {
    /// The name of the app password, and the verifier by which a later request recognises this password.
    fn granted(self) -> (App, Box<Verifier>) {
        (self.app.map(str::to_owned), Box::new(self.verifier.clone()))
    }
}

/// Whether `verifier` is that of one of the account's passwords, and that password is for this service.
pub fn opens(account: &Account, service: Service, verifier: &Verifier) -> bool {
    passwords(account, service).any(|kept| kept.serves && kept.verifier == verifier)
}

/// Tells how a login with the password of this hash would end: the name of the app password that it uses. Nothing is noted.
///
/// # Errors
/// The true reason for which the login would be refused.
pub fn would_admit(
    config: &Config,
    account: &Account,
    key: &hmac::Key,
    service: Service,
    address: IpAddr,
) -> Result<App, Refusal> {
    let found = first(passwords(account, service), |kept| kept.verifier.accepts(key).then_some(()));
    let permitted = access::permit(config, account, service, address);
    admitted(Some(account), found, permitted).map(|(kept, ())| kept.granted().0)
}

/// The name of the app password that `verifier` belongs to; `None` for the account's own password.
pub fn device(account: &Account, verifier: &Verifier) -> Option<String> {
    let app = account.app_passwords.iter().find(|app| app.verifier == *verifier)?;
    (account.verifier != *verifier).then(|| app.name.to_string())
}

/// The passwords of an account, its own first. Each tells whether it is for `service`.
fn passwords(account: &Account, service: Service) -> impl Iterator<Item = KeptPassword<'_>> {
    let apps = account.app_passwords.iter().map(move |app| KeptPassword {
        verifier: &app.verifier,
        app: Some(&app.name),
        serves: app.services.is_empty() || app.services.contains(&service),
    });
    std::iter::once(KeptPassword { verifier: &account.verifier, app: None, serves: true }).chain(apps)
}

/// As many passwords as the account with the most has: those of `account`, filled up with `nobody`'s, which nothing matches.
/// For an unknown login all are `nobody`'s. So the number of passwords that are looked at tells nothing.
fn as_many_passwords<'a>(
    config: &Config,
    account: Option<&'a Account>,
    nobody: &'a Verifier,
    service: Service,
) -> impl Iterator<Item = KeptPassword<'a>> + use<'a> {
    let own = account.into_iter().flat_map(move |account| passwords(account, service));
    let nobody = std::iter::repeat(KeptPassword { verifier: nobody, app: None, serves: false });
    let most = config.accounts.iter().map(|account| 1 + account.app_passwords.len()).max();
    own.chain(nobody).take(most.unwrap_or(1))
}

/// The first password for which `look` finds something. All are looked at, so that the time does not tell which one it was.
fn first<'a, T>(
    passwords: impl Iterator<Item = KeptPassword<'a>>,
    look: impl Fn(&KeptPassword<'a>) -> Option<T>,
) -> Option<(KeptPassword<'a>, T)> {
    let mut first = None;
    for kept in passwords {
        let found = look(&kept);
        first = first.or(found.map(|found| (kept, found)));
    }
    first
}

/// The password that was right and what was found with it, unless something forbids the login.
fn admitted<'a, T>(
    account: Option<&Account>,
    found: Option<(KeptPassword<'a>, T)>,
    permitted: Result<(), Refusal>,
) -> Result<(KeptPassword<'a>, T), Refusal> {
    let wrong = if account.is_some() { Refusal::WrongPassword } else { Refusal::UnknownAccount };
    let (kept, found) = found.ok_or(wrong)?;
    permitted?;
    if kept.serves { Ok((kept, found)) } else { Err(Refusal::AppPasswordService) }
}

/// What the settings say about the login, apart from the password.
fn permitted(config: &Config, account: Option<&Account>, client: Client<'_>) -> Result<(), Refusal> {
    let account = account.ok_or(Refusal::UnknownAccount)?;
    access::permit(config, account, client.service, client.address)
}

/// The login that a client sent, in lower case, shortened, and unable to forge a log line.
fn printable(login: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._@+-".contains(c);
    login.chars().take(SHOWN).map(|c| if plain(c) { c.to_ascii_lowercase() } else { '?' }).collect()
}

#[cfg(test)]
mod tests;
