//! One appliance, end to end, with real servers and real clients: mail is collected from a provider, read by POP3 and IMAP,
//! and sent through a smarthost; power is cut meanwhile, and nothing is missing, double or changed.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use support::mail::{Dice, corpus, difference, generated, lines};
use support::proc::assert_one_thread;
use support::process::run_with_input;
use support::{
    Appliance, Connection, Dovecot, Imap, Pop3, Postfix, Scratch, dovecot, random, run, wait_for, wait_up_to,
};

/// How long the collection of a thousand messages, or one client's reading of them, may take.
const LONG: Duration = Duration::from_secs(300);

/// The corpus, and as many generated messages.
fn mailbox(generated_ones: usize) -> Vec<Vec<u8>> {
    corpus().into_iter().map(|(_, message)| message).chain((0..generated_ones).map(generated)).collect()
}

/// Messages in the INBOX of `user` at an IMAP server.
fn count(imap: &mut Imap) -> usize {
    let status = imap.command("STATUS INBOX (MESSAGES)").text();
    status.split("MESSAGES ").nth(1).and_then(|rest| rest.split(')').next()?.parse().ok()).expect("STATUS")
}

fn login(appliance: &Appliance) -> Imap {
    Imap::login(Connection::open_tls(appliance.ports.imaps.address(), &appliance.ca()), "anna", "anna's own")
}

#[test]
fn mail_is_collected_read_and_sent_while_power_is_cut() {
    let messages = mailbox(1000);
    let dovecot = Dovecot::start(&[("u0", "pass"), ("box", "global"), ("anna@isp.example", "relay")]);
    dovecot.fill("u0", &messages);
    let postfix = Postfix::start(&dovecot);
    let mut appliance = Appliance::start(&format!(
        r#"
[server]
domains = ["home.example"]
lan = ["127.0.0.1/32"]

[smarthost]
host = "localhost"
port = {port}
ca = "{ca}"
username = "box"
password = "global"
per_account_authentication = true

[[account]]
name = "anna"
address = "anna@home.example"
password = "anna's own"
smarthost_username = "anna@isp.example"
smarthost_password = "relay"
multipop = true
{source}leave_on_server = true

[[account]]
name = "ben"
address = "ben@home.example"
password = "ben's own"
pop_lan_only = true
imap_lan_only = true
"#,
        port = postfix.submissions.number,
        ca = postfix.ca.display(),
        source = dovecot::source(dovecot.ports.pop3s.address(), "tls", "u0", "pass", dovecot.ca()),
    ));

    collect_while_power_is_cut(&mut appliance, messages.len());
    let kept = login(&appliance).fetch_all("INBOX").into_values().collect::<Vec<_>>();
    assert_eq!(difference(&messages, &kept), None);

    let by_pop3 =
        Pop3::login(Connection::open_tls(dovecot.ports.pop3s.address(), dovecot.ca()), "u0", "pass")
            .retrieve_all();
    assert_eq!(
        difference(&by_pop3, &kept),
        None,
        "the provider serves something else, or does not have it any more"
    );

    read_with_curl(&appliance, &messages);
    read_with_mpop(&appliance, &messages);
    read_with_mbsync(&appliance, &messages);
    send_with_msmtp(&appliance, &postfix);
    respect_the_lan(&appliance);
    assert_one_thread(appliance.pid());
    appliance.stop();
}

/// Kills the appliance again and again while it collects, until all is there.
fn collect_while_power_is_cut(appliance: &mut Appliance, expected: usize) {
    let mut dice = Dice(random());
    let mut kept = 0;
    let mut interruptions = 0;
    // How far it gets before each cut depends on the machine: six times at the most, once at the least.
    while interruptions < 6 {
        let mut imap = login(appliance);
        wait_up_to(LONG, "some more mail", || (count(&mut imap) > kept).then_some(()));
        if interruptions > 0 {
            std::thread::sleep(Duration::from_millis(dice.next() % 50));
        }
        let before = count(&mut imap);
        if before == expected {
            break;
        }
        appliance.kill();
        interruptions += 1;
        appliance.restart();
        kept = count(&mut login(appliance));
        assert!(kept >= before, "{before} messages were shown, {kept} were left after the power cut");
        if kept == expected {
            break;
        }
    }
    assert!(interruptions > 0, "the collection was over before it could be interrupted");
    let mut imap = login(appliance);
    wait_up_to(LONG, "all mail", || (count(&mut imap) >= expected).then_some(()));
    // Another poll finds nothing new.
    appliance.console("collect anna");
    wait_up_to(LONG, "the poll after the last one", || {
        appliance.console("show sources").contains("good").then_some(())
    });
    assert_eq!(count(&mut imap), expected);
}

fn read_with_curl(appliance: &Appliance, messages: &[Vec<u8>]) {
    let scratch = Scratch::new("curl");
    let uids: Vec<u32> = login(appliance).fetch_all("INBOX").into_keys().collect();
    let (first, last) = (uids.first().unwrap(), uids.last().unwrap());
    assert_eq!((last - first) as usize + 1, messages.len(), "UIDs have gaps: {first} to {last}");
    for (name, url) in [
        ("pop3s", format!("pop3s://localhost:{}/[1-{}]", appliance.ports.pop3s.number, messages.len())),
        ("imaps", format!("imaps://localhost:{}/INBOX;UID=[{first}-{last}]", appliance.ports.imaps.number)),
    ] {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail", "--user", "anna:anna's own", "--cacert"]);
        curl.arg(appliance.ca())
            .arg(url)
            .arg("--create-dirs")
            .arg("--output")
            .arg(scratch.join(format!("{name}/#1")));
        run(&mut curl, LONG).success();
        assert_eq!(difference(messages, &files(&scratch.join(name))), None, "curl by {name}");
    }
}

fn read_with_mpop(appliance: &Appliance, messages: &[Vec<u8>]) {
    let scratch = Scratch::new("mpop");
    for folder in ["cur", "new", "tmp"] {
        fs::create_dir_all(scratch.join("mail").join(folder)).unwrap();
    }
    let configuration = scratch.write(
        "mpoprc",
        format!(
            "account box\nhost localhost\nport {}\nuser anna\npassword \"anna's own\"\ntls on\ntls_starttls on\n\
             tls_trust_file {}\nreceived_header off\nkeep on\nuidls_file {}\ndelivery maildir {}\n",
            appliance.ports.pop3.number,
            appliance.ca().display(),
            scratch.join("uidls").display(),
            scratch.join("mail").display()
        ),
    );
    private(&configuration);
    run(Command::new("mpop").arg("-C").arg(configuration).arg("--quiet").arg("box"), LONG).success();
    let read: Vec<_> = files(&scratch.join("mail/new")).iter().map(|message| lines(message)).collect();
    assert_eq!(difference(&in_lines(messages), &read), None, "mpop");
}

fn read_with_mbsync(appliance: &Appliance, messages: &[Vec<u8>]) {
    let scratch = Scratch::new("mbsync");
    let configuration = scratch.write(
        "mbsyncrc",
        appliance.mbsync_stores(scratch.path())
            + "Channel all\nFar :far:\nNear :near:\nSync Pull New\nCreate Near\nSyncState *\n",
    );
    run(Command::new("mbsync").arg("-c").arg(configuration).arg("all"), LONG).success();
    let maildir = scratch.join("INBOX");
    let read = ["new", "cur"].iter().flat_map(|folder| files(&maildir.join(folder)));
    let read: Vec<_> = read.map(|message| lines(&without_mark(&message))).collect();
    assert_eq!(difference(&in_lines(messages), &read), None, "mbsync");
}

/// mpop and mbsync write files with the line ends of Unix, and take a CR before one for a part of it.
fn in_lines(messages: &[Vec<u8>]) -> Vec<Vec<u8>> {
    messages.iter().map(|message| lines(message)).collect()
}

/// mbsync marks what it has copied with a field of its own.
fn without_mark(message: &[u8]) -> Vec<u8> {
    let lines = message.split_inclusive(|&octet| octet == b'\n');
    lines.filter(|line| !line.starts_with(b"X-TUID: ")).collect::<Vec<_>>().concat()
}

/// The account with a smarthost password of its own is relayed under its own login, the other under the global one.
fn send_with_msmtp(appliance: &Appliance, postfix: &Postfix) {
    let scratch = Scratch::new("msmtp");
    for (account, security, port) in [
        ("anna", "tls_starttls off", appliance.ports.submissions.number),
        ("ben", "tls_starttls on", appliance.ports.submission.number),
    ] {
        let configuration = scratch.write(
            "msmtprc",
            format!(
                "account box\nhost localhost\nport {port}\nauth plain\nuser {account}\npassword \"{account}'s own\"\n\
                 tls on\n{security}\ntls_trust_file {}\nfrom {account}@home.example\n",
                appliance.ca().display()
            ),
        );
        private(&configuration);
        let mail = format!("Subject: a letter from {account}\n\n.\nhello\n");
        let mut msmtp = Command::new("msmtp");
        msmtp.arg("-C").arg(configuration).args(["-a", "box", "friend@outside.example"]);
        run_with_input(&mut msmtp, mail.as_bytes(), LONG).success();
    }
    let relayed = wait_for("two letters at the smarthost", || {
        let relayed = postfix.relayed();
        (relayed.len() == 2).then_some(relayed)
    });
    for (account, login) in [("anna", "anna@isp.example"), ("ben", "box")] {
        let letter =
            relayed.iter().find(|letter| letter.sender == format!("{account}@home.example")).unwrap();
        assert_eq!(letter.login, login, "{letter:?}");
        assert_eq!(letter.recipient, "friend@outside.example");
        assert!(
            letter.message.contains(&format!("Subject: a letter from {account}\n")),
            "{}",
            letter.message
        );
        assert!(letter.message.ends_with("\n\n.\nhello\n"), "{}", letter.message);
    }
}

/// Only 127.0.0.1/32 is the LAN: ben, restricted to it, is welcome from there and refused from next door, in the same
/// words as for a wrong password. anna is welcome from everywhere.
fn respect_the_lan(appliance: &Appliance) {
    let (lan, outside) = (Ipv4Addr::new(127, 0, 0, 1), Ipv4Addr::new(127, 0, 0, 2));
    let pop3 = |from: Ipv4Addr, user: &str, password: &str| {
        let connection = Connection::open_from(IpAddr::V4(from), appliance.ports.pop3.address());
        Pop3::new(connection).start_tls(&appliance.ca()).try_login(user, password)
    };
    let imap = |from: Ipv4Addr, user: &str, password: &str| {
        let connection = Connection::open_from(IpAddr::V4(from), appliance.ports.imaps.address());
        Imap::new(connection.start_tls(&appliance.ca())).try_login(user, password).status
    };
    assert!(pop3(lan, "ben", "ben's own").starts_with("+OK"));
    assert!(imap(lan, "ben", "ben's own").starts_with("OK"));
    assert!(pop3(outside, "anna", "anna's own").starts_with("+OK"));
    assert!(imap(outside, "anna", "anna's own").starts_with("OK"));

    let refused = [pop3(outside, "ben", "ben's own"), imap(outside, "ben", "ben's own")];
    assert!(refused[0].starts_with("-ERR [AUTH]"), "{refused:?}");
    assert!(refused[1].starts_with("NO [AUTHENTICATIONFAILED]"), "{refused:?}");
    assert_eq!(refused, [pop3(outside, "ben", "wrong"), imap(outside, "ben", "wrong")]);
    assert_eq!(refused, [pop3(outside, "nobody", "wrong"), imap(outside, "nobody", "wrong")]);
    let reasons = appliance.console("show refusals");
    assert!(reasons.contains("outside it") && reasons.contains("wrong password"), "{reasons}");
}

/// The other ways to a provider: STLS and plain text, with deletion after collection.
#[test]
fn mail_is_collected_over_stls_and_in_the_clear_and_deleted_there() {
    let messages = mailbox(20);
    for security in ["starttls", "none"] {
        let dovecot = Dovecot::start(&[("u0", "pass")]);
        dovecot.fill("u0", &messages);
        let appliance = Appliance::start(&format!(
            "[server]\ndomains = [\"home.example\"]\n[[account]]\nname = \"anna\"\naddress = \"anna@home.example\"\n\
             password = \"anna's own\"\nmultipop = true\n{}",
            dovecot::source(dovecot.ports.pop3.address(), security, "u0", "pass", dovecot.ca()),
        ));
        let mut imap = login(&appliance);
        wait_for("all mail", || (count(&mut imap) >= messages.len()).then_some(()));
        let kept = imap.fetch_all("INBOX").into_values().collect::<Vec<_>>();
        assert_eq!(difference(&messages, &kept), None, "{security}");
        wait_for("an empty mailbox at the provider", || {
            let connection = Connection::open(dovecot.ports.pop3.address());
            (Pop3::login(connection, "u0", "pass").count() == 0).then_some(())
        });
    }
}

/// A provider's certificate that nobody vouches for is not trusted, and the operator is told.
#[test]
fn a_provider_that_cannot_prove_who_it_is_gets_no_password() {
    let dovecot = Dovecot::start(&[("u0", "pass")]);
    let other = Dovecot::start(&[]);
    dovecot.fill("u0", &mailbox(0));
    let appliance = Appliance::start(&format!(
        "[server]\ndomains = [\"home.example\"]\n[[account]]\nname = \"anna\"\naddress = \"anna@home.example\"\n\
         password = \"anna's own\"\nmultipop = true\n{}",
        dovecot::source(dovecot.ports.pop3s.address(), "tls", "u0", "pass", other.ca()),
    ));
    let told = wait_for("the failure", || {
        Some(appliance.console("show sources")).filter(|sources| sources.contains("failed"))
    });
    assert!(told.contains("certificate"), "{told}");
    assert_eq!(count(&mut login(&appliance)), 0);
    assert!(!dovecot.log().contains("Login:"), "{}", dovecot.log());
}

fn files(folder: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    entries.map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect()
}

/// Mail clients refuse a file with a password that others can read.
fn private(file: &Path) {
    fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}
