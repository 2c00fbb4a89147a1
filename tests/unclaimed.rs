//! Accounts that are removed, made anew and renamed: whose their mail is, with the real binary.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::fs;
use std::process::Command;

use support::appliance::binary;
use support::mail::named;
use support::process::run;
use support::{Appliance, Connection, Imap, PATIENCE, Pop3, Smtp, wait_for};

const CONFIG: &str = r#"
[server]
domains = ["home.example"]
[[account]]
name = "office"
address = "office@home.example"
password = "pass"
[[account]]
name = "anna"
address = "anna@home.example"
password = "pass"
"#;

/// Without the account `office`.
const WITHOUT: &str = r#"
[server]
domains = ["home.example"]
[[account]]
name = "anna"
address = "anna@home.example"
password = "pass"
"#;

fn imap(appliance: &Appliance, name: &str, password: &str) -> Imap {
    Imap::login(Connection::open(appliance.ports.imap.address()), name, password)
}

fn console(appliance: &Appliance, commands: &[&str]) -> String {
    let arguments: Vec<&str> = commands.iter().flat_map(|command| ["-c", command]).collect();
    appliance.verb("console", &arguments).success()
}

fn refused(appliance: &Appliance, commands: &[&str]) -> String {
    let arguments: Vec<&str> = commands.iter().flat_map(|command| ["-c", command]).collect();
    let outcome = appliance.verb("console", &arguments);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    outcome.stderr
}

fn import(appliance: &Appliance, text: &str) {
    let file = appliance.scratch.write("other.toml", appliance.text(text));
    appliance.verb("import", &[file.to_str().unwrap()]).success();
}

/// How many messages a mailbox has.
fn messages(appliance: &Appliance, name: &str, mailbox: &str) -> usize {
    imap(appliance, name, "pass").fetch_all(mailbox).len()
}

/// The name by which the mail of `office` is called, of which there is one.
fn handle(appliance: &Appliance) -> String {
    let shown = console(appliance, &["show unclaimed"]);
    let line = shown.lines().find(|line| line.starts_with("office~")).expect("it is listed");
    line.split(' ').next().unwrap().to_owned()
}

fn folders(appliance: &Appliance) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(appliance.data().join("accounts"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Catches: mail of a removed account that one of its name can read, by the console or an import, at once or after a restart;
/// mail that is not listed, not given whole, or twice.
#[test]
fn a_removed_accounts_mail_is_nobodys_until_it_is_claimed() {
    let mut appliance = Appliance::start(CONFIG);
    let mut office = imap(&appliance, "office", "pass");
    office.append("INBOX", &named("m1", 3000));
    office.command("CREATE work/2024").ok();
    office.append("work/2024", &named("large", 200_000));
    office.command("SELECT work/2024").ok();
    office.command("STORE 1 +FLAGS (\\Flagged important)").ok();
    assert_eq!(console(&appliance, &["show unclaimed"]), "no removed account has left mail\n");

    console(&appliance, &["remove account office", "commit"]);
    assert!(wait_for("the goodbye", || office.connection.try_line()).starts_with(b"* BYE"));
    let shown = console(&appliance, &["show unclaimed"]);
    let row: Vec<&str> = shown.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[1], "2", "{shown}");
    assert!(shown.contains("KiB"), "{shown}");
    let status = console(&appliance, &["show status"]);
    assert!(status.contains("unclaimed  mail of 1 removed account: see `show unclaimed`"), "{status}");
    assert!(appliance.verb("status", &["--json"]).success().contains("\"unclaimed\":1,"));

    // The same name again, by an import.
    import(&appliance, CONFIG);
    assert_eq!(messages(&appliance, "office", "INBOX"), 0);
    let mut new = imap(&appliance, "office", "pass");
    assert!(!new.command("STATUS work/2024 (MESSAGES)").status.starts_with("OK"));
    new.append("INBOX", &named("new", 100));
    drop(new);
    appliance.stop();
    appliance.restart();
    assert_eq!(messages(&appliance, "office", "INBOX"), 1);

    // It goes out as files, by a name that no account has.
    let left = handle(&appliance);
    let out = appliance.scratch.join("out");
    let mut command = Command::new(binary());
    command.args(["mail", "export", &left]).arg(&out).arg("--data").arg(appliance.data());
    let said = run(&mut command, PATIENCE).success();
    assert!(said.contains("2 new"), "{said}");
    assert!(refused(&appliance, &["claim office~ffffffffffff anna"]).contains("it is one of office~"));
    assert!(refused(&appliance, &["claim office nobody"]).contains("no such account"));

    // Somebody else gets a tree of it, and what was there stays.
    imap(&appliance, "anna", "pass").append("INBOX", &named("own", 50));
    let said = console(&appliance, &[&format!("claim {left} anna")]);
    assert!(said.contains("given to anna, below the mailbox office: 2 messages"), "{said}");
    assert_eq!(messages(&appliance, "anna", "INBOX"), 1);
    assert_eq!(messages(&appliance, "anna", "office/INBOX"), 1);
    let mut anna = imap(&appliance, "anna", "pass");
    anna.command("SELECT office/work/2024").ok();
    let fetched = anna.command("FETCH 1 (FLAGS RFC822.SIZE)").text();
    assert!(fetched.contains("\\Flagged") && fetched.contains("important"), "{fetched}");
    assert_eq!(console(&appliance, &["show unclaimed"]), "no removed account has left mail\n");
    assert_eq!(folders(&appliance), ["anna", "office"]);
    assert!(!console(&appliance, &["show status"]).contains("unclaimed"));
    assert!(appliance.verb("fsck", &[]).success().contains("nothing is damaged"));
}

/// Catches: an account of the same name that does not get all back as it was; a second removal that hides the first; mail that
/// is deleted though another was named, and room that is kept.
#[test]
fn one_name_may_leave_mail_several_times() {
    let appliance = Appliance::start(CONFIG);
    let mut office = imap(&appliance, "office", "pass");
    office.command("CREATE work").ok();
    office.append("work", &named("m1", 3000));
    drop(office);
    for n in 0..2 {
        import(&appliance, WITHOUT);
        import(&appliance, CONFIG);
        imap(&appliance, "office", "pass").append("INBOX", &named(&format!("n{n}"), 100));
    }
    let shown = console(&appliance, &["show unclaimed"]);
    assert_eq!(shown.lines().filter(|line| line.starts_with("office~")).count(), 2, "{shown}");
    assert!(refused(&appliance, &["remove unclaimed office"]).contains("there are several: name one of"));
    // The newer one has a message in the INBOX; both have one.
    let handles: Vec<&str> = shown.lines().filter(|line| line.starts_with("office~")).collect();
    let handles: Vec<&str> = handles.iter().map(|line| line.split(' ').next().unwrap()).collect();
    import(&appliance, WITHOUT);
    import(&appliance, CONFIG);
    // A third one; the account is new and empty, and takes over one as it was.
    for handle in handles {
        console(&appliance, &[&format!("claim {handle} office")]);
    }
    assert_eq!(messages(&appliance, "office", "work"), 1);
    assert_eq!(messages(&appliance, "office", "INBOX"), 1);
    let left = handle(&appliance);
    let said = console(&appliance, &[&format!("remove unclaimed {left}")]);
    assert!(said.contains("its mail is deleted"), "{said}");
    assert_eq!(folders(&appliance), ["office"]);
    assert_eq!(fs::read_dir(appliance.data().join("gone")).unwrap().count(), 0);
}

/// Catches: sessions, mail or passwords that a rename takes away, an old name that still opens, and a next start that finds
/// nothing.
#[test]
fn a_renamed_account_goes_on() {
    let mut appliance = Appliance::start(CONFIG);
    let mut session = imap(&appliance, "office", "pass");
    session.append("INBOX", &named("m1", 3000));
    session.command("SELECT INBOX").ok();
    let mut pop3 = Pop3::login(Connection::open(appliance.ports.pop3.address()), "office", "pass");
    let mut smtp = Smtp::login(Connection::open(appliance.ports.submission.address()), "office", "pass");
    let said = console(
        &appliance,
        &["add app-password office phone", "rename account office shop", "show changes", "commit"],
    );
    assert!(said.contains("shop or office@home.example is what to log in as"), "{said}");

    session.command("NOOP").ok();
    session.append("INBOX", &named("m2", 100));
    assert!(pop3.command("NOOP").starts_with("+OK"));
    smtp.send("office@home.example", &["anna@home.example"], &named("sent", 100));
    let shown = console(&appliance, &["show sessions"]);
    assert!(shown.contains("shop") && !shown.contains(" office "), "{shown}");
    assert_eq!(messages(&appliance, "shop", "INBOX"), 2);
    assert_eq!(messages(&appliance, "office@home.example", "INBOX"), 2);
    let mut old = Imap::new(Connection::open(appliance.ports.imap.address()));
    assert!(old.try_login("office", "pass").status.starts_with("NO [AUTHENTICATIONFAILED]"));
    assert_eq!(console(&appliance, &["show unclaimed"]), "no removed account has left mail\n");
    assert!(appliance.verb("export", &[]).success().contains("name = \"phone\""));

    // Killed with the folder still under its old name.
    appliance.kill();
    appliance.restart();
    assert_eq!(messages(&appliance, "shop", "INBOX"), 2);
    assert_eq!(folders(&appliance), ["anna", "shop"]);
    // The old name is free, for somebody who finds nothing.
    console(&appliance, &["rename account anna office", "commit"]);
    assert_eq!(messages(&appliance, "office", "INBOX"), 1);
    assert!(
        refused(&appliance, &["rename account office shop"]).contains("there is such an account already")
    );
    assert!(refused(&appliance, &["rename account office No-Good"]).contains("is not a name"));
}
