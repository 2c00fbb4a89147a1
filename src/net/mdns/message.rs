//! Messages of multicast DNS (RFC 6762): what is sent about a zone, and which messages of others concern it.

mod reading;

use std::net::IpAddr;
use std::time::Duration;

use simple_dns::rdata::{PTR, RData};
use simple_dns::{CLASS, Name, OPCODE, Packet, PacketFlag, QCLASS, QTYPE, Question, ResourceRecord};

use super::zone::{Entry, Zone};
pub use reading::parsed;

/// The port of all messages between responders; a query from another port comes from a simple resolver.
pub const PORT: u16 = 5353;
/// Octets of a message that is sent, at most: it fits an Ethernet packet after the headers of IPv6 and UDP (section
/// 17).
pub const SENT_MAX: usize = 1452;
/// Seconds for which a simple resolver may keep a record (section 6.7).
const SHORT_TTL: u32 = 10;
/// Questions that are repeated to a simple resolver, at most. It sends one.
const REPEATED: usize = 4;
/// A record that was multicast within this time is not multicast again (section 6).
const JUST: Duration = Duration::from_secs(1);
/// The same time for an answer to a probe, which all must hear again soon.
const JUST_FOR_PROBES: Duration = Duration::from_millis(250);

/// The reply to a query.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    /// The message.
    pub octets: Vec<u8>,
    /// Whether it goes only to the peer that asked, and is not multicast.
    pub unicast: bool,
    /// Whether other devices may answer the same question at the same moment (section 6).
    pub is_shared: bool,
    /// The positions of the zone's entries that are in it.
    pub said: Vec<usize>,
}

/// Whether the message is a query.
pub fn is_query(packet: &Packet<'_>) -> bool {
    !packet.has_flags(PacketFlag::RESPONSE) && packet.opcode() == OPCODE::StandardQuery
}

/// The reply of `zone` to a query that came from the port `from`; `None` if it asks for nothing of the zone, or the
/// peer knows the answer. `more` are the peer's further messages with known answers (section 7.2). `since` tells how
/// long ago an entry was multicast.
pub fn reply(
    query: &Packet<'_>,
    more: &[Packet<'_>],
    from: u16,
    zone: &Zone,
    since: impl Fn(usize) -> Option<Duration>,
) -> Option<Reply> {
    if !is_query(query) {
        return None;
    }
    let is_simple = from != PORT;
    let is_probe = !query.name_servers.is_empty();
    let asked: Vec<&Question<'_>> = query.questions.iter().filter(|it| concerns(it, zone)).collect();
    let known = || query.answers.iter().chain(more.iter().flat_map(|packet| &packet.answers));
    // A record that the peer knows for at least half of its time need not be sent (section 7.1).
    let is_known = |Entry { record, .. }: &Entry| {
        !is_simple && known().any(|other| other == record && other.ttl >= record.ttl / 2)
    };
    let is_asked = |entry: &&Entry| asked.iter().any(|question| answers(entry, question, zone));
    let answers = zone.entries.iter().enumerate();
    let mut answers: Vec<usize> =
        answers.filter(|(_, it)| is_asked(it) && !is_known(it)).map(|(at, _)| at).collect();
    let entry = |at: usize| zone.entries.get(at);
    // Now and then a record that was asked for by unicast is multicast (section 5.4).
    let all_know = |at: &usize| {
        let quarter = entry(*at).map(|it| Duration::from_secs(u64::from(it.record.ttl / 4)));
        since(*at).zip(quarter).is_some_and(|(since, quarter)| since < quarter)
    };
    let for_one = !asked.is_empty() && asked.iter().all(|question| question.unicast_response);
    let unicast = is_simple || for_one && (is_probe || answers.iter().all(all_know));
    if !unicast {
        let just = if is_probe { JUST_FOR_PROBES } else { JUST };
        answers.retain(|at| since(*at).is_none_or(|since| since >= just));
    }
    if answers.is_empty() {
        return None;
    }
    let is_shared = !unicast && answers.iter().any(|at| entry(*at).is_some_and(|it| !it.is_unique));
    let mut additional = implied(&answers, zone);
    let repeated = asked.into_iter().filter(|_| is_simple).take(REPEATED);
    let questions: Vec<_> = repeated.map(|it| Question { unicast_response: false, ..it.clone() }).collect();
    let record = |at: &usize| {
        let record = entry(*at)?.record.clone();
        let ttl = if is_simple { record.ttl.min(SHORT_TTL) } else { record.ttl };
        Some(ResourceRecord { ttl, cache_flush: record.cache_flush && !is_simple, ..record })
    };
    loop {
        let mut packet = response(if is_simple { query.id() } else { 0 });
        packet.questions.clone_from(&questions);
        packet.answers = answers.iter().filter_map(record).collect();
        packet.additional_records = additional.iter().filter_map(record).collect();
        let octets = packet.build_bytes_vec_compressed().ok()?;
        if octets.len() <= SENT_MAX {
            answers.append(&mut additional);
            return Some(Reply { octets, unicast, is_shared, said: answers });
        }
        // The peer asks again for what is missing.
        additional.pop().or_else(|| answers.pop())?;
    }
}

/// Announces `entries` to all, in one message or more (section 8.3).
pub fn announcement<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<Vec<u8>> {
    messages(entries.map(|it| it.record.clone()).collect())
}

/// Takes `entries` back (section 10.1). Without the cache-flush bit: if a name keeps other addresses, only these end.
pub fn goodbye<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<Vec<u8>> {
    let ended = |it: &Entry| ResourceRecord { ttl: 0, cache_flush: false, ..it.record.clone() };
    messages(entries.map(ended).collect())
}

fn messages(mut records: Vec<ResourceRecord<'static>>) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    let mut later = Vec::new();
    while !records.is_empty() {
        let mut packet = response(0);
        packet.answers = records.clone();
        let Ok(octets) = packet.build_bytes_vec_compressed() else { break };
        if octets.len() <= SENT_MAX || records.len() == 1 {
            messages.push(octets);
            later.reverse();
            records = std::mem::take(&mut later);
        } else if let Some(record) = records.pop() {
            later.push(record);
        }
    }
    messages
}

fn response(id: u16) -> Packet<'static> {
    let mut packet = Packet::new_reply(id);
    packet.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
    packet
}

/// Asks whether another device has one of `names`, with the records of `zone` that are going to be announced
/// (sections 8.1 and 8.2).
pub fn probe(names: &[Name<'static>], zone: &Zone) -> Option<Vec<u8>> {
    let mut packet = Packet::new_query(0);
    let question = |name: &Name<'static>| Question::new(name.clone(), QTYPE::ANY, CLASS::IN.into(), true);
    packet.questions = names.iter().map(question).collect();
    let proposed = zone.told().filter(|(_, it)| it.is_unique && names.contains(&it.record.name));
    packet.name_servers =
        proposed.map(|(_, it)| ResourceRecord { cache_flush: false, ..it.record.clone() }).collect();
    packet.build_bytes_vec_compressed().ok()
}

/// Whether another device that probes for one of `names` at the same moment has precedence (section 8.2): the one
/// whose records are later by class, type and data.
pub fn has_precedence(packet: &Packet<'_>, names: &[Name<'static>], zone: &Zone) -> bool {
    let asks_for = |name: &Name<'_>| packet.questions.iter().any(|question| question.qname == *name);
    is_query(packet)
        && names.iter().filter(|name| asks_for(name)).any(|name| {
            let of_name = |record: &&ResourceRecord<'_>| record.name == *name;
            let theirs = sorted(packet.name_servers.iter().filter(of_name));
            let ours = zone.told().filter(|(_, it)| it.is_unique).map(|(_, it)| &it.record);
            !theirs.is_empty() && theirs > sorted(ours.filter(of_name))
        })
}

fn sorted<'a>(records: impl Iterator<Item = &'a ResourceRecord<'a>>) -> Vec<(u16, u16, Vec<u8>)> {
    let place =
        |it: &ResourceRecord<'_>| (it.class as u16, u16::from(it.rdata.type_code()), octets(&it.rdata));
    let mut sorted: Vec<_> = records.map(place).collect();
    sorted.sort_unstable();
    sorted
}

/// Record data without compression: what comes after the header of a message and that of a record of the root.
fn octets(data: &RData<'_>) -> Vec<u8> {
    const HEADS: usize = 12 + 1 + 10;
    let mut packet = Packet::new_reply(0);
    packet.answers.push(ResourceRecord::new(Name::new_with_labels(&[]), CLASS::IN, 0, data.clone()));
    let mut octets = packet.build_bytes_vec().unwrap_or_default();
    octets.drain(..HEADS.min(octets.len()));
    octets
}

/// The stage of a name, which decides which records of others are a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// While the name is probed: any record of it (section 8.1).
    Probing,
    /// When the name is announced: records of a type and name of ours that differ from ours (section 9).
    Announced,
}

/// Whether a message has a record of one of `names` that is not ours, so that another device has the name.
pub fn is_conflict(packet: &Packet<'_>, names: &[Name<'static>], zone: &Zone, stage: Stage) -> bool {
    let foreign = |record: &ResourceRecord<'_>| {
        let is_rival = |Entry { record: own, is_unique }: &Entry| {
            let kind = |it: &ResourceRecord<'_>| match it.rdata.type_code() {
                // A host with addresses of one family: addresses of the other family conflict with them.
                simple_dns::TYPE::AAAA => simple_dns::TYPE::A,
                other => other,
            };
            *is_unique && own.name == record.name && (stage == Stage::Probing || kind(own) == kind(record))
        };
        record.ttl > 0
            && record.class == CLASS::IN
            && !matches!(record.rdata, RData::NSEC(_) | RData::OPT(_))
            && names.contains(&record.name)
            && zone.told().any(|(_, it)| is_rival(it))
            && !zone.has(record)
    };
    packet.has_flags(PacketFlag::RESPONSE)
        && packet.answers.iter().chain(&packet.additional_records).any(foreign)
}

/// Whether the peer's address is one that only neighbours have (section 11).
pub fn is_near(peer: IpAddr) -> bool {
    match peer.to_canonical() {
        IpAddr::V4(v4) => v4.is_private() || v4.is_link_local() || v4.is_loopback(),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.is_unique_local() || v6.is_loopback(),
    }
}

fn concerns(question: &Question<'_>, zone: &Zone) -> bool {
    let class = matches!(question.qclass, QCLASS::ANY | QCLASS::CLASS(CLASS::IN));
    class && zone.entries.iter().any(|it| it.record.name == question.qname)
}

/// Whether an entry answers a question. The denial of a record answers if no other entry does.
fn answers(entry: &Entry, question: &Question<'_>, zone: &Zone) -> bool {
    let is_of_type = |entry: &Entry| match question.qtype {
        QTYPE::ANY => true,
        QTYPE::TYPE(kind) => entry.record.rdata.type_code() == kind,
        _ => false,
    };
    let has_name = |entry: &Entry| entry.record.name == question.qname;
    let is_there = || zone.told().any(|(_, it)| has_name(it) && is_of_type(it));
    has_name(entry) && if entry.is_denial() { !is_there() } else { is_of_type(entry) }
}

/// The entries that a peer with `answers` asks for next (RFC 6763 section 12): the SRV and TXT records of a service,
/// the addresses of a host, and the denial of an address family (RFC 6762 section 6.2).
fn implied(answers: &[usize], zone: &Zone) -> Vec<usize> {
    let mut said = answers.to_vec();
    let mut next = 0;
    while let Some(entry) = said.get(next).and_then(|at| zone.entries.get(*at)) {
        next += 1;
        let host = match &entry.record.rdata {
            RData::PTR(PTR(instance)) => instance,
            RData::SRV(place) => &place.target,
            _ if entry.is_address() => &entry.record.name,
            _ => continue,
        };
        for (at, other) in zone.entries.iter().enumerate() {
            let lacks_family = || other.is_denial() && entry.is_address() && lacks_a_family(zone);
            let is_next = match other.record.rdata {
                RData::PTR(_) => false,
                RData::NSEC(_) => lacks_family(),
                _ => true,
            };
            if is_next && other.record.name == *host && !said.contains(&at) {
                said.push(at);
            }
        }
    }
    said.split_off(answers.len())
}

fn lacks_a_family(zone: &Zone) -> bool {
    let has = |is: fn(&RData<'_>) -> bool| zone.entries.iter().any(|it| is(&it.record.rdata));
    !(has(|data| matches!(data, RData::A(_))) && has(|data| matches!(data, RData::AAAA(_))))
}

#[cfg(test)]
mod tests;
