//! `sccm-agent doctor`: whether this machine can enforce, and whether it does as it should.

use super::PinArgs;
use super::enforce::MAX_FLOWS;
use super::interface_args::InterfaceArgs;
use crate::doctor::{self, Finding, Grade, Wish};
use crate::hooks::How;
use crate::http::{DEFAULT_LISTEN, listen_address};
use crate::output::{self, OutputArgs, OutputFormat};
use crate::policies::{Settings, Written};
use crate::policy::HookChoice;
use anyhow::{Context as _, Result, ensure};
use clap::Args;
use sccm_common::flow::DEFAULT_CAPACITY;
use serde::Serialize;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// There are warnings, and no blockers.
pub(super) const WARNINGS: u8 = 3;
/// There are blockers.
pub(super) const BLOCKERS: u8 = 4;

/// Look whether this machine can enforce, card by card, and say what mends it
///
/// Changes nothing. Exits with 0 if all is fine, 3 if there are warnings, 4 if something keeps the agent
/// from enforcing.
#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    interfaces: InterfaceArgs,

    /// Look at this policy file, too: whether it is valid, and whether it would cut an SSH session
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Also look at what is enforced now
    #[arg(long)]
    live: bool,

    /// Where packets that come in are to be judged, at cards that [hooks] of the policy does not name
    #[arg(long, value_enum, default_value_t)]
    hook: HookChoice,

    /// Maximum number of remembered flows that is wanted
    #[arg(long, value_name = "FLOWS", default_value_t = DEFAULT_CAPACITY,
          value_parser = clap::value_parser!(u32).range(1..=MAX_FLOWS))]
    flow_capacity: u32,

    #[command(flatten)]
    pins: PinArgs,

    /// Address on which the agent is to serve metrics
    #[arg(long, value_name = "ADDRESS:PORT", default_value = DEFAULT_LISTEN, value_parser = listen_address)]
    metrics_listen: SocketAddr,

    #[command(flatten)]
    output: OutputArgs,
}

/// What `doctor -o json` prints.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Examination {
    /// The worst grade of all.
    grade: Grade,
    /// What was looked at, in the order in which it was.
    findings: Vec<Finding>,
}

/// Prints what was found, and returns the exit code of the worst.
///
/// # Errors
/// Flags that do not fit together, or a kernel that does not tell of its interfaces.
pub fn run(args: &DoctorArgs) -> Result<ExitCode> {
    let interfaces = match args.interfaces.is_empty() {
        true => Vec::new(),
        false => args.interfaces.named()?,
    };
    ensure!(
        args.config.is_none() || !interfaces.is_empty(),
        "--config is looked at for the interfaces that it is for: give --interface IF on a host, or \
         --uplink IF and --segment IF on a gateway"
    );
    let settings = args.config.as_ref().map(|path| Settings {
        written: Written::File(path.clone()),
        candidate: None,
        interfaces: interfaces.clone(),
        observe: false,
    });
    let wish = Wish {
        interfaces,
        how: How {
            hook: args.hook,
            ..How::default()
        },
        flow_capacity: args.flow_capacity,
        pins: args.pins.pins(),
        listen: args.metrics_listen,
        policy: settings,
        live: args.live,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let findings = runtime.block_on(doctor::examine(&wish))?;
    let worst = findings.iter().map(|finding| finding.grade).max();
    let examination = Examination {
        grade: worst.unwrap_or(Grade::Fine),
        findings,
    };
    match args.output.output {
        OutputFormat::Json => output::print_json(&examination)?,
        OutputFormat::Table => output::print(text(&examination.findings))?,
    }
    Ok(match examination.grade {
        Grade::Fine => ExitCode::SUCCESS,
        Grade::Warning => ExitCode::from(WARNINGS),
        Grade::Blocker => ExitCode::from(BLOCKERS),
    })
}

fn text(findings: &[Finding]) -> String {
    let mut lines: Vec<String> = findings.iter().map(line).collect();
    let count = |grade| findings.iter().filter(|one| one.grade == grade).count();
    lines.push(match (count(Grade::Blocker), count(Grade::Warning)) {
        (0, 0) => "\nAll is fine.".to_owned(),
        (blockers, warnings) => format!("\nBlockers: {blockers}. Warnings: {warnings}."),
    });
    lines.join("\n")
}

fn line(finding: &Finding) -> String {
    let interface = finding.interface.as_ref();
    let subject = interface.map_or_else(
        || finding.topic.to_owned(),
        |interface| format!("{interface} {}", finding.topic),
    );
    let mut line = format!("{:<8} {subject}: {}", finding.grade.label(), finding.text);
    if let Some(remedy) = &finding.remedy {
        line += &format!("\n{:<8} mend it: {remedy}", "");
    }
    line
}
