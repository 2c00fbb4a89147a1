//! One message handed to another server (RFC 5321 section 3.3): a state machine over replies.
//!
//! With PIPELINING (RFC 2920) MAIL and all RCPT leave together. DATA waits for their replies even
//! then: it costs one round trip, and saves sending the content to a server that wants none of it.

use std::time::Duration;

use super::{Capabilities, Failure};
use crate::smtp::{Mailbox, Reply, ReversePath};

/// What is sent, but for its content.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Where bounces go.
    pub sender: &'a ReversePath,
    /// At least one.
    pub recipients: &'a [Mailbox],
    /// Octets of the content.
    pub size: u64,
    /// The content has octets above 127.
    pub eight_bit: bool,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this, and hand over a reply.
    Send(Vec<u8>),
    /// Hand over another reply.
    Read,
    /// Send the content, and hand over a reply.
    Content,
    /// The last word for each recipient, in order.
    Done(Vec<Reply>),
}

#[derive(Debug, Clone, Copy)]
enum State {
    Mail,
    /// The reply to come is the one for this recipient.
    Rcpt(usize),
    Data,
    Content,
    /// Nothing is to be sent after all.
    Rset,
}

/// A transaction.
pub struct Transaction<'a> {
    message: Message<'a>,
    pipelining: bool,
    state: State,
    /// MAIL was refused: the replies to the RCPT that left with it mean nothing.
    mail_refused: Option<Reply>,
    /// The last word for each recipient; `None` where it is still open.
    verdicts: Vec<Option<Reply>>,
}

impl<'a> Transaction<'a> {
    /// Begins to send `message` to a server that can do `capabilities`.
    pub fn begin(message: Message<'a>, capabilities: &Capabilities) -> (Transaction<'a>, Step) {
        let mut transaction = Transaction {
            message,
            pipelining: capabilities.pipelining,
            state: State::Mail,
            mail_refused: None,
            verdicts: vec![None; message.recipients.len()],
        };
        if let Some(limit) = capabilities.size.filter(|&limit| limit > 0 && message.size > limit) {
            // RFC 1870 section 6.1: not even tried.
            let text = format!("The smarthost takes messages of up to {limit} octets");
            let done = transaction.done(&Reply::new(552, (3, 4), text));
            return (transaction, done);
        }
        let mut commands = transaction.mail(capabilities);
        if transaction.pipelining {
            for recipient in message.recipients {
                commands.push_str(&rcpt(recipient));
            }
        }
        (transaction, Step::Send(commands.into_bytes()))
    }

    fn mail(&self, capabilities: &Capabilities) -> String {
        let sender = self.message.sender.as_ref().map_or("", Mailbox::as_str);
        let mut command = format!("MAIL FROM:<{sender}>");
        if capabilities.size.is_some() {
            command.push_str(&format!(" SIZE={}", self.message.size));
        }
        // A server without 8BITMIME gets it all the same: there is none left that minds, and changing
        // the encoding of a message would break its signatures.
        if capabilities.eight_bit && self.message.eight_bit {
            command.push_str(" BODY=8BITMIME");
        }
        command + "\r\n"
    }

    /// RFC 5321 section 4.5.3.2: how long the reply that comes next may take.
    pub fn patience(&self) -> Duration {
        let minutes = match self.state {
            State::Mail | State::Rcpt(_) | State::Rset => 5,
            State::Data => 2,
            State::Content => 10,
        };
        Duration::from_secs(minutes * 60)
    }

    /// Whether the content has left: the server may have taken the message even if its reply never
    /// comes (RFC 5321 section 4.5.4.1).
    pub fn is_in_doubt(&self) -> bool {
        matches!(self.state, State::Content)
    }

    /// Takes a reply.
    ///
    /// # Errors
    /// The connection is of no more use, and nothing is decided.
    pub fn reply(&mut self, reply: Reply) -> Result<Step, Failure> {
        if reply.code == 421 {
            return Err(Failure::Unavailable(reply.to_string()));
        }
        match self.state {
            State::Mail => self.after_mail(reply),
            State::Rcpt(recipient) => self.after_rcpt(recipient, reply),
            State::Data if reply.code == 354 => {
                self.state = State::Content;
                Ok(Step::Content)
            }
            State::Data => {
                self.decide(&unless_positive(reply)?);
                Ok(self.rset())
            }
            State::Content => Ok(self.done(&reply)),
            State::Rset => Ok(self.done(&reply)),
        }
    }

    fn after_mail(&mut self, reply: Reply) -> Result<Step, Failure> {
        match reply.code {
            535 => return Err(Failure::Login(reply.to_string())),
            // RFC 4954 section 6: nobody has tried to log in, or not as is wanted.
            530 | 538 => {
                return Err(Failure::Settings(format!(
                    "the smarthost wants another login than the settings have: {reply}"
                )));
            }
            _ => {}
        }
        if !reply.is_positive() {
            if !self.pipelining {
                return Ok(self.done(&reply));
            }
            self.mail_refused = Some(reply);
        }
        Ok(self.recipient(0))
    }

    /// Goes on with the recipient at `index`, or with what comes after the last one.
    fn recipient(&mut self, index: usize) -> Step {
        if let Some(recipient) = self.message.recipients.get(index) {
            self.state = State::Rcpt(index);
            return if self.pipelining { Step::Read } else { Step::Send(rcpt(recipient).into_bytes()) };
        }
        if let Some(refusal) = self.mail_refused.take() {
            self.verdicts.fill(None);
            return self.done(&refusal);
        }
        if self.verdicts.iter().all(Option::is_some) {
            return self.rset();
        }
        self.state = State::Data;
        Step::Send(b"DATA\r\n".to_vec())
    }

    fn after_rcpt(&mut self, index: usize, reply: Reply) -> Result<Step, Failure> {
        if !reply.is_positive()
            && let Some(verdict) = self.verdicts.get_mut(index)
        {
            *verdict = Some(reply);
        }
        Ok(self.recipient(index + 1))
    }

    /// Nothing is sent: the server is to forget what it heard, and all verdicts stand already.
    fn rset(&mut self) -> Step {
        self.state = State::Rset;
        Step::Send(b"RSET\r\n".to_vec())
    }

    fn decide(&mut self, reply: &Reply) {
        for verdict in &mut self.verdicts {
            verdict.get_or_insert_with(|| reply.clone());
        }
    }

    fn done(&mut self, reply: &Reply) -> Step {
        self.decide(reply);
        Step::Done(self.verdicts.drain(..).flatten().collect())
    }
}

fn rcpt(recipient: &Mailbox) -> String {
    format!("RCPT TO:<{recipient}>\r\n")
}

/// A server that answers DATA with "done" has not understood it.
fn unless_positive(reply: Reply) -> Result<Reply, Failure> {
    if reply.is_positive() || reply.is_intermediate() {
        return Err(Failure::Unavailable(format!("the smarthost answers DATA with {reply}")));
    }
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::reply::ReplyReader;

    const ALL: Capabilities = Capabilities {
        pipelining: true,
        eight_bit: true,
        size: Some(1000),
        starttls: false,
        mechanisms: Vec::new(),
    };

    /// `S:` is a line of the server, `C:` a line of the client, `!` anything else it does. The message
    /// has 500 octets, some of them above 127.
    fn play(capabilities: &Capabilities, recipients: &[&str], transcript: &str) {
        let sender = Mailbox::parse("demo@home.example").ok();
        let recipients: Vec<_> = recipients.iter().map(|r| Mailbox::parse(r).unwrap()).collect();
        let message = Message { sender: &sender, recipients: &recipients, size: 500, eight_bit: true };
        let (mut transaction, step) = Transaction::begin(message, capabilities);
        let mut did = describe(Ok(step)).into_iter();
        for expected in transcript.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let Some(line) = expected.strip_prefix("S: ") else {
                assert_eq!(did.next().as_deref(), Some(expected));
                continue;
            };
            assert_eq!(did.next(), None, "before {expected}");
            let reply = ReplyReader::default().line(line.as_bytes()).unwrap().unwrap();
            did = describe(transaction.reply(reply)).into_iter();
        }
        assert_eq!(did.next(), None);
    }

    fn describe(step: Result<Step, Failure>) -> Vec<String> {
        match step {
            Ok(Step::Send(octets)) => {
                String::from_utf8(octets).unwrap().lines().map(|line| format!("C: {line}")).collect()
            }
            Ok(Step::Read) => Vec::new(),
            Ok(Step::Content) => vec!["! content".into()],
            Ok(Step::Done(verdicts)) => verdicts.iter().map(|verdict| format!("! {verdict}")).collect(),
            Err(failure) => vec![format!("! {failure}")],
        }
    }

    #[test]
    fn with_pipelining_recipients_leave_with_mail() {
        play(
            &ALL,
            &["a@else.example", "b@else.example"],
            "C: MAIL FROM:<demo@home.example> SIZE=500 BODY=8BITMIME
             C: RCPT TO:<a@else.example>
             C: RCPT TO:<b@else.example>
             S: 250 2.1.0 OK
             S: 250 2.1.5 OK
             S: 550 5.1.1 Unknown
             C: DATA
             S: 354 Go
             ! content
             S: 250 2.0.0 Queued as 1
             ! 250 2.0.0 Queued as 1
             ! 550 5.1.1 Unknown",
        );
    }

    #[test]
    fn without_extensions_one_command_at_a_time() {
        play(
            &Capabilities::default(),
            &["a@else.example", "b@else.example"],
            "C: MAIL FROM:<demo@home.example>
             S: 250 OK
             C: RCPT TO:<a@else.example>
             S: 250 OK
             C: RCPT TO:<b@else.example>
             S: 450 4.2.1 Greylisted
             C: DATA
             S: 354 Go
             ! content
             S: 554 5.7.1 Spam
             ! 554 5.7.1 Spam
             ! 450 4.2.1 Greylisted",
        );
    }

    #[test]
    fn refusals_leave_the_connection_ready_for_the_next_message() {
        let pipelined = "C: MAIL FROM:<demo@home.example> SIZE=500 BODY=8BITMIME
             C: RCPT TO:<a@else.example>\n";
        for rest in [
            "S: 250 OK
             S: 550 5.1.1 Unknown
             C: RSET
             S: 250 OK
             ! 550 5.1.1 Unknown",
            "S: 250 OK
             S: 250 OK
             C: DATA
             S: 451 4.3.0 Later
             C: RSET
             S: 250 OK
             ! 451 4.3.0 Later",
            "S: 550 5.7.1 Not your address
             S: 503 5.5.1 MAIL first
             ! 550 5.7.1 Not your address",
        ] {
            play(&ALL, &["a@else.example"], &format!("{pipelined}{rest}"));
        }
        play(
            &Capabilities::default(),
            &["a@else.example"],
            "C: MAIL FROM:<demo@home.example>
             S: 452 4.3.1 Full
             ! 452 4.3.1 Full",
        );
    }

    #[test]
    fn what_is_too_large_is_not_even_tried() {
        let small = Capabilities { size: Some(499), ..Capabilities::default() };
        play(&small, &["a@else.example"], "! 552 5.3.4 The smarthost takes messages of up to 499 octets");
        let unlimited = Capabilities { size: Some(0), ..Capabilities::default() };
        play(&unlimited, &["a@else.example"], "C: MAIL FROM:<demo@home.example> SIZE=500");
    }

    #[test]
    fn replies_that_decide_nothing() {
        let mail = "C: MAIL FROM:<demo@home.example>\n";
        for (rest, outcome) in [
            ("S: 535 5.7.8 Not you", "! the smarthost refuses the login: 535 5.7.8 Not you"),
            (
                "S: 530 5.7.0 Log in first",
                "! the smarthost wants another login than the settings have: 530 5.7.0 Log in first",
            ),
            ("S: 421 4.3.2 Going down", "! 421 4.3.2 Going down"),
            (
                "S: 250 OK\nC: RCPT TO:<a@else.example>\nS: 250 OK\nC: DATA\nS: 250 Done",
                "! the smarthost answers DATA with 250 Done",
            ),
        ] {
            play(&Capabilities::default(), &["a@else.example"], &format!("{mail}{rest}\n{outcome}"));
        }
    }
}
