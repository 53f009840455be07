use super::*;

/// `value` stands in line 2, in column 8 behind `key = `.
#[track_caller]
fn site(setting: &str, column: usize, parts: &[&str]) {
    let text = with_entry(&format!("[site]\n{setting}"));
    refused(&text, &format!("2:{column}"), parts);
}

#[track_caller]
fn peers(setting: &str, column: usize, parts: &[&str]) {
    let text = with_entry(&format!("[peers]\n{setting}"));
    refused(&text, &format!("2:{column}"), parts);
}

#[test]
fn unknown_keys_are_refused_with_the_nearest() {
    site(
        "htp-port = 80",
        1,
        &["[site] has no key `htp-port`", "did you mean http-port"],
    );
    site("HTTP_PORT = 80", 1, &["did you mean http-port"]);
    site(
        "xyzzy = 80",
        1,
        &["there are edition, sets, proxy, http-port"],
    );
    refused(
        &with_entry("[timeouts]\nothr = 1"),
        "2:1",
        &["did you mean other?"],
    );
    refused(
        &with_entry("[sites]\na = 1"),
        "1:2",
        &["no key `sites`", "did you mean site?"],
    );
    refused(
        &with_entry("[management]\nalow = []"),
        "2:1",
        &["did you mean allow?"],
    );
}

/// Another edition may have these roles and features: nothing is said of them.
#[test]
fn an_unknown_edition_is_all_that_is_said() {
    site("edition = \"1999\"", 11, &["no edition `1999`", "\"2007\""]);
    let text =
        "[site]\nenable = [\"unheard-of\"]\n  edition = \"1999\"\n[peers]\nnobody = [\"10.0.0.1\"]";
    refused(
        &with_entry(text),
        "3:13",
        &["no edition `1999`", "\"2007\""],
    );
}

#[test]
fn settings_of_a_site_are_checked() {
    site("edition = 2007", 11, &["text in quotes"]);
    site("http-port = 0", 13, &["1 to 65535"]);
    site("http-port = -1", 13, &["1 to 65535"]);
    site("pass-ethertypes = 0x886f", 19, &["a list in [ ]"]);
    site("pass-ethertypes = []", 19, &["the list is empty"]);
    site("pass-ethertypes = [true]", 20, &["a number, or text"]);
    site(
        "pass-ethertypes = [0x886f, 0x0800]",
        28,
        &["0x0800 cannot pass"],
    );
    site("pass-ethertypes = [-5]", 20, &["`-5` is no ethertype"]);
    site("pass-ethertypes = [0x1886f]", 20, &["is no ethertype"]);
    site(
        "pass-ethertypes = [\"0x886f@lan\"]",
        20,
        &["`lan` is no side"],
    );
    let many: Vec<String> = (0x9000..0x9011).map(|number| number.to_string()).collect();
    let many = format!("pass-ethertypes = [{}]", many.join(", "));
    site(&many, 19, &["more than 16 ethertypes"]);
    site("sql-port = 65536", 12, &["1 to 65535"]);
    site("sql-port = 99999999999999999999", 12, &["64 bits"]);
    site("http-port = 80.5", 13, &["a number with a fraction"]);
    site("http-port = true", 13, &["not true or false"]);
    site("http-port = [80]", 13, &["not a list"]);
    site("http-port = 443", 13, &["both use port 443"]);
    site(
        "rpc-range = \"60000-50000\"",
        13,
        &["reversed", "50000-60000"],
    );
    site("rpc-range = \"100-2000\"", 13, &["1024 or above"]);
    site("rpc-range = 50000", 13, &["text in quotes", "a number"]);
    site("wsus-https-port = 8531", 19, &["needs wsus-http-port"]);
    site(
        "outbound = \"enforced\"",
        12,
        &["`enforced`", "did you mean enforce?"],
    );
    site("outbound = \"x\"", 12, &["track, enforce, off"]);
    site(
        "enable = [\"named-pipe\"]",
        11,
        &["did you mean named-pipes"],
    );
    site("enable = []", 10, &["list is empty"]);
    site("without-essentials = [\"ldp\"]", 23, &["did you mean lldp"]);
    site(
        "pass-orphan-fragments = \"yes\"",
        25,
        &["true or false", "not text"],
    );
    site(
        "internal = [\"10.0.0.1/8\"]",
        13,
        &["write 10.0.0.0/8 or 10.0.0.1"],
    );
    refused(
        &with_entry("[timeouts]\nother = 0"),
        "2:9",
        &["`0`", "1 or more"],
    );
    refused(
        &with_entry("[timeouts]\nanswer = 121"),
        "2:10",
        &["`121`", "120 or less"],
    );
    refused(
        &with_entry("site = 5"),
        "1:8",
        &["a table belongs here, not a number"],
    );
    refused(
        &with_entry("[site]\nwsus-http-port = 80\nwsus-https-port = 81"),
        "3:19",
        &["must use HTTPS port 443"],
    );
}

#[test]
fn outbound_off_is_refused_where_tracking_is_needed() {
    let text =
        "[site]\noutbound = \"off\"\n[[protect]]\nname = \"pxe\"\nroles = [\"pxe-service-point\"]";
    refused(text, "2:12", &["tftp", "needs outbound track or enforce"]);
}

#[test]
fn holders_of_roles_are_checked() {
    peers(
        "clients = \"any\"",
        1,
        &["unknown role `clients`", "did you mean client"],
    );
    peers("pxe-clients = \"any\"", 1, &["did you mean pxe-client"]);
    peers("internet = \"any\"", 1, &["[site] internal"]);
    peers("any = \"any\"", 1, &["not a role"]);
    peers("client = \"10.0.0.0/8\"", 10, &["write [\"10.0.0.0/8\"]"]);
    peers("client = [\"any\"]", 11, &["stands alone"]);
    peers(
        "client = [\"10.1.2.3/8\"]",
        11,
        &["write 10.0.0.0/8 or 10.1.2.3"],
    );
    peers(
        "client = [\"10.0.0.0/33\"]",
        11,
        &["not an address or prefix"],
    );
    peers(
        "client = [\"2001:db8::1/32\"]",
        11,
        &["write 2001:db8::/32 or 2001:db8::1"],
    );
    peers("client = [10]", 11, &["text in quotes"]);
    peers(
        "client = { file = \"no.txt\" }",
        19,
        &["no.txt: there is no such file"],
    );
    let one_place = &["from one place", "file = ", "prefixes = "];
    peers("client = {}", 10, one_place);
    peers("client = { except = [\"10.1.2.3\"] }", 10, one_place);
    peers(
        "client = { prefixes = [\"10.0.0.0/8\"], file = \"a.txt\" }",
        10,
        one_place,
    );
    peers(
        "client = { prefixes = [\"10.1.2.3\"], except = [\"10.0.0.0/8\"] }",
        46,
        &["nothing is left of the list"],
    );
    peers(
        "client = { prefixes = [\"10.0.0.0/8\"], except = [\"10.1.2.3/8\"] }",
        49,
        &["write 10.0.0.0/8 or 10.1.2.3"],
    );
    let list = "client = { file = \"bad.txt\", fil = 1 }";
    let problems = read(&[&with_entry(&format!(
        "[peers]
{list}"
    ))])
    .unwrap_err();
    assert!(
        problems
            .to_string()
            .contains("2:30: a list of addresses has no key `fil`"),
        "{problems}"
    );
    refused(
        &with_entry("[peers]"),
        "1:1",
        &["names nobody", "leave [peers] out"],
    );
}

#[test]
fn sets_need_somebody_to_be_for() {
    site(
        "sets = [\"domain-membr\"]",
        9,
        &["did you mean domain-member"],
    );
    site(
        "sets = [\"wizard\"]",
        9,
        &["there are domain-member, dns-client"],
    );
    site(
        "sets = [\"monitored\", \"monitored\"]",
        22,
        &["listed twice"],
    );
    site("sets = \"monitored\"", 8, &["list"]);
    site(
        "sets = [\"domain-member\"]",
        9,
        &["no address holds", "domain-controller = []"],
    );
    site("sets = [\"managed\"]", 9, &["administrator = []"]);
    site("proxy = \"10.1.0.80\"", 9, &["address and port"]);
    let two = "[[protect]]\nname = \"rest\"\nroles = [\"management-point\"]\nsets = [\"windows-update\"]\n";
    refused(
        &with_entry(two),
        "4:9",
        &["`rest` has no addresses", "[site]"],
    );
    // Whoever has no addresses cannot be told from those who do not use the proxy.
    let rest = "[site]\nproxy = \"10.1.0.80:8080\"\n[[protect]]\nname = \"rest\"\n\
                roles = [\"software-update-point\"]\n";
    refused(&with_entry(rest), "2:9", &["`rest` has no addresses"]);
    let rule = "[site]\nsets = [\"windows-update\"]\n[[outbound.allow]]\nname = \"windows-update\"\n\
                protocol = \"tcp\"\nports = [80]\nto = \"any\"\nreason = \"a test\"\n";
    refused(&with_entry(rule), "4:8", &["rename it"]);
}

#[test]
fn columns_count_characters() {
    let rule = "{ reason = \"größe\", name = \"r\", from = \"any\", protocol = \"tpc\" }";
    let text = with_entry(&format!("[management]\nallow = [{rule}]"));
    refused(&text, "2:67", &["unknown protocol `tpc`"]);
}

#[test]
fn what_is_elsewhere_has_addresses() {
    let text = "[[protect]]\nname = \"dp\"\nroles = [\"distribution-point\"]\nelsewhere = ";
    refused(
        &format!("{text}true"),
        "4:13",
        &["`elsewhere` needs addresses"],
    );
    refused(&format!("{text}\"yes\""), "4:13", &["true or false"]);
    site("pass-sources = [\"10.0.0.1/8\"]", 17, &["10.0.0.0/8"]);
}

#[test]
fn roles_of_protected_systems_are_roles_of_the_document() {
    let entry = |roles: &str| format!("[[protect]]\nname = \"a\"\nroles = {roles}");
    refused(&entry("[]"), "3:9", &["name at least one role"]);
    for who in ["pxe-client", "dhcp-relay"] {
        let text = entry(&format!("[\"{who}\"]"));
        refused(&text, "3:10", &["belongs in [peers]"]);
    }
    refused(
        &entry("[\"dp\", \"distribution-point\"]"),
        "3:16",
        &["listed twice"],
    );
}

#[test]
fn roles_and_settings_of_another_edition_are_told_apart() {
    let current = |setting: &str| format!("[site]\nedition = \"current-branch\"\n{setting}");
    refused(
        &with_entry(&current("amt-provisioning-port = 9972")),
        "3:25",
        &["edition current-branch has no amt-provisioning-port"],
    );
    site(
        "cmg-instances = 2",
        17,
        &["edition 2007 has no cmg-instances"],
    );
    refused(
        &with_entry(&current("cmg-instances = 17")),
        "3:17",
        &["from 1 to 16"],
    );
    refused(
        &with_entry(&current("enable = [\"named-pipes\"]")),
        "3:11",
        &["unknown feature `named-pipes`", "sql-browser"],
    );
    refused(
        &with_entry(&current("[peers]\nprimary-site-server = [\"10.0.0.1\"]")),
        "4:1",
        &["name site-server in its place"],
    );
    peers(
        "cmg-connection-point = [\"10.0.0.1\"]",
        1,
        &["a role of edition current-branch"],
    );
    let entry = "[[protect]]\nname = \"a\"\nroles = [\"pxe-service-point\"]";
    refused(
        &current(entry),
        "5:10",
        &["name pxe-distribution-point in its place", "a switch on"],
    );
}

#[test]
fn names_of_addresses_can_be_seen() {
    for name in [
        "",
        "  ",
        "a\\u001b[2J",
        "a\\nb",
        "\\u202eb",
        &"a".repeat(254),
    ] {
        let text = with_entry(&format!("[names]\n\"{name}\" = [\"10.1.0.10\"]"));
        refused(
            &text,
            "2:1",
            &["is not a name for an address", "1 to 253 characters"],
        );
    }
    refused(
        &with_entry("[names]\ndc1 = [\"dc1.example.com\"]"),
        "2:8",
        &["dc1.example.com"],
    );
}
