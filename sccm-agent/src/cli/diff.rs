//! `sccm-agent diff`: what one policy lets pass that another does not.

use super::PinArgs;
use crate::diff::{Difference, Operand, Side};
use crate::interface::{Addresses, Netlink};
use crate::output::{self, OutputArgs, OutputFormat};
use crate::policy::{Running, Surroundings};
use crate::state;
use anyhow::{Result, bail};
use clap::Args;
use sccm_common::address::AddressClass;
use sccm_common::policy::flag;
use std::net::IpAddr;
use std::process::ExitCode;
use tokio::runtime::Builder;

/// Say what policy B lets pass that policy A does not, and the other way round, by exact ports and
/// addresses
///
/// Each is a file, `edition:2007` (the other one, by the port table of that edition), or `live`.
/// Exits with 0 if B opens nothing, 1 if it opens something, 2 on errors.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct DiffArgs {
    /// What is left
    #[arg(value_name = "A")]
    from: Operand,

    /// What takes its place
    #[arg(value_name = "B")]
    to: Operand,

    /// On a gateway: address of the gateway itself; repeatable
    #[arg(long, value_name = "ADDRESS")]
    own: Vec<IpAddr>,

    #[command(flatten)]
    pins: PinArgs,

    #[command(flatten)]
    output: OutputArgs,
}

const EXAMPLES: &str = "\
Examples:
  sccm-agent diff live /etc/sccm-agent/policy.toml
      what a reload would open and close
  sccm-agent diff policy.toml edition:current-branch -o json
      what the same policy opens by the port table of the current branch";

/// Prints the difference.
///
/// # Errors
/// An operand that is no policy, nothing enforced, or standard output that cannot be written.
pub fn run(args: &DiffArgs) -> Result<ExitCode> {
    let live = match [&args.from, &args.to].contains(&&Operand::Live) {
        true => Some(running(&args.pins)?),
        false => None,
    };
    let machine = match (&live, args.own.as_slice()) {
        (Some(running), own) => machine_of(running, own)?,
        (None, []) => Surroundings::default(),
        (None, own) => Surroundings::gateway(own),
    };
    let mut live = live.map(Side::live);
    let mut side = |operand: &Operand| match operand {
        Operand::File(path) => Side::file(path, &machine).map(Some),
        Operand::Live => Ok(live.take()),
        Operand::Edition(_) => Ok(None),
    };
    let (from, to) = (side(&args.from)?, side(&args.to)?);
    let (from, to) = match (from, to, &args.from, &args.to) {
        (Some(from), Some(to), ..) => (from, to),
        (Some(from), None, _, Operand::Edition(edition)) => {
            let to = from.of_edition(*edition, &machine)?;
            (from, to)
        }
        (None, Some(to), Operand::Edition(edition), _) => (to.of_edition(*edition, &machine)?, to),
        (None, None, Operand::Edition(from), Operand::Edition(to)) => bail!(
            "two editions are no policies: name a file beside one of them, or run `sccm-agent catalog \
             diff {from} {to}`"
        ),
        _ => bail!("`live` is on both sides: name a file, or an edition, as one of them"),
    };
    let difference = Difference::new(&from, &to)?;
    match args.output.output {
        OutputFormat::Json => output::print_json(&difference)?,
        OutputFormat::Table => output::print(difference.text())?,
    }
    Ok(match difference.opens {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

/// What is enforced now.
pub(super) fn running(pins: &PinArgs) -> Result<Running> {
    let maps = state::open(&pins.pins())?;
    Ok(Running {
        info: maps.info()?,
        tables: maps.tables()?,
        names: maps.service_names()?,
    })
}

/// This machine, as the running policy was compiled for it. `own`: what the operator calls a gateway's
/// own addresses, if anything.
pub(super) fn machine_of(running: &Running, own: &[IpAddr]) -> Result<Surroundings> {
    let own = match own {
        [] => running.tables.own_addresses(),
        own => own.to_vec(),
    };
    let mut machine = match own.as_slice() {
        [] => Surroundings::default(),
        own => Surroundings::gateway(own),
    };
    machine.is_bridge = running.tables.policy.has(flag::BRIDGE);
    let addresses = own_addresses()?;
    machine.broadcasts = addresses.broadcasts.into_iter().collect();
    // Of the machine's addresses, those that the running policy takes for its own.
    let is_own = |address: &IpAddr| {
        let class = running.tables.class_at(*address);
        class.is_marked(AddressClass::NOBODY)
    };
    if !machine.is_gateway {
        machine.own = addresses.holders.into_keys().filter(is_own).collect();
    }
    Ok(machine)
}

/// What this machine is called, and what stands for all systems of its networks.
fn own_addresses() -> Result<Addresses> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { Netlink::connect()?.own_addresses().await })
}
