//! Messages on their way to the smarthost: what a power cut leaves of them, and in which order they arrive.

use std::cell::{Cell, RefCell};

use super::*;
use crate::flash::Sync;
use crate::flash::over::{Over, Special};

/// A flash whose syncs take a while and are counted: what left before a sync has arrived when the sync is done.
#[derive(Default)]
pub(super) struct Slow(Cell<u32>);

impl Special for Slow {
    fn sync(&self, below: Sync) -> Sync {
        self.0.set(self.0.get() + 1);
        Box::pin(async {
            Timer::after(Duration::from_millis(3)).await;
            below.await
        })
    }
}

/// The relay of an appliance with the content of `flash`, beside `world`.
pub(super) async fn relay_on(flash: impl crate::flash::Flash + 'static, world: &World) -> Rc<Relay> {
    let config = (*world.context.config()).clone();
    let context = Rc::new(Context::new(config, world.context.tls(), Store::new(Rc::new(flash))));
    let queue = context.store.queue().await.unwrap();
    Relay::new(context.clone(), queue, Tokens::new(context))
}

/// The extensions of a smarthost to which short messages leave as chunks (RFC 3030).
pub(super) const CHUNKING: &str = "250-smarthost.example\r\n250-PIPELINING\r\n250 CHUNKING";
/// The extensions of a smarthost without CHUNKING.
pub(super) const PIPELINING: &str = "250-smarthost.example\r\n250 PIPELINING";

/// The recipient of message `n`.
pub(super) fn friend(n: usize) -> String {
    format!("friend{n}@else.example")
}

/// A slow flash with `count` waiting messages. Returns the relay on it, the flash and the counter of its syncs.
pub(super) async fn waiting(world: &World, count: usize) -> (Rc<Relay>, SimFlash, Rc<Slow>) {
    for n in 0..count {
        world.post(&friend(n)).await.unwrap();
    }
    let (flash, slow) = (world.flash.copy(), Rc::new(Slow::default()));
    let relay = relay_on(Over::with(flash.clone(), slow.clone()), world).await;
    (relay, flash, slow)
}

pub(super) fn run(relay: &Rc<Relay>, world: &World) -> Task<()> {
    let relay = relay.clone();
    world.executor.spawn(async move { relay.run().await })
}

/// What the smarthost does with messages.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    /// It answers them.
    Answered,
    /// It hangs up instead of answering.
    HangsUp,
    /// It puts the second one off.
    PutOff,
}

/// Catches: a message whose end the smarthost has while the note about that is not durable yet, or is removed too
/// early: after a power cut the message would go twice and nobody would know. A message whose removal is no longer
/// waited for is in doubt until the removal is durable.
#[test]
fn a_cut_at_any_step_leaves_a_note_of_what_may_go_twice() {
    for (fate, offers) in [
        (Fate::Answered, PIPELINING),
        (Fate::Answered, CHUNKING),
        (Fate::HangsUp, PIPELINING),
        (Fate::HangsUp, CHUNKING),
        (Fate::PutOff, PIPELINING),
        (Fate::PutOff, CHUNKING),
    ] {
        story(async move |world| {
            cut_at_each_step(&world, fate, offers).await;
        });
    }
}

async fn cut_at_each_step(world: &World, fate: Fate, offers: &'static str) {
    const COUNT: usize = 5;
    world.reconfigure(|config| {
        config.smarthost.retry = vec![3600];
        config.smarthost.connections = if fate == Fate::HangsUp { 4 } else { 1 };
    });
    let ends = Cell::new(0);
    world.smarthost.answers(move |command| match command.split(' ').next() {
        Some("EHLO") => Some(offers),
        Some(".") => {
            ends.set(ends.get() + 1);
            match fate {
                Fate::HangsUp => Some("drop"),
                Fate::PutOff if ends.get() == 2 => Some("451 4.3.0 Later"),
                _ => None,
            }
        }
        _ => None,
    });
    let (relay, flash, _) = waiting(world, COUNT).await;
    // For each step: what the flash may hold after a power cut, whose messages the smarthost has, and which of them
    // are settled as far as the appliance knows.
    let cuts = Rc::new(RefCell::new(Vec::new()));
    let (seen, smarthost) = (cuts.clone(), world.smarthost.clone());
    flash.watch(move |flash| {
        let has: Vec<_> = smarthost.taken().into_iter().map(|taken| taken.to).collect();
        let after = (0..4).map(|seed| (flash.steps(), has.clone(), flash.restart(seed)));
        seen.borrow_mut().extend(after);
    });
    let running = run(&relay, world);
    let is_done = async || match fate {
        Fate::Answered => relay.entries().is_empty(),
        Fate::HangsUp => relay.entries().iter().all(|entry| entry.attempts == 1),
        Fate::PutOff => relay.entries().iter().map(|entry| entry.attempts).eq([1]),
    };
    world.until("all are through", is_done).await;
    // Lets the last writes happen.
    Timer::after(Duration::from_millis(20)).await;
    running.cancel().await;
    flash.watch(|_| {});
    world.smarthost.answers(|_| None);
    let (mut in_doubt, mut settled, mut behind) = (0, 0, 0);
    for (step, has, flash) in cuts.take() {
        let relay = relay_on(flash, world).await;
        let entries = relay.entries();
        let doubtful = |n| {
            let entry = entries.iter().find(|entry| entry.to == [friend(n)]);
            entry.map(|entry| entry.in_doubt.is_some())
        };
        let had: Vec<bool> = (0..COUNT).map(|n| has.contains(&format!("TO:<{}>", friend(n)))).collect();
        for n in 0..COUNT {
            match (had[n], doubtful(n)) {
                (true, Some(true)) => in_doubt += 1,
                (true, None) => settled += 1,
                // That it leaves may be noted though it has not left.
                (false, Some(_)) => {}
                other => panic!("step {step}, message {n}: had it, is in doubt: {other:?}"),
            }
            // It was answered before the next one left, which is on its way while the removal of this one is not
            // durable.
            behind +=
                u32::from(n > 0 && had[n - 1] && doubtful(n - 1) == Some(true) && doubtful(n) == Some(true));
        }
    }
    assert!(
        in_doubt > 0 && (settled > 0) == (fate != Fate::HangsUp) && behind > 0,
        "{in_doubt} {settled} {behind}: nothing was seen"
    );
}

/// Catches: two syncs in a row for each message over a quick connection, one for the note before its end and one for
/// its removal.
#[test]
fn a_quick_connection_costs_one_sync_a_message() {
    const COUNT: usize = 40;
    for offers in [PIPELINING, CHUNKING] {
        story(async move |world| {
            world.reconfigure(|config| config.smarthost.connections = 1);
            world.smarthost.answers(move |command| (command.starts_with("EHLO")).then_some(offers));
            let (relay, _, slow) = waiting(&world, COUNT).await;
            let before = slow.0.get();
            let _running = run(&relay, &world);
            world.until("all are through", async || relay.entries().is_empty()).await;
            let syncs = slow.0.get() - before;
            // The first message is waited for, and the last ones are followed by no other.
            assert!(syncs as usize <= COUNT + 10, "{syncs} syncs for {COUNT} messages, {offers:?}");
            assert!(syncs as usize >= COUNT, "{syncs}: each note is safe before its message leaves");
        });
    }
}

/// Catches: an outcome that waits for a note that is long in coming, since the smarthost takes its time with the next
/// message: after a power cut the message would be in doubt for no reason.
#[test]
fn what_became_of_a_message_waits_for_no_note_that_does_not_come() {
    story(async |world| {
        world.reconfigure(|config| config.smarthost.connections = 1);
        world.smarthost.answers(|command| match command.split(' ').next() {
            Some("EHLO") => Some(PIPELINING),
            Some("RCPT") if command.contains("<friend1@") => Some("hang"),
            _ => None,
        });
        for n in 0..2 {
            world.post(&friend(n)).await.unwrap();
        }
        let _running = world.run();
        world.until_queue_is("friend1@else.example attempts 0 ").await;
    });
}

/// Catches: last octets of one submitter's messages that overtake each other, wherever the smarthost takes its time.
#[test]
fn the_ends_arrive_in_the_order_of_submission() {
    story(async |world| {
        world.reconfigure(|config| config.smarthost.connections = 2);
        for n in 0..30 {
            world.post(&friend(n)).await.unwrap();
        }
        // Each message waits for something else than the next one, and for another time.
        *world.smarthost.time.borrow_mut() = Some(world.context.time.clone());
        let smarthost = Rc::downgrade(&world.smarthost);
        world.smarthost.answers(move |command| {
            let number =
                command.split(|c: char| !c.is_ascii_digit()).find_map(|word| word.parse::<u64>().ok());
            let seconds = match (command.split(' ').next(), number) {
                (Some("RCPT"), Some(n)) => [30, 0, 4, 0, 0, 12, 1][n as usize % 7],
                (Some("DATA"), _) => 2,
                _ => 0,
            };
            smarthost.upgrade()?.pause.set(Duration::from_secs(seconds));
            None
        });
        let time = world.context.time.clone();
        let _passing = world.executor.spawn(async move {
            loop {
                Timer::after(Duration::from_millis(1)).await;
                time.advance(Duration::from_secs(1));
            }
        });
        let _running = world.run();
        world.until_queue_is_empty().await;
        let taken = world.smarthost.taken();
        let to: Vec<_> = taken.iter().map(|taken| taken.to.clone()).collect();
        let expected: Vec<_> = (0..30).map(|n| format!("TO:<{}>", friend(n))).collect();
        assert_eq!(to, expected);
        let changes = taken.windows(2).filter(|two| two[0].connection != two[1].connection).count();
        assert!(changes > 3 && world.smarthost.most_open.get() == 2, "{changes}, {taken:?}");
    });
}

/// Catches: a list that grows with each message that may have gone twice, and a list that leaves out the latest ones.
#[test]
fn of_many_that_may_have_gone_twice_the_latest_are_told() {
    story(async |world| {
        world.reconfigure(|config| config.smarthost.connections = 1);
        for n in 0..10 {
            world.post(&format!("friend{n}@else.example")).await.unwrap();
        }
        for entry in world.relay.entries() {
            let crate::relay::queue::Found::Free(mut claim) = world.relay.queue.claim(entry.id) else {
                panic!()
            };
            claim.entry.in_doubt = Some(1);
            assert!(claim.save().await);
        }
        let _running = world.run();
        world.until_queue_is_empty().await;
        let troubles = world.relay.troubles();
        let tells = |n: u32| troubles.iter().any(|line| line.contains(&format!("friend{n}@")));
        assert_eq!((troubles.len(), tells(1), tells(2), tells(9)), (8, false, true, true), "{troubles:?}");
    });
}
