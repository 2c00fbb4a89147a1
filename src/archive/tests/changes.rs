//! Exports into folders that are not empty, and imports into accounts that are not.

use super::*;

#[test]
fn a_second_export_brings_the_folder_to_where_the_account_is() {
    for format in Format::ALL {
        smol::block_on(async {
            let (folder, account) = (Folder::new(), three().await);
            let mut transaction = account.begin();
            transaction.create_mailbox("old");
            transaction.commit().await.unwrap();
            export_to(&account, &folder.join("a"), format);
            let mut transaction = account.begin();
            transaction.expunge(INBOX, &[1]);
            transaction.flags(INBOX, &[2], FlagChange::Add, Flags::FLAGGED, &["new"]);
            transaction.delete_mailbox("old");
            transaction.subscribe("Sent", false);
            transaction.commit().await.unwrap();
            deliver(&account, INBOX, b"fourth", Flags::NONE, &[], 5).await;
            export_to(&account, &folder.join("a"), format);
            export_to(&account, &folder.join("b"), format);
            assert_eq!(tree(&folder.join("a")), tree(&folder.join("b")), "{format:?}");
        });
    }
}

#[test]
fn an_export_goes_nowhere_where_something_else_is() {
    let folder = Folder::new();
    fs::write(folder.join("letter.txt"), "mine").unwrap();
    let account = smol::block_on(three());
    let refused = |dest: &Path, format| {
        smol::block_on(export(&account, dest, format, &Ear::default())).unwrap_err().to_string()
    };
    assert!(refused(&folder.0, Format::Maildir).contains("it holds letter.txt"));
    export_to(&account, &folder.join("a"), Format::Maildir);
    assert!(refused(&folder.join("a"), Format::Mbox).contains("an export of office as maildir"));
    let text = fs::read_to_string(folder.join("a/pillarbox-export")).unwrap();
    fs::write(folder.join("a/pillarbox-export"), text.replace("office", "shop")).unwrap();
    assert!(refused(&folder.join("a"), Format::Maildir).contains("an export of shop"));
}

#[test]
fn into_an_account_with_mail_messages_come_as_new_ones() {
    smol::block_on(async {
        let (folder, other) = (Folder::new(), account());
        export_to(&three().await, &folder.join("a"), Format::Maildir);
        restore_validity(&other, 5).await;
        deliver(&other, INBOX, b"here first", Flags::NONE, &["own"], 7).await;
        assert_eq!(import_from(&other, &folder.join("a")).written, 3);
        other.view(INBOX, |inbox| {
            assert_eq!(inbox.uid_validity, 5);
            assert_eq!(inbox.messages.iter().map(|m| m.uid).collect::<Vec<_>>(), [1, 2, 3, 4]);
            assert_eq!(inbox.keywords, ["own", "work"]);
            assert_eq!({ inbox.messages[1].flags }, Flags::SEEN.with(Flags::keyword(1)));
        });
        // A message that was deleted since comes back, once, under a UID of its own.
        let mut transaction = other.begin();
        transaction.expunge(INBOX, &[3]);
        transaction.commit().await.unwrap();
        let again = import_from(&other, &folder.join("a"));
        assert_eq!((again.written, again.unchanged), (1, 2));
        other.view(INBOX, |inbox| {
            assert_eq!(inbox.messages.iter().map(|m| m.uid).collect::<Vec<_>>(), [1, 2, 4, 5]);
        });
    });
}

/// Gives the INBOX of an unused account a UIDVALIDITY.
async fn restore_validity(account: &Rc<store::Account>, uid_validity: u32) {
    let mut transaction = account.begin();
    transaction.restore(INBOX, store::MailboxNumbers { uid_validity, uid_next: 1, highest_modseq: 1 });
    transaction.commit().await.unwrap();
}

#[test]
fn mail_that_comes_in_meanwhile_is_never_taken_for_another() {
    smol::block_on(async {
        let (folder, before, after, ear) = (Folder::new(), three().await, account(), Ear::default());
        export_to(&before, &folder.join("a"), Format::Maildir);
        // An import was interrupted after its first commit, and another message takes UID 1.
        let validity = before.view(INBOX, |inbox| inbox.uid_validity).unwrap();
        restore_validity(&after, validity).await;
        deliver(&after, INBOX, b"in between", Flags::NONE, &[], 7).await;
        import(&after, &folder.join("a"), &ear).await.unwrap();
        after.view(INBOX, |inbox| {
            assert_ne!(inbox.uid_validity, validity);
            assert_eq!(inbox.messages.iter().map(|m| m.uid).collect::<Vec<_>>(), [1, 2, 3, 4]);
        });
        assert!(ear.lines.borrow().iter().any(|line| line.contains("new UIDs")));
    });
}

#[test]
fn two_of_a_kind_are_two() {
    smol::block_on(async {
        let (folder, before, after) = (Folder::new(), account(), account());
        for _ in 0..2 {
            deliver(&before, INBOX, b"twins", Flags::NONE, &[], 7).await;
        }
        export_to(&before, &folder.join("a"), Format::Mbox);
        import_from(&after, &folder.join("a"));
        let mut transaction = after.begin();
        transaction.expunge(INBOX, &[1]);
        transaction.commit().await.unwrap();
        let again = import_from(&after, &folder.join("a"));
        assert_eq!((again.written, again.unchanged), (1, 1));
    });
}
