//! A card that takes no changes any more: what is on it is served, everything else refused in words, and nothing is lost.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::Duration;

use support::appliance::binary;
use support::mail::named;
use support::process::Outcome;
use support::{
    Appliance, Connection, Imap, MountedCard, PATIENCE, Pop3, Port, Provider, Smtp, run, wait_for,
};

const NO_CHANGES: &str =
    "the flash takes no changes: it is mounted read-only, by someone or by the kernel after errors";
const UNAVAILABLE: &str = "NO [UNAVAILABLE] The flash takes no changes; all mail can be read";
const LATER: &str = "451 4.3.0 Nothing can be stored here now, try again later";

/// An account with a source, and a smarthost that nobody answers for yet.
fn config(smarthost: &Port, provider: &Provider) -> String {
    format!(
        r#"
[server]
domains = ["home.example"]
[smarthost]
host = "127.0.0.1"
port = {}
security = "none"
[[account]]
name = "demo"
address = "demo@home.example"
password = "pass"
multipop = true
[[account.source]]
host = "127.0.0.1"
port = {}
security = "none"
username = "demo"
password = "pass"
"#,
        smarthost.number,
        provider.address().port()
    )
}

/// An appliance on a card of its own, with what is beside it.
struct OnACard {
    // Out of its slot first.
    card: MountedCard,
    appliance: Appliance,
    smarthost: Port,
    provider: Provider,
}

impl OnACard {
    /// Ready, with `messages` in the INBOX and one in the queue. `None` where nothing can be mounted.
    ///
    /// `beside`: folders that can be written whatever becomes of the card.
    fn start(beside: &[&str], messages: usize) -> Option<OnACard> {
        let (mut appliance, smarthost) = (Appliance::prepare(), Port::reserve());
        let provider = Provider::start(None, Duration::ZERO);
        let mut card = MountedCard::insert(appliance.scratch.join("card.img"), appliance.data())?;
        beside.iter().for_each(|name| card.keep_writable(name));
        let file = appliance.scratch.write("config.toml", appliance.text(&config(&smarthost, &provider)));
        appliance.verb("import", &[file.to_str().unwrap()]).success();
        appliance.restart();
        let on_a_card = OnACard { card, appliance, smarthost, provider };
        let mut imap = on_a_card.imap();
        (0..messages).for_each(|n| imap.append("INBOX", &named(&format!("message {n}"), 2_000)));
        on_a_card.smtp().send("demo@home.example", &["friend@else.example"], &letter());
        wait_for("an attempt", || on_a_card.status().contains("refused").then_some(()));
        Some(on_a_card)
    }

    fn imap(&self) -> Imap {
        Imap::login(Connection::open(self.appliance.ports.imap.address()), "demo", "pass")
    }
    fn pop3(&self) -> Pop3 {
        Pop3::login(Connection::open(self.appliance.ports.pop3.address()), "demo", "pass")
    }
    fn smtp(&self) -> Smtp {
        Smtp::login(Connection::open(self.appliance.ports.submission.address()), "demo", "pass")
    }
    fn status(&self) -> String {
        self.appliance.verb("status", &[]).success()
    }
    /// What `run` ends with where it is not to start.
    fn refused_start(&self, args: &[&str]) -> Outcome {
        run(Command::new(binary()).arg("run").arg("--data").arg(self.appliance.data()).args(args), PATIENCE)
    }

    /// What everybody hears, whether the appliance was started on such a card or the card failed under it.
    fn refuses_every_change(&self) {
        let status = self.status();
        assert!(
            status.contains(&format!("attention  {NO_CHANGES}; all that is stored can be read: ")),
            "{status}"
        );
        let json = self.appliance.verb("status", &["--json"]).success();
        assert!(json.contains(r#""flash":{"read_only":true,"#) && json.contains(NO_CHANGES), "{json}");
        wait_for("the log", || self.appliance.log.find(NO_CHANGES));

        let mut imap = self.imap();
        assert!(imap.command("SELECT INBOX").status.starts_with("OK [READ-ONLY]"));
        assert_eq!(imap.fetch_all("INBOX").len(), self.pop3().count());
        imap.command("FETCH 1 BODY[]").ok();
        for change in ["STORE 1 +FLAGS (\\Flagged)", "EXPUNGE", "MOVE 1 Sent", "APPEND INBOX {100}"] {
            assert_eq!(imap.command(change).status, UNAVAILABLE, "{change}");
        }
        imap.command("CLOSE").ok();

        // To someone here, to someone elsewhere, and from a device.
        for to in ["demo@home.example", "friend@else.example"] {
            let reply = self.smtp().try_send("demo@home.example", &[to], &letter());
            assert_eq!(reply.as_deref(), Some(LATER), "{to}");
        }
        let mut device = Smtp::new(Connection::open(self.appliance.ports.lan_smtp.address()));
        let reply = device.try_send("printer@home.example", &["demo@home.example"], &letter());
        assert_eq!(reply.as_deref(), Some(LATER));

        // The source has new mail and keeps it; the smarthost answers now, and gets nothing that would come twice.
        if self.provider.listing("demo").is_empty() {
            self.provider.add("demo", "new", letter());
        }
        let smarthost = TcpListener::bind(self.smarthost.address()).unwrap();
        smarthost.set_nonblocking(true).unwrap();
        self.appliance.console("retry");
        self.appliance.console("collect");
        wait_for("the poll", || {
            self.appliance.console("show sources").contains("the flash takes no changes").then_some(())
        });
        assert_eq!(self.provider.listing("demo").len(), 1);
        assert!(smarthost.accept().is_err(), "somebody wanted to hand mail on");
        assert!(self.appliance.console("show queue").contains("friend@else.example"));

        // Settings stay as they are, here and in the daemon.
        let set = "set server.max_connections 7\ncommit\n";
        let mut console = Command::new(binary());
        console.args(["console", "--data"]).arg(self.appliance.data());
        let refused = support::process::run_with_input(&mut console, set.as_bytes(), PATIENCE);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains(&format!("config.postcard: {NO_CHANGES}")), "{refused:?}");
        let other = self.other_settings();
        let refused = self.appliance.verb("import", &[&other]);
        assert_eq!((refused.code, refused.stderr.lines().count()), (Some(3), 1), "{refused:?}");
        let stored = self.appliance.verb("export", &[]).success();
        assert!(
            stored.lines().any(|line| line.starts_with("max_connections") && line.contains("= 200")),
            "{stored}"
        );
    }

    /// A file with other settings than the stored ones.
    fn other_settings(&self) -> String {
        let text = self.appliance.text(&config(&self.smarthost, &self.provider));
        let text = text.replace("[server]", "[server]\nmax_connections = 8");
        self.appliance.scratch.write("other.toml", text).to_str().unwrap().to_owned()
    }
}

fn letter() -> Vec<u8> {
    b"From: demo@home.example\r\nSubject: hello\r\n\r\nhello\r\n".to_vec()
}

/// Catches a daemon that notices nothing until somebody writes, one that goes on promising changes, a relay that hands on
/// what it cannot write down, and a poll that fetches what it cannot keep. The card here is one that Linux itself has
/// stopped writing to: its flags look as before.
///
/// The mail lies beside it until the store can be opened on such a card: see the last test.
#[test]
fn a_card_that_fails_under_a_running_daemon() {
    let Some(here) = OnACard::start(&["accounts", "queue"], 3) else { return };
    here.card.fail();
    here.refuses_every_change();
    // Nothing of this was a reason to end.
    let OnACard { mut appliance, card, .. } = here;
    appliance.stop();
    drop(card);
}

/// Catches a start that gives up at the lock, at the console's socket, at the login key, at the certificate.
#[test]
fn a_daemon_starts_on_a_card_that_can_only_be_read() {
    let Some(mut here) = OnACard::start(&["accounts", "queue"], 3) else { return };
    here.appliance.stop();
    here.card.mount_read_only();
    // All of it is there: the second round misses what a first start would make.
    for round in ["as it was", "with nothing but the settings"] {
        here.appliance.restart();
        here.refuses_every_change();
        turns_others_away(&here.appliance);
        // The console's socket is another one, and the daemon alone is on the folder.
        let second = here.refused_start(&[]);
        assert!(second.stderr.contains("another appliance runs on this data folder"), "{round}: {second:?}");
        here.appliance.verb("fsck", &[]).success();
        let dest = here.appliance.scratch.join(round);
        let export = ["export", "demo", dest.to_str().unwrap(), "--data"];
        let mut mail = Command::new(binary());
        mail.arg("mail").args(export).arg(here.appliance.data());
        let told = run(&mut mail, PATIENCE).success();
        assert!(told.contains("messages: 3 new"), "{round}: {told}");
        here.appliance.stop();

        let repair = here.appliance.verb("fsck", &["--repair"]);
        assert_eq!((repair.code, repair.stderr.lines().count()), (Some(3), 1), "{round}: {repair:?}");
        assert!(repair.stderr.contains("the flash takes no changes: copy the folder"), "{repair:?}");
        let status = here.appliance.verb("status", &[]);
        assert_eq!((status.code, status.stderr.lines().count()), (Some(3), 1), "{round}: {status:?}");

        run(Command::new("mount").args(["-o", "remount,rw"]).arg(here.appliance.data()), PATIENCE).success();
        for name in ["lock", "login.key", "console.sock"] {
            let _ = fs::remove_file(here.appliance.data().join(name));
        }
        let _ = fs::remove_dir_all(here.appliance.data().join("tls"));
        here.card.mount_read_only();
    }
}

/// The console's socket has no mode on such a card. Catches one that lets every user of the machine in.
fn turns_others_away(appliance: &Appliance) {
    const ASK: &str = "import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect('\\0' + sys.argv[1])
try:
    s.sendall(b'script\\nshow config\\n')
    print(s.recv(100))
except (BrokenPipeError, ConnectionResetError):
    print(b'')";
    let folder = fs::metadata(appliance.data()).unwrap();
    let name = format!("pillarbox console.sock {:x}.{:x}", folder.dev(), folder.ino());
    let asked = |user: &str| {
        let mut command = Command::new("setpriv");
        command.args([
            &format!("--reuid={user}"),
            "--clear-groups",
            "--",
            "/usr/bin/python3",
            "-c",
            ASK,
            &name,
        ]);
        run(&mut command, PATIENCE).success()
    };
    assert!(asked("0").len() > 10);
    assert_eq!(asked("65534"), "b''\n");
}

/// `--config` on such a card. Catches a service that is started with its file every time and ends when the card fails; and
/// one that takes settings which the next start would not know.
#[test]
fn a_file_that_is_stored_already_is_no_reason_not_to_start() {
    let Some(mut here) = OnACard::start(&["accounts", "queue"], 0) else { return };
    here.appliance.stop();
    here.card.mount_read_only();
    let file = here.appliance.scratch.join("config.toml").to_str().unwrap().to_owned();
    here.appliance.restart_with(&["--config", &file]);
    assert!(here.appliance.log.find("the given configuration is the stored one").is_some());
    here.appliance.stop();
    let other = here.other_settings();
    let refused = here.refused_start(&["--config", &other]);
    assert_eq!(refused.code, Some(3), "{refused:?}");
    let advice = "is not what is stored there: start without --config to serve what is stored\n";
    assert!(refused.stderr.ends_with(advice) && refused.stderr.lines().count() == 1, "{}", refused.stderr);

    // The settings before serve where the newest are damaged: nothing has to be set aside for that.
    run(Command::new("mount").args(["-o", "remount,rw"]).arg(here.appliance.data()), PATIENCE).success();
    let stored = here.appliance.data().join("config.postcard");
    fs::copy(&stored, here.appliance.data().join("config.postcard.prev")).unwrap();
    fs::write(&stored, "damaged").unwrap();
    here.card.mount_read_only();
    for _ in 0..2 {
        here.appliance.restart_with(&[]);
        assert!(
            here.appliance
                .log
                .find("config.postcard is damaged; the configuration before it is used")
                .is_some()
        );
        here.appliance.stop();
    }
}

/// Catches a first start that prints a password which nobody will know at the next one.
#[test]
fn an_empty_card_that_can_only_be_read_is_refused() {
    let appliance = Appliance::prepare();
    let Some(card) = MountedCard::insert(appliance.scratch.join("card.img"), appliance.data()) else {
        return;
    };
    card.mount_read_only();
    let refused = run(Command::new(binary()).arg("run").arg("--data").arg(appliance.data()), PATIENCE);
    assert_eq!((refused.code, refused.text().as_str()), (Some(3), ""), "{refused:?}");
    assert!(
        refused.stderr.contains("no configuration is stored there: choose another folder with --data"),
        "{refused:?}"
    );
    assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
}

/// The whole card, mail and queue with it: each command of each protocol is refused without a hang, and on a card that
/// works everything is there once. Catches a store that needs a write to be read, and any answer that promises what is
/// not kept.
#[test]
fn all_mail_is_there_on_the_next_card() {
    let Some(mut here) = OnACard::start(&[], 3) else { return };
    let mut before = here.imap();
    before.command("SELECT INBOX").ok();
    here.card.fail();
    for change in [
        "STORE 1 +FLAGS (\\Flagged)",
        "COPY 1 Sent",
        "MOVE 1 Sent",
        "CREATE Other",
        "RENAME Sent Other",
        "DELETE Sent",
        "SUBSCRIBE Sent",
        "SETMETADATA INBOX (/private/comment \"x\")",
        "APPEND INBOX {5+}\r\nhello",
    ] {
        assert_eq!(before.command(change).status, UNAVAILABLE, "{change}");
    }
    // The message comes, that it was read is not kept.
    before.command("FETCH 1 BODY[]").ok();
    here.refuses_every_change();
    let mut pop3 = here.pop3();
    assert_eq!(pop3.retr(1), named("message 0", 2_000));
    pop3.command("DELE 1");
    assert_eq!(pop3.command("QUIT"), "-ERR [SYS/PERM] Nothing was deleted: the flash takes no changes");
    assert_eq!(here.pop3().count(), 3);
    here.appliance.stop();

    for broken in [true, false] {
        if !broken {
            here.card.mount_read_only();
        }
        here.appliance.restart();
        here.refuses_every_change();
        here.appliance.stop();
        let dest = here.appliance.scratch.join(format!("export {broken}"));
        let mut mail = Command::new(binary());
        mail.args(["mail", "export", "demo"]).arg(&dest).arg("--data").arg(here.appliance.data());
        assert!(run(&mut mail, PATIENCE).success().contains("messages: 3 new"));
        let mut mail = Command::new(binary());
        mail.args(["mail", "import", "demo"]).arg(&dest).arg("--data").arg(here.appliance.data());
        let refused = run(&mut mail, PATIENCE);
        assert_eq!((refused.code, refused.stderr.lines().count()), (Some(3), 1), "{refused:?}");
    }

    here.card.replace();
    let smarthost = TcpListener::bind(here.smarthost.address()).unwrap();
    here.appliance.restart();
    here.appliance.verb("fsck", &[]).success();
    let mut imap = here.imap();
    assert!(imap.command("SELECT INBOX").status.starts_with("OK [READ-WRITE]"));
    wait_for("what the source has kept", || (imap.fetch_all("INBOX").len() == 4).then_some(()));
    let unseen = imap.command("SEARCH UNSEEN").ok();
    assert!(unseen.iter().any(|line| line.as_slice() == b"SEARCH 1 2 3 4"), "{unseen:?}");
    // And the message that waited goes on its way.
    smarthost.accept().unwrap();
}
