//! The agent itself: how soon it enforces, how soon it has another policy, and what it takes.

use std::fs;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use nix::unistd::{SysconfVar, sysconf};
use sccm_tests::agent::{Agent, command, run};
use sccm_tests::bpffs::BpfMount;
use sccm_tests::signals::Interrupt;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::live::{Line, policy};
use crate::statistics::median;

/// A port that the role does not have.
const BLOCKED: u16 = 9;

/// Between two packets to it: the resolution of the start.
const APART: Duration = Duration::from_micros(100);

/// After so long without a packet, none will come.
const SILENCE: Duration = Duration::from_millis(500);

/// How long an idle agent is watched.
const IDLE: Duration = Duration::from_secs(5);

/// Prefixes of the policies.
const PREFIXES: [u32; 5] = [1, 16, 1_000, 10_000, 100_000];

/// What was found out.
pub struct Life {
    /// Milliseconds from the start of the program to the last packet that slipped through.
    pub first_drop: f64,
    /// Its memory in MiB, with a role only, and with 100,000 prefixes.
    pub memory: [f64; 2],
    /// Processors that it keeps busy while nothing happens.
    pub idle: f64,
    /// Milliseconds of `sccm-agent reload`, by number of prefixes.
    pub reloads: Vec<(u32, f64)>,
}

impl Life {
    /// What the project aims at.
    pub const FIRST_DROP_AT_MOST: f64 = 150.0;
    /// In MiB.
    pub const MEMORY_AT_MOST: f64 = 32.0;

    /// Measures.
    pub fn measure(rounds: u32, interrupt: &Interrupt) -> Result<Self> {
        eprintln!("==> the agent itself");
        let mut starts = Vec::new();
        for _ in 0..rounds {
            interrupt.check()?;
            starts.push(first_drop()?.as_secs_f64() * 1e3);
        }
        let bench = Bench::new()?;
        let agent = bench.start(None)?;
        let before = processor_time(&agent)?;
        sleep(IDLE);
        let idle = (processor_time(&agent)? - before).as_secs_f64() / IDLE.as_secs_f64();
        let of_a_role = memory(&agent)?;
        let mut reloads = Vec::new();
        for prefixes in PREFIXES {
            interrupt.check()?;
            reloads.push((prefixes, bench.reload(prefixes, rounds)?));
        }
        Ok(Self {
            first_drop: median(&starts),
            memory: [of_a_role, memory(&agent)?],
            idle,
            reloads,
        })
    }

    /// For tools.
    pub fn json(&self) -> Value {
        let reloads = self.reloads.iter();
        let reloads = reloads.map(|(prefixes, took)| json!({ "prefixes": prefixes, "ms": took }));
        json!({
            "start_to_first_drop_ms": self.first_drop,
            "start_to_first_drop_at_most_ms": Self::FIRST_DROP_AT_MOST,
            "memory_mib": self.memory[0],
            "memory_100000_prefixes_mib": self.memory[1],
            "memory_at_most_mib": Self::MEMORY_AT_MOST,
            "idle_processors": self.idle,
            "reloads": reloads.collect::<Vec<_>>(),
        })
    }
}

/// A line with an agent at its end.
struct Bench {
    line: Line,
    pins: BpfMount,
    directory: TempDir,
}

impl Bench {
    fn new() -> Result<Self> {
        Ok(Self {
            line: Line::new()?,
            pins: BpfMount::new()?,
            directory: tempfile::tempdir()?,
        })
    }

    fn command(&self, arguments: &str) -> Result<std::process::Command> {
        command(
            &self.line.receiver,
            arguments,
            &self.pins.path().join("agent"),
        )
    }

    fn write(&self, prefixes: Option<u32>) -> Result<String> {
        let path = self.directory.path().join("policy.toml");
        fs::write(&path, policy(prefixes))?;
        let path = path.display();
        Ok(format!("enforce --config {path} --interface eth0"))
    }

    fn start(&self, prefixes: Option<u32>) -> Result<Agent<'_>> {
        let enforce = self.command(&self.write(prefixes)?)?;
        Agent::start(&self.line.receiver, enforce)
    }

    /// Milliseconds of a reload that changes the number of prefixes.
    fn reload(&self, prefixes: u32, rounds: u32) -> Result<f64> {
        let mut times = Vec::new();
        for round in 0..rounds {
            // One more or one less, so that each is another policy.
            self.write(Some(prefixes - round % 2 % prefixes))?;
            let start = Instant::now();
            let ended = run(self.command("reload")?)?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
            ensure!(ended.code == Some(0), "a reload failed: {}", ended.stderr);
        }
        Ok(median(&times))
    }
}

/// From the start of the program until nothing gets through any more.
fn first_drop() -> Result<Duration> {
    let bench = Bench::new()?;
    let line = &bench.line;
    let socket = |address: String| UdpSocket::bind(address).context("making a socket");
    let receiver = line
        .receiver
        .enter(|| socket(format!("{}:{BLOCKED}", Line::RECEIVER)))?;
    let sender = line
        .sender
        .enter(|| socket(format!("{}:0", Line::SENDER)))?;
    sender.connect((Line::RECEIVER, BLOCKED))?;
    receiver.set_read_timeout(Some(SILENCE))?;
    let enforce = bench.command("enforce --role distribution-point --interface eth0")?;

    let is_over = AtomicBool::new(false);
    scope(|threads| {
        threads.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                // A full queue is not worth ending for: the next packet will do.
                let _ = sender.send(b"?");
                sleep(APART);
            }
        });
        let last = until_silence(&receiver, || Agent::spawn(&line.receiver, enforce));
        is_over.store(true, Ordering::Relaxed);
        let (start, last, agent) = last?;
        ensure!(
            agent.end(Signal::SIGTERM)?.code == Some(0),
            "the agent failed"
        );
        Ok(last.duration_since(start))
    })
}

/// Starts the agent while packets arrive, and returns when it did so, when the last one came, and
/// the agent.
fn until_silence<'n>(
    receiver: &UdpSocket,
    start: impl FnOnce() -> Result<Agent<'n>>,
) -> Result<(Instant, Instant, Agent<'n>)> {
    let mut buffer = [0; 8];
    receiver
        .recv(&mut buffer)
        .context("nothing arrives without an agent")?;
    let started = Instant::now();
    let agent = start()?;
    let mut last = started;
    while receiver.recv(&mut buffer).is_ok() {
        last = Instant::now();
        ensure!(
            last.duration_since(started) < Duration::from_secs(20),
            "nothing is dropped"
        );
    }
    Ok((started, last, agent))
}

/// What it has in memory of its own and of files, in MiB (`VmRSS`, proc_pid_status(5)).
fn memory(agent: &Agent<'_>) -> Result<f64> {
    let text = fs::read_to_string(agent.proc()?.join("status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next());
    let kibibytes: f64 = kibibytes.context("no memory is told")?.parse()?;
    Ok(kibibytes / 1024.0)
}

/// What it has computed so far (proc_pid_stat(5)).
fn processor_time(agent: &Agent<'_>) -> Result<Duration> {
    let text = fs::read_to_string(agent.proc()?.join("stat"))?;
    let (_, fields) = text.rsplit_once(") ").context("no fields are told")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks = |index: usize| -> Result<u64> {
        Ok(fields.get(index).context("a field is missing")?.parse()?)
    };
    let each = sysconf(SysconfVar::CLK_TCK)?.context("no length of a tick")?;
    let spent = ticks(11)? + ticks(12)?;
    Ok(Duration::from_secs_f64(spent as f64 / each as f64))
}
