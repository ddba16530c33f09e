//! The receiving half of a link: frames become messages for the driver.

use std::convert::Infallible;

use bytes::BytesMut;
use catena_core::{Envelope, NodeId};
use tokio::sync::{mpsc, oneshot};
use tonic::{Status, Streaming};

use crate::convert::{ConvertError, decode_envelope};
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

/// Hands what arrives to the driver, in order, until the link ends.
pub(super) async fn deliver(
    from: &NodeId,
    frames: &mut Streaming<proto::Frame>,
    inputs: &mpsc::Sender<NodeInput>,
    mut replaced: oneshot::Receiver<Infallible>,
) -> Ended {
    let mut fragments = BytesMut::new();
    loop {
        let frame = tokio::select! {
            biased;
            frame = frames.message() => match frame {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ended::Closed,
                Err(status) => return status.into(),
            },
            _ = &mut replaced => return Ended::Closed,
        };
        match frame.content {
            Some(Content::Batch(batch)) if fragments.is_empty() => {
                for envelope in batch.envelopes {
                    match Envelope::try_from(envelope) {
                        Ok(envelope) => {
                            if hand_on(from, envelope, inputs).await.is_err() {
                                return Ended::Closed;
                            }
                        }
                        Err(error) => return error.into(),
                    }
                }
            }
            Some(Content::Fragment(fragment)) => {
                let len = fragments.len() + fragment.data.len();
                if len > ENVELOPE_BYTES {
                    let (value, max) = (len as u64, ENVELOPE_BYTES as u64);
                    return ConvertError::Range { field: "fragment.data", value, min: 1, max }.into();
                }
                fragments.extend_from_slice(&fragment.data);
                if fragment.last {
                    match decode_envelope(std::mem::take(&mut fragments).freeze()) {
                        Ok(envelope) => {
                            if hand_on(from, envelope, inputs).await.is_err() {
                                return Ended::Closed;
                            }
                        }
                        Err(error) => return error.into(),
                    }
                }
            }
            Some(Content::Batch(_)) => return ConvertError::Missing { field: "fragment.last" }.into(),
            Some(Content::Hello(_)) => return ConvertError::Order { field: "frame.hello", index: 1 }.into(),
            None => return ConvertError::Missing { field: "frame.content" }.into(),
        }
    }
}

/// Waits for room at the driver: that is what slows the other end down.
async fn hand_on(
    from: &NodeId,
    envelope: Envelope,
    inputs: &mpsc::Sender<NodeInput>,
) -> Result<(), mpsc::error::SendError<NodeInput>> {
    inputs.send(NodeInput::Message { from: from.clone(), envelope }).await
}
