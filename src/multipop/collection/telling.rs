//! Letters to the user: each comes in the commit that notes that the user was told.

use super::{Collection, Content, Error, Flags, Handle, INBOX, Identity, Wanted, notice, unix_now};

/// Messages that the user is told of in one commit: the letter and its notes wait in memory.
const TOLD_AT_ONCE: usize = 1000;

/// A message that the user is to be told of.
pub(super) struct Told {
    /// The identity that notes that the user was told.
    pub identity: Identity,
    /// The identity that notes that the message is not to be read again.
    pub unread: Option<Identity>,
    pub large: notice::Large,
    /// The message's handle, if it is deleted at the server once the user was told.
    pub doomed: Option<Handle>,
}

impl Collection {
    /// Tells the user of a message that is too large and is then deleted at the server. `content` is what was read of
    /// it.
    pub fn tell_then_delete(&mut self, wanted: &Wanted, content: Option<&Content>) {
        let Some(identity) = wanted.identity else { return };
        let large =
            notice::Large { said: content.map(notice::Said::new), ..notice::Large::new(wanted.large) };
        self.tell(Told { identity, unread: None, large, doomed: Some(wanted.handle) });
    }

    /// Tells the user of a message with the last commit of the round.
    pub(super) fn tell(&mut self, told: Told) {
        // The next polls tell of the rest.
        if self.told.len() < TOLD_AT_ONCE {
            self.told.push(told);
        }
    }

    /// Puts the letters into the next commit.
    pub(super) fn write_letters(&mut self) -> Result<(), Error> {
        self.write_of_stuck_messages()?;
        self.write_of_short_messages()?;
        let told = std::mem::take(&mut self.told);
        let (doomed, left): (Vec<Told>, Vec<Told>) = told.into_iter().partition(|told| told.doomed.is_some());
        for (told, is_deleted) in [(left, false), (doomed, true)] {
            self.write_of_large_messages(told, is_deleted)?;
        }
        Ok(())
    }

    fn write_of_large_messages(&mut self, told: Vec<Told>, is_deleted: bool) -> Result<(), Error> {
        let large: Vec<&notice::Large> = told.iter().map(|told| &told.large).collect();
        let now = unix_now();
        let letter = self.letterhead.too_large(&large, is_deleted, now);
        if told.is_empty() || !self.write(&letter, now)? {
            return Ok(());
        }
        self.doomed.extend(told.iter().filter_map(|told| told.doomed));
        let notes = told.into_iter().flat_map(|told| [Some(told.identity), told.unread]);
        notes.flatten().for_each(|identity| self.collected(identity, now));
        Ok(())
    }

    fn write_of_stuck_messages(&mut self) -> Result<(), Error> {
        let now = unix_now();
        for (noted, stuck) in std::mem::take(&mut self.stuck) {
            let letter = self.letterhead.stuck(&stuck, now);
            if self.write(&letter, now)? {
                self.collected(noted, now);
            }
        }
        Ok(())
    }

    /// Takes in whether a message came about as large as it is listed. Of one that did not the user is told, unless the
    /// server gets most sizes wrong.
    pub fn size_was(&mut self, short: Option<notice::Stuck>) {
        let is_believed = self.needs.size_was(short.is_none());
        if let Some(short) = short.filter(|_| is_believed && self.short.len() < TOLD_AT_ONCE) {
            self.short.push(short);
        }
    }

    fn write_of_short_messages(&mut self) -> Result<(), Error> {
        let short = std::mem::take(&mut self.short);
        if !short.is_empty() {
            let now = unix_now();
            let letter = self.letterhead.short(&short, now);
            self.write(&letter, now)?;
        }
        Ok(())
    }

    /// Puts a letter into the next commit. False where there is no room for it.
    fn write(&mut self, letter: &str, now: i64) -> Result<bool, Error> {
        if self.fits(letter.len() as u64).is_err() {
            return Ok(false);
        }
        let mut message = self.account.incoming();
        message.write(letter.as_bytes())?;
        self.transaction.deliver(INBOX, message, Flags::NONE, &[], now);
        Ok(true)
    }
}
