//! The way out through smarthosts of other people: Postfix, Exim and OpenSMTPD, which are away for a while, put mail off,
//! refuse one recipient of several, hang up instead of an answer or amid a content, or take their time. Whatever they do, each message arrives
//! once, and the sender hears of nobody but who was refused.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use support::appliance::binary;
use support::mail::named;
use support::moods::{CLOSES, GREY, LATE, LATENESS, Moods, MoodyPostfix, NOBODY};
use support::{
    Appliance, Breaking, Connection, Exim, Imap, OpenSmtpd, PATIENCE, Relayed, Smtp, run, wait_for,
};

/// Each scenario with each server.
macro_rules! scenarios {
    ($($scenario:ident)*) => {
        mod postfix { $( #[test] fn $scenario() { super::$scenario::<super::MoodyPostfix>(); } )* }
        mod exim { $( #[test] fn $scenario() { super::$scenario::<super::Exim>(); } )* }
        mod opensmtpd { $( #[test] fn $scenario() { super::$scenario::<super::OpenSmtpd>(); } )* }
    };
}

scenarios! {
    it_goes_down_and_comes_back
    it_goes_down_amid_mail
    it_puts_recipients_off
    it_refuses_one_of_three
    it_hangs_up_instead_of_an_answer
    the_line_breaks_amid_the_content
    it_answers_late
}

/// A smarthost, and an appliance that sends through it.
struct Office<M> {
    // Fields are dropped in this order.
    appliance: Appliance,
    smarthost: M,
}

impl<M: Moods> Office<M> {
    fn open() -> Office<M> {
        let smarthost = M::start();
        let settings = smarthost.settings();
        Office::with(smarthost, &settings)
    }

    /// With settings of another way to the smarthost.
    fn with(smarthost: M, settings: &str) -> Office<M> {
        let appliance = Appliance::start(&format!(
            "[server]\ndomains = [\"home.example\"]\n[smarthost]\n{settings}retry = [\"1s\"]\n\
             [[account]]\nname = \"anna\"\naddress = \"anna@home.example\"\npassword = \"anna's own\"\n\
             [[account]]\nname = \"ben\"\naddress = \"ben@home.example\"\npassword = \"ben's own\"\n",
        ));
        Office { appliance, smarthost }
    }

    fn login(&self, account: &str) -> Smtp {
        let connection =
            Connection::open_tls(self.appliance.ports.submissions.address(), &self.appliance.ca());
        Smtp::login(connection, account, &format!("{account}'s own"))
    }

    /// Submits a message of this name and size.
    fn send(&self, account: &str, to: &[&str], name: &str, size: usize) {
        let to: Vec<String> = to.iter().map(|to| format!("{to}@outside.example")).collect();
        let to: Vec<&str> = to.iter().map(String::as_str).collect();
        self.login(account).send(&format!("{account}@home.example"), &to, &named(name, size));
    }

    fn queue(&self) -> String {
        let mut list = Command::new(binary());
        run(list.args(["queue", "list", "--data"]).arg(self.appliance.data()), PATIENCE).success()
    }

    /// Waits until nothing is to be done any more, until the smarthost has put it where it belongs, and for what comes twice.
    fn settled(&self, is_all: impl Fn(&[Relayed]) -> bool) -> Vec<Relayed> {
        wait_for("an empty queue", || (self.queue() == "the queue is empty\n").then_some(()));
        let mut before = 0;
        wait_for("all that the smarthost has taken", || {
            let relayed = self.smarthost.relayed();
            let rests = relayed.len() == std::mem::replace(&mut before, relayed.len());
            if rests && is_all(&relayed) {
                return Some(relayed);
            }
            std::thread::sleep(Duration::from_millis(200));
            None
        })
    }

    /// What `account` has been told.
    fn inbox(&self, account: &str) -> Vec<String> {
        let connection = Connection::open_tls(self.appliance.ports.imaps.address(), &self.appliance.ca());
        let mut imap = Imap::login(connection, account, &format!("{account}'s own"));
        imap.fetch_all("INBOX").into_values().map(|message| String::from_utf8(message).unwrap()).collect()
    }

    /// All of it has arrived, each once and whole, and nobody has been told anything.
    #[track_caller]
    fn assert_arrived(&self, expected: &[(&str, &str)]) {
        let relayed = self.settled(|relayed| relayed.len() >= expected.len());
        let mut found: Vec<_> = relayed.iter().map(|it| (it.subject(), short(&it.recipient))).collect();
        let mut expected = expected.to_vec();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{}", self.smarthost.log());
        relayed.iter().for_each(assert_whole);
    }

    #[track_caller]
    fn assert_nobody_is_told(&self) {
        for account in ["anna", "ben"] {
            let told = self.inbox(account);
            assert!(told.is_empty(), "{account}: {told:?}");
        }
    }
}

fn short(recipient: &str) -> &str {
    recipient.strip_suffix("@outside.example").unwrap_or(recipient)
}

/// Whether its sender is who sent it, and its text is what was written, from the first line to the last.
fn is_whole(it: &Relayed) -> bool {
    let Some((_, text)) = it.message.split_once("\n\n") else { return false };
    let written = String::from_utf8(named(it.subject(), text.len().saturating_sub(100))).unwrap();
    let written = written.split_once("\r\n\r\n").unwrap().1.replace("\r\n", "\n");
    let ends =
        |text: &str| (text.lines().next().map(str::to_owned), text.lines().next_back().map(str::to_owned));
    let numbers = text.lines().filter(|line| line.contains(" of ")).count();
    (it.sender == "anna@home.example" || it.sender == "ben@home.example")
        && (it.login == "box" || it.login.is_empty())
        && ends(text) == ends(&written)
        && numbers + 2 == text.lines().count()
}

#[track_caller]
fn assert_whole(it: &Relayed) {
    assert!(is_whole(it), "{}", it.message);
}

/// Catches: mail that waits for longer than the smarthost is away, or is lost with a power cut meanwhile, and a sender who is
/// told of what is no failure.
fn it_goes_down_and_comes_back<M: Moods>() {
    let mut office = Office::<M>::open();
    office.send("anna", &["a"], "before", 100);
    office.assert_arrived(&[("before", "a")]);
    office.smarthost.down();
    for name in ["one", "two", "three"] {
        office.send("anna", &["a", "b"], name, 5_000);
        office.send("ben", &["c"], name, 70_000);
    }
    wait_for("a try that fails", || office.appliance.log.find("no connection to"));
    office.appliance.kill();
    office.appliance.restart();
    office.send("ben", &["c"], "after the cut", 100);
    assert_eq!(office.smarthost.relayed().len(), 1);
    office.smarthost.up();
    office.assert_arrived(&[
        ("before", "a"),
        ("one", "a"),
        ("one", "b"),
        ("one", "c"),
        ("two", "a"),
        ("two", "b"),
        ("two", "c"),
        ("three", "a"),
        ("three", "b"),
        ("three", "c"),
        ("after the cut", "c"),
    ]);
    office.assert_nobody_is_told();
    office.appliance.stop();
}

/// Catches: messages that are lost with a connection that breaks while many are under way, and some that go again though nothing
/// was in doubt.
fn it_goes_down_amid_mail<M: Moods>() {
    const MESSAGES: usize = 40;
    let mut office = Office::<M>::open();
    let names: Vec<String> = (0..MESSAGES).map(|n| format!("number {n:02}")).collect();
    for (n, name) in names.iter().enumerate() {
        office.send(["anna", "ben"][n % 2], &["a"], name, 200 + n * 1_000);
        if n == MESSAGES / 2 {
            office.smarthost.down();
        }
    }
    office.smarthost.up();
    let is_there =
        |relayed: &[Relayed], name: &str| relayed.iter().any(|it| it.subject() == name && is_whole(it));
    let relayed = office.settled(|relayed| names.iter().all(|name| is_there(relayed, name)));
    // One that is ended while it delivers may do that again, and leave a beginning of what it delivers then: what it was given
    // counts.
    let (whole, torn): (Vec<_>, Vec<_>) = relayed.iter().partition(|it| is_whole(it));
    let mut given: Vec<_> = whole.iter().filter_map(|it| it.id_at_smarthost()).collect();
    given.sort_unstable();
    given.dedup();
    for it in torn {
        assert!(it.id_at_smarthost().is_none_or(|id| given.contains(&id)), "{}", it.message);
    }
    let log = office.appliance.log.lines();
    let doubtful = log.iter().filter(|line| line.contains("it may arrive twice")).count();
    let range = MESSAGES..=MESSAGES + doubtful;
    assert!(range.contains(&given.len()), "{} of {range:?}", given.len());
    office.assert_nobody_is_told();
    office.appliance.stop();
}

/// Catches: a recipient who waits for another one, or gets a message anew with each try; greylisting that is taken for a refusal.
fn it_puts_recipients_off<M: Moods>() {
    let mut office = Office::<M>::open();
    let [one, two, three] = ["1", "2", "3"].map(|n| format!("{GREY}{n}"));
    office.send("anna", &[&one, "friend", &two], "to three", 3_000);
    office.send("anna", &[&three], "to one", 3_000);
    office.send("ben", &["friend"], "another", 3_000);
    office.assert_arrived(&[
        ("to three", &one),
        ("to three", "friend"),
        ("to three", &two),
        ("to one", &three),
        ("another", "friend"),
    ]);
    office.assert_nobody_is_told();
    assert!(office.smarthost.log().contains("greylisted"), "{}", office.smarthost.log());
    office.appliance.stop();
}

/// Catches: a refusal that costs the others their message, or is told of them, or to somebody else, or twice.
fn it_refuses_one_of_three<M: Moods>() {
    let mut office = Office::<M>::open();
    office.send("anna", &["a", NOBODY, "b"], "to three", 3_000);
    office.send("ben", &["c"], "another", 3_000);
    office.assert_arrived(&[("to three", "a"), ("to three", "b"), ("another", "c")]);
    let [report] = &office.inbox("anna")[..] else { panic!("one report") };
    let refused: Vec<_> = report.lines().filter(|line| line.starts_with("Final-Recipient:")).collect();
    assert_eq!(refused, ["Final-Recipient: rfc822; nobody@outside.example"], "{report}");
    assert!(
        report.contains("\r\nAction: failed\r\n") && report.contains("\r\nDiagnostic-Code: smtp; 55"),
        "{report}"
    );
    assert!(report.contains("\r\nSubject: to three\r\n"), "{report}");
    assert!(office.inbox("ben").is_empty());
    office.appliance.stop();
}

/// Catches: a message that is given up, or goes once more than was asked for, when a connection ends where its answer should come,
/// and others that are lost with it.
fn it_hangs_up_instead_of_an_answer<M: Moods>() {
    let mut office = Office::<M>::open();
    let [one, two] = ["1", "2"].map(|n| format!("{CLOSES}{n}"));
    office.send("anna", &[&one], "short", 100);
    office.send("anna", &["a"], "behind it", 2_000);
    office.send("anna", &[&two], "large", 300_000);
    office.send("ben", &["a"], "another", 2_000);
    office.assert_arrived(&[("short", &one), ("behind it", "a"), ("large", &two), ("another", "a")]);
    office.assert_nobody_is_told();
    office.appliance.stop();
}

/// Catches: a message that is lost, or arrives as far as it came, when the connection ends in the midst of its content, on either way
/// that one may go; and one that goes twice for that though the smarthost never had its end.
fn the_line_breaks_amid_the_content<M: Moods>() {
    let smarthost = M::start();
    let settings = smarthost.settings();
    let port = settings.lines().find_map(|line| line.strip_prefix("port = ")).unwrap();
    let server = std::net::SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap()));
    // Amid the short one and the large one, whichever comes first, and amid the large one when the short one is through.
    let line = Breaking::to(server, &[25_000, 25_000, 150_000]);
    let way = settings.replace(&format!("port = {port}\n"), &format!("port = {}\n", line.address.port()));
    let mut office = Office::with(smarthost, &way);
    office.send("anna", &["a"], "short", 50_000);
    office.send("anna", &["a", "b"], "large", 300_000);
    office.assert_arrived(&[("short", "a"), ("large", "a"), ("large", "b")]);
    office.assert_nobody_is_told();
    assert_eq!(line.broken(), 3, "{}", office.smarthost.log());
    office.appliance.stop();
}

/// Catches: a smarthost that thinks, and is hung up on, or holds up what others send.
fn it_answers_late<M: Moods>() {
    let mut office = Office::<M>::open();
    let begun = Instant::now();
    office.send("anna", &[LATE], "late", 2_000);
    office.send("ben", &["a"], "meanwhile", 2_000);
    wait_for("the message of another one", || {
        office.smarthost.relayed().iter().any(|it| it.subject() == "meanwhile").then_some(())
    });
    assert!(begun.elapsed() < LATENESS, "{:?}\n{}", begun.elapsed(), office.smarthost.log());
    assert!(office.queue().contains(LATE));
    office.assert_arrived(&[("late", LATE), ("meanwhile", "a")]);
    assert!(begun.elapsed() >= LATENESS, "{:?}", begun.elapsed());
    office.assert_nobody_is_told();
    office.appliance.stop();
}
