//! The decision, driven by frames and a clock.

mod big;
mod candidates;
mod closing;
mod departures;
mod dhcp;
mod dhcp_relays;
mod flows;
mod fragments;
mod groups;
mod icmp_errors;
mod icmp_quotes;
mod links;
mod membership;
mod outbound;
mod places;
mod probes;
mod questions;
mod routes;
mod rpc;
mod sources;
mod tftp;
mod tftp_ends;
mod timeouts;
mod translated;
mod unlisted;
