//! `watch` at a real terminal, beside a real agent and without one: what is on the screen is
//! what the kernel has counted, and the terminal is left as it was found.

use anyhow::Result;
use nix::sys::signal::Signal;
use sccm_tests::agent::{Agent, FORBIDDEN, Hosts, POINT, mode};
use sccm_tests::terminal::Terminal;

const WIDE: (u16, u16) = (120, 40);

fn watch(hosts: &Hosts) -> Result<Terminal> {
    Terminal::start(hosts.command("watch")?, WIDE)
}

/// Sends this many SYNs to [`FORBIDDEN`] in IPv4.
fn knock(hosts: &Hosts, count: u64) -> Result<()> {
    let [packet, _] = hosts.packets()?;
    hosts.send(&packet.tcp(40000, FORBIDDEN).syn().build(), count)
}

/// The number before (`word` after) on the first line that has `part`.
fn number(screen: &str, part: &str, index: usize) -> Option<u64> {
    let line = screen.lines().find(|line| line.contains(part))?;
    line.split_whitespace().nth(index)?.parse().ok()
}

/// What the screen says was dropped: in all, by the row of the reason, by the interface's, and
/// in the flow to [`FORBIDDEN`].
fn dropped(screen: &str) -> Option<[u64; 4]> {
    Some([
        number(screen, "Total ", 2)?,
        number(screen, "not-allowed tcp none", 2)?,
        number(screen, "eth0    ", 4)?,
        number(screen, "192.0.2.1 -> 192.0.2.2 tcp/21", 1)?,
    ])
}

/// Waits until the screen and the kernel agree, and returns how many packets were dropped.
fn agreed(terminal: &mut Terminal, agent: &Agent<'_>, flow: u64) -> Result<u64> {
    terminal.wait_for(|screen| {
        let [total, reason, interface, listed] = dropped(screen)?;
        let metrics = agent.metrics().ok()?;
        let by_reason = [
            ("reason", "not-allowed"),
            ("protocol", "tcp"),
            ("service", "none"),
        ];
        let kernel = (metrics.dropped(&[]), metrics.dropped(&by_reason));
        let eth0 = metrics.dropped(&[("interface", "eth0")]);
        (kernel == (total, reason) && eth0 == interface && listed == flow).then_some(total)
    })
}

#[test]
fn the_screen_says_what_the_kernel_counts() -> Result<()> {
    let hosts = Hosts::new()?;
    let agent = hosts.enforce(POINT)?;
    knock(&hosts, 30)?;
    let mut terminal = watch(&hosts)?;
    let before = agreed(&mut terminal, &agent, 30)?;
    assert!(before >= 30);
    terminal.wait_for_all(&["Agent   running", "eth0", "enforcing", mode()])?;
    // A rate, once there is traffic between two readings.
    knock(&hosts, 500)?;
    terminal.wait_for(|screen| {
        let row = screen
            .lines()
            .find(|line| line.contains("not-allowed tcp none"))?;
        let rate = row.split_whitespace().next()?.parse::<f64>().ok()?;
        (rate > 0.0).then_some(())
    })?;
    let after = agreed(&mut terminal, &agent, 530)?;
    assert!(after >= before + 500);

    terminal.press("/udp\r")?;
    terminal.wait_for(|screen| {
        let hidden = !screen.contains("tcp/21") && !screen.contains("not-allowed tcp none");
        (hidden && screen.contains("/ filter: udp")).then_some(())
    })?;
    terminal.press("/\x1b")?;
    terminal.wait_for_all(&["tcp/21"])?;
    terminal.press("s")?;
    terminal.wait_for_all(&["s sort: packets"])?;
    terminal.press("p")?;
    terminal.wait_for_all(&["PAUSED"])?;

    terminal.resize(60, 20)?;
    terminal.wait_for_all(&["80x24 needed", "this is 60x20"])?;
    terminal.resize(80, 24)?;
    terminal.wait_for_all(&["Policy  enforcing", "tcp/21", "q quit"])?;

    terminal.press("q")?;
    let left = terminal.wait()?;
    assert_eq!(left.status.code(), Some(0), "{left:?}");
    assert!(left.restored, "{left:?}");
    assert!(!left.screen.contains("Policy"), "{left:?}");
    Ok(())
}

#[test]
fn every_way_out_restores_the_terminal() -> Result<()> {
    let hosts = Hosts::new()?;
    let _agent = hosts.enforce(POINT)?;
    for keys in ["\x1b", "\x03"] {
        let mut terminal = watch(&hosts)?;
        terminal.wait_for_all(&["q quit"])?;
        terminal.press(keys)?;
        let left = terminal.wait()?;
        assert!(left.restored && left.status.success(), "{keys:?}: {left:?}");
    }
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let mut terminal = watch(&hosts)?;
        terminal.wait_for_all(&["q quit"])?;
        terminal.signal(signal)?;
        let left = terminal.wait()?;
        assert!(left.restored && left.status.success(), "{signal}: {left:?}");
    }
    Ok(())
}

#[test]
fn without_an_agent_it_goes_on_and_says_so() -> Result<()> {
    let hosts = Hosts::new()?;
    let agent = hosts.enforce(POINT)?;
    let mut terminal = watch(&hosts)?;
    terminal.wait_for_all(&["Agent   running"])?;
    agent.end(Signal::SIGKILL)?;
    terminal.wait_for_all(&["Agent   none is running", "enforcing"])?;
    knock(&hosts, 7)?;
    terminal.wait_for(|screen| dropped(screen).filter(|[.., flow]| *flow == 7))?;
    let detached = hosts.run("detach")?;
    assert_eq!(detached.code, Some(0), "{detached:?}");
    terminal.wait_for_all(&["Stale   nothing is enforced"])?;
    // And another policy is seen by the same view.
    let _agent = hosts.enforce("--role client --interface eth0 --observe")?;
    terminal.wait_for(|screen| {
        let observing = screen.contains("Policy  observing") && screen.contains("Roles   client");
        (observing && !screen.contains("Stale")).then_some(())
    })?;
    terminal.press("q")?;
    assert!(terminal.wait()?.restored);
    Ok(())
}

#[test]
fn where_there_is_nothing_to_show_it_says_so() -> Result<()> {
    let hosts = Hosts::new()?;
    let left = watch(&hosts)?.wait()?;
    assert_eq!(left.status.code(), Some(2), "{left:?}");
    assert!(left.screen.contains("nothing is enforced"), "{left:?}");
    assert!(left.restored);
    let _agent = hosts.enforce(POINT)?;
    hosts
        .run("watch")?
        .assert_refused(&["needs a terminal", "`sccm-agent blocked -o json`"]);
    Ok(())
}
