//! Who is in trouble: what other faults, and the watch over steady service, must know.

use catena_core::Time;

/// Until the world heals.
pub(super) const FOR_GOOD: Time = Time(1 << 62);

/// Until when each part of the world is in trouble, as far as is known.
#[derive(Debug)]
pub(super) struct Troubles {
    nodes: Vec<Time>,
    /// Of what no chain can do without: coordinators, their store, the links between two nodes that are well.
    common: Time,
}

impl Troubles {
    pub(super) fn new(nodes: usize) -> Self {
        Self { nodes: vec![Time(0); nodes], common: Time(0) }
    }

    pub(super) fn node(&mut self, node: usize, until: Time) {
        self.nodes[node] = self.nodes[node].max(until);
    }

    pub(super) fn common(&mut self, until: Time) {
        self.common = self.common.max(until);
    }

    /// Until when a node is, or was.
    pub(super) fn until(&self, node: usize) -> Time {
        self.nodes[node]
    }

    /// Until when the common part is, or was.
    pub(super) fn common_until(&self) -> Time {
        self.common
    }

    /// The nodes that are at `now`.
    pub(super) fn nodes(&self, now: Time) -> impl Iterator<Item = usize> + '_ {
        self.nodes.iter().enumerate().filter(move |(_, until)| **until > now).map(|(node, _)| node)
    }

    /// Everything is well from now on.
    pub(super) fn end(&mut self, now: Time) {
        for until in self.nodes.iter_mut().chain(std::iter::once(&mut self.common)) {
            *until = (*until).min(now);
        }
    }
}
