//! Table and walk against a scan of all prefixes.

use super::super::{Tag, TagSet, classify};
use super::random::Random;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What the definition says of an address.
fn scan(scopes: &[(IpNet, Tag)], address: IpAddr) -> (TagSet, TagSet, bool) {
    let covering = scopes.iter().filter(|(net, _)| net.contains(&address));
    let tags: Vec<Tag> = covering.map(|(_, tag)| *tag).collect();
    let own = tags.contains(&Tag::Own);
    let peers = tags.iter().filter_map(|tag| match tag {
        Tag::Peer(number) => Some(*number),
        Tag::Local(_) | Tag::Own | Tag::Source(_) => None,
    });
    let locals = tags.iter().filter_map(|tag| match tag {
        Tag::Local(number) if !own => Some(*number),
        Tag::Peer(_) | Tag::Local(_) | Tag::Own | Tag::Source(_) => None,
    });
    (peers.collect(), locals.collect(), own)
}

/// The first address of a prefix, the last, the one before and the one after.
fn bounds(net: &IpNet) -> [IpAddr; 4] {
    let beside = |address: IpAddr, step: i8| -> IpAddr {
        match address {
            IpAddr::V4(address) => {
                let bits = address.to_bits().wrapping_add_signed(step.into());
                Ipv4Addr::from_bits(bits).into()
            }
            IpAddr::V6(address) => {
                let bits = address.to_bits().wrapping_add_signed(step.into());
                Ipv6Addr::from_bits(bits).into()
            }
        }
    };
    let (first, last) = (net.network(), net.broadcast());
    [first, last, beside(first, -1), beside(last, 1)]
}

fn agrees(scopes: &[(IpNet, Tag)], random: &mut Random) {
    let classes = classify(scopes.iter().copied()).unwrap();
    let anywhere = (0..50).flat_map(|_| [random.v4(32).addr(), random.v6(128).addr()]);
    let anywhere: Vec<IpAddr> = anywhere.collect();
    let bounds = scopes.iter().flat_map(|(net, _)| bounds(net));
    for address in bounds.chain(anywhere) {
        let (peers, locals, own) = scan(scopes, address);
        let expected = (&peers, &locals, own);
        assert_eq!(classes.tags(address), expected, "{address} of {scopes:?}");
    }
}

#[test]
fn any_prefixes() {
    let mut random = Random(0x5cc3);
    for round in 0..400 {
        let count = 1 + random.below(1 << (round % 8)) as usize;
        let scopes = random.scopes(count);
        agrees(&scopes, &mut random);
    }
}

/// Many prefixes in one place, so that branches of every width are built, with
/// hosts and wider prefixes among them.
#[test]
fn many_prefixes_in_one_place() {
    let mut random = Random(0xadd7);
    for (base, width) in [
        ("10.7.0.0/16", 32),
        ("2001:db8::/32", 128),
        ("2001:db8:1:2::/62", 128),
        ("2001:db8::aaaa:0:0:0/80", 128),
    ] {
        let base: IpNet = base.parse().unwrap();
        for count in [4, 9, 33, 120, 700] {
            let mut scopes = vec![(base, Tag::Peer(9))];
            while scopes.len() < count {
                let length = base.prefix_len() + 1 + random.below(12) as u8;
                let length = match random.below(2) {
                    0 => width,
                    _ => length.min(width),
                };
                let inside = match (base, random.v4(32), random.v6(128)) {
                    (IpNet::V4(base), IpNet::V4(any), _) => {
                        let bits = base.addr().to_bits()
                            | any.addr().to_bits() & base.hostmask().to_bits();
                        IpNet::new(Ipv4Addr::from_bits(bits).into(), length)
                    }
                    (IpNet::V6(base), _, IpNet::V6(any)) => {
                        let bits = base.addr().to_bits()
                            | any.addr().to_bits() & base.hostmask().to_bits();
                        IpNet::new(Ipv6Addr::from_bits(bits).into(), length)
                    }
                    other => panic!("{other:?}"),
                };
                scopes.push((inside.unwrap().trunc(), Tag::Peer(random.below(4) as u16)));
            }
            agrees(&scopes, &mut random);
        }
    }
}
