//! A status for reading: a line a node, a line a chain; of many chains only those that are not whole.

use std::collections::BTreeMap;
use std::fmt::Write;

use catena_core::{Chain, NodeStatus, Status, Wait};

use super::words;

/// More chains than this are summarised.
const CHAINS_SHOWN: usize = 32;
/// Of those that are not whole, so many are named.
const LACKING_SHOWN: usize = 16;

/// The table, with its last line's end.
pub(super) fn table(status: &Status) -> String {
    let mut out = String::new();
    nodes(&mut out, &status.nodes);
    let unassigned: Vec<&str> = status.unassigned().map(|node| node.stored.record.node.as_str()).collect();
    if !unassigned.is_empty() {
        line(
            &mut out,
            &format!(
                "unassigned: {} (no chain lacks a copy that its labels allow, or its turn is to come)",
                unassigned.join(", ")
            ),
        );
    }
    out.push('\n');
    match status.chains.len() {
        0 => out.push_str("No chains yet: fewer nodes have registered than the cluster was created to wait for.\n"),
        count if count <= CHAINS_SHOWN => chains(&mut out, status.chains.iter(), &status.waits),
        count => summary(&mut out, status, count),
    }
    out
}

fn nodes(out: &mut String, nodes: &[NodeStatus]) {
    let wide = nodes.iter().map(|node| node.stored.record.node.as_str().len()).max().unwrap_or(0).max(4);
    let far = nodes.iter().map(|node| node.stored.record.address.len()).max().unwrap_or(0).max(7);
    line(
        out,
        &format!(
            "{:<wide$}  {:<8} {:<16}  {:<far$}  {:>5} {:>5} {:>6} {:>7}  labels",
            "node", "health", "standing", "address", "heads", "tails", "copies", "joining"
        ),
    );
    for node in nodes {
        let record = &node.stored.record;
        let labels: Vec<String> = record.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let (health, standing) = (words::health(node.health), words::standing(node.stored.standing));
        let NodeStatus { heads, tails, replicas, joining, .. } = node;
        let (id, address, labels) = (record.node.as_str(), &record.address, labels.join(" "));
        line(
            out,
            &format!(
                "{id:<wide$}  {health:<8} {standing:<16}  {address:<far$}  {heads:>5} {tails:>5} {replicas:>6} {joining:>7}  {labels}"
            ),
        );
    }
}

fn chains<'a>(out: &mut String, chains: impl Iterator<Item = &'a Chain>, waits: &BTreeMap<catena_core::Slot, Wait>) {
    line(out, &format!("{:>5} {:>8}  chain, head first", "slot", "version"));
    for chain in chains {
        let wait = waits.get(&chain.slot).map_or("", |wait| words::explained(*wait));
        let members = members(chain);
        let gap = if wait.is_empty() { "" } else { "   " };
        line(out, &format!("{:>5} {:>8}  {members}{gap}{wait}", chain.slot, chain.version));
    }
}

/// `n1 > n2 > n3 (+ n4)`: the one in brackets is joining; a tail that is not ready has a question mark.
fn members(chain: &Chain) -> String {
    let mut text = chain.members.iter().map(|member| member.node.as_str()).collect::<Vec<_>>().join(" > ");
    if !chain.tail_ready {
        text.push('?');
    }
    if let Some(joining) = &chain.joining {
        let _ = write!(text, " (+ {})", joining.node);
    }
    text
}

fn summary(out: &mut String, status: &Status, count: usize) {
    let lacking = status.waits.len();
    if lacking == 0 {
        line(out, &format!("{count} chains, all whole"));
        return;
    }
    line(out, &format!("{count} chains, {} whole; of the others:", count - lacking));
    let mut reasons: BTreeMap<&str, u32> = BTreeMap::new();
    for wait in status.waits.values() {
        *reasons.entry(words::explained(*wait)).or_default() += 1;
    }
    for (reason, slots) in reasons {
        line(out, &format!("{slots:>7}  {reason}"));
    }
    out.push('\n');
    let not_whole = status.chains.iter().filter(|chain| status.waits.contains_key(&chain.slot));
    chains(out, not_whole.take(LACKING_SHOWN), &status.waits);
    if lacking > LACKING_SHOWN {
        line(out, &format!("      … and {} more: catena status -o json has them all", lacking - LACKING_SHOWN));
    }
}

fn line(out: &mut String, text: &str) {
    out.push_str(text.trim_end());
    out.push('\n');
}
