//! A slot's configuration: who is in the chain, in which order, under which version.

use crate::{ChainVersion, Incarnation, NodeId, Slot};

/// One configuration of one slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Whose chain.
    pub slot: Slot,
    /// Its number; every change makes a new one (C1).
    pub version: ChainVersion,
    /// Head first, tail last; at least one.
    pub members: Vec<Member>,
}

/// A replica that is in the commit path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The node that holds it.
    pub node: NodeId,
    /// The data directory it must be in.
    pub incarnation: Incarnation,
    /// The version in which it became a member.
    pub activated: ChainVersion,
}

/// A member's place. In a chain of one, the only member is both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Orders writes; has no predecessor.
    Head,
    /// Between the ends.
    Middle,
    /// Commits, and answers reads; has no successor.
    Tail,
    /// Head and tail at once.
    Only,
    /// Not in the chain.
    None,
}

impl Chain {
    /// Where `node` stands, 0 being the head.
    pub fn position(&self, node: &NodeId) -> Option<usize> {
        self.members.iter().position(|member| member.node == *node)
    }

    /// The part that `node` plays.
    pub fn role(&self, node: &NodeId) -> Role {
        let last = self.members.len() - 1;
        match self.position(node) {
            None => Role::None,
            Some(0) if last == 0 => Role::Only,
            Some(0) => Role::Head,
            Some(position) if position == last => Role::Tail,
            Some(_) => Role::Middle,
        }
    }

    /// The member that orders writes.
    pub fn head(&self) -> &Member {
        self.members.first().expect("a chain has at least one member")
    }

    /// The member that commits and answers reads.
    pub fn tail(&self) -> &Member {
        self.members.last().expect("a chain has at least one member")
    }

    /// The member before `node`.
    pub fn predecessor(&self, node: &NodeId) -> Option<&NodeId> {
        let position = self.position(node)?;
        Some(&self.members[position.checked_sub(1)?].node)
    }

    /// The member after `node`.
    pub fn successor(&self, node: &NodeId) -> Option<&NodeId> {
        let position = self.position(node)?;
        self.members.get(position + 1).map(|member| &member.node)
    }
}

impl Role {
    /// Whether this member orders writes.
    pub fn is_head(self) -> bool {
        matches!(self, Role::Head | Role::Only)
    }

    /// Whether this member commits and answers reads.
    pub fn is_tail(self) -> bool {
        matches!(self, Role::Tail | Role::Only)
    }
}
