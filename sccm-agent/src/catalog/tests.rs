//! The embedded editions: what holds for all, and 2007 against its document.

mod current_branch;

use super::*;

fn catalog() -> &'static Catalog {
    Catalog::of(Edition::V2007)
}

#[test]
fn the_json_form_loses_nothing_that_people_ask_for() {
    for catalog in Edition::ALL.map(Catalog::of) {
        let json = serde_json::to_value(catalog).unwrap();
        let again: Catalog = serde_json::from_value(json).unwrap();
        let expected = Catalog {
            sentences: Vec::new(),
            sent_to_many: Vec::new(),
            ..catalog.clone()
        };
        assert!(again == expected, "{catalog:?}");
    }
}

/// "from arrow to: service protocol ports [notes], ..." of each entry with this id.
fn entries(catalog: &Catalog, id: &str) -> Vec<String> {
    let entry = |link: &Link| {
        let services: Vec<String> = link
            .services
            .iter()
            .map(|service| {
                let ports: Vec<String> = service.ports.iter().map(PortSpec::to_string).collect();
                let notes: String = service.notes.iter().map(|id| format!(" [{id}]")).collect();
                format!(
                    "{} {} {}{notes}",
                    service.service,
                    service.protocol,
                    ports.join("|")
                )
            })
            .collect();
        format!(
            "{} {} {}: {}",
            link.from,
            link.direction,
            link.to,
            services.join(", ")
        )
    };
    catalog
        .all_links()
        .filter(|link| link.id == id)
        .map(entry)
        .collect()
}

#[test]
fn every_link_of_the_document_is_there() {
    let catalog = catalog();
    let count = |id: &str| catalog.links.iter().filter(|link| link.id == id).count();
    for number in 1..=47 {
        let pairs = if number == 24 || number == 30 { 2 } else { 1 };
        assert_eq!(count(&number.to_string()), pairs, "link {number}");
    }
    for (id, expected) in [
        ("A", 1),
        ("B", 1),
        ("C", 1),
        ("D", 1),
        ("remote-control-netbios", 1),
        ("windows-servers", 1),
        ("sql", 2),
        ("internet-based-install", 2),
        ("dp-package-install", 1),
    ] {
        assert_eq!(count(id), expected, "{id}");
    }
    assert_eq!(catalog.links.len(), 60);
    assert_eq!(catalog.roles.len(), 30);
    let notes: Vec<u8> = catalog.notes.iter().map(|note| note.id).collect();
    assert_eq!(notes, [1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn links_say_what_the_document_says() {
    const SMB: &str = "smb tcp 445";
    const MAPPER: &str = "rpc-endpoint-mapper udp 135, rpc-endpoint-mapper tcp 135";
    const RPC: &str = "rpc-dynamic tcp dynamic";
    const WEB: &str = "http tcp 80 [2], https tcp 443 [2]";
    const SQL: &str = "sql tcp 1433";
    for (id, expected) in [
        ("1", vec![format!("site-server <-> site-server: {SMB}, pptp tcp 1723 [3]")]),
        ("2", vec![format!(
            "primary-site-server -> domain-controller: ldap tcp 389, ldaps udp 636, ldaps tcp 636, \
             global-catalog tcp 3268, global-catalog-ssl tcp 3269, {MAPPER}, {RPC}"
        )]),
        ("3", vec![format!(
            "site-server <-> software-update-point: {SMB}, http tcp 80|8530 [4], https tcp 443|8531 [4]"
        )]),
        ("4", vec!["software-update-point -> internet: http tcp 80 [1]".into()]),
        ("5", vec![format!("site-server <-> state-migration-point: {SMB}, {MAPPER}")]),
        ("8", vec!["client -> pxe-service-point: dhcp udp 67|68, tftp udp 69 [5], binl udp 4011".into()]),
        ("11", vec![
            "client -> system-health-validator: dhcp udp 67|68, http tcp 80, https tcp 443, ike udp 500".into(),
        ]),
        ("15", vec![format!(
            "client -> distribution-point: {WEB}, {SMB}, multicast udp 63000-64000"
        )]),
        ("24", vec![
            format!("reporting-point -> sql-server: {SQL}"),
            format!("reporting-services-point -> sql-server: {SQL}"),
        ]),
        ("30", vec![
            format!("site-server -> reporting-point: {SMB}, {MAPPER}, {RPC}"),
            format!("site-server -> reporting-services-point: {SMB}, {MAPPER}, {RPC}"),
        ]),
        ("32", vec!["console -> site-server: rpc-endpoint-mapper tcp 135".into()]),
        ("34", vec![
            "console -> client: remote-control udp 2701, remote-control tcp 2701, \
             remote-control-data udp 2702, remote-control-data tcp 2702, \
             rpc-endpoint-mapper tcp 135, remote-assistance tcp 3389".into(),
        ]),
        ("36", vec!["site-server -> client: wake-on-lan udp 9 [2]".into()]),
        ("40", vec![
            "asset-intelligence-synchronization-point <-> system-center-online: https tcp 443".into(),
        ]),
        ("42", vec![format!(
            "client-status-reporting-host -> client: {MAPPER}, {RPC}, \
             icmp-echo icmp echo-request, icmp-echo icmpv6 echo-request"
        )]),
        ("43", vec![format!(
            "client-status-reporting-host -> management-point: {SMB}, netbios-session tcp 139"
        )]),
        ("C", vec![
            "out-of-band-service-point -> amt-management-controller: \
             amt-discovery tcp 16992, amt-management tcp 16993".into(),
        ]),
        ("windows-servers", vec![
            "any -> windows-server: dns udp 53, dhcp udp 67|68, wins udp 138, \
             netbios-datagram udp 138, netbios-datagram tcp 139".into(),
        ]),
        ("sql", vec![
            format!("any -> sql-server: {SQL}"),
            "any -> sql-server: netbios-session tcp 139".into(),
        ]),
        ("internet-based-install", vec![
            format!("site-server -> internet-based-site-system: {MAPPER}, {RPC}"),
            format!("site-server <-> internet-based-site-system: {SMB}"),
        ]),
    ] {
        assert_eq!(entries(catalog(), id), expected, "link {id}");
    }
}

/// The ids of the links for which this holds.
fn links_that(catalog: &Catalog, hold: impl Fn(&Link) -> bool) -> Vec<&str> {
    let links = catalog.all_links().filter(|link| hold(link));
    links.map(|link| link.id.as_str()).collect()
}

/// The number that an edition gives to its note of this kind.
fn note_of(catalog: &Catalog, kind: &str) -> u8 {
    let mut notes = catalog.notes.iter();
    notes.find(|note| note.kind == kind).unwrap().id
}

#[test]
fn links_that_cite_note_6_have_an_opener() {
    let citing = links_that(catalog(), |link| link.notes.contains(&6));
    assert_eq!(citing, ["3", "5", "9", "10", "12", "31", "35", "45"]);
    let opener = RoleId::from(SITE_SERVER);
    assert_eq!(
        links_that(catalog(), |link| link.opener == Some(opener.clone())),
        citing
    );
    assert_eq!(links_that(catalog(), |link| link.opener.is_some()), citing);
    assert_eq!(links_that(catalog(), |link| link.network_boot), ["8"]);
}

#[test]
fn a_setting_moves_the_ports_of_rows_that_cite_notes_2_and_4() {
    for service in catalog().links.iter().flat_map(|link| &link.services) {
        let cites = |note: u8| service.notes.contains(&note);
        let expected = match service.service.as_str() {
            "http" if cites(2) => Some(PortSetting::Http),
            "https" if cites(2) => Some(PortSetting::Https),
            "http" if cites(4) => Some(PortSetting::WsusHttp),
            "https" if cites(4) => Some(PortSetting::WsusHttps),
            "sql" => Some(PortSetting::Sql),
            // Cites note 2 as well, but means a port of its own.
            "wake-on-lan" => Some(PortSetting::WakeOnLan),
            "amt-provisioning" => Some(PortSetting::AmtProvisioning),
            "multicast" => Some(PortSetting::Multicast),
            _ => None,
        };
        assert_eq!(service.port_from, expected, "line {:?}", service.line);
    }
}

#[test]
fn every_edition_has_the_table_and_the_number_that_it_says() {
    for edition in Edition::ALL {
        assert_eq!(Catalog::of(edition).edition, edition);
        assert_eq!(edition.name().parse(), Ok(edition));
        assert_eq!(Edition::numbered(edition as u32), Some(edition));
        let json = serde_json::to_value(edition).unwrap();
        assert_eq!(json, edition.name());
    }
    assert_eq!(Edition::V2007 as u32, 0, "agents before said nothing");
    assert_eq!(Edition::CurrentBranch as u32, 1, "kernels keep it");
    assert_eq!(Edition::numbered(u32::MAX), None);
}

#[test]
fn links_that_list_the_mapper_without_its_ports() {
    let mapper_only = links_that(catalog(), Link::lacks_dynamic_ports);
    assert_eq!(mapper_only, ["5", "32", "34", "remote-control-netbios"]);
}

#[test]
fn the_json_has_exactly_the_documented_shape() {
    let json = serde_json::to_value(catalog()).unwrap();
    let keys = |value: &serde_json::Value| -> Vec<String> {
        let mut keys: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    };
    assert_eq!(keys(&json), ["edition", "links", "notes", "roles"]);
    assert_eq!(json["edition"], "2007");
    let expected = serde_json::json!({
        "id": "primary-site-server", "name": "Primary site server", "is_a": "site-server"
    });
    assert_eq!(json["roles"][1], expected);
    assert_eq!(json["roles"][0]["is_a"], serde_json::Value::Null);
    let link = json["links"]
        .as_array()
        .unwrap()
        .iter()
        .find(|link| link["id"] == "15")
        .unwrap();
    let expected = serde_json::json!({
        "id": "15",
        "section": "Port Details",
        "from": "client",
        "to": "distribution-point",
        "direction": "->",
        "condition": null,
        "opt_in": null,
        "line": 317,
        "notes": [],
        "opener": null,
        "network_boot": false,
        "services": [
            {"service": "http", "protocol": "tcp", "ports": ["80"], "notes": [2],
             "port_from": "http", "line": 321},
            {"service": "https", "protocol": "tcp", "ports": ["443"], "notes": [2],
             "port_from": "https", "line": 327},
            {"service": "smb", "protocol": "tcp", "ports": ["445"], "notes": [],
             "port_from": null, "line": 333},
            {"service": "multicast", "protocol": "udp", "ports": ["63000-64000"], "notes": [],
             "port_from": "multicast", "line": 339},
        ],
    });
    assert_eq!(*link, expected);
}

#[test]
fn an_unknown_role_gets_the_nearest_names() {
    let catalog = catalog();
    let error = catalog.role("Distribution_Pont").unwrap_err();
    assert_eq!(error.nearest.first().unwrap(), "distribution-point");
    assert!(
        error
            .to_string()
            .contains("did you mean distribution-point"),
        "{error}"
    );
    let error = catalog.role("xyzzy").unwrap_err();
    assert_eq!(
        error.to_string(),
        "unknown role `xyzzy` (`sccm-agent roles` lists all roles)"
    );
    assert!(catalog.role(ANY).is_err(), "`any` is a source, not a role");
}

#[test]
fn a_role_of_another_edition_is_told_where_it_is() {
    let (old, new) = (
        Catalog::of(Edition::V2007),
        Catalog::of(Edition::CurrentBranch),
    );
    let message = |catalog: &Catalog, role: &str| catalog.role(role).unwrap_err().to_string();
    let replaced = message(new, "pxe-service-point");
    assert!(
        replaced.starts_with(
            "role `pxe-service-point` is not in edition current-branch: name pxe-distribution-point"
        ),
        "{replaced}"
    );
    let removed = message(new, "amt-management-controller");
    assert!(removed.contains("nothing took its place"), "{removed}");
    let newer = message(old, "cmg-connection-point");
    assert!(
        newer.starts_with(
            "`cmg-connection-point` is a role of edition current-branch, and this is edition 2007"
        ),
        "{newer}"
    );
    // Whatever only one edition has is told so by all others.
    for (one, other) in [(old, new), (new, old)] {
        for role in one.all_roles() {
            if let Err(unknown) = other.role(role.id.as_str()) {
                assert!(unknown.instead.is_some(), "{unknown}");
            }
        }
    }
}

#[test]
fn short_names_of_roles_are_understood() {
    for (short, id) in SHORT_NAMES {
        let having = Edition::ALL.map(Catalog::of).into_iter();
        let mut having = having
            .filter(|catalog| catalog.find(id).is_some())
            .peekable();
        assert!(having.peek().is_some(), "{id}");
        for catalog in having {
            assert_eq!(catalog.role(short).unwrap().id.as_str(), id);
            // None of them is the id of a role, or looks like another one's.
            assert!(catalog.find(short).is_none());
        }
    }
    let unknown = catalog().role("distributon-point").unwrap_err();
    assert!(
        unknown
            .to_string()
            .contains("did you mean distribution-point")
    );
}

/// The kernel keeps the list of a policy's roles, and hints are found by it.
#[test]
fn the_kernel_has_room_for_all_roles_at_once() {
    for catalog in Edition::ALL.map(Catalog::of) {
        let roles: Vec<&str> = catalog.all_roles().map(|role| role.id.as_str()).collect();
        let length = roles.join(",").len();
        assert!(length < sccm_common::abi::ROLES_BYTES, "{length}");
    }
}

/// What moves is decided by what a note is about, whatever its number.
#[test]
fn rows_that_cite_a_note_about_ports_have_a_setting() {
    for catalog in Edition::ALL.map(Catalog::of) {
        let alternate = note_of(catalog, "alternate-port");
        let wsus = note_of(catalog, "wsus");
        for row in catalog.links.iter().flat_map(|link| &link.services) {
            let is_wsus = matches!(
                row.port_from,
                Some(PortSetting::WsusHttp | PortSetting::WsusHttps | PortSetting::WsusSql)
            );
            let about = format!("{catalog:?}, line {:?}", row.line);
            assert!(
                !row.notes.contains(&alternate) || row.port_from.is_some(),
                "{about}"
            );
            assert!(!row.notes.contains(&wsus) || is_wsus, "{about}");
        }
        let opened = note_of(catalog, "site-system-communication");
        for link in catalog
            .all_links()
            .filter(|link| link.notes.contains(&opened))
        {
            assert!(link.opener.is_some(), "{catalog:?}, {}", link.id);
        }
    }
}
