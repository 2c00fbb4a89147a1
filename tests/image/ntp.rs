//! A time server (RFC 5905) that tells this machine's time. The board asks on port 123, which no test may choose.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds from 1900, where NTP begins, to 1970.
const ERA: u64 = 2_208_988_800;

/// Serves until the test's process ends, unless this machine has a server of its own.
///
/// # Panics
/// Port 123 is not ours to bind.
pub fn serve() {
    let socket = match UdpSocket::bind("127.0.0.1:123") {
        Err(error) if error.kind() == ErrorKind::AddrInUse => return,
        socket => socket.expect("port 123, for the board's NTP: run as root"),
    };
    std::thread::spawn(move || {
        let mut request = [0; 48];
        while let Ok((n, client)) = socket.recv_from(&mut request) {
            if n < 48 {
                continue;
            }
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            let seconds = (now.as_secs() + ERA) as u32;
            let fraction = ((u64::from(now.subsec_nanos()) << 32) / 1_000_000_000) as u32;
            let time = [seconds.to_be_bytes(), fraction.to_be_bytes()].concat();
            let mut reply = [0; 48];
            // No warning, version 4, server; stratum 1; poll and precision.
            reply[..4].copy_from_slice(&[0x24, 1, 6, 0xec]);
            reply[12..16].copy_from_slice(b"LOCL");
            reply[16..24].copy_from_slice(&time);
            // Its own transmit time comes back as the originate time.
            reply[24..32].copy_from_slice(&request[40..48]);
            reply[32..40].copy_from_slice(&time);
            reply[40..48].copy_from_slice(&time);
            let _ = socket.send_to(&reply, client);
        }
    });
}
