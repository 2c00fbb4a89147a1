//! What the device notices of itself is told where its owner looks: on the console and on its page.

use std::process::Command;

use crate::device::{Device, LONG};
use crate::support::process::run;

/// Where the boot state lies, and where the FAT partition of the owner begins.
const STATE: u64 = 36 << 20;
const FAT: u64 = 4 << 20;

/// What a browser at home is shown, without a login.
fn read(device: &Device, path: &str) -> String {
    let ca = device.ca();
    let url = format!("https://localhost:{}{path}", device.ports.https.number);
    run(Command::new("curl").args(["-s", "--max-time", "60", "--cacert"]).arg(&ca).arg(&url), LONG).text()
}

/// Catches: a refused file that is told as "not configured yet"; a slot that is dead, which nobody hears of; a secret in the status.
#[test]
#[ignore = "needs a card image: make test-image"]
fn what_is_wrong_stands_in_the_status_and_on_the_page() {
    let mut device = Device::new();
    device.put_on_card(
        "pillarbox.toml",
        "[server]\r\ndomain = [\"home.example\"]\r\n[[account]]\r\nname = \"demo\"\r\n# password = \"s3cret\"\r\npassword = s3cret\r\n",
    );
    // Slot B is to be started, and there is nothing in it.
    device.damage(STATE, b"PBXSLOT1B\0\0");
    device.power_on();
    device.expect("slot B has no system that can be started");
    device.ready();
    let status = device.command("show status");
    assert!(
        status.contains("pillarbox.toml on the card was refused, and nothing was changed: mistakes in line"),
        "{status}"
    );
    assert!(!status.contains("not configured yet") && !status.contains("s3cret"), "{status}");
    assert!(status.contains("slot B cannot be started; slot A runs in its place"), "{status}");
    assert!(!status.contains("drivers were not loaded"), "{status}");
    let json = read(&device, "/status.json");
    assert!(json.contains("was refused") && json.contains("slot B cannot be started"), "{json}");
    device.cut_power();
    let result = device.read_from_card("pillarbox-result.txt");
    assert!(result.contains("are still readable"), "{result}");

    // The right file, and next a partition that cannot be read any more.
    device.put_on_card(
        "pillarbox.toml",
        "[server]\r\ndomains = [\"home.example\"]\r\noperator_password = \"open sesame\"\r\n[[account]]\r\nname = \"demo\"\r\naddress = \"demo@home.example\"\r\n  ## Password : s3cret-1\r\npassword = \"open sesame\"\r\n",
    );
    device.power_on();
    device.ready();
    let status = device.command("show status");
    assert!(!status.contains("was refused"), "{status}");
    let page = read(&device, "/");
    assert!(page.contains("slot B cannot be started"), "{page}");
    device.cut_power();
    let (file, result) =
        (device.read_from_card("pillarbox.toml"), device.read_from_card("pillarbox-result.txt"));
    assert!(file.contains("## Password : ********\r\n") && !file.contains("open sesame"), "{file}");
    assert!(result.contains("Comments that looked like a password"), "{result}");
    device.damage(FAT, &[0; 4096]);
    device.power_on();
    device.ready();
    let status = device.command("show status");
    assert!(status.contains("partition PILLARBOX cannot be read"), "{status}");
    device.cut_power();
}

/// Catches: a card that is shorter than what was written to it and is told as none at all, or is changed.
#[test]
#[ignore = "needs a card image: make test-image"]
fn a_card_that_is_too_short_is_told_as_that() {
    let mut device = Device::new();
    device.shorten_card(64 << 20);
    device.power_on();
    device.expect("the card is too short: it has 64 MiB, and the image 128");
    device.ready();
    let status = device.command("show status");
    assert!(status.contains("the card is too short") && status.contains("failsafe"), "{status}");
    assert!(!status.contains("not configured yet") && !status.contains("no card"), "{status}");
}
