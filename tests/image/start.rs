//! Starts that are not like the others: the first one with the owner's file, and one with a damaged card.

use crate::device::Device;

/// Where the data partition begins.
const DATA: u64 = 85 << 20;
/// Where the boot state lies.
const STATE: u64 = 36 << 20;

const CONFIG: &str = "\u{feff}[server]\r\nhostname = \"post.local\"\r\ndomains = [\"home.example\"]\r\n\r\n\
                      [network]\r\naddress = \"10.0.2.40/24\"\r\ngateway = \"10.0.2.2\"\r\n\r\n[[account]]\r\n\
                      name = \"demo\"\r\naddress = \"demo@home.example\"\r\npassword = \"open sesame\"\r\n";

#[test]
#[ignore = "needs a card image: make test-image"]
fn the_owners_file_is_imported_and_a_damaged_card_is_told_and_repaired() {
    let mut device = Device::new();
    device.address = "10.0.2.40";
    device.enlarge_card(256 << 20);
    device.put_on_card("pillarbox.toml", CONFIG);
    device.power_on();
    device.ready();
    // 85 of 256 MiB are the system's.
    let room = device.command("show flash");
    let total = room.split(" MiB;").next().and_then(|before| before.rsplit(' ').next()).unwrap();
    assert!((150.0..171.0).contains(&total.parse::<f64>().unwrap()), "{room}");
    let ca = device.ca();
    let before = std::fs::read(&ca).unwrap();
    let mut imap = device.imap(&ca);
    imap.append("INBOX", b"Subject: kept\r\n\r\nkept\r\n");
    drop(imap);
    let log = device.command("show log");
    assert!(log.contains("login: service=imap account=demo"), "{log}");
    device.cut_power();
    let file = device.read_from_card("pillarbox.toml");
    assert!(file.contains("name = \"demo\"") && !file.contains("open sesame"), "{file}");
    let result = device.read_from_card("pillarbox-result.txt");
    assert!(result.contains("demo") && !result.contains("open sesame"), "{result}");
    assert!(result.contains("SHA-256 fingerprint"), "{result}");

    // Its superblock is gone, and it looks blank: the console asks, and nothing is formatted.
    device.damage(DATA, &[0; 65536]);
    // A boot state of garbage means slot A.
    device.damage(STATE, &[0xa5; 512]);
    device.power_on();
    device.expect("the data partition cannot be mounted");
    device.expect("Which one?");
    device.enter("4");
    device.expect("Type yes:");
    device.enter("no");
    device.expect("Which one?");
    device.enter("2");
    device.ready();
    assert_eq!(std::fs::read(device.ca()).unwrap(), before, "the same CA as before");
    let mut imap = device.imap(&ca);
    assert_eq!(imap.fetch_all("INBOX").len(), 1, "the mail is there after the repair");
}
