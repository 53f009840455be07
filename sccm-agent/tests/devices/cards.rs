//! Cards with real drivers: where `auto` judges what comes in at them, and why; that it is enforced there, and at
//! XDP where they lose by it. The emulated machine has two of each kind, on a cable (`xtask/src/kernel/cards.rs`).

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;

use anyhow::{Context as _, Result, ensure};
use sccm_tests::agent::{Agent, FORBIDDEN, Hosts, LONG, PolicyFile, Status};
use sccm_tests::netns::Namespace;
use sccm_tests::packet::Packet;
use sccm_tests::scrape::Metrics;
use sccm_tests::traffic::FrameSocket;

use crate::{ALLOWED, addresses, assert_enforced, servers, set_up};

/// The network cards of the machine itself, which a test takes into its namespaces.
const CARDS: &str = "/sys/class/net";

/// The bits of virtio's features that let a host send large TCP packets, for IPv4 and IPv6
/// (include/uapi/linux/virtio_net.h).
const GUEST_TSO: [usize; 2] = [7, 8];

/// A port of the role on which nothing listens but what takes bulk.
const BULK_PORT: u16 = 443;

/// What is sent to see how large packets are, in bytes.
const BULK: usize = 2 << 20;

/// The longest frame of one segment on these cards.
const ONE_SEGMENT: u64 = 1514;

/// Frames of each family that a card is knocked with.
const KNOCKS: u64 = 5;

/// Since this version of Linux the kernel tells which drivers take XDP programs.
const XDP_TOLD: Version = (6, 3);

/// Since this one vmxnet3 does.
const VMXNET3_XDP: Version = (6, 6);

type Version = (u32, u32);

/// A pair of cards of one kind.
struct Pair {
    /// What both are called, and the subnet between them.
    name: &'static str,
    net: u8,
    driver: &'static str,
    /// The host may send it large packets.
    large: bool,
    /// What `auto` chooses, and why.
    auto: &'static str,
    because: &'static str,
}

const PAIRS: [Pair; 3] = [
    Pair {
        name: "large",
        net: 21,
        driver: "virtio_net",
        large: true,
        auto: "tc",
        because: "virtio_net: with an XDP program its host sends no large packets",
    },
    Pair {
        name: "small",
        net: 22,
        driver: "virtio_net",
        large: false,
        auto: "xdp",
        because: "virtio_net runs XDP programs itself",
    },
    Pair {
        name: "vmware",
        net: 23,
        driver: "vmxnet3",
        large: true,
        auto: "tc",
        because: "vmxnet3: with an XDP program its host sends no large packets",
    },
];

impl Pair {
    /// Gives one card to the client, and the other one to the point.
    fn join(&self, hosts: &Hosts) -> Result<()> {
        let cards = self.cards()?;
        let [first, second] = cards.as_slice() else {
            anyhow::bail!("{} has cards {cards:?}, and there must be two", self.name);
        };
        for (card, host, number) in [(first, &hosts.client, 1), (second, &hosts.point, 2)] {
            let moved = Command::new("ip")
                .args(["link", "set", "dev", card, "name", self.name])
                .args(["netns", host.name()])
                .status()?;
            ensure!(moved.success(), "{card} does not move");
            set_up(host, self.name, addresses(self.net, number)?)?;
        }
        // What the kernel itself puts together says nothing about the card.
        switch(&hosts.point, self.name, ["gro", "off"])
    }

    /// The cards of this kind, by their driver and what their host sends.
    fn cards(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(CARDS)? {
            let name = entry?.file_name();
            let device = Path::new(CARDS).join(&name).join("device");
            let driver = fs::canonicalize(device.join("driver")).unwrap_or_default();
            let features = fs::read(device.join("features")).ok();
            let large = features.is_none_or(|bits| GUEST_TSO.iter().any(|bit| bits[*bit] == b'1'));
            if driver.ends_with(self.driver) && large == self.large {
                found.push(name.to_string_lossy().into_owned());
            }
        }
        found.sort();
        Ok(found)
    }

    /// `auto` does not judge it at XDP, and its driver takes XDP programs.
    fn can_change(&self, linux: Version) -> bool {
        self.auto == "tc" && (self.driver != "vmxnet3" || linux >= VMXNET3_XDP)
    }

    /// Why `auto` chooses as it does.
    fn why(&self, linux: Version) -> &'static str {
        match self.auto {
            "xdp" if linux < XDP_TOLD => "virtio_net is tried: the kernel does not tell",
            _ => self.because,
        }
    }

    /// What comes in is judged at this hook: what is allowed passes, what is forbidden is dropped and counted,
    /// and only at TC are packets as large as the host sends them.
    fn check(&self, hook: &str, status: &Status, (hosts, agent): (&Hosts, &Agent)) -> Result<()> {
        let mode = if hook == "xdp" { "native" } else { hook };
        ensure!(status.of(self.name) == ("enforcing", mode), "{status:?}");
        let point = addresses(self.net, 2)?;
        assert_enforced(&hosts.client, &point);
        let before = agent.metrics()?;
        self.knock(hosts)?;
        let wanted = self.dropped(&before) + 2 * KNOCKS;
        let after = agent.metrics_when(|metrics| self.dropped(metrics) >= wanted)?;
        ensure!(self.dropped(&after) == wanted, "{after:#?}");

        send_bulk(hosts, (point[0], BULK_PORT).into())?;
        let (before, after) = (after, agent.metrics()?);
        let sum = |name| self.sum(&after, name) - self.sum(&before, name);
        let average = sum("sccm_passed_bytes_total") / sum("sccm_passed_packets_total");
        println!("{} at {hook}: {average} bytes a packet", self.name);
        ensure!(
            (average > ONE_SEGMENT) == (self.large && hook == "tc"),
            "{average} bytes a packet at {hook}"
        );
        Ok(())
    }

    /// Sends what is forbidden.
    fn knock(&self, hosts: &Hosts) -> Result<()> {
        let [client, point] = [&hosts.client, &hosts.point].map(|host| host.interface(self.name));
        let socket = FrameSocket::open(client)?;
        let ends = addresses(self.net, 1)?.map(|address| address.to_string());
        let other = addresses(self.net, 2)?.map(|address| address.to_string());
        for packet in [
            Packet::ipv4(&ends[0], &other[0]),
            Packet::ipv6(&ends[1], &other[1]),
        ] {
            let packet = packet
                .source_mac(client.mac()?)
                .destination_mac(point.mac()?);
            let frame = packet.tcp(40000, FORBIDDEN).syn().build();
            (0..KNOCKS).try_for_each(|_| socket.send(&frame))?;
        }
        Ok(())
    }

    fn dropped(&self, metrics: &Metrics) -> u64 {
        let labels = [("direction", "inbound"), ("reason", "not-allowed")];
        metrics.dropped(&[&labels[..], &[("interface", self.name)]].concat())
    }

    fn sum(&self, metrics: &Metrics, name: &str) -> u64 {
        let labels = [
            ("direction", "inbound"),
            ("protocol", "tcp"),
            ("interface", self.name),
        ];
        metrics.sum(name, &labels) as u64
    }
}

/// The kernel's.
fn version() -> Result<Version> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut numbers = release.split('.').map_while(|part| part.parse().ok());
    let version = numbers.next().zip(numbers.next());
    version.with_context(|| format!("no version: {release}"))
}

/// Switches a feature of a card.
fn switch(host: &Namespace, card: &str, feature: [&str; 2]) -> Result<()> {
    let done = host
        .command("ethtool")
        .args(["-K", card])
        .args(feature)
        .status()?;
    ensure!(done.success(), "ethtool -K {card} {feature:?}");
    Ok(())
}

/// What `auto` would choose for a card, and why.
fn auto<'s>(status: &'s Status, card: &str) -> (&'s str, &'s str) {
    let mut hooks = status.json["hooks"].as_array().into_iter().flatten();
    let one = hooks.find(|one| one["interface"] == card);
    let text = |field: &str| one.and_then(|one| one[field].as_str()).unwrap_or("-");
    (text("auto"), text("auto_because"))
}

/// Sends [`BULK`] bytes from the client to the point over a connection.
fn send_bulk(hosts: &Hosts, to: SocketAddr) -> Result<()> {
    let listener = hosts.point.enter(|| TcpListener::bind(to))?;
    let mut sender = hosts
        .client
        .enter(|| TcpStream::connect_timeout(&to, LONG))?;
    let (mut receiver, _) = listener.accept()?;
    sender.set_write_timeout(Some(LONG))?;
    receiver.set_read_timeout(Some(LONG))?;
    let sending = thread::spawn(move || sender.write_all(&vec![7; BULK]));
    let mut heard = Vec::new();
    receiver.read_to_end(&mut heard)?;
    sending.join().expect("the sender does not panic")?;
    ensure!(heard.len() == BULK, "only {} bytes arrived", heard.len());
    Ok(())
}

#[test]
fn real_drivers_enforce_where_auto_says_and_at_xdp() -> Result<()> {
    let hosts = Hosts::new()?;
    for pair in &PAIRS {
        pair.join(&hosts).context(pair.name)?;
    }
    let _servers = servers(&hosts.point, &[ALLOWED, FORBIDDEN])?;
    let policy = PolicyFile::allowing(&[])?;
    let interfaces = PAIRS
        .map(|pair| format!("--interface {}", pair.name))
        .join(" ");
    let config = policy.path();
    let config = config.display();
    let agent = hosts.enforce(&format!("--config {config} --hook auto {interfaces}"))?;
    let linux = version()?;
    let log = agent.log()?;
    let doctor = hosts.run(&format!("doctor {interfaces}"))?.stdout;
    let status = hosts.status()?;
    for pair in &PAIRS {
        let (name, hook, why) = (pair.name, pair.auto, pair.why(linux));
        ensure!(
            log.contains(&format!("{name}: judging at {hook} ({why}")),
            "{log}"
        );
        ensure!(
            doctor.contains(&format!("judged at {hook} ({why}")),
            "{doctor}"
        );
        let (auto, because) = auto(&status, name);
        ensure!(auto == hook && because.starts_with(why), "{status:?}");
        pair.check(hook, &status, (&hosts, &agent)).context(name)?;
    }

    // It would lose nothing where its host is told to send none.
    switch(&hosts.point, "large", ["rx-gro-hw", "off"])?;
    let told = hosts.status()?;
    ensure!(auto(&told, "large").0 == "xdp", "{told:?}");
    switch(&hosts.point, "large", ["rx-gro-hw", "on"])?;

    let others = PAIRS.iter().filter(|pair| pair.can_change(linux));
    let line = |pair: &Pair| format!("{} = \"xdp\"\n", pair.name);
    let hooks: String = others.clone().map(line).collect();
    policy.write(&format!(
        "[hooks]\n{hooks}[[protect]]\nname = \"point\"\nroles = [\"distribution-point\"]\n"
    ))?;
    let reloaded = hosts.run("reload")?;
    ensure!(reloaded.code == Some(0), "{reloaded:?}");
    let status = hosts.status()?;
    for pair in others {
        pair.check("xdp", &status, (&hosts, &agent))
            .context(pair.name)?;
    }
    Ok(())
}
