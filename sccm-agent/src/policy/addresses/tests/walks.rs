//! How long a walk may become, and how many prefixes fit.

use super::super::{Classes, Tag, classify};
use super::random::Random;
use super::{net, refusal};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use sccm_common::address::Family;
use sccm_common::address::trie::{Entry, MAX_STEPS, Next, ROOT_BITS, Trie, root};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Nodes on the longest way from an entry.
fn longest(trie: &Trie, entry: u32) -> u32 {
    let (at, entries) = match Entry(entry).decode() {
        Next::Class(_) => return 0,
        Next::Branch { at, bits, .. } => (at as usize, 1 << bits),
        Next::Match { at, .. } => (at as usize, 2),
    };
    let entries = trie[at..at + entries].iter();
    1 + entries.map(|entry| longest(trie, *entry)).max().unwrap()
}

fn longest_walk(classes: &Classes) -> u32 {
    let trie = classes.table.trie();
    let roots = [Family::V4, Family::V6].map(root);
    let entries = roots
        .iter()
        .flat_map(|at| &trie[*at..at + (1 << ROOT_BITS)]);
    entries.map(|entry| longest(trie, *entry)).max().unwrap()
}

/// Tags that say something new of each prefix, up to `count` of them.
fn tagged(nets: impl IntoIterator<Item = IpNet>, count: u16) -> Vec<(IpNet, Tag)> {
    let tags = (0..count).cycle().map(Tag::Peer);
    nets.into_iter().zip(tags).collect()
}

/// Every prefix of an address.
fn nested_v4(address: Ipv4Addr) -> impl Iterator<Item = IpNet> {
    (0..=32).map(move |length| IpNet::from(Ipv4Net::new(address, length).unwrap()).trunc())
}

/// Every prefix of an address.
fn nested_v6(address: Ipv6Addr) -> impl Iterator<Item = IpNet> {
    (0..=128).map(move |length| IpNet::from(Ipv6Net::new(address, length).unwrap()).trunc())
}

/// Hosts that differ from an address in one bit each.
fn comb(address: Ipv6Addr) -> impl Iterator<Item = IpNet> {
    let bits = address.to_bits();
    (0..128)
        .map(move |bit| IpNet::from(std::net::IpAddr::from(Ipv6Addr::from_bits(bits ^ 1 << bit))))
}

/// A name, and a prefix of that kind.
type Kind = (&'static str, fn(&mut Random) -> IpNet);

/// A prefix inside another one.
fn within(base: &str, random: &mut Random, length: u8) -> IpNet {
    let (IpNet::V6(base), IpNet::V6(any)) = (net(base), random.v6(128)) else {
        panic!()
    };
    let bits = base.addr().to_bits() | any.addr().to_bits() & base.hostmask().to_bits();
    IpNet::from(Ipv6Net::new(Ipv6Addr::from_bits(bits), length).unwrap()).trunc()
}

#[test]
fn no_walk_is_longer_than_the_kernel_walks() {
    let mut random = Random(77);
    let address = Ipv6Addr::from_bits(0x2001_0db8_9bc4_77a1_3c5e_0f0f_8123_4567);
    let mut around_each = Vec::new();
    for _ in 0..7 {
        let IpNet::V6(host) = random.v6(128) else {
            panic!()
        };
        around_each.extend(comb(host.addr()).chain(nested_v6(host.addr())));
    }
    for (about, nets, at_most) in [
        ("one host", vec![net("10.1.2.3/32")], 1),
        ("one host of IPv6", vec![net("2001:db8::1/128")], 1),
        (
            "nested",
            nested_v4(Ipv4Addr::new(10, 77, 33, 129)).collect(),
            6,
        ),
        ("nested, IPv6", nested_v6(address).collect(), MAX_STEPS),
        ("a comb", comb(address).collect(), MAX_STEPS),
        ("many of both", around_each, MAX_STEPS),
    ] {
        let steps = longest_walk(&classify(tagged(nets, 2000)).unwrap());
        assert!((1..=at_most).contains(&steps), "{about}: {steps}");
    }
}

#[test]
fn a_hundred_thousand_prefixes_fit() {
    const COUNT: usize = 100_000;
    let mut random = Random(1);
    // 2000::/3 is what the registries give out; a /32 is one site's.
    let kinds: [Kind; 9] = [
        ("IPv4 hosts", |random| random.v4(32)),
        ("/24", |random| random.v4(24)),
        ("/64", |random| random.v6(64)),
        ("IPv6 hosts", |random| random.v6(128)),
        ("/48 of 2000::/3", |random| within("2000::/3", random, 48)),
        ("hosts of 2000::/3", |random| {
            within("2000::/3", random, 128)
        }),
        ("hosts of 1,000 networks", |random| {
            let network = random.below(1000) << 3;
            within(&format!("2001:db8:{network:x}::/64"), random, 128)
        }),
        ("neighbours in 1,000 networks", |random| {
            let network = random.below(1000).wrapping_mul(0x9e37_79b1) as u32;
            let (high, low) = (network >> 16, network & 0xffff);
            within(&format!("2001:db8:{high:x}:{low:x}::/119"), random, 128)
        }),
        ("hosts of a /32", |random| {
            within("2001:db8::/32", random, 128)
        }),
    ];
    for (about, kind) in kinds {
        let nets: Vec<IpNet> = (0..COUNT).map(|_| kind(&mut random)).collect();
        let classes = classify(tagged(nets, 7)).unwrap();
        let steps = longest_walk(&classes);
        assert!((1..=10).contains(&steps), "{about}: {steps}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut random = Random(2);
    let nets: Vec<IpNet> = (0..200_000).map(|_| random.v6(128)).collect();
    let refusal = refusal(tagged(nets, 7));
    assert!(
        refusal.contains("name fewer or wider prefixes"),
        "{refusal}"
    );
}
