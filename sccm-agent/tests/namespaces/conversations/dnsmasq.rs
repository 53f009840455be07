//! dnsmasq in its many parts: DHCP server, DHCP relay, boot server, DHCPv6 server.

use std::net::IpAddr;

use anyhow::Result;
use sccm_tests::netns::Namespace;

use super::programs::{Daemon, directory};

/// A DHCP server on `eth0` that leases `range`, first to last address.
pub fn dhcp_server(host: &Namespace, range: &str) -> Result<Daemon> {
    let range = format!("--dhcp-range={range},1h");
    dnsmasq(host, &["--interface=eth0", &range], &[("udp", 67)])
}

/// A DHCP relay from the cable of the address `local` to all `servers`.
pub fn dhcp_relay(host: &Namespace, local: IpAddr, servers: &[IpAddr]) -> Result<Daemon> {
    let relays: Vec<String> = servers
        .iter()
        .map(|server| format!("--dhcp-relay={local},{server}"))
        .collect();
    let relays: Vec<&str> = relays.iter().map(String::as_str).collect();
    dnsmasq(host, &relays, &[("udp", 67)])
}

/// A boot server on `eth0`: it adds `file` to the offers of the DHCP servers of `subnets`, leases
/// nothing (ProxyDHCP), and answers on UDP 4011.
pub fn boot_server(host: &Namespace, subnets: &[&str], file: &str) -> Result<Daemon> {
    let ranges: Vec<String> = subnets
        .iter()
        .map(|subnet| format!("--dhcp-range={subnet},proxy,255.255.255.0"))
        .collect();
    let service = format!("--pxe-service=x86-64_EFI,Boot,{file}");
    let mut settings = vec!["--interface=eth0", &service];
    settings.extend(ranges.iter().map(String::as_str));
    dnsmasq(host, &settings, &[("udp", 67), ("udp", 4011)])
}

/// A DHCPv6 server on `eth0` that leases `range`, first to last address.
pub fn dhcpv6_server(host: &Namespace, range: &str) -> Result<Daemon> {
    let range = format!("--dhcp-range={range},64,1h");
    dnsmasq(host, &["--interface=eth0", &range], &[("udp", 547)])
}

/// A DHCPv6 relay from the cable of the address `local` to `server`.
pub fn dhcpv6_relay(host: &Namespace, local: IpAddr, server: IpAddr) -> Result<Daemon> {
    let relay = format!("--dhcp-relay={local},{server}");
    dnsmasq(host, &[&relay], &[("udp", 547)])
}

fn dnsmasq(host: &Namespace, settings: &[&str], sockets: &[(&str, u16)]) -> Result<Daemon> {
    let directory = directory()?;
    let leases = directory.path().join("leases");
    let mut command = host.command("/usr/sbin/dnsmasq");
    command
        .args([
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--port=0",
            "--user=root",
        ])
        .args(["--no-ping", "--log-facility=-", "--log-dhcp", "--pid-file="])
        .arg(format!("--dhcp-leasefile={}", leases.display()))
        .args(settings);
    Daemon::start(command, directory, sockets)
}
