//! The smarthost's login with an access token instead of a password (OAuth 2.0).

use super::Relay;
use super::outgoing::Login;
use crate::config::{Config, OAuth2, SourceAuth};
use crate::oauth2;
use crate::outgoing::{Bearer, Credentials, Habit, Proof, Route};
use crate::smtp::client::{Client, Failure, Passed};

impl Relay {
    /// Connects to the smarthost with this login. An access token that is refused is renewed once.
    pub(super) async fn connect(&self, login: &Login, config: &Config) -> Result<Client, Failure> {
        self.connect_and_tell(login, config, &|_| ()).await
    }

    /// Connects to the smarthost like [`Relay::connect`], and reports each step to `tell`.
    pub(super) async fn connect_and_tell(
        &self,
        login: &Login,
        config: &Config,
        tell: &dyn Fn(Passed<'_>),
    ) -> Result<Client, Failure> {
        let smarthost = &config.smarthost;
        if smarthost.host.is_empty() {
            return Err(Failure::Unavailable("no smarthost is set".to_owned()));
        }
        let (route, hello, time) = (Route::from(smarthost), &config.server.hostname, &self.context.time);
        let quirks = &self.quirks;
        if let (Login::Global, Some(client)) = (login, client(config)) {
            let mut again = true;
            loop {
                let token = self.tokens.access(client, &smarthost.ca).await.map_err(|error| told(&error))?;
                let (host, port) = (smarthost.host.to_string(), smarthost.port);
                let proof = Proof::Token(Bearer { token: token.clone(), host, port });
                let (username, habit) = (smarthost.username.to_string(), Habit::default());
                let credentials = Credentials { username, proof, habit };
                let connected =
                    Client::connect_and_tell(&route, hello, Some(credentials), quirks, time, tell).await;
                if !matches!(connected, Err(Failure::Token(_))) {
                    return connected;
                }
                self.tokens.forget(client, &token);
                if !std::mem::take(&mut again) {
                    return connected;
                }
            }
        }
        let credentials = login
            .credentials(config)
            .map(|credentials| Credentials { habit: self.habit(login), ..credentials });
        if credentials.is_none() && *login != Login::Global {
            return Err(Failure::Unavailable("the account is gone".to_owned()));
        }
        Client::connect_and_tell(&route, hello, credentials, quirks, time, tell).await
    }
}

/// What logins have found out about the smarthost, each for itself.
impl Relay {
    fn habit(&self, login: &Login) -> Habit {
        self.habits.borrow_mut().entry(login.clone()).or_default().clone()
    }
}

/// The OAuth 2.0 client of the global login, if that login uses an access token.
pub(super) fn client(config: &Config) -> Option<&OAuth2> {
    let smarthost = &config.smarthost;
    smarthost.oauth2.as_deref().filter(|_| smarthost.auth == SourceAuth::OAuth2)
}

fn told(error: &oauth2::Error) -> Failure {
    match error.needs_permission() {
        true => {
            Failure::Token(format!("waits for a new permission, `oauth2 smarthost` in the console: {error}"))
        }
        false => Failure::Unavailable(error.to_string()),
    }
}
