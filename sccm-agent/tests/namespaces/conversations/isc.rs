//! DHCP server and relay of ISC, of both families. The relay asks from the address of the card by
//! which it sends, and is answered at that of the clients' card, which dnsmasq's never is.

use std::fs;
use std::net::IpAddr;

use anyhow::Result;
use sccm_tests::netns::Namespace;

use super::programs::{Daemon, directory};

/// A DHCP server on `eth0`. `subnets` are its configuration's, its own subnet among them.
pub fn server(host: &Namespace, is_v4: bool, subnets: &str) -> Result<Daemon> {
    let directory = directory()?;
    let (configuration, leases) = (
        directory.path().join("dhcpd.conf"),
        directory.path().join("leases"),
    );
    // It asks nobody whether an address is free.
    let ping = if is_v4 { "ping-check false;" } else { "" };
    fs::write(
        &configuration,
        format!("authoritative;\n{ping}\n{subnets}\n"),
    )?;
    fs::write(&leases, "")?;
    let (family, port) = family(is_v4);
    let mut command = host.command("/usr/sbin/dhcpd");
    command.args([family, "-f", "-d", "--no-pid", "-cf"]);
    command.arg(configuration).arg("-lf").arg(leases);
    command.arg("eth0");
    Daemon::start(command, directory, &[("udp", port)])
}

/// A DHCP relay between these cards, to `server`, which says in option 82 where it heard the client
/// (RFC 3046). dnsmasq's says nothing.
pub fn relay(host: &Namespace, cards: [&str; 2], server: IpAddr) -> Result<Daemon> {
    let mut command = host.command("/usr/sbin/dhcrelay");
    command.args(["-4", "-a", "-d", "--no-pid", "-i", cards[0], "-i", cards[1]]);
    command.arg(server.to_string());
    Daemon::start(command, directory()?, &[("udp", 67)])
}

/// A DHCPv6 relay from the clients on `lower` to the servers on `upper`: to one of them, or to the
/// group of all.
pub fn relay_v6(
    host: &Namespace,
    lower: &str,
    upper: &str,
    server: Option<IpAddr>,
) -> Result<Daemon> {
    let upper = match server {
        Some(server) => format!("{server}%{upper}"),
        None => upper.to_owned(),
    };
    let mut command = host.command("/usr/sbin/dhcrelay");
    command.args(["-6", "-d", "--no-pid", "-l", lower, "-u", &upper]);
    Daemon::start(command, directory()?, &[("udp", 547)])
}

fn family(is_v4: bool) -> (&'static str, u16) {
    match is_v4 {
        true => ("-4", 67),
        false => ("-6", 547),
    }
}
