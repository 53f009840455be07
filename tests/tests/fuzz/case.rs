//! A case: a policy, and what happens under it. Also as text, to be kept.
//!
//! ```text
//! # Why it is kept.
//! own 10.1.2.3
//! broadcast 10.1.2.255
//! far-broadcast 10.1.3.255
//! bridge
//! routes-multicast
//! routes-broadcasts
//! route 10.1.0.0/16 segment
//! observe
//! policy
//! (the policy file, up to a line of dashes)
//! ---
//! arrives uplink 0011223344550066778899aa0800...
//! leaves host 00...
//! waits 25
//! ```

use std::fmt::Write as _;
use std::net::IpAddr;

use anyhow::{Context as _, Result, bail, ensure};
use sccm_agent::policy::Surroundings;
use sccm_tests::reading::Document;

/// Which of the loaded programs sees a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Spot {
    /// A protected host's card.
    Host,
    /// A gateway's card at the peers.
    Uplink,
    /// A gateway's card at the protected systems.
    Segment,
    /// A card whose VLANs are told apart: [`HOST_ID`], [`UPLINK_ID`] and [`SEGMENT_ID`].
    Trunk,
}

impl Spot {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Host, Self::Uplink, Self::Segment, Self::Trunk];

    fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Uplink => "uplink",
            Self::Segment => "segment",
            Self::Trunk => "trunk",
        }
    }
}

/// The VLAN of the trunk that is judged as a host's.
pub const HOST_ID: u16 = 10;
/// The one that is an uplink.
pub const UPLINK_ID: u16 = 20;
/// The one that is a segment.
pub const SEGMENT_ID: u16 = 30;

/// Something that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A frame comes in at a card.
    Arrives(Spot, Vec<u8>),
    /// A frame goes out of it.
    Leaves(Spot, Vec<u8>),
    /// So many seconds pass.
    Waits(u32),
}

/// Under which policy it happens.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// The policy file.
    pub document: Document,
    /// What is known of the machine.
    pub machine: Surroundings,
    /// Whether drops are only counted.
    pub observe: bool,
    /// Whether probes pass.
    pub probing: bool,
}

impl Setting {
    /// The addresses that have rights of their own: a gateway's.
    pub fn own_rights(&self) -> &[IpAddr] {
        match self.machine.is_gateway {
            true => &self.machine.own,
            false => &[],
        }
    }
}

/// All of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// The policy.
    pub setting: Setting,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

const END_OF_POLICY: &str = "---";

impl Case {
    /// The text to keep, under a comment.
    pub fn text(&self, comment: &str) -> String {
        let mut text = String::new();
        for line in comment.lines() {
            text += &format!("# {line}\n");
        }
        let machine = &self.setting.machine;
        if !machine.is_gateway && !machine.own.is_empty() {
            text += "host\n";
        }
        for address in &machine.own {
            text += &format!("own {address}\n");
        }
        for address in &machine.broadcasts {
            text += &format!("broadcast {address}\n");
        }
        for address in &machine.far_broadcasts {
            text += &format!("far-broadcast {address}\n");
        }
        for (is_so, word) in [
            (machine.is_bridge, "bridge"),
            (machine.routes_multicast, "routes-multicast"),
            (machine.routes_broadcasts, "routes-broadcasts"),
        ] {
            if is_so {
                text += &format!("{word}\n");
            }
        }
        for (prefix, behind) in &machine.routes {
            text += &format!(
                "route {prefix} {}\n",
                if *behind { "segment" } else { "uplink" }
            );
        }
        if self.setting.observe {
            text += "observe\n";
        }
        if self.setting.probing {
            text += "probing\n";
        }
        text += &format!("policy\n{}{END_OF_POLICY}\n", self.setting.document.toml());
        for step in &self.steps {
            text += &match step {
                Step::Arrives(spot, frame) => format!("arrives {} {}\n", spot.name(), hex(frame)),
                Step::Leaves(spot, frame) => format!("leaves {} {}\n", spot.name(), hex(frame)),
                Step::Waits(seconds) => format!("waits {seconds}\n"),
            };
        }
        text
    }

    /// Reads it back.
    pub fn parse(text: &str) -> Result<Self> {
        let (mut host, mut observe, mut probing) = (false, false, false);
        let mut steps = Vec::new();
        let mut machine = Surroundings::default();
        let mut document = None;
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                [] => {}
                [first, ..] if first.starts_with('#') => {}
                ["host"] => host = true,
                ["own", address] => machine.own.push(address.parse()?),
                ["broadcast", address] => machine.broadcasts.push(address.parse()?),
                ["far-broadcast", address] => machine.far_broadcasts.push(address.parse()?),
                ["bridge"] => machine.is_bridge = true,
                ["routes-multicast"] => machine.routes_multicast = true,
                ["routes-broadcasts"] => machine.routes_broadcasts = true,
                ["route", prefix, side] => {
                    machine.routes.push((prefix.parse()?, *side == "segment"));
                }
                ["observe"] => observe = true,
                ["probing"] => probing = true,
                ["policy"] => {
                    let policy: Vec<&str> = lines
                        .by_ref()
                        .take_while(|line| *line != END_OF_POLICY)
                        .collect();
                    document = Some(Document::parse(&policy.join("\n"))?);
                }
                ["arrives", spot, frame] => steps.push(Step::Arrives(named(spot)?, bytes(frame)?)),
                ["leaves", spot, frame] => steps.push(Step::Leaves(named(spot)?, bytes(frame)?)),
                ["waits", seconds] => steps.push(Step::Waits(seconds.parse()?)),
                _ => bail!("no part of a case: {line}"),
            }
        }
        machine.is_gateway = !host && !machine.own.is_empty();
        Ok(Self {
            setting: Setting {
                document: document.context("a case without a policy")?,
                machine,
                observe,
                probing,
            },
            steps,
        })
    }
}

fn named(name: &str) -> Result<Spot> {
    let mut spots = Spot::ALL.into_iter();
    spots
        .find(|spot| spot.name() == name)
        .with_context(|| format!("no spot: {name}"))
}

fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "-".to_owned();
    }
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn bytes(text: &str) -> Result<Vec<u8>> {
    if text == "-" {
        return Ok(Vec::new());
    }
    ensure!(
        text.is_ascii() && text.len().is_multiple_of(2),
        "no bytes: {text}"
    );
    let pairs = (0..text.len()).step_by(2).map(|at| &text[at..at + 2]);
    let bytes = pairs.map(|pair| u8::from_str_radix(pair, 16));
    Ok(bytes.collect::<Result<_, _>>()?)
}
