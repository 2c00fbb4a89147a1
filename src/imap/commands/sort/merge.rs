//! A stable sort in pieces, between which other sessions get a turn.

use std::cmp::Ordering;

use crate::pace::Pace;

/// Items that are sorted in one step.
const RUN: usize = 32;

/// Sorts `items`. Items that compare as equal keep their order. A comparison counts as work of `octets` octets. Takes
/// as much memory again as the items.
pub async fn sort<T: Copy>(
    items: &mut Vec<T>,
    octets: u64,
    compare: impl Fn(&T, &T) -> Ordering,
    pace: &Pace,
) {
    for run in items.chunks_mut(RUN) {
        run.sort_by(&compare);
        pace.did(octets * RUN as u64).await;
    }
    let mut width = RUN;
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
                pace.did(octets).await;
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
