//! A world under a script: what there is to see of it, and whether it has come as far as the script waits for.

use std::collections::{BTreeMap, BTreeSet};

use catena_core::client::Delivery;
use catena_core::{CallError, Slot, Time};

use super::command::{CallWish, Goal, Manner, Mark, Part, Wanted};
use super::lines::Line;
use super::render;
use super::traffic::Traffic;
use crate::history::{self, CallId, Wish};
use crate::world::script::{Curtain, Direct, Seen, Stage};

/// A world, and who is who in it.
pub(super) struct Scene {
    pub(super) stage: Stage,
    pub(super) clients: Vec<String>,
    /// By call: whose it is.
    pub(super) callers: BTreeMap<CallId, usize>,
    /// Calls that nobody wants to see.
    pub(super) quiet: BTreeSet<CallId>,
    pub(super) open: BTreeSet<CallId>,
    pub(super) traffic: Option<Traffic>,
    pub(super) curtain: Curtain,
    /// When the block began.
    pub(super) since: Time,
    pub(super) lines: Vec<Line>,
}

impl Scene {
    pub(super) fn say(&mut self, at: Time, text: &str) {
        self.lines.push(Line::at(at.since(self.since), text.to_owned()));
    }

    /// Begins a call as the script has it.
    pub(super) fn begin(&mut self, wish: &CallWish) -> CallId {
        let deed = match &wish.action {
            Wanted::Get => history::Deed::Get,
            Wanted::Put(value) => history::Deed::Put { value: value.clone() },
            Wanted::Delete => history::Deed::Delete,
        };
        let wanted = Wish { key: wish.key.clone(), deed, conditions: wish.conditions.clone() };
        let client = wish.client;
        let call = match &wish.manner {
            Manner::AtMostOnce => self.stage.begin(client, wanted, Delivery::AtMostOnce, wish.again),
            Manner::ExactlyOnce => self.stage.begin(client, wanted, Delivery::ExactlyOnce, wish.again),
            Manner::By { node, version, origin } => {
                let direct = Direct { client, node: *node, version: *version, origin: *origin };
                self.stage.begin_direct(wanted, &direct, wish.again)
            }
        };
        if let Some(deadline) = wish.deadline {
            self.stage.give_up(client, call, deadline);
        }
        self.callers.insert(call, client);
        self.open.insert(call);
        self.stage.notice();
        call
    }

    pub(super) fn send_traffic(&mut self) {
        let Some(traffic) = &mut self.traffic else { return };
        self.quiet.extend(traffic.send(&mut self.stage));
    }

    /// Takes in what was seen since.
    pub(super) fn collect(&mut self) {
        let seen = self.stage.take_seen();
        let mut changed: BTreeMap<Time, usize> = BTreeMap::new();
        for (at, seen) in seen {
            match &seen {
                Seen::Ended(call) => {
                    self.open.remove(call);
                    if !self.quiet.contains(call) {
                        let who = &self.clients[self.callers[call]];
                        let text = render::ended(self.stage.call(*call), who);
                        self.say(at, &text);
                    }
                    continue;
                }
                Seen::Asked { call: Some(call), .. }
                | Seen::Refused { call: Some(call), .. }
                | Seen::Failed { call: Some(call), .. }
                    if self.quiet.contains(call) =>
                {
                    continue;
                }
                Seen::Refused { error: CallError::ConditionFailed { .. }, .. } => continue, // the call's end says so
                Seen::Committed(slot, entry) => {
                    let author = self.stage.author(*slot, entry.id);
                    let quiet = author.map_or(!render::few(&self.stage), |call| self.quiet.contains(&call));
                    if quiet {
                        continue;
                    }
                }
                Seen::Chain(_)
                | Seen::Fenced(..)
                | Seen::Cut(..)
                | Seen::Copies(..)
                | Seen::Installed(..)
                | Seen::Dropped(..)
                    if !render::few(&self.stage) =>
                {
                    if let Seen::Chain(_) = &seen {
                        *changed.entry(at).or_default() += 1;
                    }
                    continue;
                }
                // Of many slots, their sessions are of no interest.
                Seen::Asked { call: None, .. } | Seen::Refused { call: None, .. } | Seen::Failed { call: None, .. }
                    if !render::few(&self.stage) =>
                {
                    continue;
                }
                _ => {} // a line for each
            }
            let text = render::seen(&seen, |client| self.clients.get(client).cloned().unwrap_or_default(), &self.stage);
            self.say(at, &text);
        }
        for (at, count) in changed {
            let text = if count == 1 { "1 chain changes".to_owned() } else { format!("{count} chains change") };
            self.say(at, &text);
        }
    }

    pub(super) fn met(&self, goal: &Goal) -> bool {
        let stage = &self.stage;
        match goal {
            Goal::Whole => stage.whole(),
            Goal::Version(slot, version) => stage.chain(*slot).is_some_and(|chain| chain.version >= *version),
            Goal::Mark(node, slot, mark, seq) => stage.marks(*node, *slot).is_some_and(|marks| {
                let at = match mark {
                    Mark::Received => marks.last.seq,
                    Mark::Durable => marks.durable,
                    Mark::Committed => marks.committed,
                    Mark::Applied => marks.applied,
                };
                at >= *seq
            }),
            Goal::Health(node, wanted) => stage.status().is_some_and(|status| {
                let name = render::node(*node);
                let node = status.nodes.iter().find(|known| known.stored.record.node.as_str() == name);
                node.is_some_and(|node| {
                    render::health(node.health) == wanted || render::standing(node.stored.standing).starts_with(wanted.as_str())
                })
            }),
            Goal::Part(node, part) => self.has_part(*node, *part),
            Goal::Leads(seat) => stage.leads(*seat),
            Goal::Registered(node) => stage.registered(*node),
        }
    }

    fn has_part(&self, node: usize, part: Part) -> bool {
        let stage = &self.stage;
        let name = render::node(node);
        let mut chains = stage.chains();
        match part {
            Part::Joining => chains.any(|chain| chain.joining.as_ref().is_some_and(|joining| joining.node.as_str() == name)),
            Part::Copying => stage.copies(node),
            Part::Unready => chains.any(|chain| !chain.tail_ready && chain.tail().node.as_str() == name),
            Part::Copy => chains.any(|chain| chain.copies().iter().any(|member| member.node.as_str() == name)),
            Part::Nowhere => !chains.any(|chain| chain.replicas().any(|replica| replica.node.as_str() == name)),
            Part::Fenced => {
                let slots = stage.options().slots;
                (0..slots).any(|slot| stage.marks(node, Slot(slot)).is_some_and(|marks| marks.fenced))
            }
        }
    }
}
