//! What a coordinator is to work with: what its directory was created with, what the command line says, and whether the
//! two make sense together.

use std::time::Duration;

use catena_core::{ClusterConfig, ClusterId, CoordinatorConfig, NodeConfig};

use super::SettingsError;
use crate::cli::arguments::{ClusterArguments, JudgementArguments};

const DEFAULT_SLOTS: u32 = 16;
const DEFAULT_REPLICAS: u32 = 3;
const DEFAULT_LEASE: Duration = Duration::from_millis(600);

/// What the cluster is: as it was created where nothing is said, so that a coordinator starts again without the flags. Of
/// what is said against it, its store complains; but founders matter only once.
pub(in crate::cli) fn cluster(arguments: &ClusterArguments, id: ClusterId, stored: Option<&ClusterConfig>) -> ClusterConfig {
    let replicas = arguments.replicas.or(stored.map(|stored| stored.replicas)).unwrap_or(DEFAULT_REPLICAS);
    let lease = arguments.lease_ms.map(Duration::from_millis);
    ClusterConfig {
        cluster: id,
        slots: arguments.slots.or(stored.map(|stored| stored.slots)).unwrap_or(DEFAULT_SLOTS),
        replicas,
        founders: stored.map(|stored| stored.founders).or(arguments.founders).unwrap_or(replicas),
        lease: lease.or(stored.map(|stored| stored.lease)).unwrap_or(DEFAULT_LEASE),
    }
}

/// How the coordinator is to judge and act.
pub(in crate::cli) fn coordinator(
    arguments: &JudgementArguments,
    cluster: ClusterConfig,
) -> Result<CoordinatorConfig, SettingsError> {
    let config = CoordinatorConfig {
        suspect_after: Duration::from_millis(arguments.suspect_ms),
        dead_after: Duration::from_millis(arguments.dead_ms),
        flap_threshold: arguments.flap_threshold,
        flap_window: Duration::from_secs(arguments.flap_window_s),
        restraint_percent: arguments.restraint_percent,
        restraint_window: Duration::from_secs(arguments.restraint_window_s),
        absence: Duration::from_secs(arguments.absence_s),
        rejoin: arguments.rejoin,
        ..CoordinatorConfig::new(cluster)
    };
    check(&config)?;
    Ok(config)
}

fn check(config: &CoordinatorConfig) -> Result<(), SettingsError> {
    let ClusterConfig { founders, replicas, lease, slots, .. } = config.cluster;
    if founders < replicas {
        return Err(SettingsError::TooFewFounders { founders, replicas });
    }
    let heartbeat = NodeConfig::new(slots).heartbeat;
    let (suspect, dead) = (config.suspect_after, config.dead_after);
    // Two in a row may be lost, or one late.
    if lease < heartbeat * 3 {
        return Err(SettingsError::LeaseTooShort {
            lease: lease.as_millis(),
            least: (heartbeat * 3).as_millis(),
            heartbeat: heartbeat.as_millis(),
        });
    }
    if suspect < heartbeat * 2 {
        return Err(SettingsError::SuspectTooSoon {
            suspect: suspect.as_millis(),
            least: (heartbeat * 2).as_millis(),
            heartbeat: heartbeat.as_millis(),
        });
    }
    if dead < config.lease_bound() {
        let least = config.lease_bound().as_micros().div_ceil(1000);
        return Err(SettingsError::DeadWithinLease { dead: dead.as_millis(), least, lease: lease.as_millis() });
    }
    if suspect >= dead {
        return Err(SettingsError::SuspectAfterDead { suspect: suspect.as_millis(), dead: dead.as_millis() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::arguments::{Arguments, Command};

    fn given(flags: &str) -> Result<CoordinatorConfig, SettingsError> {
        started_again(flags, None)
    }

    fn started_again(flags: &str, stored: Option<&ClusterConfig>) -> Result<CoordinatorConfig, SettingsError> {
        let line = format!("catena coordinator --listen 127.0.0.1:7400 --data-dir d {flags}");
        let Command::Coordinator(arguments) = Arguments::parse_from(line.split_whitespace()).command else { unreachable!() };
        coordinator(&arguments.judgement, cluster(&arguments.cluster, ClusterId(7), stored))
    }

    #[test]
    fn the_starting_values_are_those_of_the_protocol() {
        let cluster = ClusterConfig { cluster: ClusterId(7), slots: 16, replicas: 3, founders: 3, lease: DEFAULT_LEASE };
        assert_eq!(given(""), Ok(CoordinatorConfig::new(cluster)));
    }

    #[test]
    fn a_cluster_stays_as_it_was_created() {
        let created = given("--slots 64 --replicas 2 --founders 5 --lease-ms 1000 --dead-ms 2000").unwrap().cluster;
        assert_eq!((created.slots, created.replicas, created.founders), (64, 2, 5));
        assert_eq!(started_again("--dead-ms 1100", Some(&created)).map(|config| config.cluster), Ok(created.clone()));
        let dead = SettingsError::DeadWithinLease { dead: 700, least: 1060, lease: 1000 };
        assert_eq!(started_again("", Some(&created)), Err(dead));
    }

    #[test]
    fn numbers_that_contradict_each_other_are_refused_by_the_flag() {
        for (flags, flag) in [
            ("--replicas 3 --founders 2", "--founders 3"),
            ("--lease-ms 299", "--lease-ms 299 is less than 300"),
            ("--lease-ms 700", "--dead-ms 757 or more"),
            ("--dead-ms 655", "--dead-ms 656 or more"),
            ("--suspect-ms 700", "--suspect-ms 700 is not below --dead-ms 700"),
            ("--suspect-ms 150", "--suspect-ms 150 is less than 200"),
        ] {
            let error = given(flags).expect_err(flags).to_string();
            assert!(error.contains(flag), "{error}");
        }
        for fits in ["--dead-ms 656", "--lease-ms 300 --dead-ms 353 --suspect-ms 200", "--founders 5", "--flap-threshold 0"] {
            assert!(given(fits).is_ok(), "{fits}");
        }
    }
}
