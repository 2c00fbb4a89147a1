//! The sections of a configuration: which there are, what is below which, and how the console calls them.

use super::Config;
use super::problem::{Place, Section};
use super::schema::Setting;

impl Section {
    /// The two forms of the password that this section has, if it has one: as it is typed, and as it is kept.
    pub fn password_forms(self) -> Option<(&'static str, &'static str)> {
        match self {
            Section::Account(_) | Section::AppPassword(..) => Some(("password", "verifier")),
            Section::Server => Some(("operator_password", "operator_verifier")),
            _ => None,
        }
    }

    /// Whether its setting `key` is a password of this appliance as it is typed.
    pub fn is_own_password(self, key: &str) -> bool {
        self.password_forms().is_some_and(|(password, _)| password == key)
    }

    /// Whether `setting` of it has a value; of a password of this appliance, whether there is one.
    pub fn has(self, config: &Config, setting: &Setting) -> bool {
        let kept = match self.password_forms() {
            Some((password, verifier)) if password == setting.key => self.setting(verifier),
            _ => Some(setting),
        };
        kept.is_some_and(|kept| !kept.is_empty(config, self))
    }

    /// Whether it is that section, or one below it.
    pub fn is_within(self, other: Section) -> bool {
        self == other
            || match self {
                Section::AppPassword(account, _) | Section::Source(account, _) => {
                    other == Section::Account(account)
                }
                Section::OAuth2(account, source) => {
                    other == Section::Account(account) || other == Section::Source(account, source)
                }
                Section::SmarthostOAuth2 => other == Section::Smarthost,
                _ => false,
            }
    }

    /// The place of its setting `key`.
    pub fn at(self, key: &'static str) -> Place {
        Place { section: self, key }
    }

    /// The sections that there are once.
    pub const SINGLE: [Section; 6] = [
        Section::Server,
        Section::Listen,
        Section::Network,
        Section::Tls,
        Section::Smarthost,
        Section::Multipop,
    ];

    /// Every section of `config`, in the order of the text form.
    pub fn all(config: &Config) -> Vec<Section> {
        let mut all = Section::SINGLE.to_vec();
        all.push(Section::SmarthostOAuth2);
        for (a, account) in config.accounts.iter().enumerate() {
            all.push(Section::Account(a));
            all.extend((0..account.app_passwords.len()).map(|p| Section::AppPassword(a, p)));
            for s in 0..account.sources.len() {
                all.extend([Section::Source(a, s), Section::OAuth2(a, s)]);
            }
        }
        all
    }

    /// The port at which another server is reached, and the one that is usual for its protocol and security.
    pub fn ports(self, config: &Config) -> Option<(u16, u16)> {
        match self {
            Section::Smarthost => Some((config.smarthost.port, config.smarthost.usual_port())),
            Section::Source(account, source) => {
                let source = config.accounts.get(account)?.sources.get(source)?;
                Some((source.port, source.usual_port()))
            }
            _ => None,
        }
    }

    /// Puts the usual one in its place.
    pub fn use_usual_port(self, config: &mut Config) {
        let Some((_, usual)) = self.ports(config) else { return };
        match self {
            Section::Smarthost => config.smarthost.port = usual,
            Section::Source(account, source) => {
                let account = config.accounts.get_mut(account);
                if let Some(source) = account.and_then(|account| account.sources.get_mut(source)) {
                    source.port = usual;
                }
            }
            _ => {}
        }
    }

    pub(super) fn account(self) -> Option<usize> {
        match self {
            Section::Account(account) | Section::Source(account, _) | Section::OAuth2(account, _) => {
                Some(account)
            }
            _ => None,
        }
    }

    pub(super) fn source(self) -> Option<usize> {
        match self {
            Section::Source(_, source) | Section::OAuth2(_, source) => Some(source),
            _ => None,
        }
    }

    /// What its settings' paths begin with, `account.office` for example. An account without a name
    /// goes by its number.
    pub fn path(self, config: &Config) -> String {
        let account = |a: usize| match config.accounts.get(a) {
            Some(account) if !account.name.is_empty() => format!("account.{}", account.name),
            Some(_) => format!("account {}", a + 1),
            None => "account".to_owned(),
        };
        match self {
            Section::Server => "server".to_owned(),
            Section::Listen => "listen".to_owned(),
            Section::Network => "network".to_owned(),
            Section::Tls => "tls".to_owned(),
            Section::Smarthost => "smarthost".to_owned(),
            Section::SmarthostOAuth2 => "smarthost.oauth2".to_owned(),
            Section::Multipop => "multipop".to_owned(),
            Section::Account(a) => account(a),
            Section::AppPassword(a, p) => format!("{}.app_password.{}", account(a), p + 1),
            Section::Source(a, s) => format!("{}.source.{}", account(a), s + 1),
            Section::OAuth2(a, s) => format!("{}.source.{}.oauth2", account(a), s + 1),
        }
    }
}

impl Place {
    /// The path by which the console names it.
    pub fn path(self, config: &Config) -> String {
        let section = self.section.path(config);
        if self.key.is_empty() { section } else { format!("{section}.{}", self.key) }
    }
}
