//! What a system does, in the product's words and in those of firewall scripts, and the role that it is
//! in the port table of the current branch.

/// What a name of a role means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A role of the port table.
    Role(&'static str),
    /// Nothing that has ports of its own. Every site system says this.
    Nothing,
    /// Something that the port table does not know, and why.
    Untranslatable(&'static str),
}

use Meaning::{Nothing, Role, Untranslatable};

const TABLE: &[(&str, Meaning)] = &[
    // Of the product: `RoleName` of the WMI class SMS_SCI_SysResUse.
    ("SMS Site Server", Role("site-server")),
    ("SMS Site System", Nothing),
    ("SMS Component Server", Nothing),
    ("SMS SQL Server", Role("sql-server")),
    ("SMS Provider", Role("provider")),
    ("SMS Management Point", Role("management-point")),
    ("SMS Distribution Point", Role("distribution-point")),
    (
        "SMS Multicast Service Point",
        Role("multicast-distribution-point"),
    ),
    ("SMS Software Update Point", Role("software-update-point")),
    ("SMS SRS Reporting Point", Role("reporting-services-point")),
    (
        "SMS Endpoint Protection Point",
        Role("endpoint-protection-point"),
    ),
    ("SMS Dmp Connector", Role("service-connection-point")),
    ("SMS Cloud Proxy Connector", Role("cmg-connection-point")),
    ("SMS State Migration Point", Role("state-migration-point")),
    ("SMS Fallback Status Point", Role("fallback-status-point")),
    // Part of a management point, which is listed by itself.
    ("SMS Notification Server", Nothing),
    (
        "SMS Certificate Registration Point",
        Role("certificate-registration-point"),
    ),
    ("SMS Enrollment Server", Role("enrollment-point")),
    ("SMS Enrollment Web Site", Role("enrollment-proxy-point")),
    (
        "SMS Device Management Point",
        Untranslatable("device management points are no longer part of the product"),
    ),
    (
        "SMS AMT Service Point",
        Untranslatable("out of band management is no longer part of the product"),
    ),
    // Of firewall scripts.
    ("CentralAdministrationSite", Role("site-server")),
    ("PrimarySite", Role("site-server")),
    ("SecondarySite", Role("site-server")),
    ("SiteServer", Role("site-server")),
    ("SMSProvider", Role("provider")),
    ("ManagementPoint", Role("management-point")),
    ("DistributionPoint", Role("distribution-point")),
    ("DistributionPointPXE", Role("pxe-distribution-point")),
    ("PullDistributionPoint", Role("pull-distribution-point")),
    (
        "PullDistributionPointSource",
        Role("source-distribution-point"),
    ),
    ("PrimarySoftwareUpdatePoint", Role("software-update-point")),
    (
        "SecondarySoftwareUpdatePoint",
        Role("software-update-point"),
    ),
    ("CentralSoftwareUpdatePoint", Role("software-update-point")),
    ("SoftwareUpdatePoint", Role("software-update-point")),
    ("ReportingServicePoint", Role("reporting-services-point")),
    (
        "DataWarehouseServicePoint",
        Role("data-warehouse-service-point"),
    ),
    ("EndpointProtectionPoint", Role("endpoint-protection-point")),
    ("ServiceConnectionPoint", Role("service-connection-point")),
    ("FallbackStatusPoint", Role("fallback-status-point")),
    ("StateMigrationPoint", Role("state-migration-point")),
    ("CMGConnectionPoint", Role("cmg-connection-point")),
    (
        "AssetIntelligenceSynchronizationPoint",
        Role("asset-intelligence-synchronization-point"),
    ),
    ("SQLServerRole", Role("sql-server")),
    ("CASSQLServerRole", Role("sql-server")),
    ("PRISQLServerRole", Role("sql-server")),
    ("SECSQLServerRole", Role("sql-server")),
    ("SUPSQLServerRole", Role("wsus-sql-server")),
    ("ConfigMgrConsole", Role("console")),
    (
        "ContentLibraryServer",
        Role("remote-content-library-server"),
    ),
    ("ContentSourceServer", Role("file-server")),
    ("Client", Role("client")),
    (
        "ExternalSQLConnection",
        Untranslatable(
            "the port table has no such client of SQL Server: write an [[allow]] for it",
        ),
    ),
    (
        "RDPSystem",
        Untranslatable("the port table does not know remote desktops: write an [[allow]] for it"),
    ),
    (
        "SMBSystem",
        Untranslatable("the port table does not know other file shares: write an [[allow]] for it"),
    ),
    (
        "Internet",
        Untranslatable("the Internet is whatever is not internal, and is not listed"),
    ),
    ("Any", Untranslatable("anybody is no system")),
];

/// What it means; `None` if nobody knows.
pub(super) fn meaning(name: &str) -> Option<Meaning> {
    let name = name.trim();
    let found = TABLE
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, meaning)| *meaning)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Catalog, Edition};

    #[test]
    fn every_role_is_one_of_the_current_branch() {
        let catalog = Catalog::of(Edition::CurrentBranch);
        for (name, meaning) in TABLE {
            if let Role(role) = meaning {
                assert!(catalog.role(role).is_ok(), "{name}: {role}");
            }
        }
        assert_eq!(meaning(" sms provider"), Some(Role("provider")));
        assert_eq!(meaning("SMS Provider Point"), None);
    }
}
