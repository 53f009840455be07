//! `sccm-agent doctor`: a machine that can enforce, one that cannot, and what is enforced.

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use sccm_common::Hook;
use sccm_tests::agent::{Finished, Hosts, PolicyFile, Process, program};
use sccm_tests::foreign::Foreign;
use serde_json::Value;

const FINE: Option<i32> = Some(0);
const WARNINGS: Option<i32> = Some(3);
const BLOCKERS: Option<i32> = Some(4);

/// What a doctor found.
struct Found(Finished, Vec<Value>);

fn doctor(hosts: &Hosts, arguments: &str) -> Result<Found> {
    let done = hosts.run(&format!("doctor {arguments} -o json"))?;
    let examination: Value = serde_json::from_str(&done.stdout)?;
    let findings = examination["findings"].as_array().context("no findings")?;
    Ok(Found(done, findings.clone()))
}

impl Found {
    /// The grade of a topic, on an interface if it is about one.
    fn grade(&self, topic: &str, interface: Option<&str>) -> &str {
        let is_it = |one: &&Value| one["topic"] == topic && one["interface"].as_str() == interface;
        let found = self.1.iter().find(is_it);
        found.map_or("none", |one| one["grade"].as_str().unwrap_or("no grade"))
    }

    /// What is said of a topic that is about no interface.
    fn text(&self, topic: &str) -> &str {
        let found = self.1.iter().find(|one| one["topic"] == topic);
        found.map_or("none", |one| one["text"].as_str().unwrap_or("no text"))
    }

    /// Grades that are not fine, but those of the clock and of what is mounted, which are the machine's own.
    fn troubles(&self) -> Vec<&Value> {
        let is_own = |topic: &Value| topic == "clock" || topic == "bpf-file-system";
        let is_trouble = |one: &&Value| one["grade"] != "fine" && !is_own(&one["topic"]);
        self.1.iter().filter(is_trouble).collect()
    }
}

#[test]
fn a_machine_is_looked_at_and_left_as_it_is() -> Result<()> {
    let hosts = Hosts::new()?;
    let found = doctor(&hosts, "--interface eth0")?;
    assert!(found.troubles().is_empty(), "{:#?}", found.troubles());
    for topic in ["kernel", "privileges", "pins", "memory", "listening-port"] {
        assert_eq!(found.grade(topic, None), "fine", "{topic}");
    }
    for topic in ["driver", "xdp"] {
        assert_eq!(found.grade(topic, Some("eth0")), "fine", "{topic}");
    }
    // Without a name, every card is looked at; in words, each is on a line of its own.
    let all = hosts.run("doctor")?.stdout;
    assert!(all.contains("fine     eth0 driver: veth, "), "{all}");
    hosts.assert_untouched()?;

    let missing = doctor(&hosts, "--interface eth7")?;
    assert_eq!(missing.0.code, BLOCKERS);
    assert_eq!(missing.grade("interface", Some("eth7")), "blocker");

    // No driver is below the loopback interface.
    let loopback = doctor(&hosts, "--interface lo --hook xdp")?;
    assert_eq!(
        loopback.grade("driver", Some("lo")),
        "blocker",
        "{:#?}",
        loopback.1
    );
    for hook in ["auto", "tc", "xdp-generic"] {
        let other = doctor(&hosts, &format!("--interface lo --hook {hook}"))?;
        assert_eq!(other.grade("driver", Some("lo")), "fine", "{hook}");
    }

    let elsewhere = doctor(&hosts, "--interface eth0 --metrics-listen 192.0.2.77:19470")?;
    assert_eq!(elsewhere.grade("listening-port", None), "blocker");
    hosts
        .run("doctor --config policy.toml")?
        .assert_refused(&["--config", "--interface"]);
    Ok(())
}

#[test]
fn the_capability_that_is_missing_is_named() -> Result<()> {
    let hosts = Hosts::new()?;
    let program = program()?.get_program().to_owned();
    for (missing, set) in [
        ("CAP_PERFMON", "-perfmon,-sys_admin"),
        ("CAP_BPF", "-bpf,-sys_admin"),
        ("CAP_NET_ADMIN", "-net_admin"),
    ] {
        let mut command = hosts.point.command("setpriv");
        command.args(["--bounding-set", set, "--"]).arg(&program);
        command.args(["doctor", "--interface", "eth0", "-o", "json"]);
        let done = Process::spawn(command)?.finish()?;
        assert_eq!(done.code, BLOCKERS, "{done:?}");
        let examination: Value = serde_json::from_str(&done.stdout)?;
        let findings = examination["findings"].as_array().context("no findings")?;
        let rights = findings.iter().find(|one| one["topic"] == "privileges");
        let rights = rights.context("no word of privileges")?;
        let told = rights["text"].as_str().context("no text")?;
        assert_eq!(rights["grade"], "blocker");
        let expected = format!("this needs {missing}: ");
        assert!(told.starts_with(&expected), "{told}");
    }
    Ok(())
}

#[test]
fn what_keeps_a_policy_from_being_enforced_is_found_before() -> Result<()> {
    let hosts = Hosts::new()?;
    let file = PolicyFile::allowing(&[])?;
    let arguments = format!("--interface eth0 --config {}", file.path().display());
    let good = doctor(&hosts, &arguments)?;
    assert_ne!(good.grade("policy", None), "blocker", "{:#?}", good.1);
    assert_eq!(good.grade("ssh-sessions", None), "fine");
    file.write("[site]\nno-such-key = 1\n")?;
    let bad = doctor(&hosts, &arguments)?;
    assert_eq!(
        (bad.0.code, bad.grade("policy", None)),
        (BLOCKERS, "blocker")
    );

    // Somebody else's program at the egress hook is told, and stops nothing.
    let foreign = Foreign::load()?;
    let card = hosts.point.interface("eth0");
    let _standing = foreign.in_front(&card, Hook::Egress)?;
    let beside = doctor(&hosts, "--interface eth0")?;
    assert_eq!(beside.grade("tc", Some("eth0")), "fine", "{:#?}", beside.1);
    Ok(())
}

#[test]
fn a_card_by_which_a_gateway_would_forward_is_told_before() -> Result<()> {
    let hosts = Hosts::new()?;
    let point = &hosts.point;
    for (one, other) in [("inside", "inside-far"), ("third", "third-far")] {
        point.ip(&format!("link add {one} type veth peer name {other}"))?;
        point.ip(&format!("link set {one} up"))?;
    }
    let both = "--uplink eth0 --segment inside";
    let host = doctor(&hosts, both)?;
    assert_eq!(host.grade("forwarding", Some("third")), "none");
    point.sysctl("net.ipv4.ip_forward", "1")?;
    let gateway = doctor(&hosts, both)?;
    assert_eq!(gateway.grade("forwarding", Some("third")), "warning");
    for named in ["eth0", "inside"] {
        assert_eq!(gateway.grade("forwarding", Some(named)), "none");
    }
    Ok(())
}

#[test]
fn what_is_enforced_is_looked_at() -> Result<()> {
    let hosts = Hosts::new()?;
    let nothing = doctor(&hosts, "--live")?;
    assert_eq!(nothing.0.code, BLOCKERS);
    assert_eq!(nothing.grade("enforcement", None), "blocker");

    let agent = hosts.enforce("--role distribution-point --interface eth0")?;
    let live = doctor(&hosts, "--live --interface eth0")?;
    assert!(live.troubles().is_empty(), "{:#?}", live.troubles());
    assert_eq!(live.grade("enforcement", Some("eth0")), "fine");
    assert_eq!(live.grade("agent", None), "fine");
    // A start would ask for memory; what is enforced has its own.
    assert!(
        nothing.text("memory").starts_with("enough"),
        "{:#?}",
        nothing.1
    );
    assert_eq!(live.text("memory"), "the maps have theirs");
    assert!([FINE, WARNINGS].contains(&live.0.code));

    agent.end(Signal::SIGKILL)?;
    let alone = doctor(&hosts, "--live --interface eth0")?;
    assert_eq!(
        (alone.0.code, alone.grade("agent", None)),
        (WARNINGS, "warning")
    );
    assert_eq!(alone.grade("enforcement", Some("eth0")), "fine");

    hosts.set_layout_version(1)?;
    let other = doctor(&hosts, "--live")?;
    assert_eq!(
        (other.0.code, other.grade("pins", None)),
        (BLOCKERS, "blocker")
    );
    Ok(())
}
