//! Between protobuf and the core's types: parse, don't validate.
//!
//! What is sent converts by `From`, which cannot fail. What is received converts by `TryFrom`, once, at the edge; from
//! there on it is a core type and holds what that type promises: ids that are ids, chains with members, entries
//! without gaps. A [`ConvertError`] names the field that is wrong.

mod admin;
mod call;
mod common;
mod coordination;
mod refusal;
mod replication;
mod scan;
mod snapshot;

#[cfg(test)]
mod arbitrary;
#[cfg(test)]
mod malformed;
#[cfg(test)]
mod properties;

use bytes::Bytes;
use catena_core::{ClusterId, Incarnation, InvalidNodeId, NodeId, mutant};

pub use call::{Found, OpenCall, Opened, ReadCall, WriteCall, Written};
pub(crate) use call::{delete_request, get_request, put_request};
#[cfg(any(feature = "server", test))]
pub(crate) use call::{delete_response, get_response, open_session_response, put_response};
pub use coordination::{Register, Registered, RouteAnswer};
pub use replication::Hello;
pub(crate) use scan::scan_request;
#[cfg(any(feature = "server", test))]
pub(crate) use scan::scan_response;
pub use scan::{ScanCall, Scanned};

/// What is wrong with a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// The bytes are not protobuf of this message.
    #[error("not valid protobuf ({0}): check that both sides use the same .proto files")]
    Protobuf(#[from] prost::DecodeError),
    /// A field that must be there is not, or a choice is not made.
    #[error("{field} is missing: set it")]
    Missing {
        /// Which.
        field: &'static str,
    },
    /// An id of 128 bits has another length.
    #[error("{field} has {len} bytes: an id has 16")]
    IdLength {
        /// Which.
        field: &'static str,
        /// Its length in bytes.
        len: usize,
    },
    /// An enumeration has a number that means nothing.
    #[error("{field} is {value}, which has no meaning in this wire version")]
    Enumeration {
        /// Which.
        field: &'static str,
        /// The number given.
        value: i32,
    },
    /// A number is outside what it can mean.
    #[error("{field} is {value}: it must be from {min} to {max}")]
    Range {
        /// Which.
        field: &'static str,
        /// The number given.
        value: u64,
        /// The least allowed.
        min: u64,
        /// The greatest allowed.
        max: u64,
    },
    /// A name is no node id.
    #[error("{field}: {source}")]
    NodeId {
        /// Which.
        field: &'static str,
        /// Why not.
        source: InvalidNodeId,
    },
    /// An address is not `host:port`.
    #[error("{field} is {value:?}: give host:port")]
    Address {
        /// Which.
        field: &'static str,
        /// What was given.
        value: String,
    },
    /// A list's elements do not follow each other as they must.
    #[error("{field}: element {index} does not follow the one before it")]
    Order {
        /// Which.
        field: &'static str,
        /// The first that is out of order, from 0.
        index: usize,
    },
}

impl From<std::convert::Infallible> for ConvertError {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

pub(crate) type Result<T> = std::result::Result<T, ConvertError>;

/// A field that must be there.
fn required<T>(field: &'static str, value: Option<T>) -> Result<T> {
    value.ok_or(ConvertError::Missing { field })
}

/// A number within bounds, both included.
fn ranged(field: &'static str, value: u64, min: u64, max: u64) -> Result<u64> {
    if (min..=max).contains(&value) || mutant!(RangeUnchecked) {
        Ok(value)
    } else {
        Err(ConvertError::Range { field, value, min, max })
    }
}

/// A length or count that fits this machine.
fn size(field: &'static str, value: u64) -> Result<usize> {
    usize::try_from(value).map_err(|_| ConvertError::Range { field, value, min: 0, max: usize::MAX as u64 })
}

/// 128 bits as 16 bytes, most significant first.
fn id(field: &'static str, bytes: &[u8]) -> Result<u128> {
    let bytes: [u8; 16] = bytes.try_into().map_err(|_| ConvertError::IdLength { field, len: bytes.len() })?;
    Ok(u128::from_be_bytes(bytes))
}

fn id_bytes(id: u128) -> Bytes {
    Bytes::copy_from_slice(&id.to_be_bytes())
}

fn cluster_id(field: &'static str, bytes: &[u8]) -> Result<ClusterId> {
    id(field, bytes).map(ClusterId)
}

/// A cluster's id, or nothing.
pub(crate) fn optional_cluster_id(field: &'static str, bytes: &[u8]) -> Result<Option<ClusterId>> {
    if bytes.is_empty() { Ok(None) } else { cluster_id(field, bytes).map(Some) }
}

fn incarnation(field: &'static str, bytes: &[u8]) -> Result<Incarnation> {
    id(field, bytes).map(Incarnation)
}

fn node_id(field: &'static str, name: &str) -> Result<NodeId> {
    NodeId::new(name).map_err(|source| ConvertError::NodeId { field, source })
}

/// The bytes of a cluster's id, as every request carries them.
pub(crate) fn cluster_bytes(cluster: ClusterId) -> Bytes {
    id_bytes(cluster.0)
}

/// Converts each element, in order.
fn all<A, B>(from: Vec<A>) -> Result<Vec<B>>
where
    B: TryFrom<A, Error = ConvertError>,
{
    from.into_iter().map(B::try_from).collect()
}

/// Elements by a name that increases from each to the next.
fn ordered<A, K: Ord>(field: &'static str, elements: &[A], name: impl Fn(&A) -> K) -> Result<()> {
    match elements.windows(2).position(|pair| name(&pair[0]) >= name(&pair[1])) {
        Some(before) => Err(ConvertError::Order { field, index: before + 1 }),
        None => Ok(()),
    }
}

/// Converts each element, in order.
fn each<A, B: From<A>>(from: Vec<A>) -> Vec<B> {
    from.into_iter().map(B::from).collect()
}

/// An enumeration both ways: `core value <=> protobuf value`.
macro_rules! enumeration {
    ($core:path, $proto:path, $field:literal: $($variant:ident),+) => {
        impl From<$core> for $proto {
            fn from(value: $core) -> Self {
                match value {
                    $(<$core>::$variant => <$proto>::$variant,)+
                }
            }
        }

        impl TryFrom<crate::convert::Number<$proto>> for $core {
            type Error = ConvertError;

            fn try_from(number: crate::convert::Number<$proto>) -> Result<Self> {
                match <$proto>::try_from(number.value) {
                    $(Ok(<$proto>::$variant) => Ok(<$core>::$variant),)+
                    Ok(<$proto>::Unspecified) => Err(ConvertError::Missing { field: $field }),
                    Err(_) => Err(ConvertError::Enumeration { field: $field, value: number.value }),
                }
            }
        }
    };
}
use enumeration;

/// A protobuf enumeration's value as it travels: any number at all.
struct Number<E> {
    value: i32,
    of: std::marker::PhantomData<E>,
}

impl<E> Number<E> {
    fn new(value: i32) -> Self {
        Self { value, of: std::marker::PhantomData }
    }
}
