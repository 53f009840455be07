//! Inventories in, policies out: who becomes what, and what is said of the rest.

use super::*;
use crate::check::Report;
use crate::config;
use crate::policy::SitePolicy;
use std::fs;
use std::io;
use std::net::IpAddr;
use tempfile::TempDir;

const SYSTEMS: &str = r#"{
 "DOCUMENTATION": "ignored",
 "FirewallRuleDefinition": {"SystemAndRoleList": [
  {"FullQualifiedDomainName": "cas.corp.example", "IPAddress": "192.0.2.5", "SiteCode": "C01",
   "ParentSiteCode": "C01", "RoleList": ["CentralAdministrationSite", "SMSProvider"]},
  {"FullQualifiedDomainName": "P1.corp.example.", "IPAddress": "192.0.2.10, 2001:db8:2::10",
   "SiteCode": "P01", "ParentSiteCode": "C01", "RoleList": ["PrimarySite", "RDPSystem", "Wizard"]},
  {"FullQualifiedDomainName": "dp.corp.example", "IPAddress": "198.51.100.21", "SiteCode": "P01",
   "ParentSiteCode": "C01", "RoleList": ["SMS Distribution Point", "SMS Site System"]},
  {"FullQualifiedDomainName": "dp.corp.example", "IPAddress": null, "SiteCode": "P01",
   "ParentSiteCode": "C01", "RoleList": "DistributionPointPXE"},
  {"FullQualifiedDomainName": "p2.corp.example", "IPAddress": "203.0.113.10", "SiteCode": "P02",
   "ParentSiteCode": "C01", "RoleList": ["PrimarySite"]}
 ]}}"#;

const BOUNDARIES: &str = "\
DisplayName,BoundaryType,Value,NetworkID,Mask,SiteCode
Head office,0,10.64.0.0,10.64.0.0,255.255.252.0,P01
Branch,3,10.66.0.10-10.66.0.13,,,P01
Head office v6,2,2001:db8:64::/64,,,P01
Secondary,0,10.80.0.0,10.80.0.0,255.255.0.0,S01
Forest site,1,Default-First-Site-Name,,,P01
Home office,4,Auto:On,,,P01
Other primary,0,10.70.0.0,10.70.0.0,255.255.0.0,P02
";

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> std::path::PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

fn wish(protect: &str) -> Wish {
    Wish {
        protect: vec![protect.parse().unwrap()],
        ..Wish::default()
    }
}

/// All that can be looked up here: nothing leaves this machine.
fn names(name: &str) -> io::Result<Vec<IpAddr>> {
    match name {
        "mp.corp.example" => Ok(vec![[198, 51, 100, 9].into()]),
        _ => Err(io::Error::other("unknown")),
    }
}

/// What an import makes of files with these texts, or what is wrong with them, without their paths.
fn import(systems: &[&str], boundaries: &[&str], wish: &Wish) -> Result<Imported, Vec<String>> {
    let files = Files::new();
    let (mut inventory, mut mistakes) = (Inventory::default(), Mistakes::default());
    for (number, text) in systems.iter().enumerate() {
        inventory.add_systems(&files.write(&format!("s{number}"), text), &mut mistakes);
    }
    for (number, text) in boundaries.iter().enumerate() {
        let path = files.write(&format!("b{number}"), text);
        inventory.add_boundaries(&path, None, &mut mistakes);
    }
    inventory.resolve(names, &mut mistakes);
    let imported = Imported::new(&inventory, wish, &mut mistakes).unwrap();
    imported.ok_or_else(|| {
        let folder = format!("{}/", files.0.path().display());
        let lines = mistakes
            .0
            .iter()
            .map(|one| one.to_string().replace(&folder, ""));
        lines.collect()
    })
}

fn holders(policy: &SitePolicy, role: &str) -> Vec<String> {
    let list = &policy.peers.as_ref().unwrap()[&role.into()];
    list.iter().map(text::short).collect()
}

#[test]
fn a_gateways_policy_has_its_systems_and_their_sites() {
    let with_mark = format!("\u{feff}{SYSTEMS}");
    let secondary = "FullQualifiedDomainName;IPAddress;SiteCode;ParentSiteCode;RoleList\n\
                     s1.corp.example;203.0.113.30;S01;P01;\"SecondarySite;ManagementPoint\"\n";
    let imported = import(
        &[&with_mark, secondary],
        &[BOUNDARIES],
        &wish("198.51.100.0/24"),
    );
    let imported = imported.unwrap();
    let text = imported.text();
    let policy = config::parse(&text).unwrap();
    assert_eq!(policy, imported.policy(), "{text}");

    let [dp] = &policy.protect[..] else {
        panic!("{text}");
    };
    assert_eq!(dp.name, "dp");
    // Also who is left out has a name: it tells whose packets are blocked.
    let names = policy
        .names
        .keys()
        .map(|name| name.split('.').next().unwrap());
    let names: Vec<&str> = names.collect();
    assert_eq!(names, ["cas", "dp", "p1", "p2", "s1"]);
    assert_eq!(policy.names["dp.corp.example"], dp.addresses);
    let roles: Vec<&str> = dp.roles.iter().map(|role| role.as_str()).collect();
    assert_eq!(roles, ["distribution-point", "pxe-distribution-point"]);
    assert_eq!(dp.addresses, ["198.51.100.21/32".parse().unwrap()]);
    // The site's own server and its parent's; not another primary's, nor a secondary's.
    assert_eq!(
        holders(&policy, "site-server"),
        ["192.0.2.5", "192.0.2.10", "2001:db8:2::10"]
    );
    assert_eq!(holders(&policy, "provider"), ["192.0.2.5"]);
    // A range is split exactly; clients of a secondary site are the primary's.
    assert_eq!(
        holders(&policy, "client"),
        [
            "10.64.0.0/22",
            "10.66.0.10/31",
            "10.66.0.12/31",
            "10.80.0.0/16",
            "2001:db8:64::/64"
        ]
    );
    for line in [
        "  \"192.0.2.10\",  # p1.corp.example (P01): PrimarySite",
        "  \"10.64.0.0/22\",  # boundary Head office (P01)",
        "[[protect]]  # dp.corp.example (P01): SMS Distribution Point, DistributionPointPXE",
        "# - Wizard of p1.corp.example (",
        "nobody knows this role",
        "# - RDPSystem of p1.corp.example (",
        "# - p2.corp.example (P02): its site is neither that of a protected system nor its parent",
        "# - s1.corp.example (S01): ",
        "# - boundary Forest site (P01): a site of Active Directory",
        "# - boundary Home office (P01): a VPN",
        "# - boundary Other primary (P02): its site is not that of a protected system",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn a_protected_site_server_talks_to_the_sites_below_and_others_are_named() {
    let mut wish = wish("192.0.2.5/32");
    let policy = import(&[SYSTEMS], &[], &wish).unwrap().policy();
    let below = ["192.0.2.10", "203.0.113.10", "2001:db8:2::10"];
    assert_eq!(holders(&policy, "site-server"), below);

    wish.protect = vec!["198.51.100.0/24".parse().unwrap()];
    wish.sites = vec!["P02".to_owned()];
    wish.more = vec!["domain-controller=10.1.0.10,2001:db8::/64".parse().unwrap()];
    let policy = import(&[SYSTEMS], &[BOUNDARIES], &wish).unwrap().policy();
    assert!(holders(&policy, "site-server").contains(&"203.0.113.10".to_owned()));
    assert!(holders(&policy, "client").contains(&"10.70.0.0/16".to_owned()));
    assert_eq!(
        holders(&policy, "domain-controller"),
        ["10.1.0.10", "2001:db8::/64"]
    );
}

#[test]
fn who_has_no_address_is_looked_up_once_and_nobody_else_is() {
    let csv = "FullQualifiedDomainName,IPAddress,SiteCode,RoleList\n\
               mp.corp.example,,P01,SMS Management Point\n\
               mp.corp.example,,P01,SMS Fallback Status Point\n\
               dp.corp.example,,P01,SMS Site System\n\
               dp.corp.example,198.51.100.21,P01,SMS Distribution Point\n";
    let policy = import(&[csv], &[], &wish("198.51.100.0/24"))
        .unwrap()
        .policy();
    let protected = |entry: &crate::policy::Protected| {
        (
            entry.name.clone(),
            entry.roles.len(),
            entry.addresses.clone(),
        )
    };
    let net = |text: &str| vec![text.parse::<IpNet>().unwrap()];
    assert_eq!(
        policy.protect.iter().map(protected).collect::<Vec<_>>(),
        [
            ("dp".to_owned(), 1, net("198.51.100.21/32")),
            ("mp".to_owned(), 2, net("198.51.100.9/32"))
        ]
    );
}

#[test]
fn every_mistake_is_told_with_its_line_and_nothing_is_made() {
    let head = "FullQualifiedDomainName,IPAddress,SiteCode,ParentSiteCode,RoleList\n";
    let rows = "good.corp.example,198.51.100.1,P01,,DistributionPoint\n\
                bad name,198.51.100.2,P01,,DistributionPoint\n\
                a.corp.example,10.0.0.300,PRIMARY,,DistributionPoint\n\
                a.corp.example,198.51.100.4\n\
                good.corp.example,198.51.100.1,P02,,ManagementPoint\n\
                nowhere.corp.example,,P01,,ManagementPoint\n";
    let csv = format!("{head}{rows}");
    let json = "[\n {\"FullQualifiedDomainName\": \"b.corp.example\",\n  \"IPAddress\": 7,\n  \
                \"SiteCode\": \"P01\", \"RoleList\": []},\n \"text\"\n]";
    let boundaries = "DisplayName,BoundaryType,Value\n\
                      subnet,0,10.64.0.0\n\
                      kind,9,10.64.0.0\n\
                      reversed,3,10.0.0.9-10.0.0.1\n\
                      mixed,3,10.0.0.9-2001:db8::1\n\
                      inside,2,2001:db8::1/64\n";
    let broken = "{\"FirewallRuleDefinition\": {\n\"SystemAndRoleList\": [}}";
    let lists = [csv.as_str(), json, broken, "SiteCode\nP01\n", "{}", head];
    let mistakes = import(&lists, &[boundaries], &wish("198.51.100.0/24")).unwrap_err();
    let told = mistakes.join("\n");
    for mistake in [
        "s0:3: `bad name` is no FullQualifiedDomainName",
        "s0:4: `10.0.0.300`, IPAddress of a.corp.example, is not an address",
        "s0:4: `PRIMARY`, SiteCode of a.corp.example, is no code of a site",
        "s0:5: has 2 cells, and the first line 5",
        "s0:6: good.corp.example is of the site P02 here, and of P01 before",
        "s0:7: `nowhere.corp.example` has no IPAddress, and cannot be resolved (unknown)",
        "s1:2: IPAddress is no text, nor a list of texts",
        "s1:5: is no system",
        "s2:2: is not JSON",
        "s3:1: the first line lacks the columns FullQualifiedDomainName, RoleList",
        "s4: has no list of systems",
        "s5: lists no system",
        "b0:2: boundary `subnet`: the subnet 10.64.0.0 has no mask",
        "b0:3: boundary `kind`: `9` is no BoundaryType",
        "b0:4: boundary `reversed`: the range 10.0.0.9-10.0.0.1 is reversed",
        "b0:5: boundary `mixed`: ",
        "b0:6: boundary `inside`: `2001:db8::1/64` is not the first address of 2001:db8::/64",
    ] {
        assert!(told.contains(mistake), "{mistake}\n{told}");
    }
    assert_eq!(mistakes.len(), 17, "{told}");
    let nobody = import(&[SYSTEMS], &[], &wish("198.18.0.0/15")).unwrap_err();
    assert_eq!(
        nobody,
        ["--protect: no system of the inventory has an address there"]
    );
}

#[test]
fn drift_is_told_both_ways() {
    let imported = import(&[SYSTEMS], &[BOUNDARIES], &wish("198.51.100.0/24")).unwrap();
    let policy = config::parse(&imported.text()).unwrap();
    let none = Drift::new(&imported.policy(), &policy);
    assert!(none.is_none(), "{none}");

    // The same addresses in other words are the same.
    let text = imported.text();
    let text = text.replace("\"10.66.0.10/31\"", "\"10.66.0.10\", \"10.66.0.11\"");
    let same = config::parse(&text).unwrap();
    assert!(Drift::new(&imported.policy(), &same).is_none());

    let text = text
        .replace("\"192.0.2.10\"", "\"192.0.2.77\"")
        .replace("\"distribution-point\", ", "");
    let other = config::parse(&text).unwrap();
    assert_eq!(
        Drift::new(&imported.policy(), &other).to_string(),
        "+ [peers] site-server 192.0.2.10\n\
         + [[protect]] distribution-point 198.51.100.21\n\
         - [peers] site-server 192.0.2.77"
    );
}

#[test]
fn a_hierarchy_makes_a_policy_without_warnings() {
    let mut systems =
        String::from("FullQualifiedDomainName,IPAddress,SiteCode,ParentSiteCode,RoleList\n");
    for (site, parent) in [("C01", ""), ("P01", "C01"), ("P02", "C01")] {
        for host in 0..13 {
            let roles = match host {
                0 => "SiteServer",
                1 => "SMSProvider",
                2 => "SQLServerRole",
                3 => "SoftwareUpdatePoint",
                4 | 5 => "ManagementPoint",
                _ => "DistributionPoint",
            };
            let net = if site == "P01" && host > 3 {
                "198.51.100"
            } else {
                "192.0.2"
            };
            let number = host + 20 * usize::from(site == "P02") + 60 * usize::from(site == "C01");
            systems += &format!("h{host}.{site}.example,{net}.{number},{site},{parent},{roles}\n");
        }
    }
    let mut boundaries = String::from("DisplayName,BoundaryType,Value,SiteCode\n");
    for number in 0..2000 {
        let (high, low) = (number / 250, number % 250);
        boundaries += &format!("b{number},3,10.{high}.{low}.5-10.{high}.{low}.199,P01\n");
    }
    let wish = Wish {
        outbound: Outbound::Enforce,
        sets: vec!["domain-member".to_owned(), "windows-update".to_owned()],
        more: vec!["domain-controller=10.1.0.10,2001:db8::/64".parse().unwrap()],
        ..wish("198.51.100.0/24")
    };
    let imported = import(&[&systems], &[&boundaries], &wish).unwrap();
    let policy = config::parse(&imported.text()).unwrap();
    assert_eq!(policy.protect.len(), 9);
    assert_eq!(policy.outbound_allow.len(), 2);
    let report = Report::new(&policy).unwrap();
    assert_eq!(report.warnings, [], "{}", imported.text());
    assert!(Drift::new(&policy, &policy).is_none());
}
