//! The web configuration as it is now: a reload reads its files again.
//!
//! Certificates run out, and authorities and tokens change, while the agent has to stay. What
//! is not good changes nothing. Connections that have been made stay as they are (ten minutes
//! at most); the token is looked at with every request.

use super::HttpArgs;
use super::token::Token;
use super::web_config::WebConfig;
use crate::files;
use crate::policies::{OtherFiles, PutInForce};
use anyhow::{Result, ensure};
use rustls::ServerConfig;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

/// What every new connection and every request looks at.
#[derive(Debug)]
pub struct CurrentWebConfig {
    path: Option<PathBuf>,
    listen: SocketAddr,
    insecure: bool,
    current: RwLock<Arc<WebConfig>>,
}

impl CurrentWebConfig {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// What is wrong with one of them, or that other machines would be served in the clear.
    pub(super) async fn new(args: &HttpArgs) -> Result<Arc<Self>> {
        let this = Arc::new(Self {
            path: args.web_config.clone(),
            listen: args.metrics_listen,
            insecure: args.insecure_listen,
            current: RwLock::default(),
        });
        let reader = Arc::clone(&this);
        let put_in_force = files::in_time(|| reader.read()).await?;
        put_in_force();
        Ok(this)
    }

    /// How the next connection is encrypted, if it is.
    pub(super) fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.current().tls.clone()
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
        Ok(Box::new(move || {
            let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
            *current = Arc::new(config);
        }))
    }
}
