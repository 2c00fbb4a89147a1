//! Thunderbird's own windows find the settings of an account, log in, read and send: `tests/clients/thunderbird.py`, on a network of
//! its own with the ports and names that a home has.

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use support::process::run;
use support::{Scratch, allowed_to_skip};

const CONFIG: &str = "[server]\ndomains = [\"pillarbox.local\", \"home.example\"]\n[listen]\npop3 = [\"0.0.0.0:110\"]\n\
    pop3s = [\"0.0.0.0:995\"]\nimap = [\"0.0.0.0:143\"]\nimaps = [\"0.0.0.0:993\"]\nsubmission = [\"0.0.0.0:587\"]\n\
    submissions = [\"0.0.0.0:465\"]\nlan_smtp = [\"0.0.0.0:25\"]\nhttp = [\"0.0.0.0:80\"]\nhttps = [\"0.0.0.0:443\"]\n\
    [[account]]\nname = \"demo\"\naddress = \"demo@pillarbox.local\"\npassword = \"demo's own\"\n\
    [[account]]\nname = \"ann\"\naddress = \"ann@home.example\"\npassword = \"ann's own\"\n";

/// A network of one machine, and the names that its clients know: the device's own one, as multicast DNS tells it, and one that an
/// operator has set for a mail domain. A link without IPv6, which would get its address, and with it the device another
/// certificate, in the middle of a scenario.
const NETWORK: &str = "set -e
ip link set lo up
ip link add wire type veth peer name end
for end in wire end; do ip link set $end addrgenmode none; ip link set $end up; done
ip address add 192.168.77.5/24 dev wire
echo '127.0.0.1 localhost\n192.168.77.5 pillarbox.local autoconfig.home.example' >\"$FOLDER/hosts\"
echo 'nameserver 127.0.0.1' >\"$FOLDER/resolv.conf\"
for file in hosts resolv.conf; do mount --bind \"$FOLDER/$file\" \"/etc/$file\"; done
exec python3 \"$PEER\"
";

/// Catches: settings that Thunderbird does not find, does not take or cannot log in with, a certificate that it refuses although the
/// CA was imported, and a server that it does not get along with.
#[test]
fn an_account_is_set_up_from_its_address_and_password() {
    if !Path::new("/usr/lib/thunderbird/thunderbird-bin").exists() {
        assert!(allowed_to_skip("thunderbird"), "tests/install-peers.sh installs Thunderbird");
        return;
    }
    let scratch = Scratch::new("thunderbird");
    scratch.write("config.toml", CONFIG);
    let peer = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/thunderbird.py");
    let mut command = Command::new("unshare");
    command.args(["-rnm", "--fork", "--pid", "--kill-child", "--mount-proc", "sh", "-c", NETWORK]);
    command.env("BINARY", support::appliance::binary()).env("FOLDER", scratch.path()).env("PEER", peer);
    let outcome = run(&mut command, Duration::from_secs(200));
    let log = std::fs::read_to_string(scratch.join("log")).unwrap_or_default();
    assert_eq!(outcome.code, Some(0), "{}\n{}\n{log}", outcome.text(), outcome.stderr);
    let said = outcome.text();
    let lines: Vec<&str> = said.lines().collect();
    let [found, asked, on_the_way, read, sending, friends @ ..] = &lines[..] else { panic!("{said}") };
    // The window names what it found, in words around it that are Thunderbird's.
    for part in ["found:", "pillarbox.local", "993", "465", "demo@pillarbox.local"] {
        assert!(found.contains(part), "{part}: {found}");
    }
    // Without the CA it asks, for that reason and no other one (a name or an end that does not fit), and goes on.
    assert!(
        asked.starts_with("asked: pillarbox.local:993 The certificate is not trusted because"),
        "{asked}\n{log}"
    );
    assert!(on_the_way.starts_with("asked on the way: pillarbox.local"), "{on_the_way}\n{log}");
    assert_eq!(*read, "read: from the printer", "{log}");
    // SEC_ERROR_UNKNOWN_ISSUER: the question was answered for the port of reading.
    assert_eq!(*sending, "asked when sending: 0x805a1ff3", "{log}");
    let [logins, found, friends @ ..] = friends else { panic!("{said}") };
    // With it, it takes the settings over TLS, and all servers.
    assert_eq!(
        *logins,
        "logins: xml-from-isp-https, imap 993 TLS, imap 143 STARTTLS, pop3 995 TLS, pop3 110 STARTTLS",
        "{log}"
    );
    for part in ["found:", "pillarbox.local", "993", "465", "ann@home.example"] {
        assert!(found.contains(part), "{part}: {found}");
    }
    let expected = [
        "asked on the way:",
        "read: from the printer",
        "folders: Archive Drafts INBOX Junk Sent Trash",
        r"INBOX of demo: 2, 2 (FLAGS (\Recent))",
        r"Sent of ann: 2, 1 (FLAGS (\Recent \Seen))",
    ];
    assert_eq!(friends, expected, "{log}");
}
