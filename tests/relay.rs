//! The way out, with Postfix as the smarthost: a login that it refuses makes mail wait, through a power cut, until
//! the operator sets the password anew; meanwhile the mail of others goes on. And the operator's hand on what waits.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::fs::File;
use std::io::Write;
use std::process::Command;
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use support::appliance::binary;
use support::process::{Log, Outcome, run, run_with_input};
use support::{Appliance, Connection, Dovecot, PATIENCE, Pop3, Port, Postfix, Smarthost, Smtp, wait_for};

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

/// With a smarthost that needs no login.
fn plain(port: u16) -> String {
    format!(
        r#"
[server]
domains = ["home.example"]
[smarthost]
host = "127.0.0.1"
port = {port}
security = "none"
[[account]]
name = "anna"
address = "anna@home.example"
password = "anna's own"
[[account]]
name = "ben"
address = "ben@home.example"
password = "ben's own"
"#
    )
}

/// `pillarbox queue …`.
fn queue(appliance: &Appliance, words: &[&str]) -> Outcome {
    run(Command::new(binary()).arg("queue").args(words).arg("--data").arg(appliance.data()), PATIENCE)
}

/// What stands in the first column of the line of `queue list` that has `part` in it.
fn number(list: &str, part: &str) -> String {
    let line =
        list.lines().find(|line| line.contains(part)).unwrap_or_else(|| panic!("{part} is not in {list}"));
    line.split(' ').next().unwrap().to_owned()
}

/// Catches: an operator who does not see what waits and whose it is, a hold that a restart ends, one that others are held by, a sender who
/// is not told of a removal, and a queue that nobody sees while no appliance runs.
#[test]
fn the_operator_has_a_hand_on_what_waits() {
    let nowhere = Port::reserve();
    let mut appliance = Appliance::start(&plain(nowhere.number));
    send(&appliance, "anna", &["first@outside.example"]);
    send(&appliance, "anna", &["second@outside.example"]);
    send(&appliance, "ben", &["third@outside.example"]);
    let list = queue(&appliance, &["list"]).success();
    let [first, second, third] = ["first@", "second@", "third@"].map(|part| number(&list, part));
    assert!(
        list.lines().any(|line| line.contains(" ben ") && line.contains("third@outside.example")),
        "{list}"
    );

    // A message on its way is left alone: then once more.
    wait_for("the hold", || (queue(&appliance, &["hold", "account", "anna"]).code == Some(0)).then_some(()));
    wait_for("both held", || {
        let list = queue(&appliance, &["list"]).success();
        if list.matches("held: `queue release`").count() == 2 {
            return Some(());
        }
        queue(&appliance, &["hold", "account", "anna"]);
        None
    });
    let shown = queue(&appliance, &["show", &first]).success();
    for part in [
        "sent by    anna\n",
        "to         first@outside.example: waiting",
        "held by the operator",
        "Subject: from anna\n",
    ] {
        assert!(shown.contains(part), "{part} is missing in {shown}");
    }
    for (words, code, said) in [
        (&["hold", "account", "nobody"][..], 1, "no account `nobody`"),
        (&["hold", "x"], 1, "a number from `show queue`"),
        (&["show", "99"], 1, "message 99 is not in the queue"),
        (&["remove", "99", "notify"], 1, "message 99 is not in the queue"),
        (&["hold", &first], 1, "is held already"),
        (&["flush", &first], 1, "queue release"),
        (&["hold", "1 2"], 2, "neither a number nor"),
        (&["hold"], 2, "usage: pillarbox queue hold"),
    ] {
        let outcome = queue(&appliance, words);
        assert!(outcome.code == Some(code) && outcome.stderr.contains(said), "{words:?}: {outcome:?}");
    }

    appliance.kill();
    let list = queue(&appliance, &["list"]).success();
    assert_eq!(list.matches("held: `queue release`").count(), 2, "{list}");
    assert!(
        queue(&appliance, &["show", &second])
            .success()
            .contains("to         second@outside.example: waiting")
    );
    assert_eq!(queue(&appliance, &["show", "99"]).code, Some(1));
    let refused = queue(&appliance, &["release", "all"]);
    assert!(refused.code == Some(3) && refused.stderr.contains("no appliance is running"), "{refused:?}");

    appliance.restart();
    let smarthost = Smarthost::start(None, Duration::ZERO);
    let text = appliance.text(&plain(smarthost.address().port()));
    let file = appliance.scratch.write("next.toml", text);
    appliance.verb("import", &[file.to_str().unwrap()]).success();
    let came = || smarthost.letters().iter().map(|letter| letter.to.concat()).collect::<Vec<_>>();
    wait_for("the letter of ben", || (came() == ["third@outside.example"]).then_some(()));
    assert!(queue(&appliance, &["list"]).success().contains("second@outside.example"));
    assert_eq!(queue(&appliance, &["show", &third]).code, Some(1), "it is gone");
    assert_eq!(
        queue(&appliance, &["release", &first]).success(),
        "1 message is held no longer, and tried at once\n"
    );
    wait_for("the first one", || (came().len() == 2).then_some(()));
    assert_eq!(came()[1], "first@outside.example");

    let told = queue(&appliance, &["remove", &second, "notify"]).success();
    assert_eq!(told, "1 message is removed, and the senders are told\n");
    let [report] = &inbox(&appliance, "anna")[..] else { panic!("one report") };
    assert!(
        report.contains(
            "Final-Recipient: rfc822; second@outside.example\r\nAction: failed\r\nStatus: 5.7.0\r\n"
        ),
        "{report}"
    );
    assert_eq!(queue(&appliance, &["list"]).success(), "the queue is empty\n");
    assert_eq!(queue(&appliance, &["flush"]).success(), "there is nothing to try\n");
    appliance.stop();
}

/// Catches: all mail of everybody that is gone after a slip of the hand, and a script that is asked.
#[test]
fn on_a_terminal_all_goes_only_after_a_yes() {
    let nowhere = Port::reserve();
    let appliance = Appliance::start(&plain(nowhere.number));
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let device = ptsname(&controller, Vec::new()).unwrap().into_string().unwrap();
    let terminal = File::options().read(true).write(true).open(device).unwrap();
    let mut keys = File::from(controller);
    let screen = Log::default();
    screen.follow(keys.try_clone().unwrap());
    let waiting = || queue(&appliance, &["list"]).success().matches("@outside.example").count();
    for (answer, left) in [("no", 1), ("yes", 0)] {
        if waiting() == 0 {
            send(&appliance, "ben", &["friend@outside.example"]);
        }
        // One that is on its way stays: then once more.
        wait_for("the end", || {
            let mut child = Command::new(binary())
                .args(["queue", "remove", "all", "--data"])
                .arg(appliance.data())
                .stdin(terminal.try_clone().unwrap())
                .stdout(terminal.try_clone().unwrap())
                .stderr(terminal.try_clone().unwrap())
                .spawn()
                .unwrap();
            // The answer ends the line of the question.
            keys.write_all(format!("{answer}\n").as_bytes()).unwrap();
            let code = wait_for("the end", || child.try_wait().unwrap()).code();
            assert_eq!(code, Some(if answer == "yes" { 0 } else { 1 }), "{:?}", screen.lines());
            wait_for("the question", || screen.find("type yes to do it"));
            (waiting() == left).then_some(())
        });
    }
    send(&appliance, "ben", &["friend@outside.example"]);
    wait_for("an empty queue", || {
        queue(&appliance, &["remove", "all"]).success();
        (waiting() == 0).then_some(())
    });
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
