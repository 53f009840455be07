//! Under `enforce`, an answer without connections needs a question.

use crate::Reason::{NotAllowed, Outbound, OutboundNotAllowed, Service};
use crate::ServiceClass;
use crate::policy::flag;
use crate::testing::{FAMILIES, Link, PEER, PROTECTED, STRANGER, World, class};
use crate::{Place, Reason};
use sccm_packets::protocol::GRE;
use std::vec::Vec;

const SERVICES: [ServiceClass; 3] = [class::DNS, class::ECHO, ServiceClass::GRE];

/// Questions of a peer, and their answers, on a link of the peer's.
fn exchanges(asks: Link) -> [(Vec<u8>, Vec<u8>); 3] {
    let answers = asks.back();
    [
        (asks.udp(50000, 53, b"who"), answers.udp(53, 50000, b"me")),
        (asks.echo(7), answers.echo_reply(7)),
        (asks.ip(GRE, &[0; 8]), answers.ip(GRE, &[0; 8])),
    ]
}

fn enforcing() -> World {
    World::host().inbound(&SERVICES).enforcing(&[])
}

#[test]
fn an_answer_passes_to_who_asked_within_the_time() {
    for family in FAMILIES {
        for (question, answer) in exchanges(Link::new(family, PEER, PROTECTED)) {
            for within in [1, 60] {
                let mut world = enforcing();
                world.policy.timeouts.answer = within;
                assert_eq!(world.leaves(&answer), OutboundNotAllowed);
                assert_eq!(world.arrives(&question), Service);
                assert_eq!(world.leaves(&answer), Outbound);
                world.wait(within);
                assert_eq!(world.leaves(&answer), Outbound);
                world.wait(1);
                assert_eq!(world.leaves(&answer), OutboundNotAllowed);
                // Nothing that lasts was written for it.
                assert_eq!(world.remembered(), (0, 0, 0));
            }
        }
    }
}

#[test]
fn nobody_else_gets_it() {
    for family in FAMILIES {
        let asks = Link::new(family, PEER, PROTECTED);
        let world = enforcing();
        for (question, _) in exchanges(asks) {
            assert_eq!(world.arrives(&question), Service);
        }
        let answers = asks.back();
        let to_other = Link::new(family, PROTECTED, STRANGER);
        let of_other = Link::new(family, STRANGER, PEER);
        for other in [
            to_other.udp(53, 50000, b"me"),
            to_other.echo_reply(7),
            to_other.ip(GRE, &[0; 8]),
            of_other.udp(53, 50000, b"me"),
            of_other.echo_reply(7),
            of_other.ip(GRE, &[0; 8]),
            answers.udp(53, 50001, b"me"),
            answers.udp(54, 50000, b"me"),
            answers.echo_reply(8),
            answers.echo_reply(0),
            answers.ip(GRE + 1, &[0; 8]),
        ] {
            assert_eq!(world.leaves(&other), OutboundNotAllowed);
        }
    }
}

#[test]
fn a_question_that_is_refused_is_not_noted() {
    for family in FAMILIES {
        let world = World::host().inbound(&[class::HTTP]).enforcing(&[]);
        for (question, answer) in exchanges(Link::new(family, PEER, PROTECTED)) {
            assert_eq!(world.arrives(&question), NotAllowed);
            assert_eq!(world.leaves(&answer), OutboundNotAllowed);
        }
        assert!(world.state.questions.borrow().is_empty());
    }
}

#[test]
fn who_is_asked_by_way_of_a_group_answers_from_an_address_of_its_own() {
    for (family, groups) in FAMILIES.into_iter().zip([
        &["224.0.0.251", "255.255.255.255"] as &[&str],
        &["ff02::fb"],
    ]) {
        let asks = Link::new(family, PEER, PROTECTED);
        for group in groups {
            let world = enforcing().inbound_to_groups(&SERVICES);
            let question = asks.packet_to(group).udp(50000, 53).data(b"who").build();
            assert_eq!(world.arrives(&question), Service);
            let answer = asks.back().udp(53, 50000, b"me");
            assert_eq!(world.leaves(&answer), Outbound);
            let other = asks.back().udp(53, 50001, b"me");
            assert_eq!(world.leaves(&other), OutboundNotAllowed);
        }
    }
}

#[test]
fn without_enforce_nothing_is_noted_and_answers_pass() {
    for family in FAMILIES {
        for setting in [0, flag::OUTBOUND_OFF] {
            let world = World::host().inbound(&SERVICES).with(setting);
            for (question, answer) in exchanges(Link::new(family, PEER, PROTECTED)) {
                assert_eq!(world.leaves(&answer), Outbound);
                assert_eq!(world.arrives(&question), Service);
            }
            assert!(world.state.questions.borrow().is_empty());
        }
    }
}

#[test]
fn a_gateway_notes_at_the_uplink_and_asks_at_the_segment() {
    for family in FAMILIES {
        let asks = Link::new(family, PEER, PROTECTED);
        for (question, answer) in exchanges(asks) {
            let at = |world: World, place, frame: &[u8]| -> (World, Reason) {
                let world = world.at(place);
                let reason = world.arrives(frame);
                (world, reason)
            };
            let world = World::gateway(Place::Segment)
                .inbound(&SERVICES)
                .enforcing(&[]);
            let (world, reason) = at(world, Place::Segment, &answer);
            assert_eq!(reason, OutboundNotAllowed);
            let (world, reason) = at(world, Place::Uplink, &question);
            assert_eq!(reason, Service);
            let (_, reason) = at(world, Place::Segment, &answer);
            assert_eq!(reason, Outbound);
        }
    }
}

#[test]
fn a_right_of_its_own_needs_no_question_and_opens_a_flow() {
    for family in FAMILIES {
        let out = Link::new(family, PROTECTED, PEER);
        let world = World::host()
            .inbound(&[class::DNS])
            .enforcing(&[class::DNS]);
        // From the port of its own service to that of the other's.
        assert_eq!(world.leaves(&out.udp(53, 53, b"who")), Outbound);
        assert_eq!(world.flows(), 1);
        assert_eq!(world.leaves(&out.udp(53, 54, b"who")), OutboundNotAllowed);
    }
}
