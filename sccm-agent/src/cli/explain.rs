//! `sccm-agent explain`: why something may be opened, or who could.

use super::PolicyArgs;
use crate::output::{self, OutputArgs, OutputFormat};
use crate::policy::{self, Allow, Explanation, Ground, Opener, Question, Request, Surroundings};
use anyhow::{Result, ensure};
use clap::Args;
use std::net::IpAddr;

/// Explain whether a policy lets a connection be opened, and by which link or rule
#[derive(Debug, Clone, Args)]
pub struct ExplainArgs {
    /// What is opened, such as tcp/445, udp/69, icmp/echo-request, gre or ip/89
    what: Allow,

    /// Address that opens the connection
    #[arg(long, value_name = "ADDRESS")]
    from: IpAddr,

    /// Address that listens
    #[arg(long, value_name = "ADDRESS")]
    to: IpAddr,

    /// Take --from as the protected system
    #[arg(long)]
    outwards: bool,

    /// On a gateway: address of the gateway itself; repeatable
    #[arg(long, value_name = "ADDRESS")]
    own: Vec<IpAddr>,

    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    policy: PolicyArgs,
}

/// Prints the answer.
///
/// # Errors
/// A policy that cannot be read, or a question that makes no sense.
pub fn run(args: &ExplainArgs) -> Result<()> {
    ensure!(
        args.what.from.is_none(),
        "say who opens with --from, not with @"
    );
    ensure!(
        args.from.is_ipv4() == args.to.is_ipv4(),
        "{} and {} are of different families",
        args.from,
        args.to
    );
    let policy = args.policy.written()?.load()?;
    let machine = match args.own.as_slice() {
        [] => Surroundings::default(),
        own => Surroundings::gateway(own),
    };
    let request = Request {
        policy: &policy,
        machine: &machine,
        observe: false,
    };
    let (opener, protected, peer) = match args.outwards {
        false => (Opener::Peer, args.to, args.from),
        true => (Opener::Protected, args.from, args.to),
    };
    let question = Question {
        opener,
        protected,
        peer,
        target: args.what.target.clone(),
    };
    let answer = policy::explain(&request, &question)?;
    match args.output.output {
        OutputFormat::Json => output::print_json(&answer),
        OutputFormat::Table => output::print(text(args, &answer)),
    }
}

fn text(args: &ExplainArgs, answer: &Explanation) -> String {
    let verdict = if answer.allowed {
        "passes"
    } else {
        "is dropped"
    };
    let roles = match &answer.peer_roles {
        None => "any, because the policy names no peers".to_owned(),
        Some(roles) if roles.is_empty() => "none".to_owned(),
        Some(roles) => roles.join(", "),
    };
    let mut text = format!(
        "{} from {} to {} {verdict}.\nProtected system: {}\nRoles of the peer: {roles}",
        args.what.target, args.from, args.to, answer.protected
    );
    if let Some(source) = &answer.source {
        text += &format!("\nSource: {source}");
    }
    let sections = [
        ("Because", &answer.because),
        ("It would pass on these links", &answer.would_allow),
    ];
    for (title, grounds) in sections {
        if !grounds.is_empty() {
            let lines: Vec<String> = grounds.iter().map(sentence).collect();
            text += &format!("\n{title}:\n  {}", lines.join("\n  "));
        }
    }
    text
}

fn sentence(ground: &Ground) -> String {
    match ground {
        Ground::Link {
            link,
            line,
            from,
            to,
            service,
        } => format!("link {link}, {service}: {from} may open it to {to} (line {line})"),
        Ground::Rule { name, reason } if reason.is_empty() => format!("rule {name}"),
        Ground::Rule { name, reason } => format!("rule {name}: {reason}"),
        Ground::OutboundNotEnforced => {
            "what protected systems open is not enforced (outbound)".to_owned()
        }
        Ground::Gateway => "a gateway may open anything itself".to_owned(),
    }
}
