//! Updates of a device that boots from a card image: what the scripts do with the slots, and what the daemon takes.

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;

use support::appliance::binary;
use support::pbu::{Pbu, public_key};
use support::{Appliance, PATIENCE, Port, Scratch, run, wait_for};

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

const CONFIG: &str = r#"
[server]
domains = ["home.example"]
operator_password = "let me update"
[[account]]
name = "demo"
address = "demo@home.example"
password = "pass"
"#;

/// The daemon of a device, that listens for HTTP over TLS.
struct Daemon {
    appliance: Appliance,
    https: Port,
}

impl Daemon {
    fn start(device: &Device) -> Daemon {
        let run = device.scratch.join("run");
        let extra = ["--board", run.to_str().unwrap()];
        let environment = [("PILLARBOX_ETC", device.scratch.join("etc"))];
        let appliance = Appliance::start_in(CONFIG, &extra, &environment);
        let https = Port::reserve();
        let daemon = Daemon { appliance, https };
        daemon.script(&format!("set listen.https {}\ncommit\n", daemon.https.address()));
        daemon
    }

    /// Lines for the console, which wants the operator's password first: exit code, and what it said.
    fn script(&self, lines: &str) -> (Option<i32>, String) {
        let mut console = Command::new(binary());
        console.args(["console", "--data"]).arg(self.appliance.data());
        let lines = format!("let me update\n{lines}");
        let outcome = support::process::run_with_input(&mut console, lines.as_bytes(), PATIENCE);
        (outcome.code, outcome.text() + &outcome.stderr)
    }

    /// One command.
    fn console(&self, command: &str) -> String {
        let mut console = Command::new(binary());
        console.args(["console", "--data"]).arg(self.appliance.data()).args(["-c", command]);
        support::process::run_with_input(&mut console, b"let me update\n", PATIENCE).success()
    }

    /// Puts a file as the manual says: the words that came back, ended by the status.
    fn put(&self, file: &PathBuf, login: &str, more: &[&str]) -> String {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-w", "%{http_code}", "-u", login, "-T"]).arg(file).args(more);
        curl.arg("--cacert").arg(self.appliance.ca());
        curl.arg(format!("https://localhost:{}/update", self.https.number));
        run(&mut curl, PATIENCE).text()
    }

    /// What there is of updates in the data folder.
    fn updates(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.appliance.data()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("update")).collect()
    }
}

const OPERATOR: &str = "operator:let me update";

#[test]
fn an_operator_updates_the_device_with_curl() {
    let device = Device::new();
    let mut daemon = Daemon::start(&device);
    wait_for("healthy", || device.scratch.join("run/healthy").exists().then_some(()));
    let file = Pbu { image: vec![9; 3 << 20], ..Pbu::default() }.octets();
    let mut changed = file.clone();
    changed[2_000_000] ^= 1;
    let good = device.scratch.write("good.pbu", &file);
    let bad = device.scratch.write("bad.pbu", changed);
    let large = device.scratch.join("large.pbu");
    std::fs::File::create(&large).unwrap().set_len(30 << 20).unwrap();
    for (file, login, status, words) in [
        (&bad, OPERATOR, "422", "the signature is wrong"),
        (&good, "operator:wrong", "401", "password are wanted"),
        (&good, "demo:pass", "401", "password are wanted"),
        (&large, OPERATOR, "413", "octets at the most"),
    ] {
        let said = daemon.put(file, login, &[]);
        assert!(said.ends_with(status) && said.contains(words), "{said}");
        assert!(daemon.updates().is_empty(), "{said}");
    }
    assert!(daemon.console("show refusals").contains("service=http account=operator"));
    let chunked = daemon.put(&good, OPERATOR, &["-H", "Transfer-Encoding: chunked"]);
    assert!(chunked.ends_with("411"), "{chunked}");

    daemon.script("set server.lan 192.168.7.0/24\ncommit\n");
    let said = daemon.put(&good, OPERATOR, &[]);
    assert!(said.ends_with("403"), "not on the LAN: {said}");
    daemon.script("remove setting server.lan\ncommit\n");

    // A second is not enough at this rate.
    let said = daemon.put(&good, OPERATOR, &["--limit-rate", "300k", "--max-time", "1"]);
    assert!(!said.ends_with("202"), "{said}");
    wait_for("nothing is left of it", || daemon.updates().is_empty().then_some(()));

    let said = daemon.put(&good, OPERATOR, &[]);
    assert!(said.ends_with("202") && said.contains("newer than the present one"), "{said}");
    assert_eq!(daemon.appliance.end(), Some(41), "apply it, and restart");
    assert_eq!(daemon.updates(), ["update.pbu"]);
    assert_eq!(std::fs::read(daemon.appliance.data().join("update.pbu")).unwrap(), file);
}

#[test]
fn an_operator_updates_and_restarts_the_device_on_the_console() {
    let device = Device::new();
    device.scratch.write("run/fallback", "it did not start");
    let mut daemon = Daemon::start(&device);
    let status = daemon.console("show status");
    assert!(status.contains("orangepi-pc, image 1.2.0 in slot A\n"), "{status}");
    assert!(status.contains("the last update was not kept: it did not start"), "{status}");
    assert!(daemon.console("show board").contains("slot     A\n"));

    let file = Pbu { version: "1.1.0", ..Pbu::default() }.octets();
    daemon.appliance.scratch.write("data/mine.pbu", &file[..5000]);
    let (code, said) = daemon.script("update mine.pbu\n");
    assert!(code == Some(1) && said.contains("has 5000 octets and says that it has 12048"), "{said}");
    assert!(daemon.updates().is_empty());
    daemon.appliance.scratch.write("data/mine.pbu", &file);
    let (code, said) = daemon.script("update mine.pbu\n");
    assert!(code == Some(0) && said.contains("OLDER than the present one"), "{said}");
    assert_eq!((daemon.appliance.end(), daemon.updates()), (Some(41), vec!["update.pbu".to_owned()]));

    for (lines, code) in
        [("switch slot\nyes\n", 42), ("restart\n", 40), ("restart daemon\n", 44), ("power off\n", 43)]
    {
        daemon.appliance.restart();
        if code == 42 {
            let left = daemon.appliance.log.find("an update was not applied");
            assert!(left.is_some(), "{:?}", daemon.appliance.log.lines());
        }
        let (ended, said) = daemon.script(lines);
        assert_eq!((ended, daemon.appliance.end()), (Some(0), Some(code)), "{said}");
    }
}

#[test]
fn a_version_on_trial_shows_that_it_works_before_anything_else_is_tried() {
    let device = Device::new();
    device.scratch.write("run/trial", "");
    let daemon = Daemon::start(&device);
    assert!(daemon.console("show status").contains("in slot A, on trial"));
    let good = device.scratch.write("good.pbu", Pbu::default().octets());
    let said = daemon.put(&good, OPERATOR, &[]);
    assert!(said.ends_with("409") && said.contains("still on trial"), "{said}");
    wait_for("healthy", || device.scratch.join("run/healthy").exists().then_some(()));
    assert!(daemon.appliance.data().join("accounts/demo").exists(), "its store was opened");
}
