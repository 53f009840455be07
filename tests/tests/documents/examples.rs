//! `docs/examples`: policies that `check` accepts, and that let pass what their comments say.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;

use anyhow::{Context as _, Result};
use sccm_agent::check::Report;
use sccm_agent::config;
use sccm_agent::policy::{Allow, Opener, Question, Request, Surroundings, explain};

use crate::root;

/// How a comment begins that explains a warning.
const EXPLAINED: &str = "# `check` warns of ";

/// File, who opens, what, from where, to where, and whether that passes.
const CONNECTIONS: &[(&str, Opener, &str, &str, &str, bool)] = &[
    // Clients, the console, a domain controller; no client at SMB, and no console at the gateway's database.
    (
        "small-site",
        Opener::Peer,
        "tcp/443",
        "10.64.0.9",
        "10.2.0.5",
        true,
    ),
    (
        "small-site",
        Opener::Peer,
        "tcp/445",
        "10.64.0.9",
        "10.2.0.5",
        false,
    ),
    (
        "small-site",
        Opener::Peer,
        "tcp/135",
        "10.1.9.3",
        "10.2.0.5",
        true,
    ),
    (
        "small-site",
        Opener::Peer,
        "tcp/1433",
        "10.1.9.3",
        "10.2.0.5",
        false,
    ),
    (
        "small-site",
        Opener::Protected,
        "tcp/88",
        "10.1.0.10",
        "10.2.0.5",
        true,
    ),
    (
        "small-site",
        Opener::Protected,
        "tcp/25",
        "10.1.0.10",
        "10.2.0.5",
        false,
    ),
    // The site above; clients at content; the branch as a peer.
    (
        "hierarchy",
        Opener::Peer,
        "tcp/445",
        "10.0.0.5",
        "10.2.0.5",
        true,
    ),
    (
        "hierarchy",
        Opener::Peer,
        "tcp/443",
        "10.64.0.9",
        "10.2.0.30",
        true,
    ),
    (
        "hierarchy",
        Opener::Peer,
        "tcp/1433",
        "10.64.0.9",
        "10.2.0.6",
        false,
    ),
    (
        "hierarchy",
        Opener::Peer,
        "tcp/443",
        "10.96.0.30",
        "10.2.0.20",
        true,
    ),
    (
        "hierarchy",
        Opener::Protected,
        "tcp/445",
        "10.96.0.30",
        "10.2.0.5",
        true,
    ),
    // The Internet has HTTPS alone.
    (
        "internet-gateway",
        Opener::Peer,
        "tcp/443",
        "198.51.100.7",
        "203.0.113.10",
        true,
    ),
    (
        "internet-gateway",
        Opener::Peer,
        "tcp/80",
        "198.51.100.7",
        "203.0.113.10",
        false,
    ),
    (
        "internet-gateway",
        Opener::Peer,
        "tcp/445",
        "198.51.100.7",
        "203.0.113.10",
        false,
    ),
    (
        "internet-gateway",
        Opener::Peer,
        "tcp/8531",
        "198.51.100.7",
        "203.0.113.11",
        true,
    ),
    (
        "internet-gateway",
        Opener::Peer,
        "tcp/8530",
        "198.51.100.7",
        "203.0.113.11",
        false,
    ),
    (
        "internet-gateway",
        Opener::Protected,
        "tcp/25",
        "198.51.100.7",
        "203.0.113.10",
        false,
    ),
    // Relays ask for addresses, and who boots for files; other clients do not boot.
    (
        "pxe-relay",
        Opener::Peer,
        "udp/67",
        "10.65.0.1",
        "10.2.0.12",
        true,
    ),
    (
        "pxe-relay",
        Opener::Peer,
        "udp/69",
        "10.65.0.1",
        "10.2.0.12",
        true,
    ),
    (
        "pxe-relay",
        Opener::Peer,
        "udp/67",
        "10.1.255.2",
        "10.2.0.12",
        true,
    ),
    (
        "pxe-relay",
        Opener::Peer,
        "udp/69",
        "10.1.255.2",
        "10.2.0.12",
        false,
    ),
    (
        "pxe-relay",
        Opener::Peer,
        "udp/69",
        "10.66.0.9",
        "10.2.0.12",
        true,
    ),
    (
        "pxe-relay",
        Opener::Peer,
        "udp/4011",
        "10.66.0.9",
        "10.2.0.12",
        true,
    ),
    (
        "pxe-relay",
        Opener::Peer,
        "udp/69",
        "10.64.0.9",
        "10.2.0.12",
        false,
    ),
];

#[test]
fn check_warns_of_what_the_examples_explain_and_of_nothing_else() -> Result<()> {
    let mut files = 0;
    for entry in fs::read_dir(root().join("docs/examples"))? {
        let path = entry?.path();
        if path.extension().is_none_or(|kind| kind != "toml") {
            continue;
        }
        let name = path.display();
        let read = config::read(&path).with_context(|| name.to_string())?;
        let warnings = Report::new(&read.policy)?.warnings;
        let warned: BTreeSet<&str> = warnings.iter().map(|warning| warning.kind).collect();
        let text = fs::read_to_string(&path)?;
        let comments = text.lines().filter_map(|line| line.strip_prefix(EXPLAINED));
        let explained: BTreeSet<&str> = comments
            .filter_map(|comment| Some(comment.split_once(':')?.0))
            .collect();
        assert_eq!(warned, explained, "{name}");
        files += 1;
    }
    assert!(files >= 4, "{files}");
    Ok(())
}

#[test]
fn the_examples_let_pass_what_they_say() -> Result<()> {
    for (name, opener, what, peer, protected, passes) in CONNECTIONS {
        let path = root().join(format!("docs/examples/{name}.toml"));
        let policy = config::load(&path)?;
        let request = Request {
            policy: &policy,
            machine: &Surroundings::default(),
            observe: false,
        };
        let question = Question {
            opener: *opener,
            protected: protected.parse::<IpAddr>()?,
            peer: peer.parse::<IpAddr>()?,
            target: what.parse::<Allow>().map_err(anyhow::Error::msg)?.target,
        };
        let answer = explain(&request, &question)?;
        assert_eq!(
            answer.allowed, *passes,
            "{name}: {opener:?} {what}, {peer}, {protected}"
        );
    }
    Ok(())
}
