//! The firmware of a machine that boots from the network, up to its boot program.
//!
//! No package does this without a screen. The order is that of the PXE specification 2.1, 2.2.1,
//! the messages are those of RFC 2131 with the options of RFC 4578. Before it has an address, a
//! machine speaks in frames; from then on, in sockets.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result, ensure};
use sccm_tests::netns::{Interface, Namespace};
use sccm_tests::packet::{MacAddress, Packet};
use sccm_tests::traffic::FrameSocket;

use super::support::{LONG, receive, udp};

const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const REQUEST: u8 = 3;
const ACK: u8 = 5;

/// Options of RFC 2132.
mod option {
    pub const REQUESTED_ADDRESS: u8 = 50;
    pub const MESSAGE_TYPE: u8 = 53;
    pub const SERVER: u8 = 54;
    pub const VENDOR_CLASS: u8 = 60;
}

/// What this machine says of itself everywhere: the vendor class of 64-bit UEFI, its architecture
/// and network interface, its identity, and what it wants to know.
const ABOUT: &[u8] =
    b"\x3c\x20PXEClient:Arch:00007:UNDI:003016\x5d\x02\x00\x07\x5e\x03\x01\x03\x10\
      \x61\x11\x00sccm-agent-tests\x37\x06\x01\x03\x2b\x3c\x42\x43";

/// Where the options begin, behind the magic cookie.
const OPTIONS: usize = 240;

/// A server's message.
#[derive(Clone, Debug)]
pub struct Answer(Vec<u8>);

impl Answer {
    fn address_at(&self, place: usize) -> Ipv4Addr {
        let bytes = self.0[place..place + 4].try_into();
        Ipv4Addr::from_octets(bytes.expect("four bytes"))
    }

    /// The address that it gives; 0.0.0.0 in the offer of a boot server.
    pub fn given(&self) -> Ipv4Addr {
        self.address_at(16)
    }

    /// The name of the boot program.
    pub fn file(&self) -> String {
        let name = self.0[108..236].split(|byte| *byte == 0).next();
        String::from_utf8_lossy(name.unwrap_or_default()).into_owned()
    }

    fn option(&self, wanted: u8) -> Option<&[u8]> {
        let mut rest = self.0.get(OPTIONS..)?;
        while let [code, length, ..] = *rest {
            let value = rest.get(2..2 + usize::from(length))?;
            if code == wanted {
                return Some(value);
            }
            rest = &rest[2 + value.len()..];
        }
        None
    }

    fn is(&self, kind: u8) -> bool {
        self.option(option::MESSAGE_TYPE) == Some(&[kind])
    }

    /// The server that it comes from, as it says itself.
    pub fn server(&self) -> Result<Ipv4Addr> {
        let bytes = self
            .option(option::SERVER)
            .and_then(|it| it.try_into().ok());
        bytes
            .map(Ipv4Addr::from_octets)
            .context("an answer without its server")
    }
}

/// A machine; its card is `eth0`.
pub struct Firmware<'n> {
    host: &'n Namespace,
    frames: FrameSocket,
    mac: MacAddress,
}

impl<'n> Firmware<'n> {
    /// Switches it on.
    pub fn new(host: &'n Namespace) -> Result<Self> {
        let card: Interface = host.interface("eth0");
        Ok(Self {
            host,
            frames: FrameSocket::open(card)?,
            mac: card.mac()?,
        })
    }

    /// Asks everybody, and returns the offers of an address and of a boot program.
    pub fn discover(&self) -> Result<(Answer, Answer)> {
        self.broadcast(DISCOVER, &[])?;
        let mut offers: [Option<Answer>; 2] = [None, None];
        while let [None, _] | [_, None] = offers {
            let offer = self.answer(OFFER).with_context(|| format!("{offers:?}"))?;
            let place = usize::from(offer.given().is_unspecified());
            offers[place] = Some(offer);
        }
        let [Some(lease), Some(boot)] = offers else {
            unreachable!("the loop has ended");
        };
        let class = boot.option(option::VENDOR_CLASS);
        ensure!(class == Some(b"PXEClient"), "no boot server: {class:?}");
        Ok((lease, boot))
    }

    /// Takes the offered address, with all servers listening, and returns it.
    pub fn request(&self, offer: &Answer) -> Result<Ipv4Addr> {
        let choice = [
            &[option::REQUESTED_ADDRESS, 4][..],
            &offer.given().octets(),
            &[option::SERVER, 4],
            &offer.server()?.octets(),
        ];
        self.broadcast(REQUEST, &choice.concat())?;
        loop {
            // A boot server may acknowledge, too; it gives no address.
            let answer = self.answer(ACK)?;
            if !answer.given().is_unspecified() {
                assert_eq!(answer.given(), offer.given());
                return Ok(answer.given());
            }
        }
    }

    /// Asks the boot server alone for the boot program (BINL), from `port` of its own address.
    pub fn ask_boot_server(&self, own: Ipv4Addr, port: u16, server: Ipv4Addr) -> Result<Answer> {
        let socket = udp(self.host, (own, port))?;
        let to = SocketAddr::from((server, 4011));
        socket.send_to(&self.message(REQUEST, own, &[]), to)?;
        let (answer, from) = receive(&socket).context("the boot server")?;
        ensure!(from == to && answer.len() > OPTIONS, "{from}: {answer:?}");
        let answer = Answer(answer);
        ensure!(answer.is(ACK), "no acknowledgement: {answer:?}");
        Ok(answer)
    }

    fn broadcast(&self, kind: u8, options: &[u8]) -> Result<()> {
        let message = self.message(kind, Ipv4Addr::UNSPECIFIED, options);
        let packet = Packet::ipv4("0.0.0.0", "255.255.255.255");
        let packet = packet.source_mac(self.mac).udp(68, 67).data(message);
        self.frames.send(&packet.build())
    }

    fn answer(&self, kind: u8) -> Result<Answer> {
        let wanted = |frame: &[u8]| self.read(frame).is_some_and(|answer| answer.is(kind));
        let frame = self.frames.receive(LONG, wanted)?;
        let frame = frame.with_context(|| format!("nobody answers with a message {kind}"))?;
        self.read(&frame).context("it was one")
    }

    /// The message to this machine in a frame.
    fn read(&self, frame: &[u8]) -> Option<Answer> {
        // Behind Ethernet, an IPv4 header without options, and UDP.
        let is_udp = frame.get(12..15)? == [8, 0, 0x45] && frame[23] == 17;
        let message = frame.get(14 + 20 + 8..).filter(|it| it.len() > OPTIONS)?;
        let is_mine = message[0] == 2 && message[28..34] == self.mac;
        (is_udp && frame[36..38] == [0, 68] && is_mine).then(|| Answer(message.to_vec()))
    }

    /// A message of RFC 2131, figure 1.
    fn message(&self, kind: u8, own: Ipv4Addr, options: &[u8]) -> Vec<u8> {
        // A request over Ethernet, a transaction, and "answer to everybody".
        let mut message = b"\x01\x01\x06\x00sccm\x00\x00\x80\x00".to_vec();
        message.extend(own.octets());
        message.resize(28, 0);
        message.extend(self.mac);
        message.resize(OPTIONS - 4, 0);
        message.extend([99, 130, 83, 99, option::MESSAGE_TYPE, 1, kind]);
        message.extend([ABOUT, options, &[255]].concat());
        message
    }
}

/// Fetches a file by TFTP as firmware does: asks for its size and breaks off, then comes back from
/// another port (RFC 2348, 2349).
pub fn fetch(host: &Namespace, own: Ipv4Addr, server: Ipv4Addr, file: &str) -> Result<Vec<u8>> {
    let request = |options: &[u8]| [b"\0\x01", file.as_bytes(), b"\0octet\0", options].concat();
    let to = SocketAddr::from((server, 69));

    let probe = udp(host, (own, 2070))?;
    probe.send_to(&request(b"tsize\x000\0"), to)?;
    let (answer, from) = receive(&probe).context("the size")?;
    ensure!(answer.starts_with(b"\0\x06tsize\0"), "{answer:?}");
    probe.send_to(b"\0\x05\0\x08aborted\0", from)?;

    let socket = udp(host, (own, 2071))?;
    socket.send_to(&request(b"blksize\x001456\0"), to)?;
    let (answer, transfer) = receive(&socket).context("the transfer")?;
    ensure!(answer == b"\0\x06blksize\x001456\0", "{answer:?}");
    ensure!(
        transfer != from && transfer != to,
        "one port for two transfers"
    );
    let mut content = Vec::new();
    let mut number = 0_u16;
    loop {
        socket.send_to(&[&[0, 4][..], &number.to_be_bytes()].concat(), transfer)?;
        if number > 0 && content.len() < usize::from(number) * 1456 {
            return Ok(content);
        }
        number += 1;
        let expected = [&[0, 3][..], &number.to_be_bytes()].concat();
        // The server repeats what it is not sure of.
        let block = loop {
            let (block, from) = receive(&socket).context("a block")?;
            ensure!(from == transfer, "a block from {from}");
            if block.starts_with(&expected) {
                break block;
            }
        };
        content.extend(&block[4..]);
    }
}
