//! A simulated flash, which keeps what was written apart from what was synced.
//!
//! Every change of the medium is a step, and steps are counted. The power can be cut at any step: from there on
//! everything fails, and [`SimFlash::restart`] returns the flash as it may look afterwards: each write that was not
//! synced is kept, dropped or torn, in any order, as a seed decides. Names are kept apart in the same way, folder by
//! folder: see [`names`]. A killed process leaves more than a cut does ([`SimFlash::killed`]): the next process reads
//! everything that was written, and may still lose it.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use super::{File, Flash, Mode, ReadAt, Space, Sync};
use names::{Entry, Names, Naming, parent};

mod choices;
mod names;
#[cfg(test)]
mod tests;

pub use choices::Choices;

#[derive(Clone)]
enum Change {
    Write { offset: u64, data: Vec<u8> },
    Truncate(u64),
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Change::Write { offset, data } => {
                let end = *offset as usize + data.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*offset as usize..end].copy_from_slice(data);
            }
            Change::Truncate(len) => content.resize(*len as usize, 0),
        }
    }
}

#[derive(Clone, Default)]
struct Node {
    live: Rc<Vec<u8>>,
    durable: Rc<Vec<u8>>,
    /// The changes since the last sync, each with its step.
    unsynced: Vec<(u64, Change)>,
    /// Whether a sync has failed, so that some of what can be read is not on the medium.
    lost: bool,
}

#[derive(Default)]
struct Medium {
    nodes: Vec<Node>,
    names: Names,
    steps: u64,
    cut_at: Option<u64>,
    sync_fails_at: Option<u64>,
    reads: u64,
    read_fails_at: Option<u64>,
    capacity: Option<u64>,
    witness: Option<Witness>,
}

/// A function that is called with the flash at each step.
type Witness = Rc<dyn Fn(&SimFlash)>;

/// The simulated flash. Clones share one medium.
#[derive(Clone, Default)]
pub struct SimFlash(Rc<RefCell<Medium>>);

impl SimFlash {
    /// The number of steps so far.
    pub fn steps(&self) -> u64 {
        self.0.borrow().steps
    }
    /// Cuts the power at a later step: that step may be half done, and all steps after it fail.
    pub fn cut_at(&self, step: u64) {
        self.0.borrow_mut().cut_at = Some(step);
    }
    /// Makes the sync at this step fail. What it should have made durable is lost at the next cut.
    pub fn fail_sync_at(&self, step: u64) {
        self.0.borrow_mut().sync_fails_at = Some(step);
    }
    /// Calls `witness` at each step from now on, when the step is done and not yet durable: [`SimFlash::restart`]
    /// then returns the flash after a cut at that moment.
    pub fn watch(&self, witness: impl Fn(&SimFlash) + 'static) {
        self.0.borrow_mut().witness = Some(Rc::new(witness));
    }
    /// The number of reads so far.
    pub fn reads(&self) -> u64 {
        self.0.borrow().reads
    }
    /// Makes the read of this number fail. Later reads succeed.
    pub fn fail_read_at(&self, read: u64) {
        self.0.borrow_mut().read_fails_at = Some(read);
    }
    /// Limits the octets of all files together; `None` for no limit.
    pub fn limit(&self, capacity: Option<u64>) {
        self.0.borrow_mut().capacity = capacity;
    }
    /// Flips one bit of a file, as a damaged medium would: no checksum changes with it.
    pub fn flip(&self, path: &str, bit: usize) {
        let mut medium = self.0.borrow_mut();
        let Some(Entry::File(node)) = medium.names.get(path) else { panic!("{path} is no file") };
        let node = &mut medium.nodes[node];
        Rc::make_mut(&mut node.live)[bit / 8] ^= 1 << (bit % 8);
        node.durable = node.live.clone();
    }
    /// Alters octets of a file, as a damaged medium would. The part of `octets` after the end of the file is ignored.
    pub fn alter(&self, path: &str, octets: std::ops::Range<usize>, to: impl Fn(u8) -> u8) {
        let mut medium = self.0.borrow_mut();
        let Some(Entry::File(node)) = medium.names.get(path) else { panic!("{path} is no file") };
        let node = &mut medium.nodes[node];
        let content = Rc::make_mut(&mut node.live);
        let end = octets.end.min(content.len());
        content[octets.start.min(end)..end].iter_mut().for_each(|octet| *octet = to(*octet));
        node.durable = node.live.clone();
    }
    /// All files with their sizes.
    pub fn files(&self) -> Vec<(String, usize)> {
        let medium = self.0.borrow();
        medium.names.files().map(|(path, node)| (path.to_owned(), medium.nodes[node].live.len())).collect()
    }
    /// The flash after a power cut. `seed` decides which unsynced changes survive.
    pub fn restart(&self, seed: u64) -> SimFlash {
        let mut choices = Choices::new(seed);
        let medium = self.0.borrow();
        let names = medium.names.survivors(&mut choices);
        let nodes = medium.nodes.iter().map(|node| Node::settled(survivors(node, &mut choices))).collect();
        SimFlash::of(Medium { nodes, names, ..Medium::default() })
    }

    /// The flash as the next process finds it when this process was killed and the power stayed: everything that was
    /// written can be read, and what was not synced is still not durable.
    pub fn killed(&self) -> SimFlash {
        let medium = self.0.borrow();
        let (nodes, names, steps) = (medium.nodes.clone(), medium.names.clone(), medium.steps);
        SimFlash::of(Medium { nodes, names, steps, ..Medium::default() })
    }

    /// Another flash with the same files, all of them durable, as after an orderly end.
    pub fn copy(&self) -> SimFlash {
        let medium = self.0.borrow();
        let nodes = medium.nodes.iter().map(|node| Node::settled(node.live.clone())).collect();
        SimFlash::of(Medium { nodes, names: medium.names.settled(), ..Medium::default() })
    }

    fn of(medium: Medium) -> SimFlash {
        SimFlash(Rc::new(RefCell::new(medium)))
    }

    fn step(&self) -> io::Result<()> {
        let mut medium = self.0.borrow_mut();
        medium.steps += 1;
        if medium.cut_at.is_some_and(|cut| medium.steps > cut) {
            return Err(io::Error::other("the power is gone"));
        }
        Ok(())
    }

    fn naming(&self, naming: Naming) -> io::Result<()> {
        self.step()?;
        {
            let mut medium = self.0.borrow_mut();
            let step = medium.steps;
            medium.names.change(step, naming);
        }
        self.witness();
        Ok(())
    }

    fn sync_step(&self) -> io::Result<()> {
        self.step()?;
        self.witness();
        let mut medium = self.0.borrow_mut();
        if medium.sync_fails_at.is_some_and(|step| medium.steps >= step) {
            medium.sync_fails_at = None;
            return Err(io::Error::other("the flash did not take it"));
        }
        Ok(())
    }

    fn witness(&self) {
        let witness = self.0.borrow().witness.clone();
        if let Some(witness) = witness {
            witness(self);
        }
    }
}

impl Node {
    fn settled(content: Rc<Vec<u8>>) -> Node {
        Node { live: content.clone(), durable: content, unsynced: Vec::new(), lost: false }
    }
}

/// The content of a file after a cut: each unsynced change is kept, dropped, or (a write) torn.
fn survivors(node: &Node, choices: &mut Choices) -> Rc<Vec<u8>> {
    if node.unsynced.is_empty() {
        return node.durable.clone();
    }
    let mut content = node.durable.to_vec();
    let mood = choices.below(4);
    for (_, change) in &node.unsynced {
        let keep = match mood {
            0 => true,
            1 => false,
            _ => choices.chance(60),
        };
        match change {
            Change::Write { offset, data } if choices.chance(30) => {
                tear(*offset, data, &mut content, choices)
            }
            change if keep => change.apply(&mut content),
            _ => {}
        }
    }
    Rc::new(content)
}

/// Writes part of a write: its beginning up to some octet, or some of its sectors, which a disk may write in any
/// order.
fn tear(offset: u64, data: &[u8], content: &mut Vec<u8>, choices: &mut Choices) {
    if choices.chance(50) {
        let torn = data[..choices.below(data.len() + 1)].to_vec();
        Change::Write { offset, data: torn }.apply(content);
        return;
    }
    Change::Truncate(content.len().max(offset as usize + data.len()) as u64).apply(content);
    for (n, sector) in data.chunks(512).enumerate() {
        if choices.chance(80) {
            Change::Write { offset: offset + n as u64 * 512, data: sector.to_vec() }.apply(content);
        }
    }
}

impl Flash for SimFlash {
    fn open(&self, path: &str, mode: Mode) -> io::Result<Rc<dyn File>> {
        let (found, has_folder) = {
            let names = &self.0.borrow().names;
            (names.get(path), names.is_folder(parent(path)))
        };
        let node = match (mode, found) {
            (_, Some(Entry::Folder)) => return Err(io::ErrorKind::IsADirectory.into()),
            (Mode::Create, Some(Entry::File(node))) => {
                SimFile { flash: self.clone(), node }.truncate(0)?;
                node
            }
            (Mode::Create, None) if has_folder => {
                let node = {
                    let mut medium = self.0.borrow_mut();
                    medium.nodes.push(Node::default());
                    medium.nodes.len() - 1
                };
                self.naming(Naming::Set(path.to_owned(), Entry::File(node)))?;
                node
            }
            (_, Some(Entry::File(node))) => node,
            (_, None) => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(Rc::new(SimFile { flash: self.clone(), node }))
    }
    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        Ok(self.0.borrow().names.within(dir))
    }
    fn create_dir(&self, dir: &str) -> io::Result<()> {
        let slashes = dir.match_indices('/').map(|(at, _)| at);
        for end in slashes.chain([dir.len()]) {
            let folder = &dir[..end];
            let found = self.0.borrow().names.get(folder);
            match found {
                Some(Entry::Folder) => {}
                Some(Entry::File(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
                None => self.naming(Naming::Set(folder.to_owned(), Entry::Folder))?,
            }
        }
        Ok(())
    }
    fn remove(&self, path: &str) -> io::Result<()> {
        let found = self.0.borrow().names.get(path);
        match found {
            Some(Entry::File(_)) => self.naming(Naming::Remove(path.to_owned())),
            Some(Entry::Folder) => Err(io::ErrorKind::IsADirectory.into()),
            None => Ok(()),
        }
    }
    fn remove_dir(&self, dir: &str) -> io::Result<()> {
        let mut paths = self.0.borrow().names.below(dir);
        paths.extend(self.0.borrow().names.get(dir).map(|_| dir.to_owned()));
        paths.into_iter().try_for_each(|path| self.naming(Naming::Remove(path)))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let possible = {
            let names = &self.0.borrow().names;
            names.get(from).is_some() && names.is_folder(parent(to))
        };
        if !possible {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.naming(Naming::Rename(from.to_owned(), to.to_owned()))
    }
    fn sync_dir(&self, dir: &str) -> Sync {
        let (flash, dir, called) = (self.clone(), dir.to_owned(), self.steps());
        let is_there = self.0.borrow().names.is_folder(&dir);
        Box::pin(async move {
            if !is_there {
                return Err(io::ErrorKind::NotFound.into());
            }
            smol::future::yield_now().await;
            flash.sync_step()?;
            flash.0.borrow_mut().names.sync(&dir, called);
            Ok(())
        })
    }
    fn space(&self) -> io::Result<Space> {
        let medium = self.0.borrow();
        let used: u64 = medium.names.files().map(|(_, node)| medium.nodes[node].live.len() as u64).sum();
        let total = medium.capacity.unwrap_or(1 << 30);
        Ok(Space { total, free: total.saturating_sub(used) })
    }
}

struct SimFile {
    flash: SimFlash,
    node: usize,
}

impl SimFile {
    fn change(&self, change: Change) -> io::Result<()> {
        let stepped = self.flash.step();
        let mut medium = self.flash.0.borrow_mut();
        // The step at which the power is cut may be half done.
        let last = medium.cut_at.is_some_and(|cut| medium.steps == cut + 1);
        let step = medium.steps;
        let node = &mut medium.nodes[self.node];
        if stepped.is_ok() || last {
            change.apply(Rc::make_mut(&mut node.live));
            node.unsynced.push((step, change));
        }
        drop(medium);
        self.flash.witness();
        stepped
    }
}

impl ReadAt for SimFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.flash.0.borrow().nodes[self.node].live.len() as u64)
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut medium = self.flash.0.borrow_mut();
        medium.reads += 1;
        if medium.read_fails_at.is_some_and(|read| medium.reads == read) {
            return Err(io::Error::other("the flash cannot be read here"));
        }
        medium.nodes[self.node].live.read_at(offset, buf)
    }
}

impl File for SimFile {
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if self.flash.0.borrow().capacity.is_some() {
            let room = (self.len()? + self.flash.space()?.free).saturating_sub(offset);
            if room < data.len() as u64 {
                // The octets that still fit are written.
                self.change(Change::Write { offset, data: data[..room as usize].to_vec() })?;
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        self.change(Change::Write { offset, data: data.to_vec() })
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.change(Change::Truncate(len))
    }
    fn sync(&self) -> Sync {
        let (flash, node, called) = (self.flash.clone(), self.node, self.flash.steps());
        Box::pin(async move {
            // What is written from here on need not be part of the sync.
            smol::future::yield_now().await;
            let failed = flash.sync_step();
            let mut medium = flash.0.borrow_mut();
            let node = &mut medium.nodes[node];
            let synced = node.unsynced.partition_point(|(step, _)| *step <= called);
            let synced: Vec<_> = node.unsynced.drain(..synced).collect();
            if failed.is_err() {
                // As in Linux: the octets can be read, but no later sync writes them.
                node.lost = true;
            } else if node.lost || !node.unsynced.is_empty() {
                let durable = Rc::make_mut(&mut node.durable);
                synced.iter().for_each(|(_, change)| change.apply(durable));
            } else {
                node.durable = node.live.clone();
            }
            failed
        })
    }
    fn drop_cache(&self) {
        let mut medium = self.flash.0.borrow_mut();
        let node = &mut medium.nodes[self.node];
        if std::mem::take(&mut node.lost) {
            let mut content = node.durable.to_vec();
            node.unsynced.iter().for_each(|(_, change)| change.apply(&mut content));
            node.live = Rc::new(content);
        }
    }
}
