use super::{comment, direction_flag, tagged};
use crate::blocked::Names;
use crate::kernel::Dropped;
use crate::policy::ServiceNames;
use sccm_common::capture::{About, Header, mark};
use sccm_common::{Reason, ServiceClass};

#[test]
fn a_tag_goes_back_to_its_place() {
    let mut dropped = Dropped {
        header: Header::default(),
        bytes: (0..20).collect(),
    };
    assert_eq!(tagged(&dropped), (dropped.bytes.as_slice().into(), 0));
    dropped.header.tag = 0x8100_2014;
    let (bytes, added) = tagged(&dropped);
    assert_eq!(added, 4);
    assert_eq!(bytes[..12], dropped.bytes[..12]);
    assert_eq!(bytes[12..16], [0x81, 0x00, 0x20, 0x14]);
    assert_eq!(bytes[16..], dropped.bytes[12..]);
    dropped.bytes.truncate(11);
    assert_eq!(tagged(&dropped), (dropped.bytes.as_slice().into(), 0));
}

#[test]
fn comments_say_what_why_and_which_way() {
    let names = Names {
        services: ServiceNames::default(),
        ..Names::default()
    };
    let mut about = About {
        reason: Reason::NotAllowed as u8,
        service: ServiceClass::TCP.0,
        slot: 0,
        marks: 0,
    };
    assert_eq!(
        comment(about, &names),
        "dropped inbound: not-allowed (tcp none). No link or rule allows the sender this service, \
         and the packet answers nothing that the protected system opened."
    );
    assert_eq!(direction_flag(about), 1);
    about.reason = Reason::Ipv4Version as u8;
    about.marks = mark::OBSERVED | mark::OUTBOUND | mark::LEAVING;
    assert_eq!(
        comment(about, &names),
        "would be dropped outbound: ipv4-version. The frame is of ethertype IPv4, but its header \
         is of another version."
    );
    assert_eq!(direction_flag(about), 2);
    about.reason = 250;
    assert!(comment(about, &names).contains("reason 250"));
}
