//! Tests that the simulated flash is no kinder than a real one.

use super::*;

fn write(flash: &SimFlash, path: &str) {
    let file = flash.open(path, Mode::Create).unwrap();
    file.write_at(0, b"mail").unwrap();
    smol::block_on(file.sync()).unwrap();
}

fn sync(flash: &SimFlash, dirs: &[&str]) {
    dirs.iter().for_each(|dir| smol::block_on(flash.sync_dir(dir)).unwrap());
}

/// The different sets of files that are found after 50 cuts.
fn outcomes(flash: &SimFlash) -> Vec<Vec<String>> {
    let mut outcomes: Vec<Vec<String>> =
        (0..50).map(|seed| flash.restart(seed).files().into_iter().map(|(path, _)| path).collect()).collect();
    outcomes.sort();
    outcomes.dedup();
    outcomes
}

#[test]
fn a_folder_whose_name_was_not_synced_is_gone_with_all_that_is_in_it() {
    let flash = SimFlash::default();
    flash.create_dir("accounts/a/log").unwrap();
    write(&flash, "accounts/a/log/1");
    let nothing = Vec::new();
    for dirs in [&["accounts/a/log"][..], &["accounts/a", "accounts"]] {
        sync(&flash, dirs);
        assert!(outcomes(&flash).contains(&nothing), "{dirs:?}");
    }
    sync(&flash, &[""]);
    assert_eq!(outcomes(&flash), [["accounts/a/log/1"]]);
}

#[test]
fn a_folder_that_is_not_there_has_nothing_and_takes_nothing() {
    let flash = SimFlash::default();
    let not_found = |error: Option<io::Error>| error.unwrap().kind() == io::ErrorKind::NotFound;
    for mode in [Mode::Read, Mode::Write, Mode::Create] {
        assert!(not_found(flash.open("a/file", mode).err()));
    }
    assert!(flash.list("a").unwrap().is_empty());
    assert!(not_found(smol::block_on(flash.sync_dir("a")).err()));
    flash.remove("a/file").unwrap();
    flash.remove_dir("a").unwrap();
    write(&flash, "file");
    assert!(not_found(flash.rename("file", "a/file").err()));
    assert!(not_found(flash.rename("other", "file").err()));
    flash.create_dir("a/b").unwrap();
    assert_eq!(flash.list("").unwrap(), ["a", "file"]);
    assert_eq!(flash.list("a").unwrap(), ["b"]);
    let is_folder = flash.open("a", Mode::Read).err().unwrap();
    assert_eq!(is_folder.kind(), io::ErrorKind::IsADirectory);
}

#[test]
fn a_folder_that_was_removed_may_come_back_until_that_is_synced() {
    let flash = SimFlash::default();
    flash.create_dir("a/b").unwrap();
    for path in ["a/1", "a/b/2"] {
        write(&flash, path);
    }
    sync(&flash, &["a/b", "a", ""]);
    flash.remove_dir("a").unwrap();
    assert!(flash.files().is_empty() && flash.list("").unwrap().is_empty());
    assert_eq!(outcomes(&flash), [&[][..], &["a/1"], &["a/1", "a/b/2"]]);
    // A new folder of the same name has nothing of the first one.
    flash.create_dir("a").unwrap();
    sync(&flash, &[""]);
    assert_eq!(outcomes(&flash), [[""; 0]]);
}

#[test]
fn a_write_that_the_flash_has_no_room_for_is_written_in_part() {
    let flash = SimFlash::default();
    write(&flash, "first");
    flash.limit(Some(10));
    let file = flash.open("second", Mode::Create).unwrap();
    file.write_at(0, b"abcd").unwrap();
    assert_eq!(file.write_at(4, b"efgh").unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(flash.files(), [("first".to_owned(), 4), ("second".to_owned(), 6)]);
    assert_eq!(flash.space().unwrap().free, 0);
    // Octets that are already in the file can be overwritten.
    file.write_at(0, b"ABCD").unwrap();
}

#[test]
fn what_a_killed_process_has_written_can_be_read_and_may_still_be_lost() {
    let flash = SimFlash::default();
    let file = flash.open("file", Mode::Create).unwrap();
    file.write_at(0, b"mail").unwrap();
    let killed = flash.killed();
    assert_eq!(killed.files(), [("file".to_owned(), 4)]);
    let lost = |flash: &SimFlash| (0..50).any(|seed| flash.restart(seed).files() != killed.files());
    assert!(lost(&killed));
    // The next process makes both name and content durable.
    sync(&killed, &[""]);
    assert!(lost(&killed));
    smol::block_on(killed.open("file", Mode::Write).unwrap().sync()).unwrap();
    assert!(!lost(&killed) && lost(&flash));
}
