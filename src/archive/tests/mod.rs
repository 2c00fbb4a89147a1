//! Mail between accounts on a simulated flash and folders of the system.

mod changes;
mod foreign;
mod hand_over;
mod links;
mod round_trips;
mod trouble;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::*;
use crate::failure::Failure;
use crate::flash::ReadAt;
use crate::flash::sim::SimFlash;
use crate::store::{self, FlagChange, Flags, INBOX, MailboxId, Store};

/// Counts the progress and keeps the lines that it is given.
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

/// A folder of the test, which is removed when this is dropped.
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
    account_on(&SimFlash::default())
}

fn account_on(flash: &SimFlash) -> Rc<store::Account> {
    let store = Store::new(Rc::new(flash.clone()));
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

/// Everything that must be the same in two accounts.
fn dump(account: &store::Account) -> String {
    let mut text = format!("{:?}\n", account.subscriptions());
    for (id, name) in account.mailboxes() {
        text += &format!("{:?}\n", account.annotations(id));
        account.view(id, |m| {
            text +=
                &format!("{name}: {} {} {} {:?}\n", m.uid_validity, m.uid_next, m.highest_modseq, m.keywords);
            for message in &m.messages {
                let mut octets = vec![0; message.size as usize];
                account.body(message).unwrap().read_exact_at(0, &mut octets).unwrap();
                let store::Message { uid, date, flags, modseq, .. } = *message;
                text += &format!("  {uid} {} {:x} {modseq} {}\n", date.get(), flags.0, octets.escape_ascii());
            }
        });
    }
    text
}

/// Every file below a folder: its modification time and its octets.
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
            // Only messages have a meaningful modification time.
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

/// Polls a future `steps` times, and gives it up then.
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

/// An account with three messages in the INBOX.
async fn three() -> Rc<store::Account> {
    let account = account();
    for n in 1..=3 {
        let octets = format!("Subject: number {n}\r\n\r\n{n}\r\n");
        deliver(&account, INBOX, octets.as_bytes(), Flags::SEEN, &["work"], 1_700_000_000 + n).await;
    }
    account
}
