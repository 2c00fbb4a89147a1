use super::*;
use crate::smtp::dsn::Notify;
use crate::smtp::{Mailbox, Reply};

fn entry(now: i64) -> Entry {
    let mailbox = |text| Mailbox::parse(text).unwrap();
    Entry::new(
        Envelope {
            sender: Some(mailbox("demo@home.example")),
            account: Some(7),
            recipients: vec![mailbox("office@home.example").into(), mailbox("friend@else.example").into()],
            eight_bit: false,
            utf8: false,
            dsn: dsn::Request::default(),
        },
        now,
    )
}

fn config() -> Config {
    let mut config = Config::default();
    config.server.domains.push("home.example".try_into().unwrap());
    config.smarthost.retry = vec![60, 300];
    config.smarthost.expire = 1000;
    config.accounts.push(crate::config::Account {
        id: 7,
        name: "office".try_into().unwrap(),
        ..crate::config::Account::default()
    });
    config
}

#[test]
fn a_note_reads_as_it_was_written() {
    let mut entry = entry(7);
    entry.recipients[0].progress = Progress::Done;
    entry.recipients[1].fail("5.1.1".into(), Attempt::failed(9, "mx.else.example", "550 5.1.1 Unknown"));
    let of_note = |note: &[u8]| Entry::of_note(note, &Config::default());
    assert_eq!(of_note(&entry.to_note()), Some(entry));
    assert_eq!(of_note(b""), None);
    assert_eq!(of_note(b"\x07nonsense"), None);
}

/// Catches: variants that are exchanged, fields that are added, removed or moved. Each variant of a note is pinned
/// like the golden files of the store: queues in use hold such notes.
#[test]
fn a_note_has_the_octets_that_it_always_had() {
    let at = |text, progress| Recipient {
        mailbox: Mailbox::parse(text).unwrap(),
        notify: Notify::Unsaid,
        original: String::new(),
        progress,
    };
    let latest = Attempt { at: 5, remote: "mx".into(), is_reply: true, text: "451".into() };
    let entry = Entry {
        sender: Some(Mailbox::parse("demo@home.example").unwrap()),
        submitter: Submitter::Account(300),
        eight_bit: false,
        utf8: true,
        dsn: dsn::Request { ret: Some(dsn::Ret::Headers), envid: "id".into() },
        created: 7,
        since: 8,
        held: false,
        late: Late::Untold { next_try: 10 },
        reports: 3,
        in_doubt: Some(6),
        history: vec![Event { at: 5, what: "tried".into() }],
        recipients: vec![
            at("a@b.c", Progress::Pending { attempts: 2, next_try: 8, latest: Some(latest.clone()) }),
            Recipient {
                notify: Notify::When { success: true, failure: false, delay: true },
                original: "rfc822;x".into(),
                ..at("d@e.f", Progress::Done)
            },
            at(
                "g@h.i",
                Progress::Failed {
                    status: "5.1.1".into(),
                    latest: latest.clone(),
                    telling: PendingReport { report: Some(1), tries: 2, next_try: 9 },
                },
            ),
            Recipient { notify: Notify::Never, ..at("j@k.l", Progress::Reported) },
            at(
                "m@n.o",
                Progress::Arrived { latest, telling: PendingReport { report: None, tries: 0, next_try: 9 } },
            ),
        ],
    };
    let note =
        b"\x01\x01\x11demo@home.example\x01\xac\x02\x00\x01\x01\x01\x02id\x0e\x10\x00\x00\x14\x03\x01\x0c\
        \x01\x0a\x05tried\x05\
        \x05a@b.c\x00\x00\x00\x02\x10\x01\x0a\x02mx\x01\x03451\
        \x05d@e.f\x02\x01\x00\x01\x08rfc822;x\x01\
        \x05g@h.i\x00\x00\x02\x055.1.1\x0a\x02mx\x01\x03451\x01\x01\x02\x12\
        \x05j@k.l\x01\x00\x03\
        \x05m@n.o\x00\x00\x04\x0a\x02mx\x01\x03451\x00\x00\x12";
    assert_eq!(entry.to_note(), note);
    assert_eq!(Entry::of_note(note, &Config::default()), Some(entry.clone()));
    let device = Entry {
        sender: None,
        submitter: Submitter::Device,
        eight_bit: true,
        utf8: false,
        dsn: dsn::Request::default(),
        held: true,
        late: Late::Told,
        reports: 0,
        in_doubt: None,
        history: Vec::new(),
        recipients: Vec::new(),
        ..entry
    };
    assert_eq!(device.to_note(), b"\x01\x00\x00\x01\x00\x00\x00\x0e\x10\x01\x01\x00\x00\x00\x00");
}

/// Catches: a queue from before accounts had identities that can no longer be read, or that another account gets.
#[test]
fn a_note_of_the_first_kind_is_read() {
    let note = b"\x00\x01\x11demo@home.example\x01\x04demo\x00\x0e\x04\
        \x05a@b.c\x00\x02\x10\x03451\x05d@e.f\x01\x05g@h.i\x02\x055.1.1\x02no\x12\x05j@k.l\x03";
    let mut config = config();
    let gone = Entry::of_note(note, &config).unwrap();
    assert_eq!(gone.submitter, Submitter::Account(0));
    config.accounts.push(crate::config::Account {
        id: 9,
        name: "demo".try_into().unwrap(),
        ..crate::config::Account::default()
    });
    let entry = Entry::of_note(note, &config).unwrap();
    assert_eq!(
        (entry.submitter, entry.created, entry.since, entry.reports),
        (Submitter::Account(9), 7, 7, 2)
    );
    let progress: Vec<_> = entry.recipients.iter().map(|recipient| &recipient.progress).collect();
    let latest = |text| Attempt::failed(0, "", text);
    assert_eq!(
        progress,
        [
            &Progress::Pending { attempts: 2, next_try: 8, latest: Some(latest("451")) },
            &Progress::Done,
            &Progress::Failed {
                status: "5.1.1".into(),
                latest: latest("no"),
                telling: PendingReport { report: Some(1), tries: 0, next_try: 9 },
            },
            &Progress::Reported,
        ]
    );
    assert!(Entry::is_old(note) && !Entry::is_old(&entry.to_note()));
    let device = Entry::of_note(b"\x00\x00\x00\x01\x0e\x00", &config).unwrap();
    assert_eq!((device.submitter, device.eight_bit), (Submitter::Device, true));
}

#[test]
fn recipients_are_someones_work() {
    let (mut entry, config) = (entry(100), config());
    let due = |entry: &mut Entry, work, now| -> Vec<String> {
        entry.due(work, &config, now).map(|r| r.mailbox.to_string()).collect()
    };
    assert_eq!(due(&mut entry, Work::Here, 100), ["office@home.example"]);
    assert_eq!(due(&mut entry, Work::Smarthost, 100), ["friend@else.example"]);
    assert!(due(&mut entry, Work::Smarthost, 99).is_empty());
    let wrong_clock = 100 - 4000;
    assert_eq!(due(&mut entry, Work::Smarthost, wrong_clock), ["friend@else.example"]);

    entry.recipients[1].fail("5.1.1".into(), Attempt::failed(100, "", ""));
    assert!(due(&mut entry, Work::Smarthost, 100).is_empty());
    assert_eq!(due(&mut entry, Work::Here, 100).len(), 2, "failures are reported here");
    for recipient in &mut entry.recipients {
        recipient.progress = Progress::Done;
    }
    assert!(entry.is_settled() && entry.when(Work::Here, &config).is_none());
}

#[test]
fn pauses_follow_the_schedule_until_patience_ends() {
    let smarthost = config().smarthost;
    let mut recipient = entry(0).recipients.remove(1);
    let mut pauses = Vec::new();
    let mut now = 0;
    while let Progress::Pending { .. } = recipient.progress {
        recipient.postpone(Attempt::failed(now, "", "451 4.3.0 Later"), 0, &smarthost);
        if let Progress::Pending { next_try, .. } = recipient.progress {
            pauses.push(next_try - now);
            now = next_try;
        }
    }
    assert_eq!(pauses, [60, 300, 300, 300, 40], "the last pause ends when the message expires");
    let Progress::Failed { status, latest, .. } = &recipient.progress else { panic!("{recipient:?}") };
    assert_eq!((status.as_str(), latest.text.as_str()), ("4.4.7", "451 4.3.0 Later"));
}

/// Catches: appliances that all come back to a provider at the same second after it was out of reach, and an attempt
/// before its time.
#[test]
fn an_attempt_is_a_little_late_by_what_the_appliance_drew() {
    let smarthost = config().smarthost;
    for (jitter, seconds) in [(0, 60), (128, 63), (255, 66)] {
        let mut recipient = entry(0).recipients.remove(1);
        recipient.postpone(Attempt::failed(1000, "", "451 4.3.0 Later"), 0, &smarthost);
        recipient.spread(1000, jitter);
        let Progress::Pending { next_try, .. } = recipient.progress else { panic!("{recipient:?}") };
        assert_eq!(next_try, 1000 + seconds);
    }
}

/// Catches: the longest pause taken for a time that a wrong clock has set, so that a smarthost out of reach is tried
/// without any pause.
#[test]
fn no_pause_is_longer_than_the_longest() {
    let mut smarthost = config().smarthost;
    for pause in [1, 60, 3600, 24 * 3600, 7 * 24 * 3600] {
        smarthost.retry = vec![pause];
        let mut recipient = entry(0).recipients.remove(1);
        recipient.postpone(Attempt::failed(1000, "", "451 4.3.0 Later"), 1000, &smarthost);
        recipient.spread(1000, 255);
        let Progress::Pending { next_try, .. } = recipient.progress else { panic!("{recipient:?}") };
        assert!(next_try - 1000 <= longest_pause(&smarthost), "{pause}");
        assert!(!is_due(next_try, 1000, &smarthost), "{pause}");
    }
}

#[test]
fn a_clock_that_jumps_expires_nothing_at_once() {
    let smarthost = config().smarthost;
    let mut recipient = entry(0).recipients.remove(1);
    recipient.postpone(Attempt::failed(1_800_000_000, "", "timeout"), 0, &smarthost);
    let Progress::Pending { next_try, .. } = recipient.progress else { panic!("{recipient:?}") };
    assert_eq!(next_try, 1_800_000_060);
}

#[test]
fn replies_decide() {
    let smarthost = config().smarthost;
    for (reply, expected) in [
        (Reply::new(250, (0, 0), "OK"), "Done"),
        (Reply::new(550, (1, 1), "Unknown"), "Failed { status: \"5.1.1\""),
        (Reply::plain(550, "Unknown"), "Failed { status: \"5.0.0\""),
        (Reply::new(450, (2, 1), "Greylisted"), "Pending { attempts: 1"),
        (Reply::plain(354, "Go"), "Pending { attempts: 1"),
    ] {
        let mut recipient = entry(0).recipients.remove(1);
        recipient.take(&reply, "mx", false, 0, &smarthost, 0);
        let progress = format!("{:?}", recipient.progress);
        assert!(progress.starts_with(expected), "{reply}: {progress}");
    }
}

#[test]
fn a_note_has_room_for_all_that_a_server_says() {
    // Catches: a hundred recipients, each refused with 64 KiB, whose record is too large to be read again.
    let domain = format!("{}.", "d".repeat(49)).repeat(4) + &"d".repeat(55);
    let longest = format!("{}@{domain}", "l".repeat(64));
    let mut entry = entry(0);
    entry.sender = Some(Mailbox::parse(&longest).unwrap());
    let mut recipient = entry.recipients[0].clone();
    recipient.mailbox = Mailbox::parse(&longest).unwrap();
    recipient.original = format!("rfc822;{}", "o".repeat(500));
    let lines = vec!["\u{fffd}".repeat(512).into(); 128];
    recipient.take(
        &Reply { lines, ..Reply::new(550, (7, 1), "") },
        &longest,
        false,
        0,
        &Config::default().smarthost,
        0,
    );
    entry.recipients = vec![recipient; crate::smtp::session::MAX_RECIPIENTS];
    for n in 0..100 {
        entry.happened(n, &"\u{fffd}".repeat(200));
    }
    let note = entry.to_note();
    assert!(note.len() < crate::store::NOTE_MAX * 9 / 10, "{}", note.len());
    assert_eq!(Entry::of_note(&note, &Config::default()), Some(entry));
}

/// Fails every attempt of the schedule up to `until`.
fn tried(entry: &mut Entry, smarthost: &Smarthost, until: i64) {
    loop {
        let Progress::Pending { next_try, .. } = entry.recipients[1].progress else { return };
        if next_try > until {
            return;
        }
        let since = entry.since;
        entry.recipients[1].postpone(Attempt::failed(next_try, "mx", "451 4.3.0 Later"), since, smarthost);
    }
}

/// Catches: a notice for each attempt, to a sender who does not want one, after the message got through, before its
/// time, or because the clock was set; a notice that never comes.
#[test]
fn a_message_is_late_once_when_it_has_waited_and_was_tried_for_so_long() {
    let mut config = config();
    config.smarthost.retry = vec![60, 300, 900, 3600, 14_400];
    (config.smarthost.delay_notice, config.smarthost.expire) = (4 * 3600, 5 * 24 * 3600);
    let waiting = |change: &dyn Fn(&mut Entry)| {
        let mut entry = entry(1000);
        entry.recipients[0].progress = Progress::Done;
        tried(&mut entry, &config.smarthost, 1000 + 4 * 3600);
        change(&mut entry);
        entry.late_at(&config)
    };
    assert_eq!(waiting(&|_| ()), Some(1000 + 4 * 3600));
    let notify = |notify| waiting(&move |entry| entry.recipients[1].notify = notify);
    let when = |delay| Notify::When { success: true, failure: true, delay };
    assert_eq!((notify(when(true)), notify(when(false)), notify(Notify::Never)), (Some(15_400), None, None));
    assert_eq!(waiting(&|entry| entry.held = true), None);
    assert_eq!(waiting(&|entry| entry.sender = None), None);
    assert_eq!(waiting(&|entry| entry.submitter = Submitter::Account(8)), None, "its account is gone");
    assert_eq!(waiting(&|entry| entry.recipients[1].progress = Progress::Done), None);
    assert_eq!(waiting(&|entry| entry.late_told(true, 20_000)), None);
    assert_eq!(waiting(&|entry| entry.late_told(false, 20_000)), Some(20_600), "the mailbox was full");
    assert_eq!(waiting(&|entry| entry.release(20_000)), Some(20_000 + 4 * 3600), "it was held until then");

    // The message was accepted in 1970, and then the network told the time.
    let mut entry = entry(1000);
    assert_eq!(entry.late_at(&config), None, "not tried yet");
    let jump = 1_800_000_000;
    for attempt in 0..5 {
        assert_eq!(entry.late_at(&config), None, "{attempt}");
        entry.recipients[1].postpone(Attempt::failed(jump + attempt, "mx", "451"), 1000, &config.smarthost);
    }
    let Progress::Failed { status, .. } = &entry.recipients[1].progress else { panic!("{entry:?}") };
    assert_eq!(status, "4.4.7", "its schedule is over, and it is days old");
    entry.recipients[1].progress = Progress::Pending { attempts: 5, next_try: 0, latest: None };
    assert!(entry.late_at(&config).is_some());
    config.smarthost.delay_notice = 0;
    assert_eq!(entry.late_at(&config), None, "never");
}

/// Catches: a failure after a power cut that counts as told with the report from before, and is never told.
#[test]
fn each_report_has_a_number_and_what_fails_later_another_one() {
    let (mut entry, smarthost) = (entry(0), config().smarthost);
    entry.number_report();
    assert_eq!((entry.reports, entry.reports_due(&smarthost, 0).len()), (0, 0), "nothing to tell");
    entry.recipients[0].fail("5.1.1".into(), Attempt::failed(5, "mx", "550"));
    entry.number_report();
    entry.number_report();
    entry.recipients[1].fail("5.1.1".into(), Attempt::failed(9, "mx", "550"));
    entry.number_report();
    assert_eq!(entry.reports, 2);
    let told = |entry: &Entry, n| entry.reported_in(n).map(|it| it.mailbox.to_string()).collect::<Vec<_>>();
    assert_eq!(told(&entry, 0), ["office@home.example"]);
    assert_eq!(told(&entry, 1), ["friend@else.example"]);
    assert_eq!(entry.reports_due(&smarthost, 5), [0].into());
    assert_eq!(entry.reports_due(&smarthost, 9), [0, 1].into());
    entry.reported(0, true, false, &smarthost, 9);
    entry.reported(1, false, false, &smarthost, 9);
    assert_eq!(entry.recipients[0].progress, Progress::Reported);
    assert!(
        entry.reports_due(&smarthost, 600).is_empty() && entry.reports_due(&smarthost, 609) == [1].into()
    );
}

/// Catches: a report that is given up at once since the clock was set, or never; the last copy of a message that is
/// given up.
#[test]
fn a_report_that_cannot_be_delivered_is_given_up_after_many_tries_and_much_time() {
    let smarthost = config().smarthost;
    let told = |now: i64, tries: u32, is_last: bool| {
        let mut entry = entry(0);
        entry.recipients[1].fail("5.1.1".into(), Attempt::failed(0, "mx", "550"));
        entry.number_report();
        (0..tries).for_each(|_| entry.reported(0, false, is_last, &smarthost, now));
        entry.recipients[1].is_settled()
    };
    assert!(!told(1_800_000_000, 23, false) && !told(2000, 1000, false));
    assert!(told(2001, 24, false) && !told(2001, 1000, true));
}

#[test]
fn who_does_not_want_to_hear_of_it_is_spared() {
    let told = |notify: Notify, sender: bool, arrived: bool| {
        let mut entry = entry(0);
        entry.recipients.remove(0);
        entry.recipients[0].notify = notify;
        entry.sender = entry.sender.filter(|_| sender);
        let reply = if arrived { Reply::plain(250, "OK") } else { Reply::plain(550, "No") };
        entry.recipients[0].take(&reply, "mx", false, 0, &config().smarthost, 0);
        entry.suppress_reports();
        !entry.is_settled()
    };
    let when = |success, failure| Notify::When { success, failure, delay: false };
    for (notify, failure, success) in [
        (Notify::Unsaid, true, false),
        (Notify::Never, false, false),
        (when(true, false), false, true),
        (when(false, true), true, false),
        (when(true, true), true, true),
    ] {
        assert_eq!((told(notify, true, false), told(notify, true, true)), (failure, success), "{notify:?}");
        assert!(!told(notify, false, false) && !told(notify, false, true), "there is nobody");
    }
    let mut relayed = entry(0).recipients.remove(1);
    relayed.notify = when(true, true);
    relayed.take(&Reply::plain(250, "OK"), "mx", true, 0, &config().smarthost, 0);
    assert_eq!(relayed.progress, Progress::Done, "the next server tells it");
}

/// Catches: mail of an account that is gone which leaves under another login, or waits for ever; such mail that a
/// hold does not stop.
#[test]
fn what_an_account_that_is_gone_has_left_does_not_leave() {
    let (mut orphan, config) = (entry(0), config());
    orphan.submitter = Submitter::Account(8);
    assert!(orphan.is_orphan(&config) && !entry(0).is_orphan(&config));
    assert_eq!(orphan.when(Work::Smarthost, &config), None);
    orphan.recipients[1].hasten(1_000_000);
    assert_eq!(orphan.due(Work::Here, &config, 0).count(), 2);
    assert!(orphan.recipients[1].waits_outside(&config));
    orphan.hold(5);
    assert_eq!((orphan.when(Work::Here, &config), orphan.when(Work::Smarthost, &config)), (None, None));
    orphan.submitter = Submitter::Device;
    assert!(!orphan.is_orphan(&config));
}

/// Catches: a held message that is tried, or that has no time left when it is released.
#[test]
fn a_held_message_is_not_tried_and_loses_no_time() {
    let (mut held, config) = (entry(0), config());
    held.hold(10);
    assert_eq!((held.when(Work::Here, &config), held.when(Work::Smarthost, &config)), (None, None));
    held.recipients[0].fail("5.1.1".into(), Attempt::failed(11, "", "550"));
    assert_eq!(held.when(Work::Here, &config), Some(11), "what failed before is told");
    held.release(50_000);
    assert_eq!(held.when(Work::Smarthost, &config), Some(50_000));
    let since = held.since;
    for now in [50_000, 50_100, 50_999] {
        held.recipients[1].postpone(Attempt::failed(now, "mx", "451"), since, &config.smarthost);
        assert!(matches!(held.recipients[1].progress, Progress::Pending { .. }), "{now}");
    }
    assert_eq!(held.created, 0);
    let what: Vec<&str> = held.history.iter().map(|event| event.what.as_str()).collect();
    assert_eq!(what, ["held by the operator", "released by the operator"]);
}

/// Catches: a hundred recipients that push everything else out of the history, and a history without end.
#[test]
fn answers_to_one_attempt_are_one_event() {
    let mut entry = entry(0);
    entry.happened(0, "held by the operator");
    for n in 0..100 {
        let mailbox = Mailbox::parse(&format!("r{n}@else.example")).unwrap();
        entry.answered(7, &mailbox, &Reply::new(250, (0, 0), "OK"));
    }
    let what: Vec<&str> = entry.history.iter().map(|event| event.what.as_str()).collect();
    assert_eq!(what, ["held by the operator", "<r0@else.example> and others: 250 2.0.0 OK"]);
    entry.answered(7, &Mailbox::parse("x@else.example").unwrap(), &Reply::plain(550, "No"));
    entry.answered(700, &Mailbox::parse("x@else.example").unwrap(), &Reply::plain(550, "No"));
    assert_eq!(entry.history.len(), 4);
    (0..100).for_each(|n| entry.happened(1000 + n, "again"));
    assert_eq!((entry.history.len(), entry.history[0].what.as_str()), (HISTORY_MAX, "held by the operator"));
    assert_eq!(entry.history.last().unwrap().at, 1099);
}
