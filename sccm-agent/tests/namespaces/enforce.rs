//! Which ports of a distribution point its neighbours reach while the real agent enforces.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use sccm_tests::agent::{Agent, Hosts, LONG, POINT, mode};
use sccm_tests::netns::veth_pair;
use sccm_tests::traffic::{Outcome, PATIENCE, ping, tcp_connect, tcp_exchange};

const TCP_ALLOWED: [u16; 8] = [80, 135, 443, 445, 49152, 53421, 60000, 65535];
const TCP_FORBIDDEN: [u16; 14] = [
    21, 22, 23, 79, 81, 139, 444, 1433, 3389, 8080, 8530, 10123, 49150, 49151,
];
const UDP_ALLOWED: [u16; 4] = [135, 63000, 63500, 64000];
const UDP_FORBIDDEN: [u16; 8] = [53, 67, 69, 134, 137, 161, 62999, 64001];

#[test]
fn exactly_the_ports_of_the_table_are_open() -> Result<()> {
    let hosts = Hosts::new()?;
    let tcp = [TCP_ALLOWED.as_slice(), &TCP_FORBIDDEN].concat();
    let udp = [UDP_ALLOWED.as_slice(), &UDP_FORBIDDEN].concat();
    let _tcp = hosts.tcp_servers(&tcp)?;
    let _udp = hosts.udp_servers(&udp)?;
    hosts.assert_tcp(&tcp, Outcome::Connected);
    hosts.assert_udp(&udp, true);

    let agent = hosts.enforce(POINT)?;
    hosts.assert_tcp(&TCP_ALLOWED, Outcome::Connected);
    hosts.assert_tcp(&TCP_FORBIDDEN, Outcome::TimedOut);
    hosts.assert_udp(&UDP_ALLOWED, true);
    hosts.assert_udp(&UDP_FORBIDDEN, false);
    for address in Hosts::POINT {
        assert!(tcp_exchange(&hosts.client, (address, 445).into(), LONG));
        assert!(!ping(&hosts.client, address, PATIENCE)?);
    }

    let metrics = agent.metrics()?;
    let dropped = |labels: &[_]| metrics.dropped(labels);
    // A lost SYN may have been repeated.
    assert!(dropped(&[("protocol", "tcp")]) >= 2 * TCP_FORBIDDEN.len() as u64);
    let udp = 2 * UDP_FORBIDDEN.len() as u64;
    assert_eq!(dropped(&[("protocol", "udp")]), udp);
    // What WSUS has for itself, 8530, is no `http`.
    for service in ["http", "https", "smb", "rpc-endpoint-mapper", "multicast"] {
        assert_eq!(dropped(&[("service", service)]), 0, "{service}");
    }
    assert_eq!(
        metrics.sum("sccm_enforcing", &[("interface", "eth0"), ("mode", mode())]),
        1.0
    );
    assert_eq!(hosts.status()?.code, Some(0));
    Ok(())
}

#[test]
fn an_uneventful_life_has_three_lines_and_no_warning() -> Result<()> {
    let hosts = Hosts::new()?;
    let ended = hosts.enforce(POINT)?.end(Signal::SIGTERM)?;
    assert_eq!(ended.code, Some(0));
    let log = ended.stderr;
    for line in [
        "the port table is that of Configuration Manager 2007: --edition names another",
        "enforcing",
        "detached: nothing is enforced any more",
    ] {
        assert!(log.contains(line), "{log}");
    }
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
    assert!(!hosts.is_hooked("eth0")?);
    Ok(())
}

#[test]
fn an_edition_that_is_named_is_said_with_what_is_stale_in_it() -> Result<()> {
    let hosts = Hosts::new()?;
    let roles = "--edition current-branch --role management-point --role enrollment-point";
    let agent = hosts.enforce(&format!("{roles} --interface eth0"))?;
    let edition = agent
        .metrics()?
        .sum("sccm_policy_info", &[("edition", "current-branch")]);
    let log = agent.end(Signal::SIGTERM)?.stderr;
    assert_eq!(edition, 1.0);
    for part in [
        "edition=\"current-branch\"",
        "the product has hardly any use for enrollment-point",
    ] {
        assert!(log.contains(part), "no {part} in {log}");
    }
    assert!(!log.contains("--edition"), "{log}");
    Ok(())
}

#[test]
fn a_signal_during_the_start_ends_it_in_order() -> Result<()> {
    let hosts = Hosts::new()?;
    let command = hosts.command(&format!("enforce {POINT}"))?;
    let agent = Agent::spawn(&hosts.point, command)?;
    let end = Instant::now() + Duration::from_secs(60);
    while !hosts.pins().exists() {
        ensure!(Instant::now() < end, "{}", agent.log()?);
        sleep(Duration::from_millis(1));
    }
    agent.signal(Signal::SIGTERM)?;
    let ended = agent.wait()?;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!hosts.pins().exists() && !hosts.is_hooked("eth0")?);
    Ok(())
}

#[test]
fn allow_opens_a_port_for_everybody_or_for_a_prefix() -> Result<()> {
    let hosts = Hosts::new()?;
    let client = &hosts.client;
    let _servers = hosts.tcp_servers(&[22, 23, 80, 2222])?;
    let _agent = hosts.enforce(&format!(
        "{POINT} --allow tcp/22 --allow tcp/2222@192.0.2.0/28 --allow tcp/2222@2001:db8::/124"
    ))?;
    hosts.assert_tcp(&[22, 80, 2222], Outcome::Connected);
    hosts.assert_tcp(&[23], Outcome::TimedOut);

    // From now on the client speaks from outside the prefixes.
    client
        .interface("eth0")
        .address("192.0.2.16/24")?
        .address("2001:db8::10/64")?;
    client.route("192.0.2.2/32 dev eth0 src 192.0.2.16")?;
    client.route("2001:db8::2/128 dev eth0 src 2001:db8::10")?;
    hosts.assert_tcp(&[22, 80], Outcome::Connected);
    hosts.assert_tcp(&[23, 2222], Outcome::TimedOut);
    Ok(())
}

#[test]
fn several_roles_add_up() -> Result<()> {
    let hosts = Hosts::new()?;
    let _servers = hosts.tcp_servers(&[80, 1433, 8530, 3389])?;
    let agent = hosts.enforce(&format!(
        "{POINT} --role sql-server --role software-update-point"
    ))?;
    hosts.assert_tcp(&[80, 1433, 8530], Outcome::Connected);
    hosts.assert_tcp(&[3389], Outcome::TimedOut);
    let roles = [(
        "roles",
        "distribution-point,sql-server,software-update-point",
    )];
    assert_eq!(agent.metrics()?.sum("sccm_policy_info", &roles), 1.0);
    Ok(())
}

#[test]
fn only_the_named_interfaces_are_enforced() -> Result<()> {
    let hosts = Hosts::new()?;
    let (client, point) = (&hosts.client, &hosts.point);
    for (card, net) in [("eth1", "198.51.100"), ("eth2", "203.0.113")] {
        let (left, right) = veth_pair(client, card, point, card)?;
        left.address(&format!("{net}.1/24"))?;
        right.address(&format!("{net}.2/24"))?;
    }
    let _servers = hosts.tcp_servers(&[80, 21, 1433])?;
    let agent = hosts.enforce(&format!("{POINT} --interface eth1"))?;
    let try_out = |address: &str, patience| -> Result<Outcome> {
        Ok(tcp_connect(client, address.parse()?, patience))
    };
    for allowed in [
        "192.0.2.2:80",
        "198.51.100.2:80",
        "203.0.113.2:80",
        "203.0.113.2:21",
    ] {
        assert_eq!(try_out(allowed, LONG)?, Outcome::Connected, "{allowed}");
    }
    for forbidden in ["192.0.2.2:1433", "198.51.100.2:21"] {
        assert_eq!(try_out(forbidden, PATIENCE)?, Outcome::TimedOut);
    }
    let metrics = agent.metrics()?;
    let dropped = |interface, service| {
        let labels = [("interface", interface), ("service", service)];
        metrics.dropped(&labels)
    };
    assert!(dropped("eth0", "sql") > 0);
    assert_eq!(dropped("eth0", "none"), 0);
    assert!(dropped("eth1", "none") > 0);
    assert_eq!(dropped("eth1", "sql"), 0);
    let status = hosts.status()?;
    for (interface, state) in [("eth0", "enforcing"), ("eth1", "enforcing"), ("eth2", "-")] {
        assert_eq!(status.of(interface).0, state, "{interface}");
    }
    assert!(!hosts.is_hooked("eth2")?);
    Ok(())
}
