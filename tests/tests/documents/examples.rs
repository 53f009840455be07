//! `docs/examples`: policies that `check` accepts, and that let pass what their comments say.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;

use anyhow::{Context as _, Result, bail};
use sccm_agent::check::Report;
use sccm_agent::config;
use sccm_agent::policy::{Allow, Opener, Question, Request, Surroundings, explain};

use crate::root;

/// How a comment begins that explains a warning.
const EXPLAINED: &str = "# `check` warns of ";

/// Connections, and whether they pass.
const CONNECTIONS: &str = "
small-site tcp/443 from 10.64.0.9 to 10.2.0.5 passes
small-site tcp/445 from 10.64.0.9 to 10.2.0.5 is dropped
small-site tcp/135 from 10.1.9.3 to 10.2.0.5 passes
small-site tcp/1433 from 10.1.9.3 to 10.2.0.5 is dropped
small-site tcp/88 from 10.2.0.5 to 10.1.0.10 passes
small-site tcp/25 from 10.2.0.5 to 10.1.0.10 is dropped
hierarchy tcp/445 from 10.0.0.5 to 10.2.0.5 passes
hierarchy tcp/443 from 10.64.0.9 to 10.2.0.30 passes
hierarchy tcp/1433 from 10.64.0.9 to 10.2.0.6 is dropped
hierarchy tcp/443 from 10.96.0.30 to 10.2.0.20 passes
hierarchy tcp/445 from 10.2.0.5 to 10.96.0.30 passes
internet-gateway tcp/443 from 198.51.100.7 to 203.0.113.10 passes
internet-gateway tcp/80 from 198.51.100.7 to 203.0.113.10 is dropped
internet-gateway tcp/445 from 198.51.100.7 to 203.0.113.10 is dropped
internet-gateway tcp/8531 from 198.51.100.7 to 203.0.113.11 passes
internet-gateway tcp/8530 from 198.51.100.7 to 203.0.113.11 is dropped
internet-gateway tcp/25 from 203.0.113.10 to 198.51.100.7 is dropped
pxe-relay udp/67 from 10.65.0.1 to 10.2.0.12 passes
pxe-relay udp/67 from 10.1.255.2 to 10.2.0.12 passes
pxe-relay udp/69 from 10.1.255.2 to 10.2.0.12 is dropped
pxe-relay udp/69 from 10.66.0.9 to 10.2.0.12 passes
pxe-relay udp/4011 from 10.66.0.9 to 10.2.0.12 passes
pxe-relay udp/69 from 10.64.0.9 to 10.2.0.12 is dropped
";

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
    for line in CONNECTIONS.trim().lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [name, what, "from", from, "to", to, rest @ ..] = words.as_slice() else {
            bail!("{line}");
        };
        let (from, to) = (from.parse::<IpAddr>()?, to.parse::<IpAddr>()?);
        let policy = config::load(&root().join(format!("docs/examples/{name}.toml")))?;
        let here = policy.protect.iter().filter(|entry| !entry.elsewhere);
        let mut protected = here.flat_map(|entry| &entry.addresses);
        let (opener, protected, peer) = match protected.any(|prefix| prefix.contains(&from)) {
            true => (Opener::Protected, from, to),
            false => (Opener::Peer, to, from),
        };
        let request = Request {
            policy: &policy,
            machine: &Surroundings::default(),
            observe: false,
        };
        let question = Question {
            opener,
            protected,
            peer,
            target: what.parse::<Allow>().map_err(anyhow::Error::msg)?.target,
        };
        let passes = explain(&request, &question)?.allowed;
        assert_eq!(passes, rest == ["passes"], "{line}");
    }
    Ok(())
}
