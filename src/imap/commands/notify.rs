//! NOTIFY (RFC 5465): at any time the client is told of changes in mailboxes that are not selected, of names and of
//! annotations.

use std::collections::BTreeSet;
use std::io;

use super::{connector, lazy_message, list, mailboxes};
use crate::config::Config;
use crate::imap::server::Connection;
use crate::imap::state::notify::{Knows, MAX_WATCHED, Notify, Others, TooMany};
use crate::imap::state::outcome::{MailboxUpdates, Outcome, Reply};
use crate::imap::state::session::{Session, State};
use crate::imap::wire::command::FetchItem;
use crate::imap::wire::extension::{Enabled, Extension};
use crate::imap::wire::notify::{Events, NotifySet};
use crate::imap::wire::words;
use crate::pace::{ITEM, Pace, TURN};
use crate::store::{Account, Event, MailboxId, NO_MAILBOX, Overflow, Placed, Transaction, Uid};

/// Mailboxes that are compared with the filters before other sessions get a turn.
const MAILBOXES: usize = 32;
/// Changed annotations of one mailbox that are reported together.
const ENTRIES: usize = 32;
/// The response when events were lost (RFC 5465 section 5.8).
const OVERFLOW: &str = "* OK [NOTIFICATIONOVERFLOW] More has happened than is kept; say NOTIFY again\r\n";
/// The refusal of a NOTIFY that is too large (RFC 5465 section 3.1).
const TOO_MUCH: &str = "NO [NOTIFICATIONOVERFLOW] That is more than can be watched";

impl Session {
    /// NOTIFY (RFC 5465 section 3.1).
    pub fn notify(&mut self, tag: String, set: Option<Box<NotifySet>>) -> Outcome {
        match set {
            None => {
                self.notify = Some(Box::new(Notify::none()));
                Outcome::reply(tag, "OK NOTIFY completed, nothing is told")
            }
            Some(set) if set.unknown => {
                Outcome::reply(tag, format!("NO [BADEVENT ({})] There is no such event", Events::all_names()))
            }
            Some(set) => Outcome::Notify { tag, set },
        }
    }

    /// Marks a transaction as the client's own, so that the client is not told of its events.
    pub fn makes(&self, transaction: &mut Transaction) {
        if let Some(others) = self.notify.as_ref().and_then(|notify| notify.others.as_ref()) {
            others.watcher.makes(transaction);
        }
    }

    /// Looks through some more mailboxes for those that are watched. Returns `false` when those were the last.
    fn look_through(&mut self, knows: Knows) -> Result<bool, TooMany> {
        let Some(account) = self.account().cloned() else { return Ok(false) };
        let connector = self.connector;
        let Some(others) = self.others() else { return Ok(false) };
        let hidden = |id, name: &str| !connector::sees(connector, &account, id, name);
        others.look(&account, MAILBOXES, knows, hidden)?;
        Ok(others.stale.is_some())
    }

    /// The sequence number of the first new message of the selected mailbox, and which of the new messages the client
    /// itself has appended or copied. Each is returned once. `None` when there are none, or when the client wants to
    /// know nothing of them.
    fn new_messages(&mut self) -> Option<(u32, Vec<(Uid, Uid)>)> {
        let State::Selected(selected) = &mut self.state else { return None };
        let (from, own) = (selected.new_from.take(), std::mem::take(&mut selected.own_new));
        let by_notify = self.notify.as_ref().is_some_and(|notify| !notify.selected.fetch.is_empty());
        let wanted = by_notify || selected.contexts.live().iter().any(|context| !context.fetch.is_empty());
        let new = selected.numbers.within(from.filter(|_| wanted)?..=Uid::MAX)?;
        Some((*new.start(), own))
    }

    /// Notes that the client itself has appended or copied these messages, and so knows them.
    pub fn came(&mut self, account: &Account, placed: &Placed) {
        match &mut self.state {
            State::Selected(selected)
                if placed.first().is_some_and(|(to, _)| to == selected.numbers.mailbox()) =>
            {
                selected.own_new.extend(placed.ranges());
            }
            _ => {
                if let Some(notify) = &mut self.notify {
                    notify.came(account, placed);
                }
            }
        }
    }

    fn others(&mut self) -> Option<&mut Others> {
        self.notify.as_mut()?.others.as_mut()
    }

    /// Writes the next piece of what the client is told of mailboxes that are not selected. Returns `false` when
    /// there is no more.
    fn tell_piece(&mut self, config: &Config, out: &mut String) -> bool {
        let told = match self.tell_event(out) {
            Ok(false) => self.look_through(Knows::Empty).map_err(drop),
            told => told.map_err(drop),
        };
        match told {
            Ok(true) => true,
            Ok(false) => self.tell_status(config, out),
            Err(()) => {
                out.push_str(OVERFLOW);
                self.notify = Some(Box::new(Notify::none()));
                false
            }
        }
    }

    /// Writes the next STATUS response (RFC 5465 sections 5.1 to 5.3). Returns `false` when there was none to write.
    fn tell_status(&mut self, config: &Config, out: &mut String) -> bool {
        let Some(account) = self.account().cloned() else { return false };
        let selected = self.selected().map(|selected| selected.numbers().mailbox());
        let modseqs = self.enabled.has(Extension::Condstore);
        let due = self.others().and_then(|others| others.due(&account, selected, modseqs));
        due.is_some_and(|(id, items)| {
            mailboxes::write_status_of(&account, id, &items, self.about(config), out)
        })
    }

    /// Handles the next event, and tells the client if it wants to know. Returns `false` when there is no event.
    fn tell_event(&mut self, out: &mut String) -> Result<bool, Overflow> {
        let Some(account) = self.account().cloned() else { return Ok(false) };
        let (connector, enabled) = (self.connector, self.enabled);
        let Some(others) = self.others() else { return Ok(false) };
        let Some((own, event)) = others.watcher.next()? else { return Ok(false) };
        others.watcher.pass();
        // The event may have changed which mailboxes are watched.
        others.stale = Some(None);
        if own {
            return Ok(true);
        }
        let teller = StatusSender { account: &account, connector, enabled };
        match event {
            Event::Created(name) | Event::Deleted(name) => {
                // Section 5.4: the mailbox above is affected, too.
                let above = name.rsplit_once('/').map(|(above, _)| above.to_owned());
                for name in [Some(name), above].into_iter().flatten() {
                    if teller.events(others, &name).has(Events::MAILBOX_NAME) {
                        teller.list(&name, None, out);
                    }
                }
            }
            Event::Renamed { from, to } => {
                let events = teller.events(others, &from).with(teller.events(others, &to));
                if events.has(Events::MAILBOX_NAME) {
                    teller.list(&to, Some(&from), out);
                }
            }
            Event::Subscription(name) => {
                // The name was subscribed before the event or is after it.
                let events = others.filters.events(&name, true).with(others.filters.events(&name, false));
                if events.has(Events::SUBSCRIPTION_CHANGE) {
                    teller.list(&name, None, out);
                }
            }
            Event::Annotation { mailbox, entry } => teller.annotations(others, mailbox, entry, out)?,
        }
        Ok(true)
    }
}

/// Writes the responses for events.
struct StatusSender<'a> {
    account: &'a Account,
    connector: bool,
    enabled: Enabled,
}

impl StatusSender<'_> {
    /// The events that the client wants to be told of for this name.
    fn events(&self, others: &Others, name: &str) -> Events {
        others.filters.events(name, self.account.is_subscribed(name))
    }

    /// Whether the client does not see this mailbox.
    fn hides(&self, id: MailboxId, name: &str) -> bool {
        !connector::sees(self.connector, self.account, id, name)
    }

    /// Writes the LIST response of a name as it is now. `old` is its former name, after a rename.
    fn list(&self, name: &str, old: Option<&str>, out: &mut String) {
        let id = self.account.find(name);
        if id.is_some_and(|id| self.hides(id, name)) {
            return;
        }
        list::write_name(self.account, name, old, self.connector, self.enabled, out);
    }

    /// Writes the METADATA response (RFC 5464 section 4.4.2) of a changed annotation, and of other annotations of the
    /// same mailbox that changed right after it (RFC 5465 sections 5.6 and 5.7).
    fn annotations(
        &self,
        others: &mut Others,
        mailbox: MailboxId,
        entry: String,
        out: &mut String,
    ) -> Result<(), Overflow> {
        let mut entries = BTreeSet::from([entry]);
        while entries.len() < ENTRIES
            && let Some((false, Event::Annotation { mailbox: of, entry })) = others.watcher.next()?
            && of == mailbox
        {
            entries.insert(entry);
            others.watcher.pass();
        }
        let name = match mailbox {
            NO_MAILBOX => Some(String::new()),
            id => self.account.view(id, |mailbox| mailbox.name.clone()),
        };
        let Some(name) = name else { return Ok(()) };
        let hears = match mailbox {
            NO_MAILBOX => others.filters.any().has(Events::SERVER_METADATA_CHANGE),
            id => self.events(others, &name).has(Events::MAILBOX_METADATA_CHANGE) && !self.hides(id, &name),
        };
        if hears {
            out.push_str("* METADATA ");
            words::mailbox(&name, self.enabled, out);
            for entry in entries {
                out.push(' ');
                words::astring(&entry, out);
            }
            out.push_str("\r\n");
        }
        Ok(())
    }
}

impl Connection {
    /// NOTIFY SET.
    pub async fn notify(&mut self, tag: String, set: NotifySet) -> io::Result<Outcome> {
        let Some(account) = self.session.account().cloned() else { return Ok(Outcome::End) };
        let knows = if set.status { Knows::Nothing } else { Knows::All };
        let Some(notify) = Notify::new(set, account.watch()) else {
            return Ok(Outcome::reply(tag, TOO_MUCH));
        };
        // Section 3.1: changes that have accumulated are reported, whatever is reported from then on.
        let before = self.session.notify.take();
        self.tell_selected(&MailboxUpdates { uid: true, ..MailboxUpdates::default() }).await?;
        self.session.notify = Some(Box::new(notify));
        let pace = Pace::new();
        loop {
            match self.session.look_through(knows) {
                Ok(true) => pace.did(TURN).await,
                Ok(false) => break,
                Err(TooMany) => {
                    self.session.notify = before;
                    let more = format!("{TOO_MUCH}: {MAX_WATCHED} mailboxes can be");
                    return Ok(Outcome::reply(tag, more));
                }
            }
        }
        self.tell_others().await?;
        Ok(Outcome::Reply(Reply::new(tag, "OK NOTIFY completed")))
    }

    /// Tells the client what has changed in mailboxes that are not selected.
    pub async fn tell_others(&mut self) -> io::Result<()> {
        let pace = Pace::new();
        loop {
            let mut out = String::new();
            let more = self.session.tell_piece(&self.context.config(), &mut out);
            if !out.is_empty() {
                self.write(&out).await?;
            }
            if !more {
                return Ok(());
            }
            // All names or messages were searched.
            pace.did(TURN).await;
        }
    }

    /// Sends the items that are wanted of new messages in the selected mailbox (RFC 5465 sections 5.2 and 7), before
    /// the updates of searches that they match.
    pub async fn tell_new(&mut self) -> io::Result<()> {
        let Some((from, own)) = self.session.new_messages() else { return Ok(()) };
        let pace = Pace::new();
        let Some(account) = self.session.account() else { return Ok(()) };
        let (summaries, mut flags) = (lazy_message::summaries(account), String::new());
        for seq in from.. {
            pace.did(ITEM).await;
            let Some(selected) = self.session.selected() else { break };
            let Some(uid) = selected.numbers().uid(seq) else { break };
            if own.iter().any(|(first, last)| (*first..=*last).contains(&uid)) {
                continue;
            }
            let notify = self.session.notify.as_ref();
            let mut items = notify.map(|notify| notify.selected.fetch.clone()).unwrap_or_default();
            items.extend(selected.wanted_of_new(seq).await);
            if items.is_empty() {
                continue;
            }
            if self.session.enabled.has(Extension::Condstore) {
                // RFC 7162 section 3.2.4.
                items.splice(0..0, [FetchItem::Uid, FetchItem::Modseq]);
            }
            let mut once = Vec::new();
            items.into_iter().for_each(|item| {
                if !once.contains(&item) {
                    once.push(item)
                }
            });
            self.send_message(seq, &once, &summaries, &mut flags, &pace).await?;
        }
        Ok(())
    }
}
