//! Updates: one that works and is kept, one that does not boot and is given up, one that is not signed by us.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::device::{Device, LONG, images};
use crate::support::process::run;
use crate::support::{PATIENCE, wait_up_to};

#[test]
#[ignore = "needs a card image: make test-image"]
fn an_update_that_works_is_kept_and_one_that_does_not_boot_is_given_up() {
    let mut device = Device::new();
    device.power_on();
    device.ready();
    device.command("set server.domains home.example");
    device.password("server.operator_password", "open sesame");
    device.command("commit");
    let board = device.command("show board");
    assert!(board.contains("slot") && board.contains('A'), "{board}");

    // The same version once more: it goes to slot B, is tried, and is kept.
    let update = images().join("orangepi-pc.pbu");
    let (status, words) = put(&device, &update);
    assert_eq!(status, "202", "{words}");
    device.starts_anew();
    device.expect("slot B, trial 1");
    device.ready();
    device.expect("the new system works and is kept");
    device.cut_power();
    device.power_on();
    device.expect("slot B, trial 0");
    device.ready();

    // Not whole: refused, and nothing happens.
    let octets = std::fs::read(&update).unwrap();
    let broken = device.card().with_file_name("broken.pbu");
    std::fs::write(&broken, &octets[..octets.len() - 1]).unwrap();
    let (status, words) = put(&device, &broken);
    assert_eq!(status, "422", "{words}");

    // Signed, for this board, and without a kernel that starts.
    let (status, words) = put(&device, &unbootable(&device));
    assert_eq!(status, "202", "{words}");
    device.starts_anew();
    device.expect("slot A, trial 1");
    device.expect("Starting kernel");
    // Nothing more comes, whatever one waits for. A board's watchdog resets it; QEMU's has none.
    std::thread::sleep(Duration::from_secs(5));
    device.cut_power();
    device.power_on();
    device.expect("slot B, trial 0");
    device.ready();
    let board = device.command("show board");
    assert!(board.contains("not kept"), "{board}");
}

/// An update that U-Boot starts, and whose kernel does nothing.
fn unbootable(device: &Device) -> PathBuf {
    const SCRIPT: &str = r#"set -e
        for file in slot.its initramfs fdt; do cp "$1/orangepi-pc.work/$file" .; done
        head -c 1000000 /dev/zero > kernel
        mkimage -f slot.its slot.fit >&2
        printf 'board = orangepi-pc\nversion = 9.9.9\ncompat = %s\nsize = %s\n' \
            "$(cat "$1/orangepi-pc.work/root/etc/pillarbox/compat")" "$(stat -c %s slot.fit)" > facts
        truncate -s 1024 facts
        cat facts slot.fit > signed
        minisign -S -H -s "$1/test-key" -m signed -x signature >&2
        (printf 'PBXUPDT1\n'; cat signature) > head
        truncate -s 1024 head
        cat head signed > unbootable.pbu"#;
    let folder = device.card().with_file_name("unbootable");
    std::fs::create_dir(&folder).unwrap();
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", SCRIPT, "make-update"]).arg(images()).current_dir(&folder);
    run(&mut shell, PATIENCE).success();
    folder.join("unbootable.pbu")
}

/// Sends an update as the operator does; the status and the words of the reply.
fn put(device: &Device, update: &Path) -> (String, String) {
    let ca = device.ca();
    let url = format!("https://localhost:{}/update", device.ports.https.number);
    let reply = wait_up_to(LONG, "the operator's password is in force", || {
        let mut curl = Command::new("curl");
        curl.args(["-s", "-w", "\n%{http_code}", "-u", "operator:open sesame", "--cacert"])
            .arg(&ca)
            .arg("-T")
            .arg(update);
        let reply = run(curl.arg(&url), LONG).text();
        (!reply.ends_with("401") && !reply.ends_with("000")).then_some(reply)
    });
    let (words, status) = reply.rsplit_once('\n').unwrap();
    (status.to_owned(), words.to_owned())
}
