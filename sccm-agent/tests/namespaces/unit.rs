//! The unit that the packages bring.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use sccm_tests::agent::{Agent, Finished, Hosts, POINT, PolicyFile, program, run};

/// How exposed the unit may be, by systemd's measure: a tenth of it.
const EXPOSURE: u32 = 20;

fn unit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/systemd/sccm-agent.service")
}

/// The values of a setting, in their order.
fn settings(name: &str) -> Result<Vec<String>> {
    let text = fs::read_to_string(unit())?;
    let lines = text.lines();
    let values = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    Ok(values.map(str::to_owned).collect())
}

/// What systemd-analyze prints.
fn analyze(arguments: &[&str]) -> Result<String> {
    let mut analyze = Command::new("systemd-analyze");
    let output = analyze.args(arguments).output();
    let output = output.context("running systemd-analyze: install systemd")?;
    let text = String::from_utf8(output.stdout)?;
    ensure!(output.status.success(), "{arguments:?}: {text}");
    Ok(text)
}

#[test]
fn it_is_shut_in() -> Result<()> {
    let unit = unit();
    let unit = unit.to_str().context("no UTF-8")?;
    let threshold = format!("--threshold={EXPOSURE}");
    analyze(&["security", "--offline=true", "--no-pager", &threshold, unit])?;
    Ok(())
}

/// The system calls that a word of `SystemCallFilter=` stands for.
fn calls(word: &str) -> Result<BTreeSet<String>> {
    if !word.starts_with('@') {
        return Ok(BTreeSet::from([word.to_owned()]));
    }
    let mut calls = BTreeSet::new();
    let text = analyze(&["syscall-filter", "--no-pager", word])?;
    let lines = text.lines().filter(|line| line.starts_with(' '));
    for one in lines.map(str::trim).filter(|line| !line.starts_with('#')) {
        calls.append(&mut self::calls(one)?);
    }
    Ok(calls)
}

/// Whatever the agent asks of the kernel, the unit lets it ask.
#[test]
fn its_filter_has_every_call_that_the_agent_makes() -> Result<()> {
    let mut allowed = BTreeSet::new();
    for value in settings("SystemCallFilter")? {
        let (removes, words) = match value.strip_prefix('~') {
            Some(words) => (true, words),
            None => (false, value.as_str()),
        };
        for word in words.split_whitespace() {
            let calls = calls(word)?;
            match removes {
                true => allowed.retain(|call| !calls.contains(call)),
                false => allowed.extend(calls),
            }
        }
    }
    ensure!(
        allowed.contains("bpf") && !allowed.contains("mount"),
        "{allowed:?}"
    );

    let hosts = Hosts::new()?;
    let policy = PolicyFile::allowing(&[])?;
    let folder = tempfile::tempdir()?;
    let trace = folder.path().join("trace");
    let agent = hosts.command(&format!("enforce {} --on-exit keep", policy.arguments()))?;
    let mut strace = hosts.point.command("strace");
    // Daemonized, so that the agent is the process that is waited for.
    strace.args(["--daemonize", "--follow-forks", "--quiet=all", "--output"]);
    strace.arg(&trace).arg(agent.get_program());
    strace.args(agent.get_args()).env_remove("RUST_LOG");
    let agent = Agent::start(&hosts.point, strace)?;
    policy.allow(&["tcp/22"])?;
    assert_eq!(hosts.run("reload")?.code, Some(0));
    agent.metrics()?;
    hosts.point.ip("link del eth0")?;
    hosts.join_by_cable()?;
    drop(agent.end(Signal::SIGTERM)?);

    let text = fs::read_to_string(trace)?;
    // `PID name(`, and `PID <... name resumed>` of a call that was begun before.
    let called = text.lines().filter_map(|line| {
        let (_, call) = line.split_once(' ')?;
        let (name, _) = call.trim_start().split_once('(')?;
        let is_name = |letter: char| letter.is_ascii_lowercase() || "_0123456789".contains(letter);
        (!name.is_empty() && name.chars().all(is_name)).then(|| name.to_owned())
    });
    let called: BTreeSet<String> = called.collect();
    ensure!(
        called.contains("bpf") && called.contains("seccomp"),
        "{called:?}"
    );
    let refused: Vec<_> = called.difference(&allowed).collect();
    assert!(refused.is_empty(), "{refused:?}");
    Ok(())
}

/// As the packages bring it, it is no policy, and says so; without the signs before its settings, it is.
#[test]
fn the_policy_that_comes_with_it_is_one_once_it_is_uncommented() -> Result<()> {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/package/policy.toml");
    let check = |path: &Path| -> Result<Finished> {
        let mut command = program()?;
        command.arg("check").arg(path);
        run(command)
    };
    check(&shipped)?.assert_refused(&["nothing is protected: write a [[protect]]"]);
    let text = fs::read_to_string(&shipped)?;
    let settings = text.lines().filter_map(|line| line.strip_prefix('#'));
    let settings = settings.filter(|line| !line.is_empty() && !line.starts_with(' '));
    let policy = tempfile::NamedTempFile::new()?;
    fs::write(policy.path(), settings.collect::<Vec<_>>().join("\n"))?;
    let checked = check(policy.path())?;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    Ok(())
}

/// The unit's sandbox mounts the directory of the pins, so that the agent may write to it alone.
#[test]
fn an_agent_lets_go_although_its_pin_directory_is_mounted() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    hosts.enforce(POINT)?.end(Signal::SIGKILL)?;
    let pins = hosts.pins();
    let mut mount = Command::new("mount");
    ensure!(mount.arg("--bind").args([&pins, &pins]).status()?.success());
    let detached = hosts.run("detach");
    ensure!(Command::new("umount").arg(&pins).status()?.success());
    let detached = detached?;
    assert_eq!(detached.code, Some(0), "{detached:?}");
    assert!(!hosts.is_hooked("eth0")?);
    assert_eq!(fs::read_dir(&pins)?.count(), 0);
    Ok(())
}
