//! The responder with neighbours on loopback, and a clock that stands still.

use std::cell::{Cell, RefCell};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use async_io::{Async, Timer};
use event_listener::Event;
use simple_dns::rdata::{A, RData};
use simple_dns::{CLASS, Packet, PacketFlag, QTYPE, Question, ResourceRecord, TYPE};
use smol::future::yield_now;

use super::responder::{AGAIN, BURST, PROBE, WAITING_MAX};
use super::sockets::MESSAGE_MAX;
use super::*;

const IMAPS: Service = Service { kind: "imaps", port: 993, is_mail: true };

/// A device that wants what the test sets.
struct Want {
    wanted: RefCell<Option<Wanted>>,
    changed: Event,
}

impl Device for Want {
    fn wanted(&self) -> Option<Wanted> {
        self.wanted.borrow().clone()
    }
    fn changed(&self) -> EventListener {
        self.changed.listen()
    }
    fn ends(&self) -> bool {
        true
    }
    fn is_on_lan(&self, _: IpAddr) -> bool {
        false
    }
    fn found_as(&self, _: Option<String>) {}
}

impl Want {
    fn set(&self, wanted: Option<Wanted>) {
        *self.wanted.borrow_mut() = wanted;
        self.changed.notify(usize::MAX);
    }
}

/// A responder on loopback, its network, and the messages to the group.
struct Scene {
    responder: Responder,
    want: Rc<Want>,
    time: Time,
    at: SocketAddr,
    group: Async<UdpSocket>,
    client: Async<UdpSocket>,
}

fn socket() -> Async<UdpSocket> {
    Async::<UdpSocket>::bind(([127, 0, 0, 1], 0)).unwrap()
}

fn scene() -> Scene {
    let (time, socket, group) = (Time::default(), socket(), self::socket());
    let at = socket.get_ref().local_addr().unwrap();
    let wanted = Wanted { hostname: "pillarbox.local".to_owned(), services: vec![IMAPS] };
    let want = Rc::new(Want { wanted: RefCell::new(Some(wanted.clone())), changed: Event::new() });
    // The addresses of this machine, so that they are the same at the next look.
    let mut addresses = Addresses::now();
    if addresses.all().is_empty() {
        addresses.v4 = Some(Ipv4Addr::new(192, 168, 1, 5));
    }
    let v4_group = group.get_ref().local_addr().unwrap();
    let sockets = Sockets { v4: Some(socket), v4_group, v6: None, interfaces: Vec::new() };
    let name = "pillarbox.local".to_owned();
    let responder = Responder::new(name, wanted, addresses, sockets, want.clone(), time.clone()).unwrap();
    Scene { responder, want, time, at, group, client: self::socket() }
}

/// The next message to the group.
async fn heard(group: &Async<UdpSocket>) -> Vec<u8> {
    let mut buffer = [0; MESSAGE_MAX];
    let patience = async {
        Timer::after(Duration::from_secs(20)).await;
        panic!("nothing is said");
    };
    let (len, _) = or(group.recv_from(&mut buffer), patience).await.unwrap();
    buffer[..len].to_vec()
}

fn nothing_more(group: &Async<UdpSocket>) -> bool {
    group.get_ref().recv_from(&mut [0; MESSAGE_MAX]).is_err()
}

fn query(name: &str, kind: TYPE) -> Vec<u8> {
    let mut query = Packet::new_query(7);
    let name = Name::new(name).unwrap();
    query.questions.push(Question::new(name, QTYPE::TYPE(kind), CLASS::IN.into(), false));
    query.build_bytes_vec().unwrap()
}

/// A message that `host` has the address 255.255.255.255; in a probe, that it is going to have it.
fn claims(host: &str, is_probe: bool) -> Vec<u8> {
    let name = Name::new(host).unwrap();
    let address = RData::A(A { address: u32::MAX });
    let record = ResourceRecord::new(name.clone(), CLASS::IN, 120, address);
    let mut packet = if is_probe { Packet::new_query(0) } else { Packet::new_reply(0) };
    if is_probe {
        packet.questions.push(Question::new(name, QTYPE::ANY, CLASS::IN.into(), true));
        packet.name_servers.push(record);
    } else {
        packet.answers.push(record);
    }
    packet.build_bytes_vec().unwrap()
}

/// Lets all other tasks run until they wait.
async fn settle() {
    for _ in 0..50 {
        yield_now().await;
    }
    Timer::after(Duration::from_millis(20)).await;
}

/// Catches: a neighbour that sends without a pause and keeps the thread busy for as long as packets come.
#[test]
fn others_have_their_turn_between_packets() {
    const PACKETS: u32 = 20;
    async_io::block_on(async {
        let Scene { responder, at, .. } = scene();
        let neighbour = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        for _ in 0..PACKETS {
            neighbour.send_to(b"no query", at).unwrap();
        }
        let turns = Cell::new(0);
        let packets = async {
            for _ in 0..PACKETS {
                responder.sockets.message().await;
            }
        };
        let others = async {
            loop {
                turns.set(turns.get() + 1);
                yield_now().await;
            }
        };
        or(packets, others).await;
        assert!(turns.get() >= PACKETS, "{} turns", turns.get());
    });
}

/// Catches: packets that delay the second announcement (section 8.3), an announcement that comes early, or a third
/// one; packets that delay a change of what is wanted.
#[test]
fn a_busy_network_delays_nothing() {
    async_io::block_on(async {
        let Scene { mut responder, want, time, at, group, client } = scene();
        let network = async {
            let (mut buffer, query) = ([0; MESSAGE_MAX], query("pillarbox.local", TYPE::A));
            let mut announced = 0;
            for packet in 1..=30 {
                // The reply shows that the packet was read, and the one before it handled.
                client.send_to(&query, at).await.unwrap();
                client.recv_from(&mut buffer).await.unwrap();
                while group.get_ref().recv_from(&mut buffer).is_ok() {
                    announced += 1;
                }
                // One second has passed after the tenth packet.
                assert_eq!(announced, if packet <= 10 { 1 } else { 2 }, "at packet {packet}");
                time.advance(AGAIN / 10);
            }
            *want.wanted.borrow_mut() = None;
            time.advance(LOOK);
            client.send_to(&query, at).await.unwrap();
            Timer::after(Duration::from_secs(20)).await;
            panic!("nobody wants the name, and it is announced all the same");
        };
        assert_eq!(or(responder.answer(), network).await, End::Changed);
    });
}

/// Catches: a closed service that is announced until the next look.
#[test]
fn a_change_is_followed_at_once_and_taken_back() {
    async_io::block_on(async {
        let Scene { mut responder, want, group, .. } = scene();
        let changes = async {
            heard(&group).await;
            // A notice without a change.
            want.set(want.wanted());
            settle().await;
            want.set(Some(Wanted { services: Vec::new(), ..want.wanted().unwrap() }));
            Timer::after(Duration::from_secs(20)).await;
            panic!("it is announced all the same");
        };
        assert_eq!(or(responder.answer(), changes).await, End::Changed);
        let next = Zone::new("pillarbox.local", &responder.addresses.all(), &[]).unwrap();
        assert!(nothing_more(&group));
        for (next, ended) in [(Some(&next), 5), (None, 5 + responder.addresses.all().len())] {
            responder.goodbye(next).await;
            let message = heard(&group).await;
            let packet = Packet::parse(&message).unwrap();
            assert_eq!(packet.answers.len(), ended);
            assert!(packet.answers.iter().all(|it| it.ttl == 0));
        }
        responder.goodbye(Some(&responder.zone)).await;
        assert!(nothing_more(&group), "nothing has ended");
    });
}

/// Catches: another device's claim of our name that is missed.
#[test]
fn a_conflict_later_on_ends_it() {
    async_io::block_on(async {
        let Scene { mut responder, at, group, client, .. } = scene();
        let rival = async {
            heard(&group).await;
            // This name is not ours.
            client.send_to(&claims("other.local", false), at).await.unwrap();
            settle().await;
            client.send_to(&claims("Pillarbox.local", false), at).await.unwrap();
            Timer::after(Duration::from_secs(20)).await;
            panic!("two have the name");
        };
        assert_eq!(or(responder.answer(), rival).await, End::Conflict);
    });
}

/// The result of the claim while `network` runs, and how many probes were sent.
async fn claimed(
    scene: &Scene,
    new: impl Fn(&Name<'static>) -> bool,
    network: impl Future<Output = ()>,
) -> Claim {
    let network = async {
        network.await;
        std::future::pending().await
    };
    or(scene.responder.claim(new, scene.want.changed()), network).await
}

/// Catches: fewer than three probes, or names that were not probed; a name that is known to be ours and is probed
/// again.
#[test]
fn a_name_is_asked_for_three_times() {
    async_io::block_on(async {
        let scene = scene();
        let network = async {
            for n in 0..3 {
                // The first probe comes after a random time, the others after a quarter of a second.
                settle().await;
                scene.time.advance(PROBE);
                let message = heard(&scene.group).await;
                let packet = Packet::parse(&message).unwrap();
                assert_eq!(packet.questions.len(), 3, "probe {n}");
                assert!(!packet.name_servers.is_empty());
                // Our own message comes back.
                scene.client.send_to(&message, scene.at).await.unwrap();
            }
            settle().await;
            scene.time.advance(PROBE);
        };
        assert_eq!(claimed(&scene, |_| true, network).await, Claim::Free);
        assert!(nothing_more(&scene.group));
        assert_eq!(claimed(&scene, |_| false, async {}).await, Claim::Free);
        assert!(nothing_more(&scene.group), "what is ours is not asked for again");
    });
}

#[test]
fn a_name_that_somebody_has_is_taken() {
    async_io::block_on(async {
        let scene = scene();
        let network = async {
            settle().await;
            scene.time.advance(PROBE);
            heard(&scene.group).await;
            scene.client.send_to(&claims("PILLARBOX.local", false), scene.at).await.unwrap();
        };
        assert_eq!(claimed(&scene, |_| true, network).await, Claim::Taken);
    });
}

/// Catches: two devices that start together and both go on (section 8.2), and one that never tries again.
#[test]
fn who_goes_first_gets_a_second_to_take_the_name() {
    async_io::block_on(async {
        let scene = scene();
        let network = async {
            settle().await;
            scene.time.advance(PROBE);
            heard(&scene.group).await;
            scene.client.send_to(&claims("pillarbox.local", true), scene.at).await.unwrap();
            settle().await;
            scene.time.advance(AGAIN - Duration::from_millis(1));
            settle().await;
            assert!(nothing_more(&scene.group), "the other one goes first");
            scene.time.advance(Duration::from_millis(1));
            for _ in 0..3 {
                heard(&scene.group).await;
                settle().await;
                scene.time.advance(PROBE);
            }
        };
        assert_eq!(claimed(&scene, |_| true, network).await, Claim::Free);
    });
}

#[test]
fn a_change_ends_a_claim() {
    async_io::block_on(async {
        let scene = scene();
        let network = async {
            settle().await;
            scene.want.set(None);
        };
        assert_eq!(claimed(&scene, |_| true, network).await, Claim::Changed);
    });
}

/// Catches: a reply that is multicast although one peer asked from another port, and one reply too many in a second.
#[test]
fn replies_go_to_who_asked_and_are_few() {
    async_io::block_on(async {
        let Scene { mut responder, at, client, .. } = scene();
        let query = query("pillarbox.local", TYPE::TXT);
        client.send_to(&query, at).await.unwrap();
        let (message, peer) = responder.sockets.message().await;
        responder.reply_to(message.clone(), Vec::new(), peer).await;
        let mut buffer = [0; MESSAGE_MAX];
        let (len, from) = client.recv_from(&mut buffer).await.unwrap();
        let packet = Packet::parse(&buffer[..len]).unwrap();
        assert_eq!((from, packet.id(), packet.answers.len()), (at, 7, 1));
        assert_eq!(responder.replies, BURST - 1);
        responder.replies = 0;
        responder.reply_to(message.clone(), Vec::new(), peer).await;
        assert_eq!(responder.replies, 0, "nothing more in this second");
    });
}

/// Catches: answers of all devices at the same moment (section 6); a reply before the peer's further known answers
/// have come (section 7.2); memory that grows with the number of queries.
#[test]
fn what_is_shared_waits_and_what_is_cut_off_longer() {
    async_io::block_on(async {
        let Scene { mut responder, time, .. } = scene();
        let peer = |n: u8| SocketAddr::from(([192, 168, 1, n], 5353));
        let ask = query("_imaps._tcp.local", TYPE::PTR);
        responder.hear(ask.clone(), peer(1)).await;
        let mut cut = Packet::parse(&ask).unwrap();
        cut.set_flags(PacketFlag::TRUNCATION);
        responder.hear(cut.build_bytes_vec().unwrap(), peer(2)).await;
        let due: Vec<_> = responder.waiting.iter().map(|it| it.due - time.now()).collect();
        let ms = Duration::from_millis;
        assert!((ms(20)..=ms(120)).contains(&due[0]) && (ms(400)..=ms(500)).contains(&due[1]), "{due:?}");
        // Known answers of the same peer count, up to a limit.
        let mut known = Packet::new_query(0);
        known.answers.push(responder.zone.entries.iter().find(|it| !it.is_unique).unwrap().record.clone());
        for _ in 0..10 {
            responder.hear(known.build_bytes_vec().unwrap(), peer(2)).await;
        }
        let more: Vec<_> = responder.waiting.iter().map(|it| it.more.len()).collect();
        assert_eq!(more, [0, 3]);
        for n in 0..100 {
            responder.hear(ask.clone(), peer(n)).await;
        }
        assert_eq!(responder.waiting.len(), WAITING_MAX);
    });
}

/// Catches: two devices that take names from each other without a pause (section 8.1).
#[test]
fn many_conflicts_make_it_slow() {
    async_io::block_on(async {
        let (time, mut trouble) = (Time::default(), Trouble::default());
        for _ in 1..CONFLICTS {
            trouble.pause(&time).await;
        }
        let over = Cell::new(false);
        let pause = async {
            trouble.pause(&time).await;
            assert!(over.get(), "no pause");
        };
        let clock = async {
            settle().await;
            over.set(true);
            time.advance(CALM);
            std::future::pending().await
        };
        or(pause, clock).await;
        time.advance(OFTEN + Duration::from_secs(1));
        trouble.pause(&time).await;
    });
}
