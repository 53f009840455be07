//! What the kernel's verifier needs for the programs, and how large they become,
//! held against `verifier-budget.toml`.
//!
//! The verifier gives up after a million instructions, and a harmless change can
//! multiply what it follows. So growth is noticed here when it is small, and made
//! on purpose or not at all. Every kernel has a verifier of its own, so figures
//! belong to the kernel on which they were measured; one without any is held to
//! the largest of the others.

use std::collections::BTreeMap;
use std::path::Path;
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};
use aya::programs::ProgramInfo;
use nix::sys::utsname::uname;
use sccm_agent::kernel::{self, IngressAt, PinDir};
use sccm_common::Place;
use sccm_common::flow::DEFAULT_CAPACITY;
use sccm_tests::bpffs::BpfMount;
use serde::{Deserialize, Serialize};

/// By how many percent a figure may grow unnoticed.
const SLACK: u32 = 10;

/// What is at the top of the file.
const HEADER: &str = "\
# What the programs cost the kernel, by kernel, place and hook: instructions that the
# verifier followed, and bytes of the program after it and as machine code.
# Measured by sccm-agent/tests/datapath/budget.rs, which says how to do so again.

";

/// The same as a command, for whoever made the programs grow on purpose.
const REMEDY: &str = "if that is worth it, record it: \
    `UPDATE_BUDGET=1 cargo test --test datapath budget` and, for the other kernels, \
    `UPDATE_BUDGET=1 cargo xtask test --kernel 6.1 --kernel 6.12`";

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
struct Figures {
    /// Instructions that the verifier followed; it refuses a million.
    verified: u32,
    /// Bytes of the program as the verifier left it.
    translated: u32,
    /// Bytes of machine code.
    jitted: u32,
}

/// By program: its place and hook.
type Programs = BTreeMap<String, Figures>;

/// By kernel: its series, such as `6.18`.
type Budget = BTreeMap<String, Programs>;

impl Figures {
    fn of(program: &ProgramInfo) -> Result<Self> {
        Ok(Self {
            verified: program.verified_instruction_count().context("unknown")?,
            translated: program.size_translated().context("unknown")?,
            jitted: program.size_jitted(),
        })
    }

    fn named(&self) -> [(&'static str, u32); 3] {
        [
            ("verified instructions", self.verified),
            ("translated bytes", self.translated),
            ("jitted bytes", self.jitted),
        ]
    }
}

/// Loads the programs for each place, and those of a trunk, and asks the kernel about them.
fn measured() -> Result<Programs> {
    let mount = BpfMount::new()?;
    let pins = PinDir::new(mount.path().join("agent"));
    pins.create()?;
    let mut loader = kernel::Loader::new(&pins);
    kernel::create_maps(&pins, DEFAULT_CAPACITY)?;
    let mut tunnel = loader.load_tunnel(0, Place::Uplink)?;
    let infos = vec![
        ("tc", tunnel.tc()?.info()?),
        ("egress", tunnel.classifier()?.info()?),
    ];
    let mut loaded = vec![("tunnel", infos)];
    for (name, place) in [
        ("host", Some(Place::Host)),
        ("uplink", Some(Place::Uplink)),
        ("segment", Some(Place::Segment)),
        ("trunk", None),
    ] {
        let at = IngressAt::Xdp;
        let load = match place {
            Some(place) => loader.load(0, place, at),
            None => loader.load_trunk(0, at),
        };
        let mut programs = load.with_context(|| format!("for a {name}"))?;
        programs.also_at(IngressAt::Tc)?;
        let infos = vec![
            ("xdp", programs.xdp()?.info()?),
            ("tc", programs.tc()?.info()?),
            ("egress", programs.classifier()?.info()?),
        ];
        loaded.push((name, infos));
    }
    let mut measured = Programs::new();
    for (name, infos) in loaded {
        for (hook, info) in infos {
            // Without its types, the verifier follows the functions with global linkage once for
            // each way to them. The kernel refuses all types for one that it does not know, such
            // as that of an enum with fields in the signature of a function.
            ensure!(info.btf_id().is_some(), "the kernel refused the types");
            let figures = Figures::of(&info)?;
            println!("{name}-{hook}: {figures:?}");
            measured.insert(format!("{name}-{hook}"), figures);
        }
    }
    Ok(measured)
}

/// The first two numbers of the running kernel's version.
fn series() -> Result<String> {
    let release = uname()?.release().to_string_lossy().into_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) => Ok(format!("{major}.{minor}")),
        _ => bail!("this kernel calls itself `{release}`"),
    }
}

/// What a kernel is held to.
fn allowed(budget: &Budget, kernel: &str) -> Programs {
    if let Some(programs) = budget.get(kernel) {
        return programs.clone();
    }
    let mut largest = Programs::new();
    for (name, figures) in budget.values().flatten() {
        let entry = largest.entry(name.clone()).or_insert(*figures);
        entry.verified = entry.verified.max(figures.verified);
        entry.translated = entry.translated.max(figures.translated);
        entry.jitted = entry.jitted.max(figures.jitted);
    }
    largest
}

/// What has grown beyond its [`SLACK`], and what is not in the budget.
fn exceeded(budget: &Programs, measured: &Programs) -> Vec<String> {
    let mut complaints = Vec::new();
    for (program, figures) in measured {
        let Some(allowed) = budget.get(program) else {
            complaints.push(format!("{program} is not in the budget"));
            continue;
        };
        for ((name, now), (_, then)) in figures.named().into_iter().zip(allowed.named()) {
            if u64::from(now) * 100 > u64::from(then) * u64::from(100 + SLACK) {
                complaints.push(format!("{program}: {then} {name} have become {now}"));
            }
        }
    }
    complaints
}

#[test]
fn the_programs_stay_within_their_budget() -> Result<()> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let path = workspace
        .context("no workspace")?
        .join("tests/verifier-budget.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let mut budget: Budget = toml::from_str(&text)?;
    let kernel = series()?;
    let measured = measured()?;

    if env::var_os("UPDATE_BUDGET").is_some() {
        budget.insert(kernel, measured);
        fs::write(&path, format!("{HEADER}{}", toml::to_string(&budget)?))?;
        return Ok(());
    }
    let Some(allowed) = budget.get(&kernel) else {
        bail!(
            "Linux {kernel} has no budget in {}: {REMEDY}",
            path.display()
        );
    };
    let complaints = exceeded(allowed, &measured);
    ensure!(
        complaints.is_empty(),
        "on Linux {kernel}, growth of more than {SLACK} %:\n{}\n{REMEDY}",
        complaints.join("\n")
    );
    Ok(())
}

#[test]
fn growth_is_noticed_beyond_the_slack() {
    let figures = |verified| Figures {
        verified,
        translated: 1000,
        jitted: 1000,
    };
    let programs = |figures| Programs::from([("host-xdp".to_owned(), figures)]);
    let budget = Budget::from([
        ("6.1".to_owned(), programs(figures(3000))),
        ("6.18".to_owned(), programs(figures(1000))),
    ]);
    for (kernel, verified, complaints) in [
        ("6.18", 500, 0),
        ("6.18", 1100, 0),
        ("6.18", 1101, 1),
        ("6.1", 3300, 0),
        // No figures of its own.
        ("6.12", 3300, 0),
        ("6.12", 3301, 1),
    ] {
        let found = exceeded(&allowed(&budget, kernel), &programs(figures(verified)));
        assert_eq!(found.len(), complaints, "{kernel}, {verified}: {found:?}");
    }
    let larger = Figures {
        translated: 1101,
        jitted: 1101,
        ..figures(1000)
    };
    assert_eq!(exceeded(&budget["6.18"], &programs(larger)).len(), 2);
    assert_eq!(exceeded(&Programs::new(), &programs(larger)).len(), 1);
}
