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
