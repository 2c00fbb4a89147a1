//! What neighbours send to the group of multicast DNS, from its port and from others. A reply fits a packet.

use std::net::IpAddr;

use crate::net::mdns::{is_conflict, reply};

const NAME: &str = "pillarbox.local";

/// One input.
pub fn run(octets: &[u8]) {
    let octets = octets.get(..1500).unwrap_or(octets);
    let addresses: [IpAddr; 2] = [[192, 168, 1, 5].into(), [0xfe80, 0, 0, 0, 0, 0, 0, 5].into()];
    let question =
        [&b"\0\x07\0\0\0\x03\0\x05\0\0\0\0\x09pillarbox\x05local\0\0\xff\0\x01"[..], octets].concat();
    let response = [&b"\0\0\x84\0\0\0\0\x05\0\0\0\0\x09pillarbox\x05local\0"[..], octets].concat();
    for packet in [octets, &question, &response] {
        let _ = is_conflict(packet, NAME, &addresses);
        for port in [5353, 1024] {
            if let Some(reply) = reply(packet, port, NAME, &addresses) {
                assert!(reply.octets.len() <= 1500, "{} octets", reply.octets.len());
                assert!(!is_conflict(&reply.octets, NAME, &addresses), "a conflict with ourselves");
            }
        }
    }
}
