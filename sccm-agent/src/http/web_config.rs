//! The web configuration: TLS and authentication in a file of its own.
//!
//! It means what the web configuration of the Prometheus exporters means
//! (exporter-toolkit, docs/web-configuration.md) where it has the same key, in
//! TOML like everything else here. A key that would be read and not obeyed is
//! worse than none, so unknown keys are refused.

use super::files;
use super::tls::{self, Tls};
use super::token::Token;
use anyhow::{Context as _, Result, anyhow};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What the file asks for, read and checked.
#[derive(Debug, Default)]
pub(super) struct WebConfig {
    /// How connections are encrypted.
    pub(super) tls: Option<Tls>,
    /// What every request must carry.
    pub(super) token: Option<Token>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    tls_server_config: Option<TlsServerConfig>,
    bearer_token_file: Option<PathBuf>,
}

/// The table `tls_server_config`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsServerConfig {
    /// The server's certificate, and those between it and its authority.
    pub(super) cert_file: PathBuf,
    /// Its private key.
    pub(super) key_file: PathBuf,
    /// Who signs the certificates of clients.
    pub(super) client_ca_file: Option<PathBuf>,
    /// Whether clients must show one; they must if `client_ca_file` is given.
    pub(super) client_auth_type: Option<ClientAuth>,
    /// The oldest version of TLS that is spoken.
    #[serde(default)]
    pub(super) min_version: MinVersion,
}

/// The exporters know more of these; the others let in whoever shows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum ClientAuth {
    NoClientCert,
    RequireAndVerifyClientCert,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(super) enum MinVersion {
    #[default]
    #[serde(rename = "TLS12")]
    Tls12,
    #[serde(rename = "TLS13")]
    Tls13,
}

impl WebConfig {
    /// Whether clients of this address show who they are, by what nobody has read on the way.
    pub(super) fn authenticates(&self, listen: SocketAddr) -> bool {
        let is_read_by_nobody = self.tls.is_some() || listen.ip().to_canonical().is_loopback();
        let has_token = self.token.is_some() && is_read_by_nobody;
        has_token || self.tls.as_ref().is_some_and(|tls| tls.knows_clients)
    }

    /// Reads the file and those that it names; relative paths begin at its folder.
    ///
    /// # Errors
    /// What is wrong with any of them, and what to do.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let folder = path.parent().unwrap_or(Path::new(""));
        read(path, folder).with_context(|| format!("--web-config {}", path.display()))
    }
}

/// What is wrong, and where, without the lines themselves.
fn not_toml(error: &toml::de::Error, text: &str) -> anyhow::Error {
    let start = error.span().map_or(0, |span| span.start);
    let line = text
        .bytes()
        .take(start)
        .filter(|byte| *byte == b'\n')
        .count()
        + 1;
    // The exporters' file has the same keys.
    let is_yaml = text.lines().any(|line| line.trim_end().ends_with(':'));
    let advice = match is_yaml {
        true => {
            ": this is YAML, and TOML is expected: `[tls_server_config]`, `cert_file = \"...\"`"
        }
        false => "",
    };
    // What was found may be a secret in the wrong place.
    let message = match error.message().split_once(", expected ") {
        Some((found, expected)) if found.starts_with("invalid ") => format!("expected {expected}"),
        _ => error.message().to_owned(),
    };
    anyhow!("line {line}: {message}{advice}")
}

fn read(path: &Path, folder: &Path) -> Result<WebConfig> {
    let text = String::from_utf8(files::read(path)?).context("it is not UTF-8")?;
    let mut document: Document = toml::from_str(&text).map_err(|error| not_toml(&error, &text))?;
    if let Some(tls) = &mut document.tls_server_config {
        let further = tls.client_ca_file.as_mut();
        for file in [&mut tls.cert_file, &mut tls.key_file]
            .into_iter()
            .chain(further)
        {
            *file = folder.join(&*file);
        }
    }
    let tls = document.tls_server_config.as_ref();
    let token = document.bearer_token_file.map(|file| folder.join(file));
    Ok(WebConfig {
        tls: tls.map(tls::server_config).transpose()?,
        token: token.as_deref().map(Token::read).transpose()?,
    })
}
