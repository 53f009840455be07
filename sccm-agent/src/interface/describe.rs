//! Reads a netlink message about an interface.

use super::{Interface, Kind, XdpProgram};
use netlink_packet_route::link::{
    BondMode, InfoBond, InfoData, InfoKind, InfoVlan, LinkAttribute, LinkFlags, LinkInfo,
    LinkLayerType, LinkMessage, LinkXdp, XdpAttached,
};

/// The interface that a message is about.
pub(crate) fn describe(message: &LinkMessage) -> Interface {
    let mut interface = Interface {
        name: String::new(),
        index: message.header.index,
        up: message.header.flags.contains(LinkFlags::Up),
        controller: None,
        kind: Kind::Card,
        xdp: None,
    };
    let mut link = None;
    let mut elsewhere = false;
    let mut info: &[LinkInfo] = &[];
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => interface.name.clone_from(name),
            LinkAttribute::Controller(index) => interface.controller = Some(*index),
            LinkAttribute::Xdp(xdp) => interface.xdp = describe_xdp(xdp),
            LinkAttribute::Link(index) => link = Some(*index),
            LinkAttribute::LinkNetNsId(_) => elsewhere = true,
            LinkAttribute::LinkInfo(attributes) => info = attributes,
            _ => {}
        }
    }
    // The number of an interface in another network namespace means nothing here.
    interface.kind = match describe_kind(info, link.filter(|_| !elsewhere)) {
        Kind::Card => card(message.header.link_layer_type),
        kind => kind,
    };
    interface
}

/// The loopback interface puts an Ethernet header before its frames, too
/// (drivers/net/loopback.c).
const fn card(link_type: LinkLayerType) -> Kind {
    match link_type {
        LinkLayerType::Ether | LinkLayerType::Loopback => Kind::Card,
        LinkLayerType::None
        | LinkLayerType::Ppp
        | LinkLayerType::Tunnel
        | LinkLayerType::Tunnel6
        | LinkLayerType::Sit
        | LinkLayerType::Rawip => Kind::Tunnel,
        _ => Kind::OtherLink,
    }
}

fn describe_kind(info: &[LinkInfo], link: Option<u32>) -> Kind {
    let kind = info.iter().find_map(|info| match info {
        LinkInfo::Kind(kind) => Some(kind),
        _ => None,
    });
    let vlan = info.iter().find_map(|info| match info {
        LinkInfo::Data(InfoData::Vlan(attributes)) => attributes.iter().find_map(vlan_id),
        _ => None,
    });
    match (kind, vlan) {
        (Some(InfoKind::Vlan), Some(id)) => Kind::Vlan { parent: link, id },
        (Some(InfoKind::Veth), _) => Kind::Veth { peer: link },
        (Some(InfoKind::Bridge | InfoKind::Bond | InfoKind::Team), _) => Kind::Group {
            bond: bond_mode(info),
        },
        (Some(InfoKind::Vrf), _) => Kind::Vrf,
        _ => Kind::Card,
    }
}

fn bond_mode(info: &[LinkInfo]) -> Option<BondMode> {
    info.iter().find_map(|info| match info {
        LinkInfo::Data(InfoData::Bond(attributes)) => {
            attributes.iter().find_map(|attribute| match attribute {
                InfoBond::Mode(mode) => Some(*mode),
                _ => None,
            })
        }
        _ => None,
    })
}

const fn vlan_id(attribute: &InfoVlan) -> Option<u16> {
    match attribute {
        InfoVlan::Id(id) => Some(*id),
        _ => None,
    }
}

fn describe_xdp(attributes: &[LinkXdp]) -> Option<XdpProgram> {
    let id = attributes.iter().find_map(|attribute| match attribute {
        LinkXdp::ProgId(id) => Some(*id),
        _ => None,
    })?;
    let generic = attributes.contains(&LinkXdp::Attached(XdpAttached::SocketBuffer));
    Some(XdpProgram { id, generic })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(kind: InfoKind, data: Option<InfoData>, more: Vec<LinkAttribute>) -> Kind {
        let mut message = LinkMessage::default();
        let mut info = vec![LinkInfo::Kind(kind)];
        info.extend(data.map(LinkInfo::Data));
        message.header.link_layer_type = LinkLayerType::Ether;
        message.attributes = vec![LinkAttribute::LinkInfo(info), LinkAttribute::Link(7)];
        message.attributes.extend(more);
        describe(&message).kind
    }

    #[test]
    fn what_stands_on_others_is_told_from_cards() {
        let vlan = || Some(InfoData::Vlan(vec![InfoVlan::Id(20)]));
        let elsewhere = || vec![LinkAttribute::LinkNetNsId(0)];
        let on = |parent| Kind::Vlan { parent, id: 20 };
        assert_eq!(kind(InfoKind::Vlan, vlan(), vec![]), on(Some(7)));
        assert_eq!(kind(InfoKind::Vlan, vlan(), elsewhere()), on(None));
        let veth = |peer| Kind::Veth { peer };
        assert_eq!(kind(InfoKind::Veth, None, vec![]), veth(Some(7)));
        assert_eq!(kind(InfoKind::Veth, None, elsewhere()), veth(None));
        for group in [InfoKind::Bridge, InfoKind::Bond, InfoKind::Team] {
            assert_eq!(kind(group, None, vec![]), Kind::Group { bond: None });
        }
        let mode = BondMode::Ieee8023Ad;
        let attributes = vec![InfoBond::MiiMon(50), InfoBond::Mode(mode)];
        let bond = kind(InfoKind::Bond, Some(InfoData::Bond(attributes)), vec![]);
        assert_eq!(bond, Kind::Group { bond: Some(mode) });
        assert_eq!(kind(InfoKind::Tun, None, vec![]), Kind::Card);
    }

    #[test]
    fn the_link_type_says_what_frames_begin_with() {
        let kind = |link_type| {
            let mut message = LinkMessage::default();
            message.header.link_layer_type = link_type;
            describe(&message).kind
        };
        for link_type in [LinkLayerType::Ether, LinkLayerType::Loopback] {
            assert_eq!(kind(link_type), Kind::Card);
        }
        // A tun device or WireGuard, PPP, IP in IP, SIT.
        for link_type in [
            LinkLayerType::None,
            LinkLayerType::Ppp,
            LinkLayerType::Tunnel,
            LinkLayerType::Tunnel6,
            LinkLayerType::Sit,
            LinkLayerType::Rawip,
        ] {
            assert_eq!(kind(link_type), Kind::Tunnel, "{link_type}");
        }
        // And what the library does not know.
        for link_type in [
            LinkLayerType::Ipgre,
            LinkLayerType::Ip6gre,
            LinkLayerType::Infiniband,
            LinkLayerType::Void,
        ] {
            assert_eq!(kind(link_type), Kind::OtherLink, "{link_type}");
        }
    }
}
