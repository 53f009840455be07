//! What `check --against-live` says of a policy, beside another one that is enforced.

use super::{Folder, SMALL};
use anyhow::Result;
use sccm_tests::agent::{Finished, Hosts};
use serde_json::{Value, json};

const SITE: &str = "[peers]\nclient = [\"192.0.2.0/24\"]\nsite-server = [\"203.0.113.5\"]\n";

fn against_live(hosts: &Hosts, folder: &Folder, flags: &str) -> Result<Finished> {
    let policy = folder.policy();
    hosts.run(&format!(
        "check {} --against-live {flags}",
        policy.display()
    ))
}

fn difference(hosts: &Hosts, folder: &Folder) -> Result<Value> {
    let finished = against_live(hosts, folder, "-o json")?;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let json: Value = serde_json::from_str(&finished.stdout)?;
    Ok(json["difference"].clone())
}

/// The changes, as `CHANGE DIRECTION SYSTEMS PEERS PROTOCOL SERVICE [LINKS]`.
fn changes(difference: &Value) -> Vec<String> {
    let text = |change: &Value, key: &str| change[key].as_str().unwrap_or_default().to_owned();
    difference["changes"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|change| {
            let links: Vec<String> =
                serde_json::from_value(change["links"].clone()).unwrap_or_default();
            let keys = [
                "change",
                "direction",
                "systems",
                "peers",
                "protocol",
                "service",
            ];
            let words: Vec<String> = keys.iter().map(|key| text(change, key)).collect();
            format!("{} {links:?}", words.join(" "))
        })
        .collect()
}

#[test]
fn without_a_running_policy_there_is_nothing_to_compare_with() -> Result<()> {
    let hosts = Hosts::new()?;
    let folder = Folder::new()?;
    folder.write("policy.toml", SMALL)?;
    against_live(&hosts, &folder, "")?.assert_refused(&["nothing is enforced"]);
    hosts.assert_untouched()
}

#[test]
fn the_running_policy_differs_in_nothing_from_itself() -> Result<()> {
    let hosts = Hosts::new()?;
    let folder = Folder::new()?;
    let policy = folder.write("policy.toml", format!("{SITE}{SMALL}"))?;
    let _agent = hosts.enforce(&format!("--interface eth0 --config {}", policy.display()))?;
    let difference = difference(&hosts, &folder)?;
    assert_eq!(difference["changes"], json!([]), "{difference}");
    assert_eq!(difference["settings"], json!([]), "{difference}");
    assert_eq!(difference["generation"], 1);
    let table = against_live(&hosts, &folder, "")?;
    assert!(
        table.stdout.contains("Nothing would change (generation 1,"),
        "{table:?}"
    );
    Ok(())
}

#[test]
fn every_change_is_named_with_its_links() -> Result<()> {
    let hosts = Hosts::new()?;
    let folder = Folder::new()?;
    let policy = folder.write("policy.toml", format!("{SITE}{SMALL}"))?;
    let _agent = hosts.enforce(&format!("--interface eth0 --config {}", policy.display()))?;
    let rule = "[[allow]]\nname = \"ssh\"\nprotocol = \"tcp\"\nports = [22]\n\
                from = [\"203.0.113.5\"]\nreason = \"r\"\n";
    folder.write(
        "policy.toml",
        format!(
            "timeouts.other = 7\n{}{}{rule}",
            SITE.replace("192.0.2.0/24", "192.0.2.0/25"),
            SMALL.replace("distribution-point", "fallback-status-point")
        ),
    )?;
    let difference = difference(&hosts, &folder)?;
    assert_eq!(difference["settings"], json!(["other: 180, then 7"]));
    assert_eq!(
        changes(&difference),
        [
            "closes inbound dp client tcp https [\"15\", \"19\"]",
            "closes inbound dp client udp multicast [\"15\"]",
            "closes inbound dp client tcp smb [\"14\", \"15\"]",
            "closes inbound dp without a role tcp http [\"15\", \"19\"]",
            "closes inbound dp without a role tcp https [\"15\", \"19\"]",
            "closes inbound dp without a role udp multicast [\"15\"]",
            "closes inbound dp without a role tcp smb [\"14\", \"15\"]",
            "opens inbound dp site-server tcp tcp/22 [\"ssh\"]",
        ]
    );
    Ok(())
}
