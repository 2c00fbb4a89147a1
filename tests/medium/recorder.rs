//! A medium that is mounted, in the hands of the test.

use std::io;
use std::path::{Path, PathBuf};

use fuser::{BackgroundSession, Config, MountOption, spawn_mount};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::geteuid;

use super::filesystem::Recording;
use super::medium::{Event, Medium};
use super::support::{Scratch, allowed_to_skip};
use super::thread::mount_apart;

/// A medium that is mounted. Unmounted when dropped; whoever has files of it open must have ended by then.
pub struct Mounted {
    pub recorder: Recorder,
    session: Option<BackgroundSession>,
    folder: Scratch,
}

impl Mounted {
    /// Mounts `medium`; `None` where the machine has no FUSE for us and the test may be skipped.
    pub fn new(medium: Medium) -> Option<Mounted> {
        let (recording, folder) = (Recording::of(medium.clone()), Scratch::new("medium"));
        let session = match mount(recording.clone(), folder.path()) {
            Ok(session) => Some(session),
            Err(error) => {
                assert!(allowed_to_skip("fuse"), "no FUSE (/dev/fuse as root, or Debian's fuse3): {error}");
                return None;
            }
        };
        let recorder = Recorder { recording, before: medium, path: folder.path().to_owned() };
        Some(Mounted { recorder, session, folder })
    }
}

fn mount(recording: Recording, folder: &Path) -> io::Result<BackgroundSession> {
    if geteuid().is_root() {
        mount_apart()?;
    }
    let mut config = Config::default();
    config.mount_options = vec![MountOption::FSName("pillarbox-test".into())];
    spawn_mount(recording, folder, &config)
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else { return };
        // Whoever was killed may not be quite gone. For others than root there is fusermount3.
        let ended = match unmount(self.folder.path(), UnmountFlags::DETACH) {
            Ok(()) => session.join(),
            Err(_) => session.umount_and_join(),
        };
        if let Err(error) = ended {
            eprintln!("{}: {error}", self.folder.path().display());
        }
    }
}

/// What happens to a medium from its mounting on.
#[derive(Clone)]
pub struct Recorder {
    recording: Recording,
    before: Medium,
    path: PathBuf,
}

impl Recorder {
    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many events there have been.
    pub fn position(&self) -> usize {
        self.recording.state().events.len()
    }

    /// How many reads there have been.
    pub fn reads(&self) -> u64 {
        self.recording.state().reads
    }

    /// What happened.
    pub fn events(&self) -> Vec<Event> {
        self.recording.state().events.clone()
    }

    /// The medium as it was after so many events.
    pub fn at(&self, position: usize) -> Medium {
        let mut medium = self.before.clone();
        self.recording.state().events[..position].iter().for_each(|event| medium.happens(event));
        medium
    }

    /// From now on a sync fails with the error that `refusal` has for the path of the file or folder.
    pub fn refuse(&self, refusal: impl FnMut(&str) -> Option<io::Error> + Send + 'static) {
        self.recording.state().refusal = Box::new(refusal);
    }
}
