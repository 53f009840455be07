//! What a person and a program read about one role.

use super::*;
use crate::catalog::Catalog;

/// The role's text and JSON at this site.
fn shown(role: &str, site: &Site) -> (String, serde_json::Value) {
    let detail = RoleDetail::new(site.catalog.role(role).unwrap(), site);
    (detail.text(), serde_json::to_value(&detail).unwrap())
}

/// The note numbers of a role's JSON.
fn note_ids(json: &serde_json::Value) -> Vec<u64> {
    let notes = json["notes"].as_array().unwrap();
    notes
        .iter()
        .map(|note| note["id"].as_u64().unwrap())
        .collect()
}

#[test]
fn a_row_per_service_for_programs() {
    let (_, json) = shown("distribution-point", &Site::default());
    let inbound = json["inbound"].as_array().unwrap();
    // Links 14 (4 services), 15 (4), 19 (2) and dp-package-install (3).
    assert_eq!(inbound.len(), 13);
    let expected = serde_json::json!({
        "link": "15",
        "line": 317,
        "peer": "client",
        "service": "http",
        "protocol": "tcp",
        "ports": ["80"],
        "notes": [2],
        "condition": null,
    });
    assert_eq!(inbound[4], expected);
    assert_eq!(inbound[3]["ports"], serde_json::json!(["49152-65535"]));
    assert_eq!(json["outbound"], serde_json::json!([]));
    let hints = json["hints"].as_array().unwrap();
    let [hint] = &hints[..] else {
        panic!("{hints:?}");
    };
    let hint = hint.as_str().unwrap();
    let tracked = "Dynamic ports (link 14, dp-package-install): with rpc = \"tracked\"";
    assert!(hint.starts_with(tracked), "{hint}");
    assert_eq!(
        note_ids(&json),
        [2, 7],
        "7 is about the role, though no row cites it"
    );
}

#[test]
fn icmp_keeps_the_catalogs_words() {
    let (text, json) = shown("client", &Site::default());
    let inbound = json["inbound"].as_array().unwrap();
    let echo = inbound
        .iter()
        .find(|row| row["protocol"] == "icmpv6")
        .unwrap();
    assert_eq!(echo["ports"], serde_json::json!(["echo-request"]));
    assert!(text.contains("icmpv6 echo-request"), "{text}");
}

#[test]
fn footnotes_explain_the_marks() {
    let (text, json) = shown("pxe-service-point", &Site::default());
    assert_eq!(note_ids(&json), [5, 6]);
    assert!(text.contains("5  Trivial FTP (TFTP) Daemon: "), "{text}");
    assert!(text.contains("6  Communication between"), "{text}");
    let (text, _) = shown("client", &Site::default());
    assert!(
        text.contains("a  Needs Configuration Manager 2007 R2."),
        "{text}"
    );
}

#[test]
fn the_mapper_without_its_ports_is_explained_until_it_has_them() {
    for (role, links) in [
        ("state-migration-point", "Link 5:"),
        ("site-server", "Link 5, 32:"),
        ("console", "Link 32, 34:"),
        ("client", "Link 34:"),
    ] {
        let (text, _) = shown(role, &Site::default());
        assert!(text.contains(links), "{role}: {text}");
        assert!(text.contains("--rpc-dynamic-with-mapper"), "{role}: {text}");
        let site = Site {
            rpc_dynamic_with_mapper: true,
            ..Site::default()
        };
        let (text, _) = shown(role, &site);
        assert!(!text.contains(links), "{role}: {text}");
    }
}

#[test]
fn every_role_keeps_to_100_columns() {
    for catalog in Edition::ALL.map(Catalog::of) {
        let site = Site {
            rpc_dynamic_with_mapper: true,
            features: catalog.features().into_iter().map(str::to_owned).collect(),
            ..Site::new(catalog)
        };
        for role in catalog.all_roles() {
            let (text, _) = shown(role.id.as_str(), &site);
            assert!(
                text.lines().all(|line| line.chars().count() <= 100),
                "{text}"
            );
        }
    }
}

#[test]
fn a_role_that_the_product_has_hardly_any_more_says_so() {
    let site = Site::new(Catalog::of(Edition::CurrentBranch));
    let (text, json) = shown("mac-client", &site);
    assert!(
        text.contains("Role mac-client: The macOS client lost support"),
        "{text}"
    );
    assert_eq!(json["edition"], "current-branch");
    assert!(
        text.ends_with("\n\nPort table: Configuration Manager current-branch"),
        "{text}"
    );
}
