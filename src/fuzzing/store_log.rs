//! The log of an account. The first octet says what the others are: a log as it is, or cut into frames whose checksums fit, so
//! that the records are read too; a checkpoint, a segment, or one that `fsck` looks at and repairs as far as it can. Opening it
//! never panics, and an account that opens takes a message and shows it after it is opened again.

use std::rc::Rc;

use super::{flash_with, wait};
use crate::flash::Flash;
use crate::store::{Flags, INBOX, Store};

/// One input. One thing of each, since to open an account takes a while.
pub fn run(octets: &[u8]) {
    let Some((what, octets)) = octets.split_first() else { return };
    let log = if what % 2 == 0 { octets.to_vec() } else { framed(octets) };
    let mut segment = b"PILLARBX".to_vec();
    segment.extend(1u32.to_le_bytes());
    segment.extend(1u32.to_le_bytes());
    segment.extend(&log);
    let flash = |path: &str, file: &[u8]| flash_with("accounts/a/log", path, file);
    match what / 2 % 4 {
        0 => open(flash("accounts/a/checkpoint", &log)),
        1 => open(flash("accounts/a/log/00000001", &log)),
        2 => open(flash("accounts/a/log/00000001", &segment)),
        _ => {
            let flash = flash("accounts/a/log/00000001", &segment);
            let store = Store::new(flash.clone());
            let _ = wait(store.check());
            let _ = wait(store.repair());
            drop(store);
            open(flash);
        }
    }
}

fn open(flash: Rc<dyn Flash>) {
    let store = Store::new(flash.clone());
    let Ok(account) = wait(store.account("a")) else { return };
    let mailboxes = account.mailboxes();
    for (id, _) in &mailboxes {
        let messages = account.view(*id, |mailbox| mailbox.messages.clone()).unwrap_or_default();
        for message in messages.iter().take(50) {
            let _ = account.body(message);
            let _ = account.note(*id, message.uid);
        }
    }
    let (usage, _) = (account.usage(), account.subscriptions());
    let mut incoming = account.incoming();
    incoming.write(b"Subject: hello\r\n\r\n").expect("a simulated flash takes it");
    let mut transaction = account.begin();
    transaction.deliver(INBOX, incoming, Flags::NONE, &[], 0);
    if wait(transaction.commit()).is_ok() {
        drop(account);
        drop(store);
        let again = wait(Store::new(flash).account("a")).map_err(|error| error.to_string());
        let again = again.expect("an account that took a message can be opened again");
        assert_eq!(again.usage().messages, usage.messages + 1);
    }
}

/// Records whose frames are whole: of each piece, the first octet says how long the head is, the second how long the body.
fn framed(mut octets: &[u8]) -> Vec<u8> {
    let mut log = Vec::new();
    while let [head, body, rest @ ..] = octets {
        let head = usize::from(*head).min(rest.len());
        let body = usize::from(*body).min(rest.len() - head);
        let (content, after) = rest.split_at(head + body);
        octets = after;
        let (head, body) = content.split_at(head);
        let mut fixed = b"PB\0\0".to_vec();
        fixed.extend((head.len() as u32).to_le_bytes());
        fixed.extend((body.len() as u32).to_le_bytes());
        fixed.extend(crc32c::crc32c(body).to_le_bytes());
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&fixed), head);
        fixed.extend(checksum.to_le_bytes());
        log.extend(fixed);
        log.extend(content);
    }
    log
}
