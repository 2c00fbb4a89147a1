//! POP3: QUIT deletes what was marked, all of it once it is acknowledged, all or nothing when it is not. Without QUIT
//! nothing is deleted.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::support::mail::Dice;
use super::support::{Appliance, Connection, Pop3};
use super::{assert_once, inbox, name_of_whole};

/// A client of the account `carl`.
pub struct Fetcher {
    dice: Dice,
    /// Messages that were shown: they were there, whoever heard of them.
    shown: BTreeSet<String>,
    gone: BTreeSet<String>,
    /// What a QUIT was to delete that nobody has answered.
    pending: BTreeSet<String>,
}

impl Fetcher {
    pub fn new(seed: u64) -> Fetcher {
        Fetcher { dice: Dice(seed), shown: BTreeSet::new(), gone: BTreeSet::new(), pending: BTreeSet::new() }
    }
    pub fn deleted(&self) -> usize {
        self.gone.len()
    }

    /// One session after the other, until the appliance is gone.
    pub fn work(&mut self, address: SocketAddr) {
        while self.session(address).is_some() {}
    }

    fn session(&mut self, address: SocketAddr) -> Option<()> {
        let mut pop3 = Pop3::try_begin(Connection::try_open(address).ok()?, "carl", "pass")?;
        let stat = pop3.try_command("STAT")?;
        let count: usize = stat.split(' ').nth(1).unwrap().parse().unwrap();
        let mut marked = BTreeSet::new();
        // So many that the maildrop does not grow for ever.
        for number in 1..=count.min(1 + self.dice.below(12)) {
            let name = name_of_whole(&pop3.try_retr(number)?);
            assert!(!self.gone.contains(&name), "{name} was deleted and is there again");
            self.shown.insert(name.clone());
            if self.dice.below(4) > 0 {
                let reply = pop3.try_command(&format!("DELE {number}"))?;
                assert!(reply.starts_with("+OK"), "{reply}");
                marked.insert(name);
            }
        }
        if self.dice.below(6) == 0 {
            pop3.try_command("RSET")?;
            marked.clear();
        }
        if self.dice.below(6) == 0 {
            // The connection breaks off: nothing is deleted.
            return Some(());
        }
        self.pending = marked;
        let reply = pop3.try_command("QUIT")?;
        assert!(reply.starts_with("+OK"), "{reply}");
        self.gone.append(&mut self.pending);
        Some(())
    }

    /// The maildrop holds what was `promised` or shown and is not deleted; what is pending is settled by it.
    pub fn compare<'a>(&mut self, appliance: &Appliance, promised: impl Iterator<Item = &'a str>) {
        let found = inbox(appliance, "carl");
        assert_once("carl", &found);
        let (there, missing): (BTreeSet<_>, BTreeSet<_>) =
            std::mem::take(&mut self.pending).into_iter().partition(|name| found.contains_key(name));
        assert!(
            there.is_empty() || missing.is_empty(),
            "QUIT deleted some only: {missing:?} are gone, {there:?} are not"
        );
        self.gone.extend(missing);
        for name in &self.gone {
            assert!(!found.contains_key(name), "{name} was deleted and is there again");
        }
        for name in promised.map(str::to_owned).chain(self.shown.iter().cloned()) {
            assert!(found.contains_key(&name) || self.gone.contains(&name), "{name} is lost");
        }
    }
}
