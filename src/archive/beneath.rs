//! A folder that mail comes from or goes to, and everything below it.
//!
//! The appliance may read and write what the person who named the folder may not. A symbolic link in the folder could
//! bring a key into somebody's mail, or an export over the settings. So no link is followed, at any depth, and only
//! regular files and folders are opened, which cannot block. The path to the folder itself is that person's
//! responsibility.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, FileType};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, ResolveFlags, mkdirat, openat, openat2, renameat, unlinkat};
use rustix::io::Errno;

/// Octets of a text that is read into memory, at most.
const TEXT: u64 = 16 << 20;

/// A folder that mail comes from or goes to.
pub struct Beneath {
    folder: OwnedFd,
    path: PathBuf,
}

impl Beneath {
    /// Opens the folder `path`.
    ///
    /// # Errors
    /// What the system says, also if `path` is a symbolic link.
    pub fn open(path: &Path) -> io::Result<Beneath> {
        // A path that ends with a slash would be followed if it is a link.
        let path: PathBuf = path.components().collect();
        if fs::symlink_metadata(&path)?.is_symlink() {
            return Err(link());
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = openat(rustix::fs::CWD, &path, flags, Mode::empty()).map_err(told)?;
        Ok(Beneath { folder, path })
    }

    /// The whole path, for messages.
    pub fn shown(&self, path: impl AsRef<Path>) -> PathBuf {
        self.path.join(path)
    }

    /// The metadata of `path`; of a link itself, if it is one.
    ///
    /// # Errors
    /// What the system says.
    pub fn look(&self, path: impl AsRef<Path>) -> io::Result<fs::Metadata> {
        File::from(self.at(path.as_ref(), OFlags::PATH, Mode::empty())?).metadata()
    }

    /// Opens a regular file for reading.
    ///
    /// # Errors
    /// What the system says, also if it is not a regular file.
    pub fn read(&self, path: impl AsRef<Path>) -> io::Result<File> {
        let file = File::from(self.at(path.as_ref(), OFlags::RDONLY, Mode::empty())?);
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::Error::new(io::ErrorKind::InvalidInput, "this is no file")),
        }
    }

    /// The text of a small file; `None` if the file does not exist.
    ///
    /// # Errors
    /// What the system says, also if it is not a regular file, is too large or is not UTF-8.
    pub fn text(&self, path: impl AsRef<Path>) -> io::Result<Option<String>> {
        let file = match self.read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let mut text = String::new();
        match file.take(TEXT + 1).read_to_string(&mut text)? as u64 > TEXT {
            true => Err(io::Error::new(io::ErrorKind::InvalidData, "it is larger than 16 MiB")),
            false => Ok(Some(text)),
        }
    }

    /// The names in the folder `path`, each with its file type.
    ///
    /// # Errors
    /// What the system says.
    pub fn list(&self, path: &Path) -> io::Result<impl Iterator<Item = io::Result<(OsString, FileType)>>> {
        let path = path.to_owned();
        let names = Dir::new(self.at(&path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?)?;
        Ok(names.filter_map(move |entry| {
            let name = match entry {
                Ok(entry) => OsStr::from_bytes(entry.file_name().to_bytes()).to_owned(),
                Err(error) => return Some(Err(error.into())),
            };
            if name == "." || name == ".." {
                return None;
            }
            match self.look(path.join(&name)) {
                // The file was removed meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                found => Some(found.map(|found| (name, found.file_type()))),
            }
        }))
    }

    /// Creates a file for writing, and removes one with the same name before.
    ///
    /// # Errors
    /// What the system says.
    pub fn create(&self, path: &str) -> io::Result<File> {
        // The old file is not overwritten: it might have another name elsewhere.
        self.remove(path)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        Ok(File::from(self.at(Path::new(path), flags, Mode::RUSR | Mode::WUSR)?))
    }

    /// Makes a folder and its parent folders.
    ///
    /// # Errors
    /// What the system says.
    pub fn create_dir(&self, path: &str) -> io::Result<()> {
        let mut made = PathBuf::new();
        for part in Path::new(path).components() {
            let (parent, part) = (self.folder(&made)?, part.as_os_str());
            match mkdirat(&parent, part, Mode::RWXU) {
                Err(Errno::EXIST) => {}
                other => other?,
            }
            made.push(part);
        }
        // A folder that existed may be a link.
        self.folder(&made).map(drop)
    }

    /// Removes a file or a link, if it is there.
    ///
    /// # Errors
    /// What the system says.
    pub fn remove(&self, path: &str) -> io::Result<()> {
        match self.unlink(path, AtFlags::empty()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            // A read-only file system refuses before it checks whether the file exists.
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem && self.look(path).is_err() => {
                Ok(())
            }
            other => other,
        }
    }

    /// Removes an empty folder.
    ///
    /// # Errors
    /// What the system says.
    pub fn remove_dir(&self, path: &str) -> io::Result<()> {
        self.unlink(path, AtFlags::REMOVEDIR)
    }

    /// Gives a file another name.
    ///
    /// # Errors
    /// What the system says.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let ((from_dir, from), (to_dir, to)) = (self.place(from)?, self.place(to)?);
        Ok(renameat(from_dir, from, to_dir, to)?)
    }

    /// Opens a folder, so that its names can be synced.
    ///
    /// # Errors
    /// What the system says.
    pub fn folder(&self, path: impl AsRef<Path>) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        Ok(File::from(self.at(path.as_ref(), flags, Mode::empty())?))
    }

    fn unlink(&self, path: &str, flags: AtFlags) -> io::Result<()> {
        let (folder, name) = self.place(path)?;
        Ok(unlinkat(folder, name, flags)?)
    }

    /// The folder of a path, and the last name in it.
    fn place<'a>(&self, path: &'a str) -> io::Result<(File, &'a OsStr)> {
        let path = Path::new(path);
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        Ok((self.folder(path.parent().unwrap_or(Path::new("")))?, name))
    }

    fn at(&self, path: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let mut flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // With PATH nothing is opened, and openat2 refuses flags without a meaning.
        if !flags.contains(OFlags::PATH) {
            flags |= OFlags::NONBLOCK | OFlags::NOCTTY;
        }
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        match openat2(&self.folder, path, flags, mode, resolve) {
            // Linux before 5.6 has no such call, and a filter may not know it.
            Err(Errno::NOSYS | Errno::PERM) => self.step_by_step(path, flags, mode),
            other => other.map_err(told),
        }
    }

    /// Opens the path one folder after the other.
    fn step_by_step(&self, path: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let mut names = Vec::new();
        for part in path.components() {
            match part {
                Component::Normal(name) => names.push(name),
                Component::CurDir => {}
                _ => return Err(told(Errno::XDEV)),
            }
        }
        let last = names.pop().unwrap_or(OsStr::new("."));
        let mut folder = None;
        for name in names {
            let at = folder.as_ref().map_or(self.folder.as_fd(), OwnedFd::as_fd);
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            folder = Some(openat(at, name, flags, Mode::empty()).map_err(told)?);
        }
        let at = folder.as_ref().map_or(self.folder.as_fd(), OwnedFd::as_fd);
        openat(at, last, flags, mode).map_err(told)
    }
}

/// The error for a symbolic link.
pub fn link() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "a symbolic link, and none is followed: name what it points to, or copy that here",
    )
}

fn told(error: Errno) -> io::Error {
    if error == Errno::LOOP { link() } else { error.into() }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A folder `in` with a file, a folder and links of each kind, and files outside that must not be reached.
    struct Scene(PathBuf);

    impl Scene {
        fn new(name: &str) -> Scene {
            let root = std::env::temp_dir().join(format!("pillarbox-beneath-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&root);
            fs::create_dir_all(root.join("in/folder")).unwrap();
            fs::create_dir(root.join("out")).unwrap();
            for file in ["in/file", "in/folder/file", "out/file"] {
                fs::write(root.join(file), file).unwrap();
            }
            symlink("../out/file", root.join("in/to_file")).unwrap();
            symlink(root.join("out"), root.join("in/to_folder")).unwrap();
            symlink("folder", root.join("in/to_near")).unwrap();
            symlink("in", root.join("to_in")).unwrap();
            Scene(root)
        }
        fn outside(&self) -> Vec<(OsString, Vec<u8>)> {
            let entries = fs::read_dir(self.0.join("out")).unwrap().map(Result::unwrap);
            let mut all: Vec<_> =
                entries.map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap())).collect();
            all.sort();
            all
        }
    }

    impl Drop for Scene {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    const ELSEWHERE: [&str; 7] = [
        "to_file",
        "to_folder/file",
        "to_near/file",
        "../out/file",
        "folder/../../out/file",
        "/etc/passwd",
        "folder/../to_folder/file",
    ];

    /// Catches: a link that is followed, at the end of a path or within it, and a path that leads out of the folder;
    /// both with openat2 and without it.
    #[test]
    fn nothing_outside_is_read() {
        let scene = Scene::new("read");
        let beneath = Beneath::open(&scene.0.join("in")).unwrap();
        let content = |file: OwnedFd| io::read_to_string(File::from(file)).unwrap();
        for path in ["file", "folder/file", "./folder/./file"] {
            let text = beneath.text(path).unwrap().unwrap();
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW;
            assert_eq!(content(beneath.step_by_step(Path::new(path), flags, Mode::empty()).unwrap()), text);
        }
        for path in ELSEWHERE {
            assert!(beneath.read(path).is_err(), "{path}");
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW;
            assert!(beneath.step_by_step(Path::new(path), flags, Mode::empty()).is_err(), "{path}");
        }
        assert!(beneath.read("to_file").unwrap_err().to_string().contains("none is followed"));
        assert!(beneath.list(Path::new("to_folder")).is_err() && beneath.list(Path::new("..")).is_err());
        assert!(beneath.look("to_file").unwrap().is_symlink());
        let mut names: Vec<_> = beneath
            .list(Path::new(""))
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|(_, it)| !it.is_symlink())
            .collect();
        names.sort_by(|a, b| a.0.cmp(&b.0));
        let names: Vec<_> = names.iter().map(|(name, it)| (name.to_str().unwrap(), it.is_dir())).collect();
        assert_eq!(names, [("file", false), ("folder", true)]);
        for path in ["to_in", "to_in/", "to_in/."] {
            let error = Beneath::open(&scene.0.join(path)).err().unwrap();
            assert!(error.to_string().contains("name what it points to"), "{path}: {error}");
        }
    }

    /// Catches: a file outside that is written, truncated, renamed or removed, through a link or a second name.
    #[test]
    fn nothing_outside_is_changed() {
        let scene = Scene::new("write");
        let beneath = Beneath::open(&scene.0.join("in")).unwrap();
        let before = scene.outside();
        for path in &ELSEWHERE[1..] {
            assert!(beneath.create(path).is_err(), "{path}");
            assert!(beneath.remove(path).is_err(), "{path}");
            assert!(beneath.rename("file", path).is_err(), "{path}");
            assert!(beneath.rename(path, "file").is_err(), "{path}");
        }
        assert!(beneath.create_dir("to_folder/new").is_err() && beneath.create_dir("to_near").is_err());
        fs::hard_link(scene.0.join("out/file"), scene.0.join("in/twin")).unwrap();
        for path in ["to_file", "twin", "folder/new"] {
            beneath.create(path).unwrap().write_all(b"mine").unwrap();
            assert_eq!(beneath.text(path).unwrap().unwrap(), "mine");
        }
        beneath.rename("to_file", "folder/other").unwrap();
        beneath.create_dir("folder/a/b").unwrap();
        beneath.remove("to_folder").unwrap();
        assert_eq!(scene.outside(), before);
    }

    /// Catches: an open that waits for the other end of a pipe for ever, with all mail waiting behind it.
    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let scene = Scene::new("pipe");
        let pipe = scene.0.join("in/pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        let beneath = Beneath::open(&scene.0.join("in")).unwrap();
        for path in ["pipe", "folder"] {
            assert_eq!(beneath.read(path).unwrap_err().to_string(), "this is no file", "{path}");
        }
        assert_eq!(beneath.text("nothing").unwrap(), None);
        let large = File::create(scene.0.join("in/large")).unwrap();
        large.set_len(TEXT + 1).unwrap();
        assert!(beneath.text("large").unwrap_err().to_string().contains("larger than 16 MiB"));
    }
}
