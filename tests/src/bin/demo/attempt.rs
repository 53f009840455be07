//! What is tried between the two hosts, and what comes of it.
//!
//! Nothing here knows what should pass: each attempt is made with real sockets, and says what
//! happened. [`reasons`](crate::reasons) says what should.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use sccm_tests::netns::Namespace;
use sccm_tests::traffic::{self, PATIENCE};

use crate::hosts::{CLIENT, DISTRIBUTION_POINT, Hosts, INTERFACE};
use crate::web;

/// Who opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opener {
    /// The client, towards the protected host.
    Client,
    /// The protected host itself.
    DistributionPoint,
}

/// How it is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Fetches the package and compares it.
    Download,
    /// Opens a connection.
    Tcp,
    /// Sends a datagram and waits for the same back.
    Udp {
        /// The source port; 0 for any.
        from: u16,
    },
    /// One echo request.
    Ping,
    /// Finds the other's Ethernet address, which was forgotten before.
    Neighbour,
}

/// One conversation that may work.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// What people call it.
    pub name: &'static str,
    /// Who begins.
    pub opener: Opener,
    /// How.
    pub kind: Kind,
    /// The other's port; 0 where there is none.
    pub port: u16,
    /// Over IPv6 instead of IPv4.
    pub ipv6: bool,
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It worked; in a word, how.
    Worked(&'static str),
    /// Nothing came back.
    Silent,
    /// Neither: a refusal, an error, wrong content.
    Odd(String),
}

/// Everything that the demo tries, in the order of its table.
pub fn all() -> Vec<Attempt> {
    use Kind::{Download, Neighbour, Ping, Tcp};
    use Opener::{Client, DistributionPoint};
    const UDP: Kind = Kind::Udp { from: 0 };
    const TIME: Kind = Kind::Udp { from: 123 };
    let list = [
        ("package download", Client, Download, 80, false),
        ("package download", Client, Download, 80, true),
        ("HTTPS", Client, Tcp, 443, false),
        ("SMB", Client, Tcp, 445, false),
        ("SMB", Client, Tcp, 445, true),
        ("RPC endpoint mapper", Client, Tcp, 135, false),
        ("RPC endpoint mapper", Client, UDP, 135, false),
        ("RPC, a dynamic port", Client, Tcp, 50123, false),
        ("multicast", Client, UDP, 63500, false),
        ("ARP", Client, Neighbour, 0, false),
        ("neighbour discovery", Client, Neighbour, 0, true),
        ("TFTP", Client, UDP, 69, false),
        ("SQL Server", Client, Tcp, 1433, false),
        ("Remote Desktop", Client, Tcp, 3389, false),
        ("Remote Desktop", Client, Tcp, 3389, true),
        ("WinRM", Client, Tcp, 5985, false),
        ("SSH", Client, Tcp, 22, false),
        ("Telnet", Client, Tcp, 23, false),
        ("unknown high port", Client, Tcp, 31337, false),
        ("NTP answer, unasked", Client, TIME, 40123, false),
        ("ping", Client, Ping, 0, false),
        ("ping", Client, Ping, 0, true),
        ("to a site server", DistributionPoint, Tcp, 8530, false),
        ("to a site server", DistributionPoint, Tcp, 8530, true),
        ("to a name server", DistributionPoint, UDP, 53, false),
        ("ping", DistributionPoint, Ping, 0, false),
        ("ping", DistributionPoint, Ping, 0, true),
    ];
    let attempt = |(name, opener, kind, port, ipv6)| Attempt {
        name,
        opener,
        kind,
        port,
        ipv6,
    };
    list.map(attempt).into()
}

/// How long to wait for an answer. One that should come may take long on a busy machine, and a
/// lost SYN is repeated after a second; waiting for one that should not is time lost.
pub fn patience(answers: bool) -> Duration {
    if answers { PATIENCE * 10 } else { PATIENCE * 2 }
}

impl Attempt {
    /// The address of the one who answers.
    pub fn address(&self) -> IpAddr {
        let host = match self.opener {
            Opener::Client => DISTRIBUTION_POINT,
            Opener::DistributionPoint => CLIENT,
        };
        host[usize::from(self.ipv6)]
    }

    /// Whether other traffic would make it meaningless.
    pub fn needs_quiet(&self) -> bool {
        self.kind == Kind::Neighbour
    }

    /// The protocol that carries it, as the catalog calls it.
    pub fn protocol(&self) -> &'static str {
        match self.kind {
            Kind::Download | Kind::Tcp => "tcp",
            Kind::Udp { .. } => "udp",
            Kind::Ping if self.ipv6 => "icmpv6",
            Kind::Ping => "icmp",
            Kind::Neighbour => "",
        }
    }

    /// Tries it.
    pub fn make(&self, hosts: &Hosts, patience: Duration) -> Result<Outcome> {
        let (from, _) = hosts.ends(self.opener);
        let to = SocketAddr::new(self.address(), self.port);
        Ok(match self.kind {
            Kind::Download => from.enter(|| download(to, patience)),
            Kind::Tcp => connect(from, to, patience),
            Kind::Udp { from: port } => from.enter(|| echo(port, to, patience)),
            Kind::Ping if traffic::ping(from, to.ip(), patience)? => Outcome::Worked("answered"),
            Kind::Ping => Outcome::Silent,
            Kind::Neighbour => neighbour(from, to.ip(), patience)?,
        })
    }
}

/// `tcp 80`, `icmp`, and whether it is IPv6.
impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = if self.ipv6 { "IPv6" } else { "IPv4" };
        match (self.protocol(), self.port) {
            ("", _) => f.write_str(version),
            (protocol, 0) => f.write_str(protocol),
            (protocol, port) if self.ipv6 => write!(f, "{protocol} {port}, v6"),
            (protocol, port) => write!(f, "{protocol} {port}"),
        }
    }
}

fn download(from: SocketAddr, patience: Duration) -> Outcome {
    match web::get(from, web::PACKAGE_PATH, patience) {
        Ok(answer) if answer.status != 200 => Outcome::Odd(format!("HTTP {}", answer.status)),
        Ok(answer) if answer.body == web::package() => Outcome::Worked("1 MiB"),
        Ok(answer) => Outcome::Odd(format!("{} bytes, not the file", answer.body.len())),
        Err(error) => failed(&error),
    }
}

fn connect(from: &Namespace, to: SocketAddr, patience: Duration) -> Outcome {
    match traffic::tcp_connect(from, to, patience) {
        traffic::Outcome::Connected => Outcome::Worked("connected"),
        traffic::Outcome::TimedOut => Outcome::Silent,
        other => Outcome::Odd(format!("{other:?}").to_lowercase()),
    }
}

fn echo(port: u16, to: SocketAddr, patience: Duration) -> Outcome {
    let exchange = || -> io::Result<bool> {
        let socket = UdpSocket::bind((any(to), port))?;
        socket.connect(to)?;
        socket.set_read_timeout(Some(patience))?;
        socket.send(b"is it you?")?;
        let mut answer = [0; 64];
        let length = socket.recv(&mut answer)?;
        Ok(&answer[..length] == b"is it you?")
    };
    match exchange() {
        Ok(true) => Outcome::Worked("answered"),
        Ok(false) => Outcome::Odd("wrong answer".to_owned()),
        Err(error) => failed(&error),
    }
}

/// The address to send from that leaves the choice to the kernel.
fn any(to: SocketAddr) -> IpAddr {
    match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

fn failed(error: &io::Error) -> Outcome {
    match error.kind() {
        // A read that runs out of time reports the first, a connect the second.
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Outcome::Silent,
        _ => Outcome::Odd(error.to_string()),
    }
}

/// Sends something that must be answered to by the other's Ethernet address first.
fn neighbour(from: &Namespace, to: IpAddr, patience: Duration) -> Result<Outcome> {
    let step = Duration::from_millis(20);
    // Any datagram would do; this one is part of the role, and so adds no drop to the counters.
    let mapper = SocketAddr::new(to, 135);
    for _ in 0..=patience.as_millis() / step.as_millis() {
        from.enter(|| UdpSocket::bind((any(mapper), 0))?.send_to(b"?", mapper))
            .context("cannot send a datagram")?;
        thread::sleep(step);
        let table = from.ip(&format!("neigh show to {to} dev {INTERFACE}"))?;
        if table.contains("lladdr") {
            return Ok(Outcome::Worked("found"));
        }
    }
    Ok(Outcome::Silent)
}
