//! Whole conversations through the real program, held by real programs where there are any.
//!
//! Every file is one protocol or subject. Each test shows an allowed conversation that completes,
//! a forbidden one beside it that does not, and the metrics that tell them apart. Servers are
//! Debian's (`cargo xtask test` installs them); what no package speaks is made from sockets and
//! frames. Each test has its own namespaces, so they run side by side.

mod binl;
mod cards;
mod controller;
mod copied;
mod crossing;
mod dhcp;
mod dhcpv6;
mod dnsmasq;
mod domain;
mod firmware;
mod half_closed;
mod http;
mod icmp;
mod ipsec;
mod isc;
mod lost;
mod management;
mod members;
mod multicast;
mod multicast_routed;
mod older;
mod outbound;
mod own_sockets;
mod pair;
mod pptp;
mod programs;
mod pxe;
mod relays;
mod routers;
mod rpc;
mod rpc_domain;
mod rpc_left;
mod rpc_older;
mod rpc_tunnel;
mod smb;
mod spoofing;
mod support;
mod switches;
mod tftp;
mod tftp_requests;
mod tftp_tail;
mod third_card;
mod topology;
mod translation;
mod trunk;
mod updates;
mod vlan;
