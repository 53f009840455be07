//! Certificates, authorities and tokens that change while the agent runs.

use anyhow::Result;
use nix::sys::signal::Signal;
use sccm_tests::agent::{Agent, Hosts, POINT, PolicyFile};

use super::pki::{Pki, ask};

const OLD: &str = "Authorization: Bearer 0123456789abcdef\r\n";
const NEW: &str = "Authorization: Bearer fedcba9876543210\r\n";

/// Everything that can be renewed, in the folder of the authority.
const CONFIG: &str = "\
bearer_token_file = \"token\"
[tls_server_config]
cert_file = \"server.crt\"
key_file = \"server.key\"
client_ca_file = \"clients.crt\"
";

fn start<'h>(hosts: &'h Hosts, pki: &Pki, policy: &str) -> Result<Agent<'h>> {
    let path = pki.write("web.toml", CONFIG)?;
    let mut command = hosts.command(&format!("enforce {policy}"))?;
    command.arg("--web-config").arg(path);
    Agent::start_guarded(&hosts.point, command)
}

/// The status that a client gets that trusts the authority of `server`, shows the certificate of
/// `client` and sends this header line.
fn status(hosts: &Hosts, server: &Pki, client: &Pki, line: &str) -> Result<u16> {
    let certificate = client.path("client.crt").display().to_string();
    let key = client.path("client.key").display().to_string();
    let arguments = ["-cert", &certificate, "-key", &key];
    Ok(ask(&hosts.point, &server.path("ca.crt"), &arguments, line)?.status)
}

/// Signs a server and a client, and has the server take these clients.
fn issue(pki: &Pki, token: &str) -> Result<()> {
    pki.sign("server")?;
    pki.sign("client")?;
    pki.write("token", token)?;
    pki.write("clients.crt", &std::fs::read_to_string(pki.path("ca.crt"))?)?;
    Ok(())
}

/// Puts the files of another authority in place of those that the agent reads.
fn replace(pki: &Pki, new: &Pki, files: &[&str]) -> Result<()> {
    for file in files {
        pki.write(file, &std::fs::read_to_string(new.path(file))?)?;
    }
    Ok(())
}

#[test]
fn a_reload_reads_the_files_again_and_keeps_the_old_ones_if_one_is_bad() -> Result<()> {
    let (hosts, pki, new) = (Hosts::new()?, Pki::new()?, Pki::new()?);
    issue(&pki, "0123456789abcdef\n")?;
    issue(&new, "fedcba9876543210\n")?;
    let policy = PolicyFile::allowing(&[])?;
    let agent = start(&hosts, &pki, &policy.arguments())?;
    assert_eq!(status(&hosts, &pki, &pki, OLD)?, 200);
    let generation = || -> Result<_> { Ok(hosts.status()?.json["policy"]["generation"].clone()) };
    let before = generation()?;

    // Half of the new files: a certificate without its key. The policy does not change either.
    replace(&pki, &new, &["server.crt"])?;
    policy.allow(&["tcp/22"])?;
    for bad in ["server.key", "no certificate and its key"] {
        hosts.run("reload")?.assert_refused(&["web-config", bad]);
    }
    assert_eq!(status(&hosts, &pki, &pki, OLD)?, 200);
    assert_eq!(generation()?, before);

    replace(&pki, &new, &["server.key", "clients.crt", "token"])?;
    assert_eq!(status(&hosts, &pki, &pki, OLD)?, 200, "not asked for yet");
    let reload = hosts.run("reload")?;
    assert_eq!(reload.code, Some(0), "{reload:?}");
    assert_eq!(status(&hosts, &new, &new, NEW)?, 200);
    assert_eq!(status(&hosts, &pki, &new, NEW)?, 0, "the old server");
    assert_eq!(status(&hosts, &new, &pki, NEW)?, 0, "the old client");
    assert_eq!(status(&hosts, &new, &new, OLD)?, 401, "the old token");
    assert_ne!(generation()?, before);
    agent.end(Signal::SIGTERM)?;
    Ok(())
}

#[test]
fn a_signal_renews_certificates_also_where_the_policy_is_of_flags() -> Result<()> {
    let (hosts, pki, new) = (Hosts::new()?, Pki::new()?, Pki::new()?);
    issue(&pki, "0123456789abcdef\n")?;
    issue(&new, "fedcba9876543210\n")?;
    let agent = start(&hosts, &pki, POINT)?;
    replace(
        &pki,
        &new,
        &["server.crt", "server.key", "clients.crt", "token"],
    )?;
    agent.signal(Signal::SIGHUP)?;
    let mut answer = 0;
    for _ in 0..200 {
        answer = status(&hosts, &new, &new, NEW)?;
        if answer == 200 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(answer, 200);
    assert_eq!(status(&hosts, &pki, &pki, OLD)?, 0);
    agent.end(Signal::SIGTERM)?;
    Ok(())
}
