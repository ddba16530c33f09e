//! What the disks of a cluster have in the end: all replicas of a chain the same.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use catena_core::{Chain, NodeId, Object, Slot};
use catena_store::{Directory, FjallReader, FjallStore, Owner, Pinned as _, Reader as _, Store as _, StoreError};
use tokio::time::sleep;

use crate::check::Violation;
use crate::check::state::Stored;

use super::Trouble;
use super::cluster::{Cluster, SLOTS};
use super::network::Host;

/// How much is read at once.
const PART: usize = 1 << 20;

/// Longer than committed entries wait to be applied.
const APPLIED: Duration = Duration::from_secs(1);

/// What a node has of a slot.
#[derive(Debug)]
struct Replica {
    /// The last chain that it adopted.
    chain: Option<Chain>,
    stored: Stored,
}

/// By slot and node.
type Replicas = BTreeMap<(Slot, NodeId), Replica>;

/// Ends a whole cluster in which nobody writes, and compares what its nodes have; how many replicas that was.
pub(super) async fn compare(cluster: &mut Cluster<'_>) -> Result<usize, Trouble> {
    // First whoever moves chains.
    cluster.coordinator.stop().await?;
    sleep(APPLIED).await;
    cluster.look_at_nodes()?;
    cluster.kill_all().await;
    let mut replicas = Replicas::new();
    for host in Host::all().filter(|host| matches!(host, Host::Node(_))) {
        let node = NodeId::new(&host.to_string()).expect("a legal name");
        let data = cluster.data(host);
        if !data.join("identity").is_file() {
            return Err(Trouble::Here(format!("somebody has removed {}", data.display())));
        }
        let read = read(&data, &node, &mut replicas);
        read.map_err(|error| Trouble::Here(format!("cannot read the data of {node}: {error}")))?;
    }
    let same = (0..SLOTS).map(|slot| same(Slot(slot), &replicas));
    same.sum::<Result<usize, Violation>>().map_err(Trouble::Violated)
}

/// All members of a slot's newest chain have what its head has.
fn same(slot: Slot, replicas: &Replicas) -> Result<usize, Violation> {
    let chains = replicas.iter().filter(|((found, _), _)| *found == slot).filter_map(|(_, replica)| replica.chain.as_ref());
    let newest = chains.max_by_key(|chain| chain.version);
    demand!(newest.is_some(), Histories, "C1", "slot {slot}: no disk knows its chain");
    let members = &newest.expect("just demanded").members;
    let of = |index: usize| replicas.get(&(slot, members[index].node.clone())).map(|replica| &replica.stored);
    for index in 0..members.len() {
        demand!(
            of(index).is_some() && of(index) == of(0),
            Histories,
            "W11, J1",
            "slot {slot}: the disk of {} differs from that of {}: {:?} instead of {:?}",
            members[index].node,
            members[0].node,
            of(index),
            of(0)
        );
    }
    Ok(members.len())
}

fn read(data: &Path, node: &NodeId, replicas: &mut Replicas) -> Result<(), StoreError> {
    let (mut directory, _) = Directory::open(data, &Owner::Node(node.clone()))?;
    let mut store = FjallStore::open(&mut directory)?;
    let recovered = store.recover()?;
    let reader = store.reader();
    for found in recovered {
        let replica = Replica { chain: found.chain, stored: stored(&reader, found.slot)? };
        replicas.insert((found.slot, node.clone()), replica);
    }
    Ok(())
}

fn stored(reader: &FjallReader, slot: Slot) -> Result<Stored, StoreError> {
    let pinned = reader.pin(slot)?;
    let mut objects: Vec<(Bytes, Object)> = Vec::new();
    loop {
        let after = objects.last().map(|(key, _)| key.clone());
        let part = pinned.read(after.as_deref(), PART)?.expect("each part is behind the one before");
        objects.extend(part.objects);
        if let Some(end) = part.end {
            return Ok(Stored { at: pinned.at(), objects, sessions: end.sessions });
        }
    }
}

#[cfg(test)]
mod tests {
    use catena_core::{ChainVersion, EntryId, Epoch, Incarnation, Member, Seq};

    use super::*;

    const SLOT: Slot = Slot(0);

    fn node(number: u64) -> NodeId {
        NodeId::new(&format!("n{number}")).expect("a legal name")
    }

    /// A node's replica that stands at `seq`, and whose last chain is `version`, of these nodes.
    fn replica(number: u64, version: u64, members: &[u64], seq: u64) -> ((Slot, NodeId), Replica) {
        let member = |number: &u64| Member { node: node(*number), incarnation: Incarnation(1), activated: ChainVersion(1) };
        let chain = Chain {
            slot: SLOT,
            version: ChainVersion(version),
            epoch: Epoch(1),
            members: members.iter().map(member).collect(),
            tail_ready: true,
            joining: None,
        };
        let at = EntryId { version: ChainVersion(1), seq: Seq(seq) };
        let stored = Stored { at, objects: Vec::new(), sessions: Vec::new() };
        ((SLOT, node(number)), Replica { chain: Some(chain), stored })
    }

    #[test]
    fn members_of_the_newest_chain_are_compared_and_others_are_not() {
        let newest = |seq| [replica(1, 3, &[1, 2], 7), replica(2, 3, &[1, 2], seq), replica(3, 2, &[1, 2, 3], 5)].into();
        assert_eq!(same(SLOT, &newest(7)), Ok(2));
        let caught = same(SLOT, &newest(6)).expect_err("another state");
        assert!(caught.sentence.contains("the disk of n2 differs from that of n1"), "{caught}");
    }

    #[test]
    fn a_member_without_data_is_caught() {
        same(SLOT, &[replica(1, 3, &[1, 2], 7)].into()).expect_err("n2 has nothing");
        same(SLOT, &Replicas::new()).expect_err("nobody has anything");
    }
}
