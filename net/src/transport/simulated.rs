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
