//! The web configuration as it is now: a reload reads its files again.
//!
//! Certificates run out, and authorities and tokens change, while the agent has to stay. What
//! is not good changes nothing. Connections that have been made stay as they are (ten minutes
//! at most); the token is looked at with every request.

use super::HttpArgs;
use super::certificate;
use super::token::Token;
use super::web_config::WebConfig;
use crate::files;
use crate::policies::{OtherFiles, PutInForce};
use crate::record::Record;
use anyhow::{Result, ensure};
use rustls::ServerConfig;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::time::sleep;

/// The time between two warnings of a certificate's end.
const REMINDER: Duration = Duration::from_secs(86_400);

/// What every new connection and every request looks at.
#[derive(Debug)]
pub struct CurrentWebConfig {
    path: Option<PathBuf>,
    listen: SocketAddr,
    insecure: bool,
    reloads: bool,
    record: Arc<Record>,
    current: RwLock<Arc<WebConfig>>,
}

impl CurrentWebConfig {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// What is wrong with one of them, or that other machines would be served in the clear.
    pub(super) async fn new(args: &HttpArgs, record: Arc<Record>) -> Result<Arc<Self>> {
        let this = Arc::new(Self {
            path: args.web_config.clone(),
            listen: args.metrics_listen,
            insecure: args.insecure_listen,
            reloads: args.enable_reload,
            record,
            current: RwLock::default(),
        });
        let reader = Arc::clone(&this);
        let put_in_force = files::in_time(|| reader.read()).await?;
        put_in_force();
        Ok(this)
    }

    /// How the next connection is encrypted, if it is.
    pub(super) fn tls(&self) -> Option<Arc<ServerConfig>> {
        let current = self.current();
        current.tls.as_ref().map(|tls| Arc::clone(&tls.server))
    }

    /// Whether requests must carry a token.
    pub(super) fn asks_for_token(&self) -> bool {
        self.current().token.is_some()
    }

    /// Says again and again when the certificate expires, if that is soon.
    pub(super) async fn remind(&self) -> Infallible {
        loop {
            let validity = self.current().tls.as_ref().map(|tls| tls.validity);
            if let Some(warning) = validity.and_then(|one| one.warning(certificate::now())) {
                tracing::warn!("--web-config: {warning}");
            }
            sleep(REMINDER).await;
        }
    }

    /// Whether a request may pass, that carries the right token or not.
    pub(super) fn admits(&self, is_right: impl Fn(&Token) -> bool) -> bool {
        self.current().token.as_ref().is_none_or(is_right)
    }

    fn current(&self) -> Arc<WebConfig> {
        let config = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&config)
    }
}

impl OtherFiles for CurrentWebConfig {
    fn exist(&self) -> bool {
        self.path.is_some()
    }

    fn read(self: Arc<Self>) -> Result<PutInForce> {
        let config = match &self.path {
            Some(path) => WebConfig::read(path)?,
            None => WebConfig::default(),
        };
        ensure!(
            self.listen.ip().to_canonical().is_loopback() || config.tls.is_some() || self.insecure,
            "other machines reach --metrics-listen {}: give a certificate with \
             --web-config FILE (tls_server_config), or serve in the clear with --insecure-listen",
            self.listen
        );
        ensure!(
            !self.reloads || config.authenticates(self.listen),
            "--enable-reload is for clients that show who they are: give --web-config FILE with \
             client_ca_file, or with bearer_token_file and, unless --metrics-listen is a loopback \
             address, TLS; or leave it out and run `sccm-agent reload`"
        );
        Ok(Box::new(move || {
            let end = config.tls.as_ref().map(|tls| tls.validity.end());
            self.record.certificate.note(end);
            let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
            *current = Arc::new(config);
        }))
    }
}
