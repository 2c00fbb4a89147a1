//! What was acknowledged survives a cut right then, whatever of the unsynced goes with it.

use super::day::{OnMedium, Told};
use super::medium::{Kept, Medium};
use super::recorder::Recorder;
use super::seen::{assert_whole, difference, look};
use super::support::{Appliance, Scratch};
use super::ways::{on_the_spot, through_io_uring};

/// Opens what a cut there leaves with the real binary: it is whole, and clients see what they were told.
fn assert_kept(appliance: &mut Appliance, medium: &Medium, kept: Kept, told: &Told) {
    let scratch = Scratch::new("cut");
    let data = scratch.join("data");
    medium.leave(kept, &data);
    assert_whole(&data);
    appliance.restart_on(&data);
    let differs = difference(&told.seen, &look(appliance));
    appliance.kill();
    assert!(differs.is_empty(), "{}, cut at event {} with {kept:?}:\n{differs}", told.what, told.position);
}

/// Caught when tried: a sync that does nothing, of files or of folders, in either way; a sync of the root in place of
/// another folder. In the store: the log's folder not synced when a segment was begun, the account's not when it was made; a
/// large message's file or folder not synced. `flash::replace` without the sync of the file or of the folder, the same of the
/// configuration.
fn what_was_acknowledged_survives(recorder: Recorder, cuts: &[Kept]) {
    let mut on = OnMedium::after_a_day(recorder);
    for told in &on.told {
        for kept in cuts {
            assert_kept(&mut on.appliance, &on.recorder.at(told.position), *kept, told);
        }
    }
}

#[test]
fn acknowledged_through_io_uring() {
    through_io_uring(|recorder| what_was_acknowledged_survives(recorder, &Kept::ALL));
}

#[test]
fn acknowledged_on_the_spot() {
    on_the_spot(|recorder| what_was_acknowledged_survives(recorder, &[Kept::NOTHING]));
}
