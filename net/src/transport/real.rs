//! Real TCP, real tonic.

use tonic::{ConnectError, Status};

/// Whether a call with this outcome surely never left this process, because no connection came about (W9). A channel
/// that has lost its connection dials again before it sends anything.
pub(crate) fn never_left(status: &Status) -> bool {
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        if error.is::<ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(feature = "server")]
pub(crate) use super::counted::counted;
#[cfg(feature = "server")]
pub(crate) use super::laden::{Aboard, found};
#[cfg(feature = "server")]
pub use serve::Listener;
#[cfg(feature = "server")]
pub(crate) use serve::run;
#[cfg(feature = "server")]
pub(crate) use typed::typed;

#[cfg(feature = "server")]
mod serve {
    use std::io::ErrorKind;
    use std::net::SocketAddr;

    use tokio::net::TcpListener;
    use tokio::sync::{oneshot, watch};
    use tonic::transport::server::Router;

    use crate::server::Readiness;
    use crate::transport::door::Door;
    use crate::transport::{STOP_TIMEOUT, ServeError, tools};

    /// An address that this process listens on. Callers wait from here on, and are served once it is.
    #[derive(Debug)]
    pub struct Listener {
        socket: TcpListener,
        address: SocketAddr,
    }

    impl Listener {
        /// Listens on `address`; port 0 takes any that is free.
        ///
        /// # Errors
        /// When the address is taken or not allowed; it is named.
        pub async fn bind(address: SocketAddr) -> Result<Self, ServeError> {
            let failed = |source: std::io::Error| match source.kind() {
                ErrorKind::AddrInUse => ServeError::Taken { address },
                _ => ServeError::Bind { address, source },
            };
            let socket = TcpListener::bind(address).await.map_err(failed)?;
            let address = socket.local_addr().map_err(failed)?;
            Ok(Self { socket, address })
        }

        /// Where it listens, with the port it really has.
        pub fn address(&self) -> SocketAddr {
            self.address
        }
    }

    /// Serves `services`, which `router` has, until `shutdown`, and then for [`STOP_TIMEOUT`] at most; beside them their health
    /// and reflection.
    pub(crate) async fn run(
        router: Router,
        services: &'static [&'static str],
        readiness: watch::Receiver<Readiness>,
        listener: Listener,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), ServeError> {
        let Listener { socket, address } = listener;
        let (router, health) = tools::add(router, services);
        let (stop, stopping) = oneshot::channel();
        let signal = async {
            shutdown.await;
            drop(stop);
        };
        let expired = async {
            let _: Result<(), _> = stopping.await;
            tokio::time::sleep(STOP_TIMEOUT).await;
        };
        tokio::select! {
            biased;
            // First, so that nobody is told of good health before it is known.
            never = health.follow(readiness) => match never {},
            result = router.serve_with_incoming_shutdown(Door::new(socket), signal) => {
                result.map_err(|source| ServeError::Serve { address, source })
            }
            () = expired => Ok(()),
        }
    }
}

#[cfg(feature = "server")]
mod typed {
    use std::pin::Pin;
    use std::task::{Context, Poll, ready};

    use tonic::body::Body;
    use tonic::codegen::Service;
    use tonic::codegen::http::{Request, Response};
    use tonic::server::NamedService;
    use tonic::{Code, Status};

    use crate::Refusal;
    use crate::transport::laden::load;

    /// A service whose refusals all say why, and whose answers hold their room. tonic refuses a request over its size limit by
    /// itself, with a code and without details; nothing else in here gives that code.
    pub(crate) fn typed<S>(service: S, limit: usize) -> Typed<S> {
        Typed { service, limit: limit as u64 }
    }

    #[derive(Clone, Debug)]
    pub(crate) struct Typed<S> {
        service: S,
        limit: u64,
    }

    impl<S: NamedService> NamedService for Typed<S> {
        const NAME: &'static str = S::NAME;
    }

    impl<S> Service<Request<Body>> for Typed<S>
    where
        S: Service<Request<Body>, Response = Response<Body>>,
        S::Future: Unpin,
    {
        type Response = Response<Body>;
        type Error = S::Error;
        type Future = Answering<S::Future>;

        fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
            self.service.poll_ready(context)
        }

        fn call(&mut self, request: Request<Body>) -> Self::Future {
            Answering { answer: self.service.call(request), limit: self.limit }
        }
    }

    pub(crate) struct Answering<F> {
        answer: F,
        limit: u64,
    }

    impl<F, E> Future for Answering<F>
    where
        F: Future<Output = Result<Response<Body>, E>> + Unpin,
    {
        type Output = F::Output;

        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
            let answer = ready!(Pin::new(&mut self.answer).poll(context));
            let too_large = || Status::from(Refusal::MessageTooLarge { limit: self.limit }).into_http();
            Poll::Ready(answer.map(|response| if refused_by_size(&response) { too_large() } else { load(response) }))
        }
    }

    fn refused_by_size(response: &Response<Body>) -> bool {
        Status::from_header_map(response.headers()).is_some_and(|status| status.code() == Code::OutOfRange)
    }
}
