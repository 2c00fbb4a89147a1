//! The smarthost's login with a permission instead of a password (OAuth 2.0).

use super::Relay;
use super::outgoing::Login;
use crate::config::{Config, OAuth2, SourceAuth};
use crate::oauth2;
use crate::outgoing::{Bearer, Credentials, Proof, Route};
use crate::smtp::client::{Client, Failure};

impl Relay {
    /// A connection to the smarthost with this login. A token that is refused is renewed once.
    pub(super) async fn connect(&self, login: &Login, config: &Config) -> Result<Client, Failure> {
        let smarthost = &config.smarthost;
        if smarthost.host.is_empty() {
            return Err(Failure::Unavailable("no smarthost is set".to_owned()));
        }
        let (route, hello, time) = (Route::from(smarthost), &config.server.hostname, &self.context.time);
        if let (Login::Global, Some(client)) = (login, client(config)) {
            let mut again = true;
            loop {
                let token = self.tokens.access(client, &smarthost.ca).await.map_err(|error| told(&error))?;
                let (host, port) = (smarthost.host.to_string(), smarthost.port);
                let proof = Proof::Token(Bearer { token: token.clone(), host, port });
                let credentials = Credentials { username: smarthost.username.to_string(), proof };
                let connected = Client::connect(&route, hello, Some(credentials), time).await;
                if !matches!(connected, Err(Failure::Token(_))) {
                    return connected;
                }
                self.tokens.forget(client, &token);
                if !std::mem::take(&mut again) {
                    return connected;
                }
            }
        }
        let credentials = login.credentials(config);
        if credentials.is_none() && *login != Login::Global {
            return Err(Failure::Unavailable("the account is gone".to_owned()));
        }
        Client::connect(&route, hello, credentials, time).await
    }
}

/// The client of the global login, where that is made with a permission.
pub(super) fn client(config: &Config) -> Option<&OAuth2> {
    let smarthost = &config.smarthost;
    smarthost.oauth2.as_deref().filter(|_| smarthost.auth == SourceAuth::OAuth2)
}

fn told(error: &oauth2::Error) -> Failure {
    Failure::Unavailable(match error.needs_permission() {
        true => format!("waits for a new permission, `oauth2 smarthost` in the console: {error}"),
        false => error.to_string(),
    })
}
