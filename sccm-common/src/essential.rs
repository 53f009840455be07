//! Essentials: traffic without which the network itself breaks.
//!
//! A filter that drops these cuts its own host off within minutes. An operator can
//! remove each by an explicit setting; no other setting removes any.

use crate::reason::Reason;

/// The essentials, in the order of their bits.
pub const ESSENTIALS: [Reason; 23] = [
    Reason::Arp,
    Reason::Eapol,
    Reason::Lldp,
    Reason::Stp,
    Reason::SlowProtocol,
    Reason::Ptp,
    Reason::IcmpError,
    Reason::NeighbourDiscovery,
    Reason::Igmp,
    Reason::Mld,
    Reason::DhcpReply,
    Reason::Pvst,
    Reason::Udld,
    Reason::Cdp,
    Reason::Vtp,
    Reason::Dtp,
    Reason::Pagp,
    Reason::Mvrp,
    Reason::Mmrp,
    Reason::Cfm,
    Reason::Erps,
    Reason::Mka,
    Reason::Rarp,
];

/// A set of essentials: one bit for each, in the order of [`ESSENTIALS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct EssentialSet(pub u32);

impl EssentialSet {
    /// All of them: the default.
    pub const ALL: Self = Self((1 << ESSENTIALS.len()) - 1);

    /// Takes `reason` away.
    pub const fn remove(&mut self, reason: Reason) {
        if let Some(bit) = Self::bit(reason) {
            self.0 &= !bit;
        }
    }

    /// [`Reason::EssentialRemoved`] for an essential that was taken away; any
    /// other reason as it is.
    #[inline(always)]
    pub const fn judge(self, reason: Reason) -> Reason {
        match Self::bit(reason) {
            Some(bit) if self.0 & bit == 0 => Reason::EssentialRemoved,
            _ => reason,
        }
    }

    #[inline(always)]
    const fn bit(reason: Reason) -> Option<u32> {
        // A request is of no use without its answer.
        let reason = match reason {
            Reason::DhcpRequest => Reason::DhcpReply,
            other => other,
        };
        // Three rows of numbers that follow each other.
        let number = reason as u8;
        let index = match reason {
            Reason::Mka => 21,
            Reason::Rarp => 22,
            _ if number >= Reason::Pvst as u8 && number <= Reason::Erps as u8 => {
                number - Reason::Pvst as u8 + 11
            }
            _ if number >= Reason::Arp as u8 && number <= Reason::DhcpReply as u8 => {
                number - Reason::Arp as u8
            }
            _ => return None,
        };
        Some(1 << index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_essential_can_be_removed_alone() {
        for removed in ESSENTIALS {
            let mut set = EssentialSet::ALL;
            set.remove(removed);
            for reason in ESSENTIALS {
                let expected = if reason == removed {
                    Reason::EssentialRemoved
                } else {
                    reason
                };
                assert_eq!(set.judge(reason), expected);
            }
        }
    }

    #[test]
    fn each_has_the_bit_of_its_place_and_nothing_else_has_one() {
        for reason in Reason::ALL {
            let place = ESSENTIALS.iter().position(|essential| essential == reason);
            let expected = match reason {
                Reason::DhcpRequest => EssentialSet::bit(Reason::DhcpReply),
                _ => place.map(|place| 1 << place),
            };
            assert_eq!(EssentialSet::bit(*reason), expected, "{reason:?}");
        }
    }

    #[test]
    fn requests_of_dhcp_go_with_their_answers() {
        let mut set = EssentialSet::ALL;
        assert_eq!(set.judge(Reason::DhcpRequest), Reason::DhcpRequest);
        set.remove(Reason::DhcpReply);
        assert_eq!(set.judge(Reason::DhcpRequest), Reason::EssentialRemoved);
    }
}
