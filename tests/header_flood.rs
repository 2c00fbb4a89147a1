//! A device that never ends the header of its message: it is refused, and takes no memory.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use support::{Appliance, Connection, proc};

/// Fields of the header. 2,500,000 of them once took 268 MiB.
const FIELDS: usize = 300_000;
/// What they may take, in octets of memory.
const GROWTH: u64 = 4 << 20;

/// Says `line`, if any, and expects a reply of `code`.
#[track_caller]
fn dialog(device: &mut Connection, line: &str, code: &str) -> String {
    device.send(line);
    let reply = device.line();
    assert!(reply.starts_with(code), "{line} {reply}");
    reply
}

/// Catches: a header that is kept until its end, whatever its length, by whoever is in the LAN and needs no login: its lines
/// alone took 16 MiB.
#[test]
fn a_header_without_end_is_refused_and_takes_no_memory() {
    let appliance = Appliance::start(
        "[server]\ndomains = [\"home.example\"]\nmax_message_size = \"64MiB\"\n\
         [[account]]\nname = \"anna\"\naddress = \"anna@home.example\"\npassword = \"pass\"\n",
    );
    let mut device = Connection::open(appliance.ports.lan_smtp.address());
    dialog(&mut device, "", "220 ");
    dialog(&mut device, "HELO printer\r\n", "250 ");
    let begin = |device: &mut Connection| {
        dialog(device, "MAIL FROM:<printer@home.example>\r\n", "250 ");
        dialog(device, "RCPT TO:<anna@home.example>\r\n", "250 ");
        dialog(device, "DATA\r\n", "354 ");
    };
    begin(&mut device);
    let pid = appliance.pid();
    let before = proc::resident(pid);
    proc::reset_peak(pid);
    let fields = "Sender: printer@home.example\r\n".repeat(1000);
    for _ in 0..FIELDS / 1000 {
        device.send(&fields);
    }
    device.send(".\r\n");
    let reply = device.line();
    let growth = proc::peak(pid).saturating_sub(before);
    assert!(growth < GROWTH, "{} KiB for {FIELDS} fields", growth >> 10);
    assert!(
        reply.starts_with("554 5.6.0 ") && reply.contains("fields"),
        "it says what would be right: {reply}"
    );

    begin(&mut device);
    dialog(&mut device, "Subject: a scan\r\n\r\n.\r\n", "250 ");
}
