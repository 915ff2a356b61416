//! The door that Prometheus comes in by.

use super::listen;
use crate::health::{control::Handler, metrics};
use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
};
use tokio::task::AbortHandle;

/// Serves until it is dropped.
pub struct Scraped {
    /// As the config says.
    pub wanted: SocketAddr,
    socket: TcpListener,
    task: AbortHandle,
}

impl Scraped {
    /// Begins to serve at `address`, in place of `leaving`.
    ///
    /// # Errors
    /// The address is taken or not this machine's; the text names it.
    pub fn start<H: Handler>(address: SocketAddr, leaving: Option<&Self>, handler: Arc<H>) -> io::Result<Self> {
        let leaving: Vec<_> = leaving.iter().map(|other| &other.socket).collect();
        let socket = listen::bind_one(address, &leaving, "metrics")?;
        let listener = tokio::net::TcpListener::from_std(socket.try_clone()?)?;
        tracing::info!("metrics at http://{}/metrics", listener.local_addr()?);
        let task = tokio::spawn(metrics::serve(listener, handler)).abort_handle();
        Ok(Self { wanted: address, socket, task })
    }
}

impl Drop for Scraped {
    fn drop(&mut self) {
        self.task.abort();
    }
}
