//! Who is it? Verifies logins against the configuration, the same work and words for every refusal.
//!
//! A refused login tells the client nothing, not even by the time it takes: the log and the operator's
//! list have the true reason. Hashing a password is the longest thing that happens on the only thread
//! without a pause, so it comes after a turn for everyone else, and not at all for a login that went
//! well lately.

pub mod client;
mod operator;
mod prepare;
mod remembered;
pub mod sasl;
mod scram;
mod scram_server;
mod throttle;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::time::Instant;

use ring::hmac;

pub use prepare::{UnusablePassword, check_password};
pub use sasl::Password;
pub use scram::{DEFAULT_ITERATIONS, ParseVerifierError, Verifier};

use crate::access::{self, Refusal, Service};
use crate::config::{Account, AppService, Config};
use crate::net::ChannelBindings;
use remembered::Remembered;
use sasl::{Answer, Claim, Proven};
use scram_server::{Proof, Salt};
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
    /// It is true so far: [`sasl::Exchange::answer`] goes on with this.
    Answer(Answer),
    /// It is the account of this name; the verifier says which of its passwords it has.
    Welcome(String, Box<Verifier>),
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
        let found = self.in_turn(self::name(client.service), origin, check(account)).await?;
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
    ) -> Result<(App, Box<Verifier>), Refusal> {
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
                return Ok((way.app, Box::new(way.verifier.clone())));
            }
        }
        smol::future::yield_now().await;
        // One hash for all passwords of the account: they have one salt.
        let key = verifier.hash(password);
        let found =
            account.and_then(|account| ways(account, client.service).find(|way| way.verifier.accepts(&key)));
        let iterations = config.accounts.iter().map(|account| account.verifier.iterations);
        let most = iterations.fold(DEFAULT_ITERATIONS, u32::max);
        scram::spend(most.saturating_sub(verifier.iterations));
        let way = admitted(account, found, permitted)?;
        let mark = self.state.borrow().remembered.mark(way.verifier, password);
        self.state.borrow_mut().remembered.remember(mark, Instant::now());
        Ok((way.app, Box::new(way.verifier.clone())))
    }

    /// A proof, whose client did the hashing. The server's signature.
    fn verify_proof(
        &self,
        config: &Config,
        account: Option<&Account>,
        client: Client<'_>,
        proof: &Proof,
    ) -> Result<(App, Box<Verifier>, [u8; 32]), Refusal> {
        let permitted = permitted(config, account, client);
        let nobody = self.nobody(config, proof.login());
        let found = match account {
            Some(account) => ways(account, client.service).find(|way| proof.verify(way.verifier).is_some()),
            None => proof.verify(&nobody).and(None),
        };
        let way = admitted(account, found, permitted)?;
        let signature = proof.verify(way.verifier).ok_or(Refusal::WrongPassword)?;
        let granted = (way.app, Box::new(way.verifier.clone()), signature);
        if proof.is_bound(client.bindings) { Ok(granted) } else { Err(Refusal::NotBound) }
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
            scram::octets(context.sign().as_ref())
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
    let wanted = match service {
        Service::Pop3 => AppService::Pop3,
        Service::Imap => AppService::Imap,
        Service::Submission => AppService::Submission,
    };
    let apps = account.app_passwords.iter().map(move |app| Way {
        verifier: &app.verifier,
        app: Some(app.name.to_string()),
        opens: app.services.is_empty() || app.services.contains(&wanted),
    });
    std::iter::once(Way { verifier: &account.verifier, app: None, opens: true }).chain(apps)
}

/// Whether the password of `verifier` is one of the account's, and for this service.
pub fn opens(account: &Account, service: Service, verifier: &Verifier) -> bool {
    ways(account, service).any(|way| way.opens && way.verifier == verifier)
}

/// The name of the app password that `verifier` is of; `None`: it is the account's own.
pub fn device(account: &Account, verifier: &Verifier) -> Option<String> {
    let app = account.app_passwords.iter().find(|app| app.verifier == *verifier)?;
    (account.verifier != *verifier).then(|| app.name.to_string())
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

/// Sixteen letters and digits, none of which is mistaken for another: 80 bits.
pub fn random_password() -> String {
    const SIGNS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    random::<16>()
        .iter()
        .filter_map(|octet| SIGNS.get(usize::from(octet % 32)).copied())
        .map(char::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64;

    use super::sasl::{Exchange, Mechanism, Step};
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

    /// A login by IMAP with the password itself.
    fn log_in(logins: &Logins, config: &Config, address: &str, login: &str, password: &str) -> Verdict {
        let client = Client { service: Service::Imap, address: address.parse().unwrap(), bindings: None };
        let claim =
            Claim::Password { login: login.to_owned(), password: Password::from(password.as_bytes()) };
        async_io::block_on(logins.judge(config, client, claim))
    }

    /// Who it is, or why not.
    fn told(verdict: Verdict) -> Result<String, Refusal> {
        match verdict {
            Verdict::Welcome(account, _) => Ok(account),
            Verdict::Refused(refusal) => Err(refusal),
            Verdict::Answer(_) => panic!("the login is still under way"),
        }
    }

    /// A login by SCRAM, played by the client side of this house; what the server's last word was.
    fn prove(logins: &Logins, config: &Config, client: Client<'_>, login: &str, password: &str) -> Verdict {
        async_io::block_on(async {
            let secret = crate::config::Secret::new(password).unwrap();
            let mut peer = client::Client::new(client::Mechanism::ScramSha256, login, &secret);
            let first = client::encode(&peer.initial().unwrap());
            let (mut exchange, mut step) =
                Exchange::start(Mechanism::ScramSha256, client.bindings.is_some(), Some(first.as_bytes()));
            loop {
                step = match step {
                    Step::Challenge(challenge) => {
                        let challenge = client::decode(&challenge).unwrap();
                        exchange.respond(client::encode(&peer.respond(&challenge).await.unwrap()).as_bytes())
                    }
                    Step::Claim(claim) => match logins.judge(config, client, claim).await {
                        Verdict::Answer(answer) => exchange.answer(answer),
                        verdict => {
                            let welcome = matches!(verdict, Verdict::Welcome(..));
                            assert_eq!(peer.finish().is_ok(), welcome, "both sides agree");
                            return verdict;
                        }
                    },
                    Step::Failed => panic!("not SCRAM"),
                }
            }
        })
    }

    #[test]
    fn proofs() {
        let outside = "198.51.100.7";
        for (login, password, expected) in [
            ("office", "right", Ok("office")),
            ("Office@Home.Example", "right", Ok("office")),
            ("office", "Right", Err(Refusal::WrongPassword)),
            ("nobody", "right", Err(Refusal::UnknownAccount)),
            ("off", "right", Err(Refusal::Disabled)),
            ("off", "wrong", Err(Refusal::WrongPassword)),
            ("pop", "right", Err(Refusal::ServiceOff)),
            ("lan", "right", Err(Refusal::NotFromLan)),
        ] {
            let logins = Logins::new(&[0; 32]);
            let client = Client { service: Service::Imap, address: outside.parse().unwrap(), bindings: None };
            let expected = expected.map(str::to_owned);
            assert_eq!(told(prove(&logins, &config(), client, login, password)), expected, "{login}");
            let refused = usize::from(expected.is_err());
            assert_eq!(logins.refusals().len(), refused, "{login}");
        }
    }

    #[test]
    fn a_proof_over_another_connection_is_refused() {
        let claim = |sees: &[u8]| {
            let bindings = ChannelBindings { exporter: [7; 32], end_point: None };
            let address = "198.51.100.7".parse().unwrap();
            let client = Client { service: Service::Imap, address, bindings: Some(&bindings) };
            let (logins, config) = (Logins::new(&[0; 32]), config());
            let verifier = &config.accounts[0].verifier;
            // The client side of SCRAM by hand: the one of this house has no PLUS.
            let first = BASE64.encode(b"p=tls-exporter,,n=office,r=nonce");
            let (mut exchange, step) =
                Exchange::start(Mechanism::ScramSha256Plus, true, Some(first.as_bytes()));
            assert_eq!(step, Step::Claim(Claim::Login("office".into())));
            let Step::Challenge(challenge) = exchange.answer(Answer::Salt(verifier.salt())) else { panic!() };
            let server_first = String::from_utf8(BASE64.decode(challenge.as_bytes()).unwrap()).unwrap();
            let nonce = server_first.split(',').next().unwrap();
            let bound_to = BASE64.encode(&[b"p=tls-exporter,,", sees].concat());
            let without_proof = format!("c={bound_to},{nonce}");
            let auth_message = format!("n=office,r=nonce,{server_first},{without_proof}");
            let proof = BASE64.encode(&verifier.proof("right", auth_message.as_bytes()));
            let last = BASE64.encode(format!("{without_proof},p={proof}").as_bytes());
            let Step::Claim(claim) = exchange.respond(last.as_bytes()) else { panic!() };
            async_io::block_on(logins.judge(&config, client, claim))
        };
        assert!(matches!(claim(&[7; 32]), Verdict::Answer(Answer::Signature(..))));
        assert_eq!(claim(&[8; 32]), Verdict::Refused(Refusal::NotBound));
    }

    #[test]
    fn a_login_that_there_is_not_has_a_salt_like_one_that_there_is() {
        let mut config = config();
        config.server.domains = vec!["home.example".try_into().unwrap()];
        for (account, iterations) in config.accounts.iter_mut().zip([5000, 6000, 5000, 6000]) {
            account.verifier.iterations = iterations;
        }
        let (logins, other) = (Logins::new(&[0; 32]), Logins::new(&[1; 32]));
        for (login, again) in
            [("office", "office@home.example"), ("nobody", "nobody@home.example"), ("nobody", "NoBody")]
        {
            assert_eq!(logins.salt(&config, login), logins.salt(&config, again), "{login}");
        }
        let after_a_restart = Logins::new(&[0; 32]);
        assert_eq!(logins.salt(&config, "nobody"), after_a_restart.salt(&config, "nobody"));
        assert_ne!(logins.salt(&config, "nobody").salt, other.salt(&config, "nobody").salt);
        assert_ne!(logins.salt(&config, "nobody").salt, logins.salt(&config, "somebody").salt);
        assert_eq!(logins.salt(&config, "office"), other.salt(&config, "office"));
        let iterations: std::collections::BTreeSet<u32> =
            (0..40).map(|n| logins.salt(&config, &format!("nobody{n}")).iterations).collect();
        assert_eq!(iterations.into_iter().collect::<Vec<_>>(), [5000, 6000]);
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
            let (logins, config) = (Logins::new(&[0; 32]), config());
            let expected = expected.map(str::to_owned);
            for again in [false, true] {
                let verdict = log_in(&logins, &config, address, login, password);
                assert_eq!(told(verdict), expected, "{login} {again}");
            }
        }
    }

    /// Account `office` with a password for the phone, which sends only, and one for anything.
    fn with_app_passwords() -> Config {
        let mut config = config();
        let office = &mut config.accounts[0];
        for (name, password, services) in
            [("phone", "phone's", vec![AppService::Submission]), ("desk", "desk's", Vec::new())]
        {
            let verifier = office.verifier.renewed(password);
            let name = name.try_into().unwrap();
            office.app_passwords.push(crate::config::AppPassword { name, verifier, services });
        }
        config
    }

    #[test]
    fn app_passwords_open_what_they_are_for_and_show_their_last_use() {
        let (logins, mut config) = (Logins::new(&[0; 32]), with_app_passwords());
        let address = "192.168.7.5".parse().unwrap();
        let verifiers = [&config.accounts[0].verifier]
            .into_iter()
            .chain(config.accounts[0].app_passwords.iter().map(|app| &app.verifier));
        let [own, phone, desk] = verifiers
            .map(|verifier| Verdict::Welcome("office".into(), Box::new(verifier.clone())))
            .collect::<Vec<_>>()
            .try_into()
            .unwrap();
        let by = |service| Client { service, address, bindings: None };
        for again in [false, true] {
            for (password, welcome) in [("right", &own), ("desk's", &desk)] {
                assert_eq!(log_in(&logins, &config, "192.168.7.5", "office", password), *welcome, "{again}");
                assert_eq!(prove(&logins, &config, by(Service::Imap), "office", password), *welcome);
            }
            let refused = Verdict::Refused(Refusal::AppPasswordService);
            assert_eq!(log_in(&logins, &config, "192.168.7.5", "office", "phone's"), refused);
            assert_eq!(prove(&logins, &config, by(Service::Imap), "office", "phone's"), refused);
            assert_eq!(prove(&logins, &config, by(Service::Submission), "office", "phone's"), phone);
        }
        let lan = log_in(&logins, &config, "192.168.7.5", "lan", "desk's");
        assert_eq!(lan, Verdict::Refused(Refusal::WrongPassword), "another account's");
        assert!(logins.last_use("office", "phone").is_some() && logins.last_use("office", "desk").is_some());
        assert_eq!(logins.last_use("office", "right"), None);

        config.accounts[0].app_passwords.remove(1);
        let removed = log_in(&logins, &config, "192.168.7.5", "office", "desk's");
        assert_eq!(removed, Verdict::Refused(Refusal::WrongPassword), "also where it is remembered");
        prove(&logins, &config, by(Service::Submission), "office", "phone's");
        assert_eq!(logins.last_use("office", "desk"), None, "it is forgotten");
    }

    #[test]
    fn app_passwords_make_no_login_dearer() {
        let (logins, config) = (Logins::new(&[0; 32]), with_app_passwords());
        for (password, rounds) in
            [("right", 4096), ("desk's", 4096), ("desk's", 0), ("wrong", 4096), ("phone's", 4096)]
        {
            let before = scram::ROUNDS.get();
            log_in(&logins, &config, "192.168.7.5", "office", password);
            assert_eq!(scram::ROUNDS.get() - before, rounds, "{password}");
        }
    }

    /// A clock would only tell how busy the machine is.
    #[test]
    fn every_refusal_costs_the_same_rounds_and_a_login_known_already_none() {
        let mut config = config();
        config.accounts[1].verifier = Verifier::with("right", 8192, [1; 16]);
        let outside = "198.51.100.7";
        let cost = |logins: &Logins, login: &str, password: &str| {
            let before = scram::ROUNDS.get();
            let verdict = log_in(logins, &config, outside, login, password);
            (scram::ROUNDS.get() - before, verdict)
        };
        for (login, password) in [
            ("office", "wrong"),
            ("office", ""),
            ("nobody", "right"),
            ("nobody@home.example", "right"),
            ("off", "right"),
            ("off", "wrong"),
            ("pop", "right"),
            ("pop", "wrong"),
            ("lan", "right"),
        ] {
            let logins = Logins::new(&[0; 32]);
            for again in [false, true] {
                let (rounds, verdict) = cost(&logins, login, password);
                assert!(matches!(verdict, Verdict::Refused(_)));
                assert_eq!(rounds, 8192, "{login} {password} {again}");
            }
        }
        let logins = Logins::new(&[0; 32]);
        assert_eq!(cost(&logins, "office", "right").0, 8192);
        assert_eq!(cost(&logins, "office", "right").0, 0);
        assert_eq!(cost(&logins, "office", "wrong").0, 8192);
    }

    #[test]
    fn a_login_that_lost_its_right_is_not_helped_by_having_been_good() {
        let (logins, mut config) = (Logins::new(&[0; 32]), config());
        let login = |config: &Config| log_in(&logins, config, "198.51.100.7", "office", "right");
        assert_eq!(told(login(&config)), Ok("office".to_owned()));
        config.accounts[0].imap = false;
        assert_eq!(login(&config), Verdict::Refused(Refusal::ServiceOff));
        config.accounts[0].imap = true;
        config.accounts[0].verifier = Verifier::new("new");
        assert_eq!(login(&config), Verdict::Refused(Refusal::WrongPassword));
    }

    #[test]
    fn the_operator_sees_the_latest_refusals_and_no_forged_line() {
        let (logins, config) = (Logins::new(&[0; 32]), config());
        let refuse = |host: u8, login: &str| {
            let client = Client { service: Service::Pop3, address: [127, 0, 0, host].into(), bindings: None };
            let claim = Claim::Password { login: login.to_owned(), password: Password::from(&b"wrong"[..]) };
            let verdict = async_io::block_on(logins.judge(&config, client, claim));
            assert!(matches!(verdict, Verdict::Refused(_)));
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
