//! The server's side of an SMTP dialog (RFC 5321, RFC 6409) as a state machine without I/O: a line and
//! the settings in force go in, a reply or something for the server to do comes out.

use std::net::IpAddr;

mod login;
mod transaction;

use super::command::{Command, Error};
use super::{Envelope, Recipient, Reply, Role};
use crate::access::on_lan;
use crate::config::Config;
use crate::sasl::server::{Claim, Exchange, Mechanism};
use crate::serving::Channel;
use transaction::Transaction;
pub use transaction::too_large;

/// RFC 5321 section 4.5.3.1.8 asks for at least this many.
pub const MAX_RECIPIENTS: usize = 100;
/// Refused logins that a connection may see.
const MAX_REFUSED_LOGINS: u8 = 3;
/// Commands in a row that made no sense until the connection is not worth having. A login, a sender or a recipient that is
/// taken begins a new row. Refused recipients do not count: a mailing may have many.
const MAX_ERRORS: u8 = 20;
/// Recipients in a row that do not exist until nobody is taken for a mailing any longer, but for one that tries names.
const MAX_REFUSED_RECIPIENTS: u8 = 100;

/// What EHLO offers to everyone, in any state.
const EXTENSIONS: [&str; 6] =
    ["PIPELINING", "8BITMIME", "SMTPUTF8", "CHUNKING", "DSN", "ENHANCEDSTATUSCODES"];

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
    /// Receive the next `octets` octets of the content (RFC 3030). Where the message is refused before its last chunk, call
    /// [`Session::chunk_refused`].
    Chunk {
        /// How many come.
        octets: u64,
        /// The message ends with them, and the transaction is over, whatever becomes of it.
        last: bool,
        /// With the first chunk, who sends it to whom, and the size as MAIL said.
        begins: Option<(Envelope, u64)>,
    },
    /// Receive so many octets that belong to nothing, then send the reply.
    Swallow {
        /// They come anyhow, and are no commands (RFC 3030 section 2).
        octets: u64,
        /// Why they are not taken.
        reply: Reply,
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
    refused_recipients: u8,
    errors: u8,
    /// A line ended with CR LF: this client knows what a line end is.
    crlf: bool,
}

#[derive(Debug)]
struct Hello {
    name: String,
    extended: bool,
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
            refused_recipients: 0,
            errors: 0,
            crlf: false,
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

    /// What the account that logged in is called from now on.
    pub fn is_called(&mut self, name: String) {
        if let Some(account) = &mut self.account {
            *account = name;
        }
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

    /// Whether chunks of a message have come, and others are to follow.
    pub fn is_receiving(&self) -> bool {
        matches!(self.transaction, Some(Transaction::Chunks))
    }

    /// How a line ended, which is told before the line.
    pub fn line_ended(&mut self, bare_lf: bool) {
        self.crlf |= !bare_lf;
    }

    /// Whether the client is a device that knows no CR: then it will never send one around the lone dot either. Nobody who logs
    /// in is believed that: content of others, which such a client passes on, could end the message by itself.
    pub fn knows_lf_only(&self) -> bool {
        self.role == Role::LanSmtp && !self.crlf
    }

    /// Whether the next line is a command, and not a response to a challenge.
    pub fn expects_command(&self) -> bool {
        self.exchange.is_none()
    }

    /// What the client called itself.
    pub fn client_name(&self) -> &str {
        self.hello.as_ref().map_or("unknown", |hello| &hello.name)
    }

    /// How mail came, in the words of the registry that RFC 3848 and RFC 6531 section 4.3 fill.
    pub fn protocol(&self, utf8: bool) -> &'static str {
        let extended = self.hello.as_ref().is_some_and(|hello| hello.extended);
        match (extended || utf8, utf8, self.channel.tls, self.account.is_some()) {
            (false, _, _, _) => "SMTP",
            (true, false, false, false) => "ESMTP",
            (true, false, false, true) => "ESMTPA",
            (true, false, true, false) => "ESMTPS",
            (true, false, true, true) => "ESMTPSA",
            (true, true, false, false) => "UTF8SMTP",
            (true, true, false, true) => "UTF8SMTPA",
            (true, true, true, false) => "UTF8SMTPS",
            (true, true, true, true) => "UTF8SMTPSA",
        }
    }

    /// Takes a line, its line end taken off.
    pub fn line(&mut self, line: &[u8], config: &Config) -> Effect {
        if let Some(exchange) = self.exchange.take() {
            return self.response(exchange, line);
        }
        let effect = match Command::parse(line) {
            Ok(command) => self.command(command, config),
            Err(Error::BadChunk(Some(octets))) => {
                Effect::Swallow { octets, reply: Error::BadChunk(Some(octets)).into() }
            }
            // What comes next may be content, in which somebody else may have written commands.
            Err(Error::BadChunk(None)) => Effect::Close(vec![Error::BadChunk(None).into()]),
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
        let reply = match &effect {
            Effect::Reply(reply) | Effect::Swallow { reply, .. } if reply.is_permanent() => reply,
            _ => return effect,
        };
        self.errors += 1;
        if self.errors < MAX_ERRORS {
            return effect;
        }
        Effect::Close(vec![reply.clone(), Reply::new(421, (7, 0), "Too many errors")])
    }

    fn command(&mut self, command: Command, config: &Config) -> Effect {
        match command {
            Command::Mail { from, size, utf8, dsn } => {
                Effect::Reply(self.mail(from, size, utf8, dsn, config))
            }
            Command::Rcpt { to, beyond_ascii } => self.rcpt(to, beyond_ascii, config),
            Command::Data => self.data(),
            Command::Bdat { octets, last } => self.bdat(octets, last),
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
            reply.lines.extend(EXTENSIONS.map(Into::into));
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
}

#[cfg(test)]
mod tests;
