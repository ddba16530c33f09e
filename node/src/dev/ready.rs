//! When a development cluster is ready: every slot's tail answers a read, so its chain is matched and has caught up (R2),
//! and every slot's head judges a write. Nothing is stored for it.

use std::time::Duration;

use bytes::Bytes;
use catena_core::{CallError, Comparison, Condition, Seq, slot_of};
use catena_net::Refusal;
use catena_net::client::{Client, ClientError, Options};

/// How long one try may take: a cluster that is ready answers within a few milliseconds.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between tries.
const PAUSE: Duration = Duration::from_millis(10);

/// Waits until every slot is served, however long it takes.
pub(super) async fn wait(endpoint: &str, slots: u32) {
    let client = loop {
        match Client::connect(vec![endpoint.to_owned()], Options { call_timeout: PATIENCE }).await {
            // Without a session, for that would be an entry.
            Ok(client) => break client.at_most_once(),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    };
    for key in one_key_each(slots) {
        while !(reads(&client, &key).await && writes(&client, &key).await) {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn reads(client: &Client, key: &Bytes) -> bool {
    client.get(key.clone()).await.is_ok()
}

/// Sends a write whose condition no object meets: the refusal says that the head is at work.
async fn writes(client: &Client, key: &Bytes) -> bool {
    let never = Condition::Version(Comparison::Lt, Seq(0));
    let judged = |error: &ClientError| matches!(error.refusal(), Some(Refusal::Call(CallError::ConditionFailed { .. })));
    client.put(key.clone(), Bytes::new(), vec![never]).await.is_err_and(|error| judged(&error))
}

/// Some key of every slot, in slot order.
fn one_key_each(slots: u32) -> Vec<Bytes> {
    let mut keys = vec![Bytes::new(); slots as usize];
    let mut missing = slots;
    for number in 0_u64.. {
        if missing == 0 {
            break;
        }
        let key = Bytes::from(number.to_string());
        let place = &mut keys[slot_of(&key, slots).0 as usize];
        if place.is_empty() {
            *place = key;
            missing -= 1;
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use catena_core::Slot;

    use super::*;

    #[test]
    fn every_slot_has_a_key_to_ask_for() {
        for slots in [1, 3, 16, 257] {
            for (slot, key) in (0..slots).zip(one_key_each(slots)) {
                assert_eq!(slot_of(&key, slots), Slot(slot));
            }
        }
    }
}
