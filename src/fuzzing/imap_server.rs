//! The same as [`super::pop3_server`], for a server of IMAP.

use std::rc::Rc;

use super::{Speaker, wait};
use crate::config::Protocol;
use crate::flash::sim::SimFlash;
use crate::multipop::poll;
use crate::store::{Flags, INBOX, Store};

/// One input.
pub fn run(octets: &[u8]) {
    polls(Protocol::Imap, octets);
}

/// Two polls of a server that says this.
pub fn polls(protocol: Protocol, octets: &[u8]) {
    let speaker = Speaker::new();
    let polls = async {
        let store = Store::new(Rc::new(SimFlash::default()));
        let account = store.account("a").await.expect("a new account opens");
        let messages = || account.view(INBOX, |inbox| inbox.messages.len()).expect("there is an INBOX");
        let first = poll(protocol, speaker.address, account.clone()).await;
        let had = messages();
        let again = poll(protocol, speaker.address, account.clone()).await;
        if first.is_ok() && again.is_ok() {
            assert_eq!(messages(), had, "what was collected came again");
        }
        let mut transaction = account.begin();
        let mut incoming = account.incoming();
        incoming.write(b"Subject: hello\r\n\r\n").expect("there is room");
        transaction.deliver(INBOX, incoming, Flags::NONE, &[], 0);
        transaction.commit().await.expect("the account takes mail");
    };
    wait(smol::future::or(polls, speaker.says(octets)));
}
