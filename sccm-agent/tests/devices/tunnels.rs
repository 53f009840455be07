//! Devices whose frames begin with an IP header, between two hosts: WireGuard, and IP in IP.

use std::io::Write as _;
use std::net::IpAddr;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use sccm_tests::agent::{FORBIDDEN, Hosts};

use crate::{ALLOWED, addresses, assert_enforced, assert_open, counts, servers};

/// The port of WireGuard at either end.
const WIREGUARD: u16 = 51820;

/// Gives a tunnel its addresses, and turns it on. Returns those of the point.
fn set_up(hosts: &Hosts, device: &str, net: u8) -> Result<[IpAddr; 2]> {
    for (host, number) in [(&hosts.client, 1), (&hosts.point, 2)] {
        let [four, six] = addresses(net, number)?;
        let tunnel = host.interface(device);
        tunnel
            .address(&format!("{four}/24"))?
            .address(&format!("{six}/64"))?;
        host.ip(&format!("link set dev {device} up"))?;
    }
    addresses(net, 2)
}

/// What `wg` answers to a line on its standard input.
fn wg(mut command: Command, line: &str) -> Result<String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = command.spawn().context("starting wg")?;
    let mut input = running.stdin.take().context("wg has no input")?;
    writeln!(input, "{line}")?;
    drop(input);
    let ended = running.wait_with_output()?;
    ensure!(ended.status.success(), "{command:?}");
    Ok(String::from_utf8(ended.stdout)?.trim().to_owned())
}

/// Joins the hosts by WireGuard over their cable.
fn wireguard(hosts: &Hosts) -> Result<()> {
    let ends = [
        (&hosts.client, Hosts::POINT[0]),
        (&hosts.point, Hosts::CLIENT[0]),
    ];
    let mut keys = Vec::new();
    for (host, _) in ends {
        let mut command = host.command("wg");
        command.arg("genkey");
        let private = wg(command, "")?;
        let mut command = host.command("wg");
        command.arg("pubkey");
        let public = wg(command, &private)?;
        keys.push((private, public));
    }
    for ((host, other), (own, peer)) in ends.iter().zip([(0, 1), (1, 0)]) {
        host.ip("link add wg0 type wireguard")?;
        let mut command = host.command("wg");
        command.args(["set", "wg0", "listen-port", &WIREGUARD.to_string()]);
        command.args(["private-key", "/proc/self/fd/0", "peer", &keys[peer].1]);
        command.args(["endpoint", &format!("{other}:{WIREGUARD}")]);
        command.args(["allowed-ips", "0.0.0.0/0,::/0"]);
        wg(command, &keys[own].0)?;
    }
    Ok(())
}

/// Joins the hosts by a tunnel for both families within IPv4.
fn ip_in_ip(hosts: &Hosts) -> Result<()> {
    let ([client, _], [point, _]) = (Hosts::CLIENT, Hosts::POINT);
    for (host, own, other) in [
        (&hosts.client, client, point),
        (&hosts.point, point, client),
    ] {
        host.ip(&format!(
            "link add ip0 type sit mode any local {own} remote {other}"
        ))?;
    }
    Ok(())
}

#[test]
fn tunnels_without_ethernet_headers_are_judged_at_tc() -> Result<()> {
    let hosts = Hosts::new()?;
    wireguard(&hosts)?;
    ip_in_ip(&hosts)?;
    let tunnels = [
        ("wg0", set_up(&hosts, "wg0", 21)?),
        ("ip0", set_up(&hosts, "ip0", 22)?),
    ];
    let _servers = servers(&hosts.point, &[ALLOWED, FORBIDDEN])?;
    for (_, point) in &tunnels {
        assert_open(&hosts.client, point);
    }
    let agent =
        hosts.enforce("--role distribution-point --hook auto --interface wg0 --interface ip0")?;
    let (log, status) = (agent.log()?, hosts.status()?);
    for (device, point) in &tunnels {
        let words = format!("{device}: judging at tc (its frames have no Ethernet header)");
        ensure!(log.contains(&words), "{log}");
        ensure!(status.of(device) == ("enforcing", "tc"), "{status:?}");
        assert_enforced(&hosts.client, point);
        counts(&agent, device)?;
    }
    Ok(())
}
