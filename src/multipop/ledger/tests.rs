//! The rules of the ledger, listing by listing.

use super::*;
use crate::config::Protocol;

const NOW: i64 = 1_800_000_000;
const MAX: u64 = 1 << 20;

fn collected(date: i64) -> Known {
    Known { date: date.into(), content: 0, unlisted: 0 }
}

fn source() -> Source {
    Source { host: "pop.example".try_into().unwrap(), ..Source::default() }
}

/// Lists messages of (unique-id, size). New ones are collected, so the next poll knows them.
fn poll(
    source: &Source,
    known: &mut Vec<(IdentityHash, Known)>,
    listing: &[(&str, u64)],
    now: i64,
) -> String {
    let mut ledger = Ledger::new(source, known.clone(), now, MAX);
    let verdicts: Vec<Verdict> =
        listing.iter().map(|(id, size)| ledger.listed(id.as_bytes(), *size)).collect();
    let Changes { gone, back, forgotten } = ledger.changes();
    known.retain(|(hash, _)| !forgotten.contains(hash));
    for (hash, known) in known.iter_mut() {
        if gone.contains(hash) {
            known.unlisted = u32::try_from(now).unwrap();
        }
        if back.contains(hash) {
            known.unlisted = 0;
        }
    }
    let mut said = String::new();
    for verdict in verdicts {
        said.push(match verdict {
            Verdict::Collect(_) => 'C',
            Verdict::Read => 'R',
            Verdict::Delete => 'D',
            Verdict::Compare(_) => '?',
            Verdict::Tell(_) => 'T',
            Verdict::Redate(_) => 'A',
            Verdict::Leave => '.',
        });
        if let Verdict::Collect(identity) | Verdict::Tell(identity) | Verdict::Redate(identity) = verdict {
            let hash = identity_hash(identity.octets());
            known.retain(|(known, _)| *known != hash);
            known.push((hash, collected(now)));
        }
    }
    said
}

#[test]
fn collected_messages_are_deleted_unless_they_shall_stay() {
    let (mut take, mut known) = (source(), Vec::new());
    take.leave_on_server = false;
    assert_eq!(poll(&take, &mut known, &[("a", 1), ("b", 1)], NOW), "CC");
    assert_eq!(poll(&take, &mut known, &[("a", 1), ("b", 1), ("c", 1)], NOW), "DDC");

    let (mut leave, mut known) = (source(), Vec::new());
    leave.leave_on_server = true;
    assert_eq!(poll(&leave, &mut known, &[("a", 1), ("b", 1)], NOW), "CC");
    assert_eq!(poll(&leave, &mut known, &[("a", 1), ("c", 1), ("b", 1)], NOW), ".C.");
    leave.delete_after = 100;
    assert_eq!(poll(&leave, &mut known, &[("a", 1), ("c", 1)], NOW + 99), "..");
    assert_eq!(poll(&leave, &mut known, &[("a", 1), ("c", 1)], NOW + 100), "DD");
}

#[test]
fn what_is_listed_no_longer_is_forgotten_after_30_days() {
    // Catches: a listing that is short once, after which everything comes twice; a ledger that never forgets; days
    // that are counted from before a message was listed again; a forgotten message because the clock was not set.
    const MONTH: i64 = 30 * 86_400;
    let (mut source, mut known) = (source(), Vec::new());
    source.leave_on_server = true;
    let all = [("a", 1), ("b", 1)];
    let mut poll = |listing: &[_], now| (poll(&source, &mut known, listing, now), known.len());
    assert_eq!(poll(&all, NOW), ("CC".into(), 2));
    assert_eq!(poll(&[], NOW + 1), ("".into(), 2));
    assert_eq!(poll(&all[1..], NOW + MONTH), (".".into(), 2), "not for 30 days yet");
    assert_eq!(poll(&all, NOW + MONTH), ("..".into(), 2));
    assert_eq!(poll(&all[1..], NOW + 2 * MONTH), (".".into(), 2));
    assert_eq!(poll(&all[1..], 40), (".".into(), 2));
    assert_eq!(poll(&all[1..], NOW + 3 * MONTH - 1), (".".into(), 2));
    assert_eq!(poll(&all[1..], NOW + 3 * MONTH), (".".into(), 1));
    assert_eq!(poll(&all, NOW + 3 * MONTH), ("C.".into(), 2));
}

/// Catches: a message that was recognised by its content and is deleted at the server, or read again with each poll.
#[test]
fn what_came_under_another_identity_is_left_alone() {
    let mut source = source();
    source.leave_on_server = false;
    let first = Known { content: 7, ..collected(NOW) };
    let known = vec![(identity_hash(Identity::new("uidl", b"a").octets()), first)];
    let mut ledger = Ledger::new(&source, known.clone(), NOW, MAX);
    let Verdict::Collect(identity) = ledger.listed(b"b", 1) else { panic!() };
    assert!(ledger.has_content(7) && !ledger.has_content(8) && !ledger.has_content(0));
    let again = (identity_hash(identity.again().octets()), first);
    let mut ledger = Ledger::new(&source, [known, vec![again]].concat(), NOW, MAX);
    assert_eq!(ledger.listed(b"b", 1), Verdict::Leave);
    // It may be another message that has the unique-id now.
    let Verdict::Compare(same) = ledger.listed(b"a", 1) else { panic!() };
    let hash = |content, is_told_apart| Hash { content, is_told_apart };
    assert!(ledger.is_known_as(&same, hash(7, false)) && !ledger.is_known_as(&same, hash(8, true)));
    assert_eq!(ledger.same(same), Verdict::Delete);
    assert_eq!(ledger.changes(), Changes::default());
}

#[test]
fn messages_that_share_a_unique_id_are_all_collected_once() {
    let (mut source, mut known) = (source(), Vec::new());
    source.leave_on_server = true;
    assert_eq!(poll(&source, &mut known, &[("a", 1)], NOW), "C");
    assert_eq!(poll(&source, &mut known, &[("a", 1), ("a", 1), ("b", 1), ("a", 7)], NOW), ".CCC");
    assert_eq!(poll(&source, &mut known, &[("a", 1), ("a", 1), ("b", 1), ("a", 7)], NOW), "....");
    // Somebody else deletes the first message: the rest were all collected.
    assert_eq!(poll(&source, &mut known, &[("a", 1), ("b", 1)], NOW), "..");
    // Another message comes that differs only in size.
    assert_eq!(poll(&source, &mut known, &[("a", 1), ("a", 9)], NOW), ".C");
}

#[test]
fn messages_without_unique_ids_are_known_by_their_content() {
    let mut source = source();
    source.leave_on_server = true;
    let mut ledger = Ledger::new(&source, Vec::new(), NOW, MAX);
    assert_eq!(ledger.listed(b"", 5), Verdict::Read);
    let Verdict::Collect(first) = ledger.read(b"digest", 5) else { panic!() };
    let Verdict::Collect(copy) = ledger.read(b"digest", 5) else { panic!("a copy is a message too") };
    assert_ne!(first, copy);

    let known = [first, copy].map(|identity| (identity_hash(identity.octets()), collected(NOW))).to_vec();
    let mut ledger = Ledger::new(&source, known, NOW, MAX);
    ledger.listed(b"", 5);
    assert_eq!(ledger.read(b"digest", 5), Verdict::Leave);
    assert_eq!(ledger.read(b"digest", 5), Verdict::Leave);
    assert_eq!(ledger.changes(), Changes::default());
}

#[test]
fn the_user_is_told_once_of_a_large_message_which_comes_when_the_limit_is_raised() {
    let (mut source, mut known) = (source(), Vec::new());
    source.max_size = 10;
    source.leave_on_server = true;
    let listing = [("small", 10), ("large", 11), ("", 12)];
    assert_eq!(poll(&source, &mut known, &listing, NOW), "CTT");
    assert_eq!(poll(&source, &mut known, &listing, NOW), "...");
    source.max_size = 11;
    assert_eq!(poll(&source, &mut known, &listing, NOW), ".C.");
}

#[test]
fn a_clock_that_was_not_set_deletes_nothing() {
    let (mut source, mut known) = (source(), Vec::new());
    source.leave_on_server = true;
    source.delete_after = 100;
    assert_eq!(poll(&source, &mut known, &[("a", 1)], 40), "C");
    assert_eq!(poll(&source, &mut known, &[("a", 1)], 1000), ".");
    assert_eq!(poll(&source, &mut known, &[("a", 1)], NOW), "A", "its age counts from here");
    assert_eq!(poll(&source, &mut known, &[("a", 1)], NOW + 99), ".");
    assert_eq!(poll(&source, &mut known, &[("a", 1)], NOW + 100), "D");
}

#[test]
fn one_poll_takes_on_a_bounded_number_of_new_messages() {
    let source = source();
    let mut ledger = Ledger::new(&source, Vec::new(), NOW, MAX);
    let collect = (0..NEW_LIMIT + 10)
        .filter(|n| matches!(ledger.listed(n.to_string().as_bytes(), 1), Verdict::Collect(_)))
        .count();
    assert_eq!(collect, NEW_LIMIT);
    assert!(ledger.has_more());
}

/// Catches: a ledger that starts anew where a provider renames its server, and one that serves two mailboxes.
#[test]
fn the_ledger_stays_wherever_the_server_is() {
    let of = |id| Source { id, ..source() };
    let key = source_key(&of(7), "INBOX");
    assert_eq!(source_key(&Source { protocol: Protocol::Imap, port: 1, ..of(7) }, "inbox"), key);
    for other in [source_key(&of(7), "Sent"), source_key(&of(8), "INBOX")] {
        assert_ne!(other, key);
    }
}

/// Catches: new mail that never comes, since messages that came before under other identities or are too large stand
/// in front of it and use up the limit of the round.
#[test]
fn what_is_left_alone_takes_no_place_of_what_is_new() {
    let source = Source { max_size: 10, leave_on_server: true, ..source() };
    let ids: Vec<String> = (0..NEW_LIMIT + 10).map(|n| n.to_string()).collect();
    let noted = |id: &String| {
        let identity = Identity::new("uidl", id.as_bytes());
        (identity_hash(identity.again().octets()), collected(NOW))
    };
    for (known, size) in [(ids.iter().map(noted).collect(), 1), (Vec::new(), 11)] {
        let mut ledger = Ledger::new(&source, known, NOW, MAX);
        for id in &ids {
            let verdict = ledger.listed(id.as_bytes(), size);
            assert_eq!(verdict == Verdict::Leave, size == 1, "{verdict:?}");
        }
        assert!(matches!(ledger.listed(b"new", 1), Verdict::Collect(_)) && !ledger.has_more());
    }
}

/// Catches: a content that is not found, or that is found although no entry has it.
#[test]
fn contents_are_found_on_their_shelves() {
    let content = |n: u64| if n.is_multiple_of(3) { 0 } else { n.wrapping_mul(0x9E37_79B9_7F4A_7C15) };
    let known = (0..5000u64).map(|n| {
        let identity = identity_hash(Identity::new("uidl", &n.to_be_bytes()).octets());
        (identity, Known { content: content(n), ..collected(NOW) })
    });
    let ledger = Ledger::new(&source(), known.collect(), NOW, MAX);
    for n in 0..6000 {
        assert_eq!(ledger.has_content(content(n)), !n.is_multiple_of(3) && n < 5000, "{n}");
    }
    assert!(!Ledger::new(&source(), Vec::new(), NOW, MAX).has_content(7));
}
