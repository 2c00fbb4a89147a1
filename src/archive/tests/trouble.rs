//! Damage, full flash, quota, unreadable files.

use super::*;

#[test]
fn a_damaged_message_costs_itself_alone() {
    for format in Format::ALL {
        let (folder, flash) = (Folder::new(), SimFlash::default());
        let account = account_on(&flash);
        for n in 1..=3 {
            let octets = format!("Subject: a message that is number {n}\r\n\r\n");
            smol::block_on(deliver(&account, INBOX, octets.as_bytes(), Flags::NONE, &[], n));
        }
        let place = account.view(INBOX, |inbox| inbox.messages[1].offset as usize).unwrap();
        // After the head of the frame and the summary.
        flash.flip("accounts/office/log/00000001", (place + 60) * 8);
        for _ in 0..2 {
            let ear = Ear::default();
            let summary = smol::block_on(export(&account, &folder.join("a"), format, &ear)).unwrap();
            assert_eq!(summary.problems, 1);
            let lines = ear.lines.borrow();
            assert!(matches!(&lines[..], [line] if line.starts_with("INBOX, UID 2: left out")), "{lines:?}");
        }
        let after = self::account();
        assert_eq!(import_from(&after, &folder.join("a")).written, 2);
        after.view(INBOX, |inbox| {
            assert_eq!(inbox.messages.iter().map(|m| m.uid).collect::<Vec<_>>(), [1, 3]);
        });
    }
}

#[test]
fn a_full_flash_stops_an_import_that_goes_on_when_there_is_room() {
    let (folder, flash, before) = (Folder::new(), SimFlash::default(), account());
    for n in 0..200 {
        let size = if n % 50 == 7 { 100_000 } else { 9_000 };
        smol::block_on(deliver(&before, INBOX, &vec![n; size], Flags::NONE, &[], n.into()));
    }
    export_to(&before, &folder.join("a"), Format::Maildir);
    let after = account_on(&flash);
    flash.limit(Some(1_000_000));
    let stopped = smol::block_on(import(&after, &folder.join("a"), &Ear::default())).unwrap_err();
    assert!(matches!(&stopped, Failure::System(why) if why.contains("the flash is full")), "{stopped}");
    flash.limit(None);
    let summary = import_from(&after, &folder.join("a"));
    assert!(summary.unchanged > 0 && summary.written > 0);
    assert_eq!(dump(&after), dump(&before));
}

#[test]
fn a_quota_stops_an_import() {
    let folder = Folder::new();
    export_to(&smol::block_on(three()), &folder.join("a"), Format::Mbox);
    let store = Store::new(Rc::new(SimFlash::default()));
    store.set_quotas(BTreeMap::from([("office".to_owned(), 20)]));
    let after = smol::block_on(store.account("office")).unwrap();
    let stopped = smol::block_on(import(&after, &folder.join("a"), &Ear::default())).unwrap_err();
    assert!(matches!(&stopped, Failure::Input(why) if why.contains("set account.office.quota")), "{stopped}");
}

#[test]
fn what_cannot_be_read_is_left_out_and_told() {
    let folder = Folder::new();
    export_to(&smol::block_on(three()), &folder.join("a"), Format::Maildir);
    let file = fs::read_dir(folder.join("a/cur")).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("nowhere", &file).unwrap();
    let (after, ear) = (account(), Ear::default());
    let summary = smol::block_on(import(&after, &folder.join("a"), &ear)).unwrap();
    assert_eq!((summary.written, summary.problems), (2, 1));
    assert!(ear.lines.borrow()[0].starts_with(&file.display().to_string()));
}
