//! The sessions on the pages: [`MOST`] at once, in memory only, each of less than a KiB.
//!
//! A browser holds a random cookie, of which only the hash is kept here. A session ends when its right ends: when the password
//! was changed, or the account was removed or disabled. It also ends when nobody used it for half an hour, and after twelve
//! hours.

use std::time::{Duration, Instant};

use data_encoding::BASE64URL_NOPAD;
use ring::digest::{SHA256, digest};
use zeroize::Zeroizing;

use crate::config::Config;
use crate::credential::{Verifier, random};

/// The most sessions at once. A new one ends the session that was used least recently.
const MOST: usize = 10;
/// How long a session lasts without a request.
const IDLE: Duration = Duration::from_secs(30 * 60);
/// How long a session lasts from the login.
const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);
/// The most characters of a notice for the next page.
const NOTICE: usize = 300;
/// The most octets of a typed secret that is kept.
const SECRET: usize = 512;

/// The name of the cookie. Its prefix `__Host-` demands: only from this host, over TLS, for all paths (RFC 6265bis section
/// 4.1.3.2).
const COOKIE: &str = "__Host-pillarbox";

/// The value of our cookie in a field `Cookie` (RFC 6265 section 4.2.1).
pub fn cookie(field: &str) -> Option<Zeroizing<String>> {
    let mut pairs = field.split(';').filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| Zeroizing::new(value.to_owned()))
}

/// The header field that gives a browser the cookie.
pub fn set_cookie(value: &str) -> String {
    format!("Set-Cookie: {COOKIE}={value}; Path=/; Secure; HttpOnly; SameSite=Strict\r\n")
}

/// The header field that removes the cookie from a browser.
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

/// The right by which a session was opened.
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

    /// The person who has this right, as long as the settings still give it.
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
    /// The token that each form of this session has to bring.
    token: String,
    right: Right,
    since: Instant,
    used: Instant,
    notice: Option<Zeroizing<String>>,
    /// The path of a setting, and the secret that was typed for it and is not stored yet: the next page does not show it.
    kept: Option<(String, Zeroizing<String>)>,
}

/// All sessions.
#[derive(Default)]
pub struct Sessions(Vec<Session>);

/// A session that a request belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Who is logged in.
    pub person: Person,
    /// The token that a form has to bring.
    pub token: String,
}

fn secret() -> String {
    BASE64URL_NOPAD.encode(&random::<32>())
}

fn mark(cookie: &str) -> [u8; 32] {
    digest(&SHA256, cookie.as_bytes()).as_ref().try_into().unwrap_or_default()
}

impl Sessions {
    /// Opens a session for `person`, who has logged in, and returns its cookie. `None` where the settings no longer know the
    /// person.
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

    /// The session of a cookie, which counts as used now. Forgets the sessions that have ended.
    pub fn find(&mut self, cookie: &str, config: &Config, now: Instant) -> Option<Seen> {
        self.0.retain(|it| {
            let lasts = |since: Instant, time| now.saturating_duration_since(since) < time;
            lasts(it.used, IDLE) && lasts(it.since, LONGEST) && it.right.person(config).is_some()
        });
        let session = self.of(cookie)?;
        session.used = now;
        Some(Seen { person: session.right.person(config)?, token: session.token.clone() })
    }

    /// Renews the right of this session from `config`: its user has changed the password in it.
    pub fn renew(&mut self, cookie: &str, person: &Person, config: &Config) {
        if let (Some(session), Some(right)) = (self.of(cookie), Right::of(person, config)) {
            session.right = right;
        }
    }

    /// Ends the session of a cookie.
    pub fn close(&mut self, cookie: &str) {
        let mark = mark(cookie);
        self.0.retain(|session| session.mark != mark);
    }

    /// Keeps a notice for the next page of this session.
    pub fn tell(&mut self, cookie: &str, notice: &str) {
        if let Some(session) = self.of(cookie) {
            session.notice = Some(Zeroizing::new(notice.chars().take(NOTICE).collect()));
        }
    }

    /// The notice for this page, which is told once.
    pub fn told(&mut self, cookie: &str) -> Option<Zeroizing<String>> {
        self.of(cookie)?.notice.take()
    }

    /// Keeps the secret that was typed for the setting at a path, in place of an earlier one; with `None`, keeps nothing.
    pub fn keep(&mut self, cookie: &str, typed: Option<(&str, &str)>) {
        if let Some(session) = self.of(cookie) {
            session.kept = typed
                .filter(|(_, secret)| secret.len() <= SECRET)
                .map(|(path, secret)| (path.to_owned(), Zeroizing::new(secret.to_owned())));
        }
    }

    /// The secret that was kept for the setting at `path`.
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

    /// Catches: a session that outlives its password, its account or its time, and one that a new session does not displace.
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

    /// Catches: a session that takes more memory than intended, a cookie that is stored, and one that is not found among
    /// others.
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
