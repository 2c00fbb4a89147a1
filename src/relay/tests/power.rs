//! Power cuts: a message for two accounts and someone outside, cut at every step of the flash.

use super::*;

/// Accepts one message and delivers it, until all is done or the flash fails: whether the message was
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
    // Until everything is delivered, or the flash has long stopped.
    let start = Instant::now();
    while !world.queue().is_empty() && flash.steps() <= cut {
        assert!(start.elapsed() < PATIENCE, "queued: {:?}, {steps} steps", world.queue());
        smol::future::yield_now().await;
    }
    running.cancel().await;
    acknowledged
}

/// Copies of the message in an INBOX, and reports.
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
