//! What the medium refused to make safe is not acknowledged, and is not there later.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::day::{OnMedium, imap};
use super::medium::Kept;
use super::recorder::Recorder;
use super::seen::{assert_whole, difference, look};
use super::support::mail::named;
use super::support::{Appliance, Connection, Imap, Scratch, Smtp};
use super::ways::{on_the_spot, through_io_uring};

/// Lets the sync of this number fail, counted from 0 and from now on, of those below `folder`; whether it has come.
fn refuse(recorder: &Recorder, folder: &'static str, number: usize, errno: Errno) -> Arc<AtomicBool> {
    let refused = Arc::new(AtomicBool::new(false));
    let (mut left, told) = (number, refused.clone());
    recorder.refuse(move |path| {
        if !path.starts_with(folder) || told.load(Ordering::SeqCst) {
            return None;
        }
        let now = left == 0;
        left = left.saturating_sub(1);
        told.store(now, Ordering::SeqCst);
        now.then(|| io::Error::from(errno))
    });
    refused
}

/// Refuses each sync that `deed` waits for, one after the other, until it waits for no more of them: what was
/// acknowledged, and how many syncs were refused.
fn acknowledged(
    on: &OnMedium,
    folder: &'static str,
    errno: Errno,
    mut deed: impl FnMut(&Appliance, &str) -> bool,
) -> (String, usize) {
    for number in 0..20 {
        let refused = refuse(&on.recorder, folder, number, errno);
        let name = format!("{folder} {number} {errno:?}");
        let mut answer = deed(&on.appliance, &name);
        // An account whose opening was refused can be read only; whether that is over is looked at once in ten seconds.
        let until = Instant::now() + Duration::from_secs(30);
        while !answer && !refused.load(Ordering::SeqCst) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(300));
            answer = deed(&on.appliance, &name);
        }
        let refused = refused.load(Ordering::SeqCst);
        on.recorder.refuse(|_| None);
        assert_eq!(answer, !refused, "{name}: refused and acknowledged, or neither");
        if answer {
            return (name, number);
        }
    }
    panic!("{folder}: no end of syncs");
}

fn append(appliance: &Appliance, name: &str, size: usize) -> bool {
    let connection = Connection::open(appliance.ports.imap.address());
    // Where the account is opened anew, that may be what fails.
    let Some(mut imap) = Imap::try_begin(connection, "anna", "pass") else { return false };
    let answer = imap.try_append("INBOX", &named(name, size)).expect("an answer to APPEND");
    answer.status.starts_with("OK")
}

fn deliver(appliance: &Appliance, name: &str) -> bool {
    let mut smtp = Smtp::new(Connection::open(appliance.ports.lan_smtp.address()));
    let message = named(name, 90_000);
    let reply = smtp.try_send("anna@home.example", &["ben@home.example"], &message);
    reply.is_some_and(|reply| reply.starts_with("250"))
}

/// The subjects of an account's messages, from what clients see.
fn subjects(appliance: &Appliance, account: &str) -> BTreeSet<String> {
    let messages = imap(appliance, account).fetch_all("INBOX").into_values();
    messages
        .filter_map(|octets| {
            let text = String::from_utf8_lossy(&octets).into_owned();
            text.lines().find_map(|line| line.strip_prefix("Subject: ").map(str::to_owned))
        })
        .collect()
}

/// Caught when tried: a negative result of io_uring, or all but EIO, and the error of fdatasync(2), taken for success;
/// `Disk::sync_dir` that keeps its errors to itself.
fn a_refused_sync_is_no_acknowledgement(recorder: Recorder) {
    let mut on = OnMedium::start(recorder);
    look(&on.appliance);
    let (mut anna, mut ben) = (BTreeSet::new(), BTreeSet::new());
    for errno in [Errno::IO, Errno::NOSPC] {
        for size in [1_000, 150_000] {
            let (name, refused) = acknowledged(&on, "accounts/anna", errno, |appliance, name| {
                append(appliance, &format!("{name} {size}"), size)
            });
            anna.insert(format!("{name} {size}"));
            assert!(refused > 0, "an APPEND without a sync");
        }
        let (name, refused) = acknowledged(&on, "accounts/ben", errno, deliver);
        ben.insert(name);
        assert!(refused > 0, "a delivery without a sync");
    }
    assert_eq!(subjects(&on.appliance, "anna"), anna);
    assert_eq!(subjects(&on.appliance, "ben"), ben);

    let seen = look(&on.appliance);
    let position = on.recorder.position();
    on.appliance.kill();
    for kept in Kept::ALL {
        let scratch = Scratch::new("cut");
        let data = scratch.join("data");
        on.recorder.at(position).leave(kept, &data);
        assert_whole(&data);
        on.appliance.restart_on(&data);
        let differs = difference(&seen, &look(&on.appliance));
        on.appliance.kill();
        assert!(differs.is_empty(), "{kept:?}:\n{differs}");
    }
}

#[test]
fn refused_through_io_uring() {
    through_io_uring(a_refused_sync_is_no_acknowledgement);
}

#[test]
fn refused_on_the_spot() {
    on_the_spot(a_refused_sync_is_no_acknowledgement);
}
