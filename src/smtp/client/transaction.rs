//! One message handed to another server (RFC 5321 section 3.3): a state machine over replies.
//!
//! With PIPELINING (RFC 2920) MAIL, all RCPT and DATA leave as one group; with CHUNKING (RFC 3030) besides, a short message leaves
//! in that group, too, and is one round trip in all. Whatever the server says, each command gets one reply, in order, so the
//! machine is a list of commands with two places in it: what was sent, and what was answered.

use std::time::Duration;

use super::envelope::Envelope;
use super::{Capabilities, Extension};
use crate::smtp::Reply;

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The last word for each recipient, in order.
    pub verdicts: Vec<Reply>,
    /// Which of them are no replies of the server, but were found here.
    pub found_here: Vec<bool>,
    /// The server knows what was asked for about delivery status notifications, and tells the sender of a delivery.
    pub dsn_passed_on: bool,
}

/// The command that sends the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentCommand {
    /// RFC 5321 section 4.1.1.4.
    Data,
    /// RFC 3030, one chunk of so many octets.
    Bdat(u64),
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this, and hand over a reply.
    Send(Vec<u8>),
    /// Send this and the chunk, and hand over a reply.
    Chunk(Vec<u8>),
    /// Hand over another reply.
    Read,
    /// Send the content and the lone dot, and hand over a reply.
    Content,
    /// Send the lone dot, and hand over a reply.
    NoContent,
    /// It is over.
    Done(Outcome),
}

/// What a reply says about the connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The server closes (421).
    Closing(Reply),
    /// It wants another login.
    Login(Reply),
    /// This is no answer to what was said: the server does not do what it offers, or is none.
    Lie(Extension, Reply),
    /// The same without an extension that could be done without.
    Nonsense(Reply),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Command {
    Rset,
    Mail(String),
    /// For the recipient at this place.
    Rcpt(usize, String),
    Data,
    Chunk(u64),
    /// The content after DATA, or none.
    Content,
}

/// A transaction.
#[derive(Debug)]
pub struct Transaction {
    commands: Vec<Command>,
    /// How many of them were sent, and answered.
    sent: usize,
    answered: usize,
    grouped: bool,
    /// MAIL was refused: the replies to what left with it mean nothing.
    mail_refused: Option<Reply>,
    /// The last word for each recipient; `None` where it is still open.
    verdicts: Vec<Option<Reply>>,
    found_here: Vec<bool>,
    dsn_passed_on: bool,
    /// The server may still know of a transaction.
    is_unclean: bool,
}

impl Transaction {
    /// A message with this envelope, of `size` octets. What the server may still know of the one before is to be forgotten
    /// first with `reset`.
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
            verdicts,
            dsn_passed_on: envelope.dsn_passed_on,
            is_unclean: reset,
        }
    }

    /// What comes first.
    pub fn begin(&mut self) -> Step {
        if self.is_decided() { self.done() } else { self.say() }
    }

    /// Nothing of it is sent, for this reason, which was found here.
    pub fn refuse(&mut self, reply: &Reply) -> Outcome {
        for (verdict, found_here) in self.verdicts.iter_mut().zip(&mut self.found_here) {
            *found_here = true;
            verdict.get_or_insert_with(|| reply.clone());
        }
        self.outcome()
    }

    /// RFC 5321 section 4.5.3.2: how long the reply that comes next may take.
    pub fn patience(&self) -> Duration {
        let minutes = match self.commands.get(self.answered) {
            Some(Command::Data) => 2,
            Some(Command::Content | Command::Chunk(_)) => 10,
            _ => 5,
        };
        Duration::from_secs(minutes * 60)
    }

    /// Whether a transaction that is over has left the server with something to forget before the next one (RFC 3030 section 2,
    /// RFC 5321 section 4.1.1.5).
    pub fn is_unclean(&self) -> bool {
        self.is_unclean
    }

    /// The extension without which the server might have answered, while what it was sent hangs on one.
    pub fn relies_on(&self) -> Option<Extension> {
        match self.commands.last() {
            _ if !self.grouped || self.answered >= self.sent => None,
            Some(Command::Content) => None,
            Some(Command::Chunk(_)) => Some(Extension::Chunking),
            _ => Some(Extension::Pipelining),
        }
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
            Command::Mail(_) if matches!(reply.code, 530 | 535 | 538) => return Err(Trouble::Login(reply)),
            Command::Mail(_) if !reply.is_positive() => self.mail_refused = Some(reply),
            Command::Rcpt(at, _) if !reply.is_positive() => {
                if let Some(verdict) = self.verdicts.get_mut(at) {
                    *verdict = Some(reply);
                }
            }
            Command::Mail(_) | Command::Rcpt(..) => {}
            Command::Data => return self.after_data(reply),
            Command::Chunk(_) => return self.after_chunk(reply),
            Command::Content => {
                // RFC 5321 section 4.1.1.4: whatever it says, the server has forgotten the transaction.
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

    /// Sends what comes next; as a group all of it.
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
                // Sent by itself.
                Command::Content => continue,
            }
            octets.push_str("\r\n");
        }
        self.sent = end;
        self.is_unclean = true;
        if is_chunk { Step::Chunk(octets.into_bytes()) } else { Step::Send(octets.into_bytes()) }
    }

    fn after_data(&mut self, reply: Reply) -> Result<Step, Trouble> {
        if reply.code == 354 {
            self.commands.push(Command::Content);
            (self.answered, self.sent) = (self.answered + 1, self.sent + 1);
            // RFC 2920 section 3.1: a server may want content that is for nobody.
            return Ok(if self.is_decided() { Step::NoContent } else { Step::Content });
        }
        // A server that answers DATA with "done" has not understood it, or this answers something else.
        if reply.is_positive() || reply.is_intermediate() {
            return Err(self.lie(Extension::Pipelining, reply));
        }
        self.answered += 1;
        self.decide(&reply);
        Ok(self.done())
    }

    fn after_chunk(&mut self, reply: Reply) -> Result<Step, Trouble> {
        // Where there is no transaction 503 is right, and the content is passed over (RFC 3030 section 2). Else the server does not
        // know BDAT, and takes the content for commands.
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

    /// Whether nobody is to get the message.
    fn is_decided(&self) -> bool {
        self.mail_refused.is_some() || self.verdicts.iter().all(Option::is_some)
    }

    /// The last word for those for whom there is none yet.
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
            // What RCPT was answered then means nothing.
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
            dsn_passed_on: self.dsn_passed_on,
        }
    }
}

#[cfg(test)]
mod tests;
