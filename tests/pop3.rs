//! POP3 on the running appliance: the mail programs that people use, TLS, UIDLs that last, and crowds.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use support::mail::{corpus, difference, lines};
use support::process::{Outcome, run_with_input};
use support::{Appliance, Connection, Imap, PATIENCE, Pop3, Scratch, run};

const CONFIG: &str = r#"
[server]
domains = ["home.example"]
[[account]]
name = "demo"
address = "demo@home.example"
password = "pass"
"#;

/// An appliance with the corpus in demo's INBOX.
fn filled() -> (Appliance, Vec<Vec<u8>>) {
    let appliance = Appliance::start(CONFIG);
    let messages: Vec<Vec<u8>> = corpus().into_iter().map(|(_, message)| message).collect();
    let mut imap = Imap::login(Connection::open(appliance.ports.imap.address()), "demo", "pass");
    messages.iter().for_each(|message| imap.append("INBOX", message));
    (appliance, messages)
}

fn private(file: &Path) {
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}

/// What lies in a folder, in no order.
fn files(folder: &Path) -> Vec<Vec<u8>> {
    fs::read_dir(folder).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect()
}

fn in_lines(messages: &[Vec<u8>]) -> Vec<Vec<u8>> {
    messages.iter().map(|message| lines(message)).collect()
}

/// A program that puts each message that it is given into the folder `out`.
fn deliver(scratch: &Scratch) -> PathBuf {
    fs::create_dir(scratch.join("out")).unwrap();
    let deliver = scratch.write("deliver", format!("#!/bin/sh\ncat > {}/out/$$\n", scratch.path().display()));
    fs::set_permissions(&deliver, fs::Permissions::from_mode(0o700)).unwrap();
    deliver
}

#[test]
fn python_reads_by_stls_and_tls_and_sasl() {
    let (appliance, messages) = filled();
    let scratch = Scratch::new("poplib");
    const SCRIPT: &str = r#"
import base64, poplib, ssl, sys
ca, port, how, folder = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
if how == "stls":
    pop = poplib.POP3("localhost", int(port))
    pop.utf8()
    capabilities = pop.capa()
    assert "STLS" in capabilities and capabilities["EXPIRE"] == ["NEVER"], capabilities
    pop.stls(context)
else:
    pop = poplib.POP3_SSL("localhost", int(port), context=context)
if how == "sasl":
    pop._shortcmd("AUTH PLAIN " + base64.b64encode(b"\0demo\0pass").decode())
else:
    pop.user("demo")
    pop.pass_("pass")
count, octets = pop.stat()
listing = [int(line.split()[1]) for line in pop.list()[1]]
assert len(listing) == count and sum(listing) == octets
uidl = [line.split()[1] for line in pop.uidl()[1]]
assert len(set(uidl)) == count and all(len(uid) <= 70 for uid in uidl)
for number in range(1, count + 1):
    lines = pop.retr(number)[1]
    top = pop.top(number, 10 ** 6)[1]
    assert top == lines, number
    with open(f"{folder}/{number}", "wb") as file:
        file.write(b"".join(line + b"\r\n" for line in lines))
pop.dele(1)
pop.rset()
pop.quit()
"#;
    let script = scratch.write("read.py", SCRIPT);
    let expected = in_lines(&messages);
    for (how, port) in
        [("stls", &appliance.ports.pop3), ("tls", &appliance.ports.pop3s), ("sasl", &appliance.ports.pop3s)]
    {
        let folder = scratch.join(how);
        fs::create_dir(&folder).unwrap();
        let mut python = Command::new("python3");
        python.arg(&script).arg(appliance.ca()).args([&port.number.to_string(), how]).arg(&folder);
        run(&mut python, PATIENCE).success();
        let read = in_lines(&files(&folder));
        assert_eq!(difference(&expected, &read), None, "poplib by {how}");
    }
}

#[test]
fn fetchmail_collects_and_deletes() {
    let (appliance, messages) = filled();
    let scratch = Scratch::new("fetchmail");
    let deliver = deliver(&scratch);
    // Once by STLS, leaving all; once with TLS from the first octet, deleting.
    for (port, ssl, keep) in
        [(&appliance.ports.pop3, "sslproto tls1.2+", "keep"), (&appliance.ports.pop3s, "ssl", "nokeep")]
    {
        let configuration = scratch.write(
            "fetchmailrc",
            format!(
                "poll localhost protocol pop3 service {} user demo password pass {ssl} sslcertck sslcertfile {} \
                 fetchall {keep} nostripcr no rewrite no mimedecode mda {}\n",
                port.number,
                appliance.ca().display(),
                deliver.display()
            ),
        );
        private(&configuration);
        let mut fetchmail = Command::new("fetchmail");
        fetchmail.env("FETCHMAILHOME", scratch.path()).env("HOME", scratch.path());
        fetchmail.args(["--nodetach", "--nosyslog", "--invisible", "-f"]).arg(&configuration);
        run(&mut fetchmail, PATIENCE).success();
        let out = scratch.join("out");
        assert_eq!(fs::read_dir(&out).unwrap().count(), messages.len(), "{ssl}");
        fs::remove_dir_all(&out).unwrap();
        fs::create_dir(&out).unwrap();
    }
    let mut pop3 = Pop3::login(Connection::open(appliance.ports.pop3.address()), "demo", "pass");
    assert_eq!(pop3.count(), 0, "fetchmail has deleted what it took");
}

/// getmail starts a program for each message, and on a busy machine it waits for ever now and then for one that has ended,
/// with nothing on its connection. Then it is tried again.
#[test]
fn getmail_remembers_uidls() {
    let (appliance, messages) = filled();
    let has_ended = (0..5).any(|_| getmail_reads_all_once(&appliance, messages.len()));
    assert!(has_ended, "it hangs each time");
}

/// Whether it came to its end.
fn getmail_reads_all_once(appliance: &Appliance, messages: usize) -> bool {
    const LIMIT: Duration = Duration::from_secs(15);
    let scratch = Scratch::new("getmail");
    let deliver = deliver(&scratch);
    let configuration = scratch.write(
        "getmailrc",
        format!(
            "[retriever]\ntype = SimplePOP3SSLRetriever\nserver = localhost\nport = {}\nusername = demo\n\
             password = pass\nca_certs = {}\n[destination]\ntype = MDA_external\npath = {}\n\
             allow_root_commands = true\n[options]\nread_all = false\ndelivered_to = false\nreceived = false\nverbose = 0\n",
            appliance.ports.pop3s.number,
            appliance.ca().display(),
            deliver.display()
        ),
    );
    private(&configuration);
    // The second time it finds nothing that it does not know.
    (0..2).all(|_| {
        let mut getmail = Command::new("getmail");
        getmail.arg("--getmaildir").arg(scratch.path()).arg("--rcfile").arg(&configuration);
        let outcome = run(&mut getmail, LIMIT);
        if outcome.code.is_none() {
            return false;
        }
        outcome.success();
        assert_eq!(fs::read_dir(scratch.join("out")).unwrap().count(), messages);
        true
    })
}

#[test]
fn curl_and_mpop_read_every_octet() {
    let (appliance, messages) = filled();
    let scratch = Scratch::new("curl");
    for (name, url) in [
        ("stls", format!("pop3://localhost:{}/[1-{}]", appliance.ports.pop3.number, messages.len())),
        ("tls", format!("pop3s://localhost:{}/[1-{}]", appliance.ports.pop3s.number, messages.len())),
    ] {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail", "--ssl-reqd", "--user", "demo:pass", "--cacert"]);
        curl.arg(appliance.ca()).arg(url).arg("--create-dirs").arg("--output");
        curl.arg(scratch.join(format!("{name}/#1")));
        run(&mut curl, PATIENCE).success();
        let (expected, read) = (in_lines(&messages), in_lines(&files(&scratch.join(name))));
        assert_eq!(difference(&expected, &read), None, "curl by {name}");
    }
    fs::create_dir(scratch.join("mail")).unwrap();
    for folder in ["cur", "new", "tmp"] {
        fs::create_dir(scratch.join("mail").join(folder)).unwrap();
    }
    let configuration = scratch.write(
        "mpoprc",
        format!(
            "account box\nhost localhost\nport {}\nuser demo\npassword pass\ntls on\ntls_starttls off\n\
             tls_trust_file {}\nreceived_header off\nkeep on\nuidls_file {}\ndelivery maildir {}\n",
            appliance.ports.pop3s.number,
            appliance.ca().display(),
            scratch.join("uidls").display(),
            scratch.join("mail").display()
        ),
    );
    private(&configuration);
    run(Command::new("mpop").arg("-C").arg(configuration).arg("--quiet").arg("box"), PATIENCE).success();
    assert_eq!(difference(&in_lines(&messages), &in_lines(&files(&scratch.join("mail/new")))), None, "mpop");
}

/// The first lines of a TLS client that asks for one version.
fn openssl(appliance: &Appliance, args: &[&str]) -> Outcome {
    let mut openssl = Command::new("openssl");
    openssl.args(["s_client", "-brief", "-verify_return_error", "-servername", "localhost", "-CAfile"]);
    openssl.arg(appliance.ca()).args(args);
    run_with_input(&mut openssl, b"QUIT\r\n", PATIENCE)
}

#[test]
fn tls_is_1_2_or_1_3() {
    let appliance = Appliance::start(CONFIG);
    let ports = &appliance.ports;
    for (port, protocol) in [
        (&ports.pop3s, None),
        (&ports.imaps, None),
        (&ports.submissions, None),
        (&ports.pop3, Some("pop3")),
        (&ports.imap, Some("imap")),
        (&ports.submission, Some("smtp")),
    ] {
        let address = format!("127.0.0.1:{}", port.number);
        let mut args = vec!["-connect", &address];
        args.extend(protocol.iter().flat_map(|protocol| ["-starttls", protocol]));
        for (version, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
            let outcome = openssl(&appliance, &[&args[..], &[version]].concat());
            let said = outcome.text() + &outcome.stderr;
            assert!(said.contains(&format!("Protocol version: {name}")), "{args:?} {version}: {said}");
        }
        for version in ["-tls1", "-tls1_1"] {
            // OpenSSL itself has to be talked into versions as old as these.
            let old = [&args[..], &[version, "-cipher", "ALL:@SECLEVEL=0"]].concat();
            let outcome = openssl(&appliance, &old);
            assert_ne!(outcome.code, Some(0), "{args:?} {version}");
            let said = outcome.text() + &outcome.stderr;
            // The server's own refusal: protocol_version, or handshake_failure.
            let refused =
                ["SSL alert number 70", "SSL alert number 40"].iter().any(|alert| said.contains(alert));
            assert!(refused, "{args:?} {version}: {said}");
        }
    }
}

#[test]
fn uidls_go_with_the_mail_to_another_appliance() {
    let (appliance, _) = filled();
    let uidls = |appliance: &Appliance| {
        let mut pop3 = Pop3::login(Connection::open(appliance.ports.pop3.address()), "demo", "pass");
        pop3.multiline("UIDL")
    };
    // A gap, which the numbering does not keep and the UIDLs do.
    let mut pop3 = Pop3::login(Connection::open(appliance.ports.pop3.address()), "demo", "pass");
    assert!(pop3.command("DELE 2").starts_with("+OK"));
    assert!(pop3.command("QUIT").starts_with("+OK"));
    let before = uidls(&appliance);
    for format in ["maildir", "mbox"] {
        let folder = appliance.scratch.join(format);
        let folder = folder.to_str().unwrap();
        let mail = |appliance: &Appliance, args: &[&str]| {
            let mut command = Command::new(support::appliance::binary());
            command.arg("mail").args(args).arg("--data").arg(appliance.data());
            run(&mut command, PATIENCE).success();
        };
        mail(&appliance, &["export", "demo", folder, "--format", format]);
        let other = Appliance::start(CONFIG);
        mail(&other, &["import", "demo", folder]);
        assert_eq!(uidls(&other), before, "{format}");
    }
}

#[test]
fn a_thousand_connections_from_one_address_leave_the_others_served() {
    let appliance = Appliance::start(CONFIG);
    let stranger = Ipv4Addr::new(127, 0, 0, 2).into();
    let mut crowd = Vec::new();
    let mut refused = 0;
    for _ in 0..1000 {
        let mut connection = Connection::open_from(stranger, appliance.ports.pop3.address());
        let greeting = connection.line();
        match greeting.get(..3) {
            Some("+OK") => crowd.push(connection),
            _ => {
                assert!(greeting.starts_with("-ERR [SYS/TEMP]"), "{greeting}");
                refused += 1;
            }
        }
    }
    assert_eq!((crowd.len(), refused), (180, 820), "nine tenths of the places and no more");
    for _ in 0..20 {
        Pop3::login(Connection::open(appliance.ports.pop3.address()), "demo", "pass");
    }
    Imap::login(Connection::open(appliance.ports.imap.address()), "demo", "pass");
    // Those that are in are served too, and a place that is given up is free again.
    assert!(Pop3(crowd.pop().unwrap()).command("QUIT").starts_with("+OK"));
    support::wait_for("a free place", || {
        let mut again = Connection::open_from(stranger, appliance.ports.pop3.address());
        again.line().starts_with("+OK").then_some(())
    });
}
