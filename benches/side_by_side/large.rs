//! A mailbox of 100,000 small messages, in an appliance of its own that has just started.

use std::time::Instant;

use super::server::Server;
use super::support::mail::named;
use super::support::{Appliance, Connection, Imap, proc, wait_for};
use super::table::milliseconds;

const MESSAGES: usize = 100_000;
const CLIENTS: usize = 8;
const CONFIG: &str = r#"
[server]
domains = ["home.example"]
[[account]]
name = "u"
address = "u@home.example"
password = "pass"
"#;

/// From the login to the OK of SELECT; notes the memory that it took.
pub fn opening(server: &Server) -> f64 {
    let mut appliance = Appliance::start(CONFIG);
    let message = named("small", 300);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut imap = login(&appliance);
                (0..MESSAGES / CLIENTS).for_each(|_| imap.append("INBOX", &message));
            });
        }
    });
    let checkpoint = appliance.data().join("accounts/u/checkpoint");
    wait_for("a checkpoint", || checkpoint.exists().then_some(()));
    appliance.stop();
    appliance.restart();
    let before = proc::pss(appliance.pid());
    let connection = Connection::open(appliance.ports.imap.address());
    let start = Instant::now();
    let mut imap = Imap::login(connection, "u", "pass");
    let selected = imap.command("SELECT INBOX");
    let time = start.elapsed();
    assert!(selected.text().contains(&format!("{MESSAGES} EXISTS")), "{}", selected.text());
    server.note("large", proc::pss(appliance.pid()).saturating_sub(before) as f64);
    milliseconds(time)
}

fn login(appliance: &Appliance) -> Imap {
    Imap::login(Connection::open(appliance.ports.imap.address()), "u", "pass")
}
