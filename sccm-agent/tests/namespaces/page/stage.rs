//! A machine with a name, an agent with a policy file, and somebody who tries things.

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sched::{CloneFlags, unshare};
use sccm_agent::kernel::{Maps, PinDir, Reading};
use sccm_tests::agent::{Agent, Hosts};
use sccm_tests::packet::Packet;
use sccm_tests::traffic::FrameSocket;
use tempfile::TempDir;

/// What the machine is called.
pub const HOST: &str = "packages-1";

const POLICY: &str = r#"
[site]
edition = "2007"
outbound = "enforce"

[peers]
site-server = ["192.0.2.5"]
domain-controller = ["192.0.2.8", "192.0.2.9"]
client = ["192.0.2.0/24", "2001:db8::/32"]

[[protect]]
name = "packages"
roles = ["distribution-point"]
addresses = ["192.0.2.2", "2001:db8::2"]

[[allow]]
name = "monitoring"
protocol = "icmp"
ports = ["echo-request"]
from = ["192.0.2.250"]
reason = "the monitoring server pings every host"

[[allow]]
name = "backup"
protocol = "tcp"
ports = [10000]
from = ["192.0.2.251"]
reason = "the nightly backup pulls from its agents"
"#;

/// Two hosts on a cable; the point has a name of its own, and a policy file.
pub struct Stage {
    pub hosts: Hosts,
    folder: TempDir,
}

impl Stage {
    /// Gives this thread, and what it starts, a host name of their own.
    pub fn new() -> Result<Self> {
        unshare(CloneFlags::CLONE_NEWUTS).context("a host name of our own")?;
        fs::write("/proc/sys/kernel/hostname", HOST)?;
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("policy.toml"), POLICY)?;
        let hosts = Hosts::new()?;
        // Nobody asks for addresses or routers unless the test does.
        for host in [&hosts.client, &hosts.point] {
            host.ip("link set eth0 arp off")?;
        }
        Ok(Self { hosts, folder })
    }

    /// Where the policy is written.
    pub fn policy(&self) -> PathBuf {
        self.folder.path().join("policy.toml")
    }

    /// Starts the agent with the policy file.
    pub fn enforce(&self, more: &str) -> Result<Agent<'_>> {
        let config = self.policy().display().to_string();
        self.hosts
            .enforce(&format!("--config {config} --interface eth0 {more}"))
    }

    /// Sends `times` each: one frame that passes, and five that are refused for three reasons.
    pub fn send(&self, times: u64) -> Result<()> {
        let [v4, v6] = self.hosts.packets()?;
        let socket = FrameSocket::open(self.hosts.client.interface("eth0"))?;
        let stranger = Packet::ipv4("198.51.100.77", "192.0.2.2")
            .destination_mac(self.hosts.point.interface("eth0").mac()?);
        let mut short = v4.clone().tcp(40002, 80).syn().build();
        short.truncate(30);
        for frame in [
            v4.clone().tcp(40000, 80).syn().build(),
            v4.clone().tcp(40000, 1433).syn().build(),
            v4.udp(40000, 161).build(),
            v6.tcp(40001, 3389).syn().build(),
            stranger.tcp(40002, 22).syn().build(),
            short,
        ] {
            for _ in 0..times {
                socket.send_until_taken(&frame)?;
            }
        }
        Ok(())
    }

    /// Sends what many machines might in a moment, more and less of it as time goes on.
    pub fn liven(&self, elapsed: Duration) -> Result<()> {
        let [v4, v6] = self.hosts.packets()?;
        let [client, point] =
            [&self.hosts.client, &self.hosts.point].map(|host| host.interface("eth0"));
        let (incoming, outgoing) = (FrameSocket::open(client)?, FrameSocket::open(point)?);
        let away = Packet::ipv4("192.0.2.2", "198.51.100.25")
            .destination_mac(self.hosts.client.interface("eth0").mac()?);
        let wave = |period: f64| (1.0 + (elapsed.as_secs_f64() / period).sin()) / 2.0;
        let amount = |most: f64, period: f64| (most * wave(period)) as u64 + fastrand::u64(0..3);
        for (socket, frame, times) in [
            (
                &incoming,
                v4.clone().tcp(40000, 80).syn().build(),
                amount(26.0, 31.0),
            ),
            (
                &incoming,
                v6.clone().tcp(40000, 445).syn().build(),
                amount(14.0, 17.0),
            ),
            (
                &incoming,
                v4.clone().tcp(40000, 1433).syn().build(),
                amount(9.0, 23.0),
            ),
            (
                &incoming,
                v6.tcp(40001, 3389).syn().build(),
                amount(3.0, 11.0),
            ),
            (
                &incoming,
                v4.clone().fragment(7, 1480, false).udp(1, 2).build(),
                amount(5.0, 13.0),
            ),
            (
                &outgoing,
                away.tcp(40000, 443).syn().build(),
                amount(6.0, 19.0),
            ),
        ] {
            for _ in 0..times {
                // The kernel tells a sender of what it drops on the way out.
                let _ = socket.send(&frame);
            }
        }
        sleep(Duration::from_millis(300));
        Ok(())
    }

    /// Has a port refused that nobody has asked for before, and returns it.
    pub fn latest_port(&self) -> Result<String> {
        // Times are whole seconds.
        sleep(Duration::from_secs(2));
        let [v4, _] = self.hosts.packets()?;
        let socket = FrameSocket::open(self.hosts.client.interface("eth0"))?;
        socket.send_until_taken(&v4.tcp(40000, 5900).syn().build())?;
        Ok("tcp/5900".to_owned())
    }

    /// The kernel's counters, read past the agent.
    pub fn counters(&self) -> Result<Vec<Reading>> {
        Maps::open(&PinDir::new(self.hosts.pins()))?.counters()
    }
}
