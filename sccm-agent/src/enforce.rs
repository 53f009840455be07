//! The life of an enforcing agent: check everything, attach, watch, let go.
//!
//! Nothing is touched before every check has passed, and what was attached is
//! taken back if a later interface fails.

mod candidate;
mod hooks;
mod memory;
mod offload;
mod plan;
mod settings;
mod slots;
mod watch;

pub use settings::{OnExit, Port, Settings, XdpMode};

use crate::http;
use crate::interface::{Changes, Netlink};
use crate::kernel::{Found, Lock, Maps, PinDir, Programs};
use crate::metrics::{Gaps, Source, hash_text, roles_text};
use crate::policy::ServiceNames;
use crate::preflight;
use anyhow::{Result, bail, ensure};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use watch::Watch;

/// An agent that has attached its programs.
pub struct Enforcement {
    settings: Settings,
    source: Arc<Source>,
    listener: TcpListener,
    programs: Vec<Programs>,
    watch: Watch,
    changes: Changes,
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
        // Whatever changes from here on is looked at once more by the watch.
        let changes = Changes::subscribe()?;
        let present = netlink.interfaces().await?;
        let plan = candidate::plan(&settings.ports, &present)?;
        let listener = http::bind(settings.metrics_listen).await?;

        let pins = settings.pins.clone();
        pins.create()?;
        let lock = pins.lock()?;
        let found = pins.look()?;
        let started = async {
            let names = names(&settings, found)?;
            let own = candidate::own_addresses(&settings, &netlink).await?;
            let compiled = candidate::compile(&settings, names, &own)?;
            candidate::check(&settings, &compiled, &netlink, &plan, &present).await?;
            if found == Found::Nothing {
                memory::check(settings.flow_capacity)?;
            }
            let hooked = hooks::attach_all(&settings, found, &plan, &compiled)?;
            let hash = hash_text(&compiled.info.hash);
            tracing::info!(
                hash = &hash[..12],
                roles = %roles_text(&compiled.info),
                metrics = %settings.metrics_listen,
                "{}",
                if settings.observe { "observing" } else { "enforcing" }
            );
            Ok((hooked, own))
        };
        let (hooked, own) = match started.await {
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
            maps: Mutex::new(hooked.maps),
            netlink,
            gaps: Gaps::default(),
        });
        let watch = Watch::new(&settings, &source, plan, &hooked.slots, own, &present);
        Ok(Self {
            settings,
            source,
            listener,
            programs: hooked.programs,
            watch,
            changes,
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
        let server = http::serve(self.listener, Arc::clone(&self.source));
        let watch = self.watch.follow(self.changes);
        let served = tokio::select! {
            served = server => served,
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
