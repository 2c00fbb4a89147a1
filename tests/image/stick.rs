//! A USB stick: mail and backups go to it, and come from it, and it can be pulled as soon as the console says so.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::device::{Device, LONG, measured};
use crate::support::process::run;
use crate::support::{PATIENCE, wait_up_to};

const CONFIG: &str = "[server]\ndomains = [\"home.example\"]\n[[account]]\nname = \"demo\"\naddress = \"demo@home.example\"\n\
                      password = \"open sesame\"\n";
const MIB: u64 = 1 << 20;

/// Makes a stick of 64 MiB with a partition for each of `sizes` (in MiB, from 1 MiB on), or none at all.
fn stick(device: &Device, name: &str, sizes: &[u64]) -> PathBuf {
    use std::os::unix::fs::FileExt;
    let path = device.scratch(name);
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(64 * MIB).unwrap();
    if !sizes.is_empty() {
        let mut table = [0; 512];
        let mut start = 1;
        for (n, size) in sizes.iter().enumerate() {
            let entry = &mut table[446 + 16 * n..][..16];
            entry[4] = 0x0c;
            entry[8..12].copy_from_slice(&((start * MIB / 512) as u32).to_le_bytes());
            entry[12..].copy_from_slice(&((size * MIB / 512) as u32).to_le_bytes());
            start += size;
        }
        table[510..].copy_from_slice(&[0x55, 0xaa]);
        file.write_all_at(&table, 0).unwrap();
    }
    path
}

/// Runs a program that makes or reads a file system; what it says.
fn tool(program: &str, arguments: &[&str], last: &Path) -> String {
    run(Command::new(program).args(arguments).arg(last), PATIENCE).success()
}

/// Waits until the device has seen that a stick came, or went.
fn stick_is(device: &mut Device, there: bool) -> String {
    wait_up_to(LONG, "the stick on `show board`", || {
        let board = device.command("show board");
        (board.contains("\nstick") == there).then_some(board)
    })
}

/// The names that a FAT file system has at its root.
fn names(fat: &Path) -> String {
    tool("mdir", &["-b", "-i"], fat)
}

/// Catches: a console without a way to a stick; an export that is in memory only when it is said to be done; a stick that has to be
/// repaired after it was pulled; a backup that cannot be restored; a card that cannot be written to.
#[test]
#[ignore = "needs a card image: make test-image"]
fn mail_and_backups_go_to_a_stick_and_come_from_it() {
    let mut device = Device::new();
    // The drivers of USB and of file systems take from the little that a small board has.
    device.limit_memory("64M");
    device.put_on_card("pillarbox.toml", CONFIG);
    device.power_on();
    let started = device.expect("of memory available");
    measured(&format!(
        "with `mem=64M` and drivers for sticks: {}",
        started.lines().last().unwrap_or_default()
    ));
    device.ready();
    let ca = device.ca();
    device.imap(&ca).append("INBOX", b"Subject: kept\r\n\r\nkept on the stick\r\n");
    let refused = device.command("backup /usb");
    assert!(refused.contains("no USB stick is plugged in"), "{refused}");

    // As shops sell it but for its size: FAT, without partitions.
    let fat = stick(&device, "fat", &[]);
    tool("/usr/sbin/mkfs.vfat", &["-I"], &fat);
    device.plug("one", &fat);
    let board = stick_is(&mut device, true);
    assert!(board.contains("vfat, 64 MiB, at /usb"), "{board}");
    let exported = device.command("mail export demo /usb");
    assert!(
        exported.contains("exported to /usb/mail-demo") && exported.contains("messages: 1 new"),
        "{exported}"
    );
    device.pull("one");
    // Clean, and all is there: what was pulled is not to be repaired.
    let checked = run(Command::new("/usr/sbin/fsck.vfat").arg("-n").arg(&fat), PATIENCE);
    assert!(checked.code == Some(0) && !checked.text().contains("irty"), "{}", checked.text());
    let inbox = run(
        Command::new("sh")
            .args(["-c", "mcopy -s -n -i \"$0\" ::/mail-demo \"$1\" && grep -r 'kept on the stick' \"$1\""])
            .arg(&fat)
            .arg(device.scratch("copy")),
        PATIENCE,
    );
    inbox.success();
    stick_is(&mut device, false);

    // A backup, more mail, and back.
    device.plug("two", &fat);
    stick_is(&mut device, true);
    let written = device.command("backup /usb");
    assert!(written.contains("whoever has the USB stick can read all of it"), "{written}");
    device.pull("two");
    let name =
        names(&fat).lines().find(|name| name.ends_with(".tar")).unwrap().trim_start_matches("::/").to_owned();
    stick_is(&mut device, false);
    device.imap(&ca).append("INBOX", b"Subject: later\r\n\r\nlater\r\n");
    device.plug("three", &fat);
    stick_is(&mut device, true);
    device.enter(&format!("restore /usb/{name}"));
    device.expect("type yes");
    device.enter("yes");
    device.ready();
    assert_eq!(device.imap(&ca).fetch_all("INBOX").len(), 1, "what came after the backup is set aside");
    device.pull("three");
    stick_is(&mut device, false);

    // The card itself, which is otherwise for reading only.
    let written = device.command("backup");
    assert!(written.contains("/card/pillarbox-") && written.contains("whoever has the card"), "{written}");
    let again = device.command("mail export demo");
    assert!(again.contains("exported to /card/mail-demo"), "{again}");
    device.cut_power();
    let partition = PathBuf::from(format!("{}@@4M", device.card().display()));
    assert!(names(&partition).contains(".tar"), "{}", names(&partition));
    let flag = std::fs::read(device.card()).unwrap()[(4 * MIB) as usize + 0x25];
    assert_eq!(flag & 1, 0, "the card's FAT is clean");
}

/// Catches: a stick with several partitions of which none is taken or a wrong one, one that cannot be read and nobody says so, one
/// of Linux that only root could write to, and one that stays a remark when it is gone.
#[test]
#[ignore = "needs a card image: make test-image"]
fn sticks_of_every_kind_are_read_or_told() {
    let mut device = Device::new();
    device.put_on_card("pillarbox.toml", CONFIG);
    device.power_on();
    device.ready();
    let ca = device.ca();
    device.imap(&ca).append("INBOX", b"Subject: kept\r\n\r\nkept on the stick\r\n");
    let told = |device: &mut Device, words: &str, is: bool| {
        wait_up_to(LONG, words, || (device.command("show status").contains(words) == is).then_some(()))
    };

    // Nothing that we know.
    let blank = stick(&device, "blank", &[]);
    device.plug("blank", &blank);
    told(&mut device, "the USB stick cannot be read: format it", true);
    device.pull("blank");
    told(&mut device, "USB stick", false);

    // As it comes from a Mac: a small FAT first, then the one with the files.
    let parts = stick(&device, "parts", &[8, 40]);
    for (start, size, bits) in [(1, 8, "12"), (9, 40, "16")] {
        let mut make = Command::new("/usr/sbin/mkfs.vfat");
        make.args(["-F", bits, "--offset", &(start * MIB / 512).to_string()]).arg(&parts);
        run(make.arg((size * 1024).to_string()), PATIENCE).success();
    }
    device.plug("parts", &parts);
    told(&mut device, "has 2 partitions: only number 2 of them is used", true);
    let exported = device.command("mail export demo /usb/from/device");
    assert!(exported.contains("exported to /usb/from/device"), "{exported}");
    device.pull("parts");
    told(&mut device, "USB stick", false);
    let second = PathBuf::from(format!("{}@@9M", parts.display()));
    assert!(names(&second).contains("from"), "{}", names(&second));

    // exFAT, as large ones come, and ext4.
    let exfat = stick(&device, "exfat", &[]);
    tool("/usr/sbin/mkfs.exfat", &[], &exfat);
    device.plug("exfat", &exfat);
    let board = stick_is(&mut device, true);
    assert!(board.contains("exfat, 64 MiB"), "{board}");
    let exported = device.command("mail export demo /usb");
    assert!(exported.contains("messages: 1 new"), "{exported}");
    device.pull("exfat");
    stick_is(&mut device, false);
    let checked = tool("/usr/sbin/fsck.exfat", &["-n"], &exfat);
    assert!(checked.contains("clean"), "{checked}");
    device.plug("again", &exfat);
    stick_is(&mut device, true);
    let imported = device.command("mail import demo /usb/mail-demo");
    assert!(imported.contains("messages: 0 new, 1 there already"), "{imported}");
    device.pull("again");
    stick_is(&mut device, false);

    let ext4 = stick(&device, "ext4", &[]);
    tool("/usr/sbin/mkfs.ext4", &["-q", "-F"], &ext4);
    device.plug("ext4", &ext4);
    let board = stick_is(&mut device, true);
    assert!(board.contains("ext4, 64 MiB"), "{board}");
    let exported = device.command("mail export demo /usb");
    assert!(exported.contains("messages: 1 new"), "{exported}");
    // A second one meanwhile.
    device.plug("second", &parts);
    told(&mut device, "a second USB stick is plugged in", true);
    device.pull("second");
    told(&mut device, "a second USB stick", false);
    device.pull("ext4");
    stick_is(&mut device, false);
    let listed = tool("/usr/sbin/debugfs", &["-R", "ls /pillarbox/mail-demo"], &ext4);
    assert!(listed.contains("INBOX"), "{listed}");
    let checked = run(Command::new("/usr/sbin/e2fsck").args(["-f", "-n"]).arg(&ext4), PATIENCE);
    assert_eq!(checked.code, Some(0), "{}", checked.text());
    let status = device.command("show status");
    assert!(!status.contains("USB") && !status.contains("drivers"), "{status}");
}
