//! A certificate authority of one's own, for an appliance that nobody gave a certificate.
//!
//! `tls/ca.pem` is what the devices at home import once. Its key stays for good. The certificate that it signed is replaced
//! whenever it does not fit any more, which no device notices. The CA's own is made again from the key when it may sign more
//! than what is at home, or not the host name, or does not last: devices that trust the earlier one accept what the key signs,
//! as far as that one says, and those to come get the new one.

mod authority;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io;

use super::tls::{self, TlsError};
use crate::flash::{self, Flash, Mode};
use authority::Authority;

/// The server's certificate.
pub(super) const CERTIFICATE: &str = "tls/certificate.pem";
const KEY: &str = "tls/key.pem";
const CA: &str = "tls/ca.pem";
const CA_KEY: &str = "tls/ca.key";

const DAY: u64 = 24 * 60 * 60;

/// 2026-01-01: what a clock shows before that is not the time, on a board whose clock has no battery.
const EPOCH: u64 = 1_767_225_600;

/// The certificate in `tls/` and its key, as they are there.
pub(super) fn stored(flash: &dyn Flash) -> Option<tls::Identity> {
    let (certificate, key) = (read(flash, CERTIFICATE).ok()??, read(flash, KEY).ok()??);
    Some((tls::chain(&certificate).ok()?, tls::private_key(&key).ok()?))
}

/// The certificate in `tls/` and its key, made where they are missing, do not belong together, lack one
/// of `names` or end soon after `now` (seconds since 1970). Where the flash takes no changes, what is made lasts
/// as long as the process: mail can be read meanwhile.
pub(super) async fn identity(
    names: &BTreeSet<String>,
    flash: &dyn Flash,
    now: i64,
) -> Result<tls::Identity, TlsError> {
    let now = u64::try_from(now).ok().filter(|now| (EPOCH..EPOCH + 100 * 365 * DAY).contains(now));
    let shelf = Shelf { flash, refuses: Cell::new(false) };
    // Of other addresses it would not be believed, nor the names beside them.
    let may_be_signed = |name: &&String| name.parse().map_or(true, authority::is_at_home);
    let names = &names.iter().filter(may_be_signed).cloned().collect();
    let ca = Authority::open(&shelf, names, now).await?;
    if let (Some(certificate), Some(key)) = (read(flash, CERTIFICATE)?, read(flash, KEY)?)
        && let (Ok(chain), Ok(key)) = (tls::chain(&certificate), tls::private_key(&key))
        && ca.would_vouch(&chain, &key, names, now)
    {
        return Ok((chain, key));
    }
    log::info!("tls: a new certificate for {}", names.iter().cloned().collect::<Vec<_>>().join(", "));
    let (certificate, key) = ca.issue(names, now).map_err(|error| TlsError::file(CERTIFICATE, error))?;
    // A cut between the two leaves a pair that does not fit, which the next start replaces.
    shelf.put(KEY, &key).await?;
    shelf.put(CERTIFICATE, &certificate).await?;
    let chain = tls::chain(certificate.as_bytes()).map_err(|problem| TlsError::file(CERTIFICATE, problem))?;
    let key = tls::private_key(key.as_bytes()).map_err(|problem| TlsError::file(KEY, problem))?;
    Ok((chain, key))
}

/// The CA's certificate, in PEM, if there is one.
pub(super) fn certificate(flash: &dyn Flash) -> Result<Option<Vec<u8>>, TlsError> {
    read(flash, CA)
}

fn read(flash: &dyn Flash, path: &str) -> Result<Option<Vec<u8>>, TlsError> {
    let read = || -> io::Result<Vec<u8>> {
        let file = flash.open(path, Mode::Read)?;
        let len = file.len()?.min(tls::MAX_PEM);
        let mut content = vec![0; usize::try_from(len).unwrap_or_default()];
        file.read_exact_at(0, &mut content)?;
        Ok(content)
    };
    match read() {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(TlsError::file(path, error)),
    }
}

/// Where what is made is kept, unless the flash takes no changes.
struct Shelf<'a> {
    flash: &'a dyn Flash,
    /// It was found out, and told.
    refuses: Cell<bool>,
}

impl Shelf<'_> {
    /// Durable, and whole or not at all.
    async fn put(&self, path: &str, content: &str) -> Result<(), TlsError> {
        if self.refuses.get() {
            return Ok(());
        }
        self.taken(path, flash::replace(self.flash, path, content.as_bytes()).await)
    }

    /// What is made of a change's outcome.
    fn taken(&self, path: &str, outcome: io::Result<()>) -> Result<(), TlsError> {
        match outcome {
            Err(error) if flash::takes_no_changes(&error) => {
                if !self.refuses.replace(true) {
                    let words = flash::words(&error);
                    log::warn!("{path}: {words}; what is made anew in tls/ lasts until the appliance stops");
                }
                Ok(())
            }
            other => other.map_err(|error| TlsError::file(path, error)),
        }
    }
}

#[cfg(test)]
mod tests;
