//! Makes the extracts of messages, summaries and signatures, behind those that come and of those that came before: so that no
//! delivery waits for it.

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

/// How often it is looked whether there is something to do.
const LOOK: Duration = Duration::from_secs(10);

/// The ways in which they are made now.
const VERSIONS: Extracts<u8> = Extracts { summary: summary::VERSION, signature: signature::VERSION };

/// Octets of messages that are waited for: their extracts fill some pages of flash. So much a search reads of new mail.
const LEAST: u64 = 256 * 1024;

/// Octets of extracts that are written together.
const PIECE: usize = 32 * 1024;

/// So many times as long as it worked it leaves the processor to others, and the flash.
const REST: u32 = 9;

/// So long it works at a stretch.
const AT_A_STRETCH: Duration = Duration::from_millis(1);

/// Makes those of the messages of all accounts that are open.
pub async fn run(context: Rc<Context>) {
    loop {
        async_io::Timer::after(LOOK).await;
        for account in context.store.open() {
            match extract(&account, LEAST).await {
                // New mail needs the room more.
                Ok(()) | Err(Error::Full) => {}
                Err(error) => log::warn!("{}: extracts: {error}", account.name()),
            }
        }
    }
}

/// Makes the extracts of an account's messages that have none, where they have `least` octets together.
///
/// # Errors
/// Those of [`Account::unextracted`] and [`Account::keep_extracts`]. What is made by then stays so.
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
                    // Somebody has removed it.
                    Err(Error::NoSuchMessage) => continue,
                    // They say nothing, so that a search goes on telling that this one cannot be read.
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

    /// BODYSTRUCTURE; empty where it is too long.
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

    /// Takes one step after the other until one has come to the end, each of which tells what was passed by then. Others have their
    /// turn between, and their time.
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

    /// Leaves the others their time, where it has worked for long enough.
    async fn rest(&mut self) {
        let worked = self.begun.elapsed();
        if worked >= AT_A_STRETCH && !cfg!(test) {
            async_io::Timer::after(worked * REST).await;
            self.begun = Instant::now();
        }
    }
}
