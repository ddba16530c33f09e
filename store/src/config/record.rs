//! The coordinator's records. Numbers are big-endian; layouts are tabled in `docs/storage.md`.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::BufMut;
use catena_core::{
    Change, ClusterConfig, ClusterId, Epoch, Eviction, Incarnation, Leadership, NodeRecord, Record, Revision, Slot, Standing,
    StoredNode, WallTime,
};

use crate::Damage;
use crate::disk::any::same;
use crate::disk::chain_record::{parse_chain, parse_node_id, put_chain};
use crate::disk::frame::{Fields, put_bytes};

pub(super) const CLUSTER_KEY: &[u8] = b"cluster";
pub(super) const LEADERSHIP_KEY: &[u8] = b"leadership";
const CHAIN_PREFIX: &[u8] = b"chain/";
const NODE_PREFIX: &[u8] = b"node/";

/// `chain/` and the slot in eight hexadecimal digits.
pub(super) fn chain_key(slot: Slot) -> Vec<u8> {
    let mut key = CHAIN_PREFIX.to_vec();
    key.extend_from_slice(format!("{:08x}", slot.0).as_bytes());
    key
}

/// Where a change is stored: a later one of the same node or slot takes its place.
pub(super) fn change_key(record: &Record) -> Vec<u8> {
    match record {
        Record::Node(node) => [NODE_PREFIX, node.record.node.as_str().as_bytes()].concat(),
        Record::Chain(chain) => chain_key(chain.slot),
    }
}

pub(super) fn put_change(out: &mut Vec<u8>, change: &Change) {
    out.put_u64(change.revision.0);
    match &change.record {
        Record::Node(node) => put_node(out, node),
        Record::Chain(chain) => put_chain(out, chain),
    }
}

pub(super) fn parse_change(key: &[u8], body: &[u8]) -> Result<Change, Damage> {
    let mut fields = Fields(body);
    let revision = Revision(fields.u64("revision")?);
    let record = if let Some(slot) = key.strip_prefix(CHAIN_PREFIX) {
        Record::Chain(parse_chain(parse_slot(slot)?, &mut fields)?)
    } else {
        Record::Node(parse_node(&mut fields)?)
    };
    fields.end()?;
    let change = Change { revision, record };
    if change_key(&change.record) == key { Ok(change) } else { Err(Damage::Malformed("key")) }
}

fn parse_slot(digits: &[u8]) -> Result<Slot, Damage> {
    let digits = std::str::from_utf8(digits).map_err(|_| Damage::Malformed("key"))?;
    u32::from_str_radix(digits, 16).map(Slot).map_err(|_| Damage::Malformed("key"))
}

const MEMBER: u8 = 0;
const DRAINING: u8 = 1;
const FLAPPING: u8 = 2;
const ORDERED: u8 = 3;

fn put_node(out: &mut Vec<u8>, node: &StoredNode) {
    let StoredNode { record: NodeRecord { node, incarnation, address, labels }, standing, flaps, evictions } = node;
    put_bytes(out, node.as_str().as_bytes());
    out.put_u128(incarnation.0);
    put_bytes(out, address.as_bytes());
    out.put_u32(u32::try_from(labels.len()).expect("a node has a handful of labels"));
    for (key, value) in labels {
        put_bytes(out, key.as_bytes());
        put_bytes(out, value.as_bytes());
    }
    let (kind, at) = match standing {
        Standing::Member => (MEMBER, None),
        Standing::Draining => (DRAINING, None),
        Standing::Evicted { reason: Eviction::Flapping, at } => (FLAPPING, Some(at)),
        Standing::Evicted { reason: Eviction::Ordered, at } => (ORDERED, Some(at)),
    };
    out.put_u8(kind);
    if let Some(at) = at {
        out.put_u64(at.0);
    }
    out.put_u32(*evictions);
    out.put_u32(u32::try_from(flaps.len()).expect("a handful of flaps evict a node"));
    for flap in flaps {
        out.put_u64(flap.0);
    }
}

fn parse_node(fields: &mut Fields<'_>) -> Result<StoredNode, Damage> {
    let node = parse_node_id(fields)?;
    let incarnation = Incarnation(fields.u128("incarnation")?);
    let address = fields.text("address")?.to_owned();
    let mut labels = BTreeMap::new();
    for _ in 0..fields.u32("label count")? {
        let key = fields.text("label")?.to_owned();
        if labels.last_key_value().is_some_and(|(last, _)| *last >= key) {
            return Err(Damage::Malformed("label"));
        }
        labels.insert(key, fields.text("label")?.to_owned());
    }
    let standing = match fields.u8("standing")? {
        MEMBER => Standing::Member,
        DRAINING => Standing::Draining,
        FLAPPING => Standing::Evicted { reason: Eviction::Flapping, at: WallTime(fields.u64("time of eviction")?) },
        ORDERED => Standing::Evicted { reason: Eviction::Ordered, at: WallTime(fields.u64("time of eviction")?) },
        _ => return Err(Damage::Malformed("standing")),
    };
    let evictions = fields.u32("count of evictions")?;
    let mut flaps = Vec::new();
    for _ in 0..fields.u32("count of flaps")? {
        flaps.push(WallTime(fields.u64("flap")?));
    }
    Ok(StoredNode { record: NodeRecord { node, incarnation, address, labels }, standing, flaps, evictions })
}

pub(super) fn put_leadership(out: &mut Vec<u8>, leadership: Leadership) {
    out.put_u64(leadership.epoch.0);
    out.put_u64(leadership.beat);
}

pub(super) fn parse_leadership(body: &[u8]) -> Result<Leadership, Damage> {
    let mut fields = Fields(body);
    let leadership = Leadership { epoch: Epoch(fields.u64("epoch")?), beat: fields.u64("beat")? };
    fields.end()?;
    Ok(leadership)
}

pub(super) fn put_cluster(out: &mut Vec<u8>, config: &ClusterConfig) {
    out.put_u128(config.cluster.0);
    out.put_u32(config.slots);
    out.put_u32(config.replicas);
    out.put_u64(u64::try_from(config.lease.as_nanos()).expect("a lease is far below 500 years"));
    out.put_u32(config.founders);
}

pub(super) fn parse_cluster(body: &[u8]) -> Result<ClusterConfig, Damage> {
    let mut fields = Fields(body);
    let cluster = ClusterId(fields.u128("cluster id")?);
    let slots = fields.u32("slots")?;
    let replicas = fields.u32("replicas")?;
    let lease = Duration::from_nanos(fields.u64("lease")?);
    let founders = fields.u32("founders")?;
    fields.end()?;
    Ok(ClusterConfig { cluster, slots, replicas, founders, lease })
}

/// Reads `data` as a record of each kind; for `fuzz/`. What makes sense of it is written as it was.
pub(crate) fn check_any(data: &[u8]) {
    same(data, parse_cluster(data), |cluster, out| put_cluster(out, cluster));
    same(data, parse_leadership(data), |leadership, out| put_leadership(out, *leadership));
    let mut fields = Fields(data);
    let node = fields.u64("revision").and_then(|_| parse_node_id(&mut fields));
    let node_key = node.map(|node| [NODE_PREFIX, node.as_str().as_bytes()].concat());
    for key in [Some(chain_key(Slot(7))), node_key.ok(), Some(data.to_vec())].into_iter().flatten() {
        same(data, parse_change(&key, data), |change, out| put_change(out, change));
    }
}

#[cfg(test)]
mod tests {
    use catena_core::NodeId;

    use super::*;

    /// Written otherwise, it would be another record: so it is none.
    #[test]
    fn a_node_whose_labels_are_out_of_order_or_doubled_is_malformed() {
        let labels = BTreeMap::from(["rack", "zone"].map(|key| (key.to_owned(), "r".to_owned())));
        let node = NodeId::new("n1").expect("legal");
        let record = NodeRecord { node, incarnation: Incarnation(7), address: "h:1".to_owned(), labels };
        let mut bytes = Vec::new();
        put_node(&mut bytes, &StoredNode { record, standing: Standing::Member, flaps: Vec::new(), evictions: 0 });
        let at = bytes.windows(4).position(|part| part == b"zone").expect("it is written");
        for (key, fits) in [(b"zone", true), (b"rack", false), (b"a---", false)] {
            bytes[at..at + 4].copy_from_slice(key);
            assert_eq!(parse_node(&mut Fields(&bytes)).is_ok(), fits, "{}", key.escape_ascii());
        }
    }
}
