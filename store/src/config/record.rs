//! The coordinator's records. Numbers are big-endian; layouts are tabled in `docs/storage.md`.

use std::time::Duration;

use bytes::BufMut;
use catena_core::{Change, ClusterConfig, ClusterId, Incarnation, NodeRecord, Record, Revision, Slot};

use crate::Damage;
use crate::disk::frame::{Fields, put_bytes};
use crate::disk::record::{parse_chain, parse_node_id, put_chain};

pub(super) const CLUSTER_KEY: &[u8] = b"cluster";
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
        Record::Node(node) => [NODE_PREFIX, node.node.as_str().as_bytes()].concat(),
        Record::Chain(chain) => chain_key(chain.slot),
    }
}

pub(super) fn put_change(out: &mut Vec<u8>, change: &Change) {
    out.put_u64(change.revision.0);
    match &change.record {
        Record::Node(node) => {
            put_bytes(out, node.node.as_str().as_bytes());
            out.put_u128(node.incarnation.0);
            put_bytes(out, node.address.as_bytes());
        }
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

fn parse_node(fields: &mut Fields<'_>) -> Result<NodeRecord, Damage> {
    let node = parse_node_id(fields)?;
    let incarnation = Incarnation(fields.u128("incarnation")?);
    let address = String::from_utf8(fields.bytes("address")?.to_vec()).map_err(|_| Damage::Malformed("address"))?;
    Ok(NodeRecord { node, incarnation, address })
}

pub(super) fn put_cluster(out: &mut Vec<u8>, config: &ClusterConfig) {
    out.put_u128(config.cluster.0);
    out.put_u32(config.slots);
    out.put_u32(config.replicas);
    out.put_u64(u64::try_from(config.lease.as_nanos()).expect("a lease is far below 500 years"));
    out.put_u32(u32::try_from(config.nodes.len()).expect("a cluster has far fewer nodes"));
    for node in &config.nodes {
        put_bytes(out, node.as_str().as_bytes());
    }
}

pub(super) fn parse_cluster(body: &[u8]) -> Result<ClusterConfig, Damage> {
    let mut fields = Fields(body);
    let cluster = ClusterId(fields.u128("cluster id")?);
    let slots = fields.u32("slots")?;
    let replicas = fields.u32("replicas")?;
    let lease = Duration::from_nanos(fields.u64("lease")?);
    let mut nodes = Vec::new();
    for _ in 0..fields.u32("node count")? {
        nodes.push(parse_node_id(&mut fields)?);
    }
    fields.end()?;
    Ok(ClusterConfig { cluster, slots, replicas, nodes, lease })
}

/// Decodes `data` as every kind of record; for fuzzing.
pub(crate) fn decode_any(data: &[u8]) {
    let _ = parse_cluster(data);
    let _ = parse_change(&chain_key(Slot(0)), data);
    let _ = parse_change(NODE_PREFIX, data);
}
