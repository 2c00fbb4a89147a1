//! All accounts of a flash: which of them are open.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::Account;
use super::recovery::{self, Wanted};
use super::room::Room;
use crate::flash::{Flash, READ_ONLY, Space};
use crate::store::Error;
use crate::store::format::Place;

/// Makes the summary of a message from its first 64 KiB at most: see [`crate::message::summarize`].
pub type Summarize = fn(&[u8]) -> Vec<u8>;

/// The name under which the queue is open: no account can have it.
const QUEUE: &str = "/queue";

/// So long the answer to whether the flash is read-only holds.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// Octets of a segment at the least, on however small a flash.
const SEGMENT_LEAST: u64 = 64 * 1024;

/// From which sizes on the store does what it does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// A segment of the log that has so many octets is closed.
    pub(super) segment: u32,
    /// So many dead octets are worth compacting, where there is room.
    pub(super) dead: u64,
    /// So many records behind a checkpoint are worth another one.
    pub(super) records: u64,
}

impl Sizes {
    /// The sizes for a flash with this room: what compaction copies at once, a segment, has to fit into its reserve.
    pub(super) fn of(space: Space) -> Sizes {
        let segment = u32::try_from(space.unit().max(SEGMENT_LEAST)).unwrap_or(u32::MAX);
        Sizes { segment, dead: 256 * 1024, records: 2000 }
    }
}

/// All accounts' mail on one flash.
pub struct Store {
    pub(super) flash: Rc<dyn Flash>,
    summarize: Summarize,
    pub(super) sizes: Sizes,
    room: Rc<Room>,
    open: RefCell<BTreeMap<String, Rc<Account>>>,
    /// Held while an account is opened, so that nobody opens it twice.
    opening: smol::lock::Mutex<()>,
    /// Where the durable log of an account ended whose sync failed: what is read behind that place
    /// may never have reached the medium.
    failed: RefCell<BTreeMap<String, Place>>,
    quotas: RefCell<BTreeMap<String, u64>>,
    /// When the system was asked last whether it has made the flash read-only, and what it said.
    mounted_read_only: Cell<Option<(Instant, bool)>>,
}

impl Store {
    /// The store of the data folder `flash`; opens nothing yet.
    pub fn new(flash: Rc<dyn Flash>, summarize: Summarize) -> Store {
        let room = Rc::new(Room::new(flash.clone()));
        Store {
            flash,
            summarize,
            sizes: Sizes::of(room.space()),
            room,
            open: RefCell::default(),
            opening: smol::lock::Mutex::new(()),
            failed: RefCell::default(),
            quotas: RefCell::default(),
            mounted_read_only: Cell::new(None),
        }
    }

    /// The mail of the account `name`, opened (and created) when it is not in memory; every caller
    /// gets the same one.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Full`].
    pub async fn account(&self, name: &str) -> Result<Rc<Account>, Error> {
        self.open_at(name, format!("accounts/{name}"), false).await
    }

    /// The relay's queue: an account of its own in `queue/`, with messages and their notes.
    ///
    /// # Errors
    /// As [`Store::account`].
    pub async fn queue(&self) -> Result<Rc<Account>, Error> {
        self.open_at(QUEUE, "queue".to_owned(), false).await
    }

    /// The account or the queue that lies in this folder.
    pub(super) async fn open_folder(&self, dir: &str) -> Result<Rc<Account>, Error> {
        self.open_at(name_of(dir), dir.to_owned(), false).await
    }

    async fn open_at(&self, name: &str, dir: String, salvage: bool) -> Result<Rc<Account>, Error> {
        if let Some(account) = self.in_memory(name) {
            return Ok(account);
        }
        let _opening = self.opening.lock().await;
        if let Some(account) = self.in_memory(name) {
            return Ok(account);
        }
        let limit = self.failed.borrow().get(name).copied();
        let wanted = Wanted { name, dir, limit, salvage };
        let account =
            recovery::open(self.flash.clone(), &self.room, self.summarize, self.sizes, wanted).await?;
        self.failed.borrow_mut().remove(name);
        account.set_quota(self.quotas.borrow().get(name).copied());
        self.open.borrow_mut().insert(name.to_owned(), account.clone());
        Ok(account)
    }

    /// The account in `dir`, also where its beginning is lost.
    pub(super) async fn open_for_repair(&self, dir: &str) -> Result<Rc<Account>, Error> {
        self.open_at(name_of(dir), dir.to_owned(), true).await
    }

    fn in_memory(&self, name: &str) -> Option<Rc<Account>> {
        let mut open = self.open.borrow_mut();
        let account = open.get(name)?.clone();
        if let Some(durable) = account.failed_at() {
            self.failed.borrow_mut().insert(name.to_owned(), durable);
            open.remove(name);
            return None;
        }
        account.mark_used();
        Some(account)
    }

    /// Why the flash takes no changes, as far as an open account knows; `None` when all is well.
    pub fn read_only(&self) -> Option<String> {
        let noticed = self.open.borrow().values().find_map(|account| account.takes_no_changes());
        noticed.or_else(|| self.is_mounted_read_only().then(|| READ_ONLY.to_owned()))
    }

    /// Sessions ask at each command: the system is asked once in a while.
    fn is_mounted_read_only(&self) -> bool {
        match self.mounted_read_only.get() {
            Some((asked, so)) if asked.elapsed() < ASK_AGAIN => so,
            _ => {
                let so = self.flash.is_read_only();
                self.mounted_read_only.set(Some((Instant::now(), so)));
                so
            }
        }
    }

    /// Limits the octets that accounts may hold, by name; an account that is not named has no limit.
    pub fn set_quotas(&self, quotas: BTreeMap<String, u64>) {
        for (name, account) in self.open.borrow().iter() {
            account.set_quota(quotas.get(name).copied());
        }
        *self.quotas.borrow_mut() = quotas;
    }

    /// Looks after the accounts in memory: writes checkpoints and compacts, in small pieces between which
    /// others get their turn.
    pub async fn maintain(&self) {
        let accounts: Vec<_> = self.open.borrow().values().cloned().collect();
        for account in accounts {
            if let Err(error) = account.maintain().await {
                ::log::warn!("{}: not looked after: {error}", account.name());
            }
        }
    }

    /// Closes the accounts that nobody has used since the last call: they cost no memory then.
    pub fn close_unused(&self) {
        self.open.borrow_mut().retain(|_, account| {
            let used = Rc::strong_count(account) > 1 || account.take_used();
            if !used {
                account.mark_end();
            }
            used
        });
    }

    /// To be called before the process ends: what it has written last can be told from a torn write then.
    pub fn mark_end(&self) {
        self.open.borrow().values().for_each(|account| account.mark_end());
    }

    /// The names of the accounts in memory, the queue left out.
    pub fn open_accounts(&self) -> Vec<String> {
        self.open.borrow().keys().filter(|name| !name.starts_with('/')).cloned().collect()
    }
}

/// The name under which the account or the queue in `dir` is open.
fn name_of(dir: &str) -> &str {
    dir.strip_prefix("accounts/").unwrap_or(QUEUE)
}
