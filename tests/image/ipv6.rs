//! IPv6 at home: what every phone tries first.

use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::process::Command;

use crate::device::{Device, LONG};
use crate::home::Home;
use crate::support::process::run;
use crate::support::{Connection, Imap, wait_up_to};

const CONFIG: &str = "[server]\ndomains = [\"pillarbox.local\"]\n[[account]]\nname = \"demo\"\n\
                      address = \"demo@pillarbox.local\"\npassword = \"open sesame\"\n";
/// A global prefix, as a provider gives it.
const PREFIX: &str = "2001:db8:77::";

fn is_link_local(address: &Ipv6Addr) -> bool {
    address.is_unicast_link_local()
}

fn is_of_router(address: &Ipv6Addr) -> bool {
    address.segments()[..3] == [0x2001, 0xdb8, 0x77]
}

/// The CA, fetched over IPv6.
fn ca(home: &Home, device: &Device, address: Ipv6Addr) -> PathBuf {
    let url = format!("http://[{address}%25{}]/ca.pem", crate::device::TAP);
    let pem = wait_up_to(LONG, "the board's certificate over IPv6", || {
        let mut curl = Command::new("ip");
        curl.args(["netns", "exec", &home.name, "curl", "-sf", "--max-time", "10", &url]);
        let got = run(&mut curl, LONG);
        std::thread::sleep(std::time::Duration::from_millis(500));
        (got.code == Some(0)).then(|| got.text())
    });
    let path = device.scratch("ca.pem");
    std::fs::write(&path, pem).unwrap();
    path
}

/// Logs in at `address`, and gives the number of messages.
fn messages(home: &Home, ca: &std::path::Path, address: Ipv6Addr) -> usize {
    let at = home.at(address, 993);
    home.inside(|| {
        let connection = wait_up_to(LONG, &format!("IMAP at {at}"), || Connection::try_open(at).ok());
        let mut imap = Imap::new(connection.start_tls(ca));
        assert!(imap.try_login("demo", "open sesame").status.starts_with("OK"));
        imap.append("INBOX", b"Subject: over IPv6\r\n\r\nyes\r\n");
        imap.fetch_all("INBOX").len()
    })
}

/// Catches: a lease of IPv4 that takes the link-local address of IPv6 with it, and so all of IPv6, at the first lease, at one that
/// changes and when the router is another; services that listen on IPv4 only; a name without AAAA.
#[test]
#[ignore = "needs a card image: make test-image"]
fn leases_of_ipv4_leave_ipv6_alone() {
    let mut home = Home::new();
    let mut device = Device::new();
    device.home = Some(home.name.clone());
    device.put_on_card("pillarbox.toml", CONFIG);
    // A router of old, without IPv6.
    home.route(&device.scratch(""), "10.77.0.50", None);
    device.power_on();
    device.ready();
    wait_up_to(LONG, "a lease", || {
        device.command("show log").contains("the address is 10.77.0.50").then_some(())
    });
    let found = home.announced("pillarbox.local", |found| found.iter().any(is_link_local));
    let link_local = *found.iter().find(|address| is_link_local(address)).unwrap();
    let ca = ca(&home, &device, link_local);
    assert_eq!(messages(&home, &ca, link_local), 1);

    // Another router in its place: the lease is not prolonged, and the next one has another address.
    home.route(&device.scratch(""), "10.77.0.51", Some(PREFIX));
    wait_up_to(LONG, "another lease", || {
        std::thread::sleep(std::time::Duration::from_secs(5));
        device.command("show log").contains("the address is 10.77.0.51").then_some(())
    });
    assert_eq!(messages(&home, &ca, link_local), 2);
    let found = home.announced("pillarbox.local", |found| {
        found.iter().any(is_link_local) && found.iter().any(is_of_router)
    });
    let global = *found.iter().find(|address| is_of_router(address)).unwrap();
    assert_eq!(messages(&home, &ca, global), 3);
    let status = device.command("show status");
    assert!(!status.contains("DHCP"), "{status}");
}

/// Catches: a fixed address of another network that shuts the owner out for good, one that takes IPv6 with it, and a way back that
/// needs more than the console.
#[test]
#[ignore = "needs a card image: make test-image"]
fn a_fixed_address_that_was_wrong_has_a_way_back() {
    let mut home = Home::new();
    let mut device = Device::new();
    device.home = Some(home.name.clone());
    let wrong = "[network]\naddress = \"192.168.99.5/24\"\ngateway = \"192.168.99.1\"\n";
    device.put_on_card("pillarbox.toml", CONFIG.replacen("[[account]]", &format!("{wrong}[[account]]"), 1));
    home.route(&device.scratch(""), "10.77.0.50", None);
    device.power_on();
    device.ready();
    // Nobody at home has such an address; what every device has of itself is there still.
    let found = home.announced("pillarbox.local", |found| found.iter().any(is_link_local));
    let link_local = *found.iter().find(|address| is_link_local(address)).unwrap();
    let ca = ca(&home, &device, link_local);
    assert_eq!(messages(&home, &ca, link_local), 1);
    for line in ["remove setting network.address", "remove setting network.gateway", "commit"] {
        let said = device.command(line);
        assert!(!said.contains("! "), "{line}: {said}");
    }
    device.enter("restart");
    device.starts_anew();
    device.ready();
    wait_up_to(LONG, "a lease", || {
        device.command("show log").contains("the address is 10.77.0.50").then_some(())
    });
    assert_eq!(messages(&home, &ca, link_local), 2);
}
