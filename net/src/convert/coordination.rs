//! What nodes, clients and the coordinator tell each other.

use std::time::Duration;

use catena_core::{
    ChainVersion, ClusterId, Decisions, Epoch, Heartbeat, HeartbeatAnswer, MAX_SLOTS, NodeRecord, Presence, ReplicaState, Report,
    Revision, RollCall, Route, Slot, mutant,
};

use super::common::epoch;
use super::{
    ConvertError, Number, Result, all, cluster_id, each, enumeration, id_bytes, node_id, optional_cluster_id, ranged, required,
    size,
};
use crate::proto;

/// The longest lease that is believed: beyond a day it is a mistake.
const MAX_LEASE_NS: u64 = 24 * 3600 * 1_000_000_000;

/// What a node says first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// The cluster that its directory belongs to; `None` on its very first start.
    pub cluster: Option<ClusterId>,
    /// Who and where it is.
    pub node: NodeRecord,
}

/// What a node is told once it is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered {
    /// The cluster it is in.
    pub cluster: ClusterId,
    /// The cluster's number of slots, 1 to [`MAX_SLOTS`].
    pub slots: u32,
}

/// The route or a change of it, with what a client must know besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteAnswer {
    /// Where everything is; of a change, what is new or different.
    pub route: Route,
    /// The version of the protocol on the wire.
    pub wire_version: u32,
    /// The longest key that is admitted, in bytes.
    pub key_bytes: usize,
    /// The longest value that is admitted, in bytes.
    pub value_bytes: usize,
}

impl From<Register> for proto::Register {
    fn from(register: Register) -> Self {
        Self {
            wire_version: crate::WIRE_VERSION,
            cluster: register.cluster.map(|cluster| id_bytes(cluster.0)).unwrap_or_default(),
            node: Some(register.node.into()),
        }
    }
}

impl TryFrom<proto::Register> for Register {
    type Error = ConvertError;

    fn try_from(register: proto::Register) -> Result<Self> {
        Ok(Self {
            cluster: optional_cluster_id("register.cluster", &register.cluster)?,
            node: required("register.node", register.node)?.try_into()?,
        })
    }
}

impl From<Registered> for proto::Registered {
    fn from(registered: Registered) -> Self {
        Self { cluster: id_bytes(registered.cluster.0), slots: registered.slots }
    }
}

impl TryFrom<proto::Registered> for Registered {
    type Error = ConvertError;

    fn try_from(registered: proto::Registered) -> Result<Self> {
        Ok(Self {
            cluster: cluster_id("registered.cluster", &registered.cluster)?,
            slots: slots("registered.slots", registered.slots)?,
        })
    }
}

/// A cluster has at least one slot.
fn slots(field: &'static str, slots: u32) -> Result<u32> {
    ranged(field, slots.into(), 1, MAX_SLOTS.into())?;
    Ok(slots)
}

impl From<Heartbeat> for proto::Heartbeat {
    fn from(heartbeat: Heartbeat) -> Self {
        let Heartbeat { sequence, applied, reports, presence, epoch, roll_call } = heartbeat;
        let presence = proto::Presence::from(presence).into();
        Self { sequence, applied: applied.0, reports: each(reports), presence, epoch: epoch.0, roll_call: roll_call.0 }
    }
}

impl TryFrom<proto::Heartbeat> for Heartbeat {
    type Error = ConvertError;

    fn try_from(heartbeat: proto::Heartbeat) -> Result<Self> {
        Ok(Self {
            sequence: heartbeat.sequence,
            applied: revision("heartbeat.applied", heartbeat.applied)?,
            reports: all(heartbeat.reports)?,
            presence: Number::new(heartbeat.presence).try_into()?,
            epoch: Epoch(heartbeat.epoch),
            roll_call: RollCall(heartbeat.roll_call),
        })
    }
}

enumeration!(Presence, proto::Presence, "heartbeat.presence": Staying, Leaving);

/// A revision that can be counted on from.
fn revision(field: &'static str, revision: u64) -> Result<Revision> {
    ranged(field, revision, 0, u64::MAX - 1).map(Revision)
}

enumeration!(
    ReplicaState, proto::ReplicaState, "report.state": Active, CaughtUp, Restarted, Astray, Removed, Dropped
);

impl From<Report> for proto::Report {
    fn from(report: Report) -> Self {
        let Report { slot, version, state, fenced, damaged, silent } = report;
        let silent = silent.map(|node| node.as_str().to_owned()).unwrap_or_default();
        Self { slot: slot.0, version: version.0, state: proto::ReplicaState::from(state).into(), fenced, silent, damaged }
    }
}

impl TryFrom<proto::Report> for Report {
    type Error = ConvertError;

    fn try_from(report: proto::Report) -> Result<Self> {
        let silent = (!report.silent.is_empty()).then(|| node_id("report.silent", &report.silent)).transpose()?;
        let (slot, version, state) = (Slot(report.slot), ChainVersion(report.version), Number::new(report.state).try_into()?);
        Ok(Self { slot, version, state, fenced: report.fenced, damaged: report.damaged && !mutant!(DamageNotSent), silent })
    }
}

impl From<HeartbeatAnswer> for proto::HeartbeatAnswer {
    fn from(answer: HeartbeatAnswer) -> Self {
        let nanos = |lease: Duration| u64::try_from(lease.as_nanos()).unwrap_or(u64::MAX).min(MAX_LEASE_NS);
        Self {
            sequence: answer.sequence,
            lease_ns: answer.lease.map(nanos),
            revision: answer.revision.0,
            decisions: Some(answer.decisions.into()),
            nodes: each(answer.nodes),
        }
    }
}

impl TryFrom<proto::HeartbeatAnswer> for HeartbeatAnswer {
    type Error = ConvertError;

    fn try_from(answer: proto::HeartbeatAnswer) -> Result<Self> {
        let lease = match answer.lease_ns {
            None => None,
            Some(nanos) => Some(Duration::from_nanos(ranged("heartbeat_answer.lease_ns", nanos, 0, MAX_LEASE_NS)?)),
        };
        Ok(Self {
            sequence: answer.sequence,
            lease,
            revision: revision("heartbeat_answer.revision", answer.revision)?,
            decisions: required("heartbeat_answer.decisions", answer.decisions)?.try_into()?,
            nodes: all(answer.nodes)?,
        })
    }
}

impl From<Decisions> for proto::Decisions {
    fn from(decisions: Decisions) -> Self {
        let Decisions { epoch, roll_call, chains, fences, drops } = decisions;
        Self { epoch: epoch.0, roll_call: roll_call.0, chains: each(chains), fences: each(fences), drops: each(drops) }
    }
}

impl TryFrom<proto::Decisions> for Decisions {
    type Error = ConvertError;

    fn try_from(decisions: proto::Decisions) -> Result<Self> {
        Ok(Self {
            epoch: epoch("decisions.epoch", decisions.epoch)?,
            roll_call: RollCall(decisions.roll_call),
            chains: all(decisions.chains)?,
            fences: each(decisions.fences),
            drops: each(decisions.drops),
        })
    }
}

impl From<(Slot, ChainVersion)> for proto::SlotVersion {
    fn from((slot, version): (Slot, ChainVersion)) -> Self {
        Self { slot: slot.0, version: version.0 }
    }
}

impl From<proto::SlotVersion> for (Slot, ChainVersion) {
    fn from(of: proto::SlotVersion) -> Self {
        (Slot(of.slot), ChainVersion(of.version))
    }
}

impl From<RouteAnswer> for proto::Route {
    fn from(answer: RouteAnswer) -> Self {
        let RouteAnswer { route, wire_version, key_bytes, value_bytes } = answer;
        Self {
            cluster: id_bytes(route.cluster.0),
            wire_version,
            revision: route.revision.0,
            slots: route.slots,
            chains: each(route.chains),
            nodes: each(route.nodes),
            max_key_bytes: key_bytes as u64,
            max_value_bytes: value_bytes as u64,
        }
    }
}

impl TryFrom<proto::Route> for RouteAnswer {
    type Error = ConvertError;

    fn try_from(answer: proto::Route) -> Result<Self> {
        let route = Route {
            cluster: cluster_id("route.cluster", &answer.cluster)?,
            revision: revision("route.revision", answer.revision)?,
            slots: slots("route.slots", answer.slots)?,
            chains: all(answer.chains)?,
            nodes: all(answer.nodes)?,
        };
        // By slot, each at most once, none beyond the last.
        let mut least = 0;
        for (index, chain) in route.chains.iter().enumerate() {
            if !(least..u64::from(route.slots)).contains(&chain.slot.0.into()) {
                return Err(ConvertError::Order { field: "route.chains", index });
            }
            least = u64::from(chain.slot.0) + 1;
        }
        Ok(Self {
            route,
            wire_version: answer.wire_version,
            key_bytes: size("route.max_key_bytes", answer.max_key_bytes)?,
            value_bytes: size("route.max_value_bytes", answer.max_value_bytes)?,
        })
    }
}
