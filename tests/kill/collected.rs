//! MultiPOP: two maildrops, one whose messages stay and one whose messages are deleted once they are collected. Whatever
//! is or was in them comes once.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use super::support::mail::Dice;
use super::support::{Appliance, Provider, random, wait_for};
use super::{assert_once, inbox, message, name};

/// What has come to the provider.
#[derive(Default)]
pub struct Collected(BTreeSet<String>);

impl Collected {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// New mail for both maildrops, until it is `over`.
    pub fn feed(&mut self, provider: &Provider, round: usize, over: &AtomicBool) {
        let mut dice = Dice(random());
        let mut number = 0;
        while !over.load(Ordering::Relaxed) {
            for user in ["stays", "goes"] {
                let name = name(&format!("{user}-{round}"), number, &mut dice);
                provider.add(user, &name, message(&name));
                self.0.insert(name);
            }
            number += 1;
            sleep(Duration::from_millis(15));
        }
    }

    /// Nothing has come twice, and what is no longer at the provider has come.
    pub fn compare(&self, appliance: &Appliance, provider: &Provider) {
        // Asked first: what is collected while we look makes no difference then.
        let there: BTreeSet<_> = ["stays", "goes"].iter().flat_map(|user| provider.listing(user)).collect();
        let found = inbox(appliance, "dora");
        assert_once("dora", &found);
        for name in self.0.difference(&there) {
            assert!(found.contains_key(name), "{name} was deleted at the provider and is not here");
        }
    }

    /// In the end everything is here, and what shall not stay is gone from the provider.
    pub fn compare_all(&self, appliance: &Appliance, provider: &Provider) {
        wait_for("the last ones to be collected", || {
            let here = inbox(appliance, "dora").len();
            (here == self.0.len() && provider.listing("goes").is_empty()).then_some(())
        });
        self.compare(appliance, provider);
    }
}

/// Tells the appliance to collect, again and again: its own interval is longer than a round.
pub fn hurry(data: &Path, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        if let Ok(mut console) = UnixStream::connect(data.join("console.sock")) {
            let _ = console.write_all(b"script\ncollect dora\n");
            let _ = console.shutdown(Shutdown::Write);
            let _ = console.read_to_end(&mut Vec::new());
        }
        sleep(Duration::from_millis(10));
    }
}
