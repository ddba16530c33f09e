//! The receiving half of a link: frames become messages for the driver.

use std::convert::Infallible;

use bytes::BytesMut;
use catena_core::{Envelope, NodeId};
use prost::Message;
use tokio::sync::{mpsc, oneshot};
use tonic::{Status, Streaming};

use crate::convert::ConvertError;
use crate::proto;
use crate::proto::frame::Content;
use crate::server::NodeInput;

/// The largest envelope that is put together from fragments. Far above what the limits of a cluster admit.
pub const ENVELOPE_BYTES: usize = 64 << 20;

/// Why a link ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    /// The other end closed it, or this node replaced it, or it stops.
    #[error("closed")]
    Closed,
    /// The connection is lost, or the other end refuses to go on.
    #[error("lost: {0}")]
    Lost(#[from] Status),
    /// The other end sent what cannot be.
    #[error("malformed: {0}")]
    Malformed(#[from] ConvertError),
}

/// Hands what arrives to the driver, in order, until the link ends. Waits for room there: that is what slows the
/// other end down.
pub(super) async fn deliver(
    from: &NodeId,
    frames: &mut Streaming<proto::Frame>,
    inputs: &mpsc::Sender<NodeInput>,
    mut replaced: oneshot::Receiver<Infallible>,
) -> Ended {
    let mut lanes = Lanes::default();
    loop {
        let frame = tokio::select! {
            biased;
            // First: a link that was refused or replaced says nothing more, however much is waiting in it.
            _ = &mut replaced => return Ended::Closed,
            frame = frames.message() => match frame {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ended::Closed,
                Err(status) => return status.into(),
            },
        };
        let envelopes = match lanes.envelopes(frame) {
            Ok(envelopes) => envelopes,
            Err(error) => return error.into(),
        };
        for envelope in envelopes {
            let input = match Envelope::try_from(envelope) {
                Ok(envelope) => NodeInput::Message { from: from.clone(), envelope },
                Err(error) => return error.into(),
            };
            if inputs.send(input).await.is_err() {
                return Ended::Closed;
            }
        }
    }
}

/// What has come of envelopes that are not complete, lane by lane.
#[derive(Default)]
struct Lanes {
    first: Fragments,
    bulk: Fragments,
}

impl Lanes {
    /// The envelopes that are complete with this frame.
    fn envelopes(&mut self, frame: proto::Frame) -> Result<Vec<proto::Envelope>, ConvertError> {
        match frame.content {
            Some(Content::Batch(batch)) if self.first.0.is_empty() => Ok(batch.envelopes),
            Some(Content::Batch(_)) => Err(ConvertError::Missing { field: "fragment.last" }),
            Some(Content::Fragment(fragment)) => self.first.add(&fragment),
            Some(Content::Bulk(fragment)) => self.bulk.add(&fragment),
            Some(Content::Hello(_)) => Err(ConvertError::Order { field: "frame.hello", index: 1 }),
            None => Err(ConvertError::Missing { field: "frame.content" }),
        }
    }
}

/// The beginning of an envelope that comes in fragments.
#[derive(Default)]
struct Fragments(BytesMut);

impl Fragments {
    /// The envelope, if it is complete with this fragment.
    fn add(&mut self, fragment: &proto::Fragment) -> Result<Vec<proto::Envelope>, ConvertError> {
        let len = self.0.len() + fragment.data.len();
        if len > ENVELOPE_BYTES {
            let (value, max) = (len as u64, ENVELOPE_BYTES as u64);
            return Err(ConvertError::Range { field: "fragment.data", value, min: 0, max });
        }
        self.0.extend_from_slice(&fragment.data);
        if !fragment.last {
            return Ok(Vec::new());
        }
        // What is in the envelope shares this memory.
        Ok(vec![proto::Envelope::decode(std::mem::take(&mut self.0).freeze())?])
    }
}
