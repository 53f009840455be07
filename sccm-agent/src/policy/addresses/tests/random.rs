//! Prefixes by chance, of the kinds that tables are built differently for.

use super::super::Tag;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{Ipv4Addr, Ipv6Addr};

/// A reproducible sequence of numbers (Marsaglia, "Xorshift RNGs", 2003).
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub(crate) fn v4(&mut self, length: u8) -> IpNet {
        let address = Ipv4Addr::from_bits(self.next() as u32);
        IpNet::from(Ipv4Net::new(address, length).unwrap()).trunc()
    }

    pub(crate) fn v6(&mut self, length: u8) -> IpNet {
        let address = Ipv6Addr::from_bits(u128::from(self.next()) << 64 | u128::from(self.next()));
        IpNet::from(Ipv6Net::new(address, length).unwrap()).trunc()
    }

    /// Prefixes that lie apart, beside, around and upon each other, with all kinds of tags.
    pub(crate) fn scopes(&mut self, count: usize) -> Vec<(IpNet, Tag)> {
        let mut nets: Vec<IpNet> = Vec::new();
        while nets.len() < count {
            let net = match self.below(8) {
                0 => {
                    let length = self.below(33) as u8;
                    self.v4(length)
                }
                1 => {
                    let length = self.below(129) as u8;
                    self.v6(length)
                }
                2 => self.v4(32),
                3 => self.v6(128),
                _ if nets.is_empty() => continue,
                4 => nets[self.below(nets.len() as u64) as usize],
                _ => {
                    let near = nets[self.below(nets.len() as u64) as usize];
                    self.near(near)
                }
            };
            nets.push(net);
        }
        nets.into_iter().map(|net| (net, self.tag())).collect()
    }

    /// A prefix that begins like another one, as long as it or not.
    fn near(&mut self, net: IpNet) -> IpNet {
        let flip = |width: u64, random: &mut Self| random.below(width) as u32;
        match net {
            IpNet::V4(net) => {
                let address = net.addr().to_bits() ^ 1 << flip(32, self);
                let length = self.length(net.prefix_len(), 32);
                IpNet::from(Ipv4Net::new(Ipv4Addr::from_bits(address), length).unwrap()).trunc()
            }
            IpNet::V6(net) => {
                let address = net.addr().to_bits() ^ 1 << flip(128, self);
                let length = self.length(net.prefix_len(), 128);
                IpNet::from(Ipv6Net::new(Ipv6Addr::from_bits(address), length).unwrap()).trunc()
            }
        }
    }

    /// The same length, one more, or any that is no shorter.
    fn length(&mut self, length: u8, width: u8) -> u8 {
        match self.below(3) {
            0 => length,
            1 => width.min(length + 1),
            _ => length + self.below(u64::from(width - length) + 1) as u8,
        }
    }

    fn tag(&mut self) -> Tag {
        match self.below(10) {
            0 => Tag::Own,
            1..4 => Tag::Local(self.below(3) as u16),
            _ => Tag::Peer(self.below(5) as u16),
        }
    }
}
