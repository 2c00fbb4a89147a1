//! Makes the signatures of messages, behind those that come and of those that came before: so that no delivery waits for it.

use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::context::Context;
use crate::message::signature::{Signer, VERSION};
use crate::pace::{Pace, STEP};
use crate::store::{Account, Error, Message};

/// How often it is looked whether there is something to do.
const LOOK: Duration = Duration::from_secs(10);

/// Octets of messages that are waited for: their signatures fill some pages of flash. So much a search reads of new mail.
const LEAST: u64 = 256 * 1024;

/// Octets of signatures that are written together.
const PIECE: usize = 32 * 1024;

/// So many times as long as it worked it leaves the processor to others, and the flash.
const REST: u32 = 9;

/// So long it works at a stretch.
const AT_A_STRETCH: Duration = Duration::from_millis(1);

/// Signs the messages of all accounts that are open.
pub async fn run(context: Rc<Context>) {
    loop {
        async_io::Timer::after(LOOK).await;
        for account in context.store.open() {
            match sign(&account, LEAST).await {
                // New mail needs the room more.
                Ok(()) | Err(Error::Full) => {}
                Err(error) => log::warn!("{}: signatures: {error}", account.name()),
            }
        }
    }
}

/// Signs the messages of an account that have no signature, where they have `least` octets together.
///
/// # Errors
/// Those of [`Account::unsigned`] and [`Account::keep_signatures`]. What is signed by then stays so.
pub async fn sign(account: &Account, least: u64) -> Result<(), Error> {
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
            let missing = account.unsigned(VERSION, least).await?;
            if missing.is_empty() {
                return Ok(());
            }
            let (mut signed, mut octets) = (Vec::new(), 0);
            for message in missing {
                self.rest().await;
                let signature = match self.make(account, &message).await {
                    Ok(signature) => signature,
                    // Somebody has removed it.
                    Err(Error::NoSuchMessage) => continue,
                    // It says nothing, so that a search goes on telling that this one cannot be read.
                    Err(_) => Vec::new(),
                };
                octets += signature.len();
                signed.push((message, signature));
                if octets >= PIECE {
                    account.keep_signatures(VERSION, &signed)?;
                    (signed, octets) = (Vec::new(), 0);
                }
            }
            account.keep_signatures(VERSION, &signed)?;
        }
    }

    async fn make(&mut self, account: &Account, message: &Message) -> Result<Vec<u8>, Error> {
        let body = account.body(message)?;
        let unreadable = |source: io::Error| Error::Io { path: account.name().to_owned(), source };
        let mut signer = Signer::new(&body);
        let mut before = 0;
        loop {
            if let Some(signature) = signer.step().map_err(unreadable)? {
                return Ok(signature);
            }
            self.pace.did(STEP.max(signer.passed() - before)).await;
            before = signer.passed();
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
