//! Admin HTTP: whether the process is alive and ready, its figures, its state. For operators and their tools only: it says
//! everything about the process and changes nothing.

mod guest;
mod page;
mod pages;
mod shared;

use std::io::ErrorKind;
use std::net::SocketAddr;

use catena_net::server::ServeError;
use serde::Serialize;
use tokio::net::TcpListener;
use tracing::{error, info};

use self::guest::Door;
use super::error::ProcessError;
use crate::monitor::{Metrics, Monitor, Window};

/// Whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Process {
    Coordinator,
    Node,
}

impl Process {
    /// As the log and the state have it.
    fn name(self) -> &'static str {
        match self {
            Process::Coordinator => "coordinator",
            Process::Node => "node",
        }
    }
}

/// Both ends of a process's monitor, and the server that shows it, if there is to be one.
pub(super) struct Admin<M, S> {
    pub(super) monitor: Monitor<M, S>,
    server: Option<(TcpListener, Window<S>)>,
}

impl<M: Metrics, S: Serialize + Send + 'static> Admin<M, S> {
    /// Listens on `address`, if one is given. `calls`: the address for those.
    ///
    /// # Errors
    /// When the address is taken or not allowed, or that for calls; it is named.
    pub(super) async fn bind(address: Option<SocketAddr>, calls: SocketAddr) -> Result<Self, ProcessError> {
        if address == Some(calls) && calls.port() != 0 {
            return Err(ProcessError::OneAddress(calls));
        }
        let (monitor, window) = Monitor::new();
        let server = match address {
            Some(address) => Some((listen(address).await?, window)),
            None => None,
        };
        Ok(Self { monitor, server })
    }

    /// Serves until the process ends; the monitor is for the driver.
    pub(super) fn serve(self, process: Process) -> Monitor<M, S> {
        if let Some((socket, window)) = self.server {
            if let Ok(address) = socket.local_addr() {
                info!(component = process.name(), %address, "admin HTTP");
            }
            let served = axum::serve(Door::new(socket), pages::router(process, window));
            tokio::spawn(async move {
                if let Err(error) = served.await {
                    error!(component = process.name(), %error, "admin HTTP has ended");
                }
            });
        }
        self.monitor
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        ErrorKind::AddrInUse => ServeError::Taken { address },
        _ => ServeError::Bind { address, source },
    })
}
