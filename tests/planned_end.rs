//! SIGTERM: nothing is sent twice, clients hear a goodbye, what is being handed over is finished, and the end is soon.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::io;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use support::loopback::{Loopback, Wire};
use support::mail::named;
use support::{Appliance, Connection, Imap, Pop3, Provider, Smtp, wait_for};

/// What a planned end may take where nothing is in doubt.
const SOON: Duration = Duration::from_secs(1);

/// Never.
const NEVER: usize = usize::MAX;
/// Not even MAIL.
const NOT_MAIL: usize = usize::MAX - 1;

/// A smarthost that answers the final dot after a time.
struct Slow {
    server: Loopback,
    /// Milliseconds.
    thinks: Arc<AtomicUsize>,
    taken: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
    /// Subjects whose content has come as a whole.
    heard: Arc<Mutex<Vec<String>>>,
}

impl Slow {
    fn start(thinks: Option<Duration>) -> Slow {
        let (taken, connections) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let millis = thinks.map_or(NEVER, |thinks| thinks.as_millis() as usize);
        let thinks = Arc::new(AtomicUsize::new(millis));
        let (counts, opens, hears, after) =
            (taken.clone(), connections.clone(), heard.clone(), thinks.clone());
        let server = Loopback::serve(None, move |wire| {
            opens.fetch_add(1, Ordering::SeqCst);
            talk(wire, &after, &counts, &hears)
        });
        Slow { server, thinks, taken, connections, heard }
    }

    fn config(&self) -> String {
        format!(
            "[server]\ndomains = [\"home.example\"]\n[smarthost]\nhost = \"127.0.0.1\"\nport = {}\nsecurity = \"none\"\n\
             retry = [\"1h\"]\n[[account]]\nname = \"demo\"\naddress = \"demo@home.example\"\npassword = \"pass\"\n",
            self.server.address.port()
        )
    }

    fn wait_until_heard(&self, n: usize) {
        wait_for("a message at the smarthost", || (self.heard.lock().unwrap().len() >= n).then_some(()));
    }
}

fn talk(
    mut wire: Wire,
    thinks: &AtomicUsize,
    taken: &AtomicUsize,
    heard: &Mutex<Vec<String>>,
) -> io::Result<()> {
    wire.say("220 slow.example\r\n")?;
    while let Some(command) = wire.command()? {
        match command.split(' ').next().unwrap_or_default() {
            "EHLO" => wire.say("250-slow.example\r\n250-PIPELINING\r\n250 SIZE 0\r\n")?,
            "DATA" => {
                wire.say("354 Go on\r\n")?;
                let mut subject = String::new();
                loop {
                    let Some(line) = wire.command()? else { return Ok(()) };
                    if let Some(words) = line.strip_prefix("Subject: ") {
                        subject = words.to_owned();
                    }
                    if line == "." {
                        break;
                    }
                }
                heard.lock().unwrap().push(subject);
                let millis = thinks.load(Ordering::SeqCst);
                if millis == NEVER {
                    // Until the other end gives up.
                    wire.command()?;
                    return Ok(());
                }
                std::thread::sleep(Duration::from_millis(millis as u64));
                taken.fetch_add(1, Ordering::SeqCst);
                wire.say("250 Taken\r\n")?;
            }
            "MAIL" if thinks.load(Ordering::SeqCst) == NOT_MAIL => {
                heard.lock().unwrap().push("MAIL".to_owned());
                while wire.command()?.is_some() {}
            }
            "QUIT" => return wire.say("221 Bye\r\n"),
            _ => wire.say("250 OK\r\n")?,
        }
    }
    Ok(())
}

fn smtp(appliance: &Appliance) -> Smtp {
    Smtp::login(Connection::open(appliance.ports.submission.address()), "demo", "pass")
}

fn imap(appliance: &Appliance) -> Imap {
    let mut imap = Imap::login(Connection::open(appliance.ports.imap.address()), "demo", "pass");
    imap.command("SELECT INBOX").ok();
    imap
}

/// Catches: a message that is sent twice, since its reply was not waited for, and one that is begun though the end has come.
#[test]
fn what_the_smarthost_has_and_has_not_answered_is_not_sent_twice() {
    let smarthost = Slow::start(Some(Duration::from_secs(3)));
    let thinks = &smarthost.thinks;
    let mut appliance = Appliance::start(&smarthost.config());
    let mut client = smtp(&appliance);
    client.send("demo@home.example", &["one@outside.example"], &named("first", 500));
    smarthost.wait_until_heard(1);
    for n in 2..=8 {
        client.send("demo@home.example", &["two@outside.example"], &named(&format!("message {n}"), 500));
    }
    let began = Instant::now();
    appliance.terminate();
    assert_eq!(appliance.end(), Some(0));
    let took = began.elapsed();
    assert!(took > Duration::from_secs(2) && took < Duration::from_secs(10), "{took:?}");
    let (taken, heard) = (&smarthost.taken, || smarthost.heard.lock().unwrap().len());
    assert_eq!(taken.load(Ordering::SeqCst), heard(), "all that was begun was answered");
    assert!(heard() < 8, "nothing is begun any more");
    thinks.store(0, Ordering::SeqCst);
    appliance.restart();
    wait_for("the rest", || (taken.load(Ordering::SeqCst) >= 8).then_some(()));
    wait_for("an empty queue", || (!appliance.console("show queue").contains("outside")).then_some(()));
    assert_eq!(heard(), 8, "each once");
    appliance.stop();
}

/// Catches: an end that waits for a smarthost that has nothing of the message yet, and a message that is lost or called doubtful
/// since it was begun.
#[test]
fn what_was_only_begun_is_not_waited_for() {
    let smarthost = Slow::start(None);
    smarthost.thinks.store(NOT_MAIL, Ordering::SeqCst);
    let mut appliance = Appliance::start(&smarthost.config());
    smtp(&appliance).send("demo@home.example", &["one@outside.example"], &named("first", 500));
    smarthost.wait_until_heard(1);
    let began = Instant::now();
    appliance.terminate();
    assert_eq!(appliance.end(), Some(0));
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    smarthost.thinks.store(0, Ordering::SeqCst);
    appliance.restart();
    wait_for("the message", || (smarthost.taken.load(Ordering::SeqCst) == 1).then_some(()));
    assert_eq!(appliance.log.find("it may arrive twice"), None);
    appliance.stop();
}

/// Catches: an end that waits for ever for a smarthost that never answers, when somebody is in a hurry.
#[test]
fn a_second_signal_ends_at_once() {
    let smarthost = Slow::start(None);
    let mut appliance = Appliance::start(&smarthost.config());
    smtp(&appliance).send("demo@home.example", &["one@outside.example"], &named("first", 500));
    smarthost.wait_until_heard(1);
    appliance.terminate();
    // The signals must not be taken for one.
    wait_for("the first signal", || appliance.log.find("Term received"));
    std::thread::sleep(Duration::from_millis(500));
    let began = Instant::now();
    appliance.terminate();
    assert_eq!(appliance.end(), Some(0));
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

/// Catches: clients that are cut off without a word, or only once they speak; a port that still takes connections; messages
/// that are deleted without QUIT; and an end that waits although nothing is in doubt.
#[test]
fn clients_hear_a_goodbye_and_nobody_is_waited_for() {
    let smarthost = Slow::start(Some(Duration::ZERO));
    let mut appliance = Appliance::start(&smarthost.config());
    let mut other = imap(&appliance);
    other.append("INBOX", &named("stays", 100));
    let mut idler = imap(&appliance);
    idler.send(b"IDLE").unwrap();
    assert!(idler.connection.line().starts_with('+'));
    let mut sender = smtp(&appliance);
    assert!(sender.command("MAIL FROM:<demo@home.example>").starts_with("250"));
    let mut deleter = Pop3::login(Connection::open(appliance.ports.pop3.address()), "demo", "pass");
    assert!(deleter.command("DELE 1").starts_with("+OK"));
    // One in the middle of a login, which is nobody.
    let mut nobody = Pop3::new(Connection::open(appliance.ports.pop3.address()));
    assert!(nobody.command("USER demo").starts_with("+OK"));

    let began = Instant::now();
    appliance.terminate();
    let bye = idler.connection.line();
    assert!(bye.starts_with("* BYE The server stops"), "{bye}");
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert_eq!(other.connection.line(), bye);
    let reply = sender.try_command(b"RCPT TO:<demo@home.example>").unwrap_or_else(|| sender.0.line());
    assert!(reply.starts_with("421 4.3.2"), "{reply}");
    assert!(deleter.0.line().starts_with("-ERR [SYS/TEMP] The server stops"));
    assert!(nobody.0.line().starts_with("-ERR [SYS/TEMP] The server stops"));
    assert_eq!(appliance.end(), Some(0));
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());

    appliance.restart();
    let mut pop3 = Pop3::login(Connection::open(appliance.ports.pop3.address()), "demo", "pass");
    assert_eq!(pop3.count(), 1, "DELE without QUIT");
    appliance.stop();
}

/// Catches: a message that is cut off while it is handed over, by SMTP or by IMAP; and new connections meanwhile.
#[test]
fn a_message_that_is_being_handed_over_is_finished() {
    let smarthost = Slow::start(Some(Duration::ZERO));
    let mut appliance = Appliance::start(&smarthost.config());
    let mut sender = smtp(&appliance);
    for (command, code) in
        [("MAIL FROM:<demo@home.example>", "250"), ("RCPT TO:<demo@home.example>", "250"), ("DATA", "354")]
    {
        assert!(sender.command(command).starts_with(code));
    }
    sender.0.send("From: demo@home.example\r\nSubject: by SMTP\r\n\r\nThe first half,\r\n");
    let mut appender = imap(&appliance);
    let message = "Subject: by IMAP\r\n\r\nall of it\r\n";
    let tag = appender.send(format!("APPEND INBOX {{{}}}", message.len()).as_bytes()).unwrap();
    assert!(appender.connection.line().starts_with('+'));
    appender.connection.send(&message.as_bytes()[..10]);

    appliance.terminate();
    let submission = appliance.ports.submission.address();
    wait_for("the port to close", || TcpStream::connect(submission).is_err().then_some(()));
    std::thread::sleep(Duration::from_millis(1500));
    appender.connection.send(&message.as_bytes()[10..]);
    appender.connection.send("\r\n");
    loop {
        let line = appender.connection.line();
        if line.starts_with(&format!("{tag} ")) {
            assert!(line.starts_with(&format!("{tag} OK")), "{line}");
            break;
        }
        assert!(!line.starts_with("* BYE"), "{line}");
    }
    assert!(appender.connection.line().starts_with("* BYE"));
    sender.0.send("and the second half.\r\n.\r\n");
    assert!(sender.0.line().starts_with("250"));
    assert!(sender.0.line().starts_with("421"));
    assert_eq!(appliance.end(), Some(0));

    appliance.restart();
    let mut pop3 = Pop3::login(Connection::open(appliance.ports.pop3.address()), "demo", "pass");
    assert_eq!(pop3.count(), 2);
    appliance.stop();
}

/// Catches: a client that falls silent in the middle of a message and holds up the end.
#[test]
fn who_falls_silent_in_a_message_is_not_waited_for_long() {
    let smarthost = Slow::start(Some(Duration::ZERO));
    let mut appliance = Appliance::start(&smarthost.config());
    let mut sender = smtp(&appliance);
    for command in ["MAIL FROM:<demo@home.example>", "RCPT TO:<demo@home.example>", "DATA"] {
        sender.command(command);
    }
    let began = Instant::now();
    appliance.terminate();
    assert!(sender.0.line().starts_with("421"));
    assert_eq!(appliance.end(), Some(0));
    let took = began.elapsed();
    assert!(took > Duration::from_secs(4) && took < Duration::from_secs(8), "{took:?}");
    assert_eq!(smarthost.connections.load(Ordering::SeqCst), 0);
}

/// Catches: a poll that holds up the end, or goes on collecting, and mail that comes twice or not at all for it.
#[test]
fn a_poll_stops_where_it_is() {
    let provider = Provider::start(None, Duration::from_millis(400));
    for n in 0..20 {
        let message = format!("Subject: {n}\r\nMessage-ID: <{n}@x>\r\n\r\nbody\r\n");
        provider.add("demo", &format!("u{n}"), message.into_bytes());
    }
    let config = format!(
        "[server]\ndomains = [\"home.example\"]\n[[account]]\nname = \"demo\"\naddress = \"demo@home.example\"\n\
         password = \"pass\"\nmultipop = true\n[[account.source]]\nhost = \"127.0.0.1\"\nport = {}\nsecurity = \"none\"\n\
         username = \"demo\"\npassword = \"x\"\n",
        provider.address().port()
    );
    let mut appliance = Appliance::start(&config);
    let count = |appliance: &Appliance| {
        Pop3::login(Connection::open(appliance.ports.pop3.address()), "demo", "pass").count()
    };
    wait_for("some mail", || (count(&appliance) > 1).then_some(()));
    let began = Instant::now();
    appliance.terminate();
    assert_eq!(appliance.end(), Some(0));
    assert!(began.elapsed() < Duration::from_millis(1500), "{:?}", began.elapsed());
    assert!(!provider.listing("demo").is_empty(), "it went on to its end");
    appliance.restart();
    wait_for("all of it", || provider.listing("demo").is_empty().then_some(()));
    wait_for("all of it here", || (count(&appliance) == 20).then_some(()));
    appliance.stop();
}
