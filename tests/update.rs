//! Updates of a device that boots from a card image: what the scripts do with the slots, and what the daemon takes.

mod support;

use std::os::unix::fs::FileExt;
use std::process::Command;

use support::appliance::binary;
use support::pbu::{Pbu, public_key};
use support::{PATIENCE, Scratch, run};

/// The files of an image and its run folder, and a partition with the two slots.
struct Device {
    scratch: Scratch,
}

impl Device {
    /// Slot A runs, and B is empty.
    fn new() -> Device {
        let scratch = Scratch::new("device");
        for (name, text) in [
            ("etc/board", "orangepi-pc\n"),
            ("etc/version", "1.2.0\n"),
            ("etc/compat", "1\n"),
            ("etc/update.pub", &public_key(1)),
            ("run/slot", "A\n"),
        ] {
            scratch.write(name, text);
        }
        let slots = std::fs::File::create(scratch.join("slots")).unwrap();
        slots.set_len(49 << 20).unwrap();
        slots.write_all_at(&Pbu::default().image, 1 << 20).unwrap();
        std::fs::create_dir(scratch.join("data")).unwrap();
        Device { scratch }
    }

    /// `pillarbox board VERB SLOTS ARGS`: exit code, and what it said.
    fn board(&self, verb: &str, args: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(binary());
        command.args(["board", verb]).arg(self.scratch.join("slots")).args(args);
        if verb != "state" {
            command.arg("--board").arg(self.scratch.join("run"));
        }
        if verb == "apply" {
            command.arg("--data").arg(self.scratch.join("data"));
        }
        let outcome = run(command.env("PILLARBOX_ETC", self.scratch.join("etc")), PATIENCE);
        (outcome.code, outcome.text() + &outcome.stderr)
    }

    fn state(&self) -> String {
        self.board("state", &[]).1.trim().to_owned()
    }

    /// U-Boot starts the slot that is to be tried.
    fn boot_trial(&self) {
        let slots = std::fs::File::options().read(true).write(true).open(self.scratch.join("slots")).unwrap();
        let mut marks = [0; 3];
        slots.read_exact_at(&mut marks, 8).unwrap();
        slots.write_all_at(&[0, marks[1]], 9).unwrap();
        self.scratch.write("run/slot", [marks[1]]);
    }
}

#[test]
fn the_scripts_apply_an_update_and_confirm_it_or_say_why_not() {
    let device = Device::new();
    assert_eq!(device.state(), "ACTIVE=A TRY= TRIED= REASON=\"\"");
    assert_eq!(device.board("switch", &[]).0, Some(1), "there is nothing in B");

    let (code, said) = device.board("apply", &[]);
    assert_eq!((code, said.contains("data/update.pbu: there is no such file")), (Some(3), true), "{said}");
    let mut wrong = Pbu::default().octets();
    wrong[5000] ^= 1;
    device.scratch.write("data/update.pbu", wrong);
    let (code, said) = device.board("apply", &[]);
    assert_eq!(code, Some(1));
    assert!(said.starts_with("pillarbox: the signature is wrong") && said.lines().count() == 1, "{said}");
    assert!(!device.scratch.join("data/update.pbu").exists(), "it would never be applied");
    assert_eq!(device.state(), "ACTIVE=A TRY= TRIED= REASON=\"\"");

    let image = [&[0xd0, 0x0d, 0xfe, 0xed][..], &vec![7; 3 << 20]].concat();
    let update = Pbu { image: image.clone(), ..Pbu::default() };
    device.scratch.write("data/update.pbu", update.octets());
    let (code, said) = device.board("apply", &[]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said, "the next start tries version 1.3.0 for orangepi-pc, signed \"stable release\"\n");
    assert!(!device.scratch.join("data/update.pbu").exists());
    let slots = std::fs::read(device.scratch.join("slots")).unwrap();
    assert!(slots[25 << 20..].starts_with(&image) && slots[1 << 20..].starts_with(&Pbu::default().image));
    assert_eq!(device.state(), "ACTIVE=A TRY=B TRIED= REASON=\"\"");

    device.boot_trial();
    device.scratch.write("data/update.pbu", update.octets());
    let (code, said) = device.board("apply", &[]);
    assert!(code == Some(1) && said.contains("slot B is still on trial"), "{said}");
    assert_eq!(device.board("failed", &["not healthy after 180 s"]).0, Some(0));
    assert_eq!(device.state(), "ACTIVE=A TRY= TRIED=B REASON=\"not healthy after 180 s\"");
    device.scratch.write("run/slot", "A\n");
    assert_eq!(device.board("apply", &[]).0, Some(0));
    device.boot_trial();
    assert_eq!(device.board("confirm", &[]).0, Some(0));
    assert_eq!(device.state(), "ACTIVE=B TRY= TRIED= REASON=\"\"");
    assert_eq!(device.board("switch", &[]), (Some(0), "the next start tries slot A\n".to_owned()));
    assert_eq!(device.state(), "ACTIVE=B TRY=A TRIED= REASON=\"\"");

    std::fs::remove_file(device.scratch.join("run/slot")).unwrap();
    let (code, said) = device.board("confirm", &[]);
    assert!(code == Some(3) && said.contains("does not say which slot runs"), "{said}");
}

#[test]
fn an_update_is_a_file_and_no_link() {
    let device = Device::new();
    let elsewhere = device.scratch.write("elsewhere", Pbu::default().octets());
    std::os::unix::fs::symlink(elsewhere, device.scratch.join("data/update.pbu")).unwrap();
    assert_eq!(device.board("apply", &[]).0, Some(3));
    std::fs::remove_file(device.scratch.join("data/update.pbu")).unwrap();
    std::fs::create_dir(device.scratch.join("data/update.pbu")).unwrap();
    assert_eq!(device.board("apply", &[]).0, Some(1));
    assert_eq!(device.state(), "ACTIVE=A TRY= TRIED= REASON=\"\"");
}
