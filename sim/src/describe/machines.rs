//! What machines hear, say and do, in a few words.

use catena_core::{
    Chain, Chunk, CoordinatorEffect, Decisions, Envelope, Event, Heartbeat, HeartbeatAnswer, Member, Message, Pin, Report,
};

use crate::check::histories::Watermarks;

/// An event in a few words.
pub(crate) fn event(event: &Event) -> String {
    match event {
        Event::Write { request, .. } => format!("write, request {request}"),
        Event::Read { request, .. } => format!("read, request {request}"),
        Event::Scan { request, .. } => format!("scan, request {request}"),
        Event::Message { from, envelope } => format!("{from}: slot {} {}", envelope.slot, message(envelope)),
        Event::LinkUp { peer } => format!("link to {peer} is up"),
        Event::Durable { ticket } => format!("durable up to ticket {ticket}"),
        Event::CoordinatorUp => "registered with the coordinator".to_owned(),
        Event::Answer(answer) => heartbeat_answer(answer),
        Event::Wake => "wake".to_owned(),
        Event::DiskFull { full: true } => "the disk is full".to_owned(),
        Event::DiskFull { full: false } => "the disk has room again".to_owned(),
        Event::OpenSession { request, .. } => format!("open a session, request {request}"),
        Event::Decided(decisions) => format!("pushed: {}", self::decisions(decisions)),
        Event::ChunkRead { at, after, objects, end, .. } => {
            format!("{} objects of the pin at {at} read, behind {after:?}{}", objects.len(), last_part(end.is_some()))
        }
        Event::SpilledRead { entries, .. } => format!("{} spilled entries read", entries.len()),
        Event::Stop => "stop".to_owned(),
        Event::Damaged { slot, .. } => format!("a record of slot {slot} is damaged"),
    }
}

fn last_part(last: bool) -> &'static str {
    if last { ", the last part" } else { "" }
}

pub(crate) fn heartbeat_answer(answer: &HeartbeatAnswer) -> String {
    let lease = if answer.lease.is_some() { "lease" } else { "no lease" };
    let decisions = decisions(&answer.decisions);
    format!("answer to heartbeat {}: {lease}, up to revision {} {decisions}", answer.sequence, answer.revision)
}

/// Whether an event moves no watermark, and is worth a line all the same: it is about a snapshot, or brings decisions.
pub(crate) fn is_notable(event: &Event) -> bool {
    match event {
        Event::Message { envelope, .. } => matches!(envelope.message, Message::Fetch { .. } | Message::Chunk(_)),
        Event::Answer(answer) => answer.lease.is_none() || !answer.decisions.chains.is_empty(),
        Event::ChunkRead { .. }
        | Event::SpilledRead { .. }
        | Event::CoordinatorUp
        | Event::Stop
        | Event::DiskFull { .. }
        | Event::Damaged { .. } => true,
        Event::Write { .. }
        | Event::Read { .. }
        | Event::Scan { .. }
        | Event::OpenSession { .. }
        | Event::LinkUp { .. }
        | Event::Durable { .. }
        | Event::Decided(_)
        | Event::Wake => false,
    }
}

/// What a heartbeat reports.
pub(crate) fn heartbeat(heartbeat: &Heartbeat) -> String {
    let report = |report: &Report| {
        let fenced = if report.fenced { ", fenced" } else { "" };
        let silent = report.silent.as_ref().map_or(String::new(), |node| format!(", {node} is silent"));
        format!("slot {} v{} {:?}{fenced}{silent}", report.slot, report.version, report.state)
    };
    let reports: Vec<String> = heartbeat.reports.iter().map(report).collect();
    format!("heartbeat {}, applied {}: {}", heartbeat.sequence, heartbeat.applied, reports.join(", "))
}

pub(crate) fn decisions(decisions: &Decisions) -> String {
    let mut parts: Vec<String> = decisions.chains.iter().map(chain).collect();
    parts.extend(decisions.fences.iter().map(|(slot, version)| format!("fence slot {slot} v{version}")));
    parts.extend(decisions.drops.iter().map(|(slot, version)| format!("drop slot {slot} v{version}")));
    format!("(epoch {}) {}", decisions.epoch, parts.join(", "))
}

/// A chain in a few words: an unready tail has a question mark, a joining replica stands behind a plus.
pub(crate) fn chain(chain: &Chain) -> String {
    let name = |member: &Member| member.node.as_str().to_owned();
    let members: Vec<String> = chain.members.iter().map(name).collect();
    let unready = if chain.tail_ready { "" } else { "?" };
    let joining = chain.joining.as_ref().map_or(String::new(), |joining| format!(" + {}", name(joining)));
    format!("slot {} v{} {}{unready}{joining}", chain.slot, chain.version, members.join(" → "))
}

/// What a coordinator does, where that is worth a line.
pub(crate) fn effect(effect: &CoordinatorEffect) -> Option<String> {
    match effect {
        CoordinatorEffect::Lead { over } => Some(format!("claims the leadership over epoch {}", over.epoch)),
        CoordinatorEffect::Store { ticket, epoch, changes } => {
            Some(format!("stores {} changes, ticket {ticket}, epoch {epoch}", changes.len()))
        }
        CoordinatorEffect::Registered { node } => Some(format!("lets {node} in")),
        CoordinatorEffect::Refused { node, reason } => Some(format!("refuses {node}: {reason}")),
        CoordinatorEffect::Decide { to, decisions } => Some(format!("tells {to}: {}", self::decisions(decisions))),
        CoordinatorEffect::Done { request, result: Ok(()) } => Some(format!("order {request} is stored")),
        CoordinatorEffect::Done { request, result: Err(error) } => Some(format!("order {request} is refused: {error}")),
        CoordinatorEffect::Note(note) => Some(format!("{note:?}")),
        CoordinatorEffect::Observe
        | CoordinatorEffect::Renew(_)
        | CoordinatorEffect::Answer { .. }
        | CoordinatorEffect::RouteChanged { .. } => None,
    }
}

pub(crate) fn message(envelope: &Envelope) -> String {
    let message = match &envelope.message {
        Message::Hello => "hello".to_owned(),
        Message::Probe { log, barrier } => format!("probe, log {}..{}, barrier {barrier}", log.trim, log.last()),
        Message::Have { last } => format!("have {last}"),
        Message::Append { entries, durable } => match (entries.first(), entries.last()) {
            (Some(first), Some(last)) => format!("append {}..{}, durable {durable}", first.id, last.id),
            (None, _) | (_, None) => format!("durable {durable}"),
        },
        Message::Poke { last, durable } => format!("poke {last}, durable {durable}"),
        Message::Ack { committed, disk_full: false } => format!("ack {committed}"),
        Message::Ack { committed, disk_full: true } => format!("ack {committed}, disk full"),
        Message::Newer { chain } => format!("newer: {}", self::chain(chain)),
        Message::Fetch { pin, after } => {
            format!("fetch {} behind {after:?}", pin.as_ref().map_or("anything".to_owned(), self::pin))
        }
        Message::Chunk(Chunk { pin, after, objects, end, checksum: _ }) => {
            format!("{} objects of {} behind {after:?}{}", objects.len(), self::pin(pin), last_part(end.is_some()))
        }
    };
    format!("v{} {message}", envelope.version)
}

fn pin(pin: &Pin) -> String {
    format!("the pin at {} of {}", pin.at, pin.source)
}

/// What a step changed in a replica.
pub(crate) fn change(before: &Watermarks, after: &Watermarks) -> String {
    let standing = |marks: &Watermarks| match (marks.acting, marks.matched) {
        (false, _) => "inactive",
        (true, false) => "unmatched",
        (true, true) => "matched",
    };
    let mut parts = vec![format!("v{} {}", after.version, standing(after))];
    if (before.version, standing(before)) != (after.version, standing(after)) {
        parts[0] = format!("v{} {} → {}", before.version, standing(before), parts[0]);
    }
    let numbers = [
        ("trim", before.trim.seq, after.trim.seq),
        ("committed", before.committed, after.committed),
        ("durable", before.durable, after.durable),
    ];
    for (name, before, after) in numbers {
        if before != after {
            parts.push(format!("{name} {before} → {after}"));
        }
    }
    if before.last != after.last {
        parts.push(format!("last {} → {}", before.last, after.last));
    }
    parts.join(", ")
}
