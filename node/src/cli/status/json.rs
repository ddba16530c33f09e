//! A status as one line of JSON.

use std::collections::BTreeMap;

use catena_core::{Chain, NodeStatus, Status, Wait};
use serde::Serialize;

use super::words;

#[derive(Debug, Serialize)]
struct Line<'a> {
    nodes: Vec<Node<'a>>,
    chains: Vec<Link<'a>>,
    unassigned: Vec<&'a str>,
    epoch: u64,
}

#[derive(Debug, Serialize)]
struct Node<'a> {
    id: &'a str,
    health: &'static str,
    standing: &'static str,
    address: &'a str,
    labels: &'a BTreeMap<String, String>,
    heads: u32,
    tails: u32,
    replicas: u32,
    joining: u32,
    flaps: usize,
}

#[derive(Debug, Serialize)]
struct Link<'a> {
    slot: u32,
    version: u64,
    members: Vec<&'a str>,
    joining: Option<&'a str>,
    tail_ready: bool,
    wait: Option<&'static str>,
}

/// The line, without its end.
pub(super) fn line(status: &Status) -> String {
    let line = Line {
        nodes: status.nodes.iter().map(node).collect(),
        chains: status.chains.iter().map(|chain| link(chain, status.waits.get(&chain.slot).copied())).collect(),
        unassigned: status.unassigned().map(|node| node.stored.record.node.as_str()).collect(),
        epoch: status.epoch.0,
    };
    serde_json::to_string(&line).expect("texts and numbers are JSON")
}

fn node(status: &NodeStatus) -> Node<'_> {
    let record = &status.stored.record;
    Node {
        id: record.node.as_str(),
        health: words::health(status.health),
        standing: words::standing(status.stored.standing),
        address: &record.address,
        labels: &record.labels,
        heads: status.heads,
        tails: status.tails,
        replicas: status.replicas,
        joining: status.joining,
        flaps: status.stored.flaps.len(),
    }
}

fn link(chain: &Chain, wait: Option<Wait>) -> Link<'_> {
    Link {
        slot: chain.slot.0,
        version: chain.version.0,
        members: chain.members.iter().map(|member| member.node.as_str()).collect(),
        joining: chain.joining.as_ref().map(|member| member.node.as_str()),
        tail_ready: chain.tail_ready,
        wait: wait.map(words::wait),
    }
}
