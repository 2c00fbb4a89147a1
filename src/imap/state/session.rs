//! An IMAP session as a state machine (RFC 3501 section 3). It takes commands, writes untagged responses, and returns
//! what is left to do; it never waits. It may look at mailboxes, since their index is in memory.

use std::net::IpAddr;
use std::rc::Rc;

use super::marks::Marks;
use super::notify::Notify;
use super::outcome::{AfterCommit, MailboxUpdates, Outcome, Reply};
use super::selected::{ReadOnly, Selected};
use super::sequence_numbers::Wanted;
use super::updates::Updates;
use crate::config::Config;
use crate::imap::commands::list::{self, listing::Listed};
use crate::imap::commands::mailboxes::About;
use crate::imap::commands::{append, copy_move, mailboxes, metadata, quota};
use crate::imap::wire::command::{Command, Tagged};
use crate::imap::wire::extension::Enabled;
use crate::imap::wire::grammar::{Problem, Refused};
use crate::imap::wire::notify::Events;
use crate::imap::wire::words;
use crate::sasl::server::Mechanism;
use crate::serving::Channel;
use crate::store::{self, Account};

/// The capabilities that are announced in every state.
const CAPABILITIES: &str = "IMAP4rev1 IMAP4rev2 LITERAL+ ID IDLE NAMESPACE UNSELECT UIDPLUS CHILDREN SPECIAL-USE \
                            MOVE STATUS=SIZE METADATA LIST-EXTENDED LIST-STATUS ENABLE CONDSTORE QRESYNC \
                            MULTIAPPEND CATENATE REPLACE BINARY PREVIEW LIST-METADATA CREATE-SPECIAL-USE \
                            QUOTA QUOTA=RES-STORAGE QUOTA=RES-MESSAGE OBJECTID SAVEDATE ESEARCH SEARCHRES WITHIN PARTIAL \
                            UTF8=ACCEPT CONTEXT=SEARCH NOTIFY SORT SORT=DISPLAY ESORT \
                            THREAD=ORDEREDSUBJECT THREAD=REFERENCES \
                            I18NLEVEL=1 INPROGRESS";
/// Sent to a Connector client whose account has no right to use one.
pub const NO_CONNECTOR: &str =
    "* BYE This account may not use Connector clients; any other mail program is welcome\r\n";
/// Sent when the account's flash has failed. The account is read anew for the next session.
const FLASH_FAILED: &str = "* BYE [UNAVAILABLE] The flash failed; try again later\r\n";

/// One client's session.
pub struct Session {
    pub(in crate::imap) state: State,
    pub(in crate::imap) channel: Channel,
    /// Number of refused logins.
    pub(in crate::imap) refused: u8,
    /// Whether the client has named itself as a Connector client (RFC 2971).
    pub(in crate::imap) connector: bool,
    /// Whether the flash takes no changes.
    pub(in crate::imap) read_only: bool,
    pub(in crate::imap) enabled: Enabled,
    /// The settings of NOTIFY; `None` until the client sends it.
    pub(in crate::imap) notify: Option<Box<Notify>>,
}

pub(in crate::imap) enum State {
    NotAuthenticated,
    Authenticated(Rc<Account>),
    Selected(Box<Selected>),
    Logout,
}

impl Session {
    /// The session of a client that has connected from `peer`.
    pub fn new(peer: IpAddr) -> Session {
        Session {
            state: State::NotAuthenticated,
            channel: Channel::new(peer, false),
            refused: 0,
            connector: false,
            read_only: false,
            enabled: Enabled::default(),
            notify: None,
        }
    }

    /// Sets whether the flash takes no changes: if so, mailboxes that are selected from now on are read-only.
    pub fn takes_no_changes(&mut self, so: bool) {
        self.read_only = so;
    }

    /// Notes that TLS is in force. `bindable` says whether the channel can be bound to it.
    pub fn secured(&mut self, bindable: bool) {
        self.channel.secured(bindable);
    }

    /// The untagged response that opens the connection, with the appliance's token.
    pub fn greeting(&self, config: &Config) -> String {
        let ready = format!("{} is ready {}", config.server.hostname, config.token());
        format!("* OK [CAPABILITY {}] {}\r\n", self.capabilities(config), ready.trim_end())
    }

    /// Whether the session has ended.
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

    /// A goodbye when the session cannot go on because the account's flash has failed. Another session will open the
    /// account anew.
    pub fn cut_short(&mut self) -> Option<&'static str> {
        if !self.account()?.has_failed() {
            return None;
        }
        self.state = State::Logout;
        Some(FLASH_FAILED)
    }

    /// Whether the client has named itself as a Connector client.
    pub fn is_connector(&self) -> bool {
        self.connector
    }

    /// Carries out a command. Untagged responses are appended to `out`.
    pub fn handle(&mut self, config: &Config, command: Tagged, out: &mut String) -> Outcome {
        let Tagged { tag, command } = command;
        self.enable_condstore_implicitly(&command, out);
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
            // The client may send the messages even when they are refused.
            Command::Append(append) => Outcome::Append(Box::new(self.append(config, tag, append))),
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
                    Some(account) => self.authenticated(config, &account, tag, command, out),
                    None => Outcome::End,
                }
            }
        }
    }

    /// The reply to something that is not a command.
    pub fn refuse(&mut self, refused: Refused) -> String {
        let Refused { tag, problem } = refused;
        let condition = match problem {
            Problem::BadCharset { saves } => {
                if saves {
                    self.keep(Marks::default());
                }
                "NO"
            }
            _ => "BAD",
        };
        format!("{} {condition} {problem}\r\n", tag.as_deref().unwrap_or("*"))
    }

    /// Commands of the Authenticated state (RFC 3501 section 6.3 and its extensions).
    fn authenticated(
        &mut self,
        config: &Config,
        account: &Rc<Account>,
        tag: String,
        command: Command,
        out: &mut String,
    ) -> Outcome {
        match command {
            Command::Enable(extensions) => self.enable(tag, &extensions, out),
            Command::Select(name, params) => {
                let read_only = self.read_only.then_some(ReadOnly::Flash);
                self.select(account, tag, &name, params, read_only, out)
            }
            Command::Examine(name, params) => {
                self.select(account, tag, &name, params, Some(ReadOnly::Examined), out)
            }
            Command::Create { mailbox, uses } => {
                mailboxes::create(account, tag, mailbox, uses.as_deref(), self.enabled)
            }
            Command::Delete(name) => mailboxes::delete(account, tag, &name),
            Command::Rename { from, to } => mailboxes::rename(account, tag, &from, &to, self.enabled),
            Command::Subscribe(name) => mailboxes::subscribe(account, tag, &name, true),
            Command::Unsubscribe(name) => mailboxes::subscribe(account, tag, &name, false),
            Command::List(args) => list::list(tag, Listed::Mailboxes, *args, self.enabled, out),
            Command::Lsub(args) => list::list(tag, Listed::Subscriptions, *args, self.enabled, out),
            Command::Namespace => {
                out.push_str("* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n");
                Outcome::reply(tag, "OK NAMESPACE completed")
            }
            Command::Status { mailbox, items } => {
                mailboxes::status(account, tag, &mailbox, &items, self.about(config), out)
            }
            Command::GetQuota(root) => quota::get(account, tag, &root, out),
            Command::GetQuotaRoot(mailbox) => quota::get_root(account, tag, &mailbox, self.enabled, out),
            Command::GetMetadata(args) => metadata::get(account, tag, &args, self.enabled),
            Command::SetMetadata { mailbox, values } => metadata::set(account, tag, &mailbox, values),
            Command::Idle => Outcome::Idle { tag },
            Command::Notify(set) => self.notify(tag, set),
            Command::StartTls => Outcome::reply(tag, "BAD STARTTLS comes before the login"),
            Command::Login { .. } | Command::Authenticate { .. } => {
                Outcome::reply(tag, "BAD Logged in already")
            }
            Command::Close | Command::Unselect if self.selected().is_some() => self.close(tag, &command),
            Command::CancelUpdate(tags) if self.selected().is_some() => self.cancel_update(tag, &tags),
            // All other commands need the selected state.
            _ => Outcome::reply(tag, "BAD Select a mailbox first"),
        }
    }

    /// What follows a commit.
    pub fn committed(
        &mut self,
        tag: String,
        then: AfterCommit,
        result: Result<store::Committed, store::Error>,
        out: &mut String,
    ) -> Outcome {
        match result {
            Ok(committed) => self.after(tag, then, &committed, out),
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

    fn after(
        &mut self,
        tag: String,
        then: AfterCommit,
        committed: &store::Committed,
        out: &mut String,
    ) -> Outcome {
        let Some(account) = self.account().cloned() else { return Outcome::End };
        self.came(&account, &committed.placed);
        Outcome::Reply(match then {
            AfterCommit::Reply(reply) => reply,
            AfterCommit::Append(appended) => append::appended(&account, tag, &appended, committed, out),
            AfterCommit::Create(name) => mailboxes::created(&account, tag, &name),
            AfterCommit::Close => self.closed(tag),
            AfterCommit::Copy(copied) => copy_move::copied(&account, tag, &copied, committed),
            AfterCommit::Move(copied) => copy_move::moved(&account, tag, &copied, committed, out),
            AfterCommit::Store(stored) => match self.selected() {
                Some(selected) => selected.stored(tag, stored, committed),
                None => return Outcome::End,
            },
        })
    }

    /// Takes over what has happened in the selected mailbox. Returns what the client must be told now.
    pub fn news(&mut self, news: &MailboxUpdates) -> Updates {
        let wanted = self.wanted(news);
        match &mut self.state {
            State::Selected(selected) => selected.news(news, wanted),
            _ => Updates::default(),
        }
    }

    /// What the client is told of the selected mailbox now.
    fn wanted(&self, news: &MailboxUpdates) -> Wanted {
        match &self.notify {
            None => Wanted::all(news.expunge),
            Some(notify) => {
                let new = notify.selected.events.has(Events::MESSAGE_NEW);
                let flags = notify.selected.events.has(Events::FLAG_CHANGE);
                Wanted { expunged: news.expunge && (new || news.removes), new, flags }
            }
        }
    }

    /// Writes the next piece of the updates.
    pub fn write_updates(&mut self, updates: &mut Updates, uid: bool, out: &mut String) {
        match &mut self.state {
            State::Selected(selected) => selected.write_updates(updates, uid, out),
            _ => *updates = Updates::default(),
        }
    }

    /// What STATUS needs to know of the session and the settings.
    pub fn about(&self, config: &Config) -> About<'_> {
        let append_limit = config.server.max_message_size;
        About { selected: self.selected(), append_limit, enabled: self.enabled }
    }

    pub fn end(&mut self, goodbye: &str, out: &mut String) -> Outcome {
        self.state = State::Logout;
        out.push_str(goodbye);
        Outcome::End
    }

    pub fn capabilities(&self, config: &Config) -> String {
        let mut text = format!("{CAPABILITIES} APPENDLIMIT={}", config.server.max_message_size);
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
