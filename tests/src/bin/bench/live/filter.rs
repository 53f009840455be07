//! The filters that stand side by side, and how each is set up.
//!
//! All hold the ports of a distribution point, except where the number of rules is what is
//! measured. To add a filter, add a variant.

use std::os::fd::{AsFd as _, OwnedFd};

use anyhow::Result;

use super::nftables::{self, Hook};
use super::{Line, agent, firewalld, xdp_filter};
use crate::floor;
use crate::sys;

/// The ports of a distribution point: `sccm-agent roles distribution-point`.
pub const TCP: &str = "80, 135, 443, 445, 49152-65535";
pub const UDP: &str = "135, 63000-64000";

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// A program of two instructions that drops everything.
    Empty,
    /// `sccm-agent enforce`: by role alone, or for clients in so many prefixes.
    Agent(Option<u32>),
    /// By role alone, with `--count-only`.
    AgentCounting,
    /// By role alone, at TC.
    AgentAtTc,
    /// xdp-filter with all features, or those only that the ports need.
    Xdp {
        /// All of them.
        all: bool,
    },
    /// nftables with the ports in sets.
    Nftables(Hook),
    /// nftables at the card, with the ports in sets, for clients in so many prefixes, in a set.
    NftablesPrefixes(u32),
    /// nftables at the card, with a rule for each of so many ports.
    NftablesRules(u32),
    /// firewalld as it comes, which answers with an error.
    Firewalld,
}

/// All of them; the floor is the first.
pub fn all() -> Vec<Filter> {
    vec![
        Filter::Empty,
        Filter::Agent(None),
        Filter::AgentCounting,
        Filter::AgentAtTc,
        Filter::Agent(Some(1)),
        Filter::Agent(Some(100)),
        Filter::Agent(Some(1_000)),
        Filter::Agent(Some(100_000)),
        Filter::Xdp { all: false },
        Filter::Xdp { all: true },
        Filter::Nftables(Hook::Ingress),
        Filter::Nftables(Hook::Raw),
        Filter::NftablesPrefixes(1),
        Filter::NftablesPrefixes(100),
        Filter::NftablesPrefixes(1_000),
        Filter::NftablesPrefixes(100_000),
        Filter::NftablesRules(1),
        Filter::NftablesRules(100),
        Filter::NftablesRules(1_000),
        Filter::Firewalld,
    ]
}

/// A filter that is at work, until it is dropped.
pub trait Installed {
    /// Frames that it has dropped; none where it does not say.
    fn dropped(&self) -> Result<Option<u64>>;
}

impl Filter {
    /// What the table calls it.
    pub fn name(self) -> String {
        match self {
            Self::Empty => "empty XDP program".into(),
            Self::Agent(None) => "sccm-agent, role only".into(),
            Self::AgentCounting => "sccm-agent, role only, counting alone".into(),
            Self::AgentAtTc => "sccm-agent at TC, role only".into(),
            Self::Agent(Some(count)) => format!("sccm-agent, {} client prefixes", grouped(count)),
            Self::Xdp { all: false } => "xdp-filter, ports only".into(),
            Self::Xdp { all: true } => "xdp-filter, all features".into(),
            Self::Nftables(Hook::Ingress) => "nftables netdev ingress, sets".into(),
            Self::Nftables(Hook::Raw) => "nftables prerouting raw, sets".into(),
            Self::NftablesPrefixes(count) => {
                format!("nftables ingress, {} client prefixes", grouped(count))
            }
            Self::NftablesRules(count) => {
                format!("nftables ingress, {} rules, no sets", grouped(count))
            }
            Self::Firewalld => "firewalld, default zone".into(),
        }
    }

    /// How many rules or prefixes it has, where that is what is measured.
    pub const fn size(self) -> Option<u32> {
        match self {
            Self::Agent(size) => size,
            Self::NftablesPrefixes(size) | Self::NftablesRules(size) => Some(size),
            _ => None,
        }
    }

    /// Frames of a run, fewer where one takes long.
    pub const fn frames(self) -> u32 {
        match self {
            Self::NftablesRules(100..) | Self::Firewalld => super::FRAMES / 10,
            _ => super::FRAMES,
        }
    }

    /// Sets it up at the receiver's end.
    pub fn install(self, line: &Line) -> Result<Box<dyn Installed + '_>> {
        Ok(match self {
            Self::Empty => Box::new(Empty::new(line)?),
            Self::Agent(prefixes) => {
                Box::new(agent::AtWork::new(line, "xdp", &agent::text(prefixes))?)
            }
            Self::AgentAtTc => Box::new(agent::AtWork::new(line, "tc", &agent::text(None))?),
            Self::AgentCounting => {
                let text = format!("{}[site]\ncount-only = true\n", agent::text(None));
                Box::new(agent::AtWork::new(line, "xdp", &text)?)
            }
            Self::Xdp { all } => Box::new(xdp_filter::AtWork::new(line, all)?),
            Self::Nftables(hook) => {
                let rules = nftables::ports();
                Box::new(nftables::AtWork::new(line, hook, "", &rules)?)
            }
            Self::NftablesPrefixes(count) => {
                let (set, rules) = nftables::clients(count);
                Box::new(nftables::AtWork::new(line, Hook::Ingress, &set, &rules)?)
            }
            Self::NftablesRules(count) => {
                let rules = nftables::one_by_one(count);
                Box::new(nftables::AtWork::new(line, Hook::Ingress, "", &rules)?)
            }
            Self::Firewalld => Box::new(firewalld::AtWork::new(&line.receiver, &[])?),
        })
    }
}

/// The floor.
struct Empty {
    _link: OwnedFd,
}

impl Empty {
    fn new(line: &Line) -> Result<Self> {
        let link = line.receiver.enter(|| -> Result<OwnedFd> {
            let card = nix::net::if_::if_nametoindex("eth0")?;
            sys::attach_xdp(floor::drop_all()?.as_fd(), card)
        })?;
        Ok(Self { _link: link })
    }
}

impl Installed for Empty {
    fn dropped(&self) -> Result<Option<u64>> {
        Ok(None)
    }
}

/// The so-and-so-manieth client: all /24 of 10.0.0.0/8, then hosts somewhere in 128.0.0.0/2.
pub fn client(number: u32) -> String {
    match number {
        0..0x1_0000 => format!("10.{}.{}.0/24", number >> 8, number & 255),
        _ => {
            let bits = number.wrapping_mul(0x9e37_79b1) >> 2 | 1 << 31;
            format!("{}/32", std::net::Ipv4Addr::from_bits(bits))
        }
    }
}

/// `100,000`.
fn grouped(count: u32) -> String {
    match count {
        0..1_000 => count.to_string(),
        _ => format!("{},{:03}", count / 1_000, count % 1_000),
    }
}
