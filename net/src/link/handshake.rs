//! The first frame in each direction: who is there, and whether they may talk.

use std::time::Duration;

use catena_core::{Identity, NodeId};
use tonic::{Status, Streaming};

use crate::convert::{ConvertError, Hello};
use crate::proto;
use crate::proto::frame::Content;
use crate::{Refusal, WIRE_VERSION};

/// How long the first frame may take.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(2);

/// This node's greeting.
pub(super) fn greeting(identity: &Identity, to: &NodeId) -> proto::Hello {
    Hello { wire_version: WIRE_VERSION, identity: identity.clone(), to: to.clone() }.into()
}

/// The other end's greeting, checked.
///
/// # Errors
/// When it does not come in time, or the two ends do not belong together.
pub(super) async fn greeted(identity: &Identity, frames: &mut Streaming<proto::Frame>) -> Result<Identity, Status> {
    let first = tokio::time::timeout(HANDSHAKE_TIMEOUT, frames.message());
    let frame = first.await.map_err(|_| Status::deadline_exceeded("no greeting arrived on the link"))??;
    match frame.and_then(|frame| frame.content) {
        Some(Content::Hello(hello)) => Ok(check(identity, hello)?),
        Some(Content::Batch(_) | Content::Fragment(_) | Content::Bulk(_)) | None => {
            Err(ConvertError::Missing { field: "frame.hello" }.into())
        }
    }
}

fn check(here: &Identity, hello: proto::Hello) -> Result<Identity, Refusal> {
    // The version first: the fields of another version may mean something else.
    if hello.wire_version != WIRE_VERSION {
        return Err(Refusal::WrongWireVersion { given: hello.wire_version, here: WIRE_VERSION });
    }
    let Hello { wire_version: _, identity: there, to } = hello.try_into()?;
    if there.cluster != here.cluster {
        return Err(Refusal::WrongCluster { given: there.cluster, here: here.cluster });
    }
    if to != here.node {
        return Err(Refusal::WrongNode { expected: to, found: here.node.clone() });
    }
    Ok(there)
}
