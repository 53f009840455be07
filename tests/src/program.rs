//! How the programs of this crate end: clean, also when they are interrupted.

use std::process::ExitCode;

use anyhow::Result;

use crate::signals::{Interrupt, Interrupted};

/// Runs the work of a `main`, and returns its exit code: 0 all is well; 1 it is not, or something
/// failed; 128 and the number of the signal that ended it.
pub fn run(work: impl FnOnce(&Interrupt) -> Result<bool>) -> ExitCode {
    let worked = Interrupt::watch().and_then(|interrupt| {
        let worked = work(&interrupt);
        // Whatever else an interrupted program ran into: the signal is why it ends.
        interrupt.check()?;
        worked
    });
    match worked {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => match error.downcast_ref::<Interrupted>() {
            Some(interrupted) => {
                eprintln!("{interrupted}: everything is cleaned up");
                ExitCode::from(interrupted.exit_code())
            }
            None => {
                eprintln!("error: {error:#}");
                ExitCode::FAILURE
            }
        },
    }
}
