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

/// Recipients of a message, at most; RFC 5321 section 4.5.3.1.8 asks for at least so many.
pub const MAX_RECIPIENTS: usize = 100;
/// Refused logins on a connection, at most.
const MAX_REFUSED_LOGINS: u8 = 3;
/// Invalid commands in a row after which the connection is closed. A login, a sender or a recipient that is accepted
/// starts the count anew. Refused recipients do not count: a mailing may have many.
const MAX_ERRORS: u8 = 20;
/// Recipients in a row that do not exist, after which the client counts as one that tries names, and no longer as a
/// mailing.
const MAX_REFUSED_RECIPIENTS: u8 = 100;

/// The extensions that EHLO offers to everyone, in any state.
const EXTENSIONS: [&str; 6] =
    ["PIPELINING", "8BITMIME", "SMTPUTF8", "CHUNKING", "DSN", "ENHANCEDSTATUSCODES"];

/// What the server is to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send the reply.
    Reply(Reply),
    /// Send the replies and close.
    Close(Vec<Reply>),
    /// Send the reply, shake hands, and call [`Session::secured`].
    StartTls(Reply),
    /// Check this claim, and call [`Session::judged`].
    Login {
        /// What the client claims.
        claim: Claim,
        /// The exchange that goes on with the verdict.
        exchange: Exchange,
    },
    /// Ask whether mail of `size` octets (0: not known) can go to this recipient, and call [`Session::recipient`].
    Recipient {
        /// The lasting identity of the sending account; `None` for a device.
        account: Option<u64>,
        /// The recipient with its DSN parameters.
        to: Recipient,
        /// The size that MAIL declared.
        size: u64,
    },
    /// Receive the content of this message. The transaction is over, whatever becomes of the message.
    Content {
        /// The envelope of the message.
        envelope: Envelope,
        /// The size that MAIL declared.
        size: u64,
    },
    /// Receive the next `octets` octets of the content (RFC 3030). If the message is refused before its last chunk,
    /// call [`Session::chunk_refused`].
    Chunk {
        /// How many octets come.
        octets: u64,
        /// Whether these are the last octets of the message. Then the transaction is over, whatever becomes of the
        /// message.
        last: bool,
        /// With the first chunk, the envelope and the size that MAIL declared.
        begins: Option<(Envelope, u64)>,
    },
    /// Drop octets that belong to no message, then send the reply.
    Swallow {
        /// How many octets come. They are not commands (RFC 3030 section 2).
        octets: u64,
        /// Why they are not taken.
        reply: Reply,
    },
}

/// A session.
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
    /// Whether a line ended with CR LF, so that the client knows the right line end.
    crlf: bool,
}

#[derive(Debug)]
struct Hello {
    name: String,
    extended: bool,
}

/// The reply 250, which several commands give.
fn ok() -> Reply {
    Reply::new(250, (0, 0), "OK")
}
fn out_of_order(text: &'static str) -> Reply {
    Reply::new(503, (5, 1), text)
}

impl Session {
    /// A session that has not begun; `tls` for implicit TLS.
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

    /// The greeting (RFC 5321 section 3.1).
    pub fn greeting(&self, config: &Config) -> Effect {
        if self.role == Role::LanSmtp && !on_lan(config, self.channel.peer) {
            let text =
                format!("{} takes mail without a login from its own network only", config.server.hostname);
            return Effect::Close(vec![Reply::new(554, (7, 1), text)]);
        }
        Effect::Reply(Reply::plain(220, format!("{} ESMTP", config.server.hostname)))
    }

    /// Takes in the new name of the account that logged in.
    pub fn is_called(&mut self, name: String) {
        if let Some(account) = &mut self.account {
            *account = name;
        }
    }

    /// The account that logged in.
    pub fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    /// Whether the client may send mail: it is a device, or has logged in.
    pub fn may_send(&self) -> bool {
        self.role == Role::LanSmtp || self.account.is_some()
    }

    /// Whether a mail transaction is under way.
    pub fn has_begun(&self) -> bool {
        self.transaction.is_some()
    }

    /// Whether chunks of a message have come, and more are to follow.
    pub fn is_receiving(&self) -> bool {
        matches!(self.transaction, Some(Transaction::Chunks))
    }

    /// Takes in how a line ended, before the line itself.
    pub fn line_ended(&mut self, bare_lf: bool) {
        self.crlf |= !bare_lf;
    }

    /// Whether the client is a device that has never sent a CR: it will not send one around the lone dot either.
    /// Clients that log in are never treated so: content of others that they pass on could end the message.
    pub fn knows_lf_only(&self) -> bool {
        self.role == Role::LanSmtp && !self.crlf
    }

    /// Whether the next line is a command, and not a response to a challenge.
    pub fn expects_command(&self) -> bool {
        self.exchange.is_none()
    }

    /// The name that the client gave itself.
    pub fn client_name(&self) -> &str {
        self.hello.as_ref().map_or("unknown", |hello| &hello.name)
    }

    /// The protocol name for the trace field, from the registry of RFC 3848 and RFC 6531 section 4.3.
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

    /// Takes a line without its line end.
    pub fn line(&mut self, line: &[u8], config: &Config) -> Effect {
        if let Some(exchange) = self.exchange.take() {
            return self.response(exchange, line);
        }
        let effect = match Command::parse(line) {
            Ok(command) => self.command(command, config),
            Err(Error::BadChunk(Some(octets))) => {
                Effect::Swallow { octets, reply: Error::BadChunk(Some(octets)).into() }
            }
            // What follows may be content, in which somebody else may have written commands.
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

    /// Counts refused commands, and closes the session when there are too many.
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

    /// Answers EHLO or HELO (RFC 5321 section 4.1.1.1) with the extensions. It ends a transaction.
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

    /// Answers STARTTLS (RFC 3207 section 4).
    fn start_tls(&self) -> Effect {
        if self.channel.tls {
            return Effect::Reply(out_of_order("TLS is in force already"));
        }
        Effect::StartTls(Reply::new(220, (0, 0), "Go ahead"))
    }

    /// Goes on after the handshake: nothing that came before TLS counts (RFC 3207 section 4.2).
    pub fn secured(&mut self, bindable: bool) {
        self.channel.secured(bindable);
        self.hello = None;
        self.account = None;
        self.transaction = None;
    }
}

#[cfg(test)]
mod tests;
