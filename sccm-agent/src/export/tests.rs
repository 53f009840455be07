use super::*;
use crate::config;
use crate::diff::{Side, openings};
use crate::policy::Surroundings;

const SITE: &str = "[site]\nedition = \"2007\"\noutbound = \"enforce\"\n[peers]\nclient = [\"10.64.0.0/10\", \"2001:db8:64::/48\"]\n\
    [[protect]]\nname = \"content\"\nroles = [\"distribution-point\"]\naddresses = [\"10.2.0.20\", \"2001:db8:2::20\"]\n\
    [[allow]]\nname = \"odd\"\nprotocol = \"gre\"\nfrom = \"any\"\nreason = \"test\"\n\
    [[allow]]\nname = \"ping\"\nprotocol = \"icmp\"\nports = [\"echo-request\"]\nfrom = \"any\"\nreason = \"test\"\n";

fn side(text: &str) -> Side {
    let policy = config::parse(text).unwrap_or_else(|problems| panic!("{problems}"));
    Side::written("policy".to_owned(), policy, &Surroundings::default()).unwrap()
}

#[test]
fn a_change_board_reads_a_row_for_each_opening() {
    let text = csv(&openings(&side(SITE)).unwrap());
    assert!(text.starts_with("direction,entries,systems,peers,roles,protocol,ports,because\n"));
    let row = "inbound,content,10.2.0.20,10.64.0.0/10,client,tcp,445,link 15: client -> distribution-point";
    assert!(
        text.contains("link 15: client -> distribution-point"),
        "{text}"
    );
    assert!(text.lines().any(|line| line == row), "{text}");
}

#[test]
fn a_ruleset_has_a_rule_for_each_opening_and_drops_the_rest() {
    let side = side(SITE);
    let openings = openings(&side).unwrap();
    let gateway = Place::Gateway {
        uplink: "eth0".to_owned(),
        segment: "eth1".to_owned(),
    };
    let rules = nftables(&openings, &side.tables().nobody(), &gateway);
    for expected in [
        "iifname \"eth0\" oifname \"eth1\" jump inbound\n",
        "ip saddr { 10.64.0.0/10 } ip daddr { 10.2.0.20 } tcp dport { 445 } accept comment \"link 15",
        "ip6 saddr { 2001:db8:64::/48 } ip6 daddr { 2001:db8:2::20 } tcp dport { 445 } accept",
        "meta l4proto { 47 } accept comment \"rule odd\"",
        "icmp type { 8 } accept comment \"rule ping\"",
        "    counter drop\n",
    ] {
        assert!(rules.contains(expected), "{expected}: {rules}");
    }
}

#[test]
fn aerleon_is_given_prefixes_and_ports_by_name() {
    let openings = openings(&side(SITE)).unwrap();
    let text = policy(&openings, "cisco: sccm-{} extended");
    assert!(
        text.contains("      cisco: sccm-inbound extended\n"),
        "{text}"
    );
    assert!(text.contains("  - name: everything-else\n    action: deny\n"));
    assert!(
        text.contains("    protocol: gre\n    action: accept\n"),
        "{text}"
    );
    let names = definitions(&openings);
    assert!(names.contains("      - address: 10.64.0.0/10\n"), "{names}");
    for line in text
        .lines()
        .filter(|line| line.contains("-port: ") || line.contains("-address: "))
    {
        let name = line.split(": ").nth(1).unwrap();
        assert!(names.contains(&format!("  {name}:\n")), "{name}");
    }
    let row = ["10.0.0.1-10.0.0.4".to_owned()];
    let texts: Vec<String> = prefixes(&row).iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["10.0.0.1/32", "10.0.0.2/31", "10.0.0.4/32"]);
}

/// No rule of a packet filter follows the mapper. A change board is told.
#[test]
fn what_is_handed_out_is_left_out_and_told() {
    let site = SITE
        .replace("client = ", "site-server = [\"10.1.0.5\"]\nclient = ")
        .replace("outbound = ", "rpc = \"tracked\"\noutbound = ");
    let side = side(&site);
    let all = openings(&side).unwrap();
    let row = "inbound,content,10.2.0.20,10.1.0.5,site-server,tcp,49152-65535,";
    let text = csv(&all);
    let row = text.lines().find(|line| line.starts_with(row));
    let row = row.unwrap_or_else(|| panic!("{text}"));
    assert!(
        row.contains("if the endpoint mapper hands it out: link 14"),
        "{row}"
    );
    let (open, handed_out) = split(all);
    assert!(!handed_out.is_empty() && handed_out.iter().all(|change| change.protocol == "tcp"));
    let rules = nftables(&open, &[], &Place::Host);
    for text in [
        &rules,
        &policy(&open, "nftables: inet input"),
        &definitions(&open),
    ] {
        assert!(!text.contains("49152"), "{text}");
    }
    assert!(rules.contains("ip saddr { 10.1.0.5 }"), "{rules}");
    let told = left_out(&handed_out);
    assert!(told[0].contains("rpc = \"tracked\""), "{told:#?}");
    let line =
        "  tcp/49152-65535 from 10.1.0.5 to 10.2.0.20 (link 14: site-server -> distribution-point";
    assert!(told.iter().any(|text| text.starts_with(line)), "{told:#?}");
    assert!(left_out(&[]).is_empty());
}
