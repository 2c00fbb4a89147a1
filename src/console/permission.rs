//! `oauth2`: asks for a permission to log in elsewhere. What is asked is [`crate::oauth2`]'s; here are the words.

use std::io;

use smol::future::or;
use smol::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroizing;

use super::session::{Expecting, Session, Step};
use crate::config::{Config, Holder, SourceAuth};
use crate::oauth2::{Asking, Code, Device};
use crate::operator::qr;
use crate::operator::{Operator, World};

/// For the smarthost in the place of an account.
pub const SMARTHOST: &str = "smarthost";

impl Session {
    pub(super) fn oauth2(&mut self, world: &dyn World, words: &[&str]) -> Step {
        let config = world.config();
        match holder(&config, words) {
            Ok(holder) => Step::Ask(holder),
            Err(why) => Step::Refuse(why),
        }
    }

    /// The address at which the browser ended, which is taken for a permission.
    pub(super) fn pasted(&mut self, holder: Holder, code: Box<Code>, line: &str) -> Step {
        match line.trim().is_empty() {
            true => Step::Refuse("nothing was pasted: there is no new permission".to_owned()),
            false => Step::Redeem { holder, code, pasted: Zeroizing::new(line.to_owned()) },
        }
    }

    fn expect_address(&mut self, holder: Holder, code: Code) {
        self.expecting = Expecting::Address { holder, code: Box::new(code) };
    }
}

/// Whom the words name, in the settings in force.
fn holder(config: &Config, words: &[&str]) -> Result<Holder, String> {
    let (holder, auth) = match words {
        [SMARTHOST] => (Holder::Smarthost, config.smarthost.auth),
        [name] | [name, _] => {
            let number = words.get(1).map_or(Ok(1), |number| number.parse());
            let number = number.map_err(|_| "a source has a number: see `show sources`".to_owned())?;
            let source = config.account(name).and_then(|it| it.sources.get(usize::checked_sub(number, 1)?));
            let there = config.holder(name, number).zip(source);
            let (holder, source) = there.ok_or_else(|| {
                format!("there is no source {number} of {name} in force: `add source` and `commit` it first")
            })?;
            (holder, source.auth)
        }
        _ => return Err("usage: oauth2 NAME [NUMBER] | oauth2 smarthost".to_owned()),
    };
    if auth != SourceAuth::OAuth2 || config.settings_of(holder).is_none() {
        return Err("it logs in with a password: set its auth to oauth2, with .oauth2.provider and \
                    .oauth2.client_id, and `commit`"
            .to_owned());
    }
    Ok(holder)
}

/// Asks for a permission; what is said in the end. `keys` tells whether a key of the operator ends it.
pub(super) async fn ask(
    operator: &Operator,
    session: &mut Session,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    holder: Holder,
    keys: bool,
) -> io::Result<Step> {
    let username =
        operator.context.config().settings_of(holder).map_or(String::new(), |held| held.username.to_owned());
    match Box::pin(operator.tokens.ask(holder)).await {
        Err(error) => Ok(Step::Refuse(format!("{error}. {}", error.advice()))),
        Ok(Asking::Code(code)) => {
            let words = words_of_code(&code, &username);
            session.expect_address(holder, code);
            Ok(Step::Say(words))
        }
        Ok(Asking::Device(device)) => {
            let words = words_of_device(&device, &username, keys, session.is_dumb);
            stream.write_all(if keys { words.replace('\n', "\r\n") } else { words }.as_bytes()).await?;
            stream.flush().await?;
            let given = async { Ok(Some(Box::pin(operator.tokens.wait(holder, device)).await)) };
            let given_up = async {
                match keys {
                    true => given_up(stream).await.map(|()| None),
                    false => std::future::pending().await,
                }
            };
            Ok(match or(given, given_up).await? {
                None => Step::Refuse("given up: there is no new permission".to_owned()),
                Some(outcome) => outcome_of(operator, holder, outcome),
            })
        }
    }
}

/// Takes the pasted address.
pub(super) async fn redeem(operator: &Operator, holder: Holder, code: &Code, pasted: &str) -> Step {
    let outcome = Box::pin(operator.tokens.redeem(holder, code, pasted)).await;
    outcome_of(operator, holder, outcome)
}

fn outcome_of(operator: &Operator, holder: Holder, outcome: Result<(), crate::oauth2::Error>) -> Step {
    if let Err(error) = outcome {
        return Step::Refuse(format!("{error}: there is no new permission"));
    }
    operator.use_permission(holder);
    Step::Say("the permission is stored and in use\n".to_owned())
}

/// Ends when the operator has pressed Enter, Control-C or Control-D, or has gone.
async fn given_up(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut piece = [0; 256];
    loop {
        let read = stream.read(&mut piece).await?;
        let typed = piece.get(..read).unwrap_or_default();
        if typed.is_empty() || typed.iter().any(|octet| matches!(octet, b'\r' | b'\n' | 0x03 | 0x04)) {
            return Ok(());
        }
    }
}

fn words_of_device(device: &Device, username: &str, keys: bool, is_dumb: bool) -> String {
    let code = qr::half_blocks(device.complete_uri()).filter(|_| !is_dumb).unwrap_or_default();
    let minutes = device.lasts().as_secs().div_ceil(60);
    format!(
        "Open {} on any device, log in as {username}, and type this code:\n\n    {}\n\n{code}\
         waiting for that, {minutes} minutes at the most{}\n",
        device.uri(),
        device.user_code(),
        if keys { "; Enter gives up" } else { "" },
    )
}

fn words_of_code(code: &Code, username: &str) -> String {
    format!(
        "Open this address in a browser, on any computer, log in as {username} and agree:\n\n{}\n\n\
         In the end the browser shows that it cannot load a page of 127.0.0.1. That is as it should be:\n\
         copy the whole address of that page, which begins with http://127.0.0.1, and paste it here.\n",
        code.address(),
    )
}
