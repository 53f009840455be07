//! Other machines: only with TLS or by an explicit word, and only under the server's names.

use std::net::SocketAddr;

use anyhow::Result;
use sccm_tests::agent::{Hosts, POINT};
use sccm_tests::traffic::{Outcome, PATIENCE, tcp_connect};

use super::client::{ask, request};

#[test]
fn loopback_is_the_default_and_more_must_be_said() -> Result<()> {
    let hosts = Hosts::new()?;
    for address in [
        "0.0.0.0:19470",
        "[::]:19470",
        "192.0.2.2:19470",
        "[2001:db8::2]:1",
    ] {
        hosts
            .run(&format!("enforce {POINT} --metrics-listen {address}"))?
            .assert_refused(&[address, "--web-config", "--insecure-listen"]);
        hosts.assert_untouched()?;
    }
    hosts
        .run(&format!(
            "enforce {POINT} --insecure-listen --metrics-listen 203.0.113.1:19470"
        ))?
        .assert_refused(&["203.0.113.1:19470", "--metrics-listen"]);
    for name in ["gateway:19470", "http://gateway", "a_b/c"] {
        hosts
            .run(&format!("enforce {POINT} --http-host {name}"))?
            .assert_refused(&["--http-host", name, "without a port"]);
    }
    hosts.assert_untouched()?;

    let _agent = hosts.enforce(&format!("{POINT} --allow tcp/19470"))?;
    let reached = tcp_connect(&hosts.client, "192.0.2.2:19470".parse()?, PATIENCE);
    assert_eq!(reached, Outcome::Refused, "nobody listens there");
    Ok(())
}

#[test]
fn other_machines_call_the_server_by_its_address_or_a_given_name() -> Result<()> {
    let hosts = Hosts::new()?;
    let _agent = hosts.enforce(&format!(
        "{POINT} --metrics-listen [::]:19470 --insecure-listen --allow tcp/19470 \
         --http-host point.example --http-host 203.0.113.7"
    ))?;
    for (address, own, other) in [
        ("192.0.2.2:19470", "192.0.2.2", "[2001:db8::2]"),
        ("[2001:db8::2]:19470", "[2001:db8::2]", "192.0.2.2"),
    ] {
        let to: SocketAddr = address.parse()?;
        for (host, status) in [
            (own, 200),
            (address, 200),
            ("point.example:19470", 200),
            ("203.0.113.7", 200),
            // Another address of the same machine, but not the one that was asked.
            (other, 421),
            ("rebind.example", 421),
            ("192.0.2.9", 421),
        ] {
            let asked = request("GET", "/metrics", &format!("Host: {host}\r\n"));
            let answer = ask(&hosts.client, to, &asked)?;
            assert_eq!(answer.status, status, "{host} at {address}: {answer:?}");
        }
    }
    Ok(())
}
