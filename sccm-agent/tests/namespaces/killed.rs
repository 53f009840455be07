//! 200 agents that are killed at random moments: while they start, publish, wait for a
//! confirmation, or reload.
//!
//! A sender without a pause is the witness that nothing unfiltered slips through and nothing
//! allowed is lost; the kernel's counters must never fall, whoever wrote them last.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use sccm_agent::control::default_socket;
use sccm_agent::kernel::{Maps, PinDir, Reading};
use sccm_tests::agent::{ALLOWED, Agent, FORBIDDEN, Hosts, LONG, PolicyFile, Witness};
use sccm_tests::traffic::Outcome;

const KILLED: u32 = 200;

/// What the file may say: none of it concerns what the witness sends.
const FILES: [&[&str]; 4] = [
    &[],
    &["tcp/22"],
    &["tcp/23", "udp/53"],
    &["tcp/22", "tcp/23"],
];

/// What an agent is told, over and over.
const COMMANDS: [&str; 6] = [
    r#"{"command":"reload"}"#,
    r#"{"command":"reload","confirm_within":3600}"#,
    r#"{"command":"reload","confirm_within":3600}"#,
    r#"{"command":"reload","confirm_within":1}"#,
    r#"{"command":"confirm"}"#,
    r#"{"command":"rollback"}"#,
];

/// How long an agent lives on at most that is killed in the wait for a confirmation.
const WAIT: Duration = Duration::from_millis(20);

fn started(agent: &Agent) -> Result<bool> {
    Ok(agent.log()?.contains("enforcing"))
}

fn await_true(what: &str, holds: impl Fn() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + 3 * LONG;
    while !holds()? {
        ensure!(Instant::now() < end, "no agent {what}");
        sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Numbers that nobody expects (Marsaglia, "Xorshift RNGs", 2003).
struct Random(u64);

impl Random {
    fn new() -> Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        Ok(Self(now.as_nanos() as u64 | 1))
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

/// Somebody who rewrites the file and gives commands for as long as an agent lives.
fn pester(
    socket: PathBuf,
    policy: Arc<PolicyFile>,
    mut random: Random,
    stop: Arc<AtomicBool>,
) -> JoinHandle<Result<u64>> {
    thread::spawn(move || {
        let mut answers = 0;
        while !stop.load(Ordering::Relaxed) {
            policy.allow(random.of(&FILES))?;
            let Ok(mut stream) = UnixStream::connect(&socket) else {
                sleep(Duration::from_millis(2));
                continue;
            };
            // Either may fail: the agent is killed at any moment.
            if writeln!(stream, "{}", random.of(&COMMANDS)).is_ok() {
                let mut answer = String::new();
                let read = BufReader::new(stream).read_line(&mut answer);
                answers += u64::from(read.is_ok() && answer.contains("\"done\""));
                if answer.contains("\"published\"") {
                    // As somebody who looks whether all goes well, before the next command.
                    sleep(Duration::from_millis(random.below(100)));
                }
            }
        }
        Ok(answers)
    })
}

/// The counters, each by all that it is about.
fn counters(maps: &Maps) -> Result<BTreeMap<String, (u64, u64)>> {
    let key = |reading: &Reading| {
        format!(
            "{} {:?} {} {:?}",
            reading.interface, reading.direction, reading.observing, reading.reason
        )
    };
    let mut all = BTreeMap::new();
    for reading in maps.counters()? {
        // Classes may get names meanwhile, so the sum over them is what is compared.
        let sum: &mut (u64, u64) = all.entry(key(&reading)).or_default();
        sum.0 += reading.count.packets;
        sum.1 += reading.count.bytes;
    }
    Ok(all)
}

#[test]
fn agents_that_are_killed_at_random_moments_leave_no_gap() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    let policy = Arc::new(PolicyFile::allowing(&[])?);
    let line = format!("enforce {}", policy.arguments());
    let begun = Instant::now();
    hosts.enforce(&policy.arguments())?.end(Signal::SIGKILL)?;
    let start = begun.elapsed();

    let maps = Maps::open(&PinDir::new(hosts.pins()))?;
    let witness = Witness::start(&hosts)?;
    witness.look()?;
    let socket = default_socket(&hosts.pins());
    let mut random = Random::new()?;
    println!("seed {}, a start of {start:?}", random.0);
    let stop = Arc::<AtomicBool>::default();
    let pest = pester(
        socket,
        Arc::clone(&policy),
        Random(random.below(u64::MAX) | 1),
        Arc::clone(&stop),
    );
    let mut before = counters(&maps)?;
    let (mut starting, mut waiting, begun) = (0, 0, Instant::now());
    for round in 0..KILLED {
        let agent = Agent::spawn(&hosts.point, hosts.command(&line)?)?;
        // While it starts, while it is given commands, in the wait.
        let age = match round % 3 {
            0 => start,
            1 => {
                await_true("starts", || started(&agent))?;
                start / 4
            }
            _ => {
                await_true("starts", || started(&agent))?;
                await_true("is told to wait", || Ok(!maps.info()?.is_confirmed()))?;
                WAIT
            }
        };
        sleep(Duration::from_micros(random.below(age.as_micros() as u64)));
        let log = agent.log()?;
        let finished = agent.end(Signal::SIGKILL)?;
        ensure!(finished.code.is_none(), "ended by itself: {finished:?}");
        starting += u32::from(!log.contains("enforcing"));
        waiting += u32::from(!maps.info()?.is_confirmed());

        let after = counters(&maps)?;
        for (what, count) in &before {
            let now = after.get(what).copied().unwrap_or_default();
            ensure!(
                now.0 >= count.0 && now.1 >= count.1,
                "round {round}: {what} fell"
            );
        }
        before = after;
    }
    let took = begun.elapsed();
    stop.store(true, Ordering::Relaxed);
    let answers = pest.join().expect("the pest does not panic")?;
    let generation = maps.info()?.generation.max(maps.standby()?.generation);
    println!(
        "{KILLED} agents in {took:?}: {starting} killed while they started, {waiting} in the wait; \
         {answers} commands obeyed, {generation} generations"
    );
    // Otherwise the moments were not as random as they should be.
    assert!(
        starting > 0 && starting < KILLED && waiting > 0,
        "{starting} {waiting}"
    );
    assert!(answers > 0 && generation > 1);

    // And the last one finds all in order. With a file of its own: a trial of it may go on.
    policy.allow(&["tcp/24"])?;
    let _agent = hosts.enforce(&policy.arguments())?;
    assert!(maps.info()?.is_confirmed());
    hosts.assert_tcp(&[ALLOWED], Outcome::Connected);
    hosts.assert_tcp(&[FORBIDDEN], Outcome::TimedOut);
    let seen = witness.finish()?;
    println!("{seen:?}");
    seen.assert_no_gap();
    Ok(())
}
