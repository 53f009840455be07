//! Traffic without a pause, so that a moment without the right policy does not go unseen.
//!
//! Datagrams to a forbidden and to an allowed port, over both families in turn. Both ports are
//! listened on: what arrives at the forbidden one was not filtered, what is missing at the allowed
//! one was lost.

use std::io::ErrorKind;
use std::net::{Ipv6Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};

use super::Hosts;
use crate::traffic::FrameSocket;

/// A UDP port that no policy of the tests lets in.
const FORBIDDEN: u16 = 161;

/// A UDP port that a distribution point's role needs: multicast.
const ALLOWED: u16 = 63500;

/// How long the sender, which lets everybody else go first, may take for some rounds.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running sender and its receivers.
pub struct Witness {
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicU64>,
    sender: JoinHandle<Result<()>>,
    receivers: [JoinHandle<Result<u64>>; 2],
}

/// What a [`Witness`] has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Datagrams that were sent to each port.
    pub sent: u64,
    /// Those that arrived at the forbidden one.
    pub forbidden: u64,
    /// Those that arrived at the allowed one.
    pub allowed: u64,
}

impl Seen {
    /// Asserts that nothing slipped through and nothing was lost.
    #[track_caller]
    pub fn assert_no_gap(&self) {
        assert!(self.sent > 0);
        assert_eq!(self.forbidden, 0, "arrived at a forbidden port: {self:?}");
        assert_eq!(self.allowed, self.sent, "arrived at an allowed port");
    }
}

impl Witness {
    /// Starts to send from the client to the point.
    pub fn start(hosts: &Hosts) -> Result<Self> {
        let (stop, rounds) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let mut frames = Vec::new();
        for packet in hosts.packets()? {
            for port in [FORBIDDEN, ALLOWED] {
                frames.push(packet.clone().udp(40000, port).payload(10).build());
            }
        }
        let receivers = [receiver(hosts, FORBIDDEN)?, receiver(hosts, ALLOWED)?];
        let socket = FrameSocket::open(hosts.client.interface("eth0"))?;
        let (stopped, sent) = (Arc::clone(&stop), Arc::clone(&rounds));
        let sender = thread::spawn(move || {
            give_way();
            while !stopped.load(Ordering::Relaxed) {
                for frame in &frames {
                    socket.send_until_taken(frame)?;
                }
                sent.fetch_add(1, Ordering::Relaxed);
                thread::yield_now();
            }
            Ok(())
        });
        let receivers = receivers.map(|socket| {
            let stopped = Arc::clone(&stop);
            thread::spawn(move || count(&socket, &stopped))
        });
        Ok(Self {
            stop,
            rounds,
            sender,
            receivers,
        })
    }

    /// Waits until it has seen some more of what goes on.
    pub fn look(&self) -> Result<()> {
        let wanted = self.rounds.load(Ordering::Relaxed) + 100;
        let end = Instant::now() + PATIENCE;
        while self.rounds.load(Ordering::Relaxed) < wanted {
            ensure!(Instant::now() < end, "the sender has stopped");
            sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Stops, and returns what was seen.
    ///
    /// # Panics
    /// When a thread panicked.
    pub fn finish(self) -> Result<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        self.sender.join().expect("the sender does not panic")?;
        let [forbidden, allowed] = self
            .receivers
            .map(|receiver| receiver.join().expect("a receiver does not panic"));
        Ok(Seen {
            sent: 2 * self.rounds.load(Ordering::Relaxed),
            forbidden: forbidden?,
            allowed: allowed?,
        })
    }
}

/// Lets everybody else have the processor before this thread. On a slow machine the agent would
/// starve otherwise.
fn give_way() {
    // SAFETY: the call takes three numbers; 0 is the calling thread.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 19) };
}

/// A socket in the point with room for what is not read at once.
fn receiver(hosts: &Hosts, port: u16) -> Result<UdpSocket> {
    let bind = || UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port));
    let socket = hosts.point.enter(bind)?;
    setsockopt(&socket, RcvBufForce, &(256 << 20))?;
    // Longer than a frame takes through a cable and a busy machine.
    socket.set_read_timeout(Some(Duration::from_millis(500)))?;
    Ok(socket)
}

/// Counts datagrams until the sender has stopped and no more come.
fn count(socket: &UdpSocket, stopped: &AtomicBool) -> Result<u64> {
    let mut arrived = 0;
    loop {
        match socket.recv(&mut [0; 64]) {
            Ok(_) => arrived += 1,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if stopped.load(Ordering::Relaxed) {
                    return Ok(arrived);
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}
