//! `Disk` alone: its syncs reach the medium, and what the medium answers reaches the caller.

use std::fs;
use std::io;
use std::path::Path;
use std::rc::Rc;

use pillarbox::flash::disk::Disk;
use pillarbox::flash::{File, Flash, Mode};
use rustix::io::Errno;
use smol::LocalExecutor;

use super::medium::Kept;
use super::recorder::Recorder;
use super::support::Scratch;
use super::ways::{on_the_spot, through_io_uring};

fn block_on<T>(future: impl Future<Output = T>) -> T {
    async_io::block_on(future)
}

/// What the file `path` holds after a cut now that leaves `kept`.
fn after_a_cut(recorder: &Recorder, kept: Kept, path: &str) -> Option<String> {
    let scratch = Scratch::new("cut");
    recorder.at(recorder.position()).leave(kept, &scratch.join("left"));
    fs::read_to_string(scratch.join("left").join(path)).ok()
}

fn create(disk: &Disk, path: &str, text: &str) -> Rc<dyn File> {
    if let Some(folder) = Path::new(path).parent() {
        disk.create_dir(folder.to_str().unwrap()).unwrap();
    }
    let file = disk.open(path, Mode::Create).unwrap();
    file.write_at(0, text.as_bytes()).unwrap();
    file
}

/// Caught when tried: `DiskFile::sync`, `Syncer::sync`, or the half of it that this way takes, that does nothing.
fn octets_are_safe_once_their_file_was_synced(recorder: Recorder) {
    let disk = Disk::new(recorder.path()).unwrap();
    let named = Kept { names: true, octets: false };
    let file = create(&disk, "mail", "one");
    assert_eq!(after_a_cut(&recorder, named, "mail").as_deref(), Some(""), "a medium that forgets");
    block_on(file.sync()).unwrap();
    assert_eq!(after_a_cut(&recorder, named, "mail").as_deref(), Some("one"));
    file.write_at(3, b", two").unwrap();
    assert_eq!(after_a_cut(&recorder, named, "mail").as_deref(), Some("one"));
    block_on(file.sync()).unwrap();
    assert_eq!(after_a_cut(&recorder, named, "mail").as_deref(), Some("one, two"));
    file.truncate(3).unwrap();
    block_on(file.sync()).unwrap();
    assert_eq!(after_a_cut(&recorder, named, "mail").as_deref(), Some("one"));
}

/// Caught when tried: `Disk::sync_dir` that does nothing, or syncs the root whatever it is given.
fn names_are_safe_once_their_folder_was_synced(recorder: Recorder) {
    let disk = Disk::new(recorder.path()).unwrap();
    block_on(create(&disk, "log/new", "one").sync()).unwrap();
    for folder in ["", "log"] {
        assert_eq!(after_a_cut(&recorder, Kept::NOTHING, "log/new"), None, "a medium that forgets");
        block_on(disk.sync_dir(folder)).unwrap();
    }
    assert_eq!(after_a_cut(&recorder, Kept::NOTHING, "log/new").as_deref(), Some("one"));
    disk.rename("log/new", "log/old").unwrap();
    assert_eq!(after_a_cut(&recorder, Kept::NOTHING, "log/old"), None);
    block_on(disk.sync_dir("log")).unwrap();
    assert_eq!(after_a_cut(&recorder, Kept::NOTHING, "log/old").as_deref(), Some("one"));
    disk.remove("log/old").unwrap();
    assert_eq!(after_a_cut(&recorder, Kept::NOTHING, "log/old").as_deref(), Some("one"));
    block_on(disk.sync_dir("log")).unwrap();
    assert_eq!(after_a_cut(&recorder, Kept::NOTHING, "log/old"), None);
}

/// Caught when tried: a negative result of io_uring, or all of them but EIO, or the error of fdatasync(2), taken for
/// success; `Disk::sync_dir` that keeps its errors to itself.
fn the_error_of_a_sync_is_told(recorder: Recorder) {
    let disk = Disk::new(recorder.path()).unwrap();
    let file = create(&disk, "log/mail", "one");
    for errno in [Errno::IO, Errno::NOSPC] {
        for refused in ["log", "log/mail"] {
            recorder.refuse(move |path| (path == refused).then(|| errno.into()));
            let answers = [("log", block_on(disk.sync_dir("log"))), ("log/mail", block_on(file.sync()))];
            for (path, answer) in answers {
                let told = answer.err().and_then(|error| error.raw_os_error());
                assert_eq!(
                    told,
                    (path == refused).then(|| errno.raw_os_error()),
                    "{path}, {refused} refused"
                );
            }
        }
    }
}

/// More at once than the ring has entries. Caught when tried: the answers of two syncs mixed up.
fn each_sync_gets_its_own_answer(recorder: Recorder) {
    let disk = Disk::new(recorder.path()).unwrap();
    recorder.refuse(|path| path.ends_with('3').then(|| io::Error::from(Errno::IO)));
    let files: Vec<_> = (0..60).map(|n| create(&disk, &format!("file {n}"), "text")).collect();
    let executor = LocalExecutor::new();
    let tasks: Vec<_> = files.iter().map(|file| executor.spawn(file.sync())).collect();
    let told = block_on(executor.run(async {
        let mut told = Vec::new();
        for task in tasks {
            told.push(task.await.is_err());
        }
        told
    }));
    for (n, failed) in told.into_iter().enumerate() {
        assert_eq!(failed, n % 10 == 3, "file {n}");
    }
}

/// Caught when tried: `DiskFile::drop_cache` that does nothing.
fn what_the_system_keeps_is_dropped_when_asked(recorder: Recorder) {
    let disk = Disk::new(recorder.path()).unwrap();
    block_on(create(&disk, "mail", "one").sync()).unwrap();
    let file = disk.open("mail", Mode::Read).unwrap();
    let read = || {
        let before = recorder.reads();
        file.read_exact_at(0, &mut [0; 3]).unwrap();
        recorder.reads() - before
    };
    read();
    assert_eq!(read(), 0, "the system keeps it");
    file.drop_cache();
    assert_eq!(read(), 1, "it comes from the medium");
}

#[test]
fn reading_anew() {
    on_the_spot(what_the_system_keeps_is_dropped_when_asked);
}
#[test]
fn octets_through_io_uring() {
    through_io_uring(octets_are_safe_once_their_file_was_synced);
}
#[test]
fn octets_on_the_spot() {
    on_the_spot(octets_are_safe_once_their_file_was_synced);
}
#[test]
fn names_through_io_uring() {
    through_io_uring(names_are_safe_once_their_folder_was_synced);
}
#[test]
fn names_on_the_spot() {
    on_the_spot(names_are_safe_once_their_folder_was_synced);
}
#[test]
fn errors_through_io_uring() {
    through_io_uring(the_error_of_a_sync_is_told);
}
#[test]
fn errors_on_the_spot() {
    on_the_spot(the_error_of_a_sync_is_told);
}
#[test]
fn answers_through_io_uring() {
    through_io_uring(each_sync_gets_its_own_answer);
}
#[test]
fn answers_on_the_spot() {
    on_the_spot(each_sync_gets_its_own_answer);
}
