//! What operators ask, and what they see.

use catena_core::{Chain, Eviction, Health, NodeStatus, Order, Slot, Standing, Status, StoredNode, Wait, WallTime};

use super::common::epoch;
use super::{ConvertError, Number, Result, all, each, enumeration, node_id, ordered, required};
use crate::proto;
use crate::proto::{order_request, standing};

impl From<Order> for order_request::Order {
    fn from(order: Order) -> Self {
        match order {
            Order::Drain(node) => Self::Drain(node.as_str().to_owned()),
            Order::Evict(node) => Self::Evict(node.as_str().to_owned()),
            Order::Readmit(node) => Self::Readmit(node.as_str().to_owned()),
        }
    }
}

impl TryFrom<order_request::Order> for Order {
    type Error = ConvertError;

    fn try_from(order: order_request::Order) -> Result<Self> {
        Ok(match order {
            order_request::Order::Drain(node) => Self::Drain(node_id("order.drain", &node)?),
            order_request::Order::Evict(node) => Self::Evict(node_id("order.evict", &node)?),
            order_request::Order::Readmit(node) => Self::Readmit(node_id("order.readmit", &node)?),
        })
    }
}

impl From<Status> for proto::Status {
    fn from(status: Status) -> Self {
        let Status { epoch, nodes, chains, waits } = status;
        let waits = waits.into_iter().map(Into::into).collect();
        Self { epoch: epoch.0, nodes: each(nodes), chains: each(chains), waits }
    }
}

impl TryFrom<proto::Status> for Status {
    type Error = ConvertError;

    fn try_from(status: proto::Status) -> Result<Self> {
        let nodes: Vec<NodeStatus> = all(status.nodes)?;
        ordered("status.nodes", &nodes, |node| node.stored.record.node.clone())?;
        let chains: Vec<Chain> = all(status.chains)?;
        ordered("status.chains", &chains, |chain| chain.slot)?;
        ordered("status.waits", &status.waits, |wait| wait.slot)?;
        let waits = status.waits.into_iter().map(slot_wait).collect::<Result<_>>()?;
        Ok(Self { epoch: epoch("status.epoch", status.epoch)?, nodes, chains, waits })
    }
}

impl From<NodeStatus> for proto::NodeStatus {
    fn from(status: NodeStatus) -> Self {
        let NodeStatus { stored, health, heads, tails, replicas, joining } = status;
        let StoredNode { record, standing, flaps, evictions } = stored;
        Self {
            record: Some(record.into()),
            health: proto::Health::from(health).into(),
            standing: Some(standing.into()),
            flaps_ns: flaps.into_iter().map(|at| at.0).collect(),
            evictions,
            heads,
            tails,
            replicas,
            joining,
        }
    }
}

impl TryFrom<proto::NodeStatus> for NodeStatus {
    type Error = ConvertError;

    fn try_from(status: proto::NodeStatus) -> Result<Self> {
        let stored = StoredNode {
            record: required("node_status.record", status.record)?.try_into()?,
            standing: required("node_status.standing", status.standing)?.try_into()?,
            flaps: status.flaps_ns.into_iter().map(WallTime).collect(),
            evictions: status.evictions,
        };
        let proto::NodeStatus { heads, tails, replicas, joining, .. } = status;
        Ok(Self { stored, health: Number::new(status.health).try_into()?, heads, tails, replicas, joining })
    }
}

enumeration!(Health, proto::Health, "node_status.health": Unheard, Healthy, Suspect, Dead, Stopped);
enumeration!(Eviction, proto::Eviction, "standing.evicted.reason": Flapping, Ordered);
enumeration!(
    Wait, proto::Wait, "slot_wait.wait": NoCandidate, Joining, Fencing, LastCopy, Restrained, Turn, Absence
);

impl From<Standing> for proto::Standing {
    fn from(standing: Standing) -> Self {
        let standing = match standing {
            Standing::Member => standing::Standing::Member(standing::Member {}),
            Standing::Draining => standing::Standing::Draining(standing::Draining {}),
            Standing::Evicted { reason, at } => {
                standing::Standing::Evicted(standing::Evicted { reason: proto::Eviction::from(reason).into(), at_ns: at.0 })
            }
        };
        Self { standing: Some(standing) }
    }
}

impl TryFrom<proto::Standing> for Standing {
    type Error = ConvertError;

    fn try_from(standing: proto::Standing) -> Result<Self> {
        Ok(match required("standing.standing", standing.standing)? {
            standing::Standing::Member(standing::Member {}) => Self::Member,
            standing::Standing::Draining(standing::Draining {}) => Self::Draining,
            standing::Standing::Evicted(evicted) => {
                Self::Evicted { reason: Number::new(evicted.reason).try_into()?, at: WallTime(evicted.at_ns) }
            }
        })
    }
}

impl From<(Slot, Wait)> for proto::SlotWait {
    fn from((slot, wait): (Slot, Wait)) -> Self {
        Self { slot: slot.0, wait: proto::Wait::from(wait).into() }
    }
}

fn slot_wait(of: proto::SlotWait) -> Result<(Slot, Wait)> {
    Ok((Slot(of.slot), Number::new(of.wait).try_into()?))
}
