//! Makes the extracts (summaries and signatures) of new messages and of older ones that have none, in the background, so that
//! no delivery waits for them.

use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::context::Context;
use crate::flash::ReadAt;
use crate::message::bodystructure::Description;
use crate::message::mime::{Scanner, Structure};
use crate::message::signature::{self, Signer};
use crate::message::summary::{self, Summary, structure_limit};
use crate::pace::{Pace, STEP};
use crate::store::{Account, Body, Error, Extracts, Message};

/// Time between two looks for messages without extracts.
const LOOK: Duration = Duration::from_secs(10);

/// The versions of the extracts that are made now.
const VERSIONS: Extracts<u8> = Extracts { summary: summary::VERSION, signature: signature::VERSION };

/// Octets of new messages that are waited for, so that their extracts fill some pages of flash. A search reads so much new
/// mail.
const LEAST: u64 = 256 * 1024;

/// Octets of extracts that are written at once.
const PIECE: usize = 32 * 1024;

/// The pause after each stretch of work, as a multiple of the stretch: the processor and the flash are left to others.
const REST: u32 = 9;

/// The length of a stretch of work.
const AT_A_STRETCH: Duration = Duration::from_millis(1);

/// Makes the extracts of the messages of all open accounts, for ever.
pub async fn run(context: Rc<Context>) {
    loop {
        async_io::Timer::after(LOOK).await;
        for account in context.store.open() {
            match extract(&account, LEAST).await {
                // New mail needs the room more than extracts do.
                Ok(()) | Err(Error::Full) => {}
                Err(error) => log::warn!("{}: extracts: {error}", account.name()),
            }
        }
    }
}

/// Makes the extracts of an account's messages that have none, if these messages have at least `least` octets together.
///
/// # Errors
/// Those of [`Account::unextracted`] and [`Account::keep_extracts`]. Extracts that were kept before the error stay.
pub async fn extract(account: &Account, least: u64) -> Result<(), Error> {
    let work = Work { pace: Pace::new(), begun: Instant::now() };
    work.with_rests(account, least).await
}

struct Work {
    pace: Pace,
    begun: Instant,
}

impl Work {
    async fn with_rests(mut self, account: &Account, least: u64) -> Result<(), Error> {
        loop {
            let missing = account.unextracted(VERSIONS, least).await?;
            if missing.is_empty() {
                return Ok(());
            }
            let (mut made, mut octets) = (Vec::new(), 0);
            for message in missing {
                self.rest().await;
                let extracts = match self.make(account, &message).await {
                    Ok(extracts) => extracts,
                    // Somebody has removed the message.
                    Err(Error::NoSuchMessage) => continue,
                    // Empty extracts say nothing, so that a search still reports that this message cannot be read.
                    Err(_) => Extracts::default(),
                };
                octets += extracts.summary.len() + extracts.signature.len();
                made.push((message, extracts));
                if octets >= PIECE {
                    account.keep_extracts(VERSIONS, &made)?;
                    (made, octets) = (Vec::new(), 0);
                }
            }
            account.keep_extracts(VERSIONS, &made)?;
        }
    }

    async fn make(&mut self, account: &Account, message: &Message) -> Result<Extracts<Vec<u8>>, Error> {
        let body = account.body(message)?;
        let made = self.take_out(&body).await;
        made.map_err(|source| Error::Io { path: account.name().to_string(), source })
    }

    async fn take_out(&mut self, body: &Body) -> io::Result<Extracts<Vec<u8>>> {
        let fields = summary::fields(body)?;
        let mut scanner = Scanner::new(body);
        self.steps(|| Ok(((!scanner.step()?).then_some(()), scanner.passed()))).await?;
        let structure = scanner.finish();
        let described = self.described(body, &structure).await?;
        let summary = Summary { fields: &fields, structure: &described }.encode();
        let mut signer = Signer::new(body, structure);
        let signature = self.steps(|| Ok((signer.step()?, signer.passed()))).await?;
        Ok(Extracts { summary, signature })
    }

    /// The BODYSTRUCTURE of the message; empty where it is too long.
    async fn described(&mut self, body: &Body, structure: &Structure) -> io::Result<Vec<u8>> {
        let (mut description, mut text) = (Description::new(body, structure, summary::FORM), Vec::new());
        let limit = structure_limit(body.len()?);
        let step = || {
            let more = description.step(&mut text)? && text.len() <= limit;
            Ok(((!more).then_some(()), description.passed()))
        };
        self.steps(step).await?;
        Ok(if text.len() > limit { Vec::new() } else { text })
    }

    /// Takes steps until one returns a result. Each step also tells how many octets were passed so far. Between the steps,
    /// others have their turn and their time.
    async fn steps<T>(&mut self, mut step: impl FnMut() -> io::Result<(Option<T>, u64)>) -> io::Result<T> {
        let mut before = 0;
        loop {
            let (done, passed) = step()?;
            if let Some(done) = done {
                return Ok(done);
            }
            self.pace.did(STEP.max(passed - before)).await;
            before = passed;
            self.rest().await;
        }
    }

    /// Pauses after a stretch of work, to leave time to others.
    async fn rest(&mut self) {
        let worked = self.begun.elapsed();
        if worked >= AT_A_STRETCH && !cfg!(test) {
            async_io::Timer::after(worked * REST).await;
            self.begun = Instant::now();
        }
    }
}
