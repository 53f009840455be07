//! The server's certificate in time: clients trust it neither before it is valid nor after.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use sccm_tests::agent::{Agent, Hosts, POINT, PolicyFile, run};

use super::pki::{Pki, ask};

const CONFIG: &str = "[tls_server_config]\ncert_file = \"server.crt\"\nkey_file = \"server.key\"\n";

/// As OpenSSL writes times, so many days from now.
fn in_days(days: i32) -> Result<String> {
    let mut date = Command::new("date");
    let time = format!("now {days:+} days");
    let output = date.args(["-u", "+%Y%m%d%H%M%SZ", "-d", &time]).output()?;
    ensure!(output.status.success(), "{output:?}");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn sign(pki: &Pki, from: i32, to: i32) -> Result<()> {
    pki.sign_from("server", &in_days(from)?, &in_days(to)?)
}

fn command(hosts: &Hosts, pki: &Pki, policy: &str) -> Result<Command> {
    let path = pki.write("web.toml", CONFIG)?;
    let mut command = hosts.command(&format!("enforce {policy}"))?;
    command.arg("--web-config").arg(path);
    Ok(command)
}

/// What `/metrics` says of the certificate's end, in days from now.
fn told(hosts: &Hosts, pki: &Pki) -> Result<f64> {
    let answer = ask(&hosts.point, &pki.path("ca.crt"), &[], "")?;
    let name = "sccm_agent_certificate_expiry_timestamp_seconds ";
    let value = answer.body.lines().find_map(|line| line.strip_prefix(name));
    let end: f64 = value.with_context(|| format!("{answer:?}"))?.parse()?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok((end - now.as_secs_f64()) / 86_400.0)
}

#[test]
fn a_certificate_that_is_not_valid_now_is_refused() -> Result<()> {
    let (hosts, pki) = (Hosts::new()?, Pki::new()?);
    for (from, to, why) in [(-3, -1, "expired at"), (1, 3, "not valid before")] {
        sign(&pki, from, to)?;
        run(command(&hosts, &pki, POINT)?)?.assert_refused(&["server.crt", why]);
        hosts.assert_untouched()?;
    }

    let policy = PolicyFile::allowing(&[])?;
    sign(&pki, -1, 100)?;
    let agent = Agent::start_guarded(&hosts.point, command(&hosts, &pki, &policy.arguments())?)?;
    ensure!((99.0..101.0).contains(&told(&hosts, &pki)?));
    assert!(!agent.log()?.contains("certificate"), "{}", agent.log()?);
    sign(&pki, -3, -1)?;
    hosts
        .run("reload")?
        .assert_refused(&["server.crt", "expired at"]);
    ensure!(told(&hosts, &pki)? > 99.0, "the old one stays");
    Ok(())
}

#[test]
fn one_that_expires_soon_is_told_of() -> Result<()> {
    let (hosts, pki) = (Hosts::new()?, Pki::new()?);
    sign(&pki, -1, 13)?;
    let agent = Agent::start_guarded(&hosts.point, command(&hosts, &pki, POINT)?)?;
    ensure!((12.0..14.0).contains(&told(&hosts, &pki)?));
    assert!(agent.log()?.contains("the certificate expires at"));
    Ok(())
}
