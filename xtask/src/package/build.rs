//! Makes what is packaged: the program, its manual, and the papers about its libraries.
//!
//! Nothing of it depends on when, where or by whom it is made, but on the commit and the toolchain.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::process::{cargo, command, output, run, step, workspace};
use crate::tool::{ABOUT, CYCLONEDX, Tool};
use crate::toolchain::Toolchain;

/// Every kernel that is new enough runs it, whatever C library the distribution has.
pub const TARGET: &str = "x86_64-unknown-linux-musl";

/// Who answers for the packages.
pub const MAINTAINER: &str = "sccm-agent authors <sccm-agent@localhost>";

/// What is said about the libraries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Papers {
    /// Their licences, and a bill of materials.
    All,
    None,
}

/// What was made.
pub struct Built {
    pub version: String,
    pub agent: PathBuf,
    /// With `man` and `completions`.
    pub manual: PathBuf,
    pub papers: Vec<PathBuf>,
    pub changelog: PathBuf,
    /// When the commit was made, in seconds since 1970: the time of everything.
    pub epoch: String,
}

/// Builds into `stage`, with cargo's files in `target`.
pub fn all(toolchain: &Toolchain, target: &Path, stage: &Path, papers: Papers) -> Result<Built> {
    let epoch = output(command("git").args(["log", "-1", "--format=%ct"]))?;
    let epoch = epoch.trim().to_owned();
    step("building the agent as a static program (release; a quarter of an hour on two cores)");
    run(&mut compile(toolchain, target, &epoch)?)?;
    let release = target.join(TARGET).join("release");
    let manual = stage.join("manual");
    run(command(release.join("sccm-manual")).arg(&manual))?;
    for page in manual.join("man").read_dir()? {
        compress(&page?.path())?;
    }

    let papers = match papers {
        Papers::All => write_papers(stage, &epoch)?,
        Papers::None => Vec::new(),
    };
    let version = version()?;
    let changelog = stage.join("changelog");
    write_changelog(&changelog, &version, &epoch)?;
    let agent = stage.join("sccm-agent");
    fs::copy(release.join("sccm-agent"), &agent).context("copying the agent")?;
    run(command("strip").arg(&agent))?;
    Ok(Built {
        version,
        agent,
        manual,
        papers,
        changelog: compress(&changelog)?,
        epoch,
    })
}

/// The build of the agent and of what writes its manual, in which no path of this machine is left.
fn compile(toolchain: &Toolchain, target: &Path, epoch: &str) -> Result<Command> {
    let home = cargo_home()?;
    let sources = toolchain.sysroot.join("lib/rustlib/src/rust");
    let places = [
        (workspace(), "/sccm-agent"),
        (home.as_path(), "/cargo"),
        (sources.as_path(), "/rustc"),
    ];
    let flags = places.map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()));
    let mut build = cargo();
    build
        .args(["build", "--release", "--locked", "--target", TARGET])
        .args(["--package", "sccm-agent", "--bin", "sccm-agent"])
        .args(["--package", "sccm-manual", "--bin", "sccm-manual"])
        .arg("--target-dir")
        .arg(target)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        // For the library that is written in C.
        .env(
            format!("CFLAGS_{}", TARGET.replace('-', "_")),
            format!("-ffile-prefix-map={}=/cargo", home.display()),
        )
        .env("SOURCE_DATE_EPOCH", epoch);
    Ok(build)
}

/// Where cargo keeps the sources of libraries.
fn cargo_home() -> Result<PathBuf> {
    let given = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let usual = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo"));
    given
        .or_else(usual)
        .context("neither CARGO_HOME nor HOME is set")
}

/// What cargo says of this workspace's packages.
fn packages() -> Result<Vec<Value>> {
    let metadata = output(cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: Value = serde_json::from_str(&metadata).context("reading `cargo metadata`")?;
    let packages = metadata["packages"].as_array();
    Ok(packages.context("`cargo metadata` lists nothing")?.clone())
}

/// The version of the whole workspace.
fn version() -> Result<String> {
    let packages = packages()?;
    let agent = packages.iter().find(|one| one["name"] == "sccm-agent");
    let version = agent.and_then(|agent| agent["version"].as_str());
    Ok(version
        .context("`cargo metadata` names no version")?
        .to_owned())
}

/// What the agent is made of, and under which terms.
fn write_papers(stage: &Path, epoch: &str) -> Result<Vec<PathBuf>> {
    step("listing the libraries and their licences");
    let licences = stage.join("LICENSES.md");
    run(command(ABOUT.ensure()?)
        .args(["generate", "--offline", "--locked", "--config"])
        .arg(workspace().join("deploy/package/about.toml"))
        .arg("--manifest-path")
        .arg(workspace().join("sccm-agent/Cargo.toml"))
        .arg("--output-file")
        .arg(&licences)
        .arg(workspace().join("deploy/package/about.hbs")))?;
    let bill = stage.join("sbom.cdx.json");
    write_bill(&CYCLONEDX, &bill, epoch)?;
    Ok(vec![licences, bill])
}

/// The bill of materials. cargo-cyclonedx writes one beside the manifest of every member.
fn write_bill(tool: &Tool, to: &Path, epoch: &str) -> Result<()> {
    const NAME: &str = "sccm-agent-bill";
    run(command(tool.ensure()?)
        .args([
            "cyclonedx",
            "--format",
            "json",
            "--quiet",
            "--no-build-deps",
        ])
        .args(["--spec-version", "1.5", "--target", TARGET])
        .args(["--override-filename", NAME])
        .env("SOURCE_DATE_EPOCH", epoch))?;
    for package in packages()? {
        let manifest = package["manifest_path"].as_str();
        let manifest = Path::new(manifest.context("a package without a manifest")?);
        let bill = manifest.with_file_name(format!("{NAME}.json"));
        if package["name"] == "sccm-agent" {
            let text = fs::read_to_string(&bill);
            let text = text.with_context(|| format!("reading {}", bill.display()))?;
            let here = format!("file://{}", workspace().display());
            fs::write(to, text.replace(&here, "file:///sccm-agent"))?;
        }
        fs::remove_file(&bill).with_context(|| format!("removing {}", bill.display()))?;
    }
    Ok(())
}

/// Debian's form. What changed for users is in CHANGELOG.md.
fn write_changelog(to: &Path, version: &str, epoch: &str) -> Result<()> {
    let date = output(
        command("date")
            .args(["--utc", "--rfc-email", "--date"])
            .arg(format!("@{epoch}")),
    )?;
    let text = format!(
        "sccm-agent ({version}) unstable; urgency=medium\n\n  * See CHANGELOG.md of the sources.\n\n \
         -- {MAINTAINER}  {}\n",
        date.trim()
    );
    Ok(fs::write(to, text)?)
}

/// Replaces a file by its compressed form, which tells no time.
fn compress(file: &Path) -> Result<PathBuf> {
    run(command("gzip")
        .args(["--no-name", "--best", "--force"])
        .arg(file))?;
    let mut name = file.as_os_str().to_owned();
    name.push(".gz");
    let compressed = PathBuf::from(name);
    ensure!(compressed.exists(), "gzip made no {}", compressed.display());
    Ok(compressed)
}
