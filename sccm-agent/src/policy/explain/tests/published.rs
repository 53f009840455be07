//! Ports that a gateway publishes by translating addresses.

use super::*;

/// Whoever may open the port behind the gateway may open the published one, and nobody else.
#[test]
fn a_published_port_has_the_rights_of_the_one_behind_it() {
    let publish = |name: &str, targets, to_port| Publish {
        name: name.to_owned(),
        targets,
        to: "192.168.1.2".parse().unwrap(),
        to_port,
        reason: "branch offices".to_owned(),
    };
    let policy = SitePolicy {
        publish: vec![
            publish("web", vec![Target::Tcp(8080..=8080)], Some(80)),
            publish("same", vec![Target::Tcp(444..=446)], None),
            publish("backup", vec![Target::Tcp(9102..=9102)], None),
            publish("nobody", vec![Target::Udp(23..=23)], None),
        ],
        ..policy()
    };
    let ask = |peer, target| ask_of(&policy, Opener::Peer, "192.168.1.1", peer, target);
    let (client, server, keeper) = ("10.5.0.1", "10.1.0.5", "10.2.0.1");
    for (peer, target, by) in [
        (client, Target::Tcp(8080..=8080), Some("web")),
        // Behind the gateway it is HTTP; here it is nothing.
        (client, Target::Tcp(80..=80), None),
        // Of the ports of one rule, only those that are open behind it.
        (server, Target::Tcp(445..=445), Some("same")),
        (server, Target::Tcp(444..=444), None),
        (keeper, Target::Tcp(9102..=9102), Some("backup")),
        (client, Target::Tcp(9102..=9102), None),
        (client, Target::Udp(23..=23), None),
        (client, Target::Tcp(22..=22), None),
    ] {
        let answer = ask(peer, target.clone());
        assert_eq!(answer.allowed, by.is_some(), "{peer} {target}");
        let grounds: Vec<_> = answer.because.iter().map(Ground::brief).collect();
        let rule = by.map(|name| format!("rule {name}"));
        assert_eq!(grounds, Vec::from_iter(rule), "{peer} {target}");
    }
    let request = Request {
        policy: &policy,
        machine: &Surroundings::default(),
        observe: false,
    };
    let compiled = compile(&request, ServiceNames::default()).unwrap();
    let idle = super::publish::idle(&compiled, &policy);
    let idle: Vec<&str> = idle.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(idle, ["nobody"]);
}

#[test]
fn what_does_not_fit_the_machines_translation_is_told() {
    let rules = std::collections::BTreeSet::from(["nftables: table nat, chain in".to_owned()]);
    let none = std::collections::BTreeSet::new();
    let publishing = SitePolicy {
        publish: vec![Publish {
            name: "web".to_owned(),
            targets: vec![Target::Tcp(80..=80)],
            to: "192.168.1.2".parse().unwrap(),
            to_port: None,
            reason: String::new(),
        }],
        ..policy()
    };
    let misfit = super::publish::misfit;
    assert_eq!(misfit(&policy(), &none), None);
    assert_eq!(misfit(&publishing, &rules), None);
    let told = misfit(&policy(), &rules).unwrap();
    assert!(told.contains("nftables: table nat, chain in"), "{told}");
    let told = misfit(&publishing, &none).unwrap();
    assert!(told.contains("[[publish]]"), "{told}");
}
