//! A real card, full to refusal: what is deleted comes back by itself, and some room is never touched.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use support::mail::{Dice, named};
use support::{Appliance, Connection, Imap, MountedCard, wait_for};

const CONFIG: &str = r#"
[server]
domains = ["home.example"]
[[account]]
name = "anna"
address = "anna@home.example"
password = "pass"
"#;
const SIZE: usize = 30_000;

/// Total and free octets of the file system at `folder`.
fn space(folder: &PathBuf) -> (u64, u64) {
    let system = rustix::fs::statvfs(folder).unwrap();
    (system.f_blocks * system.f_frsize, system.f_bavail * system.f_frsize)
}

/// Looks at the room all the time, in a thread of its own.
struct Watch {
    least: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

impl Watch {
    fn begin(folder: PathBuf) -> Watch {
        let watch = Watch { least: Arc::new(AtomicU64::new(u64::MAX)), over: Arc::default() };
        let (least, over) = (watch.least.clone(), watch.over.clone());
        // The card is mounted for this thread and its children.
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                least.fetch_min(space(&folder).1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        watch
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// Messages until one is refused: how many were taken.
fn fill(imap: &mut Imap) -> usize {
    for n in 0.. {
        let answer = imap.try_append("INBOX", &named(&format!("m{n}"), SIZE)).unwrap();
        if !answer.status.starts_with("OK") {
            assert!(answer.status.starts_with("NO [OVERQUOTA]"), "{}", answer.status);
            return n;
        }
    }
    0
}

/// Deletes about so many of a hundred messages, anywhere, as clients do.
fn delete(imap: &mut Imap, percent: usize, random: &mut Dice) {
    let found = imap.command("UID SEARCH ALL").text();
    let uids: Vec<&str> = found.split_whitespace().filter(|word| word.parse::<u32>().is_ok()).collect();
    let doomed: Vec<&str> = uids.into_iter().filter(|_| random.below(100) < percent).collect();
    for some in doomed.chunks(10) {
        imap.command(&format!("UID STORE {} +FLAGS.SILENT (\\Deleted)", some.join(","))).ok();
        imap.command("EXPUNGE").ok();
    }
}

/// Catches: a batch of compaction that does not fit, dead octets that are not seen, a reserve that is eaten, settings that
/// cannot be stored on a full card.
#[test]
fn a_full_card_gets_its_room_back_by_deleting_alone() {
    let mut appliance = Appliance::prepare();
    let data = appliance.data().to_path_buf();
    let Some(_card) = MountedCard::insert(appliance.scratch.join("card.img"), data.clone()) else { return };
    let file = appliance.scratch.write("config.toml", appliance.text(CONFIG));
    appliance.verb("import", &[file.to_str().unwrap()]).success();
    appliance.restart();
    let watch = Watch::begin(data.clone());
    let mut random = Dice(5);
    let mut imap = Imap::login(Connection::open(appliance.ports.imap.address()), "anna", "pass");
    let taken = fill(&mut imap);
    assert!(taken * SIZE > 40 << 20, "{taken} messages");
    imap.command("SELECT INBOX").ok();
    imap.command("STORE 1:* +FLAGS.SILENT (\\Seen)").ok();
    appliance.verb("console", &["-c", "set server.max_connections 150\ncommit"]).success();

    let (_, full) = space(&data);
    delete(&mut imap, 5, &mut random);
    wait_for("room from a twentieth", || (space(&data).1 > full + (1 << 20)).then_some(()));
    delete(&mut imap, 50, &mut random);
    wait_for("room from a half", || (space(&data).1 > full + (16 << 20)).then_some(()));
    assert!(fill(&mut imap) * SIZE > 16 << 20);
    let (total, _) = space(&data);
    let least = watch.least.load(Ordering::Relaxed);
    assert!(least >= total / 32, "{least} of {total} were free once");
    drop(watch);
    appliance.stop();
    appliance.verb("fsck", &[]).success();
}
