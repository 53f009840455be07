//! A hook for each card, as the policy says; and others by a reload, without a moment unfiltered.

use anyhow::Result;
use nix::sys::signal::Signal;
use sccm_tests::agent::{ALLOWED, Agent, FORBIDDEN, Hosts, LONG, PolicyFile, Witness};
use sccm_tests::bpffs::state_dir;
use sccm_tests::netns::veth_pair;
use sccm_tests::traffic::{FrameSocket, Outcome, tcp_connect};
use serde_json::Value;

/// Frames of each family that a card is knocked with.
const KNOCKS: u64 = 5;

/// The point has a second card, on a cable of its own.
struct Stage {
    hosts: Hosts,
    policy: PolicyFile,
}

impl Stage {
    fn new() -> Result<Self> {
        let stage = Self {
            hosts: Hosts::new()?,
            policy: PolicyFile::allowing(&[])?,
        };
        stage.join_second()?;
        Ok(stage)
    }

    fn join_second(&self) -> Result<()> {
        let (client, point) = veth_pair(&self.hosts.client, "eth1", &self.hosts.point, "eth1")?;
        client.address("198.51.100.1/24")?;
        point.address("198.51.100.2/24")?;
        Ok(())
    }

    /// Writes the policy, with these lines of `[hooks]`.
    fn write(&self, hooks: &str) -> Result<()> {
        self.policy.write(&format!(
            "[hooks]\n{hooks}\n[[protect]]\nname = \"point\"\nroles = [\"distribution-point\"]\n"
        ))
    }

    fn enforce(&self, arguments: &str) -> Result<Agent<'_>> {
        let config = self.policy.arguments();
        self.hosts
            .enforce(&format!("{config} --hook auto {arguments}"))
    }

    /// The modes of both cards, which enforce.
    fn modes(&self) -> Result<[String; 2]> {
        let status = self.hosts.status()?;
        Ok(["eth0", "eth1"].map(|card| {
            let (state, mode) = status.of(card);
            assert!(
                ["enforcing", "generic"].contains(&state),
                "{card}: {status:?}"
            );
            mode.to_owned()
        }))
    }

    /// Sends what is forbidden to both cards, and asserts that each drops all of it and counts it once.
    fn assert_dropped_once(&self, agent: &Agent<'_>) -> Result<()> {
        let reason = |interface| {
            [
                ("interface", interface),
                ("direction", "inbound"),
                ("reason", "not-allowed"),
            ]
        };
        let dropped = || -> Result<[u64; 2]> {
            let metrics = agent.metrics()?;
            Ok(["eth0", "eth1"].map(|card| metrics.dropped(&reason(card))))
        };
        let before = dropped()?;
        self.hosts.knock(KNOCKS)?;
        let second = FrameSocket::open(self.hosts.client.interface("eth1"))?;
        for packet in self.hosts.packets()? {
            let to = self.hosts.point.interface("eth1").mac()?;
            let frame = packet
                .destination_mac(to)
                .tcp(40000, FORBIDDEN)
                .syn()
                .build();
            (0..KNOCKS).try_for_each(|_| second.send(&frame))?;
        }
        let wanted = before.map(|before| before + 2 * KNOCKS);
        agent.metrics_when(|metrics| {
            let cards = ["eth0", "eth1"].iter().zip(wanted);
            cards
                .clone()
                .all(|(card, wanted)| metrics.dropped(&reason(card)) >= wanted)
        })?;
        assert_eq!(dropped()?, wanted);
        Ok(())
    }

    /// Whether a connection comes about over each card.
    fn assert_allowed_passes(&self) {
        for address in ["192.0.2.2", "198.51.100.2"] {
            let to = format!("{address}:{ALLOWED}").parse().expect("an address");
            assert_eq!(
                tcp_connect(&self.hosts.client, to, LONG),
                Outcome::Connected,
                "{address}"
            );
        }
    }
}

#[test]
fn a_reload_changes_the_hooks_of_running_cards_without_a_gap() -> Result<()> {
    let stage = Stage::new()?;
    let hosts = &stage.hosts;
    let _servers = hosts.tcp_servers(&[ALLOWED, FORBIDDEN])?;
    stage.write("eth0 = \"xdp\"")?;
    let agent = stage.enforce("--interface eth1")?;
    let log = agent.log()?;
    for part in [
        "eth0: judging at xdp ([hooks] of the policy says so)",
        "eth1: judging at tc (veth: with an XDP program",
    ] {
        assert!(log.contains(part), "{part} is not in {log}");
    }
    assert_eq!(stage.modes()?, ["native", "tc"]);
    stage.assert_dropped_once(&agent)?;
    let mut modes_before = stage.modes()?;
    let mut generation = hosts.status()?.generation();
    for (hooks, modes) in [
        ("eth0 = \"xdp\"\neth1 = \"xdp\"", ["native", "native"]),
        ("eth0 = \"tc\"\neth1 = \"xdp\"", ["tc", "native"]),
        ("eth0 = \"xdp-generic\"\neth1 = \"tc\"", ["generic", "tc"]),
        ("", ["tc", "tc"]),
        // Asked otherwise, and the same: the program is exchanged where it hangs.
        ("eth0 = \"tc\"", ["tc", "tc"]),
    ] {
        let witness = Witness::start(hosts)?;
        witness.look()?;
        stage.write(hooks)?;
        let reloaded = hosts.run("reload")?;
        assert_eq!(reloaded.code, Some(0), "{reloaded:?}");
        // It holds when the command has ended, not some time later.
        assert_eq!(stage.modes()?, modes, "{hooks}");
        witness.look()?;
        let seen = witness.finish()?;
        println!("{hooks:?}: {seen:?}");
        if modes_before[0] == modes[0] {
            seen.assert_no_gap();
        } else {
            // A driver that gets or loses its XDP program loses what is in its queues.
            assert!(seen.sent > 0 && seen.forbidden == 0, "{hooks}: {seen:?}");
        }
        generation += 1;
        assert_eq!(hosts.status()?.generation(), generation);
        stage.assert_dropped_once(&agent)?;
        stage.assert_allowed_passes();
        modes_before = modes.map(str::to_owned);
    }
    // The same hooks again are nothing new.
    let reloaded = hosts.run("reload")?;
    assert!(reloaded.stdout.starts_with("unchanged"), "{reloaded:?}");
    let gaps = agent
        .metrics()?
        .sum("sccm_interface_gap_seconds_total", &[]);
    assert!(gaps == 0.0, "{gaps}");
    Ok(())
}

#[test]
fn what_a_card_cannot_do_changes_no_card() -> Result<()> {
    let stage = Stage::new()?;
    let hosts = &stage.hosts;
    // With fewer receive queues than its other end has transmit queues.
    hosts.point.ip(&format!(
        "link add name eth2 numtxqueues 1 numrxqueues 1 type veth peer name eth2 numtxqueues 4 \
         numrxqueues 4 netns {}",
        hosts.client.name()
    ))?;
    for host in [&hosts.client, &hosts.point] {
        host.ip("link set dev eth2 up")?;
    }
    stage.write("eth0 = \"tc\"\neth1 = \"xdp\"")?;
    let agent = stage.enforce("--interface eth1 --interface eth2")?;
    let before = hosts.status()?;
    for (hooks, parts) in [
        // Only by trying the agent learns that the driver takes none, when eth0 has its program.
        (
            "eth0 = \"xdp\"\neth1 = \"xdp\"\neth2 = \"xdp\"",
            &["eth2", "rx queues", "keeps its hook"][..],
        ),
        (
            "eth0 = \"xdp\"\neth1 = \"xdp-generic\"",
            &["eth1 is enforced at xdp", "tc once"],
        ),
        (
            "eth0 = \"xpd\"",
            &["write one of auto, xdp, tc, xdp-generic"],
        ),
    ] {
        stage.write(hooks)?;
        let reloaded = hosts.run("reload")?;
        assert_ne!(reloaded.code, Some(0), "{hooks}: {reloaded:?}");
        for part in parts {
            assert!(
                reloaded.stderr.contains(part),
                "{part} is not in {reloaded:?}"
            );
        }
        let status = hosts.status()?;
        assert_eq!(status.json["policy"]["hash"], before.json["policy"]["hash"]);
        assert_eq!(stage.modes()?, ["tc", "native"], "{hooks}");
        // One program, not two: what was tried is gone.
        stage.assert_dropped_once(&agent)?;
    }
    Ok(())
}

#[test]
fn mixed_hooks_outlive_the_agent_and_the_next_one_changes_them() -> Result<()> {
    let stage = Stage::new()?;
    let hosts = &stage.hosts;
    let _servers = hosts.tcp_servers(&[ALLOWED, FORBIDDEN])?;
    stage.write("eth0 = \"xdp\"\neth1 = \"tc\"")?;
    stage.enforce("--interface eth1")?.end(Signal::SIGKILL)?;
    assert_eq!(stage.modes()?, ["native", "tc"]);
    for (hooks, modes) in [
        ("eth0 = \"xdp\"\neth1 = \"tc\"", ["native", "tc"]),
        ("eth0 = \"tc\"\neth1 = \"xdp\"", ["tc", "native"]),
    ] {
        stage.write(hooks)?;
        let witness = Witness::start(hosts)?;
        witness.look()?;
        let agent = stage.enforce("--interface eth1")?;
        assert_eq!(stage.modes()?, modes);
        witness.look()?;
        let seen = witness.finish()?;
        assert!(seen.sent > 0 && seen.forbidden == 0, "{hooks}: {seen:?}");
        stage.assert_dropped_once(&agent)?;
        stage.assert_allowed_passes();
        agent.end(Signal::SIGKILL)?;
        assert_eq!(stage.modes()?, modes, "without an agent");
    }
    Ok(())
}

#[test]
fn hooks_are_on_trial_with_their_policy_and_roll_back_with_it() -> Result<()> {
    let stage = Stage::new()?;
    let hosts = &stage.hosts;
    let agent = stage.enforce("--interface eth1")?;
    let modes = || stage.modes();
    assert_eq!(modes()?, ["tc", "tc"]);
    stage.write("eth0 = \"xdp\"")?;
    for end in ["rollback", "nobody"] {
        let within = if end == "nobody" { "1s" } else { "60s" };
        let tried = hosts.run(&format!("reload --confirm-within {within}"))?;
        assert_eq!(tried.code, Some(0), "{tried:?}");
        if end == "rollback" {
            assert_eq!(modes()?, ["native", "tc"]);
            let rolled_back = hosts.run("rollback")?;
            assert_eq!(rolled_back.code, Some(0), "{rolled_back:?}");
        } else {
            for _ in 0..1000 {
                if modes()?[0] == "tc" {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        }
        assert_eq!(modes()?, ["tc", "tc"], "{end}");
        stage.assert_dropped_once(&agent)?;
    }
    // What was confirmed, rolls back, too.
    for (command, mode) in [("reload", "native"), ("rollback", "tc")] {
        let done = hosts.run(command)?;
        assert_eq!(done.code, Some(0), "{done:?}");
        assert_eq!(modes()?[0], mode, "{command}");
    }
    Ok(())
}

#[test]
fn a_card_that_comes_later_gets_its_hook_and_until_then_that_is_said() -> Result<()> {
    let stage = Stage::new()?;
    let hosts = &stage.hosts;
    hosts.point.ip("link delete dev eth1")?;
    stage.write("eth1 = \"xdp\"")?;
    let config = stage.policy.arguments();
    let line = format!("enforce {config} --hook auto --interface eth1 --wait-for-interfaces");
    let agent = Agent::start_guarded(&hosts.point, hosts.command(&line)?)?;
    let log = agent.log()?;
    assert!(
        log.contains("[hooks] of the policy names eth1, and no card"),
        "{log}"
    );
    // Which file the policy is from, status learns there.
    let state_dir = state_dir(&hosts.pins());
    let status = |format: &str| {
        hosts.run(&format!(
            "status --state-dir {}{format}",
            state_dir.display()
        ))
    };
    let awaited = |name: &str| -> Result<bool> {
        let status: Value = serde_json::from_str(&status(" -o json")?.stdout)?;
        let names = status["hooks_awaited"].as_array().into_iter().flatten();
        Ok(names.into_iter().any(|one| one == name))
    };
    assert!(awaited("eth1")?);
    stage.join_second()?;
    agent.metrics_when(|metrics| metrics.sum("sccm_enforcing", &[("interface", "eth1")]) > 0.5)?;
    assert_eq!(stage.modes()?, ["tc", "native"]);
    assert!(!awaited("eth1")?);
    stage.assert_dropped_once(&agent)?;
    let status = status("")?.stdout;
    for part in [
        "eth0 at tc (veth: ",
        "eth1 at xdp ([hooks] of the policy says so)",
    ] {
        assert!(status.contains(part), "{status}");
    }
    Ok(())
}
