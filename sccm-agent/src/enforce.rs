//! The life of an enforcing agent: check everything, attach, watch, let go.
//!
//! Nothing is touched before every check has passed, and what was attached is
//! taken back if a later interface fails.

mod candidate;
mod hooks;
mod settings;
mod watch;

pub use settings::{OnExit, Port, Settings, XdpMode};

use crate::http::{self, Server};
use crate::interface::Netlink;
use crate::kernel::{Found, Lock, Maps, PinDir, Programs};
use crate::metrics::{Gaps, Source, hash_text, roles_text};
use crate::policy::ServiceNames;
use crate::preflight;
use anyhow::{Result, bail, ensure};
use std::sync::{Arc, Mutex};
use tokio::signal::unix::{SignalKind, signal};

/// An agent that has attached its programs.
pub struct Enforcement {
    settings: Settings,
    source: Arc<Source>,
    server: Server,
    programs: Vec<Programs>,
    _lock: Lock,
}

impl Enforcement {
    /// Checks, publishes and attaches.
    ///
    /// # Errors
    /// Whatever is wrong with the settings or the machine; nothing has changed then.
    pub async fn start(settings: Settings) -> Result<Self> {
        settings.check()?;
        candidate::check_roles(&settings.policy)?;
        preflight::check()?;
        let netlink = Netlink::connect()?;
        let interfaces = candidate::interfaces(&netlink, &settings.ports).await?;
        let server = Server::prepare(&settings.http).await?;

        let pins = settings.pins.clone();
        pins.create()?;
        let lock = pins.lock()?;
        let found = pins.look()?;
        let started = async {
            let names = names(&settings, found)?;
            let compiled = candidate::compile(&settings, names, &netlink).await?;
            candidate::check(&settings, &compiled, &netlink, &interfaces).await?;
            let (maps, programs) = hooks::attach_all(&settings, found, &interfaces, &compiled)?;
            let hash = hash_text(&compiled.info.hash);
            tracing::info!(
                hash = &hash[..12],
                roles = %roles_text(&compiled.info),
                metrics = %settings.http.metrics_listen,
                "{}",
                if settings.observe { "observing" } else { "enforcing" }
            );
            Ok((maps, programs))
        };
        let (maps, programs) = match started.await {
            Ok(started) => started,
            Err(error) => {
                // What was there before has been put back; what is new goes.
                if found == Found::Nothing
                    && let Err(error) = pins.remove()
                {
                    tracing::warn!("clearing up: {error:#}");
                }
                return Err(error);
            }
        };
        let source = Arc::new(Source {
            pins,
            maps: Mutex::new(maps),
            netlink,
            gaps: Gaps::default(),
        });
        Ok(Self {
            settings,
            source,
            server,
            programs,
            _lock: lock,
        })
    }

    /// Serves metrics and follows the machine's interfaces until told to end,
    /// then lets go as the settings say.
    ///
    /// # Errors
    /// The server fails, or pins cannot be removed.
    pub async fn run(mut self) -> Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        for programs in &mut self.programs {
            programs.forward_log()?;
        }
        let server = self.server.serve(http::routes(Arc::clone(&self.source)));
        let watch = watch::follow(self.settings.clone(), Arc::clone(&self.source));
        let served = tokio::select! {
            never = server => match never {},
            watched = watch => watched,
            _ = terminate.recv() => Ok(()),
            _ = interrupt.recv() => Ok(()),
        };
        match self.settings.on_exit {
            OnExit::Detach => {
                self.settings.pins.remove()?;
                tracing::info!("detached; interfaces are as before");
            }
            OnExit::Keep => tracing::info!("ended; enforcement goes on until `sccm-agent detach`"),
        }
        served
    }
}

/// The service names that the counters carry already.
fn names(settings: &Settings, found: Found) -> Result<ServiceNames> {
    let pins: &PinDir = &settings.pins;
    match found {
        Found::Nothing => Ok(ServiceNames::default()),
        Found::Maps => {
            let capacity = pins.flow_capacity()?;
            ensure!(
                capacity == settings.flow_capacity,
                "the flows that are there have room for {capacity}: say --flow-capacity \
                 {capacity}, or run `sccm-agent detach` first"
            );
            Maps::open(pins)?.service_names()
        }
        Found::OtherAbi(version) => bail!(
            "{} holds the maps of another sccm-agent (layout {version}, this one has {}): \
             run `sccm-agent detach` first; counters begin anew",
            pins.path().display(),
            sccm_common::abi::VERSION
        ),
    }
}
