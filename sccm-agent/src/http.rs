//! The agent's HTTP server: metrics, health and a status page, read-only.
//!
//! It answers whoever reaches its port, so it trusts nobody: other machines only
//! over TLS or by an explicit flag, only under its own names, only so many at once
//! and only for so long. Everything that can be wrong with its settings is found
//! by [`Server::prepare`], before anything is attached.
//!
//! A request passes [`connection`] (permits, timeouts), [`guard`] (name, origin, token)
//! and ends in [`routes`]. Whoever has more to serve merges a router into theirs.

mod args;
mod certificate;
mod connection;
mod current;
mod events;
mod files;
mod guard;
mod hosts;
mod page;
mod past;
mod patience;
mod permits;
mod reader;
mod reload;
mod routes;
mod scrapes;
mod tls;
mod token;
mod web_config;

pub use args::{DEFAULT_LISTEN, HttpArgs, listen_address};
pub use current::CurrentWebConfig;
pub use hosts::HostName;
pub use reload::reload;
pub use routes::{page, routes};

use crate::record::Record;
use anyhow::{Context as _, Result};
use axum::Router;
use guard::Guard;
use hosts::Hosts;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpSocket};

/// What the kernel keeps of an answer that a client does not read, in bytes. By
/// itself it would keep megabytes for each.
const SEND_BUFFER: u32 = 128 * 1024;

/// Connections that the kernel accepts ahead of the agent.
const BACKLOG: u32 = 1024;

/// A server that has its port and its web configuration.
pub struct Server {
    listener: TcpListener,
    web: Arc<CurrentWebConfig>,
    hosts: Hosts,
}

impl Server {
    /// Checks the settings, reads the files that they name and reserves the address.
    ///
    /// # Errors
    /// What is wrong with them, and what to do.
    pub async fn prepare(args: &HttpArgs, record: Arc<Record>) -> Result<Self> {
        let web = CurrentWebConfig::new(args, record).await?;
        let address = args.metrics_listen;
        let listener = listen(address).with_context(|| {
            format!("cannot listen on {address} for metrics: choose another with --metrics-listen")
        })?;
        Ok(Self {
            listener,
            web,
            hosts: Hosts::new(&args.http_host),
        })
    }

    /// The web configuration, for whoever may renew it.
    #[must_use]
    pub fn web_config(&self) -> Arc<CurrentWebConfig> {
        Arc::clone(&self.web)
    }

    /// Serves these routes until the process ends.
    pub async fn serve(self, routes: Router) -> Infallible {
        let guard = Guard {
            hosts: self.hosts,
            web: Arc::clone(&self.web),
        };
        let router = guard::protect(routes, Arc::new(guard));
        tokio::select! {
            never = connection::serve(self.listener, &self.web, router) => never,
            never = self.web.remind() => never,
        }
    }
}

/// Accepted connections inherit the buffer's size (Linux, `tcp(7)`).
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // An agent that starts again does not wait for its last connections to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
