//! Whether a data folder is the one that was served here last, or a copy of it.
//!
//! The file `lock` tells which file it was when it was written: its number in the file system, and when it was made. A copy,
//! made by any program, is another file with the same content. The file is written once, at the first start, so later checks
//! cost no write. Two things cannot be detected: whether a copy is older than what clients know, and that an image of a whole
//! card or a snapshot of a file system was put back.

use std::fs::File;
use std::os::unix::fs::FileExt;

use rustix::fs::{AtFlags, StatxFlags, statx};

/// The question to the operator while it is not known whether to go on with the copy.
pub const COPY: &str = "this data folder is a copy: if mail programs have known a newer state than this one, stop and run \
     `pillarbox restored`; if there was none, `pillarbox restored --nothing-newer`";

/// The most octets that are read of the file; its content is never longer.
const LONGEST: usize = 128;

/// Whether the file names another file than itself. A file that names none is given its own name, where it can be written.
pub fn is_copy(lock: &File) -> bool {
    let Some(words) = words(lock) else { return false };
    let mut said = [0; LONGEST];
    match lock.read_at(&mut said, 0).map(|n| &said[..n]) {
        Ok(said) if said == words.as_bytes() => false,
        // The file names another file.
        Ok(said) if said.starts_with(BEGIN.as_bytes()) && said.ends_with(b"\n") => true,
        Ok(_) => {
            // If this fails, a copy of this folder is not recognised; nothing else depends on it.
            let _ = write(lock, &words);
            false
        }
        Err(_) => false,
    }
}

/// Notes that the folder is no longer a copy.
///
/// # Errors
/// What the system says.
pub fn accept(lock: &File) -> std::io::Result<()> {
    words(lock).map_or(Ok(()), |words| write(lock, &words))
}

const BEGIN: &str = "this lock is file ";

/// The content that names this file; `None` where the file system does not record when a file was made.
fn words(lock: &File) -> Option<String> {
    let about = statx(lock, c"", AtFlags::EMPTY_PATH, StatxFlags::INO | StatxFlags::BTIME).ok()?;
    let is_known = about.stx_mask & StatxFlags::BTIME.bits() != 0 && about.stx_btime.tv_sec > 0;
    is_known.then(|| {
        let (made, number) = (about.stx_btime, about.stx_ino);
        format!("{BEGIN}{number}, made at {}.{:09}\n", made.tv_sec, made.tv_nsec)
    })
}

fn write(lock: &File, words: &str) -> std::io::Result<()> {
    lock.set_len(0)?;
    lock.write_all_at(words.as_bytes(), 0)?;
    lock.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    fn open(path: &PathBuf) -> File {
        File::options().read(true).write(true).create(true).truncate(false).open(path).unwrap()
    }

    /// Catches: a copy that is taken for the original, a copy that is reported only once, and an original that is called a
    /// copy.
    #[test]
    fn a_copy_is_told_until_the_operator_has_spoken() {
        let folder = PathBuf::from(format!("/var/tmp/pillarbox-origin-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let (first, copy, moved) = (folder.join("lock"), folder.join("copy"), folder.join("moved"));
        assert!(fs::metadata(&folder).unwrap().created().is_ok(), "/var/tmp knows when files were made");
        assert!(!is_copy(&open(&first)), "a new one");
        assert!(!is_copy(&open(&first)), "the next start");
        fs::copy(&first, &copy).unwrap();
        for _ in 0..2 {
            assert!(is_copy(&open(&copy)));
        }
        accept(&open(&copy)).unwrap();
        assert!(!is_copy(&open(&copy)));
        fs::rename(&first, &moved).unwrap();
        assert!(!is_copy(&open(&moved)), "another path is no other file");

        // Files of an earlier version, and files that were torn when they were written.
        for said in ["", "this lock is file 12, ma"] {
            fs::write(&copy, said).unwrap();
            assert!(!is_copy(&open(&copy)), "{said}");
            fs::copy(&copy, &moved).unwrap();
            assert!(is_copy(&open(&moved)), "{said}");
        }
        // The folder or the file cannot be written.
        fs::write(&copy, "").unwrap();
        assert!(!is_copy(&File::open(&copy).unwrap()));
        assert!(!is_copy(&File::open(&folder).unwrap()));
        fs::remove_dir_all(folder).unwrap();
    }
}
