//! The simulated network of madsim.

use tonic::Status;

/// A failed connect looks like a connection lost later: nothing is sure.
pub(crate) fn never_left(_status: &Status) -> bool {
    false
}

#[cfg(feature = "server")]
pub use serve::Listener;
#[cfg(feature = "server")]
pub(crate) use serve::run;

/// The service itself: there are no size limits here.
#[cfg(feature = "server")]
pub(crate) fn typed<S>(service: S, _limit: usize) -> S {
    service
}

/// The service itself: nobody counts here.
#[cfg(feature = "server")]
pub(crate) fn counted<S>(service: S, _observer: &crate::server::Observer) -> S {
    service
}

/// Answers are not encoded here: their room is given back at once.
#[cfg(feature = "server")]
#[derive(Clone, Debug, Default)]
pub(crate) struct Aboard;

#[cfg(feature = "server")]
impl Aboard {
    #[expect(clippy::unused_self, reason = "the real one keeps it")]
    pub(crate) fn put(&self, share: crate::server::Share) {
        drop(share);
    }

    #[expect(clippy::unused_self, reason = "the real one goes with it")]
    pub(crate) fn laden<T>(self, message: T) -> tonic::Response<T> {
        tonic::Response::new(message)
    }
}

/// What a get is answered with.
#[cfg(feature = "server")]
pub(crate) fn found(
    message: crate::proto::GetResponse,
    share: crate::server::Share,
) -> tonic::Response<crate::proto::GetResponse> {
    drop(share);
    tonic::Response::new(message)
}

#[cfg(feature = "server")]
mod serve {
    use std::net::SocketAddr;

    use tokio::sync::watch;
    use tonic::transport::server::Router;

    use crate::server::Readiness;
    use crate::transport::ServeError;

    /// An address to listen on: bound only once it is served.
    #[derive(Debug)]
    pub struct Listener {
        address: SocketAddr,
    }

    impl Listener {
        /// Remembers `address`, which must have a port.
        ///
        /// # Errors
        /// None here.
        #[expect(clippy::unused_async, reason = "the real one waits")]
        pub async fn bind(address: SocketAddr) -> Result<Self, ServeError> {
            Ok(Self { address })
        }

        /// Where it listens.
        pub fn address(&self) -> SocketAddr {
            self.address
        }
    }

    /// Serves until `shutdown`.
    pub(crate) async fn run(
        router: Router,
        _services: &'static [&'static str],
        _readiness: watch::Receiver<Readiness>,
        listener: Listener,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), ServeError> {
        let Listener { address } = listener;
        router.serve_with_shutdown(address, shutdown).await.map_err(|source| ServeError::Serve { address, source })
    }
}
