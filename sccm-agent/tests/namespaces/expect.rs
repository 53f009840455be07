//! `[[expect]]` and `diff live` beside a running agent: what breaks an expectation changes nothing.

use std::fs;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use sccm_tests::agent::{ALLOWED, FORBIDDEN, Finished, Hosts, PolicyFile, Status};
use sccm_tests::traffic::Outcome;
use serde_json::{Value, json};

const POINT: &str = "[[protect]]\nname = \"point\"\nroles = [\"distribution-point\"]\n";

/// Opens [`FORBIDDEN`].
const OPEN: &str = "
[[allow]]
name = \"ftp\"
protocol = \"tcp\"
ports = [21]
from = \"any\"
reason = \"a test\"
";

const EXPECT: &str = "
[[expect]]
name = \"no-ftp\"
must = \"drop\"
protocol = \"tcp\"
ports = [21]
from = \"any\"
";

/// How a refusal begins that says what is broken.
const BROKEN: [&str; 2] = ["no-ftp", "tcp/21"];

fn diff(hosts: &Hosts, from: &str, to: &str) -> Result<(Finished, Value)> {
    let finished = hosts.run(&format!("diff {from} {to} -o json"))?;
    let json = serde_json::from_str(&finished.stdout)?;
    Ok((finished, json))
}

#[test]
fn nothing_is_attached_for_a_policy_that_breaks_its_expectation() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    let policy = PolicyFile::allowing(&[])?;
    policy.write(&format!("{POINT}{OPEN}{EXPECT}"))?;
    hosts
        .run(&format!("enforce {}", policy.arguments()))?
        .assert_refused(&BROKEN);
    hosts.assert_untouched()?;
    hosts.assert_tcp(&[ALLOWED, FORBIDDEN], Outcome::Connected);

    policy.write(&format!("{POINT}{EXPECT}"))?;
    let _agent = hosts.enforce(&policy.arguments())?;
    hosts.assert_enforced();
    Ok(())
}

/// By every way in which a policy comes to an agent that runs.
#[test]
fn the_old_policy_goes_on_where_the_new_one_breaks_its_expectation() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    let policy = PolicyFile::allowing(&[])?;
    policy.write(&format!("{POINT}{EXPECT}"))?;
    let agent = hosts.enforce(&policy.arguments())?;
    let before: Status = hosts.status()?;
    let broken = format!("{POINT}{OPEN}{EXPECT}");
    policy.write(&broken)?;
    fs::write(
        policy.path().with_file_name("policy.candidate.toml"),
        broken,
    )?;
    let differs = |status: Status| -> Result<Value> {
        let mut json = status.json;
        // What the file holds is told beside what is enforced.
        json.as_object_mut().map(|json| json.remove("policy_file"));
        Ok(json)
    };
    let enforced = differs(before)?;
    for order in ["reload", "reload --confirm-within 60s", "reload --shadow"] {
        hosts.run(order)?.assert_refused(&BROKEN);
        assert_eq!(differs(hosts.status()?)?, enforced, "{order}");
    }
    agent.signal(Signal::SIGHUP)?;
    agent.metrics_when(|metrics| metrics.sum("sccm_policy_last_reload_successful", &[]) == 0.0)?;
    assert_eq!(differs(hosts.status()?)?, enforced);
    hosts.assert_enforced();

    // Without the expectation it is a policy like others.
    policy.write(&format!("{POINT}{OPEN}"))?;
    ensure!(hosts.run("reload")?.code == Some(0));
    hosts.assert_tcp(&[ALLOWED, FORBIDDEN], Outcome::Connected);
    Ok(())
}

#[test]
fn diff_live_says_what_a_reload_opens_and_closes() -> Result<()> {
    let hosts = Hosts::new()?;
    let policy = PolicyFile::allowing(&[])?;
    policy.write(POINT)?;
    let file = policy.path().display().to_string();
    hosts
        .run(&format!("diff live {file}"))?
        .assert_refused(&["nothing is enforced"]);
    let _agent = hosts.enforce(&policy.arguments())?;
    let (finished, json) = diff(&hosts, "live", &file)?;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(json["changes"], json!([]), "{json:#}");
    assert_eq!(json["settings"], json!([]), "{json:#}");

    policy.write(&format!("{POINT}{OPEN}"))?;
    let (finished, json) = diff(&hosts, "live", &file)?;
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert_eq!(
        (&json["opens"], &json["closes"]),
        (&json!(true), &json!(false))
    );
    let changes = json["changes"].as_array().map_or(&[][..], Vec::as_slice);
    assert!(!changes.is_empty());
    for change in changes {
        assert_eq!(change["direction"], "inbound", "{change:#}");
        assert_eq!(
            (&change["protocol"], &change["ports"]),
            (&json!("tcp"), &json!(["21"]))
        );
        assert_eq!(change["entries"], json!(["point"]), "{change:#}");
        assert_eq!(change["because"][0]["name"], "ftp", "{change:#}");
    }
    let (finished, back) = diff(&hosts, &file, "live")?;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(
        (&back["opens"], &back["closes"]),
        (&json!(false), &json!(true))
    );

    ensure!(hosts.run("reload")?.code == Some(0));
    let (finished, json) = diff(&hosts, "live", &file)?;
    assert_eq!((finished.code, &json["changes"]), (Some(0), &json!([])));
    Ok(())
}
