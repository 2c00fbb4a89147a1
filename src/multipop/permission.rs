//! A poll that logs in with a permission instead of a password (OAuth 2.0).

use std::rc::Rc;

use smol::future::or;

use super::Error;
use super::collection::Outcome;
use super::errand::Waits;
use super::poller::Poller;
use super::watch::Watch;
use super::wire::Withdrawal;
use crate::config::{Config, OAuth2, Protocol, Source, SourceAuth};
use crate::oauth2;
use crate::outgoing;
use crate::sasl::client::AccessToken;

/// Octets of an access token beyond which a server of POP3 may not take it, and says so in its own way.
const LONG: usize = 4 * 1024;

impl Source {
    /// Its client, where it logs in with a permission.
    fn client(&self) -> Option<&OAuth2> {
        self.oauth2.as_deref().filter(|_| self.auth == SourceAuth::OAuth2)
    }
}

impl Poller {
    /// A token where `source` logs in with one.
    pub(super) async fn permission(&self, source: &Source) -> Result<Option<AccessToken>, Error> {
        match source.client() {
            Some(client) => Ok(Some(self.tokens.access(client, &source.ca).await?)),
            None => Ok(None),
        }
    }

    /// One poll, with a token where it needs one. A token that the server refuses, or that ends in the middle, is renewed once.
    pub(super) async fn collect<'w>(
        &self,
        watch: &Watch,
        source: &Source,
        withdrawal: Rc<Withdrawal>,
        waits: &dyn Fn(Outcome) -> Waits<'w>,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        let Some(client) = source.client() else {
            return self.collect_with(watch, source, None, withdrawal, waits, outcome).await;
        };
        let mut again = true;
        loop {
            let access = async { Ok(self.tokens.access(client, &source.ca).await?) };
            let token = or(access, async { Err(withdrawal.wait().await) }).await?;
            let with = Some(token.clone());
            let result = self.collect_with(watch, source, with, withdrawal.clone(), waits, outcome).await;
            let Err(error) = result else { return Ok(()) };
            let is_over = is_refusal(&error) || is_end(&error) && !self.tokens.is_good(client, &token);
            if !is_over {
                return Err(told(error, source, &token));
            }
            self.tokens.forget(client, &token);
            if outcome.collected > 0 {
                // It got on, and goes on at once.
                outcome.at_once = true;
                return Ok(());
            }
            if !std::mem::take(&mut again) {
                return Err(told(error, source, &token));
            }
        }
    }
}

fn is_refusal(error: &Error) -> bool {
    matches!(error, Error::Outgoing(outgoing::Error::TokenRefused { .. }))
}

/// Whether it may be how a server ends a session whose token has ended.
fn is_end(error: &Error) -> bool {
    use outgoing::Error as Way;
    matches!(
        error,
        Error::TurnedAway(_)
            | Error::Refused { .. }
            | Error::Outgoing(Way::Closed | Way::Connection(_) | Way::Busy(_))
    )
}

/// Tells a token that is refused from one that is too long for the protocol.
fn told(error: Error, source: &Source, token: &AccessToken) -> Error {
    let octets = token.reveal().len();
    let ends = is_refusal(&error) || matches!(error, Error::Outgoing(outgoing::Error::Closed));
    match source.protocol {
        Protocol::Pop3 if ends && octets > LONG => outgoing::Error::TokenTooLong(octets).into(),
        _ => error,
    }
}

/// What the operator types for a new permission for this source of `account`, where that is what it waits for.
pub fn command(config: &Config, account: &str, source: &Source, error: &Error) -> Option<String> {
    let Error::Token(error) = error else { return None };
    let sources = &config.account(account)?.sources;
    let number = sources.iter().position(|other| other.id == source.id)? + 1;
    oauth2::Error::needs_permission(error).then(|| format!("oauth2 {account} {number}"))
}
