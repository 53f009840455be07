//! What an IP packet carries: TCP, UDP, the control messages, tunnels, or any protocol number.

use super::checksum::{PseudoHeader, checksum};
use super::extension::AH_BODY;
use super::protocol::{AH, ESP, GRE, ICMP, IGMP, NO_NEXT_HEADER, TCP, UDP};
use super::tcp_flag::{ACK, FIN, PSH, RST, SYN};
use super::{Network, Packet};

#[derive(Clone, Debug)]
pub(super) enum Transport {
    Tcp {
        ports: (u16, u16),
        flags: u8,
        data_offset: u8,
        sequence: u32,
        /// `None`: 1 if the flag ACK is set, otherwise 0.
        acknowledgement: Option<u32>,
    },
    Udp {
        ports: (u16, u16),
        length: Option<u16>,
    },
    /// ICMP, ICMPv6 and IGMP share the layout: type, code, checksum, four bytes.
    Control {
        protocol: u8,
        kind: u8,
        code: u8,
        word: [u8; 4],
    },
    Gre,
    Esp,
    Ah,
    /// No header of its own: the payload follows the IP header.
    Protocol(u8),
}

impl Transport {
    pub(super) fn protocol(&self) -> u8 {
        match self {
            Self::Tcp { .. } => TCP,
            Self::Udp { .. } => UDP,
            Self::Control { protocol, .. } | Self::Protocol(protocol) => *protocol,
            Self::Gre => GRE,
            Self::Esp => ESP,
            Self::Ah => AH,
        }
    }

    /// Header and payload, with the checksum that the protocol asks for.
    pub(super) fn bytes(&self, payload: &[u8], addresses: PseudoHeader) -> Vec<u8> {
        let mut message = self.header(payload.len());
        message.extend(payload);
        let sum = match self {
            Self::Control {
                protocol: ICMP | IGMP,
                ..
            } => checksum(&message),
            _ => addresses.checksum(self.protocol(), &message),
        };
        match self {
            Self::Tcp { .. } => message[16..18].copy_from_slice(&sum.to_be_bytes()),
            // Zero means "no checksum" in UDP; the sum 0xffff is equivalent to it.
            Self::Udp { .. } => {
                let sum = if sum == 0 { 0xffff } else { sum };
                message[6..8].copy_from_slice(&sum.to_be_bytes());
            }
            Self::Control { .. } => message[2..4].copy_from_slice(&sum.to_be_bytes()),
            Self::Gre | Self::Esp | Self::Ah | Self::Protocol(_) => {}
        }
        message
    }

    fn header(&self, payload_length: usize) -> Vec<u8> {
        match self {
            Self::Tcp {
                ports,
                flags,
                data_offset,
                sequence,
                acknowledgement,
            } => {
                let mut header = [ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat();
                let acknowledgement = acknowledgement.unwrap_or((flags & ACK != 0).into());
                header.extend(sequence.to_be_bytes());
                header.extend(acknowledgement.to_be_bytes());
                header.extend([data_offset << 4, *flags]);
                header.extend([0xff, 0xff, 0, 0, 0, 0]); // window, checksum, urgent
                header
            }
            Self::Udp { ports, length } => {
                let length = length.unwrap_or((8 + payload_length) as u16);
                [ports.0, ports.1, length, 0].map(u16::to_be_bytes).concat()
            }
            Self::Control {
                kind, code, word, ..
            } => [&[*kind, *code, 0, 0], word.as_slice()].concat(),
            Self::Gre => vec![0, 0, 0x08, 0x00], // version 0, IPv4 inside
            Self::Esp => vec![0, 0, 1, 0, 0, 0, 0, 1], // security parameters index, sequence
            Self::Ah => [&[NO_NEXT_HEADER], AH_BODY.as_slice()].concat(),
            Self::Protocol(_) => Vec::new(),
        }
    }
}

impl Packet {
    #[track_caller]
    pub(super) fn carry(mut self, transport: Transport) -> Self {
        assert!(
            !matches!(self.network, Network::Link(_)),
            "only IP carries a transport: start with Packet::ipv4 or Packet::ipv6"
        );
        self.transport = transport;
        self
    }

    /// A TCP segment without flags.
    #[track_caller]
    pub fn tcp(self, source_port: u16, destination_port: u16) -> Self {
        self.carry(Transport::Tcp {
            ports: (source_port, destination_port),
            flags: 0,
            data_offset: 5,
            sequence: 1,
            acknowledgement: None,
        })
    }

    /// A UDP datagram. DHCP answers are `udp(67, 68)`.
    #[track_caller]
    pub fn udp(self, source_port: u16, destination_port: u16) -> Self {
        self.carry(Transport::Udp {
            ports: (source_port, destination_port),
            length: None,
        })
    }

    /// A GRE header (version 0, announcing IPv4) before the payload.
    #[track_caller]
    pub fn gre(self) -> Self {
        self.carry(Transport::Gre)
    }

    /// An ESP header before the payload.
    #[track_caller]
    pub fn esp(self) -> Self {
        self.carry(Transport::Esp)
    }

    /// An authentication header with nothing behind it but the payload. In front of another
    /// header on IPv6, use [`ExtensionHeader::Ah`](super::ExtensionHeader::Ah).
    #[track_caller]
    pub fn ah(self) -> Self {
        self.carry(Transport::Ah)
    }

    /// Any IP protocol number, with the payload directly behind the IP header.
    #[track_caller]
    pub fn ip_protocol(self, protocol: u8) -> Self {
        self.carry(Transport::Protocol(protocol))
    }

    /// Sets the TCP flag SYN.
    #[track_caller]
    pub fn syn(self) -> Self {
        self.flags(SYN)
    }

    /// Sets the TCP flag ACK.
    #[track_caller]
    pub fn ack(self) -> Self {
        self.flags(ACK)
    }

    /// Sets the TCP flag FIN.
    #[track_caller]
    pub fn fin(self) -> Self {
        self.flags(FIN)
    }

    /// Sets the TCP flag RST.
    #[track_caller]
    pub fn rst(self) -> Self {
        self.flags(RST)
    }

    /// Sets the TCP flag PSH.
    #[track_caller]
    pub fn psh(self) -> Self {
        self.flags(PSH)
    }

    /// Sets TCP flags by their bits ([`tcp_flag`](super::tcp_flag)).
    #[track_caller]
    pub fn flags(mut self, bits: u8) -> Self {
        match &mut self.transport {
            Transport::Tcp { flags, .. } => *flags |= bits,
            _ => panic!("TCP flags need tcp(..) first"),
        }
        self
    }

    /// Sets the number of the first byte of a TCP segment in its stream, 1 otherwise.
    #[track_caller]
    pub fn sequence(mut self, number: u32) -> Self {
        match &mut self.transport {
            Transport::Tcp { sequence, .. } => *sequence = number,
            _ => panic!("a sequence number needs tcp(..) first"),
        }
        self
    }

    /// Sets the number of the byte that the sender of a TCP segment expects next. Otherwise it is 1
    /// with the flag ACK, and 0 without.
    #[track_caller]
    pub fn acknowledgement(mut self, number: u32) -> Self {
        match &mut self.transport {
            Transport::Tcp {
                acknowledgement, ..
            } => *acknowledgement = Some(number),
            _ => panic!("an acknowledgement needs tcp(..) first"),
        }
        self
    }

    /// Sets the TCP header length field (words of four bytes, 0 to 15) without adding bytes:
    /// with enough payload the first bytes of it become options.
    #[track_caller]
    pub fn data_offset(mut self, words: u8) -> Self {
        assert!(words <= 15, "the data offset field has four bits");
        match &mut self.transport {
            Transport::Tcp { data_offset, .. } => *data_offset = words,
            _ => panic!("data_offset needs tcp(..) first"),
        }
        self
    }

    /// Falsifies the UDP length field.
    #[track_caller]
    pub fn udp_length(mut self, bytes: u16) -> Self {
        match &mut self.transport {
            Transport::Udp { length, .. } => *length = Some(bytes),
            _ => panic!("udp_length needs udp(..) first"),
        }
        self
    }
}
