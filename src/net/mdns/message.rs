//! Messages of multicast DNS (RFC 6762): what is said about one name, and what of others concerns it.

use std::borrow::Cow;
use std::net::IpAddr;

use simple_dns::rdata::{A, AAAA, NSEC, NsecTypeBitMap, RData};
use simple_dns::{CLASS, Name, OPCODE, Packet, PacketFlag, QCLASS, QTYPE, Question, ResourceRecord, TYPE};

/// The port of every message between responders; who asks from another one knows DNS only.
pub const PORT: u16 = 5353;
/// Seconds that others may believe an address (section 10).
const TTL: u32 = 120;
/// The same for a simple resolver (section 6.7).
const SHORT_TTL: u32 = 10;

/// What is sent in reply to a query.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    /// The message.
    pub octets: Vec<u8>,
    /// To who asked only, not to all.
    pub unicast: bool,
}

/// The name in the domain `local` of a host name: itself, or its first label.
pub fn local_name(hostname: &str) -> String {
    let hostname = hostname.to_ascii_lowercase();
    match hostname.strip_suffix(".local") {
        Some(name) if !name.is_empty() => hostname,
        _ => format!("{}.local", hostname.split('.').next().unwrap_or_default()),
    }
}

/// The reply of `name`, who has these addresses, to `query`, which came from the port `from`; `None` where
/// it does not ask for the name, or knows the answer.
pub fn reply(query: &[u8], from: u16, name: &str, addresses: &[IpAddr]) -> Option<Reply> {
    let query = Packet::parse(query).ok()?;
    if query.has_flags(PacketFlag::RESPONSE) || query.opcode() != OPCODE::StandardQuery {
        return None;
    }
    let asked: Vec<&Question<'_>> = query.questions.iter().filter(|it| concerns(it, name)).collect();
    let first = *asked.first()?;
    let simple = from != PORT;
    let name = Name::new(name).ok()?;
    let ttl = if simple { SHORT_TTL } else { TTL };
    let record = |data| ResourceRecord::new(name.clone(), CLASS::IN, ttl, data).with_cache_flush(!simple);
    // Section 7.1: what the other one knows for half of its time at least need not be said.
    let is_known = |record: &ResourceRecord<'_>| {
        let known = |other: &ResourceRecord<'_>| {
            is_same(&other.name, &name) && other.rdata == record.rdata && other.ttl >= TTL / 2
        };
        !simple && query.answers.iter().any(known)
    };
    let (mut answers, mut additional) = (Vec::new(), Vec::new());
    for address in addresses {
        let record = record(data(*address));
        match asked.iter().any(|question| record.match_qtype(question.qtype)) {
            true if is_known(&record) => {}
            true => answers.push(record),
            false => additional.push(record),
        }
    }
    // Section 6.1: of what there is not, nobody waits for an answer.
    let has = |question: &&&Question<'_>| {
        question.qtype == QTYPE::ANY || addresses.iter().any(|it| data(*it).type_code_is(question.qtype))
    };
    let nothing = asked.iter().find(|question| !has(question)).is_some();
    if nothing {
        answers.push(record(only(&name, addresses)));
    }
    if answers.is_empty() {
        return None;
    }
    let mut reply = Packet::new_reply(if simple { query.id() } else { 0 });
    reply.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
    if simple {
        reply.questions.push(Question { unicast_response: false, ..first.clone() });
    }
    reply.answers = answers;
    reply.additional_records = additional;
    let unicast = simple || asked.iter().all(|question| question.unicast_response);
    Some(Reply { octets: reply.build_bytes_vec().ok()?, unicast })
}

/// Says to all that `name` has these addresses (section 8.3).
pub fn announcement(name: &str, addresses: &[IpAddr]) -> Option<Vec<u8>> {
    let name = Name::new(name).ok()?;
    let mut packet = Packet::new_reply(0);
    packet.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
    packet.answers = records(&name, addresses).map(|record| record.with_cache_flush(true)).collect();
    packet.build_bytes_vec().ok()
}

/// Asks whether somebody else has `name` (section 8.1).
pub fn probe(name: &str, addresses: &[IpAddr]) -> Option<Vec<u8>> {
    let name = Name::new(name).ok()?;
    let mut packet = Packet::new_query(0);
    packet.questions.push(Question::new(name.clone(), QTYPE::ANY, CLASS::IN.into(), true));
    packet.name_servers = records(&name, addresses).collect();
    packet.build_bytes_vec().ok()
}

/// Whether a message says that `name` has an address that is none of `addresses`: somebody else is called
/// that (section 9).
pub fn is_conflict(message: &[u8], name: &str, addresses: &[IpAddr]) -> bool {
    let (Ok(packet), Ok(name)) = (Packet::parse(message), Name::new(name)) else { return false };
    let foreign = |record: &ResourceRecord<'_>| match &record.rdata {
        RData::A(_) | RData::AAAA(_) => {
            record.ttl > 0
                && is_same(&record.name, &name)
                && !addresses.iter().any(|address| data(*address) == record.rdata)
        }
        _ => false,
    };
    packet.has_flags(PacketFlag::RESPONSE) && packet.answers.iter().any(foreign)
}

/// Whether a peer has an address that only neighbours have (section 11).
pub fn is_near(peer: IpAddr) -> bool {
    match peer.to_canonical() {
        IpAddr::V4(v4) => v4.is_private() || v4.is_link_local() || v4.is_loopback(),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.is_unique_local() || v6.is_loopback(),
    }
}

fn concerns(question: &Question<'_>, name: &str) -> bool {
    let class = matches!(question.qclass, QCLASS::ANY | QCLASS::CLASS(CLASS::IN));
    class && Name::new(name).is_ok_and(|name| is_same(&question.qname, &name))
}

/// Names are the same in any case (RFC 1035 section 2.3.3).
fn is_same(one: &Name<'_>, other: &Name<'_>) -> bool {
    one.as_bytes().map(<[u8]>::to_ascii_lowercase).eq(other.as_bytes().map(<[u8]>::to_ascii_lowercase))
}

fn records<'a>(name: &Name<'a>, addresses: &[IpAddr]) -> impl Iterator<Item = ResourceRecord<'a>> {
    let record = |address: &IpAddr| ResourceRecord::new(name.clone(), CLASS::IN, TTL, data(*address));
    addresses.iter().map(record)
}

fn data<'a>(address: IpAddr) -> RData<'a> {
    match address {
        IpAddr::V4(v4) => RData::A(A { address: v4.to_bits() }),
        IpAddr::V6(v6) => RData::AAAA(AAAA { address: v6.to_bits() }),
    }
}

/// Of which types there are records: the others are not there.
fn only<'a>(name: &Name<'a>, addresses: &[IpAddr]) -> RData<'a> {
    let mut bitmap = [0_u8; 4];
    if addresses.iter().any(IpAddr::is_ipv4) {
        bitmap[0] |= 0x80 >> 1; // type 1, A
    }
    if addresses.iter().any(IpAddr::is_ipv6) {
        bitmap[3] |= 0x80 >> 4; // type 28, AAAA
    }
    let len = if bitmap[3] == 0 { 1 } else { 4 };
    let bitmap = Cow::Owned(bitmap.into_iter().take(len).collect());
    let type_bit_maps = vec![NsecTypeBitMap { window_block: 0, bitmap }];
    RData::NSEC(NSEC { next_name: name.clone(), type_bit_maps })
}

/// Whether data is of the type that a question asks for.
trait OfType {
    fn type_code_is(&self, asked: QTYPE) -> bool;
}

impl OfType for RData<'_> {
    fn type_code_is(&self, asked: QTYPE) -> bool {
        let own = match self {
            RData::A(_) => TYPE::A,
            _ => TYPE::AAAA,
        };
        asked == QTYPE::TYPE(own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "pillarbox.local";

    fn addresses() -> [IpAddr; 2] {
        ["192.168.1.5".parse().unwrap(), "fe80::5".parse().unwrap()]
    }

    fn query(name: &str, kind: QTYPE, unicast: bool) -> Packet<'_> {
        let mut packet = Packet::new_query(7);
        packet.questions.push(Question::new(Name::new(name).unwrap(), kind, CLASS::IN.into(), unicast));
        packet
    }

    /// What is answered: types of the answers, of the additional records, and whether to all.
    fn answered(packet: &Packet<'_>, from: u16, addresses: &[IpAddr]) -> Option<(String, String, bool)> {
        let reply = reply(&packet.build_bytes_vec().unwrap(), from, NAME, addresses)?;
        let packet = Packet::parse(&reply.octets).unwrap();
        let types = |records: &[ResourceRecord<'_>]| {
            let types: Vec<_> =
                records.iter().map(|record| format!("{:?}", record.rdata.type_code())).collect();
            types.join(" ")
        };
        for record in packet.answers.iter().chain(&packet.additional_records) {
            let simple = from != PORT;
            assert_eq!((record.ttl, record.cache_flush), if simple { (10, false) } else { (120, true) });
            assert_eq!(record.name.to_string(), NAME);
        }
        assert_eq!((packet.id(), packet.questions.len()), if from == PORT { (0, 0) } else { (7, 1) });
        Some((types(&packet.answers), types(&packet.additional_records), !reply.unicast))
    }

    #[test]
    fn a_host_name_has_one_in_the_domain_local() {
        for (hostname, name) in [
            ("pillarbox.local", "pillarbox.local"),
            ("Mail.Local", "mail.local"),
            ("mail.home.example", "mail.local"),
            ("mail", "mail.local"),
        ] {
            assert_eq!(local_name(hostname), name);
        }
    }

    #[test]
    fn queries_are_answered_as_they_ask() {
        let [v4, v6] = addresses();
        let (a, aaaa) = (QTYPE::TYPE(TYPE::A), QTYPE::TYPE(TYPE::AAAA));
        let told = |answers: &str, additional: &str, to_all| {
            Some((answers.to_owned(), additional.to_owned(), to_all))
        };
        for (packet, from, addresses, reply) in [
            (query(NAME, a, false), PORT, &[v4, v6][..], told("A", "AAAA", true)),
            (query("PillarBox.LOCAL", aaaa, false), PORT, &[v4, v6], told("AAAA", "A", true)),
            (query(NAME, QTYPE::ANY, false), PORT, &[v4, v6], told("A AAAA", "", true)),
            (query(NAME, a, true), PORT, &[v4], told("A", "", false)),
            (query(NAME, a, false), 40_000, &[v4], told("A", "", false)),
            // Nobody is to wait for what there is not.
            (query(NAME, aaaa, false), PORT, &[v4], told("NSEC", "A", true)),
            (query(NAME, QTYPE::TYPE(TYPE::TXT), false), PORT, &[v4, v6], told("NSEC", "A AAAA", true)),
            (query("other.local", a, false), PORT, &[v4], None),
            (query("x.pillarbox.local", a, false), PORT, &[v4], None),
        ] {
            assert_eq!(answered(&packet, from, addresses), reply, "{packet:?}");
        }
        let mut packet = query(NAME, a, false);
        packet.set_flags(PacketFlag::RESPONSE);
        assert_eq!(answered(&packet, PORT, &[v4]), None, "an answer is no query");
    }

    #[test]
    fn what_the_other_knows_is_not_said_again() {
        let [v4, v6] = addresses();
        let mut packet = query(NAME, QTYPE::ANY, false);
        packet.answers.push(ResourceRecord::new(Name::new(NAME).unwrap(), CLASS::IN, 60, data(v4)));
        assert_eq!(answered(&packet, PORT, &[v4]), None);
        assert_eq!(answered(&packet, PORT, &[v4, v6]).unwrap().0, "AAAA");
        packet.answers[0].ttl = 59;
        assert_eq!(answered(&packet, PORT, &[v4]).unwrap().0, "A");
        packet.answers[0] = ResourceRecord::new(Name::new(NAME).unwrap(), CLASS::IN, 60, data(v6));
        assert_eq!(answered(&packet, PORT, &[v4]).unwrap().0, "A");
    }

    #[test]
    fn somebody_else_of_the_same_name_is_noticed() {
        let (own, other) = (addresses(), ["192.168.1.6".parse().unwrap()]);
        let said = |name: &str, addresses: &[IpAddr]| announcement(name, addresses).unwrap();
        assert!(is_conflict(&said(NAME, &other), NAME, &own));
        assert!(is_conflict(&said("Pillarbox.local", &other), NAME, &own));
        assert!(!is_conflict(&said("other.local", &other), NAME, &own));
        assert!(!is_conflict(&said(NAME, &own), NAME, &own), "our own words come back to us");
        assert!(!is_conflict(&probe(NAME, &other).unwrap(), NAME, &own), "a question claims nothing yet");
        // Whoever probes for the name hears of us.
        let defence = reply(&probe(NAME, &other).unwrap(), PORT, NAME, &own).unwrap();
        assert!(defence.unicast && is_conflict(&defence.octets, NAME, &other));
    }

    #[test]
    fn only_neighbours_are_answered() {
        for (peer, near) in [
            ("192.168.1.9", true),
            ("169.254.3.4", true),
            ("::ffff:10.0.0.1", true),
            ("fe80::9", true),
            ("fd00::9", true),
            ("203.0.113.9", false),
            ("2001:db8::9", false),
        ] {
            assert_eq!(is_near(peer.parse().unwrap()), near, "{peer}");
        }
    }

    #[test]
    fn any_octets_are_judged_without_a_panic() {
        let mut choices = crate::flash::sim::Choices::new(1);
        let whole = probe(NAME, &addresses()).unwrap();
        for _ in 0..20_000 {
            let mut octets = whole.clone();
            for _ in 0..choices.below(6) {
                let at = choices.below(octets.len());
                octets[at] = choices.next() as u8;
            }
            octets.truncate(choices.below(octets.len() + 1));
            let _ = reply(&octets, PORT, NAME, &addresses());
            let _ = is_conflict(&octets, NAME, &addresses());
        }
    }
}
