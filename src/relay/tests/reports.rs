//! What senders are told, and when.

use super::*;
use crate::smtp::dsn::{Notify, Request, Ret};

const SUCCESS: Notify = Notify::When { success: true, failure: false, delay: false };
const FAILURE: Notify = Notify::When { success: false, failure: true, delay: false };

impl World {
    /// Submits a message of the account `demo` to recipients with these NOTIFY parameters.
    async fn post_asking(&self, to: &[(&str, Notify)], ret: Option<Ret>, content: &str) {
        let recipients =
            to.iter().map(|(to, notify)| smtp::Recipient { notify: *notify, ..mailbox(to).into() });
        let envelope = Envelope {
            account: Some(1),
            recipients: recipients.collect(),
            dsn: Request { ret, envid: "id".to_owned() },
            ..envelope("demo@home.example", "x@y")
        };
        let mut taken = self.relay.incoming(&envelope, content.len() as u64).await.unwrap();
        taken.message.write(content.as_bytes()).unwrap();
        self.relay.accept(envelope, taken).await.unwrap();
    }
}

/// What a report says of each recipient, one line for each.
pub fn told(report: &str) -> Vec<String> {
    let field = |block: &str, name: &str| {
        block.split("\r\n").find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned()
    };
    report
        .split("\r\n\r\n")
        .filter(|block| block.contains("Final-Recipient: "))
        .map(|block| format!("{} {}", field(block, "Final-Recipient: rfc822; "), field(block, "Action: ")))
        .collect()
}

/// Catches: a success that is not reported, since the smarthost cannot and a delivery here goes past the queue; one
/// that is reported though nobody asked; one that is reported twice.
#[test]
fn who_asks_hears_that_it_got_there() {
    story(async |world| {
        let _running = world.run();
        world.post_asking(&[("anna@home.example", SUCCESS)], None, MESSAGE).await;
        world.until_queue_is_empty().await;
        let reports = world.inbox("demo").await;
        assert_eq!(reports.iter().map(|it| told(it)).collect::<Vec<_>>(), [["anna@home.example delivered"]]);
        assert!(reports[0].contains("Subject: Your message was delivered\r\n"), "{}", reports[0]);
        assert_eq!(world.inbox("anna").await.len(), 1);

        let to = [
            ("friend@else.example", SUCCESS),
            ("other@else.example", FAILURE),
            ("third@else.example", Notify::Unsaid),
        ];
        world.post_asking(&to, Some(Ret::Full), MESSAGE).await;
        world.until_queue_is_empty().await;
        let reports = world.inbox("demo").await;
        assert_eq!((reports.len(), told(&reports[1])), (2, vec!["friend@else.example relayed".to_owned()]));
        for part in [
            "Original-Envelope-Id: id\r\n",
            "Status: 2.0.0\r\nRemote-MTA: dns; smarthost.example\r\nDiagnostic-Code: smtp; 250 2.0.0 Taken\r\n",
            "Content-Type: text/rfc822-headers",
        ] {
            assert!(reports[1].contains(part), "{part} is missing in {}", reports[1]);
        }
        assert!(!reports[1].contains(".dots"), "the content goes back with failures only: {}", reports[1]);
    });
}

/// Catches: a report of a failure to a sender who does not want one.
#[test]
fn who_does_not_want_to_hear_of_a_failure_does_not() {
    story(async |world| {
        let _running = world.run();
        world.smarthost.answers(|command| command.starts_with("RCPT").then_some("550 5.1.1 No such user"));
        let to =
            [("a@else.example", Notify::Never), ("b@else.example", SUCCESS), ("c@else.example", FAILURE)];
        world.post_asking(&to, None, MESSAGE).await;
        world.until_queue_is_empty().await;
        let reports = world.inbox("demo").await;
        assert_eq!(reports.iter().map(|it| told(it)).collect::<Vec<_>>(), [["c@else.example failed"]]);
    });
}

/// Catches: RET=FULL that gives only a header, a message that is not enclosed octet for octet, and a large one that
/// fills the mailbox.
#[test]
fn a_failed_message_comes_back_as_far_as_was_asked_for() {
    story(async |world| {
        let _running = world.run();
        world.smarthost.answers(|command| command.starts_with("RCPT").then_some("550 5.1.1 No such user"));
        let long = MESSAGE.to_owned() + &"line\r\n".repeat(50_000);
        for (ret, content) in [
            (None, MESSAGE),
            (Some(Ret::Headers), MESSAGE),
            (Some(Ret::Full), MESSAGE),
            (Some(Ret::Full), &long),
        ] {
            world.post_asking(&[("a@else.example", Notify::Unsaid)], ret, content).await;
            world.until_queue_is_empty().await;
        }
        let reports = world.inbox("demo").await;
        let whole = |n: usize| {
            reports[n].contains(&format!(
                "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n\r\n{MESSAGE}\r\n--"
            ))
        };
        assert_eq!((reports.len(), [0, 1, 2, 3].map(whole)), (4, [false, false, true, false]));
        assert!(
            reports[3].len() < 10_000 && reports[3].contains("more than 256 KiB"),
            "{}",
            reports[3].len()
        );
        // If the mailbox has no room for the whole message, there is still room for the header.
        let used = world.context.store.account("demo").await.unwrap().usage().charged();
        world.reconfigure(|config| config.accounts[0].quota = used + 100_000);
        let content = MESSAGE.to_owned() + &"line\r\n".repeat(20_000);
        world.post_asking(&[("a@else.example", Notify::Unsaid)], Some(Ret::Full), &content).await;
        world.until_queue_is_empty().await;
        let reports = world.inbox("demo").await;
        assert!(reports.len() == 5 && reports[4].contains("there is no room for it"), "{}", reports.len());
    });
}

/// Catches: mail of an account that is gone that leaves under another login, or is lost; such mail that a hold does
/// not keep.
#[test]
fn mail_of_an_account_that_is_gone_comes_to_the_postmaster() {
    story(async |world| {
        world.reconfigure(|config| config.server.postmaster = text("fred"));
        for to in ["friend@else.example fred@home.example", "kept@else.example"] {
            world.post_as(Some("anna"), "anna@home.example", to).await.unwrap();
        }
        let held = world.relay.entries()[1].id;
        let done =
            world.relay.operate(super::super::Act::Hold, &super::super::Which::Message(held)).await.unwrap();
        assert_eq!((done.done, done.busy), (1, 0));
        world.reconfigure(|config| drop(config.accounts.remove(1)));
        let _running = world.run();
        world.until("the end of one", async || world.relay.entries().len() == 1).await;
        assert_eq!(world.relay.entries()[0].sent_by.in_words(), "an account that is gone");
        let inbox = world.inbox("fred").await;
        let (reports, mail): (Vec<_>, Vec<_>) = inbox.iter().partition(|it| it.contains("multipart/report"));
        assert_eq!((reports.len(), mail.len()), (1, 1), "what was for an account is delivered");
        assert_eq!(told(reports[0]), ["friend@else.example failed"]);
        for part in
            ["To: <fred@home.example>\r\n", "Status: 5.7.1\r\n", MESSAGE, "of an account that is gone"]
        {
            assert!(reports[0].contains(part), "{part} is missing in {}", reports[0]);
        }
        assert!(
            !reports[0].contains("Diagnostic-Code") && !reports[0].contains("Remote-MTA"),
            "{}",
            reports[0]
        );
        assert_eq!((world.smarthost.connections.get(), world.inbox("demo").await.len()), (0, 0));
        // The operator releases the other message.
        world.relay.operate(super::super::Act::Release, &super::super::Which::All).await.unwrap();
        world.until_queue_is_empty().await;
        assert_eq!((world.inbox("fred").await.len(), world.smarthost.connections.get()), (3, 0));
    });
}

/// Catches: a failure of a device's mail that nobody is told of.
#[test]
fn failures_of_who_has_no_mailbox_are_told_to_the_postmaster() {
    story(async |world| {
        world.reconfigure(|config| config.server.postmaster = text("fred"));
        let _running = world.run();
        world.smarthost.answers(|command| command.starts_with("RCPT").then_some("550 5.1.1 No such user"));
        world.post_as(None, "scanner@home.example", "friend@else.example").await.unwrap();
        world.until_queue_is_empty().await;
        let [report] = &world.inbox("fred").await[..] else { panic!("one report") };
        assert!(report.contains("Subject: A message was not delivered\r\n"), "{report}");
        let words = report.replace("\r\n", " ");
        assert!(words.contains("whose sender <devices@home.example> has no mailbox here."), "{report}");
        assert!(world.inbox("demo").await.is_empty());
    });
}

/// Catches: a text of our own in the place of a reply.
#[test]
fn a_diagnostic_is_a_reply_of_the_other_side_or_there_is_none() {
    story(async |world| {
        let _running = world.run();
        world.post_asking(&[("a@else.example", Notify::Unsaid)], None, &"long line\r\n".repeat(10_000)).await;
        world.until_queue_is_empty().await;
        let [report] = &world.inbox("demo").await[..] else { panic!("one report") };
        assert!(
            report.contains("Status: 5.3.4\r\nRemote-MTA: ") && !report.contains("Diagnostic-Code"),
            "{report}"
        );
        assert!(report.contains("The smarthost takes messages of up to 100000 octets"), "{report}");
    });
}

/// Catches: a sender who hears nothing for days, one who hears of each attempt, and one who hears of a message that
/// got through.
#[test]
fn a_sender_hears_once_that_a_message_is_late() {
    story(async |world| {
        world.reconfigure(|config| {
            config.smarthost.retry = vec![1];
            config.smarthost.expire = 1000;
            config.smarthost.delay_notice = 2;
        });
        world.smarthost.answers(|command| match command {
            "RCPT TO:<grey@else.example>" | "RCPT TO:<quiet@else.example>" => Some("450 4.2.1 Greylisted"),
            _ => None,
        });
        let _running = world.run();
        let to = [
            ("grey@else.example", Notify::Unsaid),
            ("quiet@else.example", FAILURE),
            ("friend@else.example", Notify::Unsaid),
        ];
        world.post_asking(&to, None, MESSAGE).await;
        world.until("the notice", async || world.inbox("demo").await.len() == 1).await;
        let report = world.inbox("demo").await.remove(0);
        assert_eq!(told(&report), ["grey@else.example delayed"]);
        for part in [
            "Status: 4.2.1\r\n",
            "Will-Retry-Until: ",
            "Subject: Your message is delayed\r\n",
            "You need not send it again",
        ] {
            assert!(report.contains(part), "{part} is missing in {report}");
        }
        let attempts = || world.smarthost.heard("MAIL").len();
        let before = attempts();
        world.until("more attempts", async || attempts() > before + 1).await;
        world.smarthost.answers(|_| None);
        world.relay.retry_now();
        world.until_queue_is_empty().await;
        assert_eq!(world.inbox("demo").await.len(), 1);
    });
}

/// Catches: a notice of a delay while the operator holds the message, which only the operator can end.
#[test]
fn a_held_message_waits_and_nobody_hears_of_it() {
    story(async |world| {
        use super::super::{Act, Which};
        world.reconfigure(|config| {
            config.smarthost.retry = vec![1];
            config.smarthost.expire = 1;
            config.smarthost.delay_notice = 1;
        });
        let done = async |act, which: &Which| {
            let done = world.relay.operate(act, which).await.unwrap();
            (done.done, done.passed_over)
        };
        world.post("friend@else.example").await.unwrap();
        world.post_as(Some("anna"), "anna@home.example", "other@else.example").await.unwrap();
        let annas = Which::Account("anna".to_owned());
        assert_eq!(done(Act::Hold, &Which::Account("fred".to_owned())).await, (0, 0));
        assert_eq!(done(Act::Hold, &annas).await, (1, 0));
        assert_eq!(done(Act::Hold, &Which::All).await, (1, 1));
        let _running = world.run();
        world.relay.retry_now();
        assert_eq!(done(Act::Flush, &Which::All).await, (0, 2), "held is held");
        Timer::after(Duration::from_millis(2200)).await;
        assert_eq!((world.smarthost.connections.get(), world.relay.entries().len()), (0, 2));
        assert!(world.relay.entries().iter().all(|entry| entry.held && entry.next_try == i64::MAX));
        assert_eq!(done(Act::Release, &annas).await, (1, 0));
        world.until("anna's", async || world.smarthost.taken().len() == 1).await;
        assert_eq!(world.smarthost.taken()[0].from, "FROM:<anna@home.example> SIZE=72");
        assert_eq!(done(Act::Release, &Which::All).await, (1, 0));
        world.until_queue_is_empty().await;
        assert!(world.inbox("demo").await.is_empty() && world.inbox("anna").await.is_empty());
    });
}

/// Catches: a removal that the sender is not told of, a removed message that comes back, and the removal of a message
/// on its way.
#[test]
fn the_operator_takes_messages_out() {
    story(async |world| {
        use super::super::{Act, Which};
        for to in ["a@else.example", "b@else.example", "c@else.example"] {
            world.post(to).await.unwrap();
        }
        world.post_as(Some("anna"), "anna@home.example", "d@else.example").await.unwrap();
        let ids: Vec<_> = world.relay.entries().iter().map(|entry| entry.id).collect();
        let notify = Act::Remove { notify: true };
        world.relay.operate(Act::Hold, &Which::Message(ids[0])).await.unwrap();
        assert_eq!(world.relay.operate(notify, &Which::Message(ids[0])).await.unwrap().done, 1);
        assert_eq!(world.relay.operate(notify, &Which::Message(ids[0])).await.unwrap(), Default::default());
        let [report] = &world.inbox("demo").await[..] else { panic!("one report") };
        assert_eq!(told(report), ["a@else.example failed"]);
        assert!(
            report.contains("Status: 5.7.0\r\n") && report.contains("removed by the operator"),
            "{report}"
        );
        assert!(!report.contains("Diagnostic-Code"), "{report}");

        // A message that is being worked on stays.
        let claim = world.relay.queue.claim(ids[1]);
        let done = world
            .relay
            .operate(Act::Remove { notify: false }, &Which::Account("demo".to_owned()))
            .await
            .unwrap();
        assert_eq!((done.done, done.busy, world.relay.entries().len()), (1, 1, 2));
        drop(claim);
        let shown = world.relay.show(ids[3]).unwrap();
        assert_eq!(shown.recipients, [("d@else.example".to_owned(), "waiting".to_owned())]);
        assert_eq!(
            (shown.listed.sent_by.account(), shown.header[1].as_str()),
            (Some("anna"), "Subject: hello")
        );
        assert!(world.relay.show(ids[0]).is_none());
        let done = world.relay.operate(Act::Remove { notify: false }, &Which::All).await.unwrap();
        assert_eq!((done.done, world.relay.entries().len(), world.inbox("anna").await.len()), (2, 0, 0));
    });
}

/// Catches: an operation that is undone by a restart.
#[test]
fn what_the_operator_does_is_written_down() {
    story(async |world| {
        use super::super::{Act, Which};
        world.post("a@else.example").await.unwrap();
        world.relay.operate(Act::Hold, &Which::All).await.unwrap();
        let again = Store::new(Rc::new(world.flash.restart(1)));
        let queue = again.queue().await.unwrap();
        let config = world.context.config();
        let listed = super::super::all_queued(&queue, &config);
        assert!(listed.len() == 1 && listed[0].held, "{listed:?}");
        let shown = super::super::queued(&queue, listed[0].id, &config).unwrap();
        assert_eq!(
            shown.history.iter().map(|(_, what)| what.as_str()).collect::<Vec<_>>(),
            ["held by the operator"]
        );
        world.card.answer(Some(rustix::io::Errno::ROFS));
        world.relay.operate(Act::Release, &Which::All).await.ok();
        assert!(matches!(
            world.relay.operate(Act::Release, &Which::All).await,
            Err(crate::store::Error::ReadOnly)
        ));
    });
}
