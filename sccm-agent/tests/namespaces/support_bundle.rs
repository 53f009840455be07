//! `sccm-agent support-bundle`: what is in the archive, what is not, and where it is written.

use anyhow::{Context as _, Result};
use flate2::read::GzDecoder;
use sccm_tests::agent::{Finished, Hosts, PolicyFile, run};
use sccm_tests::bpffs::state_dir;
use sccm_tests::netns::Namespace;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use tar::Archive;
use tempfile::tempdir;

/// What the policy calls the client.
const NAME: &str = "desk of \"Ann\"";

type Parts = BTreeMap<String, String>;

/// Makes a bundle, where this is what `journalctl` prints.
fn bundle(hosts: &Hosts, file: &Path, log: &str, arguments: &str) -> Result<Finished> {
    let programs = tempdir()?;
    let journal = programs.path().join("journalctl");
    fs::write(programs.path().join("log"), log)?;
    let script = "#!/bin/sh\ncat \"${0%/*}/log\"\n";
    fs::write(&journal, script)?;
    fs::set_permissions(&journal, Permissions::from_mode(0o700))?;
    let mut command = hosts.command(&format!("support-bundle {arguments}"))?;
    let path = std::env::var("PATH")?;
    command.env("PATH", format!("{}:{path}", programs.path().display()));
    command.arg("--state-dir").arg(state_dir(&hosts.pins()));
    command.arg("--write").arg(file);
    run(command)
}

fn unpack(file: &Path) -> Result<Parts> {
    let mut archive = Archive::new(GzDecoder::new(fs::File::open(file)?));
    let mut parts = Parts::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.display().to_string();
        let name = path.strip_prefix("sccm-agent-support/");
        let name = name.context("outside its folder")?.to_owned();
        assert_eq!(entry.header().mode()?, 0o600, "{name}");
        let mut text = String::new();
        entry.read_to_string(&mut text)?;
        parts.insert(name, text);
    }
    Ok(parts)
}

fn json(parts: &Parts, name: &str) -> Result<Value> {
    let text = parts.get(name).with_context(|| format!("no {name}"))?;
    serde_json::from_str(text).with_context(|| format!("{name}: {text}"))
}

/// The hardware address of `eth0`, as people write it.
fn mac(host: &Namespace) -> Result<String> {
    let bytes = host.interface("eth0").mac()?;
    Ok(bytes.map(|byte| format!("{byte:02x}")).join(":"))
}

#[test]
fn a_bundle_has_all_that_is_known_and_hides_addresses_if_asked() -> Result<()> {
    let hosts = Hosts::new()?;
    let file = PolicyFile::allowing(&[])?;
    let list = file.path().with_file_name("listed.txt");
    fs::write(list, "192.0.2.7 # Ann's\n")?;
    let rule = "name = \"listed\"\nprotocol = \"tcp\"\nports = [9]\nfrom = { file = \"listed.txt\" }\n\
                reason = \"a list\"\n";
    let more =
        format!("\n[[allow]]\n{rule}\n[names]\n'{NAME}' = [\"192.0.2.1\", \"2001:db8::/64\"]\n");
    file.write(&format!("{}{more}", fs::read_to_string(file.path())?))?;
    let agent = hosts.enforce(&file.arguments())?;
    hosts.knock(2)?;
    let labels = [("reason", "not-allowed"), ("protocol", "tcp")];
    agent.metrics_when(|metrics| metrics.dropped(&labels) == 4)?;
    let mac = mac(&hosts.client)?;
    let log = format!("dropped: 192.0.2.1 ({NAME}), 2001:db8::1, {mac}\n");
    let directory = tempdir()?;

    let plain = directory.path().join("plain.tar.gz");
    let done = bundle(&hosts, &plain, &log, "")?;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(fs::metadata(&plain)?.permissions().mode() & 0o777, 0o600);
    let parts = unpack(&plain)?;
    assert_eq!(parts["errors.txt"], "");
    assert_eq!(parts["log.txt"], log);
    assert_eq!(
        parts["policy/policy.toml"],
        fs::read_to_string(file.path())?
    );
    assert_eq!(parts["policy/listed.txt"], "192.0.2.7\n");
    for name in ["status", "doctor", "blocked", "version"] {
        sccm_tests::shape::check(name, &json(&parts, &format!("{name}.json"))?)?;
    }
    assert_eq!(
        json(&parts, "status.json")?["interfaces"][0]["state"],
        "enforcing"
    );
    let doctor = json(&parts, "doctor.json")?;
    let findings = doctor["findings"].as_array().context("no findings")?;
    assert!(
        findings.iter().any(|one| one["topic"] == "enforcement"),
        "{doctor:#}"
    );
    assert_eq!(json(&parts, "blocked.json")?["matching"], 2);
    let counters = json(&parts, "counters.json")?;
    let counters = counters["counters"].as_array().context("no counters")?;
    let refused = counters.iter().filter(|one| one["reason"] == "not-allowed");
    let refused: u64 = refused.filter_map(|one| one["packets"].as_u64()).sum();
    assert_eq!(refused, 4, "{counters:#?}");
    let kernel = json(&parts, "kernel.json")?;
    let programs = kernel["programs"].as_array().context("no programs")?;
    let is_ours =
        |one: &&Value| one["kind"] == "xdp" && one["verified_instructions"].as_u64() > Some(1000);
    assert!(programs.iter().any(|one| is_ours(&one)), "{programs:#?}");
    assert!(!kernel["maps"].as_array().context("no maps")?.is_empty());

    let hidden = directory.path().join("hidden.tar.gz");
    let done = bundle(&hosts, &hidden, &log, "--hide-addresses")?;
    assert_eq!(done.code, Some(0), "{done:?}");
    let without = unpack(&hidden)?;
    assert!(without.keys().eq(parts.keys()), "{:?}", without.keys());
    let point = self::mac(&hosts.point)?;
    for (name, text) in &without {
        for told in ["192.0.2.", "2001:db8:", &mac, &point, "Ann", "127.0.0.1"] {
            assert!(!text.contains(told), "{name} tells {told}: {text}");
        }
        if name.ends_with(".json") {
            json(&without, name)?;
        }
    }
    // What is equal stays equal, in all parts; a prefix keeps its length.
    let policy: toml::Table = without["policy/policy.toml"].parse()?;
    let named = &policy["names"]["name-1"];
    let client = named[0].as_str().context("no address")?;
    assert!(
        named[1].as_str().is_some_and(|one| one.ends_with("/64")),
        "{named}"
    );
    assert!(without["log.txt"].starts_with(&format!("dropped: {client} (name-1), ")));
    assert!(without["blocked.json"].contains(&format!("\"{client}\"")));
    Ok(())
}

#[test]
fn a_bundle_is_made_where_nothing_is_enforced_and_follows_no_link() -> Result<()> {
    let hosts = Hosts::new()?;
    let directory = tempdir()?;
    let file = directory.path().join("bundle.tar.gz");
    let done = bundle(&hosts, &file, "", "")?;
    assert_eq!(done.code, Some(0), "{done:?}");
    let parts = unpack(&file)?;
    assert_eq!(json(&parts, "status.json")?["maps"], "none");
    let errors = &parts["errors.txt"];
    for part in ["policy: ", "blocked.json: ", "counters.json: ", "log.txt: "] {
        assert!(
            errors.lines().any(|line| line.starts_with(part)),
            "{part}: {errors}"
        );
    }
    hosts.assert_untouched()?;

    bundle(&hosts, &file, "", "")?.assert_refused(&["--force"]);
    // Names that cannot be told are in no part that may hold them.
    let broken = PolicyFile::allowing(&[])?;
    broken.write("[names\nAnn = ")?;
    let arguments = format!(
        "--force --hide-addresses --config {}",
        broken.path().display()
    );
    let done = bundle(&hosts, &file, "Ann", &arguments)?;
    assert_eq!(done.code, Some(0), "{done:?}");
    let parts = unpack(&file)?;
    assert!(!parts.contains_key("log.txt") && !parts.contains_key("policy/policy.toml"));

    let link = directory.path().join("link");
    let target = directory.path().join("target");
    symlink(&target, &link)?;
    bundle(&hosts, &link, "", "")?.assert_refused(&["link"]);
    bundle(&hosts, &link, "", "--force")?.assert_refused(&["symbolic link"]);
    assert!(!target.exists());
    Ok(())
}
