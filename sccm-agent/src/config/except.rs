//! Subtraction: what is left of a list without the addresses that are excepted from it.

use ipnet::IpNet;

/// The prefixes that cover the rest exactly; `None` if there would be more than `most` of them.
pub(super) fn subtract(list: &[IpNet], except: Vec<IpNet>, most: usize) -> Option<Vec<IpNet>> {
    let mut rest = Vec::new();
    // Sorted, and none within another.
    let except = IpNet::aggregate(&except);
    for prefix in list {
        take_away(*prefix, &except, most, &mut rest)?;
    }
    Some(rest)
}

/// `except` is sorted, so what touches a prefix is one slice of it.
fn take_away(prefix: IpNet, except: &[IpNet], most: usize, rest: &mut Vec<IpNet>) -> Option<()> {
    let begin = except.partition_point(|one| one.broadcast() < prefix.network());
    let end = except.partition_point(|one| one.network() <= prefix.broadcast());
    let touching = &except[begin..end.max(begin)];
    if touching.is_empty() {
        rest.push(prefix);
        return (rest.len() <= most).then_some(());
    }
    if touching.iter().any(|one| one.contains(&prefix)) {
        return Some(());
    }
    // Something within it is excepted, so it is no single address.
    let halves = prefix.subnets(prefix.prefix_len() + 1).ok()?;
    for half in halves {
        take_away(half, touching, most, rest)?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrand::Rng;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    /// Prefixes of both families that lie within and beside each other, of the last eight bits.
    fn random(random: &mut Rng) -> Vec<IpNet> {
        let one = |random: &mut Rng| {
            let (last, short) = (random.u8(..), random.u8(..=8));
            let address: IpAddr = match random.bool() {
                true => Ipv4Addr::new(10, 0, 0, last).into(),
                false => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last.into()).into(),
            };
            let whole = IpNet::from(address);
            IpNet::new(address, whole.max_prefix_len() - short)
                .unwrap()
                .trunc()
        };
        (0..random.usize(..6)).map(|_| one(random)).collect()
    }

    #[test]
    fn an_address_is_left_if_it_is_listed_and_not_excepted() {
        let mut seeds = Rng::with_seed(1);
        for _ in 0..300 {
            let (list, except) = (random(&mut seeds), random(&mut seeds));
            let rest = subtract(&list, except.clone(), usize::MAX).unwrap();
            for last in 0..=u8::MAX {
                for address in [
                    IpAddr::from(Ipv4Addr::new(10, 0, 0, last)),
                    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last.into()).into(),
                ] {
                    let within = |nets: &[IpNet]| nets.iter().any(|net| net.contains(&address));
                    assert_eq!(
                        within(&rest),
                        within(&list) && !within(&except),
                        "{address} of {list:?} without {except:?}: {rest:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn whole_families_lose_a_host_and_large_lists_are_quick() {
        let net = |text: &str| -> IpNet { text.parse().unwrap() };
        let all = [net("0.0.0.0/0"), net("::/0")];
        let hosts = vec![net("192.0.2.1/32"), net("2001:db8::1/128")];
        assert_eq!(subtract(&all, hosts.clone(), 1000).unwrap().len(), 32 + 128);
        assert_eq!(subtract(&all, hosts, 100), None);
        assert_eq!(subtract(&all, all.to_vec(), 1), Some(Vec::new()));

        let host = |number: u32| IpNet::from(IpAddr::from(Ipv4Addr::from(number)));
        let (list, odd): (Vec<_>, Vec<_>) = (0x0a00_0000..0x0a01_86a0)
            .map(|number| (host(number), number % 2 == 1))
            .unzip();
        let except = list
            .iter()
            .zip(odd)
            .filter_map(|(net, odd)| odd.then_some(*net));
        let rest = subtract(&list, except.collect(), list.len()).unwrap();
        assert_eq!(rest.len(), list.len() / 2);
    }
}
