//! What an operator would want to know of, as events of the log with stable fields.

use catena_core::{Chain, Health, Member, Note};
use tracing::{debug, info, warn};

pub(super) fn log(note: &Note) {
    match note {
        Note::Leads(epoch) => info!(component = "coordinator", %epoch, "leads"),
        Note::Follows => warn!(component = "coordinator", "does not lead any more"),
        Note::Health { node, health } => match health {
            Health::Dead => warn!(component = "coordinator", node_id = %node, ?health, "health"),
            Health::Suspect | Health::Unheard | Health::Healthy | Health::Stopped => {
                info!(component = "coordinator", node_id = %node, ?health, "health");
            }
        },
        Note::Evicted { node, reason } => warn!(component = "coordinator", node_id = %node, ?reason, "evicted"),
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
    debug!(component = "coordinator", %slot, chain_version = %version, ?members, joining, tail_ready, "chain");
}
