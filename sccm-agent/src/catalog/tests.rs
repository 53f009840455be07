//! The embedded edition against the document.

use super::*;

fn catalog() -> &'static Catalog {
    Catalog::of(Edition::default())
}

#[test]
fn the_json_form_loses_nothing_but_the_lines_of_services() {
    let mut json = serde_json::to_value(catalog()).unwrap();
    for link in json["links"].as_array_mut().unwrap() {
        for service in link["services"].as_array_mut().unwrap() {
            service["line"] = 0.into();
        }
    }
    let mut expected = catalog().clone();
    for link in &mut expected.links {
        link.services
            .iter_mut()
            .for_each(|service| service.line = 0);
    }
    let again: Catalog = serde_json::from_value(json).unwrap();
    assert_eq!(again.links, expected.links);
    assert_eq!(again.roles, expected.roles);
}

/// "from arrow to: service protocol ports [notes], ..." of each entry with this id.
fn entries(id: &str) -> Vec<String> {
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
    let catalog = catalog();
    catalog
        .links
        .iter()
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
        assert_eq!(entries(id), expected, "link {id}");
    }
}

/// The ids of the links for which this holds.
fn links_that(hold: impl Fn(&Link) -> bool) -> Vec<&'static str> {
    let links = catalog().links.iter().filter(|link| hold(link));
    links.map(|link| link.id.as_str()).collect()
}

#[test]
fn links_that_cite_note_6_have_an_opener() {
    let citing = links_that(|link| link.notes.contains(&6));
    assert_eq!(citing, ["3", "5", "9", "10", "12", "31", "35", "45"]);
    let opener = RoleId::from(SITE_SERVER);
    assert_eq!(
        links_that(|link| link.opener == Some(opener.clone())),
        citing
    );
    assert_eq!(links_that(|link| link.opener.is_some()), citing);
    assert_eq!(links_that(|link| link.network_boot), ["8"]);
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
        assert_eq!(service.port_from, expected, "line {}", service.line);
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
    assert_eq!(Edition::numbered(u32::MAX), None);
}

#[test]
fn links_that_list_the_mapper_without_its_ports() {
    let mapper_only = links_that(Link::lacks_dynamic_ports);
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
             "port_from": "http"},
            {"service": "https", "protocol": "tcp", "ports": ["443"], "notes": [2],
             "port_from": "https"},
            {"service": "smb", "protocol": "tcp", "ports": ["445"], "notes": [],
             "port_from": null},
            {"service": "multicast", "protocol": "udp", "ports": ["63000-64000"], "notes": [],
             "port_from": "multicast"},
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
fn short_names_of_roles_are_understood() {
    let catalog = Catalog::of(Edition::default());
    for (short, id) in SHORT_NAMES {
        assert_eq!(catalog.role(short).unwrap().id.as_str(), id);
        // None of them is the id of a role, or looks like another one's.
        assert!(catalog.find(short).is_none());
    }
    let unknown = catalog.role("distributon-point").unwrap_err();
    assert!(
        unknown
            .to_string()
            .contains("did you mean distribution-point")
    );
}
