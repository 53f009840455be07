//! Certificates, and a TLS client, by the `openssl` program.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use sccm_tests::agent::METRICS;
use sccm_tests::netns::Namespace;
use tempfile::TempDir;

use super::client::{Answer, request};

/// Of `openssl req`, in place of the machine's own, which differs.
const CONFIG: &str = "\
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE
[member]
basicConstraints = critical, CA:FALSE
subjectAltName = IP:127.0.0.1
[ca]
default_ca = signer
[signer]
database = $dir/index
unique_subject = no
new_certs_dir = $dir
rand_serial = yes
default_md = sha256
policy = any
[any]
commonName = supplied
";

/// A directory with an authority `ca`, and whatever it signs.
pub struct Pki(TempDir);

impl Pki {
    /// A new authority; its certificate is `ca.crt`.
    pub fn new() -> Result<Self> {
        let pki = Self(tempfile::tempdir()?);
        pki.write("index", "")?;
        let directory = pki.0.path().display().to_string();
        pki.write("openssl.cnf", &format!("dir = {directory}\n{CONFIG}"))?;
        pki.make("ca", &["-extensions", "authority"])?;
        Ok(pki)
    }

    /// Where a file is.
    pub fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    /// Writes a file that only its owner may see.
    pub fn write(&self, file: &str, content: &str) -> Result<PathBuf> {
        let path = self.path(file);
        fs::write(&path, content)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(path)
    }

    /// Makes `NAME.crt` for 127.0.0.1 and its key `NAME.key`, signed by the authority.
    pub fn sign(&self, name: &str) -> Result<()> {
        let (ca, key) = (self.path("ca.crt"), self.path("ca.key"));
        let (ca, key) = (ca.to_str().context("path")?, key.to_str().context("path")?);
        self.make(name, &["-CA", ca, "-CAkey", key, "-extensions", "member"])
    }

    /// Signs `NAME.crt` again, to be valid from one time to another (`20260131235959Z`).
    pub fn sign_from(&self, name: &str, begin: &str, end: &str) -> Result<()> {
        self.make(name, &[])?;
        let at = |suffix: &str| self.path(&format!("{name}.{suffix}"));
        openssl(
            Command::new("openssl")
                .args(["x509", "-x509toreq", "-in"])
                .arg(at("crt"))
                .arg("-signkey")
                .arg(at("key"))
                .arg("-out")
                .arg(at("csr")),
        )?;
        openssl(
            Command::new("openssl")
                .args(["ca", "-batch", "-notext", "-extensions", "member"])
                .args(["-startdate", begin, "-enddate", end, "-config"])
                .arg(self.path("openssl.cnf"))
                .arg("-cert")
                .arg(self.path("ca.crt"))
                .arg("-keyfile")
                .arg(self.path("ca.key"))
                .arg("-in")
                .arg(at("csr"))
                .arg("-out")
                .arg(at("crt")),
        )
    }

    fn make(&self, name: &str, more: &[&str]) -> Result<()> {
        let request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2";
        let key = self.path(&format!("{name}.key"));
        openssl(
            Command::new("openssl")
                .args(request.split(' '))
                .arg("-config")
                .arg(self.path("openssl.cnf"))
                .args(["-subj", &format!("/CN={name}"), "-keyout"])
                .arg(&key)
                .arg("-out")
                .arg(self.path(&format!("{name}.crt")))
                .args(more),
        )?;
        Ok(fs::set_permissions(key, Permissions::from_mode(0o600))?)
    }
}

fn openssl(command: &mut Command) -> Result<()> {
    let made = command
        .output()
        .context("the program `openssl` is needed: install it")?;
    ensure!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    Ok(())
}

/// Asks for `/metrics` over TLS with these arguments of `s_client` and header lines. Status 0 if
/// there was no answer, because one side did not trust the other.
pub fn ask(inside: &Namespace, ca: &Path, arguments: &[&str], lines: &str) -> Result<Answer> {
    let mut client = inside
        .command("openssl")
        .args(["s_client", "-quiet", "-verify_return_error", "-connect"])
        .arg(METRICS.to_string())
        .arg("-CAfile")
        .arg(ca)
        .args(["-verify_ip", "127.0.0.1"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("the program `openssl` is needed: install it")?;
    let lines = format!("Host: {METRICS}\r\n{lines}");
    let mut input = client.stdin.take().context("no input")?;
    // It may have ended without reading.
    let _ = input.write_all(&request("GET", "/metrics", &lines));
    let output = client.wait_with_output()?;
    drop(input);
    Answer::parse(&output.stdout)
}
