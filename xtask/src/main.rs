//! `cargo xtask`: sets up what the build needs, and builds, shows, tests and checks.
//!
//! This crate depends on none of the others: it runs before they can be built.
//! Each command first makes sure of the tools that it uses, so that a fresh
//! checkout needs nothing but cargo and a C linker.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stderr,
    reason = "it speaks to the person who started it"
)]

mod book;
mod component;
mod debian;
mod fuzz;
mod interrupt;
mod kernel;
mod linker;
mod lint;
mod machine;
mod network;
mod package;
mod process;
mod setup;
mod tool;
mod toolchain;

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use anyhow::{Result, anyhow};
use clap::{Parser, Subcommand};

use debian::Missing;

/// Sets up, builds, demonstrates, tests and checks sccm-agent.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    /// Install nothing: name what is missing on this machine, with the command that installs
    /// it, and end.
    #[arg(long, global = true)]
    no_install: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Installs what the build needs and is missing: rust-src, bpf-linker.
    Setup,
    /// Sets up, builds, and shows the agent between two throw-away hosts. Needs root.
    Demo,
    /// Sets up, builds, and measures what the agent costs beside its peers. Needs root.
    #[command(disable_help_flag = true)]
    Bench {
        /// Passed on to the benchmark; `--help` tells.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Sets up, builds, and lets the agent live a hard life. Needs root.
    #[command(disable_help_flag = true)]
    Soak {
        /// Passed on to the soak; `--help` tells.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Sets up, and runs every test. Needs root.
    Test {
        /// Runs a selection on Debian's kernel of this version instead, such as 6.1.
        ///
        /// May be given several times, and beside `--machine`. The kernel is downloaded and
        /// emulated; nothing of it is installed.
        #[arg(long = "kernel", value_name = "VERSION", conflicts_with = "arguments")]
        kernels: Vec<String>,
        /// Tries the package on this whole machine instead: debian-12 or debian-13.
        ///
        /// May be given several times. The machine is made by debootstrap, emulated, and booted;
        /// nothing of it is installed here.
        #[arg(long = "machine", value_name = "NAME", conflicts_with = "arguments")]
        machines: Vec<String>,
        /// Tries this Debian package, and makes none.
        #[arg(long, value_name = "FILE", requires = "machines")]
        package: Option<PathBuf>,
        /// Upgrades from this Debian package; otherwise to the same one with a higher version.
        #[arg(long, value_name = "FILE", requires = "machines")]
        before: Option<PathBuf>,
        /// Runs what the hook could change with what comes in judged there, instead of at XDP.
        #[arg(long, value_name = "HOOK", value_parser = ["tc"], conflicts_with_all = ["arguments", "kernels", "machines"])]
        hook: Option<String>,
        /// Passed on to `cargo test`.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Sets up, and fuzzes for longer than the tests do. Needs root.
    Fuzz {
        /// For how long.
        #[arg(long, default_value_t = 10)]
        minutes: u64,
        /// Where the random policies and frames begin [default: the time].
        #[arg(long, conflicts_with = "target")]
        seed: Option<u64>,
        /// Runs this coverage-guided target instead: policy, packet or http.
        #[arg(long)]
        target: Option<String>,
    },
    /// Makes the Debian package and the RPM, with checksums, in target/package.
    ///
    /// The release build takes a quarter of an hour on two cores.
    Package {
        /// Signs the checksums with this secret key of minisign.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// Builds the commit a second time, in another folder, and compares byte for byte.
        #[arg(long)]
        check_reproducible: bool,
    },
    /// Makes a book of the documents, in target/docs.
    Docs,
    /// Checks format, lints (both targets) and dependencies.
    Lint,
    /// Looks up known faults of the dependencies in a copy of the advisory database.
    Advisories {
        /// A clone of https://github.com/rustsec/advisory-db, made where that can be reached.
        #[arg(long, value_name = "DIR")]
        database: PathBuf,
    },
}

/// Exit codes: 0 done, 1 something failed, 2 wrong arguments or not root.
fn main() -> ExitCode {
    let Arguments {
        no_install,
        command,
    } = Arguments::parse();
    let missing = match no_install {
        true => Missing::Refuse,
        false => Missing::Install,
    };
    let needs_root = match command {
        Command::Demo => Some("demo"),
        Command::Bench { .. } => Some("bench"),
        Command::Soak { .. } => Some("soak"),
        Command::Test { .. } => Some("test"),
        Command::Fuzz { .. } => Some("fuzz"),
        Command::Setup
        | Command::Package { .. }
        | Command::Docs
        | Command::Lint
        | Command::Advisories { .. } => None,
    };
    if let Some(name) = needs_root
        && !process::is_root()
    {
        // sudo forgets where rustup lives; both variables are expanded by the user's shell.
        eprintln!(
            "cargo xtask {name} makes network namespaces and loads programs into the kernel, \
             which only root may do. Run:\n\n    \
             sudo env \"HOME=$HOME\" \"PATH=$PATH\" cargo xtask {name}\n"
        );
        return ExitCode::from(2);
    }
    match run(command, missing) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command, missing: Missing) -> Result<()> {
    match command {
        Command::Setup => setup::all(&[], missing),
        Command::Demo => demo(missing),
        Command::Bench { arguments } => bench(&arguments, missing),
        Command::Soak { arguments } => soak(&arguments, missing),
        Command::Test {
            kernels,
            machines,
            package,
            before,
            ..
        } if !kernels.is_empty() || !machines.is_empty() => {
            let order = machine::Order {
                machines: &machines,
                package: package.as_deref(),
                before: before.as_deref(),
            };
            test_emulated(&kernels, &order, missing)
        }
        Command::Test {
            hook: Some(hook), ..
        } => test_at(&hook, missing),
        Command::Test { arguments, .. } => test(&arguments, missing),
        Command::Fuzz {
            minutes,
            target: Some(target),
            ..
        } => fuzz::target(&target, minutes, missing),
        Command::Fuzz { minutes, seed, .. } => fuzz::differential(minutes, seed, missing),
        Command::Package {
            key,
            check_reproducible,
        } => {
            let key = key.as_deref();
            let order = package::Order {
                key,
                check_reproducible,
            };
            package::all(&order, missing)
        }
        Command::Docs => book::make(),
        Command::Lint => lint::all(missing),
        Command::Advisories { database } => lint::advisories(&database),
    }
}

fn demo(missing: Missing) -> Result<()> {
    setup::all(&[], missing)?;
    process::step("building the agent and the demo (release; a few minutes the first time)");
    build_release("demo")?;
    // In place of this process, so that Ctrl-C and other signals reach the demo itself.
    process::replace(&mut process::command(process::release_binary("demo")?))
}

fn bench(arguments: &[String], missing: Missing) -> Result<()> {
    setup::all(debian::PEERS, missing)?;
    process::step("building the agent and the benchmark (release; a few minutes the first time)");
    build_release("bench")?;
    // In place of this process, as the demo.
    let mut bench = process::command(process::release_binary("bench")?);
    process::replace(bench.args(arguments))
}

fn soak(arguments: &[String], missing: Missing) -> Result<()> {
    setup::all(&[], missing)?;
    process::step("building the agent and the soak (release; a few minutes the first time)");
    build_release("soak")?;
    // In place of this process, as the demo.
    let mut soak = process::command(process::release_binary("soak")?);
    process::replace(soak.args(arguments))
}

/// Builds the agent and a program that runs it.
fn build_release(program: &str) -> Result<()> {
    let mut build = process::cargo();
    build.args(["build", "--release", "--package", "sccm-agent"]);
    build.args(["--package", "sccm-tests", "--bin", "sccm-agent"]);
    process::run(build.args(["--bin", program]))
}

fn test(arguments: &[String], missing: Missing) -> Result<()> {
    setup::all(debian::SERVERS, missing)?;
    process::step("testing (the first build takes a few minutes)");
    // The default members: all but the eBPF crate, which the agent's build script builds.
    process::replace(
        side_by_side(&mut process::cargo())
            .arg("test")
            .args(arguments),
    )
}

/// Has cargo run two tests for each processor, unless somebody said how many: most of them wait, for what
/// must not arrive.
fn side_by_side(cargo: &mut std::process::Command) -> &mut std::process::Command {
    const THREADS: &str = "RUST_TEST_THREADS";
    if env::var_os(THREADS).is_none() {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        cargo.env(THREADS, (2 * processors).to_string());
    }
    cargo
}

/// The kernels one after the other, and beside them the whole machines, which wait most of the time.
fn test_emulated(kernels: &[String], order: &machine::Order, missing: Missing) -> Result<()> {
    let kernels = kernel::prepare(kernels, missing)?;
    let machines = machine::prepare(order, missing)?;
    thread::scope(|scope| {
        let kernels = scope.spawn(|| kernels.as_ref().map_or(Ok(()), kernel::run));
        let machines = machine::run(&machines);
        let kernels = kernels.join();
        let kernels = kernels.unwrap_or_else(|_| Err(anyhow!("the test panicked")));
        kernels.and(machines)
    })
}

/// The tests of the agent between hosts that a hook could change: what is enforced, observed, counted,
/// captured, tried, taken over and lost. Not those that listen with raw packet sockets at the card itself:
/// these see what TC drops.
const AT_A_HOOK: &[&str] = &[
    "capture::",
    "conversations::lost",
    "counters::",
    "egress_order::",
    "enforce::",
    "flips::",
    "killed::",
    "later::",
    "promote::",
    "renames::",
    "takeover::",
    "trial::",
];

fn test_at(hook: &str, missing: Missing) -> Result<()> {
    setup::all(debian::SERVERS, missing)?;
    process::step("testing, with what comes in judged at another hook");
    let test = |programs: &[&str], arguments: &[&str]| {
        let mut test = process::cargo();
        side_by_side(&mut test)
            .env("SCCM_TEST_HOOK", hook)
            .arg("test");
        test.args(programs.iter().flat_map(|program| ["--test", program]));
        process::run(test.arg("--").args(arguments))
    };
    // The kernel makes no test run at TC with a frame longer than a page.
    let skipped = ["--skip", "budget::", "--skip", "buffers::"];
    test(&["fixtures", "datapath"], &skipped)?;
    test(&["namespaces"], AT_A_HOOK)
}
