//! A slot's configuration: who is in the chain, in which order, under which version.

use crate::{ChainVersion, Epoch, Identity, Incarnation, NodeId, Slot};

/// One configuration of one slot. Every change of it is a new version, also of `tail_ready` and `joining`: so that one
/// compare-and-set guards them all (C1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Whose chain.
    pub slot: Slot,
    /// Its number; every change makes a new one (C1).
    pub version: ChainVersion,
    /// The leadership that decided it.
    pub epoch: Epoch,
    /// Head first, tail last; at least one.
    pub members: Vec<Member>,
    /// Whether the tail counts as a copy: one that was activated does only after its own report (C9).
    pub tail_ready: bool,
    /// The replica behind the tail that is being filled (C11).
    pub joining: Option<Member>,
}

/// A replica of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The node that holds it.
    pub node: NodeId,
    /// The data directory it must be in: another one under the same id is not this member.
    pub incarnation: Incarnation,
    /// The version in which it became a member; of a joining replica, the version in which it began to join.
    pub activated: ChainVersion,
}

/// A replica's place. In a chain of one, the only member is both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Orders writes; has no predecessor.
    Head,
    /// Between the ends.
    Middle,
    /// Commits, and answers reads.
    Tail,
    /// Head and tail at once.
    Only,
    /// Behind the tail: gets entries, serves nobody, is not waited for.
    Joining,
    /// Not in the chain.
    None,
}

impl Member {
    /// Whether this is the replica of that node and directory.
    pub fn is(&self, identity: &Identity) -> bool {
        self.incarnation == identity.incarnation && self.node == identity.node
    }
}

impl Chain {
    /// Where `node` stands among the members, 0 being the head.
    pub fn position(&self, node: &NodeId) -> Option<usize> {
        self.members.iter().position(|member| member.node == *node)
    }

    /// The part that this node and directory play.
    pub fn role(&self, me: &Identity) -> Role {
        let last = self.members.len() - 1;
        match self.members.iter().position(|member| member.is(me)) {
            None if self.joining.as_ref().is_some_and(|joining| joining.is(me)) => Role::Joining,
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

    /// Members head first, and behind them the replica that is joining.
    pub fn replicas(&self) -> impl DoubleEndedIterator<Item = &Member> + Clone {
        self.members.iter().chain(&self.joining)
    }

    /// The replica before `node`: the tail's, if it is the one that joins.
    pub fn predecessor(&self, node: &NodeId) -> Option<&NodeId> {
        let mut before = None;
        for replica in self.replicas() {
            if replica.node == *node {
                return before;
            }
            before = Some(&replica.node);
        }
        None
    }

    /// The replica after `node`: the one that joins, if it is the tail.
    pub fn successor(&self, node: &NodeId) -> Option<&NodeId> {
        self.replicas().skip_while(|replica| replica.node != *node).nth(1).map(|replica| &replica.node)
    }

    /// The members that count as copies (C3): all but a tail that is not ready (C9).
    pub fn copies(&self) -> &[Member] {
        let (tail, others) = self.members.split_last().expect("a chain has at least one member");
        if self.tail_ready {
            &self.members
        } else {
            let _ = tail;
            others
        }
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

    /// Whether this replica is in the commit path.
    pub fn is_member(self) -> bool {
        self.is_head() || self.is_tail() || self == Role::Middle
    }
}
