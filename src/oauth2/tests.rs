//! Tokens with a server that answers as the test sets.

mod flows;
mod renewal;
pub(crate) mod server;
mod tls;
mod trouble;

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use async_io::block_on;
use smol::future::or;

use super::{Keeper, Tokens};
use crate::certificate;
use crate::config::{Account, Config, Holder, OAuth2, Secret, Source, SourceAuth};
use crate::context::Context;
use crate::flash::sim::SimFlash;
use crate::sasl::client::AccessToken;
use crate::store::Store;
use server::Server;

/// Puts changes of the settings in force and counts them, or refuses them.
pub(crate) struct Kept {
    pub context: Rc<Context>,
    pub times: Cell<usize>,
    pub fails: Cell<bool>,
}

impl Keeper for Kept {
    fn keep<'a>(
        &'a self,
        change: &'a dyn Fn(&mut Config),
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + 'a>> {
        Box::pin(async move {
            if self.fails.get() {
                return Err("the flash is full".to_owned());
            }
            let mut config = (*self.context.config()).clone();
            change(&mut config);
            self.times.set(self.times.get() + 1);
            self.context.renew_tokens(config);
            Ok(())
        })
    }
}

/// The parts of a test.
struct Stage {
    context: Rc<Context>,
    tokens: Rc<Tokens>,
    kept: Rc<Kept>,
    server: Server,
}

const ANN: Holder = Holder::Source { account: 1, source: 1 };

impl Stage {
    /// The client of a source, with the settings in force.
    fn client(&self, source: u64) -> OAuth2 {
        let holder = Holder::Source { account: 1, source };
        self.context.config().settings_of(holder).unwrap().client.clone()
    }

    fn refresh_tokens(&self) -> Vec<String> {
        let config = self.context.config();
        (1..=3)
            .map(|source| config.settings_of(Holder::Source { account: 1, source }).unwrap())
            .map(|held| held.client.refresh_token.reveal().to_owned())
            .collect()
    }

    async fn access(&self, source: u64) -> Result<AccessToken, super::Error> {
        let client = self.client(source);
        self.tokens.access(&client, "").await
    }

    /// The access token, or the error.
    async fn told(&self) -> String {
        match self.access(1).await {
            Ok(token) => token.reveal().to_owned(),
            Err(error) => error.to_string(),
        }
    }
}

fn secret<const N: usize>(text: &str) -> Secret<N> {
    Secret::new(text).unwrap()
}

/// Runs a test with an account of three sources: two of one login with the refresh token `r1`, and one with `other`.
fn play(test: impl AsyncFnOnce(&Stage)) {
    play_in(|_| {}, |context| context, test);
}

fn play_in(
    settings: impl FnOnce(&mut Config),
    world: impl FnOnce(Context) -> Context,
    test: impl AsyncFnOnce(&Stage),
) {
    block_on(async {
        let server = Server::new();
        let source = |id: u64, login: &str, refresh: &str| Source {
            id,
            host: "imap.provider.example".try_into().unwrap(),
            username: login.try_into().unwrap(),
            auth: SourceAuth::OAuth2,
            oauth2: Some(Box::new(OAuth2 {
                token_url: server.url("/token").as_str().try_into().unwrap(),
                client_id: "id".try_into().unwrap(),
                client_secret: secret("hush"),
                refresh_token: secret(refresh),
                ..OAuth2::default()
            })),
            ..Source::default()
        };
        let sources = vec![source(1, "ann", "r1"), source(2, "Ann", "r1"), source(3, "bob", "other")];
        let account = Account { id: 1, name: "x".try_into().unwrap(), sources, ..Account::default() };
        let mut config = Config { accounts: vec![account], ..Config::default() };
        settings(&mut config);
        let flash = SimFlash::default();
        let tls = certificate::server_config(&config, &flash).await.unwrap();
        let context = Rc::new(world(Context::new(config, tls, Store::new(Rc::new(flash)))));
        let tokens = Tokens::new(context.clone());
        let kept = Rc::new(Kept { context: context.clone(), times: Cell::new(0), fails: Cell::new(false) });
        tokens.keep_with(kept.clone());
        let stage = Stage { context, tokens: tokens.clone(), kept, server };
        let beside = async { or(tokens.run(), stage.server.serve()).await };
        or(test(&stage), async {
            beside.await;
            unreachable!()
        })
        .await;
    });
}
