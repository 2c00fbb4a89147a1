//! Round trips between accounts on a simulated flash and folders of the system.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;

use super::*;
use crate::flash::ReadAt;
use crate::flash::sim::SimFlash;
use crate::store::{self, FlagChange, Flags, INBOX, MailboxId, Store};

/// Counts what it is told.
#[derive(Default)]
struct Ear {
    lines: RefCell<Vec<String>>,
    last: Cell<Progress>,
}

impl Watch for Ear {
    fn progress(&self, progress: Progress) {
        self.last.set(progress);
    }
    fn tell(&self, line: String) {
        self.lines.borrow_mut().push(line);
    }
}

/// A folder of the test's own, removed with the value.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        thread_local!(static COUNT: Cell<u32> = const { Cell::new(0) });
        let n = COUNT.replace(COUNT.get() + 1);
        let thread = format!("{:?}", std::thread::current().id()).replace(['(', ')'], "");
        let path =
            std::env::temp_dir().join(format!("pillarbox-archive-{}-{thread}-{n}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn account() -> Rc<store::Account> {
    let store = Store::new(Rc::new(SimFlash::default()), |head| head.iter().take(9).copied().collect());
    smol::block_on(store.account("office")).unwrap()
}

async fn deliver(
    account: &Rc<store::Account>,
    id: MailboxId,
    octets: &[u8],
    flags: Flags,
    keywords: &[&str],
    date: i64,
) {
    let mut message = account.incoming();
    message.write(octets).unwrap();
    let mut transaction = account.begin();
    transaction.deliver(id, message, flags, keywords, date);
    transaction.commit().await.unwrap();
}

/// All that must be the same in two accounts.
fn dump(account: &store::Account) -> String {
    let mut text = format!("{:?}\n", account.subscriptions());
    for (id, name) in account.mailboxes() {
        account.view(id, |m| {
            text +=
                &format!("{name}: {} {} {} {:?}\n", m.uid_validity, m.uid_next, m.highest_modseq, m.keywords);
            for message in &m.messages {
                let mut octets = vec![0; message.size as usize];
                account.body(message).unwrap().read_exact_at(0, &mut octets).unwrap();
                let store::Message { uid, date, flags, modseq, .. } = message;
                text += &format!("  {uid} {date} {:x} {modseq} {}\n", flags.0, octets.escape_ascii());
            }
        });
    }
    text
}

/// Every file below a folder: its time of change and its octets.
fn tree(root: &Path) -> BTreeMap<PathBuf, (i64, Vec<u8>)> {
    fn walk(root: &Path, at: &Path, files: &mut BTreeMap<PathBuf, (i64, Vec<u8>)>) {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files.insert(path.strip_prefix(root).unwrap().join(""), (0, Vec::new()));
                walk(root, &path, files);
                continue;
            }
            let changed = source::modified(&fs::metadata(&path).unwrap());
            // Only messages keep a time of their own.
            let changed = if path.parent().unwrap().ends_with("cur") { changed } else { 0 };
            let octets = fs::read(&path).unwrap();
            files.insert(path.strip_prefix(root).unwrap().to_owned(), (changed, octets));
        }
    }
    let mut files = BTreeMap::new();
    walk(root, root, &mut files);
    files
}

fn export_to(account: &Rc<store::Account>, dest: &Path, format: Format) -> Summary {
    smol::block_on(export(account, dest, format, &Ear::default())).unwrap()
}

fn import_from(account: &Rc<store::Account>, src: &Path) -> Summary {
    let ear = Ear::default();
    let summary = smol::block_on(import(account, src, &ear)).unwrap();
    assert_eq!(*ear.lines.borrow(), [""; 0]);
    let Progress { messages, of_messages, .. } = ear.last.get();
    assert_eq!(messages, of_messages);
    summary
}

/// Polls a future so many times, and gives it up then.
fn for_a_while<T>(steps: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..steps {
        if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return Some(done);
        }
    }
    None
}

/// Which mailbox, octets, how often repeated, flags, keywords, date.
type Planned = (usize, Vec<u8>, usize, u64, Vec<usize>, i64);

#[derive(Debug, Clone)]
struct Plan {
    mailboxes: Vec<String>,
    messages: Vec<Planned>,
    expunged: Vec<usize>,
}

fn plan() -> impl Strategy<Value = Plan> {
    let octets = "(Subject: x\r\n|Status: RO\r\n|From |>From |\r\n|\n|\r|\u{0}|>|ü|x){0,12}"
        .prop_map(String::into_bytes);
    let repeated = prop_oneof![9 => Just(1usize), 1 => Just(9000)];
    let message = (
        0usize..5,
        octets,
        repeated,
        0u64..32,
        prop::collection::vec(0usize..40, 0..3),
        -5i64..2_000_000_000,
    );
    let name = "[a.~&%\\\\ü日 :-]{1,9}(/[a.]{1,3}){0,2}";
    (
        prop::collection::vec(name, 0..4),
        prop::collection::vec(message, 0..12),
        prop::collection::vec(0usize..12, 0..3),
    )
        .prop_map(|(mailboxes, messages, expunged)| Plan { mailboxes, messages, expunged })
}

async fn build(plan: &Plan) -> Rc<store::Account> {
    let account = account();
    for (n, name) in plan.mailboxes.iter().enumerate() {
        let mut transaction = account.begin();
        transaction.create_mailbox(name);
        transaction.subscribe(name, n % 2 == 0);
        let _ = transaction.commit().await;
    }
    let mut gone = account.begin();
    gone.delete_mailbox("Junk");
    gone.commit().await.unwrap();
    let ids = account.mailboxes();
    for (n, (mailbox, octets, repeated, flags, keywords, date)) in plan.messages.iter().enumerate() {
        let (id, _) = ids[mailbox % ids.len()];
        let keywords: Vec<String> = keywords.iter().map(|n| format!("key{n}")).collect();
        let keywords: Vec<&str> = keywords.iter().map(String::as_str).collect();
        deliver(&account, id, &octets.repeat(*repeated), Flags(*flags), &keywords, *date).await;
        if plan.expunged.contains(&n) {
            let uid = account.view(id, |mailbox| mailbox.uid_next - 1).unwrap();
            let mut transaction = account.begin();
            transaction.expunge(id, &[uid]);
            transaction.commit().await.unwrap();
        }
    }
    account
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn what_goes_out_comes_back_the_same(plan in plan()) {
        let before = smol::block_on(build(&plan));
        for format in Format::ALL {
            let folder = Folder::new();
            export_to(&before, &folder.join("a"), format);
            let after = account();
            import_from(&after, &folder.join("a"));
            prop_assert_eq!(dump(&after), dump(&before));
            export_to(&after, &folder.join("b"), format);
            prop_assert_eq!(tree(&folder.join("b")), tree(&folder.join("a")));

            // Again: nothing changes.
            let again = import_from(&after, &folder.join("a"));
            prop_assert_eq!(again.written, 0);
            prop_assert_eq!(dump(&after), dump(&before));
            let again = export_to(&before, &folder.join("b"), format);
            prop_assert_eq!(again.written, 0);
            prop_assert_eq!(tree(&folder.join("b")), tree(&folder.join("a")));
        }
    }

    #[test]
    fn what_is_interrupted_goes_on(plan in plan(), cuts in prop::collection::vec(1usize..40, 1..6)) {
        let before = smol::block_on(build(&plan));
        for format in Format::ALL {
            let folder = Folder::new();
            export_to(&before, &folder.join("whole"), format);
            let (dest, ear) = (folder.join("cut"), Ear::default());
            for steps in &cuts {
                for_a_while(*steps, export(&before, &dest, format, &ear));
            }
            export_to(&before, &dest, format);
            prop_assert_eq!(tree(&dest), tree(&folder.join("whole")));

            let after = account();
            for steps in &cuts {
                for_a_while(*steps, import(&after, &dest, &ear));
            }
            import_from(&after, &dest);
            prop_assert_eq!(dump(&after), dump(&before));
        }
    }
}

/// An account with three messages in the INBOX.
async fn three() -> Rc<store::Account> {
    let account = account();
    for n in 1..=3 {
        let octets = format!("Subject: number {n}\r\n\r\n{n}\r\n");
        deliver(&account, INBOX, octets.as_bytes(), Flags::SEEN, &["work"], 1_700_000_000 + n).await;
    }
    account
}

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
            assert_eq!(inbox.messages[1].flags, Flags::SEEN.with(Flags::keyword(1)));
        });
        // What was deleted since comes back, once, under a UID of its own.
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

/// Gives an INBOX that never held a message a UIDVALIDITY.
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
        // An import was interrupted after its first commit, and a message takes UID 1.
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
