//! The cluster of a scenario: how many of what, and which settings differ from the protocol's starting values.

use std::time::Duration;

use catena_core::{ClusterConfig, ClusterId, CoordinatorConfig, Limits, NodeConfig, Rejoin, Succession};

use super::error::Problem;
use super::names::Names;
use super::words::{Words, duration, number};
use crate::options::{Options, Scale};
use crate::rng::{Chance, Odds};

const KNOWN: &str = "nodes, replicas, slots, founders, coordinators, clients, racks, absent, claim, restraint, absence, rejoin, flap-threshold, \
                     flap-window, join-patience, changing-slots, joins-per-node, session-idle, apply, value-limit, chunk-bytes, \
                     copy-rate, retain-bytes, spill-bytes, drift";

/// A cluster.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) options: Options,
    pub(crate) clients: Vec<String>,
    /// By node: the number of its rack, if it is labelled with one.
    pub(crate) racks: Vec<Option<usize>>,
    /// By node: how much its clocks run fast (or slow), in parts per million.
    pub(crate) drift: Vec<i64>,
    /// Nodes that start with the cluster.
    pub(crate) present: Vec<usize>,
}

impl Shape {
    pub(crate) fn parse(words: &mut Words<'_>) -> Result<Self, Problem> {
        let nodes = count(words, "nodes", "nodes", 3)?;
        let replicas = count(words, "replicas", "replicas", nodes.min(3))?;
        if replicas > nodes {
            return Err(Problem::TooManyReplicas { replicas, nodes });
        }
        let coordinators = count(words, "coordinators", "coordinators", 1)?;
        let founders = count(words, "founders", "founders", nodes)?.clamp(replicas, nodes);
        let slots = words.option("slots").map_or(Ok(1), number)?;
        if !(1..=64).contains(&slots) {
            return Err(Problem::OutOfRange { what: "slots (or up to 64)", given: u64::from(slots) });
        }
        let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        let clients = words.option("clients").map_or_else(|| list("alice"), list);
        let racks = by_node(words.option("racks"), nodes, |text| number(text).map(Some))?;
        let drift = by_node(words.option("drift"), nodes, number)?;
        let absent = words.option("absent").map_or_else(Vec::new, list);
        let late = |node: &usize| absent.iter().any(|name| *name == format!("n{}", node + 1));
        let present = (0..nodes).filter(|node| !late(node)).collect();
        let cluster = ClusterConfig {
            cluster: ClusterId(0xca7e_9a00_0000_0000_0000_0000_0000_0000),
            slots,
            replicas: u32::try_from(replicas).expect("at most 9"),
            founders: u32::try_from(founders).expect("at most 9"),
            lease: Duration::from_millis(600),
        };
        let options = Options {
            chance: Chance::None,
            coordinators,
            racks: racks.iter().flatten().collect::<std::collections::BTreeSet<_>>().len(),
            slots,
            clients: clients.len(),
            bursts: 1,
            duration: Duration::ZERO,
            latency: Duration::from_millis(1),
            sync: Duration::from_millis(1),
            aimed: Odds::NEVER,
            scans: Odds::NEVER,
            odds: Vec::new(),
            node: node(slots, words)?,
            coordinator: coordinator(cluster, coordinators, words)?,
            ..Options::draw(0, Scale { nodes, operations: 0, coordinators: Some(coordinators), ..Scale::default() })
        };
        words.end(KNOWN)?;
        Ok(Self { options, clients, racks, drift, present })
    }

    pub(crate) fn names(&self) -> Names {
        Names { nodes: self.options.scale.nodes, coordinators: self.options.coordinators, clients: self.clients.clone() }
    }
}

fn count(words: &mut Words<'_>, option: &str, what: &'static str, default: usize) -> Result<usize, Problem> {
    let given = words.option(option).map_or(Ok(default as u64), number)?;
    match usize::try_from(given) {
        Ok(count @ 1..=9) => Ok(count),
        Ok(_) | Err(_) => Err(Problem::OutOfRange { what, given }),
    }
}

/// A list with a value for each of the first nodes.
fn by_node<T: Clone + Default>(
    given: Option<&str>,
    nodes: usize,
    parse: impl Fn(&str) -> Result<T, Problem>,
) -> Result<Vec<T>, Problem> {
    let mut values = given.map_or(Ok(Vec::new()), |text| text.split(',').map(parse).collect::<Result<Vec<T>, Problem>>())?;
    values.resize(nodes, T::default());
    Ok(values)
}

/// Puts an option's value where it belongs, if it is given.
fn set<T>(place: &mut T, given: Option<&str>, parse: impl Fn(&str) -> Result<T, Problem>) -> Result<(), Problem> {
    if let Some(given) = given {
        *place = parse(given)?;
    }
    Ok(())
}

fn node(slots: u32, words: &mut Words<'_>) -> Result<NodeConfig, Problem> {
    let mut config = NodeConfig { limits: Limits::default(), ..NodeConfig::new(slots) };
    set(&mut config.session_idle, words.option("session-idle"), duration)?;
    set(&mut config.apply, words.option("apply"), duration)?;
    set(&mut config.copy_rate, words.option("copy-rate"), number)?;
    set(&mut config.limits.value_bytes, words.option("value-limit"), number)?;
    set(&mut config.limits.chunk_bytes, words.option("chunk-bytes"), number)?;
    set(&mut config.limits.retain_bytes, words.option("retain-bytes"), number)?;
    set(&mut config.limits.spill_bytes, words.option("spill-bytes"), number)?;
    Ok(config)
}

fn coordinator(cluster: ClusterConfig, coordinators: usize, words: &mut Words<'_>) -> Result<CoordinatorConfig, Problem> {
    let mut config = CoordinatorConfig::new(cluster);
    if coordinators > 1 {
        let mut claim = Duration::from_secs(2);
        set(&mut claim, words.option("claim"), duration)?;
        config.succession = Succession::Shared { claim, renew: Duration::from_millis(250) };
    }
    // Two of three nodes may fail in a scenario, unless it is about restraint.
    config.restraint_percent = 100;
    set(&mut config.restraint_percent, words.option("restraint"), number)?;
    set(&mut config.absence, words.option("absence"), duration)?;
    set(&mut config.flap_threshold, words.option("flap-threshold"), number)?;
    set(&mut config.flap_window, words.option("flap-window"), duration)?;
    set(&mut config.join_patience, words.option("join-patience"), duration)?;
    set(&mut config.changing_slots, words.option("changing-slots"), number)?;
    set(&mut config.joins_per_node, words.option("joins-per-node"), number)?;
    set(&mut config.rejoin, words.option("rejoin"), |text| match text {
        "manual" => Ok(Rejoin::Manual),
        after => duration(after).map(Rejoin::Auto),
    })?;
    Ok(config)
}
