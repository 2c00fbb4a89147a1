//! Standard output and standard error that nobody takes: a full disk, a closed pipe. The daemon goes on serving, a verb
//! says in one line what it could not print, and nothing ends with a panic.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::fs::{self, File};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use support::appliance::binary;
use support::process::Outcome;
use support::{Appliance, Connection, Imap, PATIENCE, run, wait_for};

const CONFIG: &str = r#"
[server]
domains = ["home.example"]
[[account]]
name = "demo"
address = "demo@home.example"
password = "pass"
"#;

fn full() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

/// A pipe whose other end is closed already.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

/// The daemon, until dropped.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Catches a `println!` of the `ready:` line, whose panic would end the daemon after all listeners are bound.
#[test]
fn the_daemon_serves_though_nobody_takes_what_it_says() {
    for output in [full, closed] {
        let appliance = Appliance::prepare();
        let config = appliance.scratch.write("config.toml", appliance.text(CONFIG));
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", &binary(), "run", "--data"]);
        command.arg(appliance.data()).arg("--config").arg(config);
        command.env("RUST_LOG", "debug").stdin(Stdio::null()).stdout(output()).stderr(output());
        let mut daemon = Daemon(command.spawn().unwrap());

        let address = appliance.ports.imap.address();
        wait_for("the listener", || TcpStream::connect(address).ok());
        wait_for("the console", || appliance.data().join("console.sock").exists().then_some(()));
        let mut imap = Imap::login(Connection::open(address), "demo", "pass");
        imap.append("INBOX", b"Subject: hello\r\n\r\nhello\r\n");
        assert_eq!(imap.fetch_all("INBOX").len(), 1);
        assert!(appliance.console("show status").contains("sessions   1 IMAP"));

        kill_process(Pid::from_child(&daemon.0), Signal::TERM).unwrap();
        let status = wait_for("the end", || daemon.0.try_wait().unwrap());
        assert_eq!(status.code(), Some(0), "{status}");
    }
}

/// Runs `pillarbox ARGS` with a standard output of this kind.
fn verb(args: &[&str], output: Stdio) -> Outcome {
    let child =
        Command::new(binary()).args(args).stdin(Stdio::null()).stdout(output).stderr(Stdio::piped()).spawn();
    let ended = child.unwrap().wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&ended.stderr).into_owned();
    Outcome { code: ended.status.code(), stdout: ended.stdout, stderr }
}

/// Catches a verb that panics where nothing can be printed (exit code 101 or SIGABRT), one that blames the console socket
/// for it, one that takes what was cut off for a success, and one that leaves without hearing how its command ended.
#[test]
fn a_verb_whose_output_cannot_be_written_says_so() {
    let appliance = Appliance::start(CONFIG);
    let data = appliance.data();
    let data = data.to_str().unwrap();
    let (dest, config) = (appliance.scratch.join("out"), appliance.scratch.join("config.toml"));
    let verbs: [&[&str]; 10] = [
        &["--version"],
        &["help"],
        &["check", config.to_str().unwrap()],
        &["export", "--data", data],
        &["fsck", "--data", data],
        &["status", "--data", data],
        &["status", "--json", "--data", data],
        &["console", "--data", data, "-c", "show config"],
        &["mail", "export", "--data", data, "demo", dest.to_str().unwrap()],
        &["import", config.to_str().unwrap(), "--data", data],
    ];
    for args in verbs {
        let outcome = verb(args, full());
        assert_eq!(outcome.code, Some(3), "{args:?}: {outcome:?}");
        let said = "pillarbox: standard output: No space left on device (os error 28)\n";
        assert_eq!(outcome.stderr, said, "{args:?}");
    }
    // Whoever runs `… | head -1` has seen enough, which is no failure.
    for args in verbs {
        let outcome = verb(args, closed());
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{args:?}");
    }
    assert!(fs::exists(dest.join("pillarbox-export")).unwrap(), "the mail was exported all the same");
}

/// What a command did counts more than that nothing could be printed of it: a refusal keeps its words and its exit code.
#[test]
fn a_refusal_is_heard_also_where_nothing_can_be_printed() {
    let appliance = Appliance::start(CONFIG);
    let data = appliance.data();
    let outcome = verb(&["console", "--data", data.to_str().unwrap(), "-c", "remove message 7"], full());
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("message 7 is not in the queue"), "{}", outcome.stderr);
    // And where standard error is gone as well, the exit code still tells.
    let mut mute = Command::new("sh");
    mute.args(["-c", r#""$@" 2>/dev/full"#, "sh", &binary(), "console", "--data"])
        .arg(&data)
        .args(["-c", "nonsense"]);
    assert_eq!(run(&mut mute, PATIENCE).code, Some(1));
}
