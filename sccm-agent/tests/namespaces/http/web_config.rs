//! A web configuration that cannot be obeyed is refused before anything is attached.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use anyhow::Result;
use sccm_tests::agent::{Finished, Hosts, POINT, run};

use super::pki::Pki;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn refused(hosts: &Hosts, pki: &Pki, config: &str) -> Result<Finished> {
    let path = pki.write("web.toml", config)?;
    let mut command = hosts.command(&format!("enforce {POINT}"))?;
    command.arg("--web-config").arg(path);
    let finished = run(command)?;
    hosts.assert_untouched()?;
    Ok(finished)
}

#[test]
fn wrong_settings_are_named() -> Result<()> {
    let (hosts, pki) = (Hosts::new()?, Pki::new()?);
    pki.sign("server")?;
    pki.sign("other")?;
    pki.write("empty", "")?;
    pki.write("short", "0123456789abcde\n")?;
    pki.write("two", &format!("{TOKEN}\n{TOKEN}\n"))?;
    pki.write("huge", &"x".repeat(2 << 20))?;
    let server = |more: &str| {
        format!(
            "[tls_server_config]\ncert_file = \"server.crt\"\nkey_file = \"server.key\"\n{more}"
        )
    };
    let pair = |cert: &str, key: &str| {
        format!("[tls_server_config]\ncert_file = \"{cert}\"\nkey_file = \"{key}\"\n")
    };
    let token = |file: &str| format!("bearer_token_file = \"{file}\"\n");
    for (config, parts) in [
        // The file itself.
        (
            "bearer_token = \"x\"\n".to_owned(),
            &["`bearer_token`", "bearer_token_file"] as &[_],
        ),
        (
            server("cipher_suites = []\n"),
            &["`cipher_suites`", "client_ca_file"],
        ),
        ("tls_server_config = \n".to_owned(), &["line 1"]),
        (
            "[tls_server_config]\ncert_file = \"server.crt\"\n".to_owned(),
            &["`key_file`"],
        ),
        (
            server("min_version = \"TLS10\"\n"),
            &["`TLS10`", "`TLS12`", "`TLS13`"],
        ),
        (
            server("client_auth_type = \"RequestClientCert\"\n"),
            &["`RequestClientCert`", "`RequireAndVerifyClientCert`"],
        ),
        // Settings that contradict each other.
        (
            server("client_auth_type = \"RequireAndVerifyClientCert\"\n"),
            &["needs client_ca_file"],
        ),
        (
            server("client_auth_type = \"NoClientCert\"\nclient_ca_file = \"ca.crt\"\n"),
            &["client_ca_file", "no effect"],
        ),
        // Certificates and keys.
        (
            pair("gone.crt", "server.key"),
            &["gone.crt", "there is no such file"],
        ),
        (
            pair("server.crt", "gone.key"),
            &["gone.key", "there is no such file"],
        ),
        (pair(".", "server.key"), &["is a directory"]),
        (pair("huge", "server.key"), &["larger than 1 MiB"]),
        (
            pair("empty", "server.key"),
            &["empty", "no certificate", "PEM"],
        ),
        (
            pair("server.key", "server.key"),
            &["server.key", "no certificate"],
        ),
        (
            pair("server.crt", "server.crt.key"),
            &["server.crt.key", "no private key", "PEM"],
        ),
        (
            pair("server.crt", "other.key"),
            &["server.crt", "other.key", "certificate and its key"],
        ),
        (
            server("client_ca_file = \"empty\"\n"),
            &["empty", "no certificate"],
        ),
        // Tokens.
        (token("gone"), &["bearer_token_file: there is no such file"]),
        (token("empty"), &["at least 16", "openssl rand -hex 32"]),
        (token("short"), &["at least 16"]),
        (token("two"), &["one token"]),
    ] {
        fs::copy(pki.path("server.crt"), pki.path("server.crt.key"))?;
        fs::set_permissions(pki.path("server.crt.key"), Permissions::from_mode(0o600))?;
        let finished = refused(&hosts, &pki, &config)?;
        finished.assert_refused(&[&["--web-config", "web.toml"], parts].concat());
    }
    let mut command = hosts.command(&format!("enforce {POINT}"))?;
    command.arg("--web-config").arg(pki.path("gone.toml"));
    run(command)?.assert_refused(&["--web-config", "gone.toml", "there is no such file"]);
    hosts.assert_untouched()
}

#[test]
fn secrets_that_others_may_read_are_refused() -> Result<()> {
    let (hosts, pki) = (Hosts::new()?, Pki::new()?);
    pki.sign("server")?;
    pki.write("token", TOKEN)?;
    let config = "bearer_token_file = \"token\"\n[tls_server_config]\n\
                  cert_file = \"server.crt\"\nkey_file = \"server.key\"\n";
    for secret in ["token", "server.key"] {
        for mode in [0o640, 0o604, 0o620, 0o644] {
            fs::set_permissions(pki.path(secret), Permissions::from_mode(mode))?;
            let mode = format!("mode {mode:04o}");
            let remedy = format!("chmod 600 {}", pki.path(secret).display());
            refused(&hosts, &pki, config)?.assert_refused(&[&mode, &remedy]);
        }
        fs::set_permissions(pki.path(secret), Permissions::from_mode(0o400))?;
    }
    Ok(())
}
