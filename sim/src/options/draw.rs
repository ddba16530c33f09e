//! How a seed draws them.

use std::time::Duration;

use catena_core::{ClusterConfig, ClusterId, CoordinatorConfig, Limits, NodeConfig, Rejoin, Succession};

use super::{LeftOut, Options, Scale, Temper};
use crate::faults::Fault;
use crate::rng::{Chance, Odds, Rng};

/// Faults that hit one message, call or sync: each has odds. The others are injected.
pub(super) const ODDS: [(Fault, u32, u32); 18] = [
    (Fault::Drop, 1_000, 60_000),
    (Fault::Delay, 1_000, 60_000),
    (Fault::Duplicate, 1_000, 100_000),
    (Fault::LostRequest, 500, 15_000),
    (Fault::LateRequest, 1_000, 60_000),
    (Fault::DuplicateRequest, 5_000, 200_000),
    (Fault::DuplicateElsewhere, 5_000, 200_000),
    (Fault::LostReply, 500, 15_000),
    (Fault::StaleRoute, 5_000, 100_000),
    (Fault::Misroute, 1_000, 30_000),
    (Fault::LostHeartbeat, 1_000, 200_000),
    (Fault::LostAnswer, 1_000, 200_000),
    (Fault::DelayedAnswer, 1_000, 200_000),
    (Fault::RepeatedAnswer, 1_000, 100_000),
    (Fault::LostPush, 10_000, 1_000_000),
    (Fault::SlowSync, 10_000, 300_000),
    (Fault::SyncError, 10, 2_000),
    (Fault::SlowCommit, 10_000, 300_000),
];

/// Faults of one node or of its surroundings that the rest of a cluster has to bear without a pause: those of
/// [`Temper::Single`].
const SINGLE: [Fault; 23] = [
    Fault::Reset,
    Fault::CutOneWay,
    Fault::Cut,
    Fault::NeighboursCut,
    Fault::DataCut,
    Fault::StaleRoute,
    Fault::StreamReset,
    Fault::StreamCut,
    Fault::StreamCutOneWay,
    Fault::Stall,
    Fault::Kill,
    Fault::PowerLoss,
    Fault::SilentDeath,
    Fault::Flapping,
    Fault::Stop,
    Fault::Wipe,
    Fault::TornLog,
    Fault::Rot,
    Fault::LateJoin,
    Fault::Pause,
    Fault::Drain,
    Fault::Evict,
    Fault::Skew,
];

/// Faults that nobody need be taken out of a chain for: those of [`Temper::Lossy`].
const LOSSY: [Fault; 13] = [
    Fault::Drop,
    Fault::Duplicate,
    Fault::Reset,
    Fault::LostRequest,
    Fault::LostReply,
    Fault::LateRequest,
    Fault::DuplicateRequest,
    Fault::StaleRoute,
    Fault::Misroute,
    Fault::RepeatedAnswer,
    Fault::LostPush,
    Fault::Skew,
    Fault::WallJump,
];

/// Faults that are drawn from numbers of their own.
const APART: [Fault; 8] = [
    Fault::DiskFull,
    Fault::DuplicateElsewhere,
    Fault::FlappingLink,
    Fault::SlowLink,
    Fault::RackDeath,
    Fault::CrashLoop,
    Fault::LongOutage,
    Fault::WallJumpElsewhere,
];

/// Those of them that some wild worlds have, and others do without.
const SOME: [Fault; 5] = [Fault::FlappingLink, Fault::SlowLink, Fault::RackDeath, Fault::CrashLoop, Fault::WallJumpElsewhere];

/// How long faults go on where coordinators may be down for minutes.
const LONG: Duration = Duration::from_mins(4);

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

impl Options {
    /// Draws the options of a seed.
    pub fn draw(seed: u64, scale: Scale) -> Self {
        let rng = &mut Rng::new(seed);
        let temper = match rng.below(10) {
            0 | 1 => Temper::Single,
            2 => Temper::Lossy,
            _ => Temper::Wild,
        };
        let coordinators = scale.coordinators.unwrap_or_else(|| *rng.pick(&[1, 1, 2, 3]));
        let cluster = Self::draw_cluster(seed, scale, temper, rng);
        let (nodes, replicas) = (scale.nodes, cluster.replicas as usize);
        // With as many racks as a chain has members at least, or chains would never be whole.
        let racks = if replicas < nodes && rng.chance(Odds::percent(30)) { replicas + rng.index(nodes - replicas) } else { 0 };
        let slots = cluster.slots;
        let us = Duration::from_micros;
        // From numbers of their own: so the other seeds stay as they were before there were these.
        let lonely = temper == Temper::Wild && Rng::new(seed ^ 0x10e1_4c09).chance(Odds::percent(50));
        let fills_up = temper == Temper::Wild && Rng::new(seed ^ 0xd15c_f011).chance(Odds::percent(40));
        let untold = fills_up && Rng::new(seed ^ 0x0d15_c0f0_0e17_0000).chance(Odds::percent(50));
        let breaks_copies = temper == Temper::Wild && Rng::new(seed ^ 0x0b0e_c09e_d000_0000).chance(Odds::percent(25));
        let large = !breaks_copies && Rng::new(seed ^ 0x1a49_e7a1_0e00_0000).chance(Odds::percent(20));
        let widows = temper == Temper::Wild && Rng::new(seed ^ 0x001d_0e50_0000_0000).chance(Odds::percent(10));
        let outage = temper == Temper::Wild && Rng::new(seed ^ 0x0070_a6e0_0000_0000).chance(Odds::percent(2));
        let mut options = Self {
            seed,
            scale,
            left_out: LeftOut::default(),
            temper,
            chance: Chance::Full,
            coordinators,
            racks,
            slots,
            clients: usize::try_from(rng.between(3, 10)).expect("10"),
            keys: usize::try_from(rng.between(1, 8)).expect("8"),
            bursts: usize::try_from(rng.between(10, 40)).expect("40"),
            large: if large { 64 << 10 } else { 0 },
            scans: *rng.pick(&[Odds::NEVER, Odds::percent(20), Odds::percent(50)]),
            think: ms(*rng.pick(&[1, 5, 30, 100])),
            duration: if outage { LONG } else { Duration::from_secs(55) },
            calm: ms(rng.between(1_000, 6_000)),
            latency: us(*rng.pick(&[150, 500, 2_000, 10_000])),
            sync: us(*rng.pick(&[200, 1_000, 5_000])),
            aimed: match temper {
                Temper::Wild => *rng.pick(&[Odds::NEVER, Odds(1_000), Odds(10_000)]),
                Temper::Single | Temper::Lossy => Odds::NEVER,
            },
            lonely: if lonely { Odds::percent(50) } else { Odds::NEVER },
            untold: if untold { Odds::percent(50) } else { Odds::NEVER },
            broken_copies: if breaks_copies { Odds::percent(5) } else { Odds::NEVER },
            widows,
            downtime: ms(*rng.pick(&[1, 20, 100])),
            odds: Self::draw_faults(temper, rng),
            node: Self::draw_node(slots, rng),
            coordinator: Self::draw_coordinator(cluster, coordinators, temper, rng),
        };
        if widows {
            // Of two copies both can be gone, and others still form chains. Nobody is held back from taking them out.
            options.coordinator.cluster.replicas = options.coordinator.cluster.replicas.min(2);
            options.coordinator.restraint_percent = 100;
        }
        if breaks_copies {
            // Object by object, and so slowly that others are written and deleted meanwhile; and yet the few that there are
            // arrive long before a healed world has to be at rest.
            (options.node.limits.chunk_bytes, options.node.copy_rate) = (1, 2 << 10);
        }
        if large {
            // Of which a handful is more than may be in flight; and few enough that what there is of them is copied in a second.
            let limits = &mut options.node.limits;
            (limits.value_bytes, limits.slot_bytes, limits.node_bytes) = (options.large, 256 << 10, 384 << 10);
            options.node.copy_rate = 64 << 20;
        }
        let widowed = widows && !options.on(Fault::LongDeath);
        let besides = [(fills_up, Fault::DiskFull), (widowed, Fault::LongDeath), (outage, Fault::LongOutage)];
        let besides = besides.into_iter().filter(|(on, _)| *on);
        options.odds.extend(besides.map(|(_, fault)| (fault, Odds(1_000_000))));
        let elsewhere = Self::draw_fault(Fault::DuplicateElsewhere, &mut Rng::new(seed ^ 0xe15e_04e4_e000_0000));
        options.odds.extend(elsewhere.filter(|_| temper != Temper::Single));
        if temper == Temper::Wild {
            // By this number, seeds that had found something before there were these are what they were.
            options.odds.extend(Self::draw_some(&mut Rng::new(seed ^ 0x50e0_0008_0000_0000)));
        }
        options
    }

    fn draw_cluster(seed: u64, scale: Scale, temper: Temper, rng: &mut Rng) -> ClusterConfig {
        let nodes = u32::try_from(scale.nodes).expect("a few nodes");
        // Mostly full chains; shorter ones, down to a chain of one, now and then.
        let replicas = match temper {
            Temper::Wild if rng.chance(Odds::percent(15)) => u32::try_from(rng.between(1, 3)).expect("3"),
            Temper::Wild | Temper::Single | Temper::Lossy => 3,
        };
        let replicas = replicas.min(nodes);
        let late = match temper {
            Temper::Wild | Temper::Single => rng.below(u64::from(nodes - replicas) + 1),
            Temper::Lossy => 0,
        };
        let founders = nodes - u32::try_from(late).expect("a few nodes");
        ClusterConfig {
            cluster: ClusterId(0xca7e_9a00_0000_0000_0000_0000_0000_0000 + u128::from(seed)),
            slots: u32::try_from(rng.between(1, 4)).expect("4"),
            replicas,
            founders,
            lease: ms(600),
        }
    }

    fn draw_node(slots: u32, rng: &mut Rng) -> NodeConfig {
        NodeConfig {
            limits: Limits {
                slot_writes: *rng.pick(&[4, 64, 1024]),
                value_bytes: *rng.pick(&[16 << 20, 16 << 20, 100]),
                apply_entries: *rng.pick(&[1, 8, 256]),
                message_bytes: *rng.pick(&[1, 300, 256 << 10]),
                retain_bytes: *rng.pick(&[64 << 20, 2_000, 300]),
                spill_bytes: *rng.pick(&[4 << 30, 4 << 30, 10_000]),
                chunk_bytes: *rng.pick(&[1, 200, 1 << 20]),
                ..Limits::default()
            },
            heartbeat: ms(*rng.pick(&[100, 100, 50, 150])),
            probe: ms(*rng.pick(&[50, 50, 10])),
            apply: ms(*rng.pick(&[20, 20, 1, 200])),
            silence: ms(*rng.pick(&[700, 700, 300])),
            session_idle: ms(*rng.pick(&[600_000, 1_000, 250])),
            copy_rate: *rng.pick(&[64 << 20, 64 << 20, 16 << 10]),
            slack: *rng.pick(&[64, 64, 1]),
            ..NodeConfig::new(slots)
        }
    }

    /// Waits are so short that a world comes to rest within ten seconds.
    fn draw_coordinator(cluster: ClusterConfig, coordinators: usize, temper: Temper, rng: &mut Rng) -> CoordinatorConfig {
        let succession = match coordinators {
            1 => Succession::Exclusive,
            _ => Succession::Shared { claim: ms(*rng.pick(&[2_000, 1_000])), renew: ms(250) },
        };
        let restraint_percent = match temper {
            Temper::Wild => *rng.pick(&[34, 100, 100]),
            Temper::Single | Temper::Lossy => 100,
        };
        CoordinatorConfig {
            succession,
            dead_after: ms(*rng.pick(&[700, 700, 1_000])),
            // Without it, what is granted for drift has to do.
            margin: ms(*rng.pick(&[50, 50, 1])),
            flap_threshold: *rng.pick(&[3, 3, 0]),
            flap_window: ms(*rng.pick(&[30_000, 5_000])),
            restraint_percent,
            restraint_window: ms(*rng.pick(&[3_000, 10_000])),
            absence: ms(*rng.pick(&[2_000, 500])),
            changing_slots: *rng.pick(&[64, 64, 1]),
            joins_per_node: *rng.pick(&[8, 8, 1]),
            join_patience: ms(*rng.pick(&[2_000, 1_000])),
            rejoin: *rng.pick(&[Rejoin::Manual, Rejoin::Auto(ms(200)), Rejoin::Auto(ms(1_000))]),
            ..CoordinatorConfig::new(cluster)
        }
    }

    /// Half of the faults, each with its own rate.
    fn draw_faults(temper: Temper, rng: &mut Rng) -> Vec<(Fault, Odds)> {
        let fits = |fault: &Fault| match temper {
            Temper::Wild => true,
            Temper::Single => SINGLE.contains(fault),
            Temper::Lossy => LOSSY.contains(fault),
        };
        let here = |fault: &&Fault| !APART.contains(fault) && fits(fault);
        Fault::ALL.iter().filter(here).filter_map(|fault| Self::draw_fault(*fault, rng)).collect()
    }

    /// Mostly many of them, or none.
    fn draw_some(rng: &mut Rng) -> Vec<(Fault, Odds)> {
        let any = rng.chance(Odds::percent(60));
        let drawn = SOME.into_iter().filter(|_| rng.chance(Odds::percent(70))).filter(|_| any);
        drawn.map(|fault| (fault, Odds(1_000_000))).collect()
    }

    /// Whether there is such a fault, and how often.
    fn draw_fault(fault: Fault, rng: &mut Rng) -> Option<(Fault, Odds)> {
        let (on, rare) = (rng.chance(Odds::percent(50)), rng.next());
        let range = ODDS.iter().find(|(listed, ..)| *listed == fault);
        let odds = range.map_or(Odds(1_000_000), |(_, low, high)| {
            // Rates spread evenly over their orders of magnitude.
            let spread = u32::try_from(rare % 1_000).expect("1,000");
            let octaves = (high / low).ilog2();
            let octave = spread * octaves / 1_000;
            Odds((low << octave) + (u32::try_from(rng.below(u64::from(low << octave))).expect("a rate"))).min(Odds(*high))
        });
        on.then_some((fault, odds))
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
            // A world with outages of minutes takes several times as long as another.
            let expected = if *fault == Fault::LongOutage { 1..10 } else { 40..140 };
            assert!(expected.contains(&on), "{fault}: on in {on} of 200 seeds");
        }
        for (fault, low, high) in ODDS {
            let rates = drawn.iter().map(|options| options.odds(fault)).filter(|odds| *odds > Odds::NEVER);
            rates.for_each(|odds| assert!((Odds(low)..=Odds(high)).contains(&odds), "{fault}: {odds}"));
        }
    }
}
