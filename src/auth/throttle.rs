//! Slows down clients that guess passwords, with tables of fixed size.
//!
//! The first few tries are free, so that a typing error costs nothing. After that each try waits longer, up to half a minute.
//! Tries are counted by the address they come from and by the account they are for. Tries from the LAN are counted apart from
//! the others, and more of them are free. All wrong tries from outside together get one fast answer a second: guesses from a
//! thousand addresses wait for each other. Someone who logged in from the same address lately does not wait for the guesses of
//! others.
//!
//! Waiting logins of one address are answered one after the other. Only so many may wait that the last one is answered before
//! its client gives up. So parallel tries are no better than tries in a row.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Tries that cost nothing, from one address outside the LAN.
const FREE_OUTSIDE: u32 = 4;
/// Tries that cost nothing, from one address on the LAN.
const FREE_ON_LAN: u32 = 20;
/// Tries that cost nothing, for one account, from everywhere outside the LAN.
const FREE_FOR_ACCOUNT: u32 = 10;
/// Tries that cost nothing, for one account, from everywhere on the LAN.
const FREE_FOR_ACCOUNT_ON_LAN: u32 = 50;
/// Tries that are answered at once, from everywhere outside, for all accounts together. One more is answered every second.
const FREE_ALL_IN_ALL: u32 = 10;

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(30);

/// The longest time in which all waiting logins of one address are answered, so that no client waits longer. Further logins are
/// turned away.
const PATIENCE: Duration = Duration::from_secs(60);

/// The time after the last try of an entry until it is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(60 * 60);

/// How long an address stays known as one that an account's owner uses.
const WELCOME: Duration = Duration::from_secs(24 * 60 * 60);

/// The most entries of each table. A new one takes the place of the oldest.
const TABLE: usize = 256;

/// Counts tries and remembers good logins, as far as they matter for waits.
pub(super) struct Throttle {
    /// The hash is keyed, so that nobody can choose an address or account that shares another's entry.
    hasher: RandomState,
    tries: Vec<Entry>,
    welcome: Vec<Entry>,
    /// When all wrong tries from outside will be answered, at one a second.
    answered: Option<Instant>,
}

struct Entry {
    key: u64,
    count: u32,
    last: Instant,
    /// When the last waiting try is answered.
    answered: Instant,
}

/// The address that a login comes from, and the account that it is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin<'a> {
    pub(super) address: IpAddr,
    pub(super) on_lan: bool,
    pub(super) account: &'a str,
}

/// What tries are counted by.
#[derive(Hash)]
enum Key<'a> {
    From(IpAddr),
    For(&'a str, bool),
    Welcome(IpAddr, &'a str),
}

impl Throttle {
    pub(super) fn new() -> Throttle {
        Throttle { hasher: RandomState::new(), tries: Vec::new(), welcome: Vec::new(), answered: None }
    }

    /// How long a login waits before it is looked at; `None`: it is turned away, because too many from its address are waiting
    /// already. It counts as failed until [`Throttle::succeeded`], so that parallel tries are no better than tries in a row.
    pub(super) fn attempt(&mut self, origin: Origin<'_>, now: Instant) -> Option<Duration> {
        self.tries.retain(|entry| entry.is_fresh(FORGOTTEN, now));
        self.welcome.retain(|entry| entry.is_fresh(WELCOME, now));
        let keys = self.keys(origin);
        let (free, free_for_account) = match origin.on_lan {
            true => (FREE_ON_LAN, FREE_FOR_ACCOUNT_ON_LAN),
            false => (FREE_OUTSIDE, FREE_FOR_ACCOUNT),
        };
        let count = |key| find(&self.tries, key).map_or(0, |entry| entry.count);
        let from = wait(count(keys.from), free);
        let welcome = find(&self.welcome, keys.welcome);
        // A known user waits for the tries of this account at this address only, not for what others at the same address guess.
        let (before, own) = match welcome {
            Some(welcome) => (Some(welcome), from),
            None => (find(&self.tries, keys.from), from.max(wait(count(keys.account), free_for_account))),
        };
        let before = before.map_or(Duration::ZERO, |entry| entry.answered.saturating_duration_since(now));
        let in_a_row = before + own;
        if in_a_row > PATIENCE {
            return None;
        }
        let stranger = welcome.is_none();
        let queue = if stranger && !origin.on_lan { self.queue(now) } else { Duration::ZERO };
        let wait = in_a_row.max(queue);
        count_one(&mut self.tries, keys.account, now);
        let from = count_one(&mut self.tries, keys.from, now);
        let entry = if stranger { Some(from) } else { find_mut(&mut self.welcome, keys.welcome) };
        if let Some(entry) = entry {
            entry.answered = now + wait;
        }
        Some(wait)
    }

    fn keys(&self, origin: Origin<'_>) -> Keys {
        let network = network(origin.address);
        Keys {
            from: self.hasher.hash_one(Key::From(network)),
            account: self.hasher.hash_one(Key::For(origin.account, origin.on_lan)),
            welcome: self.hasher.hash_one(Key::Welcome(network, origin.account)),
        }
    }

    /// How long one more try from outside waits for those before it.
    fn queue(&mut self, now: Instant) -> Duration {
        let last = self.answered.filter(|last| *last > now).unwrap_or(now);
        let free = Duration::from_secs(u64::from(FREE_ALL_IN_ALL));
        // No try waits longer than the longest wait: the queue ends there.
        let next = (last + Duration::from_secs(1)).min(now + free + LONGEST);
        self.answered = Some(next);
        next.saturating_duration_since(now).saturating_sub(free)
    }

    /// Notes that the latest attempt of this origin succeeded.
    pub(super) fn succeeded(&mut self, origin: Origin<'_>, now: Instant) {
        self.welcome.retain(|entry| entry.is_fresh(WELCOME, now));
        let keys = self.keys(origin);
        // The tries of this origin are free again. Those that are waiting still wait for each other.
        self.tries.retain(|entry| entry.key != keys.from || entry.answered > now);
        if let Some(entry) = find_mut(&mut self.tries, keys.from) {
            entry.count = 0;
        }
        // Only this login's own try is taken back: the phone of the account's owner must not make room for more guesses.
        if let Some(entry) = find_mut(&mut self.tries, keys.account) {
            entry.count = entry.count.saturating_sub(1);
        }
        if !origin.on_lan && find(&self.welcome, keys.welcome).is_none() {
            self.answered = self.answered.and_then(|last| last.checked_sub(Duration::from_secs(1)));
        }
        count_one(&mut self.welcome, keys.welcome, now);
    }
}

/// The hashes that the tries of one origin are counted by.
struct Keys {
    from: u64,
    account: u64,
    welcome: u64,
}

impl Entry {
    fn is_fresh(&self, life: Duration, now: Instant) -> bool {
        now.saturating_duration_since(self.last) < life
    }
}

fn find(table: &[Entry], key: u64) -> Option<&Entry> {
    table.iter().find(|entry| entry.key == key)
}

fn find_mut(table: &mut [Entry], key: u64) -> Option<&mut Entry> {
    table.iter_mut().find(|entry| entry.key == key)
}

/// Counts one more try under `key`.
fn count_one(table: &mut Vec<Entry>, key: u64, now: Instant) -> &mut Entry {
    let at = table.iter().position(|entry| entry.key == key).unwrap_or_else(|| {
        if table.len() >= TABLE
            && let Some(oldest) = (0..table.len()).min_by_key(|&at| table.get(at).map(|entry| entry.last))
        {
            table.swap_remove(oldest);
        }
        table.push(Entry { key, count: 0, last: now, answered: now });
        table.len() - 1
    });
    let entry = &mut table[at];
    entry.last = now;
    entry.count = entry.count.saturating_add(1);
    entry
}

/// The wait after `tries`: 1, 2, 4, 8, 16, 30, 30 … seconds once the `free` tries are used up.
fn wait(tries: u32, free: u32) -> Duration {
    match tries.checked_sub(free) {
        None => Duration::ZERO,
        Some(more) => Duration::from_secs(1 << more.min(5)).min(LONGEST),
    }
}

/// The network of an address: whoever has one IPv6 address has its whole /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests;
