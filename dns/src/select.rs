//! Which of a name's many addresses an answer holds, and in which order: as many as it has room for, from a random place on,
//! shuffled. So the work is bounded by the answer, and in the long run each is named first as often as any other.

use crate::shuffle::Shuffle;

/// Fills `chosen` with up to `most` of the items, each once. Says whether those are all.
pub(crate) fn select<T: Copy + Ord>(
    items: &[(T, u64)],
    most: usize,
    shuffle: &mut Shuffle,
    chosen: &mut Vec<T>,
) -> bool {
    chosen.clear();
    let (head, tail) = items.split_at(shuffle.below(items.len()));
    chosen.extend(tail.iter().chain(head).take(most).map(|(item, _)| *item));
    chosen.sort_unstable();
    chosen.dedup();
    shuffle.order(chosen);
    items.len() <= most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_first_about_as_often() {
        let items: Vec<(u32, u64)> = (0..10).map(|item| (item, 0)).collect();
        let (mut shuffle, mut chosen, mut firsts) = (Shuffle::new(7), Vec::new(), [0; 10]);
        for _ in 0..10_000 {
            assert!(!select(&items, 4, &mut shuffle, &mut chosen));
            assert_eq!(chosen.len(), 4);
            firsts[chosen[0] as usize] += 1;
        }
        assert!(firsts.iter().all(|count| (800..1_200).contains(count)), "{firsts:?}");
    }

    #[test]
    fn each_once() {
        let (mut shuffle, mut chosen) = (Shuffle::new(7), Vec::new());
        assert!(select(&[(1, 1), (1, 2), (2, 3)], 3, &mut shuffle, &mut chosen));
        chosen.sort_unstable();
        assert_eq!(chosen, [1, 2]);
        assert!(select::<u32>(&[], 3, &mut shuffle, &mut chosen) && chosen.is_empty());
    }
}
