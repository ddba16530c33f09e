//! What a real store has after a power loss (D1, D5). A process writes under `strace`; from what it did to its files the
//! directory is rebuilt as a power loss at some moment may leave it, with what was not synced dropped in part; the store is
//! opened on that, and must have what was reported durable by then.
//!
//! `POWER_LOSSES=N` tries so many moments, `POWER_LOSS_SEED=S` others, of `POWER_LOSS_WRITES=W` writes; see `docs/storage.md`.
#![expect(clippy::unwrap_used, reason = "tests")]

mod decisions;
mod disk;
mod trace;
mod workload;

use std::collections::BTreeMap;
use std::path::Path;

use disk::{Disk, Fate, Honours};
use trace::{Call, trace};
use workload::reported;

/// Draws numbers: splitmix64.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }
}

fn option(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// Looks whether a directory has everything up to what was reported durable.
type Holds = fn(&Path, u64) -> Result<(), String>;

/// Loses power at `moments` moments of a trace, and opens what is left. The first one that lacks something, if any does.
fn lose_power(calls: &[Call], root: &Path, honours: Honours, moments: u64, seed: u64, holds: Holds) -> Result<Tally, String> {
    let mut rng = Rng(seed);
    let first = calls.iter().position(|call| reported(call).is_some()).expect("something was reported durable");
    // Most is at stake while a sync is under way: half of the moments are such.
    let syncs: Vec<usize> = (first..calls.len()).filter(|call| matches!(calls[*call], Call::SyncBegins { .. })).collect();
    let mut moment = |half: u64| if half == 0 { syncs[rng.below(syncs.len())] } else { first + rng.below(calls.len() - first) };
    let mut moments: Vec<usize> = (0..moments).map(|number| moment(number % 2) + 1).collect();
    moments.sort_unstable();
    let (mut disk, mut durable, mut tally, mut done) = (Disk::new(root, honours), 0, Tally::default(), 0);
    for moment in moments {
        for call in &calls[done..moment] {
            durable = reported(call).unwrap_or(durable);
            disk.apply(call);
        }
        done = moment;
        let fate = [Fate::All, Fate::Nothing, Fate::Part][rng.below(3)];
        let left = tempfile::tempdir().unwrap();
        let lost = disk.lose_power(fate, &mut || rng.next(), left.path());
        holds(left.path(), durable).map_err(|lack| format!("call {moment}, {fate:?}, seed {seed}: {lack}"))?;
        tally.moments += 1;
        *tally.fates.entry(fate).or_default() += 1;
        tally.lossy += u64::from(lost > 0);
    }
    Ok(tally)
}

/// What was tried.
#[derive(Debug, Default)]
struct Tally {
    moments: u64,
    fates: BTreeMap<Fate, u64>,
    /// Moments at which something was lost.
    lossy: u64,
}

fn survives(process: &str, writes: u64, honours: Honours, holds: Holds) {
    let (root, calls) = trace(process, writes);
    let (moments, seed) = (option("POWER_LOSSES", 100), option("POWER_LOSS_SEED", 1));
    let tally = lose_power(&calls, root.path(), honours, moments, seed, holds).unwrap_or_else(|lack| panic!("{lack}"));
    println!("{} calls; {tally:?}", calls.len());
    assert!(tally.lossy * 5 > tally.moments, "too little was at stake: {tally:?}");
}

#[test]
fn what_was_reported_durable_survives_a_power_loss_at_any_moment() {
    survives("workload::write_until_told", option("POWER_LOSS_WRITES", 500), Honours::Syncs, workload::assert_holds);
}

/// fjall does not sync the names of new files of values, of which there are none before 32 MiB of values but on a full disk.
#[test]
fn so_does_what_is_written_while_room_is_made_where_a_new_file_s_sync_makes_its_name_safe() {
    let writes = option("POWER_LOSS_WRITES", 500);
    survives("workload::write_and_make_room", writes, Honours::SyncsAndNewNames, workload::assert_holds);
}

#[test]
fn what_a_coordinator_has_decided_survives_a_power_loss_at_any_moment() {
    survives("decisions::decide_until_told", option("POWER_LOSS_WRITES", 500), Honours::Syncs, decisions::assert_holds);
}

/// The rig sees what it is for.
#[test]
fn a_disk_that_does_not_honour_syncs_is_noticed() {
    let processes: [(&str, Holds); 2] =
        [("workload::write_until_told", workload::assert_holds), ("decisions::decide_until_told", decisions::assert_holds)];
    for (process, holds) in processes {
        let (root, calls) = trace(process, 100);
        for lie in [Honours::NoSyncOfData, Honours::NoSyncOfNames] {
            let caught = lose_power(&calls, root.path(), lie, 100, 1, holds).expect_err("something reported is lost");
            println!("{process}, {lie:?}: {caught}");
        }
    }
}
