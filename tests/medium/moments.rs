//! A cut or a kill at any moment of a day: just before each sync, when most is written that is not safe.

use super::day::{OnMedium, Told, imap};
use super::medium::{Event, Kept};
use super::recorder::Mounted;
use super::seen::{assert_whole, difference, look};
use super::support::Scratch;
use super::support::mail::named;
use super::ways::through_io_uring;

/// Of each deed's syncs the last ones, which are all of them but where a segment is filled.
const OF_EACH: usize = 8;

/// The positions just before a sync, from the first acknowledgement on.
fn before_syncs(on: &OnMedium) -> Vec<usize> {
    let events = on.recorder.events();
    let of_a_deed = |deed: &[Told]| {
        let syncs = (deed[0].position..deed[1].position).filter(|at| matches!(events[*at], Event::Synced(_)));
        let mut last: Vec<_> = syncs.rev().take(OF_EACH).collect();
        last.reverse();
        last
    };
    let moments: Vec<_> = on.told.windows(2).flat_map(of_a_deed).collect();
    assert!(moments.len() >= on.told.len(), "a day of {} deeds with {} syncs", on.told.len(), moments.len());
    moments
}

/// Caught when tried: `DiskFile::sync` that does nothing.
#[test]
fn a_cut_at_any_moment_damages_nothing() {
    through_io_uring(|recorder| {
        let on = OnMedium::after_a_day(recorder);
        for position in before_syncs(&on) {
            let medium = on.recorder.at(position);
            for kept in Kept::ALL {
                let scratch = Scratch::new("cut");
                medium.leave(kept, &scratch.join("data"));
                assert_whole(&scratch.join("data"));
            }
        }
    });
}

/// What an account is opened with after a kill was read from the kernel's memory.
///
/// Caught when tried: an account that is opened without a sync of the last segment, of the log's folder, or, where nothing
/// was committed yet, of the folders above it; and what `what_was_acknowledged_survives` catches.
#[test]
fn what_is_seen_after_a_kill_survives_a_cut() {
    through_io_uring(|recorder| {
        let mut on = OnMedium::after_a_day(recorder);
        let moments: Vec<_> =
            before_syncs(&on).into_iter().map(|position| on.recorder.at(position)).collect();
        for (moment, medium) in moments.into_iter().enumerate() {
            let Some(mounted) = Mounted::new(medium) else { return };
            on.resume(mounted);
            look(&on.appliance);
            imap(&on.appliance, "anna").append("INBOX", &named("after the kill", 500));
            let position = on.recorder.position();
            let seen = look(&on.appliance);
            on.appliance.kill();

            let scratch = Scratch::new("cut");
            on.recorder.at(position).leave(Kept::NOTHING, &scratch.join("data"));
            on.appliance.restart_on(&scratch.join("data"));
            let found = look(&on.appliance);
            on.appliance.kill();
            let differs = difference(&seen, &found);
            assert!(differs.is_empty(), "killed before sync {moment}:\n{differs}");
        }
    });
}
