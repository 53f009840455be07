//! `check` and `enforce --config` as processes.

use super::{EXAMPLE, Folder, SMALL};
use anyhow::Result;
use nix::sys::signal::Signal;
use sccm_tests::agent::{Finished, Hosts, program, run};

fn check(folder: &Folder, flags: &str) -> Result<Finished> {
    let mut command = program()?;
    command.arg("check").arg(folder.policy());
    command.args(flags.split_whitespace());
    run(command)
}

#[test]
fn check_explains_a_good_policy() -> Result<()> {
    let folder = Folder::new()?;
    folder.write("policy.toml", EXAMPLE)?;
    let table = check(&folder, "")?;
    assert_eq!((table.code, table.stderr.as_str()), (Some(0), ""));
    for part in [
        "packages (distribution-point): 10.2.0.10, 10.2.0.11, 2001:db8:2::10",
        "the nightly backup pulls from its agents",
        "for prefixes",
        "Warnings: ",
    ] {
        assert!(
            table.stdout.contains(part),
            "no {part:?} in {}",
            table.stdout
        );
    }
    // In a pipe each row is one line, and plain.
    let is_smb = |line: &str| {
        let words = ["client", "2 prefixes", "smb", "tcp 445", "15"];
        words.iter().all(|word| line.contains(word))
    };
    assert!(table.stdout.lines().any(is_smb), "{}", table.stdout);
    assert!(!table.stdout.contains('─'), "{}", table.stdout);

    let json = check(&folder, "-o json")?;
    assert_eq!(json.code, Some(0));
    let json: serde_json::Value = serde_json::from_str(&json.stdout)?;
    assert_eq!(json["outbound"], "enforce");
    assert_eq!(json["protect"][1]["roles"][0], "pxe-service-point");
    let smb = serde_json::json!({
        "peer": "client", "holders": "2 prefixes", "service": "smb", "protocol": "tcp",
        "ports": "445", "if_handed_out": false, "links": ["15"],
    });
    let rights = json["protect"][0]["inbound"].as_array().expect("a list");
    assert!(rights.contains(&smb), "{rights:?}");
    assert_eq!(json["allow"][1]["targets"][1], "tcp/10010-10019");
    assert!(
        json["size"]["peer_classes"].as_u64() > Some(1),
        "{}",
        json["size"]
    );
    let kinds: Vec<&str> = json["warnings"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|warning| warning["kind"].as_str())
        .collect();
    assert_eq!(kinds, ["role-without-address", "role-without-address"]);
    Ok(())
}

#[test]
fn warnings_count_only_if_asked() -> Result<()> {
    let folder = Folder::new()?;
    folder.write("policy.toml", SMALL)?;
    assert_eq!(check(&folder, "")?.code, Some(0));
    let strict = check(&folder, "--strict")?;
    assert_eq!(strict.code, Some(1));
    assert!(strict.stdout.contains("Warnings: 6"), "{strict:?}");
    assert!(strict.stdout.contains("edition-not-named"), "{strict:?}");

    let quiet = "site = { edition = \"2007\", outbound = \"enforce\", \
                 sets = [\"domain-member\", \"windows-update\"] }\n\
                 peers = { distribution-point = [\"10.1.0.1\"], client = [\"10.64.0.0/12\"], \
                 domain-controller = [\"10.1.0.10\"] }\n\
                 [[protect]]\nname = \"c\"\nroles = [\"branch-distribution-point\"]\n\
                 addresses = [\"10.2.0.1\"]\n";
    folder.write("policy.toml", quiet)?;
    let strict = check(&folder, "--strict")?;
    assert_eq!(strict.code, Some(0), "{strict:?}");
    assert!(!strict.stdout.contains("Warnings"), "{strict:?}");
    Ok(())
}

#[test]
fn a_bad_policy_is_refused_by_both() -> Result<()> {
    let folder = Folder::new()?;
    folder.write(
        "policy.toml",
        SMALL.replace("distribution-point", "distribution-pont"),
    )?;
    let place = format!("{}:3:10: unknown role", folder.policy().display());
    let parts = [place.as_str(), "did you mean distribution-point"];
    check(&folder, "")?.assert_refused(&parts);
    // Programs get an object, whatever becomes of the command.
    let mut json = check(&folder, "-o json")?;
    let object: serde_json::Value = serde_json::from_str(&json.stdout)?;
    assert_eq!(object["code"], 2);
    for part in parts {
        assert!(
            object["error"]
                .as_str()
                .is_some_and(|error| error.contains(part)),
            "{object}"
        );
    }
    json.stdout.clear();
    json.assert_refused(&parts);
    let mut enforce = program()?;
    enforce
        .args(["enforce", "--interface", "eth0", "--config"])
        .arg(folder.policy());
    run(enforce)?.assert_refused(&parts);
    Ok(())
}

#[test]
fn flags_that_the_file_replaces_are_refused_beside_it() -> Result<()> {
    let folder = Folder::new()?;
    folder.write("policy.toml", SMALL)?;
    for flags in [
        "--role client",
        "--allow tcp/22",
        "--manage tcp/22",
        "--outbound track",
        "--without-essential lldp",
        "--pass-orphan-fragments",
        "--pass-other-ethertypes",
        "--count-only",
        "--timeout-other 5",
        "--http-port 8080",
        "--enable named-pipes",
    ] {
        let mut command = program()?;
        command.args([
            "enforce",
            "--uplink",
            "eth0",
            "--segment",
            "eth1",
            "--config",
        ]);
        command.arg(folder.policy()).args(flags.split_whitespace());
        let flag = flags.split(' ').next().unwrap_or_default();
        run(command)?.assert_refused(&["cannot be used with", "--config", flag]);
    }
    Ok(())
}

#[test]
fn a_policy_file_is_enforced() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    let folder = Folder::new()?;
    let policy = folder.write("policy.toml", SMALL)?;
    let agent = hosts.enforce(&format!("--interface eth0 --config {}", policy.display()))?;
    hosts.assert_enforced();
    assert_eq!(agent.end(Signal::SIGTERM)?.code, Some(0));
    Ok(())
}
