//! Built tables, walked as the kernel walks them.

mod random;
mod scan;
mod sources;
mod walks;

use super::{Classes, Tag, TagSet, classify};
use ipnet::IpNet;
use sccm_common::address::{self, AddressClass, LOCAL_SELF};
use sccm_common::{Address, address::Family};
use std::net::IpAddr;

impl Classes {
    /// The class of an address.
    fn class(&self, address: IpAddr) -> AddressClass {
        let (family, address) = match address {
            IpAddr::V4(address) => (Family::V4, Address::v4(address.octets())),
            IpAddr::V6(address) => {
                let (high, low) = ((address.to_bits() >> 64) as u64, address.to_bits() as u64);
                (Family::V6, Address { high, low })
            }
        };
        address::classify(self.table.trie(), family, &address)
    }

    /// Peer tags, local tags, and whether it is this machine's own.
    fn tags(&self, address: IpAddr) -> (&TagSet, &TagSet, bool) {
        let class = self.class(address);
        (
            &self.peers[usize::from(class.peer_number())],
            &self.locals[usize::from(class.local)],
            class.local == LOCAL_SELF,
        )
    }

    fn peer_tags(&self, address: &str) -> Vec<u16> {
        let (peers, _, _) = self.tags(address.parse().unwrap());
        peers.iter().copied().collect()
    }
}

fn net(prefix: &str) -> IpNet {
    prefix.parse().unwrap()
}

/// Each prefix with its index as a peer tag.
fn peers(prefixes: &[&str]) -> Classes {
    let nets = prefixes.iter().map(|prefix| net(prefix));
    classify(nets.zip((0..).map(Tag::Peer))).unwrap()
}

/// The text of the refusal.
fn refusal(scopes: impl IntoIterator<Item = (IpNet, Tag)>) -> String {
    match classify(scopes) {
        Ok(_) => panic!("not refused"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_narrow_prefix_keeps_the_rights_of_the_wide_one() {
    let classes = peers(&[
        "10.0.0.0/8",
        "10.1.2.0/23",
        "10.1.2.3/32",
        "::/0",
        "2001:db8::/33",
    ]);
    for (address, expected) in [
        ("9.255.255.255", vec![]),
        ("10.0.0.0", vec![0]),
        ("10.1.1.255", vec![0]),
        ("10.1.2.0", vec![0, 1]),
        ("10.1.2.3", vec![0, 1, 2]),
        ("10.1.3.255", vec![0, 1]),
        ("10.1.4.0", vec![0]),
        ("10.255.255.255", vec![0]),
        ("11.0.0.0", vec![]),
        ("2001:db8::1", vec![3, 4]),
        ("2001:db8:7fff::1", vec![3, 4]),
        ("2001:db8:8000::1", vec![3]),
        ("fe80::1", vec![3]),
    ] {
        assert_eq!(classes.peer_tags(address), expected, "{address}");
    }
}

#[test]
fn sides_are_numbered_apart_and_own_addresses_are_nobody_elses() {
    let classes = classify([
        (net("10.0.0.0/8"), Tag::Peer(7)),
        (net("10.1.0.0/16"), Tag::Local(7)),
        (net("10.1.0.0/16"), Tag::Local(3)),
        (net("10.1.1.1/32"), Tag::Own),
        (net("10.1.1.1/32"), Tag::Local(4)),
    ])
    .unwrap();
    assert_eq!(classes.peers, [TagSet::new(), TagSet::from([7])]);
    let none = TagSet::new();
    assert_eq!(classes.locals, [none.clone(), none, TagSet::from([3, 7])]);
    let class = |address: &str| classes.class(address.parse().unwrap());
    for (address, local, peer) in [
        ("11.0.0.0", 0, 0),
        ("10.2.0.0", 0, 1),
        ("10.1.1.0", 2, 1),
        ("10.1.1.1", LOCAL_SELF, 1),
        ("10.1.1.2", 2, 1),
    ] {
        assert_eq!(class(address), AddressClass { local, peer }, "{address}");
    }
}

#[test]
fn the_families_are_apart_also_where_one_embeds_the_other() {
    let classes = peers(&["10.0.0.0/8", "::ffff:10.0.0.0/104", "::ffff:11.0.0.1/128"]);
    assert_eq!(classes.peer_tags("10.0.0.1"), [0]);
    assert_eq!(classes.peer_tags("::ffff:10.0.0.1"), [1]);
    assert_eq!(classes.peer_tags("::ffff:11.0.0.1"), [2]);
    assert_eq!(classes.peer_tags("11.0.0.1"), [0; 0]);
}

#[test]
fn bits_behind_the_length_do_not_count() {
    let classes = peers(&["10.1.2.3/8", "2001:db8::1/32"]);
    assert_eq!(classes.peer_tags("10.9.9.9"), [0]);
    assert_eq!(classes.peer_tags("2001:db8:ffff::"), [1]);
}

#[test]
fn the_order_of_the_prefixes_is_of_no_account() {
    let mut random = random::Random(5);
    let mut scopes = random.scopes(500);
    let one = classify(scopes.clone()).unwrap();
    scopes.reverse();
    let other = classify(scopes.iter().copied().chain(scopes.clone())).unwrap();
    assert_eq!(one.table.used(), other.table.used());
    assert_eq!((one.peers, one.locals), (other.peers, other.locals));
}

#[test]
fn nothing_named_is_nothing_used() {
    let classes = classify([]).unwrap();
    assert_eq!(
        classes.class("10.0.0.1".parse().unwrap()),
        AddressClass::ANY
    );
    assert_eq!(classes.table.used(), [0; 0]);
}

#[test]
fn too_many_different_rights_are_refused() {
    let host = |number: u16| IpNet::from(IpAddr::from([10, 0, (number >> 8) as u8, number as u8]));
    let different = |count: u16| (0..count).map(move |tag| (host(tag), Tag::Peer(tag)));
    // With class 0, and both local classes, all 4,096 pairs.
    assert_eq!(classify(different(2047)).unwrap().peers.len(), 2048);
    let refusal = refusal(different(2048));
    assert!(refusal.contains("the same rights"), "{refusal}");
}
