//! What the appliance may do, and what it may no longer do.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use pillarbox::sandbox;
use support::appliance::binary;
use support::mail::named;
use support::process::run_with_input;
use support::{Appliance, Connection, Imap, PATIENCE, Port, Scratch, Smtp, allowed_to_skip, wait_for};

/// In a thread of its own, since what it gives up is gone for good; the sandbox is inherited by threads and processes.
fn confined(deed: impl FnOnce() + Send + 'static) {
    std::thread::spawn(deed).join().unwrap();
}

#[test]
fn no_program_can_be_started_and_the_rest_goes_on() {
    if fs::read_to_string("/proc/self/status").unwrap().lines().all(|line| !line.starts_with("Seccomp:")) {
        assert!(allowed_to_skip("seccomp"), "this kernel has no seccomp");
        return;
    }
    confined(|| {
        assert!(Command::new("/bin/true").status().unwrap().success());
        sandbox::system_calls();
        let error = Command::new("/bin/true").status().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        TcpListener::bind("127.0.0.1:0").unwrap();
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        assert!(status.contains("NoNewPrivs:\t1") && status.contains("Seccomp:\t2"), "{status}");
    });
}

#[test]
fn files_elsewhere_are_out_of_reach() {
    let scratch = Scratch::new("sandbox");
    let (data, other) = (scratch.join("data"), scratch.write("other", "secret"));
    fs::create_dir(&data).unwrap();
    confined(move || {
        sandbox::files([], [data.clone()]);
        fs::write(data.join("mail"), "mail").unwrap();
        fs::rename(data.join("mail"), data.join("letter")).unwrap();
        let symbolic_link = std::os::unix::fs::symlink("/etc/shadow", data.join("link"));
        assert!(fs::read_to_string("/etc/passwd").is_ok());
        match fs::read_to_string(&other) {
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::PermissionDenied);
                assert_eq!(
                    fs::write("/etc/pillarbox-was-here", "").unwrap_err().kind(),
                    ErrorKind::PermissionDenied
                );
                assert_eq!(fs::remove_file(&other).unwrap_err().kind(), ErrorKind::PermissionDenied);
                // Who has taken over the daemon must not lead root elsewhere, who looks into the data folder at the next start.
                assert_eq!(symbolic_link.unwrap_err().kind(), ErrorKind::PermissionDenied);
            }
            Ok(_) => assert!(allowed_to_skip("landlock"), "this kernel has no Landlock"),
        }
    });
}

/// Catches: each line of the filter of system calls that lets too much through, and each that the appliance needs and does
/// not get. The binary gives up what `run` gives up, and then tries it all from inside.
#[test]
fn what_is_forbidden_cannot_be_done_from_inside() {
    let scratch = Scratch::new("attempts");
    let (data, run) = (scratch.join("data"), scratch.join("run"));
    for folder in [&data, &run] {
        fs::create_dir(folder).unwrap();
    }
    for board in [false, true] {
        let mut command = Command::new(binary());
        command.arg("attempt").arg("--data").arg(&data);
        if board {
            command.arg("--board").arg(&run);
        }
        let said = String::from_utf8(command.output().unwrap().stdout).unwrap();
        assert!(said.lines().count() > 30, "{said}");
        for line in said.lines() {
            let is_allowed = line.starts_with("allowed: ") || (line.starts_with("board: ") && !board);
            assert_eq!(line.ends_with(": done"), is_allowed, "{line}");
            // Refused by the sandbox, not for want of what was asked for.
            assert!(is_allowed || line.contains("(os error 1)") || line.contains("(os error 13)"), "{line}");
        }
        assert!(!data.join("link").exists() && !data.join("device").exists());
    }
}

/// Catches: a process whose memory, with all passwords that pass through it, ends in a core file or can be read by others of
/// its user.
#[test]
fn its_memory_stays_with_it() {
    let appliance = Appliance::start("[server]\ndomains = [\"home.example\"]\n");
    let of = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", appliance.pid())).unwrap();
    let limits = of("limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");
    // What may not be dumped is root's, whoever runs it.
    let owner = fs::metadata(format!("/proc/{}/mem", appliance.pid())).unwrap().uid();
    assert_eq!(owner, 0);
}

/// Catches: a daemon that stays root without need, one that cannot read what an earlier start as root has left, and one that
/// gives away what a link in the data folder leads to.
#[test]
fn started_as_root_it_becomes_the_owner_of_the_data_folder() {
    if !rustix::process::geteuid().is_root() {
        assert!(allowed_to_skip("root"), "only root can become somebody else: run the tests as root");
        return;
    }
    const NOBODY: u32 = 65534;
    let mut appliance = Appliance::start(
        "[server]\ndomains = [\"home.example\"]\n[[account]]\nname = \"demo\"\naddress = \"demo@home.example\"\npassword = \"pass\"\n",
    );
    wait_for("the warning", || appliance.log.find("runs as root, since the data folder is root's"));
    appliance.stop();
    let data = appliance.data();
    let other = appliance.scratch.write("other", "root's");
    std::os::unix::fs::symlink(&other, data.join("link")).unwrap();
    fs::hard_link(&other, data.join("again")).unwrap();
    // The folder above is open for its owner only.
    std::os::unix::fs::chown(appliance.scratch.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    std::os::unix::fs::chown(&data, Some(NOBODY), Some(NOBODY)).unwrap();
    appliance.restart();

    let status = fs::read_to_string(format!("/proc/{}/status", appliance.pid())).unwrap();
    let line =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    for ids in ["Uid:", "Gid:"] {
        assert_eq!(line(ids), [NOBODY; 4].map(|id| id.to_string()).join("\t"), "{status}");
    }
    assert_eq!(line("Groups:"), "");
    // CAP_NET_BIND_SERVICE: mail has its ports below 1024.
    for set in ["CapPrm:", "CapEff:"] {
        assert_eq!(u64::from_str_radix(&line(set), 16).unwrap(), 1 << 10, "{status}");
    }
    let imaps = Connection::open_tls(appliance.ports.imaps.address(), &appliance.ca());
    Imap::login(imaps, "demo", "pass");
    assert_eq!(fs::metadata(&other).unwrap().uid(), 0);
    appliance.stop();
}

#[test]
fn on_a_board_it_serves_within_the_sandbox_and_feeds_the_watchdog() {
    let run = Scratch::new("run");
    let watchdog = run.write("watchdog", "");
    let mut appliance = Appliance::start_with(
        "[server]\ndomains = [\"home.example\"]\n[[account]]\nname = \"demo\"\naddress = \"demo@home.example\"\npassword = \"pass\"\n",
        &["--board", run.path().to_str().unwrap()],
    );
    let printer = Connection::open(appliance.ports.lan_smtp.address());
    Smtp::new(printer).send("demo@home.example", &["demo@home.example"], &named("scan", 200_000));
    let imaps = Connection::open_tls(appliance.ports.imaps.address(), &appliance.ca());
    assert_eq!(Imap::login(imaps, "demo", "pass").fetch_all("INBOX").len(), 1);

    let status = fs::read_to_string(format!("/proc/{}/status", appliance.pid())).unwrap();
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    wait_for("food for the watchdog", || (!fs::read(&watchdog).unwrap().is_empty()).then_some(()));
    appliance.stop();
    assert_eq!(fs::read(&watchdog).unwrap().last(), Some(&b'V'), "an orderly end disarms it");
}

/// Catches: a device that reaches any port at home when it is taken over; settings with a new port that are refused, lost, or
/// said to be in force; a smarthost on a usual port that waits for a restart.
#[test]
fn a_device_takes_a_new_port_at_its_next_start() {
    let mut appliance = Appliance::prepare();
    let run = Scratch::new("run");
    let file =
        appliance.scratch.write("config.toml", appliance.text("[server]\ndomains = [\"home.example\"]\n"));
    appliance.verb("import", &[file.to_str().unwrap()]).success();
    let start = ["--board", run.path().to_str().unwrap()];
    appliance.restart_with(&start);
    let other = Port::reserve();
    let typed = |appliance: &Appliance, lines: &str| {
        let mut console = Command::new(binary());
        console.args(["console", "--data"]).arg(appliance.data());
        run_with_input(&mut console, lines.as_bytes(), PATIENCE).success()
    };
    let usual = typed(&appliance, "set smarthost.host localhost\nset smarthost.port 465\ncommit\nquit\n");
    assert!(usual.contains("in force\n"), "{usual}");
    let said = typed(&appliance, &format!("set listen.imap {}\ncommit\nquit\n", other.address()));
    let limited = said.contains("in force, but for ports that mail does not usually have");
    let status = appliance.verb("status", &[]).success();
    if limited {
        assert!(status.contains("a device opens a new port at its next start"), "{status}");
    } else {
        assert!(allowed_to_skip("landlock-ports"), "this kernel's Landlock does not limit ports: {said}");
    }
    appliance.stop();
    appliance.restart_with(&start);
    let status = appliance.verb("status", &[]).success();
    assert!(!status.contains("next start") && status.contains(&other.address().to_string()), "{status}");
    Connection::open(other.address());
}
