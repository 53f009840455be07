//! `sccm-agent version`: which program this is, and what of the kernel it would use.

use crate::catalog::Edition;
use crate::kernel::Features;
use crate::output::{self, OutputArgs, OutputFormat};
use anyhow::Result;
use clap::Args;
use sccm_common::abi;
use serde::Serialize;

/// Show the version of this program, its editions, and the kernel's features that it uses
#[derive(Debug, Clone, Args)]
pub struct VersionArgs {
    #[command(flatten)]
    output: OutputArgs,
}

/// What `version -o json` prints.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Version {
    /// Version of this program.
    version: &'static str,
    /// The commit that it was built from; null if it was not built for release, or outside a checkout.
    commit: Option<&'static str>,
    /// Layout of the pinned maps. An agent takes over those of its own layout.
    layout: u32,
    /// Editions of the port table.
    editions: Vec<Edition>,
    /// The machine's kernel.
    kernel: Features,
}

impl Version {
    fn of_this_program() -> Result<Self> {
        Ok(Self {
            version: env!("CARGO_PKG_VERSION"),
            commit: option_env!("SCCM_COMMIT"),
            layout: abi::VERSION,
            editions: Edition::ALL.to_vec(),
            kernel: Features::of_this_kernel()?,
        })
    }
}

/// Prints what this program is.
///
/// # Errors
/// The kernel does not say what it is; standard output cannot be written to.
pub fn run(args: &VersionArgs) -> Result<()> {
    let version = Version::of_this_program()?;
    match args.output.output {
        OutputFormat::Json => output::print_json(&version),
        OutputFormat::Table => output::print(text(&version)),
    }
}

fn text(version: &Version) -> String {
    let editions: Vec<&str> = version.editions.iter().map(|one| one.name()).collect();
    let kernel = &version.kernel;
    let features = [
        ("BTF", Some(kernel.btf)),
        ("TCX", Some(kernel.tcx)),
        ("JIT", kernel.jit),
        ("bpf file system", Some(kernel.bpf_file_system)),
    ];
    let lists = |wanted: bool| -> Vec<&str> {
        let found = features.iter().filter(|(_, found)| *found == Some(wanted));
        found.map(|(name, _)| *name).collect()
    };
    let missing = lists(false);
    let missing = match missing.is_empty() {
        true => String::new(),
        false => format!("; without {}", missing.join(", ")),
    };
    format!(
        "sccm-agent {}\nCommit:   {}\nLayout:   {}\nEditions: {}\nKernel:   {}, with {}{missing}",
        version.version,
        version.commit.unwrap_or("unknown"),
        version.layout,
        editions.join(", "),
        kernel.release,
        lists(true).join(", "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_lacks_is_named() {
        let version = Version {
            version: "1.2.3",
            commit: None,
            layout: 7,
            editions: Edition::ALL.to_vec(),
            kernel: Features {
                release: "6.1.0".to_owned(),
                btf: true,
                tcx: false,
                jit: None,
                bpf_file_system: true,
            },
        };
        assert_eq!(
            text(&version),
            "sccm-agent 1.2.3\nCommit:   unknown\nLayout:   7\nEditions: 2007, current-branch\n\
             Kernel:   6.1.0, with BTF, bpf file system; without TCX"
        );
    }
}
