//! Entry ids, metadata, chains, nodes.

use catena_core::{Chain, ChainVersion, EntryId, Member, Metadata, NodeRecord, Seq, Slot, WallTime};

use super::{ConvertError, Result, all, each, id_bytes, incarnation, node_id, ranged};
use crate::proto;

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
        Self { slot: chain.slot.0, version: chain.version.0, members: each(chain.members) }
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
        for (index, member) in members.iter().enumerate() {
            if members[..index].iter().any(|before| before.node == member.node) {
                return Err(ConvertError::Order { field: "chain.members", index });
            }
        }
        Ok(Self { slot: Slot(chain.slot), version: ChainVersion(version), members })
    }
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
        Self { node: record.node.as_str().to_owned(), incarnation: id_bytes(record.incarnation.0), address: record.address }
    }
}

impl TryFrom<proto::NodeRecord> for NodeRecord {
    type Error = ConvertError;

    fn try_from(record: proto::NodeRecord) -> Result<Self> {
        Ok(Self {
            node: node_id("node_record.node", &record.node)?,
            incarnation: incarnation("node_record.incarnation", &record.incarnation)?,
            address: address("node_record.address", record.address)?,
        })
    }
}

/// `host:port`, as it can be dialled.
fn address(field: &'static str, value: String) -> Result<String> {
    let dialable = value.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && port.parse::<u16>().is_ok() && crate::transport::endpoint(&value).is_ok()
    });
    if dialable { Ok(value) } else { Err(ConvertError::Address { field, value: value.chars().take(80).collect() }) }
}
