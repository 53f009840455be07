//! Whole transfers, with the protected system at either end and nothing else open.

use anyhow::Result;
use sccm_agent::policy::Outbound;
use sccm_common::Reason::{self, NotAllowed, Outbound as Left, OutboundNotAllowed, Reply, Service};
use sccm_tests::datapath::{Datapath, Settings};

use super::{FAMILIES, Fate, Pair, datapath, pxe};

const CLIENT: u16 = 2070;
const SERVER: u16 = 40500;
const REQUEST: &[u8] = b"\x00\x01boot.wim\x00octet\x00blksize\x001468\x00";
const OPTIONS: &[u8] = b"\x00\x06blksize\x001468\x00";

fn data(number: u16, bytes: usize) -> Vec<u8> {
    let mut message = [3, number].map(u16::to_be_bytes).concat();
    message.resize(4 + bytes, 0);
    message
}

fn acknowledgement(number: u16) -> Vec<u8> {
    [4, number].map(u16::to_be_bytes).concat()
}

/// A protected system and a peer, in either role.
struct Transfer<'a> {
    kernel: &'a mut Datapath,
    pair: Pair,
    serving: bool,
}

impl Transfer<'_> {
    fn send(&mut self, outwards: bool, ports: (u16, u16), message: &[u8]) -> Result<Reason> {
        if outwards {
            let packet = self.pair.out().udp(ports.0, ports.1).data(message);
            self.kernel.leaves(&packet)
        } else {
            let packet = self.pair.back().udp(ports.0, ports.1).data(message);
            self.kernel.arrives(&packet)
        }
    }

    fn server(&mut self, message: &[u8]) -> Result<Reason> {
        self.send(self.serving, (SERVER, CLIENT), message)
    }

    fn client(&mut self, port: u16, message: &[u8]) -> Result<Reason> {
        self.send(!self.serving, (CLIENT, port), message)
    }

    /// What passes of a side's messages, and what is dropped.
    fn fates(outwards: bool) -> (Reason, Reason) {
        match outwards {
            true => (Left, OutboundNotAllowed),
            false => (Reply, NotAllowed),
        }
    }

    fn run(mut self) -> Result<()> {
        let (served, unserved) = Self::fates(self.serving);
        let (acknowledged, strange) = Self::fates(!self.serving);
        assert_eq!(self.server(OPTIONS)?, unserved, "unasked");
        let asked = match self.serving {
            true => Service,
            false => Left,
        };
        assert_eq!(self.client(69, REQUEST)?, asked);
        assert_eq!(self.client(SERVER, &acknowledgement(0))?, strange);
        assert_eq!(self.server(OPTIONS)?, served);
        assert_eq!(self.client(SERVER, &acknowledgement(0))?, acknowledged);
        for number in 1..=20 {
            assert_eq!(self.server(&data(number, 1468))?, served);
            let answer = acknowledgement(number);
            assert_eq!(self.client(SERVER, &answer)?, acknowledged);
            assert_eq!(self.client(SERVER + 1, &answer)?, strange);
        }
        assert_eq!(self.server(&data(21, 0))?, served);
        assert_eq!(self.client(SERVER, &acknowledgement(21))?, acknowledged);
        // The expectation and the transfer; only the client's own request is a flow.
        assert_eq!(self.kernel.transfers()?, 2);
        assert_eq!(self.kernel.flows()?, usize::from(!self.serving));
        Ok(())
    }
}

#[test]
fn a_protected_server_serves() -> Result<()> {
    for pair in FAMILIES {
        let mut kernel = datapath(&pxe(Outbound::Enforce))?;
        let transfer = Transfer {
            kernel: &mut kernel,
            pair,
            serving: true,
        };
        transfer.run()?;
    }
    Ok(())
}

#[test]
fn a_protected_client_asks() -> Result<()> {
    for pair in FAMILIES {
        // The one role that may ask for files.
        let mut kernel = datapath(&Settings {
            outbound: Outbound::Enforce,
            ..Settings::roles(&["client"])
        })?;
        let transfer = Transfer {
            kernel: &mut kernel,
            pair,
            serving: false,
        };
        transfer.run()?;
    }
    Ok(())
}
