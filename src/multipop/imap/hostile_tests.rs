//! Servers that send whatever they like.

use std::rc::Rc;
use std::time::Duration;

use super::UNKNOWN_LIMIT;
use super::fake::{inbox, new_store};
use crate::clock::Time;
use crate::config::{Config, Protocol, Security, Source};
use crate::fuzzing::Speaker;
use crate::multipop::budget::Budget;
use crate::multipop::errand::Experience;
use crate::multipop::wire::Wire;
use crate::multipop::{Error, driver};
use crate::store::Store;

const PREAUTH: &str = "* PREAUTH\r\nP1 OK\r\n";
const ONE: &str = "* 1 EXISTS\r\n* OK [UIDVALIDITY 1]\r\nP2 OK\r\n";
const LISTED: &str = "* 1 FETCH (UID 5 RFC822.SIZE 3)\r\nP3 OK\r\n";

/// A poll of a server that sends `says`, with a budget of `octets` that are not messages.
async fn poll(store: &Store, says: &str, octets: u64) -> Result<(), Error> {
    poll_at(&Speaker::new(), store, says, octets).await
}

async fn poll_at(speaker: &Speaker, store: &Store, says: &str, octets: u64) -> Result<(), Error> {
    let source = Source {
        host: "127.0.0.1".try_into().unwrap(),
        port: speaker.address.port(),
        protocol: Protocol::Imap,
        security: Security::None,
        username: "ann".try_into().unwrap(),
        ..Source::default()
    };
    let poll = async {
        let (time, patience) = (Time::default(), Duration::from_secs(20));
        let budget = Budget::new(&time, octets, patience);
        let mut wire = Wire::connect(&source, patience, Rc::default(), budget).await.unwrap();
        let account = store.account("ann").await.unwrap();
        let (config, experience) = (Config::default(), Experience::default());
        driver::collect_once(&mut wire, &source, account, &config, &experience, &time).await.0
    };
    smol::future::or(poll, speaker.says(says.as_bytes())).await
}

/// Catches: untagged lines, unrequested literals and flag updates that nobody counts.
#[test]
fn chatter_without_end_ends_a_poll_at_every_step() {
    let all = [PREAUTH, ONE, LISTED].concat();
    for before in ["", "* OK\r\n", "* PREAUTH\r\n", PREAUTH, &all[..all.len() - 7], &all] {
        for chatter in [
            "* OK still here\r\n",
            "* 1 FETCH (FLAGS (\\Seen))\r\n",
            "* LIST () \"/\" {20}\r\nxxxxxxxxxxxxxxxxxxxx\r\n",
            "* 1 FETCH (UID 9 BODY[] {20}\r\nxxxxxxxxxxxxxxxxxxxx)\r\n",
        ] {
            let greeting = before.is_empty() && !chatter.starts_with("* OK");
            let says = before.to_owned() + &chatter.repeat(200_000 / chatter.len());
            let result = async_io::block_on(poll(&new_store(), &says, 50_000));
            match result {
                Err(Error::Chatter) => assert!(!greeting),
                // There was no greeting at all.
                Err(Error::Protocol(_)) => assert!(greeting, "{before}{chatter}"),
                result => panic!("{result:?} for {before}{chatter}"),
            }
        }
    }
}

/// Catches: a literal of 100 GB that is read up to the limit, written to flash, or reported with each poll.
#[test]
fn a_message_whose_length_is_too_large_is_not_read() {
    async_io::block_on(async {
        let (store, speaker) = (new_store(), Speaker::new());
        let says = [PREAUTH, ONE, LISTED, "* 1 FETCH (UID 5 BODY[] {99999999999}\r\n"].concat();
        let result = poll_at(&speaker, &store, &(says.clone() + &"x".repeat(100_000)), 200_000).await;
        assert!(matches!(result, Err(Error::Endless(_))), "{result:?}");
        let result = poll_at(&speaker, &store, &says, 50_000).await;
        assert!(result.is_ok(), "it is not asked for again: {result:?}");
        let inbox = inbox(&store).await;
        assert_eq!(inbox.len(), 1);
        assert!(inbox[0].contains("Subject: A message of 95367 MiB stays"), "{}", inbox[0]);
    });
}

/// Catches: a list of any length that is kept in memory although, without UIDVALIDITY, its UIDs are worthless.
#[test]
fn a_list_without_uidvalidity_has_an_end() {
    let list: String =
        (1..=UNKNOWN_LIMIT + 1).map(|n| format!("* 1 FETCH (UID {n} RFC822.SIZE 1)\r\n")).collect();
    let says = [PREAUTH, "* 1 EXISTS\r\nP2 OK\r\n", &list].concat();
    let result = async_io::block_on(poll(&new_store(), &says, 1 << 30));
    assert!(matches!(&result, Err(Error::Protocol(what)) if what.contains("has no end")), "{result:?}");
}
