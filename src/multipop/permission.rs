//! Polls that log in with an access token instead of a password (OAuth 2.0).

use std::rc::Rc;

use smol::future::or;

use super::Error;
use super::collection::Outcome;
use super::ending::Ending;
use super::errand::Waits;
use super::poller::Poller;
use super::watch::Watch;
use super::wire::Withdrawal;
use crate::config::{Config, OAuth2, Protocol, Source, SourceAuth};
use crate::oauth2;
use crate::outgoing;
use crate::sasl::client::AccessToken;

/// Octets of an access token above which a POP3 server may refuse it, with an error that does not say why.
const LONG: usize = 4 * 1024;

impl Source {
    /// The OAuth 2.0 client of the source, if it logs in with an access token.
    fn client(&self) -> Option<&OAuth2> {
        self.oauth2.as_deref().filter(|_| self.auth == SourceAuth::OAuth2)
    }
}

impl Poller {
    /// An access token, if `source` logs in with one.
    pub(super) async fn permission(&self, source: &Source) -> Result<Option<AccessToken>, Error> {
        match source.client() {
            Some(client) => Ok(Some(self.tokens.access(client, &source.ca).await?)),
            None => Ok(None),
        }
    }

    /// One poll, with an access token where the source needs one. A token that the server refuses, or that ends in
    /// the middle of the poll, is renewed once.
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
                // The poll made progress, and the next one is due at once.
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

/// Whether a server may end a session in this way because its access token has ended.
fn is_end(error: &Error) -> bool {
    use outgoing::Error as Way;
    matches!(
        error,
        Error::TurnedAway(_)
            | Error::Refused { .. }
            | Error::Outgoing(Way::Closed | Way::Connection(_) | Way::Busy(_))
    )
}

/// Turns `error` into the one about a token that is too long for the protocol, if that may be the reason.
fn told(error: Error, source: &Source, token: &AccessToken) -> Error {
    let octets = token.reveal().len();
    let ends = is_refusal(&error) || matches!(error, Error::Outgoing(outgoing::Error::Closed));
    match source.protocol {
        Protocol::Pop3 if ends && octets > LONG => outgoing::Error::TokenTooLong(octets).into(),
        _ => error,
    }
}

/// The command by which the operator gives this source of `account` a new permission, if the source waits for one.
pub fn command(config: &Config, account: &str, source: &Source, ending: &Ending) -> Option<String> {
    let Ending::Failed(Error::Token(error)) = ending else { return None };
    let sources = &config.account(account)?.sources;
    let number = sources.iter().position(|other| other.id == source.id)? + 1;
    oauth2::Error::needs_permission(error).then(|| format!("oauth2 {account} {number}"))
}
