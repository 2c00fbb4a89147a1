//! Long work on the console of a device without a shell, to and from its card, with the real binary.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use support::mail::named;
use support::process::run;
use support::{Appliance, Connection, Imap, PATIENCE};

const CONFIG: &str = "[server]\ndomains = [\"home.example\"]\n[[account]]\nname = \"demo\"\naddress = \"demo@home.example\"\n\
                      password = \"pass\"\n";

/// On a device whose card is the folder besides.
fn device() -> (Appliance, PathBuf) {
    let mut appliance = Appliance::prepare();
    for (name, text) in [
        ("etc/board", "orangepi-pc\n"),
        ("etc/version", "1.2.0\n"),
        ("etc/compat", "1\n"),
        ("run/slot", "A\n"),
    ] {
        appliance.scratch.write(name, text);
    }
    let card = appliance.scratch.join("card");
    fs::create_dir(&card).unwrap();
    let run = appliance.scratch.join("run");
    let environment = [("PILLARBOX_ETC", appliance.scratch.join("etc")), ("PILLARBOX_CARD", card.clone())];
    appliance.begin_in(CONFIG, &["--board", run.to_str().unwrap()], &environment);
    (appliance, card)
}

fn imap(appliance: &Appliance) -> Imap {
    Imap::login(Connection::open(appliance.ports.imap.address()), "demo", "pass")
}

fn names(folder: &PathBuf) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Catches a command that does nothing, one that writes elsewhere, a file that is left half, and one that a PC cannot use.
#[test]
fn what_has_no_shell_has_commands() {
    let (mut appliance, card) = device();
    imap(&appliance).append("INBOX", &named("m1", 100_000));
    assert!(appliance.console("fsck").contains("1 account and the queue"));
    assert!(appliance.console("bench-auth").starts_with("checking a password takes"));
    assert!(appliance.console("date").contains("nobody has told the time yet"));

    let backup = appliance.console("backup");
    let written = names(&card);
    assert!(
        written.len() == 1 && written[0].starts_with("pillarbox-20") && written[0].ends_with(".tar"),
        "{written:?}"
    );
    assert!(
        backup.contains(&written[0]) && backup.contains("whoever has the card can read all of it"),
        "{backup}"
    );
    let other = appliance.scratch.join("other");
    let restore = Command::new(support::appliance::binary())
        .arg("restore")
        .arg(card.join(&written[0]))
        .arg("--data")
        .arg(&other)
        .output()
        .unwrap();
    assert!(restore.status.success(), "{}", String::from_utf8_lossy(&restore.stderr));

    assert!(appliance.console("mail export demo").contains("messages: 1 new"));
    assert!(card.join("mail-demo/INBOX.mbox").is_file());
    let mut mail = imap(&appliance);
    mail.command("SELECT INBOX").ok();
    mail.command("STORE 1 +FLAGS (\\Deleted)").ok();
    mail.command("EXPUNGE").ok();
    assert!(appliance.console("mail import demo mail-demo").contains("messages: 1 new"));
    assert_eq!(mail.fetch_all("INBOX").into_values().collect::<Vec<_>>(), [named("m1", 100_000)]);

    // Settings of the card, also as Windows writes them.
    let settings = appliance.text(CONFIG).replace("home.example", "new.example");
    let utf16: Vec<u8> =
        [0xff, 0xfe].into_iter().chain(settings.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    fs::write(card.join("new.toml"), utf16).unwrap();
    fs::write(card.join("wrong.toml"), settings.replace("name =", "nam =")).unwrap();
    assert!(appliance.console("check new.toml").ends_with("no mistakes\n"));
    let wrong = appliance.verb("console", &["-c", &format!("check {}", card.join("wrong.toml").display())]);
    assert!(wrong.code == Some(1) && wrong.stderr.contains("name is missing"), "{wrong:?}");
    appliance.verb("console", &["-c", "import new.toml", "-c", "commit"]).success();
    assert!(appliance.console("show config server.domains").contains("new.example"));
    for refused in [
        "check ../etc/passwd",
        "import missing.toml",
        "mail export demo ..",
        "mail export nobody",
        "check mail-demo",
    ] {
        let outcome = appliance.verb("console", &["-c", refused]);
        assert_eq!((outcome.code, outcome.stderr.lines().count()), (Some(1), 1), "{refused}: {outcome:?}");
    }
    appliance.stop();
    run(Command::new(support::appliance::binary()).args(["fsck", "--data"]).arg(&other), PATIENCE).success();
}

/// Catches long work that nobody can follow or end, and a console that is of no use afterwards.
#[test]
fn control_c_breaks_it_off() {
    let (mut appliance, card) = device();
    let mut mbox = Vec::new();
    for n in 0..20_000 {
        mbox.extend(format!("From a@b Thu Jan  1 00:00:00 2026\nSubject: m{n}\n\nhello\n\n").into_bytes());
    }
    fs::write(card.join("much.mbox"), mbox).unwrap();
    let mut console = UnixStream::connect(appliance.data().join("console.sock")).unwrap();
    console.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut heard = String::new();
    let mut keys = console.try_clone().unwrap();
    let mut hear = |heard: &mut String, wanted: &str| {
        let begun = Instant::now();
        let mut piece = [0; 4096];
        while !heard.contains(wanted) {
            assert!(begun.elapsed() < PATIENCE, "{wanted} in {heard}");
            if let Ok(n) = console.read(&mut piece) {
                heard.push_str(&String::from_utf8_lossy(&piece[..n]));
            }
        }
    };
    keys.write_all(b"interactive\n").unwrap();
    hear(&mut heard, "new password: ");
    keys.write_all(b"\r").unwrap();
    hear(&mut heard, "pillarbox> ");
    keys.write_all(b"mail import demo much.mbox\r").unwrap();
    hear(&mut heard, " of 20000 messages, ");
    keys.write_all(b"\x03").unwrap();
    heard.clear();
    hear(&mut heard, "broken off\r\n");
    keys.write_all(b"date\r").unwrap();
    hear(&mut heard, "nobody has told the time yet");
    let came = imap(&appliance).command("STATUS INBOX (MESSAGES)").text();
    assert!(!came.contains("MESSAGES 20000"), "{came}");
    drop(keys);
    appliance.stop();
}

/// Catches files that the console of an ordinary machine reads or writes for whoever may type there.
#[test]
fn elsewhere_the_command_line_does_it() {
    let mut appliance = Appliance::start(CONFIG);
    for (typed, verb) in [
        ("backup", "`pillarbox backup DEST`"),
        ("mail export demo", "`pillarbox mail export ACCOUNT DEST`"),
        ("mail import demo /etc", "`pillarbox mail import ACCOUNT SRC`"),
        ("check /etc/passwd", "`pillarbox check FILE.toml`"),
        ("import a.toml", "`pillarbox import FILE.toml`"),
    ] {
        let outcome = appliance.verb("console", &["-c", typed]);
        assert!(outcome.code == Some(1) && outcome.stderr.contains(verb), "{typed}: {outcome:?}");
    }
    assert!(appliance.console("fsck").contains("nothing is damaged"));
    assert!(!appliance.console("date").contains("nobody"));
    appliance.stop();
}
