//! The user of the process: on a board a user of its own, elsewhere the one who starts it, but not root if the data
//! folder belongs to another user.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Stat, Uid, chownat, fstat, openat, stat, statat,
};
use rustix::process::geteuid;
use rustix::thread::{
    CapabilitySet, CapabilitySets, set_capabilities, set_keep_capabilities, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};

/// The result of [`become_owner`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// The process was not started as root.
    AsUser,
    /// The process is this user now.
    Became(u32),
    /// The process is still root: root owns the data folder, or the folder does not exist yet.
    AsRoot,
}

/// If the process is root, becomes the owner of the data folder, with the right to bind any port. Files that an
/// earlier start as root has left there are given to that owner.
///
/// # Errors
/// What the system says. The process is still root then.
pub fn become_owner(data: &Path) -> io::Result<Started> {
    if !geteuid().is_root() {
        return Ok(Started::AsUser);
    }
    let owner = match stat(data) {
        Ok(found) => (Uid::from_raw(found.st_uid), Gid::from_raw(found.st_gid)),
        Err(rustix::io::Errno::NOENT) => (Uid::ROOT, Gid::ROOT),
        Err(error) => return Err(error.into()),
    };
    let (user, group) = owner;
    if user.is_root() {
        return Ok(Started::AsRoot);
    }
    give_to_owner(data)?;
    set_keep_capabilities(true)?;
    set_thread_groups(&[])?;
    set_thread_res_gid(group, group, group)?;
    set_thread_res_uid(user, user, user)?;
    let ports = CapabilitySet::NET_BIND_SERVICE;
    let sets = CapabilitySets { effective: ports, permitted: ports, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets)?;
    Ok(Started::Became(user.as_raw()))
}

/// Gives files that root has made in a folder to the owner of the folder. Does nothing if the process is not root.
///
/// # Errors
/// What the system says.
pub fn give_to_owner(folder: &Path) -> io::Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let folder = openat(CWD, folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let found = fstat(&folder)?;
    give(&folder, (Uid::from_raw(found.st_uid), Gid::from_raw(found.st_gid)))
}

/// Gives root's files in a folder and below it to the owner. Links are not followed, and a file with a second name
/// stays root's, since that name may be elsewhere.
fn give(folder: &OwnedFd, owner: (Uid, Gid)) -> io::Result<()> {
    let is_roots = |found: &Stat| found.st_uid == 0;
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let found = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(found.st_mode) {
            FileType::Directory => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let below = openat(folder, name, flags, Mode::empty())?;
                give(&below, owner)?;
                if is_roots(&fstat(&below)?) {
                    rustix::fs::fchown(below.as_fd(), Some(owner.0), Some(owner.1))?;
                }
            }
            FileType::RegularFile | FileType::Socket if is_roots(&found) && found.st_nlink == 1 => {
                chownat(folder, name, Some(owner.0), Some(owner.1), AtFlags::SYMLINK_NOFOLLOW)?;
            }
            _ => {}
        }
    }
    Ok(())
}
