//! Entry ids, metadata, chains, nodes.

use std::collections::BTreeMap;

use catena_core::{Chain, ChainVersion, EntryId, Epoch, Member, Metadata, NodeRecord, Seq, Slot, WallTime};

use super::{ConvertError, Result, all, each, id_bytes, incarnation, node_id, ranged};
use crate::proto;

/// The most labels that a node may have. Chosen here: every heartbeat's answer may carry them.
const LABELS: u64 = 16;

/// The longest key or value of a label, in bytes: as a node's id.
const LABEL_BYTES: u64 = 64;

impl From<EntryId> for proto::EntryId {
    fn from(id: EntryId) -> Self {
        Self { version: id.version.0, seq: id.seq.0 }
    }
}

impl From<proto::EntryId> for EntryId {
    fn from(id: proto::EntryId) -> Self {
        Self { version: ChainVersion(id.version), seq: Seq(id.seq) }
    }
}

impl From<Metadata> for proto::Metadata {
    fn from(metadata: Metadata) -> Self {
        Self { version: metadata.version.0, created_at_ns: metadata.created_at.0, updated_at_ns: metadata.updated_at.0 }
    }
}

impl From<proto::Metadata> for Metadata {
    fn from(metadata: proto::Metadata) -> Self {
        Self {
            version: Seq(metadata.version),
            created_at: WallTime(metadata.created_at_ns),
            updated_at: WallTime(metadata.updated_at_ns),
        }
    }
}

impl From<Chain> for proto::Chain {
    fn from(chain: Chain) -> Self {
        let Chain { slot, version, epoch, members, tail_ready, joining } = chain;
        let (slot, version, epoch) = (slot.0, version.0, epoch.0);
        Self { slot, version, epoch, members: each(members), tail_ready, joining: joining.map(Into::into) }
    }
}

impl TryFrom<proto::Chain> for Chain {
    type Error = ConvertError;

    fn try_from(chain: proto::Chain) -> Result<Self> {
        let version = ranged("chain.version", chain.version, 1, u64::MAX)?;
        let members: Vec<Member> = all(chain.members)?;
        if members.is_empty() {
            return Err(ConvertError::Missing { field: "chain.members" });
        }
        let twice = |index: usize, member: &Member| members[..index].iter().any(|before| before.node == member.node);
        if let Some((index, _)) = members.iter().enumerate().find(|(index, member)| twice(*index, member)) {
            return Err(ConvertError::Order { field: "chain.members", index });
        }
        let joining = chain.joining.map(Member::try_from).transpose()?;
        if joining.as_ref().is_some_and(|joining| twice(members.len(), joining)) {
            return Err(ConvertError::Order { field: "chain.joining", index: 0 });
        }
        let epoch = epoch("chain.epoch", chain.epoch)?;
        let (slot, version) = (Slot(chain.slot), ChainVersion(version));
        Ok(Self { slot, version, epoch, members, tail_ready: chain.tail_ready, joining })
    }
}

/// The number of a leadership that there is.
pub(super) fn epoch(field: &'static str, epoch: u64) -> Result<Epoch> {
    ranged(field, epoch, 1, u64::MAX).map(Epoch)
}

impl From<Member> for proto::Member {
    fn from(member: Member) -> Self {
        Self { node: member.node.as_str().to_owned(), incarnation: id_bytes(member.incarnation.0), activated: member.activated.0 }
    }
}

impl TryFrom<proto::Member> for Member {
    type Error = ConvertError;

    fn try_from(member: proto::Member) -> Result<Self> {
        Ok(Self {
            node: node_id("member.node", &member.node)?,
            incarnation: incarnation("member.incarnation", &member.incarnation)?,
            activated: ChainVersion(member.activated),
        })
    }
}

impl From<NodeRecord> for proto::NodeRecord {
    fn from(record: NodeRecord) -> Self {
        let NodeRecord { node, incarnation, address, labels } = record;
        Self { node: node.as_str().to_owned(), incarnation: id_bytes(incarnation.0), address, labels }
    }
}

impl TryFrom<proto::NodeRecord> for NodeRecord {
    type Error = ConvertError;

    fn try_from(record: proto::NodeRecord) -> Result<Self> {
        Ok(Self {
            node: node_id("node_record.node", &record.node)?,
            incarnation: incarnation("node_record.incarnation", &record.incarnation)?,
            address: address("node_record.address", record.address)?,
            labels: labels(record.labels)?,
        })
    }
}

/// Labels that may be stored and sent on.
fn labels(labels: BTreeMap<String, String>) -> Result<BTreeMap<String, String>> {
    ranged("node_record.labels", labels.len() as u64, 0, LABELS)?;
    for (key, value) in &labels {
        ranged("the length of a key in node_record.labels", key.len() as u64, 1, LABEL_BYTES)?;
        ranged("the length of a value in node_record.labels", value.len() as u64, 1, LABEL_BYTES)?;
    }
    Ok(labels)
}

/// `host:port`, as it can be dialled.
fn address(field: &'static str, value: String) -> Result<String> {
    let dialable = value.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && port.parse::<u16>().is_ok() && crate::transport::endpoint(&value).is_ok()
    });
    if dialable { Ok(value) } else { Err(ConvertError::Address { field, value: value.chars().take(80).collect() }) }
}
