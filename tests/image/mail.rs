//! What the appliance is for: mail in, mail read, mail out, and nothing lost when the power goes.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;
use std::thread::scope;
use std::time::{Duration, Instant};

use crate::device::{Device, LONG, measured};
use crate::ntp;
use crate::support::mail::{Dice, named};
use crate::support::{Connection, Dovecot, Imap, Postfix, Smtp, random, wait_up_to};

/// Power cuts in the middle of deliveries.
const CUTS: usize = 10;
/// Clients that deliver at once.
const CLIENTS: usize = 3;

#[test]
#[ignore = "needs a card image: make test-image"]
fn mail_comes_in_is_read_goes_out_and_survives_every_power_cut() {
    ntp::serve();
    let provider = Dovecot::start(&[("u0", "pass"), ("box", "global")]);
    let smarthost = Postfix::start(&provider);
    provider.fill("u0", [&named("collected small", 2_000), &named("collected large", 300_000)]);
    let mut device = Device::new();
    device.limit_memory("64M");
    // The certificates themselves: they are pinned, as their names are not those under which QEMU's network has them.
    device.put_on_card("peers.pem", certificates(&provider, &smarthost));

    device.power_on();
    started(&mut device, "the first start");
    for line in [
        "set server.domains home.example",
        "set network.ntp 10.0.2.2",
        "add account demo",
        "set account.demo.address demo@home.example",
        "set account.demo.multipop true",
        "add source demo",
        "set account.demo.source.1.host 10.0.2.2",
        &format!("set account.demo.source.1.port {}", provider.ports.pop3s.number),
        "set account.demo.source.1.username u0",
        "set account.demo.source.1.ca /card/peers.pem",
        "set smarthost.host 10.0.2.2",
        &format!("set smarthost.port {}", smarthost.submissions.number),
        "set smarthost.username box",
        "set smarthost.ca /card/peers.pem",
    ] {
        device.command(line);
    }
    device.password("demo", "open sesame");
    device.password("account.demo.source.1.password", "pass");
    device.password("smarthost.password", "global");
    let answer = device.command("commit");
    assert!(answer.contains("in force, but for [network]"), "{answer}");
    device.enter("restart");
    device.starts_anew();
    device.ready();

    let ca = device.ca();
    let login = |address: SocketAddr| Imap::login(Connection::open_tls(address, &ca), "demo", "open sesame");
    let mut imap = device.imap(&ca);
    // As soon as NTP has told the time, certificates are judged, and mail is collected.
    let collected = wait_up_to(LONG, "the collected mail", || {
        let mail = imap.fetch_all("INBOX");
        (mail.len() == 2).then_some(mail)
    });
    assert!(collected.values().any(|mail| mail.ends_with(&named("collected large", 300_000))));

    let submissions = Connection::open_tls(device.ports.submissions.address(), &ca);
    let mut smtp = Smtp::login(submissions, "demo", "open sesame");
    smtp.send("demo@home.example", &["friend@outside.example"], &named("sent", 5_000));
    let relayed = wait_up_to(LONG, "the relayed message", || smarthost.relayed().pop());
    assert_eq!((relayed.login.as_str(), relayed.sender.as_str()), ("box", "demo@home.example"));

    let idle: Vec<Imap> = (0..10).map(|_| login(device.imaps())).collect();
    let memory = device.command("show board");
    for line in memory.lines().filter(|line| line.contains("MiB")) {
        measured(&format!("with ten clients over TLS and `mem=64M`: {}", line.trim()));
    }
    drop(idle);

    let mut kept = Kept { acknowledged: BTreeSet::new(), begun: 0 };
    for cut in 0..CUTS {
        deliver_until_the_power_goes(&mut device, &mut kept);
        device.power_on();
        started(&mut device, &format!("the start after cut {cut}"));
        wait_up_to(LONG, "the listeners", || Connection::try_open(device.imaps()).ok());
        kept.verify(&login(device.imaps()).fetch_all("INBOX").into_values().collect::<Vec<_>>());
    }
    assert!(kept.acknowledged.len() > CUTS, "hardly anything was delivered between the cuts");
}

fn started(device: &mut Device, which: &str) {
    device.expect("Starting kernel");
    let kernel = Instant::now();
    let all = device.ready().as_secs();
    let kernel = kernel.elapsed().as_secs();
    measured(&format!(
        "{which} in emulation: `ready:` {all} s after power on, {kernel} s after the kernel's start"
    ));
}

/// What was delivered, by name.
struct Kept {
    acknowledged: BTreeSet<String>,
    begun: usize,
}

impl Kept {
    /// Everything that was acknowledged is there, once and whole; what was not may be there, whole.
    fn verify(&self, mail: &[Vec<u8>]) {
        let mut found = BTreeSet::new();
        for octets in mail {
            let text = String::from_utf8_lossy(octets);
            let Some(name) = text.lines().find_map(|line| line.strip_prefix("Subject: cut ")) else {
                continue;
            };
            let (number, size) = name.split_once(' ').unwrap();
            let sent = message(number.parse().unwrap(), size.parse().unwrap());
            // Its header has got what a printer leaves out.
            assert!(body(octets) == body(&sent), "{name} is not what was sent");
            assert!(found.insert(name.to_owned()), "{name} is there twice");
        }
        let lost: Vec<_> = self.acknowledged.difference(&found).collect();
        assert!(lost.is_empty(), "{lost:?} were acknowledged and are gone");
        println!("== {} acknowledged, {} found", self.acknowledged.len(), found.len());
    }
}

/// What follows the header.
fn body(message: &[u8]) -> &[u8] {
    let header = message.windows(4).position(|octets| octets == b"\r\n\r\n").unwrap();
    &message[header..]
}

fn message(number: usize, size: usize) -> Vec<u8> {
    named(&format!("cut {number} {size}"), size)
}

/// Several clients deliver, one message after the other, until the power is cut some time after the first reply.
fn deliver_until_the_power_goes(device: &mut Device, kept: &mut Kept) {
    let mut dice = Dice(random());
    let goal = 3 + dice.below(12);
    let pause = Duration::from_millis(dice.below(400) as u64);
    let address = device.ports.smtp.address();
    let (acknowledged, begun) = (Mutex::new(Vec::new()), Mutex::new(kept.begun));
    scope(|scope| {
        for _ in 0..CLIENTS {
            let mut dice = Dice(random());
            let (acknowledged, begun) = (&acknowledged, &begun);
            scope.spawn(move || {
                let mut smtp = Smtp::try_begin(Connection::try_open(address).ok()?)?;
                loop {
                    let number = {
                        let mut begun = begun.lock().unwrap();
                        *begun += 1;
                        *begun
                    };
                    let size = if dice.below(8) == 0 { 100_000 } else { 500 + dice.below(20_000) };
                    let reply =
                        smtp.try_send("demo@home.example", &["demo@home.example"], &message(number, size))?;
                    assert!(reply.starts_with("250"), "{reply}");
                    acknowledged.lock().unwrap().push(format!("{number} {size}"));
                }
                #[allow(unreachable_code, reason = "names the type of what `?` gives")]
                Some(())
            });
        }
        wait_up_to(LONG, "some deliveries", || (acknowledged.lock().unwrap().len() >= goal).then_some(()));
        std::thread::sleep(pause);
        device.cut_power();
    });
    kept.begun = begun.into_inner().unwrap();
    kept.acknowledged.extend(acknowledged.into_inner().unwrap());
}

fn certificates(provider: &Dovecot, smarthost: &Postfix) -> String {
    let beside = |ca: &Path| std::fs::read_to_string(ca.with_file_name("cert.pem")).unwrap();
    beside(provider.ca()) + &beside(&smarthost.ca)
}
