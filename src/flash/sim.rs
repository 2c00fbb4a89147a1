//! A simulated flash: what was written is kept apart from what was synced.
//!
//! Every change of the medium is a step, and steps are counted. The power can be cut at any of them: from
//! there on everything fails, and [`SimFlash::restart`] gives the flash as it may look afterwards: of
//! what was not synced each write is kept, dropped or torn, in any order, as a seed decides.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use super::{File, Flash, Mode, ReadAt, Space, Sync};

/// A small reproducible source of choices (xorshift64*).
#[derive(Debug, Clone)]
pub struct Choices(u64);

impl Choices {
    /// The choices of a seed.
    pub fn new(seed: u64) -> Choices {
        Choices(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }
    /// Any number.
    #[allow(clippy::should_implement_trait, reason = "it never ends")]
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() >> 16) as usize % n.max(1)
    }
    /// True in so many of a hundred cases.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

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
    live: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Clone)]
enum Naming {
    Set(String, usize),
    Remove(String),
    Rename(String, String),
}

impl Naming {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Naming::Set(path, node) => drop(names.insert(path.clone(), *node)),
            Naming::Remove(path) => drop(names.remove(path)),
            Naming::Rename(from, to) => {
                if let Some(node) = names.remove(from) {
                    names.insert(to.clone(), node);
                }
            }
        }
    }
    fn folder(&self) -> &str {
        let (Naming::Set(path, _) | Naming::Remove(path) | Naming::Rename(_, path)) = self;
        path.rsplit_once('/').map_or("", |(folder, _)| folder)
    }
}

#[derive(Default)]
struct Medium {
    nodes: Vec<Node>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    unsynced_names: Vec<Naming>,
    steps: u64,
    cut_at: Option<u64>,
    sync_fails_at: Option<u64>,
    capacity: Option<u64>,
}

/// The simulated flash; clones share it.
#[derive(Clone, Default)]
pub struct SimFlash(Rc<RefCell<Medium>>);

impl SimFlash {
    /// Steps so far.
    pub fn steps(&self) -> u64 {
        self.0.borrow().steps
    }
    /// Cuts the power at a step to come: that step may still be half done, later ones fail.
    pub fn cut_at(&self, step: u64) {
        self.0.borrow_mut().cut_at = Some(step);
    }
    /// Lets the sync that is this step fail; what it should have made durable is lost at the next cut.
    pub fn fail_sync_at(&self, step: u64) {
        self.0.borrow_mut().sync_fails_at = Some(step);
    }
    /// Limits the octets of all files.
    pub fn limit(&self, capacity: Option<u64>) {
        self.0.borrow_mut().capacity = capacity;
    }
    /// Flips one bit of a file, below every checksum.
    pub fn flip(&self, path: &str, bit: usize) {
        let mut medium = self.0.borrow_mut();
        let node = medium.names[path];
        let node = &mut medium.nodes[node];
        node.live[bit / 8] ^= 1 << (bit % 8);
        node.durable.clone_from(&node.live);
    }
    /// All files with their sizes.
    pub fn files(&self) -> Vec<(String, usize)> {
        let medium = self.0.borrow();
        medium.names.iter().map(|(path, node)| (path.clone(), medium.nodes[*node].live.len())).collect()
    }
    /// The flash after the power came back, as `seed` lets the unsynced changes survive.
    pub fn restart(&self, seed: u64) -> SimFlash {
        let mut choices = Choices::new(seed);
        let medium = self.0.borrow();
        let mut names = medium.durable_names.clone();
        // A journal keeps the order of names; how much of it reached the medium is open.
        let kept = choices.below(medium.unsynced_names.len() + 1);
        for naming in &medium.unsynced_names[..kept] {
            naming.apply(&mut names);
        }
        let nodes = medium.nodes.iter().map(|node| Node::settled(survivors(node, &mut choices))).collect();
        SimFlash(Rc::new(RefCell::new(Medium {
            nodes,
            durable_names: names.clone(),
            names,
            ..Medium::default()
        })))
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
        let mut medium = self.0.borrow_mut();
        naming.apply(&mut medium.names);
        medium.unsynced_names.push(naming);
        Ok(())
    }
}

impl Node {
    fn settled(content: Vec<u8>) -> Node {
        Node { live: content.clone(), durable: content, unsynced: Vec::new() }
    }
}

/// The content that a cut leaves: each unsynced change kept, dropped, or (a write) torn.
fn survivors(node: &Node, choices: &mut Choices) -> Vec<u8> {
    let mut content = node.durable.clone();
    let mood = choices.below(4);
    for change in &node.unsynced {
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
    content
}

/// Part of a write: up to any octet, or any of its sectors, since a disk may write them in any order.
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
        let found = self.0.borrow().names.get(path).copied();
        let node = match (mode, found) {
            (Mode::Create, Some(node)) => {
                SimFile { flash: self.clone(), node }.truncate(0)?;
                node
            }
            (Mode::Create, None) => {
                let node = {
                    let mut medium = self.0.borrow_mut();
                    medium.nodes.push(Node::default());
                    medium.nodes.len() - 1
                };
                self.naming(Naming::Set(path.to_owned(), node))?;
                node
            }
            (_, Some(node)) => node,
            (_, None) => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(Rc::new(SimFile { flash: self.clone(), node }))
    }
    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let prefix = if dir.is_empty() { String::new() } else { format!("{dir}/") };
        let medium = self.0.borrow();
        let mut names: Vec<String> = medium
            .names
            .keys()
            .filter_map(|path| path.strip_prefix(&prefix)?.split('/').next().map(str::to_owned))
            .collect();
        names.dedup();
        Ok(names)
    }
    fn create_dir(&self, _dir: &str) -> io::Result<()> {
        self.step()
    }
    fn remove(&self, path: &str) -> io::Result<()> {
        self.naming(Naming::Remove(path.to_owned()))
    }
    fn remove_dir(&self, dir: &str) -> io::Result<()> {
        for (path, _) in self.files().iter().filter(|(path, _)| path.starts_with(&format!("{dir}/"))) {
            self.remove(path)?;
        }
        Ok(())
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.naming(Naming::Rename(from.to_owned(), to.to_owned()))
    }
    fn sync_dir(&self, dir: &str) -> Sync {
        let (flash, dir) = (self.clone(), dir.to_owned());
        Box::pin(async move {
            flash.step()?;
            let mut medium = flash.0.borrow_mut();
            let medium = &mut *medium;
            let (synced, rest) = std::mem::take(&mut medium.unsynced_names)
                .into_iter()
                .partition::<Vec<_>, _>(|naming| naming.folder() == dir);
            synced.iter().for_each(|naming| naming.apply(&mut medium.durable_names));
            medium.unsynced_names = rest;
            Ok(())
        })
    }
    fn space(&self) -> io::Result<Space> {
        let medium = self.0.borrow();
        let used: u64 = medium.names.values().map(|node| medium.nodes[*node].live.len() as u64).sum();
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
        // The step at which the power goes may be half done.
        let last = medium.cut_at.is_some_and(|cut| medium.steps == cut + 1);
        let node = &mut medium.nodes[self.node];
        if stepped.is_ok() || last {
            change.apply(&mut node.live);
            node.unsynced.push(change);
        }
        stepped
    }
}

impl ReadAt for SimFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.flash.0.borrow().nodes[self.node].live.len() as u64)
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.flash.0.borrow().nodes[self.node].live.read_at(offset, buf)
    }
}

impl File for SimFile {
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if let Some(capacity) = self.flash.0.borrow().capacity {
            let space = self.flash.space()?;
            let grows = (offset + data.len() as u64).saturating_sub(self.len()?);
            if capacity - space.free + grows > capacity {
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        self.change(Change::Write { offset, data: data.to_vec() })
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.change(Change::Truncate(len))
    }
    fn sync(&self) -> Sync {
        let (flash, node) = (self.flash.clone(), self.node);
        Box::pin(async move {
            flash.step()?;
            let mut medium = flash.0.borrow_mut();
            if medium.sync_fails_at.is_some_and(|step| medium.steps >= step) {
                medium.sync_fails_at = None;
                return Err(io::Error::other("the flash did not take it"));
            }
            let node = &mut medium.nodes[node];
            node.durable.clone_from(&node.live);
            node.unsynced.clear();
            Ok(())
        })
    }
}
