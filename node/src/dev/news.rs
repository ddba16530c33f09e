//! What happens to the chains of a development cluster, told in lines: a node is dead, slots are being repaired, all is whole
//! again.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::{Duration, Instant};

use catena_core::{Chain, Health, NodeId, NodeStatus, Slot, Standing, Status, Wait};
use catena_net::admin::AdminClient;

use crate::cli::{complain, explained};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);
/// So many slots are named one by one.
const NAMED: usize = 6;

/// Tells what happens, for as long as it is polled. Of a coordinator that is away its own death is told elsewhere.
pub(super) async fn tell(endpoint: &str, replicas: u32) -> Infallible {
    let admin = AdminClient::new(vec![endpoint.to_owned()], None);
    let mut news = News::new(replicas);
    loop {
        if let Ok(status) = admin.status().await {
            news.lines(&status, Instant::now()).iter().for_each(|line| complain(line));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What was seen last.
struct News {
    replicas: usize,
    nodes: BTreeMap<NodeId, (Health, Standing)>,
    /// By slot, who had a copy, or was getting one; `None`: nothing was seen yet.
    copies: Option<BTreeMap<Slot, BTreeSet<NodeId>>>,
    /// Why slots wait, other than for what is under way.
    held_up: BTreeMap<&'static str, usize>,
    /// Since when not all is whole.
    lacking: Option<Instant>,
    /// When it was looked last.
    looked: Option<Instant>,
}

impl News {
    fn new(replicas: u32) -> Self {
        let replicas = replicas as usize;
        Self { replicas, nodes: BTreeMap::new(), copies: None, held_up: BTreeMap::new(), lacking: None, looked: None }
    }

    /// What is new in a status.
    fn lines(&mut self, status: &Status, now: Instant) -> Vec<String> {
        // What is new has begun since then; a repair may even be over before it is seen.
        let since = self.looked.replace(now).unwrap_or(now);
        let mut lines: Vec<String> = status.nodes.iter().flat_map(|node| self.of_node(node)).collect();
        let ill = status.nodes.iter().any(|node| node.health == Health::Dead);
        let verb = if ill || self.lacking.is_some() { "repaired" } else { "moved" };
        lines.extend(self.of_copies(&status.chains, verb));
        if !lines.is_empty() {
            self.lacking.get_or_insert(since);
        }
        lines.extend(self.of_waits(status));
        lines.extend(self.of_whole(status, now));
        lines
    }

    fn of_node(&mut self, node: &NodeStatus) -> Vec<String> {
        let id = &node.stored.record.node;
        let (health, standing) = (node.health, node.stored.standing);
        let Some((health_before, standing_before)) = self.nodes.insert(id.clone(), (health, standing)) else { return Vec::new() };
        let mut lines = Vec::new();
        let gone = |health| matches!(health, Health::Dead | Health::Stopped);
        match health {
            Health::Dead if health_before != Health::Dead => lines.push(format!("{id} is dead: it is taken out of its chains.")),
            Health::Stopped if health_before != Health::Stopped => lines.push(format!("{id} has stopped in order.")),
            Health::Healthy if gone(health_before) => lines.push(format!("{id} is back.")),
            Health::Healthy | Health::Unheard | Health::Suspect | Health::Dead | Health::Stopped => {}
        }
        match standing {
            Standing::Evicted { .. } if !matches!(standing_before, Standing::Evicted { .. }) => {
                lines.push(format!("{id} is evicted, and stays out until: catena node readmit {id}"));
            }
            Standing::Member | Standing::Draining | Standing::Evicted { .. } => {}
        }
        lines
    }

    fn of_copies(&mut self, chains: &[Chain], verb: &str) -> Vec<String> {
        let copies = |chain: &Chain| (chain.slot, chain.replicas().map(|replica| replica.node.clone()).collect());
        let copies: BTreeMap<Slot, BTreeSet<NodeId>> = chains.iter().map(copies).collect();
        let mut new: BTreeMap<&NodeId, Vec<Slot>> = BTreeMap::new();
        for (slot, nodes) in &copies {
            // The first chains are no repair.
            let Some(before) = self.copies.as_ref().and_then(|before| before.get(slot)) else { continue };
            for node in nodes.difference(before) {
                new.entry(node).or_default().push(*slot);
            }
        }
        let lines = new.iter().map(|(node, slots)| format!("{} being {verb}: {node} gets a copy.", named(slots))).collect();
        self.copies = Some(copies);
        lines
    }

    fn of_waits(&mut self, status: &Status) -> Vec<String> {
        let mut held_up: BTreeMap<&'static str, usize> = BTreeMap::new();
        for wait in status.waits.values() {
            match wait {
                Wait::NoCandidate | Wait::LastCopy | Wait::Restrained | Wait::Absence => {
                    *held_up.entry(explained(*wait)).or_default() += 1;
                }
                Wait::Joining | Wait::Fencing | Wait::Turn => {}
            }
        }
        let new = held_up.iter().filter(|(why, slots)| self.held_up.get(*why).is_none_or(|before| before < *slots));
        let lines = new.map(|(why, slots)| format!("{} not repaired yet: {why}.", counted(*slots))).collect();
        self.held_up = held_up;
        lines
    }

    fn of_whole(&mut self, status: &Status, now: Instant) -> Option<String> {
        let whole = |chain: &Chain| chain.members.len() >= self.replicas && chain.tail_ready && chain.joining.is_none();
        if !status.chains.iter().all(whole) || !status.waits.is_empty() {
            self.lacking.get_or_insert(now);
            return None;
        }
        let took = now.duration_since(self.lacking.take()?).as_secs_f64();
        Some(format!("All slots are whole again: {} copies of every key ({took:.1} s).", self.replicas))
    }
}

fn named(slots: &[Slot]) -> String {
    let names: Vec<String> = slots.iter().take(NAMED).map(ToString::to_string).collect();
    let names = names.join(", ");
    match slots.len() {
        1 => format!("Slot {names} is"),
        count if count <= NAMED => format!("Slots {names} are"),
        count => format!("Slots {names} and {} more are", count - NAMED),
    }
}

fn counted(slots: usize) -> String {
    if slots == 1 { "1 slot is".to_owned() } else { format!("{slots} slots are") }
}

#[cfg(test)]
mod tests {
    use catena_core::{ChainVersion, Epoch, Incarnation, Member, NodeRecord, StoredNode};

    use super::*;

    fn id(name: &str) -> NodeId {
        NodeId::new(name).unwrap()
    }

    fn status(health: &[(&str, Health)], members: &[&str], joining: Option<&str>, wait: Option<Wait>) -> Status {
        let node = |(name, health): &(&str, Health)| {
            let record =
                NodeRecord { node: id(name), incarnation: Incarnation(1), address: "h:1".to_owned(), labels: BTreeMap::new() };
            let stored = StoredNode { record, standing: Standing::Member, flaps: Vec::new(), evictions: 0 };
            NodeStatus { stored, health: *health, heads: 0, tails: 0, replicas: 0, joining: 0 }
        };
        let member = |name: &str| Member { node: id(name), incarnation: Incarnation(1), activated: ChainVersion(1) };
        let chain = |slot| Chain {
            slot: Slot(slot),
            version: ChainVersion(1),
            epoch: Epoch(1),
            members: members.iter().map(|name| member(name)).collect(),
            tail_ready: true,
            joining: joining.map(member),
        };
        let waits = wait.map(|wait| (Slot(0), wait)).into_iter().collect();
        Status { epoch: Epoch(1), nodes: health.iter().map(node).collect(), chains: (0..8).map(chain).collect(), waits }
    }

    #[test]
    fn a_repair_is_told_from_death_to_wholeness() {
        let began = Instant::now();
        let mut news = News::new(2);
        let well = [("n1", Health::Healthy), ("n2", Health::Healthy), ("n3", Health::Healthy)];
        let ill = [("n1", Health::Healthy), ("n2", Health::Dead), ("n3", Health::Healthy)];
        let nothing: Vec<String> = Vec::new();
        assert_eq!(news.lines(&status(&well, &["n1", "n2"], None, None), began), nothing);
        let lines = news.lines(&status(&ill, &["n1"], None, Some(Wait::Turn)), began);
        assert_eq!(lines, ["n2 is dead: it is taken out of its chains."]);
        let joining = status(&ill, &["n1"], Some("n3"), Some(Wait::Joining));
        let lines = news.lines(&joining, began);
        assert_eq!(lines, ["Slots 0, 1, 2, 3, 4, 5 and 2 more are being repaired: n3 gets a copy."]);
        assert_eq!(news.lines(&joining, began), nothing, "told once");
        let lines = news.lines(&status(&ill, &["n1", "n3"], None, None), began + Duration::from_secs(2));
        assert_eq!(lines, ["All slots are whole again: 2 copies of every key (2.0 s)."]);
        let lines = news.lines(&status(&well, &["n1", "n3"], None, None), began + Duration::from_secs(3));
        assert_eq!(lines, ["n2 is back.", "All slots are whole again: 2 copies of every key (1.0 s)."]);
        let lines = news.lines(&status(&well, &["n1", "n3"], Some("n2"), Some(Wait::Joining)), began + Duration::from_secs(4));
        assert_eq!(lines, ["Slots 0, 1, 2, 3, 4, 5 and 2 more are being moved: n2 gets a copy."]);
    }

    #[test]
    fn a_repair_that_is_over_before_it_is_seen_is_told_too() {
        let mut news = News::new(2);
        let ill = [("n1", Health::Healthy), ("n2", Health::Dead), ("n3", Health::Healthy)];
        let well = ill.map(|(node, _)| (node, Health::Healthy));
        news.lines(&status(&well, &["n1", "n2"], None, None), Instant::now());
        let lines = news.lines(&status(&ill, &["n1", "n3"], None, None), Instant::now());
        assert!(lines[0].contains("n2 is dead") && lines[1].contains("being repaired: n3"), "{lines:?}");
        assert!(lines[2].contains("All slots are whole again"), "{lines:?}");
    }

    #[test]
    fn what_cannot_be_repaired_is_told_with_the_reason() {
        let mut news = News::new(2);
        let ill = [("n1", Health::Healthy), ("n2", Health::Dead)];
        news.lines(&status(&ill, &["n1", "n2"], None, None), Instant::now());
        let lines = news.lines(&status(&ill, &["n1"], None, Some(Wait::NoCandidate)), Instant::now());
        assert_eq!(lines, ["1 slot is not repaired yet: no other node with fitting labels is there: add one."]);
    }
}
