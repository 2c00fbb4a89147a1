//! What neighbours send to the group of multicast DNS, from its port and from others. A reply fits a packet, and is no conflict with
//! ourselves.

use std::net::IpAddr;
use std::time::Duration;

use crate::net::mdns::{Service, Stage, Zone, has_precedence, is_conflict, parsed, reply};

const NAME: &str = "pillarbox.local";
const SERVICES: [Service; 2] = [
    Service { kind: "imaps", port: 993, is_mail: true },
    Service { kind: "https", port: 443, is_mail: false },
];

/// One input.
pub fn run(octets: &[u8]) {
    let octets = octets.get(..1500).unwrap_or(octets);
    let addresses: [IpAddr; 2] = [[192, 168, 1, 5].into(), [0xfe80, 0, 0, 0, 0, 0, 0, 5].into()];
    let Some(zone) = Zone::new(NAME, &addresses, &SERVICES) else { return };
    let names = zone.names();
    let question =
        [&b"\0\x07\0\0\0\x03\0\x05\0\0\0\0\x09pillarbox\x05local\0\0\xff\0\x01"[..], octets].concat();
    let response = [&b"\0\0\x84\0\0\0\0\x05\0\0\0\0\x09pillarbox\x05local\0"[..], octets].concat();
    let probe =
        [&b"\0\0\0\0\0\x01\0\0\0\x01\0\0\x09pillarbox\x05local\0\0\xff\0\x01\xc0\x0c"[..], octets].concat();
    for mut packet in [octets.to_vec(), question, response, probe] {
        let Some(packet) = parsed(&mut packet) else { continue };
        for stage in [Stage::Probing, Stage::Announced] {
            let _ = is_conflict(&packet, &names, &zone, stage);
        }
        let _ = has_precedence(&packet, &names, &zone);
        let more = [packet.clone()];
        for (port, more, since) in [(5353, &more[..], 0), (5353, &[], 3600), (1024, &[], 0)] {
            let since = |_| Some(Duration::from_secs(since));
            if let Some(mut reply) = reply(&packet, more, port, &zone, since) {
                assert!(reply.octets.len() <= 1452, "{} octets", reply.octets.len());
                let Some(reply) = parsed(&mut reply.octets) else { panic!("a reply that nobody reads") };
                assert!(!reply.answers.is_empty());
                for stage in [Stage::Probing, Stage::Announced] {
                    assert!(!is_conflict(&reply, &names, &zone, stage), "a conflict with ourselves");
                }
            }
        }
    }
}
