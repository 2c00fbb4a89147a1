//! The answers of the post, and what the client is told.

use std::cell::{Cell, RefCell};

use super::*;

/// A post that takes nothing, at the beginning or at the end, and remembers the announced sizes.
#[derive(Default)]
struct Full {
    context: RefCell<Option<Rc<Context>>>,
    refuses_at_once: Cell<bool>,
    announced: RefCell<Vec<u64>>,
}

impl Post for Full {
    fn recipient<'a>(&'a self, _: Option<u64>, _: &'a Mailbox, _: u64) -> Later<'a, Result<(), Reply>> {
        Box::pin(async { Ok(()) })
    }
    fn incoming<'a>(&'a self, _: &'a Envelope, size: u64) -> Later<'a, Result<Content, Reply>> {
        self.announced.borrow_mut().push(size);
        let context = self.context.borrow().clone().unwrap();
        Box::pin(async move {
            if self.refuses_at_once.get() {
                return Err(Reply::new(452, (3, 1), "Full"));
            }
            let store = context.store.account("demo").await.map_err(|error| store_trouble(&error))?;
            Ok(Content { message: store.incoming(), store, direct: true })
        })
    }
    fn accept(&self, _: Envelope, _: Content) -> Later<'_, Result<(), Reply>> {
        Box::pin(async { Err(Reply::new(451, (3, 0), "Not now")) })
    }
}

impl World {
    async fn submission_to(&self, post: &Rc<Full>) -> Client {
        *post.context.borrow_mut() = Some(self.context.clone());
        let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).unwrap();
        let address = listener.get_ref().local_addr().unwrap();
        let (client, server) = smol::future::zip(Stream::connect(address), listener.accept()).await;
        let server = Stream::new(server.unwrap().0).unwrap();
        let (role, place) = (Role::Submission { implicit_tls: false }, self.place());
        self.executor.spawn(serve(server, role, place, self.context.clone(), post.clone())).detach();
        Client(client.unwrap())
    }
}

/// Catches: a message that is acknowledged though the post did not take it.
#[test]
fn what_the_post_does_not_take_is_not_acknowledged() {
    story(async |world| {
        let post = Rc::<Full>::default();
        let mut client = world.submission_to(&post).await;
        client.play(&format!("{LOGIN}{MAIL}C: DATA\nS: 354 *")).await;
        client.send(b"Subject: x\r\n\r\n.\r\n").await;
        client.play(&format!("S: 451 4.3.0 Not now\n{MAIL}")).await;
        client.send(b"BDAT 14 LAST\r\nSubject: x\r\n\r\n").await;
        client.play("S: 451 4.3.0 Not now").await;
        post.refuses_at_once.set(true);
        client.play(&format!("{MAIL}C: DATA\nS: 452 4.3.1 Full\n{MAIL}")).await;
    });
}

/// Catches: the content of a refused message that is taken for commands, and a refused message that blocks the next
/// one.
#[test]
fn a_refused_chunk_is_thrown_away_with_its_message() {
    story(async |world| {
        let post = Rc::<Full>::default();
        let mut client = world.submission_to(&post).await;
        client.play(LOGIN).await;
        // Refused before anything came, within the message, and where no transaction was begun.
        post.refuses_at_once.set(true);
        client.play(MAIL).await;
        client.send(b"BDAT 12\r\nQUIT\r\nQUIT\r\n").await;
        client.play("S: 452 4.3.1 Full").await;
        post.refuses_at_once.set(false);
        client.play(MAIL).await;
        client.send(b"BDAT 8\r\n\r\nQUIT\r\n").await;
        client.play(&format!("S: 554 5.6.0 *\n{MAIL}")).await;
        client.send(b"RSET\r\nBDAT 6\r\nQUIT\r\nNOOP\r\n").await;
        client.play("S: 250 *\nS: 503 *\nS: 250 *").await;
        client.send(b"BDAT 600002\r\n").await;
        client.play("S: 421 *").await;
    });
}

/// Catches: room that is not reserved for the announced size, and a message that is refused for lack of room although
/// it is too large in any case.
#[test]
fn room_is_kept_for_what_is_announced() {
    story(async |world| {
        let post = Rc::<Full>::default();
        let mut client = world.submission_to(&post).await;
        client.play(LOGIN).await;
        let mail =
            "C: MAIL FROM:<demo@home.example> SIZE=100\nS: 250 *\nC: RCPT TO:<demo@home.example>\nS: 250 *\n";
        for (chunk, announced) in [(14, 100), (200, 200), (300_000, 300_000), (300_002, 100)] {
            client.play(mail).await;
            client.send(format!("BDAT {chunk}\r\n").as_bytes()).await;
            let content = format!("Subject: x\r\n\r\n{}", "line\r\n".repeat(60_000));
            client.send(&content.as_bytes()[..chunk]).await;
            client.play(if chunk > 300_000 { "S: 552 *" } else { "S: 250 *\nC: RSET\nS: 250 *" }).await;
            assert_eq!(post.announced.borrow_mut().pop(), Some(announced), "{chunk}");
        }
    });
}

/// Catches: a message with an empty reverse-path whose sender is not named anywhere.
#[test]
fn who_sends_with_an_empty_path_is_named_all_the_same() {
    story(async |world| {
        let mut client = world.submission().await;
        let mail = MAIL.replace("FROM:<demo@home.example>", "FROM:<>");
        client.play(&format!("{LOGIN}{mail}C: DATA\nS: 354 *")).await;
        client.send(b"Subject: x\r\n\r\n.\r\n").await;
        client.play("S: 250 *").await;
        assert!(world.inbox().await[0].contains("\r\nFrom: <demo@home.example>\r\n"));
    });
}

/// Catches: a device that sends outside under any name, and a name that is replaced though the device may have it.
#[test]
fn what_devices_send_outside_is_from_somebody_of_the_house() {
    story(async |world| {
        world.reconfigure(|config| {
            config.server.lan_smtp_relay = true;
            config.server.lan_smtp_sender = "devices@home.example".try_into().unwrap();
        });
        for (from, to, stored) in [
            ("Demo <demo@home.example>", "friend@else.example", "From: Demo <demo@home.example>\r\n"),
            (
                "Scanner <Devices@home.example>",
                "friend@else.example",
                "From: Scanner <Devices@home.example>\r\n",
            ),
            ("Boss <boss@bank.example>", "friend@else.example", "From: <devices@home.example>\r\n"),
            ("Boss <boss@bank.example>", "demo@home.example", "From: Boss <boss@bank.example>\r\n"),
        ] {
            let mut device = world.device().await;
            let rcpt = format!("C: RCPT TO:<{to}>\nS: 250 *\nC: DATA\nS: 354 *");
            device
                .play(&format!(
                    "S: 220 *\nC: HELO x\nS: 250 *\nC: MAIL FROM:<scanner@home.example>\nS: 250 *\n{rcpt}"
                ))
                .await;
            device.send(format!("From: {from}\r\n\r\n.\r\n").as_bytes()).await;
            device.play("S: 250 *").await;
            let inbox = world.inbox().await;
            let last = inbox.last().unwrap();
            assert!(last.contains(&format!("\r\n{stored}")), "{from} to {to}: {last}");
        }
    });
}

/// Catches: the beginning of a line that is too long and is executed as if it were the whole, and chunks without end
/// that belong to no message.
#[test]
fn nonsense_is_neither_done_nor_heard_for_ever() {
    story(async |world| {
        let mut client = world.submission().await;
        client.play(LOGIN).await;
        client.send(format!("NOOP {}\r\n", "x".repeat(crate::smtp::command::MAX_AUTH_LINE)).as_bytes()).await;
        client.play("S: 500 *").await;
        client.send("BDAT 0\r\n".repeat(19).as_bytes()).await;
        client.play(&format!("{}S: 421 *\nS: closed", "S: 503 *\n".repeat(19))).await;
    });
}
