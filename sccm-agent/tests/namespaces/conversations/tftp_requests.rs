//! TFTP as firmware speaks it: requests that are broken off, repeated, or answered twice.
//!
//! The server is made of sockets, because no server can be told to do all this.

use std::net::UdpSocket;

use anyhow::Result;
use sccm_tests::gateway::{CLIENT, FAMILIES, SERVER, STRANGER, Stage, Topology};

use super::support::{Told, assert_silent, receive, udp};

/// "Read `boot`, in octets"; the options stand behind it.
const REQUEST: &[u8] = b"\0\x01boot\0octet\0";
const ACK: [u8; 4] = [0, 4, 0, 1];
const ABORT: [u8; 5] = [0, 5, 0, 0, 0];

/// A block of data of this size.
fn block(number: u8, bytes: usize) -> Vec<u8> {
    let mut block = vec![0, 3, 0, number];
    block.resize(4 + bytes, number);
    block
}

/// A stage, and what the test needs of it in one family.
struct Boot<'s> {
    stage: &'s Stage,
    family: usize,
    /// The server's port for requests.
    daemon: UdpSocket,
}

impl<'s> Boot<'s> {
    fn new(stage: &'s Stage, family: usize) -> Result<Self> {
        let daemon = udp(&stage.server, (SERVER[family], 69))?;
        Ok(Self {
            stage,
            family,
            daemon,
        })
    }

    fn client(&self) -> Result<UdpSocket> {
        udp(&self.stage.client, (CLIENT[self.family], 0))
    }

    /// A new port of the server for a transfer.
    fn transfer(&self) -> Result<UdpSocket> {
        udp(&self.stage.server, (SERVER[self.family], 0))
    }

    /// Sends a request, with options or without.
    fn ask(&self, client: &UdpSocket, options: &[u8]) -> Result<()> {
        let request = [REQUEST, options].concat();
        client.send_to(&request, (SERVER[self.family], 69))?;
        let (asked, from) = receive(&self.daemon)?;
        assert_eq!((asked, from), (request, client.local_addr()?));
        Ok(())
    }
}

/// Sends and sees it arrive.
fn deliver(from: &UdpSocket, to: &UdpSocket, bytes: &[u8]) -> Result<()> {
    from.send_to(bytes, to.local_addr()?)?;
    let (got, sender) = receive(to)?;
    assert_eq!((got.as_slice(), sender), (bytes, from.local_addr()?));
    Ok(())
}

/// Sends and sees that it does not arrive.
fn lose(from: &UdpSocket, to: &UdpSocket, bytes: &[u8]) -> Result<()> {
    from.send_to(bytes, to.local_addr()?)?;
    assert_silent(to);
    Ok(())
}

/// Runs `conversation` in both families, under both outbound modes that track.
fn on_a_router(conversation: impl Fn(&Boot) -> Result<()>) -> Result<()> {
    for outbound in ["track", "enforce"] {
        let stage = Stage::new(Topology::Routed)?;
        let agent = stage.enforce("pxe-service-point", &format!("--outbound {outbound}"))?;
        for family in FAMILIES {
            conversation(&Boot::new(&stage, family)?)?;
        }
        let metrics = agent.metrics()?;
        metrics.tells_passed(&[("reason", "service"), ("service", "tftp")])?;
        metrics.tells_passed(&[("reason", "reply"), ("direction", "inbound")])?;
        metrics.tells_dropped(&[("reason", "not-allowed"), ("direction", "inbound")])?;
    }
    Ok(())
}

#[test]
fn a_size_probe_is_broken_off_and_followed_by_a_transfer() -> Result<()> {
    on_a_router(|boot| {
        let (probe, first) = (boot.client()?, boot.transfer()?);
        boot.ask(&probe, b"tsize\x000\0")?;
        deliver(&first, &probe, b"\0\x06tsize\x00516\0")?;
        deliver(&probe, &first, &ABORT)?;

        let (client, second) = (boot.client()?, boot.transfer()?);
        boot.ask(&client, b"blksize\x00512\0")?;
        deliver(&second, &client, b"\0\x06blksize\x00512\0")?;
        deliver(&client, &second, &[0, 4, 0, 0])?;
        deliver(&second, &client, &block(1, 512))?;
        deliver(&client, &second, &ACK)?;
        deliver(&second, &client, &block(2, 4))?;
        deliver(&client, &second, &[0, 4, 0, 2])?;
        // The two have nothing to do with each other.
        lose(&client, &first, &ACK)
    })
}

#[test]
fn a_repeated_request_may_be_answered_from_two_ports() -> Result<()> {
    on_a_router(|boot| {
        let client = boot.client()?;
        let (first, second) = (boot.transfer()?, boot.transfer()?);
        boot.ask(&client, b"")?;
        boot.ask(&client, b"")?;
        deliver(&first, &client, &block(1, 512))?;
        deliver(&second, &client, &block(1, 512))?;
        deliver(&client, &first, &ACK)?;
        // "Unknown transfer" for the one that the client does not want.
        deliver(&client, &second, &[0, 5, 0, 5, 0])?;
        deliver(&first, &client, &block(2, 4))?;
        deliver(&client, &first, &[0, 4, 0, 2])?;
        lose(&client, &boot.transfer()?, &ACK)
    })
}

#[test]
fn only_who_asked_may_go_on_and_only_with_who_answered() -> Result<()> {
    on_a_router(|boot| {
        let (client, transfer) = (boot.client()?, boot.transfer()?);
        boot.ask(&client, b"")?;
        // Before the answer, no port of the server is open.
        lose(&client, &transfer, &ACK)?;
        deliver(&transfer, &client, &block(1, 512))?;
        // Another port of the client, another client, another port of the server.
        lose(&boot.client()?, &transfer, &ACK)?;
        let stranger = udp(&boot.stage.client, (STRANGER[boot.family], 0))?;
        lose(&stranger, &transfer, &ACK)?;
        lose(&client, &boot.transfer()?, &ACK)?;
        // What is no TFTP is no transfer.
        lose(&client, &transfer, b"\0\x09")?;
        deliver(&client, &transfer, &ACK)
    })
}

#[test]
fn several_blocks_may_go_for_one_acknowledgement() -> Result<()> {
    on_a_router(|boot| {
        let (client, transfer) = (boot.client()?, boot.transfer()?);
        boot.ask(&client, b"windowsize\x004\0")?;
        deliver(&transfer, &client, b"\0\x06windowsize\x004\0")?;
        deliver(&client, &transfer, &[0, 4, 0, 0])?;
        for number in 1..=4 {
            deliver(&transfer, &client, &block(number, 512))?;
        }
        deliver(&client, &transfer, &[0, 4, 0, 4])?;
        for (number, bytes) in [(5, 512), (6, 4)] {
            deliver(&transfer, &client, &block(number, bytes))?;
        }
        // The fifth was lost behind the gateway: the client says so, and gets both again.
        deliver(&client, &transfer, &[0, 4, 0, 4])?;
        for (number, bytes) in [(5, 512), (6, 4)] {
            deliver(&transfer, &client, &block(number, bytes))?;
        }
        deliver(&client, &transfer, &[0, 4, 0, 6])?;
        lose(&client, &boot.transfer()?, &ACK)
    })
}

#[test]
fn a_file_may_be_written() -> Result<()> {
    on_a_router(|boot| {
        let (client, transfer) = (boot.client()?, boot.transfer()?);
        client.send_to(b"\0\x02log\0octet\0", boot.daemon.local_addr()?)?;
        receive(&boot.daemon)?;
        lose(&client, &transfer, &block(1, 512))?;
        deliver(&transfer, &client, &[0, 4, 0, 0])?;
        deliver(&client, &transfer, &block(1, 512))?;
        deliver(&transfer, &client, &ACK)?;
        deliver(&client, &transfer, &block(2, 4))?;
        deliver(&transfer, &client, &[0, 4, 0, 2])?;
        lose(&boot.client()?, &transfer, &block(3, 4))
    })
}
