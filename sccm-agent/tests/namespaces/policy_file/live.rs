//! `check --against-live`: the report, and what `diff live` says beside it.

use super::{Folder, SMALL};
use anyhow::Result;
use sccm_tests::agent::Hosts;
use serde_json::Value;

const RULE: &str = "[[allow]]\nname = \"ssh\"\nprotocol = \"tcp\"\nports = [22]\n\
                    from = [\"203.0.113.5\"]\nreason = \"r\"\n";

#[test]
fn against_what_is_enforced_it_says_what_diff_says() -> Result<()> {
    let hosts = Hosts::new()?;
    let folder = Folder::new()?;
    let policy = folder.write("policy.toml", SMALL)?.display().to_string();
    let against = format!("check {policy} --against-live");
    hosts
        .run(&against)?
        .assert_refused(&["nothing is enforced"]);
    hosts.assert_untouched()?;

    let _agent = hosts.enforce(&format!("--interface eth0 --config {policy}"))?;
    folder.write("policy.toml", format!("{SMALL}{RULE}"))?;
    let checked = hosts.run(&format!("{against} -o json"))?;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let report: Value = serde_json::from_str(&checked.stdout)?;
    let diff = hosts.run(&format!("diff live {policy} -o json"))?;
    assert_eq!(diff.code, Some(1), "{diff:?}");
    assert_eq!(
        report["difference"],
        serde_json::from_str::<Value>(&diff.stdout)?
    );
    assert_eq!(report["difference"]["opens"], true);
    let text = hosts.run(&against)?.stdout;
    let said = hosts.run(&format!("diff live {policy}"))?.stdout;
    assert!(text.ends_with(&said) && said.contains("rule ssh"), "{text}");
    Ok(())
}
