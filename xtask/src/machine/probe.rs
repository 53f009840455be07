//! The two hosts beside the machine: one sends without a pause what the policy allows and what it
//! forbids, the other counts what arrives.

use std::collections::HashSet;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::ops::Sub;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::thread::{self, sleep};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};

use super::until;
use super::wire::{self, INSIDE, OUTSIDE};
use crate::network;

/// What the policy of the test allows (`files/policy.toml`), and what it does not.
const ALLOWED_TCP: u16 = 80;
const ALLOWED_UDP: u16 = 4000;
const FORBIDDEN_TCP: u16 = 3389;
const FORBIDDEN_UDP: u16 = 4001;
/// Of the machine itself.
const FORBIDDEN_OWN: u16 = 22;

/// How long a datagram may be on its way through an emulated machine that does something else.
const SETTLED: Duration = Duration::from_secs(5);

/// What happened since the beginning, or since another moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Forbidden packets that were sent.
    pub forbidden: u64,
    /// Those of them that came through the machine, or were answered by anybody.
    pub slipped: u64,
    /// Those of them to the machine itself that it answered.
    pub answered: u64,
    /// Allowed datagrams that were sent.
    pub allowed: u64,
    /// Those of them that were answered.
    pub passed: u64,
    /// Allowed conversations by TCP.
    pub conversations: u64,
    /// Those that came to nothing.
    pub broken: u64,
}

impl Sub for Seen {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            forbidden: self.forbidden - before.forbidden,
            slipped: self.slipped - before.slipped,
            answered: self.answered - before.answered,
            allowed: self.allowed - before.allowed,
            passed: self.passed - before.passed,
            conversations: self.conversations - before.conversations,
            broken: self.broken - before.broken,
        }
    }
}

#[derive(Default)]
struct Counts {
    forbidden: AtomicU64,
    slipped: AtomicU64,
    answered: AtomicU64,
    allowed: AtomicU64,
    passed: AtomicU64,
    conversations: AtomicU64,
    broken: AtomicU64,
    /// Send nothing that is allowed, for a moment.
    pause: AtomicBool,
    end: AtomicBool,
}

impl Counts {
    fn goes_on(&self) -> bool {
        !self.end.load(Ordering::Relaxed)
    }

    fn pauses(&self) -> bool {
        self.pause.load(Ordering::Relaxed)
    }
}

fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

pub struct Probe {
    counts: Arc<Counts>,
}

impl Probe {
    /// Begins, in the network of this thread, which holds both cables. The emulator holds their ends.
    pub fn start() -> Result<Self> {
        let counts = Arc::new(Counts::default());
        let (network, networks) = channel();
        let (give, given) = channel();
        let inside = Arc::clone(&counts);
        let inside = thread::spawn(move || -> Result<()> {
            network.send(network::leave()?)?;
            given.recv()?;
            wire::connect(&INSIDE)?;
            serve(&inside)
        });
        let ready = networks
            .recv()
            .context("the inner network")
            .and_then(|network| {
                wire::give(&INSIDE, &network)?;
                give.send(()).context("the inner network")
            });
        inside.join().map_err(|_| anyhow!("the inner network"))??;
        ready?;
        wire::connect(&OUTSIDE)?;
        ask(&counts)?;
        Ok(Self { counts })
    }

    /// What happened until now. What is allowed pauses until it has arrived or is lost.
    pub fn settle(&self) -> Result<Seen> {
        self.counts.pause.store(true, Ordering::Relaxed);
        sleep(Duration::from_secs(1));
        // What was lost does not come, which is for the caller to judge.
        let arrived = || {
            let seen = self.seen();
            Ok((seen.allowed == seen.passed).then_some(()))
        };
        let _ = until("what is on its way", SETTLED, arrived);
        let seen = self.seen();
        self.counts.pause.store(false, Ordering::Relaxed);
        Ok(seen)
    }

    /// What happened until now, without what is on its way.
    pub fn seen(&self) -> Seen {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let counts = &self.counts;
        Seen {
            forbidden: read(&counts.forbidden),
            slipped: read(&counts.slipped),
            answered: read(&counts.answered),
            allowed: read(&counts.allowed),
            passed: read(&counts.passed),
            conversations: read(&counts.conversations),
            broken: read(&counts.broken),
        }
    }

    /// Waits until `wanted` is so of what happens from now on.
    pub fn wait(&self, what: &str, limit: Duration, wanted: impl Fn(Seen) -> bool) -> Result<()> {
        let before = self.seen();
        until(what, limit, || {
            Ok(wanted(self.seen() - before).then_some(()))
        })
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.counts.end.store(true, Ordering::Relaxed);
    }
}

/// What the protected host answers: everything, so that what is dropped is dropped by the machine.
fn serve(counts: &Arc<Counts>) -> Result<()> {
    for (port, forbidden) in [(ALLOWED_UDP, false), (FORBIDDEN_UDP, true)] {
        let socket = UdpSocket::bind((INSIDE.host, port))?;
        socket.set_read_timeout(Some(Duration::from_millis(500)))?;
        let counts = Arc::clone(counts);
        thread::spawn(move || {
            let mut number = [0; 8];
            while counts.goes_on() {
                let Ok((length, from)) = socket.recv_from(&mut number) else {
                    continue;
                };
                if forbidden {
                    add(&counts.slipped);
                }
                // An answer that is lost is missed by who asked.
                let _ = socket.send_to(&number[..length], from);
            }
        });
    }
    for (port, forbidden) in [(ALLOWED_TCP, false), (FORBIDDEN_TCP, true)] {
        let listener = TcpListener::bind((INSIDE.host, port))?;
        listener.set_nonblocking(true)?;
        let counts = Arc::clone(counts);
        thread::spawn(move || {
            while counts.goes_on() {
                match listener.accept() {
                    Ok(_) if forbidden => add(&counts.slipped),
                    Ok((stream, _)) => drop(thread::spawn(move || echo(stream))),
                    Err(_) => sleep(Duration::from_millis(5)),
                }
            }
        });
    }
    Ok(())
}

fn echo(mut stream: TcpStream) {
    let mut buffer = [0; 4];
    // The other end sees what became of it.
    let _ = stream.set_nonblocking(false);
    let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
    if stream.read_exact(&mut buffer).is_ok() {
        let _ = stream.write_all(&buffer);
    }
}

/// What the outer host sends.
fn ask(counts: &Arc<Counts>) -> Result<()> {
    let (allowed, forbidden) = (socket(ALLOWED_UDP)?, socket(FORBIDDEN_UDP)?);
    let of_datagrams = Arc::clone(counts);
    thread::spawn(move || datagrams(&of_datagrams, &allowed, forbidden));
    let inner = SocketAddr::new(INSIDE.host.parse()?, FORBIDDEN_TCP);
    let own = SocketAddr::new(OUTSIDE.gateway.parse()?, FORBIDDEN_OWN);
    let of_forbidden = Arc::clone(counts);
    thread::spawn(move || {
        while of_forbidden.goes_on() {
            try_forbidden(&of_forbidden.forbidden, &of_forbidden.slipped, inner);
            try_forbidden(&of_forbidden.forbidden, &of_forbidden.answered, own);
        }
    });
    let allowed = SocketAddr::new(INSIDE.host.parse()?, ALLOWED_TCP);
    let of_allowed = Arc::clone(counts);
    thread::spawn(move || {
        while of_allowed.goes_on() {
            if !of_allowed.pauses() {
                let talked = converse(allowed).is_ok();
                add(if talked {
                    &of_allowed.conversations
                } else {
                    &of_allowed.broken
                });
            }
            sleep(Duration::from_millis(100));
        }
    });
    Ok(())
}

fn socket(port: u16) -> Result<UdpSocket> {
    let socket = UdpSocket::bind((OUTSIDE.host, 0))?;
    socket.connect((INSIDE.host, port))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Two hundred forbidden datagrams a second, and every fourth time an allowed one.
fn datagrams(counts: &Counts, allowed: &UdpSocket, forbidden: UdpSocket) {
    let mut under_way = HashSet::new();
    let mut buffer = [0; 8];
    for number in 0_u64.. {
        if !counts.goes_on() {
            return;
        }
        let bytes = number.to_be_bytes();
        match forbidden.send(&bytes) {
            Ok(_) => add(&counts.forbidden),
            // An ICMP error about an earlier one.
            Err(error) if error.kind() != ErrorKind::WouldBlock => add(&counts.slipped),
            Err(_) => {}
        }
        if number % 4 == 0 && !counts.pauses() && allowed.send(&bytes).is_ok() {
            add(&counts.allowed);
            under_way.insert(bytes);
        }
        while allowed.recv(&mut buffer).is_ok() {
            if under_way.remove(&buffer) {
                add(&counts.passed);
            }
        }
        while forbidden.recv(&mut buffer).is_ok() {
            add(&counts.slipped);
        }
        sleep(Duration::from_millis(5));
    }
}

/// Counts everything but silence.
fn try_forbidden(sent: &AtomicU64, got: &AtomicU64, to: SocketAddr) {
    add(sent);
    match TcpStream::connect_timeout(&to, Duration::from_millis(50)) {
        Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock) => {}
        Ok(_) | Err(_) => {
            add(got);
            sleep(Duration::from_millis(50));
        }
    }
}

fn converse(with: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&with, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(b"ping")?;
    stream.read_exact(&mut [0; 4])
}
