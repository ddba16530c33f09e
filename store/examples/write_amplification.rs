//! Measures what the store writes per byte stored, and what an operation costs. Linux only: reads `/proc/self`.
//!
//! ```text
//! cargo run --release -p catena-store --example write_amplification [DIRECTORY]
//! ```
//!
//! For each value size, objects are written as a node writes them: a group of appends is synced, and entries are applied some
//! groups later. Values are incompressible; every object is written twice, so that the second half overwrites.
#![expect(clippy::unwrap_used, clippy::cast_precision_loss, reason = "a measurement: it may stop, and rounds")]

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use bytes::Bytes;
use catena_core::{Batch, ChainVersion, Entry, EntryId, Operation, Seq, Slot, Ticket, WallTime, Write};
use catena_store::{FjallStore, Reader, Store};

const SLOTS: u64 = 16;
/// Groups between an entry's append and its application.
const LAG: usize = 8;

struct Case {
    value_bytes: usize,
    group: usize,
    objects: u64,
}

const CASES: [Case; 8] = [
    Case { value_bytes: 100, group: 1, objects: 10_000 },
    Case { value_bytes: 100, group: 64, objects: 500_000 },
    Case { value_bytes: 1024, group: 1, objects: 10_000 },
    Case { value_bytes: 1024, group: 64, objects: 200_000 },
    Case { value_bytes: 16 << 10, group: 1, objects: 4_800 },
    Case { value_bytes: 16 << 10, group: 64, objects: 20_000 },
    Case { value_bytes: 1 << 20, group: 1, objects: 320 },
    Case { value_bytes: 1 << 20, group: 8, objects: 320 },
];

fn main() {
    let root = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    println!("| value | ops/sync | stored MiB | written/stored | files/live | ops/s | CPU µs/op | get µs |");
    println!("|---|---|---|---|---|---|---|---|");
    for case in &CASES {
        let path = root.join(format!("catena-write-amplification-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        run(case, &path);
        fs::remove_dir_all(&path).unwrap();
    }
}

fn run(case: &Case, path: &Path) {
    let mut store = FjallStore::open_unidentified(path).unwrap();
    store.recover().unwrap();
    let reader = store.reader();
    let mut load = Load::new(case);
    let (started, cpu, written) = (Instant::now(), cpu_seconds(), written_bytes());
    for _ in 0..2 * case.objects / case.group as u64 {
        for batch in load.group() {
            store.submit(batch).unwrap();
        }
        store.sync().unwrap();
    }
    let operations = load.operations as f64;
    let seconds = started.elapsed().as_secs_f64();
    let cpu = cpu_seconds() - cpu;
    let get = time_reads(&reader, case.objects);
    drop((store, reader));
    let key_bytes = Load::key(0).len();
    let stored = operations * (case.value_bytes + key_bytes) as f64;
    let written = (written_bytes() - written) as f64;
    let on_disk = tree_bytes(path) as f64;
    println!(
        "| {} B | {} | {:.0} | {:.2} | {:.2} | {:.0} | {:.1} | {:.1} |",
        case.value_bytes,
        case.group,
        stored / f64::from(1 << 20),
        written / stored,
        on_disk / (stored / 2.0),
        operations / seconds,
        cpu * 1e6 / operations,
        get * 1e6,
    );
}

/// Writes objects round robin over the slots, each object twice.
struct Load<'a> {
    case: &'a Case,
    operations: u64,
    ticket: u64,
    pool: Bytes,
    logged: VecDeque<Vec<(Slot, Entry)>>,
}

impl<'a> Load<'a> {
    fn new(case: &'a Case) -> Self {
        Self { case, operations: 0, ticket: 0, pool: pool(), logged: VecDeque::new() }
    }

    fn key(object: u64) -> String {
        format!("object/{object:013}")
    }

    /// The batches of one group: its appends, and the application of an earlier one.
    fn group(&mut self) -> Vec<Batch> {
        let entries: Vec<(Slot, Entry)> = (0..self.case.group).map(|_| self.entry()).collect();
        let mut batches: Vec<Batch> =
            entries.iter().map(|(slot, entry)| self.batch(*slot, Write::Append(vec![entry.clone()]))).collect();
        self.logged.push_back(entries);
        if self.logged.len() > LAG
            && let Some(entries) = self.logged.pop_front()
        {
            for slot in (0..SLOTS).map(|slot| Slot(u32::try_from(slot).unwrap())) {
                let of_slot: Vec<Entry> =
                    entries.iter().filter(|(owner, _)| *owner == slot).map(|(_, entry)| entry.clone()).collect();
                if !of_slot.is_empty() {
                    batches.push(self.batch(slot, Write::Apply { entries: of_slot, sessions: Vec::new() }));
                }
            }
        }
        batches
    }

    fn batch(&mut self, slot: Slot, write: Write) -> Batch {
        self.ticket += 1;
        Batch { ticket: Ticket(self.ticket), slot, writes: vec![write] }
    }

    fn entry(&mut self) -> (Slot, Entry) {
        let number = self.operations;
        self.operations += 1;
        let (slot, seq) = (number % SLOTS, number / SLOTS + 1);
        let at = WallTime(1_700_000_000_000_000_000 + number);
        let operation = Operation::Put { key: Self::key(number % self.case.objects).into(), value: self.value(), created_at: at };
        let previous = ChainVersion(u64::from(seq > 1));
        let id = EntryId { version: ChainVersion(1), seq: Seq(seq) };
        (Slot(u32::try_from(slot).unwrap()), Entry { id, previous, at, origin: None, operation })
    }

    fn value(&self) -> Bytes {
        let spare = (POOL_BYTES - self.case.value_bytes) as u64;
        let start = usize::try_from(self.operations * 4099 % spare).unwrap();
        self.pool.slice(start..start + self.case.value_bytes)
    }
}

const POOL_BYTES: usize = 16 << 20;

/// Bytes that do not compress (xorshift), to cut values from.
fn pool() -> Bytes {
    let mut state = 1_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(POOL_BYTES / 8).flatten().collect()
}

/// Seconds a read takes, over objects in no particular order.
fn time_reads(reader: &impl Reader, objects: u64) -> f64 {
    let reads = objects.min(20_000);
    let started = Instant::now();
    for read in 0..reads {
        let object = read * 7919 % objects;
        let slot = Slot(u32::try_from(object % SLOTS).unwrap());
        // What is not applied yet is missing; it is too little to matter.
        let _ = reader.get(slot, Load::key(object).as_bytes()).unwrap();
    }
    started.elapsed().as_secs_f64() / reads as f64
}

/// Bytes that this process made the system send to the disk, whole pages.
fn written_bytes() -> u64 {
    let io = fs::read_to_string("/proc/self/io").unwrap();
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap();
    line.parse().unwrap()
}

/// User and system time of all threads, at the kernel's hundred ticks a second.
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |field: usize| fields[field].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / 100.0
}

/// Bytes that files below `path` occupy.
fn tree_bytes(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(path).unwrap().map(Result::unwrap);
    let bytes = entries.map(|entry| {
        if entry.file_type().unwrap().is_dir() { tree_bytes(&entry.path()) } else { entry.metadata().unwrap().blocks() * 512 }
    });
    bytes.sum()
}
