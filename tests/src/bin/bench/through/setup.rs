//! One filter on its stage, with the servers to talk to.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};

use anyhow::{Context as _, Result, ensure};
use sccm_common::Hook;
use sccm_tests::agent::Agent;
use sccm_tests::gateway::{SERVER, Stage};
use sccm_tests::traffic::{Server, udp_echo_server};
use serde_json::Value;
use tempfile::NamedTempFile;

use super::{Filter, Load, Rate, ping};
use crate::child::{Background, run, wait_until};
use crate::live::{TCP, UDP, firewalld};
use crate::sys;
use crate::{floor, statistics};

/// Where iperf3 listens, and the echo; both are allowed besides the role's ports.
const IPERF: u16 = 5201;
const ECHO: u16 = 5202;

/// At work, until it is dropped.
pub struct Setup<'s> {
    stage: &'s Stage,
    _empty: Option<[OwnedFd; 2]>,
    _agent: Option<Agent<'s>>,
    _firewalld: Option<firewalld::AtWork>,
    _iperf: Background,
    _echo: Server,
}

impl<'s> Setup<'s> {
    /// Sets the router up, and starts the servers behind it.
    pub fn new(filter: Filter, stage: &'s Stage) -> Result<Self> {
        // Rules of nftables stay until their namespace goes.
        let (mut empty, mut agent, mut firewalld) = (None, None, None);
        match filter {
            Filter::None => {}
            Filter::Empty => empty = Some(attach_empty(stage)?),
            Filter::Agent(hook) => {
                let rules = format!(
                    "--hook {} --allow tcp/{IPERF} --allow udp/{IPERF} --allow udp/{ECHO}",
                    hook.flag()
                );
                agent = Some(stage.enforce("distribution-point", &rules)?);
            }
            Filter::Nftables => load_rules(stage)?,
            Filter::Firewalld => {
                let cards = ["up0", "seg0"];
                firewalld = Some(firewalld::AtWork::new(stage.gateway(), &cards)?);
            }
        }
        let mut iperf = stage.server.command("iperf3");
        let iperf = Background::start(iperf.args(["--server", "--port", &IPERF.to_string()]))?;
        let listens = || {
            let mut sockets = stage.server.command("ss");
            let text = run(sockets.args(["--no-header", "--listening", "--tcp", "--numeric"]));
            text.is_ok_and(|text| text.contains(&format!(":{IPERF} ")))
        };
        wait_until(listens, "iperf3's server")?;
        let echo = udp_echo_server(&stage.server, SocketAddr::new(SERVER[0], ECHO))?;
        Ok(Self {
            stage,
            _empty: empty,
            _agent: agent,
            _firewalld: firewalld,
            _iperf: iperf,
            _echo: echo,
        })
    }

    /// Microseconds that a datagram takes there and back: the middle one, and the one of a hundred.
    pub fn ping(&self) -> Result<[f64; 2]> {
        let mut times = ping::times(&self.stage.client, SocketAddr::new(SERVER[0], ECHO))?;
        Ok([0.5, 0.99].map(|share| statistics::percentile(&mut times, share)))
    }

    /// Sends for a second.
    pub fn transfer(&self, load: Load) -> Result<Rate> {
        let last = std::thread::available_parallelism()?.get() - 1;
        let kind = match load {
            Load::Tcp => "",
            Load::Udp => " --udp --bitrate 0 --length 64",
        };
        let (told, busy) =
            busy_while(|| self.iperf(&format!("--affinity 0,{last} --time 1{kind}")))?;
        let end = &told["end"];
        let number = |of: &str, name: &str| {
            let number = end[of][name].as_f64();
            number.with_context(|| format!("iperf3 tells no {name}: {told}"))
        };
        let rate = match load {
            Load::Tcp => number("sum_received", "bits_per_second")? / 1e9,
            Load::Udp => {
                let arrived = number("sum", "packets")? - number("sum", "lost_packets")?;
                arrived / number("sum", "seconds")? / 1e3
            }
        };
        ensure!(rate > 0.0, "nothing came through");
        Ok(Rate { rate, busy })
    }

    fn iperf(&self, arguments: &str) -> Result<Value> {
        let mut iperf = self.stage.client.command("iperf3");
        let (server, port) = (SERVER[0], IPERF);
        let client = format!("--json --client {server} --port {port} {arguments}");
        iperf.args(client.split(' '));
        Ok(serde_json::from_str(&run(&mut iperf)?)?)
    }
}

/// Programs on both cards that let everything pass.
fn attach_empty(stage: &Stage) -> Result<[OwnedFd; 2]> {
    stage.gateway().enter(|| {
        let attach = |name: &str| -> Result<OwnedFd> {
            let card = nix::net::if_::if_nametoindex(name)?;
            sys::attach_xdp(floor::empty(Hook::Ingress)?.as_fd(), card)
        };
        Ok([attach("up0")?, attach("seg0")?])
    })
}

/// What is known, and what is for the role, goes on.
fn load_rules(stage: &Stage) -> Result<()> {
    let mut file = NamedTempFile::new()?;
    write!(
        file,
        "table inet peer {{\n\
         set tcp_ports {{ type inet_service; flags interval; elements = {{ {TCP}, {IPERF} }} }}\n\
         set udp_ports {{ type inet_service; flags interval; \
         elements = {{ {UDP}, {IPERF}, {ECHO} }} }}\n\
         chain forward {{\n type filter hook forward priority filter; policy drop;\n\
         ct state established,related accept\n\
         iifname up0 tcp dport @tcp_ports accept\n\
         iifname up0 udp dport @udp_ports accept\n}}\n}}\n"
    )?;
    run(stage
        .gateway()
        .command("nft")
        .arg("--file")
        .arg(file.path()))
    .map(drop)
}

/// How many processors were busy meanwhile.
fn busy_while<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let before = ticks()?;
    let done = work()?;
    let after = ticks()?;
    let [busy, all] = [after.0 - before.0, after.1 - before.1];
    let processors = std::thread::available_parallelism()?.get() as f64;
    Ok((done, busy / all * processors))
}

/// Time of all processors so far: spent, and altogether (proc_stat(5)).
fn ticks() -> Result<(f64, f64)> {
    let text = fs::read_to_string("/proc/stat").context("reading /proc/stat")?;
    let line = text.lines().next().unwrap_or_default();
    let fields: Vec<f64> = line.split(' ').flat_map(str::parse).collect();
    // Guests' time is within that of their hosts.
    let all: f64 = fields.iter().take(8).sum();
    let idle: f64 = fields.iter().skip(3).take(2).sum();
    Ok((all - idle, all))
}
