//! Capture files as their writers write them.

use std::iter::repeat_n;

/// Numbers in one order of bytes.
#[derive(Clone, Copy)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    pub(super) fn u32(self, number: u32) -> [u8; 4] {
        match self {
            Self::Little => number.to_le_bytes(),
            Self::Big => number.to_be_bytes(),
        }
    }

    pub(super) fn u16(self, number: u16) -> [u8; 2] {
        match self {
            Self::Little => number.to_le_bytes(),
            Self::Big => number.to_be_bytes(),
        }
    }

    /// A pcap file.
    pub(super) fn pcap(self, magic: u32, link: u32, packets: &[(u32, u32, &[u8], u32)]) -> Vec<u8> {
        let mut file = self.u32(magic).to_vec();
        file.extend([self.u16(2), self.u16(4)].concat());
        // A snap length that is less than what packets had.
        file.extend([0, 0, 64, link].map(|number| self.u32(number)).concat());
        for (seconds, part, bytes, length) in packets {
            let head = [*seconds, *part, bytes.len() as u32, *length];
            file.extend(head.map(|number| self.u32(number)).concat());
            file.extend(*bytes);
        }
        file
    }

    /// A pcapng block.
    pub(super) fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let padding = body.len().next_multiple_of(4) - body.len();
        let length = self.u32((12 + body.len() + padding) as u32);
        [
            &self.u32(kind)[..],
            &length,
            body,
            &[0; 3][..padding],
            &length,
        ]
        .concat()
    }

    pub(super) fn section(self) -> Vec<u8> {
        let body = [
            &self.u32(0x1a2b_3c4d)[..],
            &self.u16(1),
            &self.u16(0),
            &[0xff; 8],
        ]
        .concat();
        self.block(0x0a0d_0d0a, &body)
    }

    pub(super) fn option(self, code: u16, value: &[u8]) -> Vec<u8> {
        let padding = value.len().next_multiple_of(4) - value.len();
        let length = self.u16(value.len() as u16);
        [&self.u16(code)[..], &length, value, &[0; 3][..padding]].concat()
    }

    pub(super) fn interface(self, link: u16, options: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = [&self.u16(link)[..], &self.u16(0), &self.u32(64)].concat();
        for (code, value) in options {
            body.extend(self.option(*code, value));
        }
        if !options.is_empty() {
            body.extend(self.option(0, &[]));
        }
        self.block(1, &body)
    }

    pub(super) fn packet(self, interface: u32, ticks: u64, bytes: &[u8], length: u32) -> Vec<u8> {
        self.packet_with(interface, ticks, bytes, length, &[])
    }

    pub(super) fn packet_with(
        self,
        interface: u32,
        ticks: u64,
        bytes: &[u8],
        length: u32,
        options: &[u8],
    ) -> Vec<u8> {
        let high = (ticks >> 32) as u32;
        let head = [interface, high, ticks as u32, bytes.len() as u32, length];
        let mut body = head.map(|number| self.u32(number)).concat();
        body.extend(bytes);
        body.extend(repeat_n(0, body.len().next_multiple_of(4) - body.len()));
        body.extend(options);
        self.block(6, &body)
    }
}
