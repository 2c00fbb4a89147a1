//! Each board's description is checked before anything is built of it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::process::Command;

use support::process::{Outcome, run};
use support::{PATIENCE, Scratch};

fn board(arguments: &[&str]) -> Outcome {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/image/board.py");
    run(Command::new("python3").arg("-B").arg(program).args(arguments), PATIENCE)
}

/// Catches: a board whose description has a mistake, or that has no README, and a template that is none.
#[test]
fn every_board_is_described_without_mistakes() {
    let names = board(&["--all"]).success();
    for name in ["orangepi-pc", "raspberrypi-3", "qemu-virt-armv7", "TEMPLATE"] {
        assert!(names.lines().any(|line| line == name), "{name} in {names}");
    }
}

/// Catches: a mistake that ends in a card that does not start, and one that is told without what would be right.
#[test]
fn mistakes_in_a_description_are_told() {
    let right =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/board/TEMPLATE/board.toml")).unwrap();
    let scratch = Scratch::new("boards");
    for (from, to, told) in [
        ("arch = \"armv7\"", "arch = \"armv6\"", "arch is one of"),
        ("watchdog = 16", "watchdog = \"16\"", "watchdog is not of the kind"),
        ("watchdog = 16", "watchdogs = 16", "watchdogs"),
        ("uboot_offset = 8192", "uboot_offset = 8000", "multiple of 512"),
        ("uboot_offset = 8192", "uboot_offset = true", "uboot_offset is not of the kind"),
        ("fit_load = 0x44001000", "fit_load = 0x41000000", "kernel_load lies in the 24 MiB"),
        ("fit_load = 0x44001000", "fit_load = 0x44001001", "on a page"),
        ("console = \"ttyS0,115200\"", "console = \"ttyS0\"", "its speed"),
        ("interface = \"eth0\"", "interface = \"eth0; reboot\"", "network interface"),
        ("\"sunxi-mmc\", ", "\"sunxi-mmc.ko\", ", "without .ko"),
        ("\"sunxi-mmc\", ", "\"sunxi-wdt\", ", "twice"),
        ("\"sunxi-mmc\", ", "7, ", "modules is not of the kind"),
        ("u-boot-sunxi:usr", "usr", "PACKAGE:FILE"),
        ("kernel = \"linux-image-armmp\"\n", "", "kernel"),
        ("title = \"A board\"", "title = \"A board", "board.toml"),
    ] {
        assert!(right.contains(from), "{from}");
        let file = scratch.write("board.toml", right.replacen(from, to, 1));
        let outcome = board(&["--check", file.to_str().unwrap()]);
        assert_eq!(outcome.code, Some(1), "{to}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(told), "{to}: {}", outcome.stderr);
        assert!(!outcome.stderr.contains("Traceback"), "{to}: {}", outcome.stderr);
    }
    let file = scratch.write("board.toml", right);
    board(&["--check", file.to_str().unwrap()]).success();
}

/// Catches: a security update of the kernel that an owner is not told of, and one that looks like another package.
#[test]
fn what_changed_between_two_images_is_told_in_words() {
    let scratch = Scratch::new("changes");
    let manifest = |name: &str, lines: &[&str]| {
        let lines: String = lines.iter().map(|line| format!("{line}\tGPL-2\tDebian\n")).collect();
        scratch.write(name, format!("# What it is made of.\n{lines}"))
    };
    let old = manifest(
        "old",
        &["linux-image-6.1.0-50-armmp\t6.1.174-1", "libc6\t2.36-9", "busybox\t1.35", "smol\t2.0.1"],
    );
    let new = manifest(
        "new",
        &["linux-image-6.1.0-51-armmp\t6.1.176-1", "libc6\t2.36-9", "exfat\t1.0", "smol\t2.0.2"],
    );
    let told = |old: &std::path::Path, new: &std::path::Path| {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/image/changes.py");
        run(Command::new("python3").arg("-B").arg(program).args([old, new]), PATIENCE)
    };
    let words = "linux-image-armmp is 6.1.176-1, it was 6.1.174-1\nbusybox 1.35 is gone\nexfat 1.0 is new\n\
                 smol is 2.0.2, it was 2.0.1\n";
    assert_eq!(told(&old, &new).success(), words);
    assert_eq!(told(&old, &old).success(), "nothing has changed\n");
    let outcome = told(&old, &scratch.join("missing"));
    assert!(outcome.code == Some(1) && !outcome.stderr.contains("Traceback"), "{}", outcome.stderr);
}
