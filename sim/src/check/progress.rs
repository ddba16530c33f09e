//! After healing, everything comes to rest: chains act, calls have ended, replicas are equal (liveness).

use std::fmt;

use catena_core::{Chain, ChainVersion, EntryId, Member, Seq, Slot};

use super::histories::Watermarks;
use super::{Checker, Severity, Violation};

/// Why a world has not come to rest. Nodes are named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unrest {
    NoChain(Slot),
    TooShort { slot: Slot, members: usize, wanted: usize },
    StillJoining { slot: Slot, node: String },
    TailNotReady(Slot),
    OneDomain { slot: Slot, one: String, other: String },
    Down(String),
    OtherVersion { slot: Slot, node: String, has: ChainVersion, decided: ChainVersion },
    NotActing { slot: Slot, node: String },
    NotMatched { slot: Slot, node: String },
    NotCommitted { slot: Slot, node: String, committed: Seq, last: EntryId },
    NotApplied { slot: Slot, node: String, applied: Seq, last: EntryId },
    Fenced { slot: Slot, node: String },
    NotDropped { slot: Slot, node: String },
    Damaged { slot: Slot, node: String },
    Behind { slot: Slot, node: String, last: EntryId, committed: EntryId },
    CallsOpen { node: String, count: usize },
    CallOpen { client: usize },
    NotServing(Slot),
}

impl fmt::Display for Unrest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unrest::NoChain(slot) => write!(f, "slot {slot} has no chain"),
            Unrest::TooShort { slot, members, wanted } => {
                write!(f, "slot {slot} has {members} members, and {wanted} could be")
            }
            Unrest::StillJoining { slot, node } => write!(f, "slot {slot}: {node} is still joining"),
            Unrest::TailNotReady(slot) => write!(f, "slot {slot}: the tail does not count as a copy yet"),
            Unrest::OneDomain { slot, one, other } => {
                write!(f, "slot {slot}: {one} and {other} are of one failure domain (K5)")
            }
            Unrest::Down(node) => write!(f, "{node} is down"),
            Unrest::OtherVersion { slot, node, has, decided } => {
                write!(f, "slot {slot}: {node} is at version {has}, decided is {decided}")
            }
            Unrest::NotActing { slot, node } => write!(f, "slot {slot}: {node} takes no part in its version"),
            Unrest::NotMatched { slot, node } => write!(f, "slot {slot}: {node} has not been matched"),
            Unrest::NotCommitted { slot, node, committed, last } => {
                write!(f, "slot {slot}: {node} knows {committed} to be committed, and its log ends at {last}")
            }
            Unrest::Fenced { slot, node } => write!(f, "slot {slot}: {node} is fenced in the version that is decided"),
            Unrest::NotApplied { slot, node, applied, last } => {
                write!(f, "slot {slot}: {node} has applied up to {applied}, and its log ends at {last}")
            }
            Unrest::NotDropped { slot, node } => write!(f, "slot {slot}: {node} is not in the chain, and has kept its data"),
            Unrest::Damaged { slot, node } => {
                write!(f, "slot {slot}: {node} knows that it is damaged, and has not been replaced")
            }
            Unrest::Behind { slot, node, last, committed } => {
                write!(f, "slot {slot}: {node}'s log ends at {last}, committed is {committed}")
            }
            Unrest::CallsOpen { node, count } => write!(f, "{node} has not answered {count} calls"),
            Unrest::CallOpen { client } => write!(f, "client {client} waits for its call"),
            Unrest::NotServing(slot) => write!(f, "slot {slot}: no write and read has succeeded since the world healed"),
        }
    }
}

/// Whether a member of a slot's chain, decided at `decided`, is at rest.
pub(crate) fn replica(
    slot: Slot,
    decided: ChainVersion,
    node: &str,
    marks: &Watermarks,
    committed: EntryId,
) -> Result<(), Unrest> {
    let node = || node.to_owned();
    if marks.version != decided {
        return Err(Unrest::OtherVersion { slot, node: node(), has: marks.version, decided });
    }
    if !marks.acting {
        return Err(Unrest::NotActing { slot, node: node() });
    }
    if marks.fenced {
        return Err(Unrest::Fenced { slot, node: node() });
    }
    if !marks.matched {
        return Err(Unrest::NotMatched { slot, node: node() });
    }
    if marks.committed != marks.last.seq {
        return Err(Unrest::NotCommitted { slot, node: node(), committed: marks.committed, last: marks.last });
    }
    if marks.last != committed {
        return Err(Unrest::Behind { slot, node: node(), last: marks.last, committed });
    }
    if marks.applied != marks.last.seq {
        return Err(Unrest::NotApplied { slot, node: node(), applied: marks.applied, last: marks.last });
    }
    Ok(())
}

/// Whether a chain is whole: `wanted` members, all of them copies, and nobody on the way.
pub(crate) fn chain(chain: &Chain, wanted: usize) -> Result<(), Unrest> {
    let (slot, members) = (chain.slot, chain.members.len());
    if let Some(joining) = &chain.joining {
        return Err(Unrest::StillJoining { slot, node: joining.node.to_string() });
    }
    if !chain.tail_ready {
        return Err(Unrest::TailNotReady(slot));
    }
    if members != wanted {
        return Err(Unrest::TooShort { slot, members, wanted });
    }
    Ok(())
}

/// Whether no two members of a chain are of one failure domain; `None`: they are of none (K5). On the way to that they may be: where
/// a replica is moved, or drained.
pub(crate) fn spread<D: PartialEq>(chain: &Chain, domain: impl Fn(&Member) -> Option<D>) -> Result<(), Unrest> {
    let members = chain.members.iter().filter_map(|member| Some((member, domain(member)?)));
    let members: Vec<(&Member, D)> = members.collect();
    for (index, (one, domain)) in members.iter().enumerate() {
        if let Some((other, _)) = members[index + 1..].iter().find(|(_, other)| other == domain) {
            let (one, other) = (one.node.to_string(), other.node.to_string());
            return Err(Unrest::OneDomain { slot: chain.slot, one, other });
        }
    }
    Ok(())
}

/// The world had so long, and has not come to rest.
pub(crate) fn overdue(seconds: u64, why: &Unrest) -> Violation {
    Violation {
        severity: Severity::Liveness,
        checker: Checker::Progress,
        rule: "C7, C10, W6",
        sentence: format!("{seconds} s after the world has healed: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use catena_core::{Epoch, Incarnation, NodeId};

    use super::*;

    const SLOT: Slot = Slot(0);

    fn id(version: u64, seq: u64) -> EntryId {
        EntryId { version: ChainVersion(version), seq: Seq(seq) }
    }

    #[test]
    fn each_way_not_to_be_at_rest_is_caught() {
        let last = id(2, 9);
        let rest = Watermarks {
            version: ChainVersion(3),
            acting: true,
            matched: true,
            trim: last,
            applied: Seq(9),
            committed: Seq(9),
            durable: Seq(9),
            last,
            ..Watermarks::NONE
        };
        assert_eq!(replica(SLOT, ChainVersion(3), "n1", &rest, last), Ok(()));
        let wrong: [fn(&mut Watermarks); 6] = [
            |marks| marks.version = ChainVersion(2),
            |marks| marks.acting = false,
            |marks| marks.matched = false,
            |marks| marks.committed = Seq(8),
            |marks| marks.applied = Seq(8),
            |marks| marks.fenced = true,
        ];
        for (case, wrong) in wrong.into_iter().enumerate() {
            let mut marks = rest;
            wrong(&mut marks);
            replica(SLOT, ChainVersion(3), "n1", &marks, last).expect_err(&format!("case {case}"));
        }
        replica(SLOT, ChainVersion(3), "n1", &rest, id(2, 10)).expect_err("others have committed more");
    }

    #[test]
    fn a_chain_that_is_not_whole_is_caught() {
        let member = |name: &str| Member {
            node: NodeId::new(name).expect("a name"),
            incarnation: Incarnation(1),
            activated: ChainVersion(1),
        };
        let whole = Chain {
            slot: SLOT,
            version: ChainVersion(3),
            epoch: Epoch(1),
            members: ["a", "b"].map(member).into(),
            tail_ready: true,
            joining: None,
        };
        assert_eq!(chain(&whole, 2), Ok(()));
        assert_eq!(chain(&whole, 3), Err(Unrest::TooShort { slot: SLOT, members: 2, wanted: 3 }));
        chain(&Chain { tail_ready: false, ..whole.clone() }, 2).expect_err("the tail is no copy");
        chain(&Chain { joining: Some(member("c")), ..whole.clone() }, 2).expect_err("c is on its way");
        assert_eq!(spread(&whole, |_| None::<u8>), Ok(()), "no node says where it is");
        assert_eq!(spread(&whole, |member| Some(member.node.to_string())), Ok(()));
        spread(&whole, |_| Some(1)).expect_err("a and b are in one rack");
    }
}
