//! TLS, client certificates and the token, by a web configuration.

use anyhow::Result;
use nix::sys::signal::Signal;
use sccm_tests::agent::{Agent, Hosts, METRICS, POINT};

use super::client;
use super::pki::{Pki, ask};

const SERVER: &str = "[tls_server_config]\ncert_file = \"server.crt\"\nkey_file = \"server.key\"\n";

fn start<'h>(hosts: &'h Hosts, pki: &Pki, config: &str) -> Result<Agent<'h>> {
    let path = pki.write("web.toml", config)?;
    let mut command = hosts.command(&format!("enforce {POINT}"))?;
    command.arg("--web-config").arg(path);
    Agent::start_guarded(&hosts.point, command)
}

#[test]
fn tls_is_spoken_and_nothing_else() -> Result<()> {
    let (hosts, pki) = (Hosts::new()?, Pki::new()?);
    pki.sign("server")?;
    let ca = pki.path("ca.crt");
    let ask = |arguments: &[&str]| ask(&hosts.point, &ca, arguments, "");

    let agent = start(&hosts, &pki, SERVER)?;
    for version in ["-tls1_2", "-tls1_3"] {
        let answer = ask(&[version])?;
        assert_eq!(answer.status, 200, "{version}: {answer:?}");
        assert!(answer.body.contains("sccm_enforcing{"), "{answer:?}");
    }
    assert_eq!(ask(&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"])?.status, 0);
    let plain = client::request("GET", "/metrics", "Host: localhost\r\n");
    assert_eq!(client::ask(&hosts.point, METRICS, &plain)?.status, 0);
    agent.end(Signal::SIGTERM)?;

    let _agent = start(&hosts, &pki, &format!("{SERVER}min_version = \"TLS13\"\n"))?;
    assert_eq!(ask(&["-tls1_2"])?.status, 0);
    assert_eq!(ask(&["-tls1_3"])?.status, 200);
    Ok(())
}

#[test]
fn only_clients_with_a_certificate_are_answered() -> Result<()> {
    let (hosts, pki, others) = (Hosts::new()?, Pki::new()?, Pki::new()?);
    pki.sign("server")?;
    pki.sign("client")?;
    others.sign("client")?;
    let config = format!(
        "{SERVER}client_ca_file = \"ca.crt\"\nclient_auth_type = \"RequireAndVerifyClientCert\"\n"
    );
    let _agent = start(&hosts, &pki, &config)?;
    for version in ["-tls1_2", "-tls1_3"] {
        let with = |signer: &Pki| -> Result<u16> {
            let (certificate, key) = (signer.path("client.crt"), signer.path("client.key"));
            let certificate = certificate.display().to_string();
            let key = key.display().to_string();
            let arguments = [version, "-cert", &certificate, "-key", &key];
            Ok(ask(&hosts.point, &pki.path("ca.crt"), &arguments, "")?.status)
        };
        assert_eq!(with(&pki)?, 200, "{version}");
        assert_eq!(with(&others)?, 0, "{version}: signed by somebody else");
        let none = ask(&hosts.point, &pki.path("ca.crt"), &[version], "")?;
        assert_eq!(none.status, 0, "{version}: {none:?}");
    }
    Ok(())
}

#[test]
fn a_token_is_asked_for_on_every_path() -> Result<()> {
    let (hosts, pki) = (Hosts::new()?, Pki::new()?);
    pki.write("token", "0123456789abcdef-._~+/=\n")?;
    let agent = start(&hosts, &pki, "bearer_token_file = \"token\"\n")?;
    let ask = |path: &str, lines: &str| {
        let lines = format!("Host: localhost\r\n{lines}");
        client::ask(&hosts.point, METRICS, &client::request("GET", path, &lines))
    };
    let right = "Authorization: Bearer 0123456789abcdef-._~+/=\r\n";
    for (lines, status) in [
        (right, 200),
        ("Authorization: bearer 0123456789abcdef-._~+/=\r\n", 200),
        ("", 401),
        ("Authorization: Bearer 0123456789abcdef-._~+/\r\n", 401),
        ("Authorization: Bearer 0123456789abcdef-._~+/==\r\n", 401),
        ("Authorization: Bearer 0123456789ABCDEF-._~+/=\r\n", 401),
        ("Authorization: Basic 0123456789abcdef-._~+/=\r\n", 401),
        ("Authorization: Bearer \r\n", 401),
        ("Authorization: 0123456789abcdef-._~+/=\r\n", 401),
        ("Authorization: \u{e9}\r\n", 401),
        (&format!("{right}{right}"), 401),
    ] {
        let answer = ask("/metrics", lines)?;
        assert_eq!(answer.status, status, "{lines:?}: {answer:?}");
        let challenge = (status == 401).then_some("bearer realm=\"sccm-agent\"");
        assert_eq!(answer.header("www-authenticate"), challenge, "{lines:?}");
        assert_eq!(answer.body.contains("sccm_enforcing"), status == 200);
    }
    for path in ["/", "/events", "/-/healthy", "/-/ready", "/nothing"] {
        assert_eq!(ask(path, "")?.status, 401, "{path}");
    }
    assert_eq!(ask("/-/ready", right)?.status, 200);
    assert!(ask("/", right)?.body.starts_with("<!DOCTYPE html>"));
    assert_eq!(ask("/nothing", right)?.status, 404);
    let log = agent.end(Signal::SIGTERM)?.stderr;
    assert!(
        !log.contains("0123456789abcdef"),
        "the token is told: {log}"
    );
    Ok(())
}
