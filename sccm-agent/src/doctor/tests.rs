use super::Grade::{Blocker, Fine, Warning};
use super::*;
use crate::hooks::{Chosen, Why};
use crate::interface::{BondMode, XdpFeatures};
use crate::kernel::Ingress::{Generic, Native, Tc};
use crate::kernel::{CardFacts, Features};
use crate::state::{InterfaceState, State};

#[test]
fn a_driver_is_judged_by_what_it_says_it_can() {
    let facts = |mtu| CardFacts {
        driver: "virtio_net".to_owned(),
        queues: 4,
        mtu,
        receives_large: false,
        receives_joined: false,
    };
    let features = |native, several_buffers| {
        Some(XdpFeatures {
            native,
            several_buffers,
        })
    };
    let asked = |ingress| Chosen {
        ingress,
        why: Why::Policy,
    };
    for (mtu, told, ingress, grade) in [
        (1500, None, Native, Fine),
        (1500, features(true, false), Native, Fine),
        (1500, features(false, false), Native, Blocker),
        (1500, features(false, false), Generic, Fine),
        (1500, features(false, false), Tc, Fine),
        (3498, features(true, false), Native, Fine),
        (3499, features(true, false), Native, Blocker),
        (9000, features(true, true), Native, Fine),
    ] {
        let finding = cards::driver(&facts(mtu), told, &asked(ingress));
        assert_eq!(finding.grade, grade, "{finding:?}");
        assert_eq!(finding.remedy.is_some(), grade != Fine, "{finding:?}");
        assert!(
            finding.text.starts_with("virtio_net, 4 queues, MTU "),
            "{finding:?}"
        );
    }
}

#[test]
fn cards_that_join_packets_are_named_where_that_matters() {
    for (receives_large, receives_joined) in
        [(false, false), (true, false), (false, true), (true, true)]
    {
        let facts = CardFacts {
            receives_large,
            receives_joined,
            ..CardFacts::default()
        };
        let count = usize::from(receives_large) + usize::from(receives_joined);
        for (ingress, count) in [(Native, count), (Generic, count), (Tc, 0)] {
            let findings = cards::joining("eth0", &facts, ingress);
            assert_eq!(findings.len(), count, "{findings:?}");
            assert!(
                findings.iter().all(|one| one.remedy.is_some()),
                "{findings:?}"
            );
        }
    }
}

#[test]
fn a_bond_is_told_by_its_mode() {
    for (mode, grade, told) in [
        (None, Fine, "a member of bond0"),
        (Some(BondMode::ActiveBackup), Fine, "(active-backup)"),
        (Some(BondMode::Ieee8023Ad), Warning, "802.3ad"),
    ] {
        let finding = cards::member("bond0", mode);
        assert_eq!(finding.grade, grade, "{finding:?}");
        assert!(finding.text.contains(told), "{finding:?}");
        assert_eq!(finding.remedy.is_some(), grade != Fine, "{finding:?}");
    }
}

#[test]
fn only_a_card_that_drops_is_fine() {
    for (state, grade) in [
        (State::Enforcing, Grade::Fine),
        (State::WarmingUp, Grade::Fine),
        (State::Observing, Grade::Warning),
        (State::Generic, Grade::Warning),
        (State::Missing, Grade::Warning),
        (State::EgressBehind, Grade::Blocker),
        (State::EgressLost, Grade::Blocker),
        (State::ForeignProgram, Grade::Blocker),
        (State::Detached, Grade::Blocker),
        (State::StalePin, Grade::Blocker),
    ] {
        let finding = live::interface(&InterfaceState {
            interface: "eth0".to_owned(),
            state,
            mode: None,
            before: vec!["TCX program `other`".to_owned()],
        });
        assert_eq!(finding.grade, grade, "{finding:?}");
        assert_eq!(finding.interface.as_deref(), Some("eth0"));
        assert!(finding.text.starts_with(state.label()), "{finding:?}");
    }
}

#[test]
fn a_kernel_is_judged_by_what_it_has() {
    let features = |release: &str, has: bool| Features {
        release: release.to_owned(),
        btf: has,
        tcx: has,
        jit: Some(has),
        bpf_file_system: has,
    };
    let grades = |found: &Features| -> Vec<(&str, Grade)> {
        let findings = machine::of_kernel(found);
        let with_remedy = |one: &Finding| one.grade != Warning || one.remedy.is_some();
        assert!(findings.iter().all(with_remedy), "{findings:#?}");
        findings.iter().map(|one| (one.topic, one.grade)).collect()
    };
    let topics = ["kernel", "btf", "egress-hook", "bpf-file-system", "jit"];
    let all = |grades: [Grade; 5]| topics.into_iter().zip(grades).collect::<Vec<_>>();
    assert_eq!(grades(&features("6.12.1", true)), all([Fine; 5]));
    assert_eq!(
        grades(&features("5.15.0", false)),
        all([Blocker, Warning, Fine, Warning, Warning])
    );
    let untold = Features {
        jit: None,
        ..features("6.12.1", true)
    };
    assert_eq!(grades(&untold), all([Fine; 5])[..4]);
}
