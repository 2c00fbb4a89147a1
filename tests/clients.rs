//! Mail programs that people use, against the appliance: what it announces, they use.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use support::{Appliance, Connection, Imap, Scratch, run};

/// What a program may take, with a moment for the slowest.
const LONG: Duration = Duration::from_secs(120);

/// Messages that are there before a program comes.
const MESSAGES: usize = 20;

fn appliance() -> Appliance {
    Appliance::start(
        "[server]\ndomains = [\"home.example\"]\n\n\
         [[account]]\nname = \"anna\"\naddress = \"anna@home.example\"\npassword = \"anna's own\"\nquota = \"50MiB\"\n",
    )
}

fn login(appliance: &Appliance) -> Imap {
    let connection = Connection::open_tls(appliance.ports.imaps.address(), &appliance.ca());
    Imap::login(connection, "anna", "anna's own")
}

fn filled() -> Appliance {
    let appliance = appliance();
    let mut imap = login(&appliance);
    for n in 0..MESSAGES {
        imap.append(
            "INBOX",
            format!("Subject: message {n}\r\nMessage-ID: <{n}@x.example>\r\n\r\ntext {n}\r\n").as_bytes(),
        );
    }
    appliance
}

/// What a mailbox holds: of each message its subject and whether it was read, flagged or answered.
fn picture(appliance: &Appliance, mailbox: &str) -> BTreeMap<String, String> {
    let mut imap = login(appliance);
    imap.command(&format!("SELECT {mailbox}")).ok();
    let told = imap.command("FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])").text();
    let mut picture = BTreeMap::new();
    let mut flags = Vec::new();
    for line in told.lines() {
        if let Some((_, told)) = line.split_once("FLAGS (") {
            let told = told.split(')').next().unwrap_or_default();
            flags =
                told.split(' ').filter(|flag| ["\\Seen", "\\Flagged", "\\Answered"].contains(flag)).collect();
            flags.sort_unstable();
        }
        if let Some(subject) = line.strip_prefix("Subject: ") {
            picture.insert(subject.to_owned(), flags.join(" "));
        }
    }
    picture
}

/// Of a Maildir, the same.
fn maildir(folder: &Path) -> BTreeMap<String, String> {
    let mut picture = BTreeMap::new();
    for part in ["cur", "new"] {
        for entry in std::fs::read_dir(folder.join(part)).unwrap() {
            let path = entry.unwrap().path();
            let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
            let subject = text.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap().to_owned();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let marks = name
                .rsplit_once(",")
                .filter(|(before, _)| before.ends_with(":2"))
                .map_or("", |(_, marks)| marks);
            let known = [('F', "\\Flagged"), ('R', "\\Answered"), ('S', "\\Seen")];
            let mut flags: Vec<_> =
                known.iter().filter(|(mark, _)| marks.contains(*mark)).map(|(_, flag)| *flag).collect();
            flags.sort_unstable();
            picture.insert(subject, flags.join(" "));
        }
    }
    picture
}

/// Catches: a capability that a program uses as soon as it is announced, and that does not do what it expects.
#[test]
fn imaplib_goes_through_a_session() {
    let appliance = appliance();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/imaplib_session.py");
    let port = appliance.ports.imap.number.to_string();
    run(Command::new("python3").arg(script).arg(port).arg(appliance.ca()), LONG).success();
}

/// Catches: what a program that keeps both sides alike would lose or double.
#[test]
fn mbsync_keeps_both_sides_alike() {
    let appliance = filled();
    let near = Scratch::new("mbsync-both");
    let configuration = near.write(
        "mbsyncrc",
        appliance.mbsync_stores(near.path())
            + "Channel all\nFar :far:\nNear :near:\nPatterns * !Drafts !Sent !Junk !Trash !Archive\nSync All\nCreate Both\nExpunge Both\nSyncState *\n",
    );
    both_ways(&appliance, &near.join("INBOX"), || {
        run(Command::new("mbsync").arg("-c").arg(&configuration).arg("all"), LONG).success();
    });
}

/// The same with another program, which keeps its own notes of what it knows.
#[test]
fn offlineimap_keeps_both_sides_alike() {
    let appliance = filled();
    let near = Scratch::new("offlineimap");
    let dir = near.path().display();
    let configuration = near.write(
        "offlineimaprc",
        format!(
            "[general]\naccounts = all\nmetadata = {dir}/meta\nui = quiet\nsocktimeout = 60\n\n\
             [Account all]\nlocalrepository = near\nremoterepository = far\n\n\
             [Repository near]\ntype = Maildir\nlocalfolders = {dir}/mail\n\n\
             [Repository far]\ntype = IMAP\nremotehost = localhost\nremoteport = {}\nremoteuser = anna\nremotepass = anna's own\n\
             ssl = yes\nsslcacertfile = {}\nfolderfilter = lambda name: name == 'INBOX'\n",
            appliance.ports.imaps.number,
            appliance.ca().display(),
        ),
    );
    std::fs::set_permissions(&configuration, std::fs::Permissions::from_mode(0o600)).unwrap();
    both_ways(&appliance, &near.join("mail/INBOX"), || {
        run(Command::new("offlineimap").arg("-o").arg("-c").arg(&configuration), LONG).success();
    });
}

/// Changes on either side, each followed by `sync`; both have to look the same.
fn both_ways(appliance: &Appliance, maildir_path: &Path, sync: impl Fn()) {
    let alike = |what: &str, messages: usize| {
        let (far, near) = (picture(appliance, "INBOX"), maildir(maildir_path));
        assert_eq!(far, near, "{what}");
        assert_eq!(far.len(), messages, "{what}");
    };
    sync();
    alike("all that was there", MESSAGES);
    let mut imap = login(appliance);
    for command in [
        "SELECT INBOX",
        "STORE 1:5 +FLAGS (\\Seen)",
        "STORE 3 +FLAGS (\\Flagged)",
        "STORE 7,9 +FLAGS (\\Deleted)",
        "EXPUNGE",
    ] {
        imap.command(command).ok();
    }
    imap.append("INBOX", b"Subject: later\r\nMessage-ID: <later@x.example>\r\n\r\nlater\r\n");
    sync();
    alike("changed at the appliance", MESSAGES - 1);
    // A letter that was written here, one that was read, and one that was thrown away.
    std::fs::write(
        maildir_path.join("cur/1.near.host:2,S"),
        "Subject: near\nMessage-ID: <near@x.example>\n\nnear\n",
    )
    .unwrap();
    let named = |wanted: &str| {
        let parts = ["cur", "new"].map(|part| maildir_path.join(part));
        let all = parts.iter().flat_map(|part| std::fs::read_dir(part).unwrap());
        let mut paths = all.map(|entry| entry.unwrap().path());
        paths
            .find(|path| std::fs::read_to_string(path).unwrap().contains(&format!("Subject: {wanted}\n")))
            .unwrap()
    };
    std::fs::remove_file(named("message 12")).unwrap();
    let unread = named("message 15");
    let name = unread.file_name().unwrap().to_string_lossy().split(":2").next().unwrap().to_owned();
    std::fs::rename(&unread, maildir_path.join("cur").join(format!("{name}:2,FS"))).unwrap();
    sync();
    alike("changed here", MESSAGES - 1);
    sync();
    alike("nothing changed", MESSAGES - 1);
}
