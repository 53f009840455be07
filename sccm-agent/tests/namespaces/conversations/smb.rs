//! SMB from smbd on a distribution point (link 15): port 445, not the NetBIOS session of port 139.

use std::fs;

use anyhow::Result;
use sccm_tests::agent::{Finished, run};
use sccm_tests::gateway::{FAMILIES, SERVER, Stage, Topology};
use tempfile::TempDir;

use super::programs::{Daemon, smbd};
use super::support::{Told, assert_same, write_file};

/// Fetches `package` into `directory` with smbclient.
fn fetch(
    stage: &Stage,
    server: &Daemon,
    family: usize,
    port: u16,
    directory: &TempDir,
) -> Result<Finished> {
    let mut command = stage.client.command("smbclient");
    command
        .args([
            "//server/share",
            "--no-pass",
            "--timeout=4",
            "--debuglevel=0",
        ])
        .arg(format!("--ip-address={}", SERVER[family]))
        .arg(format!("--port={port}"))
        .arg(format!(
            "--configfile={}",
            server.directory().join("smb.conf").display()
        ))
        .args(["--command", "get package"])
        .current_dir(directory);
    run(command)
}

#[test]
fn a_file_is_fetched_from_a_share() -> Result<()> {
    let stage = Stage::new(Topology::Routed)?;
    let server = smbd(&stage.server)?;
    let package = server.directory().join("package");
    write_file(&package, 1 << 20)?;
    let agent = stage.enforce("distribution-point", "")?;
    let directory = tempfile::tempdir()?;
    let copy = directory.path().join("package");

    for family in FAMILIES {
        let done = fetch(&stage, &server, family, 445, &directory)?;
        assert_eq!(done.code, Some(0), "{done:?}");
        assert_same(&package, &copy);
        fs::remove_file(&copy)?;

        let refused = fetch(&stage, &server, family, 139, &directory)?;
        assert_ne!(refused.code, Some(0), "{refused:?}");
        assert!(!copy.exists());
    }
    let metrics = agent.metrics()?;
    metrics.tells_passed(&[("reason", "service"), ("service", "smb")])?;
    metrics.tells_no_drop(&[("service", "smb")])?;
    // Port 139 has a name in the document, whoever may use it.
    let names = |name: &str| name.contains("netbios-session");
    let dropped = metrics.samples.iter().any(|sample| {
        sample.name == "sccm_dropped_packets_total"
            && sample.labels.get("service").is_some_and(|name| names(name))
            && sample.value > 0.0
    });
    assert!(dropped, "{metrics:#?}");
    Ok(())
}
