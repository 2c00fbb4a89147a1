//! The names on the simulated flash: those that are visible, and those of them that would survive a cut.
//!
//! A name belongs to the folder that it is in, also the name of a folder: it is durable when that folder was synced
//! after the name was made. When the name of a folder is lost, everything in the folder is lost, even if it was
//! synced.

use std::collections::BTreeMap;

use super::Choices;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    Folder,
    /// The file with this number.
    File(usize),
}

/// A change of a name.
#[derive(Clone)]
pub enum Naming {
    Set(String, Entry),
    Remove(String),
    Rename(String, String),
}

/// Entries by their full paths.
type Tree = BTreeMap<String, Entry>;

/// All names of a flash.
#[derive(Clone, Default)]
pub struct Names {
    live: Tree,
    durable: Tree,
    /// The changes since the last sync, in order, each with its step.
    unsynced: Vec<(u64, Naming)>,
}

/// The folder that `path` is in.
pub fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

impl Names {
    /// The entry at this path.
    pub fn get(&self, path: &str) -> Option<Entry> {
        self.live.get(path).copied()
    }

    /// Whether there is such a folder. The topmost folder always exists.
    pub fn is_folder(&self, dir: &str) -> bool {
        dir.is_empty() || self.get(dir) == Some(Entry::Folder)
    }

    /// All files, in the order of their paths.
    pub fn files(&self) -> impl Iterator<Item = (&str, usize)> {
        self.live.iter().filter_map(|(path, entry)| match entry {
            Entry::File(node) => Some((path.as_str(), *node)),
            Entry::Folder => None,
        })
    }

    /// The names in a folder.
    pub fn within(&self, dir: &str) -> Vec<String> {
        let here = self.live.keys().filter(|path| parent(path) == dir);
        here.filter_map(|path| path.rsplit('/').next()).map(str::to_owned).collect()
    }

    /// The paths below a folder, the deeper ones first.
    pub fn below(&self, dir: &str) -> Vec<String> {
        let below = format!("{dir}/");
        self.live.keys().rev().filter(|path| path.starts_with(&below)).cloned().collect()
    }

    /// Changes a name at this step.
    pub fn change(&mut self, step: u64, naming: Naming) {
        naming.apply(&mut self.live);
        self.unsynced.push((step, naming));
    }

    /// Makes the changes in a folder up to this step durable.
    pub fn sync(&mut self, dir: &str, step: u64) {
        self.unsynced.retain(|(changed, naming)| {
            let synced = *changed <= step && naming.folder() == dir;
            if synced {
                naming.apply(&mut self.durable);
            }
            !synced
        });
    }

    /// The names as they are, all of them durable.
    pub fn settled(&self) -> Names {
        Names { live: self.live.clone(), durable: self.live.clone(), unsynced: Vec::new() }
    }

    /// The names after a cut: of the changes that were not synced, `choices` decide which survive.
    pub fn survivors(&self, choices: &mut Choices) -> Names {
        let mut tree = self.durable.clone();
        // A journal keeps the order of changes; how many of them reached the medium is open.
        let kept = choices.below(self.unsynced.len() + 1);
        for (_, naming) in &self.unsynced[..kept] {
            naming.apply(&mut tree);
        }
        let mut found = Tree::new();
        // The path of a folder comes before the paths in it.
        for (path, entry) in tree {
            let folder = parent(&path);
            if folder.is_empty() || found.get(folder) == Some(&Entry::Folder) {
                found.insert(path, entry);
            }
        }
        Names { live: found.clone(), durable: found, unsynced: Vec::new() }
    }
}

impl Naming {
    fn apply(&self, tree: &mut Tree) {
        match self {
            Naming::Set(path, entry) => drop(tree.insert(path.clone(), *entry)),
            Naming::Remove(path) => drop(take(tree, path)),
            Naming::Rename(from, to) => {
                for (path, entry) in take(tree, from) {
                    tree.insert(format!("{to}{}", &path[from.len()..]), entry);
                }
            }
        }
    }

    fn folder(&self) -> &str {
        let (Naming::Set(path, _) | Naming::Remove(path) | Naming::Rename(_, path)) = self;
        parent(path)
    }
}

/// Takes a name and everything below it out of the tree.
fn take(tree: &mut Tree, path: &str) -> Tree {
    let Some(entry) = tree.remove(path) else { return Tree::new() };
    let mut taken = Tree::from([(path.to_owned(), entry)]);
    if entry == Entry::Folder {
        let below = format!("{path}/");
        taken.extend(tree.extract_if(.., |path, _| path.starts_with(&below)));
    }
    taken
}
