//! Who changes over from fetchmail, getmail6 or mpop gets nothing twice: each of them collects from a real server, the
//! appliance is told by the program's own file, and then collects what is new, and nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::appliance::pillarbox;
use support::mail::generated;
use support::{Appliance, Connection, Dovecot, Imap, PATIENCE, Pop3, Port, Scratch, run, wait_for};

/// A file that nobody else may read, as these programs want it.
fn private(scratch: &Scratch, name: &str, content: String) -> PathBuf {
    let path = scratch.write(name, content);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// Collects ann's mail with another program, which leaves it there; the file in which that notes it.
type Other = fn(&Scratch, &Dovecot) -> PathBuf;

fn fetchmail(scratch: &Scratch, dovecot: &Dovecot) -> PathBuf {
    let rc = format!(
        "poll 127.0.0.1 protocol POP3 port {} uidl user \"ann\" password \"pass\" keep sslproto \"\" mda \"/bin/cat\"\n",
        dovecot.ports.pop3.number
    );
    let (rc, ids) = (private(scratch, "fetchmailrc", rc), scratch.join("fetchids"));
    let mut command = Command::new("fetchmail");
    command.arg("-f").arg(&rc).arg("--idfile").arg(&ids).arg("--pidfile").arg(scratch.join("pid"));
    run(command.env("FETCHMAILHOME", scratch.path()), PATIENCE).success();
    ids
}

fn getmail(scratch: &Scratch, kind: &str, port: &Port) -> PathBuf {
    let rc = format!(
        "[retriever]\ntype = {kind}\nserver = 127.0.0.1\nport = {}\nusername = ann\npassword = pass\n\
         [destination]\ntype = MDA_external\npath = /bin/cat\nallow_root_commands = true\n\
         [options]\nread_all = false\ndelete = false\n",
        port.number
    );
    let rc = private(scratch, "getmailrc", rc);
    run(Command::new("getmail").arg("--getmaildir").arg(scratch.path()).arg("--rcfile").arg(&rc), PATIENCE)
        .success();
    let names = std::fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().path());
    let is_oldmail = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("oldmail-");
    names.into_iter().find(is_oldmail).unwrap()
}

fn mpop(scratch: &Scratch, dovecot: &Dovecot) -> PathBuf {
    let ids = scratch.join("ann_at_127.0.0.1");
    let rc = format!(
        "account a\nhost 127.0.0.1\nport {}\nuser ann\npassword pass\nauth user\ntls off\nkeep on\n\
         delivery mda /bin/cat\nuidls_file {}\n",
        dovecot.ports.pop3.number,
        ids.display()
    );
    let rc = private(scratch, "mpoprc", rc);
    run(Command::new("mpop").arg("-C").arg(&rc).arg("-a"), PATIENCE).success();
    ids
}

/// The mail of demo.
fn inbox(appliance: &Appliance) -> Vec<Vec<u8>> {
    Pop3::login(Connection::open(appliance.ports.pop3.address()), "demo", "pass").retrieve_all()
}

/// Catches: mail that comes twice after a change from the program, a file of it that is not understood, and mail that is deleted at
/// the provider though the appliance never had it.
fn changes_over(other: Other, protocol: &str, port: fn(&Dovecot) -> &Port) {
    let dovecot = Dovecot::start(&[("ann", "pass")]);
    let messages: Vec<_> = (0..3).map(generated).collect();
    dovecot.fill("ann", &messages);
    let scratch = Scratch::new("change-over");
    let file = other(&scratch, &dovecot);

    // Nothing says that it is to stay there.
    let config = format!(
        "[server]\ndomains = [\"home.example\"]\n[[account]]\nname = \"demo\"\naddress = \"demo@home.example\"\n\
         password = \"pass\"\nmultipop = true\n[[account.source]]\nenabled = false\nhost = \"127.0.0.1\"\nport = {}\n\
         protocol = \"{protocol}\"\nsecurity = \"none\"\nusername = \"ann\"\npassword = \"pass\"\n",
        port(&dovecot).number
    );
    let mut appliance = Appliance::start(&config);
    let import = |appliance: &Appliance, file: &Path| {
        let (data, file) = (appliance.data(), file.to_str().unwrap().to_owned());
        let words = ["multipop", "import-state", "demo", &file, "--data", data.to_str().unwrap()];
        pillarbox(&words).success()
    };
    let said = import(&appliance, &file);
    assert!(said.contains("source 1, ann at 127.0.0.1, INBOX: 3 messages taken, 0 known already"), "{said}");
    // And again while nobody serves.
    appliance.stop();
    let said = import(&appliance, &file);
    assert!(said.contains("0 messages taken, 3 known already"), "{said}");
    appliance.restart();

    let mut there = Imap::login(Connection::open(dovecot.ports.imap.address()), "ann", "pass");
    there.command("APPEND INBOX {21+}\r\nSubject: new\r\n\r\nnew\r\n").ok();
    appliance.console("set account.demo.source.1.enabled true\ncommit");
    wait_for("the new one", || (!inbox(&appliance).is_empty()).then_some(()));
    assert_eq!(inbox(&appliance), [b"Subject: new\r\n\r\nnew\r\n".to_vec()]);
    // What it has collected itself it deletes there; what others have, it does not.
    wait_for("the deletion", || {
        let left = there.command("STATUS INBOX (MESSAGES)").text();
        left.contains("MESSAGES 3").then_some(())
    });
    assert_eq!(inbox(&appliance).len(), 1);
}

#[test]
fn from_fetchmail() {
    changes_over(fetchmail, "pop3", |dovecot| &dovecot.ports.pop3);
}

#[test]
fn from_getmail_by_pop3() {
    changes_over(
        |scratch, dovecot| getmail(scratch, "SimplePOP3Retriever", &dovecot.ports.pop3),
        "pop3",
        |dovecot| &dovecot.ports.pop3,
    );
}

#[test]
fn from_getmail_by_imap() {
    changes_over(
        |scratch, dovecot| getmail(scratch, "SimpleIMAPRetriever", &dovecot.ports.imap),
        "imap",
        |dovecot| &dovecot.ports.imap,
    );
}

#[test]
fn from_mpop() {
    changes_over(mpop, "pop3", |dovecot| &dovecot.ports.pop3);
}

/// Catches: unique-ids of another mailbox, which may be those of messages that are still to come, taken for a source; lines that
/// are passed over in silence; and nothing that is taken for a success.
#[test]
fn what_belongs_to_no_source_is_named_and_left_out() {
    let scratch = Scratch::new("import-state");
    let (data, source) =
        (scratch.join("data"), "security = \"none\"\nusername = \"ann\"\npassword = \"pass\"\n");
    let config = format!(
        "[server]\ndomains = [\"home.example\"]\n[[account]]\nname = \"demo\"\naddress = \"demo@home.example\"\n\
         password = \"open sesame\"\n[[account.source]]\nhost = \"pop.one.example\"\nprotocol = \"pop3\"\n{source}\
         [[account.source]]\nhost = \"imap.two.example\"\nprotocol = \"imap\"\n{source}"
    );
    std::fs::create_dir(&data).unwrap();
    let (config, data) = (scratch.write("config.toml", config), data.to_str().unwrap().to_owned());
    pillarbox(&["import", config.to_str().unwrap(), "--data", &data]).success();
    let import = |account: &str, content: &str, more: &[&str]| {
        let file = scratch.write("ids", content);
        let words = ["multipop", "import-state", account, file.to_str().unwrap(), "--data", &data];
        let outcome = pillarbox(&[&words[..], more].concat());
        (outcome.code, outcome.text() + &outcome.stderr)
    };
    let elsewhere = "ann@old.example 2\n";
    let mixed = format!("ann@pop.one.example 1\n{elsewhere}nonsense\n");
    for (account, content, more, code, says) in [
        ("demo", &*mixed, &[][..], 0, "source 1, ann at pop.one.example, INBOX: 1 message taken, 0 known"),
        ("demo", &mixed, &[], 0, "1 message of ann at old.example passed over: no such source"),
        ("demo", &mixed, &[], 0, "ids:3: it is not LOGIN@SERVER and a unique-id: it is passed over"),
        ("demo", elsewhere, &[], 1, "nothing in it belongs to a source of demo"),
        // Where one list says all that it should, the other one is not meant.
        ("demo", &mixed, &["--source", "1"], 0, "INBOX: 0 messages taken, 1 known"),
        ("demo", elsewhere, &["--source", "1"], 0, "INBOX: 1 message taken, 0 known"),
        ("demo", elsewhere, &["--source", "2"], 1, "collected by POP3, and source 2 is collected by IMAP"),
        ("demo", "bob@old.example 3\n", &["--source", "1"], 1, "nothing in it belongs"),
        ("demo", "ann@a.example 3\nann@b.example 4\n", &["--source", "1"], 1, "which of these is source 1?"),
        ("demo", elsewhere, &["--source", "3"], 1, "demo has 2 sources, counted from 1"),
        ("nobody", elsewhere, &[], 1, "nobody: there is no such account: it is one of demo"),
    ] {
        let (ended, said) = import(account, content, more);
        assert!(ended == Some(code) && said.contains(says), "{content:?} {more:?}: {ended:?} {said}");
    }
}
