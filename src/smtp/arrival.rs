//! A message while it comes in: its envelope, its content so far, and where the content goes. Without I/O.

use super::intake::Intake;
use super::{Content, Envelope, Reply, store_trouble};

/// A message coming in by DATA or BDAT.
pub struct Arrival {
    /// The id of the message in its trace field and in the log.
    pub id: String,
    envelope: Envelope,
    intake: Intake,
    receiving: Receiving,
    out: Vec<u8>,
}

/// What is done with the octets.
enum Receiving {
    /// They are stored.
    Keeping(Content),
    /// They are dropped, and at the end the client gets this reply.
    Discarding(Reply),
}

impl Arrival {
    /// A message of which nothing has come; `trace` is stored before its content.
    pub fn new(id: String, envelope: Envelope, intake: Intake, content: Content, trace: &str) -> Arrival {
        let mut arrival = Arrival {
            id,
            envelope,
            intake,
            receiving: Receiving::Keeping(content),
            out: trace.as_bytes().to_vec(),
        };
        arrival.keep();
        arrival
    }

    /// Takes octets off the wire, and returns how many: all of them, unless the message ends before.
    pub fn take(&mut self, input: &[u8]) -> usize {
        let (consumed, judged) = match self.receiving {
            Receiving::Keeping(_) => self.intake.take(input, &mut self.out),
            Receiving::Discarding(_) => self.intake.skip(input),
        };
        match judged {
            Ok(()) => self.keep(),
            Err(refusal) => self.receiving = Receiving::Discarding(refusal),
        }
        consumed
    }

    /// Whether the lone dot has come.
    pub fn is_complete(&self) -> bool {
        self.intake.is_complete()
    }

    /// Whether the message is so far too large that closing the connection is better, with `coming` octets announced.
    pub fn is_hopeless(&self, coming: u64) -> bool {
        self.intake.is_hopeless(coming)
    }

    /// The reply with which the message is refused, if that is known already.
    pub fn refusal(&self) -> Option<&Reply> {
        match &self.receiving {
            Receiving::Keeping(_) => None,
            Receiving::Discarding(refusal) => Some(refusal),
        }
    }

    /// Ends the message, of which everything has come.
    ///
    /// # Errors
    /// The reply with which the message is refused.
    pub fn finish(mut self) -> Result<(Envelope, Content), Reply> {
        if self.refusal().is_none() {
            match self.intake.finish(&mut self.out) {
                Ok(eight_bit) => self.envelope.eight_bit = eight_bit,
                Err(refusal) => return Err(refusal),
            }
            self.keep();
        }
        match self.receiving {
            Receiving::Keeping(content) => Ok((self.envelope, content)),
            Receiving::Discarding(refusal) => Err(refusal),
        }
    }

    /// Stores what was decoded last.
    fn keep(&mut self) {
        if let Receiving::Keeping(content) = &mut self.receiving
            && let Err(error) = content.message.write(&self.out)
        {
            self.receiving = Receiving::Discarding(store_trouble(&error));
        }
    }
}
