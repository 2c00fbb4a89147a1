//! What the appliance may do, and what it may no longer do.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::process::Command;

use pillarbox::sandbox;
use support::mail::named;
use support::{Appliance, Connection, Imap, Scratch, Smtp, wait_for};

/// In a thread of its own, since what it gives up is gone for good; the sandbox is inherited by threads and processes.
fn confined(deed: impl FnOnce() + Send + 'static) {
    std::thread::spawn(deed).join().unwrap();
}

#[test]
fn no_program_can_be_started_and_the_rest_goes_on() {
    if fs::read_to_string("/proc/self/status").unwrap().lines().all(|line| !line.starts_with("Seccomp:")) {
        println!("this kernel has no seccomp: nothing to see");
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
        assert!(fs::read_to_string("/etc/passwd").is_ok());
        match fs::read_to_string(&other) {
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::PermissionDenied);
                assert_eq!(
                    fs::write("/etc/pillarbox-was-here", "").unwrap_err().kind(),
                    ErrorKind::PermissionDenied
                );
                assert_eq!(fs::remove_file(&other).unwrap_err().kind(), ErrorKind::PermissionDenied);
            }
            Ok(_) => println!("this kernel has no Landlock: nothing to see"),
        }
    });
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
