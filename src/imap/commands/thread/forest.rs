//! Threads, and their text in the response (RFC 5256 section 5, `thread-data`).

use super::ids::push;

/// Stands for no node.
pub const NONE: u32 = u32::MAX;

/// Messages in threads. A node is identified by its number, counted from 0.
#[derive(Debug, Default)]
pub struct Forest {
    /// The sequence number of each node; 0 for a missing message whose children belong together.
    pub seq: Vec<u32>,
    /// The first child of each node, or [`NONE`].
    pub child: Vec<u32>,
    /// The next sibling of each node, or [`NONE`].
    pub next: Vec<u32>,
    /// The first root, or [`NONE`].
    pub first: u32,
}

/// The value for `node` in one of the lists of a forest; [`NONE`] when there is no such node.
pub fn at(list: &[u32], node: u32) -> u32 {
    usize::try_from(node).ok().and_then(|node| list.get(node)).copied().unwrap_or(NONE)
}

/// Sets the value for `node` in one of the lists of a forest.
pub fn set(list: &mut [u32], node: u32, value: u32) {
    if let Some(place) = usize::try_from(node).ok().and_then(|node| list.get_mut(node)) {
        *place = value;
    }
}

impl Forest {
    /// An empty forest with room for so many nodes.
    pub fn with_room(nodes: usize) -> Forest {
        let [seq, child, next] = [(); 3].map(|()| Vec::with_capacity(nodes));
        Forest { seq, child, next, first: NONE }
    }

    /// Adds a node without relatives, and returns its number.
    pub fn add(&mut self, seq: u32) -> u32 {
        push(&mut self.seq, seq);
        push(&mut self.child, NONE);
        push(&mut self.next, NONE);
        u32::try_from(self.seq.len() - 1).unwrap_or(NONE)
    }

    /// The nodes from `first` to its last sibling.
    pub fn siblings(&self, first: u32) -> impl Iterator<Item = u32> {
        let some = |node: u32| (node != NONE).then_some(node);
        std::iter::successors(some(first), move |&node| some(at(&self.next, node)))
    }

    /// Makes these nodes siblings, and returns the first one.
    pub fn link(&mut self, nodes: &[u32]) -> u32 {
        let mut first = NONE;
        for &node in nodes.iter().rev() {
            set(&mut self.next, node, first);
            first = node;
        }
        first
    }

    /// Makes `node` the sibling after `last`, which has had none.
    pub fn link_behind(&mut self, last: u32, node: u32) {
        set(&mut self.next, last, node);
    }

    /// Makes `node` the first child of `parent`.
    pub fn adopt(&mut self, parent: u32, node: u32) {
        let first = at(&self.child, parent);
        set(&mut self.next, node, first);
        set(&mut self.child, parent, node);
    }
}

/// Writes the text of a forest in pieces. It walks down without recursion, since a thread may be as deep as the
/// mailbox has messages.
pub struct Words {
    /// The siblings that follow the open lists, from the outside in.
    after: Vec<u32>,
    /// What is written next.
    step: Step,
}

enum Step {
    /// A list that begins with this node.
    Open(u32),
    /// The next node of the open list.
    On(u32),
    Close,
    Done,
}

impl Words {
    /// A writer that begins at the first root.
    pub fn new(forest: &Forest) -> Words {
        match forest.first {
            NONE => Words { after: Vec::new(), step: Step::Done },
            first => Words { after: vec![at(&forest.next, first)], step: Step::Open(first) },
        }
    }

    /// Appends about `nodes` more nodes, by the numbers that `name` returns for sequence numbers. Returns whether
    /// there are more.
    pub fn write(
        &mut self,
        forest: &Forest,
        nodes: usize,
        name: impl Fn(u32) -> u32,
        out: &mut String,
    ) -> bool {
        for _ in 0..nodes {
            self.step = match self.step {
                Step::Open(node) => {
                    out.push('(');
                    self.node(forest, node, &name, out)
                }
                Step::On(node) => {
                    out.push(' ');
                    self.node(forest, node, &name, out)
                }
                Step::Close => {
                    out.push(')');
                    self.step_after(forest)
                }
                Step::Done => return false,
            };
        }
        true
    }

    fn node(&mut self, forest: &Forest, node: u32, name: impl Fn(u32) -> u32, out: &mut String) -> Step {
        let seq = at(&forest.seq, node);
        if seq != 0 {
            out.push_str(&name(seq).to_string());
        }
        let child = at(&forest.child, node);
        match at(&forest.next, child) {
            _ if child == NONE => Step::Close,
            NONE => Step::On(child),
            next => {
                if seq != 0 {
                    out.push(' ');
                }
                self.after.push(next);
                Step::Open(child)
            }
        }
    }

    /// The step after a list: its next sibling, or the end of the list around it.
    fn step_after(&mut self, forest: &Forest) -> Step {
        match self.after.pop() {
            None => Step::Done,
            Some(NONE) if self.after.is_empty() => Step::Done,
            Some(NONE) => Step::Close,
            Some(next) => {
                self.after.push(at(&forest.next, next));
                Step::Open(next)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `(3 (6 …))` as pairs of a number and its children.
    struct Tree(u32, Vec<Tree>);

    fn plant(trees: &[Tree], forest: &mut Forest) -> u32 {
        let nodes: Vec<u32> = trees
            .iter()
            .map(|Tree(seq, children)| {
                let node = forest.add(*seq);
                let first = plant(children, forest);
                set(&mut forest.child, node, first);
                node
            })
            .collect();
        forest.link(&nodes)
    }

    fn told(trees: &[Tree]) -> String {
        let mut forest = Forest::default();
        forest.first = plant(trees, &mut forest);
        let (mut words, mut out) = (Words::new(&forest), String::new());
        while words.write(&forest, 1, |seq| seq, &mut out) {}
        out
    }

    /// RFC 5256 section 4: the examples of the THREAD response.
    #[test]
    fn threads_in_words() {
        let one = |seq| Tree(seq, vec![]);
        let chain = |seqs: &[u32]| {
            seqs.iter().rev().fold(None, |child, &seq| Some(Tree(seq, child.into_iter().collect()))).unwrap()
        };
        let split = Tree(3, vec![Tree(6, vec![chain(&[4, 23]), chain(&[44, 7, 96])])]);
        assert_eq!(told(&[one(2), split]), "(2)(3 6 (4 23)(44 7 96))");
        assert_eq!(told(&[Tree(0, vec![one(3), one(5)])]), "((3)(5))");
        assert_eq!(told(&[Tree(0, vec![chain(&[3, 4]), one(5)]), one(9)]), "((3 4)(5))(9)");
        assert_eq!(told(&[]), "");
    }

    /// Catches: a writer that recurses for each message of a thread.
    #[test]
    fn a_thread_as_deep_as_a_mailbox() {
        let mut forest = Forest::default();
        for seq in 1..=200_000 {
            let node = forest.add(seq);
            if node > 0 {
                forest.adopt(node - 1, node);
            }
        }
        forest.first = 0;
        let (mut words, mut out) = (Words::new(&forest), String::new());
        while words.write(&forest, 1000, |seq| seq, &mut out) {}
        assert!(out.starts_with("(1 2 3 ") && out.ends_with(" 200000)"));
    }
}
