//! The policy that is to be enforced here.

use super::Finding;
use crate::agent::cards;
use crate::check::Report;
use crate::interface::{self, Interface, Netlink};
use crate::policies::Settings;
use crate::policies::prepare::{check_policy, check_sessions, compile, surroundings};
use crate::policy::{self, ServiceNames, SitePolicy};
use anyhow::Result;

const TOPIC: &str = "policy";

pub(super) async fn examine(
    settings: &Settings,
    policy: Result<SitePolicy>,
    netlink: &Netlink,
    present: &[Interface],
) -> Vec<Finding> {
    let policy = match policy {
        Ok(policy) => policy,
        Err(error) => return vec![Finding::blocker(TOPIC, format!("{error:#}"))],
    };
    let mut findings = vec![warnings(&policy)];
    findings.extend(misfit(&policy));
    findings.push(Finding::of(
        "ssh-sessions",
        sessions(settings, &policy, netlink, present).await,
        "no established session would be cut",
    ));
    findings
}

fn warnings(policy: &SitePolicy) -> Finding {
    match Report::new(policy) {
        Ok(report) if report.warnings.is_empty() => Finding::fine(TOPIC, "valid, without warnings"),
        Ok(report) => Finding::warning(
            TOPIC,
            format!("valid, with {} warnings", report.warnings.len()),
        )
        .mend("sccm-agent check FILE tells them"),
        Err(error) => Finding::blocker(TOPIC, format!("{error:#}")),
    }
}

/// Published ports, and rules that send packets on.
fn misfit(policy: &SitePolicy) -> Option<Finding> {
    let found = interface::translation().ok()?;
    let text = policy::misfit(policy, &found.destinations)?;
    Some(Finding::warning("translation", text))
}

/// As `enforce` does before it changes anything.
async fn sessions(
    settings: &Settings,
    policy: &SitePolicy,
    netlink: &Netlink,
    present: &[Interface],
) -> Result<()> {
    check_policy(settings, policy)?;
    let plan = cards::plan(&settings.interfaces, present, true)?;
    let machine = surroundings(settings, netlink, &plan).await?;
    let compiled = compile(settings, policy, &machine, ServiceNames::default())?;
    check_sessions(settings, &compiled, netlink, &plan, &plan.reach).await
}
