//! The command line as `interface.md` promises it: what each verb says and how it ends.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use support::appliance::{binary, pillarbox};
use support::process::{Log, run};
use support::{Appliance, PATIENCE, Scratch, wait_for};

const GOOD: &str = r#"
[server]
hostname = "box.home.example"
domains  = ["home.example"]
[[account]]
name     = "office"
address  = "office@home.example"
aliases  = ["info@home.example"]
password = "correct horse"
pop_lan_only = true
smarthost_password = "secret one"
[[account.source]]
host     = "pop.provider.example"
username = "office@provider.example"
password = "secret two"
leave_on_server = true
delete_after = "14d"
[smarthost]
host     = "smtp.provider.example"
username = "box"
password = "secret three"
per_account_authentication = true
"#;

/// Little, but nothing to warn of.
const SMALL: &str = r#"
[server]
domains = ["home.example"]
[[account]]
name = "demo"
address = "demo@home.example"
password = "pass"
"#;

#[test]
fn version_and_help() {
    let version = pillarbox(&["--version"]).success();
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
    for args in [&["help"][..], &["--help"]] {
        let help = pillarbox(args).success();
        for verb in ["run", "check", "import", "export", "console", "status", "help"] {
            assert!(help.contains(verb), "{verb} in {help}");
        }
    }
    for verb in ["run", "check", "import", "export", "console", "status"] {
        assert!(!pillarbox(&["help", verb]).success().is_empty());
    }
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    for args in [
        &["frobnicate"][..],
        &["run", "--frobnicate"],
        &["run", "--data"],
        &["check"],
        &["import"],
        &["check", "a.toml", "b.toml"],
        &["export", "--with-secret"],
        &["console", "-c"],
    ] {
        let outcome = pillarbox(args);
        assert_eq!(outcome.code, Some(2), "{args:?}: {outcome:?}");
        assert_eq!(outcome.stderr.trim().lines().count(), 1, "{args:?}: {}", outcome.stderr);
    }
}

#[test]
fn check_says_everything_that_is_wrong_and_where() {
    let scratch = Scratch::new("check");
    let good = scratch.write("good.toml", GOOD);
    assert_eq!(pillarbox(&["check", good.to_str().unwrap()]).code, Some(0));

    let wrong = scratch.write(
        "wrong.toml",
        "[server]\nhostnam = \"x\"\nmax_connections = \"many\"\n\n[listen]\npop3 = [\"nowhere\"]\n\n[[account]]\nname = \"a\"\naddress = \"no address\"\npassword = \"x\"\n",
    );
    let outcome = pillarbox(&["check", wrong.to_str().unwrap()]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let words = outcome.text() + &outcome.stderr;
    for line in [2, 3, 6, 10] {
        assert!(words.contains(&format!("wrong.toml:{line}: ")), "line {line} in:\n{words}");
    }
}

/// Catches: a file that an editor saved in another encoding and that a card takes, but not the command; and one that an export
/// made, whose secrets are those in the folder that every other command looks at.
#[test]
fn check_reads_what_editors_write_and_knows_what_is_stored() {
    let scratch = Scratch::new("check-usual");
    let utf16 = |octets: fn(u16) -> [u8; 2]| -> Vec<u8> {
        format!("\u{feff}{GOOD}").encode_utf16().flat_map(octets).collect()
    };
    let in_folder = |words: &[&str]| {
        let mut command = Command::new(binary());
        run(command.args(words).current_dir(scratch.join(".")), PATIENCE)
    };
    for (name, content) in [("le.toml", utf16(u16::to_le_bytes)), ("be.toml", utf16(u16::to_be_bytes))] {
        scratch.write(name, content);
        in_folder(&["check", name]).success();
        in_folder(&["import", name, "--data", "other"]).success();
    }
    let shown = in_folder(&["export", "--data", "other"]).success();
    scratch.write("edited.toml", shown);
    assert_eq!(in_folder(&["check", "edited.toml"]).code, Some(1), "the secrets are nowhere");
    in_folder(&["import", "le.toml"]).success();
    in_folder(&["check", "edited.toml"]).success();
}

/// None of these may panic, hang, or be taken for a configuration.
#[test]
fn what_is_no_configuration_is_refused() {
    let scratch = Scratch::new("no-config");
    let deep = format!("x = {}{}", "[".repeat(50_000), "]".repeat(50_000));
    let long = format!("[server]\nhostname = \"{}\"\n", "x".repeat(5_000_000));
    for (name, content) in [
        ("binary", &b"\x00\x01\x02\xff\xfe"[..]),
        ("utf8", b"[server]\nhostname = \"\xff\"\n"),
        ("unclosed", b"[server\n"),
        ("deep", deep.as_bytes()),
        ("long", long.as_bytes()),
        ("twice", b"[server]\n[server]\n"),
    ] {
        let file = scratch.write(name, content);
        let outcome = pillarbox(&["check", file.to_str().unwrap()]);
        assert_eq!(outcome.code, Some(1), "{name}: {outcome:?}");
        let first = (outcome.text() + &outcome.stderr).lines().next().unwrap_or_default().to_owned();
        assert!(first.contains(name) && first.len() < 500, "{name}: {first}");
    }
    let outcome = pillarbox(&["check", scratch.join("absent").to_str().unwrap()]);
    assert_eq!(outcome.code, Some(3), "{outcome:?}");
}

#[test]
fn import_and_export_lose_nothing() {
    let scratch = Scratch::new("roundtrip");
    let file = scratch.write("good.toml", GOOD);
    let data = |name: &str| scratch.join(name).to_str().unwrap().to_owned();
    pillarbox(&["import", file.to_str().unwrap(), "--data", &data("a")]).success();
    let export = |name: &str| pillarbox(&["export", "--data", &data(name), "--with-secrets"]).success();
    let with_secrets = export("a");
    for secret in ["secret one", "secret two", "secret three", "SCRAM-SHA-256$"] {
        assert!(with_secrets.contains(secret), "{secret} in\n{with_secrets}");
    }
    assert!(!with_secrets.contains("correct horse"), "a login's password is kept");

    let exported = scratch.write("exported.toml", &with_secrets);
    pillarbox(&["import", exported.to_str().unwrap(), "--data", &data("b")]).success();
    assert_eq!(export("b"), with_secrets);
    let stored = |name: &str| fs::read(scratch.join(name).join("config.postcard")).unwrap();
    assert!(stored("a") == stored("b"), "the stored configurations differ");

    let shown = pillarbox(&["export", "--data", &data("a")]).success();
    for secret in ["secret one", "secret two", "secret three", "SCRAM-SHA-256$"] {
        assert!(!shown.contains(secret), "{secret} in\n{shown}");
    }
    // Without secrets it is an edit of the stored one, whose secrets stay.
    let edited = scratch.write("edited.toml", &shown);
    pillarbox(&["import", edited.to_str().unwrap(), "--data", &data("a")]).success();
    assert_eq!(export("a"), with_secrets);
}

#[test]
fn a_wrong_import_changes_nothing() {
    let scratch = Scratch::new("wrong-import");
    let data = scratch.join("data");
    let data = data.to_str().unwrap();
    let good = scratch.write("good.toml", GOOD);
    pillarbox(&["import", good.to_str().unwrap(), "--data", data]).success();
    let before = fs::read(scratch.join("data/config.postcard")).unwrap();
    let wrong = scratch.write("wrong.toml", "[server]\nhostnam = 1\n");
    assert_eq!(pillarbox(&["import", wrong.to_str().unwrap(), "--data", data]).code, Some(1));
    assert!(fs::read(scratch.join("data/config.postcard")).unwrap() == before);
}

/// A file that fails its checksum is left aside, and the previous one is used, loudly.
#[test]
fn a_damaged_configuration_gives_way_to_the_previous_one() {
    let scratch = Scratch::new("damaged");
    let data = scratch.join("data");
    let data = data.to_str().unwrap();
    for hostname in ["first.example", "second.example"] {
        let file = scratch
            .write("box.toml", SMALL.replace("domains", &format!("hostname = \"{hostname}\"\ndomains")));
        pillarbox(&["import", file.to_str().unwrap(), "--data", data]).success();
    }
    let stored = scratch.join("data/config.postcard");
    let mut octets = fs::read(&stored).unwrap();
    let middle = octets.len() / 2;
    octets[middle] ^= 0x40;
    fs::write(&stored, octets).unwrap();
    let outcome = pillarbox(&["export", "--data", data]);
    assert!(outcome.stderr.contains("config.postcard"), "{outcome:?}");
    assert!(outcome.success().contains("first.example"));

    fs::write(scratch.join("data/config.postcard"), "garbage").unwrap();
    fs::write(scratch.join("data/config.postcard.prev"), "garbage").unwrap();
    for verb in ["export", "run"] {
        let outcome = pillarbox(&[verb, "--data", data]);
        assert!(matches!(outcome.code, Some(1 | 3)), "{verb}: {outcome:?}");
        assert!(outcome.stderr.contains("config.postcard"), "{verb}: {outcome:?}");
    }
}

/// One line, exit code 3, and no backtrace, whatever the system refuses.
#[test]
fn what_the_system_refuses_is_told_in_one_line() {
    let scratch = Scratch::new("refused");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let only_pop3 = |addresses: &str| {
        format!(
            "{SMALL}[listen]\npop3 = [{addresses}]\npop3s = []\nimap = []\nimaps = []\nsubmission = []\n\
             submissions = []\nhttp = []\nhttps = []\n"
        )
    };
    scratch.write("file", "not a folder");
    scratch.write("taken.toml", only_pop3(&format!("\"{address}\"")));
    scratch.write("silent.toml", only_pop3(""));
    for (args, words) in [
        ("run --data file/data", "file/data"),
        ("run --data a --config taken.toml", address.as_str()),
        ("run --data b --config nowhere.toml", "nowhere.toml"),
        ("run --data b --config .", "it is a folder: name a file"),
        ("run --data file", "there is a file of that name"),
        ("run --data c --config silent.toml --serial /dev/null", "/dev/null"),
        ("import silent.toml --data file/data", "file/data"),
    ] {
        let mut command = Command::new(binary());
        command.args(args.split(' ')).current_dir(scratch.path()).env("RUST_LOG", "error");
        let outcome = run(&mut command, PATIENCE);
        assert_eq!(outcome.code, Some(3), "{args}: {outcome:?}");
        assert!(outcome.stderr.contains(words), "{args}: {}", outcome.stderr);
        assert_eq!(outcome.stderr.trim().lines().count(), 1, "{args}: {}", outcome.stderr);
    }
    scratch.write("wrong.toml", "[server]\nx = 1\n");
    for args in
        ["run --data b --config wrong.toml", "import wrong.toml --data b", "import nowhere.toml --data b"]
    {
        let mut command = Command::new(binary());
        let outcome = run(command.args(args.split(' ')).current_dir(scratch.path()), PATIENCE);
        assert!(matches!(outcome.code, Some(1 | 3)), "{args}: {outcome:?}");
    }
    assert!(!scratch.path().join("b").exists(), "a data folder for settings that are not there, or wrong");
}

#[test]
fn one_data_folder_has_one_appliance() {
    let appliance = Appliance::start(SMALL);
    let outcome = appliance.verb("run", &[]);
    assert_eq!(outcome.code, Some(3), "{outcome:?}");
    assert!(outcome.stderr.contains("data folder"), "{outcome:?}");
    // The first one has not suffered.
    assert!(appliance.console("show status").contains("up "));
}

#[test]
fn the_ready_line_names_every_listener() {
    let appliance = Appliance::start(SMALL);
    let ready = appliance.log.find("ready:").unwrap();
    for (service, address) in appliance.ports.all() {
        assert!(ready.contains(&format!("{service} {address}")), "{service} in {ready}");
    }
}

#[test]
fn secrets_are_for_the_owner_only() {
    let appliance = Appliance::start(SMALL);
    let mode = |path: &Path| {
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).unwrap().permissions()) & 0o777
    };
    assert_eq!(mode(&appliance.data()), 0o700);
    for file in ["config.postcard", "console.sock", "tls/ca.key", "tls/key.pem"] {
        let path = appliance.data().join(file);
        if path.exists() {
            assert_eq!(mode(&path), 0o600, "{file}");
        }
    }
}

/// `make run`: the demonstration, with its own fixed ports; in a network of its own where the system lets us, so that a
/// demonstration that runs already is not in the way.
#[test]
fn the_demonstration_starts_without_a_file() {
    let scratch = Scratch::new("demo");
    let start = || {
        let own_network = "unshare --map-root-user --net -- sh -c";
        let possible =
            run(Command::new("sh").args(["-c", &format!("{own_network} 'ip link set lo up'")]), PATIENCE);
        let script = r#"ip link set lo up 2>/dev/null; exec "$0" run --data "$1""#;
        let mut command = if possible.code == Some(0) { Command::new("unshare") } else { Command::new("sh") };
        if possible.code == Some(0) {
            command.args(["--map-root-user", "--net", "--", "sh"]);
        }
        command.args(["-c", script, &binary()]).arg(scratch.join("data"));
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = Log::default();
        log.follow(child.stdout.take().unwrap());
        log.follow(child.stderr.take().unwrap());
        wait_for("the demonstration", || {
            assert!(child.try_wait().unwrap().is_none(), "it ended: {:?}", log.lines());
            log.find("ready:")
        });
        child.kill().unwrap();
        child.wait().unwrap();
        log
    };
    let first = start().find("demo login: demo ").expect("the login");
    let password = first.rsplit(' ').next().unwrap();
    assert!(password.len() >= 12, "{first}");
    let second = start();
    assert!(second.find(password).is_none(), "printed again: {:?}", second.lines());
    assert!(
        second.find("demo login: demo").is_some_and(|line| line.contains("console")),
        "{:?}",
        second.lines()
    );
}
