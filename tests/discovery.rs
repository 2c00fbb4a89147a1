//! Mail programs find the device and its services by multicast DNS: the real binary on a network of its own, and python-zeroconf,
//! another implementation, looking for it.

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::process::Command;
use std::time::Duration;

use support::Scratch;
use support::process::run;

/// POP3 is there for this machine only.
const CONFIG: &str = "[server]\ndomains = [\"pillarbox.local\"]\n[listen]\npop3 = []\npop3s = [\"127.0.0.1:1995\"]\nimap = []\n\
    imaps = [\"0.0.0.0:1993\", \"192.168.77.5:2993\"]\nsubmission = []\nsubmissions = [\"192.168.77.5:1465\"]\nlan_smtp = []\n\
    http = []\nhttps = [\"0.0.0.0:1443\"]\n[[account]]\nname = \"demo\"\naddress = \"demo@pillarbox.local\"\n\
    password = \"long enough\"\n";

/// A network of two machines, which nobody else sees and which ends with the script.
const NETWORK: &str = "set -e
ip link set lo up
unshare -n sleep 600 &
other=$!
until [ \"$(readlink /proc/$other/ns/net)\" != \"$(readlink /proc/1/ns/net)\" ]; do sleep 0.1; done
ip link add wire type veth peer name end
ip link set end netns $other
at_other=\"nsenter -t $other -n\"
$at_other ip link set lo up
ip address add 192.168.77.5/24 dev wire
$at_other ip address add 192.168.77.6/24 dev end
ip link set wire up
$at_other ip link set end up
ip route add default dev wire
$at_other ip route add default dev end
$at_other /usr/bin/python3 \"$PEER\" \"$@\"
";

/// What the other one says, beside which there may be devices of these names, and the log.
fn on_a_network(others: &[&str]) -> (String, String) {
    let scratch = Scratch::new("discovery");
    for (name, text) in [
        ("etc/board", "orangepi-pc\n"),
        ("etc/version", "1.2.0\n"),
        ("etc/compat", "1\n"),
        ("run/slot", "A\n"),
        ("config.toml", CONFIG),
    ] {
        scratch.write(name, text);
    }
    let peer = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/discovery.py");
    let mut command = Command::new("unshare");
    command.args(["-rn", "--fork", "--pid", "--kill-child", "--mount-proc", "sh", "-c"]);
    command.arg(NETWORK).arg("sh").args(others);
    command.env("BINARY", env!("CARGO_BIN_EXE_pillarbox")).env("FOLDER", scratch.path()).env("PEER", peer);
    command.env("PILLARBOX_ETC", scratch.join("etc")).env("PILLARBOX_CARD", scratch.join("card"));
    let said = run(&mut command, Duration::from_secs(100)).success();
    (said, std::fs::read_to_string(scratch.join("log")).unwrap_or_default())
}

/// Catches: a service that nobody finds, one that is found at another port than it has or though it is on loopback, and one that is
/// found when it has ended.
#[test]
fn mail_is_found_by_its_kind_and_taken_back() {
    let (said, log) = on_a_network(&[]);
    let own: Vec<&str> = said.lines().filter(|line| !line.contains("fe80")).collect();
    let expected = [
        "found pillarbox._https._tcp.local. at pillarbox.local.:1443, 192.168.77.5",
        "found pillarbox._imaps._tcp.local. at pillarbox.local.:1993, 192.168.77.5",
        "found pillarbox._submissions._tcp.local. at pillarbox.local.:1465, 192.168.77.5",
        "gone pillarbox._https._tcp.local.",
        "gone pillarbox._imaps._tcp.local.",
        "gone pillarbox._submissions._tcp.local.",
    ];
    assert_eq!(own, expected, "{said}\n{log}");
}

/// Catches: two devices of one name, and an end that takes the other one's name away.
#[test]
fn another_device_keeps_its_name() {
    let (said, log) = on_a_network(&["pillarbox"]);
    let found = |line: &str| said.lines().any(|it| it.starts_with(line));
    assert!(
        found("found pillarbox._imaps._tcp.local. at pillarbox.local.:4993, 192.168.77.9"),
        "{said}\n{log}"
    );
    for kind in ["imaps", "submissions", "https"] {
        assert!(
            found(&format!("found pillarbox-2._{kind}._tcp.local. at pillarbox-2.local.:")),
            "{said}\n{log}"
        );
        assert!(found(&format!("gone pillarbox-2._{kind}._tcp.local.")), "{said}\n{log}");
    }
    assert!(!found("gone pillarbox._imaps"), "{said}\n{log}");
    assert!(log.contains("another device of this network is called pillarbox.local"), "{log}");
}
