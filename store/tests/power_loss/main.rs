//! What a real store has after a power loss (D1, D5). A process writes under `strace`; from what it did to its files the
//! directory is rebuilt as a power loss at some moment may leave it, with what was not synced dropped in part; the store is
//! opened on that, and must have what was reported durable by then. Or another process goes on with what is left, under `strace`
//! too, and power is lost once more.
//!
//! `POWER_LOSSES=N` tries so many moments, `POWER_LOSS_SEED=S` others, of `POWER_LOSS_WRITES=W` writes; see `docs/storage.md`.
#![expect(clippy::unwrap_used, reason = "tests")]

mod bulk;
mod decisions;
mod disk;
mod history;
mod inode;
mod losses;
mod node;
mod picture;
mod trace;
mod workload;

// What is written at random, and what must come of it, is the conformance suite's.
#[path = "../conformance/build.rs"]
#[expect(dead_code, reason = "most of it is for the cases of the suite")]
mod build;
#[path = "../conformance/records.rs"]
mod records;
#[path = "../conformance/shapes.rs"]
mod shapes;
#[path = "../conformance/twin.rs"]
#[expect(dead_code, reason = "batches that are lost one by one are for the suite")]
mod twin;
#[path = "../conformance/writer.rs"]
mod writer;

use std::collections::BTreeMap;

use disk::Honours;
use history::{Group, Then};
use losses::{Holds, lose_power, lose_power_after_renames, lose_power_twice};
use node::Trials;
use tempfile::TempDir;
use trace::Traced;

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

/// In memory, where there is such a place: what a sync makes safe is the rig's business, and that of the disk below takes long.
fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn survives(process: &'static str, writes: u64, honours: Honours, holds: Holds) {
    let traced = Traced::new(process, writes);
    let (moments, seed) = (option("POWER_LOSSES", 200), option("POWER_LOSS_SEED", 1));
    let tally = lose_power(&traced, honours, moments, seed, holds).unwrap_or_else(|lack| panic!("{lack}"));
    println!("{process}, {} calls: {tally:?}", traced.calls.len());
    assert!(tally.lossy * 5 > tally.moments, "too little was at stake: {tally:?}");
}

/// The same of what goes on after a power loss, or a `kill -9`, when power is lost once more.
fn survives_twice(process: &'static str, writes: u64, honours: Honours, holds: Holds) {
    let traced = Traced::new(process, writes);
    let (moments, seed) = (option("POWER_LOSSES", 120), option("POWER_LOSS_SEED", 1));
    let tally = lose_power_twice(&traced, honours, moments, seed, holds).unwrap_or_else(|lack| panic!("{lack}"));
    println!("{process}, twice: {tally:?}");
    assert!(tally.lossy * 5 > tally.moments && tally.recovering * 5 > tally.moments, "too little was at stake: {tally:?}");
}

#[test]
fn what_was_reported_durable_survives_a_power_loss_at_any_moment() {
    survives("workload::write_until_told", option("POWER_LOSS_WRITES", 500), Honours::Syncs, &mut workload::assert_holds);
}

#[test]
fn so_does_what_was_reported_before_a_power_loss_and_after_it_when_another_comes() {
    survives_twice("workload::write_until_told", option("POWER_LOSS_WRITES", 500), Honours::Syncs, &mut workload::assert_holds);
}

/// fjall does not sync the names of new files of values, of which there are none before 32 MiB of values but on a full disk.
#[test]
fn so_does_what_is_written_while_room_is_made_where_a_new_file_s_sync_makes_its_name_safe() {
    let writes = option("POWER_LOSS_WRITES", 500);
    survives("workload::write_and_make_room", writes, Honours::SyncsAndNewNames, &mut workload::assert_holds);
}

#[test]
fn what_a_coordinator_has_decided_survives_a_power_loss_at_any_moment() {
    survives("decisions::decide_until_told", option("POWER_LOSS_WRITES", 500), Honours::Syncs, &mut decisions::assert_holds);
}

#[test]
fn so_does_what_it_and_the_one_after_it_have_decided_when_another_power_loss_comes() {
    let writes = option("POWER_LOSS_WRITES", 500);
    survives_twice("decisions::decide_until_told", writes, Honours::Syncs, &mut decisions::assert_holds);
}

/// The rig sees what it is for.
#[test]
fn a_disk_that_does_not_honour_syncs_is_noticed() {
    let mut trials = Trials::new(node::history(100));
    let processes: [(&'static str, Holds); 3] = [
        ("workload::write_until_told", &mut workload::assert_holds),
        ("decisions::decide_until_told", &mut decisions::assert_holds),
        ("node::write_history", &mut |path, durable| trials.assert_holds(path, durable)),
    ];
    for (process, holds) in processes {
        let traced = Traced::new(process, 100);
        for lie in [Honours::NoSyncOfData, Honours::NoSyncOfNames] {
            let caught = lose_power(&traced, lie, 100, 1, &mut *holds).expect_err("something reported is lost");
            println!("{process}, {lie:?}: {caught}");
        }
    }
}

type Survives = fn(&'static str, u64, Honours, Holds);

/// All kinds of writes, of several slots, over several processes.
fn history_survives(survives: Survives, process: &'static str, honours: Honours) {
    let groups = option("POWER_LOSS_WRITES", 200);
    let mut trials = Trials::new(node::history(groups));
    survives(process, groups, honours, &mut |path, durable| trials.assert_holds(path, durable));
    println!("{process}, at stake (taken, kept): {:?}", trials.at_stake);
}

#[test]
fn what_a_node_writes_is_there_after_a_power_loss_batch_by_batch_and_whole() {
    history_survives(survives, "node::write_history", Honours::Syncs);
}

#[test]
fn so_it_is_after_a_power_loss_while_the_store_recovers_from_one() {
    history_survives(survives_twice, "node::write_history", Honours::Syncs);
}

#[test]
fn so_it_is_while_room_is_made_where_a_new_file_s_sync_makes_its_name_safe() {
    history_survives(survives, "node::write_history_and_make_room", Honours::SyncsAndNewNames);
}

#[test]
fn so_it_is_after_a_power_loss_while_the_store_recovers_from_one_that_came_while_room_was_made() {
    history_survives(survives_twice, "node::write_history_and_make_room", Honours::SyncsAndNewNames);
}

/// fjall renames a file when a keyspace has new tables; opening a store it removes those that are not in that file.
#[test]
fn what_a_killed_process_has_renamed_is_safe_before_the_next_one_removes_what_was_replaced() {
    let (groups, process) = (90, "node::write_history_and_make_room");
    let (traced, mut trials) = (Traced::new(process, groups), Trials::new(node::history(groups)));
    let holds: Holds = &mut |path, durable| trials.assert_holds(path, durable);
    let tally = lose_power_after_renames(&traced, Honours::SyncsAndNewNames, 1, holds).unwrap_or_else(|lack| panic!("{lack}"));
    println!("{process}, renaming: {tally:?}");
    assert!(tally.recovering > 20, "too little was at stake: {tally:?}");
}

/// A slot that is emptied has more records than are removed at once.
fn bulk_survives(survives: Survives) {
    let groups = option("POWER_LOSS_WRITES", 200) / 5;
    let mut trials = Trials::new(bulk::history(groups));
    survives("bulk::write_history", groups, Honours::Syncs, &mut |path, durable| trials.assert_holds(path, durable));
    let Trials { at_stake, steps_left, .. } = trials;
    println!("at stake (taken, kept): {at_stake:?}, steps left of sweeps: {steps_left:?}");
    // Each has more at its beginning.
    assert!(steps_left.contains_key(&1), "no sweep was interrupted: {steps_left:?}");
}

#[test]
fn what_is_left_of_large_slots_goes_whole_after_power_losses_while_it_goes() {
    bulk_survives(survives);
}

#[test]
fn so_it_does_after_a_power_loss_while_the_store_recovers_from_one_and_goes_on() {
    bulk_survives(survives_twice);
}

/// A history has what it is for: every kind of write several times, and groups of several slots.
#[test]
fn a_history_has_every_kind_of_write() {
    let history = node::history(200);
    let mut counts = BTreeMap::<_, u64>::new();
    for write in history.groups.iter().flat_map(|group| &group.batches).flat_map(|batch| &batch.writes) {
        *counts.entry(history::kind(write)).or_default() += 1;
    }
    println!("{counts:?}");
    assert!(counts.len() == history::KINDS && counts.values().all(|count| *count > 10), "{counts:?}");
    let of_several_slots = |group: &&Group| group.batches.iter().any(|batch| batch.slot != group.batches[0].slot);
    assert!(history.groups.iter().filter(of_several_slots).count() > 50);
    assert!(history.groups.iter().any(|group| group.then == Then::Restart));
}

/// The check sees what it is for.
#[test]
fn a_cut_that_is_not_synced_and_an_install_in_pieces_are_noticed() {
    for process in ["node::report_cuts_too_early", "node::install_in_pieces"] {
        let mut trials = Trials::new(node::history(100));
        let traced = Traced::new(process, 100);
        let holds: Holds = &mut |path, durable| trials.assert_holds(path, durable);
        let caught = lose_power(&traced, Honours::Syncs, 200, 1, holds).expect_err("something is lost, or torn");
        println!("{process}: {caught}");
    }
}
