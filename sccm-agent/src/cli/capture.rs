//! `sccm-agent capture`: the refused packets themselves, for Wireshark.

use super::{PinArgs, blocked};
use crate::capture::{Bounds, Session, Target, Wish};
use crate::units;
use crate::visible::visible;
use anyhow::{Context as _, Result};
use clap::Args;
use sccm_common::Reason;
use sccm_common::capture::LONGEST;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// The output failed, or the kernel.
const FAILED_UNDERWAY: u8 = 1;

/// Write dropped packets to a file for Wireshark, each with its reason
///
/// In observe mode these are the packets that would be dropped. Stops at the first limit that
/// is reached, and at Ctrl-C.
#[derive(Debug, Clone, Args)]
pub struct CaptureArgs {
    /// Capture dropped packets; required, because no others can be captured
    #[arg(long, required = true)]
    dropped: bool,

    /// Output file (pcapng); `-` is standard output
    #[arg(short, long = "write", value_name = "FILE")]
    write: PathBuf,

    /// Overwrite the file if it exists
    #[arg(long)]
    force: bool,

    /// Stop after this many packets
    #[arg(long, value_name = "N", default_value_t = 100_000,
          value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,

    /// Stop at this file size, such as 64K, 16M or 1G
    #[arg(long, value_name = "BYTES", default_value = "64M", value_parser = size)]
    size: u64,

    /// Stop after this time, such as 30s or 10m
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = units::wait)]
    duration: Duration,

    /// Bytes to keep of each packet
    #[arg(long, value_name = "BYTES", default_value_t = 128,
          value_parser = clap::value_parser!(u32).range(14..=LONGEST as i64))]
    snaplen: u32,

    /// Capture only packets dropped for this reason, such as not-allowed
    #[arg(long, value_name = "REASON", value_parser = blocked::reason)]
    reason: Option<Reason>,

    /// Capture only packets of this interface
    #[arg(long, value_name = "IF")]
    interface: Option<String>,

    #[command(flatten)]
    pins: PinArgs,
}

/// What a file's head and one packet surely need.
const SMALLEST: u64 = 4 * units::KIB;

fn size(text: &str) -> Result<u64, String> {
    let size = units::size(text)?;
    if size < SMALLEST {
        return Err(format!(
            "{text} leaves no room for a packet: give at least 4K"
        ));
    }
    Ok(size)
}

/// Captures until a bound is reached, and returns the exit code.
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
            let error = format!("{error:#}");
            let error = visible(&error);
            eprintln!("error: {error}; what was captured before can be read");
            Ok(ExitCode::from(FAILED_UNDERWAY))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn a_file_has_room_for_a_packet() {
        assert_eq!(size("4K"), Ok(4096));
        assert!(size("4095").unwrap_err().contains("at least 4K"));
    }
}
