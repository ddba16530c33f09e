//! A joiner that is sent a snapshot over a bad way: parts are lost, come twice, late and in another order, cut short and with bits
//! flipped, while there are writes and restarts. It is never filled with what its source has never had. And forged parts, whose
//! checksum is right, may fill it with anything, but crash nobody.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use bytes::Bytes;
use catena_core::{Chunk, EntryId, Envelope, Event, Message as Said, NodeConfig, NodeId, Origin};
use catena_net::proto;
use prost::Message;

use crate::bench::{Bench, State};

/// A copy of so few objects has this many parts at most.
const PARTS: usize = 40;
const OBJECTS: u64 = 8;
/// Time for a copy on a good way, from its beginning.
const PATIENCE_MS: usize = 3_000;
/// Time after which a part that is lost is asked for again, and more.
const TURN_MS: usize = 600;

/// No millisecond has so many, unless one event makes the next for ever.
const EVENTS: usize = 10_000;

/// What becomes of one part, and what happens before it arrives.
#[derive(Arbitrary, Debug)]
struct Turn {
    first: Meanwhile,
    fate: Fate,
}

#[derive(Arbitrary, Debug)]
enum Meanwhile {
    Nothing,
    Wait { ms: u8 },
    Put,
    RestartJoiner,
    RestartSource,
    Renew,
}

#[derive(Arbitrary, Debug)]
enum Fate {
    Arrives,
    IsLost,
    ComesTwice,
    /// It comes later, or never.
    IsHeld,
    /// One that was held comes before it.
    ComesAfter {
        held: u8,
    },
    /// So many of its objects are missing.
    IsCut {
        objects: u8,
    },
    Flips {
        at: u16,
        bit: u8,
    },
    /// Whoever sends it has made the checksum right.
    IsForged {
        forgery: Forgery,
    },
}

#[derive(Arbitrary, Debug)]
enum Forgery {
    Flips {
        at: u16,
        bit: u8,
    },
    /// Another piece of it in place of what was there.
    Overwrites {
        at: u16,
        bytes: [u8; 4],
    },
    Ends,
    Goes {
        on: bool,
    },
    At {
        version: u64,
        seq: u64,
    },
    Process {
        number: u64,
    },
    After {
        key: Option<Vec<u8>>,
    },
}

/// Bytes of turns.
pub fn run(data: &[u8]) {
    let Ok(turns) = Vec::<Turn>::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let mut copy = Copy::new(turns.into_iter().take(PARTS).collect());
    for _ in 0..PATIENCE_MS + copy.turns.len() * TURN_MS {
        copy.tick();
        if copy.is_filled() {
            break;
        }
    }
    if !copy.forged {
        assert!(copy.is_filled(), "on a good way the joiner is filled");
        copy.check_end();
    }
}

struct Copy {
    bench: Bench,
    turns: VecDeque<Turn>,
    held: Vec<Chunk>,
    forged: bool,
    /// What the source had when it was pinned.
    pinned: BTreeMap<EntryId, State>,
    puts: u64,
}

impl Copy {
    /// A chain with objects and sessions of which the log knows nothing, and a node that begins to join.
    fn new(turns: VecDeque<Turn>) -> Self {
        let mut config = NodeConfig::new(1);
        (config.limits.chunk_bytes, config.limits.apply_entries) = (12, 1);
        let mut bench = Bench::with(config);
        let session = bench.open();
        for number in 0..OBJECTS {
            let origin = Some(Origin { session, number, answered_below: number });
            let action = catena_core::Action::Put { value: "value".into() };
            bench.write(&format!("k{number}"), action, Vec::new(), origin);
        }
        bench.wait(250);
        bench.decide(&["n1", "n2", "n3"], Some("n4"));
        bench.tell();
        Self { bench, turns, held: Vec::new(), forged: false, pinned: BTreeMap::new(), puts: 0 }
    }

    fn tick(&mut self) {
        let bench = &mut self.bench;
        bench.now.monotonic = bench.now.monotonic + Duration::from_millis(1);
        bench.now.wall.0 += 1_000_000;
        bench.queue.extend(bench.nodes.keys().map(|node| (node.clone(), Event::Wake)));
        let mut events = 0;
        while let Some((to, event)) = self.bench.queue.pop_front() {
            events += 1;
            assert!(events < EVENTS, "nodes that go in circles: {event:?}");
            match event {
                Event::Message { from, envelope: Envelope { slot, version, message: Said::Chunk(chunk) } } => {
                    let envelope = |chunk| Envelope { slot, version, message: Said::Chunk(chunk) };
                    for chunk in self.over_a_bad_way(chunk) {
                        self.deliver(&to, Event::Message { from: from.clone(), envelope: envelope(chunk) });
                    }
                }
                event => self.deliver(&to, event),
            }
        }
    }

    fn deliver(&mut self, to: &NodeId, event: Event) {
        self.bench.deliver(to, event);
        if let Some(pin) = &self.bench.disk("n3").pin {
            self.pinned.entry(pin.trim).or_insert_with(|| pin.clone());
        }
        let joiner = &self.bench.disk("n4").state;
        if let Some(source) = self.pinned.get(&joiner.trim).filter(|_| !self.forged) {
            assert_eq!(joiner, source, "what is installed is what was pinned");
        }
    }

    /// What arrives of it.
    fn over_a_bad_way(&mut self, chunk: Chunk) -> Vec<Chunk> {
        let Some(Turn { first, fate }) = self.turns.pop_front() else { return vec![chunk] };
        self.meanwhile(&first);
        match fate {
            Fate::Arrives => vec![chunk],
            Fate::IsLost => Vec::new(),
            Fate::ComesTwice => vec![chunk.clone(), chunk],
            Fate::IsHeld => {
                self.held.push(chunk);
                Vec::new()
            }
            Fate::ComesAfter { held } => {
                let index = usize::from(held).checked_rem(self.held.len());
                index.map(|index| self.held.swap_remove(index)).into_iter().chain([chunk]).collect()
            }
            Fate::IsCut { objects } => {
                let left = chunk.objects.len().saturating_sub(objects.into());
                vec![Chunk { objects: chunk.objects[..left].to_vec(), ..chunk }]
            }
            Fate::Flips { at, bit } => changed(&chunk, |bytes| flip(bytes, at, bit)).into_iter().collect(),
            Fate::IsForged { forgery } => {
                self.forged = true;
                forgery.of(chunk).map(|forged| Chunk { checksum: forged.digest(), ..forged }).into_iter().collect()
            }
        }
    }

    fn meanwhile(&mut self, what: &Meanwhile) {
        match what {
            Meanwhile::Nothing => {}
            Meanwhile::Wait { ms } => {
                self.bench.now.monotonic = self.bench.now.monotonic + Duration::from_millis((*ms).into());
            }
            Meanwhile::Put => {
                self.puts += 1;
                self.bench.put(&format!("k{}", self.puts * 3 % OBJECTS), "newer");
            }
            Meanwhile::RestartJoiner => self.bench.restart("n4"),
            Meanwhile::RestartSource => {
                self.bench.restart("n3");
                self.renew();
            }
            Meanwhile::Renew => self.renew(),
        }
    }

    fn renew(&mut self) {
        self.bench.decide(&["n1", "n2", "n3"], Some("n4"));
    }

    fn is_filled(&self) -> bool {
        self.bench.state("n4") == Some(catena_core::ReplicaState::CaughtUp)
    }

    /// What was written meanwhile comes behind the snapshot.
    fn check_end(&mut self) {
        for _ in 0..300 {
            self.tick();
        }
        let source = self.bench.disk("n3").state.clone();
        assert_eq!(self.bench.disk("n4").state, source, "the joiner has what its source has");
    }
}

impl Forgery {
    /// Nothing, where it is no message any more.
    fn of(self, chunk: Chunk) -> Option<Chunk> {
        Some(match self {
            Forgery::Flips { at, bit } => changed(&chunk, |bytes| flip(bytes, at, bit))?,
            Forgery::Overwrites { at, bytes: new } => changed(&chunk, |bytes| {
                let at = usize::from(at) % bytes.len().max(1);
                let len = new.len().min(bytes.len() - at);
                bytes[at..at + len].copy_from_slice(&new[..len]);
            })?,
            Forgery::Ends => {
                let end = catena_core::SnapshotEnd { at_time: catena_core::WallTime(7), sessions: Vec::new() };
                Chunk { end: Some(end), ..chunk }
            }
            Forgery::Goes { on } => Chunk { end: chunk.end.filter(|_| on), ..chunk },
            Forgery::At { version, seq } => {
                let at = EntryId { version: catena_core::ChainVersion(version), seq: catena_core::Seq(seq) };
                Chunk { pin: catena_core::Pin { at, ..chunk.pin }, ..chunk }
            }
            Forgery::Process { number } => {
                Chunk { pin: catena_core::Pin { process: catena_core::Process(number), ..chunk.pin }, ..chunk }
            }
            Forgery::After { key } => Chunk { after: key.map(Bytes::from), ..chunk },
        })
        .and_then(|forged| changed(&forged, |_| {}))
    }
}

/// The part as it comes over the wire, with its bytes changed: what is no message, a link does not hand on.
fn changed(chunk: &Chunk, change: impl FnOnce(&mut Vec<u8>)) -> Option<Chunk> {
    let mut bytes = proto::Chunk::from(chunk.clone()).encode_to_vec();
    change(&mut bytes);
    proto::Chunk::decode(Bytes::from(bytes)).ok()?.try_into().ok()
}

fn flip(bytes: &mut [u8], at: u16, bit: u8) {
    if let Some(at) = usize::from(at).checked_rem(bytes.len()) {
        bytes[at] ^= 1 << (bit % 8);
    }
}
