//! A stable sort in pieces, between which other sessions get a turn.

use std::cmp::Ordering;

use crate::pace::Pace;

/// Items that are sorted in one step, and compared in one step, at least.
const LEAST: usize = 32;
/// Items that are sorted in one step at most.
const MOST: usize = 1024;
/// Octets that are compared in one step at most, when that is enough for the least number of items.
const COMPARED: u64 = 2 * 1024 * 1024;

/// Sorts `items`. Items that compare as equal keep their order. A comparison is work of `octets` octets at most. Takes
/// as much memory again as the items.
pub async fn sort<T: Copy>(
    items: &mut Vec<T>,
    octets: u64,
    compare: impl Fn(&T, &T) -> Ordering,
    pace: &Pace,
) {
    // Each item is compared with ten others.
    let fitting = usize::try_from(COMPARED / (10 * octets.max(1))).unwrap_or(MOST);
    let mut width = if cfg!(test) { LEAST } else { fitting.clamp(LEAST, MOST) };
    for run in items.chunks_mut(width) {
        run.sort_by(&compare);
        pace.did(octets * run.len() as u64).await;
    }
    let mut merged = Vec::with_capacity(items.len());
    while width < items.len() {
        merged.clear();
        for pair in items.chunks(2 * width) {
            let (mut left, mut right) = pair.split_at(width.min(pair.len()));
            while let (Some((a, behind_a)), Some((b, behind_b))) = (left.split_first(), right.split_first()) {
                if compare(a, b) == Ordering::Greater {
                    merged.push(*b);
                    right = behind_b;
                } else {
                    merged.push(*a);
                    left = behind_a;
                }
                if merged.len() % LEAST == 0 {
                    pace.did(octets * LEAST as u64).await;
                }
            }
            merged.extend(left.iter().chain(right));
        }
        std::mem::swap(items, &mut merged);
        width *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_sorts_and_is_stable(keys in proptest::collection::vec(0..50_u32, 0..400)) {
            let mut items: Vec<(u32, usize)> = keys.into_iter().zip(0..).collect();
            let mut expected = items.clone();
            expected.sort_by_key(|item| item.0);
            let pace = Pace::new();
            smol::block_on(sort(&mut items, 64, |a, b| a.0.cmp(&b.0), &pace));
            prop_assert_eq!(items, expected);
        }
    }
}
