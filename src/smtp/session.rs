//! The server's side of an SMTP dialog (RFC 5321, RFC 6409) as a state machine without I/O: a line and
//! the settings in force go in, a reply or something for the server to do comes out.

use std::net::IpAddr;

use super::command::{Command, Error};
use super::{Envelope, Mailbox, Recipient, Reply, ReversePath, Role, dsn};
use crate::access::on_lan;
use crate::auth::Verdict;
use crate::config::Config;
use crate::sasl::server::{Claim, Exchange, Mechanism, Step};
use crate::serving::Channel;

/// RFC 5321 section 4.5.3.1.8 asks for at least this many.
pub const MAX_RECIPIENTS: usize = 100;
/// Refused logins that a connection may see.
const MAX_REFUSED_LOGINS: u8 = 3;
/// Commands that made no sense until the connection is not worth having. Refused recipients do not
/// count: a mailing may have many.
const MAX_ERRORS: u8 = 20;

/// What the server does next.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send the reply.
    Reply(Reply),
    /// Send the replies and close.
    Close(Vec<Reply>),
    /// Send the reply, shake hands, and call [`Session::secured`].
    StartTls(Reply),
    /// See whether this is so, and call [`Session::judged`].
    Login {
        /// What the client claims.
        claim: Claim,
        /// The exchange that an answer goes to.
        exchange: Exchange,
    },
    /// Ask whether mail of `size` octets (0: not known) can go there, and call [`Session::recipient`].
    Recipient {
        /// The identity of the account that sends it; `None` for a device.
        account: Option<u64>,
        /// The forward-path, and what is asked for.
        to: Recipient,
        /// As MAIL said.
        size: u64,
    },
    /// Receive the content of this message. The transaction is over, whatever becomes of it.
    Content {
        /// Who sends it to whom.
        envelope: Envelope,
        /// As MAIL said.
        size: u64,
    },
}

/// A dialog.
#[derive(Debug)]
pub struct Session {
    role: Role,
    channel: Channel,
    hello: Option<Hello>,
    account: Option<String>,
    exchange: Option<Exchange>,
    transaction: Option<Transaction>,
    refused_logins: u8,
    errors: u8,
}

#[derive(Debug)]
struct Hello {
    name: String,
    extended: bool,
}

/// A mail transaction (RFC 5321 section 3.3) under way.
#[derive(Debug)]
struct Transaction {
    envelope: Envelope,
    size: u64,
}

/// Replies that more than one command gives.
fn ok() -> Reply {
    Reply::new(250, (0, 0), "OK")
}
fn out_of_order(text: &'static str) -> Reply {
    Reply::new(503, (5, 1), text)
}

impl Session {
    /// A dialog that has not begun; `tls` with implicit TLS.
    pub fn new(role: Role, peer: IpAddr, tls: bool) -> Session {
        Session {
            role,
            channel: Channel::new(peer, tls),
            hello: None,
            account: None,
            exchange: None,
            transaction: None,
            refused_logins: 0,
            errors: 0,
        }
    }

    /// The server's first words (RFC 5321 section 3.1).
    pub fn greeting(&self, config: &Config) -> Effect {
        if self.role == Role::LanSmtp && !on_lan(config, self.channel.peer) {
            let text =
                format!("{} takes mail without a login from its own network only", config.server.hostname);
            return Effect::Close(vec![Reply::new(554, (7, 1), text)]);
        }
        Effect::Reply(Reply::plain(220, format!("{} ESMTP", config.server.hostname)))
    }

    /// The account that logged in.
    pub fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    /// Whether the client has shown that it may send.
    pub fn may_send(&self) -> bool {
        self.role == Role::LanSmtp || self.account.is_some()
    }

    /// Whether a mail transaction is under way.
    pub fn has_begun(&self) -> bool {
        self.transaction.is_some()
    }

    /// Whether the next line is a command, and not a response to a challenge.
    pub fn expects_command(&self) -> bool {
        self.exchange.is_none()
    }

    /// What the client called itself.
    pub fn client_name(&self) -> &str {
        self.hello.as_ref().map_or("unknown", |hello| &hello.name)
    }

    /// How mail came, in the words of the registry that RFC 3848 began.
    pub fn protocol(&self) -> &'static str {
        let extended = self.hello.as_ref().is_some_and(|hello| hello.extended);
        match (extended, self.channel.tls, self.account.is_some()) {
            (false, _, _) => "SMTP",
            (true, false, false) => "ESMTP",
            (true, false, true) => "ESMTPA",
            (true, true, false) => "ESMTPS",
            (true, true, true) => "ESMTPSA",
        }
    }

    /// Takes a line, its line end taken off.
    pub fn line(&mut self, line: &[u8], config: &Config) -> Effect {
        if let Some(exchange) = self.exchange.take() {
            return self.response(exchange, line);
        }
        let effect = match Command::parse(line) {
            Ok(command) => self.command(command, config),
            Err(error) => Effect::Reply(error.into()),
        };
        self.counted(effect)
    }

    /// Takes a line that was longer than [`super::command::MAX_AUTH_LINE`].
    pub fn too_long(&mut self) -> Effect {
        let reply = match self.exchange.take() {
            Some(_) => Reply::new(500, (5, 6), "Line too long"),
            None => Error::TooLong.into(),
        };
        self.counted(Effect::Reply(reply))
    }

    /// Says goodbye to a client that makes no sense.
    fn counted(&mut self, effect: Effect) -> Effect {
        match effect {
            Effect::Reply(reply) if reply.is_permanent() => {
                self.errors += 1;
                if self.errors < MAX_ERRORS {
                    return Effect::Reply(reply);
                }
                Effect::Close(vec![reply, Reply::new(421, (7, 0), "Too many errors")])
            }
            effect => effect,
        }
    }

    fn command(&mut self, command: Command, config: &Config) -> Effect {
        match command {
            Command::Mail { from, size } => Effect::Reply(self.mail(from, size, config)),
            Command::Rcpt { to } => self.rcpt(to, config),
            Command::Data => self.data(),
            Command::Ehlo(name) => Effect::Reply(self.hello(name, true, config)),
            Command::Helo(name) => Effect::Reply(self.hello(name, false, config)),
            Command::Auth { mechanism, initial } => self.auth(&mechanism, initial.as_deref(), config),
            Command::StartTls => self.start_tls(),
            Command::Rset => {
                self.transaction = None;
                Effect::Reply(ok())
            }
            Command::Noop => Effect::Reply(ok()),
            Command::Vrfy => Effect::Reply(Reply::new(252, (5, 0), "Send some mail, I will try my best")),
            Command::Help => Effect::Reply(Reply::new(214, (0, 0), "See RFC 5321")),
            Command::Quit => Effect::Close(vec![Reply::new(221, (0, 0), "Goodbye")]),
        }
    }

    /// RFC 5321 section 4.1.1.1: what is offered. It ends a transaction.
    fn hello(&mut self, name: String, extended: bool, config: &Config) -> Reply {
        self.hello = Some(Hello { name, extended });
        self.transaction = None;
        let mut reply = Reply::plain(250, config.server.hostname.to_string());
        if extended {
            reply.lines.extend(["PIPELINING".into(), "8BITMIME".into(), "ENHANCEDSTATUSCODES".into()]);
            reply.lines.push(format!("SIZE {}", config.server.max_message_size).into());
            if !self.channel.tls {
                reply.lines.push("STARTTLS".into());
            }
            if self.login_possible() && self.channel.may_carry_password(config) {
                let offered: Vec<&str> =
                    Mechanism::offered(self.channel.bindable).map(Mechanism::name).collect();
                reply.lines.push(format!("AUTH {}", offered.join(" ")).into());
            }
        }
        reply
    }

    fn login_possible(&self) -> bool {
        matches!(self.role, Role::Submission { .. }) && self.account.is_none()
    }

    /// RFC 3207 section 4.
    fn start_tls(&self) -> Effect {
        if self.channel.tls {
            return Effect::Reply(out_of_order("TLS is in force already"));
        }
        Effect::StartTls(Reply::new(220, (0, 0), "Go ahead"))
    }

    /// TLS is in force: nothing that was said before counts (RFC 3207 section 4.2).
    pub fn secured(&mut self, bindable: bool) {
        self.channel.secured(bindable);
        self.hello = None;
        self.account = None;
        self.transaction = None;
    }

    /// RFC 4954 section 4.
    fn auth(&mut self, mechanism: &str, initial: Option<&[u8]>, config: &Config) -> Effect {
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

    /// A line of the exchange; `*` cancels it.
    fn response(&mut self, mut exchange: Exchange, line: &[u8]) -> Effect {
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

    /// The outcome of [`Effect::Login`]. Every refusal looks the same.
    pub fn judged(&mut self, mut exchange: Exchange, verdict: Verdict) -> Effect {
        match verdict {
            Verdict::Welcome(account, _) => {
                self.account = Some(account);
                return Effect::Reply(Reply::new(235, (7, 0), "Welcome"));
            }
            Verdict::Answer(answer) => {
                let step = exchange.answer(answer);
                return self.step(exchange, step);
            }
            Verdict::Refused(_) => {}
            // RFC 4954 section 6 calls a failure like this temporary; RFC 5321 section 3.8: the channel closes.
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

    /// RFC 5321 section 4.1.1.2, RFC 6409 section 6.1.
    fn mail(&mut self, from: ReversePath, size: Option<u64>, config: &Config) -> Reply {
        if self.hello.is_none() {
            return out_of_order("Say EHLO first");
        }
        if !self.may_send() {
            let text = if self.channel.may_carry_password(config) {
                "Log in first"
            } else {
                "Use STARTTLS, then log in"
            };
            return Reply::new(530, (7, 0), text);
        }
        if self.transaction.is_some() {
            return out_of_order("One message at a time");
        }
        let size = size.unwrap_or(0);
        if size > config.server.max_message_size {
            return too_large(config.server.max_message_size);
        }
        let (sender, account) = match self.sender(from, config) {
            Ok(sender) => sender,
            Err(refusal) => return refusal,
        };
        let envelope = Envelope {
            sender,
            account,
            recipients: Vec::new(),
            eight_bit: false,
            utf8: false,
            dsn: dsn::Request::default(),
        };
        self.transaction = Some(Transaction { envelope, size });
        ok()
    }

    /// An account sends as itself, a device as anyone of this house. The null reverse-path is
    /// everyone's: receipts are sent with it (RFC 8098 section 3). With the identity of the account.
    fn sender(&self, from: ReversePath, config: &Config) -> Result<(ReversePath, Option<u64>), Reply> {
        let Some(name) = &self.account else {
            let Some(from) = from else { return Ok((None, None)) };
            let from = from.qualified(home_domain(config));
            let local = config.stays_here(from.as_str());
            let refusal = || Reply::new(553, (7, 1), "Devices send as an address of this server only");
            return local.then_some((Some(from), None)).ok_or_else(refusal);
        };
        // An account that is gone is not a device: the session ends in a moment.
        let account = config.account(name).ok_or_else(not_yours)?;
        let own = from.as_ref().is_none_or(|from| config.may_send_as(account, from.as_str()));
        own.then_some((from, Some(account.id))).ok_or_else(not_yours)
    }

    /// RFC 5321 section 4.1.1.3.
    fn rcpt(&mut self, to: Mailbox, config: &Config) -> Effect {
        let Some(transaction) = &self.transaction else {
            return Effect::Reply(out_of_order("MAIL comes first"));
        };
        if transaction.envelope.recipients.len() >= MAX_RECIPIENTS {
            // 452, not 552: RFC 5321 section 4.5.3.1.10.
            return Effect::Reply(Reply::new(452, (5, 3), "Too many recipients"));
        }
        // RFC 5321 section 4.5.1: the postmaster needs no domain.
        if to.domain().is_empty() && !to.as_str().eq_ignore_ascii_case("postmaster") {
            return Effect::Reply(Reply::new(553, (1, 3), "That address has no domain"));
        }
        Effect::Recipient {
            account: transaction.envelope.account,
            to: to.qualified(home_domain(config)).into(),
            size: transaction.size,
        }
    }

    /// The outcome of [`Effect::Recipient`].
    pub fn recipient(&mut self, to: Recipient, outcome: Result<(), Reply>) -> Reply {
        let Some(transaction) = &mut self.transaction else { return out_of_order("MAIL comes first") };
        if let Err(refusal) = outcome {
            return refusal;
        }
        let recipients = &mut transaction.envelope.recipients;
        if !recipients.iter().any(|known| known.mailbox == to.mailbox) {
            recipients.push(to);
        }
        Reply::new(250, (1, 5), "OK")
    }

    /// RFC 5321 section 4.1.1.4.
    fn data(&mut self) -> Effect {
        match self.transaction.take() {
            None => Effect::Reply(out_of_order("MAIL and RCPT come first")),
            Some(transaction) if transaction.envelope.recipients.is_empty() => {
                self.transaction = Some(transaction);
                Effect::Reply(Reply::new(554, (5, 1), "No valid recipients"))
            }
            Some(Transaction { envelope, size }) => Effect::Content { envelope, size },
        }
    }
}

/// Where local parts without a domain belong.
fn home_domain(config: &Config) -> &str {
    config.server.domains.first().unwrap_or(&config.server.hostname)
}

/// A message beyond `server.max_message_size`.
pub fn too_large(limit: u64) -> Reply {
    Reply::new(552, (3, 4), format!("Messages of up to {limit} octets are taken"))
}

/// A sender that is someone else.
pub fn not_yours() -> Reply {
    Reply::new(553, (7, 1), "That is not an address of yours")
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
