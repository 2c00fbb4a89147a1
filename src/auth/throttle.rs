//! Slows down who guesses passwords, in a table of fixed size.
//!
//! The first few tries are free, so that a typing error costs nothing; after that each waits longer,
//! up to half a minute. Tries are counted by the address they come from and by the account they are
//! for, those from the LAN apart from the others and with more patience. And all wrong tries from
//! outside together get one fast answer a second: guesses from a thousand addresses wait for each other.
//! Someone who logged in well from the same address lately does not wait for what others guess.
//!
//! The logins of one address that wait do so one after the other, and only so many that the last one is answered before its
//! client gives up: tries side by side are no better than in a row.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Tries that cost nothing: from an address outside the LAN,
const FREE_OUTSIDE: u32 = 4;
/// from an address on it,
const FREE_ON_LAN: u32 = 20;
/// for one account, from everywhere outside,
const FREE_FOR_ACCOUNT: u32 = 10;
/// and for one account, from everywhere on the LAN.
const FREE_FOR_ACCOUNT_ON_LAN: u32 = 50;
/// From everywhere outside, for all accounts together: so many at once, and one more every second.
const FREE_ALL_IN_ALL: u32 = 10;

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(30);

/// The longest time in which the logins of one address that wait are all answered: no client waits longer. Further ones are
/// turned away.
const PATIENCE: Duration = Duration::from_secs(60);

/// Tries are forgotten when none followed for so long.
const FORGOTTEN: Duration = Duration::from_secs(60 * 60);

/// How long an address counts as one that its owner uses.
const WELCOME: Duration = Duration::from_secs(24 * 60 * 60);

/// Entries of each table: the oldest makes room for a new one.
const TABLE: usize = 256;

/// Who tried what, as far as it matters.
pub(super) struct Throttle {
    /// Keyed, so that nobody can aim at another's entry.
    hasher: RandomState,
    tries: Vec<Entry>,
    welcome: Vec<Entry>,
    /// When all wrong tries from outside would be answered, one a second.
    answered: Option<Instant>,
}

struct Entry {
    key: u64,
    count: u32,
    last: Instant,
    /// When the last one that waits is answered.
    answered: Instant,
}

/// Where a login comes from, and for whom it is.
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

    /// How long a login waits before it is looked at; `None`: it is turned away, for too many from its address wait already. It counts
    /// as failed until [`Throttle::succeeded`], so that many at once are no better than one after the other.
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
        // Who was here before waits for the own tries only, not for what others at the same address guess.
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

    /// How long one more from outside waits for those before it.
    fn queue(&mut self, now: Instant) -> Duration {
        let last = self.answered.filter(|last| *last > now).unwrap_or(now);
        let free = Duration::from_secs(u64::from(FREE_ALL_IN_ALL));
        // What waits longest is the end of the queue.
        let next = (last + Duration::from_secs(1)).min(now + free + LONGEST);
        self.answered = Some(next);
        next.saturating_duration_since(now).saturating_sub(free)
    }

    /// The latest attempt of this origin went well.
    pub(super) fn succeeded(&mut self, origin: Origin<'_>, now: Instant) {
        self.welcome.retain(|entry| entry.is_fresh(WELCOME, now));
        let keys = self.keys(origin);
        // Its tries are free again; those that wait go on waiting for each other.
        self.tries.retain(|entry| entry.key != keys.from || entry.answered > now);
        if let Some(entry) = find_mut(&mut self.tries, keys.from) {
            entry.count = 0;
        }
        // Only its own try is taken back: the owner's phone must not make room for more guesses.
        if let Some(entry) = find_mut(&mut self.tries, keys.account) {
            entry.count = entry.count.saturating_sub(1);
        }
        if !origin.on_lan && find(&self.welcome, keys.welcome).is_none() {
            self.answered = self.answered.and_then(|last| last.checked_sub(Duration::from_secs(1)));
        }
        count_one(&mut self.welcome, keys.welcome, now);
    }
}

/// What one origin's tries are counted by.
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

/// Counts one more under `key`.
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

/// 1, 2, 4, 8, 16, 30, 30 … seconds once the free tries are used up.
fn wait(tries: u32, free: u32) -> Duration {
    match tries.checked_sub(free) {
        None => Duration::ZERO,
        Some(more) => Duration::from_secs(1 << more.min(5)).min(LONGEST),
    }
}

/// Who has one IPv6 address has its whole /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests;
