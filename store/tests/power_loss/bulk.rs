//! A process that writes slots with more records than are removed at once, and ends them: what is left of them goes in several
//! steps, with power losses between these.

use std::ops::Range;

use bytes::Bytes;
use catena_core::{Entry, Operation, Pin, Seq, Slot, WallTime, Write};

use super::build::{end, entry, object, pin, session};
use super::history::{History, Then};
use super::node::{commit, write};
use super::twin::TwinSlot;
use super::writer::SLOTS;
use super::{Rng, option};

/// How many records go at once (`docs/storage.md`).
const AT_ONCE: usize = 256;

/// Not a test: writes such a history, and says up to which batch everything is durable.
#[test]
#[ignore = "another test runs it, in a process of its own"]
fn write_history() {
    write(history, commit, |_, _| {});
}

/// Drawn by the same number in the process that writes and in the one that looks.
pub(crate) fn history(groups: u64) -> History {
    let (mut rng, mut history) = (Rng(option("POWER_LOSS_SEED", 1)), History::default());
    let groups = usize::try_from(groups).unwrap();
    for much in [Much::Logged, Much::Applied, Much::Sessions, Much::Staged, Much::Spilled].into_iter().cycle() {
        live(&mut history, &mut rng, much);
        if history.groups.len() >= groups {
            break;
        }
    }
    history.groups.truncate(groups);
    history
}

/// What there is much of in a slot.
#[derive(Clone, Copy)]
enum Much {
    Logged,
    Applied,
    Sessions,
    Staged,
    Spilled,
}

/// A slot is filled, and that ends; then little is written, while it goes.
fn live(history: &mut History, rng: &mut Rng, much: Much) {
    let slot = draw_slot(rng);
    // More than twice as much as goes at once; in parts, but where a restart ends what there is of them.
    let parts = if matches!(much, Much::Spilled) { 1 } else { 3 };
    for _ in 0..parts {
        let count = AT_ONCE * 2 / parts + 10 + rng.below(60);
        history.write(slot, Then::Nothing, |found| fill(much, found, count));
    }
    let how = rng.below(3);
    if how == 2 && matches!(much, Much::Spilled) {
        history.restart(); // which ends a spill
    } else {
        let then = [Then::Nothing, Then::Sweep, Then::Sweep, Then::Restart][rng.below(4)];
        history.write(slot, then, |found| finish(much, how, found));
    }
    for _ in 0..2 + rng.below(3) {
        let then = if rng.below(2) == 0 { Then::Nothing } else { Then::Sweep };
        history.write(draw_slot(rng), then, |found| fill([Much::Logged, Much::Applied][rng.below(2)], found, 2));
    }
}

fn draw_slot(rng: &mut Rng) -> Slot {
    Slot(u32::try_from(rng.below(SLOTS as usize)).unwrap())
}

/// So much more of it, as the slot has some already.
fn fill(much: Much, found: &TwinSlot, count: usize) -> Vec<Write> {
    let (last, count) = (found.last().seq.0, count as u64);
    let puts = |after: u64| (after + 1..=after + count).map(put).collect::<Vec<_>>();
    match much {
        Much::Logged => vec![Write::Append(puts(last))],
        Much::Applied => {
            let entries = found.log.iter().cloned().chain(puts(last)).collect();
            vec![Write::Append(puts(last)), Write::Apply { entries, sessions: vec![] }]
        }
        Much::Sessions => {
            let last = found.sessions.len() as u64;
            let sessions = (last + 1..=last + count).map(|name| (Seq(name), Some(session(name)))).collect();
            vec![Write::Apply { entries: vec![], sessions }]
        }
        Much::Staged => {
            let staged = found.staged_objects().len() as u64;
            let pin = found.staged.as_ref().map_or_else(|| next_pin(found), |(pin, _)| pin.clone());
            vec![stage(&pin, staged..staged + count)]
        }
        Much::Spilled => vec![Write::Spill(puts(found.spilled.last().map_or(found.trim, |entry| entry.id).seq.0))],
    }
}

/// What ends it all at once, in one of three ways.
fn finish(much: Much, how: usize, found: &TwinSlot) -> Vec<Write> {
    match (much, how) {
        (Much::Spilled, 0) => vec![Write::DropSpill],
        (Much::Staged, 0) => vec![stage(&next_pin(found), 0..1)],
        (_, 0 | 1) => vec![Write::Clear],
        _ => {
            let pin = next_pin(found);
            let end = end(pin.at.seq.0, &[(Seq(1), session(1))]);
            vec![stage(&pin, 0..5), Write::Install { pin, end }]
        }
    }
}

/// Of a snapshot that is not the one staged.
fn next_pin(found: &TwinSlot) -> Pin {
    let process = found.staged.as_ref().map_or(1, |(pin, _)| pin.process.0 + 1);
    pin(process, found.last().seq.0 + 1)
}

fn stage(pin: &Pin, numbers: Range<u64>) -> Write {
    Write::Stage { pin: pin.clone(), objects: numbers.map(|number| (key(number), object(pin.at.seq.0, value(number)))).collect() }
}

fn put(seq: u64) -> Entry {
    entry(seq, Operation::Put { key: key(seq), value: value(seq), created_at: WallTime(seq) })
}

fn key(number: u64) -> Bytes {
    format!("key{number:06}").into()
}

/// One in eight is apart.
fn value(number: u64) -> Bytes {
    vec![u8::try_from(number % 251).unwrap(); if number.is_multiple_of(8) { 1100 } else { 10 }].into()
}
