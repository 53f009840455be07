//! The site's settings as command-line flags.

use super::{HttpPorts, PortRange, Site, WsusPorts, ports::parse_port};
use crate::catalog::{Catalog, nearest};
use clap::Args;
use std::{collections::BTreeSet, error::Error, fmt, num::NonZeroU16};

/// A setting that breaks a rule of the document, or is unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteError {
    /// The setting, as flags and policy files name it: `https-port`.
    pub setting: &'static str,
    /// What is wrong with it, and what to give instead.
    pub message: String,
}

impl fmt::Display for SiteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for SiteError {}

/// The flags of every command that works with a site's ports. A flag that is
/// not given leaves the document's default.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Site settings")]
pub struct SiteArgs {
    /// HTTP port of site systems, where the document lets it be changed [default: 80]
    #[arg(long, value_name = "PORT", value_parser = parse_port)]
    pub http_port: Option<NonZeroU16>,

    /// HTTPS port of site systems, where the document lets it be changed [default: 443]
    #[arg(long, value_name = "PORT", value_parser = parse_port)]
    pub https_port: Option<NonZeroU16>,

    /// HTTP port of WSUS [default: both 80 and 8530]
    #[arg(long, value_name = "PORT", value_parser = parse_port)]
    pub wsus_http_port: Option<NonZeroU16>,

    /// HTTPS port of WSUS [default: 443 for HTTP port 80, else the port after
    /// --wsus-http-port]
    #[arg(long, value_name = "PORT", value_parser = parse_port)]
    pub wsus_https_port: Option<NonZeroU16>,

    /// SQL Server port [default: 1433]
    #[arg(long, value_name = "PORT", value_parser = parse_port)]
    pub sql_port: Option<NonZeroU16>,

    /// Wake on LAN port [default: 9]
    #[arg(long, value_name = "PORT", value_parser = parse_port)]
    pub wake_on_lan_port: Option<NonZeroU16>,

    /// AMT provisioning port [default: 9971]
    #[arg(long, value_name = "PORT", value_parser = parse_port)]
    pub amt_provisioning_port: Option<NonZeroU16>,

    /// Dynamic RPC ports [default: 49152-65535]
    #[arg(long, value_name = "LOW-HIGH")]
    pub rpc_range: Option<PortRange>,

    /// Multicast ports [default: 63000-64000]
    #[arg(long, value_name = "LOW-HIGH")]
    pub multicast_range: Option<PortRange>,

    /// Let only the site server open connections between it and site systems
    #[arg(long)]
    pub site_server_initiated_only: bool,

    /// Open the dynamic RPC ports also on links that list only the endpoint mapper
    #[arg(long)]
    pub rpc_dynamic_with_mapper: bool,

    /// Include links that are off by default: netbios-remote-control, named-pipes; repeatable
    #[arg(long, value_name = "FEATURE")]
    pub enable: Vec<String>,
}

impl SiteArgs {
    /// The site that these flags describe, with the port table of its edition.
    ///
    /// # Errors
    /// Ports that break a rule of the document, and unknown features; the
    /// message says what to give instead.
    pub fn site(&self, catalog: &'static Catalog) -> Result<Site, SiteError> {
        let default = Site::new(catalog);
        let http = HttpPorts::new(
            self.http_port.unwrap_or(default.http.http()),
            self.https_port.unwrap_or(default.http.https()),
        )
        .map_err(|message| SiteError {
            setting: if self.https_port.is_some() {
                "https-port"
            } else {
                "http-port"
            },
            message,
        })?;
        Ok(Site {
            catalog,
            http,
            wsus: self.wsus()?,
            sql: self.sql_port.unwrap_or(default.sql),
            wake_on_lan: self.wake_on_lan_port.unwrap_or(default.wake_on_lan),
            amt_provisioning: self
                .amt_provisioning_port
                .unwrap_or(default.amt_provisioning),
            rpc_range: self.rpc_range.unwrap_or(default.rpc_range),
            multicast_range: self.multicast_range.unwrap_or(default.multicast_range),
            site_server_initiated_only: self.site_server_initiated_only,
            rpc_dynamic_with_mapper: self.rpc_dynamic_with_mapper,
            features: self.features(catalog)?,
        })
    }

    fn wsus(&self) -> Result<Option<WsusPorts>, SiteError> {
        let pair = match (self.wsus_http_port, self.wsus_https_port) {
            (None, None) => return Ok(None),
            (None, Some(_)) => Err(
                "wsus-https-port needs wsus-http-port: the HTTPS port follows from the HTTP port"
                    .to_owned(),
            ),
            (Some(http), None) => WsusPorts::with_http(http),
            (Some(http), Some(https)) => WsusPorts::new(http, https),
        };
        let setting = match self.wsus_https_port {
            Some(_) => "wsus-https-port",
            None => "wsus-http-port",
        };
        pair.map(Some)
            .map_err(|message| SiteError { setting, message })
    }

    fn features(&self, catalog: &Catalog) -> Result<BTreeSet<String>, SiteError> {
        let wrong = |message: String| SiteError {
            setting: "enable",
            message,
        };
        for asked in &self.enable {
            known_feature(catalog, asked).map_err(wrong)?;
        }
        Ok(self.enable.iter().cloned().collect())
    }
}

/// Whether some link waits for this feature.
///
/// # Errors
/// Names those that look most alike, and all.
pub(crate) fn known_feature(catalog: &Catalog, asked: &str) -> Result<(), String> {
    let known = catalog.features();
    if known.contains(asked) {
        return Ok(());
    }
    let hint = match nearest(asked, known.iter().copied()).as_slice() {
        [] => String::new(),
        alike => format!("; did you mean {}?", alike.join(" or ")),
    };
    let all: Vec<&str> = known.into_iter().collect();
    Err(format!(
        "unknown feature `{asked}`{hint} (there are: {})",
        all.join(", ")
    ))
}
