//! What an operator would want to know of, as events of the log with stable fields, and kept for `/admin/v1/state`.

use catena_core::{Chain, Health, Member, NodeId, Note, Order, OrderError, RegisterError, RequestId};
use tracing::{debug, info, warn};

use super::metrics::{ChainShape, change, command, eviction};
use crate::monitor::{Events, Happened, Happening};
use crate::words;

/// What happens to a coordinator and its cluster.
#[derive(Debug, Default)]
pub(super) struct Notes {
    events: Events,
}

impl Notes {
    /// What is kept.
    pub(super) fn all(&self) -> Vec<Happened> {
        self.events.all()
    }

    /// `before`: the shape of a chain before a change of it.
    pub(super) fn note(&mut self, note: &Note, before: Option<ChainShape>) {
        log(note);
        self.events.add(match note {
            Note::Leads(epoch) => Happening::new("leads").detail(format!("epoch {epoch}")),
            Note::Follows => Happening::new("follows"),
            Note::Health { node, health } => Happening::new("health").node(node).detail(words::health(*health)),
            Note::Evicted { node, reason } => Happening::new("evicted").node(node).detail(eviction(*reason)),
            Note::Restrained { node } => Happening::new("restrained").node(node),
            Note::Chain(chain) => {
                let members: Vec<&str> = chain.members.iter().map(|member| member.node.as_str()).collect();
                let joining = chain.joining.as_ref().map_or(String::new(), |joining| format!(", {} joins", joining.node));
                let detail = format!("{}: {}{joining}", change(before, chain.into()), members.join(" "));
                Happening::new("chain").chain(chain.slot, chain.version).detail(detail)
            }
        });
    }

    pub(super) fn registered(&mut self, node: &NodeId) {
        self.events.add(Happening::new("registered").node(node));
    }

    pub(super) fn refused(&mut self, node: &NodeId, reason: &RegisterError) {
        match reason {
            // It asks all coordinators in turn, again and again.
            RegisterError::NotLeading => debug!(component = "coordinator", node_id = %node, error = %reason, "refused"),
            RegisterError::Elsewhere { .. } | RegisterError::AddressTaken { .. } | RegisterError::OtherLabels { .. } => {
                warn!(component = "coordinator", node_id = %node, error = %reason, "refused");
                self.events.add(Happening::new("refused").node(node).detail(reason.to_string()));
            }
        }
    }

    pub(super) fn left(&mut self, node: &NodeId) {
        self.events.add(Happening::new("disconnected").node(node));
    }

    pub(super) fn drained(&mut self, node: &NodeId) {
        info!(component = "coordinator", node_id = %node, "drained");
        self.events.add(Happening::new("drained").node(node));
    }

    pub(super) fn ordered(&mut self, request: RequestId, order: &Order, result: &Result<(), OrderError>) {
        let (Order::Drain(node) | Order::Evict(node) | Order::Readmit(node)) = order;
        let happening = Happening::new(match order {
            Order::Drain(_) => "drain-ordered",
            Order::Evict(_) => "evict-ordered",
            Order::Readmit(_) => "readmit-ordered",
        });
        let happening = happening.node(node);
        match result {
            Ok(()) => {
                info!(component = "coordinator", node_id = %node, command_id = request.0, order = command(order), "ordered");
                self.events.add(happening);
            }
            Err(error) => {
                info!(component = "coordinator", node_id = %node, command_id = request.0, order = command(order), %error, "order refused");
                self.events.add(happening.detail(format!("refused: {error}")));
            }
        }
    }
}

fn log(note: &Note) {
    match note {
        Note::Leads(epoch) => info!(component = "coordinator", epoch = epoch.0, "leads"),
        Note::Follows => warn!(component = "coordinator", "does not lead any more"),
        Note::Health { node, health } => match health {
            Health::Dead => warn!(component = "coordinator", node_id = %node, health = words::health(*health), "health"),
            Health::Suspect | Health::Unheard | Health::Healthy | Health::Stopped => {
                info!(component = "coordinator", node_id = %node, health = words::health(*health), "health");
            }
        },
        Note::Evicted { node, reason } => {
            warn!(component = "coordinator", node_id = %node, reason = eviction(*reason), "evicted");
        }
        Note::Restrained { node } => {
            warn!(component = "coordinator", node_id = %node, "too many nodes are gone at once: takes out no more by itself");
        }
        Note::Chain(chain) => log_chain(chain),
    }
}

fn log_chain(chain: &Chain) {
    let Chain { slot, version, members, tail_ready, joining, .. } = chain;
    let members: Vec<_> = members.iter().map(|member: &Member| member.node.as_str()).collect();
    let joining = joining.as_ref().map_or("", |member| member.node.as_str());
    debug!(component = "coordinator", slot = slot.0, chain_version = version.0, ?members, joining, tail_ready, "chain");
}
