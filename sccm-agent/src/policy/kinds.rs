//! All addresses, sorted by what a policy makes of them.
//!
//! The tables know classes by number. Here each class has its addresses, and the words of the policy
//! for them, so that a question about roles or systems is a question about a few kinds of addresses,
//! and an answer holds for all addresses of these kinds.

use super::explain::{is_unlisted, opens};
use super::handed_out::handed_out;
use super::scopes::{self, Local, Peer};
use super::{Compiled, Opener, Request, ServiceNames, SitePolicy, Tables, compile};
use crate::catalog::RoleId;
use anyhow::Result;
use sccm_common::address::{AddressClass, Family, LOCAL_SELF};
use sccm_common::policy::Access;
use sccm_common::service::ServiceSet;
use sccm_common::{Policy, ServiceClass};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::RangeInclusive;

/// Addresses of one family between which a policy makes no difference.
#[derive(Debug, Clone)]
pub struct Kind {
    /// Their class, with marks.
    pub class: AddressClass,
    /// Which addresses: the first and the last of each row.
    pub rows: Vec<(IpAddr, IpAddr)>,
    /// The entries of `protect` that they are of, on this side of the machine.
    pub systems: Vec<usize>,
    /// Whether one of these entries names them, or one that is elsewhere does.
    pub is_listed: bool,
    /// The roles that `peers` and `protect` give them.
    pub roles: BTreeSet<RoleId>,
    /// Whether they stand for many.
    pub is_group: bool,
    /// Whether it is the address of a computer that has none yet.
    pub is_unconfigured: bool,
    /// Whether they are of the Internet, where the policy tells.
    pub is_of_the_internet: bool,
    /// Whether they are protected nowhere, and no rule leads to them.
    is_unlisted: bool,
}

impl Kind {
    /// One of the addresses.
    #[must_use]
    pub fn example(&self) -> IpAddr {
        self.rows[0].0
    }

    /// Whether they are the gateway's own.
    #[must_use]
    pub const fn is_own(&self) -> bool {
        self.class.local == LOCAL_SELF
    }

    /// Whether no packet that comes in has such a source.
    #[must_use]
    pub const fn is_nobody(&self) -> bool {
        self.class.is_marked(AddressClass::NOBODY)
    }

    /// Whether they may be the other end of something that a computer beyond this machine does.
    #[must_use]
    pub fn is_outside(&self) -> bool {
        let is_source = !self.is_nobody() || self.is_unconfigured;
        is_source
            && !self.is_own()
            && !self.is_group
            && !self.is_listed
            && !self.class.is_marked(AddressClass::INSIDE)
    }

    /// Whether both are of one family.
    #[must_use]
    pub fn is_of_family(&self, other: &Self) -> bool {
        self.example().is_ipv4() == other.example().is_ipv4()
    }

    /// Whether some of them lie between two addresses.
    #[must_use]
    pub fn touches(&self, first: IpAddr, last: IpAddr) -> bool {
        self.rows
            .iter()
            .any(|row| row.0 <= last && first <= row.1 && row.0.is_ipv4() == first.is_ipv4())
    }
}

/// A compiled policy, and all kinds of addresses that it tells apart.
pub struct Kinds<'a> {
    /// The policy as it was written.
    pub policy: &'a SitePolicy,
    /// As the kernel has it.
    pub compiled: Compiled,
    /// The kinds, each once.
    pub all: Vec<Kind>,
}

impl<'a> Kinds<'a> {
    /// Compiles a policy and sorts all addresses by it.
    ///
    /// # Errors
    /// As [`compile`].
    pub fn new(request: &Request<'a>) -> Result<Self> {
        Self::numbered(request, ServiceNames::default())
    }

    /// The same, with the numbers that services and rows have already.
    ///
    /// # Errors
    /// As [`compile`].
    pub fn numbered(request: &Request<'a>, names: ServiceNames) -> Result<Self> {
        let policy = request.policy;
        let compiled = compile(request, names)?;
        let tables = Tables::from(&compiled);
        let scopes = scopes::of(policy, request.machine);
        let mut all: Vec<Kind> = Vec::new();
        for family in [Family::V4, Family::V6] {
            let mut known: BTreeMap<AddressClass, usize> = BTreeMap::new();
            for (first, last, class) in tables.rows(family) {
                let index = *known.entry(class).or_insert_with(|| {
                    let ends = (scopes.local_at(first), scopes.peer_at(first));
                    all.push(kind(policy, class, &ends));
                    all.len() - 1
                });
                all[index].rows.push((first, last));
            }
        }
        Ok(Self {
            policy,
            compiled,
            all,
        })
    }

    /// The rights between a protected and another end.
    #[must_use]
    pub fn access(&self, local: &Kind, peer: &Kind) -> &Access {
        let tables = &self.compiled.policy;
        tables.access(tables.pair(local.class.local, peer.class.peer))
    }

    /// All that one end may open to the other only as its endpoint mapper hands it out.
    #[must_use]
    pub fn handed_out(&self, opener: Opener, local: &Kind, peer: &Kind) -> ServiceSet {
        let access = self.access(local, peer);
        handed_out(&self.compiled.policy, self.policy.outbound, access, opener)
    }

    /// All that one end may open to the other.
    #[must_use]
    pub fn open(&self, opener: Opener, local: &Kind, peer: &Kind) -> ServiceSet {
        let access = self.access(local, peer);
        let is_open = |class: u8| {
            let class = ServiceClass(class);
            opens(
                self.policy.outbound,
                access,
                class,
                opener,
                local.is_unlisted,
            )
        };
        let mut open = ServiceSet::default();
        for class in (0..=u8::MAX).filter(|class| is_open(*class)) {
            open.insert(ServiceClass(class));
        }
        open
    }
}

fn kind(policy: &SitePolicy, class: AddressClass, ends: &(Local<'_>, Peer<'_>)) -> Kind {
    let (local, peer) = ends;
    let entries = match local {
        Local::Systems { entries, .. } => entries.as_slice(),
        Local::Own | Local::EndsHere | Local::Group { .. } => &[],
    };
    let here = |entry: &&usize| !policy.protect[**entry].elsewhere;
    let named = |entry: &usize| !policy.protect[*entry].addresses.is_empty();
    Kind {
        class,
        rows: Vec::new(),
        systems: entries.iter().filter(here).copied().collect(),
        is_listed: entries.iter().any(named),
        roles: peer.roles.iter().map(|role| (*role).clone()).collect(),
        is_group: peer.group || matches!(local, Local::Group { .. } | Local::EndsHere),
        is_unconfigured: peer.unconfigured,
        is_of_the_internet: peer.is_of_the_internet(),
        is_unlisted: is_unlisted(local),
    }
}

/// The ports of a protocol's table whose services are in a set, as far as they lie in `within`.
#[must_use]
pub fn ports_of(
    table: &[ServiceClass],
    set: ServiceSet,
    within: &RangeInclusive<u16>,
) -> Vec<RangeInclusive<u16>> {
    let mut found: Vec<RangeInclusive<u16>> = Vec::new();
    for port in within.clone() {
        let is_in = table
            .get(usize::from(port))
            .is_some_and(|class| set.contains(*class));
        if !is_in {
            continue;
        }
        match found.last_mut() {
            Some(last) if port.checked_sub(1) == Some(*last.end()) => *last = *last.start()..=port,
            _ => found.push(port..=port),
        }
    }
    found
}

/// The table of a protocol of a policy.
#[must_use]
pub fn table_of<'a>(policy: &'a Policy, protocol: &str) -> &'a [ServiceClass] {
    match protocol {
        "tcp" => &policy.tcp,
        "udp" => &policy.udp,
        "icmp" => &policy.icmp,
        "icmpv6" => &policy.icmpv6,
        _ => &policy.protocol,
    }
}
