//! The event queue: what happens next, at which time; ties in the order of scheduling.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use catena_core::Time;

/// A queue of things to come.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    /// Time, order of scheduling, place in `items`.
    heap: BinaryHeap<Reverse<(Time, u64, usize)>>,
    items: Vec<Option<T>>,
    free: Vec<usize>,
    scheduled: u64,
}

impl<T> Queue<T> {
    pub(crate) fn new() -> Self {
        Self { heap: BinaryHeap::new(), items: Vec::new(), free: Vec::new(), scheduled: 0 }
    }

    pub(crate) fn push(&mut self, at: Time, item: T) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.items.push(None);
            self.items.len() - 1
        });
        self.items[place] = Some(item);
        self.scheduled += 1;
        self.heap.push(Reverse((at, self.scheduled, place)));
    }

    /// When the next one is due.
    pub(crate) fn due(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    pub(crate) fn pop(&mut self) -> Option<(Time, T)> {
        let Reverse((at, _, place)) = self.heap.pop()?;
        self.free.push(place);
        Some((at, self.items[place].take().expect("a scheduled item is there")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pops_by_time_and_then_in_the_order_of_scheduling() {
        let mut queue = Queue::new();
        for (at, item) in [(5, 'c'), (1, 'a'), (5, 'd'), (2, 'b'), (5, 'e')] {
            queue.push(Time(at), item);
        }
        assert_eq!(queue.pop(), Some((Time(1), 'a')));
        queue.push(Time(5), 'f');
        let rest: String = std::iter::from_fn(|| queue.pop()).map(|(_, item)| item).collect();
        assert_eq!(rest, "bcdef");
    }
}
