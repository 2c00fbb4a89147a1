use super::*;

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

/// Each variant of what a note holds, pinned as the store's goldens are: a queue out there holds such notes.
/// Catches: variants exchanged, fields added, removed or moved.
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
        held: false,
        told_late: true,
        in_doubt: Some(6),
        history: vec![Event { at: 5, what: "tried".into() }],
        recipients: vec![
            at("a@b.c", Progress::Pending { attempts: 2, next_try: 8, latest: Some(latest.clone()) }),
            Recipient {
                notify: Notify::When { success: true, failure: false, delay: true },
                original: "rfc822;x".into(),
                ..at("d@e.f", Progress::Done)
            },
            at("g@h.i", Progress::Failed { status: "5.1.1".into(), next_try: 9, latest }),
            Recipient { notify: Notify::Never, ..at("j@k.l", Progress::Reported) },
        ],
    };
    let note = b"\x01\x01\x11demo@home.example\x01\xac\x02\x00\x01\x01\x01\x02id\x0e\x00\x01\x01\x0c\
        \x01\x0a\x05tried\x04\
        \x05a@b.c\x00\x00\x00\x02\x10\x01\x0a\x02mx\x01\x03451\
        \x05d@e.f\x02\x01\x00\x01\x08rfc822;x\x01\
        \x05g@h.i\x00\x00\x02\x055.1.1\x0a\x02mx\x01\x03451\x12\
        \x05j@k.l\x01\x00\x03";
    assert_eq!(entry.to_note(), note);
    assert_eq!(Entry::of_note(note, &Config::default()), Some(entry.clone()));
    let device = Entry {
        sender: None,
        submitter: Submitter::Device,
        eight_bit: true,
        utf8: false,
        dsn: dsn::Request::default(),
        held: true,
        told_late: false,
        in_doubt: None,
        history: Vec::new(),
        recipients: Vec::new(),
        ..entry
    };
    assert_eq!(device.to_note(), b"\x01\x00\x00\x01\x00\x00\x00\x0e\x01\x00\x00\x00\x00");
}

/// Catches: a queue from before accounts had identities that cannot be read any more, or that another account gets.
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
    assert_eq!((entry.submitter, entry.created), (Submitter::Account(9), 7));
    let progress: Vec<_> = entry.recipients.iter().map(|recipient| &recipient.progress).collect();
    let latest = |text| Attempt::failed(0, "", text);
    assert_eq!(
        progress,
        [
            &Progress::Pending { attempts: 2, next_try: 8, latest: Some(latest("451")) },
            &Progress::Done,
            &Progress::Failed { status: "5.1.1".into(), latest: latest("no"), next_try: 9 },
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
        recipient.take(&reply, "mx", 0, &smarthost, 0);
        let progress = format!("{:?}", recipient.progress);
        assert!(progress.starts_with(expected), "{reply}: {progress}");
    }
}

#[test]
fn a_note_has_room_for_all_that_a_server_says() {
    // Catches: a hundred recipients, each refused in 64 KiB, as one record that cannot be read again.
    let domain = format!("{}.", "d".repeat(49)).repeat(4) + &"d".repeat(55);
    let longest = format!("{}@{domain}", "l".repeat(64));
    let mut entry = entry(0);
    entry.sender = Some(Mailbox::parse(&longest).unwrap());
    let mut recipient = entry.recipients[0].clone();
    recipient.mailbox = Mailbox::parse(&longest).unwrap();
    let lines = vec!["\u{fffd}".repeat(512).into(); 128];
    recipient.take(
        &Reply { lines, ..Reply::new(550, (7, 1), "") },
        &longest,
        0,
        &Config::default().smarthost,
        0,
    );
    entry.recipients = vec![recipient; crate::smtp::session::MAX_RECIPIENTS];
    let note = entry.to_note();
    assert!(note.len() < crate::store::NOTE_MAX * 2 / 3, "{}", note.len());
    assert_eq!(Entry::of_note(&note, &Config::default()), Some(entry));
}
