//! Holds a namespace, a process in it and a BPF mount until a signal ends it in order.
//!
//! The test of the harness starts it to see that nothing stays behind. It prints one line with
//! the namespace, the process and the mount, and exits with the code of the signal.

#![expect(clippy::print_stdout, reason = "it says that it is ready")]

use std::process::ExitCode;
use std::time::Duration;

use sccm_tests::bpffs::BpfMount;
use sccm_tests::netns::Namespace;
use sccm_tests::program;

fn main() -> ExitCode {
    program::run(|interrupt| {
        let namespace = Namespace::new("hold")?;
        let mount = BpfMount::new()?;
        let process = namespace.command("sleep").arg("60").spawn()?;
        println!(
            "{} {} {}",
            namespace.name(),
            process.id(),
            mount.path().display()
        );
        interrupt.sleep(Duration::from_secs(30))?;
        Ok(true)
    })
}
