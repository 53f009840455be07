//! `POST /-/reload`: only where it was enabled, and only by those who show who they are.

use anyhow::Result;
use sccm_tests::agent::{ALLOWED, Agent, FORBIDDEN, Hosts, METRICS, POINT, PolicyFile, run};
use sccm_tests::traffic::Outcome;

use super::client::{Answer, ask, request};
use super::pki::Pki;

const TOKEN: &str = "Authorization: Bearer 0123456789abcdef\r\n";

fn post(hosts: &Hosts, lines: &str) -> Result<Answer> {
    let lines = format!("Host: localhost\r\n{lines}");
    ask(&hosts.point, METRICS, &request("POST", "/-/reload", &lines))
}

#[test]
fn only_who_shows_the_token_reloads() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    let pki = Pki::new()?;
    pki.write("token", "0123456789abcdef\n")?;
    let web = pki.write("web.toml", "bearer_token_file = \"token\"\n")?;
    let policy = PolicyFile::allowing(&[])?;
    let line = format!(
        "enforce {} --enable-reload --web-config {}",
        policy.arguments(),
        web.display()
    );
    let _agent = Agent::start_guarded(&hosts.point, hosts.command(&line)?)?;
    policy.allow(&["tcp/21"])?;
    let get = request("GET", "/-/reload", &format!("Host: localhost\r\n{TOKEN}"));
    assert_eq!(ask(&hosts.point, METRICS, &get)?.status, 405);
    assert_eq!(post(&hosts, "")?.status, 401);
    hosts.assert_enforced();
    let answer = post(&hosts, TOKEN)?;
    assert_eq!(answer.status, 200, "{answer:?}");
    let published = "published: generation 2, ";
    assert!(answer.body.starts_with(published), "{answer:?}");
    hosts.assert_tcp(&[ALLOWED, FORBIDDEN], Outcome::Connected);

    policy.write("[[protect]]\nname = \"p\"\nroles = [\"clint\"]\n")?;
    let answer = post(&hosts, TOKEN)?;
    assert_eq!(answer.status, 500, "{answer:?}");
    assert!(answer.body.contains("clint"), "{answer:?}");
    assert_eq!(hosts.status()?.generation(), 2);

    // A reload that would open the door for all is none.
    pki.write("web.toml", "")?;
    let answer = post(&hosts, TOKEN)?;
    assert_eq!(answer.status, 500, "{answer:?}");
    assert!(answer.body.contains("--enable-reload"), "{answer:?}");
    assert_eq!(post(&hosts, "")?.status, 401);
    Ok(())
}

#[test]
fn without_a_secret_that_nobody_reads_it_is_not_enabled() -> Result<()> {
    let (hosts, pki) = (Hosts::new()?, Pki::new()?);
    pki.sign("server")?;
    pki.write("token", "0123456789abcdef\n")?;
    let token = "bearer_token_file = \"token\"\n";
    let server = "[tls_server_config]\ncert_file = \"server.crt\"\nkey_file = \"server.key\"\n";
    let clients = format!("{server}client_ca_file = \"ca.crt\"\n");
    let secret = format!("{token}{server}");
    let far = "--metrics-listen [::]:19470 --insecure-listen";
    let command = |flags: &str, config: &str| {
        let path = pki.write("web.toml", config)?;
        let web = path.display();
        hosts.command(&format!(
            "enforce {POINT} --enable-reload {flags} --web-config {web}"
        ))
    };
    for (flags, config) in [("", ""), ("", server), (far, token), (far, server)] {
        let refused = run(command(flags, config)?)?;
        refused.assert_refused(&["--enable-reload", "bearer_token_file", "client_ca_file"]);
        hosts.assert_untouched()?;
    }
    for (flags, config) in [("", token), (far, &clients), (far, &secret)] {
        drop(Agent::start_guarded(&hosts.point, command(flags, config)?)?);
    }
    Ok(())
}
