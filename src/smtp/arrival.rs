//! A message while it comes in: its envelope, what was made of its content so far, and where that goes. Without I/O.

use super::intake::Intake;
use super::{Content, Envelope, Reply, store_trouble};

/// A message coming in, by DATA or in chunks.
pub struct Arrival {
    /// Names it in its trace field and in the log.
    pub id: String,
    envelope: Envelope,
    intake: Intake,
    receiving: Receiving,
    out: Vec<u8>,
}

/// What becomes of the octets.
enum Receiving {
    /// They are kept.
    Keeping(Content),
    /// They are thrown away, and at the end the client hears why.
    Discarding(Reply),
}

impl Arrival {
    /// A message of which nothing has come; `trace` is what stands before all of it.
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

    /// Takes octets off the wire, and returns how many of them: all, unless the end comes before.
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

    /// Whether closing the connection is better for everyone than to receive this, and `coming` octets more.
    pub fn is_hopeless(&self, coming: u64) -> bool {
        self.intake.is_hopeless(coming)
    }

    /// Why it is not taken, where that is known already.
    pub fn refusal(&self) -> Option<&Reply> {
        match &self.receiving {
            Receiving::Keeping(_) => None,
            Receiving::Discarding(refusal) => Some(refusal),
        }
    }

    /// All of it is there.
    ///
    /// # Errors
    /// Why it is not taken.
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

    /// Stores what was made of the latest octets.
    fn keep(&mut self) {
        if let Receiving::Keeping(content) = &mut self.receiving
            && let Err(error) = content.message.write(&self.out)
        {
            self.receiving = Receiving::Discarding(store_trouble(&error));
        }
    }
}
