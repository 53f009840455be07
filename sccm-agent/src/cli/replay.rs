//! `sccm-agent replay`: what a policy would have done with captured packets.

use crate::capture::Target;
use crate::config;
use crate::output::{self, OutputArgs, OutputFormat};
use crate::policy;
use crate::replay::{DroppedFile, Progress, Spot, Stage, Wish};
use anyhow::{Context as _, Result};
use clap::Args;
use ipnet::IpNet;
use std::io::{self, IsTerminal as _, Write as _};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Conversations that are listed, unless told otherwise.
const LISTED: usize = 50;

/// How often somebody who watches is told how far it has come.
const REPORTED: Duration = Duration::from_millis(200);

/// Judge captured packets by a policy: say what would pass, what would be dropped, and why
///
/// Reads pcap and pcapng files, also packed by gzip or zstd; `-` is standard input. Packets go through
/// the same decision as in the kernel, in the order and at the times of the capture. Nothing is sent,
/// enforced or changed. docs/replay.md says where to capture.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  sccm-agent replay --config policy.toml --protected 10.2.0.10 monday.pcapng tuesday.pcapng.gz
  sccm-agent replay --config policy.toml --as uplink --own 10.1.0.1 --against next.toml \\
      --write-dropped dropped.pcapng uplink.pcap.zst")]
pub struct ReplayArgs {
    /// Capture files, in the order of their times
    #[arg(value_name = "CAPTURE", required = true)]
    files: Vec<PathBuf>,

    /// Policy file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,

    /// Another policy file: print what it would change
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,

    /// Where the packets were captured
    #[arg(long = "as", value_name = "PLACE", value_enum, default_value_t)]
    spot: Spot,

    /// Address or prefix of the protected systems; repeatable [default: those that the policy lists]
    #[arg(long, value_name = "PREFIX", value_parser = policy::prefix)]
    protected: Vec<IpNet>,

    /// On a gateway: address of the gateway itself; repeatable
    #[arg(long, value_name = "ADDRESS")]
    own: Vec<IpAddr>,

    /// Judge only packets of this interface of the files; repeatable
    #[arg(long, value_name = "NAME")]
    interface: Vec<String>,

    /// Stop after this many packets
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// Write the packets that would be dropped to this file (pcapng), each with its reason
    #[arg(long, value_name = "FILE")]
    write_dropped: Option<PathBuf>,

    /// Overwrite that file if it exists
    #[arg(long, requires = "write_dropped")]
    force: bool,

    /// Maximum number of conversations to list
    #[arg(long, value_name = "N", default_value_t = LISTED)]
    limit: usize,

    #[command(flatten)]
    output: OutputArgs,
}

/// Prints the summary. The code is 1 if a file could not be read to its end.
///
/// # Errors
/// A policy or a file that cannot be read, or an output that cannot be written.
pub fn run(args: &ReplayArgs) -> Result<ExitCode> {
    let against = args.against.as_deref().map(config::load).transpose()?;
    let stage = Stage::new(Wish {
        policy: config::load(&args.config)?,
        against,
        spot: args.spot,
        protected: args.protected.clone(),
        own: args.own.clone(),
        interfaces: args.interface.clone(),
        count: args.count.unwrap_or(u64::MAX),
    })?;
    let target = args.write_dropped.as_deref();
    let target = target.map(|path| Target::new(path, args.force));
    let dropped = target.map(|target| DroppedFile::begin(&target, stage.services()));
    let mut dropped = dropped.transpose().context("--write-dropped")?;
    let mut bar = Bar::new(args.files.len());
    let replayed = stage.run(&args.files, dropped.as_mut(), &mut |progress| {
        bar.show(progress)
    });
    bar.end();
    let replayed = replayed?;
    if let Some(dropped) = dropped {
        let packets = dropped.finish()?;
        eprintln!("{packets} packets were written that would be dropped");
    }
    let summary = stage.summary(&replayed, args.limit);
    match args.output.output {
        OutputFormat::Json => output::print_json(&summary)?,
        OutputFormat::Table => output::print(summary.text())?,
    }
    let is_whole = replayed.files().iter().all(|file| file.error.is_none());
    Ok(match is_whole {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// A line that says how far it has come, on a terminal alone.
pub(super) struct Bar {
    files: usize,
    shown: Option<Instant>,
    is_watched: bool,
}

impl Bar {
    pub(super) fn new(files: usize) -> Self {
        Self {
            files,
            shown: None,
            is_watched: io::stderr().is_terminal(),
        }
    }

    pub(super) fn show(&mut self, progress: Progress) {
        if !self.is_watched || self.shown.is_some_and(|shown| shown.elapsed() < REPORTED) {
            return;
        }
        self.shown = Some(Instant::now());
        eprint!("\r{}\x1b[K", line(progress, self.files));
        let _ = io::stderr().flush();
    }

    /// Takes the line away.
    pub(super) fn end(&mut self) {
        if self.shown.take().is_some() {
            eprint!("\r\x1b[K");
        }
    }
}

fn line(progress: Progress, files: usize) -> String {
    const WIDTH: u64 = 30;
    let (read, size) = progress.bytes;
    let file = format!(
        "file {} of {files}, {} packets",
        progress.file + 1,
        progress.packets
    );
    if size == 0 {
        return file;
    }
    let read = read.min(size);
    let full = (read * WIDTH / size) as usize;
    let bar = format!("{}{}", "#".repeat(full), ".".repeat(WIDTH as usize - full));
    format!("[{bar}] {}% of {file}", read * 100 / size)
}

#[cfg(test)]
mod tests {
    use super::{Progress, line};

    #[test]
    fn the_line_says_how_far_it_has_come() {
        let at = |bytes| Progress {
            file: 1,
            bytes,
            packets: 32_768,
        };
        let of = "file 2 of 3, 32768 packets";
        assert_eq!(line(at((5, 0)), 3), of);
        let half = format!("[{}{}] 50% of {of}", "#".repeat(15), ".".repeat(15));
        assert_eq!(line(at((50, 100)), 3), half);
        // A file that grows meanwhile.
        assert!(line(at((200, 100)), 3).contains("100%"));
    }
}
