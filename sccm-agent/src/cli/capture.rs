//! `sccm-agent capture`: the refused packets themselves, for Wireshark.

use super::{PinArgs, blocked};
use crate::capture::{self, Bounds, Session, Target, Wish};
use crate::duration;
use anyhow::{Context as _, Result};
use clap::Args;
use sccm_common::Reason;
use sccm_common::capture::LONGEST;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// The output failed, or the kernel.
const FAILED_UNDERWAY: u8 = 1;

/// Write the dropped packets to a file that Wireshark opens, each with its reason
///
/// In observe mode these are the packets that would be dropped. Ends at the first of the
/// bounds, and at Ctrl-C.
#[derive(Debug, Clone, Args)]
pub struct CaptureArgs {
    /// Take the packets that are dropped: there are no others to take, so it must be said
    #[arg(long, required = true)]
    dropped: bool,

    /// The pcapng file to make; `-` is standard output
    #[arg(short, long = "write", value_name = "FILE")]
    write: PathBuf,

    /// Replace the file if it is there
    #[arg(long)]
    force: bool,

    /// How many packets
    #[arg(long, value_name = "N", default_value_t = 100_000,
          value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,

    /// How large a file, as in 64K, 16M or 1G
    #[arg(long, value_name = "BYTES", default_value = "64M", value_parser = capture::parse_size)]
    size: u64,

    /// How long, as in 30s or 10m
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration::parse_wait)]
    duration: Duration,

    /// How many bytes of each packet
    #[arg(long, value_name = "BYTES", default_value_t = 128,
          value_parser = clap::value_parser!(u32).range(14..=LONGEST as i64))]
    snaplen: u32,

    /// Only packets dropped for this reason, such as not-allowed
    #[arg(long, value_name = "REASON", value_parser = blocked::reason)]
    reason: Option<Reason>,

    /// Only packets of this interface
    #[arg(long, value_name = "IF")]
    interface: Option<String>,

    #[command(flatten)]
    pins: PinArgs,
}

/// Captures until a bound is reached, and returns the exit code.
///
/// # Errors
/// As [`Session::begin`].
pub fn run(args: &CaptureArgs) -> Result<ExitCode> {
    let wish = Wish {
        snaplen: args.snaplen,
        reason: args.reason,
        interface: args.interface.clone(),
        bounds: Bounds {
            count: args.count,
            size: args.size,
            duration: args.duration,
        },
    };
    let target = Target::new(&args.write, args.force);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let ended = runtime.block_on(async {
        let session = Session::begin(&args.pins.pins(), &wish, &target)?;
        anyhow::Ok(session.run().await)
    });
    // Standard output may be the file.
    match ended? {
        Ok(summary) => {
            eprintln!(
                "captured {} packets in {} bytes, missed {}: {}",
                summary.captured,
                summary.bytes,
                summary.missed,
                summary.end.label()
            );
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            eprintln!("error: {error:#}; what was captured before can be read");
            Ok(ExitCode::from(FAILED_UNDERWAY))
        }
    }
}
