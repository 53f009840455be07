//! TLS by rustls: the server's certificate, and the clients' where they must show one.

use super::certificate::{self, Validity};
use super::files;
use super::web_config::{ClientAuth, MinVersion, TlsServerConfig};
use anyhow::{Context as _, Result, bail, ensure};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig};
use std::path::Path;
use std::sync::Arc;

/// How connections are encrypted.
#[derive(Debug)]
pub(super) struct Tls {
    pub(super) server: Arc<ServerConfig>,
    /// When the certificate is valid.
    pub(super) validity: Validity,
    /// Clients must show a certificate.
    pub(super) knows_clients: bool,
}

/// Makes the settings of every connection. Paths are already absolute or meant
/// relative to the working directory.
///
/// # Errors
/// A file that cannot be used, a certificate that is not valid now, or keys that contradict each
/// other.
pub(super) fn server_config(config: &TlsServerConfig) -> Result<Tls> {
    let chain = certificates(&config.cert_file)?;
    let validity = Validity::of(&chain)
        .and_then(|validity| validity.ensure_at(certificate::now()).map(|()| validity))
        .with_context(|| config.cert_file.display().to_string())?;
    let key = key(&config.key_file)?;
    let provider = Arc::new(ring::default_provider());
    let versions: &[_] = match config.min_version {
        MinVersion::Tls12 => &[&TLS13, &TLS12],
        MinVersion::Tls13 => &[&TLS13],
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)?;
    let verifier = client_verifier(config, provider)?;
    let knows_clients = verifier.is_some();
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut server = builder.with_single_cert(chain, key).with_context(|| {
        format!(
            "{} and {} are no certificate and its key",
            config.cert_file.display(),
            config.key_file.display()
        )
    })?;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Tls {
        server: Arc::new(server),
        validity,
        knows_clients,
    })
}

fn client_verifier(
    config: &TlsServerConfig,
    provider: Arc<rustls::crypto::CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>> {
    let file = match (&config.client_ca_file, config.client_auth_type) {
        (Some(file), None | Some(ClientAuth::RequireAndVerifyClientCert)) => file,
        (None, None | Some(ClientAuth::NoClientCert)) => return Ok(None),
        (Some(_), Some(ClientAuth::NoClientCert)) => bail!(
            "client_ca_file has no effect with client_auth_type = \"NoClientCert\": take one away"
        ),
        (None, Some(ClientAuth::RequireAndVerifyClientCert)) => bail!(
            "client_auth_type = \"RequireAndVerifyClientCert\" needs client_ca_file: the \
             certificates of those who sign the clients'"
        ),
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots
            .add(certificate)
            .with_context(|| format!("{} holds no certificate authority", file.display()))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    Ok(Some(verifier.build()?))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let bytes = files::read(path)?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let certificates = read.with_context(|| format!("{} is not PEM", path.display()))?;
    ensure!(
        !certificates.is_empty(),
        "{} holds no certificate: PEM is wanted, with -----BEGIN CERTIFICATE-----",
        path.display()
    );
    Ok(certificates)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    let bytes = files::read_secret(path, &path.display())?;
    PrivateKeyDer::from_pem_slice(&bytes).with_context(|| {
        format!(
            "{} holds no private key: PEM is wanted, without a passphrase",
            path.display()
        )
    })
}
