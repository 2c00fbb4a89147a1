//! A certificate authority for an appliance that was given no certificate.
//!
//! The devices at home import `tls/ca.pem` once. Its key is never replaced. The server certificate that it signed is
//! replaced whenever it no longer fits, without any work on the devices. The CA's own certificate is made again from
//! its key when it may sign more than what is at home, may not sign the host name, or ends too soon. Devices that
//! trust the earlier CA certificate go on accepting what the key signs, within the limits of that certificate; new
//! devices get the new one.

mod authority;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io;

use super::tls::{self, TlsError};
use crate::flash::{self, Flash, Mode};
use authority::Authority;

/// The path of the server's certificate.
pub(super) const CERTIFICATE: &str = "tls/certificate.pem";
const KEY: &str = "tls/key.pem";
const CA: &str = "tls/ca.pem";
const CA_KEY: &str = "tls/ca.key";

const DAY: u64 = 24 * 60 * 60;

/// 2026-01-01 in seconds since 1970: on a board whose clock has no battery, an earlier time is not the real one.
const EPOCH: u64 = 1_767_225_600;

/// The certificate and the key stored in `tls/`, unchecked.
pub(super) fn stored(flash: &dyn Flash) -> Option<tls::Identity> {
    let (certificate, key) = (read(flash, CERTIFICATE).ok()??, read(flash, KEY).ok()??);
    Some((tls::chain(&certificate).ok()?, tls::private_key(&key).ok()?))
}

/// The certificate in `tls/` and its key. New ones are made if they are missing, do not belong together, lack one of
/// `names` or end soon after `now` (seconds since 1970). If the flash takes no changes, the new ones last as long as
/// the process, so that mail can be read meanwhile.
pub(super) async fn identity(
    names: &BTreeSet<String>,
    flash: &dyn Flash,
    now: i64,
) -> Result<tls::Identity, TlsError> {
    let now = u64::try_from(now).ok().filter(|now| (EPOCH..EPOCH + 100 * 365 * DAY).contains(now));
    let shelf = Shelf { flash, refuses: Cell::new(false) };
    // With another address the whole certificate would not be accepted.
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
    // After a power cut between the two, the pair does not fit, and the next start replaces it.
    shelf.put(KEY, &key).await?;
    shelf.put(CERTIFICATE, &certificate).await?;
    let chain = tls::chain(certificate.as_bytes()).map_err(|problem| TlsError::file(CERTIFICATE, problem))?;
    let key = tls::private_key(key.as_bytes()).map_err(|problem| TlsError::file(KEY, problem))?;
    Ok((chain, key))
}

/// The CA's certificate in PEM, if there is one.
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

/// Stores what is made, unless the flash takes no changes.
struct Shelf<'a> {
    flash: &'a dyn Flash,
    /// Whether the flash has refused a change, which was logged then.
    refuses: Cell<bool>,
}

impl Shelf<'_> {
    /// Writes a file durably, completely or not at all.
    async fn put(&self, path: &str, content: &str) -> Result<(), TlsError> {
        if self.refuses.get() {
            return Ok(());
        }
        self.taken(path, flash::replace(self.flash, path, content.as_bytes()).await)
    }

    /// Ignores the outcome of a change that the flash refused.
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
