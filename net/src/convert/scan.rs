//! Going through a slot's objects.

use bytes::Bytes;
use catena_core::{ChainVersion, ClusterId, Object, Page, Slot, Target};

#[cfg(any(feature = "server", test))]
use super::each;
use super::{ConvertError, Result, optional_cluster_id, ordered, ranged, required};
use crate::proto;
use crate::proto::scan_response;

/// The most that a page may hold, unless a single object is larger. Chosen here: it is read where writes wait.
const PAGE_BYTES: u32 = 1 << 20;

/// What a page holds when the caller does not say. Chosen here: so little is read that nothing waits for it noticeably.
const DEFAULT_PAGE_BYTES: u32 = 256 << 10;

/// A scan as it arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanCall {
    /// The cluster that the caller means, if it says so.
    pub cluster: Option<ClusterId>,
    /// Where its route sent it.
    pub target: Target,
    /// From behind this key on.
    pub after: Option<Bytes>,
    /// About how much the page may hold.
    pub bytes: usize,
}

/// A part of a slot's objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scanned {
    /// The slot.
    pub slot: Slot,
    /// The chain version that the replica answered in.
    pub version: ChainVersion,
    /// The objects, and where the next page begins.
    pub page: Page,
}

/// The request for a page. `cluster` is the cluster's id as bytes, or empty.
pub(crate) fn scan_request(cluster: Bytes, target: Target, after: Option<Bytes>, bytes: usize) -> proto::ScanRequest {
    let limit_bytes = u32::try_from(bytes).unwrap_or(PAGE_BYTES).min(PAGE_BYTES);
    let (slot, chain_version) = (target.slot.0, target.version.0);
    proto::ScanRequest { cluster, slot, chain_version, after: after.unwrap_or_default(), limit_bytes }
}

impl TryFrom<proto::ScanRequest> for ScanCall {
    type Error = ConvertError;

    fn try_from(request: proto::ScanRequest) -> Result<Self> {
        let limit = ranged("scan.limit_bytes", u64::from(request.limit_bytes), 0, u64::from(PAGE_BYTES))?;
        let bytes = if limit == 0 { u64::from(DEFAULT_PAGE_BYTES) } else { limit };
        Ok(Self {
            cluster: optional_cluster_id("scan.cluster", &request.cluster)?,
            target: Target { slot: Slot(request.slot), version: ChainVersion(request.chain_version) },
            after: key(request.after),
            bytes: usize::try_from(bytes).expect("a mebibyte"),
        })
    }
}

/// No key is empty.
fn key(given: Bytes) -> Option<Bytes> {
    Some(given).filter(|key| !key.is_empty())
}

/// A page. Panics on another answer: the node has answered another question than was asked.
#[cfg(any(feature = "server", test))]
pub(crate) fn scan_response(slot: Slot, reply: catena_core::Reply) -> proto::ScanResponse {
    let catena_core::Reply::Scanned { version, page } = reply else { panic!("a scan was answered by {reply:?}") };
    let Page { objects, next } = page;
    let (slot, chain_version) = (slot.0, version.0);
    proto::ScanResponse { slot, chain_version, objects: each(objects), next: next.unwrap_or_default() }
}

impl TryFrom<proto::ScanResponse> for Scanned {
    type Error = ConvertError;

    fn try_from(response: proto::ScanResponse) -> Result<Self> {
        let objects: Vec<(Bytes, Object)> = response.objects.into_iter().map(keyed).collect::<Result<_>>()?;
        ordered("scan_response.objects", &objects, |(key, _)| key.clone())?;
        let next = key(response.next);
        let beyond = |next: &Bytes| objects.last().is_some_and(|(last, _)| last > next);
        if next.as_ref().is_some_and(beyond) {
            return Err(ConvertError::Order { field: "scan_response.next", index: 0 });
        }
        let (slot, version) = (Slot(response.slot), ChainVersion(response.chain_version));
        Ok(Self { slot, version, page: Page { objects, next } })
    }
}

impl From<(Bytes, Object)> for scan_response::Entry {
    fn from((key, object): (Bytes, Object)) -> Self {
        Self { key, value: object.value, metadata: Some(object.metadata.into()) }
    }
}

fn keyed(entry: scan_response::Entry) -> Result<(Bytes, Object)> {
    let metadata = required("scan_response.objects.metadata", entry.metadata)?.into();
    Ok((entry.key, Object { value: entry.value, metadata }))
}
