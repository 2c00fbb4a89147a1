//! What lies on a medium, and what of it is safe: a file system in memory that keeps the synced and the unsynced apart.
//!
//! It makes the assumptions of "What is assumed of the medium" in docs/store.md: octets are safe once their file was
//! synced, names once their folder was; what a failed sync should have made safe no later sync tries again.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// A file or folder: the number of its inode.
pub type Id = u64;

/// The folder that is mounted.
pub const ROOT: Id = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Folder,
    File,
    Socket,
}

/// A change of one file's octets, or of one folder's names.
#[derive(Debug, Clone)]
pub enum Change {
    Write {
        offset: u64,
        octets: Arc<[u8]>,
    },
    Truncate(u64),
    /// A name means this from now on, whatever it meant.
    Name(String, Id),
    Unname(String),
    Rename(String, String),
}

/// What happens to a medium.
#[derive(Debug, Clone)]
pub enum Event {
    Made(Id, Kind),
    Changed(Id, Change),
    Synced(Id),
    SyncFailed(Id),
}

/// What of the unsynced a cut leaves. Without octets a new name is that of an empty file, as after delayed allocation;
/// without names, octets of a new file are nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    pub names: bool,
    pub octets: bool,
}

impl Kept {
    /// Only what was synced.
    pub const NOTHING: Kept = Kept { names: false, octets: false };
    /// All of it: what a kill leaves, or a lucky cut.
    pub const EVERYTHING: Kept = Kept { names: true, octets: true };
    pub const ALL: [Kept; 4] = [
        Kept::NOTHING,
        Kept { names: true, octets: false },
        Kept { names: false, octets: true },
        Kept::EVERYTHING,
    ];
}

/// What a file or folder holds.
#[derive(Debug, Clone, Default)]
pub struct Content {
    pub octets: Vec<u8>,
    pub names: BTreeMap<String, Id>,
}

impl Content {
    fn change(&mut self, change: &Change) {
        match change {
            Change::Write { offset, octets } => {
                let (start, end) = (*offset as usize, *offset as usize + octets.len());
                self.octets.resize(end.max(self.octets.len()), 0);
                self.octets[start..end].copy_from_slice(octets);
            }
            Change::Truncate(len) => self.octets.resize(*len as usize, 0),
            Change::Name(name, id) => drop(self.names.insert(name.clone(), *id)),
            Change::Unname(name) => drop(self.names.remove(name)),
            Change::Rename(from, to) => {
                if let Some(id) = self.names.remove(from) {
                    self.names.insert(to.clone(), id);
                }
            }
        }
    }
}

#[derive(Debug, Clone)]
pub struct Node {
    pub kind: Kind,
    /// What is read.
    pub now: Content,
    safe: Content,
    unsynced: Vec<Change>,
}

impl Node {
    fn new(kind: Kind) -> Node {
        Node { kind, now: Content::default(), safe: Content::default(), unsynced: Vec::new() }
    }
}

#[derive(Debug, Clone)]
pub struct Medium(BTreeMap<Id, Node>);

impl Medium {
    pub fn empty() -> Medium {
        Medium(BTreeMap::from([(ROOT, Node::new(Kind::Folder))]))
    }

    pub fn happens(&mut self, event: &Event) {
        match event {
            Event::Made(id, kind) => drop(self.0.insert(*id, Node::new(*kind))),
            Event::Changed(id, change) => {
                let node = self.node_mut(*id);
                node.now.change(change);
                node.unsynced.push(change.clone());
            }
            Event::Synced(id) => {
                let Node { safe, unsynced, .. } = self.node_mut(*id);
                unsynced.drain(..).for_each(|change| safe.change(&change));
            }
            // It can be read still, and that is all.
            Event::SyncFailed(id) => self.node_mut(*id).unsynced.clear(),
        }
    }

    pub fn node(&self, id: Id) -> &Node {
        &self.0[&id]
    }

    fn node_mut(&mut self, id: Id) -> &mut Node {
        self.0.get_mut(&id).expect("nodes stay for good")
    }

    /// The number that a new file or folder gets.
    pub fn next_id(&self) -> Id {
        self.0.keys().last().map_or(ROOT, |last| last + 1)
    }

    /// What `name` means in a folder now.
    pub fn find(&self, folder: Id, name: &str) -> Option<Id> {
        self.node(folder).now.names.get(name).copied()
    }

    /// The path of a file or folder from the root, `""`; `None` when it has no name now.
    pub fn path(&self, id: Id) -> Option<String> {
        if id == ROOT {
            return Some(String::new());
        }
        self.0.iter().find_map(|(folder, node)| {
            let (name, _) = node.now.names.iter().find(|(_, named)| **named == id)?;
            let above = self.path(*folder)?;
            Some(if above.is_empty() { name.clone() } else { format!("{above}/{name}") })
        })
    }

    /// Writes what a cut leaves into the folder `to`, which it makes.
    pub fn leave(&self, kept: Kept, to: &Path) {
        self.leave_node(ROOT, kept, to);
    }

    fn leave_node(&self, id: Id, kept: Kept, to: &Path) {
        let node = self.node(id);
        let (names, octets) = (
            if kept.names { &node.now.names } else { &node.safe.names },
            if kept.octets { &node.now.octets } else { &node.safe.octets },
        );
        match node.kind {
            Kind::Folder => {
                fs::create_dir(to).unwrap();
                names.iter().for_each(|(name, id)| self.leave_node(*id, kept, &to.join(name)));
            }
            Kind::File => fs::write(to, octets).unwrap(),
            Kind::Socket => {}
        }
    }
}
