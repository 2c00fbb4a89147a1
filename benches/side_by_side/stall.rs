//! The appliance on a card whose syncs take 300 ms each.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::server::Server;
use super::support::mail::named;
use super::support::{Connection, Imap, OnCard};
use super::table::{milliseconds, percentile};

const SYNC: Duration = Duration::from_millis(300);
const TIME: Duration = Duration::from_secs(6);
const CONFIG: &str = r#"
[server]
domains = ["home.example"]
[[account]]
name = "u"
address = "u@home.example"
password = "pass"
"#;

fn start() -> OnCard {
    let appliance = OnCard::start(CONFIG);
    let mut imap = select(&appliance);
    (0..50).for_each(|n| imap.append("INBOX", &named(&format!("m{n}"), 10_000)));
    appliance.card.stall(SYNC);
    appliance
}

fn select(appliance: &OnCard) -> Imap {
    let mut imap = Imap::login(Connection::open(appliance.address("imap")), "u", "pass");
    imap.command("SELECT INBOX").ok();
    imap
}

/// The 99th percentile of NOOP in the account that another session appends to in a loop; notes that of FETCH.
pub fn noop(server: &Server) -> f64 {
    let appliance = start();
    let over = AtomicBool::new(false);
    let (mut noops, mut fetches) = (Vec::new(), Vec::new());
    std::thread::scope(|scope| {
        scope.spawn(|| append_until(&appliance, &over));
        let mut reader = select(&appliance);
        let start = Instant::now();
        while start.elapsed() < TIME {
            noops.push(timed(|| drop(reader.command("NOOP").ok())));
            fetches.push(timed(|| drop(reader.command("FETCH 1:10 (UID FLAGS BODY.PEEK[])").ok())));
        }
        over.store(true, Ordering::Relaxed);
    });
    server.note("stalled FETCH", milliseconds(percentile(fetches, 0.99)));
    milliseconds(percentile(noops, 0.99))
}

/// How many times the rate of one session eight have together.
pub fn together(_: &Server) -> f64 {
    let appliance = start();
    let rate = |sessions: usize| {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let appending: Vec<_> =
                (0..sessions).map(|_| scope.spawn(|| append_until(&appliance, &over))).collect();
            std::thread::sleep(TIME);
            over.store(true, Ordering::Relaxed);
            appending.into_iter().map(|session| session.join().unwrap()).sum::<usize>() as f64
        })
    };
    let one = rate(1);
    rate(8) / one
}

/// Appends until it is `over`: how many were acknowledged.
fn append_until(appliance: &OnCard, over: &AtomicBool) -> usize {
    let (mut imap, message) = (select(appliance), named("slow", 10_000));
    let mut acknowledged = 0;
    while !over.load(Ordering::Relaxed) {
        imap.append("INBOX", &message);
        acknowledged += 1;
    }
    acknowledged
}

fn timed(run: impl FnOnce()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}
