use super::{Lesson, Seen, of_blocked};
use crate::config;
use crate::policy::{
    Compiled, Opener, Question, Request, ServiceNames, SitePolicy, Surroundings, Target, compile,
};
use fastrand::Rng;
use std::fs;
use std::net::IpAddr;
use std::time::Duration;
use tempfile::tempdir;

const POLICY: &str = r#"
[site]
outbound = "enforce"

[[protect]]
name = "points"
roles = ["distribution-point"]
addresses = ["10.2.0.0/24"]

[[protect]]
name = "workplaces"
roles = ["client"]
addresses = ["10.3.0.0/24"]

[peers]
management-point = ["10.1.0.31"]
client = ["10.8.0.0/16"]
"#;

fn load(text: &str) -> SitePolicy {
    let directory = tempdir().unwrap();
    let path = directory.path().join("policy.toml");
    fs::write(&path, text).unwrap();
    match config::load(&path) {
        Ok(policy) => policy,
        Err(error) => panic!("{error:#}\n{text}"),
    }
}

fn compiled(policy: &SitePolicy) -> Compiled {
    let machine = Surroundings::gateway(&[]);
    let request = Request {
        policy,
        machine: &machine,
        observe: false,
    };
    compile(&request, ServiceNames::default()).unwrap()
}

fn passes(compiled: &Compiled, question: &Question) -> bool {
    let access = compiled.access(question.protected, question.peer);
    let class = compiled.class_of(&question.target);
    match question.opener {
        Opener::Peer => access.inbound.contains(class),
        Opener::Protected => access.outbound.contains(class),
    }
}

fn question(opener: Opener, protected: &str, peer: &str, target: Target) -> Question {
    Question {
        opener,
        protected: protected.parse().unwrap(),
        peer: peer.parse().unwrap(),
        target,
    }
}

fn seen(question: Question, compiled: &Compiled) -> Seen {
    Seen {
        refused: !passes(compiled, &question),
        question,
        packets: [3, 2],
        first: Duration::from_secs(1_700_000_000),
        last: Duration::from_secs(1_700_003_600),
    }
}

fn learn(policy: &SitePolicy, all: &[Seen]) -> Lesson {
    Lesson::new(policy, &Surroundings::gateway(&[]), all.to_vec()).unwrap()
}

const fn tcp(port: u16) -> Target {
    Target::Tcp(port..=port)
}

const fn udp(port: u16) -> Target {
    Target::Udp(port..=port)
}

/// Whatever was seen: with the fragment, the true conversations pass beside what passed before, and
/// nothing else does.
#[test]
fn the_fragment_lets_exactly_the_true_conversations_pass() {
    let policy = load(POLICY);
    let before = compiled(&policy);
    let systems = ["10.2.0.1", "10.2.0.2", "10.3.0.1", "10.3.0.2"];
    let peers = [
        "10.9.0.1",
        "10.9.0.2",
        "10.9.0.3",
        "10.1.0.31",
        "198.51.100.7",
    ];
    let targets = [
        tcp(25),
        tcp(80),
        tcp(445),
        tcp(1433),
        tcp(9100),
        tcp(49_200),
        udp(53),
        udp(161),
        udp(514),
        Target::ECHO,
        Target::Protocol(47),
    ];
    // By which a site system could be coerced: nothing is learned of them outwards.
    let is_safe = |opener: Opener, target: &Target| {
        opener == Opener::Peer || ![tcp(80), tcp(445)].contains(target)
    };
    let mut universe = Vec::new();
    for opener in [Opener::Peer, Opener::Protected] {
        for system in systems {
            for peer in peers {
                for target in targets.iter().filter(|target| is_safe(opener, target)) {
                    universe.push(question(opener, system, peer, target.clone()));
                }
            }
        }
    }
    for seed in 0..20 {
        let mut random = Rng::with_seed(seed);
        let share = random.u32(1..30);
        let chosen = |_: &&Question| random.u32(0..100) < share;
        let truth: Vec<Question> = universe.iter().filter(chosen).cloned().collect();
        let mut all: Vec<Seen> = truth.iter().map(|one| seen(one.clone(), &before)).collect();
        // One looks for ports, one for hosts, one for both; a site system is made to log on to others.
        for number in 0..40_u16 {
            let host = format!("10.2.0.{}", number + 1);
            for (peer, system, port) in [
                ("10.9.0.66", "10.2.0.1", 1000 + number),
                ("10.9.0.67", host.as_str(), 3389),
                ("10.9.0.68", host.as_str(), 2000 + number),
            ] {
                all.push(seen(
                    question(Opener::Peer, system, peer, tcp(port)),
                    &before,
                ));
            }
        }
        let coerced = question(Opener::Protected, "10.2.0.1", "10.9.0.3", tcp(445));
        all.push(seen(coerced.clone(), &before));
        random.shuffle(&mut all);

        let lesson = learn(&policy, &all);
        let toml = lesson.toml();
        let after = compiled(&load(&format!("{POLICY}\n{toml}")));
        for asked in &universe {
            let expected = passes(&before, asked) || truth.contains(asked);
            assert_eq!(
                passes(&after, asked),
                expected,
                "seed {seed}: {asked:?}\n{toml}"
            );
        }
        for one in all.iter().filter(|one| !truth.contains(&one.question)) {
            assert_eq!(
                passes(&after, &one.question),
                passes(&before, &one.question),
                "{one:?}\n{toml}"
            );
        }
        let scanners: Vec<String> = lesson
            .scans
            .iter()
            .map(|scan| scan.source.to_string())
            .collect();
        assert_eq!(scanners, ["10.9.0.66", "10.9.0.67", "10.9.0.68"]);
        assert_eq!(lesson.suspects.len(), 1);
        assert_eq!(lesson.suspects[0].destination, coerced.peer);
        assert_eq!(lesson.unhelped, Vec::<String>::new());
    }
}

#[test]
fn rules_are_few_and_have_their_evidence() {
    let policy = load(POLICY);
    let before = compiled(&policy);
    let mut all = Vec::new();
    for peer in ["10.9.0.1", "10.9.0.2"] {
        for system in ["10.2.0.1", "10.2.0.2"] {
            for port in [9100, 515] {
                all.push(seen(
                    question(Opener::Peer, system, peer, tcp(port)),
                    &before,
                ));
            }
        }
    }
    all.push(seen(
        question(Opener::Protected, "10.3.0.1", "10.9.0.9", udp(514)),
        &before,
    ));
    // What passes already needs no rule.
    all.push(seen(
        question(Opener::Peer, "10.2.0.1", "10.8.0.1", tcp(80)),
        &before,
    ));
    let lesson = learn(&policy, &all);
    assert_eq!(
        (lesson.conversations, lesson.rules.len()),
        (10, 2),
        "{}",
        lesson.toml()
    );
    assert_eq!(lesson.rules[0].conversations, 8);
    for line in [
        "# 10.9.0.2 opens tcp/515 at 10.2.0.1 (points): 3 packets, 2 back; first 2023-11-14 22:13:20, last \
         2023-11-14 23:13:20 UTC",
        "ports = [515, 9100]",
        "from = [\"10.9.0.1\", \"10.9.0.2\"]",
        "to = [\"10.2.0.1\", \"10.2.0.2\"]",
        "[[outbound.allow]]",
    ] {
        assert!(lesson.toml().contains(line), "{line}\n{}", lesson.toml());
    }
    // What was refused once, and passes by now, needs none either.
    let mut mended = seen(
        question(Opener::Peer, "10.2.0.1", "10.8.0.1", tcp(80)),
        &before,
    );
    mended.refused = true;
    assert_eq!(learn(&policy, &[mended]).rules, []);
    let nothing = learn(&policy, &[]);
    assert!(
        nothing.toml().ends_with("# No rule is needed."),
        "{}",
        nothing.toml()
    );
}

#[test]
fn systems_are_known_by_what_others_open_there() {
    let policy = load(
        "[site]\nedition = \"current-branch\"\n\n[[protect]]\nname = \"all\"\n\
                       roles = [\"distribution-point\"]\naddresses = [\"10.2.0.0/24\"]\n",
    );
    let before = compiled(&policy);
    let mut all = Vec::new();
    for client in 1..=40 {
        for port in [80, 443, 10123] {
            let client = format!("10.9.0.{client}");
            all.push(seen(
                question(Opener::Peer, "10.2.0.5", &client, tcp(port)),
                &before,
            ));
        }
    }
    for target in [udp(53), udp(88), tcp(88), udp(389), tcp(3268), udp(123)] {
        all.push(seen(
            question(Opener::Protected, "10.2.0.5", "10.1.0.10", target),
            &before,
        ));
    }
    // One port says nothing.
    all.push(seen(
        question(Opener::Protected, "10.2.0.6", "10.1.0.99", tcp(80)),
        &before,
    ));
    let lesson = learn(&policy, &all);
    let texts: Vec<String> = lesson
        .looks_like
        .iter()
        .map(super::Likeness::text)
        .collect();
    assert_eq!(texts.len(), 2, "{texts:#?}");
    assert!(
        texts[0].starts_with("10.1.0.10 looks like domain-controller: 1 system opens "),
        "{texts:#?}"
    );
    assert!(
        texts[0].ends_with("sets that say so: domain-member"),
        "{texts:#?}"
    );
    assert_eq!(
        texts[1],
        "10.2.0.5 (all) looks like management-point: 40 systems open tcp/80, tcp/443, tcp/10123"
    );
}

#[test]
fn scans_end_where_a_role_begins() {
    let policy = load(POLICY);
    let before = compiled(&policy);
    // Many dynamic ports are one service of a mapper; many hosts that let somebody in are clients.
    let mut all = Vec::new();
    for number in 0..40 {
        all.push(seen(
            question(Opener::Peer, "10.2.0.1", "10.9.0.1", tcp(50_000 + number)),
            &before,
        ));
        let system = format!("10.2.0.{}", number + 1);
        all.push(seen(
            question(Opener::Peer, &system, "10.8.0.2", tcp(80)),
            &before,
        ));
    }
    let lesson = learn(&policy, &all);
    assert_eq!(lesson.scans, []);
    // A client may open at another client what a site system may not.
    let of = |system: &str| {
        let asked = question(Opener::Protected, system, "10.9.0.3", tcp(445));
        learn(&policy, &[seen(asked, &before)]).suspects.len()
    };
    assert_eq!((of("10.2.0.1"), of("10.3.0.1")), (1, 0));
    let known = question(Opener::Protected, "10.2.0.1", "10.1.0.31", tcp(445));
    assert_eq!(learn(&policy, &[seen(known, &before)]).suspects, []);
}

#[test]
fn what_blocked_prints_is_read() {
    let flow = |more: &str| {
        format!(
            "{{\"source\": \"10.9.0.1\", \"destination\": \"10.2.0.1\", \"protocol\": \"tcp\", \
             \"port\": 9100, \"icmp_type\": null, \"reason\": \"not-allowed\", \"direction\": \"inbound\", \
             \"packets\": 7, \"first_seen\": 5, \"last_seen\": 6, \"change\": null, \"why\": \"\"{more}}}"
        )
    };
    let listing =
        |flows: &[String]| format!("{{\"matching\": 1, \"flows\": [{}]}}", flows.join(","));
    let read = of_blocked(&listing(&[flow("")])).unwrap();
    let asked = question(Opener::Peer, "10.2.0.1", "10.9.0.1", tcp(9100));
    assert_eq!(read.len(), 1);
    assert_eq!((&read[0].question, read[0].packets), (&asked, [7, 0]));
    let other = |from: &str, to: &str| of_blocked(&listing(&[flow("").replace(from, to)])).unwrap();
    assert_eq!(other("not-allowed", "ipv4-version"), []);
    assert_eq!(other("10.9.0.1", "02:00:00:00:00:01"), []);
    assert_eq!(other("\"change\": null", "\"change\": \"would-pass\""), []);
    let out = other("inbound", "outbound");
    let protected: IpAddr = "10.9.0.1".parse().unwrap();
    assert_eq!(
        (out[0].question.opener, out[0].question.protected),
        (Opener::Protected, protected)
    );
    let gre = other("\"tcp\"", "\"gre\"");
    assert_eq!(gre[0].question.target, Target::Protocol(47));
    assert!(
        of_blocked("[]")
            .unwrap_err()
            .to_string()
            .contains("blocked -o json")
    );
}
