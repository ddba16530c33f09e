//! Measures what it costs to fill a slot from another's snapshot, to switch to it, and to remove what was there before. Linux
//! only: reads `/proc/self`.
//!
//! ```text
//! cargo run --release -p catena-store --example snapshot [DIRECTORY]
//! ```
//!
//! For each value size, one store's slot is pinned, read in parts of 1 MiB and staged in another store, a sync a part, as a
//! joining replica does; then it is installed, cleared and swept. Milliseconds are the median, the 99th percentile and the longest.
//! Memory is the most that the process, with both stores, has had.
#![expect(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a measurement: it may stop, and rounds"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use catena_core::{Batch, ChainVersion, Entry, EntryId, NodeId, Operation, Pin, Process, Seq, Slot, Ticket, WallTime, Write};
use catena_store::{FjallStore, Pinned, Reader, Store, Swept};

const SLOT: Slot = Slot(1);
const PART_BYTES: usize = 1 << 20;
const MIB: f64 = (1 << 20) as f64;

fn main() {
    let root = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    println!("| value | objects | copied MiB | copied MiB/s | install ms | swept objects/s | part ms | sweep ms | memory MiB |");
    println!("|---|---|---|---|---|---|---|---|---|");
    for (value_bytes, objects) in [(100, 1_000_000), (1024, 200_000), (16 << 10, 20_000), (1 << 20, 300)] {
        let path = root.join(format!("catena-snapshot-{}", std::process::id()));
        let [source, joiner] = ["source", "joiner"].map(|name| path.join(name));
        fs::create_dir_all(&source).unwrap();
        fs::create_dir_all(&joiner).unwrap();
        run(value_bytes, objects, &source, &joiner);
        fs::remove_dir_all(&path).unwrap();
    }
}

fn run(value_bytes: usize, objects: u64, source: &Path, joiner: &Path) {
    let (mut source, mut joiner) = (opened(source), opened(joiner));
    fill(&mut source, value_bytes, objects);
    let pinned = source.store.reader().pin(SLOT).unwrap();
    let pin = Pin { source: NodeId::new("n1").unwrap(), process: Process(1), at: pinned.at() };
    let (started, mut after, mut copied, mut stages) = (Instant::now(), None, 0, Vec::new());
    let end = loop {
        let part = pinned.read(after.as_deref(), PART_BYTES).unwrap().expect("it follows on the one before");
        copied += part.objects.iter().map(|(key, object)| key.len() + object.value.len()).sum::<usize>();
        after = part.objects.last().map(|(key, _)| key.clone());
        stages.push(joiner.commit(Write::Stage { pin: pin.clone(), objects: part.objects }));
        if let Some(end) = part.end {
            break end;
        }
    };
    let copying = started.elapsed();
    let install = joiner.commit(Write::Install { pin, end });
    joiner.commit(Write::Clear);
    let mut sweeps = Vec::new();
    let mut swept = Swept::Partly;
    while swept == Swept::Partly {
        let started = Instant::now();
        swept = joiner.store.sweep().unwrap();
        sweeps.push(started.elapsed());
    }
    let sweeping: Duration = sweeps.iter().sum();
    println!(
        "| {value_bytes} B | {objects} | {:.0} | {:.0} | {:.1} | {:.0} | {} | {} | {:.0} |",
        copied as f64 / MIB,
        copied as f64 / MIB / copying.as_secs_f64(),
        install.as_secs_f64() * 1e3,
        objects as f64 / sweeping.as_secs_f64(),
        milliseconds(&mut stages),
        milliseconds(&mut sweeps),
        resident_bytes() / MIB,
    );
}

/// The median, the 99th percentile, the longest.
fn milliseconds(spans: &mut [Duration]) -> String {
    spans.sort_unstable();
    let at = |share: f64| spans[(share * (spans.len() - 1) as f64) as usize].as_secs_f64() * 1e3;
    format!("{:.1} / {:.1} / {:.1}", at(0.5), at(0.99), at(1.0))
}

struct Opened {
    store: FjallStore,
    ticket: Ticket,
}

fn opened(path: &Path) -> Opened {
    let mut store = FjallStore::open_unidentified(path).unwrap();
    store.recover().unwrap();
    Opened { store, ticket: Ticket(0) }
}

impl Opened {
    /// Writes and syncs; says how long it took.
    fn commit(&mut self, write: Write) -> Duration {
        let started = Instant::now();
        self.ticket = self.ticket.next();
        self.store.submit(Batch { ticket: self.ticket, slot: SLOT, writes: vec![write] }).unwrap();
        self.store.sync().unwrap();
        started.elapsed()
    }
}

/// Puts objects of incompressible values, in no particular order, a MiB or a thousand at a time.
fn fill(opened: &mut Opened, value_bytes: usize, objects: u64) {
    let group = (PART_BYTES / value_bytes).clamp(1, 1000) as u64;
    for first in (0..objects).step_by(usize::try_from(group).unwrap()) {
        let entries = (first..objects.min(first + group)).map(|number| {
            let id = EntryId { version: ChainVersion(1), seq: Seq(number + 1) };
            let key = format!("object/{:013}", number * 7919 % objects);
            let operation = Operation::Put { key: key.into(), value: value(number, value_bytes), created_at: WallTime(1) };
            Entry { id, previous: ChainVersion(u64::from(number > 0)), at: WallTime(number + 1), origin: None, operation }
        });
        opened.commit(Write::Apply { entries: entries.collect(), sessions: Vec::new() });
    }
}

fn value(seed: u64, bytes: usize) -> bytes::Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(bytes).collect::<Vec<u8>>().into()
}

/// What the process has in memory.
fn resident_bytes() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0
}
