use std::time::Duration;

use data_encoding::BASE64;

use super::*;
use crate::config::Address;
use crate::sasl::client;
use crate::sasl::server::{Exchange, Mechanism, Password, Step};

/// Account `office` with the password `right`, and account `off`, which may do nothing.
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
    let claim = Claim::Password { login: login.to_owned(), password: Password::from(password.as_bytes()) };
    async_io::block_on(logins.judge(config, client, claim))
}

/// The account's name, or the reason of the refusal.
fn told(verdict: Verdict) -> Result<String, Refusal> {
    match verdict {
        Verdict::Welcome(account, _) => Ok(account),
        Verdict::Refused(refusal) => Err(refusal),
        Verdict::TurnedAway => Err(Refusal::TooManyWait),
        Verdict::Answer(_) => panic!("the login is still under way"),
    }
}

/// A login by SCRAM, made by the client side of this code. Returns the server's last verdict.
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
        let logins = Logins::new(&[0; 32], &Time::default());
        let client = Client { service: Service::Imap, address: outside.parse().unwrap(), bindings: None };
        let expected = expected.map(str::to_owned);
        assert_eq!(told(prove(&logins, &config(), client, login, password)), expected, "{login}");
        let refused = usize::from(expected.is_err());
        assert_eq!(logins.refusals().len(), refused, "{login}");
    }
}

#[test]
fn a_proof_over_another_connection_is_refused() {
    let claim = |sees: &[u8], password: &str| {
        let bindings = ChannelBindings { exporter: [7; 32], end_point: None };
        let address = "198.51.100.7".parse().unwrap();
        let client = Client { service: Service::Imap, address, bindings: Some(&bindings) };
        let (logins, config) = (Logins::new(&[0; 32], &Time::default()), config());
        let verifier = &config.accounts[0].verifier;
        // The client side of SCRAM by hand: the client side of this code has no PLUS.
        let first = BASE64.encode(b"p=tls-exporter,,n=office,r=nonce");
        let (mut exchange, step) = Exchange::start(Mechanism::ScramSha256Plus, true, Some(first.as_bytes()));
        assert_eq!(step, Step::Claim(Claim::Login("office".into())));
        let Step::Challenge(challenge) = exchange.answer(Answer::Salt(verifier.salt())) else { panic!() };
        let server_first = String::from_utf8(BASE64.decode(challenge.as_bytes()).unwrap()).unwrap();
        let nonce = server_first.split(',').next().unwrap();
        let bound_to = BASE64.encode(&[b"p=tls-exporter,,", sees].concat());
        let without_proof = format!("c={bound_to},{nonce}");
        let auth_message = format!("n=office,r=nonce,{server_first},{without_proof}");
        let proof = BASE64.encode(&verifier.proof(password, auth_message.as_bytes()));
        let last = BASE64.encode(format!("{without_proof},p={proof}").as_bytes());
        let Step::Claim(claim) = exchange.respond(last.as_bytes()) else { panic!() };
        cost(|| async_io::block_on(logins.judge(&config, client, claim)))
    };
    assert!(matches!(claim(&[7; 32], "right").1, Verdict::Answer(Answer::Signature(..))));
    let (work, not_bound) = claim(&[8; 32], "right");
    assert_eq!(not_bound, Verdict::Refused(Refusal::NotBound));
    assert_eq!(claim(&[7; 32], "wrong"), (work, Verdict::Refused(Refusal::WrongPassword)));
}

/// Catches: a client that gets different salts for the spellings of an unknown login, which shows that the account does not
/// exist.
#[test]
fn a_client_hears_the_same_salt_for_each_spelling_of_a_login_that_there_is_not() {
    let config = config();
    let client = Client { service: Service::Imap, address: [127, 0, 0, 1].into(), bindings: None };
    let hears = |key: u8, login: &str| {
        let logins = Logins::new(&[key; 32], &Time::default());
        async_io::block_on(logins.judge(&config, client, Claim::Login(login.into())))
    };
    let nobody = hears(0, "nobody");
    assert_eq!(hears(0, "NoBody@home.example"), nobody, "also after a start");
    assert_ne!(hears(0, "somebody"), nobody);
    assert_ne!(hears(1, "nobody"), nobody);
    let office = Verdict::Answer(Answer::Salt(config.accounts[0].verifier.salt()));
    assert_eq!(hears(0, "office"), office);
    assert_eq!(hears(1, "office@elsewhere.example"), office, "no login, but its name is one");
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
        let (logins, config) = (Logins::new(&[0; 32], &Time::default()), config());
        let expected = expected.map(str::to_owned);
        for again in [false, true] {
            let verdict = log_in(&logins, &config, address, login, password);
            assert_eq!(told(verdict), expected, "{login} {again}");
        }
    }
}

/// Account `office` with an app password for the phone, which only sends, and one for any service.
fn with_app_passwords() -> Config {
    let mut config = config();
    let office = &mut config.accounts[0];
    for (name, password, services) in
        [("phone", "phone's", vec![Service::Submission]), ("desk", "desk's", Vec::new())]
    {
        let verifier = office.verifier.renewed(password);
        let name = name.try_into().unwrap();
        office.app_passwords.push(crate::config::AppPassword { name, verifier, services });
    }
    config
}

#[test]
fn app_passwords_open_what_they_are_for_and_show_their_last_use() {
    let (logins, mut config) = (Logins::new(&[0; 32], &Time::default()), with_app_passwords());
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
    let (logins, config) = (Logins::new(&[0; 32], &Time::default()), with_app_passwords());
    for (password, rounds) in
        [("right", 4096), ("desk's", 4096), ("desk's", 0), ("wrong", 4096), ("phone's", 4096)]
    {
        let before = verifier::ROUNDS.get();
        log_in(&logins, &config, "192.168.7.5", "office", password);
        assert_eq!(verifier::ROUNDS.get() - before, rounds, "{password}");
    }
}

/// The rounds and keyed hashes that `work` costs. A clock would only tell how busy the machine is.
fn cost<T>(work: impl FnOnce() -> T) -> ((u64, u64), T) {
    let before = (verifier::ROUNDS.get(), verifier::HASHES.get());
    let done = work();
    ((verifier::ROUNDS.get() - before.0, verifier::HASHES.get() - before.1), done)
}

/// Refused logins by IMAP from outside, one of each kind, for [`with_app_passwords`].
const REFUSED: [(&str, &str); 11] = [
    ("office", "wrong"),
    ("office", "phone's"),
    ("nobody", "right"),
    ("nobody@home.example", "right"),
    ("office@elsewhere.example", "right"),
    ("off", "right"),
    ("off", "wrong"),
    ("pop", "right"),
    ("pop", "wrong"),
    ("lan", "right"),
    ("lan", "wrong"),
];

/// Catches: a refusal that costs less work, and so tells whether the account exists, how many passwords it has, or that the
/// password was right.
#[test]
fn every_refusal_costs_the_same_work_and_a_login_known_already_no_rounds() {
    let mut config = with_app_passwords();
    config.accounts[1].verifier = Verifier::with("right", 8192, [1; 16]);
    let log_in = |logins: &Logins, login: &str, password: &str| {
        cost(|| log_in(logins, &config, "198.51.100.7", login, password))
    };
    let (work, _) = log_in(&Logins::new(&[0; 32], &Time::default()), "office", "wrong");
    assert_eq!(work.0, 8192);
    for (login, password) in REFUSED.into_iter().chain([("office", "")]) {
        let logins = Logins::new(&[0; 32], &Time::default());
        for again in [false, true] {
            let (found, verdict) = log_in(&logins, login, password);
            assert!(matches!(verdict, Verdict::Refused(_)), "{login} {password}");
            assert_eq!(found, work, "{login} {password} {again}");
        }
    }
    let logins = Logins::new(&[0; 32], &Time::default());
    assert_eq!(log_in(&logins, "office", "right").0.0, 8192);
    assert_eq!(log_in(&logins, "office", "right").0.0, 0);
    assert_eq!(log_in(&logins, "office", "wrong").0, work);
}

/// Catches: what the test above catches, for logins where the password does not travel.
#[test]
fn every_refusal_of_a_proof_costs_the_same_work() {
    let config = with_app_passwords();
    let client = Client { service: Service::Imap, address: "198.51.100.7".parse().unwrap(), bindings: None };
    let works = REFUSED.map(|(login, password)| {
        let logins = Logins::new(&[0; 32], &Time::default());
        // The hashes of the client side are not counted.
        let (work, verdict) = cost(|| prove(&logins, &config, client, login, password));
        assert!(matches!(verdict, Verdict::Refused(_)), "{login} {password}");
        work
    });
    assert!(works[0].1 >= 3 * 4, "three passwords are looked at: {works:?}");
    for (work, (login, password)) in works.iter().zip(REFUSED) {
        assert_eq!(*work, works[0], "{login} {password}");
    }
}

#[test]
fn a_login_that_lost_its_right_is_not_helped_by_having_been_good() {
    let (logins, mut config) = (Logins::new(&[0; 32], &Time::default()), config());
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
    let (logins, config) = (Logins::new(&[0; 32], &Time::default()), config());
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

/// Catches: a password that can be guessed as fast as it can be hashed.
#[test]
fn who_has_guessed_waits_half_a_minute_for_the_next_answer() {
    let (time, config) = (Time::default(), config());
    let logins = Logins::new(&[0; 32], &time);
    let client = Client { service: Service::Pop3, address: "198.51.100.7".parse().unwrap(), bindings: None };
    let claim = || Claim::Password { login: "office".to_owned(), password: Password::from(&b"wrong"[..]) };
    async_io::block_on(async {
        let mut waited = Duration::ZERO;
        for _ in 0..20 {
            let mut login = std::pin::pin!(logins.judge(&config, client, claim()));
            waited = Duration::ZERO;
            // The answer comes after the hash, and before the hash others have a turn.
            while smol::future::poll_once(login.as_mut()).await.is_none()
                && smol::future::poll_once(login.as_mut()).await.is_none()
            {
                time.advance(Duration::from_secs(1));
                waited += Duration::from_secs(1);
            }
        }
        assert_eq!(waited.as_secs(), 30);
    });
}

/// Catches: a login that waits without a bound, by any mechanism, and lines of the log that drown the refusals that were
/// looked at.
#[test]
fn above_the_bound_a_login_is_turned_away_at_once() {
    let (logins, config) = (Logins::new(&[0; 32], &Time::default()), config());
    let address = "198.51.100.7";
    logins.crowd(address.parse().unwrap());
    let client = Client { service: Service::Imap, address: address.parse().unwrap(), bindings: None };
    assert_eq!(log_in(&logins, &config, address, "office", "right"), Verdict::TurnedAway);
    assert_eq!(prove(&logins, &config, client, "office", "right"), Verdict::TurnedAway);
    let operator = logins.operator(&config, address.parse().unwrap(), "operator", b"");
    assert_eq!(async_io::block_on(operator), Err(Refusal::TooManyWait));
    assert_eq!(logins.refusals(), []);
    let elsewhere = log_in(&logins, &config, "198.51.100.8", "office", "right");
    assert_eq!(told(elsewhere), Ok("office".to_owned()));
}
