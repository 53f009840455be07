use super::*;

const RULE: [(&str, &str); 5] = [
    ("name", "\"r\""),
    ("protocol", "\"tcp\""),
    ("ports", "[22]"),
    ("from", "\"any\""),
    ("reason", "\"because\""),
];

/// A rule whose `key` is `value`, or is not there. Line 1 is its heading.
fn rule(key: &str, value: Option<&str>) -> String {
    let mut lines = vec!["[[allow]]".to_owned()];
    for (name, usual) in RULE {
        let value = if name == key { value } else { Some(usual) };
        lines.extend(value.map(|value| format!("{name} = {value}")));
    }
    if !RULE.iter().any(|(name, _)| *name == key) {
        lines.extend(value.map(|value| format!("{key} = {value}")));
    }
    with_entry(&lines.join("\n"))
}

#[test]
fn a_rule_may_lead_to_a_group_or_a_networks_broadcast_address() {
    for to in [
        "239.10.0.1",
        "224.0.0.0/4",
        "255.255.255.255",
        "ff02::9",
        "10.2.0.255",
        "10.2.1.255",
        "10.255.255.255",
    ] {
        let text = rule("to", Some(&format!("[\"{to}\", \"dp\"]")));
        let policy = read(&[&text]).unwrap_or_else(|problems| panic!("{to}: {problems}"));
        let first = policy.allow[0].to[0];
        assert_eq!(first.network().to_string(), to.trim_end_matches("/4"));
    }
    for to in [
        "10.3.0.255",
        "10.2.1.254",
        "10.2.1.0/24",
        "223.0.0.1",
        "fe00::/7",
    ] {
        let text = rule("to", Some(&format!("[\"{to}\"]")));
        refused(&text, "7:7", &["lies in no protected prefix", "a group"]);
    }
}

#[test]
fn rules_are_checked() {
    good(
        "[[allow]]\nname = \"r\"\nprotocol = \"tcp\"\nports = [22]\nfrom = \"any\"\nreason = \"b\"",
    );
    for (key, value, location, part) in [
        ("name", "\"2nd\"", "2:8", "write a letter"),
        ("name", "\"a b\"", "2:8", "write a letter"),
        ("name", "\"\"", "2:8", "write a letter"),
        ("name", "5", "2:8", "text in quotes"),
        (
            "protocol",
            "\"icmp6\"",
            "3:12",
            "did you mean icmpv6 or icmp?",
        ),
        ("protocol", "\"sctp\"", "3:12", "unknown protocol `sctp`"),
        ("ports", "[0]", "4:10", "1 to 65535"),
        ("ports", "[22, \"90-80\"]", "4:14", "write 80-90"),
        ("ports", "[\"ssh\"]", "4:10", "not a port"),
        ("ports", "22", "4:9", "a list in [ ]"),
        ("ports", "[]", "4:9", "list is empty"),
        ("ports", "[[22]]", "4:10", "a number, or text"),
        ("from", "[]", "5:8", "list is empty"),
        (
            "from",
            "[\"10.0.0.1/24\"]",
            "5:9",
            "write 10.0.0.0/24 or 10.0.0.1",
        ),
        ("from", "\"everybody\"", "5:8", "\"any\" alone"),
        ("to", "[\"dpp\"]", "7:7", "did you mean dp?"),
        ("to", "[\"zzz\"]", "7:7", "no [[protect]] is called `zzz`"),
        ("to", "[\"10.3.0.1\"]", "7:7", "lies in no protected prefix"),
        (
            "to",
            "[\"10.2.0.0/23\"]",
            "7:7",
            "lies in no protected prefix",
        ),
        ("to", "[\"fe80::1\"]", "7:7", "lies in no protected prefix"),
        ("to", "\"dp\"", "7:6", "a list in [ ]"),
        ("reason", "\"  \"", "6:10", "reason is empty"),
        ("reason", "\"a\\nb\"", "6:10", "one line"),
        ("port", "[22]", "7:1", "did you mean ports?"),
    ] {
        refused(&rule(key, Some(value)), location, &[part]);
    }
    for (key, _) in RULE {
        refused(
            &rule(key, None),
            "1:1",
            &[&format!("[[allow]] lacks `{key}`")],
        );
    }
}

#[test]
fn protocols_without_ports_take_none() {
    let text = rule("protocol", Some("\"gre\""));
    refused(&text, "4:9", &["gre has no ports"]);
    let text = rule("protocol", Some("\"ip\""));
    good(&text[..text.find("[[protect]]").unwrap()]);
    let text = text.replace("[22]", "[6]");
    refused(&text, "4:10", &["name them, as in tcp/22"]);
}

#[test]
fn rules_for_the_gateway_lead_nowhere_else() {
    let text = rule("to", Some("[\"dp\"]")).replace("[[allow]]", "[[management.allow]]");
    refused(&text, "7:1", &["[[management.allow]] has no key `to`"]);
}

#[test]
fn protected_systems_are_checked() {
    for (text, location, part) in [
        ("", "1:1", "nothing is protected"),
        (
            "[[protect]]\nname = \"a\"",
            "1:1",
            "[[protect]] lacks `roles`",
        ),
        (
            "[[protect]]\nroles = [\"client\"]",
            "1:1",
            "[[protect]] lacks `name`",
        ),
        ("[protect]\nname = \"a\"", "1:1", "write [[protect]]"),
        (
            "[[protect]]\nname = \"a\"\nroles = []",
            "3:9",
            "list is empty",
        ),
        (
            "[[protect]]\nname = \"a\"\nroles = [\"sitesever\"]",
            "3:10",
            "did you mean site-server",
        ),
        (
            "[[protect]]\nname = \"a\"\nroles = [\"client\", \"client\"]",
            "3:20",
            "listed twice",
        ),
        (
            "[[protect]]\nname = \"a\"\nroles = [\"internet\"]",
            "3:10",
            "cannot be protected",
        ),
        (
            "[[protect]]\nname = \"a\"\nroles = [\"client\"]\naddresses = []",
            "4:13",
            "list is empty",
        ),
        (
            "[[protect]]\nname = \"a\"\nroles = [\"client\"]\naddresses = \"any\"",
            "4:13",
            "a list in [ ]",
        ),
        (
            "[[protect]]\nname = \"a\"\nroles = [\"client\"]\n[[protect]]\nname = \"b\"\nroles = [\"provider\"]",
            "4:1",
            "nor has the one at policy.toml:1:1",
        ),
    ] {
        refused(text, location, &[part]);
    }
}

#[test]
fn a_rule_cannot_lead_to_an_entry_without_addresses() {
    let text = rule("to", Some("[\"dp\"]"));
    let text = text.replace("addresses = [\"10.2.0.0/24\"]", "");
    refused(
        &text,
        "7:7",
        &["`dp` has no addresses of its own", "leave the key out"],
    );
}

#[test]
fn all_mistakes_of_a_file_are_named_at_once() {
    let text = with_entry("[site]\nhttp-prt = 80\nsql-port = 0\n[peers]\nclint = \"any\"");
    let problems = read(&[&text]).unwrap_err();
    let locations: Vec<_> = problems
        .list()
        .iter()
        .map(|p| p.location.position)
        .collect();
    assert_eq!(
        locations,
        [Some((2, 1)), Some((3, 12)), Some((5, 1))],
        "{problems}"
    );
}

#[test]
fn no_more_than_twenty_mistakes_are_listed() {
    let text = (0..30).map(|n| format!("k{n} = 1\n")).collect::<String>();
    let problems = read(&[&with_entry(&text)]).unwrap_err();
    assert_eq!(problems.list().len(), 20);
    assert!(
        problems.to_string().ends_with("\nand 10 more"),
        "{problems}"
    );
}

#[test]
fn more_rules_or_prefixes_than_the_limits_are_refused() {
    let rules: String = (0..=MAX_RULES)
        .map(|n| {
            format!(
                "[[allow]]\nname = \"r{n}\"\nprotocol = \"gre\"\nfrom = \"any\"\nreason = \"r\"\n"
            )
        })
        .collect();
    let location = format!("{}:1", MAX_RULES * 5 + 1);
    refused(&with_entry(&rules), &location, &["more than 4096 rules"]);

    let list = "\"10.0.0.0/8\", ".repeat(MAX_PREFIXES);
    refused(
        &with_entry(&format!("[peers]\nclient = [{list}]")),
        "6:13",
        &["more than 100000 prefixes"],
    );
}

#[test]
fn published_ports_are_checked() {
    let publish = |lines: &str| {
        with_entry(&format!(
            "[[publish]]\nname = \"p\"\nreason = \"because\"\nprotocol = \"tcp\"\n{lines}"
        ))
    };
    for (lines, location, part) in [
        ("ports = [80]", "1:1", "to"),
        (
            "ports = [80]\nto = \"192.0.2.1\"",
            "6:6",
            "no protected prefix",
        ),
        (
            "ports = [80]\nto = \"web\"",
            "6:6",
            "no [[protect]] is called",
        ),
        ("ports = [80]\nto = \"dp\"", "6:6", "not one system"),
        (
            "ports = [80]\nto = \"10.2.0.0/30\"",
            "6:6",
            "not one system",
        ),
        (
            "ports = [80, 81]\nto = \"10.2.0.5\"\nto-port = 8080",
            "7:11",
            "one published port",
        ),
        (
            "ports = [\"80-81\"]\nto = \"10.2.0.5\"\nto-port = 8080",
            "7:11",
            "one published port",
        ),
        (
            "ports = [80]\nto = \"10.2.0.5\"\nto-port = 0",
            "7:11",
            "1 to 65535",
        ),
        (
            "ports = [80]\nto = \"10.2.0.5\"\nfrom = \"any\"",
            "7:1",
            "from",
        ),
    ] {
        refused(&publish(lines), location, &[part]);
    }
    let echo = "[[publish]]\nname = \"p\"\nreason = \"b\"\nprotocol = \"icmp\"\nports = [8]\nto = \"10.2.0.5\"";
    refused(&with_entry(echo), "1:1", &["only ports of tcp and udp"]);
    let twice = "[[allow]]\nname = \"p\"\nprotocol = \"tcp\"\nports = [22]\nfrom = \"any\"\nreason = \"b\"\n";
    let twice = format!("{twice}{}", publish("ports = [80]\nto = \"10.2.0.5\""));
    refused(&twice, "8:8", &["given already"]);
}

/// A rule for what goes out whose `from` and `to` are these.
fn outbound(ends: &str) -> String {
    let rule =
        "[[outbound.allow]]\nname = \"r\"\nprotocol = \"tcp\"\nports = [22]\nreason = \"because\"";
    with_entry(&format!("[peers]\nclient = []\n{rule}\n{ends}"))
}

#[test]
fn who_is_let_out_and_where_to_must_be_somebody() {
    for (ends, location, parts) in [
        ("", "3:1", &["`to`", "any"][..]),
        ("to = [\"any\"]", "8:7", &["stands alone"]),
        ("to = [\"clint\"]", "8:7", &["clint", "client"]),
        (
            "to = [\"client\"]",
            "8:7",
            &["no address holds the role `client`", "[peers]"],
        ),
        ("to = [\"10.0.0.1/8\"]", "8:7", &["10.0.0.0/8"]),
        (
            "to = \"any\"\nfrom = [\"dq\"]",
            "9:9",
            &["no [[protect]]", "dq"],
        ),
        (
            "to = \"any\"\nfrom = [\"10.3.0.1\"]",
            "9:9",
            &["10.3.0.1", "no protected prefix"],
        ),
        (
            "to = \"any\"\nfrom = [\"239.1.2.3\"]",
            "9:9",
            &["239.1.2.3", "sends nothing"],
        ),
        (
            "to = \"any\"\nfrom = [\"10.2.1.255\"]",
            "9:9",
            &["10.2.1.255", "sends nothing"],
        ),
    ] {
        refused(&outbound(ends), location, parts);
    }
    refused(&rule("from", Some("[\"dq\"]")), "5:9", &["dq"]);
}
