//! The policy's file holds something else than what is enforced: who says so, and when no more.

use anyhow::Result;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use sccm_tests::agent::Agent;
use sccm_tests::bpffs::state_dir;

use super::{OPEN, Stage};

const METRIC: &str = "sccm_policy_file_differs";

#[track_caller]
fn assert_told(stage: &Stage, differs: bool) -> Result<()> {
    let state_dir = state_dir(&stage.hosts.pins());
    let status = |format: &str| {
        let line = format!("status --state-dir {}{format}", state_dir.display());
        stage.hosts.run(&line)
    };
    let table = status("")?.stdout;
    assert_eq!(table.contains("File:   "), differs, "{table}");
    let json: serde_json::Value = serde_json::from_str(&status(" -o json")?.stdout)?;
    let path = stage.policy.path();
    assert_eq!(
        json["policy_file"]["path"],
        path.to_str().unwrap_or_default()
    );
    assert_eq!(json["policy_file"]["differs"], differs);
    Ok(())
}

fn is_measured(agent: &Agent, differs: bool) -> Result<()> {
    let expected = f64::from(u8::from(differs));
    agent.metrics_when(|metrics| metrics.sum(METRIC, &[]) == expected)?;
    Ok(())
}

#[test]
fn drift_is_told_wherever_people_look() -> Result<()> {
    let stage = Stage::new()?;
    let agent = stage.start()?;
    assert_told(&stage, false)?;
    is_measured(&agent, false)?;
    stage.policy.allow(OPEN)?;
    assert_told(&stage, true)?;
    is_measured(&agent, true)?;
    stage.open("reload")?;
    assert_told(&stage, false)?;
    assert_eq!(agent.metrics()?.sum(METRIC, &[]), 0.0);

    let finished = stage.hosts.run("rollback")?;
    assert!(
        finished.stdout.contains("the policy's file says otherwise"),
        "{finished:?}"
    );
    assert_told(&stage, true)?;
    assert_eq!(agent.metrics()?.sum(METRIC, &[]), 1.0);
    stage.policy.allow(&[])?;
    assert_told(&stage, false)?;
    is_measured(&agent, false)?;

    // Nobody waits for who would write into a pipe.
    std::fs::remove_file(stage.policy.path())?;
    mkfifo(&stage.policy.path(), Mode::S_IRUSR)?;
    assert_told(&stage, true)?;
    is_measured(&agent, true)?;
    stage
        .hosts
        .run("reload")?
        .assert_refused(&["not a regular file"]);
    stage.policy.allow(OPEN)?;
    stage.open("reload")
}
