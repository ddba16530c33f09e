//! A storage node, played: it adopts what it is told at once, and reports it.

use std::collections::BTreeMap;
use std::time::Duration;

use catena_core::{
    Chain, ChainVersion, ClusterId, Decisions, Epoch, Heartbeat, HeartbeatAnswer, Identity, Incarnation, NodeId, NodeRecord,
    Presence, Process, ReplicaState, Report, Revision, Role, RollCall, Slot,
};

const MS: Duration = Duration::from_millis(1);
/// As `NodeConfig::heartbeat` and `NodeConfig::silence`.
const HEARTBEAT: Duration = Duration::from_millis(100);
const SILENCE: Duration = Duration::from_millis(700);

/// How a monotonic clock runs: from some moment on it is fast, or slow, by so many parts per million.
#[derive(Clone, Copy, Default)]
pub(crate) struct Pace {
    pub(crate) since: Duration,
    pub(crate) fast_ppm: i64,
}

impl Pace {
    pub(crate) fn clock(self, now: Duration) -> Duration {
        let nanos = i128::try_from(now.saturating_sub(self.since).as_nanos()).unwrap();
        self.since + Duration::from_nanos(u64::try_from(nanos + nanos * i128::from(self.fast_ppm) / 1_000_000).unwrap())
    }
}

/// A node's process, its disk, and what has been done to it.
#[expect(clippy::struct_excessive_bools, reason = "each is something that can be done to a node by itself")]
pub(crate) struct Node {
    pub(crate) record: NodeRecord,
    pub(crate) process: u64,
    pub(crate) up: bool,
    /// Runs, and does nothing.
    pub(crate) paused: bool,
    /// No coordinator reaches it, nor it one.
    pub(crate) cut: bool,
    /// What the coordinator sends by itself is lost.
    pub(crate) deaf: bool,
    /// It registers, and sends no heartbeat.
    pub(crate) mute: bool,
    /// Nothing that it is to be filled with arrives.
    pub(crate) stalled: bool,
    pub(crate) presence: Presence,
    pub(crate) pace: Pace,
    pub(crate) stream: Option<Conversation>,
    pub(crate) seat: usize,
    pub(crate) dial_at: Duration,
    pub(crate) replicas: BTreeMap<Slot, Replica>,
    /// How often it was filled from nothing.
    pub(crate) copies: u32,
    /// How many heartbeats it sent, and the latest answer.
    pub(crate) sequence: u64,
    pub(crate) answer: Option<HeartbeatAnswer>,
    pub(crate) lease_until: Option<Duration>,
    epoch: Epoch,
    roll_call: RollCall,
    applied: Revision,
    sent: BTreeMap<u64, Duration>,
    heard_at: Duration,
    next_heartbeat: Duration,
    last_heartbeat: Duration,
    unreported: BTreeMap<Slot, Option<u64>>,
}

/// A conversation with a coordinator.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Conversation {
    pub(crate) number: u64,
    pub(crate) registered: bool,
}

/// A replica: its version, its state, and what it waits for.
pub(crate) struct Replica {
    pub(crate) chain: Chain,
    pub(crate) state: ReplicaState,
    pub(crate) fence: ChainVersion,
    pub(crate) has_data: bool,
    /// What it says while it is a member, whatever it is told: its disk is damaged.
    damage: Option<Damage>,
    filled_at: Option<Duration>,
    unheard: BTreeMap<NodeId, Duration>,
    silent: Option<NodeId>,
    /// Whom it is made to report.
    accused: Option<NodeId>,
}

/// What of a replica is damaged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    /// It takes no part.
    Log,
    /// It takes part.
    Object,
}

impl Node {
    pub(crate) fn new(record: NodeRecord) -> Self {
        Self {
            record,
            process: 0,
            up: false,
            paused: false,
            cut: false,
            deaf: false,
            mute: false,
            stalled: false,
            presence: Presence::Staying,
            pace: Pace::default(),
            stream: None,
            seat: 0,
            dial_at: Duration::ZERO,
            replicas: BTreeMap::new(),
            copies: 0,
            sequence: 0,
            answer: None,
            lease_until: None,
            epoch: Epoch(0),
            roll_call: RollCall(0),
            applied: Revision(0),
            sent: BTreeMap::new(),
            heard_at: Duration::ZERO,
            next_heartbeat: Duration::ZERO,
            last_heartbeat: Duration::ZERO,
            unreported: BTreeMap::new(),
        }
    }

    pub(crate) fn id(&self) -> &NodeId {
        &self.record.node
    }

    fn identity(&self) -> Identity {
        let (node, incarnation) = (self.record.node.clone(), self.record.incarnation);
        Identity { cluster: ClusterId(1), node, incarnation, process: Process(self.process) }
    }

    /// Its monotonic clock.
    pub(crate) fn clock(&self, now: Duration) -> Duration {
        self.pace.clock(now)
    }

    /// A process starts on what the disk has.
    pub(crate) fn start(&mut self, now: Duration) {
        assert!(!self.up, "{} runs already", self.id());
        let me = self.identity();
        (self.up, self.paused, self.presence, self.process) = (true, false, Presence::Staying, self.process + 1);
        (self.stream, self.dial_at, self.heard_at) = (None, now, now);
        (self.sequence, self.applied, self.lease_until) = (0, Revision(0), None);
        (self.epoch, self.roll_call) = (Epoch(0), RollCall(0));
        self.sent.clear();
        self.answer = None;
        self.next_heartbeat = Duration::ZERO;
        self.last_heartbeat = Duration::ZERO;
        for replica in self.replicas.values_mut() {
            self.epoch = self.epoch.max(replica.chain.epoch);
            replica.state = match replica.chain.role(&me) {
                Role::None if replica.has_data => ReplicaState::Removed,
                Role::None => ReplicaState::Dropped,
                Role::Joining => ReplicaState::Active,
                _ => ReplicaState::Restarted,
            };
            (replica.fence, replica.filled_at, replica.silent) = (ChainVersion(0), None, None);
            replica.unheard.clear();
        }
    }

    pub(crate) fn kill(&mut self) {
        (self.up, self.stream, self.lease_until) = (false, None, None);
    }

    /// It finds its data of a slot damaged, and says so.
    pub(crate) fn damage(&mut self, slot: Slot, damage: Damage) {
        let damage = |replica: &mut Replica| replica.damage(damage);
        self.changed(slot, damage, || unreachable!());
    }

    /// Its disk is replaced by an empty one.
    pub(crate) fn wipe(&mut self) {
        assert!(!self.up, "{} runs", self.id());
        self.record.incarnation = Incarnation(self.record.incarnation.0 + 1000);
        self.replicas.clear();
    }

    pub(crate) fn leased(&self, now: Duration) -> bool {
        self.up && self.presence == Presence::Staying && self.lease_until.is_some_and(|until| self.clock(now) < until)
    }

    /// Whether it would answer reads or reveal state, if asked.
    pub(crate) fn serves(&self, slot: Slot, now: Duration) -> bool {
        let me = self.identity();
        self.leased(now) && self.replicas.get(&slot).is_some_and(|replica| replica.serving(&me))
    }

    /// It reports not to hear this node.
    pub(crate) fn accuse(&mut self, slot: Slot, silent: NodeId) {
        let replica = self.replicas.get_mut(&slot).unwrap();
        replica.accused = Some(silent);
        self.unreported.insert(slot, None);
    }

    /// Whether it takes part in this version.
    pub(crate) fn acts(&self, slot: Slot, version: ChainVersion) -> bool {
        let acting = |replica: &Replica| replica.chain.version == version && replica.acting();
        self.up && !self.paused && self.replicas.get(&slot).is_some_and(acting)
    }

    /// The coordinator has let it in.
    pub(crate) fn registered(&mut self, number: u64, now: Duration) {
        let Some(stream) = self.stream.as_mut().filter(|stream| stream.number == number && !stream.registered) else { return };
        stream.registered = true;
        (self.heard_at, self.next_heartbeat) = (now, Duration::ZERO);
        self.unreported = self.replicas.keys().map(|slot| (*slot, None)).collect();
    }

    /// Whether it has waited for its coordinator in vain.
    pub(crate) fn forsaken(&self, now: Duration) -> bool {
        let patience = |stream: Conversation| if stream.registered { 400 * MS } else { 100 * MS };
        self.stream.is_some_and(|stream| now > self.heard_at + patience(stream))
    }

    pub(crate) fn hear(&mut self, now: Duration) {
        self.heard_at = now;
    }

    /// Its next heartbeat, if one is due.
    pub(crate) fn heartbeat(&mut self, now: Duration) -> Option<Heartbeat> {
        let clock = self.clock(now);
        if self.mute || clock < self.next_heartbeat || !self.stream.is_some_and(|stream| stream.registered) {
            return None;
        }
        self.sequence += 1;
        (self.last_heartbeat, self.next_heartbeat) = (clock, clock + HEARTBEAT);
        self.sent.insert(self.sequence, clock);
        self.unreported.values_mut().for_each(|told| *told = told.or(Some(self.sequence)));
        let reports = self.unreported.keys().map(|slot| self.replicas[slot].report(*slot)).collect();
        let (sequence, applied, presence) = (self.sequence, self.applied, self.presence);
        Some(Heartbeat { sequence, applied, reports, presence, epoch: self.epoch, roll_call: self.roll_call })
    }

    pub(crate) fn answered(&mut self, answer: HeartbeatAnswer, now: Duration) {
        let Some(sent) = self.sent.remove(&answer.sequence) else { return };
        if answer.decisions.epoch < self.epoch {
            return;
        }
        self.heard_at = now;
        self.take(answer.decisions.clone());
        self.applied = self.applied.max(answer.revision);
        self.unreported.retain(|_, told| told.is_none_or(|told| told > answer.sequence));
        if let Some(lease) = answer.lease {
            self.lease_until = self.lease_until.max(Some(sent + lease));
        }
        self.answer = Some(answer);
    }

    pub(crate) fn decided(&mut self, decisions: Decisions) {
        if decisions.epoch >= self.epoch {
            self.take(decisions);
            self.hurry();
        }
    }

    fn hurry(&mut self) {
        self.next_heartbeat = self.next_heartbeat.min(self.last_heartbeat + 10 * MS);
    }

    fn take(&mut self, decisions: Decisions) {
        (self.epoch, self.roll_call) = (self.epoch, self.roll_call).max((decisions.epoch, decisions.roll_call));
        let me = self.identity();
        for chain in decisions.chains {
            let slot = chain.slot;
            if self.replicas.get(&slot).is_none_or(|replica| replica.chain.version < chain.version) {
                self.changed(slot, |replica| replica.adopt(chain.clone(), &me), || Replica::new(chain.clone(), &me));
            }
        }
        for (slot, version) in decisions.fences {
            if self.replicas.contains_key(&slot) {
                self.changed(slot, |replica| replica.fence = replica.fence.max(version), || unreachable!());
            }
        }
        for (slot, version) in decisions.drops {
            let asked_for = |replica: &Replica| replica.state == ReplicaState::Removed && replica.chain.version == version;
            if self.replicas.get(&slot).is_some_and(asked_for) {
                let drop = |replica: &mut Replica| (replica.state, replica.has_data) = (ReplicaState::Dropped, false);
                self.changed(slot, drop, || unreachable!());
            }
        }
    }

    fn changed(&mut self, slot: Slot, act: impl FnOnce(&mut Replica), new: impl FnOnce() -> Replica) {
        let before = self.replicas.get(&slot).map(|replica| replica.report(slot));
        match self.replicas.get_mut(&slot) {
            Some(replica) => act(replica),
            None => drop(self.replicas.insert(slot, new())),
        }
        if before != Some(self.replicas[&slot].report(slot)) {
            self.unreported.insert(slot, None);
            self.hurry();
        }
    }

    /// Time passes for its replicas. `acts` says whether another node takes part in a version and can be reached.
    pub(crate) fn progress(&mut self, now: Duration, acts: impl Fn(&NodeId, Slot, ChainVersion) -> bool) {
        let me = self.identity();
        let slots: Vec<Slot> = self.replicas.keys().copied().collect();
        for slot in slots {
            let replica = &self.replicas[&slot];
            let version = replica.chain.version;
            if !replica.acting() {
                continue;
            }
            let (above, below) = (replica.chain.predecessor(&me.node).cloned(), replica.chain.successor(&me.node).cloned());
            let heard = |id: &Option<NodeId>| id.as_ref().is_none_or(|id| acts(id, slot, version));
            let (fillable, stalled, mut copied) = (heard(&above), self.stalled, 0);
            let silent_after =
                |replica: &mut Replica, id: &NodeId| now >= *replica.unheard.entry(id.clone()).or_insert(now) + SILENCE;
            let act = |replica: &mut Replica| {
                replica.silent = None;
                for neighbour in [&above, &below].into_iter().flatten() {
                    if acts(neighbour, slot, version) {
                        replica.unheard.remove(neighbour);
                    } else if silent_after(replica, neighbour) {
                        replica.silent = Some(neighbour.clone());
                    }
                }
                copied += replica.fill(&me, fillable && !stalled, now);
            };
            self.changed(slot, act, || unreachable!());
            self.copies += copied;
        }
    }
}

impl Replica {
    fn new(chain: Chain, me: &Identity) -> Self {
        let (state, fence) = (ReplicaState::Dropped, ChainVersion(0));
        let (filled_at, unheard, silent) = (None, BTreeMap::new(), None);
        let has_data = chain.version == ChainVersion(1) && chain.role(me).is_member();
        let mut replica =
            Self { chain: chain.clone(), state, fence, has_data, damage: None, filled_at, unheard, silent, accused: None };
        replica.adopt(chain, me);
        replica
    }

    fn adopt(&mut self, chain: Chain, me: &Identity) {
        if !chain.role(me).is_member() && self.damage.take().is_some() {
            self.has_data = false;
        }
        self.state = match chain.role(me) {
            Role::None if self.has_data => ReplicaState::Removed,
            Role::None => ReplicaState::Dropped,
            _ if self.damage == Some(Damage::Log) => ReplicaState::Astray,
            _ => ReplicaState::Active,
        };
        (self.chain, self.filled_at, self.silent) = (chain, None, None);
        self.unheard.clear();
    }

    fn damage(&mut self, damage: Damage) {
        self.damage = Some(damage);
        if damage == Damage::Log {
            self.state = ReplicaState::Astray;
        }
    }

    fn report(&self, slot: Slot) -> Report {
        let fenced = self.fence >= self.chain.version;
        Report {
            slot,
            version: self.chain.version,
            state: self.state,
            fenced,
            damaged: self.damage.is_some(),
            silent: self.accused.clone().or_else(|| self.silent.clone()),
        }
    }

    fn acting(&self) -> bool {
        matches!(self.state, ReplicaState::Active | ReplicaState::CaughtUp)
    }

    fn serving(&self, me: &Identity) -> bool {
        self.acting() && self.chain.role(me).is_member() && self.fence < self.chain.version
    }

    /// A joining replica, or a tail that is not ready, catches up while its predecessor is there. Returns how much of it
    /// was copied from nothing.
    fn fill(&mut self, me: &Identity, fillable: bool, now: Duration) -> u32 {
        let role = self.chain.role(me);
        let filling = role == Role::Joining || (role.is_tail() && !self.chain.tail_ready);
        if !filling || !fillable || self.state != ReplicaState::Active {
            self.filled_at = self.filled_at.filter(|_| fillable);
            return 0;
        }
        let takes = if self.has_data { 20 * MS } else { 200 * MS };
        if now < *self.filled_at.get_or_insert(now + takes) {
            return 0;
        }
        self.state = ReplicaState::CaughtUp;
        u32::from(!std::mem::replace(&mut self.has_data, true))
    }
}
