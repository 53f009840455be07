//! The system that the machine boots: Debian's smallest with systemd, the modules that it needs, and
//! what the test brings in `/test`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::{Distribution, folder};
use crate::kernel::modules;
use crate::kernel::package::Kernel;
use crate::process::{command, output, run};

/// What it has besides what every Debian has.
const PACKAGES: &str = "systemd-sysv,udev,iproute2,kmod,procps";

/// The modules that an emulated card needs, the hook of kernels without TCX, and the list of sockets.
const MODULES: &[&str] = &[
    "virtio_pci",
    "virtio_net",
    "sch_ingress",
    "cls_bpf",
    "tcp_diag",
];

/// What the test brings along.
const FILES: [(&str, &str); 4] = [
    ("shell", include_str!("files/shell")),
    ("shell.service", include_str!("files/shell.service")),
    ("policy.toml", include_str!("files/policy.toml")),
    ("setup.sh", include_str!("files/setup.sh")),
];

/// Makes the disk. What was bootstrapped once is used until somebody removes the folder.
///
/// # Errors
/// The mirror, or a program that fails, by name.
pub fn image(
    distribution: &Distribution,
    kernel: &Kernel,
    before: &Path,
    newest: &Path,
) -> Result<PathBuf> {
    let bare = bootstrapped(distribution)?;
    let root = folder().join(format!("{}.root", distribution.name));
    remove(&root)?;
    run(command("cp").arg("-a").arg(&bare).arg(&root))?;
    let test = root.join("test");
    fs::create_dir(&test).with_context(|| format!("making {}", test.display()))?;
    for (name, text) in FILES {
        fs::write(test.join(name), text).with_context(|| format!("writing {name}"))?;
    }
    for (package, name) in [(before, "before.deb"), (newest, "newest.deb")] {
        fs::copy(package, test.join(name))
            .with_context(|| format!("copying {}", package.display()))?;
    }
    let modules = kernel.modules();
    let to = root.join("lib/modules").join(kernel.release());
    for module in modules::needed(kernel, MODULES)? {
        let target = to.join(module.path.strip_prefix(&modules)?);
        copy(&module.path, &target)?;
    }
    for list in [
        "modules.builtin",
        "modules.builtin.modinfo",
        "modules.order",
    ] {
        copy(&modules.join(list), &to.join(list))?;
    }
    let inside = |program: &str| {
        let mut chroot = command("chroot");
        chroot.arg(&root).arg(program);
        chroot
    };
    run(inside("depmod").arg(kernel.release()))?;
    run(inside("sh").arg("/test/setup.sh"))?;
    let image = folder().join(format!("{}.disk", distribution.name));
    if image.exists() {
        fs::remove_file(&image).with_context(|| format!("removing {}", image.display()))?;
    }
    run(command("mkfs.ext4")
        .args(["-q", "-F", "-O", "^has_journal", "-d"])
        .args([&root, &image])
        .arg("1500M"))?;
    remove(&root)?;
    Ok(image)
}

/// The distribution as its mirror has it, from where apt gets packages here.
fn bootstrapped(distribution: &Distribution) -> Result<PathBuf> {
    let root = folder().join(distribution.name);
    if root.exists() {
        return Ok(root);
    }
    let targets = [
        "indextargets",
        "--format",
        "$(REPO_URI) $(COMPONENT) $(CODENAME)",
    ];
    let mirrors = output(command("apt-get").args(targets))?;
    let mirror = mirror(&mirrors)?;
    // An interrupted download must not look like a finished one.
    let new = root.with_extension("new");
    remove(&new)?;
    fs::create_dir_all(&new).with_context(|| format!("making {}", new.display()))?;
    run(command("debootstrap")
        .args([
            "--variant=minbase",
            "--include",
            PACKAGES,
            distribution.suite,
        ])
        .arg(&new)
        .arg(mirror))?;
    run(command("chroot").arg(&new).args(["apt-get", "clean"]))?;
    fs::rename(&new, &root).with_context(|| format!("making {}", root.display()))?;
    Ok(root)
}

/// The mirror that has all of Debian: one whose suite is neither for updates nor of somebody else.
fn mirror(lines: &str) -> Result<&str> {
    let suites = ["bookworm", "trixie", "forky", "sid"];
    let found = lines.lines().find_map(|line| {
        let mut words = line.split(' ');
        let (mirror, component, suite) = (words.next()?, words.next()?, words.next()?);
        (component == "main" && suites.contains(&suite)).then_some(mirror)
    });
    found
        .context("apt here has no mirror of Debian: add one to its sources, and run apt-get update")
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let folder = to.parent().context("a file without a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    fs::copy(from, to).with_context(|| format!("copying {}", from.display()))?;
    Ok(())
}

/// Removes a tree of ours, if it is there.
fn remove(tree: &Path) -> Result<()> {
    ensure!(tree.starts_with(folder()), "{} is not ours", tree.display());
    if tree.exists() {
        fs::remove_dir_all(tree).with_context(|| format!("removing {}", tree.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_that_of_the_distribution() {
        let lines = "https://deb.example/node main nodistro\n\
                     http://deb.example/security/ main bookworm-security\n\
                     http://deb.example/debian/ main bookworm\n";
        assert_eq!(mirror(lines).unwrap(), "http://deb.example/debian/");
        assert!(mirror("http://deb.example/security/ main bookworm-security\n").is_err());
    }
}
