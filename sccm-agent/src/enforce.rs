//! The life of an enforcing agent: check everything, attach, watch, let go.
//!
//! Nothing is touched before every check has passed, and what was attached is
//! taken back if a later interface fails.

mod candidate;
mod hooks;
mod memory;
mod offload;
mod plan;
mod policies;
mod settings;
mod slots;
mod takeover;
mod watch;

pub use policies::Policies;
pub use settings::{OnExit, PolicySource, Port, Settings, Switch, XdpMode};

use crate::blocked;
use crate::control::Reload;
use crate::control::server::ControlSocket;
use crate::http::{self, Server};
use crate::interface::{Changes, Interface, Netlink};
use crate::kernel::{Events, FlowTable, Found, Loader, Lock, Maps, PinDir, Programs};
use crate::metrics::{self, Flows, Gaps, Reloads, Rules, Source, hash_text, roles_text};
use crate::policy::{ServiceNames, SitePolicy};
use crate::preflight;
use anyhow::{Result, bail, ensure};
use plan::Plan;
use policies::Applied;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use takeover::Start;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{JoinHandle, spawn_blocking};
use watch::Watch;

/// An agent that has attached its programs.
pub struct Enforcement {
    settings: Settings,
    source: Arc<Source>,
    policies: Arc<Policies>,
    server: Server,
    control: ControlSocket,
    watch: Watch,
    changes: Changes,
    events: Events,
    flows: FlowTable,
    signals: Signals,
    _lock: Lock,
}

/// The signals that an agent obeys. One that comes while it starts waits until it has.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn catch() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

/// What a start has put into the kernel.
struct Started {
    maps: Maps,
    programs: Vec<Programs>,
    /// Their slots, in the order of the plan.
    slots: Vec<u32>,
    running: Applied,
    /// How long the policy is on trial.
    trial: Option<Duration>,
    /// The policy that it was given is the active one.
    obeyed: bool,
}

impl Enforcement {
    /// Checks, publishes and attaches.
    ///
    /// # Errors
    /// Whatever is wrong with the settings or the machine; nothing has changed
    /// then, but for a policy that an agent left unconfirmed, which is taken back.
    pub async fn start(settings: Settings) -> Result<Self> {
        settings.check()?;
        preflight::check()?;
        let signals = Signals::catch()?;
        let pins = settings.pins.clone();
        // Takes about as long as all checks, and changes nothing.
        let loader = spawn_blocking({
            let pins = pins.clone();
            move || Loader::new(&pins)
        });
        let mut lock = None;
        let mut found = Found::Nothing;
        if pins.path().exists() {
            lock = Some(pins.lock()?);
            found = takeover::recover(&pins)?;
        }
        let policy = settings.source.load()?;
        candidate::check_policy(&settings, &policy)?;
        let netlink = Netlink::connect()?;
        // Whatever changes from here on is looked at once more by the watch.
        let changes = Changes::subscribe()?;
        let present = netlink.interfaces().await?;
        let plan = candidate::plan(&settings.ports, &present)?;
        let server = Server::prepare(&settings.http).await?;

        pins.create()?;
        let lock = match lock {
            Some(lock) => lock,
            None => pins.lock()?,
        };
        let started = match ControlSocket::bind(&settings.control_socket) {
            Ok(control) => begin(
                &settings,
                loader,
                found,
                policy,
                &netlink,
                (&plan, &present),
            )
            .await
            .map(|started| (control, started)),
            Err(error) => Err(error),
        };
        let (control, started) = match started {
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
        let events = Events::open(&pins, &lock)?;
        let flows = FlowTable::open(&pins)?;
        let source = Arc::new(Source {
            maps: Mutex::new(Maps::open(&pins)?),
            top_flows: settings.metrics_top_flows as usize,
            pins,
            netlink,
            gaps: Gaps::default(),
            flows: Flows::default(),
            reloads: Reloads::default(),
            rules: Rules::default(),
        });
        source.reloads.note(started.obeyed);
        let policies = Policies::new(
            settings.clone(),
            Arc::clone(&source),
            server.web_config(),
            started.maps,
            started.running,
            started.trial,
        );
        let policies = Arc::new(policies);
        let attached = (plan, started.slots, started.programs);
        let watch = Watch::new(&settings, &source, &policies, attached, &present)?;
        Ok(Self {
            settings,
            source,
            policies,
            server,
            control,
            watch,
            changes,
            events,
            flows,
            signals,
            _lock: lock,
        })
    }

    /// Serves metrics and commands and follows the machine's interfaces until told
    /// to end, then lets go as the settings say.
    ///
    /// # Errors
    /// The server fails, nobody confirmed the first policy, or pins cannot be
    /// removed.
    pub async fn run(self) -> Result<()> {
        let Signals {
            mut terminate,
            mut interrupt,
            hangup,
        } = self.signals;
        let policies = || Arc::clone(&self.policies);
        let source = || Arc::clone(&self.source);
        let reloads = self.settings.enable_reload.then(policies);
        let (page, feed) = http::page(source(), policies())?;
        let routes = http::routes(source()).merge(http::reload(reloads));
        let server = self.server.serve(routes.merge(page));
        let served = async {
            // On their own, so that no change of policy keeps a scrape waiting.
            let (server, feed) = (tokio::spawn(server), tokio::spawn(feed));
            let (never, _): (Infallible, Infallible) = tokio::try_join!(server, feed)?;
            Ok::<Infallible, anyhow::Error>(never)
        };
        let work = async {
            tokio::try_join!(
                served,
                self.watch.follow(self.changes),
                metrics::flows::follow(self.flows, source()),
                blocked::log::follow(self.events, source(), self.settings.log_blocked),
                self.control.serve(policies()),
                self.policies.take_back_when_due(),
                reload_at(hangup, &self.policies),
            )
        };
        let ended = tokio::select! {
            ended = work => ended.map(drop),
            _ = terminate.recv() => Ok(()),
            _ = interrupt.recv() => Ok(()),
        };
        let settled = self.policies.settle().await;
        let confirmed = match &settled {
            Ok(settled) => settled.confirmed,
            Err(error) => {
                tracing::error!("taking back the unconfirmed policy: {error:#}");
                false
            }
        };
        if self.settings.on_exit == OnExit::Keep && confirmed {
            tracing::info!("ended; enforcement goes on until `sccm-agent detach`");
        } else {
            self.settings.pins.remove()?;
            tracing::info!("detached; interfaces are as before");
        }
        ended
    }
}

/// Puts the policy and the programs into the kernel.
async fn begin(
    settings: &Settings,
    loader: JoinHandle<Loader>,
    found: Found,
    policy: SitePolicy,
    netlink: &Netlink,
    (plan, present): (&Plan, &[Interface]),
) -> Result<Started> {
    let names = names(settings, found)?;
    let own = candidate::own_addresses(settings, netlink).await?;
    let mut compiled = candidate::compile(settings, &policy, &own, names)?;
    candidate::check_cards(settings, plan, present)?;
    let start = Start::with(&compiled, &settings.pins, found)?;
    if start != Start::Withdrawn && !settings.accept_lockout {
        candidate::check_sessions(settings, &compiled, netlink, &plan.reach).await?;
    }
    let publishes = start == Start::Publish;
    let trial = settings.confirm_within.filter(|_| publishes);
    compiled.info.confirm_by = trial.map_or(0, policies::confirm_by);
    let published = publishes.then_some(&compiled);
    if found == Found::Nothing {
        memory::check(settings.flow_capacity)?;
    }
    let loader = loader.await?;
    let mut hooked = hooks::attach_all(settings, loader, found, plan, published)?;
    if hooked.maps.shadow()?.is_some() {
        hooked.maps.end_shadow()?;
        tracing::warn!("the shadow of the agent before has ended");
    }

    let active = hooked.maps.info()?;
    let hash = hash_text(&active.hash);
    tracing::info!(
        generation = active.generation,
        hash = &hash[..12],
        roles = %roles_text(&active),
        metrics = %settings.http.metrics_listen,
        control = %settings.control_socket.display(),
        "{}",
        if settings.observe { "observing" } else { "enforcing" }
    );
    if start == Start::Withdrawn {
        tracing::warn!(
            "the policy that this agent was given has been taken back before, and stays so: \
             change it, or run `sccm-agent reload`"
        );
    }
    if let Some(trial) = trial {
        tracing::warn!("run `sccm-agent confirm` within {trial:?} to keep this policy");
    }
    Ok(Started {
        maps: hooked.maps,
        programs: hooked.programs,
        slots: hooked.slots,
        running: Applied {
            policy: (start != Start::Withdrawn).then_some(policy),
            own,
        },
        trial,
        obeyed: start != Start::Withdrawn,
    })
}

/// Reloads at every SIGHUP.
async fn reload_at(mut hangup: Signal, policies: &Policies) -> Result<()> {
    while hangup.recv().await.is_some() {
        match policies.reload(Reload::default()).await {
            Ok(outcome) => tracing::info!("SIGHUP: {outcome}"),
            Err(error) => tracing::error!("SIGHUP: the policy stays: {error:#}"),
        }
    }
    std::future::pending().await
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
