//! Routers that speak to each other by groups (FRR's OSPF, PIM and RIP): they hear each other on
//! uplink and segment by the rules of `docs/pair.md`, and not without.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::unistd::{User, chown};
use sccm_tests::agent::{LONG, run};
use sccm_tests::gateway::SERVER;
use sccm_tests::netns::Namespace;
use tempfile::TempDir;

use super::pair::Stage;
use super::programs::Daemon;
use super::support::Told;

/// What runs, what it is asked, and what it says once for each neighbour.
const PROTOCOLS: [(&str, &str, &str); 5] = [
    ("ospfd", "show ip ospf neighbor", "Full/"),
    ("ospf6d", "show ipv6 ospf6 neighbor", "Full/"),
    ("pimd", "show ip pim neighbor", "00:00:"),
    ("ripd", "show ip rip status", " 120 "),
    ("ripngd", "show ipv6 ripng status", " 120 "),
];

/// Everything on both cards, and soon.
fn configuration(number: usize) -> String {
    let cards = ["up0", "seg0"].map(|card| {
        format!(
            "interface {card}\n ip ospf area 0\n ip ospf hello-interval 1\n ip ospf dead-interval 4\n \
             ipv6 ospf6 area 0\n ipv6 ospf6 hello-interval 1\n ipv6 ospf6 dead-interval 4\n \
             ip pim\n ip pim hello 1\n"
        )
    });
    let rip = ["rip", "ripng"]
        .map(|name| format!("router {name}\n network up0\n network seg0\n timers basic 5 15 10\n"));
    let ids = format!(
        "router ospf\n ospf router-id 10.0.0.{number}\n\
         router ospf6\n ospf6 router-id 10.0.1.{number}\n"
    );
    format!("{}{}{ids}", cards.concat(), rip.concat())
}

/// FRR on one gateway.
struct Router {
    sockets: TempDir,
    _daemons: Vec<Daemon>,
}

impl Router {
    fn start(gateway: &Namespace, number: usize) -> Result<Self> {
        let sockets = tempfile::tempdir()?;
        let path = sockets.path();
        if let Some(user) = User::from_name("frr")? {
            chown(path, Some(user.uid), Some(user.gid))?;
        }
        let file = path.join("frr.conf");
        fs::write(&file, configuration(number))?;
        let names = PROTOCOLS.iter().map(|(name, ..)| *name);
        let daemons = ["zebra"].into_iter().chain(names).map(|name| {
            let mut command = gateway.command(format!("/usr/lib/frr/{name}"));
            command.arg("-f").arg(&file);
            command.arg("-i").arg(path.join(format!("{name}.pid")));
            command.arg("-z").arg(path.join("zserv.api"));
            command.arg("--vty_socket").arg(path).args(["-P", "0"]);
            Daemon::start(command, tempfile::tempdir()?, &[])
        });
        let daemons = daemons.collect::<Result<_>>()?;
        Ok(Self {
            sockets,
            _daemons: daemons,
        })
    }

    /// How many neighbours each protocol has, in the order of [`PROTOCOLS`].
    fn neighbours(&self) -> Result<[usize; 5]> {
        let mut found = [0; 5];
        for (count, (_, question, sign)) in found.iter_mut().zip(PROTOCOLS) {
            let mut command = std::process::Command::new("vtysh");
            command.arg("--vty_socket").arg(self.sockets.path());
            command.args(["-c", question]);
            let told = run(command)?.stdout;
            *count = told.lines().filter(|line| line.contains(sign)).count();
        }
        Ok(found)
    }
}

fn policy(with_rules: bool) -> String {
    // Whoever is not listed in the segment may send nothing to its groups.
    let mut text = format!(
        "[[protect]]\nname = \"point\"\nroles = [\"distribution-point\"]\naddresses = [\"{}\"]\n",
        SERVER[0]
    );
    for (name, protocol, port) in [
        ("ospf", "ip", 89),
        ("pim", "ip", 103),
        ("rip", "udp", 520),
        ("ripng", "udp", 521),
    ] {
        if with_rules {
            text += &format!(
                "[[management.allow]]\nname = \"{name}\"\nprotocol = \"{protocol}\"\n\
                 ports = [{port}]\nreason = \"the other gateway\"\n\
                 from = [\"192.0.2.2/31\", \"198.51.100.2/31\", \"fe80::/10\"]\n"
            );
        }
    }
    text
}

#[test]
fn routers_hear_each_other_by_the_rules_of_the_document() -> Result<()> {
    let stage = Stage::new()?;
    let agents = stage.enforce(&policy(true))?;
    let routers = [
        Router::start(&stage.gateways[0], 1)?,
        Router::start(&stage.gateways[1], 2)?,
    ];
    let end = Instant::now() + LONG * 2;
    loop {
        let found = [routers[0].neighbours()?, routers[1].neighbours()?];
        if found == [[2; 5]; 2] {
            break;
        }
        ensure!(Instant::now() < end, "neighbours: {found:?}");
        sleep(Duration::from_millis(500));
    }
    for agent in agents {
        let metrics = agent.metrics()?;
        for service in ["ip/89", "ip/103", "udp/520", "udp/521"] {
            for card in ["up0", "seg0"] {
                let heard = [("service", service), ("interface", card)];
                metrics.tells_passed(&heard)?;
                metrics.tells_no_drop(&heard)?;
            }
        }
    }
    Ok(())
}

/// The counterpart: without the rules nobody hears anybody.
#[test]
fn without_rules_they_do_not() -> Result<()> {
    let stage = Stage::new()?;
    let agents = stage.enforce(&policy(false))?;
    let routers = [
        Router::start(&stage.gateways[0], 1)?,
        Router::start(&stage.gateways[1], 2)?,
    ];
    // Each has spoken to the other by each protocol, on both sides.
    for agent in &agents {
        for card in ["up0", "seg0"] {
            let refused = [("interface", card)];
            agent.metrics_when(|metrics| metrics.dropped(&refused) >= 30)?;
        }
    }
    for router in routers {
        assert_eq!(router.neighbours()?, [0; 5]);
    }
    Ok(())
}
