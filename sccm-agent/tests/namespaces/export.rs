//! `export --format nftables`: nft loads what is written, and loads it again in its place.

use anyhow::{Result, ensure};
use sccm_tests::agent::{program, run};
use sccm_tests::netns::Namespace;
use std::fs;
use std::process::Command;
use tempfile::TempDir;

const POLICY: &str = r#"
[site]
edition = "2007"

[peers]
client = ["10.64.0.0/10", "2001:db8:64::/48"]

[[protect]]
name = "content"
roles = ["distribution-point"]
addresses = ["10.2.0.20", "2001:db8:2::20"]

[[allow]]
name = "tunnel"
protocol = "gre"
from = "any"
reason = "a test"
"#;

#[test]
fn nft_loads_the_ruleset_of_hosts_and_gateways() -> Result<()> {
    let host = Namespace::new("filtered")?;
    let folder = TempDir::new()?;
    let file = folder.path().join("policy.toml");
    for outbound in ["track", "enforce"] {
        let edition = "edition = \"2007\"";
        let policy = POLICY.replace(edition, &format!("{edition}\noutbound = \"{outbound}\""));
        fs::write(&file, policy)?;
        for place in ["", "--uplink eth0 --segment eth1"] {
            let mut export: Command = program()?;
            export.arg("export").arg(&file);
            export.args(["--format", "nftables"]);
            export.args(place.split_whitespace());
            let exported = run(export)?;
            assert_eq!(exported.code, Some(0), "{}", exported.stderr);
            let rules = folder.path().join("rules.nft");
            fs::write(&rules, exported.stdout)?;
            for _ in 0..2 {
                let loaded = host.command("nft").arg("-f").arg(&rules).output()?;
                let said = String::from_utf8_lossy(&loaded.stderr);
                ensure!(loaded.status.success(), "{said}");
            }
            let listed = host.command("nft").args(["list", "ruleset"]).output()?;
            let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
            let is_smb = |line: &&str| line.contains("tcp dport 445 accept");
            assert_eq!(listed.lines().filter(is_smb).count(), 2, "{listed}");
        }
    }
    Ok(())
}
