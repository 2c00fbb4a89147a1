//! Restores on a simulated flash.

use std::cell::Cell;
use std::collections::BTreeMap;

use super::*;
use crate::archive::backup::{Sink, write};
use crate::flash::sim::SimFlash;
use crate::flash::{Mode, ReadAt};
use crate::smtp::{Envelope, Mailbox};
use crate::store::{Flags, INBOX};

const LAN: &str = "home.example";
const OUTSIDE: &str = "friend@else.example";

/// A sink that gathers the stream.
struct Gathered(Vec<u8>);

impl Sink for Gathered {
    async fn put(&mut self, octets: &[u8]) -> io::Result<()> {
        self.0.extend_from_slice(octets);
        Ok(())
    }
    async fn tell(&mut self, line: String) -> io::Result<()> {
        panic!("{line}")
    }
}

/// A data folder where every part contains `word`, with an account of that name and a message in the queue.
async fn filled(word: &'static str) -> SimFlash {
    let flash = SimFlash::default();
    let mut config = Config::default();
    config.server.domains.push(LAN.try_into().unwrap());
    config.server.hostname = format!("{word}.{LAN}").as_str().try_into().unwrap();
    file::save(&flash, &config).await.unwrap();
    file::save(&flash, &config).await.unwrap();
    flash.create_dir("tls").unwrap();
    for name in ["login.key", "tls/key.pem"] {
        flash.open(name, Mode::Create).unwrap().write_at(0, word.as_bytes()).unwrap();
    }
    let store = Store::new(Rc::new(flash.clone()));
    let account = store.account(word).await.unwrap();
    for octets in [10, 70_000] {
        let mut message = account.incoming();
        message.write(&word.repeat(octets).into_bytes()).unwrap();
        let mut transaction = account.begin();
        transaction.deliver(INBOX, message, Flags::NONE, &[], 7);
        transaction.commit().await.unwrap();
    }
    let queue = store.queue().await.unwrap();
    for to in [OUTSIDE, "a@home.example"] {
        let mailbox = |address| Mailbox::parse(address).unwrap();
        let envelope = Envelope {
            sender: Some(mailbox("a@home.example")),
            account: None,
            recipients: vec![mailbox(to).into()],
            eight_bit: false,
            utf8: false,
            dsn: crate::smtp::dsn::Request::default(),
        };
        let mut message = queue.incoming();
        message.write(word.as_bytes()).unwrap();
        let mut transaction = queue.begin();
        transaction.deliver(INBOX, message, Flags::NONE, &[], 7);
        transaction.note_delivered(relay::note_of(envelope, 7));
        transaction.commit().await.unwrap();
    }
    store.mark_end();
    flash.copy()
}

async fn backup_of(flash: &SimFlash) -> Vec<u8> {
    let mut sink = Gathered(Vec::new());
    write(&Store::new(Rc::new(flash.clone())), &mut sink).await.unwrap();
    sink.0
}

fn octets(flash: &SimFlash, name: &str) -> Vec<u8> {
    let file = flash.open(name, Mode::Read).unwrap();
    let mut octets = vec![0; file.len().unwrap() as usize];
    file.read_exact_at(0, &mut octets).unwrap();
    octets
}

/// The word that every part of a data folder contains.
async fn word(flash: &SimFlash) -> String {
    let hostname = file::peek(flash).unwrap().server.hostname;
    let word = hostname.split('.').next().unwrap().to_owned();
    for name in ["login.key", "tls/key.pem"] {
        assert_eq!(octets(flash, name), word.as_bytes(), "{name}");
    }
    let store = Store::new(Rc::new(flash.clone()));
    assert_eq!(store.folders().unwrap(), [format!("accounts/{word}"), QUEUE.to_owned()]);
    for (account, sizes) in [
        (store.account(&word).await.unwrap(), vec![10 * word.len(), 70_000 * word.len()]),
        (store.queue().await.unwrap(), vec![word.len(); 2]),
    ] {
        let found: Vec<_> = account.view(INBOX, |inbox| inbox.messages.to_vec()).unwrap();
        assert_eq!(found.iter().map(|m| m.size as usize).collect::<Vec<_>>(), sizes);
        for message in found {
            let mut octets = vec![0; message.size as usize];
            account.body(&message).unwrap().read_exact_at(0, &mut octets).unwrap();
            assert!(octets.starts_with(word.as_bytes()));
        }
    }
    word
}

fn quiet(_: u64) {}

/// Catches: a cut that leaves half of the old and half of the new, one after which neither is there, something of the old that
/// is deleted, and a second start that begins again.
#[test]
fn a_cut_at_any_step_leaves_the_old_or_the_new_whole() {
    smol::block_on(async {
        let stream = backup_of(&filled("new").await).await;
        let flash = filled("old").await;
        let (cuts, new, halfway) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        flash.watch({
            let (cuts, new, halfway) = (cuts.clone(), new.clone(), halfway.clone());
            move |flash| {
                for _ in 0..3 {
                    cuts.set(cuts.get() + 1);
                    let after = flash.restart(cuts.get());
                    smol::block_on(async {
                        let settled = finish_restore(&after).await.unwrap();
                        halfway.set(halfway.get() + u32::from(settled.is_some()));
                        let found = word(&after).await;
                        let tops: Vec<String> = after.list("").unwrap();
                        assert!(!tops.iter().any(|name| name.starts_with("restore.")), "{tops:?}");
                        if found == "new" {
                            new.set(new.get() + 1);
                            // All that was there before is set aside.
                            let mut aside: BTreeMap<String, usize> = BTreeMap::new();
                            for (name, len) in after.files() {
                                aside.extend(
                                    name.strip_prefix("before-restore-1/").map(|name| (name.to_owned(), len)),
                                );
                            }
                            assert_eq!(octets(&after, "before-restore-1/login.key"), b"old");
                            assert!(aside.contains_key("config.postcard.prev"), "{aside:?}");
                            assert!(aside.contains_key("accounts/old/log/00000001"), "{aside:?}");
                        }
                        // The durable state stays the same.
                        assert_eq!(finish_restore(&after.restart(1)).await.unwrap(), None);
                        assert_eq!(word(&after.restart(2)).await, found);
                    });
                }
            }
        });
        let done = restore(Rc::new(flash.clone()), &mut &*stream, &quiet).await.unwrap();
        assert_eq!(done.aside.as_deref(), Some("before-restore-1"));
        assert_eq!(word(&flash).await, "new");
        let (cuts, new, halfway) = (cuts.get(), new.get(), halfway.get());
        assert!(
            cuts > 200 && new > 20 && new < cuts && halfway > 20,
            "{cuts} cuts, {new} new, {halfway} on the way"
        );
    });
}

/// Catches: a queue that is sent again without a word, mailboxes that a client takes for those it knew, and queued messages for
/// accounts of this appliance that are held.
#[test]
fn what_is_restored_is_safe_for_those_who_knew_a_newer_state() {
    smol::block_on(async {
        let old = filled("old").await;
        let stream = backup_of(&old).await;
        let flash = SimFlash::default();
        let done = restore(Rc::new(flash.clone()), &mut &*stream, &quiet).await.unwrap();
        assert_eq!((done.aside, done.problems.len(), done.contents.accounts), (None, 0, 1));
        assert_eq!(done.held.iter().map(|entry| entry.to.concat()).collect::<Vec<_>>(), [OUTSIDE]);
        let config = file::peek(&flash).unwrap();
        let (before, after) = (Store::new(Rc::new(old)), Store::new(Rc::new(flash)));
        let waiting = relay::waiting_outside(&after.queue().await.unwrap(), &config);
        assert_eq!(waiting.iter().map(|entry| entry.held).collect::<Vec<_>>(), [true]);
        let (before, after) = (before.account("old").await.unwrap(), after.account("old").await.unwrap());
        for (id, name) in before.mailboxes() {
            let validity =
                |account: &crate::store::Account| account.view(id, |mailbox| mailbox.uid_validity).unwrap();
            assert!(validity(&after) > validity(&before), "{name}");
        }
    });
}

/// Catches: a damaged backup that takes something away or leaves something behind.
#[test]
fn what_is_refused_changes_nothing() {
    smol::block_on(async {
        let mut stream = backup_of(&filled("new").await).await;
        let at = stream.len() - 3000;
        stream[at] ^= 1;
        let flash = filled("old").await;
        let before = flash.files();
        let refused = restore(Rc::new(flash.clone()), &mut &*stream, &quiet).await.unwrap_err();
        assert!(matches!(refused, Failure::Input(_)), "{refused:?}");
        assert_eq!(flash.files(), before);
        // There is no room for the backup beside the data.
        stream[at] ^= 1;
        flash.limit(Some(300 << 10));
        let refused = restore(Rc::new(flash.clone()), &mut &*stream, &quiet).await.unwrap_err();
        assert!(matches!(refused, Failure::System(_)), "{refused:?}");
        assert_eq!(flash.files(), before);
    });
}

/// Catches: settings that go away though the backup has none, and a second restore into the folder that holds the old state of
/// the first one.
#[test]
fn a_backup_without_settings_leaves_those_that_are_there() {
    smol::block_on(async {
        let new = filled("new").await;
        for name in ["config.postcard", "config.postcard.prev", "login.key", "tls/key.pem"] {
            new.remove(name).unwrap();
        }
        let stream = backup_of(&new).await;
        let flash = filled("old").await;
        for n in 1..3 {
            let done = restore(Rc::new(flash.clone()), &mut &*stream, &quiet).await.unwrap();
            assert!(!done.contents.settings);
            assert_eq!(done.aside, Some(format!("before-restore-{n}")));
            assert_eq!(file::peek(&flash).unwrap().server.hostname, "old.home.example");
            assert_eq!(octets(&flash, "tls/key.pem"), b"old");
            assert_eq!(flash.list("accounts").unwrap(), ["new"]);
        }
    });
}
