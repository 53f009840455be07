//! The life of an enforcing agent: check everything, attach, watch, let go.
//!
//! Nothing is touched before every check has passed, and what was attached is
//! undone if a later interface fails.

mod begin;
pub(crate) mod cards;
mod older;
pub(crate) mod preflight;
mod settings;
mod signals;
mod supervised;
mod takeover;
mod warm_up;

pub use settings::{OnExit, Settings};

use crate::blocked;
use crate::changed::Changed;
use crate::control::ControlSocket;
use crate::http::{self, Server};
use crate::interface::{self, Changes, Netlink};
use crate::kernel::{Events, FlowTable, Found, Heard, Loader, Lock, Opener};
use crate::metrics::Metrics;
use crate::openings::{self, Listener};
use crate::plan;
use crate::policies::prepare::check_policy;
use crate::policies::{Policies, Reload};
use crate::record::{Part, Record};
use crate::state::Machine;
use crate::supervisor::Supervisor;
use crate::watcher::{self, Watcher};
use anyhow::{Error, Result, bail};
use begin::begin;
use signals::Signals;
use std::convert::Infallible;
use std::sync::Arc;
use takeover::Taken;
use tokio::signal::unix::Signal;
use tokio::task::{JoinError, spawn_blocking};

/// An agent that has attached its programs.
pub struct Agent {
    settings: Settings,
    machine: Arc<Machine>,
    record: Arc<Record>,
    metrics: Arc<Metrics>,
    policies: Arc<Policies>,
    server: Server,
    control: ControlSocket,
    watcher: Watcher,
    changes: Changes,
    events: Events,
    heard: Heard,
    listener: Listener,
    signals: Signals,
    supervisor: Arc<Supervisor>,
    _lock: Lock,
}

impl Agent {
    /// Checks, publishes and attaches.
    ///
    /// # Errors
    /// Whatever is wrong with the settings or the machine; nothing has changed then. [`Changed`]
    /// if a policy was rolled back that an agent had left unconfirmed, and if not everything
    /// could be undone.
    pub async fn start(settings: Settings) -> Result<Self> {
        let mut changed = false;
        let started = Self::start_noting(settings, &mut changed).await;
        started.map_err(|error| match changed && !error.is::<Changed>() {
            true => error.context(Changed),
            false => error,
        })
    }

    /// Sets `changed` when something has changed, until it is undone.
    async fn start_noting(settings: Settings, changed: &mut bool) -> Result<Self> {
        plan::check(&settings.policies.interfaces)?;
        preflight::check()?;
        let supervisor = Supervisor::of_environment().unwrap_or_else(|error| {
            tracing::error!("nobody is told how this agent is: {error:#}");
            Supervisor::default()
        });
        let supervisor = Arc::new(supervisor);
        let signals = Signals::catch()?;
        let pins = settings.pins.clone();
        // Takes about as long as all checks, and changes nothing.
        let loader = spawn_blocking({
            let pins = pins.clone();
            move || Loader::new(&pins)
        });
        let policy = settings.policies.written.load_in_time().await;
        let mut lock = None;
        let mut taken = Taken::NOTHING;
        if pins.path().exists() {
            lock = Some(pins.lock()?);
            taken = Taken::over(&pins, policy.as_ref().ok(), &settings.policies, changed)?;
        }
        let policy = match policy {
            Ok(policy) => policy,
            Err(error) => taken.stand_in(&settings, error).await?,
        };
        check_policy(&settings.policies, &policy)?;
        let netlink = Netlink::connect()?;
        // The watcher looks again at whatever changes from here on.
        let changes = Changes::subscribe(settings.policies.is_gateway())?;
        let present = netlink.interfaces().await?;
        let mut plan = cards::plan(
            &settings.policies.interfaces,
            &present,
            settings.wait_for_interfaces,
        )?;
        plan.translates = settings.policies.is_gateway() && interface::translation()?.is_any();
        let record = Arc::new(Record::default());
        let server = Server::prepare(&settings.http, Arc::clone(&record)).await?;

        pins.create()?;
        let lock = match lock {
            Some(lock) => lock,
            None => pins.lock()?,
        };
        let begun = match ControlSocket::bind(&settings.control_socket) {
            Ok(control) => begin(
                &settings,
                loader,
                &taken,
                policy,
                &netlink,
                (&plan, &present),
            )
            .await
            .map(|begun| (control, begun)),
            Err(error) => Err(error),
        };
        let (control, begun) = match begun {
            Ok(begun) => begun,
            Err(error) => {
                // What was there before has been put back; what is new goes.
                if taken.found == Found::Nothing
                    && let Err(error) = pins.remove()
                {
                    tracing::warn!("cleaning up: {error:#}");
                    *changed = true;
                }
                return Err(error);
            }
        };
        *changed = true;
        let events = Events::open(&pins, &lock)?;
        let heard = Heard::open(&pins, &lock)?;
        let listener = Listener::new(Opener::open(&pins, &lock)?);
        let machine = Arc::new(Machine::open(pins.clone(), netlink.clone())?);
        record.reloads.note(begun.obeyed);
        let metrics = Metrics {
            machine: Arc::clone(&machine),
            record: Arc::clone(&record),
            flows: FlowTable::open(&pins)?,
            top_flows: settings.metrics_top_flows as usize,
        };
        let policies = Arc::new(Policies::new(
            settings.policies.clone(),
            pins.clone(),
            netlink,
            (
                Arc::clone(&record),
                Arc::clone(&supervisor),
                Arc::clone(&begun.attachments),
            ),
            server.web_config(),
            begun.policy,
        ));
        let watcher = Watcher::new(
            watcher::Settings {
                pins,
                attachments: begun.attachments,
                interfaces: settings.policies.interfaces.clone(),
            },
            (
                Arc::clone(&machine),
                Arc::clone(&record),
                Arc::clone(&policies),
            ),
            (plan, begun.slots),
            &present,
        );
        Ok(Self {
            settings,
            machine,
            record,
            metrics: Arc::new(metrics),
            policies,
            server,
            control,
            watcher,
            changes,
            events,
            heard,
            listener,
            signals,
            supervisor,
            _lock: lock,
        })
    }

    /// Serves metrics and commands and follows the machine's interfaces until told
    /// to end, then lets go as the settings say.
    ///
    /// # Errors
    /// Nobody confirmed the first policy, or pins cannot be removed. Or something broke in the agent
    /// itself: then everything that it attached stays, whatever the settings say.
    pub async fn run(self) -> Result<()> {
        let Signals {
            mut terminate,
            mut interrupt,
            hangup,
        } = self.signals;
        let policies = || Arc::clone(&self.policies);
        let (machine, record) = (|| Arc::clone(&self.machine), || Arc::clone(&self.record));
        let reloads = self.settings.http.enable_reload.then(policies);
        let (page, feed) = http::page(machine(), policies(), record())?;
        let routes = http::routes(machine(), self.metrics).merge(http::reload(reloads));
        // On their own, so that no change of policy keeps a scrape waiting.
        let server = tokio::spawn(self.server.serve(routes.merge(page)));
        let feed = tokio::spawn(feed);
        // A client connects right after the answer: nothing else keeps this waiting.
        let openings = tokio::spawn(openings::follow(self.heard, self.listener, {
            let record = record();
            move |error| {
                record.errors.count(Part::Rpc);
                tracing::error!("reading what endpoint mappers answer: {error:#}");
            }
        }));
        let inform = async |explainer: &mut blocked::Explainer| {
            let number = self.policies.changes();
            if explainer.is_news(number) {
                explainer.set_written(number, self.policies.written().await);
            }
        };
        let failed = |error: &Error| {
            self.record.errors.count(Part::BlockedLog);
            tracing::error!("logging blocked flows: {error:#}");
        };
        let log = self.settings.log_blocked;
        // None of them ends: what only observes ends nothing that enforces.
        let work = async {
            tokio::join!(
                self.watcher.follow(self.changes),
                blocked::log::follow(self.events, &self.machine.maps, log, inform, failed),
                self.control.serve(policies()),
                self.policies.look_at_file(),
                reload_at(hangup, &self.policies),
                warm_up::tell_end(&self.machine.maps),
                supervised::report(&self.supervisor, &self.machine, &self.policies),
            )
        };
        let end = tokio::select! {
            nobody = work => match nobody.0 {},
            broken = server => End::broken(broken),
            broken = feed => End::broken(broken),
            broken = openings => End::broken(broken),
            () = self.policies.take_back_when_due() => End::Unconfirmed,
            _ = terminate.recv() => End::Told,
            _ = interrupt.recv() => End::Told,
        };
        self.supervisor.stopping();
        let no_more_changes = self.policies.end().await;
        let confirmed = no_more_changes.as_ref().map(|ended| ended.confirmed);
        let keeps = end.keeps(self.settings.on_exit, confirmed.ok());
        if let Err(error) = &no_more_changes {
            tracing::error!("rolling back the unconfirmed policy: {error:#}");
        }
        if keeps {
            tracing::info!("ended; enforcement goes on until `sccm-agent detach`");
        } else {
            self.settings.pins.remove()?;
            tracing::info!("detached: nothing is enforced any more");
        }
        let no_more_changes = match no_more_changes {
            Ok(ended) => {
                ended.saving.wait().await;
                Ok(())
            }
            Err(error) => Err(error),
        };
        match end {
            End::Told => no_more_changes,
            End::Unconfirmed => bail!("nobody confirmed the first policy in time: detached"),
            End::Broken(error) => Err(error),
        }
    }
}

/// Why an agent ends.
enum End {
    /// Somebody told it to.
    Told,
    /// Nobody confirmed the first policy.
    Unconfirmed,
    /// Something broke in the agent itself.
    Broken(Error),
}

impl End {
    fn broken(ended: Result<Infallible, JoinError>) -> Self {
        let Err(error) = ended;
        Self::Broken(error.into())
    }

    /// Whether everything stays attached. `confirmed`: what is enforced may outlive the agent; `None`
    /// if that cannot be told.
    fn keeps(&self, on_exit: OnExit, confirmed: Option<bool>) -> bool {
        match self {
            Self::Broken(_) => true,
            Self::Unconfirmed => false,
            Self::Told => on_exit == OnExit::Keep && confirmed.unwrap_or(true),
        }
    }
}

/// Reloads at every SIGHUP.
async fn reload_at(mut hangup: Signal, policies: &Policies) -> Infallible {
    while hangup.recv().await.is_some() {
        match policies.reload(Reload::default()).await {
            Ok(outcome) => tracing::info!("SIGHUP: {outcome}"),
            Err(error) => tracing::error!("SIGHUP: the policy stays: {error:#}"),
        }
    }
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_breaks_in_the_agent_leaves_everything_as_it_is() {
        for on_exit in [OnExit::Keep, OnExit::Detach] {
            for confirmed in [None, Some(false), Some(true)] {
                let broken = End::Broken(Error::msg("a bug"));
                assert!(broken.keeps(on_exit, confirmed));
                assert!(!End::Unconfirmed.keeps(on_exit, confirmed));
                let keeps = on_exit == OnExit::Keep && confirmed != Some(false);
                assert_eq!(End::Told.keeps(on_exit, confirmed), keeps);
            }
        }
    }
}
