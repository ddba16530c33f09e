//! A process that writes a history as a node does, and what must be there of it.

use std::collections::BTreeMap;
use std::path::Path;

use catena_core::{Batch, Recovered, Slot, Ticket, Write};
use catena_store::{FjallStore, Reclaimed, Store, StoreError, Swept};

use super::history::{Group, History, Then, kind, one_batch};
use super::option;
use super::picture::{Picture, difference};
use super::records::Records;
use super::trace::Task;
use super::twin::{Slots, recover, told};
use super::workload;
use super::writer::{Deed, SLOTS, Shape, Writer};

/// Drawn by the same number in the process that writes and in the one that looks.
pub(crate) fn history(groups: u64) -> History {
    History::new(option("POWER_LOSS_SEED", 1), groups)
}

/// Not a test: writes a history, and says up to which batch everything is durable.
#[test]
#[ignore = "another test runs it, in a process of its own"]
fn write_history() {
    write(history, commit, |_, _| {});
}

/// Not a test: the same on a disk on which room is made now and then, as when it is full.
#[test]
#[ignore = "another test runs it, in a process of its own"]
fn write_history_and_make_room() {
    write(history, commit, |store, number| {
        if number % 40 == 39 {
            assert_eq!(store.reclaimer().reclaim(|| u64::MAX).unwrap(), Reclaimed::Some);
        }
    });
}

/// Not a test: a planted bug. What cuts a log is reported before it is synced.
#[test]
#[ignore = "another test runs it, in a process of its own"]
fn report_cuts_too_early() {
    let cut = |write: &Write| matches!(write, Write::Truncate { .. });
    write(
        history,
        |store, group| {
            if group.batches.iter().flat_map(|batch| &batch.writes).any(cut) {
                report(group);
            }
            commit(store, group);
        },
        |_, _| {},
    );
}

/// Not a test: a planted bug. A batch that installs a snapshot is written in pieces.
#[test]
#[ignore = "another test runs it, in a process of its own"]
fn install_in_pieces() {
    let mut ticket = Ticket(0);
    let mut submit = move |store: &mut FjallStore, slot, writes| {
        ticket = ticket.next();
        store.submit(Batch { ticket, slot, writes }).unwrap();
    };
    write(
        history,
        move |store, group| {
            for Batch { slot, writes, .. } in group.batches.iter().cloned() {
                if !writes.iter().any(|write| matches!(write, Write::Install { .. })) {
                    submit(store, slot, writes);
                    continue;
                }
                for write in writes {
                    submit(store, slot, vec![write]);
                    store.sync().unwrap();
                }
            }
            store.sync().unwrap();
        },
        |_, _| {},
    );
}

pub(crate) fn commit(store: &mut FjallStore, group: &Group) {
    group.batches.iter().for_each(|batch| store.submit(batch.clone()).unwrap());
    store.sync().unwrap();
}

fn report(group: &Group) {
    workload::report(group.batches.last().unwrap().ticket);
}

/// Writes a history from where the directory is in it: how a group is committed, and what is done after it.
pub(crate) fn write(
    history: impl Fn(u64) -> History,
    mut commit: impl FnMut(&mut FjallStore, &Group),
    mut beside: impl FnMut(&FjallStore, u64),
) {
    let Task { directory, writes, durable, at_most } = Task::told();
    let history = history(writes);
    let (mut store, recovered) = open(&directory).unwrap();
    let (found, _) = find(&history, usize::try_from(durable).unwrap(), &store, &recovered).unwrap();
    if found > 0 {
        // As a node does by taking it up: it tells others what it has.
        workload::report(found);
        store.sweep().unwrap();
    }
    assert!(history.groups.iter().all(|group| !(group.first()..group.first() + group.batches.len() - 1).contains(&found)));
    let at_most = usize::try_from(at_most).unwrap();
    for (group, number) in history.groups.iter().zip(0..).skip_while(|(group, _)| group.first() <= found).take(at_most) {
        commit(&mut store, group);
        report(group);
        match group.then {
            Then::Nothing => {}
            Then::Sweep => drop(store.sweep().unwrap()),
            Then::Restart => {
                drop(store);
                store = open(&directory).unwrap().0;
            }
        }
        beside(&store, number);
    }
}

/// After how many batches a store is, and what its slots have. These are `durable`; of the group on its way any may be there.
fn find(history: &History, durable: usize, store: &FjallStore, recovered: &[Recovered]) -> Result<(usize, Slots), String> {
    let picture = Picture::of(store).map_err(failed)?;
    let last = durable + history.group_after(durable).map_or(0, |group| group.batches.len());
    let mut lacks = Vec::new();
    let found = (durable..=last).find_map(|batches| {
        let mut slots = history.after(batches);
        recover(&mut slots);
        let lack = difference(recovered, &told(&slots)).or_else(|| picture.difference(&Picture::of_twin(&slots)));
        lacks.extend(lack.as_ref().map(|lack| format!("\nit is not as after {batches}: it {lack}")));
        lack.is_none().then_some((batches, slots))
    });
    found.ok_or_else(|| lacks.concat())
}

/// What a history was, and how often what of it was at stake.
pub(crate) struct Trials {
    history: History,
    /// By kind of write: how many power losses came while one was on its way and took it, and how many did not.
    pub(crate) at_stake: BTreeMap<&'static str, (u64, u64)>,
    /// By how many steps it took, besides a last one, to remove what was left behind: how often that went on after a power loss.
    pub(crate) steps_left: BTreeMap<usize, u64>,
    moments: u64,
}

impl Trials {
    pub(crate) fn new(history: History) -> Self {
        Self { history, at_stake: BTreeMap::new(), steps_left: BTreeMap::new(), moments: 0 }
    }

    /// The slots are as after one of the batches from `durable` on to the end of the group on its way, nothing is left over
    /// besides, and the store works.
    pub(crate) fn assert_holds(&mut self, path: &Path, durable: u64) -> Result<(), String> {
        let durable = usize::try_from(durable).unwrap();
        self.moments += 1;
        let found = self.look(path, durable).map_err(|lack| format!("{durable} was durable: {lack}"))?;
        for write in self.history.writes_after(durable) {
            let (taken, kept) = self.at_stake.entry(kind(write)).or_default();
            *(if found == durable { taken } else { kept }) += 1;
        }
        Ok(())
    }

    /// After how many batches it is.
    fn look(&mut self, path: &Path, durable: usize) -> Result<usize, String> {
        let (mut store, recovered) = open(path)?;
        let (found, mut slots) = find(&self.history, durable, &store, &recovered)?;
        let lacks = |lack| format!("as after {found}, and gone on with: {lack}");
        // What is left behind goes before more comes, or meets it.
        if self.moments.is_multiple_of(2) {
            let steps = sweep(store, path, &slots).map_err(lacks)?;
            *self.steps_left.entry(steps).or_default() += 1;
            store = reopen(path, &mut slots).map_err(lacks)?;
            go_on(&mut store, &mut slots).map_err(lacks)?;
        } else {
            go_on(&mut store, &mut slots).map_err(lacks)?;
            drop(store);
            store = reopen(path, &mut slots).map_err(lacks)?;
            sweep(store, path, &slots).map_err(lacks)?;
        }
        Ok(found)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "errors are mapped by it")]
fn failed(error: StoreError) -> String {
    error.to_string()
}

fn open(path: &Path) -> Result<(FjallStore, Vec<Recovered>), String> {
    let mut store = FjallStore::open_unidentified(path).map_err(failed)?;
    let recovered = store.recover().map_err(failed)?;
    Ok((store, recovered))
}

/// As the process before has left it.
fn reopen(path: &Path, slots: &mut Slots) -> Result<FjallStore, String> {
    recover(slots);
    let (store, recovered) = open(path)?;
    difference(&recovered, &told(slots)).map_or(Ok(store), Err)
}

/// What is left behind can be removed, and nothing else goes. How many steps leave some of it.
fn sweep(mut store: FjallStore, path: &Path, slots: &Slots) -> Result<usize, String> {
    let mut steps = 0;
    while store.sweep().map_err(failed)? == Swept::Partly {
        steps += 1;
    }
    if let Some(lack) = Picture::of(&store).map_err(failed)?.difference(&Picture::of_twin(slots)) {
        return Err(lack);
    }
    drop(store);
    let (records, needed) = (Records::of(path), Records::needed_by(slots));
    if records == needed { Ok(steps) } else { Err(format!("{records:?} are left, {needed:?} are needed")) }
}

/// What is staged can be installed, what is logged be applied, and more be written.
fn go_on(store: &mut FjallStore, slots: &mut Slots) -> Result<(), String> {
    let mut writer = Writer::default();
    let more = || Shape::Append { operations: vec![Deed::Put(0, 4), Deed::Delete(1)] };
    let all = || Shape::Apply { count: usize::MAX, sessions: vec![] };
    for (slot, ticket) in (0..SLOTS).zip(1..) {
        let shapes = [more(), all(), Shape::Install, more(), all(), Shape::Spill { operations: vec![Deed::Put(2, 4)] }, more()];
        let batch = one_batch(&mut writer, slots, Ticket(ticket), Slot(slot), &shapes);
        store.submit(batch).map_err(failed)?;
        store.sync().map_err(failed)?;
    }
    Picture::of(store).map_err(failed)?.difference(&Picture::of_twin(slots)).map_or(Ok(()), Err)
}
