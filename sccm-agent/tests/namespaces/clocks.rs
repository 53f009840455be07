//! Clocks that somebody sets, and a machine that sleeps.

use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use sccm_tests::agent::{Agent, Hosts, LONG, PolicyFile, run};
use tempfile::TempDir;

/// Steps the clocks of a process, by as many seconds as a file says: the wall clock, and the one
/// that goes on in suspend. Nobody may step those of the whole machine.
const STEPS: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
    long result = syscall(SYS_clock_gettime, clock, now), wall = 0, boot = 0;
    const char *path = getenv("CLOCK_STEPS");
    FILE *file = path ? fopen(path, "r") : NULL;
    if (file) {
        if (fscanf(file, "%ld %ld", &wall, &boot) != 2) wall = boot = 0;
        fclose(file);
    }
    if (clock == CLOCK_REALTIME) now->tv_sec += wall;
    if (clock == CLOCK_BOOTTIME) now->tv_sec += boot;
    return (int)result;
}
"#;

const MONTH: i64 = 30 * 86_400;

struct Clocks(TempDir);

impl Clocks {
    fn new() -> Result<Self> {
        let this = Self(tempfile::tempdir()?);
        let source = this.0.path().join("steps.c");
        fs::write(&source, STEPS)?;
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-o"]);
        let compiled = run({
            compiler.arg(this.0.path().join("steps.so")).arg(source);
            compiler
        })?;
        ensure!(compiled.code == Some(0), "{compiled:?}");
        this.step(0, 0)?;
        Ok(this)
    }

    fn step(&self, wall: i64, boot: i64) -> Result<()> {
        let new = self.0.path().join("new");
        fs::write(&new, format!("{wall} {boot}"))?;
        Ok(fs::rename(new, self.0.path().join("steps"))?)
    }

    fn enforce<'h>(&self, hosts: &'h Hosts, policy: &PolicyFile) -> Result<Agent<'h>> {
        let mut command = hosts.command(&format!("enforce {}", policy.arguments()))?;
        command
            .env("LD_PRELOAD", self.0.path().join("steps.so"))
            .env("CLOCK_STEPS", self.0.path().join("steps"));
        Agent::start(&hosts.point, command)
    }
}

#[test]
fn a_trial_ends_in_its_time_whatever_the_clocks_say() -> Result<()> {
    let hosts = Hosts::new()?;
    let (clocks, policy) = (Clocks::new()?, PolicyFile::allowing(&[])?);
    let agent = clocks.enforce(&hosts, &policy)?;
    policy.allow(&["tcp/21"])?;
    let trial = hosts.run("reload --confirm-within 1h")?;
    assert_eq!(trial.code, Some(0), "{trial:?}");
    for wall in [MONTH, -MONTH] {
        clocks.step(wall, 0)?;
        sleep(Duration::from_millis(1500));
        assert_eq!(hosts.status()?.generation(), 2, "a step of {wall} s");
    }
    // The next agent knows of the trial by the maps alone.
    agent.end(Signal::SIGKILL)?;
    clocks.step(MONTH, 0)?;
    let _agent = clocks.enforce(&hosts, &policy)?;
    let status = hosts.status()?;
    assert_eq!(status.generation(), 2);
    assert!(status.json["policy"]["confirm_by"].is_u64(), "{status:?}");

    // Two hours of sleep.
    clocks.step(0, 7200)?;
    let end = Instant::now() + LONG;
    while hosts.status()?.generation() != 1 {
        ensure!(Instant::now() < end, "the trial goes on");
        sleep(Duration::from_millis(100));
    }
    Ok(())
}
