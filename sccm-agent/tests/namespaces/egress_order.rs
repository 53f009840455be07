//! Other TC programs on a card: the agent's egress program stands before those that are there,
//! and says so when somebody comes to stand before it.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use nix::sys::signal::Signal;
use sccm_agent::kernel::TcHook;
use sccm_common::Hook;
use sccm_tests::agent::{Agent, Hosts, LONG, POINT, mode};
use sccm_tests::foreign::{Foreign, Standing};
use sccm_tests::traffic::{PATIENCE, tcp_exchange, tcp_server};

use crate::clsact::leave_filter;

/// A TCP service of the client's that the point's roles do not need.
const ELSEWHERE: u16 = 8443;

/// Whether the point may open a connection of its own and is answered.
fn opens(hosts: &Hosts, patience: Duration) -> Result<[bool; 2]> {
    let mut opened = [false; 2];
    for (client, opened) in Hosts::CLIENT.into_iter().zip(&mut opened) {
        let server = tcp_server(&hosts.client, (client, ELSEWHERE).into())?;
        *opened = tcp_exchange(&hosts.point, server.address(), patience);
    }
    Ok(opened)
}

/// Whether this kernel lets a program stand at TCX.
fn has_tcx() -> bool {
    TcHook::of_this_kernel() == TcHook::Tcx
}

/// Puts the foreign program before all others of the point's card: at TCX, or as a `tc` filter.
fn in_front(hosts: &Hosts, foreign: &Foreign) -> Result<Option<Standing>> {
    if has_tcx() {
        return foreign
            .in_front(&hosts.point.interface("eth0"), Hook::Egress)
            .map(Some);
    }
    filter_in_front(hosts, foreign)?;
    Ok(None)
}

/// Puts the foreign program into a filter, which the kernel asks before others of this priority.
fn filter_in_front(hosts: &Hosts, foreign: &Foreign) -> Result<()> {
    let pin = hosts.pins().with_file_name("foreign");
    if !pin.exists() {
        foreign.pin(&pin)?;
    }
    let program = format!("object-pinned {}", pin.display());
    tc(
        hosts,
        &format!("filter add dev eth0 egress pref 1 bpf da {program}"),
    )
}

fn tc(hosts: &Hosts, arguments: &str) -> Result<()> {
    let mut command = hosts.point.command("tc");
    let output = command.args(arguments.split_whitespace()).output()?;
    ensure!(output.status.success(), "tc {arguments}: {output:?}");
    Ok(())
}

/// Waits until the agent's metric says so many.
fn await_before(agent: &Agent<'_>, count: f64) -> Result<()> {
    let end = Instant::now() + LONG;
    while Instant::now() < end {
        let metrics = agent.metrics()?;
        let before = [("interface", "eth0")];
        if (metrics.sum("sccm_egress_programs_before", &before) - count).abs() < 0.5 {
            return Ok(());
        }
        sleep(Duration::from_millis(50));
    }
    bail!("the metric is not {count}: {}", agent.log()?)
}

/// Waits until the agent has logged this.
fn await_log(agent: &Agent<'_>, text: &str) -> Result<()> {
    let end = Instant::now() + LONG;
    while Instant::now() < end {
        if agent.log()?.contains(text) {
            return Ok(());
        }
        sleep(Duration::from_millis(50));
    }
    bail!("no {text:?}: {}", agent.log()?)
}

/// What the log says of a foreign program. Its name takes rights that the agent has given up.
const IN_FRONT: &str = "runs before the agent's TC program on eth0";

/// Asserts that the log and the metric tell of the foreign program, and that `status` names it.
#[track_caller]
fn assert_named(hosts: &Hosts, agent: &Agent<'_>) -> Result<()> {
    await_before(agent, 1.0)?;
    await_log(agent, IN_FRONT)?;
    let status = hosts.status()?;
    assert_eq!(status.of("eth0"), ("egress-behind", mode()));
    assert_eq!(status.code, Some(4));
    let before = status.json["interfaces"][0]["before"].to_string();
    assert!(before.contains(Foreign::NAME), "{before}");
    let table = hosts.run("status")?;
    assert!(table.stdout.contains(Foreign::NAME), "{table:?}");
    // Its own packets are still judged: the agent works.
    assert_eq!(agent.get("/-/ready")?.0, 200);
    Ok(())
}

#[track_caller]
fn assert_first(hosts: &Hosts, agent: &Agent<'_>) -> Result<()> {
    await_before(agent, 0.0)?;
    let status = hosts.status()?;
    assert_eq!(status.of("eth0"), ("enforcing", mode()));
    assert_eq!(status.code, Some(0));
    assert_eq!(opens(hosts, LONG)?, [true; 2]);
    Ok(())
}

/// An agent that was killed, with a filter where kernels with TCX have a link.
fn killed_with_filter() -> Result<Hosts> {
    let hosts = Hosts::new()?;
    leave_filter(&hosts)?;
    Ok(hosts)
}

#[test]
fn a_program_that_was_there_first_hides_nothing() -> Result<()> {
    let hosts = Hosts::new()?;
    let foreign = Foreign::load()?;
    let _standing = match has_tcx() {
        true => Some(foreign.at_the_end(&hosts.point.interface("eth0"))?),
        false => {
            tc(&hosts, "qdisc add dev eth0 clsact")?;
            filter_in_front(&hosts, &foreign)?;
            None
        }
    };
    let agent = hosts.enforce(POINT)?;
    assert_first(&hosts, &agent)?;
    assert_eq!(agent.end(Signal::SIGTERM)?.code, Some(0));

    let agent = hosts.enforce(&format!("{POINT} --outbound enforce"))?;
    assert_eq!(opens(&hosts, PATIENCE)?, [false; 2]);
    let refused = agent
        .metrics()?
        .dropped(&[("reason", "outbound-not-allowed")]);
    assert!(refused >= 2, "{refused}");
    Ok(())
}

#[test]
fn whoever_comes_to_stand_in_front_is_named() -> Result<()> {
    let hosts = Hosts::new()?;
    let agent = hosts.enforce(POINT)?;
    assert_first(&hosts, &agent)?;
    let foreign = Foreign::load()?;
    let standing = in_front(&hosts, &foreign)?;
    assert_named(&hosts, &agent)?;
    // It does hide what leaves.
    assert_eq!(opens(&hosts, PATIENCE)?, [false; 2]);

    match standing {
        Some(standing) => drop(standing),
        None => tc(&hosts, "filter del dev eth0 egress pref 1 handle 1 bpf")?,
    }
    await_log(&agent, "run first on eth0 again")?;
    assert_first(&hosts, &agent)?;
    let told = agent.log()?.matches(IN_FRONT).count();
    assert_eq!(told, 1, "once: {}", agent.log()?);
    Ok(())
}

/// Nobody but a new agent takes the place in front back.
#[test]
fn the_next_agent_goes_in_front() -> Result<()> {
    let hosts = Hosts::new()?;
    hosts.enforce(POINT)?.end(Signal::SIGKILL)?;
    let foreign = Foreign::load()?;
    let _standing = in_front(&hosts, &foreign)?;
    let status = hosts.status()?;
    assert_eq!(status.of("eth0"), ("egress-behind", mode()));
    assert_eq!(status.code, Some(4));

    let agent = hosts.enforce(POINT)?;
    assert_first(&hosts, &agent)?;
    let log = agent.log()?;
    assert!(!log.contains("WARN"), "{log}");
    // Only the foreign program is left when the agent goes.
    assert_eq!(agent.end(Signal::SIGTERM)?.code, Some(0));
    hosts.assert_untouched()?;
    Ok(())
}

/// A start that fails leaves the order as it was, too.
#[test]
fn a_failed_start_leaves_the_order() -> Result<()> {
    let hosts = Hosts::new()?;
    let start = format!("{POINT} --hook xdp");
    hosts.enforce(&start)?.end(Signal::SIGKILL)?;
    let foreign = Foreign::load()?;
    let _standing = in_front(&hosts, &foreign)?;
    let before = hosts.status()?;
    hosts
        .run(&format!("enforce {start} --interface lo"))?
        .assert_refused(&["lo", "native"]);
    assert_eq!(hosts.status()?, before);
    Ok(())
}

/// Also shows that such a program does hide what leaves.
#[test]
fn told_to_stand_behind_it_an_agent_says_so() -> Result<()> {
    let hosts = Hosts::new()?;
    let foreign = Foreign::load()?;
    if !has_tcx() {
        tc(&hosts, "qdisc add dev eth0 clsact")?;
    }
    let _standing = in_front(&hosts, &foreign)?;
    let behind = format!("{POINT} --behind-tc-programs");
    let agent = hosts.enforce(&behind)?;
    assert_named(&hosts, &agent)?;
    assert_eq!(opens(&hosts, PATIENCE)?, [false; 2]);
    // Also one that takes over.
    agent.end(Signal::SIGKILL)?;
    let agent = hosts.enforce(&behind)?;
    assert_named(&hosts, &agent)
}

/// TCX comes before every filter.
#[test]
fn a_filter_is_behind_tcx_programs_and_newer_filters() -> Result<()> {
    let hosts = killed_with_filter()?;
    let foreign = Foreign::load()?;
    let behind = format!("{POINT} --behind-tc-programs");
    filter_in_front(&hosts, &foreign)?;
    let agent = hosts.enforce(&behind)?;
    assert_named(&hosts, &agent)?;
    if has_tcx() {
        let standing = foreign.at_the_end(&hosts.point.interface("eth0"))?;
        await_before(&agent, 2.0)?;
        drop(standing);
        await_before(&agent, 1.0)?;
    }
    tc(&hosts, "filter del dev eth0 egress pref 1 handle 1 bpf")?;
    assert_first(&hosts, &agent)?;
    // One behind it does not matter.
    tc(
        &hosts,
        "filter add dev eth0 egress pref 2 protocol all u32 match u32 0 0 classid 1:1",
    )?;
    assert_first(&hosts, &agent)
}

/// A filter of another kind has the first priority, and nothing can be put before it. On kernels
/// with TCX the agent stands before all filters.
#[test]
fn a_filter_that_stays_first_is_refused_by_name() -> Result<()> {
    let hosts = Hosts::new()?;
    tc(&hosts, "qdisc add dev eth0 clsact")?;
    tc(
        &hosts,
        "filter add dev eth0 egress pref 1 protocol all u32 match u32 0 0 classid 1:1",
    )?;
    if has_tcx() {
        let agent = hosts.enforce(POINT)?;
        return assert_first(&hosts, &agent);
    }
    hosts.run(&format!("enforce {POINT}"))?.assert_refused(&[
        "eth0",
        "u32",
        "--behind-tc-programs",
    ]);
    hosts.assert_untouched()?;
    let agent = hosts.enforce(&format!("{POINT} --behind-tc-programs"))?;
    await_before(&agent, 1.0)
}
