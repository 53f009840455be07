//! `sccm-agent status`: what is true in the kernel. Changes nothing, and works
//! without an agent.
//!
//! Exit codes: 0 every interface is enforcing; 3 nothing is attached; 4 some
//! interface is observing, warming up, in generic mode, lost, or behind another TC program; 5 the maps are of another
//! layout.

mod hooks;

use super::PinArgs;
use crate::config;
use crate::decisions::{DEFAULT_STATE_DIR, StateFile};
use crate::files;
use crate::interface::Netlink;
use crate::kernel::{Found, Maps, PinDir};
use crate::output::{self, OutputArgs, OutputFormat};
use crate::policy::{Hooks, hash_of, hash_text};
use crate::state::{self, InterfaceState, PolicyStatus, ShadowStatus, State};
use crate::units;
use anyhow::{Context as _, Result};
use clap::Args;
use hooks::CardHook;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

pub(super) const NOTHING_ATTACHED: u8 = 3;
pub(super) const NOT_ALL_ENFORCING: u8 = 4;
pub(super) const OTHER_LAYOUT: u8 = 5;

/// Show what is enforced, where, and since when
#[derive(Debug, Clone, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    pins: PinArgs,

    /// Directory where the agent saves its decisions, and which policy file it reads
    #[arg(long, value_name = "DIR", default_value = DEFAULT_STATE_DIR)]
    state_dir: PathBuf,

    #[command(flatten)]
    output: OutputArgs,
}

/// What `status -o json` prints.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Status {
    /// `none`, `ours` or `abi-mismatch`.
    maps: &'static str,
    /// The active policy.
    policy: Option<PolicyStatus>,
    /// The candidate that judges beside it.
    shadow: Option<ShadowStatus>,
    /// The policy's file, if there is one and it is known.
    policy_file: Option<PolicyFile>,
    /// Interfaces that are or were enforced.
    interfaces: Vec<InterfaceState>,
    /// Where what comes in is judged, and why there; of interfaces that are cards and have programs.
    hooks: Vec<CardHook>,
    /// Names in `[hooks]` of the policy's file that no card has now.
    hooks_awaited: Vec<String>,
    /// Interfaces by which a gateway forwards, and that are not enforced.
    not_enforced: Vec<String>,
}

/// What an agent read its policy from, as it is now.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct PolicyFile {
    /// Where it is.
    path: PathBuf,
    /// It holds something else than what is enforced, or cannot be read.
    differs: bool,
    /// The hooks of cards that it names.
    #[serde(skip)]
    hooks: Hooks,
}

/// Prints the state and returns its exit code.
pub fn run(args: &StatusArgs) -> Result<ExitCode> {
    let pins = args.pins.pins();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let mut status = runtime.block_on(read(&pins))?;
    let active = status.policy.as_ref().map(|policy| policy.hash.as_str());
    status.policy_file = match active {
        Some(active) => runtime.block_on(PolicyFile::look(args, active)),
        None => None,
    };
    if let Some(file) = &status.policy_file {
        status.hooks_awaited = hooks::add_policy(&mut status.hooks, &file.hooks);
    }
    match args.output.output {
        OutputFormat::Json => output::print_json(&status)?,
        OutputFormat::Table => print(&status)?,
    }
    Ok(exit_code(&status))
}

async fn read(pins: &PinDir) -> Result<Status> {
    let nothing = |maps| Status {
        maps,
        policy: None,
        shadow: None,
        policy_file: None,
        interfaces: Vec::new(),
        hooks: Vec::new(),
        hooks_awaited: Vec::new(),
        not_enforced: Vec::new(),
    };
    match pins.look()? {
        Found::Nothing => return Ok(nothing("none")),
        Found::OtherAbi(_) => return Ok(nothing("abi-mismatch")),
        Found::Maps => {}
    }
    let maps = Maps::open(pins)?;
    let policy = maps.info()?;
    let present = Netlink::connect()?.interfaces().await?;
    Ok(Status {
        maps: "ours",
        policy: Some(policy.into()),
        shadow: maps.shadow()?.map(ShadowStatus::from),
        policy_file: None,
        interfaces: state::interfaces(pins, &maps, &present)?,
        hooks: hooks::read(pins, &maps, &present)?,
        hooks_awaited: Vec::new(),
        not_enforced: state::not_enforced(&maps, &present)?,
    })
}

impl PolicyFile {
    async fn look(args: &StatusArgs, active: &str) -> Option<Self> {
        let path = StateFile::new(&args.state_dir, &args.pins.pins()).policy_file()?;
        let file = path.clone();
        let policy = files::in_time(move || config::load(&file)).await.ok();
        let differs = policy
            .as_ref()
            .is_none_or(|policy| hash_text(&hash_of(policy)) != active);
        let hooks = policy.map(|policy| policy.hooks).unwrap_or_default();
        Some(Self {
            path,
            differs,
            hooks,
        })
    }
}

fn print(status: &Status) -> Result<()> {
    let Some(policy) = &status.policy else {
        return output::print(match status.maps {
            "none" => "nothing is attached",
            _ => {
                "the pinned maps are of another sccm-agent: run `sccm-agent detach` to remove them"
            }
        });
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default().as_secs();
    let mut table = output::table(["Interface", "State", "Mode"]);
    for interface in &status.interfaces {
        table.add_row([
            interface.interface.as_str(),
            interface.state.label(),
            interface.mode.unwrap_or("-"),
        ]);
    }
    let lines = output::lines(&table);
    output::print(format!(
        "Roles:  {}\nPolicy: generation {}, {}, {}, published {} ago\n{}{}{}{}{}{}{}{lines}",
        policy.roles.join(", "),
        policy.generation,
        &policy.hash[..12],
        policy.mode,
        units::describe(now.saturating_sub(policy.published)),
        trial(policy, now),
        warm_up(policy, now),
        drift(status.policy_file.as_ref()),
        shadow(status.shadow.as_ref(), now),
        hooks::text(&status.hooks, &status.hooks_awaited),
        before(&status.interfaces),
        not_enforced(&status.not_enforced),
    ))
}

/// What is to be said of a policy that nobody has confirmed; else nothing.
fn trial(policy: &PolicyStatus, now: u64) -> String {
    match policy.confirm_by {
        None => String::new(),
        Some(end) if end >= now => format!(
            "Trial:  ends in {}, unless `sccm-agent confirm` comes before\n",
            units::describe(end - now)
        ),
        Some(end) => format!(
            "Trial:  ended {} ago without an agent; the next one takes the policy back\n",
            units::describe(now - end)
        ),
    }
}

/// What is to be said of a file that does not hold what is enforced; else nothing.
fn drift(file: Option<&PolicyFile>) -> String {
    match file {
        Some(file) if file.differs => format!(
            "File:   {} does not hold what is enforced: `sccm-agent diff live FILE` says in \
             what; run `sccm-agent reload`, or change it\n",
            file.path.display()
        ),
        _ => String::new(),
    }
}

/// What is to be said of a warm-up that goes on; else nothing.
fn warm_up(policy: &PolicyStatus, now: u64) -> String {
    match policy.warm_up_until {
        Some(end) if end > now => format!(
            "Warm-up: nothing is dropped for another {}\n",
            units::describe(end - now)
        ),
        _ => String::new(),
    }
}

/// What is to be said of those who see outgoing packets before us; else nothing.
fn before(interfaces: &[InterfaceState]) -> String {
    let before = |one: &InterfaceState| {
        let before = one.before.join(", ");
        let line = format!("Before us on {}: {before}\n", one.interface);
        (!one.before.is_empty()).then_some(line)
    };
    interfaces.iter().filter_map(before).collect()
}

/// What is to be said of interfaces by which the machine forwards, too; else nothing.
fn not_enforced(names: &[String]) -> String {
    match names.is_empty() {
        true => String::new(),
        false => format!(
            "Forwards from, but does not enforce: {}\n",
            names.join(", ")
        ),
    }
}

/// What is to be said of a candidate; else nothing.
fn shadow(shadow: Option<&ShadowStatus>, now: u64) -> String {
    shadow.map_or_else(String::new, |shadow| {
        format!(
            "Shadow: {}, since {}; `sccm-agent blocked --shadow` lists what it would change\n",
            &shadow.hash[..12],
            units::describe(now.saturating_sub(shadow.since))
        )
    })
}

fn exit_code(status: &Status) -> ExitCode {
    let states = || status.interfaces.iter().map(|interface| interface.state);
    ExitCode::from(if status.maps == "abi-mismatch" {
        OTHER_LAYOUT
    } else if states().all(|state| state == State::Detached) {
        NOTHING_ATTACHED
    } else if states().all(|state| matches!(state, State::Enforcing | State::Detached)) {
        0
    } else {
        NOT_ALL_ENFORCING
    })
}
