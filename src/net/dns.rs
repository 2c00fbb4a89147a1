//! Asks DNS servers for addresses (RFC 1035): by UDP first, by TCP if the answer was truncated.
//!
//! A stub resolver trusts its servers and nobody else. An answer counts if it comes from the address that was asked,
//! to the port and with the identifier that were chosen at random, and repeats the question. Anything else is
//! ignored, as if it had been lost.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use async_io::Async;
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, Question, RCODE, TYPE};

use super::deadline;
use super::stream::Stream;

/// The time for one answer of one server.
const TIMEOUT: Duration = Duration::from_secs(3);

/// How often each server is asked.
const ROUNDS: usize = 2;

/// Octets of an answer over UDP, at most: more than any server sends unasked.
const MAX_UDP: usize = 4096;
/// Octets of an answer over TCP, at most: more than any name needs.
const MAX_TCP: usize = 16 * 1024;

/// Answers to other questions that are ignored; more of them are a flood, which ends the question.
const MAX_STRAY: usize = 100;

/// Records of an answer that are looked at, at most.
const MAX_RECORDS: usize = 128;
/// Addresses of a name that are tried, at most: each try takes time.
const MAX_ADDRESSES: usize = 8;

/// Aliases of aliases that are followed, at most.
const MAX_ALIASES: usize = 8;

/// The addresses of `name`, IPv4 and IPv6 in turn; empty if there is no such name.
pub(super) async fn addresses(servers: &[SocketAddr], name: &str) -> io::Result<Vec<IpAddr>> {
    let (v4, v6) = smol::future::zip(lookup(servers, name, TYPE::A), lookup(servers, name, TYPE::AAAA)).await;
    let (v4, v6) = match (v4, v6) {
        (Err(error), Err(_)) => return Err(error),
        // One family is enough, but if one of the two answers is missing, an empty one does not prove that there is
        // nothing.
        (Ok(none), Err(error)) | (Err(error), Ok(none)) if none.is_empty() => return Err(error),
        (v4, v6) => (v4.unwrap_or_default(), v6.unwrap_or_default()),
    };
    let in_turn = (0..v4.len().max(v6.len())).flat_map(|at| [v4.get(at), v6.get(at)]);
    Ok(in_turn.flatten().copied().take(MAX_ADDRESSES).collect())
}

async fn lookup(servers: &[SocketAddr], name: &str, kind: TYPE) -> io::Result<Vec<IpAddr>> {
    let mut trouble = io::Error::new(io::ErrorKind::TimedOut, "there is no DNS server to ask");
    for server in (0..ROUNDS).flat_map(|_| servers) {
        match deadline(TIMEOUT, ask(*server, name, kind)).await {
            Ok(addresses) => return Ok(addresses),
            Err(error) => {
                trouble = io::Error::new(error.kind(), format!("the DNS server {server}: {error}"));
            }
        }
    }
    Err(trouble)
}

/// The addresses that one server answers with.
async fn ask(server: SocketAddr, name: &str, kind: TYPE) -> io::Result<Vec<IpAddr>> {
    let question = Question::new(
        Name::new(name).map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "not a host name"))?,
        QTYPE::TYPE(kind),
        CLASS::IN.into(),
        false,
    );
    let id = u16::from_be_bytes(random()?);
    let mut query = Packet::new_query(id);
    query.set_flags(PacketFlag::RECURSION_DESIRED);
    query.questions.push(question.clone());
    let query = query.build_bytes_vec().map_err(|error| io::Error::other(error.to_string()))?;

    let local: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = Async::<UdpSocket>::bind((local, 0))?;
    socket.get_ref().connect(server)?;
    socket.send(&query).await?;
    let mut answer = vec![0; MAX_UDP];
    let mut stray = 0;
    loop {
        let len = socket.recv(&mut answer).await?;
        let answer = answer.get(..len).unwrap_or_default();
        let Some(packet) = answer_to(id, &question, answer) else {
            stray += 1;
            if stray > MAX_STRAY {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "it answers what nobody asked"));
            }
            continue;
        };
        if packet.has_flags(PacketFlag::TRUNCATION) {
            break;
        }
        return verdict(&packet, &question);
    }

    let answer = over_tcp(server, &query).await?;
    match answer_to(id, &question, &answer) {
        Some(packet) => verdict(&packet, &question),
        None => Err(io::Error::new(io::ErrorKind::InvalidData, "its answer makes no sense")),
    }
}

/// The number of addresses that an answer gives for `name`, if it answers the question with this identifier.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_answer(id: u16, name: &str, octets: &[u8]) -> usize {
    let Ok(name) = Name::new(name) else { return 0 };
    let question = Question::new(name, QTYPE::TYPE(TYPE::A), CLASS::IN.into(), false);
    let packet = answer_to(id, &question, octets);
    packet.and_then(|packet| verdict(&packet, &question).ok()).map_or(0, |addresses| addresses.len())
}

/// Asks over TCP: each message follows two octets with its length (RFC 1035 section 4.2.2).
async fn over_tcp(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = Stream::connect(server).await?;
    stream.queue(&u16::try_from(query.len()).unwrap_or(u16::MAX).to_be_bytes());
    stream.queue(query);
    stream.flush().await?;
    loop {
        if let Some((length, message)) = stream.buffered().split_first_chunk() {
            let length = usize::from(u16::from_be_bytes(*length));
            if length > MAX_TCP {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "its answer is too long"));
            }
            if let Some(message) = message.get(..length) {
                return Ok(message.to_vec());
            }
        }
        if !stream.more().await? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// The packet, if it answers the question.
fn answer_to<'a>(id: u16, question: &Question<'_>, octets: &'a [u8]) -> Option<Packet<'a>> {
    let packet = Packet::parse(octets).ok()?;
    let [repeated] = packet.questions.as_slice() else { return None };
    let fits = packet.id() == id
        && packet.has_flags(PacketFlag::RESPONSE)
        && repeated.qname == question.qname
        && repeated.qtype == question.qtype
        && repeated.qclass == question.qclass;
    fits.then_some(packet)
}

fn verdict(packet: &Packet<'_>, question: &Question<'_>) -> io::Result<Vec<IpAddr>> {
    match packet.rcode() {
        RCODE::NoError => Ok(follow(packet, &question.qname)),
        RCODE::NameError => Ok(Vec::new()),
        other => Err(io::Error::other(format!("it has trouble of its own ({other:?})"))),
    }
}

/// The addresses that the answer gives for `name`, or for the name that it is an alias of.
fn follow(packet: &Packet<'_>, name: &Name<'_>) -> Vec<IpAddr> {
    let mut owner = name.clone();
    for _ in 0..=MAX_ALIASES {
        let records = || packet.answers.iter().take(MAX_RECORDS).filter(|record| record.name == owner);
        let addresses: Vec<IpAddr> = records()
            .filter_map(|record| match &record.rdata {
                RData::A(a) => Some(Ipv4Addr::from(a.address).into()),
                RData::AAAA(aaaa) => Some(Ipv6Addr::from(aaaa.address).into()),
                _ => None,
            })
            .collect();
        let alias = records().find_map(|record| match &record.rdata {
            RData::CNAME(alias) => Some(alias.0.clone()),
            _ => None,
        });
        match alias {
            Some(alias) if addresses.is_empty() => owner = alias,
            _ => return addresses,
        }
    }
    Vec::new()
}

fn random() -> io::Result<[u8; 2]> {
    let random = ring::rand::generate(&ring::rand::SystemRandom::new());
    random.map(|random| random.expose()).map_err(|_| io::Error::other("the system has no random numbers"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use simple_dns::ResourceRecord;
    use simple_dns::rdata::{A, AAAA, CNAME};
    use std::cell::Cell;
    use std::net::TcpListener;

    /// Answers each question with what `answers` adds, over UDP; an answer of more than 512 octets goes over TCP.
    async fn serve(
        udp: &Async<UdpSocket>,
        tcp: &Async<TcpListener>,
        answers: impl Fn(&Question<'_>, &mut Packet<'_>),
    ) -> io::Result<Vec<IpAddr>> {
        let reply_to = |query: &[u8]| {
            let query = Packet::parse(query).unwrap();
            let mut reply = Packet::new_reply(query.id());
            reply.questions = query.questions.clone();
            answers(&query.questions[0], &mut reply);
            (query.id(), query.questions[0].clone().into_owned(), reply.build_bytes_vec().unwrap())
        };
        let over_udp = async {
            loop {
                let mut query = [0; 512];
                let (len, client) = udp.recv_from(&mut query).await?;
                let (id, question, mut reply) = reply_to(&query[..len]);
                if reply.len() > 512 {
                    let mut cut = Packet::new_reply(id);
                    cut.set_flags(PacketFlag::TRUNCATION);
                    cut.questions.push(question);
                    reply = cut.build_bytes_vec().unwrap();
                }
                udp.send_to(&reply, client).await?;
            }
        };
        let over_tcp = async {
            loop {
                let mut stream = Stream::new(tcp.accept().await?.0)?;
                let query = stream.fill().await?.to_vec();
                let (_, _, reply) = reply_to(&query[2..]);
                stream.queue(&(reply.len() as u16).to_be_bytes());
                // In two pieces, as networks do.
                stream.queue(&reply[..100]);
                stream.flush().await?;
                stream.queue(&reply[100..]);
                stream.flush().await?;
            }
        };
        smol::future::or(over_udp, over_tcp).await
    }

    /// The result of the resolver with such a server.
    fn resolved(answers: impl Fn(&Question<'_>, &mut Packet<'_>)) -> io::Result<Vec<String>> {
        async_io::block_on(async {
            let tcp = Async::<TcpListener>::bind(([127, 0, 0, 1], 0))?;
            let server = tcp.get_ref().local_addr()?;
            let udp = Async::<UdpSocket>::bind(server)?;
            let client = addresses(std::slice::from_ref(&server), "mail.example");
            let addresses = smol::future::or(client, serve(&udp, &tcp, answers)).await?;
            Ok(addresses.iter().map(ToString::to_string).collect())
        })
    }

    fn record(name: &str, rdata: RData<'static>) -> ResourceRecord<'static> {
        ResourceRecord::new(Name::new(name).unwrap().into_owned(), CLASS::IN, 60, rdata)
    }

    fn v4(name: &str, last: u8) -> ResourceRecord<'static> {
        record(name, RData::A(A { address: Ipv4Addr::new(192, 0, 2, last).into() }))
    }

    fn v6(name: &str, last: u16) -> ResourceRecord<'static> {
        let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last).into();
        record(name, RData::AAAA(AAAA { address }))
    }

    fn alias(name: &str, target: &'static str) -> ResourceRecord<'static> {
        record(name, RData::CNAME(CNAME(Name::new(target).unwrap())))
    }

    fn wants(question: &Question<'_>, kind: TYPE) -> bool {
        question.qtype == QTYPE::TYPE(kind)
    }

    #[test]
    fn both_families_in_turn() {
        let found = resolved(|question, reply| {
            if wants(question, TYPE::A) {
                reply.answers = vec![v4("MAIL.example", 1), v4("mail.example", 2), v4("other.example", 3)];
            } else {
                reply.answers = vec![v6("mail.example", 1)];
            }
        });
        assert_eq!(found.unwrap(), ["192.0.2.1", "2001:db8::1", "192.0.2.2"]);
    }

    #[test]
    fn aliases_are_followed_and_never_in_circles() {
        let found = resolved(|question, reply| {
            if wants(question, TYPE::A) {
                reply.answers = vec![
                    v4("host.provider.example", 7),
                    alias("mail.example", "mail.provider.example"),
                    alias("mail.provider.example", "host.provider.example"),
                ];
            } else {
                reply.answers = vec![alias("mail.example", "b.example"), alias("b.example", "mail.example")];
            }
        });
        assert_eq!(found.unwrap(), ["192.0.2.7"]);
    }

    #[test]
    fn a_long_answer_comes_over_tcp() {
        let found = resolved(|question, reply| {
            if wants(question, TYPE::A) {
                reply.answers = (1..=100).map(|last| v4("mail.example", last)).collect();
            }
        });
        let found = found.unwrap();
        assert_eq!((found.len(), found[7].as_str()), (MAX_ADDRESSES, "192.0.2.8"));
    }

    /// Catches: a thousand addresses that are all tried in a row, and work that grows with the answer.
    #[test]
    fn of_a_thousand_answers_few_are_looked_at() {
        let name = Name::new("mail.example").unwrap();
        let mut packet = Packet::new_reply(7);
        packet.answers = (0..1000).map(|last| v4("mail.example", (last % 256) as u8)).collect();
        assert_eq!(follow(&packet, &name).len(), MAX_RECORDS);
    }

    /// Catches: answers to other questions that are read without end, as fast as they come.
    #[test]
    fn a_flood_of_stray_answers_ends_the_question() {
        async_io::block_on(async {
            let udp = Async::<UdpSocket>::bind(([127, 0, 0, 1], 0)).unwrap();
            let server = udp.get_ref().local_addr().unwrap();
            let flood = async {
                let (_, client) = udp.recv_from(&mut [0; 512]).await.unwrap();
                loop {
                    udp.send_to(b"stray", client).await.unwrap();
                    smol::future::yield_now().await;
                }
            };
            let error = smol::future::or(ask(server, "mail.example", TYPE::A), flood).await.unwrap_err();
            assert_eq!(error.to_string(), "it answers what nobody asked");
        });
    }

    #[test]
    fn no_such_name_is_an_answer_and_trouble_is_none() {
        assert_eq!(resolved(|_, reply| *reply.rcode_mut() = RCODE::NameError).unwrap(), [""; 0]);
        assert_eq!(resolved(|_, _| ()).unwrap(), [""; 0]);
        let asked = Cell::new(0);
        let trouble = resolved(|_, reply| {
            asked.set(asked.get() + 1);
            *reply.rcode_mut() = RCODE::ServerFailure;
        });
        assert!(trouble.unwrap_err().to_string().contains("trouble of its own"));
        assert_eq!(asked.get(), 2 * ROUNDS, "both families, each again");
        let tries = Cell::new(0);
        let recovers = resolved(|question, reply| {
            let first = wants(question, TYPE::A) && tries.replace(tries.get() + 1) == 0;
            if first || wants(question, TYPE::AAAA) {
                *reply.rcode_mut() = RCODE::ServerFailure;
            } else {
                reply.answers = vec![v4("mail.example", 1)];
            }
        });
        assert_eq!(recovers.unwrap(), ["192.0.2.1"]);
    }

    #[test]
    fn answers_to_another_question_do_not_count() {
        let question = |name: &'static str, kind| {
            Question::new(Name::new(name).unwrap(), QTYPE::TYPE(kind), CLASS::IN.into(), false)
        };
        let asked = question("mail.example", TYPE::A);
        let mut reply = Packet::new_reply(7);
        reply.questions.push(question("Mail.Example", TYPE::A));
        let octets = reply.build_bytes_vec().unwrap();
        assert!(answer_to(7, &asked, &octets).is_some());
        assert!(answer_to(8, &asked, &octets).is_none());
        for other in [question("mail.example", TYPE::AAAA), question("evil.example", TYPE::A)] {
            assert!(answer_to(7, &other, &octets).is_none());
        }
        let mut query = Packet::new_query(7);
        query.questions.push(asked.clone());
        assert!(answer_to(7, &asked, &query.build_bytes_vec().unwrap()).is_none());
        // Garbage, truncated answers and a name that points at itself.
        for len in 0..octets.len() {
            assert!(answer_to(7, &asked, &octets[..len]).is_none());
        }
        let mut circle = octets.clone();
        circle.splice(12.., [0xc0, 12, 0, 1, 0, 1]);
        assert!(answer_to(7, &asked, &circle).is_none());
    }

    #[test]
    fn nobody_answers() {
        async_io::block_on(async {
            let closed = {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                socket.local_addr().unwrap()
            };
            let error = addresses(&[closed], "mail.example").await.unwrap_err();
            assert!(error.to_string().starts_with(&format!("the DNS server {closed}: ")), "{error}");
            assert_eq!(addresses(&[], "mail.example").await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        });
    }
}
