//! What an answer says would let it pass.

use super::*;

#[test]
fn what_no_setting_lets_pass_has_no_hint() {
    // TCP to a group, and a source that nobody has.
    for (protected, peer) in [("224.0.0.1", "172.16.0.5"), ("10.2.0.12", "127.0.0.1")] {
        let target = Target::Tcp(80..=80);
        let answer = ask_of(&boot_server(true), Opener::Peer, protected, peer, target);
        assert!(!answer.allowed);
        assert_eq!(
            (briefs(&answer), links(&answer.advice.would_allow)),
            (vec![], vec![])
        );
    }
}

#[test]
fn a_hint_says_what_an_address_that_nobody_lists_would_have_to_be() {
    let mut policy = boot_server(true);
    policy.outbound = Outbound::Enforce;
    let target = || Target::Udp(67..=67);
    let answer = ask_of(&policy, Opener::Peer, "10.2.0.13", "10.65.0.1", target());
    assert_eq!(
        briefs(&answer),
        ["[[protect]] boot addresses = [\"10.2.0.13\"]"]
    );
    // Outwards, no enforcement or a rule.
    let http = Target::Tcp(9999..=9999);
    let answer = ask_of(&policy, Opener::Protected, "10.2.0.12", "10.9.9.9", http);
    assert_eq!(
        briefs(&answer),
        [
            "[site] outbound = \"track\"",
            "[[outbound.allow]] tcp/9999 to 10.9.9.9"
        ]
    );
    let rule = &answer.advice.hints[1];
    assert_eq!(rule.flag.as_deref(), Some("--allow-out tcp/9999@10.9.9.9"));
    let lines = "ports = [9999]\nfrom = [\"10.2.0.12\"]\nto = [\"10.9.9.9\"]\nreason";
    assert!(rule.lines.contains(lines), "{}", rule.lines);
}

#[test]
fn every_rule_that_is_hinted_at_would_let_it_pass() {
    let mut hinted = 0;
    for policy in [policy(), boot_server(true)] {
        for (protected, what) in ["192.168.1.1", "192.168.1.2", "10.2.0.12", "239.1.1.1"]
            .into_iter()
            .flat_map(|to| ["tcp/9102", "udp/67", "icmp/8", "gre"].map(|what| (to, what)))
        {
            let target = || parse_target(what).unwrap();
            let ask =
                |policy: &SitePolicy| ask_of(policy, Opener::Peer, protected, "10.9.9.9", target());
            for hint in ask(&policy).advice.hints {
                let mut changed = policy.clone();
                match hint.table.as_str() {
                    "[[allow]]" => changed.allow.extend(hint.rule),
                    "[[management.allow]]" => changed.management.extend(hint.rule),
                    _ => continue,
                }
                hinted += 1;
                assert!(ask(&changed).allowed, "{what} to {protected}");
            }
        }
    }
    assert!(hinted > 8, "{hinted}");
}
