//! LOGIN and AUTHENTICATE (RFC 3501 section 6.2), STARTTLS (section 6.2.1) and ID (RFC 2971).

use std::io;
use std::rc::Rc;

use zeroize::Zeroizing;

use super::connector;
use crate::access;
use crate::auth::Verdict;
use crate::config::Config;
use crate::credential::Verifier;
use crate::imap::server::Connection;
use crate::imap::state::outcome::{Outcome, Reply};
use crate::imap::state::session::{NO_CONNECTOR, Session, State};
use crate::imap::wire::command::Command;
use crate::net::line::LineEnd;
use crate::sasl::server::{Exchange, MAX_RESPONSE, Mechanism, Step};
use crate::store::Account;

/// Refused logins after which the connection ends.
const MAX_REFUSED: u8 = 3;

impl Session {
    /// Commands in the Not Authenticated state (RFC 3501 section 6.2).
    pub fn not_authenticated(&mut self, config: &Config, tag: String, command: Command) -> Outcome {
        const PRIVACY: &str =
            "NO [PRIVACYREQUIRED] A password may not travel in the clear; use STARTTLS first";
        match command {
            Command::StartTls if self.channel.tls => Outcome::reply(tag, "BAD TLS is in force already"),
            Command::StartTls => Outcome::StartTls(Reply::new(tag, "OK Begin the TLS handshake now")),
            Command::Login { .. } | Command::Authenticate { .. }
                if !self.channel.may_carry_password(config) =>
            {
                Outcome::reply(tag, PRIVACY)
            }
            Command::Login { username, password } => Outcome::Login { tag, username, password },
            Command::Authenticate { mechanism, initial } => {
                let Some(mechanism) = Mechanism::named(&mechanism, self.channel.bindable) else {
                    return Outcome::reply(tag, "NO That mechanism is not offered");
                };
                let (exchange, step) = Exchange::start(mechanism, self.channel.bindable, initial.as_deref());
                Outcome::Authenticate { tag, exchange, step }
            }
            _ => Outcome::reply(tag, "BAD Log in first"),
        }
    }

    /// Goes on after a successful login.
    pub fn logged_in(
        &mut self,
        config: &Config,
        account: Rc<Account>,
        tag: String,
        out: &mut String,
    ) -> Outcome {
        if self.connector && !may_use_connector(config, &account.name()) {
            return self.end(NO_CONNECTOR, out);
        }
        self.state = State::Authenticated(account);
        let text = format!("OK [CAPABILITY {}] Logged in", self.capabilities(config));
        self.create_standard_mailboxes(Reply::new(tag, text))
    }

    /// Creates the folders that a Connector client looks for, from its first login on.
    fn create_standard_mailboxes(&self, reply: Reply) -> Outcome {
        let account = self.account().filter(|_| self.connector);
        match account.and_then(connector::missing_folders) {
            Some(transaction) => {
                Outcome::Aside { what: "the folders for Connector clients", transaction, reply }
            }
            None => Outcome::Reply(reply),
        }
    }

    /// Refuses a login. The reply is the same whatever the reason.
    pub fn login_refused(&mut self, tag: String) -> Outcome {
        self.refused += 1;
        let mut reply = Reply::new(tag, "NO [AUTHENTICATIONFAILED] Login refused");
        if self.refused >= MAX_REFUSED {
            self.state = State::Logout;
            reply.goodbye = Some("* BYE Too many refused logins\r\n");
        }
        Outcome::Reply(reply)
    }

    /// Refuses a login unchecked, because too many logins from this address are waiting (RFC 5530 section 3: a
    /// temporary failure).
    pub fn login_turned_away(&mut self, tag: String) -> Outcome {
        self.state = State::Logout;
        let mut reply = Reply::new(tag, "NO [UNAVAILABLE] Too many logins from your address wait");
        reply.goodbye = Some("* BYE Too many logins from your address wait, try again later\r\n");
        Outcome::Reply(reply)
    }

    /// ID (RFC 2971). Connector clients give their name here, before or after the login.
    pub fn id(
        &mut self,
        config: &Config,
        tag: String,
        pairs: &[(String, Option<String>)],
        out: &mut String,
    ) -> Outcome {
        let name = pairs.iter().find(|(field, _)| field.eq_ignore_ascii_case("name"));
        if let Some((_, Some(name))) = name {
            self.connector |= connector::is_connector(name);
        }
        if self.connector && self.account().is_some_and(|account| !may_use_connector(config, &account.name()))
        {
            return self.end(NO_CONNECTOR, out);
        }
        let version = env!("CARGO_PKG_VERSION");
        let token = config.token();
        out.push_str(&format!(
            "* ID (\"name\" \"Pillarbox\" \"version\" \"{version}\" \"token\" \"{token}\")\r\n"
        ));
        self.create_standard_mailboxes(Reply::new(tag, "OK ID completed"))
    }
}

impl Connection {
    /// Opens the account that has logged in.
    pub async fn welcome(
        &mut self,
        tag: String,
        name: &str,
        verifier: Box<Verifier>,
        out: &mut String,
    ) -> Outcome {
        match self.context.store.account(name).await {
            Ok(account) => {
                let config = self.context.config();
                self.place.is_of_account(name, verifier, &config);
                self.session.logged_in(&config, account, tag, out)
            }
            Err(error) => {
                log::error!("imap: the mail of {name} cannot be opened: {error}");
                Outcome::reply(tag, "NO [UNAVAILABLE] The mail of this account cannot be opened now")
            }
        }
    }

    /// AUTHENTICATE (RFC 3501 section 6.2.2): the exchange ends when the mechanism has what it needs, or when the
    /// client sends `*`.
    pub async fn authenticate(
        &mut self,
        tag: String,
        mut exchange: Exchange,
        mut step: Step,
        out: &mut String,
    ) -> io::Result<Outcome> {
        let mut line = Zeroizing::default();
        loop {
            let challenge = match step {
                Step::Challenge(challenge) => challenge,
                Step::Claim(claim) => match self.judge(claim).await? {
                    Verdict::Welcome(name, verifier) => {
                        return Ok(self.welcome(tag, &name, verifier, out).await);
                    }
                    Verdict::Refused(_) => return Ok(self.session.login_refused(tag)),
                    Verdict::TurnedAway => return Ok(self.session.login_turned_away(tag)),
                    Verdict::Answer(answer) => {
                        step = exchange.answer(answer);
                        continue;
                    }
                },
                Step::Failed => return Ok(self.session.login_refused(tag)),
            };
            self.say(&format!("+ {challenge}\r\n")).await?;
            step = match self.read_line(&mut line, MAX_RESPONSE).await? {
                LineEnd::Complete if line.as_slice() == b"*" => {
                    return Ok(Outcome::reply(tag, "BAD The login was cancelled"));
                }
                LineEnd::Complete => exchange.respond(&line),
                LineEnd::TooLong => Step::Failed,
                LineEnd::Closed => return Ok(Outcome::End),
            };
        }
    }
}

fn may_use_connector(config: &Config, account: &str) -> bool {
    config.account(account).is_some_and(|account| access::may_use_connector(config, account))
}
