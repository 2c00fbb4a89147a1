//! Files of other programs.

use proptest::prelude::*;

use super::*;

#[test]
fn an_mbox_file_of_another_program_is_understood() {
    let folder = Folder::new();
    let mbox = "From a@b.example Sat Jan  1 00:00:00 2000\nFrom: a@b.example\nStatus: RO\nX-Status: AF\n\
                X-Keywords: work\n  \"no\"\nContent-Length: 999\nSubject: one\n\n>From here\nFrom there\n\n\nend\n\n\
                From - Sat Jan  1 00:00:01 2000\r\nSubject: two\r\n\r\nbody\r\n\r\n\
                From MAILER-DAEMON Sat Jan  1 00:00:02 2000\nSubject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n\nx\n\n\
                From c@d.example Sat Jan  1 00:00:03 2000\n\nno header";
    fs::write(folder.join("Old mail.mbox"), mbox).unwrap();
    let account = account();
    for written in [3, 0] {
        assert_eq!(import_from(&account, &folder.join("Old mail.mbox")).written, written);
    }
    let text = dump(&account);
    let one = r"From: a@b.example\r\nSubject: one\r\n\r\nFrom here\r\nFrom there\r\n\r\n\r\nend\r\n";
    let mailbox = text.split_once("Old mail: ").unwrap().1;
    let lines: Vec<&str> = mailbox.lines().skip(1).take(3).collect();
    let rest = |line: &str| line.trim().splitn(5, ' ').map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(rest(lines[0])[1..3], ["946684800", "107"]);
    assert_eq!(rest(lines[0])[4], one);
    assert_eq!(rest(lines[1])[1..3], ["946684801", "0"]);
    assert_eq!(rest(lines[1])[4], r"Subject: two\r\n\r\nbody\r\n");
    assert_eq!(rest(lines[2])[4], r"\r\nno header");
}

/// Catches: a line that is read to its end without a turn for other tasks.
#[test]
fn a_file_of_one_line_is_read_in_pieces() {
    let folder = Folder::new();
    fs::write(
        folder.join("Long.mbox"),
        format!("From a@b Sat Jan  1 00:00:00 2000\n\n{}", "x".repeat(4 << 20)),
    )
    .unwrap();
    let root = Rc::new(beneath::Beneath::open(&folder.0).unwrap());
    let pace = crate::pace::Pace::new();
    let mut reading = std::pin::pin!(mbox_reader::read(&root, Path::new("Long.mbox"), &pace));
    let turns = std::cell::Cell::new(0);
    let contents = smol::block_on(std::future::poll_fn(|cx| {
        turns.set(turns.get() + 1);
        reading.as_mut().poll(cx)
    }));
    assert_eq!(contents.unwrap().messages.len(), 1);
    assert!(turns.get() >= 4 << 4, "{} turns", turns.get());
}

#[test]
fn a_maildir_of_another_program_is_understood() {
    let folder = Folder::new();
    for part in ["cur", "new", "tmp", ".Sent.2020/cur", ".Sent.2020/new"] {
        fs::create_dir_all(folder.join(part)).unwrap();
    }
    fs::write(folder.join("cur/2.x:2,FSb"), "Subject: b\n\nunix\n").unwrap();
    fs::write(folder.join("new/1.x"), "Subject: a\r\n\r\ncrlf\r\n").unwrap();
    fs::write(folder.join("cur/.hidden"), "no mail").unwrap();
    fs::write(folder.join("tmp/3.x"), "half a mess").unwrap();
    fs::write(folder.join("dovecot-keywords"), "1 work\n").unwrap();
    fs::write(folder.join("dovecot-uidlist"), "3 V77 N10\n4 :1.x\n9 :2.x:2,S\n").unwrap();
    fs::write(folder.join("subscriptions"), "V\t2\n\nSent\t2020\n").unwrap();
    let account = account();
    assert_eq!(import_from(&account, &folder.0).written, 2);
    let text = dump(&account);
    assert!(text.contains(r#"INBOX: 77 10 "#) && text.contains(r#"["work"]"#), "{text}");
    account.view(INBOX, |inbox| {
        let flags: Vec<_> = inbox.messages.iter().map(|m| (m.uid, m.flags.0)).collect();
        assert_eq!(flags, [(4, 0), (9, 0x105)]);
    });
    assert!(text.contains(r"Subject: b\r\n\r\nunix\r\n") && text.contains(r"Subject: a\r\n\r\ncrlf\r\n"));
    assert!(account.find("Sent/2020").is_some() && account.subscriptions().contains(&"Sent/2020".to_owned()));
    let nothing = Folder::new();
    let refused = smol::block_on(import(&account, &nothing.0, &Ear::default())).unwrap_err();
    assert!(refused.to_string().contains("neither a Maildir"), "{refused}");
}

proptest! {
    #[test]
    fn any_file_is_an_mbox_or_is_none(lines in "(From |a@b Sat Jan 1 00:00:00 2000\n|Status: R|X-Keywords: |: |\n|\r|\u{0}| |>|x){0,40}") {
        let folder = Folder::new();
        fs::write(folder.join("some"), format!("From {lines}")).unwrap();
        let account = account();
        import_from(&account, &folder.join("some"));
        prop_assert_eq!(import_from(&account, &folder.join("some")).written, 0);
    }
}

#[test]
fn an_interrupted_import_of_another_programs_mail_goes_on() {
    let folder = Folder::new();
    let mbox: String =
        (0..5).map(|n| format!("From a@b Sat Jan 1 00:00:00 2000\nSubject: {n}\n\nsame\n\n")).collect();
    fs::write(folder.join("some"), mbox).unwrap();
    for steps in 1..30 {
        let account = account();
        for_a_while(steps, import(&account, &folder.join("some"), &Ear::default()));
        import_from(&account, &folder.join("some"));
        let id = account.find("some").unwrap();
        assert_eq!(account.view(id, |mailbox| mailbox.messages.len()), Some(5), "{steps} steps");
    }
}
