//! Two more clients in the stories of `two_clients`, which only watch (RFC 5465): they send nothing after NOTIFY, and
//! still end up with the server's picture.

use std::collections::BTreeMap;

use super::two_clients::{Heard, Picture, between, truth};
use super::*;

/// The counts MESSAGES, UIDNEXT and UNSEEN.
type Counts = (usize, u32, usize);

pub(super) struct Watchers {
    /// A client that has selected the INBOX.
    selecting: Client,
    picture: Picture,
    /// A client that has selected no mailbox.
    counting: Client,
    counts: BTreeMap<String, Counts>,
}

impl Watchers {
    pub(super) async fn begin(world: &World, qresync: bool) -> Watchers {
        let (mut selecting, mut picture) = (world.login().await, Picture::default());
        if qresync {
            selecting.send("w ENABLE QRESYNC\r\n").await;
            selecting.until("w OK").await;
        }
        let events = "MessageNew (UID FLAGS) MessageExpunge FlagChange";
        for command in
            ["EXAMINE INBOX", "UID FETCH 1:* (UID FLAGS)", &format!("NOTIFY SET (selected ({events}))")]
        {
            selecting.send(&format!("w {command}\r\n")).await;
            for line in selecting.until("w OK").await {
                picture.hear(&line, &mut Heard::default());
            }
        }
        let mut counting = world.login().await;
        counting.send("w NOTIFY SET STATUS (personal (MessageNew MessageExpunge FlagChange))\r\n").await;
        let mut counts = BTreeMap::new();
        for line in counting.until("w OK").await {
            count(&line, &mut counts);
        }
        Watchers { selecting, picture, counting, counts }
    }

    /// Reads until the watchers know the true state. Fails when it waits in vain.
    pub(super) async fn hear_the_truth(&mut self, fred: &store::Account) {
        while Some(&self.picture.messages) != truth(fred).as_ref() {
            let line = self.selecting.line().await.expect("the server is there");
            self.picture.hear(&line, &mut Heard::default());
        }
        while self.counts != counts(fred) {
            let line = self.counting.line().await.expect("the server is there");
            count(&line, &mut self.counts);
        }
    }
}

/// Takes over the counts of a STATUS response.
fn count(line: &str, counts: &mut BTreeMap<String, Counts>) {
    let Some(rest) = line.strip_prefix("* STATUS ") else { return };
    let number = |item: &str| {
        let number = between(line, item, ' ')?;
        Some(number.trim_end_matches(')').parse::<usize>().unwrap())
    };
    let counts = counts.entry(rest.split(' ').next().unwrap().to_owned()).or_default();
    counts.0 = number("MESSAGES ").unwrap_or(counts.0);
    counts.1 = number("UIDNEXT ").map_or(counts.1, |uid| uid.try_into().unwrap());
    counts.2 = number("UNSEEN ").unwrap_or(counts.2);
}

fn counts(fred: &store::Account) -> BTreeMap<String, Counts> {
    let counts = fred.mailboxes().into_iter().map(|(id, name)| {
        let counts = fred.view(id, |mailbox| {
            let unseen = mailbox.messages.iter().filter(|message| !message.flags.contains(Flags::SEEN));
            (mailbox.messages.len(), mailbox.uid_next, unseen.count())
        });
        (name, counts.unwrap())
    });
    counts.collect()
}
