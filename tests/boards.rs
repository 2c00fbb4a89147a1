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
