//! One agent after another: pins, counters and policy outlive the first, and nothing slips through.

use std::io::ErrorKind;
use std::net::{Ipv6Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};
use sccm_tests::agent::{FORBIDDEN, Hosts, LONG, POINT};
use sccm_tests::netns::veth_pair;
use sccm_tests::scrape::Metrics;
use sccm_tests::traffic::{FrameSocket, Outcome, tcp_connect};

/// Sends without a pause, over both families in turn, datagrams to a forbidden and an allowed
/// port; both are listened on.
struct Witness {
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicU64>,
    sender: JoinHandle<Result<()>>,
    forbidden: UdpSocket,
    allowed: UdpSocket,
}

impl Witness {
    fn start(hosts: &Hosts) -> Result<Self> {
        let (stop, rounds) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let mut frames = Vec::new();
        for packet in hosts.packets()? {
            for port in [161, 63500] {
                frames.push(packet.clone().udp(40000, port).payload(10).build());
            }
        }
        let socket = FrameSocket::open(hosts.client.interface("eth0"))?;
        let (stopped, sent) = (Arc::clone(&stop), Arc::clone(&rounds));
        Ok(Self {
            stop,
            rounds,
            forbidden: receiver(hosts, 161)?,
            allowed: receiver(hosts, 63500)?,
            sender: thread::spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    for frame in &frames {
                        socket.send(frame)?;
                    }
                    sent.fetch_add(1, Ordering::Relaxed);
                    sleep(Duration::from_micros(200));
                }
                Ok(())
            }),
        })
    }

    /// Waits until it has seen some more of what goes on.
    fn look(&self) -> Result<()> {
        let (wanted, end) = (
            self.rounds.load(Ordering::Relaxed) + 100,
            Instant::now() + LONG,
        );
        while self.rounds.load(Ordering::Relaxed) < wanted {
            ensure!(Instant::now() < end, "the sender has stopped");
            sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Stops, and returns how many datagrams were sent to each port, and how many of them arrived
    /// at the forbidden and the allowed one.
    fn finish(self) -> Result<(u64, u64, u64)> {
        self.stop.store(true, Ordering::Relaxed);
        self.sender.join().expect("the sender does not panic")?;
        let sent = 2 * self.rounds.load(Ordering::Relaxed);
        let mut allowed = 0;
        while allowed < sent && arrived(&self.allowed)? {
            allowed += 1;
        }
        // Frames keep their order, so those to the other port have arrived too.
        self.forbidden.set_nonblocking(true)?;
        let mut forbidden = 0;
        while arrived(&self.forbidden)? {
            forbidden += 1;
        }
        Ok((sent, forbidden, allowed))
    }
}

/// A socket in the point with room for all that it is not read in time.
fn receiver(hosts: &Hosts, port: u16) -> Result<UdpSocket> {
    let bind = || UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port));
    let socket = hosts.point.enter(bind)?;
    setsockopt(&socket, RcvBufForce, &(256 << 20))?;
    socket.set_read_timeout(Some(LONG))?;
    Ok(socket)
}

/// Takes the next datagram, if there is one in time.
fn arrived(socket: &UdpSocket) -> Result<bool> {
    match socket.recv(&mut [0; 64]) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[test]
fn enforcement_survives_kill_9_and_a_new_agent_takes_over_without_a_gap() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    let agent = hosts.enforce(POINT)?;
    let witness = Witness::start(&hosts)?;
    witness.look()?;
    let before = agent.metrics()?;
    agent.end(Signal::SIGKILL)?;

    witness.look()?;
    hosts.assert_enforced();
    let status = hosts.status()?;
    assert_eq!(status.of("eth0"), ("enforcing", "native"));
    assert_eq!((status.code, status.generation()), (Some(0), 1));

    let agent = hosts.enforce(POINT)?;
    witness.look()?;
    hosts.assert_enforced();
    assert_eq!(hosts.status()?.generation(), 2);
    let (sent, forbidden, allowed) = witness.finish()?;
    assert_eq!(forbidden, 0, "of {sent} datagrams to a forbidden port");
    assert_eq!(allowed, sent, "of the datagrams to an allowed port");

    let labels = |service| {
        [
            ("direction", "inbound"),
            ("protocol", "udp"),
            ("service", service),
        ]
    };
    let passed = |metrics: &Metrics| metrics.passed(&labels("multicast"));
    let dropped = |metrics: &Metrics| metrics.dropped(&labels("none"));
    let after = agent.metrics_when(|metrics| passed(metrics) >= sent)?;
    assert_eq!((passed(&after), dropped(&after)), (sent, sent));
    for sample in &before.samples {
        let labels: Vec<(&str, &str)> = sample
            .labels
            .iter()
            .map(|(label, value)| (label.as_str(), value.as_str()))
            .collect();
        let now = after.sum(&sample.name, &labels);
        assert!(now >= sample.value, "{sample:?} is now {now}");
    }
    Ok(())
}

#[test]
fn a_new_policy_replaces_the_old_one_without_a_gap() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    hosts.enforce(POINT)?.end(Signal::SIGKILL)?;
    let hash = hosts.status()?.json["policy"]["hash"].clone();

    let witness = Witness::start(&hosts)?;
    let _agent = hosts.enforce(&format!("{POINT} --allow tcp/{FORBIDDEN}"))?;
    witness.look()?;
    let (sent, forbidden, allowed) = witness.finish()?;
    assert_eq!((forbidden, allowed), (0, sent));
    hosts.assert_tcp(&[FORBIDDEN], Outcome::Connected);
    let status = hosts.status()?;
    assert_eq!(status.generation(), 2);
    assert_ne!(status.json["policy"]["hash"], hash);
    Ok(())
}

#[test]
fn a_second_agent_for_the_same_pins_is_refused() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    let agent = hosts.enforce(POINT)?;
    let before = hosts.status()?;
    for arguments in [
        &format!("enforce {POINT} --metrics-listen 127.0.0.1:19471"),
        "detach",
    ] {
        hosts
            .run(arguments)?
            .assert_refused(&["another sccm-agent", "--pin-dir"]);
    }
    assert_eq!(hosts.status()?, before);
    assert_eq!(agent.get("/-/ready")?.0, 200);
    hosts.assert_enforced();
    Ok(())
}

#[test]
fn a_new_agent_lets_go_of_interfaces_that_it_was_not_given() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    let (left, right) = veth_pair(&hosts.client, "eth1", &hosts.point, "eth1")?;
    left.address("198.51.100.1/24")?;
    right.address("198.51.100.2/24")?;
    let agent = hosts.enforce(&format!("{POINT} --interface eth1"))?;
    agent.end(Signal::SIGKILL)?;
    assert!(hosts.has_xdp("eth1")?);

    let _agent = hosts.enforce(POINT)?;
    hosts.assert_enforced();
    let to = "198.51.100.2:21".parse()?;
    assert_eq!(tcp_connect(&hosts.client, to, LONG), Outcome::Connected);
    assert!(!hosts.has_xdp("eth1")?);
    assert_eq!(hosts.status()?.code, Some(0));
    Ok(())
}

#[test]
fn a_card_that_was_made_anew_is_noticed_and_taken_again() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    let agent = hosts.enforce(POINT)?;
    hosts.assert_enforced();
    let before = agent.metrics()?.dropped(&[]);
    agent.end(Signal::SIGKILL)?;

    hosts.client.ip("link delete dev eth0")?;
    assert_eq!(hosts.status()?.of("eth0"), ("stale-pin", "-"));
    hosts.join_by_cable()?;
    let status = hosts.status()?;
    assert_eq!(status.of("eth0"), ("stale-pin", "-"));
    assert_eq!(status.code, Some(4));

    let agent = hosts.enforce(POINT)?;
    hosts.assert_enforced();
    let status = hosts.status()?;
    assert_eq!(status.of("eth0"), ("enforcing", "native"));
    assert!(
        agent.metrics()?.dropped(&[]) > before,
        "the counters went on"
    );
    Ok(())
}
