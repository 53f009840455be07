//! The server's settings as command-line flags.

use super::HostName;
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where metrics and the status page are served. 9100 to 9999 are all allocated to other exporters.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:19470";

/// Where and to whom the server answers.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "HTTP server")]
pub struct HttpArgs {
    /// Address of the server for metrics and the status page
    #[arg(long, value_name = "ADDRESS:PORT", default_value = DEFAULT_LISTEN, value_parser = listen_address)]
    pub metrics_listen: SocketAddr,

    /// Serve other machines without TLS
    #[arg(long)]
    pub insecure_listen: bool,

    /// File with settings for TLS, client certificates and a bearer token
    /// (docs/web-config.md)
    #[arg(long, value_name = "FILE")]
    pub web_config: Option<PathBuf>,

    /// Also reload the policy file on POST /-/reload, by clients that show who they are
    #[arg(long)]
    pub enable_reload: bool,

    /// Further name or address that clients use for this server, without a port; repeatable
    #[arg(long, value_name = "NAME")]
    pub http_host: Vec<HostName>,
}

/// Reads an address and a port.
///
/// # Errors
/// It is none; the message has an example.
pub fn listen_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!(
            "write an address and a port, such as {DEFAULT_LISTEN}, [::1]:19470 or, for all \
             addresses, 0.0.0.0:19470"
        )
    })
}
