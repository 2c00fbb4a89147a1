//! The operator's console, on the unix socket and on a serial line, with the real binary.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::fs::File;
use std::io::Write;
use std::process::Command;
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustls::pki_types::pem::PemObject;
use support::appliance::binary;
use support::process::{Log, run_with_input};
use support::provider::Provider;
use support::{Appliance, Connection, Imap, PATIENCE, Pop3, wait_for};

const CONFIG: &str = r#"
[server]
domains = ["home.example"]
lan = ["10.0.0.0/8"]
[[account]]
name = "demo"
address = "demo@home.example"
password = "pass"
"#;

/// Commands on the standard input of `pillarbox console`: its exit code and what it said.
fn script(appliance: &Appliance, lines: &str) -> (Option<i32>, String) {
    let mut command = Command::new(binary());
    command.args(["console", "--data"]).arg(appliance.data());
    let outcome = run_with_input(&mut command, lines.as_bytes(), PATIENCE);
    (outcome.code, outcome.text() + &outcome.stderr)
}

fn imap(appliance: &Appliance) -> Imap {
    Imap::new(Connection::open(appliance.ports.imap.address()))
}

#[test]
fn an_account_is_made_while_others_read_their_mail() {
    let appliance = Appliance::start(CONFIG);
    let mut session = imap(&appliance);
    session.try_login("demo", "pass").ok();
    session.command("SELECT INBOX").ok();

    let made =
        script(&appliance, "add account anna\npassword anna\nopen sesame\nopen sesame\ncheck\ncommit\n");
    assert_eq!(made.0, Some(0), "{}", made.1);
    imap(&appliance).try_login("anna", "open sesame").ok();
    session.command("NOOP").ok();

    let stored = appliance.verb("export", &[]).success();
    assert!(stored.contains("anna@home.example"), "{stored}");
}

#[test]
fn a_session_ends_with_its_right() {
    let appliance = Appliance::start(CONFIG);
    let mut session = imap(&appliance);
    session.try_login("demo", "pass").ok();
    let mut pop3 = Pop3::login(Connection::open(appliance.ports.pop3.address()), "demo", "pass");

    // 127.0.0.1 is not on this LAN.
    let changed = script(&appliance, "set account.demo.imap_lan_only true\ncommit\n");
    assert_eq!(changed.0, Some(0), "{}", changed.1);
    let goodbye = wait_for("the goodbye", || session.connection.try_line());
    assert!(goodbye.starts_with(b"* BYE"), "{:?}", String::from_utf8_lossy(&goodbye));
    assert!(session.connection.rest().is_empty());
    assert!(imap(&appliance).try_login("demo", "pass").status.starts_with("NO [AUTHENTICATIONFAILED]"));
    assert!(pop3.command("NOOP").starts_with("+OK"), "POP3 has kept its right");
}

#[test]
fn a_refused_command_ends_a_script_with_1() {
    let appliance = Appliance::start(CONFIG);
    for (lines, words) in [
        ("frobnicate\n", "no command"),
        ("set server.hostname new.example\n", "commit"),
        ("set server.max_connections many\ncommit\n", "max_connections"),
        ("set listen.pop3 127.0.0.1:1\nset listen.imap 192.0.2.1:143\ncommit\n", "192.0.2.1:143"),
    ] {
        let (code, said) = script(&appliance, lines);
        assert_eq!(code, Some(1), "{lines}: {said}");
        assert!(said.contains(words), "{lines}: {said}");
    }
    // The failed commit has left everything as it was.
    imap(&appliance).try_login("demo", "pass").ok();
    let outcome = appliance.verb("console", &["-c", "frobnicate"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(appliance.console("show config server.hostname").contains("pillarbox.local"));
}

#[test]
fn an_import_reaches_the_running_appliance() {
    let appliance = Appliance::start(CONFIG);
    let mut session = imap(&appliance);
    session.try_login("demo", "pass").ok();
    let more = CONFIG.to_owned()
        + "[[account]]\nname = \"anna\"\naddress = \"anna@home.example\"\npassword = \"sesame\"\n";
    let file = appliance.scratch.write("more.toml", appliance.text(&more));
    appliance.verb("import", &[file.to_str().unwrap()]).success();
    imap(&appliance).try_login("anna", "sesame").ok();
    session.command("NOOP").ok();
}

#[test]
fn a_pasted_configuration_is_put_in_force() {
    let appliance = Appliance::start(CONFIG);
    let text = appliance.text(&CONFIG.replace("\"pass\"", "\"another\""));
    let (code, said) = script(&appliance, &format!("import\n{text}\n.\ncommit\n"));
    assert_eq!(code, Some(0), "{said}");
    imap(&appliance).try_login("demo", "another").ok();
}

/// Catches: a second `-c` that is refused, or done though the first was.
#[test]
fn several_commands_are_done_one_after_the_other() {
    let appliance = Appliance::start(CONFIG);
    let run = |commands: &[&str]| {
        let words: Vec<&str> = commands.iter().flat_map(|command| ["-c", command]).collect();
        appliance.verb("console", &words)
    };
    let said = run(&["set account.demo.pop false", "sh ch", "com"]).success();
    assert_eq!(said, "account.demo.pop: true -> false\nin force\n");
    assert_eq!(appliance.console("show config account.demo.pop"), "account.demo.pop = false\n");
    let refused = run(&["set account.dmeo.pop true", "set account.demo.pop true", "commit"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("no such account: did you mean account.demo.pop?"), "{refused:?}");
    assert_eq!(appliance.console("show config account.demo.pop"), "account.demo.pop = false\n");
}

/// Catches: a console that ends without a word, and as if all were well, when the appliance stops.
#[test]
fn an_operator_sees_that_the_appliance_has_stopped() {
    for stops in [true, false] {
        let mut appliance = Appliance::start(CONFIG);
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let device = ptsname(&controller, Vec::new()).unwrap().into_string().unwrap();
        let terminal = File::options().read(true).write(true).open(device).unwrap();
        let mut keys = File::from(controller);
        let (screen, errors) = (Log::default(), Log::default());
        screen.follow(keys.try_clone().unwrap());
        let mut console = Command::new(binary())
            .args(["console", "--data"])
            .arg(appliance.data())
            .stdin(terminal.try_clone().unwrap())
            .stdout(terminal)
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        errors.follow(console.stderr.take().unwrap());
        keys.write_all(b"sh acc\ts\r").unwrap();
        wait_for("the accounts", || screen.find("demo@home.example"));
        if stops {
            appliance.stop()
        } else {
            keys.write_all(b"exit\r").unwrap()
        }
        let code = console.wait().unwrap().code();
        assert_eq!(code, Some(if stops { 3 } else { 0 }));
        if stops {
            wait_for("a word", || errors.find("the appliance has stopped"));
        }
    }
}

#[test]
fn without_an_appliance_the_console_says_so() {
    let appliance = Appliance::prepare();
    for verb in ["console", "status"] {
        let outcome = appliance.verb(verb, if verb == "console" { &["-c", "show status"] } else { &[] });
        assert_eq!(outcome.code, Some(3), "{outcome:?}");
        assert!(outcome.stderr.contains("pillarbox run"), "{outcome:?}");
    }
}

/// Catches: a test that collects, or whose lines do not reach the one who asked, or that "succeeds" where a step failed.
#[test]
fn a_source_is_tried_out_before_it_is_in_force() {
    let provider = Provider::start(None, Duration::ZERO);
    provider.add("me", "1", b"Subject: hello\r\n\r\nhello\r\n".to_vec());
    let port = provider.address().port();
    let source = format!(
        "[[account.source]]\nhost = \"127.0.0.1\"\nport = {port}\nsecurity = \"none\"\nusername = \"me\"\npassword = \"secret\"\n"
    );
    let appliance = Appliance::start(&format!("{CONFIG}{source}"));
    let tried = appliance.verb("console", &["-c", "test source demo"]);
    let told = tried.success();
    assert!(told.contains("login      as me by USER\nmailbox    INBOX: 1 message, 25 octets\n"), "{told}");
    assert!(told.ends_with("nothing was collected, changed or noted\n"), "{told}");
    assert_eq!(provider.listing("me").len(), 1);
    let (code, told) = script(
        &appliance,
        "set account.demo.source.1.host nobody.invalid\ntest source account.demo.source.1\n",
    );
    assert_eq!(code, Some(1));
    assert!(told.contains("the address of nobody.invalid cannot be found"), "{told}");
}

#[test]
fn status_in_words_and_as_json() {
    let appliance = Appliance::start(CONFIG);
    let words = appliance.verb("status", &[]).success();
    assert!(words.contains("sessions") && words.contains("listening"), "{words}");
    let json = appliance.verb("status", &["--json"]).success();
    assert!(json.starts_with('{') && json.trim_end().ends_with('}'), "{json}");
    assert!(json.contains("\"sessions\":{\"pop3\":0,\"imap\":0,\"submission\":0}"), "{json}");
}

/// The keys of an operator on a serial line, tried over a pseudo-terminal.
#[test]
fn the_appliance_is_set_up_over_a_serial_line() {
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let device = ptsname(&controller, Vec::new()).unwrap().into_string().unwrap();
    let appliance = Appliance::start_with(CONFIG, &["--serial", &device]);
    let mut keys = File::from(controller);
    let screen = Log::default();
    screen.follow(keys.try_clone().unwrap());

    for line in [
        "help",
        "add acc\tanna",
        "password anna",
        "open sesame",
        "open sesame",
        "set account.anna.pop_lan_only tru\x7f\x7f\x7ftrue",
        "commit",
        "show accounts",
        "quit",
    ] {
        keys.write_all(line.as_bytes()).unwrap();
        keys.write_all(b"\r").unwrap();
    }
    wait_for("the commit", || screen.find("in force"));
    wait_for("the list", || screen.lines().iter().find(|line| line.contains("anna@home.example")).cloned());
    assert!(screen.find("sesame").is_none(), "the password was shown: {:?}", screen.lines());
    imap(&appliance).try_login("anna", "open sesame").ok();
    // After `quit` the next operator is greeted.
    wait_for("the second greeting", || {
        (screen.lines().iter().filter(|line| line.contains("`help` lists")).count() == 2).then_some(())
    });
}

/// With the password `let me in` for the operator.
fn locked() -> String {
    CONFIG.replace("[server]", "[server]\noperator_password = \"let me in\"")
}

/// Catches: a serial line that lets anybody in, one that shows what is typed, and a password that opens it for ever.
#[test]
fn a_serial_line_asks_for_the_operator_s_password() {
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let device = ptsname(&controller, Vec::new()).unwrap().into_string().unwrap();
    let appliance = Appliance::start_with(&locked(), &["--serial", &device]);
    let mut keys = File::from(controller);
    let screen = Log::default();
    screen.follow(keys.try_clone().unwrap());
    // Who was warned by a browser compares this, and is not logged in.
    let ca = std::fs::read(appliance.data().join("tls/ca.pem")).unwrap();
    let ca = rustls::pki_types::CertificateDer::from_pem_slice(&ca).unwrap();
    let octets = ring::digest::digest(&ring::digest::SHA256, &ca);
    let lines = octets
        .as_ref()
        .chunks(16)
        .map(|half| half.iter().map(|octet| format!("{octet:02X}")).collect::<Vec<_>>().join(":"));
    for line in lines {
        wait_for("the fingerprint", || screen.find(&line));
    }
    keys.write_all(b"show accounts\r").unwrap();
    wait_for("the refusal", || screen.find("that is not the operator's password"));
    keys.write_all(b"let me in\rshow accounts\rquit\r").unwrap();
    wait_for("the list", || screen.find("demo@home.example"));
    assert!(screen.find("let me in").is_none(), "{:?}", screen.lines());
    wait_for("the next greeting", || {
        (screen.lines().iter().filter(|line| line.contains("`help` lists")).count() == 2).then_some(())
    });
    let lists = |lines: &[String]| lines.iter().filter(|line| line.contains("demo@home.example")).count();
    keys.write_all(b"show accounts\r").unwrap();
    wait_for("the second refusal", || {
        (screen.lines().iter().filter(|line| line.contains("that is not")).count() == 2).then_some(())
    });
    assert_eq!(lists(&screen.lines()), 1);
}

/// Catches: a socket that lets scripts in without the password, or takes the wrong line for it; and one that keeps out
/// who only looks, or brings a configuration that is stored already.
#[test]
fn the_socket_asks_for_the_operator_s_password() {
    let appliance = Appliance::start(&locked());
    for (input, code, words) in [
        ("", Some(1), "password is wanted"),
        ("show accounts\n", Some(1), "not the operator's password"),
        ("let me in \n", Some(1), "not the operator's password"),
        ("let me in\nshow accounts\n", Some(0), "demo@home.example"),
    ] {
        let (ended, said) = script(&appliance, input);
        assert!(ended == code && said.contains(words), "{input}: {said}");
        assert_eq!(said.contains("demo@home.example"), code == Some(0), "{input}: {said}");
    }
    let one = |input: &str| {
        let mut console = Command::new(binary());
        console.args(["console", "--data"]).arg(appliance.data()).args(["-c", "show accounts"]);
        run_with_input(&mut console, input.as_bytes(), PATIENCE)
    };
    assert!(one("let me in\n").success().contains("demo@home.example"));
    assert_eq!(one("").code, Some(1));
    // By hand, without the client.
    let mut socket = std::os::unix::net::UnixStream::connect(appliance.data().join("console.sock")).unwrap();
    socket.write_all(b"script\nshow accounts\n").unwrap();
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    let mut said = String::new();
    std::io::Read::read_to_string(&mut socket, &mut said).unwrap();
    assert_eq!(said, "\0-the operator's password is wanted");
    assert!(appliance.verb("status", &[]).success().contains("listening"));
    let file = appliance.scratch.write("next.toml", appliance.text(&locked()));
    appliance.verb("import", &[file.to_str().unwrap()]).success();
}

/// Catches: an operator who does not see who is there, and a number that ends another session or none.
#[test]
fn an_operator_sees_the_sessions_and_ends_one() {
    let appliance = Appliance::start(CONFIG);
    let mut kept = imap(&appliance);
    kept.try_login("demo", "pass").ok();
    let mut ended = Pop3::login(Connection::open(appliance.ports.pop3.address()), "demo", "pass");
    let shown = appliance.console("show sessions");
    let line = shown.lines().find(|line| line.contains("pop3")).unwrap_or_else(|| panic!("{shown}"));
    assert!(line.contains("demo") && line.contains("127.0.0.1") && line.contains(" ago"), "{line}");
    let number = line.split_whitespace().next().unwrap();
    appliance.console(&format!("disconnect {number}"));
    let goodbye = wait_for("the goodbye", || ended.0.try_line());
    assert!(goodbye.starts_with(b"-ERR "), "{:?}", String::from_utf8_lossy(&goodbye));
    assert!(ended.0.rest().is_empty());
    kept.command("NOOP").ok();
    assert!(!appliance.console("show sessions").contains("pop3"));
    assert_eq!(appliance.verb("console", &["-c", "disconnect 99"]).code, Some(1));
}

/// `pillarbox console` on a terminal: raw while it runs, as before afterwards.
#[test]
fn the_console_gives_the_terminal_back_as_it_was() {
    let appliance = Appliance::start(CONFIG);
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let device = ptsname(&controller, Vec::new()).unwrap().into_string().unwrap();
    let terminal = File::options().read(true).write(true).open(device).unwrap();
    let settings = || format!("{:?}", rustix::termios::tcgetattr(&terminal).unwrap().local_modes);
    let before = settings();
    let mut child = Command::new(binary())
        .args(["console", "--data"])
        .arg(appliance.data())
        .stdin(terminal.try_clone().unwrap())
        .stdout(terminal.try_clone().unwrap())
        .spawn()
        .unwrap();
    let mut keys = File::from(controller);
    let screen = Log::default();
    screen.follow(keys.try_clone().unwrap());
    wait_for("the greeting", || screen.find("`help` lists"));
    assert_ne!(settings(), before, "the terminal is not raw");
    // Control-D at a question gives up: it is no empty password, and no password `quit`.
    keys.write_all(b"password demo\r\x04show status\rquit\r").unwrap();
    let status = wait_for("the end", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    wait_for("the answer", || screen.find("sessions"));
    assert!(screen.find("once more").is_none(), "{:?}", screen.lines());
    assert_eq!(settings(), before);
}
