//! A mail transaction (RFC 5321 section 3.3): MAIL, RCPT, and DATA or BDAT.

use super::{Effect, MAX_RECIPIENTS, MAX_REFUSED_RECIPIENTS, Session, ok, out_of_order};
use crate::config::Config;
use crate::smtp::command::Error;
use crate::smtp::{Envelope, Recipient, Reply, ReversePath, dsn};

/// The state of a transaction.
#[derive(Debug)]
pub(super) enum Transaction {
    /// MAIL was accepted, and any number of RCPT.
    Open {
        envelope: Envelope,
        /// The size that MAIL declared; 0 if it declared none.
        size: u64,
    },
    /// Some of the content has come by BDAT; the server has the envelope.
    Chunks,
}

impl Session {
    /// Answers MAIL (RFC 5321 section 4.1.1.2, RFC 6409 section 6.1).
    pub(super) fn mail(
        &mut self,
        from: ReversePath,
        size: Option<u64>,
        utf8: bool,
        dsn: dsn::Request,
        config: &Config,
    ) -> Reply {
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
        let envelope = Envelope { sender, account, recipients: Vec::new(), eight_bit: false, utf8, dsn };
        self.transaction = Some(Transaction::Open { envelope, size });
        self.errors = 0;
        ok()
    }

    /// The sender and the identity of the sending account. An account sends as itself, a device as anyone of this
    /// house or as `server.lan_smtp_sender`. Everyone may use the null reverse-path: receipts are sent with it (RFC
    /// 8098 section 3).
    fn sender(&self, from: ReversePath, config: &Config) -> Result<(ReversePath, Option<u64>), Reply> {
        let Some(name) = &self.account else {
            let Some(from) = from else { return Ok((None, None)) };
            let from = from.qualified(home_domain(config));
            let ours = config.stays_here(from.as_str())
                || config.server.lan_smtp_sender.eq_ignore_ascii_case(from.as_str());
            let refusal = || Reply::new(553, (7, 1), "Devices send as an address of this server only");
            return ours.then_some((Some(from), None)).ok_or_else(refusal);
        };
        // An account that is gone does not become a device: its session ends in a moment.
        let account = config.account(name).ok_or_else(not_yours)?;
        let own = from.as_ref().is_none_or(|from| config.may_send_as(account, from.as_str()));
        own.then_some((from, Some(account.id))).ok_or_else(not_yours)
    }

    /// Answers RCPT (RFC 5321 section 4.1.1.3).
    pub(super) fn rcpt(&mut self, to: Recipient, beyond_ascii: bool, config: &Config) -> Effect {
        let (envelope, size) = match &self.transaction {
            None => return Effect::Reply(out_of_order("MAIL comes first")),
            Some(Transaction::Chunks) => return Effect::Reply(out_of_order("The content has begun")),
            Some(Transaction::Open { envelope, size }) => (envelope, *size),
        };
        if beyond_ascii && !envelope.utf8 {
            return Effect::Reply(Error::NotAscii.into());
        }
        if envelope.recipients.len() >= MAX_RECIPIENTS {
            // 452 and not 552: RFC 5321 section 4.5.3.1.10.
            return Effect::Reply(Reply::new(452, (5, 3), "Too many recipients"));
        }
        // The postmaster needs no domain (RFC 5321 section 4.5.1).
        if to.mailbox.domain().is_empty() && !to.mailbox.as_str().eq_ignore_ascii_case("postmaster") {
            return Effect::Reply(Reply::new(553, (1, 3), "That address has no domain"));
        }
        let to = Recipient { mailbox: to.mailbox.qualified(home_domain(config)), ..to };
        Effect::Recipient { account: envelope.account, to, size }
    }

    /// Takes the outcome of an [`Effect::Recipient`].
    pub fn recipient(&mut self, to: Recipient, outcome: Result<(), Reply>) -> Effect {
        let Some(Transaction::Open { envelope, .. }) = &mut self.transaction else {
            return Effect::Reply(out_of_order("MAIL comes first"));
        };
        if let Err(refusal) = outcome {
            self.refused_recipients += u8::from(refusal.is_permanent());
            if self.refused_recipients < MAX_REFUSED_RECIPIENTS {
                return Effect::Reply(refusal);
            }
            return Effect::Close(vec![
                refusal,
                Reply::new(421, (7, 0), "Too many recipients that are none"),
            ]);
        }
        match envelope.recipients.iter_mut().find(|known| known.mailbox == to.mailbox) {
            Some(known) => known.notify = known.notify.and(to.notify),
            None => envelope.recipients.push(to),
        }
        (self.errors, self.refused_recipients) = (0, 0);
        Effect::Reply(Reply::new(250, (1, 5), "OK"))
    }

    /// Answers DATA (RFC 5321 section 4.1.1.4).
    pub(super) fn data(&mut self) -> Effect {
        match self.transaction.take() {
            None => Effect::Reply(out_of_order("MAIL and RCPT come first")),
            Some(Transaction::Open { envelope, size }) if !envelope.recipients.is_empty() => {
                Effect::Content { envelope, size }
            }
            Some(open @ Transaction::Open { .. }) => {
                self.transaction = Some(open);
                Effect::Reply(no_recipients())
            }
            Some(Transaction::Chunks) => {
                self.transaction = Some(Transaction::Chunks);
                Effect::Reply(out_of_order("What began with BDAT ends with BDAT"))
            }
        }
    }

    /// Answers BDAT (RFC 3030 section 2). The octets come whatever the answer is.
    pub(super) fn bdat(&mut self, octets: u64, last: bool) -> Effect {
        let begins = match self.transaction.take() {
            None => return Effect::Swallow { octets, reply: out_of_order("MAIL and RCPT come first") },
            Some(Transaction::Open { envelope, size }) if !envelope.recipients.is_empty() => {
                Some((envelope, size))
            }
            Some(open @ Transaction::Open { .. }) => {
                self.transaction = Some(open);
                return Effect::Swallow { octets, reply: no_recipients() };
            }
            Some(Transaction::Chunks) => None,
        };
        self.transaction = (!last).then_some(Transaction::Chunks);
        Effect::Chunk { octets, last, begins }
    }

    /// Takes in that the message of an [`Effect::Chunk`] is refused. The transaction is over, and further chunks of
    /// it, which may be on their way, belong to no message.
    pub fn chunk_refused(&mut self) {
        self.transaction = None;
    }
}

/// The domain for local parts without a domain.
fn home_domain(config: &Config) -> &str {
    config.server.domains.first().unwrap_or(&config.server.hostname)
}

/// The reply to a message above `server.max_message_size`.
pub fn too_large(limit: u64) -> Reply {
    Reply::new(552, (3, 4), format!("Messages of up to {limit} octets are taken"))
}

/// The reply to a sender address of another person.
fn not_yours() -> Reply {
    Reply::new(553, (7, 1), "That is not an address of yours")
}

fn no_recipients() -> Reply {
    Reply::new(554, (5, 1), "No valid recipients")
}
