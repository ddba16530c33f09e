//! A chain of real nodes against a map: writes under conditions and sessions, retries and reads, while nodes die, disks hold
//! back, links lose, and members go and come. What clients are told must be of one history, in which nothing is lost or done twice.

mod cluster;
mod model;

use arbitrary::{Arbitrary, Unstructured};
use bytes::Bytes;
use catena_core::{Action, Condition, Event, Origin, Reply, RequestId, Seq};

use self::cluster::{Cluster, NODES};
use self::model::{Asked, KEYS, Model};
use crate::bench::id;

/// Longer stories find nothing that shorter ones do not.
const STEPS: usize = 80;

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Step {
    Put {
        key: u8,
        exists: Option<bool>,
        session: Option<u8>,
    },
    Delete {
        key: u8,
        exists: Option<bool>,
        session: Option<u8>,
    },
    OpenSession,
    /// A write that has a session is sent again.
    Retry {
        which: u8,
    },
    /// At the tail.
    Get {
        key: u8,
    },
    /// At any node.
    GetAt {
        key: u8,
        node: u8,
    },
    Scan {
        bytes: u8,
    },
    Wait {
        ms: u8,
    },
    Kill {
        node: u8,
    },
    Start {
        node: u8,
    },
    Hold {
        node: u8,
    },
    Release {
        node: u8,
    },
    SwitchLink {
        from: u8,
        to: u8,
    },
    LinkUp {
        one: u8,
        other: u8,
    },
    LoseWatermarks {
        count: u8,
    },
    Grant {
        leases: bool,
    },
    Renew,
    Remove {
        node: u8,
    },
    Join {
        node: u8,
    },
    Advance,
    /// All hear at once what is decided.
    Tell,
}

/// Bytes of a story.
pub fn run(data: &[u8]) {
    let Ok(steps) = Vec::<Step>::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let mut story = Story { cluster: Cluster::new(), model: Model::default(), sessions: Vec::new() };
    for step in steps.into_iter().take(STEPS) {
        story.take(step);
        story.listen();
    }
    story.end();
}

struct Story {
    cluster: Cluster,
    model: Model,
    /// Those that are open.
    sessions: Vec<Seq>,
}

fn node(number: u8) -> &'static str {
    NODES[usize::from(number) % NODES.len()]
}

fn key(number: u8) -> usize {
    usize::from(number) % KEYS.len()
}

impl Story {
    fn take(&mut self, step: Step) {
        let cluster = &mut self.cluster;
        match step {
            Step::Put { key: number, exists, session } => self.ask(key(number), false, exists, session),
            Step::Delete { key: number, exists, session } => self.ask(key(number), true, exists, session),
            Step::OpenSession if cluster.head_is_up() => drop(cluster.bench.ask_session()),
            Step::OpenSession => {}
            Step::Retry { which } => {
                if let Some((number, write)) = self.model.retriable(which.into()) {
                    self.send(number, &write);
                }
            }
            Step::Get { key: number } => {
                let tail = cluster.bench.chain.tail().node.as_str().to_owned();
                self.get(key(number), &tail);
            }
            Step::GetAt { key: number, node: at } => {
                self.get(key(number), node(at));
            }
            Step::Scan { bytes } => self.scan(bytes.into()),
            Step::Wait { ms } => cluster.bench.wait(ms.into()),
            Step::Kill { node: number } => cluster.kill(node(number)),
            Step::Start { node: number } => cluster.start(node(number)),
            Step::Hold { node: number } => cluster.hold(node(number)),
            Step::Release { node: number } => cluster.release(node(number)),
            Step::SwitchLink { from, to } => Cluster::switch_link(node(from), node(to)),
            Step::LinkUp { one, other } => cluster.link_up(node(one), node(other)),
            Step::LoseWatermarks { count } => cluster.bench.lost_watermarks = count.into(),
            Step::Grant { leases } => cluster.bench.granting = leases,
            Step::Renew => cluster.renew(),
            Step::Remove { node: number } => cluster.remove(node(number)),
            Step::Join { node: number } => cluster.join(node(number)),
            Step::Advance => cluster.advance(),
            Step::Tell => cluster.bench.tell(),
        }
    }

    fn ask(&mut self, key: usize, deletes: bool, exists: Option<bool>, session: Option<u8>) {
        let number = self.model.next_number();
        let session = session.and_then(|which| self.sessions.get(usize::from(which).checked_rem(self.sessions.len())?));
        let origin = session.map(|session| Origin { session: *session, number: number as u64, answered_below: 0 });
        let write = self.model.asks(key, deletes, exists, origin);
        self.send(number, &write);
    }

    /// A write leaves for the head; it arrives with the next wait.
    fn send(&mut self, number: usize, write: &Asked) {
        if self.cluster.head_is_up() {
            let action = if write.deletes { Action::Delete } else { Action::Put { value: Bytes::from(number.to_string()) } };
            let conditions = write.exists.map(Condition::Exists).into_iter().collect();
            let request = self.cluster.bench.write(KEYS[write.key], action, conditions, write.origin);
            self.model.tries(request, number);
        }
    }

    /// Whether it was answered.
    fn get(&mut self, key: usize, at: &str) -> bool {
        if !self.cluster.is_up(at) {
            return false;
        }
        let bench = &mut self.cluster.bench;
        let target = bench.target();
        let stored = bench.disk(at).state.objects.get(KEYS[key].as_bytes()).cloned();
        // No call of the bench has this name.
        let request = RequestId(u64::MAX);
        bench.deliver(&id(at), Event::Read { request, target, key: KEYS[key].into(), stored });
        match bench.replies.remove(&request).expect("reads are answered at once") {
            Ok(Reply::Read { object, .. }) => {
                self.model.reads(key, object.as_ref());
                true
            }
            Ok(other) => panic!("a read was answered {other:?}"),
            Err(_) => false,
        }
    }

    /// All keys, where they are read at all.
    fn scan(&mut self, bytes: usize) {
        let tail = self.cluster.bench.chain.tail().node.as_str().to_owned();
        if !(0..KEYS.len()).all(|key| self.get(key, &tail)) {
            return;
        }
        let (found, _) = self.cluster.bench.scan(bytes);
        for key in KEYS {
            let read = self.cluster.bench.get(key).expect("it was read just now");
            let scanned = found.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
            assert_eq!(scanned, read, "{key} is scanned as it is read");
        }
    }

    /// Takes the answers that have come.
    fn listen(&mut self) {
        for (request, result) in std::mem::take(&mut self.cluster.bench.replies) {
            match result {
                Ok(Reply::Opened { session }) => self.sessions.push(session),
                result => self.model.hears(request, &result),
            }
        }
    }

    /// Everything heals: then everything is answered, by each replica the same.
    fn end(&mut self) {
        self.cluster.heal();
        self.listen();
        let number = self.model.next_number();
        self.ask(0, false, None, None);
        self.cluster.bench.wait(300);
        self.listen();
        assert!(self.model.is_done(number), "what is written after all has healed is done");
        let tail = self.cluster.bench.chain.tail().node.as_str().to_owned();
        for key in 0..KEYS.len() {
            assert!(self.get(key, &tail), "after all has healed everything is read");
        }
        self.cluster.check_equal();
        self.model.check_conditions();
    }
}
