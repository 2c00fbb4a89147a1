//! One message handed to another server (RFC 5321 section 3.3): a state machine over replies.
//!
//! With PIPELINING (RFC 2920) MAIL, all RCPT and DATA are sent as one group. With CHUNKING (RFC 3030) besides, a
//! short message is sent in that group, too, and takes one round trip in all. Each command gets one reply, in order,
//! so the machine is a list of commands with two positions: what was sent, and what was answered.

use std::time::Duration;

use super::envelope::Envelope;
use super::{Capabilities, Extension};
use crate::smtp::Reply;
use crate::smtp::reply::EnhancedStatus;

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The final reply for each recipient, in order.
    pub verdicts: Vec<Reply>,
    /// For each of them whether it is our own verdict and not a reply of the server.
    pub found_here: Vec<bool>,
    /// For each of them whether it was only one too many for this transaction, while others were not: it may go in
    /// the next one.
    pub left_over: Vec<bool>,
    /// Whether the server took over delivery status notifications, and tells the sender of a delivery.
    pub dsn_passed_on: bool,
}

impl Outcome {
    /// The outcome of a message that was not sent, for so many recipients; `reply` is our own verdict.
    pub fn all(reply: Reply, recipients: usize) -> Outcome {
        Outcome {
            verdicts: vec![reply; recipients],
            found_here: vec![true; recipients],
            left_over: vec![false; recipients],
            dsn_passed_on: false,
        }
    }
}

/// The command that sends the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentCommand {
    /// DATA (RFC 5321 section 4.1.1.4).
    Data,
    /// BDAT (RFC 3030) with one chunk of so many octets.
    Bdat(u64),
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Send these octets, then read a reply.
    Send(Vec<u8>),
    /// Send these octets and the chunk, then read a reply.
    Chunk(Vec<u8>),
    /// Read another reply.
    Read,
    /// Send the content and the lone dot, then read a reply.
    Content,
    /// Send the lone dot without content, then read a reply.
    NoContent,
    /// The transaction is over.
    Done(Outcome),
}

/// A reply that ends the use of the connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The server closes (421).
    Closing(Reply),
    /// The server wants another login.
    Login(Reply),
    /// The server refuses the message, and has taken others on this connection.
    Enough(Reply),
    /// The reply does not fit the command, since the server does not handle this extension as it should.
    Lie(Extension, Reply),
    /// The reply does not fit the command, and no extension is to blame.
    Nonsense(Reply),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Command {
    Rset,
    Mail(String),
    /// RCPT for the recipient at this position.
    Rcpt(usize, String),
    Data,
    Chunk(u64),
    /// The content after DATA, which may be empty.
    Content,
}

/// A transaction.
#[derive(Debug)]
pub struct Transaction {
    commands: Vec<Command>,
    /// How many commands were sent.
    sent: usize,
    /// How many commands were answered.
    answered: usize,
    grouped: bool,
    /// The reply to a MAIL that was refused: then the replies to commands sent with it mean nothing.
    mail_refused: Option<Reply>,
    /// The final reply for each recipient; `None` while it is open.
    verdicts: Vec<Option<Reply>>,
    found_here: Vec<bool>,
    left_over: Vec<bool>,
    /// Whether the server took a recipient.
    has_recipient: bool,
    /// Whether the answer to the end of the content was the one to DATA, said again.
    said_again: bool,
    dsn_passed_on: bool,
    /// Whether the server may still have a transaction.
    is_unclean: bool,
}

impl Transaction {
    /// A message with this envelope, of `size` octets. With `reset` an earlier transaction that the server may still
    /// have is ended first.
    pub fn new(
        envelope: &Envelope,
        size: u64,
        way: ContentCommand,
        reset: bool,
        capabilities: &Capabilities,
    ) -> Transaction {
        let mut commands = Vec::with_capacity(envelope.recipients.len() + 3);
        commands.extend(reset.then_some(Command::Rset));
        commands.push(Command::Mail(envelope.mail(size, capabilities)));
        for (at, line) in envelope.recipients.iter().enumerate() {
            commands.extend(line.as_ref().ok().map(|line| Command::Rcpt(at, line.clone())));
        }
        commands.push(match way {
            ContentCommand::Data => Command::Data,
            ContentCommand::Bdat(octets) => Command::Chunk(octets),
        });
        let verdicts: Vec<_> = envelope.recipients.iter().map(|line| line.as_ref().err().cloned()).collect();
        Transaction {
            commands,
            sent: 0,
            answered: 0,
            grouped: capabilities.pipelining,
            mail_refused: None,
            found_here: verdicts.iter().map(Option::is_some).collect(),
            left_over: vec![false; verdicts.len()],
            has_recipient: false,
            said_again: false,
            verdicts,
            dsn_passed_on: envelope.dsn_passed_on,
            is_unclean: reset,
        }
    }

    /// The first step.
    pub fn begin(&mut self) -> Step {
        if self.is_decided() { self.done() } else { self.say() }
    }

    /// The outcome of a message of which nothing is sent; `reply` is our own verdict.
    pub fn refuse(&mut self, reply: &Reply) -> Outcome {
        for (verdict, found_here) in self.verdicts.iter_mut().zip(&mut self.found_here) {
            *found_here = true;
            verdict.get_or_insert_with(|| reply.clone());
        }
        self.outcome()
    }

    /// How long the next reply may take (RFC 5321 section 4.5.3.2).
    pub fn patience(&self) -> Duration {
        let minutes = match self.commands.get(self.answered) {
            Some(Command::Data) => 2,
            Some(Command::Content | Command::Chunk(_)) => 10,
            _ => 5,
        };
        Duration::from_secs(minutes * 60)
    }

    /// Whether the transaction, which is over, has left something at the server that RSET must end (RFC 3030 section
    /// 2, RFC 5321 section 4.1.1.5).
    pub fn is_unclean(&self) -> bool {
        self.is_unclean
    }

    /// The extension that may be to blame if the expected reply does not come.
    pub fn relies_on(&self) -> Option<Extension> {
        match self.commands.last() {
            _ if !self.grouped || self.answered >= self.sent => None,
            Some(Command::Content) => None,
            Some(Command::Chunk(_)) => Some(Extension::Chunking),
            _ => Some(Extension::Pipelining),
        }
    }

    /// Whether `reply`, which comes next, refuses the message as a whole before it has recipients.
    pub fn is_refused_by(&self, reply: &Reply) -> bool {
        reply.is_permanent()
            && !wants_login(reply)
            && self.answered < self.sent
            && matches!(self.commands.get(self.answered), Some(Command::Mail(_)))
    }

    /// Takes a reply.
    ///
    /// # Errors
    /// The connection is of no more use, and nothing is decided.
    pub fn reply(&mut self, reply: Reply) -> Result<Step, Trouble> {
        if reply.code == 421 {
            return Err(Trouble::Closing(reply));
        }
        let Some(command) = self.commands.get(self.answered).filter(|_| self.answered < self.sent) else {
            return Err(Trouble::Nonsense(reply));
        };
        match command.clone() {
            Command::Rset => {}
            Command::Mail(_) if wants_login(&reply) => return Err(Trouble::Login(reply)),
            Command::Mail(_) if !reply.is_positive() => self.mail_refused = Some(reply),
            Command::Rcpt(at, _) if !reply.is_positive() => self.recipient_refused(at, reply),
            Command::Rcpt(..) => self.has_recipient = true,
            Command::Mail(_) => {}
            Command::Data => return self.after_data(reply),
            Command::Chunk(_) => return self.after_chunk(reply),
            // Some servers say it twice. To take the second one for the verdict would send the message again and again.
            Command::Content if reply.code == 354 && !self.said_again => {
                self.said_again = true;
                return Ok(Step::Read);
            }
            Command::Content => {
                // Whatever the reply is, the server has ended the transaction (RFC 5321 section 4.1.1.4).
                self.is_unclean = false;
                self.answered += 1;
                self.decide(&reply);
                return Ok(self.done());
            }
        }
        self.answered += 1;
        if !self.grouped && self.mail_refused.is_some() {
            self.is_unclean = false;
            return Ok(self.done());
        }
        Ok(self.say())
    }

    /// Sends what comes next: with pipelining all of it.
    fn say(&mut self) -> Step {
        if self.answered < self.sent {
            return Step::Read;
        }
        let end = if self.grouped { self.commands.len() } else { self.sent + 1 };
        let commands = self.commands.get(self.sent..end).unwrap_or_default();
        if matches!(commands, [Command::Data | Command::Chunk(_)]) && self.is_decided() {
            return self.done();
        }
        let (mut octets, mut is_chunk) = (String::new(), false);
        for command in commands {
            match command {
                Command::Rset => octets.push_str("RSET"),
                Command::Mail(line) | Command::Rcpt(_, line) => octets.push_str(line),
                Command::Data => octets.push_str("DATA"),
                Command::Chunk(length) => {
                    is_chunk = true;
                    octets.push_str(&format!("BDAT {length} LAST"));
                }
                // The content is sent by itself.
                Command::Content => continue,
            }
            octets.push_str("\r\n");
        }
        self.sent = end;
        self.is_unclean = true;
        if is_chunk { Step::Chunk(octets.into_bytes()) } else { Step::Send(octets.into_bytes()) }
    }

    fn recipient_refused(&mut self, at: usize, mut reply: Reply) {
        if self.has_recipient && is_one_too_many(&reply) {
            // 552 is from RFC 821, and to be treated as temporary (RFC 5321 section 4.5.3.1.10).
            reply.code = 452;
            reply.status = Some(EnhancedStatus { class: 4, subject: 5, detail: 3 });
            if let Some(left_over) = self.left_over.get_mut(at) {
                *left_over = true;
            }
        }
        if let Some(verdict) = self.verdicts.get_mut(at) {
            *verdict = Some(reply);
        }
    }

    fn after_data(&mut self, reply: Reply) -> Result<Step, Trouble> {
        if reply.code == 354 {
            self.commands.push(Command::Content);
            (self.answered, self.sent) = (self.answered + 1, self.sent + 1);
            // The server may want a content though all recipients were refused (RFC 2920 section 3.1).
            return Ok(if self.is_decided() { Step::NoContent } else { Step::Content });
        }
        // A server that answers DATA with a positive reply has not understood it, or answers something else.
        if reply.is_positive() || reply.is_intermediate() {
            return Err(self.lie(Extension::Pipelining, reply));
        }
        self.answered += 1;
        self.decide(&reply);
        Ok(self.done())
    }

    fn after_chunk(&mut self, reply: Reply) -> Result<Step, Trouble> {
        // Without a transaction 503 is right, and the server drops the chunk (RFC 3030 section 2). Otherwise the
        // server does not know BDAT, and takes the content for commands.
        let unknown = match reply.code {
            500..=502 | 504 => true,
            503 => !self.is_decided(),
            code => (300..400).contains(&code),
        };
        if unknown {
            return Err(self.lie(Extension::Chunking, reply));
        }
        self.answered += 1;
        self.is_unclean = !reply.is_positive();
        self.decide(&reply);
        Ok(self.done())
    }

    fn lie(&self, extension: Extension, reply: Reply) -> Trouble {
        if self.grouped { Trouble::Lie(extension, reply) } else { Trouble::Nonsense(reply) }
    }

    /// Whether the message goes to nobody.
    fn is_decided(&self) -> bool {
        self.mail_refused.is_some() || self.verdicts.iter().all(Option::is_some)
    }

    /// Sets the final reply for those recipients that have none yet.
    fn decide(&mut self, reply: &Reply) {
        if self.mail_refused.is_none() {
            for verdict in &mut self.verdicts {
                verdict.get_or_insert_with(|| reply.clone());
            }
        }
    }

    fn done(&mut self) -> Step {
        Step::Done(self.outcome())
    }

    fn outcome(&mut self) -> Outcome {
        if let Some(refusal) = self.mail_refused.take() {
            // Then the replies to RCPT mean nothing.
            self.left_over.fill(false);
            for (verdict, found_here) in self.verdicts.iter_mut().zip(&self.found_here) {
                if !found_here {
                    *verdict = Some(refusal.clone());
                }
            }
        }
        let verdicts = std::mem::take(&mut self.verdicts);
        Outcome {
            verdicts: verdicts.into_iter().flatten().collect(),
            found_here: std::mem::take(&mut self.found_here),
            left_over: std::mem::take(&mut self.left_over),
            dsn_passed_on: self.dsn_passed_on,
        }
    }
}

/// Whether the reply to MAIL wants another login than that before (RFC 4954 section 6).
fn wants_login(reply: &Reply) -> bool {
    matches!(reply.code, 530 | 535 | 538)
}

/// Whether the reply to RCPT says that the transaction has enough recipients (RFC 5321 section 4.5.3.1.10, RFC 3463
/// section 3.6). Without a status it may also say that the mailbox is full, which another try tells.
fn is_one_too_many(reply: &Reply) -> bool {
    match reply.status {
        Some(status) => (status.subject, status.detail) == (5, 3),
        None => matches!(reply.code, 452 | 552),
    }
}

#[cfg(test)]
mod tests;
