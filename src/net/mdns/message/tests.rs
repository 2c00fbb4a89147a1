//! Which messages are sent in which case.

use simple_dns::TYPE;
use simple_dns::rdata::{A, SRV, TXT};

use super::super::zone::Service;
use super::*;

const NAME: &str = "pillarbox.local";
const INSTANCE: &str = "pillarbox._imaps._tcp.local";
const KIND: &str = "_imaps._tcp.local";
const IMAPS: Service = Service { kind: "imaps", port: 993, is_mail: true };
const HTTPS: Service = Service { kind: "https", port: 443, is_mail: false };

/// Parses a message that we made ourselves.
fn read(octets: &[u8]) -> Option<Packet<'_>> {
    Packet::parse(octets).ok()
}

fn addresses() -> [IpAddr; 2] {
    ["192.168.1.5".parse().unwrap(), "fe80::5".parse().unwrap()]
}

fn zone(addresses: &[IpAddr]) -> Zone {
    Zone::new(NAME, addresses, &[IMAPS, HTTPS]).unwrap()
}

fn query(name: &str, kind: TYPE, unicast: bool) -> Packet<'_> {
    let kind = if kind == TYPE::Unknown(255) { QTYPE::ANY } else { QTYPE::TYPE(kind) };
    let mut packet = Packet::new_query(7);
    packet.questions.push(Question::new(Name::new(name).unwrap(), kind, CLASS::IN.into(), unicast));
    packet
}

const ANY: TYPE = TYPE::Unknown(255);

fn record<'a>(name: &'a str, ttl: u32, data: RData<'a>) -> ResourceRecord<'a> {
    ResourceRecord::new(Name::new(name).unwrap(), CLASS::IN, ttl, data)
}

fn a(last: u8) -> RData<'static> {
    RData::A(A { address: u32::from_be_bytes([192, 168, 1, last]) })
}

/// Everything was multicast an hour ago.
fn long_ago(_: usize) -> Option<Duration> {
    Some(Duration::from_secs(3600))
}

/// Everything was multicast two seconds ago.
fn lately(_: usize) -> Option<Duration> {
    Some(Duration::from_secs(2))
}

/// The reply to a query: the types of its answers and of its additional records, and whether it is multicast.
fn answered(packet: &Packet<'_>, from: u16, zone: &Zone) -> Option<(String, String, bool)> {
    let octets = packet.build_bytes_vec().unwrap();
    let reply = reply(&read(&octets).unwrap(), &[], from, zone, lately)?;
    let packet = read(&reply.octets).unwrap();
    let types = |records: &[ResourceRecord<'_>]| {
        let types: Vec<_> = records.iter().map(|record| format!("{:?}", record.rdata.type_code())).collect();
        types.join(" ")
    };
    for record in packet.answers.iter().chain(&packet.additional_records) {
        let is_host = matches!(record.rdata, RData::A(_) | RData::AAAA(_) | RData::SRV(_) | RData::NSEC(_));
        let own = !matches!(record.rdata, RData::PTR(_));
        let expected = if from == PORT { (if is_host { 120 } else { 4500 }, own) } else { (10, false) };
        assert_eq!((record.ttl, record.cache_flush), expected, "{record:?}");
    }
    assert_eq!((packet.id(), packet.questions.len()), if from == PORT { (0, 0) } else { (7, 1) });
    assert!(packet.questions.iter().all(|question| !question.unicast_response));
    assert!(packet.has_flags(PacketFlag::RESPONSE | PacketFlag::AUTHORITATIVE_ANSWER));
    Some((types(&packet.answers), types(&packet.additional_records), !reply.unicast))
}

#[test]
fn queries_are_answered_as_they_ask() {
    let [v4, v6] = addresses();
    let (both, one) = (zone(&[v4, v6]), zone(&[v4]));
    let told =
        |answers: &str, additional: &str, to_all| Some((answers.to_owned(), additional.to_owned(), to_all));
    for (packet, from, zone, reply) in [
        (query(NAME, TYPE::A, false), PORT, &both, told("A", "AAAA", true)),
        (query("PillarBox.LOCAL", TYPE::AAAA, false), PORT, &both, told("AAAA", "A", true)),
        (query(NAME, ANY, false), PORT, &both, told("A AAAA", "", true)),
        // A missing record is answered at once, so that nobody waits for it.
        (query(NAME, TYPE::A, true), PORT, &one, told("A", "NSEC", false)),
        (query(NAME, TYPE::A, false), 40_000, &one, told("A", "NSEC", false)),
        (query(NAME, TYPE::AAAA, false), PORT, &one, told("NSEC", "", true)),
        (query(NAME, TYPE::TXT, false), PORT, &both, told("NSEC", "", true)),
        (query(NAME, TYPE::NSEC, false), PORT, &both, told("NSEC", "", true)),
        (query(INSTANCE, TYPE::A, false), PORT, &both, told("NSEC", "", true)),
        ("other.local", TYPE::A).no(&both),
        ("x.pillarbox.local", TYPE::A).no(&both),
        // The name of a service type is not ours alone, so we do not deny its address.
        (KIND, TYPE::A).no(&both),
        ("_pop3s._tcp.local", TYPE::PTR).no(&both),
        // What is asked for next is added (RFC 6763 section 12).
        (query(KIND, TYPE::PTR, false), PORT, &both, told("PTR", "SRV TXT A AAAA", true)),
        (query("_IMAPS._TCP.Local", TYPE::PTR, false), PORT, &both, told("PTR", "SRV TXT A AAAA", true)),
        (query(KIND, ANY, false), PORT, &both, told("PTR", "SRV TXT A AAAA", true)),
        (query(KIND, TYPE::PTR, false), 40_000, &both, told("PTR", "SRV TXT A AAAA", false)),
        (query(INSTANCE, TYPE::SRV, true), PORT, &both, told("SRV", "A AAAA", false)),
        (query(INSTANCE, TYPE::TXT, false), PORT, &both, told("TXT", "", true)),
        (query(INSTANCE, ANY, false), PORT, &both, told("SRV TXT", "A AAAA", true)),
        (query("_imaps._tcp.pillarbox.local", TYPE::SRV, false), PORT, &both, told("SRV", "A AAAA", true)),
        ("_https._tcp.pillarbox.local", TYPE::SRV).no(&both),
        (query("_services._dns-sd._udp.local", TYPE::PTR, false), PORT, &both, told("PTR PTR", "", true)),
    ] {
        assert_eq!(answered(&packet, from, zone), reply, "{packet:?}");
    }
    let mut packet = query(NAME, TYPE::A, false);
    packet.set_flags(PacketFlag::RESPONSE);
    assert_eq!(answered(&packet, PORT, &both), None, "an answer is no query");
    let mut packet = query(NAME, TYPE::A, false);
    packet.questions[0].qclass = CLASS::CH.into();
    assert_eq!(answered(&packet, PORT, &both), None, "another class");
    packet.questions[0].qclass = QCLASS::ANY;
    assert!(answered(&packet, PORT, &both).is_some());
}

/// Makes a row for a query that gets no reply.
trait No<'a> {
    fn no(self, zone: &'a Zone) -> (Packet<'a>, u16, &'a Zone, Option<(String, String, bool)>);
}

impl<'a> No<'a> for (&'a str, TYPE) {
    fn no(self, zone: &'a Zone) -> (Packet<'a>, u16, &'a Zone, Option<(String, String, bool)>) {
        (query(self.0, self.1, false), PORT, zone, None)
    }
}

#[test]
fn what_the_other_knows_is_not_said_again() {
    let [v4, v6] = addresses();
    let (both, one) = (zone(&[v4, v6]), zone(&[v4]));
    let mut packet = query(NAME, ANY, false);
    packet.answers.push(record(NAME, 60, a(5)));
    assert_eq!(answered(&packet, PORT, &one), None);
    assert_eq!(answered(&packet, PORT, &both).unwrap().0, "AAAA");
    assert_eq!(answered(&packet, 40_000, &one).unwrap().0, "A", "a simple resolver knows nothing");
    packet.answers[0].ttl = 59;
    assert_eq!(answered(&packet, PORT, &one).unwrap().0, "A");
    packet.answers[0] = record(NAME, 60, a(6));
    assert_eq!(answered(&packet, PORT, &one).unwrap().0, "A");
    // Half of 4500 for records that are not about a host; names compare in any case.
    let mut packet = query(KIND, TYPE::PTR, false);
    let instance = |name| RData::PTR(PTR(Name::new(name).unwrap()));
    packet.answers.push(record("_imaps._TCP.local", 2250, instance("PILLARBOX._imaps._tcp.local")));
    assert_eq!(answered(&packet, PORT, &both), None);
    packet.answers[0].ttl = 2249;
    assert_eq!(answered(&packet, PORT, &both).unwrap().0, "PTR");
    packet.answers[0] = record(KIND, 4500, instance("other._imaps._tcp.local"));
    assert_eq!(answered(&packet, PORT, &both).unwrap().0, "PTR");
}

/// Catches: answers that are repeated at once, or that go to one peer only until the others forget them (sections 5.4
/// and 6).
#[test]
fn what_all_know_is_not_said_again_and_what_they_forget_is() {
    let zone = zone(&addresses());
    let said = |packet: &Packet<'_>, since: Option<Duration>| {
        reply(packet, &[], PORT, &zone, |_| since).map(|reply| reply.unicast)
    };
    let ms = |ms| Some(Duration::from_millis(ms));
    let (to_all, to_one) = (query(NAME, TYPE::A, false), query(NAME, TYPE::A, true));
    assert_eq!(said(&to_all, ms(999)), None);
    assert_eq!(said(&to_all, ms(1000)), Some(false));
    assert_eq!(said(&to_one, ms(0)), Some(true));
    assert_eq!(said(&to_one, ms(29_999)), Some(true));
    assert_eq!(said(&to_one, ms(30_000)), Some(false), "a quarter of 120 s");
    assert_eq!(said(&to_one, None), Some(false));
    assert_eq!(said(&query(KIND, TYPE::PTR, true), ms(1_124_999)), Some(true));
    assert_eq!(said(&query(KIND, TYPE::PTR, true), ms(1_125_000)), Some(false));
    // A probe is answered however often it comes, and at once.
    let mut probe = query(NAME, ANY, false);
    probe.name_servers.push(record(NAME, 120, a(6)));
    assert_eq!(said(&probe, ms(249)), None);
    assert_eq!(said(&probe, ms(250)), Some(false));
    probe.questions[0].unicast_response = true;
    assert_eq!(said(&probe, ms(0)), Some(true));
    // One of two questions asks for a multicast answer.
    let mut both = to_one.clone();
    both.questions.push(to_all.questions[0].clone());
    assert_eq!(said(&both, ms(5000)), Some(false));
}

/// Catches: answers of many devices at the same moment.
#[test]
fn what_others_may_answer_too_is_known_as_that() {
    let zone = zone(&addresses());
    for (name, kind, from, unicast, shared) in [
        (KIND, TYPE::PTR, PORT, false, true),
        (KIND, TYPE::PTR, PORT, true, false),
        (KIND, TYPE::PTR, 40_000, false, false),
        (INSTANCE, TYPE::SRV, PORT, false, false),
        (NAME, TYPE::A, PORT, false, false),
    ] {
        let query = query(name, kind, unicast);
        assert_eq!(reply(&query, &[], from, &zone, lately).unwrap().is_shared, shared, "{name} {from}");
    }
}

/// Catches: known answers in further messages (section 7.2) that are ignored.
#[test]
fn what_the_other_says_later_that_it_knows_counts() {
    let zone = zone(&addresses());
    let query = query(NAME, TYPE::A, false);
    let mut more = Packet::new_query(0);
    assert!(reply(&query, &[more.clone()], PORT, &zone, long_ago).is_some());
    more.answers.push(record(NAME, 120, a(5)));
    assert!(reply(&query, &[more], PORT, &zone, long_ago).is_none());
}

fn is_conflict_at(stage: Stage, records: &[ResourceRecord<'_>], zone: &Zone) -> bool {
    let mut packet = response(0);
    packet.answers = records.to_vec();
    let octets = packet.build_bytes_vec().unwrap();
    is_conflict(&read(&octets).unwrap(), &zone.names(), zone, stage)
}

#[test]
fn somebody_else_of_the_same_name_is_noticed() {
    let own = zone(&addresses());
    let place =
        |port, target| RData::SRV(SRV { priority: 0, weight: 0, port, target: Name::new(target).unwrap() });
    for (record, while_probing, later) in [
        (record(NAME, 120, a(6)), true, true),
        (record("Pillarbox.local", 120, a(6)), true, true),
        (record("other.local", 120, a(6)), false, false),
        // Our own messages come back to us; another device takes a record back.
        (record(NAME, 120, a(5)), false, false),
        (record(NAME, 0, a(6)), false, false),
        (record(INSTANCE, 120, place(993, NAME)), false, false),
        (record(INSTANCE, 120, place(993, "other.local")), true, true),
        (record(INSTANCE, 120, place(1993, NAME)), true, true),
        (record(INSTANCE, 4500, RData::TXT(TXT::new().with_string("path=/").unwrap())), true, true),
        (record(INSTANCE, 4500, RData::TXT(TXT::new().with_string("").unwrap())), false, false),
        // A record of a type that we do not have: while the name is probed it is taken all the same.
        (record(NAME, 4500, RData::TXT(TXT::new().with_string("x").unwrap())), true, false),
        // Every device may have an instance of a service type.
        (record(KIND, 4500, RData::PTR(PTR(Name::new("x._imaps._tcp.local").unwrap()))), false, false),
    ] {
        let records = [record];
        assert_eq!(is_conflict_at(Stage::Probing, &records, &own), while_probing, "{records:?}");
        assert_eq!(is_conflict_at(Stage::Announced, &records, &own), later, "{records:?}");
    }
    // A host with addresses of the other family only.
    let [v4, v6] = addresses();
    assert!(is_conflict_at(Stage::Announced, &[zone(&[v6]).entries[0].record.clone()], &zone(&[v4])));
}

/// Catches: two devices that probe for a name at the same moment, and both take it or both give way (section 8.2).
#[test]
fn of_two_that_ask_at_once_the_later_data_goes_first() {
    let probing = |last: u8| Zone::new(NAME, &[[192, 168, 1, last].into()], &[IMAPS]).unwrap();
    let sends = |zone: &Zone| probe(&zone.names(), zone).unwrap();
    let first =
        |theirs: &Zone, ours: &Zone| has_precedence(&read(&sends(theirs)).unwrap(), &ours.names(), ours);
    let (low, high) = (probing(5), probing(200));
    assert!(first(&high, &low) && !first(&low, &high));
    assert!(!first(&low, &low), "our own words come back to us");
    // Data is compared as unsigned octets, and of two with the same beginning the longer one is later.
    let more = Zone::new(NAME, &[[192, 168, 1, 5].into(), "fe80::5".parse().unwrap()], &[IMAPS]).unwrap();
    assert!(first(&more, &low) && !first(&low, &more));
    // For an instance the port decides.
    let at = |port| Zone::new(NAME, &[[192, 168, 1, 5].into()], &[Service { port, ..IMAPS }]).unwrap();
    assert!(first(&at(1993), &at(993)) && !first(&at(993), &at(1993)));
    // A query without records proposes nothing, and a response is not a probe.
    let query = query(NAME, ANY, true).build_bytes_vec().unwrap();
    assert!(!has_precedence(&read(&query).unwrap(), &low.names(), &low));
    let mut answer = response(0);
    answer.questions.push(Question::new(Name::new(NAME).unwrap(), QTYPE::ANY, CLASS::IN.into(), false));
    answer.name_servers.push(record(NAME, 120, a(200)));
    assert!(!has_precedence(&answer, &low.names(), &low));
}

/// The first probe of section 8.2's example, made by hand. Catches: a comparison by length instead of class, type and
/// data.
#[test]
fn a_probe_says_what_it_is_for() {
    let zone = zone(&addresses());
    let octets = probe(&zone.names(), &zone).unwrap();
    let packet = read(&octets).unwrap();
    assert!(is_query(&packet) && packet.id() == 0);
    assert_eq!(packet.questions.len(), 4);
    assert!(packet.questions.iter().all(|it| it.unicast_response && it.qtype == QTYPE::ANY));
    let proposed: Vec<_> = packet.name_servers.iter().map(|it| it.rdata.type_code()).collect();
    use TYPE::*;
    assert_eq!(proposed, [A, AAAA, SRV, TXT, SRV, SRV, TXT]);
    assert!(packet.name_servers.iter().all(|it| !it.cache_flush));
    // A device that probes for a name of ours gets our records.
    let other = Zone::new(NAME, &[[192, 168, 1, 6].into()], &[IMAPS]).unwrap();
    let theirs = probe(&other.names(), &other).unwrap();
    let defence = reply(&read(&theirs).unwrap(), &[], PORT, &zone, lately).unwrap();
    assert!(defence.unicast);
    assert!(is_conflict(&read(&defence.octets).unwrap(), &other.names(), &other, Stage::Probing));
}

#[test]
fn a_goodbye_has_no_time_left() {
    let zone = zone(&addresses());
    let octets = goodbye(zone.told().map(|(_, it)| it));
    assert_eq!(octets.len(), 1);
    let packet = read(&octets[0]).unwrap();
    assert_eq!(packet.answers.len(), zone.told().count());
    assert!(packet.answers.iter().all(|it| it.ttl == 0 && !it.cache_flush));
    assert!(packet.has_flags(PacketFlag::RESPONSE));
    assert!(goodbye(std::iter::empty()).is_empty());
}

/// Catches: messages that are too large for an Ethernet packet, and records that are left out for that.
#[test]
fn the_longest_names_fit_packets() {
    let host = format!("{}.{}.{}.local", "x".repeat(63), "y".repeat(63), "z".repeat(60));
    let addresses: Vec<IpAddr> = (1..=4).map(|n| [0xfe80, 0, 0, 0, 0, 0, 0, n].into()).collect();
    let services =
        ["imaps", "submissions", "pop3s", "https"].map(|kind| Service { kind, port: 1, is_mail: true });
    let zone = Zone::new(&host, &addresses, &services).unwrap();
    let messages = announcement(zone.told().map(|(_, it)| it));
    let records: Vec<_> = messages
        .iter()
        .flat_map(|octets| {
            assert!(octets.len() <= SENT_MAX, "{}", octets.len());
            read(octets).unwrap().answers.into_iter().map(ResourceRecord::into_owned)
        })
        .collect();
    let told: Vec<_> = zone.told().map(|(_, it)| it.record.clone()).collect();
    assert_eq!(records, told);
    assert!(messages.len() > 1);
    // A reply leaves out additional records, and all can read probes of all names at once.
    let mut query = query(&host, ANY, false);
    for name in zone.names() {
        query.questions.push(Question::new(name, QTYPE::ANY, CLASS::IN.into(), false));
    }
    let reply = reply(&query, &[], PORT, &zone, long_ago).unwrap();
    assert!(reply.octets.len() <= SENT_MAX && read(&reply.octets).unwrap().answers.len() > 4);
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
    let zone = zone(&addresses());
    let whole = probe(&zone.names(), &zone).unwrap();
    for _ in 0..20_000 {
        let mut octets = whole.clone();
        for _ in 0..choices.below(6) {
            let at = choices.below(octets.len());
            octets[at] = choices.next() as u8;
        }
        octets.truncate(choices.below(octets.len() + 1));
        crate::fuzzing::mdns_packet::run(&octets);
    }
}
