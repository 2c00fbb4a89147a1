//! Repairs an account in which damage was found.

use std::io;
use std::rc::Rc;

use super::account::Findings;
use crate::clock;
use crate::flash::Mode;
use crate::store::Error;
use crate::store::engine::{Account, Store};
use crate::store::format::record::{BodyRecord, Record};
use crate::store::format::{Flags, INBOX, MailboxId, Message, Place, Uid, in_file};

/// The folder, below the data folder, for the remains of damaged messages.
const LOST_AND_FOUND: &str = "lost+found";
const PIECE: usize = 64 * 1024;

impl Store {
    /// Repairs the account in `dir`. Returns one line for each repair.
    pub(super) async fn repair_account(&self, dir: &str, findings: Findings) -> Result<Vec<String>, Error> {
        let account = self.open_for_repair(dir).await?;
        let mut done = Vec::new();
        for place in &findings.orphans {
            if let Some(line) = account.adopt(*place).await? {
                done.push(format!("{dir}: {line}"));
            }
        }
        for (mailbox, uid) in findings.unreadable {
            let remains = account.put_aside(mailbox, uid).await?;
            done.push(format!("{dir}: UID {uid}: {remains}"));
        }
        for (mailbox, uid) in findings.noteless {
            let mut transaction = account.begin();
            transaction.note(mailbox, uid, Vec::new());
            transaction.commit().await?;
            done.push(format!("{dir}: UID {uid}: what was noted of it is lost, the message is there"));
        }
        account.rewrite(findings.segments).await?;
        done.push(format!("{dir}: everything else is written anew"));
        Ok(done)
    }
}

impl Account {
    /// Brings a body that belongs to no mailbox back, into the INBOX.
    async fn adopt(self: &Rc<Self>, place: Place) -> Result<Option<String>, Error> {
        let mut message = self.incoming();
        match self.log(|log| log.head(place)) {
            Ok(Record::Body(BodyRecord { body, size, .. })) if in_file(size) => {
                let path = self.body_path(body);
                let Ok(file) = self.flash().open(&path, Mode::Read) else { return Ok(None) };
                copy(&*file, |piece| message.write(piece)).map_err(|error| Error::io(&path, error))??;
            }
            _ => match self.log(|log| log.remains(place)) {
                Ok((octets, true)) => message.write(&octets)?,
                // A message of zero octets.
                Ok((octets, false)) if octets.is_empty() => {}
                _ => return Ok(None),
            },
        }
        let mut transaction = self.begin();
        transaction.deliver(INBOX, message, Flags::NONE, &[], clock::unix_now());
        transaction.commit().await?;
        Ok(Some("a message whose mailbox is not known is in the INBOX now".to_owned()))
    }

    /// Takes a message that cannot be read as it was out of its mailbox. When only the record's head was damaged, the
    /// message comes back at once; otherwise what is left of it goes to a file.
    async fn put_aside(self: &Rc<Self>, mailbox: MailboxId, uid: Uid) -> Result<String, Error> {
        let Some(Some(message)) = self.view(mailbox, |mailbox| mailbox.message(uid).copied()) else {
            return Ok("is gone already".to_owned());
        };
        let path =
            format!("{LOST_AND_FOUND}/{}-{}-{uid}.eml", self.name().trim_start_matches('/'), mailbox.0);
        let saved = self.save_remains(&message, &path).await.map_err(|error| Error::io(&path, error))?;
        let mut transaction = self.begin();
        transaction.expunge(mailbox, &[uid]);
        transaction.commit().await?;
        Ok(match saved {
            0 => "lost".to_owned(),
            octets => format!("damaged: its {octets} octets, as far as they can be read, are in {path}"),
        })
    }

    async fn save_remains(&self, message: &Message, path: &str) -> io::Result<u64> {
        let mut remains = Vec::new();
        let file = if in_file(message.size) {
            self.flash().open(&self.body_path(message.body), Mode::Read).ok()
        } else {
            // The record's lengths may be what is damaged.
            remains = self.log(|log| log.remains(message.place())).unwrap_or_default().0;
            None
        };
        if remains.is_empty() && file.is_none() {
            return Ok(0);
        }
        self.flash().create_dir(LOST_AND_FOUND)?;
        let out = self.flash().open(path, Mode::Create)?;
        let mut at = remains.len() as u64;
        out.write_at(0, &remains)?;
        if let Some(file) = file {
            copy(&*file, |piece| {
                let written = out.write_at(at, piece);
                at += piece.len() as u64;
                written
            })??;
        }
        out.sync().await?;
        self.flash().sync_dir(LOST_AND_FOUND).await?;
        self.flash().sync_dir("").await?;
        Ok(at)
    }
}

/// Reads `file` in pieces and hands each to `take`, until `take` fails.
fn copy<E>(
    file: &dyn crate::flash::File,
    mut take: impl FnMut(&[u8]) -> Result<(), E>,
) -> io::Result<Result<(), E>> {
    let (mut at, mut piece) = (0, vec![0; PIECE]);
    loop {
        let n = file.read_at(at, &mut piece)?;
        if n == 0 {
            return Ok(Ok(()));
        }
        if let Err(error) = take(&piece[..n]) {
            return Ok(Err(error));
        }
        at += n as u64;
    }
}
