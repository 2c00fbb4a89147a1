//! Messages on their way to the smarthost: what a power cut leaves of them, and in which order they arrive.

use std::cell::RefCell;

use super::*;
use crate::flash::Sync;
use crate::flash::over::{Over, Special};

/// A flash whose syncs take a while: what left before one of them has arrived when it is done.
struct Slow;

impl Special for Slow {
    fn sync(&self, below: Sync) -> Sync {
        Box::pin(async {
            Timer::after(Duration::from_millis(3)).await;
            below.await
        })
    }
}

/// An appliance with what is on `flash`, beside `world`: its relay.
async fn relay_on(flash: impl crate::flash::Flash + 'static, world: &World) -> Rc<Relay> {
    let config = (*world.context.config()).clone();
    let context = Rc::new(Context::new(config, world.context.tls(), Store::new(Rc::new(flash))));
    let queue = context.store.queue().await.unwrap();
    Relay::new(context.clone(), queue, Tokens::new(context))
}

/// Catches: a message of which the smarthost has the end, while the note that says so is not safe yet or gone too early: after a
/// cut it would go twice, and nobody would hear of it.
#[test]
fn a_cut_at_any_step_leaves_a_note_of_what_may_go_twice() {
    // The smarthost answers, or hangs up instead.
    for answer in [None, Some("drop")] {
        story(async move |world| {
            world.reconfigure(|config| config.smarthost.retry = vec![3600]);
            world.smarthost.answers(move |command| answer.filter(|_| command == "."));
            for n in 0..3 {
                world.post(&format!("friend{n}@else.example")).await.unwrap();
            }
            let flash = world.flash.copy();
            let relay = relay_on(Over::with(flash.clone(), Rc::new(Slow)), &world).await;
            // At each step: how the flash may look after a cut, and whose message the smarthost has.
            let cuts = Rc::new(RefCell::new(Vec::new()));
            let (seen, smarthost) = (cuts.clone(), world.smarthost.clone());
            flash.watch(move |flash| {
                let has: Vec<_> = smarthost.taken().into_iter().map(|taken| taken.to).collect();
                let after = (0..4).map(|seed| (flash.steps(), has.clone(), flash.restart(seed)));
                seen.borrow_mut().extend(after);
            });
            let running = relay.clone();
            let running = world.executor.spawn(async move { running.run().await });
            let is_done = async || match answer {
                None => relay.entries().is_empty(),
                Some(_) => relay.entries().iter().all(|entry| entry.attempts == 1),
            };
            world.until("all are through", is_done).await;
            running.cancel().await;
            flash.watch(|_| {});
            world.smarthost.answers(|_| None);
            let (mut in_doubt, mut settled) = (0, 0);
            for (step, has, flash) in cuts.take() {
                let relay = relay_on(flash, &world).await;
                let entries = relay.entries();
                let doubtful = |n| {
                    let entry = entries.iter().find(|entry| entry.to == [format!("friend{n}@else.example")]);
                    entry.map(|entry| entry.in_doubt.is_some())
                };
                for n in 0..3 {
                    match (has.contains(&format!("TO:<friend{n}@else.example>")), doubtful(n)) {
                        (true, Some(true)) => in_doubt += 1,
                        (true, None) => settled += 1,
                        (false, Some(_)) => {}
                        other => panic!("step {step}, message {n}: had it, is in doubt: {other:?}"),
                    }
                }
            }
            assert!(
                in_doubt > 0 && (settled > 0 || answer.is_some()),
                "{in_doubt} {settled}: nothing was seen"
            );
        });
    }
}

/// Catches: ends of one submitter that overtake each other, wherever the smarthost takes its time.
#[test]
fn the_ends_arrive_in_the_order_of_submission() {
    story(async |world| {
        world.reconfigure(|config| config.smarthost.connections = 2);
        let numbered = |n| format!("friend{n}@else.example");
        for n in 0..30 {
            world.post(&numbered(n)).await.unwrap();
        }
        // What each message waits for, and for how long, is another one than that of the next.
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
        let expected: Vec<_> = (0..30).map(|n| format!("TO:<{}>", numbered(n))).collect();
        assert_eq!(to, expected);
        let changes = taken.windows(2).filter(|two| two[0].connection != two[1].connection).count();
        assert!(changes > 3 && world.smarthost.most_open.get() == 2, "{changes}, {taken:?}");
    });
}

/// Catches: a list that grows with each message that may have gone twice, and one from which the latest are missing.
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
