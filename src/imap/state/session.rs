//! An IMAP session as a state machine (RFC 3501 section 3). It takes commands, writes untagged
//! responses and says what is left to do; it never waits. Looking at mailboxes is not waiting: their
//! index is in memory.

use std::net::IpAddr;
use std::rc::Rc;

use super::outcome::{Fetch, FetchResult, News, Outcome, Reply, Then};
use super::selected::{ReadOnly, Selected};
use super::updates::Updates;
use crate::access;
use crate::config::Config;
use crate::imap::commands::append;
use crate::imap::commands::connector;
use crate::imap::commands::list::{Listed, Listing};
use crate::imap::commands::{mailboxes, metadata};
use crate::imap::wire::command::{Append, Command, MailboxName, Tagged};
use crate::imap::wire::grammar::{Problem, Refused};
use crate::imap::wire::words;
use crate::sasl::server::{Exchange, Mechanism};
use crate::serving::Channel;
use crate::store::{self, Account};

/// Refused logins after which the connection ends.
const MAX_REFUSED: u8 = 3;
/// What the greeting and CAPABILITY announce whatever the state.
const CAPABILITIES: &str = "IMAP4rev1 LITERAL+ ID IDLE NAMESPACE UNSELECT UIDPLUS CHILDREN SPECIAL-USE \
                            MOVE STATUS=SIZE METADATA";
/// Said to a Connector client without the right.
pub const NO_CONNECTOR: &str =
    "* BYE This account may not use Connector clients; any other mail program is welcome\r\n";
/// The account is read anew for whoever connects next.
const FLASH_FAILED: &str = "* BYE [UNAVAILABLE] The flash failed; try again later\r\n";

/// One client's session.
pub struct Session {
    state: State,
    channel: Channel,
    refused: u8,
    /// The client named itself as a Connector client (RFC 2971).
    connector: bool,
    /// The flash takes no changes.
    read_only: bool,
}

enum State {
    NotAuthenticated,
    Authenticated(Rc<Account>),
    Selected(Box<Selected>),
    Logout,
}

impl Session {
    /// A client has connected from `peer`.
    pub fn new(peer: IpAddr) -> Session {
        Session {
            state: State::NotAuthenticated,
            channel: Channel::new(peer, false),
            refused: 0,
            connector: false,
            read_only: false,
        }
    }

    /// Whether the flash takes no changes now: mailboxes that are selected from here on are for reading.
    pub fn takes_no_changes(&mut self, so: bool) {
        self.read_only = so;
    }

    /// TLS is in force.
    pub fn secured(&mut self, bindable: bool) {
        self.channel.secured(bindable);
    }

    /// The untagged response that opens the connection.
    pub fn greeting(&self, config: &Config) -> String {
        format!("* OK [CAPABILITY {}] {} is ready\r\n", self.capabilities(config), config.server.hostname)
    }

    /// Whether the last word is spoken.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Logout)
    }

    /// The account that is logged in.
    pub fn account(&self) -> Option<&Rc<Account>> {
        match &self.state {
            State::Authenticated(account) => Some(account),
            State::Selected(selected) => Some(selected.account()),
            State::NotAuthenticated | State::Logout => None,
        }
    }

    /// The selected mailbox.
    pub fn selected(&self) -> Option<&Selected> {
        match &self.state {
            State::Selected(selected) => Some(selected),
            _ => None,
        }
    }

    /// A goodbye, when the session cannot go on: the account's flash failed, and another session will have to open it
    /// anew.
    pub fn cut_short(&mut self) -> Option<&'static str> {
        if !self.account()?.has_failed() {
            return None;
        }
        self.state = State::Logout;
        Some(FLASH_FAILED)
    }

    /// Whether the client named itself as a Connector client.
    pub fn is_connector(&self) -> bool {
        self.connector
    }

    /// Carries out a command. Untagged responses are appended to `out`.
    pub fn handle(&mut self, config: &Config, command: Tagged, out: &mut String) -> Outcome {
        let Tagged { tag, command } = command;
        match command {
            Command::Capability => {
                out.push_str(&format!("* CAPABILITY {}\r\n", self.capabilities(config)));
                Outcome::reply(tag, "OK CAPABILITY completed")
            }
            Command::Noop => Outcome::reply(tag, "OK NOOP completed"),
            Command::Logout => {
                self.state = State::Logout;
                out.push_str("* BYE Until next time\r\n");
                Outcome::reply(tag, "OK LOGOUT completed")
            }
            Command::Id(pairs) => self.id(config, tag, &pairs, out),
            command => {
                let (tag, command) = match &self.state {
                    State::NotAuthenticated => return self.not_authenticated(config, tag, command),
                    State::Authenticated(_) => (tag, command),
                    State::Selected(selected) => match selected.command(tag, command) {
                        Ok(outcome) => return outcome,
                        Err(other) => other,
                    },
                    State::Logout => return Outcome::End,
                };
                match self.account().cloned() {
                    Some(account) => self.authenticated(&account, tag, command, out),
                    None => Outcome::End,
                }
            }
        }
    }

    /// Answers what is no command.
    pub fn refuse(&self, refused: Refused) -> String {
        let Refused { tag, problem } = refused;
        let condition = if problem == Problem::BadCharset { "NO" } else { "BAD" };
        format!("{} {condition} {problem}\r\n", tag.as_deref().unwrap_or("*"))
    }

    /// RFC 3501 section 6.2.
    fn not_authenticated(&mut self, config: &Config, tag: String, command: Command) -> Outcome {
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

    /// A login went well.
    pub fn logged_in(
        &mut self,
        config: &Config,
        account: Rc<Account>,
        tag: String,
        out: &mut String,
    ) -> Outcome {
        if self.connector && !may_use_connector(config, account.name()) {
            return self.end(NO_CONNECTOR, out);
        }
        self.state = State::Authenticated(account);
        let text = format!("OK [CAPABILITY {}] Logged in", self.capabilities(config));
        self.furnish(Reply::new(tag, text))
    }

    /// A Connector client finds the folders that it looks for, from its first login on.
    fn furnish(&self, reply: Reply) -> Outcome {
        let account = self.account().filter(|_| self.connector);
        match account.and_then(connector::missing_folders) {
            Some(transaction) => {
                Outcome::Aside { what: "the folders for Connector clients", transaction, reply }
            }
            None => Outcome::Reply(reply),
        }
    }

    /// A login was refused; whatever the reason, it sounds like this.
    pub fn login_refused(&mut self, tag: String) -> Outcome {
        self.refused += 1;
        let mut reply = Reply::new(tag, "NO [AUTHENTICATIONFAILED] Login refused");
        if self.refused >= MAX_REFUSED {
            self.state = State::Logout;
            reply.goodbye = Some("* BYE Too many refused logins\r\n");
        }
        Outcome::Reply(reply)
    }

    /// Too many logins from this address wait already (RFC 5530 section 3: a temporary failure): it was not looked at.
    pub fn login_turned_away(&mut self, tag: String) -> Outcome {
        self.state = State::Logout;
        let mut reply = Reply::new(tag, "NO [UNAVAILABLE] Too many logins from your address wait");
        reply.goodbye = Some("* BYE Too many logins from your address wait, try again later\r\n");
        Outcome::Reply(reply)
    }

    /// RFC 3501 section 6.3 and the extensions to it.
    fn authenticated(
        &mut self,
        account: &Rc<Account>,
        tag: String,
        command: Command,
        out: &mut String,
    ) -> Outcome {
        match command {
            Command::Select(name) => {
                self.select(account, tag, &name, self.read_only.then_some(ReadOnly::Flash), out)
            }
            Command::Examine(name) => self.select(account, tag, &name, Some(ReadOnly::Examined), out),
            Command::Create(name) => mailboxes::create(account, tag, &name),
            Command::Delete(name) => mailboxes::delete(account, tag, &name),
            Command::Rename { from, to } => mailboxes::rename(account, tag, &from, &to),
            Command::Subscribe(name) => mailboxes::subscribe(account, tag, &name, true),
            Command::Unsubscribe(name) => mailboxes::subscribe(account, tag, &name, false),
            Command::List(args) => mailboxes::list(tag, Listed::Mailboxes, &args, out),
            Command::Lsub(args) => mailboxes::list(tag, Listed::Subscriptions, &args, out),
            Command::Namespace => {
                out.push_str("* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n");
                Outcome::reply(tag, "OK NAMESPACE completed")
            }
            Command::Status { mailbox, items } => {
                mailboxes::status(account, tag, &mailbox, &items, self.selected(), out)
            }
            Command::GetMetadata(args) => metadata::get(account, tag, &args, out),
            Command::SetMetadata { mailbox, values } => metadata::set(account, tag, &mailbox, values),
            Command::Idle => Outcome::Idle { tag },
            Command::StartTls => Outcome::reply(tag, "BAD STARTTLS comes before the login"),
            Command::Login { .. } | Command::Authenticate { .. } => {
                Outcome::reply(tag, "BAD Logged in already")
            }
            Command::Close | Command::Unselect if self.selected().is_some() => self.close(tag, &command),
            // The others are of the selected state, which would have taken them.
            _ => Outcome::reply(tag, "BAD Select a mailbox first"),
        }
    }

    /// RFC 3501 sections 6.3.1 and 6.3.2. A SELECT that fails leaves no mailbox selected.
    fn select(
        &mut self,
        account: &Rc<Account>,
        tag: String,
        name: &MailboxName,
        read_only: Option<ReadOnly>,
        out: &mut String,
    ) -> Outcome {
        self.state = State::Authenticated(account.clone());
        let Some(selected) = Selected::open(account, name, read_only, out) else {
            return Outcome::reply(tag, words::refusal(&store::Error::NoSuchMailbox));
        };
        self.state = State::Selected(Box::new(selected));
        let text = match read_only {
            None => "OK [READ-WRITE] Selected",
            Some(ReadOnly::Examined) => "OK [READ-ONLY] Examined",
            Some(ReadOnly::Flash) => "OK [READ-ONLY] The flash takes no changes; all mail can be read",
        };
        Outcome::reply(tag, text)
    }

    /// CLOSE (RFC 3501 section 6.4.2), which removes what is `\Deleted` without a word, and UNSELECT
    /// (RFC 3691), which does not.
    fn close(&mut self, tag: String, command: &Command) -> Outcome {
        let removal = match command {
            Command::Close => self.selected().and_then(Selected::removal),
            _ => None,
        };
        let Some(transaction) = removal else {
            self.deselect();
            return Outcome::reply(tag, "OK The mailbox is closed");
        };
        Outcome::commit(transaction, tag.clone(), |session, _, _| {
            session.deselect();
            Reply::new(tag, "OK The mailbox is closed")
        })
    }

    fn deselect(&mut self) {
        if let State::Selected(selected) = &self.state {
            self.state = State::Authenticated(selected.account().clone());
        }
    }

    /// Whether the message of an APPEND is wanted.
    ///
    /// # Errors
    /// The refusal.
    pub fn append(&self, config: &Config, command: &Append, length: u64) -> Result<append::Target, Reply> {
        let Some(account) = self.account() else {
            return Err(Reply::new(command.tag.clone(), "BAD Log in first"));
        };
        if self.read_only {
            return Err(Reply::new(command.tag.clone(), words::refusal(&store::Error::ReadOnly)));
        }
        append::target(config, account, command, length)
    }

    /// Writes the next piece of a LIST or LSUB. `false`: it was the last.
    pub fn list(&self, listing: &mut Listing, out: &mut String) -> bool {
        let account = self.account();
        account.is_some_and(|account| mailboxes::list_piece(account, listing, self.connector, out))
    }

    /// What follows a FETCH: `\Seen`, then the reply.
    pub fn fetched(&mut self, fetch: Fetch, outcome: FetchResult) -> Outcome {
        match &self.state {
            State::Selected(selected) => selected.fetched(fetch, outcome),
            _ => Outcome::End,
        }
    }

    /// What follows a SEARCH whose result is out.
    pub fn searched(&self, tag: String, uid: bool, result: Result<(), store::Error>) -> Outcome {
        let text = result.map_or_else(|error| words::refusal(&error), |()| "OK SEARCH completed".into());
        Outcome::Reply(Reply { news: News::of_messages(uid), ..Reply::new(tag, text) })
    }

    /// What follows a commit.
    pub fn committed(
        &mut self,
        tag: String,
        then: Then,
        result: Result<store::Committed, store::Error>,
        out: &mut String,
    ) -> Outcome {
        match result {
            Ok(committed) => Outcome::Reply(then(self, committed, out)),
            Err(error) => {
                let mut reply = Reply::new(tag, words::refusal(&error));
                if matches!(error, store::Error::Failed(_)) {
                    self.state = State::Logout;
                    reply.goodbye = Some(FLASH_FAILED);
                }
                Outcome::Reply(reply)
            }
        }
    }

    /// Takes over what happened in the selected mailbox: what the client must hear of it now.
    pub fn news(&mut self, news: &News) -> Updates {
        match &mut self.state {
            State::Selected(selected) => selected.news(news),
            _ => Updates::default(),
        }
    }

    /// Puts the next piece of the updates into words.
    pub fn write_updates(&self, updates: &mut Updates, uid: bool, out: &mut String) {
        match self.selected() {
            Some(selected) => selected.write_updates(updates, uid, out),
            None => *updates = Updates::default(),
        }
    }

    /// RFC 2971. Connector clients name themselves here, before or after the login.
    fn id(
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
        if self.connector && self.account().is_some_and(|account| !may_use_connector(config, account.name()))
        {
            return self.end(NO_CONNECTOR, out);
        }
        let version = env!("CARGO_PKG_VERSION");
        out.push_str(&format!("* ID (\"name\" \"Pillarbox\" \"version\" \"{version}\")\r\n"));
        self.furnish(Reply::new(tag, "OK ID completed"))
    }

    fn end(&mut self, goodbye: &str, out: &mut String) -> Outcome {
        self.state = State::Logout;
        out.push_str(goodbye);
        Outcome::End
    }

    fn capabilities(&self, config: &Config) -> String {
        let mut text = CAPABILITIES.to_owned();
        if self.account().is_none() {
            if !self.channel.tls {
                text.push_str(" STARTTLS");
            }
            if self.channel.may_carry_password(config) {
                text.push_str(" SASL-IR");
                text.extend(Mechanism::offered(self.channel.bindable).flat_map(|one| [" AUTH=", one.name()]));
            } else {
                text.push_str(" LOGINDISABLED");
            }
        }
        text
    }
}

fn may_use_connector(config: &Config, account: &str) -> bool {
    config.account(account).is_some_and(|account| access::may_use_connector(config, account))
}
