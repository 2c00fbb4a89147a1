//! Lists from summaries give the same as reading messages, searches with signatures find the same, and both open few
//! messages.

use super::search::{found, messages};
use super::*;
use crate::appliance::extracting;

async fn sign(world: &World) {
    extracting::extract(&*world.fred().await, 0).await.unwrap();
}

/// Messages of real mail programs, in various charsets, as octets.
fn corpus() -> Vec<Vec<u8>> {
    let folder = format!("{}/tests/data/corpus", env!("CARGO_MANIFEST_DIR"));
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = paths.filter(|path| path.extension().is_some_and(|end| end == "eml")).collect();
    paths.sort();
    paths.into_iter().map(|path| std::fs::read(path).unwrap()).collect()
}

async fn deliver(world: &World, messages: &[Vec<u8>]) {
    let fred = world.fred().await;
    for octets in messages {
        let mut transaction = fred.begin();
        let mut message = fred.incoming();
        message.write(octets).unwrap();
        transaction.deliver(store::INBOX, message, Flags::NONE, &[], 0);
        transaction.commit().await.unwrap();
    }
}

/// Catches: a key for which a signature says no although the message matches, a NOT that confuses the two, and a
/// signature that is used for another message.
#[test]
fn a_search_finds_what_reading_finds() {
    story(|world| async move {
        let mut all: Vec<Vec<u8>> = messages().into_iter().map(String::into_bytes).collect();
        all.extend(corpus());
        deliver(&world, &all).await;
        let mut keys: Vec<String> = [
            "TEXT needle",
            "NOT TEXT needle",
            "BODY \"the needle\"",
            "OR SUBJECT lunch BODY pizza",
            "TEXT ab",
            "OR TEXT needle TEXT sesquipedalian",
            "OR BODY sesquipedalian SUBJECT lunch",
            "BODY \"a b\"",
        ]
        .map(str::to_owned)
        .into();
        for word in
            ["subject", "example.org", "the", "regards", "html", "ing", "2024", "@", "mail", "nowhere-at-all"]
        {
            for key in [
                "TEXT",
                "BODY",
                "SUBJECT",
                "FROM",
                "TO",
                "HEADER Received",
                "NOT BODY",
                "SEEN TEXT",
                "NOT SUBJECT",
            ] {
                keys.push(format!("{key} {word}"));
            }
        }
        let mut client = world.inbox().await;
        let mut read = Vec::new();
        for key in &keys {
            read.push(found(&mut client, key).await);
        }
        sign(&world).await;
        // A message that came later has no signature.
        deliver(&world, &[b"Subject: needle\r\n\r\nnowhere-at-all".to_vec()]).await;
        client.send("n NOOP\r\n").await;
        client.until("n OK").await;
        let last = all.len() + 1;
        for (key, read) in keys.iter().zip(read) {
            let now = found(&mut client, key).await;
            let before: Vec<&str> =
                now.split(' ').filter(|n| *n != last.to_string() && !n.is_empty()).collect();
            assert_eq!(before.join(" "), read, "{key}");
        }
        assert_eq!(found(&mut client, "TEXT nowhere-at-all").await, last.to_string());
    });
}

/// Catches: a message that is opened although its signature says no, signatures that are made only of new mail, and a
/// signature that is lost when its message is moved or the account is opened anew.
#[test]
fn what_is_not_there_is_not_looked_for_in_messages() {
    story(|world| async move {
        let padding = "words of a message that nobody looks for ".repeat(200);
        let all: Vec<Vec<u8>> =
            (0..40).map(|n| format!("Subject: number-{n:03}\r\n\r\n{padding}").into_bytes()).collect();
        deliver(&world, &all).await;
        let mut client = world.inbox().await;
        let reads = async |client: &mut Client, key: &str| {
            let before = world.flash.reads();
            let answer = found(client, key).await;
            (answer, world.flash.reads() - before)
        };
        assert!(reads(&mut client, "TEXT sesquipedalian").await.1 >= 40);
        sign(&world).await;
        for key in
            ["TEXT sesquipedalian", "BODY sesquipedalian", "SUBJECT sesquipedalian", "FROM sesquipedalian"]
        {
            let (answer, reads) = reads(&mut client, key).await;
            assert!(answer.is_empty() && reads < 8, "{key}: {reads}");
        }
        let (answer, n) = reads(&mut client, "TEXT number-007").await;
        assert!(answer == "8" && n < 12, "{n}: only what may have it");
        let fred = world.fred().await;
        let mut transaction = fred.begin();
        transaction.create_mailbox("Kept");
        transaction.commit().await.unwrap();
        let archive = fred.find("Kept").unwrap();
        let mut transaction = fred.begin();
        transaction.copy_all(store::INBOX, &(1..=40).collect::<Vec<_>>(), archive);
        transaction.commit().await.unwrap();
        client.send("a SELECT Kept\r\n").await;
        client.until("a OK").await;
        let (answer, n) = reads(&mut client, "TEXT sesquipedalian").await;
        assert!(answer.is_empty() && n < 8, "{n}");
    });
}

/// Catches: a list from summaries that differs from one from messages, in whatever order it is asked for: with the
/// summary of another message, with fields of which a summary has only some, with a structure that lacks what is
/// after it, or with one in the form of IMAP4rev1 for IMAP4rev2.
#[test]
fn a_list_says_what_reading_says() {
    story(|world| async move {
        let padding = "and so on, of a message that is long enough for its summary\r\n".repeat(300);
        let long = |message: Vec<u8>| [&message[..], padding.as_bytes()].concat();
        let all: Vec<Vec<u8>> =
            corpus().into_iter().flat_map(|message| [long(message.clone()), message]).collect();
        deliver(&world, &all).await;
        let mut client = world.inbox().await;
        let mut ask = async |command: &str| {
            client.send(&format!("tag7 {command}\r\n")).await;
            client.until("tag7 ").await.join("\n")
        };
        let commands = [
            "FETCH 1:* (ENVELOPE)",
            "FETCH 1:* (BODYSTRUCTURE ENVELOPE)",
            "FETCH 1:* BODY",
            "FETCH 1:* BODY.PEEK[HEADER.FIELDS (SUBJECT FROM MESSAGE-ID REFERENCES)]",
            "FETCH 1:* BODY.PEEK[HEADER.FIELDS (RECEIVED)]",
            "FETCH 9,3,4,8,5,6,1:2,14,20:30 (ENVELOPE BODYSTRUCTURE)",
            "SORT (REVERSE SUBJECT FROM DATE) UTF-8 ALL",
            "THREAD REFERENCES UTF-8 ALL",
            "SEARCH OR FROM a SENTSINCE 1-Jan-2005",
        ];
        let mut read = Vec::new();
        for command in commands {
            read.push(ask(command).await);
        }
        assert!(read.iter().all(|answer| answer.contains("* ")), "{read:?}");
        // A summary keeps the form of IMAP4rev1.
        let mut newer = world.inbox().await;
        newer.send("e ENABLE IMAP4rev2\r\n").await;
        newer.until("e OK").await;
        let mut structures = async || {
            newer.send("b FETCH 1:* (BODYSTRUCTURE)\r\n").await;
            newer.until("b ").await.join("\n")
        };
        let newer_read = structures().await;
        sign(&world).await;
        let newer_now = structures().await;
        assert!(newer_now == newer_read && newer_now != ask("FETCH 1:* (BODYSTRUCTURE)").await);
        for (command, read) in commands.iter().zip(read) {
            let now = ask(command).await;
            assert!(now == read, "{command}:\n{now}\n{read}");
        }
    });
}

/// Catches: a list that opens messages although their summaries have everything, and summaries that are read again
/// for each message.
#[test]
fn a_list_opens_few_messages() {
    story(|world| async move {
        let padding = "words of a message that nobody looks for ".repeat(200);
        let all: Vec<Vec<u8>> = (0..200)
            .map(|n| format!("Subject: number-{n:03}\r\nFrom: ann@home.test\r\n\r\n{padding}").into_bytes())
            .collect();
        deliver(&world, &all).await;
        let mut client = world.inbox().await;
        sign(&world).await;
        for items in ["ENVELOPE", "BODYSTRUCTURE", "BODY.PEEK[HEADER.FIELDS (FROM)]"] {
            let before = world.flash.reads();
            client.send(&format!("a FETCH 1:* ({items})\r\n")).await;
            client.until("a OK").await;
            let reads = world.flash.reads() - before;
            assert!(reads < 30, "{items}: {reads}");
        }
    });
}
