//! Verdicts of policies that were worked out by hand, and each leg against `explain`.

use super::*;
use crate::config;
use crate::policy::{Opener, Question, Target, explain};
use std::collections::BTreeMap;

/// A site behind a gateway, everything named.
const SITE: &str = r#"
[peers]
client = ["10.64.0.0/10"]
console = ["10.65.9.0/24"]
domain-controller = ["10.1.0.10"]

[[protect]]
name = "site"
roles = ["primary-site-server"]
addresses = ["10.2.0.5"]

[[protect]]
name = "provider"
roles = ["provider"]
addresses = ["10.2.0.7"]

[[protect]]
name = "database"
roles = ["sql-server"]
addresses = ["10.2.0.6"]

[[protect]]
name = "management"
roles = ["management-point"]
addresses = ["10.2.0.30"]

[[protect]]
name = "content"
roles = ["distribution-point"]
addresses = ["10.2.0.20"]

[[protect]]
name = "boot"
roles = ["pxe-service-point"]
addresses = ["10.2.0.12"]

[[protect]]
name = "updates"
roles = ["software-update-point"]
addresses = ["10.2.0.40"]
"#;

fn policy(site: &str, more: &str) -> SitePolicy {
    let text = format!("[site]\nedition = \"2007\"\n{site}\n{SITE}\n{more}");
    config::parse(&text).unwrap_or_else(|problems| panic!("{problems}"))
}

fn coverage(policy: &SitePolicy) -> Coverage {
    Coverage::new(policy, &Surroundings::default(), false).unwrap()
}

fn verdicts(coverage: &Coverage) -> BTreeMap<&'static str, &'static str> {
    let all = coverage.techniques.iter();
    all.map(|one| (one.id, one.verdict.name())).collect()
}

/// The techniques with this verdict.
fn with(coverage: &Coverage, verdict: Verdict) -> String {
    let all = coverage.techniques.iter();
    let ids: Vec<&str> = all
        .filter(|one| one.verdict == verdict)
        .map(|one| one.id)
        .collect();
    ids.join(" ")
}

/// What stays, whatever goes out: distribution points offer SMB to clients.
const STOPPED: &str = "CRED-5 CRED-7 CRED-8 ELEVATE-1 ELEVATE-2 ELEVATE-3 EXEC-1 EXEC-2 RECON-4 RECON-5 \
    TAKEOVER-1 TAKEOVER-2 TAKEOVER-3 TAKEOVER-4 TAKEOVER-5 TAKEOVER-6 TAKEOVER-7 TAKEOVER-8 TAKEOVER-9 \
    COERCE-1";

const ENFORCE: &str = "outbound = \"enforce\"";

/// SMB to the site server, for everybody.
const SMB: &str = "[[allow]]\nname = \"smb\"\nprotocol = \"tcp\"\nports = [445]\nfrom = \"any\"\n\
    to = [\"site\"]\nreason = \"test\"\n";

#[test]
fn a_whole_site_that_enforces_what_goes_out_stops_all_takeovers() {
    let judged = coverage(&policy(ENFORCE, ""));
    assert_eq!(with(&judged, Verdict::Full), STOPPED);
    assert_eq!(
        with(&judged, Verdict::Partly),
        "CRED-1 CRED-6 RECON-2 RECON-3 RECON-6"
    );
    let one = &judged.techniques[judged.techniques.len() - 1];
    assert_eq!((one.id, one.verdict), ("COERCE-2", Verdict::None));
}

#[test]
fn callbacks_pass_where_nothing_that_goes_out_is_judged() {
    let enforced = verdicts(&coverage(&policy(ENFORCE, "")));
    let judged = coverage(&policy("outbound = \"track\"", ""));
    let mut expected = enforced;
    expected.insert("ELEVATE-2", "none");
    expected.insert("ELEVATE-3", "none");
    expected.insert("TAKEOVER-9", "partly");
    assert_eq!(verdicts(&judged), expected);
    let mut all = judged.techniques.iter();
    let push = all.find(|one| one.id == "ELEVATE-3").unwrap();
    let enforce = "write outbound = \"enforce\": no link lets the site server open tcp to clients";
    assert!(
        push.change.iter().any(|change| change == enforce),
        "{push:#?}"
    );
}

#[test]
fn a_rule_that_lets_coercion_in_is_named() {
    let enforced = coverage(&policy(ENFORCE, SMB));
    // Reaching for shares is all that it opens while nobody logs on elsewhere.
    let mut expected = verdicts(&coverage(&policy(ENFORCE, "")));
    expected.insert("CRED-6", "none");
    expected.insert("RECON-2", "partly");
    expected.insert("RECON-6", "none");
    assert_eq!(verdicts(&enforced), expected);
    let tracked = coverage(&policy("", SMB));
    let found = verdicts(&tracked);
    for (id, verdict) in [
        ("TAKEOVER-1", "full"),
        ("TAKEOVER-2", "full"),
        ("TAKEOVER-4", "partly"),
        ("TAKEOVER-5", "full"),
        ("TAKEOVER-7", "none"),
        ("TAKEOVER-8", "partly"),
    ] {
        assert_eq!(found[id], verdict, "{id}");
    }
    let mut all = tracked.techniques.iter();
    let found = all.find(|one| one.id == "TAKEOVER-7").unwrap();
    let names_it = |change: &String| change.contains("rule smb");
    assert!(found.change.iter().any(names_it), "{found:#?}");
}

#[test]
fn who_may_boot_decides_about_boot_media() {
    let only = |more: &str| {
        let text = SITE.replace("console =", &format!("pxe-client = {more}\nconsole ="));
        let text = format!("[site]\nedition = \"2007\"\noutbound = \"enforce\"\n{text}");
        let policy = config::parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
        let found = verdicts(&coverage(&policy));
        [found["CRED-1"], found["ELEVATE-4"]]
    };
    assert_eq!(only("[\"10.66.0.0/24\"]"), ["partly", "none"]);
    assert_eq!(only("[]"), ["full", "full"]);
}

#[test]
fn a_policy_stops_nothing_at_systems_that_it_does_not_protect() {
    let host = |role: &str| SitePolicy {
        protect: vec![crate::policy::Protected {
            name: "protected".to_owned(),
            roles: vec![role.into()],
            addresses: Vec::new(),
            rpc: crate::policy::Rpc::Static,
            elsewhere: false,
        }],
        ..SitePolicy::default()
    };
    let content = coverage(&host("distribution-point"));
    assert_eq!(with(&content, Verdict::Full), "");
    assert_eq!(with(&content, Verdict::Partly), "");
    // Everybody may speak SQL to a database, and nobody SMB.
    let database = coverage(&host("sql-server"));
    assert_eq!(with(&database, Verdict::Full), "TAKEOVER-2");
    let mut all = content.techniques.iter();
    let found = all.find(|one| one.id == "TAKEOVER-2").unwrap();
    let hint = "protect the site database, too: this policy does not";
    assert!(
        found.change.iter().any(|change| change == hint),
        "{found:#?}"
    );
}

#[test]
fn nothing_is_stopped_where_nothing_is_dropped() {
    let policy = policy(ENFORCE, "");
    let judged = Coverage::new(&policy, &Surroundings::default(), true).unwrap();
    assert!(
        judged
            .techniques
            .iter()
            .all(|one| one.verdict == Verdict::None)
    );
}

/// A gateway's own addresses, sets and the other edition change nothing that no flow is about.
#[test]
fn gateways_and_sets_stop_the_same() {
    let policy = policy("outbound = \"enforce\"\nsets = [\"domain-member\"]", "");
    let gateway = Surroundings::gateway(&["10.2.0.1".parse().unwrap()]);
    let judged = Coverage::new(&policy, &gateway, false).unwrap();
    assert_eq!(with(&judged, Verdict::Full), STOPPED);
}

#[test]
fn moved_ports_are_followed() {
    let moved = policy("http-port = 8080\nsql-port = 50000", "");
    let judged = coverage(&moved);
    let mut all = judged.techniques.iter();
    let found = all.find(|one| one.id == "CRED-2").unwrap();
    let leg = &found.legs[1];
    assert_eq!(
        (leg.decision, leg.passes_on[0].as_str()),
        (Decision::Passes, "8080")
    );
    let from_everybody = SMB
        .replace("445", "50000")
        .replace("\"site\"", "\"database\"");
    let site = format!("sql-port = 50000\n{ENFORCE}");
    let judged = coverage(&self::policy(&site, &from_everybody));
    assert_eq!(verdicts(&judged)["TAKEOVER-9"], "partly");
}

/// A leg passes if, and only if, one of its ports passes between two addresses.
#[test]
fn legs_are_what_explain_says() {
    let policy = policy("", SMB);
    let machine = Surroundings::default();
    let request = Request {
        policy: &policy,
        machine: &machine,
        observe: false,
    };
    let judged = coverage(&policy);
    let (client, mut asked) = ("10.64.0.9".parse().unwrap(), 0);
    for leg in judged.techniques.iter().flat_map(|one| &one.legs) {
        let outbound = leg.seen == crate::catalog::Seen::Outbound;
        let (system, other) = if outbound {
            (leg.from, leg.to)
        } else {
            (leg.to, leg.from)
        };
        let address = match system {
            "SMS Provider" => "10.2.0.7",
            "site database" => "10.2.0.6",
            "management point" => "10.2.0.30",
            name if name.contains("site server") => "10.2.0.5",
            _ => continue,
        };
        if other != "attacker" || leg.protocol != "tcp" || leg.seen == crate::catalog::Seen::No {
            continue;
        }
        let passes = leg.ports.iter().any(|port| {
            let port = port.split('-').next().unwrap().parse().unwrap();
            let question = Question {
                opener: if outbound {
                    Opener::Protected
                } else {
                    Opener::Peer
                },
                protected: address.parse().unwrap(),
                peer: client,
                target: Target::Tcp(port..=port),
            };
            explain(&request, &question).unwrap().allowed
        });
        asked += 1;
        assert_eq!(leg.decision == Decision::Passes, passes, "{leg:#?}");
    }
    assert!(asked > 50, "{asked}");
}

#[test]
fn techniques_are_required_by_their_ids() {
    let judged = coverage(&policy("", ""));
    let lacking = |ids: &[&str]| {
        let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
        let lacking = judged.lacking(&ids);
        lacking.map(|all| all.iter().map(|one| one.id).collect::<Vec<_>>())
    };
    assert_eq!(
        lacking(&["takeover-1", "ELEVATE-3"]).unwrap(),
        ["ELEVATE-3"]
    );
    let error = lacking(&["TAKEOVER-99"]).unwrap_err().to_string();
    assert!(
        error.starts_with("unknown technique `TAKEOVER-99`"),
        "{error}"
    );
}

#[test]
fn what_is_refused_is_named_by_its_techniques() {
    let policy = policy(ENFORCE, "");
    let named = Named::new(&policy);
    let ask = |opener, protected: &str, peer: &str, port| {
        named.of(&Question {
            opener,
            protected: protected.parse().unwrap(),
            peer: peer.parse().unwrap(),
            target: Target::Tcp(port..=port),
        })
    };
    let relay = ask(Opener::Peer, "10.2.0.6", "10.64.0.9", 1433);
    assert_eq!(relay, ["CRED-5", "CRED-8", "TAKEOVER-1"]);
    let callback = ask(Opener::Protected, "10.2.0.5", "10.64.0.9", 445);
    assert!(callback.contains(&"TAKEOVER-2"), "{callback:?}");
    // A site system, a port of no technique, and an address that is not protected.
    assert!(ask(Opener::Peer, "10.2.0.6", "10.2.0.5", 1433).is_empty());
    assert!(ask(Opener::Peer, "10.2.0.6", "10.64.0.9", 25).is_empty());
    assert!(ask(Opener::Peer, "10.9.0.1", "10.64.0.9", 445).is_empty());
}

#[test]
fn the_matrix_says_what_decides() {
    let judged = coverage(&policy("", ""));
    let mut all = judged.techniques.iter();
    let relay = all.find(|one| one.id == "TAKEOVER-5").unwrap().decides();
    let smb = "tcp/445 attacker to site server";
    let service = "tcp/443 attacker to SMS Provider";
    assert_eq!(relay[0], format!("5.1: cut, {smb}; {service}"));
    assert_eq!(
        relay[2],
        "fixed in 2509 (the administration service refuses NTLM)"
    );
    let text = judged.text();
    for expected in [
        "34 techniques: 17 stopped fully",
        "What would stop more",
        "What no port filter stops",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

/// Whoever may ask the mapper is told the port that an attack needs: the range is narrowed, and
/// nothing is stopped.
#[test]
fn tracking_stops_nothing_that_the_range_let_pass() {
    let [open, tracked] = ["static", "tracked"].map(|mode| {
        // Without [peers], the attacker may be the console that uses WMI.
        let policy = config::parse(&format!(
            "[site]\nedition = \"2007\"\noutbound = \"enforce\"\nrpc = \"{mode}\"\n\
             [[protect]]\nname = \"provider\"\nroles = [\"provider\"]\naddresses = [\"10.2.0.7\"]\n"
        ));
        coverage(&policy.unwrap_or_else(|problems| panic!("{problems}")))
    });
    assert_eq!(verdicts(&open), verdicts(&tracked));
    let range = "49152-65535".to_owned();
    let mut narrowed = 0;
    let pairs = open.techniques.iter().zip(&tracked.techniques);
    for (open, tracked) in pairs.flat_map(|(open, tracked)| open.legs.iter().zip(&tracked.legs)) {
        assert_eq!(open.decision, tracked.decision);
        assert!(open.if_handed_out.is_empty());
        if open.protocol == "tcp" && open.passes_on.contains(&range) {
            assert!(!tracked.passes_on.contains(&range), "{tracked:#?}");
            assert_eq!(
                tracked.if_handed_out.as_slice(),
                std::slice::from_ref(&range)
            );
            assert_eq!(tracked.decision, Decision::Passes);
            narrowed += 1;
        }
    }
    assert!(narrowed > 0);
}
