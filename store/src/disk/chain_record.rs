//! Chains on disk, of a node's slot and of the coordinator. Layouts are tabled in `docs/storage.md`.

use bytes::BufMut;
use catena_core::{Chain, ChainVersion, Epoch, Incarnation, Member, NodeId, Slot};

use super::frame::{Fields, put_bytes};
use crate::Damage;

/// Writes a chain, all but its slot, which is in the record's key.
pub(crate) fn put_chain(out: &mut Vec<u8>, chain: &Chain) {
    out.put_u64(chain.version.0);
    out.put_u64(chain.epoch.0);
    out.put_u8(u8::from(chain.tail_ready));
    out.put_u32(u32::try_from(chain.members.len()).expect("a chain has a handful of members"));
    for member in &chain.members {
        put_member(out, member);
    }
    out.put_u8(u8::from(chain.joining.is_some()));
    if let Some(joining) = &chain.joining {
        put_member(out, joining);
    }
}

pub(crate) fn parse_chain(slot: Slot, fields: &mut Fields<'_>) -> Result<Chain, Damage> {
    let version = ChainVersion(fields.u64("version")?);
    let epoch = Epoch(fields.u64("epoch")?);
    let tail_ready = fields.flag("tail's readiness")?;
    let count = fields.u32("member count")?;
    if count == 0 {
        return Err(Damage::Malformed("member count"));
    }
    let mut members = Vec::new();
    for _ in 0..count {
        members.push(parse_member(fields)?);
    }
    let joining = if fields.flag("joining replica")? { Some(parse_member(fields)?) } else { None };
    Ok(Chain { slot, version, epoch, members, tail_ready, joining })
}

fn put_member(out: &mut Vec<u8>, member: &Member) {
    put_bytes(out, member.node.as_str().as_bytes());
    out.put_u128(member.incarnation.0);
    out.put_u64(member.activated.0);
}

fn parse_member(fields: &mut Fields<'_>) -> Result<Member, Damage> {
    Ok(Member {
        node: parse_node_id(fields)?,
        incarnation: Incarnation(fields.u128("incarnation")?),
        activated: ChainVersion(fields.u64("activation")?),
    })
}

pub(crate) fn parse_node_id(fields: &mut Fields<'_>) -> Result<NodeId, Damage> {
    NodeId::new(fields.text("node id")?).map_err(|_| Damage::Malformed("node id"))
}
