//! The way out, with Postfix as the smarthost: a login that it refuses makes mail wait, through a power cut, until
//! the operator sets the password anew; meanwhile the mail of others goes on.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::process::Command;

use support::appliance::binary;
use support::process::run_with_input;
use support::{Appliance, Connection, Dovecot, PATIENCE, Pop3, Postfix, Smtp, wait_for};

fn config(postfix: &Postfix) -> String {
    format!(
        r#"
[server]
domains = ["home.example"]

[smarthost]
host = "localhost"
port = {port}
security = "starttls"
ca = "{ca}"
username = "box"
password = "global"
per_account_authentication = true

[[account]]
name = "anna"
address = "anna@home.example"
password = "anna's own"
smarthost_username = "anna@isp.example"
smarthost_password = "stale"

[[account]]
name = "ben"
address = "ben@home.example"
password = "ben's own"
"#,
        port = postfix.submission.number,
        ca = postfix.ca.display(),
    )
}

fn send(appliance: &Appliance, account: &str, to: &[&str]) {
    let connection = Connection::open_tls(appliance.ports.submissions.address(), &appliance.ca());
    let mut smtp = Smtp::login(connection, account, &format!("{account}'s own"));
    let message = format!("Subject: from {account}\r\n\r\n..hello\r\n");
    smtp.send(&format!("{account}@home.example"), to, message.as_bytes());
}

fn inbox(appliance: &Appliance, account: &str) -> Vec<String> {
    let connection = Connection::open_tls(appliance.ports.pop3s.address(), &appliance.ca());
    let messages = Pop3::login(connection, account, &format!("{account}'s own")).retrieve_all();
    messages.into_iter().map(|message| String::from_utf8(message).unwrap()).collect()
}

#[test]
fn a_refused_login_waits_for_its_password() {
    let dovecot = Dovecot::start(&[("box", "global"), ("anna@isp.example", "fresh")]);
    let postfix = Postfix::start(&dovecot);
    let mut appliance = Appliance::start(&config(&postfix));

    let told = appliance.console("test smarthost ben");
    for line in [
        "account    ben has no smarthost_password: its mail goes under the global login\n",
        "name       localhost is 127.0.0.1",
        "connection 127.0.0.1 port ",
        "TLS        TLS 1.3, certificate for ",
        "greeting   220 ",
        "login      as box by ",
        "it would take mail; nothing was sent\n",
    ] {
        assert!(told.contains(line), "{line:?} in {told}");
    }
    let refused = appliance.verb("console", &["-c", "test smarthost anna"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("the smarthost refuses the login: 535 5.7.8"), "{}", refused.stderr);

    send(&appliance, "anna", &["friend@outside.example", "ben@home.example"]);
    wait_for("the refusal in the queue", || {
        appliance.console("show queue").contains("refuses the login").then_some(())
    });
    let [letter] = &inbox(&appliance, "anna")[..] else { panic!("one letter about the login") };
    assert!(letter.contains("user name:  anna@isp.example"), "{letter}");

    send(&appliance, "ben", &["friend@outside.example"]);
    let relayed = wait_for("the letter of ben", || postfix.relayed().pop());
    assert_eq!((relayed.login.as_str(), relayed.sender.as_str()), ("box", "ben@home.example"));

    appliance.kill();
    appliance.restart();
    assert!(appliance.console("show queue").contains("friend@outside.example"));

    let mut console = Command::new(binary());
    console.args(["console", "--data"]).arg(appliance.data());
    let lines = "password account.anna.smarthost_password\nfresh\nfresh\ncommit\n";
    run_with_input(&mut console, lines.as_bytes(), PATIENCE).success();
    let relayed = wait_for("the letter of anna", || {
        postfix.relayed().into_iter().find(|letter| letter.sender == "anna@home.example")
    });
    assert_eq!(relayed.login, "anna@isp.example");
    assert!(relayed.message.ends_with("\n\n..hello\n"), "{}", relayed.message);
    wait_for("an empty queue", || {
        (!appliance.console("show queue").contains("outside.example")).then_some(())
    });
    assert_eq!(postfix.relayed().len(), 2);
    assert_eq!(inbox(&appliance, "ben").len(), 1);
    assert_eq!(inbox(&appliance, "anna").len(), 1);
    appliance.stop();
}

/// Catches: a port of the other kind of TLS that is told after minutes, or in words that nobody can act on: when it is tried out,
/// and where mail waits.
#[test]
fn a_port_of_the_other_kind_is_named_within_five_seconds() {
    let dovecot = Dovecot::start(&[("box", "global")]);
    let postfix = Postfix::start(&dovecot);
    let mut appliance = Appliance::start(&config(&postfix));
    for (security, port, words) in [
        (
            "starttls",
            postfix.submissions.number,
            "the server speaks TLS where its settings expect none. Set the smarthost's security to \"tls\"",
        ),
        ("tls", postfix.submission.number, "Set the smarthost's security to \"starttls\", or its port"),
    ] {
        let mut console = Command::new(binary());
        console.args(["console", "--data"]).arg(appliance.data());
        let lines = format!("set smarthost.security {security}\nset smarthost.port {port}\ntest smarthost\n");
        let began = std::time::Instant::now();
        let tried = run_with_input(&mut console, lines.as_bytes(), PATIENCE);
        let took = began.elapsed();
        assert!(tried.stderr.contains(words), "{}{}", tried.text(), tried.stderr);
        assert!(took < std::time::Duration::from_secs(5), "{took:?}");

        let mut console = Command::new(binary());
        console.args(["console", "--data"]).arg(appliance.data());
        let lines = format!("set smarthost.security {security}\nset smarthost.port {port}\ncommit\n");
        run_with_input(&mut console, lines.as_bytes(), PATIENCE).success();
        let began = std::time::Instant::now();
        send(&appliance, "ben", &["friend@outside.example"]);
        wait_for("the words in the status", || {
            appliance.console("show status").contains(words).then_some(())
        });
        assert!(began.elapsed() < std::time::Duration::from_secs(6), "{:?}", began.elapsed());
    }
    appliance.stop();
}
