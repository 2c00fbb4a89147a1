//! What devices are told about their account, read by implementations that are not ours: XML by expat, the signed profile by
//! OpenSSL and plistlib (`tests/clients/devices.py`, which says what the makers ask for).

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::process::Command;

use support::process::run;
use support::{Appliance, Connection, Imap, PATIENCE, Port};

const ACCOUNTS: &str = "[server]\ndomains = [\"home.example\", \"pillarbox.local\"]\noperator_password = \"the operator\"\n[[account]]\nname = \"demo\"\n\
    address = \"demo@home.example\"\npassword = \"long enough\"\n";

/// Catches: a document that its readers refuse or take for another one, a profile that is not signed by what devices trust, and a
/// password in it that opens nothing.
#[test]
fn settings_are_what_their_readers_take() {
    let appliance = Appliance::start(ACCOUNTS);
    let [http, https] = [(); 2].map(|()| Port::reserve());
    let text = appliance.text(ACCOUNTS);
    let text = text.replace("https = []", &format!("https = [\"{}\"]", https.address()));
    let mut text = text.replace("http = []", &format!("http = [\"{}\"]", http.address()));
    // The document names the ports that everybody knows by heart, on an address that only this test has.
    let own = format!("127.{}.{}.{}", octet(), octet(), octet());
    let ports = [
        ("pop3", 1110),
        ("pop3s", 1995),
        ("imap", 1143),
        ("imaps", 1993),
        ("submission", 1587),
        ("submissions", 1465),
    ];
    for (service, port) in ports {
        let (_, address) = appliance.ports.all().into_iter().find(|(name, _)| *name == service).unwrap();
        text = text.replace(
            &format!("{service} = [\"{address}\"]"),
            &format!("{service} = [\"{own}:{port}\", \"{address}\"]"),
        );
    }
    let file = appliance.scratch.write("devices.toml", text);
    appliance.verb("import", &[file.to_str().unwrap()]).success();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/devices.py");
    let mut reader = Command::new("python3");
    reader.arg(script).args([http.number.to_string(), https.number.to_string()]).arg(appliance.ca());
    let password = run(&mut reader, PATIENCE).success();
    Imap::login(Connection::open(appliance.ports.imap.address()), "demo", password.trim());
}

fn octet() -> u8 {
    (support::random() % 200) as u8 + 20
}
