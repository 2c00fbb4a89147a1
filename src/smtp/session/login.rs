//! AUTH (RFC 4954).

use super::{Effect, MAX_REFUSED_LOGINS, Session, out_of_order};
use crate::auth::Verdict;
use crate::config::Config;
use crate::sasl::server::{Exchange, Mechanism, Step};
use crate::smtp::command::Error;
use crate::smtp::{Reply, Role};

impl Session {
    /// Answers AUTH (RFC 4954 section 4).
    pub(super) fn auth(&mut self, mechanism: &str, initial: Option<&[u8]>, config: &Config) -> Effect {
        if self.role == Role::LanSmtp {
            return Effect::Reply(Error::NotImplemented.into());
        }
        if self.account.is_some() {
            return Effect::Reply(out_of_order("You are logged in already"));
        }
        if !self.hello.as_ref().is_some_and(|hello| hello.extended) {
            return Effect::Reply(out_of_order("Say EHLO first"));
        }
        let Some(mechanism) = Mechanism::named(mechanism, self.channel.bindable) else {
            return Effect::Reply(Reply::new(504, (5, 4), "No such mechanism"));
        };
        if !self.channel.may_carry_password(config) {
            return Effect::Reply(Reply::new(
                538,
                (7, 11),
                "Use STARTTLS first: a password is not for everyone",
            ));
        }
        let (exchange, step) = Exchange::start(mechanism, self.channel.bindable, initial);
        self.step(exchange, step)
    }

    /// Takes a line of the exchange; `*` cancels it.
    pub(super) fn response(&mut self, mut exchange: Exchange, line: &[u8]) -> Effect {
        if line == b"*" {
            return self.counted(Effect::Reply(Reply::new(501, (7, 0), "Login cancelled")));
        }
        let step = exchange.respond(line);
        let effect = self.step(exchange, step);
        self.counted(effect)
    }

    fn step(&mut self, exchange: Exchange, step: Step) -> Effect {
        match step {
            Step::Challenge(challenge) => {
                self.exchange = Some(exchange);
                Effect::Reply(Reply::plain(334, challenge))
            }
            Step::Claim(claim) => Effect::Login { claim, exchange },
            Step::Failed => Effect::Reply(Reply::new(501, (5, 2), "That is no response of this mechanism")),
        }
    }

    /// Takes the verdict on an [`Effect::Login`]. Every refusal looks the same.
    pub fn judged(&mut self, mut exchange: Exchange, verdict: Verdict) -> Effect {
        match verdict {
            Verdict::Welcome(account, _) => {
                self.account = Some(account);
                self.errors = 0;
                return Effect::Reply(Reply::new(235, (7, 0), "Welcome"));
            }
            Verdict::Answer(answer) => {
                let step = exchange.answer(answer);
                return self.step(exchange, step);
            }
            Verdict::Refused(_) => {}
            // Such a failure is temporary (RFC 4954 section 6); the connection is closed (RFC 5321 section 3.8).
            Verdict::TurnedAway => {
                let reply =
                    Reply::new(421, (7, 0), "Too many logins from your address wait, try again later");
                return Effect::Close(vec![reply]);
            }
        }
        self.refused_logins += 1;
        let refused = Reply::new(535, (7, 8), "Authentication credentials invalid");
        if self.refused_logins < MAX_REFUSED_LOGINS {
            return Effect::Reply(refused);
        }
        Effect::Close(vec![refused, Reply::new(421, (7, 0), "Too many refused logins")])
    }
}
