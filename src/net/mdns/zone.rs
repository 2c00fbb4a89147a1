//! The records of this device in the domain `local`: its name and addresses, and its services (RFC 6763; RFC 6186 for
//! clients that know only the domain of an address).

use std::borrow::Cow;
use std::net::IpAddr;

use simple_dns::rdata::{A, AAAA, NSEC, NsecTypeBitMap, PTR, RData, SRV, TXT};
use simple_dns::{CLASS, Name, ResourceRecord, TYPE};

/// Seconds for which others may keep records about a host: addresses and ports (RFC 6762 section 10).
pub const HOST_TTL: u32 = 120;
/// Seconds for which others may keep all other records.
pub const OTHER_TTL: u32 = 4500;
/// The name under which service types are asked for (RFC 6763 section 9).
const KINDS: &str = "_services._dns-sd._udp.local";
/// Octets of a label, at most (RFC 1035 section 2.3.4).
const LABEL_MAX: usize = 63;

/// A service that others may find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Service {
    /// The service type: `imaps` is announced as `_imaps._tcp`.
    pub kind: &'static str,
    /// The port of the service.
    pub port: u16,
    /// Whether mail clients look for it by the domain of an address (RFC 6186): then it is also announced below the
    /// host name.
    pub is_mail: bool,
}

/// A record of the zone.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The record as it is announced.
    pub record: ResourceRecord<'static>,
    /// Whether no other device may have a record of this name and type (RFC 6762 section 2).
    pub is_unique: bool,
}

impl Entry {
    /// Whether it only denies that there are records of other types (RFC 6762 section 6.1).
    pub fn is_denial(&self) -> bool {
        matches!(self.record.rdata, RData::NSEC(_))
    }

    /// Whether it is an A or AAAA record.
    pub fn is_address(&self) -> bool {
        matches!(self.record.rdata, RData::A(_) | RData::AAAA(_))
    }
}

/// All records of this device.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone {
    /// The host name, such as `pillarbox.local`.
    pub host: String,
    /// The entries, in the order in which they are announced.
    pub entries: Vec<Entry>,
}

impl Zone {
    /// The records of `host`, a name in `local`, with these addresses and services; `None` if the name is not
    /// possible.
    pub fn new(host: &str, addresses: &[IpAddr], services: &[Service]) -> Option<Zone> {
        let own = host.strip_suffix(".local").filter(|own| own.split('.').all(|label| !label.is_empty()))?;
        let label = own.split('.').next()?;
        let mut zone = Zone { host: host.to_owned(), entries: Vec::new() };
        let target = owned(host)?;
        for address in addresses {
            zone.add(&target, HOST_TTL, true, data(*address));
        }
        for (n, Service { kind, port, is_mail }) in services.iter().enumerate() {
            // Of several ports of a service the first one is announced.
            if services.iter().take(n).any(|earlier| earlier.kind == *kind) {
                continue;
            }
            let of_kind = owned(&format!("_{kind}._tcp.local"))?;
            let instance = owned(&format!("{label}._{kind}._tcp.local"))?;
            let place = SRV { priority: 0, weight: 0, port: *port, target: target.clone() };
            zone.add(&of_kind, OTHER_TTL, false, RData::PTR(PTR(instance.clone())));
            zone.add(&instance, HOST_TTL, true, RData::SRV(place.clone()));
            // Without any text, the TXT record holds an empty string (RFC 6763 section 6.1).
            let text = TXT::new().with_string("").ok()?;
            zone.add(&instance, OTHER_TTL, true, RData::TXT(text));
            if *is_mail {
                zone.add(&owned(&format!("_{kind}._tcp.{host}"))?, HOST_TTL, true, RData::SRV(place));
            }
            zone.add(&owned(KINDS)?, OTHER_TTL, false, RData::PTR(PTR(of_kind)));
        }
        for name in zone.names() {
            let types = zone.entries.iter().filter(|it| it.record.name == name);
            let denial = only(&name, types.map(|it| it.record.rdata.type_code()));
            zone.add(&name, HOST_TTL, true, denial);
        }
        Some(zone)
    }

    fn add(&mut self, name: &Name<'static>, ttl: u32, is_unique: bool, data: RData<'static>) {
        let record = ResourceRecord::new(name.clone(), CLASS::IN, ttl, data).with_cache_flush(is_unique);
        self.entries.push(Entry { record, is_unique });
    }

    /// The names that no other device may have.
    pub fn names(&self) -> Vec<Name<'static>> {
        let mut names: Vec<Name<'static>> = Vec::new();
        for Entry { record, .. } in self.entries.iter().filter(|it| it.is_unique) {
            if !names.contains(&record.name) {
                names.push(record.name.clone());
            }
        }
        names
    }

    /// The records that are announced: all but the denials.
    pub fn told(&self) -> impl Iterator<Item = (usize, &Entry)> {
        self.entries.iter().enumerate().filter(|(_, it)| !it.is_denial())
    }

    /// Whether the zone has exactly this record.
    pub fn has(&self, record: &ResourceRecord<'_>) -> bool {
        self.entries.iter().any(|it| it.record == *record)
    }
}

/// The name in the domain `local` for a host name: that of its label before `local`, or of its first label.
pub fn local_name(hostname: &str) -> String {
    let hostname = hostname.to_ascii_lowercase();
    match hostname.strip_suffix(".local") {
        Some(name) if !name.is_empty() => hostname,
        _ => format!("{}.local", hostname.split('.').next().unwrap_or_default()),
    }
}

/// The name with a number: `pillarbox.local`, `pillarbox-2.local` and so on.
pub fn numbered(name: &str, number: u32) -> String {
    match name.strip_suffix(".local") {
        Some(label) if number > 1 => {
            let end = format!("-{number}");
            // The last label before `local` gets longer, and must stay within its limit.
            let fits = LABEL_MAX.saturating_sub(end.len()).min(label.len());
            format!("{}{end}.local", label.get(..fits).unwrap_or(label))
        }
        _ => name.to_owned(),
    }
}

fn owned(name: &str) -> Option<Name<'static>> {
    Name::new(name).ok().map(Name::into_owned)
}

fn data(address: IpAddr) -> RData<'static> {
    match address {
        IpAddr::V4(v4) => RData::A(A { address: v4.to_bits() }),
        IpAddr::V6(v6) => RData::AAAA(AAAA { address: v6.to_bits() }),
    }
}

/// A denial of all types but these, all of them below 256: one bit for each type (RFC 4034 section 4.1.2).
fn only(name: &Name<'static>, types: impl Iterator<Item = TYPE>) -> RData<'static> {
    let mut bitmap: Vec<u8> = Vec::new();
    for number in types.map(u16::from) {
        let at = usize::from(number / 8);
        bitmap.resize(bitmap.len().max(at + 1), 0);
        if let Some(octet) = bitmap.get_mut(at) {
            *octet |= 0x80 >> (number % 8);
        }
    }
    let type_bit_maps = vec![NsecTypeBitMap { window_block: 0, bitmap: Cow::Owned(bitmap) }];
    RData::NSEC(NSEC { next_name: name.clone(), type_bit_maps })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_name_has_a_number_and_stays_a_name() {
        let longest = "x".repeat(63);
        for (name, number, next) in [
            ("mail.local", 1, "mail.local".to_owned()),
            ("mail.local", 2, "mail-2.local".to_owned()),
            (&format!("{longest}.local"), 1, format!("{longest}.local")),
            // Catches: a name that is not possible, and a loop without a pause because of it.
            (&format!("{longest}.local"), 12, format!("{}-12.local", "x".repeat(60))),
        ] {
            assert_eq!(numbered(name, number), next);
            assert!(Zone::new(&next, &[[10, 0, 0, 1].into()], &[]).is_some(), "{next}");
        }
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

    /// Catches: a record that is missing, is unique though other devices have such ones, or has the wrong TTL; the
    /// second port of a service as a second record.
    #[test]
    fn each_service_has_its_records() {
        let imaps = Service { kind: "imaps", port: 993, is_mail: true };
        let services =
            [imaps, Service { port: 1993, ..imaps }, Service { kind: "https", port: 8443, is_mail: false }];
        let zone = Zone::new("mail.local", &[[10, 0, 0, 1].into()], &services).unwrap();
        let told = zone.told().map(|(_, Entry { record, is_unique })| {
            let data = match &record.rdata {
                RData::PTR(PTR(name)) => name.to_string(),
                RData::SRV(srv) => format!("{}:{}", srv.target, srv.port),
                RData::A(a) => format!("{:x}", a.address),
                other => format!("{:?}", other.type_code()),
            };
            let flush = if *is_unique { "own" } else { "shared" };
            assert_eq!(record.cache_flush, *is_unique);
            format!("{} {} {flush} {data}", record.name, record.ttl)
        });
        assert_eq!(
            told.collect::<Vec<_>>(),
            [
                "mail.local 120 own a000001",
                "_imaps._tcp.local 4500 shared mail._imaps._tcp.local",
                "mail._imaps._tcp.local 120 own mail.local:993",
                "mail._imaps._tcp.local 4500 own TXT",
                "_imaps._tcp.mail.local 120 own mail.local:993",
                "_services._dns-sd._udp.local 4500 shared _imaps._tcp.local",
                "_https._tcp.local 4500 shared mail._https._tcp.local",
                "mail._https._tcp.local 120 own mail.local:8443",
                "mail._https._tcp.local 4500 own TXT",
                "_services._dns-sd._udp.local 4500 shared _https._tcp.local",
            ]
        );
        let names: Vec<String> = zone.names().iter().map(Name::to_string).collect();
        assert_eq!(
            names,
            ["mail.local", "mail._imaps._tcp.local", "_imaps._tcp.mail.local", "mail._https._tcp.local"]
        );
    }

    #[test]
    fn what_cannot_be_a_name_has_no_records() {
        for host in [".local", "local", "", "a..local", "..local", &format!("{}.local", "x".repeat(64))] {
            assert_eq!(Zone::new(host, &[], &[]), None, "{host:?}");
        }
    }
}
