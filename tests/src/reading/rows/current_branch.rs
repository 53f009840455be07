//! The ports that a site of the current branch has moved: read from who speaks to whom, because note
//! 2 of the document stands at ports of many kinds.

use super::{Service, Site, pair};
use sccm_agent::catalog::{Link, PortSpec};

/// A row of WSUS lists both pairs of ports.
pub(super) fn is_wsus(row: &Service) -> bool {
    row.ports.len() == 2 && ["http", "https"].contains(&row.service.as_str())
}

/// The web sites of these have the clients' ports; so say note 2 and, of the CMG connection point,
/// the sentence below its table.
const WEB_SITES: [(&str, &[&str]); 4] = [
    (
        "client",
        &[
            "distribution-point",
            "fallback-status-point",
            "management-point",
            "state-migration-point",
        ],
    ),
    ("distribution-point", &["management-point"]),
    ("pull-distribution-point", &["source-distribution-point"]),
    ("cmg-connection-point", &["management-point"]),
];

impl Site {
    /// First and last port of each part of a row; `None`: as the document says.
    pub(super) fn moved(&self, link: &Link, row: &Service) -> Option<Vec<(u16, u16)>> {
        let one = |port: u16| Some(vec![(port, port)]);
        let (from, to) = (link.from.as_str(), link.to.as_str());
        let of_clients = WEB_SITES
            .iter()
            .any(|(caller, sites)| *caller == from && sites.contains(&to));
        match row.service.as_str() {
            "http" if is_wsus(row) => one(self.wsus_http_port?),
            "https" if is_wsus(row) => match self.wsus_http_port? {
                80 => one(443),
                http => one(http + 1),
            },
            "http" if of_clients => one(self.http_port?),
            "https" if of_clients => one(self.https_port?),
            "http" if to == "reporting-services-point" => one(self.reporting_http_port?),
            "https" if to == "reporting-services-point" => one(self.reporting_https_port?),
            "https" if to == "enrollment-point" => one(self.enrollment_port?),
            "https" if to == "certificate-registration-point" => {
                one(self.certificate_registration_port?)
            }
            "sql" if to == "wsus-sql-server" => one(self.wsus_sql_port?),
            "sql" if from == "data-warehouse-service-point" => {
                let site = self.sql_port.unwrap_or(1433);
                let warehouse = self.data_warehouse_sql_port.unwrap_or(1433);
                Some(vec![(site, site), (warehouse, warehouse)])
            }
            "sql" => one(self.sql_port?),
            "sql-service-broker" => one(self.sql_service_broker_port?),
            "wake-on-lan" => one(self.wake_on_lan_port?),
            "wake-up-proxy" => one(self.wake_up_proxy_port?),
            "peer-cache-broadcast" => one(self.peer_cache_broadcast_port?),
            "peer-cache-download" => one(self.peer_cache_download_port?),
            "express-updates" => one(self.express_updates_port?),
            "client-notification" => one(self.client_notification_port?),
            "multicast" => Some(vec![pair(self.multicast_range.as_deref()?)]),
            "cmg-https" | "cmg-tcp-tls" => {
                let instances = self.cmg_instances?;
                let [PortSpec::Range(range)] = row.ports.as_slice() else {
                    return None;
                };
                Some(vec![(*range.start(), *range.start() + instances - 1)])
            }
            _ => None,
        }
    }
}
