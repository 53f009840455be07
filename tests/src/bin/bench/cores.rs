//! What a second processor costs the first: the same packets on one processor, then on two at once.
//!
//! Counters, and what is noted of refused flows, each processor has for itself. Flows all share. A run
//! counts only if the two were really at work at the same time. All of it is measured at TC: before a run
//! at XDP the kernel waits for a grace period, and the two would not begin together.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use sccm_agent::kernel::IngressAt;
use sccm_common::{Hook, Place};
use sccm_tests::datapath::Settings;
use sccm_tests::packet::Packet;
use sccm_tests::signals::Interrupt;
use serde_json::{Value, json};

use crate::cases;
use crate::floor;
use crate::sys;
use crate::world::World;

/// Packets of a run: short, so that among many runs some meet nobody else.
const REPEAT: u32 = 20_000;

/// Runs in each round.
const RUNS: u32 = 40;

/// Processors.
const BOTH: [usize; 2] = [0, 1];

/// A kind of packet.
pub struct Cores {
    /// What is measured.
    pub name: &'static str,
    hook: Hook,
    /// One for each processor.
    frames: [Vec<u8>; 2],
    /// Nanoseconds a packet takes on one processor, in the best run.
    pub alone: u32,
    /// The same while the other processor does the same, on average of the two.
    pub both: f64,
}

impl Cores {
    /// Measures each kind of packet; nothing on a machine with one processor.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn measure(rounds: u32, interrupt: &Interrupt) -> Result<Vec<Self>> {
        if thread::available_parallelism()?.get() < BOTH.len() {
            return Ok(Vec::new());
        }
        let role = Settings::roles(&cases::ROLES);
        let mut world = World::at(&role, Place::Host, IngressAt::Tc)?;
        let mut all = kinds();
        for packet in openings() {
            world.run(Hook::Egress, &packet, 1)?;
        }
        let empty = floor::empty(world.kind(Hook::Ingress))?;
        for round in 1..=rounds {
            eprintln!("==> two processors: round {round} of {rounds}");
            for cores in &mut all {
                interrupt.check()?;
                let program = match cores.name {
                    EMPTY => empty.as_fd(),
                    _ => world.program(cores.hook)?,
                };
                let program = program.try_clone_to_owned()?;
                cores.round(&program)?;
            }
        }
        Ok(all)
    }

    fn new(name: &'static str, hook: Hook, packets: [&Packet; 2]) -> Self {
        Self {
            name,
            hook,
            frames: packets.map(Packet::build),
            alone: u32::MAX,
            both: f64::INFINITY,
        }
    }

    fn round(&mut self, program: &OwnedFd) -> Result<()> {
        for _ in 0..RUNS {
            for alone in self.run(&BOTH[..1], program)? {
                self.alone = self.alone.min(alone.nanoseconds);
            }
            if let [one, other] = &self.run(&BOTH, program)?[..]
                && one.overlaps(other)
            {
                let both = f64::from(one.nanoseconds + other.nanoseconds) / 2.0;
                self.both = self.both.min(both);
            }
        }
        Ok(())
    }

    /// Runs a program on these processors at once, each on a thread of its own.
    fn run(&self, processors: &[usize], program: &OwnedFd) -> Result<Vec<Ran>> {
        let barrier = Barrier::new(processors.len());
        thread::scope(|scope| {
            let threads: Vec<_> = processors
                .iter()
                .zip(&self.frames)
                .map(|(processor, frame)| scope.spawn(|| on(*processor, program, frame, &barrier)))
                .collect();
            let ran = threads.into_iter().map(|thread| {
                let ran = thread.join();
                ran.map_err(|_| anyhow!("a measuring thread panicked"))?
            });
            ran.collect()
        })
    }

    /// What two processors do together, of what one does alone.
    pub fn gain(&self) -> f64 {
        2.0 * f64::from(self.alone) / self.both
    }

    /// For tools.
    pub fn json(&self) -> Value {
        json!({
            "name": self.name,
            "alone_ns": self.alone,
            "both_ns": self.both.is_finite().then_some(self.both),
        })
    }
}

const EMPTY: &str = "empty program";

fn kinds() -> Vec<Cores> {
    let from = |peer: &str| Packet::ipv4(peer, "192.0.2.10");
    let [one, other] = PEERS.map(from);
    let opening = one.clone().tcp(50000, 80).syn();
    let refused = |packet: &Packet| packet.clone().tcp(50000, 3389).syn();
    let reply = |packet: &Packet| packet.clone().tcp(1433, 40000).ack().payload(64);
    let same = |name, packet: &Packet| Cores::new(name, Hook::Ingress, [packet, packet]);
    let apart = |name, packets: [Packet; 2]| Cores::new(name, Hook::Ingress, packets.each_ref());
    let [leaves, leaves_too] = sent(Packet::ack);
    vec![
        same(EMPTY, &opening),
        same("pass by a right", &opening),
        same("drop, noted: the same flow on both", &refused(&one)),
        apart(
            "drop, noted: a flow for each",
            [refused(&one), refused(&other)],
        ),
        same("reply: the same flow on both", &reply(&one)),
        apart("reply: a flow for each", [reply(&one), reply(&other)]),
        Cores::new(
            "goes out: the same flow on both",
            Hook::Egress,
            [&leaves, &leaves],
        ),
        Cores::new(
            "goes out: a flow for each",
            Hook::Egress,
            [&leaves, &leaves_too],
        ),
    ]
}

const PEERS: [&str; 2] = ["198.51.100.7", "198.51.100.8"];

/// What the protected system sends to each peer.
fn sent(kind: fn(Packet) -> Packet) -> [Packet; 2] {
    PEERS.map(|peer| kind(Packet::ipv4("192.0.2.10", peer).tcp(40000, 1433)))
}

fn openings() -> [Packet; 2] {
    sent(Packet::syn)
}

/// A run, and when it was.
struct Ran {
    nanoseconds: u32,
    begun: Instant,
    ended: Instant,
}

impl Ran {
    /// Whether each was at work for nine tenths of the other's time.
    fn overlaps(&self, other: &Self) -> bool {
        let together = self
            .ended
            .min(other.ended)
            .saturating_duration_since(self.begun.max(other.begun));
        let enough = |ran: &Self| ran.took() * 9 / 10 <= together;
        enough(self) && enough(other)
    }

    fn took(&self) -> Duration {
        self.ended - self.begun
    }
}

/// Keeps this thread on a processor, waits for the others, and runs a program.
fn on(processor: usize, program: &OwnedFd, frame: &[u8], together: &Barrier) -> Result<Ran> {
    let mut one = CpuSet::new();
    one.set(processor)?;
    sched_setaffinity(Pid::from_raw(0), &one).context("staying on one processor")?;
    together.wait();
    let begun = Instant::now();
    let run = sys::test_run(program.as_fd(), frame, REPEAT)?;
    Ok(Ran {
        nanoseconds: run.nanoseconds,
        begun,
        ended: Instant::now(),
    })
}
