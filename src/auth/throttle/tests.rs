use super::*;

fn origin<'a>(address: &str, account: &'a str) -> Origin<'a> {
    let address: IpAddr = address.parse().unwrap();
    Origin { address, on_lan: address.to_string().starts_with("192.168."), account }
}

/// The waits, in seconds, of `n` tries one after the other, and the time at which the last one is answered.
fn in_a_row(throttle: &mut Throttle, origin: Origin<'_>, n: usize, start: Instant) -> (Vec<u64>, Instant) {
    let mut now = start;
    let waits = (0..n).map(|_| {
        let wait = throttle.attempt(origin, now).unwrap();
        now += wait;
        wait.as_secs()
    });
    (waits.collect(), now)
}

/// The waits in seconds of `n` tries.
fn waits(throttle: &mut Throttle, origin: Origin<'_>, n: usize, now: Instant) -> Vec<u64> {
    in_a_row(throttle, origin, n, now).0
}

#[test]
fn waits_grow_after_the_free_tries_and_end_after_a_quiet_hour() {
    let (mut throttle, now) = (Throttle::new(), Instant::now());
    let guesser = origin("198.51.100.7", "demo");
    let (waits_in_a_row, now) = in_a_row(&mut throttle, guesser, 12, now);
    assert_eq!(waits_in_a_row, [0, 0, 0, 0, 1, 2, 4, 8, 16, 30, 30, 30]);
    assert_eq!(waits(&mut throttle, guesser, 1, now + FORGOTTEN - LONGEST - Duration::from_secs(1)), [30]);
    assert_eq!(waits(&mut throttle, guesser, 1, now + 2 * FORGOTTEN), [0]);
}

#[test]
fn the_lan_has_more_free_tries() {
    let (mut throttle, now) = (Throttle::new(), Instant::now());
    let waits = waits(&mut throttle, origin("192.168.7.5", "demo"), 22, now);
    assert!(waits[..20].iter().all(|&wait| wait == 0));
    assert_eq!(waits[20..], [1, 2]);
}

#[test]
fn an_ipv6_network_counts_as_one_and_a_mapped_address_as_ipv4() {
    for (one, other, same) in [
        ("2001:db8:1:1::1", "2001:db8:1:1:ffff::2", true),
        ("2001:db8:1:1::1", "2001:db8:1:2::1", false),
        ("::ffff:198.51.100.7", "198.51.100.7", true),
        ("198.51.100.7", "198.51.100.8", false),
    ] {
        let (mut throttle, now) = (Throttle::new(), Instant::now());
        waits(&mut throttle, origin(one, "demo"), 4, now);
        assert_eq!(waits(&mut throttle, origin(other, "demo"), 1, now), [u64::from(same)], "{other}");
    }
}

#[test]
fn guesses_from_everywhere_slow_down_strangers_but_not_the_owner() {
    let (mut throttle, now) = (Throttle::new(), Instant::now());
    let phone = origin("203.0.113.9", "demo");
    throttle.attempt(phone, now);
    throttle.succeeded(phone, now);
    // One a second, so that the queue of all wrong tries from outside does not matter here.
    for host in 1..=11 {
        let now = now + Duration::from_secs(host);
        throttle.attempt(origin(&format!("198.51.100.{host}"), "demo"), now);
    }
    let now = now + Duration::from_secs(12);
    assert_eq!(waits(&mut throttle, origin("198.51.100.99", "demo"), 1, now), [2]);
    assert_eq!(waits(&mut throttle, origin("198.51.100.98", "other"), 1, now), [0]);
    assert_eq!(waits(&mut throttle, origin("192.168.7.5", "demo"), 1, now), [0]);
    assert_eq!(waits(&mut throttle, phone, 1, now), [0]);
    assert_eq!(waits(&mut throttle, phone, 1, now + WELCOME + FORGOTTEN), [0], "all is forgotten");
}

#[test]
fn guesses_on_the_lan_count_for_the_lan_only() {
    let (mut throttle, now) = (Throttle::new(), Instant::now());
    for host in 1..=50 {
        let guess = origin("192.168.7.5", "demo");
        let guess = Origin { address: format!("192.168.7.{host}").parse().unwrap(), ..guess };
        assert_eq!(waits(&mut throttle, guess, 1, now), [0], "{host}");
    }
    assert_eq!(waits(&mut throttle, origin("192.168.7.99", "demo"), 2, now), [1, 2]);
    assert_eq!(waits(&mut throttle, origin("192.168.7.98", "other"), 1, now), [0]);
    assert_eq!(waits(&mut throttle, origin("198.51.100.7", "demo"), 1, now), [0]);
}

/// Catches: guesses from many networks that are answered fast, and known users or the LAN who wait for them. Ten wrong tries a
/// second for two minutes, each from another network and for another account.
#[test]
fn guesses_from_everywhere_for_everyone_get_one_fast_answer_a_second() {
    let (mut throttle, start) = (Throttle::new(), Instant::now());
    let phone = origin("203.0.113.9", "demo");
    throttle.attempt(phone, start);
    throttle.succeeded(phone, start);
    let (mut fast, mut longest) = (0, Duration::ZERO);
    for n in 0..1200_u32 {
        let now = start + Duration::from_millis(100) * n;
        let (address, account) = (format!("2001:db8:{n:x}::1"), format!("account{n}"));
        let wait = throttle.attempt(origin(&address, &account), now).unwrap();
        fast += u32::from(wait < Duration::from_secs(1));
        longest = longest.max(wait);
    }
    // The first ones are free. Once the queue has its full length, none is fast.
    assert!((10..=10 + 120).contains(&fast), "{fast}");
    assert_eq!(longest, LONGEST);
    let later = start + Duration::from_secs(120);
    assert_eq!(throttle.attempt(phone, later), Some(Duration::ZERO), "who was here before does not queue");
    assert_eq!(throttle.attempt(origin("192.168.7.5", "demo"), later), Some(Duration::ZERO));
    let over = later + LONGEST + Duration::from_secs(11);
    assert_eq!(throttle.attempt(origin("2001:db8:ffff::1", "new"), over), Some(Duration::ZERO));
}

#[test]
fn a_login_that_went_well_leaves_no_trace_in_the_queue() {
    let (mut throttle, now) = (Throttle::new(), Instant::now());
    for n in 0..100_u32 {
        let account = format!("account{n}");
        let device = origin("2001:db8:1::1", &account);
        let device = Origin { address: format!("2001:db8:{n:x}::1").parse().unwrap(), ..device };
        assert_eq!(throttle.attempt(device, now), Some(Duration::ZERO), "{n}");
        throttle.succeeded(device, now);
    }
}

#[test]
fn a_login_that_went_well_gives_its_address_new_free_tries() {
    let (mut throttle, now) = (Throttle::new(), Instant::now());
    let phone = origin("203.0.113.9", "demo");
    assert_eq!(waits(&mut throttle, phone, 5, now), [0, 0, 0, 0, 1]);
    throttle.succeeded(phone, now);
    assert_eq!(waits(&mut throttle, phone, 5, now), [0, 0, 0, 0, 1]);
}

/// How many tries of one address are answered in `span`, and how many wait at once at the most. Each of the `clients` makes its
/// next try as soon as it has an answer, or a while after it was turned away.
fn answered(clients: usize, guess: Origin<'_>, span: Duration) -> (usize, usize) {
    let (mut throttle, start) = (Throttle::new(), Instant::now());
    let (mut answered, mut most) = (0, 0);
    // For each client: when it hears something, and whether that is an answer.
    let mut clients = vec![(start, false); clients];
    loop {
        let (now, is_answer) = *clients.iter().min().unwrap();
        if now > start + span {
            return (answered, most);
        }
        answered += usize::from(is_answer);
        *clients.iter_mut().min().unwrap() = match throttle.attempt(guess, now) {
            Some(wait) => (now + wait, true),
            None => (now + Duration::from_secs(15), false),
        };
        let waiting = clients.iter().filter(|(at, is_answer)| *is_answer && *at > now);
        most = most.max(waiting.count());
    }
}

/// Catches: parallel guesses that are answered faster than guesses in a row, and logins that wait in unlimited number.
#[test]
fn guesses_side_by_side_are_no_better_than_in_a_row() {
    for address in ["198.51.100.7", "192.168.7.5"] {
        let span = Duration::from_secs(1800);
        let (in_a_row, one) = answered(1, origin(address, "demo"), span);
        let (side_by_side, most) = answered(180, origin(address, "demo"), span);
        assert!(in_a_row > 1800 / 30, "{in_a_row}");
        assert!(side_by_side <= in_a_row, "{address}: {side_by_side} and {in_a_row}");
        assert_eq!(one, 1);
        assert!(most <= 6, "{address}: {most} wait");
    }
}

/// Catches: an address whose tries for many accounts do not wait for each other, and good logins that make room for waiting
/// guesses.
#[test]
fn neither_other_accounts_nor_a_good_login_let_guesses_overtake() {
    let (mut throttle, now) = (Throttle::new(), Instant::now());
    let mut guesses = (0..20).map(|n| {
        let account = format!("account{n}");
        throttle.attempt(origin("198.51.100.7", &account), now)
    });
    assert!(guesses.any(|wait| wait.is_none()), "for many accounts");

    let mut throttle = Throttle::new();
    let own = origin("198.51.100.7", "own");
    let mut guesses = (0..30).map(|_| {
        throttle.attempt(own, now);
        throttle.succeeded(own, now);
        throttle.attempt(origin("198.51.100.7", "other"), now)
    });
    assert!(guesses.any(|wait| wait.is_none()), "with good logins in between");
}

/// Catches: a known user who is turned away because another device at the same address guesses.
#[test]
fn who_was_here_before_is_not_turned_away_for_the_tries_of_others() {
    let (mut throttle, now) = (Throttle::new(), Instant::now());
    let laptop = origin("198.51.100.7", "anna");
    throttle.attempt(laptop, now);
    throttle.succeeded(laptop, now);
    let phone = origin("198.51.100.7", "fred");
    assert!((0..1000).any(|_| throttle.attempt(phone, now).is_none()), "there is no bound");
    assert_eq!(throttle.attempt(origin("198.51.100.7", "new"), now), None);
    assert!(throttle.attempt(laptop, now).is_some_and(|wait| wait <= LONGEST));
    assert!(throttle.attempt(origin("198.51.100.8", "fred"), now).is_some(), "another address");
    let later = now + PATIENCE;
    assert!(throttle.attempt(phone, later).is_some(), "those before it are answered");
    // Guesses at the account that logged in before wait for each other, too.
    assert!((0..5).any(|_| throttle.attempt(laptop, now).is_none()));
}

#[test]
fn the_table_stays_small() {
    let (mut throttle, now) = (Throttle::new(), Instant::now());
    for host in 0..10_000_u32 {
        let address = IpAddr::from((0xc633_0000 + host).to_be_bytes());
        let origin = Origin { address, on_lan: false, account: "demo" };
        throttle.attempt(origin, now);
        throttle.succeeded(origin, now);
    }
    assert!(throttle.tries.len() <= TABLE && throttle.welcome.len() <= TABLE);
}
