//! Message identifiers, and the nodes that have them. An identifier is held as a hash of 64 bits with a random key,
//! so that an attacker cannot write two identifiers that are confused.

use std::hash::{BuildHasher, RandomState};

use super::forest::NONE;

/// The hash of an identifier; 0 for none.
pub type Id = u64;

/// Finds nodes by their identifiers. A hash table with open addressing: 8 octets for each node, and 4 octets for each
/// of twice to four times as many places, all of them reserved at the beginning, so that nothing ever moves.
#[derive(Debug, Default)]
pub struct Ids {
    random: RandomState,
    /// The identifier of each node; 0 for a node that cannot be referred to.
    ids: Vec<Id>,
    /// The nodes, each at the place of its identifier's lower bits or at the next free place.
    places: Vec<u32>,
}

impl Ids {
    /// A table with room for so many nodes.
    pub fn for_nodes(nodes: usize) -> Ids {
        let places = vec![NONE; (2 * nodes).next_power_of_two()];
        Ids { random: RandomState::new(), ids: Vec::new(), places }
    }

    /// The hash of an identifier, which is never 0.
    pub fn id(&self, text: &[u8]) -> Id {
        self.random.hash_one(text).max(1)
    }

    /// The node with this identifier.
    pub fn find(&self, id: Id) -> Option<u32> {
        let node = self.places.get(self.place(id)?).copied()?;
        (node != NONE).then_some(node)
    }

    /// The place of the node with this identifier, or a free place for it.
    fn place(&self, id: Id) -> Option<usize> {
        let mask = self.places.len().checked_sub(1)?;
        let start = usize::try_from(id & u64::from(u32::MAX)).ok()?;
        (0..=mask).map(|step| (start + step) & mask).find(|&at| match self.places.get(at) {
            Some(&node) if node != NONE => {
                usize::try_from(node).ok().and_then(|node| self.ids.get(node)) == Some(&id)
            }
            _ => true,
        })
    }

    /// The identifier of a node; 0 when it has none.
    pub fn of(&self, node: u32) -> Id {
        usize::try_from(node).ok().and_then(|node| self.ids.get(node)).copied().unwrap_or_default()
    }

    /// Gives the next node an identifier, or 0 for none. Of two nodes with the same identifier the last one is found.
    pub fn push(&mut self, id: Id) {
        let node = u32::try_from(self.ids.len()).unwrap_or(NONE);
        push(&mut self.ids, id);
        self.enter(node);
    }

    /// Makes the node found by its identifier.
    pub fn enter(&mut self, node: u32) {
        let id = self.of(node);
        if id != 0
            && let Some(place) = self.place(id).and_then(|at| self.places.get_mut(at))
        {
            *place = node;
        }
    }
}

/// As [`Vec::push`], but with little spare room: doubling would waste as much memory again.
pub fn push<T>(list: &mut Vec<T>, item: T) {
    if list.len() == list.capacity() {
        list.reserve_exact(list.len() / 8 + 1024);
    }
    list.push(item);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_found_again() {
        let mut ids = Ids::for_nodes(5000);
        assert_eq!(ids.find(1), None);
        for node in 0..5000_u64 {
            // Many identifiers begin at the same place.
            ids.push(if node % 7 == 0 { 0 } else { (node << 20) | (node % 3) });
        }
        for node in 0..5000_u64 {
            let expected = (node % 7 != 0).then_some(node as u32);
            assert_eq!(ids.find((node << 20) | (node % 3)), expected, "{node}");
        }
        assert_ne!(ids.id(b"a@b"), ids.id(b"A@b"));
    }
}
