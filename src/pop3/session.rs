//! The server's side of a POP3 dialog (RFC 1939) as a state machine without I/O: a line and the
//! settings in force go in, a reply or something for the server to do comes out.

use std::borrow::Cow;
use std::net::IpAddr;

use super::command::{Command, MAX_LINE, MessageNumber};
use super::maildrop::Maildrop;
use super::reply::{CAPABILITIES, Reply, language};
use crate::config::Config;
use crate::sasl::server::{Answer, Claim, Exchange, MAX_RESPONSE, Mechanism, Password, Step};
use crate::say::counted;
use crate::serving::Channel;
use crate::store::Uid;

/// Refused logins on a connection, at most.
const MAX_REFUSED_LOGINS: u8 = 3;
/// Invalid lines in a row after which the connection is closed; before the login all invalid lines count.
const MAX_ERRORS: u8 = 10;

/// What the server is to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send the reply.
    Reply(Reply),
    /// Send the reply and close.
    Close(Reply),
    /// Send the reply, shake hands, and call [`Session::secured`].
    StartTls(Reply),
    /// Check this claim, and call [`Session::answered`], [`Session::opened`], [`Session::refused`] or
    /// [`Session::troubled`].
    Login {
        /// What the client claims.
        claim: Claim,
        /// The exchange that goes on with the answer.
        exchange: Option<Exchange>,
    },
    /// Send the reply, then the lines of [`Session::listed`], then the final dot.
    List(Reply, Listing),
    /// Send a message, or its header and some lines of its body.
    Message {
        /// The UID in the INBOX.
        uid: Uid,
        /// The number of lines of the body, for TOP (RFC 1939 section 7); `None` for the whole message.
        lines: Option<u32>,
    },
    /// Remove these messages, and call [`Session::updated`].
    Update(Vec<Uid>),
}

/// The result of [`Effect::Update`]: everything was removed, or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Update {
    /// The messages are gone.
    Done,
    /// Nothing was removed; another try may succeed.
    Failed,
    /// Nothing was removed, and nothing can be: the flash takes no changes (RFC 3206 section 4).
    ReadOnly,
}

/// A listing under way. It is made line by line, since a maildrop may have more lines than memory should hold.
#[derive(Debug, PartialEq, Eq)]
pub struct Listing {
    what: Listed,
    next: MessageNumber,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Listed {
    Size,
    UniqueId,
}

/// A session.
#[derive(Debug)]
pub struct Session {
    channel: Channel,
    errors: u8,
    state: State,
}

/// The state (RFC 1939 section 3). The UPDATE state is [`Effect::Update`].
#[derive(Debug)]
enum State {
    Authorization { user: Option<String>, exchange: Option<Exchange>, refused: u8 },
    Transaction { account: String, maildrop: Maildrop },
}

impl Session {
    /// A session that has not begun; `tls` for implicit TLS.
    pub fn new(peer: IpAddr, tls: bool) -> Session {
        let state = State::Authorization { user: None, exchange: None, refused: 0 };
        Session { channel: Channel::new(peer, tls), errors: 0, state }
    }

    /// The greeting, with the appliance's token. It has no `<…>`: that would offer APOP, which needs the password
    /// itself.
    pub fn greeting(&self, config: &Config) -> Reply {
        let ready = format!("{} POP3 ready {}", config.server.hostname, config.token());
        Reply::Ok(ready.trim_end().to_owned().into())
    }

    /// The account that logged in.
    pub fn account(&self) -> Option<&str> {
        match &self.state {
            State::Authorization { .. } => None,
            State::Transaction { account, .. } => Some(account),
        }
    }

    /// Whether the next line is a command, and not a response to a challenge.
    pub fn expects_command(&self) -> bool {
        !matches!(&self.state, State::Authorization { exchange: Some(_), .. })
    }

    /// Octets that the next line may have, without its line end.
    pub fn line_limit(&self) -> usize {
        match &self.state {
            State::Authorization { exchange: Some(_), .. } => MAX_RESPONSE,
            _ => MAX_LINE,
        }
    }

    /// Takes a line without its line end.
    pub fn line(&mut self, line: &[u8], config: &Config) -> Effect {
        if let State::Authorization { exchange, .. } = &mut self.state
            && let Some(exchange) = exchange.take()
        {
            return self.response(exchange, line);
        }
        match Command::parse(line) {
            Ok(command) => self.command(command, config),
            Err(error) => self.senseless(error.to_string()),
        }
    }

    /// Takes a line that was longer than [`Session::line_limit`].
    pub fn too_long(&mut self) -> Effect {
        if let State::Authorization { exchange, .. } = &mut self.state {
            *exchange = None;
        }
        self.senseless("That line is too long")
    }

    /// Answers an invalid line, and closes the connection after too many.
    fn senseless(&mut self, text: impl Into<Cow<'static, str>>) -> Effect {
        self.errors += 1;
        if self.errors < MAX_ERRORS {
            err(text)
        } else {
            Effect::Close(Reply::Err("Too many errors, goodbye".into()))
        }
    }

    fn command(&mut self, command: Command, config: &Config) -> Effect {
        match (&mut self.state, command) {
            (_, Command::Capa) => Effect::Reply(self.capa(config)),
            (_, Command::Lang(range)) => Effect::Reply(language(range.as_deref())),
            (State::Authorization { .. }, Command::User(name)) => self.user(name, config),
            (State::Authorization { .. }, Command::Pass(password)) => self.pass(password, config),
            (State::Authorization { .. }, Command::Auth { mechanism, initial }) => {
                self.auth(&mechanism, initial.as_deref(), config)
            }
            (State::Authorization { .. }, Command::Mechanisms) => Effect::Reply(self.mechanisms(config)),
            (State::Authorization { .. }, Command::Stls) => self.stls(),
            // UTF8 (RFC 6856 section 2.1) changes nothing: names are always UTF-8, and messages are always sent as
            // they are.
            (State::Authorization { .. }, Command::Utf8) => ok("UTF-8 it is"),
            (State::Authorization { .. }, Command::Quit) => goodbye(),
            (State::Authorization { .. }, _) => self.senseless("Log in first"),
            (State::Transaction { maildrop, .. }, command) => match transaction(maildrop, command) {
                Some(effect) => {
                    // A client with many invalid lines can still delete messages.
                    self.errors = 0;
                    effect
                }
                None => self.senseless("You are logged in already"),
            },
        }
    }

    /// Answers CAPA (RFC 2449 section 5). USER and SASL are listed in both states (section 6), STLS only before the
    /// login (RFC 2595 section 4).
    fn capa(&self, config: &Config) -> Reply {
        let mut lines: Vec<Cow<'static, str>> = CAPABILITIES.map(Cow::from).into();
        if self.channel.may_carry_password(config) {
            let mechanisms: Vec<&str> = self.offered().map(Mechanism::name).collect();
            lines.extend(["USER".into(), format!("SASL {}", mechanisms.join(" ")).into()]);
        }
        if !self.channel.tls && self.account().is_none() {
            lines.push("STLS".into());
        }
        Reply::Lines("This is what I can do", lines)
    }

    /// Answers USER (RFC 1939 section 7), without telling whether there is such a name.
    fn user(&mut self, name: String, config: &Config) -> Effect {
        if !self.channel.may_carry_password(config) {
            return use_stls();
        }
        if let State::Authorization { user, .. } = &mut self.state {
            *user = Some(name);
        }
        ok("And the password?")
    }

    /// Answers PASS (RFC 1939 section 7).
    fn pass(&mut self, password: Password, config: &Config) -> Effect {
        if !self.channel.may_carry_password(config) {
            return use_stls();
        }
        let State::Authorization { user, .. } = &mut self.state else { return goodbye() };
        match user.take() {
            Some(login) => Effect::Login { claim: Claim::Password { login, password }, exchange: None },
            None => self.senseless("USER comes first"),
        }
    }

    /// Answers AUTH (RFC 5034 section 4).
    fn auth(&mut self, mechanism: &str, initial: Option<&[u8]>, config: &Config) -> Effect {
        let named = self.offered().find(|offered| offered.name().eq_ignore_ascii_case(mechanism));
        let Some(mechanism) = named else { return self.senseless("No such mechanism") };
        if !self.channel.may_carry_password(config) {
            return use_stls();
        }
        let (exchange, step) = Exchange::start(mechanism, self.channel.bindable, initial);
        self.step(exchange, step)
    }

    fn mechanisms(&self, config: &Config) -> Reply {
        let offered = self.offered().filter(|_| self.channel.may_carry_password(config));
        Reply::Lines("Mechanisms", offered.map(|mechanism| mechanism.name().into()).collect())
    }

    /// The offered mechanisms. LOGIN is left out: a client without PLAIN can use USER and PASS.
    fn offered(&self) -> impl Iterator<Item = Mechanism> + use<> {
        Mechanism::offered(self.channel.bindable).filter(|&mechanism| mechanism != Mechanism::Login)
    }

    /// Takes a line of the exchange; `*` cancels it.
    fn response(&mut self, mut exchange: Exchange, line: &[u8]) -> Effect {
        if line == b"*" {
            return self.senseless("Login cancelled");
        }
        let step = exchange.respond(line);
        self.step(exchange, step)
    }

    fn step(&mut self, next: Exchange, step: Step) -> Effect {
        match step {
            Step::Challenge(challenge) => {
                if let State::Authorization { exchange, .. } = &mut self.state {
                    *exchange = Some(next);
                }
                Effect::Reply(Reply::Challenge(challenge))
            }
            Step::Claim(claim) => Effect::Login { claim, exchange: Some(next) },
            Step::Failed => self.senseless("That is no response of this mechanism"),
        }
    }

    /// Answers STLS (RFC 2595 section 4).
    fn stls(&mut self) -> Effect {
        if self.channel.tls {
            return self.senseless("TLS is in force already");
        }
        Effect::StartTls(Reply::Ok("Begin the TLS handshake".into()))
    }

    /// Takes the answer to an [`Effect::Login`] with which the exchange goes on.
    pub fn answered(&mut self, exchange: Option<Exchange>, answer: Answer) -> Effect {
        let Some(mut exchange) = exchange else { return self.refused() };
        let step = exchange.answer(answer);
        self.step(exchange, step)
    }

    /// Goes on after the handshake: nothing that came before TLS counts.
    pub fn secured(&mut self, bindable: bool) {
        *self = Session { errors: self.errors, ..Session::new(self.channel.peer, true) };
        self.channel.secured(bindable);
    }

    /// The login has succeeded, and this is the account's maildrop.
    pub fn opened(&mut self, account: String, maildrop: Maildrop) -> Effect {
        let (count, octets) = maildrop.drop_listing();
        self.state = State::Transaction { account, maildrop };
        ok(format!("Welcome, {}", listing(count, octets)))
    }

    /// The login was refused. The reply is the same for every reason (RFC 3206 section 4).
    pub fn refused(&mut self) -> Effect {
        let reply = Reply::Err("[AUTH] Name or password is wrong".into());
        match &mut self.state {
            State::Authorization { refused, .. } if *refused + 1 < MAX_REFUSED_LOGINS => {
                *refused += 1;
                Effect::Reply(reply)
            }
            _ => Effect::Close(reply),
        }
    }

    /// The login was not checked: too many from this address are waiting (RFC 3206 section 3).
    pub fn turned_away(&self) -> Effect {
        Effect::Close(Reply::Err("[SYS/TEMP] Too many logins from your address wait, try again later".into()))
    }

    /// The login was right, but the mail cannot be read.
    pub fn troubled(&self) -> Effect {
        err("[SYS/TEMP] The mail cannot be read now, try again later")
    }

    /// The next line of a listing; `None` at its end.
    pub fn listed(&self, listing: &mut Listing) -> Option<String> {
        let State::Transaction { maildrop, .. } = &self.state else { return None };
        let (number, message) = maildrop.next_from(listing.next)?;
        listing.next = number + 1;
        Some(match listing.what {
            Listed::Size => format!("{number} {}", message.octets()),
            Listed::UniqueId => format!("{number} {}", maildrop.unique_id(message)),
        })
    }

    /// Takes the result of [`Effect::Update`] (RFC 1939 section 6).
    pub fn updated(&self, update: Update) -> Effect {
        match update {
            Update::Done => goodbye(),
            Update::Failed => {
                Effect::Close(Reply::Err("[SYS/TEMP] Nothing was deleted, try again later".into()))
            }
            Update::ReadOnly => {
                Effect::Close(Reply::Err("[SYS/PERM] Nothing was deleted: the flash takes no changes".into()))
            }
        }
    }
}

/// Answers the commands of the TRANSACTION state (RFC 1939 section 5); `None` for other commands.
fn transaction(maildrop: &mut Maildrop, command: Command) -> Option<Effect> {
    let message = |n| maildrop.get(n).ok_or_else(no_such_message);
    let effect = match command {
        Command::Stat => {
            let (count, octets) = maildrop.drop_listing();
            Ok(ok(format!("{count} {octets}")))
        }
        Command::List(None) => Ok(list(maildrop, Listed::Size)),
        Command::List(Some(n)) => message(n).map(|message| ok(format!("{n} {}", message.octets()))),
        Command::Uidl(None) => Ok(list(maildrop, Listed::UniqueId)),
        Command::Uidl(Some(n)) => {
            message(n).map(|message| ok(format!("{n} {}", maildrop.unique_id(message))))
        }
        Command::Retr(n) => message(n).map(|message| Effect::Message { uid: message.uid, lines: None }),
        Command::Top { message: n, lines } => {
            message(n).map(|message| Effect::Message { uid: message.uid, lines: Some(lines) })
        }
        Command::Dele(n) => {
            if maildrop.delete(n) {
                Ok(ok("Deleted at QUIT"))
            } else {
                Err(no_such_message())
            }
        }
        Command::Rset => {
            maildrop.reset();
            Ok(ok("Nothing is deleted"))
        }
        Command::Noop => Ok(ok("Here I am")),
        Command::Quit => {
            let deleted = maildrop.deleted();
            Ok(if deleted.is_empty() { goodbye() } else { Effect::Update(deleted) })
        }
        Command::User(_) | Command::Pass(_) | Command::Auth { .. } | Command::Mechanisms => return None,
        Command::Stls | Command::Capa | Command::Utf8 | Command::Lang(_) => return None,
    };
    Some(effect.unwrap_or_else(|refusal| refusal))
}

fn list(maildrop: &Maildrop, what: Listed) -> Effect {
    let (count, octets) = maildrop.drop_listing();
    let head = Reply::Ok(listing(count, octets).into());
    Effect::List(head, Listing { what, next: 1 })
}

fn listing(messages: usize, octets: u64) -> String {
    format!("{} ({})", counted(messages as u64, "message"), counted(octets, "octet"))
}

fn ok(text: impl Into<Cow<'static, str>>) -> Effect {
    Effect::Reply(Reply::Ok(text.into()))
}

fn err(text: impl Into<Cow<'static, str>>) -> Effect {
    Effect::Reply(Reply::Err(text.into()))
}

fn no_such_message() -> Effect {
    err("No such message")
}

fn use_stls() -> Effect {
    err("Use STLS first: a password is not for everyone on the way")
}

fn goodbye() -> Effect {
    Effect::Close(Reply::Ok("Goodbye".into()))
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
