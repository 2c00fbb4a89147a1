//! A user's mail goes out of the appliance and into it: between two appliances, to Dovecot and from it, read by Python,
//! interrupted at any moment.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use support::appliance::{binary, pillarbox};
use support::mail::{Dice, corpus, generated};
use support::process::Outcome;
use support::{Appliance, Connection, Dovecot, Imap, PATIENCE, Pop3, random, run};

const CONFIG: &str = r#"
[server]
domains = ["home.example"]
[[account]]
name = "office"
address = "office@home.example"
password = "pass"
"#;

/// Mailboxes that are awkward on purpose, as they are named on the wire.
const NAMES: [&str; 5] = ["Archive/2024", "a.b", "R&-D", "Entw&APw-rfe alt", ".hidden"];

fn imap(appliance: &Appliance) -> Imap {
    Imap::login(Connection::open(appliance.ports.imap.address()), "office", "pass")
}

/// Fills the account: the corpus, generated messages, flags, keywords, mailboxes, some of it deleted again.
fn fill(appliance: &Appliance, generated_messages: usize) {
    let mut imap = imap(appliance);
    for name in NAMES {
        imap.command(&format!("CREATE \"{name}\"")).ok();
        imap.command(&format!("SUBSCRIBE \"{name}\"")).ok();
    }
    imap.command("DELETE Junk").ok();
    imap.command("UNSUBSCRIBE Junk").ok();
    for (n, (_, message)) in corpus().iter().enumerate() {
        imap.append(NAMES[n % NAMES.len()], message);
    }
    for n in 0..generated_messages {
        imap.append("INBOX", &generated(n));
    }
    imap.command("SELECT INBOX").ok();
    imap.command("STORE 1:2 +FLAGS (\\Seen \\Flagged $Forwarded)").ok();
    imap.command("STORE 2:3 +FLAGS (\\Answered work)").ok();
    imap.command("STORE 5 +FLAGS (\\Deleted)").ok();
    imap.command("EXPUNGE").ok();
}

/// What a client sees of every mailbox: names, numbers, flags, dates, messages.
fn seen(mut imap: Imap) -> String {
    let mut text = imap.command("LSUB \"\" *").text();
    let list = imap.command("LIST \"\" *").text();
    text += &list;
    let names = list.lines().filter_map(|line| line.split_once("\"/\" "));
    for (_, name) in names {
        text += &imap.command(&format!("STATUS {name} (MESSAGES UIDNEXT UIDVALIDITY)")).text();
        imap.command(&format!("EXAMINE {name}")).ok();
        text += &imap.command("UID FETCH 1:* (FLAGS INTERNALDATE BODY.PEEK[])").text();
    }
    text.replace("\\Recent ", "").replace(" \\Recent", "").replace("\\Recent", "")
}

fn export(data: &Path, dest: &Path, format: &str) -> Outcome {
    let [data, dest] = [data, dest].map(|path| path.to_str().unwrap());
    pillarbox(&["mail", "export", "office", dest, "--format", format, "--data", data])
}

fn import(data: &Path, src: &Path) -> Outcome {
    let [data, src] = [data, src].map(|path| path.to_str().unwrap());
    pillarbox(&["mail", "import", "office", src, "--data", data])
}

/// Fails at the first line that differs.
#[track_caller]
fn assert_alike(a: &str, b: &str) {
    let differing = a.lines().zip(b.lines()).find(|(a, b)| a != b);
    assert_eq!(differing.unzip(), (None, None));
    assert_eq!(a.len(), b.len());
}

/// Fails unless both folders hold the same files with the same octets.
#[track_caller]
fn assert_same(a: &Path, b: &Path) {
    run(Command::new("diff").arg("-r").arg(a).arg(b), PATIENCE).success();
}

#[test]
fn mail_moves_to_another_appliance_while_both_serve() {
    let old = Appliance::start(CONFIG);
    fill(&old, 120);
    let uidl = |appliance: &Appliance| {
        Pop3::login(Connection::open(appliance.ports.pop3.address()), "office", "pass").multiline("UIDL")
    };
    for format in ["maildir", "mbox"] {
        let new = Appliance::start(CONFIG);
        let (first, second) = (old.scratch.join(format), new.scratch.join(format));
        let said = export(&old.data(), &first, format);
        assert_eq!(said.stderr, "", "nothing but the summary where there is no terminal");
        assert!(said.success().starts_with("office: exported to /"));
        assert_eq!(seen(imap(&new)).matches("BODY[]").count(), 0);
        import(&new.data(), &first).success();
        assert_alike(&seen(imap(&new)), &seen(imap(&old)));
        assert_eq!(uidl(&new), uidl(&old));
        export(&new.data(), &second, format).success();
        assert_same(&first, &second);
        assert!(import(&new.data(), &first).success().contains("messages: 0 new"));
    }
}

/// Catches: an import that brings what only the appliance may read into somebody's mail, running or not.
#[test]
fn an_import_follows_no_link() {
    let mut appliance = Appliance::start(CONFIG);
    let source = appliance.scratch.join("source");
    appliance.scratch.write("source/cur/1:2,S", "Subject: harmless\n\n");
    std::fs::create_dir(source.join("new")).unwrap();
    for (link, to) in [("cur/2:2,S", "tls/ca.key"), ("new/3", "config.postcard"), (".Keys", "tls")] {
        std::os::unix::fs::symlink(appliance.data().join(to), source.join(link)).unwrap();
    }
    for running in [true, false] {
        let said = import(&appliance.data(), &source);
        assert_eq!(said.code, Some(1), "{}", said.stderr);
        for link in ["cur/2:2,S", "new/3", ".Keys"] {
            assert!(said.stderr.contains(&format!("{link}: left out: a symbolic link")), "{}", said.stderr);
        }
        if running {
            let status = imap(&appliance).command("STATUS INBOX (MESSAGES)").text();
            assert!(status.contains("MESSAGES 1)"), "{status}");
            appliance.stop();
        }
    }
}

#[test]
fn what_is_wrong_is_told() {
    let mut appliance = Appliance::start(CONFIG);
    let out = appliance.scratch.join("out");
    for running in [true, false] {
        let data = appliance.data();
        let refused = |args: &[&str]| {
            let said = pillarbox(&[args, &["--data", data.to_str().unwrap()]].concat());
            (said.code, said.stderr)
        };
        let nobody = refused(&["mail", "export", "nobody", out.to_str().unwrap()]);
        assert_eq!(
            nobody,
            (Some(1), "pillarbox: nobody: there is no such account: it is one of office\n".into())
        );
        let (code, words) = refused(&["mail", "import", "office", "/proc/self/fd"]);
        assert_eq!(code, Some(1), "{words}");
        assert!(words.contains("neither a Maildir"), "{words}");
        let (code, words) = refused(&["mail", "export", "office", "/proc/nowhere"]);
        assert_eq!(code, Some(3), "{words}");
        if running {
            appliance.stop();
        }
    }
    // Not beside an appliance that is starting or has lost its socket.
    let lock = File::create(appliance.data().join("lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let said = export(&appliance.data(), &out, "maildir");
    assert_eq!(said.code, Some(3), "{}", said.stderr);
    assert!(said.stderr.contains("another appliance runs"), "{}", said.stderr);
}

/// Runs `pillarbox mail` again and again and kills it after a moment, until it comes to its end.
fn with_interruptions(dice: &mut Dice, args: &[&str]) {
    for interrupted in 0.. {
        let longest = 20 + 5 * interrupted;
        let mut child = Command::new(binary())
            .args(["mail"])
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(dice.below(longest) as u64));
        let _ = child.kill();
        let status = child.wait().unwrap();
        if status.success() {
            println!("interrupted {interrupted} times: {args:?}");
            return;
        }
        assert_eq!(status.code(), None, "it failed by itself");
    }
}

#[test]
fn power_cuts_leave_neither_holes_nor_duplicates() {
    let seed = random();
    println!("seed {seed}");
    let mut dice = Dice(seed);
    let mut old = Appliance::start(CONFIG);
    fill(&old, 250);
    let before = seen(imap(&old));
    old.stop();
    for format in ["maildir", "mbox"] {
        let mut new = Appliance::start(CONFIG);
        new.stop();
        let paths = [old.scratch.join(format), new.scratch.join("again"), old.data(), new.data()];
        let [out, again, from, to] = paths.each_ref().map(|path| path.to_str().unwrap());
        with_interruptions(&mut dice, &["export", "office", out, "--format", format, "--data", from]);
        with_interruptions(&mut dice, &["import", "office", out, "--data", to]);
        export(&new.data(), Path::new(again), format).success();
        assert_same(Path::new(out), Path::new(again));
        new.restart();
        assert_alike(&seen(imap(&new)), &before);
    }
}

#[test]
fn dovecot_reads_what_is_exported_and_its_maildirs_come_in() {
    let appliance = Appliance::start(CONFIG);
    fill(&appliance, 30);
    let out = appliance.scratch.join("out");
    export(&appliance.data(), &out, "maildir").success();
    let dovecot = Dovecot::start(&[("moved", "pass"), ("own", "pass")]);
    dovecot.adopt("moved", &out);
    let at_dovecot = |user: &str| Imap::login(Connection::open(dovecot.ports.imap.address()), user, "pass");

    let (mut here, mut there) = (imap(&appliance), at_dovecot("moved"));
    for name in ["INBOX", "Archive/2024", "R&-D", "Entw&APw-rfe alt", "Sent"] {
        let numbers = |imap: &mut Imap| {
            let status = imap.command(&format!("STATUS \"{name}\" (MESSAGES UIDNEXT UIDVALIDITY)")).text();
            let numbers = status.split_once('(').unwrap().1.to_owned();
            imap.command(&format!("EXAMINE \"{name}\"")).ok();
            let mut flags: Vec<String> = imap
                .command("UID FETCH 1:* (FLAGS INTERNALDATE)")
                .ok()
                .iter()
                .map(|line| flags_sorted(&String::from_utf8_lossy(line)))
                .collect();
            flags.sort();
            (numbers, flags)
        };
        assert_eq!(numbers(&mut there), numbers(&mut here), "{name}");
        assert_eq!(there.fetch_all(name), here.fetch_all(name), "{name}");
    }
    let names = |imap: &mut Imap, command: &str| {
        let mut lines: Vec<_> = imap.command(command).text().lines().map(str::to_owned).collect();
        lines.retain(|line| !line.contains("a.b") && !line.contains("hidden") && !line.contains("\\2e"));
        lines.iter_mut().for_each(|line| *line = line.rsplit_once("\"/\" ").unwrap().1.replace('"', ""));
        lines.sort();
        lines
    };
    assert_eq!(names(&mut there, "LSUB \"\" *"), names(&mut here, "LSUB \"\" *"));

    let mut own = at_dovecot("own");
    own.command("CREATE \"Old &AOQ-/2020\"").ok();
    own.command("SUBSCRIBE \"Old &AOQ-/2020\"").ok();
    for (n, (_, message)) in corpus().iter().enumerate() {
        own.append(if n % 2 == 0 { "INBOX" } else { "Old &AOQ-/2020" }, message);
    }
    own.command("SELECT INBOX").ok();
    own.command("STORE 1,3 +FLAGS (\\Seen work)").ok();
    own.command("STORE 2 +FLAGS (\\Deleted)").ok();
    own.command("STORE 3 +FLAGS (\\Flagged \\Draft \\Answered $Junk)").ok();
    own.command("UID EXPUNGE 2").ok();
    let maildir = appliance.scratch.join("dovecot");
    dovecot.copy_maildir("own", &maildir);
    let new = Appliance::start(CONFIG);
    import(&new.data(), &maildir).success();
    let mut here = imap(&new);
    for name in ["INBOX", "Old &AOQ-/2020"] {
        let seen = |imap: &mut Imap| {
            let status = imap.command(&format!("STATUS \"{name}\" (MESSAGES UIDNEXT UIDVALIDITY)")).text();
            let messages = imap.fetch_all(name);
            let flags = imap.command("UID FETCH 1:* (FLAGS INTERNALDATE)").ok();
            let flags: Vec<_> =
                flags.iter().map(|line| flags_sorted(&String::from_utf8_lossy(line))).collect();
            (status.split_once('(').unwrap().1.to_owned(), messages, flags)
        };
        assert_eq!(seen(&mut here), seen(&mut own), "{name}");
    }
    assert!(here.command("LSUB \"\" *").text().contains("Old &AOQ-/2020"));
    assert!(import(&new.data(), &maildir).success().contains("messages: 0 new"));
}

/// The words of a FETCH response in one order, without `\Recent`.
fn flags_sorted(line: &str) -> String {
    let mut words: Vec<_> =
        line.split([' ', '(', ')']).filter(|word| !["", "\\Recent"].contains(word)).collect();
    words.sort_unstable();
    words.join(" ")
}

#[test]
fn python_reads_what_is_exported() {
    const READ: &str = r#"
import mailbox, sys
a, b = mailbox.Maildir(sys.argv[1], create=False), mailbox.mbox(sys.argv[2] + "/INBOX.mbox", create=False)
print(len(a), len(b), sorted(a.list_folders())[:2])
def line(m): return (m["Message-ID"] or "", "S" in m.get_flags() or "R" in m.get_flags(), "F" in m.get_flags())
def maildir(m): return (m["Message-ID"] or "", "S" in m.get_flags(), "F" in m.get_flags(), m.get_payload(decode=False) == "")
def mbox(m): return (m["Message-ID"] or "", "R" in m.get_flags(), "F" in m.get_flags(), m.get_payload(decode=False) == "")
assert sorted(map(maildir, a)) == sorted(map(mbox, b))
print(sum("F" in m.get_flags() for m in b))
"#;
    let appliance = Appliance::start(CONFIG);
    fill(&appliance, 60);
    let paths = ["maildir", "mbox"].map(|format| {
        let out = appliance.scratch.join(format);
        export(&appliance.data(), &out, format).success();
        out
    });
    let said = run(Command::new("python3").args(["-c", READ]).args(&paths), PATIENCE).success();
    assert!(said.starts_with("59 59 ["), "{said}");
    assert!(said.ends_with("\n2\n"), "{said}");
}

#[test]
fn a_bar_is_shown_on_a_terminal_alone() {
    let appliance = Appliance::start(CONFIG);
    fill(&appliance, 40);
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let name = ptsname(&controller, Vec::new()).unwrap().into_string().unwrap();
    let terminal: OwnedFd = File::options().read(true).write(true).open(name).unwrap().into();
    let mut child = Command::new(binary())
        .args(["mail", "export", "office"])
        .arg(appliance.scratch.join("out"))
        .arg("--data")
        .arg(appliance.data())
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(terminal)
        .spawn()
        .unwrap();
    let mut drawn = Vec::new();
    // A terminal whose last user has gone answers EIO.
    let _ = File::from(controller).read_to_end(&mut drawn);
    assert!(child.wait().unwrap().success());
    let drawn = String::from_utf8_lossy(&drawn);
    assert!(drawn.contains(" messages") && drawn.contains('%'), "{drawn:?}");
}
