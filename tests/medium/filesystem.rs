//! A [`Medium`] as a file system of the kernel (FUSE), which sees every sync whatever way it was asked for.

use std::ffi::OsStr;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry,
    ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use super::medium::{Change, Event, Id, Kind, Medium};

/// The kernel may keep names and sizes: nobody but it changes them.
const KEEP: Duration = Duration::from_secs(3600);
const BLOCK: u32 = 4096;
/// Octets of the medium: no test comes near.
const SIZE: u64 = 4 << 30;

/// The error of a sync of the file or folder at this path, or none.
pub type Refusal = Box<dyn FnMut(&str) -> Option<io::Error> + Send>;

pub struct State {
    /// As it is now.
    pub medium: Medium,
    /// All that happened to it.
    pub events: Vec<Event>,
    /// Reads that reached it.
    pub reads: u64,
    pub refusal: Refusal,
}

impl State {
    fn happens(&mut self, event: Event) {
        self.medium.happens(&event);
        self.events.push(event);
    }
    fn make(&mut self, folder: Id, name: &str, kind: Kind) -> Id {
        let id = self.medium.next_id();
        self.happens(Event::Made(id, kind));
        self.happens(Event::Changed(folder, Change::Name(name.to_owned(), id)));
        id
    }
    fn sync(&mut self, id: Id) -> Result<(), Errno> {
        let path = self.medium.path(id).unwrap_or_default();
        match (self.refusal)(&path) {
            None => {
                self.happens(Event::Synced(id));
                Ok(())
            }
            Some(error) => {
                self.happens(Event::SyncFailed(id));
                Err(error.into())
            }
        }
    }
    fn attributes(&self, id: Id) -> FileAttr {
        let node = self.medium.node(id);
        let size = node.now.octets.len() as u64;
        FileAttr {
            ino: INodeNo(id),
            size,
            blocks: size.div_ceil(512),
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind: file_type(node.kind),
            perm: if node.kind == Kind::Folder { 0o700 } else { 0o600 },
            nlink: 1,
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            rdev: 0,
            blksize: BLOCK,
            flags: 0,
        }
    }
}

fn file_type(kind: Kind) -> FileType {
    match kind {
        Kind::Folder => FileType::Directory,
        Kind::File => FileType::RegularFile,
        Kind::Socket => FileType::Socket,
    }
}

fn text(name: &OsStr) -> String {
    name.to_str().expect("a name in UTF-8").to_owned()
}

#[derive(Clone)]
pub struct Recording(Arc<Mutex<State>>);

impl Recording {
    pub fn of(medium: Medium) -> Recording {
        Recording(Arc::new(Mutex::new(State {
            medium,
            events: Vec::new(),
            reads: 0,
            refusal: Box::new(|_| None),
        })))
    }
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn made(&self, parent: INodeNo, name: &OsStr, kind: Kind, reply: ReplyEntry) {
        let mut state = self.state();
        let id = state.make(parent.0, &text(name), kind);
        reply.entry(&KEEP, &state.attributes(id), Generation(0));
    }
    fn removed(&self, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.state().happens(Event::Changed(parent.0, Change::Unname(text(name))));
        reply.ok();
    }
    fn synced(&self, ino: INodeNo, reply: ReplyEmpty) {
        match self.state().sync(ino.0) {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(error),
        }
    }
}

/// What is not here the kernel does without, as it is told by fuser's own answers: a file is created by `mknod` and
/// `open`, locks are the kernel's.
impl Filesystem for Recording {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let state = self.state();
        match state.medium.find(parent.0, &text(name)) {
            Some(id) => reply.entry(&KEEP, &state.attributes(id), Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }
    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&KEEP, &self.state().attributes(ino.0));
    }
    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut state = self.state();
        if let Some(size) = size {
            state.happens(Event::Changed(ino.0, Change::Truncate(size)));
        }
        reply.attr(&KEEP, &state.attributes(ino.0));
    }
    fn mknod(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        _rdev: u32,
        reply: ReplyEntry,
    ) {
        let socket = mode & libc::S_IFMT == libc::S_IFSOCK;
        self.made(parent, name, if socket { Kind::Socket } else { Kind::File }, reply);
    }
    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, _mode: u32, _umask: u32, reply: ReplyEntry) {
        self.made(parent, name, Kind::Folder, reply);
    }
    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.removed(parent, name, reply);
    }
    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.removed(parent, name, reply);
    }
    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let mut state = self.state();
        let (name, newname) = (text(name), text(newname));
        match state.medium.find(parent.0, &name) {
            Some(_) if parent == newparent => {
                state.happens(Event::Changed(parent.0, Change::Rename(name, newname)));
            }
            Some(id) => {
                state.happens(Event::Changed(newparent.0, Change::Name(newname, id)));
                state.happens(Event::Changed(parent.0, Change::Unname(name)));
            }
            None => return reply.error(Errno::ENOENT),
        }
        reply.ok();
    }
    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        // Closing waits for no answer: a test process that is killed is its own file system, and could not give one.
        reply.opened(FileHandle(0), FopenFlags::FOPEN_NOFLUSH);
    }
    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let mut state = self.state();
        state.reads += 1;
        let octets = &state.medium.node(ino.0).now.octets;
        let start = octets.len().min(offset as usize);
        reply.data(&octets[start..octets.len().min(start + size as usize)]);
    }
    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        self.state().happens(Event::Changed(ino.0, Change::Write { offset, octets: data.into() }));
        reply.written(data.len() as u32);
    }
    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        self.synced(ino, reply);
    }
    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        self.synced(ino, reply);
    }
    fn readdir(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let state = self.state();
        let names = state.medium.node(ino.0).now.names.iter();
        for (n, (name, id)) in names.enumerate().skip(offset as usize) {
            let kind = file_type(state.medium.node(*id).kind);
            if reply.add(INodeNo(*id), n as u64 + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }
    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let blocks = SIZE / u64::from(BLOCK);
        reply.statfs(blocks, blocks, blocks, 1 << 20, 1 << 20, BLOCK, 255, BLOCK);
    }
}
