//! Which connections get a place, which lose it, and which right ends whose session.

use super::*;
use crate::config::{Account, AppPassword, Service};

/// Settings with a LAN of 192.168.0.0/16 and this many places.
fn config(max_connections: u32) -> Config {
    let mut config = Config::default();
    config.server.max_connections = max_connections;
    config.server.lan = vec!["192.168.0.0/16".parse().unwrap()];
    config
}

fn open(places: &Places, peer: &str, config: &Config) -> Result<Place, NoRoom> {
    places.open("pop3", Some(Service::Pop3), peer.parse().unwrap(), config)
}

/// A place that is kept, as after a login.
fn kept(places: &Places, peer: &str, config: &Config) -> Place {
    let place = open(places, peer, config).unwrap();
    place.keep();
    place
}

/// Catches: one address that locks the others out, and IPv4-mapped addresses that count as different ones.
#[test]
fn one_address_takes_nine_tenths_of_its_places_at_the_most() {
    let (places, config) = (Places::default(), config(20));
    let mut flood: Vec<_> = (0..13).map(|_| kept(&places, "203.0.113.9", &config)).collect();
    assert_eq!(open(&places, "203.0.113.9", &config).err(), Some(NoRoom::Address));
    assert_eq!(open(&places, "::ffff:203.0.113.9", &config).err(), Some(NoRoom::Address));
    let other = kept(&places, "203.0.113.10", &config);
    assert_eq!(places.count(Service::Pop3), 14);
    drop((flood.pop(), other));
    kept(&places, "203.0.113.9", &config);
    drop(flood);
    assert_eq!(places.count(Service::Pop3), 0);

    let _lan: Vec<_> = (0..18).map(|_| kept(&places, "192.168.7.1", &config)).collect();
    assert_eq!(open(&places, "192.168.7.1", &config).err(), Some(NoRoom::Address));
    kept(&places, "192.168.7.2", &config);
}

/// Catches: a host that takes all places with the many addresses of its IPv6 network.
#[test]
fn of_ipv6_the_network_counts() {
    let (places, config) = (Places::default(), config(2));
    let _one = kept(&places, "2001:db8::1", &config);
    assert_eq!(open(&places, "2001:db8::ffff:1", &config).err(), Some(NoRoom::Address));
    kept(&places, "2001:db8:0:1::1", &config);
}

/// Catches: sessions from outside that lock the LAN out, and a LAN that cannot have all places.
#[test]
fn a_quarter_of_the_places_is_for_the_lan() {
    let (places, config) = (Places::default(), config(8));
    let mut all: Vec<_> = (0..6).map(|host| kept(&places, &format!("203.0.113.{host}"), &config)).collect();
    assert_eq!(open(&places, "203.0.113.99", &config).err(), Some(NoRoom::Outside));
    all.extend((0..2).map(|host| kept(&places, &format!("192.168.7.{host}"), &config)));
    assert_eq!(open(&places, "192.168.7.9", &config).err(), Some(NoRoom::Server));
    all.clear();
    all.extend((0..8).map(|host| kept(&places, &format!("192.168.7.{host}"), &config)));
    assert_eq!(open(&places, "203.0.113.99", &config).err(), Some(NoRoom::Server));
    // With few places there is still one for outside.
    let one = self::config(1);
    kept(&Places::default(), "203.0.113.1", &one);
}

/// Catches: connections without a login that lock others out, one that is ended although it has logged in, and one of
/// the LAN that is ended for one from outside.
#[test]
fn the_oldest_connection_without_a_login_makes_room() {
    let (places, config) = (Places::default(), config(4));
    let outside = |host: u8| open(&places, &format!("203.0.113.{host}"), &config);
    let known = kept(&places, "203.0.113.1", &config);
    let (older, newer) = (outside(2).unwrap(), outside(3).unwrap());
    let home = open(&places, "192.168.7.1", &config).unwrap();
    let ends = || [&known, &older, &newer, &home].map(Place::end);
    assert_eq!(ends(), [None; 4]);
    let last = outside(4).unwrap();
    assert_eq!(ends(), [None, Some(End::Room), None, None]);
    assert_eq!(places.count(Service::Pop3), 4, "the place is free at once");
    drop(older);
    assert_eq!(places.count(Service::Pop3), 4, "and not twice");
    last.keep();
    // A connection from the LAN takes the place of one from outside, then of another one from the LAN.
    let second = open(&places, "192.168.7.2", &config).unwrap();
    assert_eq!([newer.end(), home.end()], [Some(End::Room), None]);
    let third = open(&places, "192.168.7.3", &config).unwrap();
    assert_eq!([home.end(), second.end(), third.end()], [Some(End::Room), None, None]);
    // A connection from outside does not take the place of one from the LAN.
    assert_eq!(outside(5).err(), Some(NoRoom::Server));
    assert_eq!([known.end(), last.end(), second.end(), third.end()], [None; 4]);
}

/// Catches: a device in the LAN that keeps its place just by connecting, and one that loses it although it sends
/// mail.
#[test]
fn a_device_makes_room_until_it_sends_mail() {
    let (places, config) = (Places::default(), config(3));
    let [idle, sends, third] = [1, 2, 3].map(|host| {
        let place = open(&places, &format!("192.168.7.{host}"), &config).unwrap();
        place.is_of_device();
        place
    });
    sends.keep();
    let ends = || [&idle, &sends, &third].map(Place::end);
    let _next = open(&places, "192.168.7.4", &config).unwrap();
    assert_eq!(ends(), [Some(End::Room), None, None]);
    let _last = open(&places, "192.168.7.5", &config).unwrap();
    assert_eq!(ends(), [Some(End::Room), None, Some(End::Room)]);
}

/// Catches: an address that gets more and more places, and a lowered limit that is never reached.
#[test]
fn who_has_too_much_gets_no_more() {
    let (places, mut config) = (Places::default(), config(8));
    let other = open(&places, "203.0.113.1", &config).unwrap();
    let flood: Vec<_> = (0..5).map(|_| open(&places, "203.0.113.9", &config).unwrap()).collect();
    assert_eq!(open(&places, "203.0.113.9", &config).err(), Some(NoRoom::Address));
    assert!(flood.iter().chain([&other]).all(|place| place.end().is_none()));
    config.server.max_connections = 2;
    let _seventh = open(&places, "203.0.113.2", &config).unwrap();
    assert_eq!(places.count(Service::Pop3), 2);
}

fn verifier(password: &str) -> Box<Verifier> {
    Box::new(Verifier::with(password, 1, [7; 16]))
}

/// Account `office` with the password `own`, an app password for the phone for all services, and one for the desk for
/// IMAP.
fn with_app_passwords() -> Config {
    let mut config = config(8);
    let app = |name: &str, services| AppPassword {
        name: name.try_into().unwrap(),
        verifier: *verifier(name),
        services,
    };
    config.accounts.push(Account {
        name: "office".try_into().unwrap(),
        verifier: *verifier("own"),
        app_passwords: vec![app("phone", Vec::new()), app("desk", vec![Service::Imap, Service::Pop3])],
        ..Account::default()
    });
    config
}

/// Catches: a session that goes on after its password, its app password or that one's right to the service has ended;
/// a session that ends with another one's.
#[test]
fn a_session_ends_with_the_password_that_it_came_by() {
    type Change = fn(&mut Account);
    let changes: [(&str, Change, [bool; 3]); 8] = [
        ("nothing", |_| {}, [true, true, true]),
        ("new password", |office| office.verifier = *verifier("new"), [false, true, true]),
        ("the phone's is removed", |office| drop(office.app_passwords.remove(0)), [true, false, true]),
        (
            "the desk's is for IMAP only",
            |office| office.app_passwords[1].services.truncate(1),
            [true, true, false],
        ),
        (
            "the phone's gets a list",
            |office| office.app_passwords[0].services.push(Service::Imap),
            [true, false, true],
        ),
        ("another name", |office| office.app_passwords[0].name = "tablet".try_into().unwrap(), [true; 3]),
        ("no POP3", |office| office.pop = false, [false; 3]),
        ("no account", |office| office.name = "other".try_into().unwrap(), [false; 3]),
    ];
    for (what, change, expected) in changes {
        let (places, mut config) = (Places::default(), with_app_passwords());
        let sessions = ["own", "phone", "desk"].map(|password| {
            let place = open(&places, "192.168.7.5", &config).unwrap();
            place.is_of_account("office", verifier(password), &config);
            place
        });
        change(&mut config.accounts[0]);
        places.review(&config);
        assert_eq!(sessions.map(|place| place.end().is_none()), expected, "{what}");
    }
}

/// Catches: a right that ended between the verdict on a login and its acceptance.
#[test]
fn a_login_that_comes_too_late_is_none() {
    let (places, config) = (Places::default(), with_app_passwords());
    let place = open(&places, "192.168.7.5", &config).unwrap();
    place.is_of_account("office", verifier("before"), &config);
    assert_eq!(place.end(), Some(End::Right));
}

/// Catches: a list with the wrong password, and a number that ends another session.
#[test]
fn the_operator_sees_who_is_there_and_ends_one() {
    let (places, config) = (Places::default(), with_app_passwords());
    let sessions = ["own", "phone"].map(|password| {
        let place = open(&places, "::ffff:192.168.7.5", &config).unwrap();
        place.is_of_account("office", verifier(password), &config);
        place
    });
    let unknown = places.open("https", None, "192.168.7.6".parse().unwrap(), &config).unwrap();
    let listed = places.list(&config);
    let seen = listed.iter().map(|c| (c.listener, c.account.as_deref(), c.device.as_deref(), c.address));
    let [here, there] = ["192.168.7.5", "192.168.7.6"].map(|address| address.parse().unwrap());
    assert_eq!(
        seen.collect::<Vec<_>>(),
        [
            ("pop3", Some("office"), None, here),
            ("pop3", Some("office"), Some("phone"), here),
            ("https", None, None, there),
        ]
    );
    assert!(places.disconnect(listed[1].id) && !places.disconnect(99));
    let ends = [sessions[0].end(), sessions[1].end(), unknown.end()];
    assert_eq!(ends, [None, Some(End::Disconnected), None]);
}
