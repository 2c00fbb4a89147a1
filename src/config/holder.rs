//! The holders of OAuth 2.0 permissions: sources, and the smarthost.

use super::{Config, OAuth2, Purpose, Secret, Source};

/// Names a login that uses a permission. The name stays when other settings of the login change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// The global login of the smarthost.
    Smarthost,
    /// A source, by the identities of its account and of itself.
    Source {
        /// [`super::Account::id`].
        account: u64,
        /// [`super::Source::id`].
        source: u64,
    },
}

/// What is known of a holder.
#[derive(Debug, Clone, Copy)]
pub struct HolderSettings<'a> {
    /// The client that asks for the permission.
    pub client: &'a OAuth2,
    /// The login that the permission is for.
    pub username: &'a str,
    /// What the permission is for.
    pub purpose: Purpose,
    /// Path of a PEM file with further trusted certificates; empty: none.
    pub ca: &'a str,
}

impl Source {
    /// Whether nothing but the refresh token differs. It changes without a decision of the user.
    pub fn differs_in_token_only(&self, other: &Source) -> bool {
        let without = |source: &Source| {
            let mut source = source.clone();
            source.oauth2.iter_mut().for_each(|client| client.refresh_token = Secret::default());
            source
        };
        self == other || without(self) == without(other)
    }
}

impl HolderSettings<'_> {
    /// Whether one permission is good for both holders.
    fn shares_permission_with(&self, other: &HolderSettings<'_>) -> bool {
        let scope = |held: &HolderSettings<'_>| held.client.scope_for(held.purpose).to_owned();
        self.client.is_same_client(other.client)
            && self.username.eq_ignore_ascii_case(other.username)
            && scope(self) == scope(other)
    }
}

impl Config {
    /// The holder that is source `number` (counted from 1) of the account called `account`.
    pub fn holder(&self, account: &str, number: usize) -> Option<Holder> {
        let account = self.account(account)?;
        let source = account.sources.get(number.checked_sub(1)?)?;
        Some(Holder::Source { account: account.id, source: source.id })
    }

    /// What is known of `holder`; `None` where it has no client, or where no holder has this identity.
    pub fn settings_of(&self, holder: Holder) -> Option<HolderSettings<'_>> {
        self.all_with_settings().find(|(found, _)| *found == holder).map(|(_, held)| held)
    }

    fn all_with_settings(&self) -> impl Iterator<Item = (Holder, HolderSettings<'_>)> {
        let smarthost = &self.smarthost;
        let first = smarthost.oauth2.as_deref().map(|client| {
            let (username, ca) = (smarthost.username.as_str(), smarthost.ca.as_str());
            (Holder::Smarthost, HolderSettings { client, username, purpose: Purpose::Smtp, ca })
        });
        let sources = self.accounts.iter().flat_map(|account| {
            account.sources.iter().filter_map(|source| {
                let holder = Holder::Source { account: account.id, source: source.id };
                let client = source.oauth2.as_deref()?;
                let (username, ca) = (source.username.as_str(), source.ca.as_str());
                Some((holder, HolderSettings { client, username, purpose: source.protocol.into(), ca }))
            })
        });
        first.into_iter().chain(sources)
    }

    /// All clients of the configuration.
    pub fn clients(&self) -> impl Iterator<Item = &OAuth2> {
        self.all_with_settings().map(|(_, held)| held.client)
    }

    /// All holders that the permission of `holder` is good for: `holder` itself, and each one of the same login, client and
    /// scope.
    pub fn sharing_permission(&self, holder: Holder) -> Vec<Holder> {
        let Some(held) = self.settings_of(holder) else { return Vec::new() };
        self.all_with_settings()
            .filter(|(_, other)| other.shares_permission_with(&held))
            .map(|(holder, _)| holder)
            .collect()
    }

    /// All clients with their holders, to be changed.
    pub fn clients_mut(&mut self) -> impl Iterator<Item = (Holder, &mut OAuth2)> {
        let smarthost = self.smarthost.oauth2.as_deref_mut().map(|client| (Holder::Smarthost, client));
        let sources = self.accounts.iter_mut().flat_map(|account| {
            let account_id = account.id;
            account.sources.iter_mut().filter_map(move |source| {
                let holder = Holder::Source { account: account_id, source: source.id };
                Some((holder, source.oauth2.as_deref_mut()?))
            })
        });
        smarthost.into_iter().chain(sources)
    }

    /// These settings without refresh tokens: what of them a person has decided.
    fn without_tokens(&self) -> Config {
        let mut config = self.clone();
        config.clients_mut().for_each(|(_, client)| client.refresh_token = Secret::default());
        config
    }

    /// Whether nothing but refresh tokens differs. They change without a decision of the user.
    pub fn differs_in_tokens_only(&self, other: &Config) -> bool {
        self.without_tokens() == other.without_tokens()
    }

    /// Takes over refresh tokens that have arrived since `self` was made from `before`. A client gets its token of `now`,
    /// unless its token in `self` is no longer that of `before`: somebody has set it by hand.
    pub fn merge_refresh_tokens(&mut self, before: &Config, now: &Config) {
        for (holder, client) in self.clients_mut() {
            let (Some(before), Some(now)) = (before.settings_of(holder), now.settings_of(holder)) else {
                continue;
            };
            if client.is_same_client(now.client) && client.refresh_token == before.client.refresh_token {
                client.refresh_token = now.client.refresh_token.clone();
            }
        }
    }
}
