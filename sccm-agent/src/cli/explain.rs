//! `sccm-agent explain`: why something may be opened, or who could.

use super::PolicyArgs;
use crate::output::{self, OutputArgs, OutputFormat};
use crate::policy::{
    self, Allow, Explanation, Ground, Opener, Question, Request, SitePolicy, Surroundings,
};
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

    /// Take --from as the protected system, also if the policy lists no address of it
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
    let answers = questions(args, &policy, &machine)
        .iter()
        .map(|question| policy::explain(&request, question))
        .collect::<Result<Vec<_>>>()?;
    match (args.output.output, answers.as_slice()) {
        (OutputFormat::Json, [answer]) => output::print_json(answer),
        (OutputFormat::Json, answers) => output::print_json(&answers),
        (OutputFormat::Table, answers) => {
            let texts: Vec<String> = answers.iter().map(|answer| text(args, answer)).collect();
            output::print(texts.join("\n\n"))
        }
    }
}

/// What is to be explained: both ways where both ends are protected.
fn questions(args: &ExplainArgs, policy: &SitePolicy, machine: &Surroundings) -> Vec<Question> {
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
    let is_own = |address| machine.own.contains(&address);
    let is_listed = |address: IpAddr| {
        let here = policy.protect.iter().filter(|entry| !entry.elsewhere);
        let mut prefixes = here.flat_map(|entry| &entry.addresses);
        prefixes.any(|prefix| prefix.contains(&address))
    };
    // To the gateway itself comes in, from whichever side, unless the gateway sends it to itself.
    if is_own(args.to) && !is_own(args.from) {
        return vec![question(Opener::Peer)];
    }
    let outwards = args.outwards || is_own(args.from) || is_listed(args.from);
    let inwards = is_listed(args.to) && !is_own(args.from) && !args.outwards;
    match (outwards, inwards) {
        (true, true) => vec![question(Opener::Protected), question(Opener::Peer)],
        (true, false) => vec![question(Opener::Protected)],
        (false, _) => vec![question(Opener::Peer)],
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
        "{} from {} to {} {verdict} ({}).\nProtected system: {}\nRoles of the peer: {roles}",
        args.what.target, args.from, args.to, answer.direction, answer.protected
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
    // Flags have no peers; what the flags cannot say is not said.
    let is_file = args.policy.is_file();
    let hints = answer.hints.iter().filter_map(|hint| match is_file {
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
        let entry = |name: &str, address: &str, elsewhere| policy::Protected {
            name: name.to_owned(),
            roles: vec!["distribution-point".into()],
            addresses: vec![address.parse::<IpNet>().unwrap()],
            elsewhere,
        };
        let policy = SitePolicy {
            protect: vec![
                entry("here", "10.2.0.0/24", false),
                entry("there", "10.3.0.0/24", true),
            ],
            ..SitePolicy::default()
        };
        let machine = Surroundings::gateway(&["10.2.0.1".parse().unwrap()]);
        let questions = questions(&args, &policy, &machine);
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
            // Another gateway protects it: here it is a peer.
            ("10.3.0.10", "10.2.0.10", "", vec![Peer]),
            ("10.2.0.10", "10.3.0.10", "", vec![Protected]),
            // The gateway itself.
            ("10.9.0.1", "10.2.0.1", "", vec![Peer]),
            ("10.2.0.10", "10.2.0.1", "--outwards", vec![Peer]),
            ("10.2.0.1", "10.2.0.10", "", vec![Protected]),
            ("10.9.0.1", "10.9.0.2", "--outwards", vec![Protected]),
        ] {
            assert_eq!(asked(from, to, flags), expected, "{from} {to} {flags}");
        }
    }
}
