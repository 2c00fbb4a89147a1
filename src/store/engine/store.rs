//! All accounts of a flash: which of them are open.

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

/// The folder of the queue.
const QUEUE: &str = "queue";

/// So long the answer to whether the flash takes changes holds; tests do not wait for another one.
const ASK_AGAIN: Duration = Duration::from_secs(if cfg!(test) { 0 } else { 1 });
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
    /// Messages that are copied, or records that are applied, before others get a turn. A commit of more than two such
    /// pieces is long.
    pub piece: usize,
}

impl Sizes {
    /// The sizes for a flash with this room: what compaction copies at once, a segment, has to fit into its reserve.
    pub(super) fn of(space: Space) -> Sizes {
        let segment = u32::try_from(space.unit().max(SEGMENT_LEAST)).unwrap_or(u32::MAX);
        Sizes { segment, dead: 256 * 1024, records: 2000, piece: 512 }
    }
}

/// All accounts' mail on one flash.
pub struct Store {
    pub(super) flash: Rc<dyn Flash>,
    pub(super) sizes: Sizes,
    room: Rc<Room>,
    /// By their folders.
    open: RefCell<BTreeMap<String, Rc<Account>>>,
    /// The folders below `accounts`, by the names of the accounts: see [`super::folders`].
    places: RefCell<BTreeMap<String, String>>,
    /// Folders that no account has, as far as it was looked.
    pub(super) left: Cell<usize>,
    /// Held while an account is opened, so that nobody opens it twice, and while folders get other names.
    pub(super) opening: smol::lock::Mutex<()>,
    /// Where the durable log of an account ended whose sync failed, by its folder: what is read behind that place
    /// may never have reached the medium.
    failed: RefCell<BTreeMap<String, Place>>,
    quotas: RefCell<BTreeMap<String, u64>>,
    /// Whether the flash is mounted read-only, and when it was asked last.
    mounted_read_only: Cell<bool>,
    asked: Cell<Option<Instant>>,
}

impl Store {
    /// The store of the data folder `flash`; opens nothing yet.
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

    /// The mail of the account `name`, opened (and created) when it is not in memory; every caller
    /// gets the same one.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Full`].
    pub async fn account(&self, name: &str) -> Result<Rc<Account>, Error> {
        if let Some(account) = self.ready(&self.place(name)?) {
            return Ok(account);
        }
        let _opening = self.opening.lock().await;
        let dir = self.place(name)?;
        self.open_alone(name, dir, OnDamage::Refuse).await
    }

    /// Where the mail of the account `name` is: in the folder of its name, where nobody has said who the accounts are.
    fn place(&self, name: &str) -> Result<String, Error> {
        let places = self.places.borrow();
        match places.get(name) {
            Some(folder) => Ok(format!("accounts/{folder}")),
            None if places.is_empty() => Ok(format!("accounts/{name}")),
            // It was renamed or removed this moment: it must not get a folder.
            None => Err(Error::Io { path: name.to_owned(), source: io::ErrorKind::NotFound.into() }),
        }
    }

    /// The relay's queue: an account of its own in `queue/`, with messages and their notes.
    ///
    /// # Errors
    /// As [`Store::account`].
    pub async fn queue(&self) -> Result<Rc<Account>, Error> {
        self.open_folder(QUEUE).await
    }

    /// The account or the queue that lies in this folder.
    pub(super) async fn open_folder(&self, dir: &str) -> Result<Rc<Account>, Error> {
        if let Some(account) = self.ready(dir) {
            return Ok(account);
        }
        let _opening = self.opening.lock().await;
        self.open_alone(&self.name_of(dir), dir.to_owned(), OnDamage::Refuse).await
    }

    /// The account in `dir`, also where its beginning is lost.
    pub(super) async fn open_for_repair(&self, dir: &str) -> Result<Rc<Account>, Error> {
        let _opening = self.opening.lock().await;
        self.open_alone(&self.name_of(dir), dir.to_owned(), OnDamage::Salvage).await
    }

    /// By who alone opens accounts.
    async fn open_alone(&self, name: &str, dir: String, on_damage: OnDamage) -> Result<Rc<Account>, Error> {
        let before = self.in_memory(&dir);
        if let Some(account) = before.clone().filter(|account| !self.may_be_written_again(account)) {
            return Ok(account);
        }
        let limit = self.failed.borrow().get(&dir).copied();
        let wanted = Wanted { name, dir: dir.clone(), limit, on_damage };
        let account = recovery::open(self.flash.clone(), &self.room, self.sizes, wanted).await?;
        match before {
            // Sessions go on reading what they have.
            Some(before) if account.takes_no_changes().is_some() => {
                before.note_opening();
                return Ok(before);
            }
            Some(before) => before.give_way(),
            None => {}
        }
        if account.takes_no_changes().is_none() {
            self.failed.borrow_mut().remove(&dir);
        }
        account.set_quota(self.quotas.borrow().get(name).copied());
        self.open.borrow_mut().insert(dir, account.clone());
        Ok(account)
    }

    /// The account in `dir`, where it is in memory and need not be opened anew.
    fn ready(&self, dir: &str) -> Option<Rc<Account>> {
        self.in_memory(dir).filter(|account| !self.may_be_written_again(account))
    }

    /// The accounts have their mail in these folders from now on; those that are open get the names.
    pub(super) fn take_places(&self, places: BTreeMap<String, String>) {
        for (name, folder) in &places {
            if let Some(account) = self.open.borrow().get(&format!("accounts/{folder}")) {
                account.set_name(name);
            }
        }
        *self.places.borrow_mut() = places;
    }

    /// Whether an account has its mail in the folder of this name.
    pub(super) fn is_somebodys(&self, folder: &str) -> bool {
        self.places.borrow().values().any(|place| place == folder)
    }

    /// Whether nobody has the account in `dir` open; it is not in memory then.
    pub(super) fn let_go(&self, dir: &str) -> bool {
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

    /// The folder `from` is `to` now.
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

    /// The name of the account in `dir`; of what is none's, that of its folder.
    fn name_of(&self, dir: &str) -> String {
        let folder = dir.strip_prefix("accounts/").unwrap_or(dir);
        let places = self.places.borrow();
        let name = places.iter().find(|(_, place)| *place == folder && dir != QUEUE).map(|(name, _)| name);
        name.map_or(folder, String::as_str).to_owned()
    }

    /// Whether it could not be made ready for writing when it was opened, and that may be otherwise now.
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

    /// Why the flash takes no changes, as far as an open account knows; `None` when all is well.
    pub fn read_only(&self) -> Option<String> {
        // Sessions ask at each command: the flash is asked once in a while.
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

    /// Limits the octets that accounts may hold, by name; an account that is not named has no limit.
    pub fn set_quotas(&self, quotas: BTreeMap<String, u64>) {
        for account in self.open.borrow().values() {
            account.set_quota(quotas.get(&*account.name()).copied());
        }
        *self.quotas.borrow_mut() = quotas;
    }

    /// Looks after the accounts in memory: writes checkpoints and compacts, in small pieces between which
    /// others get their turn.
    pub async fn maintain(&self) {
        let accounts: Vec<_> = self.open.borrow().values().cloned().collect();
        for account in accounts {
            if self.may_be_written_again(&account) {
                let again = self.open_folder(account.dir()).await;
                drop(again); // what it said is in the log, and the one before is still there
                continue;
            }
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

    /// The accounts in memory, the queue left out. Nobody has asked for them: see [`Store::close_unused`].
    pub fn open(&self) -> Vec<Rc<Account>> {
        let open = self.open.borrow();
        open.iter().filter(|(dir, _)| *dir != QUEUE).map(|(_, account)| account.clone()).collect()
    }

    /// The names of the accounts in memory, the queue left out.
    pub fn open_accounts(&self) -> Vec<String> {
        self.open().iter().map(|account| account.name().to_string()).collect()
    }
}
