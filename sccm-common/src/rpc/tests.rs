//! Answers whose bytes are known, and bytes that are none.

use super::bind::Syntax;
use super::bytes::Order;
use super::pdu::{self, Kind, Pdu};
use super::{How, Limits, Named, Refusal, Uuid};
use std::collections::BTreeSet;
use std::format;
use std::string::ToString as _;
use std::vec::Vec;

/// `ept_map` answers with service control on port 49700: NDR32 in both orders, NDR64.
const NDR32: &str = "0500020310000000980000000200000080000000000000000000000000000000\
    0000000000000000000000000100000004000000000000000100000003000000\
    4b0000004b000000050013000d81bb7a364498f135ad3298f038001003020002\
    00000013000d045d888aeb1cc9119fe808002b10486002000200000001000b02\
    0000000100070200c2240100090400c00002140000000000";
const NDR32_BIG: &str = "0500020300000000009800000000000200000080000000000000000000000000\
    0000000000000000000000000000000100000004000000000000000100000003\
    0000004b0000004b050013000d81bb7a364498f135ad3298f038001003020002\
    00000013000d045d888aeb1cc9119fe808002b10486002000200000001000b02\
    0000000100070200c2240100090400c00002140000000000";
const NDR64: &str = "0500020310000000ac0000000200000094000000010000000000000000000000\
    0000000000000000000000000100000004000000000000000000000000000000\
    010000000000000003000000000000004b000000000000004b00000005001300\
    0d81bb7a364498f135ad3298f03800100302000200000013000d045d888aeb1c\
    c9119fe808002b10486002000200000001000b020000000100070200c2240100\
    090400c00002140000000000";

/// No such endpoint.
const NONE: &str = "0500020310000000400000000200000028000000000000000000000000000000\
    00000000000000000000000000000000040000000000000000000000d6a0c916";

/// ResolveOxid2, with `cm01[49701]` and `192.0.2.20[49701]`.
const RESOLVED: &str = "0500020310000000b00000000200000098000000000000000000020038000000\
    38002100070063006d00300031005b00340039003700300031005d0000000700\
    3100390032002e0030002e0032002e00320030005b0034003900370030003100\
    5d00000000000a00ffff4e005400200041005500540048004f00520049005400\
    59005c00530059005300540045004d0000000000000000000000000000000000\
    00000007050000000500070000000000";

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    let text = digits.map(|pair| core::str::from_utf8(pair).unwrap());
    text.map(|pair| u8::from_str_radix(pair, 16).unwrap())
        .collect()
}

fn read(hex: &str, how: How, syntax: Syntax) -> Result<Named, Refusal> {
    let bytes = bytes(hex);
    assert_eq!(pdu::length(&bytes), Ok(Some(bytes.len())));
    let pdu = Pdu::read(&bytes).unwrap();
    assert_eq!((pdu.kind, pdu.call), (Kind::Response, 2));
    Named::read(how, syntax, pdu.order, pdu.stub)
}

#[test]
fn known_answers_of_the_mapper_are_read() {
    let cases = [
        (NDR32, Syntax::Ndr32),
        (NDR32_BIG, Syntax::Ndr32),
        (NDR64, Syntax::Ndr64),
    ];
    for (hex, syntax) in cases {
        let named = read(hex, How::Map, syntax).unwrap();
        let [port] = named.ports() else {
            panic!("{named:?}")
        };
        assert_eq!(port.number, 49700);
        assert_eq!(port.host, Some([192, 0, 2, 20]));
        let interface = "367abb81-9844-35f1-ad32-98f038001003";
        assert_eq!(port.interface.to_string(), interface);
    }
    assert_eq!(
        read(NDR32, How::Map, Syntax::Ndr64),
        Err(Refusal::MalformedAnswer)
    );
    assert_eq!(
        read(NDR64, How::Map, Syntax::Ndr32),
        Err(Refusal::MalformedAnswer)
    );
    assert_eq!(
        read(NONE, How::Map, Syntax::Ndr32),
        Err(Refusal::NotRegistered)
    );
}

#[test]
fn a_known_answer_of_the_resolver_is_read() {
    let named = read(RESOLVED, How::ResolveOxid2, Syntax::Ndr32).unwrap();
    let numbers: Vec<u16> = named.ports().iter().map(|port| port.number).collect();
    assert_eq!(numbers, [49701]);
}

#[test]
fn no_beginning_of_an_answer_is_one() {
    let answers = [
        (NDR32, How::Map, Syntax::Ndr32),
        (NDR64, How::Map, Syntax::Ndr64),
        (RESOLVED, How::ResolveOxid2, Syntax::Ndr32),
        (RESOLVED, How::Activation, Syntax::Ndr32),
        (RESOLVED, How::LegacyActivation, Syntax::Ndr32),
    ];
    for (hex, how, syntax) in answers {
        let bytes = bytes(hex);
        let stub = &bytes[24..];
        for length in 0..stub.len() {
            let named = Named::read(how, syntax, Order::Little, &stub[..length]);
            assert!(named.is_err(), "{how:?} {length}");
        }
    }
}

#[test]
fn a_unit_says_its_length_and_what_is_none_is_told_at_once() {
    let bytes = bytes(NDR32);
    for length in 0..10 {
        assert_eq!(pdu::length(&bytes[..length]), Ok(None), "{length}");
    }
    assert_eq!(pdu::length(&bytes[..10]), Ok(Some(152)));
    for (at, to) in [(0, 4), (1, 2), (4, 0x20), (8, 15)] {
        let mut wrong = bytes.clone();
        wrong[at] = to;
        assert_eq!(pdu::length(&wrong), Err(Refusal::MalformedPdu), "{at}");
    }
    // A trailer that is longer than the unit, or padding that is.
    for (at, to) in [(10, 200), (10, 129)] {
        let mut wrong = bytes.clone();
        wrong[at] = to;
        assert!(Pdu::read(&wrong).is_err(), "{to}");
    }
}

#[test]
fn limits_are_inclusive_and_what_is_known_stays_closed() {
    let limits = Limits {
        ranges: &[(1025, 5000), (49152, 65535)],
        known: &[(2701, 2702), (50000, 50000)],
    };
    for port in [1025, 5000, 49152, 65535, 2700, 2703, 49999] {
        assert_eq!(limits.judge(port), Ok(()), "{port}");
    }
    for port in [0, 135, 139, 445, 1433, 3389, 2701, 2702, 50000] {
        assert_eq!(limits.judge(port), Err(Refusal::ForbiddenPort), "{port}");
    }
    for port in [1, 1024, 5001, 49151] {
        assert_eq!(limits.judge(port), Err(Refusal::OutsideRange), "{port}");
    }
}

#[test]
fn names_are_written_as_everybody_writes_them() {
    let text = format!("{}", Uuid(0x0000_01a0_0000_0000_c000_0000_0000_0046));
    assert_eq!(text, "000001a0-0000-0000-c000-000000000046");
}

#[test]
fn every_refusal_has_a_label_of_its_own() {
    let labels: BTreeSet<&str> = Refusal::ALL.iter().map(|reason| reason.label()).collect();
    assert_eq!(labels.len(), Refusal::ALL.len());
}
