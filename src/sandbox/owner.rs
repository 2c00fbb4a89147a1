//! Who the process is: on a board a user of its own, elsewhere whoever starts it, but not root where the data folder
//! belongs to somebody else.

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

/// What became of a start as root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// It was none.
    AsUser,
    /// The process is this user now.
    Became(u32),
    /// It is root still: so is the owner of the data folder, or there is no such folder yet.
    AsRoot,
}

/// Started as root, becomes the owner of the data folder, who may bind any port. What an earlier start as root has left
/// there is given to the owner.
///
/// # Errors
/// What the system says; then the process is still root.
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

/// Gives what root has made in a folder to whom the folder belongs to. Who is not root gives nothing.
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

/// Gives the owner what is root's in a folder and below it. Nothing that a name leads to elsewhere: no link is followed,
/// and a file that has another name, too, stays root's.
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
