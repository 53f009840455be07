//! `sccm-agent explain`: why a connection may be opened, or what would let it pass.

use super::{PinArgs, PolicyArgs};
use crate::kernel::Clock;
use crate::output::{self, OutputArgs, OutputFormat};
use crate::policy::{
    self, Allow, Explanation, Ground, Opener, Question, Request, Running, Surroundings,
};
use crate::state;
use anyhow::{Result, ensure};
use clap::Args;
use std::net::IpAddr;
use std::process::ExitCode;

/// Explain whether a policy lets a connection be opened, and by which link or rule
///
/// Exits with 0 if it passes, 1 if it is dropped (of two ways, if either is), 2 on errors.
#[derive(Debug, Clone, Args)]
#[command(mut_arg("roles", |role| role.required_unless_present_any(["config", "live"])))]
pub struct ExplainArgs {
    /// What is opened, such as tcp/445, udp/69, icmp/echo-request, gre or ip/89
    what: Allow,

    /// Address that opens the connection
    #[arg(long, value_name = "ADDRESS")]
    from: IpAddr,

    /// Address that listens
    #[arg(long, value_name = "ADDRESS")]
    to: IpAddr,

    /// Explain by the policy that is enforced now, in the kernel
    #[arg(long, conflicts_with_all = [
        "config", "own", "FilterArgs", "TimeoutArgs", "SiteArgs",
    ])]
    live: bool,

    /// Treat --from as the protected system, even if the policy does not list its address
    #[arg(long)]
    outwards: bool,

    /// On a gateway: address of the gateway itself; repeatable
    #[arg(long, value_name = "ADDRESS")]
    own: Vec<IpAddr>,

    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    pins: PinArgs,

    #[command(flatten)]
    policy: PolicyArgs,
}

/// Prints the answer. The code is 0 if everything that was explained passes, and 1 if not.
///
/// # Errors
/// A policy that cannot be read, or a question that makes no sense.
pub fn run(args: &ExplainArgs) -> Result<ExitCode> {
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
    let answers = match args.live {
        true => of_running(args)?,
        false => of_written(args)?,
    };
    match (args.output.output, answers.as_slice()) {
        (OutputFormat::Json, [answer]) => output::print_json(answer)?,
        (OutputFormat::Json, answers) => output::print_json(&answers)?,
        (OutputFormat::Table, answers) => {
            let texts: Vec<String> = answers.iter().map(|answer| text(args, answer)).collect();
            output::print(texts.join("\n\n"))?;
        }
    }
    let passes = |answer: &Explanation| answer.allowed || answer.observed;
    Ok(match answers.iter().all(passes) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn of_written(args: &ExplainArgs) -> Result<Vec<Explanation>> {
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
    let is_own = |address| machine.own.contains(&address);
    let is_protected = |address: IpAddr| {
        let here = policy.protect.iter().filter(|entry| !entry.elsewhere);
        let mut prefixes = here.flat_map(|entry| &entry.addresses);
        prefixes.any(|prefix| prefix.contains(&address))
    };
    let questions = questions(args, is_own, is_protected).into_iter();
    questions
        .map(|question| policy::explain(&request, &question))
        .collect()
}

/// By what the kernel has, whether an agent runs or not.
fn of_running(args: &ExplainArgs) -> Result<Vec<Explanation>> {
    let maps = state::open(&args.pins.pins())?;
    let running = Running {
        info: maps.info()?,
        tables: maps.tables()?,
        names: maps.service_names()?,
    };
    let clock = Clock::read()?;
    let observes = running.tables.policy.observes(|| clock.program());
    let questions = questions(
        args,
        |address| running.is_own(address),
        |address| running.is_protected(address),
    );
    let questions = questions.iter();
    Ok(questions
        .map(|question| running.explain(question, observes))
        .collect())
}

/// What is to be explained: both ways where both ends are protected.
fn questions(
    args: &ExplainArgs,
    is_own: impl Fn(IpAddr) -> bool,
    is_protected: impl Fn(IpAddr) -> bool,
) -> Vec<Question> {
    let question = |opener| {
        let (protected, peer) = match opener {
            Opener::Peer => (args.to, args.from),
            Opener::Protected => (args.from, args.to),
        };
        Question {
            opener,
            protected,
            peer,
            target: args.what.target.clone(),
        }
    };
    // To the gateway itself comes in, from whichever side, unless the gateway sends it to itself.
    if is_own(args.to) && !is_own(args.from) {
        return vec![question(Opener::Peer)];
    }
    let outwards = args.outwards || is_own(args.from) || is_protected(args.from);
    let inwards = is_protected(args.to) && !is_own(args.from) && !args.outwards;
    match (outwards, inwards) {
        (true, true) => vec![question(Opener::Protected), question(Opener::Peer)],
        (true, false) => vec![question(Opener::Protected)],
        (false, _) => vec![question(Opener::Peer)],
    }
}

fn text(args: &ExplainArgs, answer: &Explanation) -> String {
    let verdict = match (answer.reason, answer.observed) {
        (None, _) => "passes".to_owned(),
        (Some(reason), true) => {
            format!("would be dropped as {reason}, and passes: nothing is enforced now")
        }
        (Some(reason), false) if answer.if_handed_out => {
            format!("is dropped as {reason}, and would be opened if the mapper hands it out")
        }
        (Some(reason), false) => format!("is dropped as {reason}"),
    };
    let roles = match &answer.peer_roles {
        None => "any, because the policy names no peers".to_owned(),
        Some(roles) if roles.is_empty() => "none".to_owned(),
        Some(roles) => roles.join(", "),
    };
    let end = |address: IpAddr, name: &Option<String>| match name {
        Some(name) => format!("{address} ({name})"),
        None => address.to_string(),
    };
    let mut text = format!(
        "{} from {} to {} {verdict} ({}).\nProtected system: {}\nRoles of the peer: {roles}",
        args.what.target,
        end(args.from, &answer.from_name),
        end(args.to, &answer.to_name),
        answer.direction,
        answer.protected
    );
    if let Some(source) = &answer.source {
        text += &format!("\nSource: {source}");
    }
    let advice = &answer.advice;
    let sections = [
        (
            match answer.if_handed_out {
                true => "The endpoint mapper may hand it out because",
                false => "Because",
            },
            &answer.because,
            0,
        ),
        (
            "It would pass on these links",
            &advice.would_allow,
            advice.would_allow_more,
        ),
    ];
    for (title, grounds, more) in sections {
        if !grounds.is_empty() {
            let mut lines: Vec<String> = grounds.iter().map(sentence).collect();
            if more > 0 {
                lines.push(format!("and {more} more"));
            }
            text += &format!("\n{title}:\n  {}", lines.join("\n  "));
        }
    }
    // Flags have no peers; what the flags cannot say is not said.
    let is_file = args.live || args.policy.is_file();
    let hints = advice.hints.iter().filter_map(|hint| match is_file {
        true => Some(format!(
            "{}\n  {}",
            hint.table,
            hint.lines.replace('\n', "\n  ")
        )),
        false => hint.flag.clone(),
    });
    for (number, hint) in hints.enumerate() {
        let title = if number == 0 {
            "To let it pass, write"
        } else {
            "Or"
        };
        text += &format!("\n{title}:\n  {hint}");
    }
    text += &format!("\nAnswers: {}", answer.answers);
    if let Some(edition) = answer.edition {
        text += &format!("\nPort table: Configuration Manager {edition}");
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
        } => {
            let line = line.map_or_else(String::new, |line| format!(" (line {line})"));
            format!("link {link}, {service}: {from} may open it to {to}{line}")
        }
        Ground::Rule { name, reason } if reason.is_empty() => format!("rule {name}"),
        Ground::Rule { name, reason } => format!("rule {name}: {reason}"),
        Ground::OutboundNotEnforced => {
            "what protected systems open is not enforced (outbound)".to_owned()
        }
        Ground::Gateway => "a gateway may open anything itself".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use ipnet::IpNet;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        explain: ExplainArgs,
    }

    fn asked(from: &str, to: &str, flags: &str) -> Vec<Opener> {
        let line = format!("explain tcp/80 --role client --from {from} --to {to} {flags}");
        let args = Line::try_parse_from(line.split_whitespace())
            .unwrap()
            .explain;
        let protected: IpNet = "10.2.0.0/24".parse().unwrap();
        let own: IpAddr = "10.2.0.1".parse().unwrap();
        let questions = questions(
            &args,
            |address| address == own,
            |address| protected.contains(&address),
        );
        for question in &questions {
            let ends = match question.opener {
                Opener::Peer => (question.peer, question.protected),
                Opener::Protected => (question.protected, question.peer),
            };
            assert_eq!(ends, (args.from, args.to));
        }
        questions.iter().map(|question| question.opener).collect()
    }

    #[test]
    fn the_addresses_say_which_way_it_goes() {
        use Opener::{Peer, Protected};
        for (from, to, flags, expected) in [
            ("10.9.0.1", "10.2.0.10", "", vec![Peer]),
            ("10.2.0.10", "10.9.0.1", "", vec![Protected]),
            ("10.2.0.10", "255.255.255.255", "", vec![Protected]),
            ("10.2.0.10", "10.2.0.11", "", vec![Protected, Peer]),
            ("10.2.0.10", "10.2.0.11", "--outwards", vec![Protected]),
            // The gateway itself.
            ("10.9.0.1", "10.2.0.1", "", vec![Peer]),
            ("10.2.0.10", "10.2.0.1", "--outwards", vec![Peer]),
            ("10.2.0.1", "10.2.0.10", "", vec![Protected]),
            ("10.9.0.1", "10.9.0.2", "--outwards", vec![Protected]),
        ] {
            assert_eq!(asked(from, to, flags), expected, "{from} {to} {flags}");
        }
    }

    #[test]
    fn what_is_enforced_is_asked_instead_of_a_policy() {
        let parse = |flags: &str| {
            let line = format!("explain tcp/80 --from 10.9.0.1 --to 10.2.0.1 {flags}");
            Line::try_parse_from(line.split_whitespace())
        };
        assert!(parse("--live").is_ok_and(|line| line.explain.live));
        assert!(parse("").is_err(), "neither");
        for flags in ["--role client", "--config policy.toml", "--own 10.2.0.1"] {
            assert!(
                parse(flags).is_ok() || flags.starts_with("--own"),
                "{flags}"
            );
            assert!(parse(&format!("{flags} --live")).is_err(), "{flags}");
        }
    }
}
