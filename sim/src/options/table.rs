//! The options of a seed as people read them, before its run and where it has failed.

use std::fmt;

use super::Options;
use super::draw::ODDS;
use crate::faults::Fault;

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limits = &self.node.limits;
        let (coordinator, cluster) = (&self.coordinator, &self.coordinator.cluster);
        let rows: [(&str, String); 33] = [
            ("seed", self.seed.to_string()),
            ("temper", format!("{:?}", self.temper)),
            ("nodes, founders, racks", format!("{}, {}, {}", self.scale.nodes, cluster.founders, self.racks)),
            ("replicas, slots", format!("{}, {}", cluster.replicas, self.slots)),
            ("coordinators", format!("{}, {:?}", self.coordinators, coordinator.succession)),
            ("operations, bursts", format!("{}, {}", self.scale.operations, self.bursts)),
            ("clients, keys", format!("{}, {}", self.clients, self.keys)),
            ("large values up to", self.large.to_string()),
            ("gets by scan", self.scans.to_string()),
            ("think up to", format!("{:?}", self.think)),
            ("faults for", format!("{:?}", self.duration)),
            ("calm between faults", format!("{:?}", self.calm)),
            ("latency up to", format!("{:?}", self.latency)),
            ("sync up to", format!("{:?}", self.sync)),
            ("crash about a sync", self.aimed.to_string()),
            ("last copies die at damage", self.lonely.to_string()),
            ("no word of a disk's room", self.untold.to_string()),
            ("crash of a copy's source", self.broken_copies.to_string()),
            ("last copies gone for good", self.widows.to_string()),
            ("downtime from", format!("{:?}", self.downtime)),
            ("heartbeat, lease", format!("{:?}, {:?}", self.node.heartbeat, cluster.lease)),
            ("dead after, margin", format!("{:?}, {:?}", coordinator.dead_after, coordinator.margin)),
            ("flaps", format!("{} within {:?}, {:?}", coordinator.flap_threshold, coordinator.flap_window, coordinator.rejoin)),
            ("restraint", format!("{} % within {:?}", coordinator.restraint_percent, coordinator.restraint_window)),
            ("changing slots, joins", format!("{}, {}", coordinator.changing_slots, coordinator.joins_per_node)),
            ("probe, silence", format!("{:?}, {:?}", self.node.probe, self.node.silence)),
            ("apply after", format!("{:?} or {} entries", self.node.apply, limits.apply_entries)),
            ("writes in flight a slot", limits.slot_writes.to_string()),
            ("bytes a value, in flight", format!("{}, {} or {}", limits.value_bytes, limits.slot_bytes, limits.node_bytes)),
            ("bytes a message, a chunk", format!("{}, {}", limits.message_bytes, limits.chunk_bytes)),
            ("bytes retained, spilled", format!("{}, {}", limits.retain_bytes, limits.spill_bytes)),
            ("bytes copied a s", self.node.copy_rate.to_string()),
            ("faults", String::new()),
        ];
        for (name, value) in rows {
            writeln!(f, "  {name:<28}{value}")?;
        }
        let width = Fault::ALL.iter().map(|fault| fault.name().len()).max().unwrap_or(0) + 2;
        for fault in Fault::ALL {
            let odds = match (self.on(*fault), ODDS.iter().any(|(listed, ..)| listed == fault)) {
                (false, _) => "off".to_owned(),
                (true, false) => "on".to_owned(),
                (true, true) => self.odds(*fault).to_string(),
            };
            writeln!(f, "    {:<width$}{odds}", fault.name())?;
        }
        Ok(())
    }
}
