//! Kernels without TCX: a filter of clsact is what sees the packets that leave.
//!
//! The agent's own functions make this kernel, which has TCX, use such a filter. Agents that come
//! later take over whatever kind is there, so the real program is tested on it too.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use sccm_agent::kernel::{Attached, Ingress, IngressAt, Loader, PinDir, Programs, TcHook, TcOrder};
use sccm_common::Place;
use sccm_common::counter::Direction;
use sccm_tests::agent::{Hosts, LONG, POINT};
use sccm_tests::traffic::{tcp_exchange, tcp_server};
use serde_json::Value;

/// The slot of the point's only interface.
const SLOT: u32 = 0;

fn hosts_with_filter() -> Result<Hosts> {
    let hosts = Hosts::new()?;
    leave_filter(&hosts)?;
    Ok(hosts)
}

/// Has an agent enforce until it is killed, and puts a filter in place of its TCX link.
pub fn leave_filter(hosts: &Hosts) -> Result<()> {
    hosts.enforce(POINT)?.end(Signal::SIGKILL)?;
    let has_tcx = TcHook::of_this_kernel() == TcHook::Tcx;
    ensure!(
        filters(hosts)?.is_empty() == has_tcx,
        "a hook of the wrong kind"
    );
    let pins = pins(hosts);
    hosts.point.enter(|| Attached::detach(&pins, SLOT))?;
    attach(hosts)
}

fn pins(hosts: &Hosts) -> PinDir {
    PinDir::new(hosts.pins())
}

/// Attaches as an agent does that dies at once.
fn attach(hosts: &Hosts) -> Result<()> {
    attach_then(hosts, Attached::pin)
}

fn attach_then(
    hosts: &Hosts,
    then: impl Fn(Attached, &mut Programs) -> Result<()> + Sync,
) -> Result<()> {
    hosts.point.enter(|| {
        let pins = pins(hosts);
        let mut programs = Loader::new(&pins).load(SLOT, Place::Host, IngressAt::Xdp)?;
        let (mode, hook) = (Ingress::Native, (TcHook::Clsact, TcOrder::First));
        let attached = Attached::attach_with(&mut programs, &pins, SLOT, "eth0", mode, hook)?;
        then(attached, &mut programs)
    })
}

/// The ids of the programs in the egress filters of the point's `eth0`, as `tc` sees them.
fn filters(hosts: &Hosts) -> Result<Vec<u64>> {
    let shown = tc(hosts, "-j filter show dev eth0 egress")?;
    let shown: Vec<Value> = serde_json::from_str(&shown).with_context(|| shown.clone())?;
    let ids = shown
        .iter()
        .filter_map(|filter| filter["options"]["prog"]["id"].as_u64());
    Ok(ids.collect())
}

fn tc(hosts: &Hosts, arguments: &str) -> Result<String> {
    let output = hosts
        .point
        .command("tc")
        .args(arguments.split_whitespace())
        .output()?;
    ensure!(output.status.success(), "tc {arguments}: {output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

/// Asserts that exactly one filter is there, that it runs the pinned program, and that answers to
/// what the point opens itself come back. Returns the program's id.
#[track_caller]
fn assert_one_filter_that_works(hosts: &Hosts) -> Result<u64> {
    let pinned = Attached::program_id(&pins(hosts), SLOT, Direction::Outbound)?;
    let pinned = u64::from(pinned.context("no hook is pinned")?);
    assert_eq!(filters(hosts)?, [pinned]);
    assert!(answers_come_back(hosts)?);
    Ok(pinned)
}

/// Whether the point gets answers from a port of the client that no role lets in.
fn answers_come_back(hosts: &Hosts) -> Result<bool> {
    let server = tcp_server(&hosts.client, (Hosts::CLIENT[0], 8443).into())?;
    Ok(tcp_exchange(&hosts.point, server.address(), LONG))
}

#[track_caller]
fn assert_no_filter(hosts: &Hosts) -> Result<()> {
    assert_eq!(filters(hosts)?, [0_u64; 0]);
    Ok(())
}

#[track_caller]
fn assert_nothing_left(hosts: &Hosts) -> Result<()> {
    assert_no_filter(hosts)?;
    hosts.assert_untouched()
}

#[test]
fn a_filter_outlives_its_maker_and_is_replaced_in_place() -> Result<()> {
    let hosts = hosts_with_filter()?;
    let first = assert_one_filter_that_works(&hosts)?;
    attach(&hosts)?;
    let second = assert_one_filter_that_works(&hosts)?;
    assert_ne!(first, second);
    assert_eq!(pinned_files(&hosts)?, ["0-inbound", "0-outbound"]);
    Ok(())
}

#[test]
fn an_agent_takes_a_filter_over_and_lets_go_of_it() -> Result<()> {
    let hosts = hosts_with_filter()?;
    let before = assert_one_filter_that_works(&hosts)?;
    let agent = hosts.enforce(POINT)?;
    assert_ne!(assert_one_filter_that_works(&hosts)?, before);
    assert_eq!(agent.end(Signal::SIGTERM)?.code, Some(0));
    assert_nothing_left(&hosts)
}

#[test]
fn detach_removes_a_filter() -> Result<()> {
    let hosts = hosts_with_filter()?;
    // Its card may have another name than the agent knew.
    hosts.point.ip("link set eth0 down")?;
    hosts.point.ip("link set eth0 name lan0")?;
    assert_eq!(hosts.run("detach")?.code, Some(0));
    hosts.point.ip("link set lan0 name eth0")?;
    assert_nothing_left(&hosts)
}

#[test]
fn a_failed_start_leaves_no_filter() -> Result<()> {
    let hosts = hosts_with_filter()?;
    let pins = pins(&hosts);
    hosts.point.enter(|| Attached::detach(&pins, SLOT))?;
    attach_then(&hosts, |attached, _| {
        ensure!(filters(&hosts)?.len() == 1, "it was attached");
        drop(attached);
        Ok(())
    })?;
    assert_no_filter(&hosts)?;
    assert_eq!(pinned_files(&hosts)?, [""; 0]);
    Ok(())
}

/// A card that is made anew has neither programs nor filters, but the pins stay.
#[test]
fn a_new_card_gets_a_new_filter() -> Result<()> {
    let hosts = hosts_with_filter()?;
    hosts.client.ip("link delete dev eth0")?;
    hosts.join_by_cable()?;
    assert_no_filter(&hosts)?;
    attach(&hosts)?;
    assert_one_filter_that_works(&hosts)?;
    Ok(())
}

/// An agent that dies while it replaces the program has pinned the next one beside it.
#[test]
fn a_replacement_that_was_cut_short_is_finished() -> Result<()> {
    let hosts = hosts_with_filter()?;
    let links = hosts.pins().join("links");
    let (pin, next) = (links.join("0-outbound"), links.join("0-outbound-next"));
    let pin_a_program = |path: &Path| -> Result<()> {
        let mut programs = Loader::new(&pins(&hosts)).load(SLOT, Place::Host, IngressAt::Xdp)?;
        Ok(programs.classifier()?.pin(path)?)
    };
    // It died before the filter took the next program.
    pin_a_program(&next)?;
    attach(&hosts)?;
    assert_one_filter_that_works(&hosts)?;
    assert!(!next.exists());

    // It died after that, before the next program took the name.
    let died_late = || -> Result<()> {
        fs::rename(&pin, &next)?;
        pin_a_program(&pin)
    };
    died_late()?;
    attach(&hosts)?;
    assert_one_filter_that_works(&hosts)?;
    assert!(!next.exists());

    died_late()?;
    let pins = pins(&hosts);
    hosts.point.enter(|| Attached::detach(&pins, SLOT))?;
    assert_no_filter(&hosts)
}

#[test]
fn filters_of_others_are_left_alone() -> Result<()> {
    let hosts = hosts_with_filter()?;
    let is_there = |handle: &str| -> Result<bool> {
        let shown = tc(&hosts, "filter show dev eth0 egress")?;
        Ok(shown.contains(&format!("handle {handle} ")))
    };
    add_filter_that_matches_nothing(&hosts, "0x1")?;
    attach(&hosts)?;
    assert!(is_there("0x1")?);
    assert_one_filter_that_works(&hosts)?;
    let pins = pins(&hosts);
    hosts.point.enter(|| Attached::detach(&pins, SLOT))?;
    assert!(is_there("0x1")?);

    // One in our very place.
    add_filter_that_matches_nothing(&hosts, "0x5cc")?;
    let remedy = "filter del dev eth0 egress pref 1 handle 0x5cc bpf";
    let error = attach(&hosts).expect_err("the place is taken");
    assert!(format!("{error:#}").contains(remedy), "{error:#}");
    assert!(is_there("0x5cc")?);
    assert!(!hosts.is_hooked("eth0")?);
    tc(&hosts, remedy)?;
    attach(&hosts)?;
    assert_one_filter_that_works(&hosts)?;
    Ok(())
}

/// An `ingress` qdisc would take what leaves for what arrives.
#[test]
fn an_ingress_qdisc_is_refused() -> Result<()> {
    let hosts = hosts_with_filter()?;
    let pins = pins(&hosts);
    hosts.point.enter(|| Attached::detach(&pins, SLOT))?;
    tc(&hosts, "qdisc del dev eth0 clsact")?;
    tc(&hosts, "qdisc add dev eth0 ingress")?;
    let error = attach(&hosts).expect_err("no clsact can be added");
    assert!(format!("{error:#}").contains("`ingress`"), "{error:#}");
    assert_eq!(tc(&hosts, "filter show dev eth0 ingress")?, "");
    Ok(())
}

/// A filter of somebody else's, with the agent's priority.
fn add_filter_that_matches_nothing(hosts: &Hosts, handle: &str) -> Result<()> {
    let arguments = format!("filter add dev eth0 egress pref 1 handle {handle} bpf bytecode");
    let mut command = hosts.point.command("tc");
    let added = command
        .args(arguments.split(' '))
        .arg("1,6 0 0 0")
        .output()?;
    ensure!(added.status.success(), "adding a filter: {added:?}");
    Ok(())
}

fn pinned_files(hosts: &Hosts) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(hosts.pins().join("links"))? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}
