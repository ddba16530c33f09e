//! What a reader gets to see: a line for everything that matters, and tables on demand.

use std::collections::BTreeMap;

use bytes::Bytes;
use catena_core::client::{Body, Failure};
use catena_core::{
    Action, CallError, Chain, Comparison, Condition, Decisions, Entry, Eviction, Health, Metadata, Operation, Role, Slot,
    Standing, Status, Wait,
};

use crate::check::histories::Watermarks;
use crate::history::{Call, Deed, Outcome, Wish};
use crate::world::script::{ProcessState, Seen, Stage};

/// More slots than this are not shown one by one.
const MANY: u32 = 4;

pub(super) fn node(node: usize) -> String {
    format!("n{}", node + 1)
}

/// Names the slot, where there are several.
fn of(slot: Slot, stage: &Stage) -> String {
    if stage.options().slots == 1 { String::new() } else { format!("slot {slot}: ") }
}

/// Whether chains are shown one by one.
pub(super) fn few(stage: &Stage) -> bool {
    stage.options().slots <= MANY
}

/// An event as a line. `who` names a client.
pub(super) fn seen(seen: &Seen, who: impl Fn(usize) -> String, stage: &Stage) -> String {
    match seen {
        Seen::Chain(chain) => format!("{}{}", of(chain.slot, stage), self::chain(chain)),
        Seen::Committed(slot, entry) => format!("{}seq {} is committed: {}", of(*slot, stage), entry.id.seq, operation(entry)),
        Seen::Asked { node, call, version, body } => {
            let node = self::node(*node);
            match (body, call) {
                (Body::OpenSession, _) => format!("{node} gets: open a session (v{version})"),
                (Body::Read { .. } | Body::Scan { .. } | Body::Write { .. }, Some(call)) => {
                    format!("{node} gets: {} (v{version})", wish(&stage.call(*call).wish))
                }
                (Body::Read { key }, None) => format!("{node} gets: get {} (v{version})", text(key)),
                (Body::Scan { .. }, None) => format!("{node} gets: scan (v{version})"),
                (Body::Write { command, .. }, None) => {
                    format!("{node} gets: {} (v{version})", action(&command.key, &command.action))
                }
            }
        }
        Seen::Refused { client, node, error, .. } => {
            format!("{} refuses {}: {}", self::node(*node), who(*client), refusal(error))
        }
        Seen::Failed { client, node, failure, .. } => {
            let node = self::node(*node);
            match failure {
                Failure::NotConnected => format!("{} finds nobody listening at {node}", who(*client)),
                Failure::Lost => format!("{} loses the connection to {node}", who(*client)),
                Failure::TimedOut => format!("{} hears nothing from {node}", who(*client)),
                Failure::Rejected => format!("{node} rejects the request of {}", who(*client)),
            }
        }
        Seen::Ended(_) => unreachable!("calls are shown by `ended`"),
        Seen::Leads(seat, epoch) => format!("c{} leads, epoch {epoch}", seat + 1),
        Seen::Follows(seat) => format!("c{} leads no more", seat + 1),
        Seen::Health(node, health) => format!("{node} is {}", self::health(*health)),
        Seen::Standing(node, standing) => format!("{node} is {}", self::standing(*standing)),
        Seen::Fenced(node, slot, version) => format!("{}{} is fenced in v{version}", of(*slot, stage), self::node(*node)),
        Seen::Cut(node, slot, last) => format!("{}{} cuts its log back to {last}", of(*slot, stage), self::node(*node)),
        Seen::Copies(node, slot, pin, after) => {
            let how = match after {
                Some(after) => format!("goes on with {}'s snapshot as of {}, behind {}", pin.source, pin.at.seq, text(after)),
                None => format!("begins anew, with {}'s snapshot as of {}", pin.source, pin.at.seq),
            };
            format!("{}{} {how}", of(*slot, stage), self::node(*node))
        }
        Seen::Installed(node, slot, at) => format!("{}{} has the snapshot as of {at}", of(*slot, stage), self::node(*node)),
        Seen::Dropped(node, slot) => format!("{}{} has dropped its data", of(*slot, stage), self::node(*node)),
        Seen::Late(node, decisions) => {
            format!("{} is told, late, under epoch {}: {}", self::node(*node), decisions.epoch, self::decisions(decisions, stage))
        }
        Seen::StoreRefuses(seat, epoch, chains) => {
            let chains: Vec<String> =
                chains.iter().map(|chain| format!("{}{}", of(chain.slot, stage), self::chain(chain))).collect();
            format!("the store refuses {} by c{}: epoch {epoch} is over", chains.join(", "), seat + 1)
        }
        Seen::Order(Ok(())) => "the order is stored".to_owned(),
        Seen::Order(Err(error)) => format!("the order is refused: {error}"),
    }
}

/// What a node is told to do.
fn decisions(decisions: &Decisions, stage: &Stage) -> String {
    let Decisions { epoch: _, roll_call: _, chains, fences, drops } = decisions;
    let chains = chains.iter().map(|chain| format!("{}{}", of(chain.slot, stage), self::chain(chain)));
    let fences = fences.iter().map(|(slot, version)| format!("{}stop serving in v{version}", of(*slot, stage)));
    let drops = drops.iter().map(|(slot, version)| format!("{}drop the data of v{version}", of(*slot, stage)));
    chains.chain(fences).chain(drops).collect::<Vec<_>>().join(", ")
}

/// How a call ended.
pub(super) fn ended(call: &Call, who: &str) -> String {
    let wish = wish(&call.wish);
    match &call.outcome {
        Outcome::Pending => format!("{who}: {wish} goes on"),
        Outcome::Read(Some(object)) => format!("{who}: {wish} = {} (version {})", text(&object.value), object.metadata.version),
        Outcome::Read(None) => format!("{who}: {wish} = nothing"),
        Outcome::Written { entry: _, object: Some(Metadata { version, .. }) } => {
            format!("{who}: {wish} is done: version {version}")
        }
        Outcome::Written { entry, object: None } => format!("{who}: {wish} is done, at seq {}", entry.seq),
        Outcome::NothingToDo => format!("{who}: {wish} is done: there was nothing"),
        Outcome::Refused(Some(object)) => format!("{who}: {wish} is refused: it is at version {}", object.version),
        Outcome::Refused(None) => format!("{who}: {wish} is refused: there is none"),
        Outcome::NotExecuted => format!("{who}: {wish} was not executed"),
        Outcome::Unknown => format!("{who}: {wish} has an unknown outcome"),
    }
}

fn wish(wish: &Wish) -> String {
    let Wish { key, deed, conditions } = wish;
    let what = match deed {
        Deed::Get => format!("get {}", text(key)),
        Deed::Put { value } => format!("put {} {}", text(key), text(value)),
        Deed::Delete => format!("delete {}", text(key)),
    };
    let conditions: Vec<String> = conditions.iter().map(condition).collect();
    if conditions.is_empty() { what } else { format!("{what} {}", conditions.join(" ")) }
}

pub(crate) fn condition(condition: &Condition) -> String {
    match condition {
        Condition::Exists(true) => "if-exists".to_owned(),
        Condition::Exists(false) => "if-absent".to_owned(),
        Condition::Version(Comparison::Eq, version) => format!("if-version={version}"),
        Condition::Version(comparison, version) => format!("if-version {comparison:?} {version}"),
        Condition::UpdatedAt(comparison, at) => format!("if-updated {comparison:?} {}", at.0),
    }
}

fn action(key: &Bytes, action: &Action) -> String {
    match action {
        Action::Put { value } => format!("put {} {}", text(key), text(value)),
        Action::Delete => format!("delete {}", text(key)),
    }
}

fn operation(entry: &Entry) -> String {
    match &entry.operation {
        Operation::Put { key, value, .. } => format!("put {} {}", text(key), text(value)),
        Operation::Delete { key } => format!("delete {}", text(key)),
        Operation::Nothing { refused: Some(_) } => "a refusal".to_owned(),
        Operation::Nothing { refused: None } => "nothing to delete".to_owned(),
        Operation::OpenSession => format!("session {} opens", entry.id.seq),
        Operation::Expire { sessions } => {
            format!("expired: sessions {}", sessions.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        }
    }
}

pub(crate) fn refusal(error: &CallError) -> String {
    match error {
        CallError::Routing(mismatch) => format!("{}, here it is {:?} of v{}", mismatch.reason, mismatch.role, mismatch.current),
        CallError::NoLease { .. } => "no lease".to_owned(),
        CallError::NotCaughtUp { .. } => "not caught up".to_owned(),
        CallError::DiskFull { .. } => "disk full".to_owned(),
        CallError::ConditionFailed { .. } => "the condition does not hold".to_owned(),
        CallError::SessionExpired { session, .. } => format!("session {session} has expired"),
        CallError::AlreadyAnswered { number, .. } => format!("write {number} was answered before"),
        CallError::OutcomeUnknown { .. } => "the chain changed, the outcome is unknown".to_owned(),
        CallError::KeyEmpty
        | CallError::KeyTooLong { .. }
        | CallError::ValueTooLarge { .. }
        | CallError::UnknownSlot { .. }
        | CallError::Backpressure { .. } => error.to_string(),
    }
}

/// Bytes for a reader.
fn text(bytes: &[u8]) -> String {
    const LONG: usize = 24;
    if bytes.len() > LONG {
        return format!("({} bytes)", bytes.len());
    }
    match str::from_utf8(bytes) {
        Ok(text) if text.chars().all(|letter| letter.is_ascii_graphic()) => text.to_owned(),
        Ok(_) | Err(_) => {
            let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
            format!("0x{}", digits.collect::<String>())
        }
    }
}

fn members(chain: &Chain) -> String {
    let names: Vec<&str> = chain.members.iter().map(|member| member.node.as_str()).collect();
    let unready = if chain.tail_ready { "" } else { " (not ready)" };
    let joining = chain.joining.as_ref().map_or(String::new(), |joining| format!(" | {} joins", joining.node));
    format!("{}{unready}{joining}", names.join(" "))
}

fn chain(chain: &Chain) -> String {
    format!("v{} = {}", chain.version, members(chain))
}

/// The word for a health, as scenarios write it.
pub(super) fn health(health: Health) -> &'static str {
    match health {
        Health::Unheard => "unheard",
        Health::Healthy => "healthy",
        Health::Suspect => "suspect",
        Health::Dead => "dead",
        Health::Stopped => "stopped",
    }
}

/// The word for a standing.
pub(super) fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Member => "a member",
        Standing::Draining => "draining",
        Standing::Evicted { reason: Eviction::Flapping, .. } => "evicted: it flapped",
        Standing::Evicted { reason: Eviction::Ordered, .. } => "evicted: an operator said so",
    }
}

fn reason(wait: Wait) -> &'static str {
    match wait {
        Wait::NoCandidate => "no node fits",
        Wait::Joining => "a replica is being filled",
        Wait::Fencing => "a fence or a lease",
        Wait::LastCopy => "the last copy does not answer",
        Wait::Restrained => "the failure detector holds back",
        Wait::Turn => "others go first",
        Wait::Absence => "a node that left in order may come back",
    }
}

/// The cluster, as its leader sees it.
pub(super) fn status(stage: &Stage) -> Vec<String> {
    let Some(Status { epoch, nodes, .. }) = stage.status() else { return vec!["nobody leads".to_owned()] };
    let leader = stage.leader().map_or(0, |seat| seat + 1);
    let mut lines = vec![format!("c{leader} leads, epoch {epoch}")];
    for node in &nodes {
        let standing = match node.stored.standing {
            Standing::Member => String::new(),
            standing => format!(", {}", self::standing(standing)),
        };
        let rack = node.stored.record.labels.get("rack").map_or(String::new(), |rack| format!(", rack {rack}"));
        lines.push(format!(
            "{}: {}{standing}{rack}; head of {}, tail of {}, in {}",
            node.stored.record.node,
            health(node.health),
            node.heads,
            node.tails,
            node.replicas
        ));
    }
    if few(stage) {
        for chain in stage.chains() {
            let wait = stage.wait(chain.slot).map_or(String::new(), |wait| format!(" (waits: {})", reason(wait)));
            lines.push(format!("{}{}{wait}", of(chain.slot, stage), self::chain(chain)));
        }
    } else {
        lines.extend(summary(stage));
    }
    lines
}

/// Every chain, or how many there are of each kind.
pub(super) fn chains(stage: &Stage) -> Vec<String> {
    if few(stage) {
        stage.chains().map(|chain| format!("{}{}", of(chain.slot, stage), self::chain(chain))).collect()
    } else {
        summary(stage)
    }
}

/// Many chains in a few lines: how many there are of each kind.
fn summary(stage: &Stage) -> Vec<String> {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for chain in stage.chains() {
        let wait = stage.wait(chain.slot).map_or("", reason);
        let joins = if chain.joining.is_some() { ", one joins" } else { "" };
        let waits = if wait.is_empty() { String::new() } else { format!(" (waits: {wait})") };
        *kinds.entry(format!("{} members{joins}{waits}", chain.members.len())).or_default() += 1;
    }
    kinds.into_iter().map(|(kind, count)| format!("{count} chains: {kind}")).collect()
}

/// The replicas of a slot, node by node.
pub(super) fn replicas(stage: &Stage, slot: Slot) -> Vec<String> {
    let mut lines = Vec::new();
    for node in 0..stage.options().scale.nodes {
        let name = self::node(node);
        let paused = match stage.process(node) {
            ProcessState::Down => {
                lines.push(format!("{name} down"));
                continue;
            }
            ProcessState::Runs => "",
            ProcessState::Paused => " (paused)",
        };
        match stage.marks(node, slot) {
            Some(marks) if marks != Watermarks::NONE => lines.push(format!("{name} {}{paused}", replica(&marks))),
            Some(_) | None => lines.push(format!("{name} has no replica{paused}")),
        }
    }
    lines
}

fn replica(marks: &Watermarks) -> String {
    let role = match marks.role {
        Role::Head => "head",
        Role::Middle => "middle",
        Role::Tail => "tail",
        Role::Only => "only",
        Role::Joining => "joining",
        Role::None => "out",
    };
    let mut how = Vec::new();
    if !marks.acting {
        how.push("not acting");
    } else if !marks.matched {
        how.push("not matched");
    }
    if marks.fenced {
        how.push("fenced");
    }
    let how = if how.is_empty() { String::new() } else { format!(", {}", how.join(", ")) };
    format!(
        "{role} of v{}{how}: received {}, durable {}, committed {}, applied {}",
        marks.version, marks.last.seq, marks.durable, marks.committed, marks.applied
    )
}
