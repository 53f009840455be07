//! `cargo xtask package`: a Debian package, an RPM, their checksums, and a signature.
//!
//! Two builds of one commit are the same, byte for byte: `--check-reproducible` builds once more,
//! from another folder, and compares.

mod build;
mod files;
mod pack;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use crate::debian::{self, Missing};
use crate::process::{cargo, command, output, run, step, workspace};
use crate::setup;
use crate::toolchain::{Origin, Toolchain};
use build::{Built, Papers};
use pack::Staged;

/// What is asked for.
pub struct Order<'a> {
    /// The secret key of minisign to sign with.
    pub key: Option<&'a Path>,
    /// Build a second time, and compare.
    pub check_reproducible: bool,
}

/// The checksums of all packages; what is signed.
const SUMS: &str = "SHA256SUMS";

/// Makes the Debian package for a test of it, without the papers about its libraries: what makes
/// these takes longer to build than the agent.
pub fn debian(missing: Missing) -> Result<PathBuf> {
    setup::all(debian::PACKAGERS, missing)?;
    let toolchain = Toolchain::detect()?;
    add_target(&toolchain, missing)?;
    let target = workspace().join("target");
    let into = target.join("package-test");
    let (stage, built) = build(&toolchain, &target, &into, Papers::None)?;
    let files = files::all(&built)?;
    Staged::new(&built, &files, &stage)?.deb(&into)
}

/// Makes everything in `target/package`.
pub fn all(order: &Order, missing: Missing) -> Result<()> {
    setup::all(debian::PACKAGERS, missing)?;
    let toolchain = Toolchain::detect()?;
    add_target(&toolchain, missing)?;
    let target = workspace().join("target");
    let into = target.join("package");
    let (stage, built) = build(&toolchain, &target, &into, Papers::All)?;
    let files = files::all(&built)?;
    let staged = Staged::new(&built, &files, &stage)?;
    let deb = staged.deb(&into)?;
    let packages = [deb.clone(), staged.rpm(&into)?];
    write_sums(&packages, &into)?;
    step("checking the Debian package");
    run(command("lintian")
        .args(["--allow-root", "--fail-on", "error,warning"])
        .arg(&deb))?;
    if order.check_reproducible {
        check_reproducible(&packages)?;
    }
    if let Some(key) = order.key {
        step("signing");
        let key = key.canonicalize().context("--key")?;
        let mut sign = command("minisign");
        sign.args(["-S", "-m", SUMS, "-s"]).arg(key);
        run(sign.current_dir(&into))?;
    }
    for file in &packages {
        step(&format!("made {}", file.display()));
    }
    Ok(())
}

/// What is packed, with the folder where it was made, in an empty one.
fn build(
    toolchain: &Toolchain,
    target: &Path,
    into: &Path,
    papers: Papers,
) -> Result<(PathBuf, Built)> {
    if into.exists() {
        fs::remove_dir_all(into).with_context(|| format!("removing {}", into.display()))?;
    }
    let stage = into.join("stage");
    fs::create_dir_all(&stage).with_context(|| format!("making {}", stage.display()))?;
    let built = build::all(toolchain, target, &stage, papers)?;
    Ok((stage, built))
}

fn write_sums(packages: &[PathBuf], into: &Path) -> Result<()> {
    let mut sums = command("sha256sum");
    for file in packages {
        sums.arg(file.file_name().context("a package without a name")?);
    }
    fs::write(into.join(SUMS), output(sums.current_dir(into))?)?;
    Ok(())
}

/// The library of the target.
fn add_target(toolchain: &Toolchain, missing: Missing) -> Result<()> {
    let target = build::TARGET;
    if toolchain.sysroot.join("lib/rustlib").join(target).exists() {
        return Ok(());
    }
    let Origin::Rustup(name) = &toolchain.origin else {
        bail!("packages are built for {target}, which needs a toolchain of rustup");
    };
    let add = ["target", "add", target, "--toolchain", name];
    ensure!(
        missing == Missing::Install,
        "the toolchain lacks {target}. Run: rustup {}",
        add.join(" ")
    );
    step(&format!("adding {target} to the toolchain (a few seconds)"));
    run(command("rustup").args(add))
}

/// Builds the commit in a folder of its own, with nothing of this one, and compares the packages.
fn check_reproducible(packages: &[PathBuf]) -> Result<()> {
    let changes = output(command("git").args(["status", "--porcelain"]))?;
    ensure!(
        changes.is_empty(),
        "the checkout has changes, so no commit can be built once more: commit them\n{changes}"
    );
    let copy = workspace().join("target/package-again");
    let remove = || -> Result<()> {
        if copy.exists() {
            run(command("git")
                .args(["worktree", "remove", "--force"])
                .arg(&copy))?;
        }
        Ok(())
    };
    remove()?;
    run(command("git")
        .args(["worktree", "add", "--detach"])
        .arg(&copy))?;
    step("building once more, elsewhere");
    // Tools are tools; everything else is made anew.
    fs::create_dir_all(copy.join("target"))?;
    std::os::unix::fs::symlink(workspace().join("target/tools"), copy.join("target/tools"))?;
    run(cargo().args(["xtask", "package"]).current_dir(&copy))?;
    for file in packages {
        let again = copy
            .join("target/package")
            .join(file.file_name().context("no name")?);
        let differs = fs::read(file)? != fs::read(&again)?;
        ensure!(
            !differs,
            "{} and {} differ: diffoscope says where",
            file.display(),
            again.display()
        );
    }
    step("both builds are the same, byte for byte");
    remove()
}
