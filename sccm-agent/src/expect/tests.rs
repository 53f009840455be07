use super::*;
use crate::config;
use crate::policy::{Opener, Question, explain};

const SITE: &str = r#"
[site]
edition = "2007"
outbound = "enforce"
sets = ["domain-member"]

[peers]
client = ["10.64.0.0/10"]
domain-controller = ["10.1.0.10"]

[[protect]]
name = "content"
roles = ["distribution-point"]
addresses = ["10.2.0.20"]

[[protect]]
name = "database"
roles = ["sql-server"]
addresses = ["10.2.0.6"]
"#;

fn policy(more: &str) -> SitePolicy {
    config::parse(&format!("{SITE}{more}")).unwrap_or_else(|problems| panic!("{problems}"))
}

fn expect(lines: &str) -> String {
    format!("[[expect]]\nname = \"it\"\n{lines}\n")
}

/// What breaks the one expectation of these lines; `None`: nothing.
fn broken(lines: &str) -> Option<String> {
    let policy = policy(&expect(lines));
    let verdicts = test(&policy, &Surroundings::default()).unwrap();
    verdicts.expectations.into_iter().next().unwrap().broken_by
}

#[test]
fn what_must_pass_passes_or_is_shown() {
    let web = "must = \"pass\"\nprotocol = \"tcp\"\nports = [80, 443]\nfrom = [\"client\"]\nto = [\"content\"]";
    assert_eq!(broken(web), None);
    let ssh = web.replace("80, 443", "22");
    assert_eq!(
        broken(&ssh).unwrap(),
        "tcp/22 from 10.64.0.0 to 10.2.0.20 is dropped, and must pass"
    );
    let wider = web.replace("\"client\"", "\"10.0.0.0/8\"");
    assert!(broken(&wider).is_some_and(|why| why.contains("is dropped")));
}

#[test]
fn what_must_not_pass_does_not_or_is_shown() {
    let sql = "must = \"drop\"\nprotocol = \"tcp\"\nports = [\"1-65535\"]\nfrom = [\"client\"]\nto = [\"database\"]";
    assert_eq!(broken(sql), None);
    let web = sql.replace("database", "content");
    assert_eq!(
        broken(&web).unwrap(),
        "tcp/80 from 10.64.0.0 to 10.2.0.20 passes, and must be dropped"
    );
    let out = "must = \"drop\"\nprotocol = \"tcp\"\nports = [445]\nfrom = [\"database\"]\nto = [\"client\"]";
    assert_eq!(broken(out), None);
}

#[test]
fn sets_stand_for_their_services_and_peers() {
    assert_eq!(broken("must = \"pass\"\nset = \"domain-member\""), None);
    let why = broken("must = \"drop\"\nset = \"domain-member\"\nfrom = [\"database\"]");
    assert!(why.is_some_and(|why| why.contains("from 10.2.0.6 to 10.1.0.10 passes")));
}

#[test]
fn nothing_but_what_is_named_may_reach_a_system() {
    let only = |name: &str, ports: &str, from: &str| {
        format!(
            "[[expect]]\nname = \"{name}\"\nmust = \"only\"\nprotocol = \"tcp\"\nports = [{ports}]\n\
             from = {from}\nto = [\"content\"]\n"
        )
    };
    let all = |more: &str| {
        let policy = policy(more);
        let verdicts = test(&policy, &Surroundings::default()).unwrap();
        let broken = verdicts.expectations.into_iter();
        broken
            .filter_map(|outcome| outcome.broken_by)
            .collect::<Vec<_>>()
    };
    let web = only("web", "80, 443", "[\"client\"]");
    let found = all(&web);
    assert_eq!(
        found,
        ["tcp/445 from 10.64.0.0 to 10.2.0.20 passes, and is not named"]
    );
    let multicast =
        only("multicast", "\"63000-64000\"", "[\"client\"]").replace("\"tcp\"", "\"udp\"");
    let web = format!("{web}{multicast}");
    let smb = only("smb", "445", "[\"client\"]");
    assert!(all(&format!("{web}{smb}")).is_empty());
    // Half of the clients are not named.
    let half = only("smb", "445", "[\"10.64.0.0/11\"]");
    let found = all(&format!("{web}{half}"));
    assert_eq!(
        found[0],
        "tcp/445 from 10.96.0.0 to 10.2.0.20 passes, and is not named"
    );
    // Two halves are the whole.
    let other = only("more", "445", "[\"10.96.0.0/11\"]");
    assert!(all(&format!("{web}{half}{other}")).is_empty());
}

#[test]
fn an_expectation_about_nothing_is_broken() {
    let nothing = "must = \"drop\"\nprotocol = \"tcp\"\nports = [1]\nfrom = [\"192.0.2.1\"]\nto = [\"192.0.2.2\"]";
    assert!(broken(nothing).is_some_and(|why| why.contains("no two addresses")));
}

#[test]
fn a_policy_that_breaks_one_is_refused() {
    let web = "must = \"drop\"\nprotocol = \"tcp\"\nports = [80]\nfrom = [\"client\"]\nto = [\"content\"]";
    let error = ensure(&policy(&expect(web))).unwrap_err().to_string();
    assert!(error.contains("expectation it: tcp/80 from"), "{error}");
    assert!(ensure(&policy("")).is_ok());
    // It is a part of the policy as it is kept.
    let policy = policy(&expect(web));
    let text = serde_json::to_string(&crate::policy::WrittenPolicy::of(&policy)).unwrap();
    let read: crate::policy::WrittenPolicy = serde_json::from_str(&text).unwrap();
    assert_eq!(read.policy().unwrap(), policy);
}

#[test]
fn mistakes_are_told() {
    for (lines, hint) in [
        (
            "must = \"maybe\"\nprotocol = \"tcp\"\nports = [1]\nfrom = \"any\"",
            "write \"pass\"",
        ),
        (
            "must = \"pass\"\nprotocol = \"tcp\"\nports = [1]",
            "both left out",
        ),
        (
            "must = \"only\"\nprotocol = \"tcp\"\nports = [1]\nto = \"any\"",
            "write who may",
        ),
        ("must = \"pass\"\nset = \"domain\"", "domain-member"),
        (
            "must = \"pass\"\nprotocol = \"tcp\"\nports = [1]\nfrom = [\"contents\"]",
            "content",
        ),
    ] {
        let text = format!("{SITE}{}", expect(lines));
        let problems = config::parse(&text).unwrap_err().to_string();
        assert!(problems.contains(hint), "{lines}: {problems}");
    }
}

/// What is proved for kinds of addresses is what `explain` says of addresses.
#[test]
fn proofs_agree_with_explain() {
    let policy = policy("");
    let machine = Surroundings::default();
    let request = Request {
        policy: &policy,
        machine: &machine,
        observe: false,
    };
    for port in [80_u16, 135, 443, 445, 1433, 4011] {
        for (from, to) in [
            ("10.64.0.9", "10.2.0.20"),
            ("10.64.0.9", "10.2.0.6"),
            ("192.0.2.1", "10.2.0.20"),
        ] {
            let question = Question {
                opener: Opener::Peer,
                protected: to.parse().unwrap(),
                peer: from.parse().unwrap(),
                target: crate::policy::Target::Tcp(port..=port),
            };
            let passes = explain(&request, &question).unwrap().allowed;
            let lines = format!(
                "must = \"pass\"\nprotocol = \"tcp\"\nports = [{port}]\nfrom = [\"{from}\"]\nto = [\"{to}\"]"
            );
            assert_eq!(broken(&lines).is_none(), passes, "{from} {to} {port}");
            assert_eq!(broken(&lines.replace("pass", "drop")).is_none(), !passes);
        }
    }
}

/// What the mapper hands out passes at no other time: nobody may count on one of its ports.
#[test]
fn a_port_that_is_handed_out_need_not_pass() {
    let broken = |must: &str, ports: &str| {
        let lines = format!(
            "must = \"{must}\"\nprotocol = \"tcp\"\nports = [{ports}]\nfrom = [\"database\"]\n\
             to = [\"domain-controller\"]"
        );
        let text = format!("{SITE}{}", expect(&lines));
        let text = text.replace("outbound =", "rpc = \"tracked\"\noutbound =");
        let policy = config::parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
        let verdicts = test(&policy, &Surroundings::default()).unwrap();
        verdicts.expectations.into_iter().next().unwrap().broken_by
    };
    assert_eq!(broken("drop", "50000"), None);
    assert_eq!(broken("drop", "\"50000-50009\""), None);
    let why = broken("pass", "50000").unwrap();
    assert!(
        why.starts_with(
            "tcp/50000 from 10.2.0.6 to 10.1.0.10 passes only when the endpoint mapper"
        ),
        "{why}"
    );
    assert!(why.contains("rpc = \"static\""), "{why}");
    assert_eq!(broken("pass", "135"), None);
    // The range as a whole, as a set has it, is about RPC.
    assert_eq!(broken("pass", "\"49152-65535\""), None);
}
