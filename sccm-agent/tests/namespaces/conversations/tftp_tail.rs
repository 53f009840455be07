//! The end of a TFTP transfer, on the agent's own decision with a clock that the test turns.

use std::net::IpAddr;

use anyhow::Result;
use sccm_agent::policy::{
    Compiled, Outbound, Protected, Request, Rpc, ServiceNames, SitePolicy, Surroundings, compile,
};
use sccm_common::memory::MemoryTables;
use sccm_common::{Place, Reason};
use sccm_tests::gateway::{CLIENT, FAMILIES, SERVER};
use sccm_tests::packet::Packet;

/// Longer than an end may be repeated, and longer than any silence.
const AFTER_THE_TAIL: u32 = 11;
const AFTER_SILENCE: u32 = 61;

fn policy() -> Result<Compiled> {
    let server = Protected {
        name: "server".to_owned(),
        roles: vec!["pxe-service-point".into()],
        addresses: Vec::new(),
        rpc: Rpc::Static,
        elsewhere: false,
    };
    let policy = SitePolicy {
        outbound: Outbound::Enforce,
        protect: vec![server],
        ..SitePolicy::default()
    };
    let request = Request {
        policy: &policy,
        machine: &Surroundings::default(),
        observe: false,
    };
    compile(&request, ServiceNames::default())
}

/// A transfer between the client's port 2070 and the server's port 50000.
struct Transfer<'p> {
    tables: MemoryTables<'p>,
    family: usize,
}

impl Transfer<'_> {
    fn datagram(&self, from: IpAddr, to: IpAddr, ports: (u16, u16), bytes: Vec<u8>) -> Vec<u8> {
        let (from, to) = (from.to_string(), to.to_string());
        let packet = match self.family {
            0 => Packet::ipv4(&from, &to),
            _ => Packet::ipv6(&from, &to),
        };
        packet.udp(ports.0, ports.1).data(bytes).build()
    }

    fn client_sends(&self, port: u16, bytes: &[u8]) -> Reason {
        let (client, server) = (CLIENT[self.family], SERVER[self.family]);
        let frame = self.datagram(client, server, (2070, port), bytes.to_vec());
        self.tables.ingress(&frame, Place::Uplink).reason
    }

    fn server_sends(&self, bytes: Vec<u8>) -> Reason {
        let (client, server) = (CLIENT[self.family], SERVER[self.family]);
        let frame = self.datagram(server, client, (50000, 2070), bytes);
        self.tables.ingress(&frame, Place::Segment).reason
    }

    fn data(&self, number: u8, bytes: usize) -> Reason {
        let mut block = vec![0, 3, 0, number];
        block.resize(4 + bytes, 0);
        self.server_sends(block)
    }

    fn acknowledge(&self, number: u8) -> Reason {
        self.client_sends(50000, &[0, 4, 0, number])
    }

    fn wait(&self, seconds: u32) {
        self.tables.state.wait(seconds);
    }
}

/// Runs `conversation` behind a read request, in both families.
fn after_a_request(conversation: impl Fn(&Transfer)) -> Result<()> {
    let policy = policy()?;
    for family in FAMILIES {
        let transfer = Transfer {
            tables: policy.in_memory(),
            family,
        };
        let request = b"\0\x01boot\0octet\0";
        assert_eq!(transfer.client_sends(69, request), Reason::Service);
        conversation(&transfer);
    }
    Ok(())
}

#[test]
fn a_transfer_ends_with_its_last_block() -> Result<()> {
    after_a_request(|transfer| {
        assert_eq!(transfer.data(1, 512), Reason::Outbound);
        assert_eq!(transfer.acknowledge(1), Reason::Reply);
        assert_eq!(transfer.data(2, 12), Reason::Outbound);
        assert_eq!(transfer.acknowledge(2), Reason::Reply);
        // Its acknowledgement may have been lost.
        transfer.wait(1);
        assert_eq!(transfer.data(2, 12), Reason::Outbound);
        assert_eq!(transfer.acknowledge(2), Reason::Reply);
        transfer.wait(AFTER_THE_TAIL);
        assert_eq!(transfer.acknowledge(2), Reason::NotAllowed);
        // The request could still be answered from yet another port until now.
        transfer.wait(AFTER_SILENCE);
        assert_eq!(transfer.data(2, 12), Reason::OutboundNotAllowed);
    })
}

#[test]
fn a_transfer_ends_with_its_error() -> Result<()> {
    after_a_request(|transfer| {
        assert_eq!(transfer.data(1, 512), Reason::Outbound);
        assert_eq!(
            transfer.client_sends(50000, &[0, 5, 0, 0, 0]),
            Reason::Reply
        );
        transfer.wait(AFTER_THE_TAIL);
        assert_eq!(transfer.acknowledge(1), Reason::NotAllowed);
        transfer.wait(AFTER_SILENCE);
        assert_eq!(transfer.data(2, 512), Reason::OutboundNotAllowed);
    })
}

#[test]
fn a_transfer_ends_with_its_silence() -> Result<()> {
    after_a_request(|transfer| {
        assert_eq!(transfer.data(1, 512), Reason::Outbound);
        transfer.wait(AFTER_THE_TAIL);
        assert_eq!(transfer.acknowledge(1), Reason::Reply);
        transfer.wait(AFTER_SILENCE);
        assert_eq!(transfer.acknowledge(1), Reason::NotAllowed);
        assert_eq!(transfer.data(2, 512), Reason::OutboundNotAllowed);
    })
}
