//! The life of an enforcing agent: check everything, attach, serve, let go.
//!
//! Nothing is touched before every check has passed, and what was attached is
//! taken back if a later interface fails.

use crate::catalog::{Catalog, Role};
use crate::http;
use crate::interface::{Interface, Netlink};
use crate::kernel::{Attached, Found, Lock, Maps, Mode, PinDir, Programs, describe_program};
use crate::lockout;
use crate::metrics::{Source, hash_text};
use crate::policy::{Allow, Compiled, Essential, Request, ServiceNames, compile};
use crate::preflight;
use crate::site::Site;
use anyhow::{Context as _, Result, bail, ensure};
use clap::ValueEnum;
use sccm_common::counter::{Direction, MAX_INTERFACES};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Which way of attaching is acceptable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum XdpMode {
    /// In the driver, or not at all
    #[default]
    Native,
    /// In the kernel's stack: every driver can, about four times slower
    Generic,
    /// Native, and generic with a warning where the driver refuses
    Auto,
}

/// What happens when the agent is told to end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum OnExit {
    /// Interfaces are as before
    #[default]
    Detach,
    /// Enforcement goes on without the agent, until `sccm-agent detach`
    Keep,
}

/// Everything that `enforce` is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Role ids of this host.
    pub roles: Vec<String>,
    /// Names of the interfaces to enforce.
    pub interfaces: Vec<String>,
    /// The site's settings.
    pub site: Site,
    /// Site-specific ports.
    pub allow: Vec<Allow>,
    /// Essentials that are taken away.
    pub without: Vec<Essential>,
    /// Drop nothing, count what would be.
    pub observe: bool,
    /// Drop fragments without a transport header.
    pub refuse_later_fragments: bool,
    /// Pass frames that are neither IP nor an essential.
    pub pass_other_ethertypes: bool,
    /// Acceptable ways of attaching.
    pub xdp_mode: XdpMode,
    /// Where metrics are served.
    pub metrics_listen: SocketAddr,
    /// Where everything is pinned.
    pub pins: PinDir,
    /// What a signal to end means.
    pub on_exit: OnExit,
    /// Cut SSH sessions without asking.
    pub accept_lockout: bool,
}

/// An agent that has attached its programs.
pub struct Enforcement {
    settings: Settings,
    source: Arc<Source>,
    listener: TcpListener,
    programs: Vec<Programs>,
    _lock: Lock,
}

impl Enforcement {
    /// Checks, publishes and attaches.
    ///
    /// # Errors
    /// Whatever is wrong with the settings or the machine; nothing has changed then.
    pub async fn start(settings: Settings) -> Result<Self> {
        let catalog = Catalog::edition_2007()?;
        let roles = roles(&catalog, &settings.roles)?;
        check_names(&settings.interfaces)?;
        preflight::check()?;
        let netlink = Netlink::connect()?;
        let interfaces = interfaces(&netlink, &settings.interfaces).await?;
        let listener = http::bind(settings.metrics_listen).await?;

        let pins = &settings.pins;
        pins.create()?;
        let lock = pins.lock()?;
        let found = pins.look()?;
        let names = match found {
            Found::Nothing => ServiceNames::default(),
            Found::Maps => Maps::open(pins)?.service_names()?,
            Found::OtherAbi(version) => bail!(
                "{} holds the maps of another sccm-agent (layout {version}, this one has {}): \
                 run `sccm-agent detach` first; counters begin anew",
                pins.path().display(),
                sccm_common::abi::VERSION
            ),
        };
        let checked = check_candidate(&settings, &catalog, &roles, names, &netlink, &interfaces);
        let compiled = match checked.await {
            Ok(compiled) => compiled,
            Err(error) => {
                clear_if(found == Found::Nothing, pins);
                return Err(error);
            }
        };
        let attached = attach_all(&settings, found, &interfaces, &compiled);
        let (maps, programs) = match attached {
            Ok(attached) => attached,
            Err(error) => {
                clear_if(found == Found::Nothing, pins);
                return Err(error);
            }
        };
        let source = Arc::new(Source {
            pins: pins.clone(),
            maps,
            netlink,
        });
        Ok(Self {
            settings,
            source,
            listener,
            programs,
            _lock: lock,
        })
    }

    /// Serves metrics until told to end, then lets go as the settings say.
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
        let served = tokio::select! {
            served = server => served,
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

fn clear_if(fresh: bool, pins: &PinDir) {
    if fresh && let Err(error) = pins.remove() {
        tracing::warn!("clearing up: {error:#}");
    }
}

fn roles<'a>(catalog: &'a Catalog, ids: &[String]) -> Result<Vec<&'a Role>> {
    ids.iter().map(|id| Ok(catalog.role(id)?)).collect()
}

fn check_names(names: &[String]) -> Result<()> {
    for (place, name) in names.iter().enumerate() {
        ensure!(
            !names[..place].contains(name),
            "--interface {name} is given twice"
        );
    }
    ensure!(
        names.len() <= MAX_INTERFACES as usize,
        "{} interfaces are given; one agent enforces at most {MAX_INTERFACES}",
        names.len()
    );
    Ok(())
}

async fn interfaces(netlink: &Netlink, names: &[String]) -> Result<Vec<Interface>> {
    let mut interfaces = Vec::new();
    for name in names {
        let interface = netlink.interface(name).await?;
        ensure!(
            interface.up,
            "interface {name} is down: bring it up with `ip link set {name} up`"
        );
        interfaces.push(interface);
    }
    Ok(interfaces)
}

/// Everything that can speak against the policy or the place for it.
async fn check_candidate(
    settings: &Settings,
    catalog: &Catalog,
    roles: &[&Role],
    names: ServiceNames,
    netlink: &Netlink,
    interfaces: &[Interface],
) -> Result<Compiled> {
    let request = Request {
        catalog,
        site: &settings.site,
        roles,
        allow: &settings.allow,
        without: &settings.without,
        observe: settings.observe,
        refuse_later_fragments: settings.refuse_later_fragments,
        pass_other_ethertypes: settings.pass_other_ethertypes,
    };
    let compiled = compile(&request, names)?;
    refuse_foreign_programs(&settings.pins, interfaces)?;
    if !settings.observe && !settings.accept_lockout {
        let cut = lockout::sessions_cut(netlink, interfaces, &compiled).await?;
        if let Some(session) = cut.first() {
            bail!(
                "this would cut the SSH session {session}: let it in with \
                 `--allow tcp/{}@{}`, or say --accept-lockout",
                session.local.port(),
                session.peer.ip()
            );
        }
    }
    Ok(compiled)
}

fn refuse_foreign_programs(pins: &PinDir, interfaces: &[Interface]) -> Result<()> {
    let mut ours = Vec::new();
    for slot in pins.slots() {
        ours.extend(Attached::program_id(pins, slot, Direction::Inbound)?);
    }
    for interface in interfaces {
        if let Some(program) = interface.xdp.filter(|program| !ours.contains(&program.id)) {
            bail!(
                "{} already has an XDP {}: sccm-agent replaces nothing that is not its own; \
                 stop its owner, or remove it with `ip link set {} xdp off`",
                interface.name,
                describe_program(program.id),
                interface.name
            );
        }
    }
    Ok(())
}

fn attach_all(
    settings: &Settings,
    found: Found,
    interfaces: &[Interface],
    compiled: &Compiled,
) -> Result<(Maps, Vec<Programs>)> {
    let pins = &settings.pins;
    if found == Found::Nothing {
        // What an agent left that died before it finished.
        pins.remove()?;
        pins.create()?;
        Programs::create_maps(pins)?;
    }
    let before = pins.slots();
    let mut maps = Maps::open(pins)?;
    let mut programs = Vec::new();
    let mut slots = Vec::new();
    for interface in interfaces {
        let slot = maps.claim_slot(&interface.name, interface.index)?;
        programs.push(Programs::load(pins, slot)?);
        slots.push(slot);
    }
    let generation = maps.publish(compiled)?;
    let hooked = hook_all(settings, interfaces, &slots, &mut programs);
    if let Err(error) = hooked {
        maps.unpublish().context("taking the policy back")?;
        for slot in slots.iter().filter(|slot| !before.contains(slot)) {
            Attached::detach(pins, *slot)?;
        }
        return Err(error);
    }
    maps.finish()?;
    // Interfaces that an earlier agent enforced and this one was not asked to.
    for slot in before.iter().filter(|slot| !slots.contains(slot)) {
        Attached::detach(pins, *slot)?;
    }
    let hash = hash_text(&compiled.info.hash);
    tracing::info!(
        generation,
        hash = &hash[..12],
        roles = settings.roles.join(","),
        interfaces = settings.interfaces.join(","),
        metrics = %settings.metrics_listen,
        "{}",
        if settings.observe { "observing" } else { "enforcing" }
    );
    Ok((maps, programs))
}

fn hook_all(
    settings: &Settings,
    interfaces: &[Interface],
    slots: &[u32],
    programs: &mut [Programs],
) -> Result<()> {
    let mut attached = Vec::new();
    for ((interface, slot), programs) in interfaces.iter().zip(slots).zip(programs) {
        let attach = |programs: &mut Programs, mode| {
            Attached::attach(programs, &settings.pins, *slot, &interface.name, mode)
        };
        attached.push(match settings.xdp_mode {
            XdpMode::Native => attach(programs, Mode::Native)?,
            XdpMode::Generic => attach(programs, Mode::Generic)?,
            XdpMode::Auto => match attach(programs, Mode::Native) {
                Ok(attached) => attached,
                Err(error) => {
                    tracing::warn!("{error:#}");
                    tracing::warn!(
                        "{} runs in generic mode, about four times slower",
                        interface.name
                    );
                    attach(programs, Mode::Generic)?
                }
            },
        });
    }
    for attached in attached {
        attached.pin()?;
    }
    Ok(())
}
