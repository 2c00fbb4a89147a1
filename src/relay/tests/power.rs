//! Power cuts: a message for two accounts and a recipient outside, with a cut at every step of the flash.

use super::*;
use crate::clock::FIXED;
use crate::smtp::dsn::Notify;

/// Accepts one message and delivers it, until everything is done or the flash fails. Returns whether the message was
/// acknowledged.
async fn live(
    flash: &SimFlash,
    cut: u64,
    post: bool,
    smarthost: &Rc<Smarthost>,
    executor: &Rc<LocalExecutor<'static>>,
) -> bool {
    let mut config = config();
    config.smarthost.host = text("127.0.0.1");
    config.smarthost.port = smarthost.port;
    config.smarthost.retry = vec![0];
    let card = Rc::new(Refusing::new(flash.clone(), None));
    let store = Store::new(card.clone());
    let server = certificate::server_config(&config, &SimFlash::default()).await.unwrap();
    let context = Rc::new(Context::new(config, server, store));
    let Ok(queue) = context.store.queue().await else { return false };
    let relay = Relay::new(context.clone(), queue, Tokens::new(context.clone()));
    let world = World {
        context,
        flash: flash.clone(),
        card,
        relay,
        smarthost: smarthost.clone(),
        executor: executor.clone(),
    };
    let acknowledged =
        post && world.post("anna@home.example fred@home.example unknown@else.example").await.is_ok();
    let steps = flash.steps();
    let running = world.run();
    // Runs until everything is delivered, or the flash has stopped long ago.
    let start = Instant::now();
    while !world.queue().is_empty() && flash.steps() <= cut {
        assert!(start.elapsed() < PATIENCE, "queued: {:?}, {steps} steps", world.queue());
        smol::future::yield_now().await;
    }
    running.cancel().await;
    acknowledged
}

/// The number of copies of the message in an INBOX, and of reports.
async fn found(flash: &SimFlash, account: &str) -> (usize, usize) {
    let store = Store::new(Rc::new(flash.clone()));
    let account = store.account(account).await.unwrap();
    let messages = account.view(INBOX, |inbox| inbox.messages.clone()).unwrap();
    let mut counts = (0, 0);
    for message in &messages {
        let body = account.body(message).unwrap();
        let mut octets = vec![0; body.len().unwrap() as usize];
        body.read_exact_at(0, &mut octets).unwrap();
        let text = String::from_utf8(octets).unwrap();
        if text.contains("Content-Type: multipart/report") { counts.1 += 1 } else { counts.0 += 1 }
    }
    counts
}

#[test]
fn a_cut_at_any_step_neither_loses_nor_doubles_anything() {
    let executor = Rc::new(LocalExecutor::new());
    async_io::block_on(executor.clone().run(async {
        let smarthost = Smarthost::listen(&executor);
        smarthost.answers(|command| command.contains("<unknown@").then_some("550 5.1.1 No such user"));
        let undisturbed = SimFlash::default();
        assert!(live(&undisturbed, u64::MAX, true, &smarthost, &executor).await);
        let steps = undisturbed.steps();
        assert_eq!(found(&undisturbed, "demo").await, (0, 1));

        for (cut, seed) in (1..steps).flat_map(|cut| [(cut, 2 * cut), (cut, 2 * cut + 1)]) {
            let flash = SimFlash::default();
            flash.cut_at(cut);
            let acknowledged = live(&flash, cut, true, &smarthost, &executor).await;
            let flash = flash.restart(seed);
            live(&flash, u64::MAX, false, &smarthost, &executor).await;
            let delivered =
                (found(&flash, "anna").await, found(&flash, "fred").await, found(&flash, "demo").await);
            let (all, none) = (((1, 0), (1, 0), (0, 1)), ((0, 0), (0, 0), (0, 0)));
            assert!(
                delivered == all || (delivered == none && !acknowledged),
                "cut at step {cut} of {steps}, acknowledged: {acknowledged}, found {delivered:?}"
            );
        }
    }));
}

/// A case of what is posted, how the smarthost answers, and what the sender is to be told of each recipient.
struct Told {
    to: &'static [(&'static str, Notify)],
    late: bool,
    expected: &'static [&'static str],
}

/// One run of the appliance, until everything has happened or the flash fails. Returns whether the message was
/// acknowledged.
async fn live_and_tell(
    flash: &SimFlash,
    cut: u64,
    post: bool,
    story: &Told,
    (smarthost, executor): (&Rc<Smarthost>, &Rc<LocalExecutor<'static>>),
) -> bool {
    let mut config = config();
    config.smarthost.host = text("127.0.0.1");
    config.smarthost.port = smarthost.port;
    config.smarthost.retry = vec![if story.late { 3600 } else { 0 }];
    let card = Rc::new(Refusing::new(flash.clone(), None));
    let server = certificate::server_config(&config, &SimFlash::default()).await.unwrap();
    let context = Rc::new(Context::new(config, server, Store::new(card.clone())));
    let Ok(queue) = context.store.queue().await else { return false };
    let relay = Relay::new(context.clone(), queue, Tokens::new(context.clone()));
    let (smarthost, executor) = (smarthost.clone(), executor.clone());
    let world = World { context, flash: flash.clone(), card, relay, smarthost, executor };
    let mut acknowledged = false;
    if post {
        let recipients =
            story.to.iter().map(|(to, notify)| smtp::Recipient { notify: *notify, ..mailbox(to).into() });
        let envelope = Envelope {
            account: Some(1),
            recipients: recipients.collect(),
            ..envelope("demo@home.example", "x@y")
        };
        if let Ok(mut taken) = world.relay.incoming(&envelope, MESSAGE.len() as u64).await {
            taken.message.write(MESSAGE.as_bytes()).unwrap();
            acknowledged = world.relay.accept(envelope, taken).await.is_ok();
        }
    }
    FIXED.set(Some(5 * 3600));
    let running = world.run();
    let start = Instant::now();
    let is_done = || match story.late {
        // A late message stays in the queue.
        true => world.relay.entries().iter().all(|entry| {
            let shown = world.relay.show(entry.id).unwrap();
            shown.history.iter().any(|(_, what)| what.contains("late"))
        }),
        false => world.queue().is_empty(),
    };
    while !is_done() && flash.steps() <= cut {
        assert!(start.elapsed() < PATIENCE, "queued: {:?}", world.queue());
        smol::future::yield_now().await;
    }
    // Lets the last writes happen.
    for _ in 0..200 {
        smol::future::yield_now().await;
    }
    running.cancel().await;
    acknowledged
}

/// What the sender was told of each recipient, in order.
async fn heard(flash: &SimFlash) -> Vec<String> {
    let store = Store::new(Rc::new(flash.clone()));
    let account = store.account("demo").await.unwrap();
    let messages = account.view(INBOX, |inbox| inbox.messages.clone()).unwrap();
    let mut heard = Vec::new();
    for message in &messages {
        let body = account.body(message).unwrap();
        let mut octets = vec![0; body.len().unwrap() as usize];
        body.read_exact_at(0, &mut octets).unwrap();
        heard.extend(super::reports::told(std::str::from_utf8(&octets).unwrap()));
    }
    heard.sort();
    heard
}

/// Catches: a report that is made twice; one that is lost since another report has the same number; a notice of a
/// delay that is repeated with each start.
#[test]
fn a_cut_at_any_step_neither_loses_nor_doubles_a_report() {
    const SUCCESS: Notify = Notify::When { success: true, failure: true, delay: false };
    let stories = [
        Told {
            to: &[
                ("unknown@else.example", Notify::Unsaid),
                ("friend@else.example", SUCCESS),
                ("anna@home.example", SUCCESS),
                ("nobody@home.example", Notify::Unsaid),
            ],
            late: false,
            expected: &[
                "anna@home.example delivered",
                "friend@else.example relayed",
                "nobody@home.example failed",
                "unknown@else.example failed",
            ],
        },
        Told {
            to: &[("grey@else.example", Notify::Unsaid)],
            late: true,
            expected: &["grey@else.example delayed"],
        },
    ];
    let executor = Rc::new(LocalExecutor::new());
    async_io::block_on(executor.clone().run(async {
        let smarthost = Smarthost::listen(&executor);
        smarthost.answers(|command| match command {
            "RCPT TO:<unknown@else.example>" => Some("550 5.1.1 No such user"),
            "RCPT TO:<grey@else.example>" => Some("450 4.2.1 Greylisted"),
            _ => None,
        });
        let around = (&smarthost, &executor);
        for story in &stories {
            let begin = || FIXED.set(Some(0));
            begin();
            let undisturbed = SimFlash::default();
            assert!(live_and_tell(&undisturbed, u64::MAX, true, story, around).await);
            assert_eq!(heard(&undisturbed).await, story.expected);
            let steps = undisturbed.steps();
            for (cut, seed) in (1..steps).flat_map(|cut| [(cut, 2 * cut), (cut, 2 * cut + 1)]) {
                begin();
                let flash = SimFlash::default();
                flash.cut_at(cut);
                let acknowledged = live_and_tell(&flash, cut, true, story, around).await;
                let mut flash = flash.restart(seed);
                for life in 0..2 {
                    live_and_tell(&flash, u64::MAX, false, story, around).await;
                    let heard = heard(&flash).await;
                    // A message that the smarthost took before the cut is sent to it again.
                    assert!(
                        heard == story.expected || (heard.is_empty() && !acknowledged),
                        "cut at step {cut} of {steps}, life {life}, acknowledged: {acknowledged}, heard {heard:?}"
                    );
                    flash = flash.restart(seed);
                }
            }
        }
        FIXED.set(None);
    }));
}
