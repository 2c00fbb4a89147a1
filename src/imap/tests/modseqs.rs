//! CONDSTORE and QRESYNC (RFC 7162) with more than one session; the dialogs test everything else.

use super::*;

impl World {
    /// UIDVALIDITY and HIGHESTMODSEQ of fred's INBOX.
    async fn numbers(&self) -> (u32, u64) {
        let fred = self.fred().await;
        fred.view(store::INBOX, |inbox| (inbox.uid_validity, inbox.highest_modseq)).unwrap()
    }

    /// A connection that gets VANISHED, with the INBOX selected.
    async fn qresync(&self) -> Client {
        let mut client = self.login().await;
        client.play("C: e ENABLE QRESYNC\nS: * ENABLED QRESYNC\nS: e OK *\nC: s SELECT INBOX").await;
        client.until("s OK").await;
        client
    }
}

/// Catches: a MODSEQ that the client has fetched and takes for its HIGHESTMODSEQ, although a VANISHED must wait. The
/// message came after the expunge, and is known by EXISTS only.
#[test]
fn a_fetched_modseq_is_no_highestmodseq_while_a_vanished_must_wait() {
    story(|world| async move {
        world.deliver(&["one", "two"]).await;
        let (mut one, mut two) = (world.qresync().await, world.inbox().await);
        let (_, known) = world.numbers().await;
        two.play("C: 1 STORE 1 +FLAGS.SILENT (\\Deleted)\nS: 1 OK *\nC: 2 EXPUNGE").await;
        two.until("2 OK").await;
        world.deliver(&["three"]).await;
        one.play(&format!(
            "C: 1 FETCH 2 (UID)
            S: * 2 FETCH (UID 2)
            S: * 3 EXISTS
            S: * 3 RECENT
            S: 1 OK *
            C: 2 FETCH 3 (UID MODSEQ)
            S: * 3 FETCH (UID 3 MODSEQ ({}))
            S: * OK [HIGHESTMODSEQ {known}] *
            S: 2 OK *",
            known + 3
        ))
        .await;
    });
}

/// The example of RFC 7162 section 6. Catches: a client that takes the MODSEQ of its STORE for its HIGHESTMODSEQ,
/// loses the connection, and is never told of the expunge before it.
#[test]
fn a_vanished_that_must_wait_holds_highestmodseq_back() {
    story(|world| async move {
        world.deliver(&["one", "two", "three"]).await;
        let (mut one, mut two) = (world.qresync().await, world.inbox().await);
        let (_, known) = world.numbers().await;
        two.play("C: 1 STORE 1 +FLAGS.SILENT (\\Deleted)\nS: 1 OK *\nC: 2 EXPUNGE").await;
        two.until("2 OK").await;
        let modseq = known + 3;
        one.play(&format!(
            "C: 1 STORE 3 +FLAGS.SILENT (\\Seen)
            S: * 3 FETCH (UID 3 MODSEQ ({modseq}))
            S: * OK [HIGHESTMODSEQ {known}] *
            S: 1 OK STORE completed
            C: 2 FETCH 3 (FLAGS)
            S: * 3 FETCH (FLAGS (\\Recent \\Seen))
            S: 2 OK *
            C: 3 NOOP
            S: * VANISHED 1
            S: * OK [HIGHESTMODSEQ {modseq}] *
            S: 3 OK *
            C: 4 UID STORE 2 +FLAGS (\\Seen)
            S: * 1 FETCH (UID 2 FLAGS (\\Recent \\Seen) MODSEQ ({}))
            S: 4 OK *",
            modseq + 1
        ))
        .await;
    });
}

/// Catches: changes up to the client's own MODSEQ that are told again, a different UIDVALIDITY that is ignored, and
/// pairs of sequence numbers and UIDs that are ignored.
#[test]
fn a_client_that_comes_back_hears_what_it_has_missed() {
    story(|world| async move {
        world.deliver(&["1", "2", "3", "4", "5", "6"]).await;
        let (validity, known) = world.numbers().await;
        let mut two = world.inbox().await;
        two.play("C: 1 STORE 2:3,6 +FLAGS.SILENT (\\Deleted)\nS: 1 OK *\nC: 2 EXPUNGE").await;
        two.until("2 OK").await;
        two.play("C: 3 STORE 3 +FLAGS.SILENT (\\Flagged)\nS: 3 OK *").await;
        world.deliver(&["7"]).await;
        let (_, now) = world.numbers().await;
        let changed = now - 1;
        for (params, expected) in [
            // As in RFC 7162 section 3.2.5.1. UID 7 is new, so it has changed, too.
            (
                format!("{validity} {known}"),
                format!(
                    "* VANISHED (EARLIER) 2:3,6\n* 3 FETCH (UID 5 FLAGS (\\Flagged) MODSEQ ({changed}))\n* 4 FETCH (UID 7 FLAGS (\\Recent) MODSEQ ({now}))\n"
                ),
            ),
            (
                format!("{validity} {known} 3:5,6,99:4294967295"),
                format!("* VANISHED (EARLIER) 3,6\n* 3 FETCH (UID 5 FLAGS (\\Flagged) MODSEQ ({changed}))\n"),
            ),
            (format!("{validity} {now}"), String::new()),
            (format!("{validity} {}", now + 9), String::new()),
            // With another UIDVALIDITY everything else is ignored.
            (format!("{} {known}", validity + 1), String::new()),
            // Section 3.2.5.2: message 2 has UID 4, so the client knows which UIDs below 4 are gone.
            (
                format!("{validity} {known} 1:6 (1:2 1,4)"),
                format!("* VANISHED (EARLIER) 6\n* 3 FETCH (UID 5 FLAGS (\\Flagged) MODSEQ ({changed}))\n"),
            ),
            (
                format!("{validity} {known} 1:6 (1:6 1:6)"),
                format!(
                    "* VANISHED (EARLIER) 2:3,6\n* 3 FETCH (UID 5 FLAGS (\\Flagged) MODSEQ ({changed}))\n"
                ),
            ),
        ] {
            let mut back = world.login().await;
            back.play("C: e ENABLE QRESYNC\nS: * ENABLED QRESYNC\nS: e OK *").await;
            back.send(&format!("q EXAMINE INBOX (QRESYNC ({params}))\r\n")).await;
            let lines = back.until("q OK").await;
            let at = lines.iter().position(|line| line.starts_with("* OK [HIGHESTMODSEQ")).unwrap();
            let missed: String =
                lines[at + 1..lines.len() - 1].iter().map(|line| format!("{line}\n")).collect();
            assert_eq!(missed, expected, "{params}");
        }
    });
}

/// Catches: VANISHED (EARLIER) with a message for which the session still has to send VANISHED, so that its client
/// would count it twice or not at all.
#[test]
fn what_is_to_vanish_has_not_vanished_earlier() {
    story(|world| async move {
        world.deliver(&["1", "2", "3"]).await;
        let (mut one, mut two) = (world.qresync().await, world.inbox().await);
        let (_, known) = world.numbers().await;
        two.play("C: 1 STORE 2 +FLAGS.SILENT (\\Deleted)\nS: 1 OK *\nC: 2 EXPUNGE").await;
        two.until("2 OK").await;
        one.play(&format!(
            "C: 1 UID FETCH 1:* (FLAGS) (CHANGEDSINCE {known} VANISHED)
            S: * VANISHED 2
            S: 1 OK *
            C: 2 UID FETCH 1:* (FLAGS) (CHANGEDSINCE {known} VANISHED)
            S: * VANISHED (EARLIER) 2
            S: 2 OK *"
        ))
        .await;
    });
}

/// RFC 7162 section 3.2.10.2. Catches: a message that vanishes during a command with sequence numbers, also in UID
/// SEARCH and UID SORT; one that waits longer than necessary.
#[test]
fn nothing_vanishes_while_numbers_are_named() {
    for (command, waits) in [
        ("SEARCH ALL", true),
        ("FETCH 2 (UID)", true),
        ("UID SEARCH OR SEEN NOT 1:2", true),
        ("UID SORT (DATE) UTF-8 2:3", true),
        ("UID SEARCH UID 1:3", false),
        ("UID FETCH 2 (UID)", false),
        ("NOOP", false),
    ] {
        story(|world| async move {
            world.deliver(&["1", "2", "3"]).await;
            let (mut one, mut two) = (world.qresync().await, world.inbox().await);
            two.play("C: 1 STORE 1 +FLAGS.SILENT (\\Deleted)\nS: 1 OK *\nC: 2 EXPUNGE").await;
            two.until("2 OK").await;
            one.send(&format!("1 {command}\r\n")).await;
            let vanished = one.until("1 OK").await.iter().any(|line| line == "* VANISHED 1");
            assert_eq!(vanished, !waits, "{command}");
        });
    }
}

/// When more was expunged than is remembered, all UIDs that do not exist are told (RFC 7162 section 3.2.6), in lines
/// that a client can read. Catches: a UID that exists, one that was never given out, a gap that is left out between
/// two lines, and a single line for all of them.
#[test]
fn beyond_its_memory_the_store_tells_all_that_is_not_there() {
    const ALL: u32 = 6000;
    story(|world| async move {
        world.deliver(&vec!["x"; ALL as usize]).await;
        let (validity, known) = world.numbers().await;
        let fred = world.fred().await;
        let gone = |uid: &u32| uid.is_multiple_of(2) || (1000..2000).contains(uid);
        let mut transaction = fred.begin();
        transaction.expunge(store::INBOX, &Vec::from_iter((1..=ALL).filter(gone)));
        transaction.commit().await.unwrap();
        assert_eq!(fred.expunged_since(store::INBOX, known), None);
        let known_since = world.numbers().await.1;
        let mut client = world.qresync().await;
        for (command, from) in [
            (format!("UID FETCH 1:* (UID) (CHANGEDSINCE {known} VANISHED)"), 1),
            (format!("UID FETCH 1:9999 (UID) (CHANGEDSINCE {known_since} VANISHED)"), ALL + 1),
            (format!("SELECT INBOX (QRESYNC ({validity} {known} 1:9999 (1:3000 1:3000)))"), 2),
            // Message 2001 is the 4501st of the odd UIDs, without those that were removed together with the even
            // ones.
            (format!("SELECT INBOX (QRESYNC ({validity} {known} 1:9999 (1,2001 1,5001)))"), 5002),
        ] {
            client.send(&format!("f {command}\r\n")).await;
            let lines = client.until("f OK").await;
            let mut told = Vec::new();
            for set in lines.iter().filter_map(|line| line.strip_prefix("* VANISHED (EARLIER) ")) {
                assert!(set.len() < 9000, "{}", set.len());
                for range in set.split(',') {
                    let (first, last) = range.split_once(':').unwrap_or((range, range));
                    told.extend(first.parse::<u32>().unwrap()..=last.parse().unwrap());
                }
            }
            assert!(told.iter().copied().eq((from..=ALL).filter(gone)), "{command}: {}", told.len());
        }
    });
}

/// Catches: MODSEQ that is sent to a client that has not asked for it, or not sent to one that has, with each of the
/// commands that ask for it (RFC 7162 section 3.1).
#[test]
fn whatever_asks_for_modseqs_has_asked_for_good() {
    for (command, asks) in [
        ("NOOP", false),
        ("STATUS INBOX (UIDNEXT)", false),
        ("UID FETCH 1 FLAGS", false),
        ("ENABLE X", false),
        ("STATUS INBOX (HIGHESTMODSEQ)", true),
        ("FETCH 1 MODSEQ", true),
        ("FETCH 1 UID (CHANGEDSINCE 99)", true),
        ("STORE 1 (UNCHANGEDSINCE 0) FLAGS ()", true),
        ("ENABLE CONDSTORE", true),
        ("ENABLE QRESYNC", true),
        ("SELECT INBOX (CONDSTORE)", true),
        ("EXAMINE INBOX (CONDSTORE)", true),
    ] {
        story(|world| async move {
            world.deliver(&["1"]).await;
            let (mut one, mut two) = (world.inbox().await, world.inbox().await);
            let (_, modseq) = world.numbers().await;
            one.send(&format!("1 {command}\r\n")).await;
            let lines = one.until("1 OK").await;
            let told = lines
                .iter()
                .filter(|line| line.starts_with(&format!("* OK [HIGHESTMODSEQ {modseq}]")))
                .count();
            assert_eq!(told, usize::from(asks), "{command}: {lines:?}");
            two.play("C: 1 STORE 1 FLAGS (\\Flagged)").await;
            two.until("1 OK").await;
            one.send("2 NOOP\r\n").await;
            let lines = one.until("2 OK").await;
            let (uid, modseq) =
                if asks { ("UID 1 ", format!(" MODSEQ ({})", modseq + 1)) } else { ("", String::new()) };
            // EXAMINE does not claim \Recent messages.
            let recent = if command.contains("INBOX (CONDSTORE") { "" } else { "\\Recent " };
            assert_eq!(lines[0], format!("* 1 FETCH ({uid}FLAGS ({recent}\\Flagged){modseq})"), "{command}");
        });
    }
}

/// Catches: a MODIFIED that grows with a hundred thousand scattered messages, or one that leaves some out.
#[test]
fn a_modified_that_no_client_can_read_is_refused() {
    const RANGES: u32 = 4096;
    story(|world| async move {
        world.deliver(&vec!["x"; 2 * RANGES as usize + 2]).await;
        let fred = world.fred().await;
        let (_, known) = world.numbers().await;
        let mut transaction = fred.begin();
        let scattered = Vec::from_iter((0..=RANGES).map(|n| 2 * n + 1));
        transaction.flags(store::INBOX, &scattered, store::FlagChange::Add, Flags::SEEN, &[]);
        transaction.commit().await.unwrap();
        let mut client = world.inbox().await;
        client
            .play(&format!("C: 1 UID STORE 1:* (UNCHANGEDSINCE {known}) +FLAGS.SILENT (\\Flagged)\nS: * OK *\nS: 1 NO [LIMIT] *"))
            .await;
        client
            .send(&format!(
                "2 UID STORE 1:{} (UNCHANGEDSINCE {known}) +FLAGS.SILENT (\\Flagged)\r\n",
                2 * RANGES
            ))
            .await;
        let last = client.until("2 ").await.pop().unwrap();
        assert!(
            last.starts_with("2 OK [MODIFIED 1,3,5,") && last.contains(&format!(",{}]", 2 * RANGES - 1)),
            "{last:.40}"
        );
    });
}
