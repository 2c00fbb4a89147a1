//! The programs that others collect with, set up as their users do: they leave what they collect, and know nothing yet.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::super::support::dovecot::{give_to_mail, open_to_all};
use super::super::support::{Connection, Dovecot, Pop3, Scratch, run};
use super::Protocol;

/// A collection that takes longer is none.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// Collects the mail of `user`, which `server` has at `at`, and which is so many messages: how long it took.
pub type Peer =
    fn(server: &Dovecot, at: SocketAddr, protocol: Protocol, user: &str, messages: usize) -> Duration;

/// Each message goes into a file by a program of one line; nothing waits for the disk.
pub fn fetchmail_mda(
    server: &Dovecot,
    at: SocketAddr,
    protocol: Protocol,
    user: &str,
    messages: usize,
) -> Duration {
    let scratch = Scratch::new("mda");
    let new = scratch.join("new");
    fs::create_dir(&new).unwrap();
    let script = scratch.write("deliver", format!("#!/bin/sh\nexec cat > {}/$$\n", new.display()));
    fs::set_permissions(&script, Permissions::from_mode(0o700)).unwrap();
    let time = fetchmail(&scratch, server, at, protocol, user, &format!("mda {}", script.display()));
    assert_eq!(fs::read_dir(new).unwrap().count(), messages, "fetchmail, MDA");
    time
}

/// Into another mailbox of the same server, whose deliveries are durable.
pub fn fetchmail_lmtp(
    server: &Dovecot,
    at: SocketAddr,
    protocol: Protocol,
    user: &str,
    messages: usize,
) -> Duration {
    let before = sink(server);
    let lmtp = format!("smtphost localhost/{} lmtp smtpname {SINK}", server.ports.lmtp.number);
    let time = fetchmail(&Scratch::new("lmtp"), server, at, protocol, user, &lmtp);
    assert_eq!(sink(server) - before, messages, "fetchmail, LMTP");
    time
}

/// Where LMTP delivers.
pub const SINK: &str = "sink";

/// How many messages are there.
fn sink(server: &Dovecot) -> usize {
    Pop3::login(Connection::open(server.ports.pop3.address()), SINK, "pass").count()
}

fn fetchmail(
    scratch: &Scratch,
    server: &Dovecot,
    at: SocketAddr,
    protocol: Protocol,
    user: &str,
    delivery: &str,
) -> Duration {
    let configuration = private(
        scratch,
        "fetchmailrc",
        &format!(
            "poll localhost protocol {} service {} user {user} password pass ssl sslcertck sslcertfile {} fetchall keep {delivery}\n",
            protocol.name(),
            at.port(),
            server.ca().display(),
        ),
    );
    let mut fetchmail = Command::new("fetchmail");
    fetchmail.env("FETCHMAILHOME", scratch.path()).env("HOME", scratch.path());
    fetchmail.args(["--nodetach", "--nosyslog", "--silent", "-f"]).arg(configuration);
    timed(fetchmail)
}

/// Into a Maildir, each message synced. As root it delivers for somebody else only.
pub fn getmail(
    server: &Dovecot,
    at: SocketAddr,
    protocol: Protocol,
    user: &str,
    messages: usize,
) -> Duration {
    let scratch = Scratch::new("getmail");
    let maildir = scratch.join("mail");
    for folder in ["cur", "new", "tmp"] {
        fs::create_dir_all(maildir.join(folder)).unwrap();
    }
    let mut user_there = "";
    if rustix::process::geteuid().is_root() {
        user_there = "user = mail\n";
        open_to_all(scratch.path());
        give_to_mail(&maildir);
    }
    let configuration = private(
        &scratch,
        "getmailrc",
        &format!(
            "[retriever]\ntype = Simple{}SSLRetriever\nserver = localhost\nport = {}\nusername = {user}\npassword = pass\n\
             ca_certs = {}\n[destination]\ntype = Maildir\npath = {}/\n{user_there}[options]\nread_all = true\ndelete = false\nverbose = 0\n",
            protocol.name().to_uppercase(),
            at.port(),
            server.ca().display(),
            maildir.display(),
        ),
    );
    let mut getmail = Command::new("getmail");
    getmail.arg("--getmaildir").arg(scratch.path()).arg("--rcfile").arg(configuration);
    let time = timed(getmail);
    assert_eq!(fs::read_dir(maildir.join("new")).unwrap().count(), messages, "getmail6");
    time
}

/// They refuse a file with a password that others may read.
fn private(scratch: &Scratch, name: &str, text: &str) -> PathBuf {
    let file = scratch.write(name, text);
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    file
}

fn timed(mut command: Command) -> Duration {
    let start = Instant::now();
    run(&mut command, LIMIT).success();
    start.elapsed()
}
