//! The three ways back, which the owner has on the serial console while the device starts.

use crate::device::Device;

const CONFIG: &str = "[server]\nhostname = \"post.local\"\ndomains = [\"home.example\"]\n\n[[account]]\nname = \"demo\"\n\
                      address = \"demo@home.example\"\npassword = \"open sesame\"\n";

/// Catches: a U-Boot that asks USB or the network what this device is to run, once the card's boot script is lost.
#[test]
#[ignore = "needs a card image: make test-image"]
fn without_its_boot_script_it_starts_nothing_from_elsewhere() {
    let mut device = Device::new();
    // The partition with the boot script begins at 32 MiB.
    device.damage(32 << 20, &[0; 64 * 1024]);
    device.power_on();
    // Before that it looks for a keyboard on USB.
    device.expect("autoboot");
    let said = device.expect("=> ").to_lowercase();
    for elsewhere in ["bootp", "dhcp", "usb", "tftp", "pxe"] {
        assert!(!said.contains(elsewhere), "{said}");
    }
    device.cut_power();
}

#[test]
#[ignore = "needs a card image: make test-image"]
fn failsafe_keeps_all_a_factory_reset_keeps_the_mail_and_there_is_no_way_back_to_nothing() {
    let mut device = Device::new();
    device.put_on_card("pillarbox.toml", CONFIG);
    device.power_on();
    device.ready();
    let ca = device.ca();
    device.imap(&ca).append("INBOX", b"Subject: kept\r\n\r\nkept\r\n");
    device.cut_power();

    let menu = |device: &mut Device| {
        device.power_on();
        device.expect("press r within");
        device.press('r');
        device.expect("Which one?");
    };
    // Slot B has nothing yet: no way back to it. Failsafe: the settings are there, and nobody but the console.
    menu(&mut device);
    device.enter("4");
    device.expect("there is no other system to start");
    device.expect("Which one?");
    device.enter("2");
    device.expect("ready: ");
    let listeners = device.expect("\n");
    assert!(listeners.contains("imap 127.0.0.1:143,") && !listeners.contains("0.0.0.0:"), "{listeners}");
    device.prompt();
    let accounts = device.command("show accounts");
    assert!(accounts.contains("demo@home.example"), "{accounts}");
    device.cut_power();

    // A factory reset, after a typed yes only; the mail would need another one.
    menu(&mut device);
    device.enter("3");
    device.expect("Type yes:");
    device.enter("y");
    device.expect("Which one?");
    device.enter("3");
    device.expect("Type yes:");
    device.enter("yes");
    device.expect("Delete all mail, too?");
    device.enter("");
    device.expect("the settings were deleted, the mail was kept");
    device.ready();
    let accounts = device.command("show accounts");
    assert!(!accounts.contains("demo@home.example"), "{accounts}");
    for line in
        ["set server.domains home.example", "add account demo", "set account.demo.address demo@home.example"]
    {
        device.command(line);
    }
    device.password("demo", "open sesame");
    device.command("commit");
    let other_ca = device.ca();
    assert_eq!(device.imap(&other_ca).fetch_all("INBOX").len(), 1, "the mail is there after the reset");
    device.cut_power();
    // The old file has stars for passwords that the device no longer knows, and is not taken.
    let result = device.read_from_card("pillarbox-result.txt");
    assert!(result.contains("Nothing was changed") && result.contains("stars"), "{result}");
}
