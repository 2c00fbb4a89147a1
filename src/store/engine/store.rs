//! All accounts on a flash, and which of them are open.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::Account;
use super::checkpoint::OnDamage;
use super::recovery::{self, Wanted};
use super::room::Room;
use crate::flash::{Flash, READ_ONLY, Space};
use crate::store::Error;
use crate::store::format::Place;

/// The folder of the relay's queue.
const QUEUE: &str = "queue";

/// For so long the answer to whether the flash takes changes is not asked again. Tests always ask.
const ASK_AGAIN: Duration = Duration::from_secs(if cfg!(test) { 0 } else { 1 });
/// Octets of a segment at least, even on a very small flash.
const SEGMENT_LEAST: u64 = 64 * 1024;

/// The sizes at which the store closes segments, compacts and writes checkpoints.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// Octets at which a segment of the log is closed.
    pub(super) segment: u32,
    /// So many dead octets are worth compacting, when there is room.
    pub(super) dead: u64,
    /// So many records after a checkpoint are worth a new checkpoint.
    pub(super) records: u64,
    /// Messages that are copied, or records that are applied, before other tasks get a turn. A commit of more than
    /// two such pieces is a long commit.
    pub piece: usize,
}

impl Sizes {
    /// The sizes for a flash with this room. Compaction copies at most a segment at once, which must fit into its
    /// reserve.
    pub(super) fn of(space: Space) -> Sizes {
        let segment = u32::try_from(space.unit().max(SEGMENT_LEAST)).unwrap_or(u32::MAX);
        Sizes { segment, dead: 256 * 1024, records: 2000, piece: 512 }
    }
}

/// The mail of all accounts on one flash, and the relay's queue.
pub struct Store {
    pub(super) flash: Rc<dyn Flash>,
    pub(super) sizes: Sizes,
    room: Rc<Room>,
    /// The open accounts, by their folders.
    open: RefCell<BTreeMap<String, Rc<Account>>>,
    /// The folders below `accounts`, by the names of the accounts: see [`super::folders`].
    places: RefCell<BTreeMap<String, String>>,
    /// How many folders belonged to no account when they were last read.
    pub(super) left: Cell<usize>,
    /// Held while an account is opened, so that no account is opened twice, and while folders are renamed.
    pub(super) opening: smol::lock::Mutex<()>,
    /// For each account whose sync failed, by its folder, where its durable log ended: what is read after that place
    /// may never have reached the medium.
    failed: RefCell<BTreeMap<String, Place>>,
    quotas: RefCell<BTreeMap<String, u64>>,
    /// Whether the flash is mounted read-only.
    mounted_read_only: Cell<bool>,
    /// When the flash was asked whether it is mounted read-only.
    asked: Cell<Option<Instant>>,
}

impl Store {
    /// The store in the data folder `flash`. Opens no account yet.
    pub fn new(flash: Rc<dyn Flash>) -> Store {
        let room = Rc::new(Room::new(flash.clone()));
        Store {
            flash,
            sizes: Sizes::of(room.space()),
            room,
            open: RefCell::default(),
            places: RefCell::default(),
            left: Cell::new(0),
            opening: smol::lock::Mutex::new(()),
            failed: RefCell::default(),
            quotas: RefCell::default(),
            mounted_read_only: Cell::new(false),
            asked: Cell::new(None),
        }
    }

    /// The data folder.
    pub fn flash(&self) -> &dyn Flash {
        &*self.flash
    }

    /// The open store of the account `name`. The account is opened when it is not in memory, and created when it does
    /// not exist; every caller gets the same value.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Full`].
    pub async fn account(&self, name: &str) -> Result<Rc<Account>, Error> {
        if let Some(account) = self.ready(&self.place(name)?) {
            return Ok(account);
        }
        let _opening = self.opening.lock().await;
        let dir = self.place(name)?;
        self.open_locked(name, dir, OnDamage::Refuse).await
    }

    /// The folder with the mail of the account `name`: the folder of its name while [`Store::assign`] was not called.
    fn place(&self, name: &str) -> Result<String, Error> {
        let places = self.places.borrow();
        match places.get(name) {
            Some(folder) => Ok(format!("accounts/{folder}")),
            None if places.is_empty() => Ok(format!("accounts/{name}")),
            // The account was just renamed or removed: no folder may be created for it.
            None => Err(Error::Io { path: name.to_owned(), source: io::ErrorKind::NotFound.into() }),
        }
    }

    /// The relay's queue: an account of its own in `queue/`, whose messages have notes.
    ///
    /// # Errors
    /// As [`Store::account`].
    pub async fn queue(&self) -> Result<Rc<Account>, Error> {
        self.open_folder(QUEUE).await
    }

    /// The account or the queue in this folder.
    pub(super) async fn open_folder(&self, dir: &str) -> Result<Rc<Account>, Error> {
        if let Some(account) = self.ready(dir) {
            return Ok(account);
        }
        let _opening = self.opening.lock().await;
        self.open_locked(&self.name_of(dir), dir.to_owned(), OnDamage::Refuse).await
    }

    /// The account in `dir`, opened even when the beginning of its log is lost.
    pub(super) async fn open_for_repair(&self, dir: &str) -> Result<Rc<Account>, Error> {
        let _opening = self.opening.lock().await;
        self.open_locked(&self.name_of(dir), dir.to_owned(), OnDamage::Salvage).await
    }

    /// Opens an account. The caller must hold `opening`.
    async fn open_locked(&self, name: &str, dir: String, on_damage: OnDamage) -> Result<Rc<Account>, Error> {
        let before = self.in_memory(&dir);
        if let Some(account) = before.clone().filter(|account| !self.may_be_written_again(account)) {
            return Ok(account);
        }
        let limit = self.failed.borrow().get(&dir).copied();
        let wanted = Wanted { name, dir: dir.clone(), limit, on_damage };
        let account = recovery::open(self.flash.clone(), &self.room, self.sizes, wanted).await?;
        match before {
            // Sessions keep the account that they have.
            Some(before) if account.takes_no_changes().is_some() => {
                before.note_opening();
                return Ok(before);
            }
            Some(before) => before.replaced_by_newer(),
            None => {}
        }
        if account.takes_no_changes().is_none() {
            self.failed.borrow_mut().remove(&dir);
        }
        account.set_quota(self.quotas.borrow().get(name).copied());
        self.open.borrow_mut().insert(dir, account.clone());
        Ok(account)
    }

    /// The account in `dir`, when it is in memory and need not be opened anew.
    fn ready(&self, dir: &str) -> Option<Rc<Account>> {
        self.in_memory(dir).filter(|account| !self.may_be_written_again(account))
    }

    /// Sets the folders of the accounts, and gives accounts that are open their new names.
    pub(super) fn set_folders(&self, places: BTreeMap<String, String>) {
        for (name, folder) in &places {
            if let Some(account) = self.open.borrow().get(&format!("accounts/{folder}")) {
                account.set_name(name);
            }
        }
        *self.places.borrow_mut() = places;
    }

    /// Whether the mail of some account is in the folder of this name.
    pub(super) fn is_owned(&self, folder: &str) -> bool {
        self.places.borrow().values().any(|place| place == folder)
    }

    /// Removes the account in `dir` from memory, unless a session has it open. Returns whether it is not in memory
    /// now.
    pub(super) fn close_if_unused(&self, dir: &str) -> bool {
        let mut open = self.open.borrow_mut();
        match open.get(dir) {
            Some(account) if Rc::strong_count(account) > 1 => return false,
            Some(account) => account.mark_end(),
            None => {}
        }
        if let Some(durable) = open.remove(dir).and_then(|account| account.failed_at()) {
            self.failed.borrow_mut().insert(dir.to_owned(), durable);
        }
        true
    }

    /// Notes that the folder `from` was renamed to `to`.
    pub(super) fn has_moved(&self, from: &str, to: &str) {
        let mut failed = self.failed.borrow_mut();
        if let Some(durable) = failed.remove(from) {
            failed.insert(to.to_owned(), durable);
        }
        let below = |dir: &str| dir.strip_prefix("accounts/").unwrap_or(dir).to_owned();
        let (from, to) = (below(from), below(to));
        self.places
            .borrow_mut()
            .values_mut()
            .filter(|folder| **folder == from)
            .for_each(|f| f.clone_from(&to));
    }

    /// The name of the account in `dir`; for a folder that belongs to no account, the folder's name.
    fn name_of(&self, dir: &str) -> String {
        let folder = dir.strip_prefix("accounts/").unwrap_or(dir);
        let places = self.places.borrow();
        let name = places.iter().find(|(_, place)| *place == folder && dir != QUEUE).map(|(name, _)| name);
        name.map_or(folder, String::as_str).to_owned()
    }

    /// Whether the account could not be made ready for writing when it was opened, and may be ready now.
    fn may_be_written_again(&self, account: &Account) -> bool {
        account.is_unready_since(ASK_AGAIN) && !self.flash.is_read_only()
    }

    fn in_memory(&self, dir: &str) -> Option<Rc<Account>> {
        let mut open = self.open.borrow_mut();
        let account = open.get(dir)?.clone();
        if let Some(durable) = account.failed_at() {
            self.failed.borrow_mut().insert(dir.to_owned(), durable);
            open.remove(dir);
            return None;
        }
        account.mark_used();
        Some(account)
    }

    /// Why the flash takes no changes, as far as an open account knows; `None` when it takes changes.
    pub fn read_only(&self) -> Option<String> {
        // Sessions ask at each command, so the flash itself is asked only once in a while.
        let lately = self.asked.get().is_some_and(|asked| asked.elapsed() < ASK_AGAIN);
        if !lately {
            self.asked.set(Some(Instant::now()));
            self.mounted_read_only.set(self.flash.is_read_only());
            if !self.mounted_read_only.get() {
                self.open.borrow().values().for_each(|account| account.try_again());
            }
        }
        let noticed = self.open.borrow().values().find_map(|account| account.takes_no_changes());
        noticed.or_else(|| self.mounted_read_only.get().then(|| READ_ONLY.to_owned()))
    }

    /// Sets the quotas of accounts in octets, by name. An account that is not named has no quota.
    pub fn set_quotas(&self, quotas: BTreeMap<String, u64>) {
        for account in self.open.borrow().values() {
            account.set_quota(quotas.get(&*account.name()).copied());
        }
        *self.quotas.borrow_mut() = quotas;
    }

    /// Maintains the accounts in memory: writes checkpoints and compacts, in small pieces between which other tasks
    /// get a turn.
    pub async fn maintain(&self) {
        let accounts: Vec<_> = self.open.borrow().values().cloned().collect();
        for account in accounts {
            if self.may_be_written_again(&account) {
                let again = self.open_folder(account.dir()).await;
                drop(again); // its errors were logged, and the account that was open still is
                continue;
            }
            if let Err(error) = account.maintain().await {
                ::log::warn!("{}: not looked after: {error}", account.name());
            }
        }
    }

    /// Closes the accounts that were not used since the last call, which frees their memory.
    pub fn close_unused(&self) {
        self.open.borrow_mut().retain(|_, account| {
            let used = Rc::strong_count(account) > 1 || account.take_used();
            if !used {
                account.mark_end();
            }
            used
        });
    }

    /// To be called before the process ends: marks the end of each log, so that a torn write can be told from damage
    /// later.
    pub fn mark_end(&self) {
        self.open.borrow().values().for_each(|account| account.mark_end());
    }

    /// The accounts in memory without the queue. This does not count as use: see [`Store::close_unused`].
    pub fn open(&self) -> Vec<Rc<Account>> {
        let open = self.open.borrow();
        open.iter().filter(|(dir, _)| *dir != QUEUE).map(|(_, account)| account.clone()).collect()
    }

    /// The names of the accounts in memory, without the queue.
    pub fn open_accounts(&self) -> Vec<String> {
        self.open().iter().map(|account| account.name().to_string()).collect()
    }
}
