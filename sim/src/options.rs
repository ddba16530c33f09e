//! What a seed decides before its world begins: sizes, rates, and which faults there are.

use std::fmt;
use std::time::Duration;

use catena_core::{Limits, NodeConfig};

use crate::faults::Fault;
use crate::rng::{Odds, Rng};

/// What is asked for on the command line, the same for all seeds of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// Storage nodes.
    pub nodes: usize,
    /// Operations of clients.
    pub operations: usize,
}

impl Default for Scale {
    fn default() -> Self {
        Self { nodes: 3, operations: 1_000 }
    }
}

/// The options of one world.
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) seed: u64,
    pub(crate) scale: Scale,
    pub(crate) replicas: u32,
    pub(crate) slots: u32,
    pub(crate) clients: usize,
    pub(crate) keys: usize,
    pub(crate) bursts: usize,
    /// How long a client thinks between two operations of a burst, at most.
    pub(crate) think: Duration,
    /// How long faults go on before the world heals.
    pub(crate) duration: Duration,
    /// Between two faults of a kind that the world injects, on average, besides those of bursts.
    pub(crate) calm: Duration,
    /// The longest way of a message on a healthy link.
    pub(crate) latency: Duration,
    /// The longest sync of a healthy disk.
    pub(crate) sync: Duration,
    /// How likely a node goes down about the sync of entries that it was just handed, in one of the ways that are on:
    /// when most is at stake.
    pub(crate) aimed: Odds,
    /// How long a process is down, at least; the tail is heavy.
    pub(crate) downtime: Duration,
    /// How often a fault of a single message, call or sync occurs.
    pub(crate) odds: Vec<(Fault, Odds)>,
    pub(crate) node: NodeConfig,
    pub(crate) lease: Duration,
}

/// Faults that hit one message, call or sync: each has odds. The others are injected.
const ODDS: [(Fault, u32, u32); 13] = [
    (Fault::Drop, 1_000, 60_000),
    (Fault::Delay, 1_000, 60_000),
    (Fault::Duplicate, 1_000, 100_000),
    (Fault::LostRequest, 500, 15_000),
    (Fault::LostReply, 500, 15_000),
    (Fault::StaleRoute, 5_000, 100_000),
    (Fault::Misroute, 1_000, 30_000),
    (Fault::LostHeartbeat, 1_000, 200_000),
    (Fault::LostAnswer, 1_000, 200_000),
    (Fault::DelayedAnswer, 1_000, 200_000),
    (Fault::RepeatedAnswer, 1_000, 100_000),
    (Fault::SlowSync, 10_000, 300_000),
    (Fault::SlowCommit, 10_000, 300_000),
];

impl Options {
    /// Draws the options of a seed.
    pub fn draw(seed: u64, scale: Scale) -> Self {
        let rng = &mut Rng::new(seed);
        let nodes = u32::try_from(scale.nodes).expect("a few nodes");
        // Mostly full chains; shorter ones, down to a chain of one, now and then.
        let replicas =
            if rng.chance(Odds::percent(85)) { nodes.min(3) } else { nodes.min(u32::try_from(rng.between(1, 3)).expect("3")) };
        let slots = u32::try_from(rng.between(1, 4)).expect("4");
        let ms = Duration::from_millis;
        let us = Duration::from_micros;
        let node = NodeConfig {
            limits: Limits {
                slot_writes: *rng.pick(&[4, 64, 1024]),
                apply_entries: *rng.pick(&[1, 8, 256]),
                message_bytes: *rng.pick(&[1, 300, 256 << 10]),
                ..Limits::default()
            },
            heartbeat: ms(*rng.pick(&[100, 100, 50, 200])),
            probe: ms(*rng.pick(&[50, 50, 10])),
            apply: ms(*rng.pick(&[20, 20, 1, 200])),
            ..NodeConfig::new(slots)
        };
        Self {
            seed,
            scale,
            replicas,
            slots,
            clients: usize::try_from(rng.between(3, 10)).expect("10"),
            keys: usize::try_from(rng.between(1, 8)).expect("8"),
            bursts: usize::try_from(rng.between(10, 40)).expect("40"),
            think: ms(*rng.pick(&[1, 5, 30, 100])),
            duration: Duration::from_secs(55),
            calm: ms(rng.between(1_000, 6_000)),
            latency: us(*rng.pick(&[150, 500, 2_000, 10_000])),
            sync: us(*rng.pick(&[200, 1_000, 5_000])),
            aimed: *rng.pick(&[Odds::NEVER, Odds(3_000), Odds(20_000)]),
            downtime: ms(*rng.pick(&[1, 20, 100])),
            odds: Self::draw_faults(rng),
            node,
            lease: ms(600),
        }
    }

    /// Half of the faults, each with its own rate.
    fn draw_faults(rng: &mut Rng) -> Vec<(Fault, Odds)> {
        let drawn = |fault: &Fault| {
            let (on, rare) = (rng.chance(Odds::percent(50)), rng.next());
            let range = ODDS.iter().find(|(listed, ..)| listed == fault);
            let odds = range.map_or(Odds(1_000_000), |(_, low, high)| {
                // Rates spread evenly over their orders of magnitude.
                let spread = u32::try_from(rare % 1_000).expect("1,000");
                let octaves = (high / low).ilog2();
                let octave = spread * octaves / 1_000;
                Odds((low << octave) + (u32::try_from(rng.below(u64::from(low << octave))).expect("a rate"))).min(Odds(*high))
            });
            on.then_some((*fault, odds))
        };
        Fault::ALL.iter().filter_map(drawn).collect()
    }

    /// How likely `fault` is, each time that it can occur. Never, where the seed has switched it off.
    pub(crate) fn odds(&self, fault: Fault) -> Odds {
        self.odds.iter().find(|(on, _)| *on == fault).map_or(Odds::NEVER, |(_, odds)| *odds)
    }

    pub(crate) fn on(&self, fault: Fault) -> bool {
        self.odds.iter().any(|(on, _)| *on == fault)
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limits = &self.node.limits;
        let rows: [(&str, String); 17] = [
            ("seed", self.seed.to_string()),
            ("nodes, replicas, slots", format!("{}, {}, {}", self.scale.nodes, self.replicas, self.slots)),
            ("operations, bursts", format!("{}, {}", self.scale.operations, self.bursts)),
            ("clients, keys", format!("{}, {}", self.clients, self.keys)),
            ("think up to", format!("{:?}", self.think)),
            ("faults for", format!("{:?}", self.duration)),
            ("calm between faults", format!("{:?}", self.calm)),
            ("latency up to", format!("{:?}", self.latency)),
            ("sync up to", format!("{:?}", self.sync)),
            ("crash about a sync", self.aimed.to_string()),
            ("downtime from", format!("{:?}", self.downtime)),
            ("heartbeat, lease", format!("{:?}, {:?}", self.node.heartbeat, self.lease)),
            ("probe", format!("{:?}", self.node.probe)),
            ("apply after", format!("{:?} or {} entries", self.node.apply, limits.apply_entries)),
            ("writes in flight a slot", limits.slot_writes.to_string()),
            ("bytes a message", limits.message_bytes.to_string()),
            ("faults", String::new()),
        ];
        for (name, value) in rows {
            writeln!(f, "  {name:<28}{value}")?;
        }
        for fault in Fault::ALL {
            let odds = match (self.on(*fault), ODDS.iter().any(|(listed, ..)| listed == fault)) {
                (false, _) => "off".to_owned(),
                (true, false) => "on".to_owned(),
                (true, true) => self.odds(*fault).to_string(),
            };
            writeln!(f, "    {:<26}{odds}", fault.name())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_on_in_some_seeds_and_off_in_others() {
        let drawn: Vec<Options> = (0..200).map(|seed| Options::draw(seed, Scale::default())).collect();
        for fault in Fault::ALL {
            let on = drawn.iter().filter(|options| options.on(*fault)).count();
            assert!((60..140).contains(&on), "{fault}: on in {on} of 200 seeds");
        }
        for (fault, low, high) in ODDS {
            let rates = drawn.iter().map(|options| options.odds(fault)).filter(|odds| *odds > Odds::NEVER);
            rates.for_each(|odds| assert!((Odds(low)..=Odds(high)).contains(&odds), "{fault}: {odds}"));
        }
    }
}
