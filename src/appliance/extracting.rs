//! Makes the extracts of messages, summaries and signatures, behind those that come and of those that came before: so that no
//! delivery waits for it.

use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::context::Context;
use crate::flash::ReadAt;
use crate::message::bodystructure::Description;
use crate::message::mime::Scanner;
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
        let unreadable = |source: io::Error| Error::Io { path: account.name().to_owned(), source };
        let fields = summary::fields(&body).map_err(unreadable)?;
        let structure = self.structure(&body).await.map_err(unreadable)?;
        let summary = Summary { fields: &fields, structure: &structure }.encode();
        let mut signer = Signer::new(&body);
        let mut before = 0;
        loop {
            if let Some(signature) = signer.step().map_err(unreadable)? {
                return Ok(Extracts { summary, signature });
            }
            self.pace.did(STEP.max(signer.passed() - before)).await;
            before = signer.passed();
            self.rest().await;
        }
    }

    /// BODYSTRUCTURE; empty where it is too long.
    async fn structure(&mut self, body: &Body) -> io::Result<Vec<u8>> {
        let mut scanner = Scanner::new(body);
        let mut before = 0;
        while scanner.step()? {
            self.pace.did(STEP.max(scanner.passed() - before)).await;
            before = scanner.passed();
            self.rest().await;
        }
        let structure = scanner.finish();
        let (mut description, mut text) = (Description::new(body, &structure, summary::FORM), Vec::new());
        let limit = structure_limit(body.len()?);
        while description.step(&mut text)? {
            if text.len() > limit {
                break;
            }
            self.pace.did(STEP).await;
        }
        if text.len() > limit {
            text.clear();
        }
        Ok(text)
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
