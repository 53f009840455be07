//! The server's settings as command-line flags.

use super::HostName;
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where metrics and the status page are served. 9100 to 9999 are all allocated to other exporters.
const DEFAULT_LISTEN: &str = "127.0.0.1:19470";

/// Where and to whom the server answers.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "HTTP server")]
pub struct HttpArgs {
    /// Where metrics and the status page are served
    #[arg(long, value_name = "ADDRESS:PORT", default_value = DEFAULT_LISTEN)]
    pub metrics_listen: SocketAddr,

    /// Serve other machines without TLS
    #[arg(long)]
    pub insecure_listen: bool,

    /// TLS, client certificates and a bearer token, as this file says (docs/web-config.md)
    #[arg(long, value_name = "FILE")]
    pub web_config: Option<PathBuf>,

    /// A further name or address by which clients call this server, without a port; may be
    /// given several times
    #[arg(long, value_name = "NAME")]
    pub http_host: Vec<HostName>,
}
