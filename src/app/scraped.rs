//! The door that Prometheus comes in by.

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
    task: AbortHandle,
}

impl Scraped {
    /// Begins to serve at `address`.
    ///
    /// # Errors
    /// The address is taken or not this machine's; the text names it.
    pub fn start<H: Handler>(address: SocketAddr, handler: Arc<H>) -> io::Result<Self> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("server.metrics: {address}: {error}"));
        let socket = TcpListener::bind(address).map_err(named)?;
        socket.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(socket)?;
        tracing::info!("metrics at http://{}/metrics", listener.local_addr()?);
        let serve = async {
            if let Err(error) = metrics::serve(listener, handler).await {
                tracing::error!("metrics are served no longer: {error}");
            }
        };
        Ok(Self { wanted: address, task: tokio::spawn(serve).abort_handle() })
    }
}

impl Drop for Scraped {
    fn drop(&mut self) {
        self.task.abort();
    }
}
