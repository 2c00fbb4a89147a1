//! Who is logged in on the pages: [`MOST`] sessions at once, in memory only, each of less than a KiB.
//!
//! A browser holds a random cookie, of which only the hash is kept here. A session ends with the right that it came by: when the
//! password is another one, the account is gone or disabled; when nobody used it for half an hour; after twelve hours.

use std::time::{Duration, Instant};

use data_encoding::BASE64URL_NOPAD;
use ring::digest::{SHA256, digest};
use zeroize::Zeroizing;

use crate::config::Config;
use crate::credential::{Verifier, random};

/// Sessions at once: the one that was used least lately ends for a new one.
const MOST: usize = 10;
/// Without a request.
const IDLE: Duration = Duration::from_secs(30 * 60);
/// From the login.
const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);
/// Characters of what is told on the next page.
const NOTICE: usize = 300;
/// Octets of a secret that was typed.
const SECRET: usize = 512;

/// RFC 6265bis section 4.1.3.2: only from this host, over TLS, for all paths.
const COOKIE: &str = "__Host-pillarbox";

/// The value of our cookie in a field `Cookie` (RFC 6265 section 4.2.1).
pub fn cookie(field: &str) -> Option<Zeroizing<String>> {
    let mut pairs = field.split(';').filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| Zeroizing::new(value.to_owned()))
}

/// The field that gives a browser the cookie.
pub fn set_cookie(value: &str) -> String {
    format!("Set-Cookie: {COOKIE}={value}; Path=/; Secure; HttpOnly; SameSite=Strict\r\n")
}

/// The field that takes it back.
pub fn forget_cookie() -> String {
    format!("Set-Cookie: {COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0\r\n")
}

/// Who is logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Person {
    /// The operator.
    Operator,
    /// The user of the account of this name.
    User(String),
}

/// What a session came by.
enum Right {
    Operator(Box<Verifier>),
    User(u64, Box<Verifier>),
}

impl Right {
    fn of(person: &Person, config: &Config) -> Option<Right> {
        Some(match person {
            Person::Operator => Right::Operator(Box::new(config.server.operator_verifier.clone())),
            Person::User(name) => {
                let account = config.account(name)?;
                Right::User(account.id, Box::new(account.verifier.clone()))
            }
        })
    }

    /// Whose it is, as long as it is one.
    fn person(&self, config: &Config) -> Option<Person> {
        match self {
            Right::Operator(verifier) => {
                let now = &config.server.operator_verifier;
                (now.is_set() && **verifier == *now).then_some(Person::Operator)
            }
            Right::User(id, verifier) => {
                let account = config.account_by_id(*id)?;
                let is_right = account.enabled && account.verifier == **verifier;
                is_right.then(|| Person::User(account.name.to_string()))
            }
        }
    }
}

struct Session {
    /// The hash of the cookie.
    mark: [u8; 32],
    /// What each of its forms has to bring.
    token: String,
    right: Right,
    since: Instant,
    used: Instant,
    notice: Option<Zeroizing<String>>,
    /// A secret that was typed for the setting of this path, and is not stored yet: the page that comes next does not show it.
    kept: Option<(String, Zeroizing<String>)>,
}

/// All of them.
#[derive(Default)]
pub struct Sessions(Vec<Session>);

/// A session that a request belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Who is logged in.
    pub person: Person,
    /// What a form has to bring.
    pub token: String,
}

fn secret() -> String {
    BASE64URL_NOPAD.encode(&random::<32>())
}

fn mark(cookie: &str) -> [u8; 32] {
    digest(&SHA256, cookie.as_bytes()).as_ref().try_into().unwrap_or_default()
}

impl Sessions {
    /// Begins one for `person`, who has shown the right: the cookie. `None` where the settings know no such person any more.
    pub fn open(&mut self, person: &Person, config: &Config, now: Instant) -> Option<Zeroizing<String>> {
        let right = Right::of(person, config)?;
        if self.0.len() >= MOST
            && let Some(oldest) = (0..self.0.len()).min_by_key(|&n| self.0.get(n).map(|it| it.used))
        {
            self.0.swap_remove(oldest);
        }
        let cookie = Zeroizing::new(secret());
        let mark = mark(&cookie);
        self.0.push(Session {
            mark,
            token: secret(),
            right,
            since: now,
            used: now,
            notice: None,
            kept: None,
        });
        Some(cookie)
    }

    /// The session of a cookie, which is used now. What has ended is forgotten.
    pub fn find(&mut self, cookie: &str, config: &Config, now: Instant) -> Option<Seen> {
        self.0.retain(|it| {
            let lasts = |since: Instant, time| now.saturating_duration_since(since) < time;
            lasts(it.used, IDLE) && lasts(it.since, LONGEST) && it.right.person(config).is_some()
        });
        let session = self.of(cookie)?;
        session.used = now;
        Some(Seen { person: session.right.person(config)?, token: session.token.clone() })
    }

    /// The right of this session is that of the settings now: its user has changed the password here.
    pub fn renew(&mut self, cookie: &str, person: &Person, config: &Config) {
        if let (Some(session), Some(right)) = (self.of(cookie), Right::of(person, config)) {
            session.right = right;
        }
    }

    /// Ends one.
    pub fn close(&mut self, cookie: &str) {
        let mark = mark(cookie);
        self.0.retain(|session| session.mark != mark);
    }

    /// Told on the next page of this session.
    pub fn tell(&mut self, cookie: &str, notice: &str) {
        if let Some(session) = self.of(cookie) {
            session.notice = Some(Zeroizing::new(notice.chars().take(NOTICE).collect()));
        }
    }

    /// What is to be told, once.
    pub fn told(&mut self, cookie: &str) -> Option<Zeroizing<String>> {
        self.of(cookie)?.notice.take()
    }

    /// Keeps what was typed for the secret at `path`, until another one is; `None`: nothing.
    pub fn keep(&mut self, cookie: &str, typed: Option<(&str, &str)>) {
        if let Some(session) = self.of(cookie) {
            session.kept = typed
                .filter(|(_, secret)| secret.len() <= SECRET)
                .map(|(path, secret)| (path.to_owned(), Zeroizing::new(secret.to_owned())));
        }
    }

    /// What was kept for `path`.
    pub fn kept(&mut self, cookie: &str, path: &str) -> Option<Zeroizing<String>> {
        let (kept, secret) = self.of(cookie)?.kept.as_ref()?;
        (kept == path).then(|| secret.clone())
    }

    fn of(&mut self, cookie: &str) -> Option<&mut Session> {
        let mark = mark(cookie);
        self.0.iter_mut().find(|session| session.mark == mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let mut config = Config::demonstration(Verifier::with("pass", 1, [0; 16]));
        config.server.operator_verifier = Verifier::with("right", 1, [0; 16]);
        config.identify(&Config::default());
        config
    }

    /// Catches: a session that outlives the password it came by, its account, its time; one that a new one does not push out.
    #[test]
    fn a_session_ends_with_its_right_and_its_time() {
        let (start, before) = (Instant::now(), config());
        let user = Person::User("demo".to_owned());
        let at = |minutes: u64| start + Duration::from_secs(60 * minutes);
        let mut sessions = Sessions::default();
        let mine = sessions.open(&user, &before, start).unwrap();
        let his = sessions.open(&Person::Operator, &before, start).unwrap();
        assert_eq!(sessions.find(&mine, &before, at(29)).unwrap().person, user);
        assert_eq!(sessions.find(&his, &before, at(31)), None, "nobody used it");
        let mut disabled = before.clone();
        disabled.accounts[0].enabled = false;
        assert_eq!(sessions.find(&mine, &disabled, at(31)), None);
        assert_eq!(sessions.find(&mine, &before, at(31)), None, "it does not come back");

        let mine = sessions.open(&user, &before, start).unwrap();
        let mut other = before.clone();
        other.accounts[0].verifier = Verifier::with("another", 1, [0; 16]);
        sessions.renew(&mine, &user, &other);
        assert!(sessions.find(&mine, &other, at(1)).is_some(), "it has changed it itself");
        assert_eq!(sessions.find(&mine, &before, at(1)), None);

        let his = sessions.open(&Person::Operator, &before, start).unwrap();
        assert!((1..=24).all(|n| sessions.find(&his, &before, at(29 * n)).is_some()));
        assert_eq!(sessions.find(&his, &before, at(12 * 60)), None, "twelve hours");
        assert_eq!(sessions.open(&Person::User("nobody".to_owned()), &before, start), None);

        let first = sessions.open(&user, &before, start).unwrap();
        for n in 0..MOST as u64 {
            assert_eq!(sessions.find(&first, &before, at(0)).is_some(), n < MOST as u64);
            sessions.open(&user, &before, at(n % 2)).unwrap();
        }
        assert_eq!(sessions.0.len(), MOST);
    }

    /// Catches: a session that is larger than it was meant to be, a cookie that is kept, and one that is not found among others.
    #[test]
    fn a_cookie_is_found_and_not_kept() {
        let mut sessions = Sessions::default();
        let value = sessions.open(&Person::Operator, &config(), Instant::now()).unwrap();
        assert!(value.len() == 43 && set_cookie(&value).contains("; Secure; HttpOnly; SameSite=Strict"));
        assert_eq!(cookie(&format!("a=b; {COOKIE}={}; c", *value)).unwrap(), value);
        assert_eq!(cookie("pillarbox=x; a__Host-pillarbox=y"), None);
        sessions.keep(&value, Some(("smarthost.password", "hush")));
        assert_eq!(sessions.kept(&value, "smarthost.password").unwrap().as_str(), "hush");
        assert_eq!(sessions.kept(&value, "account.a.source.1.password"), None);
        sessions.keep(&value, None);
        assert_eq!(sessions.kept(&value, "smarthost.password"), None);
        sessions.tell(&value, "hello");
        assert_eq!((sessions.told(&value).unwrap().as_str(), sessions.told(&value)), ("hello", None));
        sessions.close(&value);
        assert_eq!(sessions.find(&value, &config(), Instant::now()), None);
        assert!(size_of::<Session>() + size_of::<Verifier>() + NOTICE + SECRET + 43 <= 1400);
    }
}
