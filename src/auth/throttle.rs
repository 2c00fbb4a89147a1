//! Slows down who guesses passwords, in a table of fixed size.
//!
//! The first few tries are free, so that a typing error costs nothing; after that each waits longer,
//! up to half a minute. Tries are counted by the address they come from and by the account they are
//! for, those from the LAN apart from the others and with more patience. And all wrong tries from
//! outside together get one fast answer a second: guesses from a thousand addresses wait for each other.
//! Someone who logged in well from the same address lately does not wait for what others guess.

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

    /// How long a login waits before it is looked at. It counts as failed until [`Throttle::succeeded`],
    /// so that many at once are no better than one after the other.
    pub(super) fn attempt(&mut self, origin: Origin<'_>, now: Instant) -> Duration {
        let network = network(origin.address);
        let key = self.hasher.hash_one(Key::From(network));
        let from = wait(
            count(&mut self.tries, key, FORGOTTEN, now),
            if origin.on_lan { FREE_ON_LAN } else { FREE_OUTSIDE },
        );
        let key = self.hasher.hash_one(Key::For(origin.account, origin.on_lan));
        let tries = count(&mut self.tries, key, FORGOTTEN, now);
        let free = if origin.on_lan { FREE_FOR_ACCOUNT_ON_LAN } else { FREE_FOR_ACCOUNT };
        let key = self.hasher.hash_one(Key::Welcome(network, origin.account));
        if self.welcome.iter().any(|entry| entry.key == key && entry.is_fresh(WELCOME, now)) {
            return from;
        }
        from.max(wait(tries, free)).max(if origin.on_lan { Duration::ZERO } else { self.queue(now) })
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
        let network = network(origin.address);
        let key = self.hasher.hash_one(Key::From(network));
        self.tries.retain(|entry| entry.key != key);
        // Only its own try is taken back: the owner's phone must not make room for more guesses.
        let key = self.hasher.hash_one(Key::For(origin.account, origin.on_lan));
        if let Some(entry) = self.tries.iter_mut().find(|entry| entry.key == key) {
            entry.count = entry.count.saturating_sub(1);
        }
        let key = self.hasher.hash_one(Key::Welcome(network, origin.account));
        let welcome = self.welcome.iter().any(|entry| entry.key == key && entry.is_fresh(WELCOME, now));
        if !origin.on_lan && !welcome {
            self.answered = self.answered.and_then(|last| last.checked_sub(Duration::from_secs(1)));
        }
        count(&mut self.welcome, key, WELCOME, now);
    }
}

impl Entry {
    fn is_fresh(&self, life: Duration, now: Instant) -> bool {
        now.saturating_duration_since(self.last) < life
    }
}

/// Counts one more under `key`; the number of those before it.
fn count(table: &mut Vec<Entry>, key: u64, life: Duration, now: Instant) -> u32 {
    table.retain(|entry| entry.is_fresh(life, now));
    if let Some(entry) = table.iter_mut().find(|entry| entry.key == key) {
        entry.last = now;
        entry.count = entry.count.saturating_add(1);
        return entry.count - 1;
    }
    if table.len() >= TABLE
        && let Some(oldest) = (0..table.len()).min_by_key(|&at| table.get(at).map(|entry| entry.last))
    {
        table.swap_remove(oldest);
    }
    table.push(Entry { key, count: 1, last: now });
    0
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
mod tests {
    use super::*;

    fn origin<'a>(address: &str, account: &'a str) -> Origin<'a> {
        let address: IpAddr = address.parse().unwrap();
        Origin { address, on_lan: address.to_string().starts_with("192.168."), account }
    }

    /// The waits in seconds of `n` tries in the same moment.
    fn waits(throttle: &mut Throttle, origin: Origin<'_>, n: usize, now: Instant) -> Vec<u64> {
        (0..n).map(|_| throttle.attempt(origin, now).as_secs()).collect()
    }

    #[test]
    fn waits_grow_after_the_free_tries_and_end_after_a_quiet_hour() {
        let (mut throttle, now) = (Throttle::new(), Instant::now());
        let guesser = origin("198.51.100.7", "demo");
        assert_eq!(waits(&mut throttle, guesser, 12, now), [0, 0, 0, 0, 1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(waits(&mut throttle, guesser, 1, now + FORGOTTEN - Duration::from_secs(1)), [30]);
        assert_eq!(waits(&mut throttle, guesser, 1, now + 2 * FORGOTTEN), [0]);
    }

    #[test]
    fn the_lan_has_more_free_tries() {
        let (mut throttle, now) = (Throttle::new(), Instant::now());
        let waits = waits(&mut throttle, origin("192.168.7.5", "demo"), 22, now);
        assert!(waits[..20].iter().all(|&wait| wait == 0));
        assert_eq!(waits[20..], [1, 2]);
    }

    #[test]
    fn an_ipv6_network_counts_as_one_and_a_mapped_address_as_ipv4() {
        for (one, other, same) in [
            ("2001:db8:1:1::1", "2001:db8:1:1:ffff::2", true),
            ("2001:db8:1:1::1", "2001:db8:1:2::1", false),
            ("::ffff:198.51.100.7", "198.51.100.7", true),
            ("198.51.100.7", "198.51.100.8", false),
        ] {
            let (mut throttle, now) = (Throttle::new(), Instant::now());
            waits(&mut throttle, origin(one, "demo"), 4, now);
            assert_eq!(waits(&mut throttle, origin(other, "demo"), 1, now), [u64::from(same)], "{other}");
        }
    }

    #[test]
    fn guesses_from_everywhere_slow_down_strangers_but_not_the_owner() {
        let (mut throttle, now) = (Throttle::new(), Instant::now());
        let phone = origin("203.0.113.9", "demo");
        throttle.attempt(phone, now);
        throttle.succeeded(phone, now);
        // One a second: the queue of all wrong tries is another story.
        for host in 1..=11 {
            let now = now + Duration::from_secs(host);
            throttle.attempt(origin(&format!("198.51.100.{host}"), "demo"), now);
        }
        let now = now + Duration::from_secs(12);
        assert_eq!(waits(&mut throttle, origin("198.51.100.99", "demo"), 1, now), [2]);
        assert_eq!(waits(&mut throttle, origin("198.51.100.99", "other"), 1, now), [0]);
        assert_eq!(waits(&mut throttle, origin("192.168.7.5", "demo"), 1, now), [0]);
        assert_eq!(waits(&mut throttle, phone, 1, now), [0]);
        assert_eq!(waits(&mut throttle, phone, 1, now + WELCOME + FORGOTTEN), [0], "all is forgotten");
    }

    #[test]
    fn guesses_on_the_lan_count_for_the_lan_only() {
        let (mut throttle, now) = (Throttle::new(), Instant::now());
        for host in 1..=50 {
            let guess = origin("192.168.7.5", "demo");
            let guess = Origin { address: format!("192.168.7.{host}").parse().unwrap(), ..guess };
            assert_eq!(waits(&mut throttle, guess, 1, now), [0], "{host}");
        }
        assert_eq!(waits(&mut throttle, origin("192.168.7.99", "demo"), 2, now), [1, 2]);
        assert_eq!(waits(&mut throttle, origin("192.168.7.99", "other"), 1, now), [0]);
        assert_eq!(waits(&mut throttle, origin("198.51.100.7", "demo"), 1, now), [0]);
    }

    /// Ten wrong tries a second for two minutes, each from another network and for another account.
    #[test]
    fn guesses_from_everywhere_for_everyone_get_one_fast_answer_a_second() {
        let (mut throttle, start) = (Throttle::new(), Instant::now());
        let phone = origin("203.0.113.9", "demo");
        throttle.attempt(phone, start);
        throttle.succeeded(phone, start);
        let (mut fast, mut longest) = (0, Duration::ZERO);
        for n in 0..1200_u32 {
            let now = start + Duration::from_millis(100) * n;
            let (address, account) = (format!("2001:db8:{n:x}::1"), format!("account{n}"));
            let wait = throttle.attempt(origin(&address, &account), now);
            fast += u32::from(wait < Duration::from_secs(1));
            longest = longest.max(wait);
        }
        // Those at the beginning are free; once the queue is as long as it gets, none is fast.
        assert!((10..=10 + 120).contains(&fast), "{fast}");
        assert_eq!(longest, LONGEST);
        let later = start + Duration::from_secs(120);
        assert_eq!(throttle.attempt(phone, later), Duration::ZERO, "who was here before does not queue");
        assert_eq!(throttle.attempt(origin("192.168.7.5", "demo"), later), Duration::ZERO);
        let over = later + LONGEST + Duration::from_secs(11);
        assert_eq!(throttle.attempt(origin("2001:db8:ffff::1", "new"), over), Duration::ZERO);
    }

    #[test]
    fn a_login_that_went_well_leaves_no_trace_in_the_queue() {
        let (mut throttle, now) = (Throttle::new(), Instant::now());
        for n in 0..100_u32 {
            let account = format!("account{n}");
            let device = origin("2001:db8:1::1", &account);
            let device = Origin { address: format!("2001:db8:{n:x}::1").parse().unwrap(), ..device };
            assert_eq!(throttle.attempt(device, now), Duration::ZERO, "{n}");
            throttle.succeeded(device, now);
        }
    }

    #[test]
    fn a_login_that_went_well_gives_its_address_new_free_tries() {
        let (mut throttle, now) = (Throttle::new(), Instant::now());
        let phone = origin("203.0.113.9", "demo");
        assert_eq!(waits(&mut throttle, phone, 5, now), [0, 0, 0, 0, 1]);
        throttle.succeeded(phone, now);
        assert_eq!(waits(&mut throttle, phone, 5, now), [0, 0, 0, 0, 1]);
    }

    #[test]
    fn the_table_stays_small() {
        let (mut throttle, now) = (Throttle::new(), Instant::now());
        for host in 0..10_000_u32 {
            let address = IpAddr::from((0xc633_0000 + host).to_be_bytes());
            let origin = Origin { address, on_lan: false, account: "demo" };
            throttle.attempt(origin, now);
            throttle.succeeded(origin, now);
        }
        assert!(throttle.tries.len() <= TABLE && throttle.welcome.len() <= TABLE);
    }
}
