//! The site's settings as command-line flags.

use super::ports::{parse_instances, parse_port};
use super::{HttpPorts, PortRange, Site, WsusPorts};
use crate::catalog::{Catalog, Edition, PortSetting, nearest};
use clap::Args;
use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fmt,
    num::NonZeroU16,
};

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
    /// Edition of Configuration Manager whose port table it is, such as current-branch [default: 2007]
    #[arg(long, value_name = "EDITION")]
    pub edition: Option<Edition>,

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

    /// Client notification port of management points [default: 10123]
    #[arg(long, value_name = "PORT", value_parser = parse_port)]
    pub client_notification_port: Option<NonZeroU16>,

    /// Wake-up proxy port of clients [default: 25536]
    #[arg(long, value_name = "PORT", value_parser = parse_port)]
    pub wake_up_proxy_port: Option<NonZeroU16>,

    /// Port of express updates [default: 8005]
    #[arg(long, value_name = "PORT", value_parser = parse_port)]
    pub express_updates_port: Option<NonZeroU16>,

    /// Port at which clients that share their cache hear broadcasts [default: 8004]
    #[arg(long, value_name = "PORT", value_parser = parse_port)]
    pub peer_cache_broadcast_port: Option<NonZeroU16>,

    /// Port at which clients share their cache [default: 8003]
    #[arg(long, value_name = "PORT", value_parser = parse_port)]
    pub peer_cache_download_port: Option<NonZeroU16>,

    /// Service Broker port of SQL Server [default: 4022]
    #[arg(long, value_name = "PORT", value_parser = parse_port)]
    pub sql_service_broker_port: Option<NonZeroU16>,

    /// SQL Server port of the WSUS database [default: 1433]
    #[arg(long, value_name = "PORT", value_parser = parse_port)]
    pub wsus_sql_port: Option<NonZeroU16>,

    /// SQL Server port of the data warehouse's own database [default: 1433]
    #[arg(long, value_name = "PORT", value_parser = parse_port)]
    pub data_warehouse_sql_port: Option<NonZeroU16>,

    /// HTTP port of SQL Server Reporting Services [default: 80]
    #[arg(long, value_name = "PORT", value_parser = parse_port)]
    pub reporting_http_port: Option<NonZeroU16>,

    /// HTTPS port of SQL Server Reporting Services [default: 443]
    #[arg(long, value_name = "PORT", value_parser = parse_port)]
    pub reporting_https_port: Option<NonZeroU16>,

    /// HTTPS port of the enrollment point [default: 443]
    #[arg(long, value_name = "PORT", value_parser = parse_port)]
    pub enrollment_port: Option<NonZeroU16>,

    /// HTTPS port of the certificate registration point [default: 443]
    #[arg(long, value_name = "PORT", value_parser = parse_port)]
    pub certificate_registration_port: Option<NonZeroU16>,

    /// Instances of the cloud management gateway, each with a port of its own [default: 16]
    #[arg(long, value_name = "NUMBER", value_parser = parse_instances)]
    pub cmg_instances: Option<NonZeroU16>,

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

    /// Include links that are off by default, such as netbios-remote-control; repeatable
    #[arg(long, value_name = "FEATURE")]
    pub enable: Vec<String>,
}

impl SiteArgs {
    /// The port table of the edition that is named, or of the default.
    #[must_use]
    pub fn catalog(&self) -> &'static Catalog {
        Catalog::of(self.edition.unwrap_or_default())
    }

    /// The site that these settings describe, with the port table of its edition.
    ///
    /// # Errors
    /// Ports that break a rule of the document or that it does not have, and unknown features;
    /// the message says what to give instead.
    pub fn site(&self, catalog: &'static Catalog) -> Result<Site, SiteError> {
        self.of_the_edition(catalog)?;
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
            moved: self.moved(),
            cmg_instances: self.cmg_instances,
            site_server_initiated_only: self.site_server_initiated_only,
            rpc_dynamic_with_mapper: self.rpc_dynamic_with_mapper,
            features: self.features(catalog)?,
        })
    }

    /// Ports that stay the document's unless they are given.
    fn moved(&self) -> BTreeMap<PortSetting, NonZeroU16> {
        let given = [
            (
                PortSetting::ClientNotification,
                self.client_notification_port,
            ),
            (PortSetting::WakeUpProxy, self.wake_up_proxy_port),
            (PortSetting::ExpressUpdates, self.express_updates_port),
            (
                PortSetting::PeerCacheBroadcast,
                self.peer_cache_broadcast_port,
            ),
            (
                PortSetting::PeerCacheDownload,
                self.peer_cache_download_port,
            ),
            (PortSetting::SqlServiceBroker, self.sql_service_broker_port),
            (PortSetting::WsusSql, self.wsus_sql_port),
            (PortSetting::DataWarehouseSql, self.data_warehouse_sql_port),
            (PortSetting::ReportingHttp, self.reporting_http_port),
            (PortSetting::ReportingHttps, self.reporting_https_port),
            (PortSetting::Enrollment, self.enrollment_port),
            (
                PortSetting::CertificateRegistration,
                self.certificate_registration_port,
            ),
        ];
        let given = given.into_iter();
        given
            .filter_map(|(setting, port)| Some((setting, port?)))
            .collect()
    }

    /// Checks that the edition has rows for what is given: otherwise it would move nothing.
    fn of_the_edition(&self, catalog: &Catalog) -> Result<(), SiteError> {
        let others = [
            (PortSetting::AmtProvisioning, self.amt_provisioning_port),
            (PortSetting::CmgInstances, self.cmg_instances),
        ];
        let others = others.into_iter().filter(|(_, given)| given.is_some());
        let given = others.map(|(setting, _)| setting);
        let mut given = given.chain(self.moved().into_keys());
        let has = |setting: PortSetting| {
            let mut rows = catalog.all_links().flat_map(|link| &link.services);
            rows.any(|row| row.port_from == Some(setting))
        };
        match given.find(|setting| !has(*setting)) {
            None => Ok(()),
            Some(setting) => Err(SiteError {
                setting: setting.key(),
                message: format!(
                    "edition {} has no {}: no row of its port table speaks of it; leave it out",
                    catalog.edition,
                    setting.key()
                ),
            }),
        }
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
