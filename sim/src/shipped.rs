//! One call of the shipped client, as what the checkers know of a call.

use catena_core::{CallError, ChainVersion, Kind};
use catena_net::Refusal;
use catena_net::client::{Client, ClientError, Written};

use crate::history::{Deed, Outcome, Wish};

/// What a call comes to; of a read also the chain version that answered.
pub(crate) async fn perform(client: &Client, wish: Wish) -> (Outcome, Option<ChainVersion>) {
    let Wish { key, deed, conditions } = wish;
    let done = match deed {
        Deed::Get => client.get(key).await.map(|found| (Outcome::Read(found.object), Some(found.version))),
        Deed::Put { value } => client.put(key, value, conditions).await.map(written),
        Deed::Delete => client.delete(key, conditions).await.map(written),
    };
    done.unwrap_or_else(|error| match error {
        ClientError::Refused(Refusal::Call(CallError::ConditionFailed { object })) => (Outcome::Refused(object), None),
        error => match error.kind() {
            Kind::NotExecuted => (Outcome::NotExecuted, None),
            Kind::Unknown => (Outcome::Unknown, None),
        },
    })
}

fn written(Written { slot: _, entry, object }: Written) -> (Outcome, Option<ChainVersion>) {
    let outcome = entry.map_or(Outcome::NothingToDo, |entry| Outcome::Written { entry, object });
    (outcome, None)
}
