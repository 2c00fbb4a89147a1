//! A card with a file system of its own, which can be made to take no changes: mounted read-only, or by the kernel itself
//! after an error, as it does with a worn-out card.
//!
//! Mounts are the calling thread's and its children's alone: they go away with them, also when the test is killed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{PATIENCE, allowed_to_skip, run};

/// The card, mounted until dropped.
pub struct MountedCard {
    image: PathBuf,
    folder: PathBuf,
    /// Small file systems in memory that were put over its folders.
    over: Vec<PathBuf>,
}

impl MountedCard {
    /// A new card, its file system in the file `image`, mounted at `folder`. `None` where this machine mounts nothing for us,
    /// and the test may do without.
    pub fn insert(image: PathBuf, folder: PathBuf) -> Option<MountedCard> {
        if !own_mounts() {
            assert!(allowed_to_skip("mount"), "nothing can be mounted: run the tests as root");
            return None;
        }
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
        run(Command::new("/usr/sbin/mkfs.ext4").args(["-q", "-m", "0"]).arg(&image), PATIENCE).success();
        let card = MountedCard { image, folder, over: Vec::new() };
        card.mount("rw");
        Some(card)
    }

    fn mount(&self, mode: &str) {
        let options = format!("loop,errors=remount-ro,{mode}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "ext4", "-o", &options]).arg(&self.image).arg(&self.folder);
        run(&mut mount, PATIENCE).success();
    }

    /// A folder of the card that can be written whatever becomes of the card; it lies in memory.
    pub fn keep_writable(&mut self, name: &str) {
        let folder = self.folder.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        run(Command::new("mount").args(["-t", "tmpfs", "none"]).arg(&folder), PATIENCE).success();
        self.over.push(folder);
    }

    /// The kernel finds an error, and takes no changes from then on, whatever is open.
    pub fn fail(&self) {
        let source =
            run(Command::new("findmnt").args(["-no", "SOURCE"]).arg(&self.folder), PATIENCE).success();
        let device = source.trim().trim_start_matches("/dev/");
        std::fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "1").unwrap();
    }

    /// Out of its slot and in again, for reading. Nobody may have a file of it open.
    pub fn mount_read_only(&self) {
        match self.over.is_empty() {
            true => {
                run(Command::new("umount").arg(&self.folder), PATIENCE).success();
                // A journal cannot be replayed on a device that is read-only itself.
                self.check();
                self.mount("ro");
            }
            // What lies in memory would be lost.
            false => {
                run(Command::new("mount").args(["-o", "remount,ro"]).arg(&self.folder), PATIENCE).success();
            }
        }
    }

    /// All that was on the card when it failed, on one that works.
    pub fn replace(&self) {
        assert!(self.over.is_empty());
        run(Command::new("umount").arg(&self.folder), PATIENCE).success();
        self.check();
        self.mount("rw");
    }

    fn check(&self) {
        // It ends with 1 when it has mended something, as the note of the error.
        let checked = run(Command::new("/usr/sbin/e2fsck").args(["-fy"]).arg(&self.image), PATIENCE);
        assert!(checked.code <= Some(1), "{checked:?}");
    }
}

impl Drop for MountedCard {
    fn drop(&mut self) {
        // At once, whoever has files of it open: they end with the test.
        for folder in self.over.iter().rev().chain([&self.folder]) {
            let mut umount = Command::new("umount");
            let _ = umount.arg("-l").arg(folder).stderr(Stdio::null()).status();
        }
    }
}

/// From here on this thread and its children have mounts of their own; `false` where that is not allowed.
fn own_mounts() -> bool {
    #[allow(
        deprecated,
        reason = "it shares nothing but mounts, which is safe; its successor wants unsafe code"
    )]
    let unshared = rustix::thread::unshare(rustix::thread::UnshareFlags::NEWNS);
    // Where the machine passes its mounts on, none of ours is to get out.
    let private = || run(Command::new("mount").args(["--make-rprivate", "/"]), PATIENCE).code == Some(0);
    unshared.is_ok() && private()
}
