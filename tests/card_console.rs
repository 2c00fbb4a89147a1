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
        ("run/log/messages", "before\n"),
    ] {
        appliance.scratch.write(name, text);
    }
    let card = appliance.scratch.join("card");
    fs::create_dir(&card).unwrap();
    begin(&mut appliance, CONFIG);
    (appliance, card)
}

fn begin(appliance: &mut Appliance, config: &str) {
    let at = |name: &str| appliance.scratch.join(name);
    let environment =
        [("PILLARBOX_ETC", at("etc")), ("PILLARBOX_CARD", at("card")), ("PILLARBOX_USB", at("usb"))];
    let run = at("run");
    appliance.begin_in(config, &["--board", run.to_str().unwrap()], &environment);
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

/// A console on a raw terminal: what was heard, and a way to type.
struct Terminal {
    stream: UnixStream,
    heard: String,
}

impl Terminal {
    fn open(appliance: &Appliance) -> Terminal {
        let stream = UnixStream::connect(appliance.data().join("console.sock")).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let mut terminal = Terminal { stream, heard: String::new() };
        terminal.keys("interactive\n");
        // A device without an operator's password asks for one.
        terminal.hear("new password: ");
        terminal.say("", "pillarbox> ");
        terminal
    }
    fn keys(&mut self, keys: &str) {
        self.stream.write_all(keys.as_bytes()).unwrap();
    }
    /// Types a line, and waits for these words.
    fn say(&mut self, line: &str, wanted: &str) {
        self.heard.clear();
        self.keys(&format!("{line}\r"));
        self.hear(wanted);
    }
    fn hear(&mut self, wanted: &str) {
        let begun = Instant::now();
        let mut piece = [0; 4096];
        while !self.heard.contains(wanted) {
            assert!(begun.elapsed() < PATIENCE, "{wanted} in {}", self.heard);
            if let Ok(n) = self.stream.read(&mut piece) {
                self.heard.push_str(&String::from_utf8_lossy(&piece[..n]));
            }
        }
    }
}

/// Catches: lines that do not come, or twice, a follower that cannot be ended, a password that is shown, and a reason that is kept back.
#[test]
fn the_log_is_followed_and_a_login_tried() {
    let (mut appliance, _) = device();
    let log = appliance.scratch.join("run/log");
    let mut terminal = Terminal::open(&appliance);
    terminal.say("log follow", "before\r\n");
    fs::write(log.join("messages"), "before\nfirst\nsecond\n").unwrap();
    terminal.hear("second\r\n");
    assert_eq!(terminal.heard.matches("first").count(), 1, "{}", terminal.heard);
    assert_eq!(terminal.heard.matches("before").count(), 1, "{}", terminal.heard);
    // Others go on meanwhile.
    assert!(appliance.console("fsck").contains("nothing is damaged"));
    terminal.heard.clear();
    terminal.keys("\x03");
    terminal.hear("pillarbox> ");

    terminal.say("test login demo", "password: ");
    terminal.say("pass", "pillarbox> ");
    assert!(terminal.heard.contains("admitted") && !terminal.heard.contains("pass"), "{}", terminal.heard);
    terminal.say("test login demo imap", "password: ");
    terminal.say("wrong", "refused: wrong password");
    assert_eq!(appliance.console("show refusals"), "no login was refused since the start\n");
    let shown = appliance.console("show certificate");
    assert!(
        shown.contains("signed by    Pillarbox local CA") && shown.matches("SHA-256").count() == 2,
        "{shown}"
    );
    drop(terminal);
    appliance.stop();
}

/// Catches: a backup that takes the place of mail without a word, one that is put in place though it is damaged or none, mail that
/// is gone with it, and room that no command gives back.
#[test]
fn a_backup_of_the_card_is_restored() {
    let (mut appliance, card) = device();
    imap(&appliance).append("INBOX", &named("m1", 100_000));
    appliance.console("backup");
    let backup = names(&card).remove(0);
    imap(&appliance).append("INBOX", &named("later", 1000));
    let octets = fs::read(card.join(&backup)).unwrap();
    fs::write(card.join("cut.tar"), &octets[..octets.len() / 2]).unwrap();
    fs::write(card.join("none.tar"), b"something else").unwrap();
    for (typed, why) in [
        ("restore cut.tar", "not whole"),
        ("restore none.tar", "no backup"),
        ("restore missing.tar", "missing.tar"),
        ("restore ../etc/passwd", "on the card"),
        ("remove before-restore", "nothing was set aside"),
    ] {
        let outcome = appliance.verb("console", &["-c", typed]);
        assert!(outcome.code == Some(1) && outcome.stderr.contains(why), "{typed}: {outcome:?}");
    }
    assert_eq!(imap(&appliance).fetch_all("INBOX").len(), 2, "all is as it was");
    assert!(!appliance.data().join("restore.new").exists());

    let mut terminal = Terminal::open(&appliance);
    terminal.say(&format!("restore {backup}"), "type yes to do it: ");
    terminal.say("no", "nothing was done");
    terminal.say(&format!("restore {backup}"), "type yes to do it: ");
    terminal.say("yes", "starts anew");
    assert!(terminal.heard.contains("1 account"), "{}", terminal.heard);
    assert_eq!(appliance.end(), Some(44), "the supervisor starts the daemon anew");
    appliance.restart();
    assert_eq!(imap(&appliance).fetch_all("INBOX").into_values().collect::<Vec<_>>(), [named("m1", 100_000)]);
    assert!(appliance.data().join("before-restore-1/accounts/demo").is_dir(), "what came later is kept");
    assert_eq!(appliance.console("remove before-restore"), "1 folder deleted\n");
    assert!(!appliance.data().join("before-restore-1").exists());
    appliance.stop();
}

/// Catches: a stick that is written to before it can be, or that is said to be done while all of it is in memory; a folder in memory
/// that is taken for a stick; a question that stays, so that the stick stays open.
#[test]
fn a_stick_is_written_to_while_that_was_asked_for() {
    let mut appliance = Appliance::prepare();
    for (name, text) in [
        ("etc/board", "orangepi-pc\n"),
        ("run/slot", "A\n"),
        ("run/media", ""),
        ("usb/.keep", ""),
        ("card/x", ""),
    ] {
        appliance.scratch.write(name, text);
    }
    begin(&mut appliance, CONFIG);
    imap(&appliance).append("INBOX", &named("m1", 1000));
    let (run, usb) = (appliance.scratch.join("run"), appliance.scratch.join("usb"));
    let on_stick = |typed: &str| typed.replace("USB", &usb.display().to_string());
    for typed in
        ["backup USB", "mail export demo USB", "mail import demo USB/x", "check USB/x", "import USB/x"]
    {
        let outcome = appliance.verb("console", &["-c", &on_stick(typed)]);
        assert!(
            outcome.code == Some(1) && outcome.stderr.contains("no USB stick is plugged in"),
            "{typed}: {outcome:?}"
        );
    }
    assert_eq!(names(&usb), [".keep"]);

    // What the script does; what was there before the medium was writable is an error.
    fs::write(run.join("usb"), "vfat, 64 MiB\n").unwrap();
    for typed in ["backup USB", "mail export demo USB", "mail export demo USB/a/b"] {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let wait = |is: bool| {
                    let begun = Instant::now();
                    while run.join("write-usb").exists() != is {
                        assert!(begun.elapsed() < PATIENCE, "{typed}: {is}");
                        std::thread::sleep(Duration::from_millis(10));
                    }
                };
                wait(true);
                let before = names(&usb);
                std::thread::sleep(Duration::from_millis(300));
                assert_eq!(names(&usb), before, "{typed}: nothing is written yet");
                fs::write(run.join("usb-writable"), "").unwrap();
                wait(false);
                std::thread::sleep(Duration::from_millis(300));
                fs::write(run.join("all-is-there"), "").unwrap();
                fs::remove_file(run.join("usb-writable")).unwrap();
            });
            let said = appliance.verb("console", &["-c", &on_stick(typed)]).success();
            assert!(run.join("all-is-there").exists(), "{typed}: {said}");
            fs::remove_file(run.join("all-is-there")).unwrap();
        });
    }
    assert!(usb.join("mail-demo/INBOX.mbox").is_file() && usb.join("a/b/INBOX.mbox").is_file());
    assert!(names(&usb).iter().any(|name| name.ends_with(".tar")));
    // What is only read asks for nothing.
    let read = appliance.console(&on_stick("mail import demo USB/mail-demo"));
    assert!(read.contains("1 there already"), "{read}");
    assert!(appliance.console("show board").contains("stick    vfat, 64 MiB, at /usb"));

    fs::write(run.join("card-refused"), "it is write-protected\n").unwrap();
    let outcome = appliance.verb("console", &["-c", "backup"]);
    assert!(outcome.stderr.contains("the card takes no changes: it is write-protected"), "{outcome:?}");
    assert!(!run.join("write-card").exists() && names(&appliance.scratch.join("card")) == ["x"]);
    appliance.stop();
}

/// Catches: trouble that only the log knows; "not configured yet" where a file was refused or settings cannot be read.
#[test]
fn what_the_scripts_have_noticed_stands_in_the_status() {
    let mut appliance = Appliance::prepare();
    appliance.scratch.write("etc/board", "orangepi-pc\n");
    let remark = |appliance: &Appliance, about: &str, words: &str| {
        appliance.scratch.write(&format!("run/remarks/{about}"), words);
    };
    remark(&appliance, "slot", "slot B cannot be started\x1b[2J\n");
    begin(&mut appliance, "[server]\ndomains = [\"home.example\"]\n");
    let status = appliance.console("show status");
    assert!(
        status.contains("attention  slot B cannot be started [2J\n") && status.contains("not configured yet"),
        "{status}"
    );
    let json = appliance.verb("status", &["--json"]).success();
    assert!(json.contains("\"slot B cannot be started [2J\""), "{json}");
    let run = appliance.scratch.join("run/remarks");
    fs::remove_file(run.join("slot")).unwrap();
    assert!(!appliance.console("show status").contains("slot B"));
    for about in ["first-configuration", "settings", "data"] {
        remark(&appliance, about, "something is wrong with them\n");
        let status = appliance.console("show status");
        assert!(
            status.contains("something is wrong") && !status.contains("not configured yet"),
            "{about}: {status}"
        );
        fs::remove_file(run.join(about)).unwrap();
    }
    appliance.stop();
}
