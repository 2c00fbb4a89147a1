//! Nobody keeps the others waiting, whatever they ask for and whatever their mail is like.
//!
//! The servers run here on an executor of the test's, so that nothing is timed: what counts is how often a session that
//! works hard gives way, how many octets it reads from flash before it does, and how many of its steps another one's NOOP
//! has to wait for. So it holds on a slow board as on a fast desktop.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::cell::Cell;
use std::net::TcpListener;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as Waking, Poll};
use std::time::Duration;

use async_io::Async;
use pillarbox::certificate;
use pillarbox::config::{Account, Config, Service, Text};
use pillarbox::context::Context;
use pillarbox::credential::Verifier;
use pillarbox::flash::Sync;
use pillarbox::flash::disk::Disk;
use pillarbox::net::stream::Stream;
use pillarbox::store::{self, Flags, INBOX, Store};
use pillarbox::{imap, pace, pop3};
use smol::LocalExecutor;
use support::Scratch;
use support::over::{Over, Special};

/// Octets that a session may read before it gives way: a header twice, and some windows.
const READ: u64 = 640 * 1024;
/// Steps of a session that works hard, while another one's NOOP waits: three times (its octets come, the answer leaves,
/// the answer comes) as many as there are between two looks at what has come in, and those that have other reasons.
const STEPS: u32 = 5 * 8;

/// What a session did.
#[derive(Default)]
struct Work {
    /// Times that it had the thread.
    steps: Cell<u32>,
    /// Octets read from flash in the step under way.
    reading: Cell<u64>,
    /// The most in a step.
    read: Cell<u64>,
    /// What each read takes.
    takes: Cell<Duration>,
}

/// A session whose steps are counted.
struct Counted<F> {
    session: Pin<Box<F>>,
    work: Rc<Work>,
}

impl<F: Future> Future for Counted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Waking<'_>) -> Poll<F::Output> {
        self.work.reading.set(0);
        let polled = self.session.as_mut().poll(cx);
        self.work.steps.set(self.work.steps.get() + 1);
        self.work.read.set(self.work.read.get().max(self.work.reading.get()));
        polled
    }
}

/// The flash counts the octets that are read, and takes its time.
impl Special for Work {
    fn read(&self, octets: usize) {
        self.reading.set(self.reading.get() + octets as u64);
        std::thread::sleep(self.takes.get());
    }
    fn sync(&self, _: Sync) -> Sync {
        Box::pin(async { Ok(()) })
    }
}

/// An appliance with the account `fred`.
struct World {
    executor: Rc<LocalExecutor<'static>>,
    context: Rc<Context>,
    work: Rc<Work>,
    _scratch: Scratch,
}

fn story<F: Future<Output = ()>>(tell: impl FnOnce(Rc<World>) -> F) {
    let executor = Rc::new(LocalExecutor::new());
    let tasks = executor.clone();
    async_io::block_on(pace::run(&tasks, async {
        let (scratch, work) = (Scratch::new("stall"), Rc::new(Work::default()));
        let flash = Over::with(Disk::new(scratch.path()).unwrap(), work.clone());
        let fred = Account {
            name: Text::try_from("fred").unwrap(),
            address: Text::try_from("fred@home.example").unwrap(),
            verifier: Verifier::with("secret", 1, [7; 16]),
            ..Account::default()
        };
        let config = Config { accounts: vec![fred], ..Config::default() };
        let server = certificate::server_config(&config, &flash).await.unwrap();
        let context = Rc::new(Context::new(config, server, Store::new(Rc::new(flash))));
        tell(Rc::new(World { executor, context, work, _scratch: scratch })).await;
    }));
}

/// Which server.
#[derive(Clone, Copy)]
enum Served {
    Imap,
    Pop3,
}

impl World {
    async fn fred(&self) -> Rc<store::Account> {
        self.context.store.account("fred").await.unwrap()
    }

    async fn deliver(&self, messages: impl IntoIterator<Item = Vec<u8>>) {
        let fred = self.fred().await;
        let mut transaction = fred.begin();
        for text in messages {
            let mut message = fred.incoming();
            message.write(&text).unwrap();
            transaction.deliver(INBOX, message, Flags::NONE, &[], 0);
        }
        transaction.commit().await.unwrap();
    }

    /// A connection; its session's steps are counted in `work`.
    async fn connect(&self, served: Served, work: Rc<Work>) -> Client {
        let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).unwrap();
        let address = listener.get_ref().local_addr().unwrap();
        let (client, server) = smol::future::zip(Stream::connect(address), listener.accept()).await;
        let server = Stream::new(server.unwrap().0).unwrap();
        let context = self.context.clone();
        let (name, service) = match served {
            Served::Imap => ("imap", Service::Imap),
            Served::Pop3 => ("pop3", Service::Pop3),
        };
        let place = context.places.open(name, Some(service), server.peer().ip(), &context.config()).unwrap();
        let session: Pin<Box<dyn Future<Output = ()>>> = match served {
            Served::Imap => Box::pin(imap::server::serve(server, false, place, context)),
            Served::Pop3 => Box::pin(pop3::server::serve(server, false, place, context)),
        };
        self.executor.spawn(Counted { session: Box::pin(session), work }).detach();
        Client(client.unwrap())
    }

    /// A connection on which fred has selected his INBOX.
    async fn inbox(&self, work: Rc<Work>) -> Client {
        let mut client = self.connect(Served::Imap, work).await;
        client.say("a LOGIN fred secret\r\nb SELECT INBOX\r\n", "b OK").await;
        client
    }

    /// Has `client` say something, up to the answer `end`, while another session says NOOP again and again. How many
    /// steps it took, how many octets were read in one of them at the most, and how many a NOOP waited for: the middle one,
    /// since on a busy machine the kernel's word of one that came may be held up by other programs.
    async fn meanwhile(&self, client: &mut Client, said: &str, end: &str) -> Outcome {
        let mut other = self.inbox(Rc::default()).await;
        let work = &self.work;
        work.steps.set(0);
        work.read.set(0);
        let (done, mut waited) = (Cell::new(false), Vec::new());
        let hard = async {
            let answer = client.say(said, end).await;
            done.set(true);
            answer
        };
        let noops = async {
            while !done.get() {
                let before = work.steps.get();
                other.say("n NOOP\r\n", "n OK").await;
                waited.push(work.steps.get() - before);
            }
        };
        let (answer, ()) = smol::future::zip(hard, noops).await;
        waited.sort_unstable();
        let waited = waited[(waited.len() - 1) / 2];
        Outcome { answer, steps: work.steps.get(), read: work.read.get(), waited }
    }
}

struct Outcome {
    /// The end of the answer.
    answer: String,
    steps: u32,
    read: u64,
    waited: u32,
}

impl Outcome {
    /// Fails when the session took less than `steps` steps, or too long ones, or others waited.
    fn gave_way(&self, what: &str, steps: u32) {
        println!(
            "{what}: {} steps, {} octets in one, a NOOP waited for {}",
            self.steps, self.read, self.waited
        );
        assert!(self.steps >= steps, "{what}: {} steps, not {steps}", self.steps);
        assert!(self.read <= READ, "{what}: {} octets were read in a step", self.read);
        assert!(self.waited <= STEPS, "{what}: a NOOP waited for {} steps", self.waited);
    }
}

/// A client's end.
struct Client(Stream);

impl Client {
    /// Says something; the end of what is heard up to the line that begins with `end`.
    async fn say(&mut self, said: &str, end: &str) -> String {
        const KEPT: usize = 4096;
        let mut heard = Vec::new();
        let end = format!("\r\n{end}");
        let said = said.as_bytes().to_vec();
        for piece in said.chunks(16 * 1024) {
            self.0.write(piece).await.unwrap();
        }
        self.0.flush().await.unwrap();
        heard.extend_from_slice(b"\r\n");
        loop {
            let octets = self.0.fill().await.unwrap();
            assert!(!octets.is_empty(), "closed after {}", String::from_utf8_lossy(&heard));
            let n = octets.len();
            heard.extend_from_slice(octets);
            self.0.consume(n);
            let at = memchr::memmem::find(&heard, end.as_bytes());
            if at.is_some_and(|at| heard[at + 2..].ends_with(b"\n")) {
                return String::from_utf8_lossy(&heard).into_owned();
            }
            if at.is_none() {
                heard.drain(..heard.len().saturating_sub(KEPT));
            }
        }
    }
}

/// Names of header fields that no message has, of 20 octets each.
fn names(count: usize) -> String {
    (0..count).map(|n| format!("X-{n:018}")).collect::<Vec<_>>().join(" ")
}

/// Catches: a walk through a stored header that goes on for as long as the header does (18 MB of short fields kept everyone
/// waiting for 5 seconds), and names that are compared one by one with each field.
#[test]
fn headers_without_end() {
    story(|world| async move {
        let fields = |line: &str| {
            format!("Subject: x\r\n{}\r\nbody", line.repeat((6 << 20) / line.len())).into_bytes()
        };
        world.deliver([fields("b:\r\n"), fields(" folded\r\n"), fields("b"), fields("To: a@b\r\n")]).await;
        let mut client = world.inbox(world.work.clone()).await;
        let thunderbird = "UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (From To Cc Bcc Subject Date Message-ID \
                           Priority X-Priority References Newsgroups In-Reply-To Content-Type Reply-To)]";
        for items in [
            format!("BODY.PEEK[HEADER.FIELDS ({})]", names(2000)),
            format!("BODY.PEEK[HEADER.FIELDS.NOT ({})]", names(2000)),
            thunderbird.to_owned(),
            "ENVELOPE BODYSTRUCTURE".to_owned(),
            "BODY.PEEK[HEADER]<100000.10>".to_owned(),
            "BODY.PEEK[TEXT]<0.10> BODY.PEEK[1.MIME]".to_owned(),
        ] {
            let outcome = world.meanwhile(&mut client, &format!("f FETCH 1:* ({items})\r\n"), "f OK").await;
            outcome.gave_way(&items[..40.min(items.len())], 1);
        }
        for key in ["HEADER X-None a", "SUBJECT nowhere", "SENTON 1-Jan-2026", "TEXT nowhere", "BODY nowhere"]
        {
            let outcome = world.meanwhile(&mut client, &format!("f SEARCH {key}\r\n"), "f OK").await;
            assert!(outcome.answer.contains("* SEARCH\r\n"), "{key}: {}", outcome.answer);
            outcome.gave_way(key, 1);
        }
    });
}

/// Catches: a response that is made whole before any of it leaves, and items of one message between which nobody else has
/// a turn.
#[test]
fn very_many_items_of_one_message() {
    story(|world| async move {
        let header = format!("Subject: x\r\n{}\r\n", "A-field: of some length\r\n".repeat(900));
        let parts =
            "--b\r\nContent-Type: text/plain; name=\"a long name of a part\"\r\n\r\n\r\n".repeat(4000);
        let multipart = format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{parts}--b--\r\n");
        world.deliver([header.into_bytes(), multipart.into_bytes()]).await;
        let mut client = world.inbox(world.work.clone()).await;
        let items: Vec<String> = (0..200).map(|n| format!("BODY.PEEK[HEADER.FIELDS (A{n})]")).collect();
        let outcome =
            world.meanwhile(&mut client, &format!("f FETCH 1 ({})\r\n", items.join(" ")), "f OK").await;
        // Each item is a look at 22 KB, twice.
        outcome.gave_way("200 items", 200 * 22 * 2 / 64);
        let outcome = world.meanwhile(&mut client, "f FETCH 2 BODYSTRUCTURE\r\n", "f OK").await;
        outcome.gave_way("4,000 parts", 4000 / 128);
        let items: Vec<String> = (0..300).map(|n| format!("BODY.PEEK[{}]", n + 1)).collect();
        let outcome =
            world.meanwhile(&mut client, &format!("f FETCH 2 ({})\r\n", items.join(" ")), "f BAD").await;
        assert!(outcome.answer.contains("Too many"), "{}", outcome.answer);
    });
}

/// Catches: a LIST that looks at all names before anyone else has a turn (500 wildcards over 3,000 long names took 6.5
/// seconds), or is made in one string; a STATUS of each name that counts for no more than the name.
#[test]
fn very_many_names() {
    story(|world| async move {
        let fred = world.fred().await;
        let mut transaction = fred.begin();
        for n in 0..3000 {
            let name = format!("{}/{}{n:04}", "a".repeat(250), "a".repeat(200));
            transaction.create_mailbox(&name);
            transaction.subscribe(&name, true);
        }
        transaction.commit().await.unwrap();
        let mut client = world.inbox(world.work.clone()).await;
        // Each STATUS is a pass over a mailbox.
        let said = "l LIST (SUBSCRIBED RECURSIVEMATCH) \"\" * RETURN (STATUS (MESSAGES UNSEEN))\r\n";
        world.meanwhile(&mut client, said, "l OK").await.gave_way("STATUS of each", 3000);
        for command in ["LIST", "LSUB"] {
            for pattern in ["*".to_owned(), "%a".repeat(16), "*a".repeat(15) + "*b"] {
                let said = format!("l {command} \"\" {pattern}\r\n");
                let outcome = world.meanwhile(&mut client, &said, "l OK").await;
                outcome.gave_way(said.trim(), 3000 / 100);
            }
            let said = format!("l {command} \"\" {}\r\n", "*a".repeat(500));
            let outcome = world.meanwhile(&mut client, &said, "l NO").await;
            assert!(outcome.answer.contains("16 wildcards"), "{}", outcome.answer);
        }
    });
}

/// Catches: a search that counts messages and not what is asked of each, and lists of numbers that leave nobody a turn.
#[test]
fn very_many_messages() {
    const MESSAGES: u32 = 3000;
    story(|world| async move {
        world.deliver((0..MESSAGES).map(|n| format!("Subject: {n}\r\n\r\nx").into_bytes())).await;
        let mut client = world.inbox(world.work.clone()).await;
        let outcome =
            world.meanwhile(&mut client, &format!("s SEARCH{}\r\n", " LARGER 1".repeat(1000)), "s OK").await;
        // Each test counts for 64 octets, and 64 KiB are a turn; now and then one falls to a pause.
        outcome.gave_way("a thousand keys", MESSAGES * 1000 / 1024 * 3 / 4);
        for (said, what) in [("s SEARCH ALL\r\n", "SEARCH"), ("s FETCH 1:* FLAGS\r\n", "FETCH")] {
            world.meanwhile(&mut client, said, "s OK").await.gave_way(what, MESSAGES / 1024);
        }
        world
            .meanwhile(&mut client, "s FETCH 1:* ENVELOPE\r\n", "s OK")
            .await
            .gave_way("ENVELOPE", MESSAGES / 512);
        let noops = "s NOOP\r\n".repeat(1500) + "t NOOP\r\n";
        world.meanwhile(&mut client, &noops, "t OK").await.gave_way("NOOPs that came together", 1500);

        let mut client = world.connect(Served::Pop3, world.work.clone()).await;
        client.say("USER fred\r\nPASS secret\r\n", "+OK Welcome").await;
        for said in ["UIDL\r\n", "LIST\r\n"] {
            world.meanwhile(&mut client, said, ".\r\n").await.gave_way(said.trim(), MESSAGES / 1024);
        }
        let said = "STAT\r\n".repeat(1500) + "CAPA\r\n";
        world.meanwhile(&mut client, &said, ".\r\n").await.gave_way("STATs that came together", 1500 / 16);
    });
}

/// Catches: a sort, the threads of a mailbox, or words for them, that are done without a turn for others: subjects of which
/// only the end differs, and messages that refer to very many.
#[test]
fn very_many_messages_in_order() {
    const MESSAGES: u32 = 3000;
    story(|world| async move {
        let message = |n: u32| {
            let refers: String = (0..20).map(|m| format!("\r\n <{}@x>", n / 3 + m)).collect();
            let subject = format!("{} {}", "long ".repeat(8), n * 7919 % MESSAGES);
            format!("Subject: {subject}\r\nMessage-ID: <{n}@x>\r\nReferences:{refers}\r\n\r\nx").into_bytes()
        };
        world.deliver((0..MESSAGES).map(message)).await;
        let mut client = world.inbox(world.work.clone()).await;
        for said in [
            "s SORT (SUBJECT) UTF-8 ALL\r\n",
            "s SORT (SIZE FROM REVERSE DATE) UTF-8 ALL\r\n",
            "s THREAD ORDEREDSUBJECT UTF-8 ALL\r\n",
            "s THREAD REFERENCES UTF-8 ALL\r\n",
        ] {
            // Each header is some 600 octets, and 64 KiB are a turn.
            world.meanwhile(&mut client, said, "s OK").await.gave_way(said.trim(), MESSAGES * 600 / 65536);
        }
    });
}

/// Catches: parts of a message that are looked at in one step for its preview, and parts of an APPEND that are here already, of
/// which only the octets count.
#[test]
fn very_many_parts() {
    story(|world| async move {
        // Few enough for their structure to be remembered, so that only the headers are read.
        let header = "A-field: of some length, so that it takes a while to pass it\r\n".repeat(600);
        let part = format!("--b\r\nContent-Type: text/x-odd\r\n{header}\r\n\r\n");
        let multipart =
            format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{}--b--\r\n", part.repeat(40));
        world
            .deliver([
                multipart.into_bytes(),
                format!("Subject: x\r\n\r\n{}", "x".repeat(60_000)).into_bytes(),
            ])
            .await;
        let mut client = world.inbox(world.work.clone()).await;
        client.say("f FETCH 1 BODYSTRUCTURE\r\n", "f OK").await;
        let outcome = world.meanwhile(&mut client, "f FETCH 1 PREVIEW\r\n", "f OK").await;
        assert!(outcome.answer.contains("PREVIEW \"\""), "{}", outcome.answer);
        outcome.gave_way("PREVIEW", 32 * 36 / 64);
        let urls = " URL ;UID=2/;PARTIAL=0.1".repeat(2000);
        let said = format!("f APPEND INBOX CATENATE ({})\r\n", urls.trim_start());
        let outcome = world.meanwhile(&mut client, &said, "f OK").await;
        outcome.gave_way("CATENATE", 2000 / 2);
    });
}

/// Catches: a message that is sent, or looked through for TOP, without a turn for others.
#[test]
fn a_long_message() {
    story(|world| async move {
        world.deliver([format!("Subject: x\r\n\r\n{}", ".\n".repeat(3 << 20)).into_bytes()]).await;
        let mut client = world.inbox(world.work.clone()).await;
        for said in ["f FETCH 1 BODY.PEEK[]\r\n", "f SEARCH TEXT nowhere\r\n", "f FETCH 1 BODYSTRUCTURE\r\n"]
        {
            world.meanwhile(&mut client, said, "f OK").await.gave_way(said.trim(), (6 << 20) / READ as u32);
        }
        let mut client = world.connect(Served::Pop3, world.work.clone()).await;
        client.say("USER fred\r\nPASS secret\r\n", "+OK Welcome").await;
        for said in ["RETR 1\r\n", "TOP 1 9999999\r\n"] {
            world.meanwhile(&mut client, said, ".\r\n").await.gave_way(said.trim(), (6 << 20) / READ as u32);
        }
    });
}

/// Catches: work of which only the octets count, and steps that are counted before anyone looks at what has come in, on a
/// card whose every read takes milliseconds.
#[test]
fn a_slow_card() {
    const MESSAGES: u32 = 60;
    story(|world| async move {
        world.deliver((0..MESSAGES).map(|n| format!("Subject: {n}\r\n\r\nx").into_bytes())).await;
        let mut client = world.inbox(world.work.clone()).await;
        world.work.takes.set(Duration::from_millis(3));
        let outcome = world.meanwhile(&mut client, "s SEARCH SUBJECT nowhere\r\n", "s OK").await;
        outcome.gave_way("SEARCH", MESSAGES);
        // Two; but six, where eight are taken before anyone looks.
        assert!(outcome.waited <= 4, "a NOOP waited for {} steps", outcome.waited);
    });
}

/// A device that comes back after a hundred changes hears of them without a look at a message, and of very many gaps piece by
/// piece. Catches: a body that is opened for its flags; gaps that are told in one step.
#[test]
fn coming_back_to_very_many_messages() {
    const MESSAGES: u32 = 20_000;
    story(|world| async move {
        world.deliver((0..MESSAGES).map(|_| b"Subject: x\r\n\r\nx".to_vec())).await;
        let fred = world.fred().await;
        let known = fred.view(INBOX, |inbox| (inbox.uid_validity, inbox.highest_modseq)).unwrap();
        let each = |n: u32| Vec::from_iter((1..=MESSAGES).filter(|uid| uid.is_multiple_of(n)));
        let mut transaction = fred.begin();
        transaction.expunge(INBOX, &each(400));
        transaction.flags(INBOX, &each(399), store::FlagChange::Add, Flags::SEEN, &[]);
        transaction.commit().await.unwrap();
        let mut client = world.inbox(world.work.clone()).await;
        client.say("e ENABLE QRESYNC\r\n", "e OK").await;
        let (validity, modseq) = known;
        let select = format!("s SELECT INBOX (QRESYNC ({validity} {modseq}))\r\n");
        let outcome = world.meanwhile(&mut client, &select, "s OK").await;
        assert!(outcome.answer.contains("* VANISHED (EARLIER) 400,800,1200,"), "{}", outcome.answer);
        assert!(outcome.answer.contains("FETCH (UID 19950 FLAGS (\\Seen) MODSEQ"), "{}", outcome.answer);
        assert_eq!(outcome.read, 0, "octets were read from flash");
        let mut transaction = fred.begin();
        transaction.expunge(INBOX, &each(2));
        transaction.commit().await.unwrap();
        client.say("n NOOP\r\n", "n OK").await;
        let outcome = world.meanwhile(&mut client, &select, "s OK").await;
        outcome.gave_way("gaps", 4);
        assert!(outcome.answer.contains(",19998,20000\r\n"), "{}", outcome.answer);
        assert_eq!(outcome.read, 0, "octets were read from flash");
    });
}

/// Catches: a NOTIFY that looks through all mailboxes, or tells of all of them, before anyone else has a turn; new messages that are
/// read whole before the client takes the first octet, and a client that does not read and holds up the others.
#[test]
fn a_client_that_hears_of_everything_and_does_not_read() {
    const MAILBOXES: u32 = 1000;
    const MESSAGES: usize = 12;
    story(|world| async move {
        let fred = world.fred().await;
        let mut transaction = fred.begin();
        for n in 0..MAILBOXES {
            transaction.create_mailbox(&format!("{}/{n:04}", "a".repeat(200)));
        }
        transaction.commit().await.unwrap();
        let mut client = world.inbox(world.work.clone()).await;
        let events = "(MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange)";
        let new = "(selected (MessageNew (BODY.PEEK[]) MessageExpunge))";
        for (status, steps) in [("", MAILBOXES / 32), ("STATUS ", MAILBOXES)] {
            let said = format!("n NOTIFY SET {status}{new} (personal {events})\r\n");
            world.meanwhile(&mut client, &said, "n OK").await.gave_way(said.trim(), steps);
        }
        world.work.read.set(0);
        world.deliver((0..MESSAGES).map(|_| b"octets\r\n".repeat(128 * 1024))).await;
        let mut other = world.inbox(Rc::default()).await;
        for _ in 0..100 {
            other.say("f FETCH 1 BODY.PEEK[HEADER]\r\n", "f OK").await;
        }
        let heard = world.meanwhile(&mut client, "o NOOP\r\n", "o OK").await;
        heard.gave_way("what it had not read", 100);
        assert!(world.work.read.get() <= READ);
    });
}
