//! The switches of the account page on the running appliance: in force at once for new logins, and sessions that lost
//! their right are told so and ended.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::process::Command;

use support::appliance::binary;
use support::process::run_with_input;
use support::{Appliance, Connection, Imap, PATIENCE, Pop3, Smtp, wait_for};

/// 127.0.0.1 is not on this LAN.
const CONFIG: &str = r#"
[server]
domains = ["home.example"]
lan = ["10.0.0.0/8"]
connector = true
[[account]]
name = "demo"
address = "demo@home.example"
password = "pass"
[[account]]
name = "anna"
address = "anna@home.example"
password = "pass"
"#;

/// One session of each service, logged in.
struct Sessions {
    pop3: Pop3,
    imap: Imap,
    submission: Smtp,
}

impl Sessions {
    fn of(appliance: &Appliance, name: &str) -> Sessions {
        let open = |port: &support::Port| Connection::open(port.address());
        Sessions {
            pop3: Pop3::login(open(&appliance.ports.pop3), name, "pass"),
            imap: Imap::login(open(&appliance.ports.imap), name, "pass"),
            submission: Smtp::login(open(&appliance.ports.submission), name, "pass"),
        }
    }
    #[track_caller]
    fn go_on(&mut self) {
        assert!(self.pop3.command("NOOP").starts_with("+OK"));
        self.imap.command("NOOP").ok();
        assert!(self.submission.command("NOOP").starts_with("250"));
    }
}

/// The server's last line, which it says without being asked.
#[track_caller]
fn goodbye(connection: &mut Connection, expected: &str) {
    let said = String::from_utf8(wait_for("the goodbye", || connection.try_line())).unwrap();
    assert!(said.starts_with(expected), "{said:?}, not {expected:?}");
    assert!(connection.rest().is_empty());
}

/// What each service answers to the right password now.
fn verdicts(appliance: &Appliance) -> [bool; 3] {
    let open = |port: &support::Port| Connection::open(port.address());
    let pop3 = Pop3::new(open(&appliance.ports.pop3)).try_login("demo", "pass");
    let imap = Imap::new(open(&appliance.ports.imap)).try_login("demo", "pass").status;
    let submission = Smtp::new(open(&appliance.ports.submission)).try_login("demo", "pass");
    for (said, ok, refused) in [
        (&pop3, "+OK", "-ERR [AUTH]"),
        (&imap, "OK", "NO [AUTHENTICATIONFAILED]"),
        (&submission, "235", "535 5.7.8"),
    ] {
        assert!(said.starts_with(ok) || said.starts_with(refused), "{said}");
    }
    [pop3.starts_with('+'), imap.starts_with("OK"), submission.starts_with('2')]
}

/// Sets a switch of demo's on the console.
fn set(appliance: &Appliance, switch: &str, value: bool) {
    let lines = format!("set account.demo.{switch} {value}\ncommit\n");
    let mut console = Command::new(binary());
    console.args(["console", "--data"]).arg(appliance.data());
    let outcome = run_with_input(&mut console, lines.as_bytes(), PATIENCE);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
}

const POP3: &str = "-ERR [SYS/PERM] ";
const IMAP: &str = "* BYE ";
const SUBMISSION: &str = "421 4.7.0 ";

#[test]
fn each_switch_of_an_account_works_at_once() {
    let appliance = Appliance::start(CONFIG);
    let mut others = Sessions::of(&appliance, "anna");
    let set = |switch: &str, value: bool| set(&appliance, switch, value);
    for (switch, stops, allowed) in [
        ("enabled", false, [false, false, false]),
        ("pop", false, [false, true, true]),
        ("pop_lan_only", true, [false, true, true]),
        ("imap", false, [true, false, true]),
        ("imap_lan_only", true, [true, false, true]),
    ] {
        let mut sessions = Sessions::of(&appliance, "demo");
        sessions.imap.send(b"IDLE").unwrap();
        assert!(sessions.imap.connection.line().starts_with('+'));
        set(switch, stops);
        assert_eq!(verdicts(&appliance), allowed, "{switch} = {stops}");
        let [pop3, imap, submission] = allowed;
        if pop3 {
            assert!(sessions.pop3.command("NOOP").starts_with("+OK"), "{switch}");
        } else {
            goodbye(&mut sessions.pop3.0, POP3);
        }
        if !imap {
            goodbye(&mut sessions.imap.connection, IMAP);
        }
        if submission {
            assert!(sessions.submission.command("NOOP").starts_with("250"), "{switch}");
        } else {
            goodbye(&mut sessions.submission.0, SUBMISSION);
        }
        set(switch, !stops);
        assert_eq!(verdicts(&appliance), [true; 3], "{switch} = {}", !stops);
    }
    others.go_on();
}

#[test]
fn an_import_without_the_account_ends_its_sessions() {
    let appliance = Appliance::start(CONFIG);
    let (mut gone, mut others) = (Sessions::of(&appliance, "demo"), Sessions::of(&appliance, "anna"));
    let (head, tables) = CONFIG.split_once("[[account]]").unwrap();
    let (_, anna) = tables.split_once("[[account]]").unwrap();
    let without = appliance.text(&format!("{head}[[account]]{anna}"));
    let file = appliance.scratch.write("without.toml", without);
    appliance.verb("import", &[file.to_str().unwrap()]).success();
    goodbye(&mut gone.pop3.0, POP3);
    goodbye(&mut gone.imap.connection, IMAP);
    goodbye(&mut gone.submission.0, SUBMISSION);
    assert_eq!(verdicts(&appliance), [false; 3]);
    others.go_on();
}

/// Names itself as a Connector client; the tagged answer, or the goodbye.
fn names_itself(imap: &mut Imap) -> String {
    imap.connection.send("c ID (\"name\" \"MDAEMON Connector 20\")\r\n");
    loop {
        let line = imap.connection.line();
        if line.starts_with("c ") || line.starts_with("* BYE") {
            return line;
        }
    }
}

#[test]
fn the_right_to_connector_clients_works_at_once() {
    let mut appliance = Appliance::start(CONFIG);
    let open =
        |appliance: &Appliance| Imap::login(Connection::open(appliance.ports.imap.address()), "demo", "pass");
    let reason = "* BYE This account may not use Connector clients";
    let mut refused = open(&appliance);
    assert!(names_itself(&mut refused).starts_with(reason));
    assert!(refused.connection.rest().is_empty());

    set(&appliance, "connector", true);
    let (mut client, mut mail) = (open(&appliance), open(&appliance));
    assert!(names_itself(&mut client).starts_with("c OK"));
    let kind = "GETMETADATA Calendar /shared/vendor/kolab/folder-type";
    assert!(client.command(kind).text().contains("\"event.default\""));
    assert!(client.command("LIST \"\" *").text().contains("Calendar"));
    assert!(!mail.command("LIST \"\" *").text().contains("Calendar"), "mail programs do not see it");

    set(&appliance, "connector", false);
    goodbye(&mut client.connection, reason);
    mail.command("NOOP").ok();

    // What was made outlives a power cut and the right.
    appliance.kill();
    appliance.restart();
    let mut mail = open(&appliance);
    assert!(mail.command(kind).text().contains("\"event.default\""));
}

/// Whether the connection is over, after `expected` as its last words.
#[track_caller]
fn gave_way(connection: &mut Connection, expected: &str) {
    let rest = String::from_utf8(connection.rest()).unwrap();
    assert!(rest.is_empty() || rest.ends_with(expected), "{rest:?}");
}

/// Catches: a server that does not count at accept; half-done handshakes and silent connections that keep others out;
/// sessions from outside that lock out the LAN.
#[test]
fn there_is_room_for_who_is_at_home_and_for_who_logs_in() {
    let config =
        CONFIG.replace("[server]", "[server]\nmax_connections = 4").replace("10.0.0.0/8", "127.0.0.1/32");
    let appliance = Appliance::start(&config);
    let outside =
        |host: u8, port: &support::Port| Connection::open_from([127, 0, 0, host].into(), port.address());
    let at_home = || Imap::new(Connection::open(appliance.ports.imap.address()));
    let mut handshake = outside(2, &appliance.ports.imaps);
    handshake.send([22, 3, 1]);
    let mut silent = outside(3, &appliance.ports.submission);
    assert!(silent.line().starts_with("220 "));
    let mut known = Pop3::login(outside(4, &appliance.ports.pop3), "demo", "pass");
    let mut home = at_home();
    home.try_login("demo", "pass").ok();

    let mut late = Pop3::new(outside(5, &appliance.ports.pop3));
    gave_way(&mut handshake, "");
    let mut second = at_home();
    second.try_login("demo", "pass").ok();
    gave_way(&mut silent, "421 4.3.2 Too many connections, try again later\r\n");
    let mut third = at_home();
    gave_way(&mut late.0, "-ERR [SYS/TEMP] Too many connections, try again later\r\n");
    third.try_login("demo", "pass").ok();

    let mut refused = Connection::open(appliance.ports.imap.address());
    assert!(refused.line().starts_with("* BYE too many connections") && refused.rest().is_empty());
    assert!(known.command("NOOP").starts_with("+OK"));
    for session in [&mut home, &mut second, &mut third] {
        session.command("NOOP").ok();
    }
    drop(home);
    wait_for("a free place", || at_home().try_login("demo", "pass").status.starts_with("OK").then_some(()));
}

/// Catches: a lost phone that goes on reading mail after its password was removed, and others that end with it.
#[test]
fn sessions_end_with_the_password_that_they_came_by() {
    let appliance = Appliance::start(CONFIG);
    let console = |lines: &str| {
        let mut console = Command::new(binary());
        console.args(["console", "--data"]).arg(appliance.data());
        let outcome = run_with_input(&mut console, lines.as_bytes(), PATIENCE);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        outcome.text()
    };
    let made = console("add app-password demo phone\nadd app-password demo desk\ncommit\n");
    let passwords: Vec<_> = made.lines().filter_map(|line| line.strip_prefix("the password is ")).collect();
    let passwords: Vec<_> = passwords.iter().filter_map(|line| line.split(':').next()).collect();
    let open = |port: &support::Port| Connection::open(port.address());
    let log_in = |password: &str| Sessions {
        pop3: Pop3::login(open(&appliance.ports.pop3), "demo", password),
        imap: Imap::login(open(&appliance.ports.imap), "demo", password),
        submission: Smtp::login(open(&appliance.ports.submission), "demo", password),
    };
    let (mut own, mut phone, mut desk) = (log_in("pass"), log_in(passwords[0]), log_in(passwords[1]));
    console("set account.demo.app_password.2.services imap\ncommit\n");
    goodbye(&mut desk.pop3.0, POP3);
    goodbye(&mut desk.submission.0, SUBMISSION);
    desk.imap.command("NOOP").ok();
    console("remove app-password demo phone\ncommit\n");
    goodbye(&mut phone.pop3.0, POP3);
    goodbye(&mut phone.imap.connection, IMAP);
    goodbye(&mut phone.submission.0, SUBMISSION);
    own.go_on();
    console("password demo\nopen sesame\nopen sesame\ncommit\n");
    goodbye(&mut own.pop3.0, POP3);
    goodbye(&mut own.imap.connection, IMAP);
    goodbye(&mut own.submission.0, SUBMISSION);
    desk.imap.command("NOOP").ok();
}
