use super::*;

/// The numbers that SEARCH finds, as one string.
pub(super) async fn found(client: &mut Client, key: &str) -> String {
    client.send(&format!("s SEARCH {key}\r\n")).await;
    let said = client.until("s ").await;
    assert!(said.last().unwrap().starts_with("s OK"), "{key}: {said:?}");
    said[0].strip_prefix("* SEARCH").unwrap().trim_start().to_string()
}

pub(super) fn messages() -> Vec<String> {
    let padding = "padding ".repeat(1000);
    vec![
        "From: Ann <ann@home.example>\r\nTo: bob@home.example\r\nSubject: Lunch\r\n\
         Date: Sat, 1 Jan 2000 23:30:00 -0500\r\n\r\nPizza?"
            .into(),
        // Large enough to have a summary with its fields.
        format!(
            "From: bob@home.example\r\nCc: carol@x\r\nSubject: =?iso-8859-1?Q?Gr=FC=DFe?=\r\nX-Mark: 7\r\n\
             Date: Sun, 2 Jan 2000 12:00:00 +0000\r\nContent-Transfer-Encoding: base64\r\n\r\n{}",
            data_encoding::BASE64_MIME.encode(format!("{padding} the needle").as_bytes())
        ),
        "Subject: no date\r\n\r\nneedle".into(),
        format!("Bcc: dan@x\r\n\r\n{}", "x".repeat(100_000)),
    ]
}

#[test]
fn every_key_finds_its_messages() {
    story(|world| async move {
        let messages = messages();
        world.deliver(&messages.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let fred = world.fred().await;
        let mut transaction = fred.begin();
        let change = store::FlagChange::Add;
        transaction.flags(store::INBOX, &[1, 3], change, Flags::SEEN, &[]);
        transaction.flags(store::INBOX, &[2], change, Flags::FLAGGED, &["$Work"]);
        transaction.commit().await.unwrap();
        let mut client = world.inbox().await;
        for (key, expected) in [
            ("ALL", "1 2 3 4"),
            ("SEEN", "1 3"),
            ("UNSEEN", "2 4"),
            ("NEW", "2 4"),
            ("OLD", ""),
            ("FLAGGED UNSEEN", "2"),
            ("KEYWORD $work", "2"),
            ("UNKEYWORD $Work", "1 3 4"),
            ("KEYWORD $None", ""),
            ("2:3", "2 3"),
            ("4,1", "1 4"),
            ("NOT *", "1 2 3"),
            ("UID 3:*", "3 4"),
            ("LARGER 50000", "4"),
            ("SMALLER 1000 NOT SEEN", ""),
            ("ON 1-Jan-1970", "1 2 3 4"),
            ("BEFORE 1-Jan-1970", ""),
            ("SINCE 2-Jan-1970", ""),
            ("SENTON 1-Jan-2000", "1"),
            ("SENTBEFORE 2-Jan-2000", "1"),
            ("SENTSINCE 2-Jan-2000", "2"),
            ("FROM ANN", "1"),
            ("FROM home.example", "1 2"),
            ("TO bob", "1"),
            ("CC carol", "2"),
            ("BCC dan", "4"),
            ("SUBJECT unc", "1"),
            ("HEADER Subject \"\"", "1 2 3"),
            ("HEADER X-Mark 7", "2"),
            ("HEADER X-Mark \"\"", "2"),
            ("HEADER X-None \"\"", ""),
            ("BODY needle", "2 3"),
            ("BODY \"the NEEDLE\"", "2"),
            ("BODY lunch", ""),
            ("TEXT lunch", "1"),
            ("OR BODY pizza SUBJECT date", "1 3"),
            ("NOT BODY needle", "1 4"),
            ("(OR SEEN FLAGGED) NOT (FROM ann)", "2 3"),
            ("CHARSET US-ASCII TEXT needle", "2 3"),
        ] {
            assert_eq!(found(&mut client, key).await, expected, "SEARCH {key}");
        }
        let umlauts = "gr\u{fc}\u{df}e";
        client.send(&format!("u SEARCH CHARSET UTF-8 SUBJECT {{{}+}}\r\n{umlauts}\r\n", umlauts.len())).await;
        assert_eq!(client.until("u OK").await[0], "* SEARCH 2");
        client.play("C: 9 UID SEARCH 4\nS: * SEARCH 4\nS: 9 OK *").await;
    });
}

/// RFC 5032. Catches: an interval that is not counted back from now, and a message of exactly that age that OLDER and
/// YOUNGER do not both find.
#[test]
fn how_old_messages_are() {
    story(|world| async move {
        world.deliver(&["Subject: of 1970\r\n\r\n"]).await;
        let mut client = world.inbox().await;
        crate::clock::FIXED.set(Some(1000));
        for (key, expected) in [
            ("OLDER 999", "1"),
            ("OLDER 1000", "1"),
            ("OLDER 1001", ""),
            ("YOUNGER 999", ""),
            ("YOUNGER 1000", "1"),
            ("YOUNGER 1001", "1"),
            ("NOT YOUNGER 4294967295", ""),
        ] {
            assert_eq!(found(&mut client, key).await, expected, "{key}");
        }
        crate::clock::FIXED.set(None);
        client.send("a SEARCH OLDER 0\r\nb SEARCH YOUNGER x\r\n").await;
        client.until("a BAD").await;
        client.until("b BAD").await;
    });
}

/// RFC 8514. Catches: the day of INTERNALDATE in place of a known save date, and a message without known save date
/// that no key finds.
#[test]
fn when_messages_were_saved() {
    story(|world| async move {
        crate::clock::FIXED.set(Some(1000)); // never set
        world.deliver(&["Subject: of 1970\r\n\r\n"]).await;
        crate::clock::FIXED.set(Some(1_780_012_799)); // 2026-05-28 23:59:59
        world.deliver(&["Subject: of 1970, too\r\n\r\n"]).await;
        crate::clock::FIXED.set(None);
        let mut client = world.inbox().await;
        client
            .play(
                "C: 1 FETCH 1:2 (SAVEDATE)
                S: * 1 FETCH (SAVEDATE NIL)
                S: * 2 FETCH (SAVEDATE \"28-May-2026 23:59:59 +0000\")
                S: 1 OK *",
            )
            .await;
        for (key, expected) in [
            ("SAVEDON 28-May-2026", "2"),
            ("SAVEDON 27-May-2026", ""),
            ("SAVEDON 29-May-2026", ""),
            ("SAVEDSINCE 28-May-2026", "2"),
            ("SAVEDSINCE 29-May-2026", ""),
            ("SAVEDBEFORE 28-May-2026", "1"),
            ("SAVEDBEFORE 29-May-2026", "1 2"),
            ("SAVEDON 1-Jan-1970", "1"),
            ("ON 1-Jan-1970", "1 2"),
            ("SAVEDATESUPPORTED", "1 2"),
        ] {
            assert_eq!(found(&mut client, key).await, expected, "{key}");
        }
    });
}

#[test]
fn what_was_removed_or_is_damaged_matches_nothing() {
    story(|world| async move {
        let messages = messages();
        world.deliver(&messages.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let mut client = world.inbox().await;
        let fred = world.fred().await;
        let mut transaction = fred.begin();
        transaction.expunge(store::INBOX, &[2]);
        transaction.commit().await.unwrap();
        for (path, _) in world.flash.files().iter().filter(|(path, _)| path.contains("/body/")) {
            world.flash.remove(path).unwrap();
        }
        assert_eq!(found(&mut client, "ALL").await, "1 3 4");
        assert_eq!(found(&mut client, "NOT TEXT lunch").await, "3", "4 cannot be read");
    });
}

/// Catches: an order by the beginnings of keys alone, subjects that are confused with others or with none, and equal
/// keys that are not in the order of the numbers.
#[test]
fn the_order_is_exact_however_long_subjects_are() {
    story(|world| async move {
        let subjects: Vec<String> = (0..300_usize)
            .map(|n| match n % 3 {
                // More than is held of one key at a time.
                0 => format!("{}{:03}", "x".repeat(5000), n * 7 % 300),
                1 => format!("{}{}", "x".repeat(n * 11 % 9000), n % 2),
                _ => format!("Re: {}", "X".repeat(4096)),
            })
            .collect();
        let messages: Vec<String> =
            subjects.iter().map(|subject| format!("Subject: {subject}\r\n\r\n")).collect();
        world.deliver(&messages.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let mut client = world.inbox().await;
        for (criterion, reverse) in [("SUBJECT", false), ("REVERSE SUBJECT", true)] {
            let mut expected: Vec<(String, usize)> =
                subjects.iter().map(|s| s.trim_start_matches("Re: ").to_uppercase()).zip(1..).collect();
            expected.sort_by(|a, b| if reverse { b.0.cmp(&a.0) } else { a.0.cmp(&b.0) });
            let expected: String = expected.iter().map(|(_, seq)| format!(" {seq}")).collect();
            client.send(&format!("s SORT ({criterion}) UTF-8 ALL\r\n")).await;
            assert_eq!(client.until("s OK").await[0], format!("* SORT{expected}"), "{criterion}");
        }
    });
}

/// RFC 5267 section 4.3: a session that idles is told of what another session does. Catches: changes of a search that
/// are told only with this session's own commands, a removed message that is told by the number of another, and a
/// message that is told before the client knows of it.
#[test]
fn an_idle_client_hears_how_its_search_changes() {
    story(|world| async move {
        let messages = messages();
        let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
        world.deliver(&messages).await;
        let mut client = world.inbox().await;
        client
            .play(
                "C: B01 SEARCH RETURN (UPDATE ALL) OR BODY needle FLAGGED
                 S: * ESEARCH (TAG \"B01\") ALL 2:3
                 S: B01 OK *
                 C: i IDLE
                 S: + *",
            )
            .await;
        let fred = world.fred().await;
        let mut transaction = fred.begin();
        transaction.expunge(store::INBOX, &[1, 3]);
        transaction.commit().await.unwrap();
        client
            .play(
                "S: * ESEARCH (TAG \"B01\") REMOVEFROM (0 3)
                 S: * 3 EXPUNGE
                 S: * 1 EXPUNGE",
            )
            .await;
        world.deliver(&[messages[2], messages[0]]).await;
        client
            .play(
                "S: * 4 EXISTS
                 S: * *
                 S: * ESEARCH (TAG \"B01\") ADDTO (0 3)",
            )
            .await;
        let mut transaction = fred.begin();
        transaction.flags(store::INBOX, &[4], store::FlagChange::Add, Flags::FLAGGED, &[]);
        transaction.commit().await.unwrap();
        client
            .play(
                "S: * 2 FETCH *
                 S: * ESEARCH (TAG \"B01\") ADDTO (0 2)
                 C: DONE
                 S: i OK *",
            )
            .await;
    });
}
