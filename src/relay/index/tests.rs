use super::*;

const ANN: Submitter = Submitter::Account(1);
const BOB: Submitter = Submitter::Account(2);

fn outside(at: u32) -> Facts {
    Facts { size: 1000, created: at, here: None, outside: Some(at), only_notice: false }
}

fn anyone(_: Submitter) -> bool {
    true
}

/// An index in which messages of these submitters and sizes are due, with UIDs from 1.
fn due(messages: &[(Submitter, u32)]) -> Index {
    let mut index = Index::default();
    for (uid, (submitter, size)) in (1..).zip(messages) {
        index.put(uid, *submitter, Facts { size: *size, ..outside(5) });
    }
    index.tick(5, 100);
    index
}

/// Catches: a message that goes before its time, twice at once, or out of the order of its submitter.
#[test]
fn messages_go_when_they_are_due_in_their_order() {
    let mut index = Index::default();
    index.put(1, ANN, outside(10));
    index.put(2, ANN, outside(5));
    index.put(3, ANN, outside(5));
    index.tick(5, 100);
    assert_eq!(index.earliest(), Some(10));
    assert_eq!(index.next_outside(anyone, 1, true, 5), Some(2));
    assert!(index.is_busy(2) && !index.claim(2));
    index.tick(10, 100);
    assert_eq!(index.next_outside(anyone, 1, true, 10), Some(1), "the older one before the younger");
    assert_eq!(index.next_outside(anyone, 1, true, 10), Some(3));
    assert_eq!(index.next_outside(anyone, 1, true, 10), None);
    // One is put off, and one is removed.
    index.put(1, ANN, outside(20));
    index.remove(2);
    index.put(2, ANN, outside(0));
    assert_eq!((index.len(), index.count(ANN), index.earliest()), (2, 2, Some(20)));
    index.tick(19, 100);
    assert_eq!(index.next_outside(anyone, 1, true, 19), None);
    index.hasten(|it| it == BOB, 19);
    assert_eq!(index.next_outside(anyone, 1, true, 19), None, "it is not his");
    index.hasten(anyone, 19);
    assert_eq!(index.next_outside(anyone, 1, true, 19), Some(1));
}

/// Catches: a message that waits for years since the clock was wrong.
#[test]
fn a_time_that_is_too_far_away_is_none() {
    let mut index = Index::default();
    index.put(1, ANN, outside(4_000_000_000));
    index.tick(100, 5_000_000);
    assert_eq!(index.next_outside(anyone, 1, true, 100), Some(1));
}

/// Catches: a submitter of many messages who keeps the others waiting, and a message that was put off and is tried
/// all the same.
#[test]
fn whoever_has_fewer_on_their_way_comes_first() {
    let mut index = due(&[(ANN, 1), (ANN, 1), (ANN, 1), (BOB, 1)]);
    let next = |index: &mut Index| index.next_outside(anyone, 1, true, 5);
    assert_eq!([next(&mut index), next(&mut index), next(&mut index)], [Some(1), Some(4), Some(2)]);
    index.put(3, ANN, outside(50));
    assert_eq!(next(&mut index), None);
    let only_bob = |submitter| submitter == BOB;
    index.put(4, BOB, outside(5));
    index.put(1, ANN, outside(5));
    index.tick(5, 100);
    assert_eq!(index.next_outside(only_bob, 1, true, 5), Some(4));
    assert_eq!(index.next_outside(only_bob, 1, true, 5), None);
}

/// Catches: a small message that overtakes a large one of the same submitter, and one of another submitter that does
/// not.
#[test]
fn large_messages_hold_up_their_own_only() {
    let mut index = due(&[(ANN, LARGE), (ANN, 1), (BOB, 1), (BOB, LARGE)]);
    assert_eq!(index.next_outside(anyone, 1, false, 5), Some(3), "no large one may go");
    assert_eq!(index.next_outside(anyone, 1, false, 5), None);
    assert_eq!(index.next_outside(anyone, 1, true, 5), Some(1));
    assert_eq!(index.next_outside(|it| it == ANN, 2, true, 5), None);
    index.remove(1);
    assert_eq!(index.next_outside(|it| it == ANN, 2, true, 5), Some(2));
}

/// Catches: last octets of a submitter's messages that leave in another order than the messages.
#[test]
fn ends_leave_in_order() {
    let mut index = due(&[(ANN, 1), (ANN, 1), (ANN, 1), (BOB, 1)]);
    for line in [1, 2, 2, 3] {
        index.next_outside(|it| it == if line == 3 { BOB } else { ANN }, line, true, 5).unwrap();
    }
    let turns = |index: &Index| [1, 2, 3, 4].map(|uid| index.turn(uid));
    assert_eq!(turns(&index), [Some(Spacing::Alone), None, None, Some(Spacing::Alone)]);
    index.ended(1);
    assert_eq!(turns(&index)[1..3], [Some(Spacing::Behind), Some(Spacing::Behind)]);
    index.put(1, ANN, outside(50));
    assert_eq!(
        turns(&index)[1..3],
        [Some(Spacing::Alone), Some(Spacing::Alone)],
        "one connection keeps its order itself"
    );
}

/// Catches: a message that rests and goes all the same; one that stays claimed or blocks those behind it; one that
/// comes back though it cannot be worked on.
#[test]
fn what_cannot_be_worked_on_rests() {
    let mut index = due(&[(ANN, 1), (ANN, 1)]);
    assert_eq!(index.next_outside(anyone, 1, true, 5), Some(1));
    index.rest(1, Some(30));
    assert_eq!(index.next_outside(anyone, 2, true, 5), Some(2));
    assert_eq!(index.turn(2), Some(Spacing::Alone));
    assert_eq!((index.earliest(), index.is_free(1)), (Some(30), true));
    index.tick(30, 100);
    assert_eq!(index.next_outside(anyone, 1, true, 30), Some(1));
    index.rest(1, None);
    index.tick(99, 100);
    index.hasten(anyone, 99);
    assert_eq!((index.next_outside(anyone, 1, true, 99), index.count(ANN)), (None, 2));
}

/// Catches: work here that is forgotten or done twice, and a message that is worked on here and outside at once.
#[test]
fn work_here_and_outside_take_turns() {
    let mut index = Index::default();
    let both = Facts { here: Some(5), ..outside(5) };
    index.put(1, ANN, both);
    index.tick(5, 100);
    assert_eq!(index.next_here(5), Some(1));
    assert_eq!((index.next_outside(anyone, 1, true, 5), index.next_here(5)), (None, None));
    index.put(1, ANN, outside(5));
    index.tick(5, 100);
    assert_eq!((index.next_here(5), index.next_outside(anyone, 1, true, 5)), (None, Some(1)));
    index.put(1, ANN, Facts { here: Some(7), outside: None, ..both });
    index.tick(6, 100);
    assert_eq!(index.next_here(6), None);
    index.tick(7, 100);
    assert_eq!(index.next_here(7), Some(1));
}

/// Catches: an index that grows with removed messages, or whose entries take more than 64 octets.
#[test]
fn an_entry_takes_64_octets_at_the_most() {
    let mut index = Index::default();
    for uid in 1..=100_000 {
        index.put(uid, ANN, outside(10));
    }
    index.tick(9, 100);
    let waiting = index.slots.capacity() * size_of::<Slot>();
    // A node of the tree has room for eleven entries and holds at least six; its head takes twelve octets.
    let timers = 100_000 / 6 * (11 * size_of::<(u32, Uid)>() + 16);
    assert!(waiting + timers <= 64 * 100_000, "{waiting} + {timers}");
    index.tick(10, 100);
    let ready = index.lanes[0].ready.capacity() * size_of::<Uid>();
    assert!(waiting + ready <= 64 * 100_000, "{waiting} + {ready}");
    for uid in 1..=99_990 {
        index.remove(uid);
    }
    assert_eq!(index.len(), 10);
    assert!(index.slots.len() < 100 && index.slots.capacity() < 1000);
}

/// Catches: `hasten` that takes each message for late: a note was written for each, and while one was worked on here
/// the next one overtook it.
#[test]
fn a_hurry_does_not_bring_the_notice_of_a_delay() {
    let mut index = Index::default();
    index.put(1, ANN, Facts { here: Some(500), only_notice: true, ..outside(50) });
    index.put(2, ANN, Facts { here: Some(500), ..outside(50) });
    index.hasten(anyone, 5);
    assert_eq!((index.next_here(5), index.next_here(5)), (Some(2), None));
    assert_eq!(index.next_outside(anyone, 1, true, 5), Some(1));
    index.put(1, ANN, Facts { here: Some(500), only_notice: true, ..outside(900) });
    index.tick(500, 10_000);
    assert_eq!(index.next_here(500), Some(1), "it comes in its time");
}

/// Catches: a message that stands in a row twice after it was put again, as all messages are with each change of the
/// settings; a message that goes although it was put off while it stood in a row.
#[test]
fn what_is_said_anew_stands_in_line_once() {
    let mut index = Index::default();
    let both = Facts { here: Some(5), ..outside(5) };
    for _ in 0..3 {
        index.put(1, ANN, both);
        index.tick(5, 100);
    }
    assert_eq!((index.here.len(), index.ready().collect::<Vec<_>>()), (1, vec![(ANN, 1)]));
    index.put(1, ANN, Facts { here: Some(9), ..outside(9) });
    assert_eq!((index.next_here(5), index.next_outside(anyone, 1, true, 5)), (None, None));
    assert_eq!(index.ready().next(), None, "nobody has anything that may go");
    index.tick(9, 100);
    assert_eq!(index.next_here(9), Some(1));
}

/// Catches: a time that still wakes the relay though it was put off or its message removed.
#[test]
fn a_time_that_was_put_off_or_is_gone_wakes_nobody() {
    let mut index = Index::default();
    index.put(1, ANN, Facts { here: Some(40), ..outside(50) });
    index.put(1, ANN, Facts { here: Some(80), ..outside(90) });
    assert_eq!((index.earliest(), index.timers.len()), (Some(80), 2));
    index.remove(1);
    assert_eq!((index.earliest(), index.timers.len()), (None, 0));
}

/// Catches: a message removed by the operator, on its way or before, that holds up all those behind it.
#[test]
fn what_is_gone_holds_up_nobody() {
    let mut index = due(&[(ANN, 1), (ANN, 1), (ANN, 1)]);
    index.remove(1);
    assert!(!index.is_known(1) && !index.is_free(1) && !index.claim(1));
    assert_eq!(index.next_outside(anyone, 1, true, 5), Some(2));
    assert_eq!(index.next_outside(anyone, 2, true, 5), Some(3));
    assert_eq!(index.turn(3), None);
    index.remove(2);
    assert_eq!(index.turn(3), Some(Spacing::Alone));
    index.remove(3);
    assert!(index.lanes[0].flying.is_empty(), "{:?}", index.lanes[0].flying);
}

/// Catches: the longest allowed pause taken for a time of a wrong clock: the message would be tried without a pause.
#[test]
fn the_longest_pause_is_a_pause() {
    let mut index = Index::default();
    index.put(1, ANN, outside(100));
    index.tick(5, 100);
    assert_eq!((index.next_outside(anyone, 1, true, 5), index.earliest()), (None, Some(100)));
}

/// Catches: an account that waits for the newer messages of another account only because that one is first in the
/// index.
#[test]
fn of_two_with_as_many_on_their_way_the_older_message_goes() {
    let mut index = due(&[(ANN, 1), (BOB, 1), (ANN, 1)]);
    assert_eq!(index.next_outside(anyone, 1, true, 5), Some(1));
    index.put(1, ANN, outside(50));
    assert_eq!(index.next_outside(anyone, 1, true, 5), Some(2));
}

/// Catches: a message that `hasten` leaves waiting, since its notice of a delay is due at the same time.
#[test]
fn a_hurry_brings_a_message_whose_notice_is_due_at_the_same_time() {
    let mut index = Index::default();
    index.put(1, ANN, Facts { here: Some(50), only_notice: true, ..outside(50) });
    index.hasten(anyone, 5);
    assert_eq!(index.ready().collect::<Vec<_>>(), [(ANN, 1)]);
}
