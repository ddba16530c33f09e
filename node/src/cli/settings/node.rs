//! What a node is to work with: what the command line says, and whether it makes sense together.

use std::collections::BTreeMap;
use std::time::Duration;

use catena_core::{Limits, NodeConfig};
use catena_net::link::ENVELOPE_BYTES;

use super::SettingsError;
use crate::cli::arguments::{LimitArguments, Size, SizeArguments, TimingArguments};

/// What an answer that is kept weighs on the wire at most, in bytes: its number, its entry, the object it left behind, each
/// number of them as long as can be.
const ANSWER_BYTES: u64 = 80;

/// What the node is to keep to; how many slots there are the coordinator says.
pub(in crate::cli) fn node(limits: &LimitArguments, timings: &TimingArguments) -> Result<NodeConfig, SettingsError> {
    check(limits, timings)?;
    let ms = Duration::from_millis;
    Ok(NodeConfig {
        limits: Limits {
            slot_writes: limits.slot_writes as usize,
            slot_bytes: limits.slot_bytes.in_memory(),
            node_writes: limits.node_writes as usize,
            node_bytes: limits.node_bytes.in_memory(),
            answer_bytes: limits.answer_bytes.in_memory(),
            retain_bytes: limits.retain_bytes.in_memory(),
            spill_bytes: limits.spill_bytes.0,
            slot_sessions: limits.slot_sessions as usize,
            session_writes: limits.session_writes as usize,
            ..sizes(&limits.sizes)
        },
        probe: ms(timings.probe_ms),
        apply: ms(timings.apply_ms),
        silence: ms(timings.silence_ms),
        stall: ms(timings.stall_ms),
        session_idle: Duration::from_secs(timings.session_idle_s),
        copy_rate: limits.copy_bytes_per_s.0,
        ..NodeConfig::new(0)
    })
}

/// The failure domains that a node is in.
pub(in crate::cli) fn labels(given: &[(String, String)]) -> Result<BTreeMap<String, String>, SettingsError> {
    let mut labels = BTreeMap::new();
    for (key, value) in given {
        if labels.insert(key.clone(), value.clone()).is_some() {
            return Err(SettingsError::LabelTwice(key.clone()));
        }
    }
    Ok(labels)
}

/// What a key and a value may weigh; the other limits are as they start.
pub(in crate::cli) fn sizes(sizes: &SizeArguments) -> Limits {
    Limits { key_bytes: sizes.key_bytes.in_memory(), value_bytes: sizes.value_bytes.in_memory(), ..Limits::default() }
}

fn check(limits: &LimitArguments, timings: &TimingArguments) -> Result<(), SettingsError> {
    let LimitArguments { slot_writes, slot_bytes, node_writes, node_bytes, slot_sessions, session_writes, .. } = *limits;
    let SizeArguments { key_bytes, value_bytes } = limits.sizes;
    let least = Size(2 * value_bytes.0);
    if slot_bytes < least {
        return Err(SettingsError::SlotTooSmall { slot: slot_bytes, least, value: value_bytes });
    }
    if node_bytes < slot_bytes {
        return Err(SettingsError::NodeBytesBelowSlot { node: node_bytes, slot: slot_bytes });
    }
    if node_writes < slot_writes {
        return Err(SettingsError::NodeWritesBelowSlot { node: node_writes, slot: slot_writes });
    }
    // The last part of a snapshot has the whole table beside one object.
    let most = Size(ENVELOPE_BYTES as u64 - key_bytes.0 - value_bytes.0);
    let weight = Size(u64::from(slot_sessions).saturating_mul(u64::from(session_writes)).saturating_mul(ANSWER_BYTES));
    if weight > most {
        let (sessions, writes) = (slot_sessions, session_writes);
        return Err(SettingsError::SessionsTooMany { sessions, writes, weight, most, value: value_bytes });
    }
    let (silence, probe) = (timings.silence_ms, timings.probe_ms);
    if silence <= probe {
        return Err(SettingsError::SilenceBeforeProbe { silence, probe });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command, FromArgMatches};

    use super::*;
    use crate::cli::arguments::ServeArguments;

    fn given(flags: &str) -> Result<NodeConfig, SettingsError> {
        let line = format!("node --id n1 --listen 127.0.0.1:7401 --coordinator c:7400 --data-dir d {flags}");
        let matches = ServeArguments::augment_args(Command::new("node")).get_matches_from(line.split_whitespace());
        let serve = ServeArguments::from_arg_matches(&matches).expect("all that is required");
        node(&serve.limits, &serve.timings)
    }

    #[test]
    fn the_starting_values_are_those_of_the_protocol() {
        assert_eq!(given(""), Ok(NodeConfig::new(0)));
    }

    #[test]
    fn every_flag_has_its_effect() {
        let flags = "--key-bytes 1KiB --value-bytes 1MiB --slot-writes 8 --slot-bytes 2MiB --node-writes 9 --node-bytes 3MiB \
                     --answer-bytes 9MiB --retain-bytes 4MiB --spill-bytes 6GiB --copy-bytes-per-s 5MiB --slot-sessions 10 --session-writes 256 \
                     --probe-ms 11 --apply-ms 12 --silence-ms 13 --stall-ms 14 --session-idle-s 900";
        let limits = Limits {
            key_bytes: 1024,
            value_bytes: 1 << 20,
            slot_writes: 8,
            slot_bytes: 2 << 20,
            node_writes: 9,
            node_bytes: 3 << 20,
            answer_bytes: 9 << 20,
            retain_bytes: 4 << 20,
            spill_bytes: 6 << 30,
            slot_sessions: 10,
            session_writes: 256,
            ..Limits::default()
        };
        let ms = Duration::from_millis;
        let (probe, apply, silence, stall, session_idle) = (ms(11), ms(12), ms(13), ms(14), ms(900_000));
        let copy_rate = 5 << 20;
        let config = NodeConfig { limits, probe, apply, silence, stall, session_idle, copy_rate, ..NodeConfig::new(0) };
        assert_eq!(given(flags), Ok(config));
    }

    #[test]
    fn numbers_that_contradict_each_other_are_refused_by_the_flag() {
        for (flags, flag) in [
            ("--slot-bytes 31MiB", "--slot-bytes 31MiB is less than 32MiB"),
            ("--slot-bytes 512MiB", "--node-bytes 256MiB is less than --slot-bytes 512MiB"),
            ("--node-writes 100", "--node-writes 100 is less than --slot-writes 1024"),
            ("--slot-sessions 8192", "--slot-sessions 8192"),
            ("--session-writes 1000000000 --slot-sessions 1000000000", "--session-writes 1000000000"),
            ("--probe-ms 700", "--silence-ms 700 is not above --probe-ms 700"),
        ] {
            let error = given(flags).expect_err(flags).to_string();
            assert!(error.contains(flag), "{error}");
        }
        for fits in ["--value-bytes 32MiB", "--slot-bytes 32MiB", "--slot-bytes 1GiB --node-bytes 1GiB", "--slot-sessions 4096"] {
            assert!(given(fits).is_ok(), "{fits}");
        }
    }
}
